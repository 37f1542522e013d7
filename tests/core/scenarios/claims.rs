//! Scenarios 26, 27, 37, 38, 40, 42 and 47: who may claim, what a failed claim costs, and what
//! does not matter.

use gaggle::node::setup::Setup;
use gaggle::sim::cluster::foreign_node::ForeignNode;
use gaggle::sim::cluster::interceptor::{Interception, Kind};
use gaggle::sim::cluster::network::Blackout;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::configuration::VoterSet;

use super::golden::check;
use super::stage::{
    CLAIM_LEASE, DEFERENCE, HAND, LEASE, at_least, at_most, leads, ms, nobody, reigning, setups,
    stays,
};

/// The other process of node 1 started from a copy of its record, so either may have promised what
/// the other does not know.
#[test]
fn s26_twin_voter_id() {
    let mut setups = setups(3, 3);
    setups.push(setups[0].clone());
    let mut story = begun_by_three(setups);
    story.copy_record(1, 4).start(&[4]).run(1000);
    let transcript = story.transcript();
    let said = "node 1 warns: another process votes under this id; this one votes no more";
    assert_eq!(transcript.matches(said).count(), 2, "both say so\n{transcript}");
    stays(&mut story, 3000);
    assert_eq!([story.grant_of(1), story.grant_of(4)], [None; 2], "neither votes");
    // Two voters are left, and both are needed.
    story.crash(3);
    nobody(&mut story, 2000);
    story.start(&[3]);
    story.until(ms(2 * LEASE), "Goose", &|story| story.goose().is_some());
    stays(&mut story, 2000);
    check(
        &story,
        "26-twin-voter",
        "Two processes vote under one id: both say so and vote no more.",
    );
}

/// The other process of node 1 has an empty disk: it has promised nothing, and it alone stops.
#[test]
fn s26_newcomer_under_a_voters_id() {
    let mut setups = setups(3, 3);
    setups.push(setups[0].clone());
    let mut story = begun_by_three(setups);
    story.start(&[4]).run(1000);
    let transcript = story.transcript();
    let said = "node 1 warns: another process votes under this id; this one votes no more";
    assert_eq!(transcript.matches(said).count(), 1, "the newcomer stops\n{transcript}");
    stays(&mut story, 3000);
    assert!(story.grant_of(1).is_some() && story.grant_of(4).is_none(), "{transcript}");
    // So one of the other voters may go.
    story.crash(3);
    story.until(ms(2 * LEASE), "Goose", &|story| story.goose().is_some());
    stays(&mut story, 2000);
    check(
        &story,
        "26-newcomer-under-a-voters-id",
        "A process on an empty disk has the id of a voter: it alone votes no more.",
    );
}

/// A twin of voter 3 lends the Goose its vote while voter 3 itself elects another, so there are
/// two. The later one is gone when the nodes meet again, and the twin is, too.
#[test]
fn s26_two_geese_by_a_twin_do_not_stay_two() {
    let mut setups = setups(5, 3);
    setups[..3].iter_mut().for_each(|voter| voter.eligible = false);
    setups.push(setups[2].clone());
    let mut story = Scenario::with_setups(1, setups);
    story.world.cluster.hosts[5].foreign_node = Some(ForeignNode::TwinOnCopy);
    story.start(&[1, 2, 3, 4, 5]);
    assert_eq!(story.until_agreed(ms(2000)), 5);
    story.run(1000).partition(&[&[1, 5, 6], &[2, 3, 4]]).copy_record(3, 6).start(&[6]);
    story.until(ms(3000), "second Goose", &|story| story.leads(4) && story.leads(5));
    let term = story.world.geese().iter().map(|(_, term)| *term).max();
    story.crash(4).run(2 * LEASE).crash(6).heal();
    let again = |story: &Scenario| story.goose().map(|(_, now)| now) > term;
    story.until(ms(10_000), "later term", &again);
    assert_eq!(story.until_agreed(ms(1000)), 5);
    stays(&mut story, 6000);
    check(
        &story,
        "26-two-geese-by-a-twin",
        "A twin makes two Geese. The earlier leads no more once it hears of the later term.",
    );
}

/// Nodes 1 to 3 have started, node 3 leads; whoever is beyond has not.
fn begun_by_three(setups: Vec<Setup>) -> Scenario {
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(ms(2000)), 3);
    story.run(1000);
    story
}

#[test]
fn s27_duplicate_node_id() {
    let mut setups = setups(4, 3);
    setups.push(setups[3].clone());
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3, 4]);
    assert_eq!(story.until_agreed(ms(2000)), 4);
    story.run(1000).start(&[5]);
    stays(&mut story, 10_000);
    assert!(!story.leads(5), "one process of an id at most");
    let transcript = story.transcript();
    assert!(transcript.contains("warns: another process uses this id"), "{transcript}");
    check(&story, "27-duplicate-id", "Two processes of one id: one Goose, and it is said.");
}

