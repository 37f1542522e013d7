//! Voters that change while the cluster goes on.

use std::time::Duration;

use gaggle::node::{NodeCore, VoterOrder};
use gaggle::sim::cluster::action::{Action, Restart};
use gaggle::sim::cluster::delay::Delay;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::timing::{Profile, Timing};

use super::stage::{PATIENCE, begun, ms, reigning, setups, stays};

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn core(story: &Scenario, node: u64) -> Option<&NodeCore> {
    let place = usize::try_from(node).unwrap() - 1;
    Some(&story.world.cluster.hosts[place].running.as_ref()?.core)
}

/// Who votes, as a node knows; none if it does not run or does not know.
fn voters(story: &Scenario, node: u64) -> Option<Vec<u64>> {
    let known = core(story, node)?.snapshot().voters?;
    Some(known.configuration.voters.ids().iter().map(|id| id.number()).collect())
}

/// The Goose is told, and told again, until it is so; whoever is Goose then.
fn change(story: &mut Scenario, order: &VoterOrder, expected: &[u64]) {
    for _ in 0..400 {
        if let Some((goose, _)) = story.goose() {
            let settled =
                core(story, goose).is_some_and(|core| core.snapshot().voter_change.is_none());
            if settled && voters(story, goose).as_deref() == Some(expected) {
                return;
            }
            story.change_voters(goose, order.clone());
        }
        story.run(50);
    }
    panic!("voters {expected:?} were to be\n{}", story.transcript());
}

fn add(number: u64) -> VoterOrder {
    VoterOrder::Add(id(number))
}

fn remove(number: u64) -> VoterOrder {
    VoterOrder::Remove(id(number))
}

fn replace(old: u64, new: u64) -> VoterOrder {
    VoterOrder::Replace { old: id(old), new: id(new) }
}

/// All of these nodes know that these vote.
fn all_know(story: &Scenario, nodes: &[u64], expected: &[u64]) {
    for node in nodes {
        let known = voters(story, *node);
        assert_eq!(known.as_deref(), Some(expected), "node {node}\n{}", story.transcript());
    }
}

#[test]
fn a_voter_is_added_and_another_removed_within_one_term() {
    let mut story = reigning(5, 3);
    let goose = story.goose();
    change(&mut story, &add(1), &[1, 2, 3]);
    change(&mut story, &add(5), &[1, 2, 3, 5]);
    change(&mut story, &remove(1), &[2, 3, 5]);
    change(&mut story, &replace(2, 4), &[3, 4, 5]);
    story.run(3000);
    assert_eq!(story.goose(), goose, "{}", story.transcript());
    all_know(&story, &[1, 2, 3, 4, 5], &[3, 4, 5]);
    // The old voters are not needed any more, and the new ones are.
    story.crash(1).crash(2);
    stays(&mut story, 3000);
    story.crash(3).run(5000);
    assert_eq!(story.until_agreed(PATIENCE), 5, "{}", story.transcript());
    story.crash(4).run(5000);
    assert_eq!(story.goose(), None, "{}", story.transcript());
}

#[test]
fn a_dead_voter_is_replaced_while_the_goose_stays() {
    let mut story = reigning(4, 3);
    let goose = story.goose();
    story.crash(1).run(1000);
    change(&mut story, &replace(1, 4), &[2, 3, 4]);
    assert_eq!(story.goose(), goose, "{}", story.transcript());
    story.crash(2);
    stays(&mut story, 3000);
    // It comes back on its record, votes no more, and learns that.
    story.start(&[1]).run(5000);
    all_know(&story, &[1], &[2, 3, 4]);
    story.crash(3).run(5000);
    assert_eq!(story.goose(), None, "two of three are gone\n{}", story.transcript());
    story.start(&[2]).run(3000);
    assert_eq!(story.until_agreed(PATIENCE), 4, "{}", story.transcript());
}

#[test]
fn one_voter_grows_to_three_and_the_first_one_may_go() {
    let mut story = begun(setups(3, 1), 3);
    let (_, term) = story.goose().unwrap();
    change(&mut story, &add(2), &[1, 2]);
    change(&mut story, &add(3), &[1, 2, 3]);
    assert_eq!(story.goose().map(|(_, term)| term), Some(term));
    let founder = 1;
    story.crash(founder).run(3000);
    assert_eq!(story.until_agreed(PATIENCE), 3, "{}", story.transcript());
    // On an empty disk, and told of no voters, it founds nothing; it votes again only because two
    // others vouch.
    story.world.cluster.hosts[0].setup.voters = None;
    story.act(Action::Start(0, Restart::Wiped)).run(20_000);
    assert_eq!(story.goose().map(|(goose, _)| goose), Some(3), "{}", story.transcript());
}

