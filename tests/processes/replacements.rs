//! Voters that change while machines are lost, in real processes.

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gaggle::wire::datagram;
use gaggle::wire::message::Message;

use crate::harness::process::GAGGLE;
use crate::harness::watch::{Leadership, Watch};
use crate::harness::{Cluster, PATIENCE, poll_until};

fn watch() -> Watch {
    Watch::new(Duration::from_millis(4), true)
}

/// Whether the longer run was asked for.
fn long() -> bool {
    std::env::var("GAGGLE_HOSTS").is_ok_and(|value| value == "long")
}

fn order(cluster: &Cluster, node: u64, words: &[&str]) -> Output {
    let mut command = Command::new(GAGGLE);
    command.arg("voters").args(words).arg("--node").arg(cluster.node(node).socket());
    command.output().unwrap()
}

/// The Goose of the moment is told, and told again, until it is so; who leads then.
fn ordered(cluster: &Cluster, nodes: &[u64], least: u64, words: &[&str]) -> Leadership {
    cluster.wait_until(&format!("voters {words:?}"), |cluster| {
        let led = cluster.wait_for_agreement(nodes, least);
        order(cluster, led.goose, words).status.success().then_some(led)
    });
    cluster.wait_for_agreement(nodes, least)
}

fn says(cluster: &Cluster, node: u64, expected: &[u64]) -> bool {
    cluster.status(node).and_then(|it| it.voters).is_some_and(|it| it.ids == expected)
}

/// The Goose adds a voter, and is killed after so many of its requests have left it. Whether the
/// order had been carried out by then.
fn killed_after(requests: usize) -> bool {
    let ids = [1, 2, 3, 4];
    let mut cluster = Cluster::relayed(&ids, &[2, 3, 4], watch());
    cluster.start_highest_first();
    let led = cluster.wait_for_agreement(&ids, 0);
    let goose = led.goose;
    let added = std::thread::scope(|scope| {
        let (sent, limit) = (Arc::new(AtomicUsize::new(0)), requests);
        cluster.relay().hold(move |from, to, bytes| {
            let Ok((_, Message::Acquire(acquire))) = datagram::decode(bytes) else { return false };
            // Its renewals are counted from the first one that goes to the newcomer, or names it.
            let begins = to == 1 || acquire.configuration.is_some();
            from == goose
                && (begins || sent.load(Ordering::SeqCst) > 0)
                && sent.fetch_add(1, Ordering::SeqCst) >= limit
        });
        let told = scope.spawn(|| order(&cluster, goose, &["add", "1", "--timeout", "2s"]));
        let caught = || (cluster.relay().held() > 0 || told.is_finished()).then_some(());
        poll_until(PATIENCE, caught).unwrap_or_else(|| panic!("{}", cluster.logs()));
        cluster.node(goose).signal(rustix::process::Signal::KILL);
        told.join().unwrap().status.success()
    });
    cluster.wait_for_end(goose);
    cluster.relay().let_go();
    let rest = cluster.others(&[goose]);
    let next = ordered(&cluster, &rest, led.term, &["add", "1"]);
    assert!(next.term > led.term, "{}", cluster.logs());
    let all = rest
        .iter()
        .all(|node| poll_until(PATIENCE, || says(&cluster, *node, &ids).then_some(())).is_some());
    assert!(all, "killed after {requests} requests\n{}", cluster.logs());
    // It comes back on its record, and knows what was made of it.
    cluster.start(goose);
    cluster.wait_until("the old Goose follows", |cluster| says(cluster, goose, &ids).then_some(()));
    cluster.assert_one_goose_at_a_time();
    added
}

#[test]
fn a_voter_is_added_and_the_goose_is_killed_at_each_step() {
    let (last, stride) = if long() { (24, 1) } else { (12, 4) };
    let added: Vec<bool> = (0..=last).step_by(stride).map(killed_after).collect();
    assert!(!added[0], "nobody had heard of it");
}

/// Every machine is replaced by another one at another address and on an empty disk; in between the
/// Goose is killed.
#[test]
fn every_machine_is_replaced_one_after_the_other() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[1, 2, 3], watch());
    cluster.start_highest_first();
    let mut running = vec![1, 2, 3];
    let mut led = cluster.wait_for_agreement(&running, 0);
    let began = led.term;
    for (old, new) in [(1, 4), (2, 5), (3, 6)] {
        let seed = if old == 3 { 4 } else { 3 };
        cluster.add_by_seed(new, seed);
        cluster.start(new);
        running.push(new);
        cluster.wait_for_agreement(&running, led.term - 1);
        // The last one to go is the Goose: its machine is lost first.
        if led.goose == old {
            cluster.kill(old);
            running.retain(|id| *id != old);
            let next = cluster.wait_for_agreement(&running, led.term);
            assert_eq!(next.term, led.term + 1, "{}", cluster.logs());
            led = next;
        }
        let words = ["replace", &old.to_string(), &new.to_string()];
        let now = ordered(&cluster, &running, led.term - 1, &words);
        assert_eq!(now, led, "the same term\n{}", cluster.logs());
        if running.contains(&old) {
            cluster.kill(old);
            running.retain(|id| *id != old);
        }
    }
    cluster.wait_until("all know", |cluster| {
        running.iter().all(|node| says(cluster, *node, &[4, 5, 6])).then_some(())
    });
    assert_eq!(cluster.wait_for_agreement(&running, 0), led);
    assert_eq!(led.term, began + 1, "the Goose was killed once\n{}", cluster.logs());
    cluster.kill(led.goose);
    running.retain(|id| *id != led.goose);
    let last = cluster.wait_for_agreement(&running, led.term);
    assert_eq!(last.term, led.term + 1, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

/// A machine is lost for good, and nobody gives an order.
#[test]
fn a_lost_voter_is_replaced_within_75_seconds_by_itself() {
    if !long() {
        eprintln!("skipped: it takes more than a minute; GAGGLE_HOSTS=long runs it");
        return;
    }
    let mut cluster = Cluster::new(&[1], &[], watch());
    cluster.start(1);
    cluster.wait_for_agreement(&[1], 0);
    for id in [2, 3] {
        cluster.add_by_seed(id, 1);
        cluster.start(id);
    }
    let three = [1, 2, 3];
    let grown = || three.iter().all(|id| says(&cluster, *id, &three)).then_some(());
    poll_until(3 * PATIENCE, grown).unwrap_or_else(|| panic!("{}", cluster.logs()));
    // Somebody who does not vote, ready to take a place.
    cluster.add_by_seed(4, 1);
    cluster.start(4);
    let led = cluster.wait_for_agreement(&[1, 2, 3, 4], 0);
    let lost = three.into_iter().find(|id| *id != led.goose).unwrap();
    let killed = Instant::now();
    cluster.kill(lost);
    let rest = cluster.others(&[lost]);
    let expected = rest.clone();
    let replaced = || rest.iter().all(|id| says(&cluster, *id, &expected)).then_some(());
    poll_until(Duration::from_secs(90), replaced).unwrap_or_else(|| panic!("{}", cluster.logs()));
    let took = killed.elapsed();
    eprintln!("replaced after {took:?}");
    assert_eq!(cluster.wait_for_agreement(&rest, 0), led, "the term stays\n{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
    assert!(took < Duration::from_secs(75), "it took {took:?}");
}
