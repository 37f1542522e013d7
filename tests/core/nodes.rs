//! The core in a few lines of its own: nodes as values, datagrams in a sorted queue, time as a
//! number. What the simulator does at length, kept small enough to read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use gaggle::node::{NodeCore, Output, StartError, StepDownError};
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::event::Event;
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::message::Founding;
use gaggle::vocabulary::record::{Disk, Record};
use gaggle::vocabulary::setup::Setup;
use gaggle::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};

const LATENCY: u64 = 200_000;

struct World {
    now: u64,
    sequence: u64,
    nodes: BTreeMap<u64, NodeCore>,
    records: BTreeMap<u64, Record>,
    mail: BTreeMap<(u64, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    log: Vec<String>,
    /// How often each node has written its record.
    writes: BTreeMap<u64, u32>,
    /// What each node is told of preemption.
    preempt: BTreeMap<u64, bool>,
    /// Whose record cannot be read at the next start.
    damaged: BTreeSet<u64>,
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn address(number: u64) -> SocketAddr {
    format!("10.0.0.{number}:8000").parse().unwrap()
}

impl World {
    fn new() -> Self {
        Self {
            now: 1_000_000_000,
            sequence: 0,
            nodes: BTreeMap::new(),
            records: BTreeMap::new(),
            mail: BTreeMap::new(),
            log: Vec::new(),
            writes: BTreeMap::new(),
            preempt: BTreeMap::new(),
            damaged: BTreeSet::new(),
        }
    }

    fn now(&self) -> Now {
        Now {
            holder: HolderTime(self.now),
            voter: VoterTime(self.now),
            wall: WallTime(1_700_000_000_000 + self.now / 1_000_000),
        }
    }

    fn start(&mut self, number: u64, voters: &[u64]) {
        self.try_start(number, voters).unwrap();
    }

    fn try_start(&mut self, number: u64, voters: &[u64]) -> Result<(), StartError> {
        let setup = Setup {
            seeds: vec![address(1).to_string()],
            voters: (!voters.is_empty())
                .then(|| VoterSet::new(voters.iter().map(|n| id(*n)).collect()).unwrap()),
            voter_addresses: voters.iter().map(|n| (id(*n), address(*n))).collect(),
            preempt: self.preempt.get(&number).copied(),
            entropy: [u8::try_from(number + self.sequence % 200).unwrap(); 32],
            ..Setup::new(ClusterName::new("test").unwrap(), id(number), address(number))
        };
        let disk = match self.records.get(&number).cloned() {
            _ if self.damaged.remove(&number) => Disk::Damaged(None),
            Some(record) => Disk::Sound(record),
            None => Disk::Empty,
        };
        let node = NodeCore::new(setup, disk, self.now())?;
        self.nodes.insert(number, node);
        self.drain(number);
        Ok(())
    }

    fn drain(&mut self, number: u64) {
        let now = self.now();
        loop {
            let Some(output) = self.nodes.get_mut(&number).and_then(NodeCore::poll_output) else {
                return;
            };
            match output {
                Output::Transmit { to, datagram } => {
                    self.sequence += 1;
                    let mail = (address(number), to, datagram);
                    self.mail.insert((self.now + LATENCY, self.sequence), mail);
                }
                Output::Store { ticket, record } => {
                    self.records.insert(number, *record);
                    *self.writes.entry(number).or_default() += 1;
                    self.nodes.get_mut(&number).unwrap().handle_stored(now, ticket, Ok(()));
                }
                Output::Resolve(_) | Output::EndWork(_) | Output::SteppedDown(_) => {}
                Output::Event(event) => {
                    let milliseconds = self.now / 1_000_000 - 1000;
                    if !matches!(event, Event::MemberChanged { .. }) {
                        self.log.push(format!("{milliseconds:6} ms  node {number}: {event:?}"));
                    }
                }
            }
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + u64::try_from(span.as_nanos()).unwrap();
        loop {
            let now = self.now();
            let mail = self.mail.first_key_value().map(|((at, _), _)| *at);
            let timer = self
                .nodes
                .iter()
                .filter_map(|(number, node)| {
                    Some((self.now + nanos(node.poll_timeout(now)?), *number))
                })
                .min();
            let next = mail.unwrap_or(u64::MAX).min(timer.map_or(u64::MAX, |(at, _)| at));
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            let now = self.now();
            if mail == Some(next) {
                let (_, (from, to, datagram)) = self.mail.pop_first().unwrap();
                let number = self.nodes.keys().copied().find(|number| address(*number) == to);
                if let Some(number) = number {
                    self.nodes.get_mut(&number).unwrap().handle_datagram(now, from, &datagram);
                    self.drain(number);
                }
            } else if let Some((_, number)) = timer {
                self.nodes.get_mut(&number).unwrap().handle_timeout(now);
                self.drain(number);
            }
        }
    }

    fn geese(&self) -> Vec<u64> {
        let leads = |node: &NodeCore| {
            node.lease().is_some_and(|lease| HolderTime(self.now) < lease.deadline)
        };
        self.nodes.iter().filter(|(_, node)| leads(node)).map(|(number, _)| *number).collect()
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

#[test]
fn three_nodes_elect_the_highest_and_replace_it_when_it_dies_or_leaves() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_millis(200));
    let log = world.log.join("\n");
    assert_eq!(world.geese(), [3], "{log}");
    assert_eq!(world.nodes[&3].term(), 1, "{log}");
    world.nodes.remove(&3);
    world.run_for(Duration::from_millis(700));
    assert_eq!(world.geese(), [2], "{}", world.log.join("\n"));
    world.start(3, &[1, 2, 3]);
    world.run_for(Duration::from_millis(1000));
    assert_eq!(world.geese(), [2], "sticky\n{}", world.log.join("\n"));
    let now = world.now();
    world.nodes.get_mut(&2).unwrap().leave(now);
    world.drain(2);
    world.run_for(Duration::from_millis(5));
    assert_eq!(world.geese(), [3], "{}", world.log.join("\n"));
    world.run_for(Duration::from_millis(700));
    assert!(world.nodes[&2].has_left(world.now()));
    world.nodes.remove(&2);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.geese(), [3], "{}", world.log.join("\n"));
    world.nodes.remove(&1);
    world.run_for(Duration::from_secs(1));
    assert!(world.geese().is_empty(), "{}", world.log.join("\n"));
}

/// The claim that follows a release would have to wait for the release's own write.
#[test]
fn a_release_is_written_together_with_the_claim_that_follows_or_soon_after() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_secs(1));
    world.writes.clear();
    let now = world.now();
    world.nodes.get_mut(&3).unwrap().step_down(now, None, None).unwrap();
    world.drain(3);
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.geese(), [2], "{}", world.log.join("\n"));
    assert_eq!(world.writes, BTreeMap::from([(1, 1), (2, 1), (3, 1)]));

    // Here nobody claims.
    world.nodes.retain(|number, _| *number == 2);
    world.writes.clear();
    let now = world.now();
    world.nodes.get_mut(&2).unwrap().leave(now);
    world.drain(2);
    world.run_for(Duration::from_millis(4));
    assert_eq!(world.writes, BTreeMap::new());
    world.run_for(Duration::from_millis(2));
    assert_eq!(world.writes, BTreeMap::from([(2, 1)]));
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
    assert_eq!(world.geese(), [3], "{}", world.log.join("\n"));
    assert_eq!(world.nodes[&9].term(), 1);
    assert_eq!(world.nodes[&9].snapshot().members.len(), 4);
    // When the Goose dies, the highest node leads, voter or not.
    world.nodes.remove(&3);
    world.run_for(Duration::from_millis(700));
    assert_eq!(world.geese(), [9], "{}", world.log.join("\n"));
}

