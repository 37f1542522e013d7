//! Nodes that are not healthy: they vote, and lead for nobody.

use std::time::Duration;

use gaggle::node::setup::Setup;
use gaggle::sim::cluster::action::Action;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::health::{Complainant, IfNoneHealthy};
use gaggle::vocabulary::snapshot::Snapshot;
use gaggle::vocabulary::work::EndReason;

use super::stage::{HAND, PATIENCE, at_most, begun, leads, ms, nobody, setups, stays, three};

fn snapshot(story: &Scenario, node: u64) -> Snapshot {
    let place = usize::try_from(node).unwrap() - 1;
    story.world.cluster.hosts[place].running.as_ref().unwrap().core.snapshot()
}

/// Whether `by` shows `node` as one that may lead.
fn is_eligible(story: &Scenario, by: u64, node: u64) -> bool {
    let members = snapshot(story, by).members;
    members.iter().find(|member| member.id.number() == node).unwrap().eligible
}

/// Three voters that are set up by `set`.
fn three_with(set: impl Fn(&mut Setup)) -> Vec<Setup> {
    let mut setups = setups(3, 3);
    setups.iter_mut().for_each(set);
    setups
}

#[test]
fn a_goose_that_is_not_healthy_hands_over_at_once_and_leads_again_once_it_is() {
    let mut story = three();
    story.health(3, false);
    let gap = leads(&mut story, 2);
    at_most(&story, gap, ms(HAND));
    assert_eq!(snapshot(&story, 3).unhealthy.as_deref(), Some("the check fails"));
    story.run(3000);
    for by in [1, 2, 3] {
        assert!(!is_eligible(&story, by, 3), "as node {by} sees it\n{}", story.transcript());
    }
    // It votes: without its vote there would be no majority.
    story.crash(2).run(3000);
    assert!(story.leads(1), "{}", story.transcript());
    story.crash(1).run(3000);
    nobody(&mut story, 2000);
    story.start(&[1]).run(500);
    assert_ne!(story.goose().map(|(node, _)| node), Some(3), "{}", story.transcript());
    story.health(3, true).run(1000);
    assert!(is_eligible(&story, 1, 3), "{}", story.transcript());
    story.crash(1).start(&[2]);
    leads(&mut story, 3);
}

#[test]
fn it_takes_no_hand_over() {
    let mut story = three();
    story.health(2, false).run(1000).step_down(3).run(100);
    assert!(story.leads(1), "{}", story.transcript());
    // Nor if there is nobody else: whoever stepped down comes back.
    story.health(3, false).run(1000).step_down(1).run(100);
    nobody(&mut story, 1000);
    leads(&mut story, 1);
}

#[test]
fn work_ends_first() {
    let mut story = three();
    story.begin_work(3).unwrap();
    story.health(3, false).run(20_000);
    assert!(story.leads(3), "{}", story.transcript());
    assert_eq!(story.asked(3).unwrap().reason, EndReason::Unhealthy);
    story.end_work(3);
    let gap = leads(&mut story, 2);
    at_most(&story, gap, ms(HAND));
}

#[test]
fn if_no_node_is_healthy_nobody_leads_until_one_is() {
    let mut story = three();
    story.health(1, false).health(2, false).run(1000);
    stays(&mut story, 1000);
    story.health(3, false).run(100);
    nobody(&mut story, 30_000);
    story.health(1, true);
    let gap = leads(&mut story, 1);
    // Nobody stood by.
    at_most(&story, gap, ms(700));
}

#[test]
fn if_that_is_asked_for_one_leads_anyway_until_another_is_healthy() {
    let setups = three_with(|setup| setup.if_none_healthy = IfNoneHealthy::LeadAnyway);
    let mut story = begun(setups, 3);
    // Others are healthy.
    story.health(3, false);
    leads(&mut story, 2);
    story.health(2, false);
    leads(&mut story, 1);
    // The last one keeps what it has.
    story.run(1000).health(1, false).run(1000);
    stays(&mut story, 20_000);
    // A vacancy is filled, too.
    story.crash(1).run(10_000);
    assert!(story.leads(3) || story.leads(2), "{}", story.transcript());
    // Whoever is healthy is preferred, for good.
    story.start(&[1]);
    leads(&mut story, 1);
    stays(&mut story, 20_000);
    let terms = story.terms();
    story.health(2, true).health(1, false);
    leads(&mut story, 2);
    assert_eq!(story.terms(), terms + 1, "{}", story.transcript());
}

