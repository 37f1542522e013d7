//! Many seeds of the simulated cluster, on all cores.
//!
//! ```text
//! cargo run --release --example simulate -- --seeds 30000 --minutes 1   a minute of faults each
//! cargo run --release --example simulate -- --seeds 9 --start 5 --nodes 5 --seconds 20
//! cargo run --release --example simulate -- --swarm founding            runs about one thing
//! cargo run --release --example simulate -- --seed 123 [--trace full]   one seed and its trace
//! cargo run --release --example simulate -- --mutants [--mutant NAME]   what finds mutants
//! ```
//!
//! The table counts the runs that met each fault and each change of state, and how often in all.
//!
//! Exits with 1 if any seed breaks a promise, or if a mutant is not found.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use gaggle::sim::cluster::coverage::Coverage;
use gaggle::sim::cluster::trace::TraceDepth;
use gaggle::sim::swarm::mutants::{MUTANTS, NOT_SEARCHED};
use gaggle::sim::swarm::run::{Options, Report, run};
use gaggle::sim::swarm::theme::Swarm;
use gaggle::vocabulary::mutant::Mutant;

const USAGE: &str = "simulate [--seeds N] [--start S] [--nodes N] [--minutes M | --seconds S] \
                     [--swarm T] [--mutant P] [--seed S [--trace full]] [--mutants]";

#[derive(Default)]
struct Arguments {
    numbers: BTreeMap<String, u64>,
    full_trace: bool,
    mutants: bool,
    swarm: Option<Swarm>,
    mutant: Option<Mutant>,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--seeds" | "--start" | "--nodes" | "--seconds" | "--minutes" | "--seed" => {
                    let text = value()?;
                    let number = text.parse().map_err(|_| format!("{text} is no number"))?;
                    arguments.numbers.insert(word, number);
                }
                "--trace" => arguments.full_trace = value()? == "full",
                "--swarm" => {
                    let text = value()?;
                    let swarm = Swarm::ALL.into_iter().find(|swarm| swarm.name() == text);
                    arguments.swarm = Some(swarm.ok_or(format!("{text} is no swarm"))?);
                }
                "--mutant" => {
                    let text = value()?;
                    let mut all = Mutant::ALL.into_iter().chain(Mutant::OF_WORK);
                    let mutant = all.find(|mutant| format!("{mutant:?}") == text);
                    arguments.mutant = Some(mutant.ok_or(format!("{text} is no mutant"))?);
                }
                "--mutants" => arguments.mutants = true,
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
        let seconds = self.number("--minutes").map(|minutes| minutes * 60);
        Options {
            nodes,
            seconds: self.number("--seconds").or(seconds),
            swarm: self.swarm,
            mutant: self.mutant,
            ..Options::default()
        }
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

/// Goes through the kill-list: what each mutant takes to be found, and by which promise.
fn try_mutants(options: Options) -> ExitCode {
    println!("{:<32} {:<10} {:>6} {:>6}  found by", "mutant", "swarm", "seeds", "limit");
    let mut missed = 0;
    let wanted = |mutant: Mutant| options.mutant.is_none_or(|only| only == mutant);
    for search in MUTANTS.iter().filter(|search| wanted(search.mutant)) {
        let found = search.run().and_then(|report| Some((report.seed + 1, report.violation?)));
        let mutant = format!("{:?}", search.mutant);
        let (seeds, invariant) = match found {
            Some((seeds, violation)) => (seeds.to_string(), violation.invariant.to_string()),
            None => ("-".to_owned(), "NOT FOUND".to_owned()),
        };
        missed += usize::from(seeds == "-");
        let (swarm, limit) = (search.swarm.name(), search.seeds);
        println!("{mutant:<32} {swarm:<10} {seeds:>6} {limit:>6}  {invariant}");
    }
    println!("{missed} of {} not found; not searched: {NOT_SEARCHED:?}", MUTANTS.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line that is written over itself on a terminal: how far, how fast, how long still.
fn show_progress(done: u64, count: u64, failed: usize, begun: Instant) {
    const WIDTH: u64 = 30;
    let rate = done as f64 / begun.elapsed().as_secs_f64().max(0.001);
    let left = (count - done) as f64 / rate;
    let filled = usize::try_from(done * WIDTH / count.max(1)).unwrap_or(0);
    let bar = "#".repeat(filled);
    eprint!(
        "\r[{bar:<30}] {done} of {count} seeds, {rate:.0} seeds/s, {left:.0} s left, \
         {failed} failed   "
    );
    let _ = std::io::stderr().flush();
}

/// The one command that runs a seed again exactly.
fn replay(seed: u64, options: Options) -> String {
    let mut command = format!("cargo run --release --example simulate -- --seed {seed}");
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            let quote = if value.contains(' ') { "'" } else { "" };
            command.push_str(&format!(" {flag} {quote}{value}{quote}"));
        }
    };
    add("--nodes", options.nodes.map(|nodes| nodes.to_string()));
    add("--seconds", options.seconds.map(|seconds| seconds.to_string()));
    add("--swarm", options.swarm.map(|swarm| swarm.name().to_owned()));
    add("--mutant", options.mutant.map(|mutant| format!("{mutant:?}")));
    command
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
        if progress && (done % 20 == 0 || done == count) {
            show_progress(done, count, failures.len(), begun);
        }
        true
    });
    if progress {
        eprintln!();
    }
    println!("{:>8} {:>12}", "runs", "times");
    for (name, met) in coverage.iter() {
        println!("{:>8} {:>12}  {name}", met.runs, met.times);
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
        println!("seed {seed}: {violation}\n  replay: {}", replay(*seed, options));
    }
    println!("{} of {done} failed", failures.len());
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
        None if arguments.mutants => try_mutants(arguments.options()),
        None => sweep_all(start, count, arguments.options()),
    }
}
