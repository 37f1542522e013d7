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

use std::process::ExitCode;
use std::time::Instant;

use gaggle::sim::scenario::Scenario;
use gaggle::sim::swarm::run::{Options, run};

const USAGE: &str = "usage: simulator [--runs N] [--seconds N] [--seeds N]";
const NODES: usize = 5;

struct Settings {
    runs: u64,
    /// Virtual seconds of each cluster.
    seconds: u64,
    /// Seeds with faults in every run.
    seeds: u64,
}

impl Settings {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut settings = Self { runs: 9, seconds: 60, seeds: 20 };
        while let Some(argument) = arguments.next() {
            // Cargo says this to every benchmark.
            if argument == "--bench" {
                continue;
            }
            let place = match argument.as_str() {
                "--runs" => &mut settings.runs,
                "--seconds" => &mut settings.seconds,
                "--seeds" => &mut settings.seeds,
                _ => return Err(format!("{argument} is not understood")),
            };
            let text = arguments.next().ok_or(format!("{argument} needs a value"))?;
            *place = text.parse().map_err(|_| format!("{text}: no number"))?;
            *place = (*place).max(1);
        }
        Ok(settings)
    }
}

/// What one measurement came to.
#[derive(Clone, Copy)]
struct Pace {
    virtual_per_second: f64,
    nanoseconds_per_event: Option<f64>,
}

fn calm(settings: &Settings, seed: u64) -> Pace {
    let nodes: Vec<u64> = (1..=NODES as u64).collect();
    let begun = Instant::now();
    let mut story = Scenario::new(seed, NODES as u64, &nodes);
    story.start(&nodes);
    story.run(settings.seconds * 1000);
    let spent = begun.elapsed().as_secs_f64();
    assert!(story.goose().is_some(), "a calm cluster has a Goose");
    Pace { virtual_per_second: settings.seconds as f64 / spent, nanoseconds_per_event: None }
}

fn faults(settings: &Settings, first: u64) -> Result<Pace, String> {
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
    Ok(Pace {
        virtual_per_second: virtual_time as f64 / 1e9 / spent,
        nanoseconds_per_event: Some(spent * 1e9 / events as f64),
    })
}

fn show(name: &str, mut paces: Vec<Pace>) {
    paces.sort_by(|one, other| one.virtual_per_second.total_cmp(&other.virtual_per_second));
    let (Some(slowest), Some(fastest)) = (paces.first(), paces.last()) else { return };
    let median = paces[paces.len() / 2];
    let cost = median
        .nanoseconds_per_event
        .map_or_else(String::new, |cost| format!("{cost:.0} ns an event"));
    println!(
        "{name:<12} {:>10.0} {:>10.0} {:>10.0}   {cost}",
        median.virtual_per_second, slowest.virtual_per_second, fastest.virtual_per_second
    );
}

fn main() -> ExitCode {
    let settings = match Settings::parse(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(reason) => {
            eprintln!("simulator: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let (mut calm_paces, mut fault_paces) = (Vec::new(), Vec::new());
    for turn in 0..settings.runs {
        eprintln!("run {} of {}", turn + 1, settings.runs);
        calm_paces.push(calm(&settings, turn));
        match faults(&settings, turn * settings.seeds) {
            Ok(pace) => fault_paces.push(pace),
            Err(reason) => {
                println!("{reason}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("virtual seconds of {NODES} nodes per second, one core, {} runs", settings.runs);
    println!("{:<12} {:>10} {:>10} {:>10}", "", "median", "slowest", "fastest");
    show("calm", calm_paces);
    show("with faults", fault_paces);
    ExitCode::SUCCESS
}