#[test]
fn an_order_survives_the_goose_at_each_of_its_steps() {
    for offset in (0..900).step_by(45) {
        let mut story = reigning(5, 3);
        let goose = story.goose().unwrap().0;
        story.change_voters(goose, add(4)).run(offset).crash(goose).run(100).start(&[goose]);
        story.until_agreed(PATIENCE);
        change(&mut story, &add(4), &[1, 2, 3, 4]);
        change(&mut story, &add(5), &[1, 2, 3, 4, 5]);
        let now = story.goose().unwrap().0;
        story.change_voters(now, replace(1, 4)).run(offset).crash(now).run(100).start(&[now]);
        story.until_agreed(PATIENCE);
        change(&mut story, &remove(1), &[2, 3, 4, 5]);
        story.run(3000);
        all_know(&story, &[1, 2, 3, 4, 5], &[2, 3, 4, 5]);
    }
}

/// The scenario that makes a lost configuration worse than a lost ballot: the set of the command
/// line is over, one of it was removed, another one lost its record, and both are a majority of it.
#[test]
fn a_wiped_voter_and_a_removed_one_are_no_majority() {
    let mut story = reigning(4, 3);
    story.crash(2).run(1000);
    assert_eq!(story.until_agreed(PATIENCE), 4);
    change(&mut story, &replace(2, 4), &[1, 3, 4]);
    story.partition(&[&[1, 2], &[3, 4]]);
    story.act(Action::Crash(0, gaggle::sim::cluster::disk::Tear::Lost));
    story.act(Action::Start(0, Restart::Wiped)).start(&[2]);
    for _ in 0..300 {
        story.run(100);
        let (goose, _) = story.goose().unwrap_or((3, 0));
        assert!([3, 4].contains(&goose), "{}", story.transcript());
    }
    story.act(Action::MendAll).run(10_000);
    all_know(&story, &[1, 2, 3, 4], &[1, 3, 4]);
    // Both others have vouched, so it votes again.
    story.crash(4).run(5000);
    assert_eq!(story.until_agreed(PATIENCE), 3, "{}", story.transcript());
}

#[test]
fn what_cannot_be_or_is_unsafe_is_refused_and_changes_nothing() {
    use gaggle::node::VoterOrderError as Error;
    let mut story = reigning(5, 3);
    let ask = |story: &mut Scenario, node: u64, order: VoterOrder| {
        let at = story.world.cluster.now();
        let host = &mut story.world.cluster.hosts[usize::try_from(node).unwrap() - 1];
        let now = host.clocks.now(at);
        host.running.as_mut().unwrap().core.change_voters(now, &order)
    };
    let goose = story.goose().unwrap().0;
    let duck = ask(&mut story, 1, add(4)).unwrap_err();
    assert!(duck.to_string().contains(&format!("node {goose}")), "{duck}");
    assert_eq!(ask(&mut story, goose, add(9)), Err(Error::Unknown(id(9))));
    assert_eq!(ask(&mut story, goose, replace(4, 5)), Err(Error::NoVoter(id(4))));
    story.crash(2).run(1500);
    let refused = ask(&mut story, goose, remove(1)).unwrap_err();
    assert!(
        matches!(refused, Error::Unsafe { granting: 1, left: 2, majority: 2, .. }),
        "{refused}"
    );
    assert!(ask(&mut story, goose, remove(2)).is_ok(), "whoever is dead may go");
    story.run(2000);
    all_know(&story, &[1, 3, 4], &[1, 3]);
    let pair = ask(&mut story, goose, remove(1));
    assert!(pair.is_ok(), "{pair:?}");

    let mut story = Scenario::with_setups(1, setups(3, 2));
    story.start(&[1, 2, 3]);
    let goose = story.until_agreed(PATIENCE);
    assert_eq!(ask(&mut story, goose, add(1)).unwrap().hold, None, "it is so already");
    assert_eq!(ask(&mut story, goose, add(3)), Err(Error::FoundedByTwo));
}

#[test]
fn a_change_ends_with_the_term_that_it_was_ordered_in() {
    let mut story = reigning(5, 3);
    let goose = story.goose().unwrap().0;
    story.freeze(4).change_voters(goose, add(4)).run(2000);
    let waits = core(&story, goose).unwrap().snapshot().voter_change.unwrap();
    assert_eq!(waits.hold, gaggle::vocabulary::voter_change::ChangeHold::Learning(vec![id(4)]));
    story.step_down(goose).run(2000);
    let next = story.goose().unwrap().0;
    assert_ne!(next, goose);
    assert!(core(&story, next).unwrap().snapshot().voter_change.is_none());
    all_know(&story, &[next], &[1, 2, 3]);
}

