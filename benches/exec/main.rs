//! How long nobody works, and whether two ever do: three real `gaggle exec` processes on
//! loopback, with a network between them that can be cut, and a worker that writes the time
//! once per millisecond.
//!
//! ```text
//! cargo bench --bench exec                        50 rounds of each way
//! cargo bench --bench exec -- --rounds 5 --ways kill,freeze
//! cargo bench --bench exec -- --profile lan,fast  with other timings
//! cargo bench --bench exec -- --idle 10000        once on the machine as it is, and once more
//!                                                 among so many processes that do nothing
//! cargo bench --bench exec -- --sigterm ignore    work that only SIGKILL ends
//! cargo bench --bench exec -- -o json
//! ```
//!
//! A round does one thing to the node that holds the work: kill -9, SIGTERM, SIGSTOP (and SIGCONT
//! once another works), isolation (and healing). A gap counts from the last sign of life of
//! the one worker to the first of the next, so starting the next is part of it. All of it
//! shares one machine. Ends with 1 if two were alive at once.

#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../report/mod.rs"]
mod report;

mod crowd;
mod figures;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use crowd::Crowd;
use figures::{Round, Series};
use report::harness::work::{Workers, work};
use report::{harness, progress};
use rustix::process::Signal;

/// A restarted voter grants nothing for one lease. An event within that time would measure
/// the restart, not the event.
const REST: Duration = Duration::from_millis(800);
/// At least the interval between two renewals, whatever the profile: a lease that was renewed
/// just now runs longer than one that is about to be.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(120);
/// Steps of this part of an interval, again and again, fill it ever more evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

const NODES: u64 = 3;

/// What is done to the node that holds the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    Kill,
    #[value(name = "term")]
    Terminate,
    Freeze,
    Isolate,
}

impl Act {
    fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Terminate => "SIGTERM",
            Self::Freeze => "SIGSTOP, SIGCONT",
            Self::Isolate => "isolation",
        }
    }
}

#[derive(Parser)]
struct Options {
    /// Of each way.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    #[arg(long, value_delimiter = ',', default_value = "lan")]
    profile: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "kill,term,freeze,isolate")]
    ways: Vec<Act>,
    /// Processes that do nothing, among which all is done once more.
    #[arg(long, default_value_t = 0)]
    idle: u32,
    /// What the work does when it is told to end.
    #[arg(long, default_value = "obey", value_parser = ["obey", "ignore"])]
    sigterm: String,
    #[arg(short, default_value = "table", value_parser = ["table", "json"])]
    output: String,
}

fn main() -> ExitCode {
    // The workers are this program, too.
    work();
    let options: Options = report::arguments();
    let mut all = Vec::new();
    for profile in &options.profile {
        all.push(series(&options, profile, 0));
        if options.idle > 0 {
            progress(&format!("{} idle processes gather", options.idle));
            let _crowd = Crowd::gather(options.idle);
            all.push(series(&options, profile, options.idle));
        }
    }
    progress("");
    if options.output == "json" {
        println!("{:#}", figures::as_json(&all, &options.ways));
    } else {
        print!("{}", figures::table(&all, &options.ways));
    }
    report::verdict(all.iter().flat_map(|series| {
        let overlaps = series.overlaps().into_iter();
        overlaps
            .map(|(one, other)| format!("{}: alive at once: {one:?} and {other:?}", series.label()))
    }))
}

/// All rounds with one profile among so many idle processes.
fn series(options: &Options, profile: &str, idle: u32) -> Series {
    let own = std::env::current_exe().expect("the path of this program");
    // Work that ignores SIGTERM must not keep the last node for longer than anybody waits here.
    let arguments = ["--profile", profile, "--drain-timeout", "5s"];
    let line =
        if options.sigterm == "ignore" { "trap '' TERM; exec $WORKER" } else { "exec $WORKER" };
    let mut workers = Workers::start(NODES, &own.display().to_string(), line, &arguments);
    for id in 1..=NODES {
        workers.wait_until_ready(id);
    }
    let count = options.rounds * options.ways.len();
    let mut rounds = Vec::new();
    for number in 0..count {
        let act = options.ways[number % options.ways.len()];
        progress(&format!(
            "{profile}, {idle} idle processes: round {} of {count}: {}",
            number + 1,
            act.label()
        ));
        // A number of rounds is small.
        let part = number as f64 * GOLDEN_RATIO % 1.0;
        std::thread::sleep(REST + RENEWAL_INTERVAL.mul_f64(part));
        rounds.push(round(&mut workers, act));
    }
    Series { profile: profile.to_owned(), idle, rounds, lives: workers.finish() }
}

fn round(workers: &mut Workers, act: Act) -> Round {
    let (before, node) = workers.next(0);
    match act {
        Act::Kill => workers.signal(node, Signal::KILL),
        Act::Terminate => workers.signal(node, Signal::TERM),
        Act::Freeze => workers.signal(node, Signal::STOP),
        Act::Isolate => workers.relay().isolate(node),
    }
    let (after, _) = workers.next(before);
    match act {
        Act::Kill | Act::Terminate => {
            workers.wait(node);
            workers.launch(node);
        }
        Act::Freeze => workers.signal(node, Signal::CONT),
        Act::Isolate => workers.relay().heal(),
    }
    workers.wait_until_ready(node);
    Round { act, before, after }
}
