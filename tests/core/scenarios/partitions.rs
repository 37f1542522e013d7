//! Scenarios 1 to 12: who leads while links are cut.

use gaggle::sim::cluster::action::Action;
use gaggle::sim::cluster::interceptor::{Interception, Kind};
use gaggle::sim::scenario::Scenario;

use super::golden::check;
use super::stage::{
    DEFERENCE, HAND, LEASE, RENEWAL, RETRANSMIT, at_least, at_most, begun, gone, leads, ms, nobody,
    reigning, setups, stays, usable,
};

/// Two contenders, of which each sees another majority, and the common voter decides.
#[test]
fn s01_overlapping_visible_majorities() {
    let mut setups = setups(6, 3);
    setups[..3].iter_mut().for_each(|voter| voter.eligible = false);
    let mut story = begun(setups, 6);
    story.separate(&[4], &[3, 5]).separate(&[5], &[1]).run(1000);

    story.crash(6);
    leads(&mut story, 5);
    stays(&mut story, 5000);
    assert_eq!(story.terms(), 2);
    check(
        &story,
        "01-overlapping-majorities",
        "Two contenders see overlapping majorities: one Goose, and it stays.",
    );
}

#[test]
fn s02_goose_in_a_minority() {
    let mut story = reigning(3, 3);
    story.partition(&[&[1, 2], &[3]]);
    let gone = gone(&mut story, 3);
    at_most(&story, gone, usable());
    assert_eq!(story.goose(), None, "a Duck before its successor");
    let vacancy = leads(&mut story, 2);
    at_most(&story, gone + vacancy, ms(LEASE + HAND));
    check(&story, "02-goose-in-a-minority", "It is a Duck within D, and before its successor.");
}

#[test]
fn s03_splits() {
    let mut story = reigning(3, 3);
    story.partition(&[&[1, 3], &[2]]);
    stays(&mut story, 3000);
    story.partition(&[&[1, 2], &[3]]);
    gone(&mut story, 3);
    leads(&mut story, 2);
    story.partition(&[&[1], &[2], &[3]]);
    let gone = gone(&mut story, 2);
    at_most(&story, gone, usable());
    nobody(&mut story, 5000);
    story.heal();
    let back = leads(&mut story, 3);
    at_most(&story, back, ms(LEASE));
    check(&story, "03-splits", "2/1: the majority's side only. 1/1/1: nobody.");
}

/// Every node but the hub, which is the lowest, sees two of five.
#[test]
fn s04_quorum_loss_with_one_hub() {
    let mut story = reigning(5, 5);
    story.separate(&[2, 3, 4, 5], &[2, 3, 4, 5]);
    let gone = gone(&mut story, 5);
    at_most(&story, gone, usable());
    let vacancy = leads(&mut story, 1);
    // The others have taken it back by then that they reach a majority: nobody waits for them.
    at_most(&story, gone + vacancy, ms(LEASE + HAND));
    stays(&mut story, 5000);
    check(&story, "04-one-hub", "Only the hub reaches a majority: the hub leads.");
}

#[test]
fn s05_chained() {
    let mut story = reigning(3, 3);
    story.say("the chain 3 - 1 - 2").separate(&[3], &[2]);
    stays(&mut story, 5000);
    story.heal().run(1000).say("the chain 1 - 3 - 2").separate(&[1], &[2]);
    stays(&mut story, 5000);
    assert_eq!(story.terms(), 1);
    check(&story, "05-chained", "A - B - C: the incumbent stays, at the end or in the middle.");
}

/// The Goose is cut off altogether, and of the others only node 1 sees the rest.
#[test]
fn s06_constrained() {
    let mut story = reigning(5, 5);
    story.partition(&[&[1, 2, 3, 4], &[5]]).separate(&[2, 3, 4], &[2, 3, 4]);
    let gone = gone(&mut story, 5);
    at_most(&story, gone, usable());
    let vacancy = leads(&mut story, 1);
    at_most(&story, gone + vacancy, ms(LEASE + HAND));
    stays(&mut story, 5000);
    check(&story, "06-constrained", "The sole node that reaches a majority leads.");
}

