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

// The tests use the rest.
#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;

mod figures;

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use figures::{Round, Series};
use harness::crowd::Crowd;
use harness::work::{Workers, work};
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

const USAGE: &str =
    "usage: exec [--rounds N] [--profile lan,fast,wan] [--ways kill,term,freeze,isolate]
            [--idle N] [--sigterm obey|ignore] [-o table|json]";

/// What is done to the node that holds the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Kill,
    Terminate,
    Freeze,
    Isolate,
}

impl Act {
    const ALL: [Self; 4] = [Self::Kill, Self::Terminate, Self::Freeze, Self::Isolate];

    fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Terminate => "SIGTERM",
            Self::Freeze => "SIGSTOP, SIGCONT",
            Self::Isolate => "isolation",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        let words = ["kill", "term", "freeze", "isolate"];
        Self::ALL.into_iter().zip(words).find(|(_, name)| *name == word).map(|(act, _)| act)
    }
}

struct Options {
    /// Of each way.
    rounds: u32,
    profiles: Vec<String>,
    ways: Vec<Act>,
    idle: u32,
    ignore: bool,
    json: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            rounds: 50,
            profiles: vec!["lan".to_owned()],
            ways: Act::ALL.to_vec(),
            idle: 0,
            ignore: false,
            json: false,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => options.rounds = arguments.next()?.parse().ok()?,
                "--profile" => {
                    options.profiles = arguments.next()?.split(',').map(str::to_owned).collect();
                }
                "--ways" => {
                    let ways = arguments.next()?;
                    options.ways = ways.split(',').map(Act::of_word).collect::<Option<_>>()?;
                }
                "--idle" => options.idle = arguments.next()?.parse().ok()?,
                "--sigterm" => {
                    options.ignore = match arguments.next()?.as_str() {
                        "ignore" => true,
                        "obey" => false,
                        _ => return None,
                    };
                }
                "-o" => options.json = arguments.next()? == "json",
                // Cargo says this to every benchmark.
                "--bench" => {}
                _ => return None,
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    // The workers are this program, too.
    work();
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut all = Vec::new();
    for profile in &options.profiles {
        all.push(series(&options, profile, 0));
        if options.idle > 0 {
            progress(&format!("{} idle processes gather", options.idle));
            let _crowd = Crowd::gather(options.idle);
            all.push(series(&options, profile, options.idle));
        }
    }
    progress("");
    if options.json {
        println!("{:#}", figures::as_json(&all, &options.ways));
    } else {
        print!("{}", figures::table(&all, &options.ways));
    }
    let mut sound = true;
    for (series, (one, other)) in
        all.iter().flat_map(|series| series.overlaps().into_iter().map(move |both| (series, both)))
    {
        sound = false;
        eprintln!("FAILED: {}: alive at once: {one:?} and {other:?}", series.label());
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All rounds with one profile among so many idle processes.
fn series(options: &Options, profile: &str, idle: u32) -> Series {
    let own = std::env::current_exe().expect("the path of this program");
    // Work that ignores SIGTERM must not keep the last node for longer than anybody waits here.
    let arguments = ["--profile", profile, "--drain-timeout", "5s"];
    let line = if options.ignore { "trap '' TERM; exec $WORKER" } else { "exec $WORKER" };
    let mut workers = Workers::start(NODES, &own.display().to_string(), line, &arguments);
    for id in 1..=NODES {
        workers.wait_until_ready(id);
    }
    let count = options.rounds as usize * options.ways.len();
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

/// Replaces the progress line, if somebody watches.
fn progress(text: &str) {
    let mut output = std::io::stderr();
    if output.is_terminal() {
        // A lost line of progress is no loss.
        let _ = write!(output, "\r\x1b[K{text}").and_then(|()| output.flush());
    }
}
