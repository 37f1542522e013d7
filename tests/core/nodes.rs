//! The core without a world around it: nodes as values, and a postbox between them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use gaggle::node::{Output, StartError, StepDownError};
use gaggle::sim::postbox::{Carrier, ORIGIN, Postbox, id, setup};
use gaggle::vocabulary::event::Event;
use gaggle::wire::message::Founding;
use gaggle::wire::record::Disk;

/// What nodes say and write.
#[derive(Default)]
struct Log {
    log: Vec<String>,
    /// How often each node has written its record.
    writes: BTreeMap<u64, u32>,
}

impl Carrier for Log {
    fn see(&mut self, now: u64, number: u64, output: &Output) {
        match output {
            Output::Store { .. } => *self.writes.entry(number).or_default() += 1,
            Output::Event(event) if !matches!(event, Event::MemberChanged { .. }) => {
                let milliseconds = (now - ORIGIN) / 1_000_000;
                self.log.push(format!("{milliseconds:6} ms  node {number}: {event:?}"));
            }
            _ => {}
        }
    }
}

struct World {
    postbox: Postbox<Log>,
    /// What each node is told of preemption.
    preempt: BTreeMap<u64, bool>,
    /// Whose record cannot be read at the next start.
    damaged: BTreeSet<u64>,
}

impl Deref for World {
    type Target = Postbox<Log>;
    fn deref(&self) -> &Postbox<Log> {
        &self.postbox
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Postbox<Log> {
        &mut self.postbox
    }
}

impl World {
    fn new() -> Self {
        let postbox = Postbox::new(Log::default());
        Self { postbox, preempt: BTreeMap::new(), damaged: BTreeSet::new() }
    }

    fn start(&mut self, number: u64, voters: &[u64]) {
        self.try_start(number, voters).unwrap();
    }

    fn try_start(&mut self, number: u64, voters: &[u64]) -> Result<(), StartError> {
        let mut setup = setup("test", number, voters);
        setup.preempt = self.preempt.get(&number).copied();
        setup.entropy[8..16].copy_from_slice(&self.time().to_le_bytes());
        if self.damaged.remove(&number) {
            return self.start_on(setup, Disk::Damaged(None));
        }
        self.postbox.start(setup)
    }
}

#[test]
fn three_nodes_elect_the_highest_and_replace_it_when_it_dies_or_leaves() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_millis(200));
    let log = world.carrier.log.join("\n");
    assert_eq!(world.geese(), [3], "{log}");
    assert_eq!(world.nodes[&3].term(), 1, "{log}");
    world.nodes.remove(&3);
    world.run_for(Duration::from_millis(700));
    assert_eq!(world.geese(), [2], "{}", world.carrier.log.join("\n"));
    world.start(3, &[1, 2, 3]);
    world.run_for(Duration::from_millis(1000));
    assert_eq!(world.geese(), [2], "sticky\n{}", world.carrier.log.join("\n"));
    let now = world.now();
    world.nodes.get_mut(&2).unwrap().leave(now);
    world.drain(2);
    world.run_for(Duration::from_millis(5));
    assert_eq!(world.geese(), [3], "{}", world.carrier.log.join("\n"));
    world.run_for(Duration::from_millis(700));
    assert!(world.nodes[&2].has_left(world.now()));
    world.nodes.remove(&2);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.geese(), [3], "{}", world.carrier.log.join("\n"));
    world.nodes.remove(&1);
    world.run_for(Duration::from_secs(1));
    assert!(world.geese().is_empty(), "{}", world.carrier.log.join("\n"));
}

/// The claim that follows a release would have to wait for the release's own write.
#[test]
fn a_release_is_written_together_with_the_claim_that_follows_or_soon_after() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_secs(1));
    world.carrier.writes.clear();
    let now = world.now();
    world.nodes.get_mut(&3).unwrap().step_down(now, None, None).unwrap();
    world.drain(3);
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.geese(), [2], "{}", world.carrier.log.join("\n"));
    assert_eq!(world.carrier.writes, BTreeMap::from([(1, 1), (2, 1), (3, 1)]));

    // Here nobody claims.
    world.nodes.retain(|number, _| *number == 2);
    world.carrier.writes.clear();
    let now = world.now();
    world.nodes.get_mut(&2).unwrap().leave(now);
    world.drain(2);
    world.run_for(Duration::from_millis(4));
    assert_eq!(world.carrier.writes, BTreeMap::new());
    world.run_for(Duration::from_millis(2));
    assert_eq!(world.carrier.writes, BTreeMap::from([(2, 1)]));
    assert_eq!(world.records[&2].vote.as_ref().unwrap().max_holder, None);
}

#[test]
fn a_joiner_needs_only_a_seed_and_becomes_a_duck() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_millis(300));
    world.start(9, &[]);
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.geese(), [3], "{}", world.carrier.log.join("\n"));
    assert_eq!(world.nodes[&9].term(), 1);
    assert_eq!(world.nodes[&9].snapshot().members.len(), 4);
    // When the Goose dies, the highest node leads, voter or not.
    world.nodes.remove(&3);
    world.run_for(Duration::from_millis(700));
    assert_eq!(world.geese(), [9], "{}", world.carrier.log.join("\n"));
}

