//! What a flood of datagrams does to a Goose: three real nodes on loopback, one of which is
//! flooded as fast as one thread can send.
//!
//! ```text
//! cargo bench --bench flood                   three floods of 60 seconds each
//! cargo bench --bench flood -- --seconds 5
//! ```
//!
//! 1. Garbage, without a key: noise, near misses, another cluster's datagrams.
//! 2. The same and forgeries, with a key, which makes garbage of them, too.
//! 3. Forgeries without a key. Whoever reaches the port of such a node is trusted, so it may
//!    lose its lease; but it must not grow without bound, and there are never two Geese.
//!
//! Prints the memory of the flooded node before, at its highest and after, what was sent and
//! how quickly the node answered over HTTP meanwhile. Ends with 1 if garbage changed the term,
//! if two nodes claimed at once, or if the node grew by more than [`GROWTH_MAX`].

// The tests use the rest.
#[allow(dead_code)]
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::flood::{EVERYTHING, Flood, GARBAGE, Kind, Victim};
use harness::watch::Watch;
use harness::{Cluster, resident_kib};

/// More memory than this much more is a leak that strangers can open, in KiB.
const GROWTH_MAX: u64 = 32 * 1024;
/// Between two looks at the node.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// One flood.
struct Case {
    name: &'static str,
    kinds: &'static [Kind],
    sealed: bool,
    keeps_term: bool,
}

const CASES: [Case; 3] = [
    Case { name: "garbage", kinds: &GARBAGE, sealed: false, keeps_term: true },
    Case { name: "all, with a key", kinds: &EVERYTHING, sealed: true, keeps_term: true },
    Case { name: "all, without", kinds: &EVERYTHING, sealed: false, keeps_term: false },
];

/// What one flood did.
struct Outcome {
    sent: u64,
    seconds: f64,
    before: u64,
    highest: u64,
    after: u64,
    slowest_answer: Duration,
    unanswered: u64,
    kept_term: bool,
    problems: Vec<String>,
}

/// Floods the Goose of a fresh cluster.
fn flood(case: &Case, span: Duration) -> Outcome {
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, Watch::new(Duration::from_millis(4), true));
    if case.sealed {
        cluster.give_key();
    }
    ids.iter().rev().for_each(|id| cluster.start(*id));
    let leadership = cluster.wait_for_agreement(&ids, 0);
    let victim = Victim::of(&cluster, leadership.goose);
    let before = resident_kib(&cluster, leadership.goose);
    let flood = Flood::start(&victim, case.kinds, 1);
    let begun = Instant::now();
    let (mut highest, mut slowest, mut unanswered) = (before, Duration::ZERO, 0);
    let (mut problems, mut terms_lost) = (Vec::new(), None);
    while begun.elapsed() < span {
        std::thread::sleep(LOOK_INTERVAL);
        highest = highest.max(resident_kib(&cluster, leadership.goose));
        match cluster.get(leadership.goose, "/v1/status") {
            Some(answer) => slowest = slowest.max(answer.received - answer.sent),
            None => unanswered += 1,
        }
        let status = cluster.status(leadership.goose);
        let changed = status.is_some_and(|it| !it.is_goose() || it.term != leadership.term);
        if changed && terms_lost.is_none() {
            terms_lost = Some(begun.elapsed());
        }
    }
    let (sent, seconds) = (flood.sent(), begun.elapsed().as_secs_f64());
    drop(flood);
    let after = resident_kib(&cluster, leadership.goose);
    problems.extend(cluster.watch().faults());
    if let Some(after) = terms_lost.filter(|_| case.keeps_term) {
        problems.push(format!("the Goose of term {} lost it after {after:?}", leadership.term));
    }
    if highest > before + GROWTH_MAX {
        problems.push(format!("it grew from {before} to {highest} KiB"));
    }
    let slowest_answer = slowest;
    let kept_term = terms_lost.is_none();
    Outcome {
        sent,
        seconds,
        before,
        highest,
        after,
        slowest_answer,
        unanswered,
        kept_term,
        problems,
    }
}

fn seconds() -> Result<u64, String> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(60),
        (Some("--seconds"), Some(text)) => text.parse().map_err(|_| format!("{text} is no number")),
        (Some(other), _) => Err(format!("{other} is not understood\nusage: flood [--seconds N]")),
    }
}

fn main() -> ExitCode {
    let seconds = match seconds() {
        Ok(seconds) => seconds,
        Err(reason) => {
            eprintln!("flood: {reason}");
            return ExitCode::from(2);
        }
    };
    println!(
        "{:<15} {:>11} {:>8} {:>10} {:>8} {:>8} {:>10} {:>10} {:>6}",
        "flood",
        "datagrams",
        "per s",
        "KiB before",
        "highest",
        "after",
        "slowest ms",
        "no answer",
        "term"
    );
    let mut sound = true;
    for case in &CASES {
        let outcome = flood(case, Duration::from_secs(seconds));
        println!(
            "{:<15} {:>11} {:>8.0} {:>10} {:>8} {:>8} {:>10.1} {:>10} {:>6}",
            case.name,
            outcome.sent,
            outcome.sent as f64 / outcome.seconds,
            outcome.before,
            outcome.highest,
            outcome.after,
            outcome.slowest_answer.as_secs_f64() * 1000.0,
            outcome.unanswered,
            if outcome.kept_term { "kept" } else { "lost" },
        );
        for problem in &outcome.problems {
            sound = false;
            eprintln!("FAILED: {problem}");
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
