//! A majority of the voters is gone for ever, and a person rescues what is left.

use std::time::Duration;

use gaggle::node::VoterOrder;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::identity::NodeId;

use super::stage::{PATIENCE, nobody, reigning};

/// Nodes learn of a Goose, or look for one anew, within so long.
const LOOKED_FOR: Duration = Duration::from_secs(30);

fn runs(story: &Scenario, node: u64) -> bool {
    story.process(node).is_some()
}

fn term(story: &Scenario) -> u64 {
    story.goose().map_or(0, |(_, term)| term)
}

/// Who votes, as a node knows that runs.
fn known(story: &Scenario, node: usize) -> Vec<u64> {
    let running = story.world.cluster.hosts[node - 1].running.as_ref().unwrap();
    let voters = running.core.snapshot().voters.unwrap().configuration.voters;
    voters.ids().iter().map(|id| id.number()).collect()
}

/// Five nodes of which 1 to 3 vote. Voters 1 and 2 are lost for ever, and voter 3 is rescued; 4 and 5
/// run on, follow before voter 3 may claim, and the highest leads.
fn rescued() -> Scenario {
    let mut story = reigning(5, 3);
    story.crash(1).crash(2).run(1000);
    // The nodes without a vote have the highest ids, so one of them led.
    nobody(&mut story, 3000);
    story.crash(3).rescue(3, &[1, 2]).start(&[3]);
    assert_eq!(story.until_agreed(LOOKED_FOR), 5, "{}", story.transcript());
    story
}

#[test]
fn the_last_voter_goes_on_above_the_clock_and_the_nodes_without_a_vote_follow() {
    let story = rescued();
    let cluster = &story.world.cluster;
    let wall = cluster.hosts[2].clocks.now(cluster.now()).wall.0;
    assert!(term(&story) > wall - 60_000, "{}", story.transcript());
}

#[test]
fn lost_voters_that_come_back_are_told_and_end() {
    let mut story = rescued();
    let before = term(&story);
    // Together they are a majority of the old voters, and would lead.
    story.start(&[1, 2]);
    story.until(LOOKED_FOR, "both end", &|story: &Scenario| !runs(story, 1) && !runs(story, 2));
    assert_eq!((story.until_agreed(PATIENCE), term(&story)), (5, before), "{}", story.transcript());
    // With empty disks they join.
    story.start_wiped(1).start_wiped(2).run(20_000);
    assert_eq!((story.until_agreed(PATIENCE), term(&story)), (5, before), "{}", story.transcript());
}

/// No node without a vote is there to tell them.
#[test]
fn lost_voters_that_come_back_to_the_rescued_one_alone_are_told_and_end() {
    let mut story = rescued();
    story.crash(4).crash(5);
    assert_eq!(story.until_agreed(LOOKED_FOR), 3, "{}", story.transcript());
    let before = term(&story);
    story.start(&[1, 2]);
    story.until(PATIENCE, "both end", &|story: &Scenario| !runs(story, 1) && !runs(story, 2));
    assert_eq!((story.until_agreed(PATIENCE), term(&story)), (3, before), "{}", story.transcript());
}

/// Somebody who knows of a rescue, but of nobody who lives there, ends nobody: it may have been undone.
#[test]
fn a_node_without_a_vote_that_is_left_of_a_rescue_ends_nobody() {
    let mut story = rescued();
    story.crash(3).crash(5).run(10_000);
    // One of two that were a majority, so it does not lead.
    story.start(&[1]).run(20_000);
    assert!(runs(&story, 1), "{}", story.transcript());
    // Whoever votes there tells it.
    story.start(&[3]);
    story.until(LOOKED_FOR, "it ends", &|story: &Scenario| !runs(story, 1));
}

#[test]
fn several_survivors_go_on_only_together() {
    let mut story = reigning(5, 5);
    story.crash(3).crash(4).crash(5).run(3000);
    for survivor in [1, 2] {
        story.crash(survivor).rescue(survivor, &[3, 4, 5]);
    }
    story.start(&[1]);
    nobody(&mut story, 6000);
    story.start(&[2]);
    story.until_agreed(LOOKED_FOR);
    let before = story.goose();
    story.start(&[3]);
    story.until(LOOKED_FOR, "3 ends", &|story: &Scenario| !runs(story, 3));
    assert_eq!(story.goose(), before, "{}", story.transcript());
}

#[test]
fn a_survivor_that_was_not_rescued_itself_is_told_so() {
    let mut story = reigning(5, 5);
    story.crash(3).crash(4).crash(5).run(3000);
    story.crash(1).rescue(1, &[3, 4, 5]).start(&[1]);
    story.until(LOOKED_FOR, "2 ends", &|story: &Scenario| !runs(story, 2));
    story.rescue(2, &[3, 4, 5]).start(&[2]);
    story.until_agreed(LOOKED_FOR);
}

#[test]
fn a_node_without_a_vote_takes_the_place_of_all_voters() {
    let mut story = reigning(5, 3);
    story.crash(1).crash(2).crash(3).run(3000);
    story.crash(4).rescue(4, &[1, 2, 3]).start(&[4]);
    // The other one follows before the wait is over, and is the higher one.
    assert_eq!(story.until_agreed(LOOKED_FOR), 5, "{}", story.transcript());
}

#[test]
fn a_rescued_cluster_can_be_rescued_again() {
    let mut story = rescued();
    let first = term(&story);
    story.crash(3).run(3000);
    story.crash(4).rescue(4, &[3]).start(&[4]);
    assert_eq!(story.until_agreed(LOOKED_FOR), 5, "{}", story.transcript());
    assert!(term(&story) > first, "{}", story.transcript());
    story.start(&[3]);
    story.until(LOOKED_FOR, "3 ends", &|story: &Scenario| !runs(story, 3));
}

#[test]
fn a_rescued_voter_grows_into_three_again() {
    let mut story = rescued();
    for (voter, voters) in [(4, vec![3, 4]), (5, vec![3, 4, 5])] {
        let (goose, _) = story.goose().unwrap();
        story.change_voters(goose, VoterOrder::Add(NodeId::new(voter).unwrap()));
        story.until(PATIENCE, "it votes", &|story: &Scenario| known(story, 3) == voters);
    }
    story.crash(3);
    story.until(LOOKED_FOR, "another leads", &|story: &Scenario| story.goose().is_some());
    story.start(&[3]).run(3000);
    story.until_agreed(LOOKED_FOR);
}

/// Somebody who has gone over, and knows no Goose yet, is all that node 4 hears of the rescue: it
/// waits, and asks again.
#[test]
fn a_node_that_hears_of_a_rescue_too_early_follows_later() {
    for pause in (0..8000).step_by(500) {
        let mut story = reigning(5, 3);
        story.crash(1).crash(2).run(1000);
        nobody(&mut story, 3000);
        story.cut(&[(3, 4), (4, 3)]).run(pause);
        story.crash(3).rescue(3, &[1, 2]).start(&[3]);
        for _ in 0..200 {
            story.run(100);
            assert!(runs(&story, 4), "after {pause} ms\n{}", story.transcript());
        }
        assert_eq!(known(&story, 4), [3], "after {pause} ms\n{}", story.transcript());
    }
}
