//! How long a gaggle is without a Goose: real processes on loopback, from the event to the
//! next Goose, and to the agreement of all running nodes.
//!
//! ```text
//! cargo bench --bench convergence                        30 rounds at 3, 5 and 9 nodes
//! cargo bench --bench convergence -- --nodes 5 --runs 10
//! cargo bench --bench convergence -- --profile fast      the same with other timings
//! cargo bench --bench convergence -- --quick             3 rounds at 3 nodes
//! cargo bench --bench convergence -- --embedded --runs 40    only nodes that programs embed
//! ```
//!
//! Every node is asked for its status once per millisecond over a kept connection; a time
//! counts from just before the event to the receipt of the first answer that shows its effect,
//! so it is never flattered. A program that embeds a node, with a keeper, says by itself that it
//! leads. The processes that ask share the machine with those that answer.
//! Writes `convergence.json` and `convergence.svg` to `target/convergence` (`convergence-fast`
//! for that profile), and `slow.log` if a kill took surprisingly long. Ends with 1 if two
//! nodes were ever seen to be Goose at once, or if something did not happen at all.

#[allow(dead_code, reason = "examples use the rest")]
#[path = "../../examples/processes/mod.rs"]
mod processes;
#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../report/mod.rs"]
mod report;

mod embedded;
mod figures;
mod idle;
mod plot;
mod rounds;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use figures::Report;
use idle::IdleTimes;
use report::{harness, progress, svg};

/// What was asked for.
#[derive(Parser)]
struct Options {
    /// Rounds at each size: 30, or 3 with `--quick`.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// A cluster of three at least can lose one and go on. 3, 5 and 9; 3 with `--quick`.
    #[arg(long, value_parser = clap::value_parser!(u64).range(3..))]
    nodes: Vec<u64>,
    #[arg(long, default_value = "lan", value_parser = ["lan", "fast"])]
    profile: String,
    #[arg(long)]
    quick: bool,
    /// Measure only what is to be measured of nodes that programs embed.
    #[arg(long)]
    embedded: bool,
}

fn main() -> ExitCode {
    // The keeper of a child, and a child, are this program, executed again.
    gaggle::keeper::run_if_asked();
    if let Some((_, config, _)) = processes::child() {
        let Err(reason) = embedded::live(config);
        return report::verdict([reason]);
    }
    let Options { runs, nodes, profile, quick, embedded } = report::arguments();
    let (idle, usual_runs, usual_sizes) = match quick {
        true => (IdleTimes::SHORT, 3, vec![3]),
        false => (IdleTimes::FULL, 30, vec![3, 5, 9]),
    };
    let runs = runs.unwrap_or(usual_runs);
    let sizes = if nodes.is_empty() { usual_sizes } else { nodes };
    let sizes = if embedded { Vec::new() } else { sizes };
    let mut report = Report::new(runs, profile);
    progress("embedded nodes");
    let failure = embedded::measure(runs, &mut report).err();
    report.failures.extend(failure);
    for size in sizes {
        for run in 0..runs {
            progress(&format!("{size} nodes, round {} of {runs}", run + 1));
            if let Err(reason) = rounds::round(size, run, &mut report) {
                report.failures.push(format!("{size} nodes, round {}: {reason}", run + 1));
            }
        }
        progress(&format!("{size} nodes, idle"));
        match idle::measure(size, report.profile(), idle) {
            Ok(costs) => report.idle.extend(costs),
            Err(reason) => report.failures.push(format!("{size} nodes, idle: {reason}")),
        }
    }
    progress("");
    print!("{}", report.table());
    // Two profiles do not overwrite each other.
    let folder = if report.profile() == "lan" { "convergence" } else { "convergence-fast" };
    let mut files = vec![
        ("convergence.json", format!("{:#}\n", report.json())),
        ("convergence.svg", plot::draw(&report)),
    ];
    if !report.slow.is_empty() {
        files.push(("slow.log", report.slow.join("\n\n")));
    }
    match report::write_files(folder, &files) {
        Ok(folder) => println!("\nwritten to {}", folder.display()),
        Err(reason) => report.failures.push(reason),
    }
    report::verdict(report.faults.iter().chain(&report.failures))
}

/// A duration in milliseconds.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
