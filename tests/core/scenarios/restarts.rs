//! Scenarios 13 to 29 as far as they are about processes and disks: who dies, stands still,
//! comes back, and what it remembers.

use gaggle::sim::cluster::action::{Action, Restart};
use gaggle::sim::cluster::disk::{DiskHealth, Tear};
use gaggle::sim::cluster::interceptor::{Interception, Kind};

use super::golden::check;
use super::stage::{
    DEFERENCE, HAND, LEASE, at_least, at_most, begun, gone, leads, ms, nobody, reigning, setups,
    stays, usable,
};

#[test]
fn s13_killed_with_a_keeper() {
    let mut story = reigning(3, 3);
    story.listen(&[Kind::Release]).give_keeper(3).crash(3);
    let vacancy = leads(&mut story, 2);
    at_most(&story, vacancy, ms(HAND));
    check(&story, "13-killed-with-a-keeper", "Somebody speaks for the dead: milliseconds.");
}

#[test]
fn s18_stopped_for_five_seconds() {
    let mut story = reigning(3, 3);
    story.freeze(3);
    let gone = gone(&mut story, 3);
    at_most(&story, gone, usable());
    leads(&mut story, 2);
    story.run(5000).thaw(3);
    // What it says of itself is compared with its clock, before it handles anything.
    assert!(!story.leads(3), "no stale yes");
    stays(&mut story, 3000);
    assert_eq!(story.until_agreed(ms(100)), 2, "it knows who leads");
    check(&story, "18-stopped", "It wakes a Duck, and never says yes when it is stale.");
}

/// A Goose that has not heard a majority for 2r asks only whether it is heard: of a process that
/// is no more, if its voter has just restarted.
#[test]
fn s21_a_voter_comes_back_to_a_goose_that_is_not_heard() {
    let mut story = reigning(2, 2);
    story.crash(1).run(300).start(&[1]);
    stays(&mut story, 3000);
}

#[test]
fn s21_voter_restarts_mid_tenure() {
    let mut story = reigning(3, 3);
    for voter in [1, 2, 1, 2] {
        story.restart(&[voter]);
        stays(&mut story, 1000);
    }
    assert_eq!(story.terms(), 1);
    check(&story, "21-voter-restarts", "The same Goose in the same term.");
}

#[test]
fn s22_all_voters_restart_in_turn() {
    let mut story = reigning(4, 3);
    for voter in [1, 2, 3] {
        story.restart(&[voter]);
        stays(&mut story, 1000);
    }
    assert_eq!((story.goose(), story.terms()), (Some((4, 1)), 1));
    check(&story, "22-voters-restart-in-turn", "Nothing changes.");
}

/// The Goose is one of them, so nobody is left who could renew.
#[test]
fn s22_all_voters_restart_at_once() {
    let mut story = reigning(3, 3);
    story.restart(&[1, 2, 3]);
    let vacancy = leads(&mut story, 3);
    at_most(&story, vacancy, ms(2 * LEASE));
    stays(&mut story, 2000);
    check(&story, "22-voters-restart-at-once", "A gap of 2L at most.");
}

/// The Goose does not vote: it is the holder that the restarted voters remember.
#[test]
fn s22_all_voters_restart_under_a_goose_that_lives() {
    let mut story = reigning(4, 3);
    story.restart(&[1, 2, 3]);
    stays(&mut story, 3000);
    assert_eq!(story.goose(), Some((4, 1)));
    check(&story, "22-voters-restart-at-once-goose-lives", "The holder on record renews.");
}

#[test]
fn s23_one_voter_loses_its_disk() {
    let mut story = reigning(3, 3);
    story.crash(1).start_wiped(1);
    stays(&mut story, 2900);
    assert_eq!(story.grant_of(1), None, "it waits out every lease");
    stays(&mut story, 500);
    assert!(story.grant_of(1).is_some(), "and votes again, once all others have answered");
    assert_eq!(story.terms(), 1);
    check(&story, "23-one-disk-lost", "It asks all others; the Goose stays.");
}

#[test]
fn s24_torn_record() {
    let mut story = reigning(3, 3);
    story.crash(3);
    // The vote for node 2 is being written when voter 1 dies.
    let writes =
        |story: &gaggle::sim::scenario::Scenario| story.world.cluster.hosts[0].disk.is_writing();
    while !writes(&story) {
        let next = story.world.now() + 10_000;
        story.world.run_until(next);
    }
    story.act(Action::Crash(0, Tear::Torn));
    nobody(&mut story, 500);
    story.act(Action::Start(0, Restart::WithDisk));
    nobody(&mut story, 6000);
    story.start(&[3]);
    let vacancy = leads(&mut story, 3);
    at_most(&story, vacancy, ms(LEASE + HAND));
    stays(&mut story, 1000);
    assert!(story.grant_of(1).is_some(), "it votes again");
    let transcript = story.transcript();
    assert!(transcript.contains("the record is damaged"), "{transcript}");
    check(&story, "24-torn-record", "As lost: it waits for all others, and says so.");
}

#[test]
fn s24_failing_disks() {
    for (health, name) in
        [(DiskHealth::Full, "24-disk-full"), (DiskHealth::Doubtful, "24-disk-fails-to-sync")]
    {
        let mut story = reigning(3, 3);
        story.set_disk(1, health).set_disk(2, health);
        stays(&mut story, 2000);
        story.crash(3);
        nobody(&mut story, 1500);
        let transcript = story.transcript();
        for node in [1, 2] {
            let said = format!("node {node} warns: nothing can be stored");
            assert!(transcript.contains(&said), "{transcript}");
        }
        story.set_disk(1, DiskHealth::Sound).set_disk(2, DiskHealth::Sound);
        leads(&mut story, 2);
        check(&story, name, "Renewals need no write. No claim is granted, and it is said why.");
    }
}

#[test]
fn s29_keepers_release_after_a_restart() {
    let mut setups = setups(3, 3);
    setups[0].eligible = false;
    setups[1].eligible = false;
    let mut story = begun(setups, 3);
    story.give_keeper(3).listen(&[Kind::Release]).rule(
        Interception::Hold,
        Kind::Release,
        Some(3),
        None,
    );
    let dead = story.process(3);
    story.crash(3).start(&[3]);
    leads(&mut story, 3);
    story.end_rules().run(1000);
    let grants = [story.grant_of(1), story.grant_of(2)].map(|grant| grant.map(|(it, ..)| it));
    assert_eq!(grants, [story.process(3); 2]);
    assert_ne!(dead, story.process(3));
    story.say("the keeper's messages arrive").deliver_held();
    let after = [story.grant_of(1), story.grant_of(2)].map(|grant| grant.map(|(it, ..)| it));
    assert_eq!(after, grants, "it names the process that died");
    stays(&mut story, 3000);
    check(&story, "29-late-release-by-a-keeper", "It ends nothing of the process that came after.");
}

#[test]
fn s39_dead_goose_rejoins() {
    let mut story = reigning(3, 3);
    story.crash(3);
    let vacancy = leads(&mut story, 2);
    at_least(&story, vacancy, ms(LEASE / 2));
    at_most(&story, vacancy, ms(LEASE + DEFERENCE + HAND));
    story.run(1000).start(&[3]);
    stays(&mut story, 5000);
    assert_eq!(story.until_agreed(ms(100)), 2);
    assert!(!story.leads(3));
    check(&story, "39-dead-goose-rejoins", "It is a Duck, though its id is the highest.");
}
