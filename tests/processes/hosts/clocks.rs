//! Wall clocks that are wrong. They are never compared for a lease, so one that is an hour behind
//! or ahead changes nothing; what counts time is left honest. What orders the starts of a node must not
//! rest on them alone.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::node::{Cluster, without};
use super::sandbox;

/// Where Debian puts the library that lies about the time.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// No voter grants for longer, unless it is told to.
const LEASE_MAX_MS: u64 = 3_000;

/// Sets the wall clock of a host's node wrong from its next start on; false, and said why, if
/// that cannot be done here.
fn set_wrong(cluster: &mut Cluster, host: u8, offset: &str) {
    cluster.node(host).environment = [
        ("LD_PRELOAD", LIBRARY),
        ("FAKETIME", offset),
        // CLOCK_MONOTONIC is left alone; the others that gaggle leases on are read past the
        // library.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
}

fn is_possible() -> bool {
    let possible = Path::new(LIBRARY).exists();
    if !possible {
        sandbox::skip("libfaketime is not installed");
    }
    possible
}

/// The library works: what the node writes is an hour off.
#[track_caller]
fn assert_wrong(cluster: &mut Cluster, host: u8) {
    let now = sandbox::tool(&["date", "--utc", "+%Y-%m-%dT%H"]);
    let log = cluster.node(host).log();
    let last = log.lines().last().unwrap_or_default().to_owned();
    assert!(!last.starts_with(now.trim()), "its clock is right: {last}");
}

#[test]
fn an_hour_behind_and_an_hour_ahead_lead_like_others() {
    sandbox::run(|| {
        if !is_possible() {
            return;
        }
        let mut cluster = Cluster::workers(3);
        set_wrong(&mut cluster, 1, "-1h");
        set_wrong(&mut cluster, 3, "+1h");
        cluster.start_all();
        for goose in [1, 3, 2] {
            let term = cluster.crown(goose);
            assert_wrong(&mut cluster, if goose == 2 { 1 } else { goose });
            cluster.network.isolate(goose);
            let others = without(goose);
            cluster.lead(&others, term);
            cluster.network.heal();
            cluster.agree(&[1, 2, 3], term);
        }
        println!("{}", cluster.judge_without_histories().summary());
    });
}

/// Whether the voter of a host has nobody to wait for, and has waited for every lease that it may
/// have granted before.
fn votes(cluster: &Cluster, host: u8) -> Option<()> {
    let read = |path: &str| -> Option<Value> {
        serde_json::from_slice(&cluster.get(host, path)?.body).ok()
    };
    let waited = read("/v1/status")?["node"]["uptime_ms"].as_u64()? > LEASE_MAX_MS;
    let awaited = read("/v1/voters")?["awaited"].as_array().map_or(0, Vec::len);
    (waited && awaited == 0).then_some(())
}

/// A voter whose disk was lost returns with its clock an hour behind: it is heard, votes again,
/// and no term is lower than one before.
#[test]
fn a_voter_without_record_an_hour_behind_votes_again() {
    sandbox::run(|| {
        if !is_possible() {
            return;
        }
        let mut cluster = Cluster::workers(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let others = without(goose);
        let (lost, third) = (others[0], others[1]);
        cluster.kill(lost);
        std::fs::remove_dir_all(&cluster.node(lost).state).unwrap();
        set_wrong(&mut cluster, lost, "-1h");
        cluster.start(lost);
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term, "{}", cluster.logs());
        cluster.wait_until("it votes again", |cluster| votes(cluster, lost));
        // Its vote is wanted: the third is gone, and then the Goose is cut off for a while.
        cluster.kill(third);
        cluster.network.isolate(goose);
        cluster.wait_until("nobody leads", |cluster| {
            cluster.status(goose).filter(|status| !status.is_goose())
        });
        cluster.network.heal();
        let next = cluster.lead(&[lost, goose], term).1;
        cluster.start(third);
        cluster.agree(&[1, 2, 3], next - 1);
        println!("{}", cluster.judge_without_histories().summary());
    });
}

/// The process that runs now on host 4, as every voter knows it: alive.
fn is_known(cluster: &Cluster) -> Option<()> {
    let node = cluster.status(4)?.node;
    let knows = |host: u8| -> Option<bool> {
        let page: Value = serde_json::from_slice(&cluster.get(host, "/v1/members")?.body).ok()?;
        let own = page["members"].as_array()?.iter().find(|member| member["id"] == node.id)?;
        Some(own["state"] == "alive" && own["boot"] == *node.boot)
    };
    [1, 2, 3].into_iter().all(|host| knows(host) == Some(true)).then_some(())
}

/// A node without a vote loses its record and comes back with its clock set otherwise, as `id`: `before`
/// and `after` are what its clock is off by.
fn comes_back(before: &str, after: &str, id: u8) {
    let mut cluster = Cluster::voters(3);
    let term = cluster.start_all().term;
    cluster.network.add(4);
    cluster.network.plug(4, "bridge", "10.77.0.4/24");
    cluster.add(4, &["--seed", "10.77.0.1:8000"]);
    for (offset, what) in [(before, "its first process"), (after, "the next one")] {
        set_wrong(&mut cluster, 4, offset);
        cluster.start(4);
        cluster.wait_until(&format!("all know {what}"), |it| is_known(it));
        if offset == before {
            cluster.kill(4);
            std::fs::remove_dir_all(&cluster.node(4).state).unwrap();
            cluster.node(4).id = id;
        }
    }
    for host in [1, 4] {
        let report = cluster.diagnose(host, 0, &["3 others see this node alive", "\nhealthy"]);
        assert!(!report.contains("\nWRONG"), "{report}");
    }
    assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term, "{}", cluster.logs());
    cluster.judge_without_histories();
}

