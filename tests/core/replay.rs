//! What an attacker can do who hears everything and sends it again, and what a stranger can
//! draw out of a node. Five sealed nodes and a postbox, time as a number.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use gaggle::membership::identity::MemberIdentity;
use gaggle::node::{NodeCore, Output};
use gaggle::sim::postbox::{Carrier, Datagram, Postbox, TRAVEL, address, id, setup};
use gaggle::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
use gaggle::vocabulary::event::{Event, Warning};
use gaggle::vocabulary::goose::Goose;
use gaggle::vocabulary::identity::{Boot, Process};
use gaggle::vocabulary::metadata::{Metadata, MetadataQuery, MetadataReply};
use gaggle::vocabulary::reject::Reject;
use gaggle::vocabulary::snapshot::MemberState;
use gaggle::vocabulary::time::nanoseconds;
use gaggle::vocabulary::timing::{Profile, Timing};
use gaggle::wire::codec;
use gaggle::wire::datagram::{self, Addressee, DATAGRAM_SIZE_MAX, Header};
use gaggle::wire::message::{
    Acquire, AcquireKind, Assurance, Grant, Join, Kind, Message, Nak, NakReason, Poll, PollAck,
    Release, Standing, VoterStatus, Welcome,
};
use gaggle::wire::seal::{self, KeyRing};

const MILLISECOND: u64 = 1_000_000;
const VOTERS: [u64; 3] = [1, 2, 3];

/// Who hears everything.
#[derive(Default)]
struct Eavesdropper {
    captured: Vec<Datagram>,
    events: Vec<(u64, Event)>,
    /// What was sent to addresses where no node lives.
    lost: Vec<Datagram>,
}

impl Carrier for Eavesdropper {
    fn see(&mut self, _now: u64, number: u64, output: &Output) {
        if let Output::Event(event) = output {
            self.events.push((number, event.clone()));
        }
    }

    fn carry(&mut self, datagram: &Datagram, arrive: &mut dyn FnMut(u64)) {
        assert!(datagram.bytes.len() <= DATAGRAM_SIZE_MAX);
        self.captured.push(datagram.clone());
        arrive(TRAVEL);
    }

    fn find_nobody(&mut self, datagram: Datagram) {
        self.lost.push(datagram);
    }
}

struct World(Postbox<Eavesdropper>);

impl Deref for World {
    type Target = Postbox<Eavesdropper>;
    fn deref(&self) -> &Postbox<Eavesdropper> {
        &self.0
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Postbox<Eavesdropper> {
        &mut self.0
    }
}

fn ring(keys: &[u8]) -> Option<KeyRing> {
    Some(KeyRing::new(keys.iter().map(|key| [*key; 32]).collect()).unwrap())
}

impl World {
    /// Nodes 1 to `count`, the first three of which vote, after half a second.
    fn running(count: u64, keys: Option<&KeyRing>) -> Self {
        let mut world = Self(Postbox::new(Eavesdropper::default()));
        for number in 1..=count {
            world.start(number, keys);
        }
        world.run_for(Duration::from_millis(500));
        assert_eq!(world.geese(), [count], "{:?}", world.carrier.events);
        world
    }

    fn start(&mut self, number: u64, keys: Option<&KeyRing>) {
        let mut setup = setup("test", number, &VOTERS);
        setup.seeds.push(address(2).to_string());
        setup.keys = keys.cloned();
        setup.entropy[8..16].copy_from_slice(&self.time().to_le_bytes());
        self.0.start(setup).unwrap();
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
        let captured = self.carrier.captured.clone();
        let count = nanoseconds(span) / pace;
        for (at, datagram) in (0..count).zip(captured.iter().cycle()) {
            self.post(at * pace, datagram.clone());
        }
        self.run_for(span);
    }
}

/// A run with everything in it: founding, a node that leaves, a Goose that dies, its return as
/// another boot, a voter that restarts, a node that is gone for good.
fn eventful(keys: Option<&KeyRing>) -> World {
    let mut world = World::running(6, keys);
    let now = world.now();
    world.nodes.get_mut(&6).unwrap().leave(now);
    world.drain(6);
    world.run_for(Duration::from_millis(700));
    world.nodes.remove(&6);
    assert_eq!(world.geese(), [5]);
    world.nodes.remove(&5);
    world.run_for(Duration::from_secs(8));
    assert_eq!(world.geese(), [4]);
    world.start(5, keys);
    world.nodes.remove(&2);
    world.run_for(Duration::from_secs(1));
    world.start(2, keys);
    world.run_for(Duration::from_secs(5));
    world
}

/// Which kind of message this is: renewals and goodbyes are told apart from claims and releases.
fn kind(message: &Message) -> &'static str {
    match message.kind() {
        Kind::Claim => "claim",
        Kind::Renewal => "renewal",
        Kind::Release if message.may_be_repeated() => "goodbye",
        kind => kind.name(),
    }
}