#[test]
fn terms_begin_where_the_founders_were_told_to() {
    let mut setups = setups(3, 3);
    setups.iter_mut().for_each(|setup| setup.first_term = 1000);
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    let goose = story.until_agreed(PATIENCE);
    assert_eq!(story.goose(), Some((goose, 1000)), "{}", story.transcript());
    story.crash(goose).run(2000);
    assert_eq!(story.goose().map(|(_, term)| term), Some(1001), "{}", story.transcript());
}

/// The founder was told of no voters, so its Goose sees to their number; the other was told of that
/// one voter. Both mean the same cluster.
#[test]
fn whoever_was_told_of_the_only_voter_may_lead_as_well() {
    let mut setups = setups(2, 1);
    (setups[0].voters, setups[0].automatic) = (None, Some(3));
    setups[0].seeds.clear();
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1]).run(1000).start(&[2]).run(3000);
    assert_eq!(story.goose(), Some((1, 1)), "{}", story.transcript());
    story.step_down(1).run(500);
    assert_eq!(story.goose(), Some((2, 2)), "{}", story.transcript());
}

/// A machine that founded a cluster alone, and was told so in its settings, has lost its disk.
#[test]
fn a_founder_on_an_empty_disk_asks_its_seeds_before_it_founds_anew() {
    let mut story = begun(setups(3, 1), 3);
    for newcomer in [2, 3] {
        let voters: Vec<u64> = (1..=newcomer).collect();
        change(&mut story, &add(newcomer), &voters);
    }
    story.crash(1).run(3000);
    assert_eq!(story.until_agreed(PATIENCE), 3, "{}", story.transcript());
    let before = story.goose();
    // `--voters` still names it alone, and it has the others as seeds.
    story.start_wiped(1).run(20_000);
    assert_eq!(story.goose(), before, "{}", story.transcript());
    all_know(&story, &[1, 2, 3], &[1, 2, 3]);
}

#[test]
fn the_only_voter_that_lost_its_record_goes_on_above_the_clock_if_a_seed_knows_its_cluster() {
    let mut story = begun(setups(2, 1), 2);
    let (_, before) = story.goose().unwrap();
    story.crash(1).run(3000);
    story.start_wiped(1).run(10_000);
    let (_, after) = story.goose().unwrap_or_else(|| panic!("{}", story.transcript()));
    assert!(after > before + 1_000_000, "above the clock\n{}", story.transcript());
    story.until_agreed(PATIENCE);
}

/// So many nodes of which the first founded alone; as many of them vote as can.
fn grown(nodes: u64) -> Scenario {
    grown_with(nodes, &Timing::of(Profile::Lan))
}

fn grown_with(nodes: u64, timing: &Timing) -> Scenario {
    let mut setups = setups(nodes, 1);
    setups[0].seeds.clear();
    for setup in &mut setups {
        (setup.voters, setup.voter_addresses) = (None, Vec::new());
        setup.timing = timing.clone();
    }
    setups[0].automatic = Some(5);
    let mut story = Scenario::with_setups(1, setups);
    let all: Vec<u64> = (1..=nodes).collect();
    story.start(&[1]).run(1000).start(&all[1..]);
    story.until(Duration::from_secs(60), "all vote", &|story: &Scenario| {
        voters(story, 1).is_some_and(|it| it == all)
    });
    story.run(3000);
    story
}

#[test]
fn nodes_that_are_stopped_one_after_another_leave_one_that_leads() {
    // The Goose, node 1, is among those who go: first, in the middle, last but one, or never.
    let orders: [&[u64]; 5] = [&[3, 2], &[1, 2], &[2, 1], &[1, 3], &[3, 1]];
    for order in orders {
        let mut story = grown(3);
        for node in order {
            story.leave(*node).run(3000);
            assert!(story.process(*node).is_none(), "{order:?}\n{}", story.transcript());
            story.until_agreed(PATIENCE);
            stays(&mut story, 2000);
        }
        let last = [1, 2, 3].into_iter().find(|id| !order.contains(id)).unwrap();
        assert_eq!(story.until_agreed(PATIENCE), last, "{order:?}\n{}", story.transcript());
        assert_eq!(voters(&story, last), Some(vec![last]), "{order:?}\n{}", story.transcript());
        // And they may all come back, on what they remember.
        story.start(order).run(40_000);
        story.until_agreed(PATIENCE);
        all_know(&story, &[1, 2, 3], &[1, 2, 3]);
    }
}

#[test]
fn five_shrink_to_one() {
    let mut story = grown(5);
    for node in [5, 4, 3, 2] {
        story.leave(node).run(3000);
        assert_eq!(story.until_agreed(PATIENCE), 1, "{}", story.transcript());
    }
    assert_eq!((voters(&story, 1), story.terms()), (Some(vec![1]), 1), "{}", story.transcript());
}

