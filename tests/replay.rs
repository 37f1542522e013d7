//! What an attacker can do who hears everything and sends it again, and what a stranger can
//! draw out of a node. Five sealed nodes in a network of a few lines, time as a number.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gaggle::node::{NodeCore, Output};
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::datagram::{DATAGRAM_SIZE_MAX, Reject};
use gaggle::vocabulary::event::{Event, Warning};
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::record::{Disk, Record};
use gaggle::vocabulary::seal::KeyRing;
use gaggle::vocabulary::setup::Setup;
use gaggle::vocabulary::snapshot::MemberState;
use gaggle::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};
use gaggle::vocabulary::timing::{Profile, Timing};

const LATENCY: u64 = 200_000;
const MILLISECOND: u64 = 1_000_000;
const VOTERS: [u64; 3] = [1, 2, 3];

type Datagram = (SocketAddr, SocketAddr, Vec<u8>);

struct World {
    now: u64,
    sequence: u64,
    nodes: BTreeMap<u64, NodeCore>,
    records: BTreeMap<u64, Record>,
    mail: BTreeMap<(u64, u64), Datagram>,
    captured: Vec<Datagram>,
    events: Vec<(u64, Event)>,
    /// What was sent to addresses where no node lives.
    lost: Vec<Datagram>,
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn address(number: u64) -> SocketAddr {
    format!("10.0.0.{number}:8000").parse().unwrap()
}

fn ring(keys: &[u8]) -> Option<KeyRing> {
    Some(KeyRing::new(keys.iter().map(|key| [*key; 32]).collect()).unwrap())
}

impl World {
    fn new() -> Self {
        Self {
            now: 1_000_000_000,
            sequence: 0,
            nodes: BTreeMap::new(),
            records: BTreeMap::new(),
            mail: BTreeMap::new(),
            captured: Vec::new(),
            events: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Nodes 1 to `count`, the first three of which vote, after half a second.
    fn running(count: u64, keys: Option<&KeyRing>) -> Self {
        let mut world = Self::new();
        for number in 1..=count {
            world.start(number, keys);
        }
        world.run_for(Duration::from_millis(500));
        assert_eq!(world.geese(), [count], "{:?}", world.events);
        world
    }

    fn now(&self) -> Now {
        Now {
            holder: HolderTime(self.now),
            voter: VoterTime(self.now),
            wall: WallTime(1_700_000_000_000 + self.now / MILLISECOND),
        }
    }

    fn start(&mut self, number: u64, keys: Option<&KeyRing>) {
        let mut entropy = [u8::try_from(number).unwrap(); 32];
        entropy[8..16].copy_from_slice(&self.now.to_le_bytes());
        let setup = Setup {
            cluster: ClusterName::new("test").unwrap(),
            id: id(number),
            address: address(number),
            http: None,
            seeds: vec![address(1).to_string(), address(2).to_string()],
            voters: Some(VoterSet::new(VOTERS.map(id).to_vec()).unwrap()),
            voter_addresses: VOTERS.iter().map(|n| (id(*n), address(*n))).collect(),
            preempt: None,
            eligible: true,
            timing: Timing::of(Profile::Lan),
            keys: keys.cloned(),
            entropy,
        };
        let disk = self.records.get(&number).cloned().map_or(Disk::Empty, Disk::Sound);
        let node = NodeCore::new(setup, disk, self.now()).unwrap();
        self.nodes.insert(number, node);
        self.drain(number);
    }

    fn drain(&mut self, number: u64) {
        let now = self.now();
        while let Some(output) = self.nodes.get_mut(&number).and_then(NodeCore::poll_output) {
            match output {
                Output::Transmit { to, datagram } => {
                    assert!(datagram.len() <= DATAGRAM_SIZE_MAX);
                    let letter = (address(number), to, datagram);
                    self.captured.push(letter.clone());
                    self.post(LATENCY, letter);
                }
                Output::Store { ticket, record } => {
                    self.records.insert(number, *record);
                    self.nodes.get_mut(&number).unwrap().handle_stored(now, ticket, Ok(()));
                }
                Output::Resolve(_) => {}
                Output::Event(event) => self.events.push((number, event)),
            }
        }
    }

    fn post(&mut self, after: u64, letter: Datagram) {
        self.sequence += 1;
        self.mail.insert((self.now + after, self.sequence), letter);
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + nanoseconds(span);
        loop {
            let now = self.now();
            let mail = self.mail.first_key_value().map(|((at, _), _)| *at);
            let due = |node: &NodeCore| Some(self.now + nanoseconds(node.poll_timeout(now)?));
            let timers = self.nodes.iter().filter_map(|(number, node)| Some((due(node)?, *number)));
            let timer = timers.min();
            let next = mail.unwrap_or(u64::MAX).min(timer.map_or(u64::MAX, |(at, _)| at));
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            let now = self.now();
            if mail == Some(next) {
                let (_, letter) = self.mail.pop_first().unwrap();
                self.deliver(now, letter);
            } else if let Some((_, number)) = timer {
                self.nodes.get_mut(&number).unwrap().handle_timeout(now);
                self.drain(number);
            }
        }
    }

    fn deliver(&mut self, now: Now, (from, to, datagram): Datagram) {
        let number = self.nodes.keys().copied().find(|number| address(*number) == to);
        match number {
            Some(number) => {
                self.nodes.get_mut(&number).unwrap().handle_datagram(now, from, &datagram);
                self.drain(number);
            }
            None => self.lost.push((from, to, datagram)),
        }
    }

    fn geese(&self) -> Vec<u64> {
        let now = HolderTime(self.now);
        let leads = |node: &NodeCore| node.lease().is_some_and(|lease| now < lease.deadline);
        self.nodes.iter().filter(|(_, node)| leads(node)).map(|(number, _)| *number).collect()
    }

    fn terms(&self) -> Vec<u64> {
        self.nodes.values().map(NodeCore::term).collect()
    }

    fn rejected(&self, number: u64, reason: Reject) -> u64 {
        let position = Reject::ALL.iter().position(|other| *other == reason).unwrap();
        self.nodes[&number].snapshot().counters.rejected[position]
    }

    /// Sends everything that was captured again and again for `span`, `pace` apart, to where
    /// it was going at first.
    fn replay(&mut self, span: Duration, pace: u64) {
        let captured = self.captured.clone();
        let count = nanoseconds(span) / pace;
        for (at, letter) in (0..count).zip(captured.iter().cycle()) {
            self.post(at * pace, letter.clone());
        }
        self.run_for(span);
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

/// A run with everything in it: founding, a node that leaves, a Goose that dies, its return as
/// another boot, a voter that restarts, a node that is gone for good.
fn eventful() -> World {
    let keys = ring(&[1]);
    let mut world = World::running(6, keys.as_ref());
    let now = world.now();
    world.nodes.get_mut(&6).unwrap().leave(now);
    world.drain(6);
    world.run_for(Duration::from_millis(700));
    world.nodes.remove(&6);
    assert_eq!(world.geese(), [5]);
    world.nodes.remove(&5);
    world.run_for(Duration::from_secs(8));
    assert_eq!(world.geese(), [4]);
    world.start(5, keys.as_ref());
    world.nodes.remove(&2);
    world.run_for(Duration::from_secs(1));
    world.start(2, keys.as_ref());
    world.run_for(Duration::from_secs(5));
    world
}

#[test]
fn a_whole_run_sent_again_for_a_minute_changes_nothing() {
    let mut world = eventful();
    let (geese, terms) = (world.geese(), world.terms());
    assert_eq!(geese, [4], "sticky");
    let members = |world: &World| {
        let listed = |node: &NodeCore| (*node.snapshot().members).clone();
        world.nodes.values().map(listed).collect::<Vec<_>>()
    };
    let before = members(&world);
    let alive: Vec<_> =
        before[0].iter().filter(|member| member.state == MemberState::Alive).collect();
    assert_eq!(alive.len(), 5);
    world.events.clear();
    world.replay(Duration::from_secs(60), MILLISECOND);
    assert_eq!((world.geese(), world.terms()), (geese, terms));
    assert_eq!(world.events, [], "nothing happened");
    assert_eq!(members(&world), before, "no member changed its state or its boot");
    let repeated: u64 = (1..=5).map(|number| world.rejected(number, Reject::Replayed)).sum();
    assert!(repeated > 10_000, "{repeated}");
    let snapshots = world.nodes.values().map(NodeCore::snapshot);
    let withheld: u64 = snapshots.map(|snapshot| snapshot.counters.answers_withheld).sum();
    assert_eq!(withheld, 0, "nothing honest is kept back");
}

/// Renewals of a Goose that is gone, sent again: its grants run out when they would have.
#[test]
fn no_grant_is_extended_and_no_fail_over_delayed() {
    let takeover = |replays: bool| {
        let mut world = eventful();
        world.nodes.remove(&4);
        let died = world.now;
        while world.geese().is_empty() {
            let span = Duration::from_millis(20);
            if replays {
                world.replay(span, MILLISECOND / 20);
            } else {
                world.run_for(span);
            }
            assert!(world.now - died < 5000 * MILLISECOND, "nobody leads");
        }
        (world.geese(), (world.now - died) / MILLISECOND)
    };
    let (geese, span) = takeover(false);
    assert_eq!(geese, [5]);
    let (attacked_geese, attacked_span) = takeover(true);
    assert_eq!(attacked_geese, geese);
    assert!(attacked_span <= span + 40, "{attacked_span} ms instead of {span}");
}

/// A cluster that remembers nothing of its senders, for it has restarted altogether.
#[test]
fn an_earlier_life_of_the_cluster_sent_again_changes_nothing() {
    let keys = ring(&[1]);
    let mut world = eventful();
    world.nodes.clear();
    world.mail.clear();
    world.run_for(Duration::from_secs(1));
    for number in 1..=4 {
        world.start(number, keys.as_ref());
    }
    world.run_for(Duration::from_secs(10));
    let (geese, terms) = (world.geese(), world.terms());
    assert_eq!(geese, [4]);
    world.events.clear();
    world.replay(Duration::from_secs(60), MILLISECOND);
    assert_eq!((world.geese(), world.terms()), (geese, terms));
    assert_eq!(world.events, [], "nobody of before is believed to be here");
    // Nor does a contender of before hold an election up.
    world.nodes.remove(&4);
    let died = world.now;
    while world.geese().is_empty() {
        world.replay(Duration::from_millis(20), MILLISECOND / 20);
        assert!(world.now - died < 700 * MILLISECOND, "nobody leads");
    }
    assert_eq!(world.geese(), [3]);
}

#[test]
fn keys_rotate_without_anybody_noticing() {
    let mut world = World::running(5, ring(&[1]).as_ref());
    world.run_for(Duration::from_secs(3));
    let terms = world.terms();
    world.events.clear();
    for keys in [&[1, 2][..], &[2, 1], &[2]] {
        for number in 1..=5 {
            world.nodes.get_mut(&number).unwrap().rotate_keys(ring(keys).unwrap());
            world.run_for(Duration::from_millis(700));
        }
    }
    assert_eq!((world.geese(), world.terms()), (vec![5], terms));
    assert_eq!(world.events, []);
}

#[test]
fn a_node_with_another_key_or_none_is_named_on_both_sides() {
    let warned = |world: &World, on: u64, expected: Reject| {
        let matches = |(number, event): &&(u64, Event)| {
            *number == on
                && matches!(event, Event::Warning(Warning::Sealing { reason, .. })
                    if *reason == expected)
        };
        world.events.iter().filter(matches).count()
    };
    for (keys, here) in [(None, Reject::Unsealed), (ring(&[9]), Reject::UnknownKey)] {
        let mut world = World::running(3, ring(&[1]).as_ref());
        world.start(4, keys.as_ref());
        // The others learn where it is only if they are told; a voter knows.
        world.nodes.remove(&3);
        world.start(3, keys.as_ref());
        world.run_for(Duration::from_secs(10));
        assert_eq!(warned(&world, 1, here), 1, "once and not at every datagram");
        assert_eq!(warned(&world, 4, Reject::UnknownKey), 1, "a stranger learns it, too");
        assert_eq!(warned(&world, 3, Reject::UnknownKey), 1, "{:?}", world.events);
        assert!(world.rejected(1, here) > 3 && world.rejected(3, Reject::UnknownKey) > 3);
        assert_eq!(world.geese(), [2], "the others go on");
    }
}

#[test]
fn strangers_draw_at_most_three_times_what_they_send() {
    for keys in [None, ring(&[1])] {
        let mut world = World::running(5, keys.as_ref());
        world.run_for(Duration::from_secs(1));
        // Everything that was ever sent, from an address that never received anything; in a
        // network without keys, also to nodes that do not know the sender.
        let captured = world.captured.clone();
        let victim: SocketAddr = "203.0.113.7:53".parse().unwrap();
        world.start(5, keys.as_ref());
        world.run_for(Duration::from_secs(3));
        let mut answers = 0;
        for (_, to, datagram) in captured {
            world.lost.clear();
            let size = datagram.len();
            let now = world.now();
            world.deliver(now, (victim, to, datagram));
            world.run_for(Duration::from_micros(500));
            let drawn = |(_, to, _): &&Datagram| *to == victim;
            let drawn: Vec<usize> =
                world.lost.iter().filter(drawn).map(|(_, _, text)| text.len()).collect();
            assert!(drawn.iter().sum::<usize>() <= 3 * size, "{drawn:?} for {size}");
            answers += drawn.len();
        }
        if keys.is_none() {
            assert!(answers > 10, "some were answered: {answers}");
        }
    }
}
