//! What membership does and costs as a cluster grows, in the simulator: links of a millisecond,
//! every node knows one seed.
//!
//! ```text
//! cargo bench --bench scale                           10, 100, 1,000 and 2,000 nodes
//! cargo bench --bench scale -- --quick                10 and 100 nodes
//! cargo bench --bench scale -- --nodes 5000 --trial boot --trial crash
//! cargo bench --bench scale -- --nodes 5 --nodes 2000 --trial failover
//! cargo bench --bench scale -- --merge one.json --merge other.json
//! cargo bench --bench scale -- --real                 real sockets only
//! ```
//!
//! Times are virtual, so they do not depend on the machine; only the simulator's own cost does.
//! Writes `scale.json` and `scale.svg` to `target/scale`; with `--merge`, of what earlier runs
//! wrote, and nothing is simulated. Ends with 1 if a bound that was promised for a thousand or
//! two thousand nodes is exceeded.

// The tests use the rest.
#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;

#[path = "../svg/mod.rs"]
mod svg;

mod cluster;
mod figures;
mod plot;
mod real;
mod trials;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use figures::Report;

const USAGE: &str = "usage: scale [--nodes N]... [--trial NAME]... [--seed N] [--runs N] \
                     [--quick | --real | --merge FILE...]";

/// What was asked for.
struct Options {
    sizes: Vec<usize>,
    trials: Vec<String>,
    seed: u64,
    runs: u64,
    quick: bool,
    /// Nothing simulated.
    real: bool,
    /// Nothing done at all: what was written before is read.
    merge: Vec<PathBuf>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            sizes: Vec::new(),
            trials: Vec::new(),
            seed: 1,
            runs: 1,
            quick: false,
            real: false,
            merge: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let number = |text: String| {
                text.parse::<u64>().map_err(|_| format!("\"{text}\" is no whole number"))
            };
            match argument.as_str() {
                "--nodes" => options.sizes.push(usize::try_from(number(value()?)?).unwrap_or(0)),
                "--trial" => options.trials.push(value()?),
                "--seed" => options.seed = number(value()?)?,
                "--runs" => options.runs = number(value()?)?,
                "--quick" => options.quick = true,
                "--real" => options.real = true,
                "--merge" => options.merge.push(value()?.into()),
                // Cargo says this to every benchmark.
                "--bench" => {}
                _ => return Err(format!("{argument} is not understood")),
            }
        }
        if options.sizes.is_empty() {
            options.sizes = if options.quick { vec![10, 100] } else { vec![10, 100, 1000, 2000] };
        }
        if let Some(size) = options.sizes.iter().find(|size| !(5..=60_000).contains(*size)) {
            return Err(format!("{size} nodes: 5 to 60000 are possible"));
        }
        let known = |name: &String| trials::ALL.iter().any(|trial| trial.name == name);
        if let Some(unknown) = options.trials.iter().find(|name| !known(name)) {
            let names: Vec<&str> = trials::ALL.iter().map(|trial| trial.name).collect();
            return Err(format!("no trial is called {unknown}: there are {}", names.join(", ")));
        }
        Ok(options)
    }

    fn wants(&self, trial: &trials::Trial) -> bool {
        if self.trials.is_empty() {
            trial.quick || !self.quick
        } else {
            self.trials.iter().any(|name| name == trial.name)
        }
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("scale: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.real {
        return measure_real();
    }
    let mut report = Report::default();
    if options.merge.is_empty() {
        simulate(&options, &mut report);
    }
    for path in &options.merge {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let read = text.and_then(|text| report.read(&text).map_err(|error| error.to_string()));
        if let Err(reason) = read {
            report.failures.push(format!("{}: {reason}", path.display()));
        }
    }
    print!("{}", report.table());
    let folder = output_folder();
    match write_files(&folder, &report) {
        Ok(()) => println!("\nwritten to {}", folder.display()),
        Err(error) => {
            report.failures.push(format!("cannot write to {}: {error}", folder.display()));
        }
    }
    let failures = [report.failures.clone(), report.exceeded()].concat();
    failures.iter().for_each(|problem| eprintln!("FAILED: {problem}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every trial that was asked for, at every size.
fn simulate(options: &Options, report: &mut Report) {
    for size in &options.sizes {
        for trial in trials::ALL.iter().filter(|trial| options.wants(trial)) {
            for seed in options.seed..options.seed + options.runs {
                progress(&format!("{size} nodes, {}, seed {seed}", trial.name));
                if let Err(reason) = (trial.run)(*size, seed, report) {
                    let name = trial.name;
                    report.failures.push(format!("{size} nodes, {name}, seed {seed}: {reason}"));
                }
            }
        }
    }
    progress("");
}

/// With real sockets.
fn measure_real() -> ExitCode {
    let mut figures = real::measure(progress);
    progress("");
    print!("{}", figures.table());
    let folder = output_folder();
    let text = format!("{:#}\n", figures.json());
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("real.json"), text));
    if let Err(error) = written {
        figures.failures.push(format!("cannot write to {}: {error}", folder.display()));
    }
    figures.failures.iter().for_each(|problem| eprintln!("FAILED: {problem}"));
    if figures.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Replaces the progress line, if somebody watches.
fn progress(text: &str) {
    let mut output = std::io::stderr();
    if output.is_terminal() {
        // A lost line of progress is no loss.
        let _ = write!(output, "\r\x1b[K{text}").and_then(|()| output.flush());
    }
}

/// `target/scale`.
fn output_folder() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().unwrap_or(temporary).join("scale")
}

fn write_files(folder: &Path, report: &Report) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("scale.json"), format!("{:#}\n", report.json()))?;
    std::fs::write(folder.join("scale.svg"), plot::draw(report))
}