/// One at a time, as for an upgrade: nothing changes but who leads.
#[test]
fn a_voter_that_restarts_keeps_its_vote() {
    let mut story = grown(3);
    for node in [2, 3] {
        story.leave(node).run(500).start(&[node]).run(5000);
        all_know(&story, &[1, 2, 3], &[1, 2, 3]);
    }
    assert_eq!(story.goose(), Some((1, 1)), "{}", story.transcript());
}

#[test]
fn two_of_three_are_stopped_at_once_and_the_third_leads() {
    for pair in [[2, 3], [1, 2], [1, 3]] {
        let mut story = grown(3);
        story.leave(pair[0]).leave(pair[1]).run(5000);
        let last = [1, 2, 3].into_iter().find(|id| !pair.contains(id)).unwrap();
        assert_eq!(story.until_agreed(PATIENCE), last, "{pair:?}\n{}", story.transcript());
        assert!(pair.iter().all(|node| story.process(*node).is_none()), "{}", story.transcript());
    }
}

/// It votes alone, and a node without a vote is there: whichever of them leads.
#[test]
fn the_only_voter_hands_its_vote_over_before_it_goes() {
    for leads in [1, 2] {
        let mut setups = setups(2, 1);
        setups.iter_mut().for_each(|setup| setup.voters = None);
        setups[0].automatic = Some(3);
        setups[0].seeds.clear();
        let mut story = Scenario::with_setups(1, setups);
        story.start(&[1]).run(1000).start(&[2]).run(3000);
        if leads == 2 {
            story.step_down(1).run(500);
        }
        assert_eq!(story.goose().map(|(id, _)| id), Some(leads), "{}", story.transcript());
        story.leave(1).run(6000);
        assert!(story.process(1).is_none(), "{}", story.transcript());
        assert_eq!(story.until_agreed(PATIENCE), 2, "{}", story.transcript());
        stays(&mut story, 3000);
        all_know(&story, &[2], &[2]);
    }
}

/// The Goose hears both at once, and needs some writes on a slow disk before it votes alone. (On one that
/// takes as long as the lease nobody can change voters.)
#[test]
fn two_that_are_stopped_at_once_wait_for_slow_disks() {
    for slow in (50..450).step_by(25).map(|it| it * 1_000_000) {
        let mut story = grown(3);
        for node in 0..3 {
            story.act(Action::SlowDisk(node, Some(Delay::Constant(slow))));
        }
        story.leave(2).leave(3).run(8000);
        assert_eq!(story.until_agreed(PATIENCE), 1, "{slow}\n{}", story.transcript());
        stays(&mut story, 3000);
        all_know(&story, &[1], &[1]);
    }
}

/// Nobody waits for somebody who is about to go, too.
#[test]
fn all_that_are_stopped_together_end_soon() {
    for pause in (0..400).step_by(50) {
        let mut story = grown(3);
        for node in [1, 2, 3] {
            story.leave(node).run(pause);
        }
        let ended = story.until(PATIENCE, "all end", &|story: &Scenario| {
            [1, 2, 3].iter().all(|node| story.process(*node).is_none())
        });
        assert!(ended < Duration::from_secs(3), "{pause}: {ended:?}\n{}", story.transcript());
    }
}

/// With a long lease what is gone still counts for long: it goes first all the same.
#[test]
fn nodes_with_a_long_lease_may_be_stopped_one_after_another() {
    for (order, pause) in [([3, 2], 0), ([3, 2], 1000), ([2, 3], 1000), ([3, 2], 6000)] {
        let mut story = grown_with(3, &Timing::of(Profile::Lan).with_lease(ms(10_000)));
        for node in order {
            story.leave(node).run(pause);
        }
        let gone = |story: &Scenario| order.iter().all(|node| story.process(*node).is_none());
        story.until(PATIENCE, "both end", &gone);
        story.run(30_000);
        assert_eq!(story.until_agreed(PATIENCE), 1, "{order:?} {pause}\n{}", story.transcript());
        all_know(&story, &[1], &[1]);
    }
}

#[test]
fn one_that_is_killed_is_not_counted_on_by_one_that_is_stopped() {
    for pause in (0..1000).step_by(100) {
        let mut story = grown(3);
        story.crash(3).run(pause).leave(2);
        story.until(PATIENCE, "it ends", &|story: &Scenario| story.process(2).is_none());
        story.run(3000);
        assert_eq!(story.until_agreed(PATIENCE), 1, "{pause}\n{}", story.transcript());
        all_know(&story, &[1], &[1]);
    }
}
