//! How fast the simulator is: virtual seconds of a five-node cluster per second, on one core.
//!
//! ```text
//! cargo bench --bench simulator
//! cargo bench --bench simulator -- --runs 3 --seconds 20
//! ```
//!
//! Two clusters, side by side in every run: one that nothing disturbs, and ordinary seeds with
//! all their faults and judges, as the proofs run them. Prints the median, the slowest and the
//! fastest run, and what one event costs. Ends with 1 if a seed breaks a promise.

#[allow(dead_code, reason = "other benchmarks use the rest")]
mod report;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use gaggle::sim::scenario::Scenario;
use gaggle::sim::swarm::run::{Options, run};
use report::{Table, Values, progress};

const NODES: usize = 5;

#[derive(Parser)]
struct Settings {
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Virtual seconds of each cluster.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Seeds with faults in every run.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
}

/// What the runs came to.
#[derive(Default)]
struct Paces {
    virtual_per_second: Values,
    nanoseconds_per_event: Values,
}

fn undisturbed(settings: &Settings, seed: u64, paces: &mut Paces) {
    let nodes: Vec<u64> = (1..=NODES as u64).collect();
    let begun = Instant::now();
    let mut story = Scenario::new(seed, NODES as u64, &nodes);
    story.start(&nodes);
    story.run(settings.seconds * 1000);
    let spent = begun.elapsed().as_secs_f64();
    assert!(story.goose().is_some(), "a calm cluster has a Goose");
    paces.virtual_per_second.add(settings.seconds as f64 / spent);
}

fn faults(settings: &Settings, first: u64, paces: &mut Paces) -> Result<(), String> {
    let options =
        Options { nodes: Some(NODES), seconds: Some(settings.seconds), ..Options::default() };
    let (mut events, mut virtual_time) = (0, 0);
    let begun = Instant::now();
    for seed in first..first + settings.seeds {
        let report = run(seed, options);
        if let Some(violation) = report.violation {
            return Err(format!("seed {seed}: {violation}"));
        }
        events += report.events;
        virtual_time += report.virtual_time;
    }
    let spent = begun.elapsed().as_secs_f64();
    paces.virtual_per_second.add(virtual_time as f64 / 1e9 / spent);
    paces.nanoseconds_per_event.add(spent * 1e9 / events as f64);
    Ok(())
}

fn main() -> ExitCode {
    let settings: Settings = report::arguments();
    let (mut calm, mut with_faults) = (Paces::default(), Paces::default());
    for turn in 0..settings.runs {
        progress(&format!("run {} of {}", turn + 1, settings.runs));
        undisturbed(&settings, turn, &mut calm);
        if let Err(reason) = faults(&settings, turn * settings.seeds, &mut with_faults) {
            return report::verdict([reason]);
        }
    }
    progress("");
    println!("virtual seconds of {NODES} nodes per second, one core, {} runs", settings.runs);
    let columns = [("", 12), ("median", 11), ("slowest", 11), ("fastest", 11), ("", 0)];
    let mut table = Table::new(&columns);
    for (name, paces) in [("calm", calm), ("with faults", with_faults)] {
        let rates = &paces.virtual_per_second;
        let rates = [rates.median(), rates.smallest(), rates.largest()];
        let cost = match paces.nanoseconds_per_event.median() {
            unknown if unknown.is_nan() => String::new(),
            cost => format!("   {cost:.0} ns an event"),
        };
        let name = [name.to_owned()].into_iter();
        table.row(name.chain(rates.map(|rate| format!("{rate:.0}"))).chain([cost]));
    }
    print!("{table}");
    ExitCode::SUCCESS
}