#[test]
fn nobody_leads_anyway_whose_work_has_failed() {
    let setups = three_with(|setup| setup.if_none_healthy = IfNoneHealthy::LeadAnyway);
    let mut story = begun(setups, 3);
    for place in 0..3 {
        story.act(Action::Health(place, Complainant::Work, Some("the command failed")));
    }
    story.run(1000);
    nobody(&mut story, 20_000);
}

#[test]
fn a_node_with_a_check_does_not_lead_before_that_has_passed() {
    let mut story = Scenario::with_setups(1, three_with(|setup| setup.is_checked = true));
    story.start(&[1, 2, 3]);
    nobody(&mut story, 10_000);
    story.health(2, true);
    assert_eq!(story.until_agreed(PATIENCE), 2);
    // Nor after a restart, though the others are healthy.
    story.health(1, true).health(3, true).run(1000).restart(&[3]).run(1000).crash(2).run(2000);
    assert!(story.leads(1) && snapshot(&story, 3).unhealthy.is_some(), "{}", story.transcript());
}

#[test]
fn a_restart_forgets_it() {
    let mut story = three();
    story.health(3, false).run(1000).restart(&[3]).run(1000);
    assert_eq!(snapshot(&story, 3).unhealthy, None);
    assert!(is_eligible(&story, 3, 3) && is_eligible(&story, 1, 3), "{}", story.transcript());
}

#[test]
fn a_hold_that_was_ordered_outlasts_it() {
    let mut story = three();
    let left = |story: &Scenario| {
        let host = &story.world.cluster.hosts[2];
        let now = host.clocks.now(story.world.now()).holder;
        snapshot(story, 3).holds_back_until.unwrap().since(now)
    };
    // Four leases.
    story.step_down(3).run(100).health(3, false).run(100).health(3, true);
    assert!(left(&story) > Duration::from_secs(2), "{}", story.transcript());
    // One that hands over because of its health is asked to hold back for no longer than that lasts.
    story.run(3000).health(2, false).run(200).health(2, true).run(200);
    assert!(!story.leads(2));
    story.step_down(3).run(200);
    assert!(story.leads(2), "{}", story.transcript());
}

#[test]
fn a_drain_and_ill_health_end_each_for_itself() {
    let mut story = three();
    story.begin_work(3).unwrap();
    story.drain(3, true).run(100).health(3, false).run(100).drain(3, false).run(60_000);
    assert_eq!(story.asked(3).unwrap().reason, EndReason::SteppingDown);
    story.end_work(3);
    leads(&mut story, 2);
    story.run(3000).step_down(2).run(100);
    assert!(story.leads(1), "node 3 is still not healthy\n{}", story.transcript());
    story.act(Action::Drain(2, true)).health(3, true).run(3000).step_down(1).run(100);
    assert!(story.leads(2), "node 3 is still drained\n{}", story.transcript());
}

/// Health that comes and goes, with crashes and orders between, and afterwards everybody is well. The
/// judges watch: at most one leads, and no promise is broken.
#[test]
fn health_that_flaps_breaks_no_promise_and_somebody_leads_once_all_are_well() {
    for seed in 0..24 {
        let anyway = seed % 2 == 0;
        let mut setups = setups(5, 3);
        for setup in &mut setups {
            setup.is_checked = seed % 3 == 0;
            if anyway {
                setup.if_none_healthy = IfNoneHealthy::LeadAnyway;
            }
        }
        let mut story = Scenario::with_setups(seed, setups);
        story.start(&[1, 2, 3, 4, 5]).run(500);
        let mut alive = [true; 6];
        let mut dice = seed * 2 + 1;
        for _ in 0..150 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (node, what) = (1 + (dice >> 33) % 5, (dice >> 40) % 10);
            let place = usize::try_from(node).unwrap();
            match (alive[place], what) {
                (false, _) => {
                    story.start(&[node]);
                    alive[place] = true;
                }
                (true, 0..=3) => _ = story.health(node, false),
                (true, 4..=6) => _ = story.health(node, true),
                (true, 7) => _ = story.step_down(node),
                (true, 8) => _ = story.drain(node, false),
                (true, _) => {
                    story.crash(node);
                    alive[place] = false;
                }
            }
            story.run((dice >> 50) % 700);
        }
        for node in 1..=5 {
            if !alive[usize::try_from(node).unwrap()] {
                story.start(&[node]);
            }
            story.health(node, true).drain(node, false);
        }
        story.until_agreed(PATIENCE);
    }
}
