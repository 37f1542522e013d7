//! How long a gaggle is without a Goose: real processes on loopback, from the event to the
//! next Goose, and to the agreement of all running nodes.
//!
//! ```text
//! cargo bench --bench convergence                        30 rounds at 3, 5 and 9 nodes
//! cargo bench --bench convergence -- --nodes 5 --runs 10
//! cargo bench --bench convergence -- --profile fast      the same with other timings
//! cargo bench --bench convergence -- --quick             3 rounds at 3 nodes
//! ```
//!
//! Every node is asked for its status once per millisecond over a kept connection; a time
//! counts from just before the event to the receipt of the first answer that shows its effect,
//! so it is never flattered. The processes that ask share the machine with those that answer.
//! Writes `convergence.json` and `convergence.svg` to `target/convergence` (`convergence-fast`
//! for that profile), and `slow.log` if a kill took surprisingly long. Ends with 1 if two
//! nodes were ever seen to be Goose at once, or if something did not happen at all.

// The tests use the rest.
#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;

#[path = "../svg/mod.rs"]
mod svg;

mod figures;
mod idle;
mod plot;
mod rounds;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use figures::Report;
use idle::IdleTimes;

/// Of the progress bar, in characters.
const BAR_WIDTH: usize = 30;

const USAGE: &str = "usage: convergence [--runs N] [--nodes N]... [--profile lan|fast] [--quick]";

/// What was asked for.
struct Options {
    runs: usize,
    sizes: Vec<u64>,
    profile: &'static str,
    idle: IdleTimes,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut runs, mut sizes, mut quick, mut profile) = (None, Vec::new(), false, "lan");
        while let Some(argument) = arguments.next() {
            if argument == "--profile" {
                profile = match arguments.next().as_deref() {
                    Some("lan") => "lan",
                    Some("fast") => "fast",
                    _ => return Err("--profile is lan or fast".to_owned()),
                };
                continue;
            }
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
                value.filter(|value| *value > 0).ok_or(format!("{argument} needs a number"))
            };
            match argument.as_str() {
                "--runs" => runs = usize::try_from(number()?).ok(),
                "--nodes" => sizes.push(number()?),
                "--quick" => quick = true,
                // Cargo says this to every benchmark.
                "--bench" => {}
                _ => return Err(format!("{argument} is not understood")),
            }
        }
        if let Some(size) = sizes.iter().find(|size| **size < 3) {
            return Err(format!("{size} nodes cannot lose one and go on: 3 at least"));
        }
        if sizes.is_empty() {
            sizes = if quick { vec![3] } else { vec![3, 5, 9] };
        }
        let idle = if quick { IdleTimes::SHORT } else { IdleTimes::FULL };
        Ok(Self { runs: runs.unwrap_or(if quick { 3 } else { 30 }), sizes, profile, idle })
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("convergence: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut report = Report::new(options.runs, options.profile);
    let mut done = 0;
    let whole = options.sizes.len() * (options.runs + 1);
    for size in &options.sizes {
        for run in 0..options.runs {
            let text = format!("{size} nodes, round {} of {}", run + 1, options.runs);
            progress(done, whole, &text);
            done += 1;
            if let Err(reason) = rounds::round(*size, run, &mut report) {
                report.failures.push(format!("{size} nodes, round {}: {reason}", run + 1));
            }
        }
        progress(done, whole, &format!("{size} nodes, idle"));
        done += 1;
        match idle::measure(*size, options.profile, options.idle) {
            Ok(costs) => report.idle.extend(costs),
            Err(reason) => report.failures.push(format!("{size} nodes, idle: {reason}")),
        }
    }
    progress(0, 0, "");
    print!("{}", report.table());
    let folder = output_folder(options.profile);
    match write_files(&folder, &report) {
        Ok(()) => println!("\nwritten to {}", folder.display()),
        Err(error) => {
            report.failures.push(format!("cannot write to {}: {error}", folder.display()))
        }
    }
    for problem in report.faults.iter().chain(&report.failures) {
        eprintln!("FAILED: {problem}");
    }
    if report.faults.is_empty() && report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Replaces the progress line, if somebody watches.
fn progress(done: usize, whole: usize, text: &str) {
    let mut output = std::io::stderr();
    if output.is_terminal() {
        let filled = (done * BAR_WIDTH).checked_div(whole).unwrap_or(0);
        let bar = match whole {
            0 => String::new(),
            _ => format!("[{}{}] ", "#".repeat(filled), ".".repeat(BAR_WIDTH - filled)),
        };
        // A lost line of progress is no loss.
        let _ = write!(output, "\r\x1b[K{bar}{text}").and_then(|()| output.flush());
    }
}

/// In a folder of the build: two profiles do not overwrite each other.
fn output_folder(profile: &str) -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = if profile == "lan" { "convergence" } else { "convergence-fast" };
    temporary.parent().unwrap_or(temporary).join(name)
}

fn write_files(folder: &Path, report: &Report) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    if !report.slow.is_empty() {
        std::fs::write(folder.join("slow.log"), report.slow.join("\n\n"))?;
    }
    std::fs::write(folder.join("convergence.json"), format!("{:#}\n", report.json()))?;
    std::fs::write(folder.join("convergence.svg"), plot::draw(report))
}

/// A duration in milliseconds.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
