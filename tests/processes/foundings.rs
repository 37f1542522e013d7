//! Two clusters that are called and numbered alike. Each goes on as if the other were not there,
//! and whoever is led to the wrong one is told so.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::harness::process::{GAGGLE, NodeProcess, Settings, free_port};
use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE, poll_until};

fn watch() -> Watch {
    Watch::new(Duration::from_millis(4), true)
}

/// Whether the line that names both foundings stands in the log of this node.
fn names_both(cluster: &Cluster, id: u64) -> Option<()> {
    let log = cluster.node(id).log();
    let told =
        log.contains("it belongs to another founding of a cluster of this name with the same");
    (told && log.contains("lineage ")).then_some(())
}

/// The addresses of two Ducks are exchanged, as when machines get new ones: whoever still speaks to
/// the old address speaks to the other cluster's node of the same id.
#[test]
fn two_clusters_founded_alike_on_exchanged_addresses_keep_their_terms() {
    let ids = [1, 2, 3];
    let mut one = Cluster::new(&ids, &ids, watch());
    let mut other = Cluster::new(&ids, &ids, watch());
    one.start_highest_first();
    other.start_highest_first();
    let led = [one.wait_for_agreement(&ids, 0), other.wait_for_agreement(&ids, 0)];
    // A node that leads in neither.
    let moving = ids.into_iter().find(|id| led.iter().all(|led| led.goose != *id)).unwrap();
    one.kill(moving);
    other.kill(moving);
    let places = [one.node(moving).settings.address, other.node(moving).settings.address];
    one.relocate(moving, places[1]);
    other.relocate(moving, places[0]);
    one.start(moving);
    other.start(moving);
    for (cluster, led) in [(&one, &led[0]), (&other, &led[1])] {
        // The moved node knows its own Goose, and the Goose hears its vote again.
        assert_eq!(cluster.wait_for_agreement(&ids, led.term - 1), *led, "{}", cluster.logs());
        cluster.wait_until("every voter is reached", |cluster| {
            let voters = cluster.status(led.goose)?.voters?;
            (voters.reachable == ids).then_some(())
        });
    }
    let met = |cluster: &Cluster| ids.iter().find_map(|id| names_both(cluster, *id));
    one.wait_until("somebody names both foundings", met);
    // A joiner with seeds in both belongs to one of them, and says what the other is.
    let mut joiner = joiner(&one, &[led[0].goose, led[1].goose], [&one, &other]);
    joiner.start();
    let told = poll_until(PATIENCE, || joiner.log().contains("another founding").then_some(()));
    assert!(told.is_some(), "{}", joiner.log());
    for (cluster, led) in [(&one, &led[0]), (&other, &led[1])] {
        assert_eq!(cluster.wait_for_agreement(&ids, led.term - 1), *led, "{}", cluster.logs());
        assert!(!cluster.logs().contains("votes under this node's id"), "{}", cluster.logs());
        cluster.assert_one_goose_at_a_time();
    }
    joiner.signal(rustix::process::Signal::TERM);
    assert_eq!(joiner.wait().code(), Some(0));
}

/// A node without a vote, with a seed in each cluster.
fn joiner(keeps: &Cluster, seeds: &[u64; 2], clusters: [&Cluster; 2]) -> NodeProcess {
    let seed = |place: usize| clusters[place].node(seeds[place]).settings.address.to_string();
    let settings = Settings {
        id: 9,
        address: ([127, 0, 0, 1], free_port()).into(),
        http: ([127, 0, 0, 1], free_port()).into(),
        arguments: vec!["--seed".to_owned(), format!("{},{}", seed(0), seed(1))],
    };
    NodeProcess::new(settings, keeps.folder())
}

/// A node founded a cluster of its own by mistake. Started again with a seed, it must not go on
/// with that beside the cluster that it was told to join.
#[test]
fn a_record_of_another_founding_than_its_seed_s_is_an_error() {
    // Numbered as the seed is, or otherwise, as when ids are made of addresses.
    for id in ["1", "7"] {
        is_misled(id);
    }
}

fn is_misled(id: &str) {
    let mut seed = Cluster::new(&[1], &[1], watch());
    seed.start(1);
    seed.wait_for_agreement(&[1], 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("worked");
    let run = |more: &[&str]| -> Output {
        Command::new(GAGGLE)
            .args(["exec", &format!("127.0.0.1:{}", free_port()), "--id", id, "--http"])
            .arg(format!("127.0.0.1:{}", free_port()))
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .args(more)
            .args(["--", "sh", "-c", "echo x >> \"$FILE\""])
            .env("FILE", &file)
            .env("GAGGLE_ON_EXIT", "stop")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let words = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let lonely = run(&[]);
    assert_eq!(lonely.status.code(), Some(2), "{}", words(&lonely));
    assert!(words(&lonely).contains("exec has neither --seed nor --voters"), "{}", words(&lonely));
    let alone = run(&["--alone"]);
    assert_eq!(alone.status.code(), Some(0), "{}", words(&alone));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\n");

    let address = seed.node(1).settings.address.to_string();
    let misled = run(&["--seed", &address]);
    assert_eq!(misled.status.code(), Some(2), "{}", words(&misled));
    let text = words(&misled);
    assert!(
        text.contains("the record in the state folder belongs to another founding of the cluster")
            && text.contains(&format!("the seed at {address} (lineage "))
            && text.contains("start with an empty --state-dir"),
        "{text}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\n", "the command did not run again");
    // What it was told helps.
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    let status = seed.status(1).unwrap();
    assert!(status.is_goose() && status.term == 1, "{status:?}");
}