/// How many messages of each kind were captured.
fn census(world: &World, keys: Option<&KeyRing>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for datagram in &world.carrier.captured {
        let datagram = &datagram.bytes;
        let opened = seal::open(keys, datagram).unwrap();
        let plain = opened.as_ref().map_or(datagram.as_slice(), seal::Opened::plain);
        let (_, message) = datagram::decode(plain).unwrap();
        *counts.entry(kind(&message)).or_default() += 1;
    }
    counts
}

/// What a whole run consists of, besides what only a network that loses datagrams makes nodes
/// say.
const WHOLE: [&str; 14] = [
    "gossip",
    "join",
    "welcome",
    "poll",
    "poll answer",
    "claim",
    "renewal",
    "grant",
    "refusal",
    "goodbye",
    "release answer",
    "handover",
    "vacant",
    "announce",
];

#[test]
fn a_run_that_is_sent_again_has_everything_in_it() {
    for keys in [None, ring(&[1])] {
        let counts = census(&eventful(keys.as_ref()), keys.as_ref());
        println!("{counts:?}");
        for kind in WHOLE {
            assert!(counts.contains_key(kind), "no {kind} in {counts:?}");
        }
        assert!(counts["renewal"] > 100 && counts["gossip"] > 100, "{counts:?}");
    }
}

/// Without a key gossip is believed, old gossip too, so members may be suspected for a moment;
/// but nobody leads or ceases to lead for it, and it passes.
#[test]
fn a_whole_run_in_plain_sent_again_for_a_minute_moves_nobody() {
    let mut world = eventful(None);
    let (geese, terms) = (world.geese(), world.terms());
    assert_eq!(geese, [4]);
    world.carrier.events.clear();
    world.replay(Duration::from_secs(60), MILLISECOND);
    assert_eq!((world.geese(), world.terms()), (geese.clone(), terms.clone()));
    let moved =
        world.carrier.events.iter().find(|(_, event)| {
            matches!(event, Event::BecameGoose { .. } | Event::BecameDuck { .. })
        });
    assert_eq!(moved, None);
    world.run_for(Duration::from_secs(20));
    assert_eq!((world.geese(), world.terms()), (geese, terms));
    for node in world.nodes.values() {
        let members = node.snapshot().members.clone();
        let alive = members.iter().filter(|member| member.state == MemberState::Alive);
        assert_eq!(alive.count(), 5, "{members:?}");
    }
}

#[test]
fn a_whole_run_sent_again_for_a_minute_changes_nothing() {
    let mut world = eventful(ring(&[1]).as_ref());
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
    world.carrier.events.clear();
    world.replay(Duration::from_secs(60), MILLISECOND);
    assert_eq!((world.geese(), world.terms()), (geese, terms));
    assert_eq!(world.carrier.events, [], "nothing happened");
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
    let takeover = |keys: Option<&KeyRing>, replays: bool| {
        let mut world = eventful(keys);
        world.nodes.remove(&4);
        let died = world.time();
        while world.geese().is_empty() {
            let span = Duration::from_millis(20);
            if replays {
                world.replay(span, MILLISECOND / 20);
            } else {
                world.run_for(span);
            }
            assert!(world.time() - died < 5000 * MILLISECOND, "nobody leads");
        }
        (world.geese(), (world.time() - died) / MILLISECOND)
    };
    for keys in [ring(&[1]), None] {
        let (geese, span) = takeover(keys.as_ref(), false);
        assert_eq!(geese, [5]);
        let (attacked_geese, attacked_span) = takeover(keys.as_ref(), true);
        // In plain old Polls pass for new ones: they may delay a little, and who comes next may
        // be another than the highest. With a key they do neither.
        let more = if keys.is_some() { 40 } else { 600 };
        assert!(attacked_span <= span + more, "{attacked_span} ms instead of {span}");
        assert!(keys.is_none() || attacked_geese == geese, "{attacked_geese:?}");
    }
}

/// A cluster that remembers nothing of its senders, for it has restarted altogether.
#[test]
fn an_earlier_life_of_the_cluster_sent_again_changes_nothing() {
    let keys = ring(&[1]);
    let mut world = eventful(keys.as_ref());
    world.nodes.clear();
    world.clear();
    world.run_for(Duration::from_secs(1));
    for number in 1..=4 {
        world.start(number, keys.as_ref());
    }
    world.run_for(Duration::from_secs(10));
    let (geese, terms) = (world.geese(), world.terms());
    assert_eq!(geese, [4]);
    world.carrier.events.clear();
    world.replay(Duration::from_secs(60), MILLISECOND);
    assert_eq!((world.geese(), world.terms()), (geese, terms));
    assert_eq!(world.carrier.events, [], "nobody of before is believed to be here");
    // Nor does a contender of before hold an election up.
    world.nodes.remove(&4);
    let died = world.time();
    while world.geese().is_empty() {
        world.replay(Duration::from_millis(20), MILLISECOND / 20);
        assert!(world.time() - died < 700 * MILLISECOND, "nobody leads");
    }
    assert_eq!(world.geese(), [3]);
}