/// Voter 1 hears the claim of node 4, the others do not, and node 4 dies.
#[test]
fn s37_claimant_dies_after_a_minority_of_grants() {
    let mut story = reigning(5, 3);
    story.rule(Interception::Lose, Kind::Claim, Some(4), Some(2));
    story.rule(Interception::Lose, Kind::Claim, Some(4), Some(3));
    story.crash(5);
    let is_claimants = |story: &Scenario| {
        story.grant_of(1).is_some_and(|(holder, ..)| Some(holder) == story.process(4))
    };
    story.until(ms(2 * LEASE), "grant to the claimant", &is_claimants);
    let claimant = story.process(4);
    // Voter 2 is gone as well, so that nobody leads without voter 1.
    story.listen(&[Kind::Claim, Kind::Grant, Kind::Refusal]).crash(4).crash(2);
    let still = |story: &Scenario| story.grant_of(1).is_some_and(|(it, ..)| Some(it) == claimant);
    let blocked = story.until(ms(LEASE), "end of the grant", &|story| !still(story));
    at_most(&story, blocked, ms(CLAIM_LEASE));
    let vacancy = leads(&mut story, 3);
    at_most(&story, blocked + vacancy, ms(CLAIM_LEASE + DEFERENCE + HAND));
    story.listen(&[]);
    check(&story, "37-claimant-dies", "Its grant is free again within L_c.");
}

/// Every contender has its own vote, and nobody hears of the others until all three claim.
#[test]
fn s38_three_way_split_vote() {
    let mut story = reigning(4, 3);
    story.crash(4);
    story.until(ms(LEASE), "vacancy", &|story| {
        story.grant_of(1).is_none_or(|(.., left)| left <= ms(1))
    });
    for kind in [Kind::Claim, Kind::PollAck] {
        story.rule(Interception::Lose, kind, None, None);
    }
    story.listen(&[Kind::Claim, Kind::Grant, Kind::Refusal]);
    story.until(ms(LEASE), "three claims", &|story| {
        [1, 2, 3].iter().all(|node| story.claims(*node))
    });
    story.end_rules().say("the vote is split");
    let resolved = story.until(ms(5000), "Goose", &|story| story.goose().is_some());
    at_most(&story, resolved, ms(2 * CLAIM_LEASE + DEFERENCE));
    story.listen(&[]);
    stays(&mut story, 2000);
    check(&story, "38-split-vote", "Resolved in about 2 L_c.");
}

#[test]
fn s40_preempt_with_a_flapping_higher_id() {
    let mut setups = setups(3, 3);
    setups.iter_mut().for_each(|setup| setup.preempt = Some(true));
    let mut story = Scenario::with_setups(1, setups);
    // All voters must have been there once, or nothing is founded.
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(ms(4000)), 3);
    story.crash(3);
    leads(&mut story, 2);
    for patience in [5, 10, 20, 40] {
        story.start(&[3]);
        stays(&mut story, patience * 1000 - 1000);
        let rest = leads(&mut story, 3);
        at_most(&story, rest, ms(3000));
        story.crash(3);
        leads(&mut story, 2);
    }
    // One that never stays long enough gets nothing at all.
    let term = story.goose();
    for _ in 0..5 {
        story.start(&[3]).run(4000);
        story.crash(3).run(1000);
        assert_eq!(story.goose(), term, "{}", story.transcript());
    }
    check(&story, "40-preempt-flapping", "Each hand-over makes the next one later: a hold-down.");
}

#[test]
fn s42_other_genesis_set() {
    let mut setups = setups(4, 3);
    let set = [1, 2, 4].map(|id| setups[id - 1].id).to_vec();
    setups[3].voters = Some(VoterSet::new(set).expect("three different ids"));
    setups[3].voter_addresses =
        [1, 2, 4].map(|id| (setups[id - 1].id, setups[id - 1].address)).to_vec();
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(ms(2000)), 3);
    story.run(1000).start(&[4]);
    stays(&mut story, 10_000);
    assert_eq!(story.terms(), 1);
    let snapshot =
        |node: usize| story.world.cluster.hosts[node].running.as_ref().map(|it| it.core.snapshot());
    let members = snapshot(0).map(|snapshot| snapshot.members.len());
    assert_eq!(members, Some(3), "it is nobody's member");
    let rejected: u64 = snapshot(0).map_or(0, |it| it.counters.rejected.iter().sum());
    assert!(rejected > 0, "refused and counted");
    let transcript = story.transcript();
    assert!(transcript.contains("node 4 warns: no seed answers"), "{transcript}");
    assert!(transcript.contains("node 1 warns: a stranger"), "{transcript}");
    check(&story, "42-other-genesis-set", "It cannot join, it is said, and nothing mixes.");
}

#[test]
fn s47_gossip_blocked() {
    let mut story = reigning(5, 3);
    story.black_out(Blackout::Gossip).run(10_000);
    assert_eq!(story.terms(), 1);
    story.crash(5);
    let vacancy = leads(&mut story, 4);
    at_least(&story, vacancy, ms(LEASE / 2));
    at_most(&story, vacancy, ms(LEASE + DEFERENCE + HAND));
    story.crash(4);
    let vacancy = leads(&mut story, 3);
    at_most(&story, vacancy, ms(LEASE + DEFERENCE + HAND));
    stays(&mut story, 5000);
    check(&story, "47-gossip-blocked", "Fail-over needs no gossip.");
}
