//! Keys of real processes: rotation on a running cluster, and a node that has the wrong one.

use std::time::Duration;

use crate::harness::watch::Watch;
use crate::harness::{Cluster, write_keys};
use rustix::process::Signal;

fn watch() -> Watch {
    Watch::new(Duration::from_millis(4), true)
}

/// Five nodes, three of which vote, that all read one key file.
fn sealed_cluster(keys: &[u8]) -> Cluster {
    let ids = [1, 2, 3, 4, 5];
    let mut cluster = Cluster::new(&ids, &ids[..3], watch());
    let file = cluster.folder().join("key");
    write_keys(&file, keys);
    cluster.give_all(&["--key-file", &file.display().to_string()]);
    cluster.start_highest_first();
    cluster
}

/// For how many milliseconds a node has been up, by its own word.
fn uptime(cluster: &Cluster, id: u64) -> u64 {
    cluster.wait_until("it answers", |cluster| {
        let answer = cluster.get(id, "/v1/status")?;
        let status: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        status["node"]["uptime_ms"].as_u64()
    })
}

fn times_logged(cluster: &Cluster, id: u64, text: &str) -> usize {
    cluster.node(id).log().matches(text).count()
}

#[test]
fn keys_rotate_on_a_running_cluster_without_a_change_of_term() {
    let ids = [1, 2, 3, 4, 5];
    let cluster = sealed_cluster(&[1]);
    let first = cluster.wait_for_agreement(&ids, 0);
    // Before that, a node may have heard of the Goose first and then how its voters stood earlier.
    let lost = |id| times_logged(&cluster, id, "no Goose is known");
    let lost_before = ids.map(lost);
    let file = cluster.folder().join("key");
    // The new one is first known, then used, and then the old one is forgotten.
    for (round, keys) in [&[1, 2][..], &[2, 1], &[2]].into_iter().enumerate() {
        write_keys(&file, keys);
        for id in ids {
            cluster.signal(id, Signal::HUP);
            cluster.wait_until(&format!("node {id} has the keys {keys:?}"), |cluster| {
                let changed = times_logged(cluster, id, "SIGHUP received: key-file changed");
                (changed == round + 1).then_some(())
            });
        }
        assert_eq!(cluster.wait_for_agreement(&ids, 0), first, "{}", cluster.logs());
    }
    // The new key alone carries the lease on, for longer than it lasts.
    let rotated = uptime(&cluster, first.goose);
    cluster.wait_until("two leases have passed", |cluster| {
        (uptime(cluster, first.goose) > rotated + 1200).then_some(())
    });
    assert_eq!(cluster.wait_for_agreement(&ids, 0), first, "{}", cluster.logs());
    for id in ids {
        assert_eq!(times_logged(&cluster, id, "WARN"), 0, "{}", cluster.logs());
    }
    assert_eq!(ids.map(lost), lost_before, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_node_without_the_key_or_with_another_is_named_in_both_logs() {
    let mut cluster = sealed_cluster(&[1]);
    let first = cluster.wait_for_agreement(&[1, 2, 3, 4, 5], 0);
    let other = cluster.folder().join("another key");
    write_keys(&other, &[9]);
    cluster.add_by_seed(6, 1);
    cluster.add_by_seed(7, 1);
    cluster.give(7, &["--key-file", &other.display().to_string()]);
    cluster.start(6);
    cluster.start(7);
    let (six, seven) = (cluster.node(6).settings.address, cluster.node(7).settings.address);
    let one = cluster.node(1).settings.address;
    // One speaks openly, the other under a key of its own.
    for (id, text) in [
        (1, format!("refused what came from {six}: it is not sealed, but this node has a key")),
        (6, format!("refused what came from {one}: it is sealed with a key that this node lacks")),
        (
            1,
            format!("refused what came from {seven}: it is sealed with a key that this node lacks"),
        ),
        (7, format!("refused what came from {one}: it is sealed with a key that this node lacks")),
    ] {
        cluster.wait_until(&format!("node {id} says: {text}"), |cluster| {
            (times_logged(cluster, id, &text) == 1).then_some(())
        });
    }
    assert_eq!(cluster.wait_for_agreement(&[1, 2, 3, 4, 5], 0), first);
    cluster.assert_one_goose_at_a_time();
}