#[test]
fn keys_rotate_without_anybody_noticing() {
    let mut world = World::running(5, ring(&[1]).as_ref());
    world.run_for(Duration::from_secs(3));
    let terms = world.terms();
    world.carrier.events.clear();
    for keys in [&[1, 2][..], &[2, 1], &[2]] {
        for number in 1..=5 {
            world.nodes.get_mut(&number).unwrap().rotate_keys(ring(keys).unwrap());
            world.run_for(Duration::from_millis(700));
        }
    }
    assert_eq!((world.geese(), world.terms()), (vec![5], terms));
    assert_eq!(world.carrier.events, []);
}

#[test]
fn a_node_with_another_key_or_none_is_named_on_both_sides() {
    let warned = |world: &World, on: u64, expected: Reject| {
        let matches = |(number, event): &&(u64, Event)| {
            *number == on
                && matches!(event, Event::Warning(Warning::Sealing { reason, .. })
                    if *reason == expected)
        };
        world.carrier.events.iter().filter(matches).count()
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
        assert_eq!(warned(&world, 3, Reject::UnknownKey), 1, "{:?}", world.carrier.events);
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
        let captured = world.carrier.captured.clone();
        let victim: SocketAddr = "203.0.113.7:53".parse().unwrap();
        world.start(5, keys.as_ref());
        world.run_for(Duration::from_secs(3));
        let mut answers = 0;
        for datagram in captured {
            world.carrier.lost.clear();
            let size = datagram.bytes.len();
            world.deliver(Datagram { from: victim, ..datagram });
            world.run_for(Duration::from_micros(500));
            let drawn = world.carrier.lost.iter().filter(|datagram| datagram.to == victim);
            let drawn: Vec<usize> = drawn.map(|datagram| datagram.bytes.len()).collect();
            assert!(drawn.iter().sum::<usize>() <= 3 * size, "{drawn:?} for {size}");
            answers += drawn.len();
        }
        if keys.is_none() {
            assert!(answers > 10, "some were answered: {answers}");
        }
    }
}

/// One message of every kind, and every kind of gossip, as a stranger may write them.
fn every_kind(source: Process, victim: SocketAddr, to: (Process, SocketAddr)) -> Vec<Message> {
    let voters = VoterSet::new(VOTERS.map(id).to_vec()).unwrap();
    let genesis = Genesis::new(voters, false, &Timing::of(Profile::Lan), false);
    let status = VoterStatus {
        sequence: u64::MAX,
        standing: Standing::Vacant,
        max_ballot: 1,
        top_contender: None,
        goose: None,
    };
    let release = |all| Release { holder: source, ballot: 1, all, nominee: Some(to.0.id) };
    let acquire = |kind| Acquire {
        kind,
        ballot: 1,
        sequence: 1,
        lease: Duration::from_millis(600),
        certificate: None,
        lineage: None,
        configuration: None,
    };
    let poll = |founding| Poll { sequence: 1, quorum_connected: true, eligible: true, founding };
    let goose = Goose { term: 1, process: source, address: victim, http: None };
    let mut messages = vec![
        Message::Join(Join { nonce: 1, padding: Vec::new(), ancestors: Vec::new() }),
        Message::Join(Join { nonce: 1, padding: vec![0; 400], ancestors: Vec::new() }),
        Message::Welcome(Box::new(Welcome {
            nonce: 1,
            member: Vec::new(),
            genesis: genesis.clone(),
            assurance: Assurance::Founded,
            configuration: Configuration::genesis(genesis),
            voters: Vec::new(),
            goose: None,
            ancestors: Vec::new(),
        })),
        Message::Poll(poll(false)),
        Message::Poll(poll(true)),
        Message::PollAck(PollAck { sequence: 1, status: status.clone(), record: None }),
        Message::Acquire(acquire(AcquireKind::Claim)),
        Message::Acquire(acquire(AcquireKind::Renew)),
        Message::Grant(Grant {
            sequence: 1,
            ballot: 1,
            granted: Duration::from_secs(1),
            standby: None,
            lineage: None,
            leaves: false,
        }),
        Message::Nak(Nak { sequence: 1, ballot: 1, reason: NakReason::Persisting }),
        Message::Probe { sequence: 1 },
        Message::ProbeAck { sequence: 1 },
        Message::Release { sequence: 1, release: release(true) },
        Message::Release { sequence: 1, release: release(false) },
        Message::ReleaseAck { sequence: 1 },
        Message::Handover(release(false)),
        Message::Vacant(status),
        Message::Announce(goose),
        Message::LaterStart { start: u64::MAX },
        Message::MetadataQuery(MetadataQuery { nonce: 1, wanted: vec![to.0.id], more: true }),
        Message::MetadataReply(MetadataReply {
            nonce: 1,
            entries: vec![(source, Metadata::default())],
        }),
    ];
    let own = MemberIdentity::new(to.0, to.1, true);
    let target = MemberIdentity::new(source, victim, true);
    for message in [
        foca::Message::Announce,
        foca::Message::Ping(1),
        foca::Message::Ack(1),
        foca::Message::PingReq { target, probe_number: 1 },
        foca::Message::IndirectPing { origin: target, probe_number: 1 },
        foca::Message::Gossip,
        foca::Message::Feed,
        foca::Message::TurnUndead,
    ] {
        let header = foca::Header { src: target, src_incarnation: 0, dst: own, message };
        let mut packet = Vec::new();
        codec::encode_into(&header, &mut packet).unwrap();
        messages.push(Message::Gossip(packet));
    }
    messages
}

