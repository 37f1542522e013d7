//! A few seconds of hostile input to every way into a node, and every input that has ever
//! broken a promise again. `examples/fuzz.rs` does the same by the million.

use std::path::Path;
use std::time::Duration;

mod targets;

use targets::cluster::{Cluster, Subject};
use targets::{Campaign, Failure, TARGETS, unhexed};

/// What is tried in each test, besides the corpus; a constant, so that a red run is red again.
fn iterations(target: &str) -> u64 {
    match target {
        "datagrams" => 40_000,
        "records" => 2_000,
        "http" => 2_000,
        _ => 250,
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Prints the input and the line that repeats it, if a promise is broken.
fn fire(target: &str) {
    let mut campaign = Campaign::new(target, 1, corpus(target)).unwrap();
    let mut outcome = campaign.replay();
    let goal = campaign.tally.units + iterations(target);
    while outcome.is_ok() && campaign.tally.units < goal {
        outcome = campaign.step();
    }
    if let Err(failure) = outcome {
        panic!("{}", campaign.reduce(failure));
    }
    println!("{target}: {} units, {:#?}", campaign.tally.units, campaign.tally.layers);
    for layer in deepest(target) {
        let count = campaign.tally.layers.get(*layer).copied().unwrap_or(0);
        assert!(count > 0, "nothing got as far as: {layer}");
    }
}

/// Layers that must be reached, or the target tries nothing worth trying.
fn deepest(target: &str) -> &'static [&'static str] {
    match target {
        "datagrams" => &[
            "4 taken in: gossip",
            "4 taken in: join",
            "4 taken in: poll",
            "4 taken in: poll answer",
            "4 taken in: acquire",
            "4 taken in: grant",
            "4 taken in: refusal",
            "4 taken in: release",
            "4 taken in: handover",
            "4 taken in: vacant",
            "4 taken in: announce",
            "4 taken in: details query",
            "4 taken in: details reply",
            "5 changed what the voter owes",
            "5 changed the lease",
        ],
        "records" => &["sound", "damaged", "damaged, one slot sound", "became Goose"],
        "http" => &["3 granted", "4 order given"],
        _ => &["3 accepted"],
    }
}

#[test]
fn datagrams_change_nothing_that_they_have_no_right_to() {
    fire("datagrams");
}

#[test]
fn record_files_never_stop_a_node_and_never_lower_a_promise() {
    fire("records");
}

#[test]
fn connections_get_an_answer_and_strangers_are_not_obeyed() {
    fire("http");
}

#[test]
fn settings_are_refused_in_one_line_or_fit_to_start() {
    fire("settings");
}

#[test]
fn a_failure_names_the_input_that_repeats_it() {
    assert_eq!(TARGETS.len(), 4);
    let failure =
        Failure { target: "records".to_owned(), input: vec![0, 0xab, 7], reason: "why".to_owned() };
    let text = failure.to_string();
    let hex = text.rsplit(' ').next().unwrap();
    assert_eq!(unhexed(hex), Some(vec![0, 0xab, 7]), "{text}");
    assert_eq!(unhexed("0"), None);
    assert_eq!(unhexed("zz"), None);
}

#[test]
fn the_committed_corpora_stay_small() {
    let (mut files, mut bytes) = (0, 0);
    for (target, _) in TARGETS {
        for input in corpus(target) {
            files += 1;
            bytes += input.len();
        }
    }
    assert!(files > 4 && files < 300 && bytes < 200_000, "{files} files, {bytes} bytes");
}

#[test]
fn a_live_cluster_is_quiet_when_nobody_disturbs_it() {
    for sealed in [false, true] {
        let mut cluster = Cluster::new(Subject::Goose, sealed).unwrap();
        let term = cluster.subject().term();
        cluster.advance(Duration::from_secs(5)).unwrap();
        assert!(
            cluster.subject().lease().is_some_and(|lease| cluster.now().holder < lease.deadline)
        );
        assert_eq!(cluster.subject().term(), term);
    }
}