#[test]
fn preemption_is_settled_at_the_founding() {
    let mut world = World::new();
    for number in [1, 2, 3] {
        world.preempt.insert(number, true);
        world.start(number, &[1, 2, 3]);
    }
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.geese(), [3], "{}", world.log.join("\n"));

    // Whoever joins with another opinion is told, and goes along.
    world.preempt.insert(9, false);
    world.start(9, &[]);
    world.run_for(Duration::from_millis(500));
    let log = world.log.join("\n");
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
    let log = world.log.join("\n");
    assert!(log.contains("Foreign { reason: ForeignVoters"), "{log}");
}

#[test]
fn silent_seeds_are_named_once_and_asked_for_ever() {
    let mut world = World::new();
    world.start(9, &[]);
    world.run_for(Duration::from_secs(120));
    let silence = "node 9: Warning(SeedsSilent { seeds: [\"10.0.0.1:8000\"] })";
    let log = world.log.join("\n");
    assert_eq!(log.matches(silence).count(), 1, "{log}");
    world.start(1, &[1]);
    world.run_for(Duration::from_secs(2));
    let log = world.log.join("\n");
    assert!(log.contains("node 9: Joined"), "{log}");
    assert_eq!(log.matches("SeedsSilent").count(), 1, "{log}");
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
        assert_eq!(world.geese(), [next], "{}", world.log.join("\n"));
    }
    // Both others hold back, for 2.4 s each.
    assert_eq!(order(&mut world, 1, None), Err(StepDownError::NoStandby));
    assert_eq!(world.geese(), [1]);
    // An operator may ask one of them all the same.
    order(&mut world, 1, Some(3)).unwrap();
    assert_eq!(world.geese(), [3], "{}", world.log.join("\n"));
    world.run_for(Duration::from_secs(3));
    order(&mut world, 3, None).unwrap();
    assert_eq!(world.geese(), [2], "{}", world.log.join("\n"));
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
        assert!(is_lost, "{vote:?}\n{}", world.log.join("\n"));
        let vote = vote_after(&mut world, 4);
        let is_regained = vote.founding == Founding::Waited && vote.max_ballot >= 1;
        assert!(is_regained, "{vote:?}\n{}", world.log.join("\n"));
    }
}
