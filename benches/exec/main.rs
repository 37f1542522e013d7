//! How long nobody works, and whether two ever do: three real `gaggle exec` processes on
//! loopback, with a network between them that can be cut, and a worker that writes the time
//! once per millisecond.
//!
//! ```text
//! cargo bench --bench exec                        200 rounds
//! cargo bench --bench exec -- --rounds 8
//! cargo bench --bench exec -- --profile fast      with other timings
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

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use harness::work::{Life, Workers, overlaps, work};
use rustix::process::Signal;
use serde_json::json;

/// A restarted voter grants nothing for one lease. An event within that time would measure
/// the restart, not the event.
const REST: Duration = Duration::from_millis(800);
/// At least the interval between two renewals, whatever the profile: a lease that was renewed
/// just now runs longer than one that is about to be.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(120);
/// Steps of this part of an interval, again and again, fill it ever more evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

const NODES: u64 = 3;

const USAGE: &str = "usage: exec [--rounds N] [--profile lan|fast|wan] [-o table|json]";

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
}

struct Options {
    rounds: u32,
    profile: String,
    json: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { rounds: 200, profile: "lan".to_owned(), json: false };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => options.rounds = arguments.next()?.parse().ok()?,
                "--profile" => options.profile = arguments.next()?,
                "-o" => options.json = arguments.next()? == "json",
                // Cargo says this to every benchmark.
                "--bench" => {}
                _ => return None,
            }
        }
        Some(options)
    }
}

/// One round: what was done, in which term, and in which the next worker was seen.
struct Round {
    act: Act,
    before: u64,
    after: u64,
}

fn main() -> ExitCode {
    // The workers are this program, too.
    work();
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let own = std::env::current_exe().expect("the path of this program");
    let arguments = ["--profile", options.profile.as_str()];
    let mut workers = Workers::start(NODES, &own.display().to_string(), "exec $WORKER", &arguments);
    for id in 1..=NODES {
        workers.wait_until_ready(id);
    }
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        let act = Act::ALL[number as usize % Act::ALL.len()];
        progress(&format!("round {} of {}: {}", number + 1, options.rounds, act.label()));
        std::thread::sleep(REST + RENEWAL_INTERVAL.mul_f64(f64::from(number) * GOLDEN_RATIO % 1.0));
        rounds.push(round(&mut workers, act));
    }
    progress("");
    let lives = workers.finish();
    let both = overlaps(&lives);
    if options.json {
        println!("{:#}", as_json(&rounds, &lives));
    } else {
        print!("{}", table(&rounds, &lives));
    }
    for (one, other) in &both {
        eprintln!("FAILED: alive at once: {one:?} and {other:?}");
    }
    if both.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

/// Milliseconds in which nobody worked, the shortest first.
fn gaps<'a>(rounds: impl Iterator<Item = &'a Round>, lives: &[Life]) -> Vec<f64> {
    let gap = |round: &Round| {
        let before = lives.iter().filter(|life| life.term == round.before);
        let after = lives.iter().filter(|life| life.term == round.after);
        let last = before.map(|life| life.last).max()?;
        let first = after.map(|life| life.first).min()?;
        // A gap is a few seconds at most.
        Some((first - last) as f64 / 1e6)
    };
    let mut gaps: Vec<f64> = rounds.filter_map(gap).collect();
    gaps.sort_by(f64::total_cmp);
    gaps
}

/// The smallest of `sorted` that is not exceeded in `percent` per cent of the cases.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

fn table(rounds: &[Round], lives: &[Life]) -> String {
    let mut text = format!("{:<18} rounds  gap: median     90 %    worst\n", "done to the holder");
    let mut line = |label: &str, gaps: &[f64]| {
        let [median, ninety, worst] = [50, 90, 100].map(|percent| percentile(gaps, percent));
        // Writing into a string never fails.
        let _ = writeln!(
            text,
            "{label:<18} {:>6}  {median:>8.1} ms {ninety:>5.1} ms {worst:>5.1} ms",
            gaps.len()
        );
    };
    for act in Act::ALL {
        line(act.label(), &gaps(rounds.iter().filter(|round| round.act == act), lives));
    }
    line("all", &gaps(rounds.iter(), lives));
    let both = overlaps(lives).len();
    let _ = writeln!(text, "\n{} workers lived; two were alive at once {both} times", lives.len());
    text
}

fn as_json(rounds: &[Round], lives: &[Life]) -> serde_json::Value {
    let acts = Act::ALL.map(|act| {
        let gaps = gaps(rounds.iter().filter(|round| round.act == act), lives);
        json!({
            "act": act.label(),
            "median_ms": percentile(&gaps, 50),
            "worst_ms": percentile(&gaps, 100),
            "gaps_ms": gaps,
        })
    });
    json!({
        "rounds": rounds.len(),
        "workers": lives.len(),
        "overlaps": overlaps(lives).len(),
        "acts": acts,
    })
}

/// Replaces the progress line, if somebody watches.
fn progress(text: &str) {
    let mut output = std::io::stderr();
    if output.is_terminal() {
        // A lost line of progress is no loss.
        let _ = write!(output, "\r\x1b[K{text}").and_then(|()| output.flush());
    }
}
