//! What a flood of datagrams does to a Goose: three real nodes on loopback, one of which is
//! flooded as fast as one thread can send.
//!
//! ```text
//! cargo bench --bench load -- flood                three floods of 60 seconds each
//! cargo bench --bench load -- flood --seconds 5
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

use std::time::{Duration, Instant};

use clap::Parser;

use crate::report::harness::Cluster;
use crate::report::harness::flood::{EVERYTHING, Flood, GARBAGE, Kind, Victim};
use crate::report::harness::watch::Watch;
use crate::report::usage::resident_kib;
use crate::report::{Table, progress};

/// More memory than this much more is a leak that strangers can open, in KiB.
const GROWTH_MAX: f64 = 32.0 * 1024.0;
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
    before: f64,
    highest: f64,
    after: f64,
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
    let memory = || resident_kib(&cluster, leadership.goose).expect("the node runs");
    let before = memory();
    let flood = Flood::start(&victim, case.kinds, 1);
    let begun = Instant::now();
    let (mut highest, mut slowest, mut unanswered) = (before, Duration::ZERO, 0);
    let (mut problems, mut terms_lost) = (Vec::new(), None);
    while begun.elapsed() < span {
        std::thread::sleep(LOOK_INTERVAL);
        highest = highest.max(memory());
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
    let after = memory();
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

#[derive(Parser)]
pub(crate) struct Options {
    /// Of each flood.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Prints what the floods did; what must not have happened is returned.
pub(crate) fn measure(options: &Options) -> Vec<String> {
    let mut table = Table::new(&[
        ("flood", 15),
        ("datagrams", 12),
        ("per s", 9),
        ("KiB before", 11),
        ("highest", 9),
        ("after", 9),
        ("slowest ms", 11),
        ("no answer", 11),
        ("term", 7),
    ]);
    let mut problems = Vec::new();
    for case in &CASES {
        progress(case.name);
        let outcome = flood(case, Duration::from_secs(options.seconds));
        table.row([
            case.name.to_owned(),
            outcome.sent.to_string(),
            format!("{:.0}", outcome.sent as f64 / outcome.seconds),
            outcome.before.to_string(),
            outcome.highest.to_string(),
            outcome.after.to_string(),
            format!("{:.1}", outcome.slowest_answer.as_secs_f64() * 1000.0),
            outcome.unanswered.to_string(),
            if outcome.kept_term { "kept" } else { "lost" }.to_owned(),
        ]);
        problems.extend(outcome.problems);
    }
    progress("");
    print!("{table}");
    problems
}
