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

#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../report/mod.rs"]
mod report;

mod cluster;
mod figures;
mod plot;
mod real;
mod trials;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use figures::Report;
use report::{harness, progress, svg};

/// What was asked for.
#[derive(Parser)]
struct Options {
    /// 10, 100, 1,000 and 2,000; 10 and 100 with `--quick`.
    #[arg(long, value_parser = clap::value_parser!(u64).range(5..=60_000))]
    nodes: Vec<u64>,
    #[arg(long, value_parser = trials::ALL.map(|trial| trial.name))]
    trial: Vec<String>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 1)]
    runs: u64,
    #[arg(long)]
    quick: bool,
    /// Nothing simulated.
    #[arg(long)]
    real: bool,
    /// Nothing done at all: what was written before is read.
    #[arg(long)]
    merge: Vec<PathBuf>,
}

impl Options {
    fn sizes(&self) -> Vec<usize> {
        match &self.nodes[..] {
            [] if self.quick => vec![10, 100],
            [] => vec![10, 100, 1000, 2000],
            // 60,000 at most.
            nodes => nodes.iter().filter_map(|nodes| usize::try_from(*nodes).ok()).collect(),
        }
    }

    fn wants(&self, trial: &trials::Trial) -> bool {
        if self.trial.is_empty() {
            trial.quick || !self.quick
        } else {
            self.trial.iter().any(|name| name == trial.name)
        }
    }
}

fn main() -> ExitCode {
    let options: Options = report::arguments();
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
    let files =
        [("scale.json", format!("{:#}\n", report.json())), ("scale.svg", plot::draw(&report))];
    match report::write_files("scale", &files) {
        Ok(folder) => println!("\nwritten to {}", folder.display()),
        Err(reason) => report.failures.push(reason),
    }
    report::verdict([report.failures.clone(), report.exceeded()].concat())
}

/// Every trial that was asked for, at every size.
fn simulate(options: &Options, report: &mut Report) {
    for size in options.sizes() {
        for trial in trials::ALL.iter().filter(|trial| options.wants(trial)) {
            for seed in options.seed..options.seed + options.runs {
                progress(&format!("{size} nodes, {}, seed {seed}", trial.name));
                if let Err(reason) = (trial.run)(size, seed, report) {
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
    let written = report::write_files("scale", &[("real.json", format!("{:#}\n", figures.json()))]);
    figures.failures.extend(written.err());
    report::verdict(figures.failures)
}