#[test]
fn a_node_without_its_record_and_ten_seconds_behind_is_a_member() {
    sandbox::run(|| {
        if is_possible() {
            comes_back("+0", "-10s", 4);
        }
    });
}

#[test]
fn a_node_without_its_record_that_was_an_hour_ahead_is_a_member() {
    sandbox::run(|| {
        if is_possible() {
            comes_back("+1h", "+0", 4);
        }
    });
}

/// The address of a node whose clock was ahead is given to another one, whose clock is right.
#[test]
fn a_node_at_the_address_of_one_that_was_an_hour_ahead_is_a_member() {
    sandbox::run(|| {
        if is_possible() {
            comes_back("+1h", "+0", 5);
        }
    });
}

/// The clocks of a voter and of a node without a vote jump while they run, an hour there and two back.
#[test]
fn clocks_that_jump_change_nothing() {
    sandbox::run(|| {
        if !is_possible() {
            return;
        }
        let mut cluster = Cluster::voters(3);
        cluster.network.add(4);
        cluster.network.plug(4, "bridge", "10.77.0.4/24");
        cluster.add(4, &["--seed", "10.77.0.1:8000"]);
        let jump = |offset: &str| std::fs::write("/run/clock", offset).expect("a file");
        jump("+0");
        for host in [1, 4] {
            set_wrong(&mut cluster, host, "+0");
            let read_again =
                [("FAKETIME_TIMESTAMP_FILE", "/run/clock"), ("FAKETIME_NO_CACHE", "1")];
            let environment = &mut cluster.node(host).environment;
            environment.retain(|(name, _)| name != "FAKETIME");
            environment.extend(read_again.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let term = cluster.start_all().term;
        cluster.wait_until("node 4 is known", |it| is_known(it));
        for offset in ["+1h", "-1h", "+0"] {
            jump(offset);
            // Somebody comes and goes, so that something is said at that time.
            cluster.kill(2);
            cluster.wait_until("node 2 is gone", |cluster| {
                cluster.status(1).filter(|status| status.members.down == 1)
            });
            cluster.start(2);
            assert_eq!(cluster.agree(&[1, 2, 3, 4], 0).term, term, "{}", cluster.logs());
            cluster.wait_until("node 4 is known", |it| is_known(it));
        }
        for host in [1, 4] {
            cluster.diagnose(host, 0, &["3 others see this node alive", "\nhealthy"]);
        }
        let hours: BTreeSet<String> = cluster
            .node(1)
            .log()
            .lines()
            .filter_map(|line| line.get(..13).map(str::to_owned))
            .collect();
        assert!(hours.len() > 2, "its clock did not jump: {hours:?}");
        cluster.judge_without_histories();
    });
}
