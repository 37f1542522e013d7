//! Nodes that hold back until told otherwise.

use std::time::Duration;

use gaggle::node::setup::DRAIN_TIMEOUT;
use gaggle::sim::cluster::action::Action;
use gaggle::sim::cluster::disk::DiskHealth;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::timing::Profile;
use gaggle::vocabulary::work::EndReason;

use super::stage::{PATIENCE, three};

/// Whether `by` shows `node` as one that may lead.
fn is_eligible(story: &Scenario, by: u64, node: u64) -> bool {
    let place = usize::try_from(by).unwrap() - 1;
    let core = &story.world.cluster.hosts[place].running.as_ref().unwrap().core;
    let members = core.snapshot().members;
    members.iter().find(|member| member.id.number() == node).unwrap().eligible
}

fn is_drained(story: &Scenario, node: u64) -> bool {
    let place = usize::try_from(node).unwrap() - 1;
    story.world.cluster.hosts[place].running.as_ref().unwrap().core.snapshot().is_drained
}

#[test]
fn a_drained_goose_hands_over_and_never_leads_again_until_it_is_told_to() {
    let mut story = three();
    story.drain(3, true).run(100);
    assert_eq!(story.goose().unwrap().0, 2, "{}", story.transcript());
    story.run(20_000);
    for by in [1, 2, 3] {
        assert!(!is_eligible(&story, by, 3), "as node {by} sees it\n{}", story.transcript());
    }
    // A vacancy is filled by the others, and as fast as if it were not there.
    story.crash(2).run(1000);
    assert_eq!(story.goose().unwrap().0, 1, "{}", story.transcript());
    // It votes: without its vote there would be no majority.
    story.run(5000);
    assert!(story.leads(1) && is_drained(&story, 3));
    story.crash(1).run(5000);
    assert_eq!(story.goose(), None);
    story.start(&[1, 2]).run(3000);
    assert_ne!(story.until_agreed(PATIENCE), 3);
    story.drain(3, false).run(2000);
    assert!(is_eligible(&story, 1, 3) && is_eligible(&story, 2, 3), "{}", story.transcript());
    story.crash(1).crash(2).start(&[1]).run(5000);
    assert_eq!(story.until_agreed(PATIENCE), 3, "{}", story.transcript());
}

#[test]
fn a_drained_node_stays_so_after_a_restart() {
    let mut story = three();
    story.drain(3, true).run(100).restart(&[3]).run(1000);
    assert!(is_drained(&story, 3));
    story.leave(2).run(5000);
    assert!(story.leads(1), "{}", story.transcript());
    story.drain(3, false).run(100).restart(&[3]).run(1000);
    assert!(!is_drained(&story, 3));
}

#[test]
fn what_was_not_durable_was_not_answered() {
    let mut story = three();
    let answers = |story: &Scenario| story.world.cluster.judges.coverage.of("drained");
    story.set_disk(1, DiskHealth::Hung).drain(1, true).run(5000);
    assert_eq!(answers(&story), 0);
    story.set_disk(1, DiskHealth::Sound).run(5000);
    assert_eq!(answers(&story), 1);
}

#[test]
fn a_drained_node_takes_no_hand_over_and_no_preference() {
    let mut setups = Scenario::setups(3, &[1, 2, 3], Profile::Lan);
    setups.iter_mut().for_each(|setup| setup.preempt = Some(true));
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(PATIENCE), 3);
    story.run(1000).drain(3, true).run(60_000);
    assert!(story.leads(2) && story.terms() == 2, "{}", story.transcript());
    story.step_down(2).run(500);
    assert!(story.leads(1), "{}", story.transcript());
    // Once it is drained no more, the cluster prefers it again.
    story.drain(3, false).run(60_000);
    assert!(story.leads(3), "{}", story.transcript());
}

#[test]
fn a_hold_is_ended_early() {
    let mut story = three();
    let left = |story: &Scenario| {
        let host = &story.world.cluster.hosts[2];
        let now = host.clocks.now(story.world.now()).holder;
        let until = host.running.as_ref().unwrap().core.snapshot().holds_back_until.unwrap();
        until.since(now)
    };
    story.step_down(3).run(100);
    assert!(left(&story) > Duration::from_secs(2), "{}", story.transcript());
    story.drain(3, false);
    assert_eq!(left(&story), Duration::ZERO);
    story.run(100).step_down(2).run(100);
    assert!(story.leads(3), "without a hold it is the best standby\n{}", story.transcript());
}

#[test]
fn a_paused_goose_makes_way_for_nobody_by_choice_and_a_vacancy_is_filled() {
    let mut setups = Scenario::setups(3, &[1, 2, 3], Profile::Lan);
    setups.iter_mut().for_each(|setup| setup.preempt = Some(true));
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2]).run(15_000);
    assert_eq!(story.until_agreed(PATIENCE), 2);
    let hour = Some(Duration::from_secs(3600));
    story.act(Action::Pause(1, hour)).start(&[3]).run(120_000);
    assert!(story.leads(2), "{}", story.transcript());
    story.act(Action::Pause(1, None)).run(30_000);
    assert!(story.leads(3), "{}", story.transcript());
    // It ends by itself, too, and keeps nobody from filling a vacancy.
    story.crash(3).run(3000);
    assert!(story.leads(2), "{}", story.transcript());
    story.act(Action::Pause(1, Some(Duration::from_secs(60)))).start(&[3]).run(50_000);
    assert!(story.leads(2), "{}", story.transcript());
    story.run(60_000);
    assert!(story.leads(3), "{}", story.transcript());
    // It is gone with its term, also if the same process leads again.
    story.crash(3).run(3000).act(Action::Pause(1, hour)).step_down(2).run(1000);
    story.crash(1).run(3000).start(&[1]).run(5000);
    assert!(story.leads(2), "{}", story.transcript());
    story.start(&[3]).run(400_000);
    assert!(story.leads(3), "{}", story.transcript());
}

#[test]
fn work_ends_first_and_whenever_it_ends() {
    let mut story = three();
    story.begin_work(3).unwrap();
    story.drain(3, true).run(5000);
    assert!(story.leads(3));
    assert_eq!(story.asked(3).unwrap().reason, EndReason::SteppingDown);
    // Unlike a step-down, it is not given up when the limit has passed.
    story.run(2 * u64::try_from(DRAIN_TIMEOUT.as_millis()).unwrap());
    assert!(story.leads(3) && is_drained(&story, 3));
    assert!(story.begin_work(3).is_err(), "no other work may begin");
    story.end_work(3).run(500);
    assert_eq!(story.goose().unwrap().0, 2, "{}", story.transcript());
}

#[test]
fn a_goose_whom_nobody_could_follow_is_not_drained() {
    let mut story = Scenario::new(1, 3, &[3]);
    story.start(&[3]);
    assert_eq!(story.until_agreed(PATIENCE), 3);
    // Members since a moment: neither has asked the voter yet.
    story.start(&[1, 2]);
    story.until(PATIENCE, "members", &|story| {
        let core = &story.world.cluster.hosts[2].running.as_ref().unwrap().core;
        core.alive_count() > 1
    });
    story.drain(3, true);
    assert!(story.leads(3) && !is_drained(&story, 3), "{}", story.transcript());
}