#[test]
fn preemption_is_settled_at_the_founding() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.preempt.insert(number, true);
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.geese(), [3], "{}", world.carrier.log.join("\n"));

    // Whoever joins with another opinion is told, and goes along.
    world.preempt.insert(9, false);
    world.start(9, &[]);
    world.run_for(Duration::from_millis(500));
    let log = world.carrier.log.join("\n");
    assert!(log.contains("node 9: Warning(PreemptDiffers { cluster: true })"), "{log}");
    assert_eq!(world.nodes[&9].term(), 1);

    // A voter whose record says otherwise does not start; one that says nothing does.
    world.nodes.remove(&1);
    world.preempt.insert(1, false);
    let refused = world.try_start(1, &[1, 2, 3]).unwrap_err();
    assert_eq!(refused, StartError::PreemptDiffers { recorded: true });
    world.preempt.remove(&1);
    world.start(1, &[1, 2, 3]);

    // The same voters without preemption are another cluster.
    world.records.remove(&2);
    world.nodes.remove(&2);
    world.preempt.insert(2, false);
    world.start(2, &[1, 2, 3]);
    world.run_for(Duration::from_secs(1));
    let log = world.carrier.log.join("\n");
    assert!(log.contains("Foreign { reason: ForeignVoters"), "{log}");
}

#[test]
fn silent_seeds_are_named_once_and_asked_for_ever() {
    let mut world = World::new();
    world.start(9, &[]);
    world.run_for(Duration::from_secs(120));
    let silence = "node 9: Warning(SeedsSilent { seeds: [\"10.0.0.1:8000\"] })";
    let log = world.carrier.log.join("\n");
    assert_eq!(log.matches(silence).count(), 1, "{log}");
    world.start(1, &[1]);
    world.run_for(Duration::from_secs(2));
    let log = world.carrier.log.join("\n");
    assert!(log.contains("node 9: Joined"), "{log}");
    assert_eq!(log.matches("SeedsSilent").count(), 1, "{log}");
}

#[test]
fn whoever_is_asked_for_a_cluster_and_waits_for_one_itself_says_once_that_nobody_founded_any() {
    let mut world = World::new();
    world.start(1, &[]);
    world.start(2, &[]);
    world.run_for(Duration::from_secs(2));
    let said = |world: &World| world.carrier.log.join("\n");
    assert!(!said(&world).contains("NobodyFounded"), "a founder may be about to start");
    world.run_for(Duration::from_secs(120));
    let log = said(&world);
    let warning = "node 1: Warning(NobodyFounded { other: NodeId(2), address: 10.0.0.2:8000 })";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(!log.contains("node 1: Warning(SeedsSilent"), "{log}");
    // Node 2 was asked by nobody.
    assert_eq!(log.matches("NobodyFounded").count(), 1, "{log}");
}

#[test]
fn a_step_down_that_would_leave_nobody_is_refused() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_secs(1));
    let order = |world: &mut World, number: u64, to: Option<u64>| {
        let now = world.now();
        let node = world.nodes.get_mut(&number).unwrap();
        let outcome = node.step_down(now, to.map(id), None);
        world.drain(number);
        world.run_for(Duration::from_millis(300));
        outcome
    };
    for (goose, next) in [(3, 2), (2, 1)] {
        order(&mut world, goose, None).unwrap();
        assert_eq!(world.geese(), [next], "{}", world.carrier.log.join("\n"));
    }
    // Both others hold back, for 2.4 s each.
    assert_eq!(order(&mut world, 1, None), Err(StepDownError::NoStandby));
    assert_eq!(world.geese(), [1]);
    // An operator may ask one of them all the same.
    order(&mut world, 1, Some(3)).unwrap();
    assert_eq!(world.geese(), [3], "{}", world.carrier.log.join("\n"));
    world.run_for(Duration::from_secs(3));
    order(&mut world, 3, None).unwrap();
    assert_eq!(world.geese(), [2], "{}", world.carrier.log.join("\n"));
}

/// Found by simulation (`--seed 8150`, `--seed 8489`): the second process took the record of the
/// first one for sound, and began at ballot 0, below terms that were over.
#[test]
fn a_lost_vote_is_still_lost_after_a_crash_during_the_wait() {
    for voters in [&[1, 2, 3][..], &[]] {
        let mut world = World::new();
        for number in [1, 2, 3] {
            world.start(number, &[1, 2, 3]);
        }
        world.run_for(Duration::from_millis(300));
        world.nodes.remove(&2);
        world.damaged.insert(2);
        world.start(2, voters);
        world.nodes.remove(&2);
        world.start(2, voters);
        let vote_after = |world: &mut World, seconds| {
            world.run_for(Duration::from_secs(seconds));
            world.records[&2].vote.clone().unwrap()
        };
        let vote = vote_after(&mut world, 2);
        let is_lost = matches!(vote.founding, Founding::Lost { .. });
        assert!(is_lost, "{vote:?}\n{}", world.carrier.log.join("\n"));
        let vote = vote_after(&mut world, 4);
        let is_regained = vote.founding == Founding::Waited && vote.max_ballot >= 1;
        assert!(is_regained, "{vote:?}\n{}", world.carrier.log.join("\n"));
    }
}
