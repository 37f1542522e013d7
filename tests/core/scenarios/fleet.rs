//! Machines that come and go, where nobody says a word of voters.
//!
//! `GAGGLE_PAUSE=10800 cargo test --release --test core scenarios::fleet` lets three hours pass between
//! one loss and the next: a virtual week.

use std::time::Duration;

use gaggle::sim::scenario::Scenario;

use super::stage::{PATIENCE, setups};

/// A machine is lost that votes: after a minute of silence another takes its place, if it has been
/// there for ten seconds, and some are left for the steps.
const REPLACED_WITHIN: Duration = Duration::from_secs(75);
/// So many machines take the place of others.
const NEW: u64 = 24;

/// So many nodes, none of which is told who votes; the first founds alone, and wants three voters.
/// None of them has started but the first.
fn fleet(nodes: u64) -> Scenario {
    let mut setups = setups(nodes, 1);
    setups[0].seeds.clear();
    for setup in &mut setups {
        (setup.voters, setup.voter_addresses) = (None, Vec::new());
    }
    setups[0].automatic = Some(3);
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1]).run(1000);
    story
}

fn running(story: &Scenario) -> Vec<u64> {
    let hosts = (1..).zip(&story.world.cluster.hosts);
    hosts.filter(|(_, host)| host.running.is_some()).map(|(node, _)| node).collect()
}

/// Every node that runs knows that just these vote.
fn all_know(story: &Scenario, expected: &[u64]) -> bool {
    let hosts = story.world.cluster.hosts.iter().filter_map(|host| host.running.as_ref());
    let mut known = hosts.map(|running| {
        let ids = running.core.configuration()?.voters.ids().iter();
        Some(ids.map(|id| id.number()).collect::<Vec<u64>>())
    });
    known.all(|voters| voters.as_deref() == Some(expected))
}

fn pause() -> u64 {
    std::env::var("GAGGLE_PAUSE").map_or(0, |seconds| seconds.parse().unwrap())
}

#[test]
fn every_machine_is_replaced_again_and_again() {
    let mut story = fleet(3 + NEW);
    story.start(&[2, 3]);
    story.until(REPLACED_WITHIN, "three voters", &|story| all_know(story, &[1, 2, 3]));
    let mut term = story.goose().unwrap().1;
    for new in 4..4 + NEW {
        story.run(pause() * 1000);
        // The oldest one is lost for good, whoever it is; the next one knows nothing.
        let lost = running(&story)[0];
        let led = story.leads(lost);
        story.crash(lost).start(&[new]);
        let rest = running(&story);
        story.until(REPLACED_WITHIN, "the lost one is replaced", &|story| all_know(story, &rest));
        story.until_agreed(PATIENCE);
        term += u64::from(led);
        assert_eq!(story.goose().unwrap().1, term, "node {lost} lost\n{}", story.transcript());
    }
    assert_eq!(u64::try_from(story.terms()).unwrap(), term, "none was skipped");
}

#[test]
fn a_fleet_is_scaled_to_nothing_and_back() {
    let mut story = fleet(5);
    let mut last = 0;
    for _ in 0..3 {
        story.start(&[1, 2, 3, 4, 5]).run(40_000);
        story.until_agreed(PATIENCE);
        let (_, term) = story.goose().unwrap();
        assert!(term > last, "{term} after {last}\n{}", story.transcript());
        last = term;
        let voters = story.world.cluster.hosts[0].running.as_ref().unwrap().core.configuration();
        let number = voters.unwrap().voters.len();
        assert_eq!(number, 3, "{}", story.transcript());
        for node in [5, 3, 1, 2, 4] {
            story.leave(node).run(6000);
            assert!(story.process(node).is_none(), "node {node}\n{}", story.transcript());
        }
    }
    assert!(last < 20, "terms rise by one each: {last}");
}
