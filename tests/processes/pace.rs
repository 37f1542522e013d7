//! Round trips and profiles: either somebody leads and goes on leading, or a line says which profile to
//! take. A relay makes the round trips.
//!
//! ```text
//! GAGGLE_HOSTS=long cargo test --test processes pace:: -- --nocapture      the whole table
//! ```

use std::time::{Duration, Instant};

use crate::harness::Cluster;
use crate::harness::poll_until;
use crate::harness::watch::{Leadership, Watch};

const VOTERS: [u64; 3] = [1, 2, 3];
/// Within this there is a Goose or a line: a network must have been slow for three seconds.
const OUTCOME_WITHIN: Duration = Duration::from_secs(12);
/// For so many of its leases a Goose must go on leading.
const LEASES: u32 = 5;

/// A profile, and how long its leases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    profile: &'static str,
    lease: Duration,
}

const FAST: Kind = Kind { profile: "fast", lease: Duration::from_millis(250) };
const LAN: Kind = Kind { profile: "lan", lease: Duration::from_millis(600) };
const WAN: Kind = Kind { profile: "wan", lease: Duration::from_secs(3) };

/// What came of it.
#[derive(Debug)]
enum Outcome {
    /// There is a Goose after so long, and it stays.
    Led(Duration),
    /// There is a line after so long.
    Said(Duration, Line),
}

/// What a node says of a network that is too slow for its profile.
#[derive(Debug)]
struct Line {
    /// What it measured, in milliseconds: what the relay takes, and what the machine adds.
    measured: u64,
    /// How much its profile holds.
    limit: u64,
    advice: String,
}

impl Line {
    /// Of a line of the log.
    fn parse(line: &str) -> Option<Self> {
        let number = |text: &str| text.rsplit(' ').next()?.parse().ok();
        let (before, rest) = line.split_once(" ms to voter")?;
        let (_, rest) = rest.split_once("which holds up to ")?;
        let (limit, rest) = rest.split_once(" ms, so ")?;
        let advice = rest.split_once("if at all: ")?.1.to_owned();
        Some(Self { measured: number(before)?, limit: number(limit)?, advice })
    }
}

/// Three voters of a profile, with this from each to each and back. Where that does not fit, somebody may
/// lead for a while, and the line must come all the same.
fn tried(kind: Kind, round_trip: u64, fits: bool) -> Outcome {
    let mut cluster =
        Cluster::relayed(&VOTERS, &VOTERS, Watch::new(Duration::from_millis(5), true));
    cluster.give_all(&["--profile", kind.profile]);
    cluster.relay().set_delay(Duration::from_micros(round_trip * 500));
    let began = Instant::now();
    VOTERS.iter().rev().for_each(|id| cluster.start(*id));
    let mut leads: Option<(Leadership, Instant)> = None;
    let outcome = poll_until(OUTCOME_WITHIN + kind.lease * LEASES, || {
        let line = VOTERS.iter().find_map(|id| said(&cluster, *id, kind.profile));
        if let Some(line) = line {
            return Some(Outcome::Said(began.elapsed(), line));
        }
        let now = cluster.watch().agreement(&VOTERS, began);
        // What is known between two questions may be old; a lapse is not overlooked, for it is a term.
        match (now, leads) {
            (Some(now), Some((led, since))) if now == led && fits => {
                (since.elapsed() > kind.lease * LEASES).then(|| Outcome::Led(since - began))
            }
            (Some(now), _) if fits => {
                leads = Some((now, Instant::now()));
                None
            }
            _ => None,
        }
    });
    cluster.assert_one_goose_at_a_time();
    outcome.unwrap_or_else(|| {
        panic!("{kind:?}, {round_trip} ms: neither a Goose nor a line\n{}", cluster.logs())
    })
}

/// What a node says, if it finds the network too slow for its profile.
fn said(cluster: &Cluster, id: u64, profile: &str) -> Option<Line> {
    let log = cluster.node(id).log();
    let words = format!("and back: too slow for the profile {profile}, which holds up to ");
    Line::parse(log.lines().find(|line| line.contains(&words))?)
}

/// As [`tried`], and printed.
fn shown(kind: Kind, round_trip: u64, fits: bool) -> Outcome {
    let outcome = tried(kind, round_trip, fits);
    match &outcome {
        Outcome::Led(after) => {
            println!("{} {round_trip} ms: a Goose after {after:.1?}", kind.profile)
        }
        Outcome::Said(after, line) => {
            let Line { measured, advice, .. } = line;
            println!("{} {round_trip} ms: {measured} ms after {after:.1?}: {advice}", kind.profile);
        }
    }
    outcome
}

/// What fits leads, and what does not is told where it fits: what the node measured, for a busy machine
/// makes a network slower than it is.
#[track_caller]
fn is_right(kind: Kind, round_trip: u64, fits: bool) {
    match shown(kind, round_trip, fits) {
        Outcome::Led(_) => {}
        Outcome::Said(_, line) => {
            assert!(line.measured >= round_trip.max(line.limit), "{kind:?}: {line:?}");
            let advised = |profile: &str| {
                line.advice == format!("use --profile {profile} on every node, or a longer --lease")
            };
            // What is measured is rounded down: at the limit itself either may be right.
            let right = match line.measured {
                0..59 => advised("lan"),
                59 => advised("lan") || advised("wan"),
                _ => advised("wan"),
            };
            assert!(right, "{kind:?}, {round_trip} ms: {line:?}");
        }
    }
}

#[test]
fn a_fast_cluster_leads_in_one_rack_and_names_a_slower_profile_beyond() {
    is_right(FAST, 20, true);
    is_right(FAST, 55, false);
}

#[test]
fn a_cluster_of_lan_leads_up_to_its_limit_and_names_wan_beyond() {
    is_right(LAN, 55, true);
    is_right(LAN, 72, false);
}

#[test]
fn a_cluster_of_wan_leads_across_continents() {
    is_right(WAN, 400, true);
}

/// Every profile on every network, one by one.
#[test]
fn the_whole_table() {
    if !std::env::var("GAGGLE_HOSTS").is_ok_and(|value| value == "long") {
        return;
    }
    for round_trip in [5, 20, 55, 72, 150, 400] {
        is_right(FAST, round_trip, round_trip <= 34);
        is_right(LAN, round_trip, round_trip <= 59);
        is_right(WAN, round_trip, true);
    }
}
