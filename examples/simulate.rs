//! Many seeds of the simulated cluster, on all cores.
//!
//! ```text
//! cargo run --release --example simulate -- --seeds 10000 --start 0 --nodes 5 --seconds 20
//! cargo run --release --example simulate -- --seed 123 [--trace full]   one seed and its trace
//! cargo run --release --example simulate -- --plants --seeds 2000       who finds planted bugs
//! ```
//!
//! Exits with 1 if any seed breaks a promise, or if a planted bug is not found.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use gaggle::sim::coverage::Coverage;
use gaggle::sim::run::{Options, Report, run};
use gaggle::sim::trace::TraceDepth;
use gaggle::vocabulary::plant::Plant;

const USAGE: &str = "simulate [--seeds N] [--start S] [--nodes N] [--seconds S] \
                     [--seed S [--trace full]] [--plants]";

#[derive(Default)]
struct Arguments {
    numbers: BTreeMap<String, u64>,
    full_trace: bool,
    plants: bool,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--seeds" | "--start" | "--nodes" | "--seconds" | "--seed" => {
                    let text = value()?;
                    let number = text.parse().map_err(|_| format!("{text} is no number"))?;
                    arguments.numbers.insert(word, number);
                }
                "--trace" => arguments.full_trace = value()? == "full",
                "--plants" => arguments.plants = true,
                _ => return Err(format!("unknown argument {word}\nusage: {USAGE}")),
            }
        }
        Ok(arguments)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    fn options(&self) -> Options {
        let nodes = self.number("--nodes").and_then(|nodes| usize::try_from(nodes).ok());
        Options { nodes, seconds: self.number("--seconds"), ..Options::default() }
    }
}

/// Runs seeds on all cores and hands every report over, until that says to stop.
fn sweep(start: u64, count: u64, options: Options, take: impl FnMut(Report) -> bool + Send) {
    let next = AtomicU64::new(start);
    let stop = AtomicBool::new(false);
    let take = Mutex::new(take);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= start + count {
                return;
            }
            let report = run(seed, options);
            if let Ok(mut take) = take.lock()
                && !take(report)
            {
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| {
            scope.spawn(work);
        });
    });
}

fn show_one(seed: u64, arguments: &Arguments) -> ExitCode {
    let trace = if arguments.full_trace { TraceDepth::Full } else { TraceDepth::Last(300) };
    println!("seed {seed}");
    let report = run(seed, Options { trace, ..arguments.options() });
    report.trace.iter().for_each(|line| println!("{line}"));
    println!(
        "{} nodes, {} events, {} terms, recovered after {:?} ms, digest {:016x}",
        report.nodes,
        report.events,
        report.terms,
        report.recovered_after.map(|span| span / 1_000_000),
        report.digest
    );
    match report.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
    }
}

fn hunt_plants(start: u64, count: u64, options: Options) -> ExitCode {
    let mut missed = 0;
    for plant in Plant::ALL {
        let mut found: Option<Report> = None;
        let options = Options { plant: Some(plant), ..options };
        let begun = Instant::now();
        sweep(start, count, options, |report| {
            if report.violation.is_some() {
                found = Some(report);
            }
            found.is_none()
        });
        let took = begun.elapsed().as_secs_f64();
        match found.and_then(|report| Some((report.seed, report.violation?))) {
            Some((seed, violation)) => {
                println!("{plant:?}: seed {seed} in {took:.1} s: {}", violation.invariant);
            }
            None => {
                missed += 1;
                println!("{plant:?}: NOT FOUND in {count} seeds, {took:.1} s");
            }
        }
    }
    println!("{missed} of {} not found", Plant::ALL.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sweep_all(start: u64, count: u64, options: Options) -> ExitCode {
    println!("seeds {start} to {}", (start + count).saturating_sub(1));
    let begun = Instant::now();
    let progress = std::io::stderr().is_terminal();
    let (mut done, mut virtual_time, mut events, mut terms) = (0_u64, 0_u64, 0_u64, 0_usize);
    let (mut coverage, mut failures) = (Coverage::default(), Vec::new());
    let mut recoveries: Vec<u64> = Vec::new();
    sweep(start, count, options, |report| {
        done += 1;
        virtual_time += report.virtual_time;
        events += report.events;
        terms += report.terms;
        coverage.add(&report.coverage);
        recoveries.extend(report.recovered_after);
        if let Some(violation) = report.violation {
            failures.push((report.seed, violation));
        }
        if progress && done % 50 == 0 {
            eprint!("\r{done} of {count} seeds, {} failed ", failures.len());
            let _ = std::io::stderr().flush();
        }
        true
    });
    if progress {
        eprintln!();
    }
    for (name, times) in coverage.iter() {
        println!("{times:>12}  {name}");
    }
    recoveries.sort_unstable();
    let place =
        |share: usize| recoveries.get(recoveries.len() * share / 100).map(|at| at / 1_000_000);
    println!(
        "recovery in ms: half {:?}, 99 % {:?}, all {:?}",
        place(50),
        place(99),
        recoveries.last().map(|at| at / 1_000_000)
    );
    let seconds = begun.elapsed().as_secs_f64();
    let rate = |total: u64| total as f64 / seconds;
    println!(
        "{done} seeds, {terms} terms, {events} events in {seconds:.1} s: {:.0} seeds/s, {:.0} \
         virtual s/s, {:.0} events/s",
        rate(done),
        rate(virtual_time) / 1e9,
        rate(events)
    );
    failures.sort_by_key(|(seed, _)| *seed);
    for (seed, violation) in &failures {
        println!("seed {seed}: {violation}");
    }
    println!("{} failed", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let start = arguments.number("--start").unwrap_or(0);
    let count = arguments.number("--seeds").unwrap_or(1000);
    match arguments.number("--seed") {
        Some(seed) => show_one(seed, &arguments),
        None if arguments.plants => hunt_plants(start, count, arguments.options()),
        None => sweep_all(start, count, arguments.options()),
    }
}
