//! Clusters that nobody leads, and where nothing is broken that a look at the network would show:
//! the nodes themselves say why.

use std::time::Duration;

use super::terminal::diagnosis;
use crate::harness::Cluster;
use crate::harness::watch::Watch;

fn watch() -> Watch {
    Watch::new(Duration::from_millis(20), false)
}

/// Waits until the log of a node has a line with these words.
fn says(cluster: &Cluster, id: u64, words: &str) {
    cluster.wait_until(&format!("node {id} says: {words}"), |cluster| {
        let log = cluster.node(id).log();
        let line = log.lines().find(|line| line.contains(words)).map(str::to_owned);
        line.inspect(|line| println!("{line}"))
    });
}

#[test]
fn two_nodes_that_wait_for_each_other_say_that_nobody_has_founded_a_cluster() {
    let mut cluster = Cluster::new(&[1, 2], &[], watch());
    let address = |cluster: &Cluster, id| cluster.node(id).settings.address.to_string();
    let (one, two) = (address(&cluster, 1), address(&cluster, 2));
    cluster.give(1, &["--seed", &two]);
    cluster.give(2, &["--seed", &one]);
    cluster.start_highest_first();
    let words = |other: u64, at: &str| {
        format!(
            "this node and node {other} at {at} both wait to be told of a cluster, and nobody has \
             founded one: name the voters with --voters on the first nodes (auto:N beside seeds only \
             joins), or start one of them without --seed"
        )
    };
    says(&cluster, 1, &words(2, &two));
    says(&cluster, 2, &words(1, &one));
    diagnosis(&cluster, 1, &[], 3, &[&words(2, &two), "\nsomething is wrong"]);
    let once = cluster.node(1).log().matches("nobody has founded one").count();
    assert_eq!(once, 1, "{}", cluster.logs());
}

#[test]
fn a_network_that_is_too_slow_for_its_profile_is_named() {
    let all = [1, 2, 3];
    let mut cluster = Cluster::relayed(&all, &all, watch());
    cluster.relay().set_delay(Duration::from_millis(70));
    cluster.start_highest_first();
    let words = "ms to voters 2 and 3 and back: too slow for the profile lan, which holds up to 59 ms, \
                 so nobody leads for long, if at all: use --profile wan on every node, or a longer \
                 --lease";
    says(&cluster, 1, words);
    let report = cluster.wait_until("the doctor repeats it", |cluster| {
        let output = super::terminal::doctor(cluster, 1, &[]);
        let report = super::terminal::text(&output.stdout);
        (report.contains(words) && report.contains("\nsomething is wrong")).then_some(report)
    });
    println!("{report}");
    // The network that it had been taken for.
    cluster.relay().set_delay(Duration::ZERO);
    cluster.wait_for_agreement(&all, 0);
}
