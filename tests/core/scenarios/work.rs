//! Work under the lease: what is asked of it, what waits for it, and what nothing waits for.

use std::time::Duration;

use gaggle::node::setup::DRAIN_TIMEOUT;
use gaggle::sim::cluster::interceptor::Kind;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::mutant::{self, Mutant};
use gaggle::vocabulary::timing::Profile;
use gaggle::vocabulary::work::{EndReason, WorkRefused};

use super::stage::{PATIENCE, three};

#[test]
fn an_order_waits_for_the_work_and_the_lease_is_kept_meanwhile() {
    let mut story = three();
    let term = story.begin_work(3).unwrap();
    story.step_down(3).run(20_000);
    assert!(story.leads(3), "{}", story.transcript());
    assert_eq!(story.asked(3).unwrap().reason, EndReason::SteppingDown);
    assert_eq!(story.begin_work(3), Err(WorkRefused::Ending { term }));
    story.end_work(3);
    assert!(!story.leads(3));
    story.until(Duration::from_millis(100), "successor", &|story| story.goose().is_some());
    assert_ne!(story.goose().unwrap().0, 3);
}

#[test]
fn a_refused_order_asks_nothing_of_the_work() {
    let mut story = three();
    story.begin_work(3).unwrap();
    story.crash(1).crash(2);
    // Both are still members, but nobody has polled the voters lately.
    let mut alone = Scenario::new(1, 3, &[3]);
    alone.start(&[1, 2, 3]);
    assert_eq!(alone.until_agreed(PATIENCE), 3);
    alone.run(1000).begin_work(3).unwrap();
    alone.step_down(1).step_down(2).run(100);
    assert_eq!(alone.asked(3), None);
    alone.begin_work(3).unwrap();
}

#[test]
fn work_that_does_not_end_keeps_the_lease_and_the_order_is_given_up() {
    let mut story = three();
    let term = story.begin_work(3).unwrap();
    story.step_down(3).run(29_000);
    assert!(story.begin_work(3).is_err());
    story.run(2000);
    assert!(story.leads(3) && story.terms() == 1);
    assert_eq!(story.begin_work(3), Ok(term), "other work may begin");
}

#[test]
fn a_lapse_releases_nothing_while_work_is_alive_and_nobody_leads_twice() {
    let mut story = three();
    let term = story.begin_work(3).unwrap();
    story.listen(&[Kind::Release]);
    story.cut(&[(1, 3), (2, 3)]);
    story.until(PATIENCE, "lapse", &|story| !story.leads(3));
    assert_eq!(story.asked(3).unwrap().reason, EndReason::LeaseOver);
    let lapsed = story.world.now();
    story.until(PATIENCE, "successor", &|story| story.goose().is_some());
    let gap = Duration::from_nanos(story.world.now() - lapsed);
    assert!(gap >= Duration::from_millis(15), "the voters kept the lease for {gap:?} only");
    story.heal().crash(1).run(3000);
    assert!(!story.transcript().contains("releases ballot"), "{}", story.transcript());
    // Nodes 2 and 3 are a majority. Node 2 leads; node 3 does not even when node 2 is gone.
    story.start(&[1]).run(2000);
    let before = story.terms();
    story.crash(2).run(5000);
    assert_eq!(story.goose().map(|(node, _)| node), Some(1), "{}", story.transcript());
    assert!(story.terms() > before);
    // It says with its next poll that it may lead again.
    story.end_work(3).run(500).step_down(1);
    story.until(PATIENCE, "return", &|story| story.leads(3));
    assert!(story.begin_work(3).unwrap() > term);
}

#[test]
fn a_node_that_contends_under_old_work_is_found() {
    mutant::set(Some(Mutant::ContendsUnderOldWork));
    let mut story = Scenario::new(1, 2, &[1, 2]);
    story.start(&[1, 2]);
    assert_eq!(story.until_agreed(PATIENCE), 2);
    story.begin_work(2).unwrap();
    story.separate(&[1], &[2]).run(2000).heal();
    story.until(PATIENCE, "other Goose", &|story| story.leads(1));
    story.step_down(1);
    story.world.run_until(story.world.now() + 5_000_000_000);
    mutant::set(None);
    let found = story.world.cluster.judges.violation.take().expect("a violation").to_string();
    assert!(found.contains("claims while work of term 1 is alive"), "{found}");
}

#[test]
fn a_node_whose_old_work_is_alive_does_not_contend_until_it_has_ended() {
    let mut story = Scenario::new(1, 2, &[1, 2]);
    story.start(&[1, 2]);
    assert_eq!(story.until_agreed(PATIENCE), 2);
    story.begin_work(2).unwrap();
    story.separate(&[1], &[2]).run(2000).heal();
    story.until(PATIENCE, "other Goose", &|story| story.leads(1));
    story.step_down(1).run(5000);
    assert!(!story.leads(2), "{}", story.transcript());
    story.end_work(2);
    story.crash(1).start(&[1]);
    story.until(PATIENCE, "Goose", &|story| story.goose().is_some());
}

#[test]
fn a_node_that_leaves_waits_for_its_work_and_then_leaves_without_a_release() {
    let mut story = three();
    story.begin_work(3).unwrap();
    story.listen(&[Kind::Release]);
    story.leave(3).run(29_900);
    assert!(story.leads(3));
    assert_eq!(story.asked(3).unwrap().reason, EndReason::Leaving);
    let limit = DRAIN_TIMEOUT + Duration::from_secs(1);
    story.until(limit, "leave", &|story| story.process(3).is_none());
    story.until_agreed(PATIENCE);
    assert!(!story.transcript().contains("releases"), "{}", story.transcript());
}

#[test]
fn a_node_that_leaves_hands_over_once_its_work_has_ended() {
    let mut story = three();
    story.begin_work(3).unwrap();
    story.leave(3).run(5000).end_work(3);
    assert!(!story.leads(3));
    story.until(Duration::from_millis(100), "successor", &|story| story.goose().is_some());
    story.until(PATIENCE, "leave", &|story| story.process(3).is_none());
}

#[test]
fn an_order_whose_successor_has_gone_finds_another() {
    let mut story = three();
    story.begin_work(3).unwrap();
    let index = 2;
    let now = story.world.cluster.hosts[index].clocks.now(story.world.now());
    let two = story.world.cluster.hosts[1].id;
    let core = &mut story.world.cluster.hosts[index].running.as_mut().unwrap().core;
    core.step_down(now, Some(two), None).unwrap();
    story.crash(2).run(5000);
    story.end_work(3);
    story.until(Duration::from_millis(200), "successor", &|story| story.leads(1));
}

/// The cluster prefers node 3, the work needs long to end, and node 3 restarts meanwhile: its new
/// process has yet to show that it stays.
#[test]
fn nobody_makes_way_for_another_process_than_the_one_that_stayed() {
    let mut setups = Scenario::setups(3, &[1, 2, 3], Profile::Lan);
    setups.iter_mut().for_each(|setup| setup.preempt = Some(true));
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(PATIENCE), 3);
    story.crash(3);
    story.until(PATIENCE, "node 2 leads", &|story| story.leads(2));
    story.begin_work(2).unwrap();
    story.start(&[3]);
    story.until(PATIENCE, "node 2 is to make way", &|story| story.asked(2).is_some());
    story.crash(3).run(1000).start(&[3]).run(1000).end_work(2);
    story.run(2000);
    assert!(story.leads(2), "{}", story.transcript());
    story.until(PATIENCE, "the new process has stayed", &|story| story.leads(3));
}
