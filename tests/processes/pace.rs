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
    /// There is a line after so long, which ends so.
    Said(Duration, String),
}

/// Three voters of a profile, with this from each to each and back.
fn tried(kind: Kind, round_trip: u64) -> Outcome {
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
            (Some(now), Some((led, since))) if now == led => {
                (since.elapsed() > kind.lease * LEASES).then(|| Outcome::Led(since - began))
            }
            (Some(now), _) => {
                leads = Some((now, Instant::now()));
                None
            }
            (None, _) => None,
        }
    });
    cluster.assert_one_goose_at_a_time();
    outcome.unwrap_or_else(|| {
        panic!("{kind:?}, {round_trip} ms: neither a Goose nor a line\n{}", cluster.logs())
    })
}

/// What a node advises, if it says that the network is too slow for its profile.
fn said(cluster: &Cluster, id: u64, profile: &str) -> Option<String> {
    let log = cluster.node(id).log();
    let words = format!("and back: too slow for the profile {profile}, which holds up to ");
    let line = log.lines().find(|line| line.contains(&words))?;
    Some(line.split_once("if at all: ")?.1.to_owned())
}

/// As [`tried`], and printed.
fn shown(kind: Kind, round_trip: u64) -> Outcome {
    let outcome = tried(kind, round_trip);
    match &outcome {
        Outcome::Led(after) => {
            println!("{} {round_trip} ms: a Goose after {after:.1?}", kind.profile)
        }
        Outcome::Said(after, line) => {
            println!("{} {round_trip} ms: after {after:.1?}: {line}", kind.profile);
        }
    }
    outcome
}

/// What fits leads, and what does not is told where it fits.
#[track_caller]
fn is_right(kind: Kind, round_trip: u64, advised: Option<&str>) {
    match (shown(kind, round_trip), advised) {
        (Outcome::Led(_), None) => {}
        (Outcome::Said(_, line), Some(profile)) => {
            let expected = format!("use --profile {profile} on every node, or a longer --lease");
            assert_eq!(line, expected, "{kind:?}, {round_trip} ms");
        }
        (outcome, _) => panic!("{kind:?}, {round_trip} ms: {outcome:?}"),
    }
}

#[test]
fn a_fast_cluster_leads_in_one_rack_and_names_lan_for_one_building() {
    is_right(FAST, 20, None);
    is_right(FAST, 55, Some("lan"));
}

#[test]
fn a_cluster_of_lan_leads_up_to_its_limit_and_names_wan_beyond() {
    is_right(LAN, 55, None);
    is_right(LAN, 72, Some("wan"));
}

#[test]
fn a_cluster_of_wan_leads_across_continents() {
    is_right(WAN, 400, None);
}

/// Every profile on every network, one by one.
#[test]
fn the_whole_table() {
    if !std::env::var("GAGGLE_HOSTS").is_ok_and(|value| value == "long") {
        return;
    }
    for round_trip in [5, 20, 55, 72, 150, 400] {
        let lan = (round_trip > 59).then_some("wan");
        let fast = (round_trip > 34).then_some(lan.unwrap_or("lan"));
        is_right(FAST, round_trip, fast);
        is_right(LAN, round_trip, lan);
        is_right(WAN, round_trip, None);
    }
}