#[test]
fn no_kind_of_question_draws_more_than_three_times_its_size() {
    let victim: SocketAddr = "203.0.113.7:53".parse().unwrap();
    for keys in [None, ring(&[1])] {
        let mut world = World::running(5, keys.as_ref());
        world.run_for(Duration::from_secs(1));
        let voters = VoterSet::new(VOTERS.map(id).to_vec()).unwrap();
        let genesis = Genesis::new(voters, false, &Timing::of(Profile::Lan), false);
        let stamp = Configuration::genesis(genesis.clone()).stamp();
        let stranger = Process { id: id(77), boot: Boot { start: 1, nonce: 1 } };
        let (mut number, mut answered) = (0, BTreeMap::new());
        // From a stranger, from a voter at another place, and from another process of the node
        // that is asked: each to a voter, to the Goose, and to one that does not vote.
        for (sender, asked) in [(77, 1), (77, 5), (77, 4), (2, 1), (1, 5), (1, 1), (5, 5)] {
            let to = world.nodes[&asked].process();
            let known = world.nodes.get(&sender).map(NodeCore::process);
            let sender = match known {
                Some(process) if sender == asked => Process { boot: stranger.boot, ..process },
                known => known.unwrap_or(stranger),
            };
            for message in every_kind(sender, victim, (to, address(asked))) {
                for (genesis, boot) in [
                    (genesis.digest(), Some(to.boot)),
                    (genesis.digest(), None),
                    (genesis.digest(), Some(stranger.boot)),
                    (0, None),
                    (7, Some(to.boot)),
                ] {
                    number += 1;
                    let header = Header {
                        cluster: ClusterName::new("test").unwrap().digest(),
                        genesis,
                        lineage: None,
                        sender,
                        addressee: Addressee { id: boot.map(|_| to.id), boot },
                        configuration: stamp,
                        token: 9,
                        echo: 0,
                        leader_freshness: None,
                    };
                    let plain = datagram::encode(&header, &message).unwrap();
                    let datagram = keys.as_ref().map_or(plain.clone(), |keys| {
                        keys.seal(
                            [u8::try_from(number % 251).unwrap(); 24],
                            1 << 40 | number,
                            &plain,
                        )
                        .unwrap()
                    });
                    let size = datagram.len();
                    let drawn = drawn(&mut world, victim, address(asked), datagram);
                    assert!(
                        drawn.iter().sum::<usize>() <= 3 * size,
                        "{message:?}: {drawn:?} for {size}"
                    );
                    *answered.entry(kind(&message)).or_insert(0) += drawn.len();
                }
            }
        }
        println!("answers by kind: {answered:?}");
        assert_eq!(answered.len(), 20, "every kind was tried");
        let kinds = answered.values().filter(|count| **count > 0).count();
        assert!(kinds >= 4, "some kinds were answered: {answered:?}");
    }
}

/// The sizes of what a node sends to `victim` when it gets this message from there.
fn drawn(world: &mut World, victim: SocketAddr, to: SocketAddr, bytes: Vec<u8>) -> Vec<usize> {
    let posted = world.carrier.captured.len();
    world.deliver(Datagram { from: victim, to, bytes });
    let sent = world.carrier.captured[posted..].iter();
    sent.filter(|sent| sent.to == victim).map(|sent| sent.bytes.len()).collect()
}