#[test]
fn s07_deaf_goose() {
    let mut story = reigning(3, 3);
    // Its releases would free the voters at once.
    story.say("all releases of node 3 will be lost");
    story.rule(Interception::Lose, Kind::Release, Some(3), None).cut(&[(1, 3), (2, 3)]);
    let gone = gone(&mut story, 3);
    at_most(&story, gone, usable());
    // It renews for 2r more, and each renewal binds a voter for L.
    let vacancy = leads(&mut story, 2);
    at_most(&story, gone + vacancy, ms(2 * RENEWAL + LEASE + HAND));
    stays(&mut story, 5000);
    check(&story, "07-deaf-goose", "It sends and does not hear: succeeded within 2r + L.");
}

#[test]
fn s08_mute_goose() {
    let mut story = reigning(3, 3);
    story.cut(&[(3, 1), (3, 2)]);
    let gone = gone(&mut story, 3);
    at_most(&story, gone, usable());
    let vacancy = leads(&mut story, 2);
    at_most(&story, gone + vacancy, ms(LEASE + HAND));
    stays(&mut story, 5000);
    check(&story, "08-mute-goose", "It hears and is not heard: succeeded within L.");
}

/// How long a cluster whose Goose dies is without one, with a higher node that reaches one
/// voter only or without it.
fn vacancy_beside_a_lame_node(present: bool) -> (Scenario, u64) {
    let mut story = reigning(5, 3);
    if present {
        story.separate(&[5], &[2, 3, 4]);
    } else {
        story.crash(5);
    }
    story.run(2000);
    leads(&mut story, 4);
    story.listen(&[Kind::Refusal]).crash(4);
    let vacancy = leads(&mut story, 3);
    (story, u64::try_from(vacancy.as_millis()).unwrap_or(u64::MAX))
}

#[test]
fn s10_higher_id_that_reaches_one_voter() {
    let (_, without) = vacancy_beside_a_lame_node(false);
    let (mut story, with) = vacancy_beside_a_lame_node(true);
    assert!(with.abs_diff(without) <= 2, "{with} ms, {without} ms without it");
    let transcript = story.transcript();
    assert!(!transcript.contains("node 5 comes first"), "{transcript}");
    stays(&mut story, 5000);
    check(&story, "10-higher-id-reaches-one-voter", "It never blocks a lower one.");
}

/// Nodes 3 and 4 stand by; the Goose dies, and node 4 just when the voters wait for it.
#[test]
fn s11_higher_contender_dies_during_defer() {
    let mut story = reigning(5, 3);
    story.crash(5);
    let ends = |story: &Scenario| story.grant_of(1).is_none_or(|(.., left)| left <= ms(1));
    story.until(ms(LEASE), "vacancy", &ends);
    // The voters have heard it lately, and wait for it.
    story.crash(4).listen(&[Kind::Claim, Kind::Refusal, Kind::Vacancy]);
    let waited = leads(&mut story, 3);
    at_least(&story, waited, ms(DEFERENCE - 2));
    // Who is told to wait asks again after W_d; the last to say so may have been the answer to
    // the poll that follows a notice.
    at_most(&story, waited, ms(DEFERENCE + RETRANSMIT + HAND));
    check(&story, "11-higher-contender-dies", "It costs W_d, once.");
}

#[test]
fn s12_flapping_links() {
    let mut story = reigning(3, 3);
    for period in [10, 20, 50, 100, 200, 350, 500] {
        let goose = story.until_agreed(ms(2000));
        let others: Vec<u64> = (1..=3).filter(|node| *node != goose).collect();
        let terms = story.terms();
        story.say(&format!("the links of node {goose} flap, {period} ms down, {period} ms up"));
        for _ in 0..4000 / (2 * period) {
            story.quietly(|story| _ = story.separate(&[goose], &others)).run(period);
            story.quietly(|story| _ = story.act(Action::MendAll)).run(period);
        }
        story.say("they hold");
        // What no renewal is lost to for longer than D - r is ridden out.
        if period <= 350 {
            assert_eq!((story.terms(), story.leads(goose)), (terms, true), "{period} ms");
        }
        let back = story.until(ms(2000), "Goose", &|story| story.goose().is_some());
        at_most(&story, back, ms(LEASE + HAND));
    }
    check(&story, "12-flapping-links", "Never two, and ridden out where the lease allows it.");
}
