//! Scenarios 33 to 36 and 45: clocks, suspend, mixed leases, and too little processor time.

use std::time::Duration;

use gaggle::sim::checkers::Invariant;
use gaggle::sim::cluster::clocks::DRIFT_MAX;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::timing::{Profile, Timing, counted};

use super::golden::check;
use super::stage::{
    DEFERENCE, HAND, LEASE, at_most, begun, gone, leads, ms, reigning, setups, stays, usable,
};

const TRUE: u64 = 1_000_000;

#[test]
fn s33_wall_clocks_jump() {
    let mut story = reigning(3, 3);
    for by in [3_600_000, -7_200_000, 3_600_000] {
        for node in [3, 2, 1] {
            story.jump_wall(node, by);
            stays(&mut story, 500);
        }
    }
    story.restart(&[1]);
    stays(&mut story, 1000);
    assert_eq!(story.terms(), 1);
    check(&story, "33-wall-clocks-jump", "An hour forth and back: no effect.");
}

/// The Goose's clocks are as slow, and the voters' as fast, as can be, until the Goose is cut
/// off; the clocks that people see are slewed by 8 % meanwhile.
fn slewed(bound: u64) -> Scenario {
    let mut story = reigning(3, 3);
    story.set_rates(3, TRUE - bound, TRUE - bound);
    story.set_rates(1, TRUE + bound, TRUE + bound).set_rates(2, TRUE + bound, TRUE + bound);
    story.say("wall clocks are slewed by 8 %: node 3 back, nodes 1 and 2 forth");
    for _ in 0..100 {
        story.quietly(|story| {
            story.jump_wall(3, -8).jump_wall(1, 8).jump_wall(2, 8);
        });
        let next = story.world.now() + 100_000_000;
        story.world.run_until(next);
    }
    story
}

#[test]
fn s34_slew_on_opposite_sides() {
    let mut story = slewed(DRIFT_MAX);
    assert_eq!(story.goose(), Some((3, 1)));
    story.partition(&[&[1, 2], &[3]]);
    let gone = gone(&mut story, 3);
    assert_eq!(story.goose(), None, "a Duck before its successor");
    at_most(&story, gone, ms(LEASE));
    leads(&mut story, 2);
    stays(&mut story, 2000);
    // Leases run on clocks that no daemon slews. Were they slewed, the margin would not do:
    // the judges see that at once.
    let wrong = slewed(80_000);
    let broken = wrong.world.cluster.judges.violation.as_ref().map(|violation| violation.invariant);
    assert_eq!(broken, Some(Invariant::GrantOutlasts));
    check(&story, "34-slew", "Lease clocks at their bound, wall clocks slewed: safe.");
}

#[test]
fn s35_suspend() {
    let mut story = reigning(3, 3);
    story.suspend(3).run(1000);
    let successor = story.goose();
    assert!(successor.is_some_and(|(node, _)| node == 2), "{}", story.transcript());
    story.resume(3);
    assert!(!story.leads(3), "no stale yes");
    stays(&mut story, 3000);
    let transcript = story.transcript();
    assert!(transcript.contains("node 3 becomes a Duck"), "{transcript}");
    check(&story, "35-suspend", "The Goose's machine sleeps for a second: it wakes a Duck.");
}

/// The voters' machines sleep for less than a lease, in turn: their grants only get longer.
#[test]
fn s35_suspended_voters() {
    let mut story = reigning(3, 3);
    for voter in [1, 2] {
        story.suspend(voter).run(300).resume(voter);
        stays(&mut story, 1000);
    }
    assert_eq!(story.terms(), 1);
    check(&story, "35-suspended-voters", "Suspended voters let go of nothing early.");
}

/// A Goose that would send again only after the voters' leases are over sends as early as their
/// leases want it, from its first moment on.
#[test]
fn s36_a_goose_with_a_slower_profile_than_its_voters_stays() {
    let mut setups = setups(3, 3);
    for (index, setup) in setups.iter_mut().enumerate() {
        setup.eligible = index == 2;
        setup.timing = Timing::of(if setup.eligible { Profile::Wan } else { Profile::Fast });
    }
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(ms(10_000)), 3, "{}", story.transcript());
    let first = story.goose();
    story.run(20_000);
    assert_eq!(story.goose(), first, "{}", story.transcript());
    assert_eq!(story.terms(), 1, "{}", story.transcript());
}

#[test]
fn s36_mixed_leases() {
    // The Goose asks for 3 s, and the voters grant 600 ms at most.
    let mut setups = setups(4, 3);
    setups[3].timing = Timing { lease: ms(3000), ..Timing::of(Profile::Lan) };
    let mut story = begun(setups, 4);
    story.partition(&[&[1, 2, 3], &[4]]);
    let end = gone(&mut story, 4);
    at_most(&story, end, usable());
    let vacancy = leads(&mut story, 3);
    at_most(&story, end + vacancy, ms(LEASE + DEFERENCE + HAND));
    check(&story, "36-longer-lease-asked", "What was granted counts, not what was asked for.");

    // The Goose asks for 250 ms of voters that would grant 600.
    let mut setups = super::stage::setups(4, 3);
    setups[3].timing =
        Timing { lease: ms(250), renew_interval: ms(50), ..Timing::of(Profile::Lan) };
    let mut story = begun(setups, 4);
    story.partition(&[&[1, 2, 3], &[4]]);
    let end = gone(&mut story, 4);
    at_most(&story, end, counted(ms(250)) + ms(1));
    let vacancy = leads(&mut story, 3);
    at_most(&story, end + vacancy, ms(250 + DEFERENCE + HAND));
    check(&story, "36-shorter-lease-asked", "What was asked for counts, not what could be had.");
}

/// The Goose gets a twentieth of the processor: what took 5 ms takes up to 100.
#[test]
fn s45_starved_goose() {
    let mut story = reigning(3, 3);
    story.starve(3, 100);
    let lapsed: Duration = gone(&mut story, 3);
    at_most(&story, lapsed, ms(3000));
    let successor = story.until(ms(3000), "successor", &|story| story.leads(2));
    at_most(&story, successor, ms(LEASE + HAND));
    stays(&mut story, 5000);
    story.starve(3, 0);
    stays(&mut story, 2000);
    assert_eq!(story.until_agreed(ms(1000)), 2);
    check(&story, "45-starved-goose", "It lapses, and there are never two.");
}
