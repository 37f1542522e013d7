//! A flood of datagrams that no honest node would send, as fast as one thread can.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use gaggle::membership::identity::MemberIdentity;
use gaggle::vocabulary::configuration::{
    ClusterName, Configuration, ConfigurationStamp, Genesis, VoterSet,
};
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::timing::{Profile, Timing};
use gaggle::wire::codec;
use gaggle::wire::datagram::{self, Addressee, Header};
use gaggle::wire::message::{Join, Message, Poll};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::Cluster;

/// What a flood is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Random bytes of every length.
    Noise,
    /// Begins like a datagram of ours, and then is noise.
    NearMiss,
    /// A good datagram of another cluster.
    Foreign,
    /// A good question of a joiner, each from a process never heard of.
    Joiners,
    /// A good question of a contender, each from a process never heard of.
    Contenders,
    /// Good gossip of one liar, which names members that there are not.
    Gossip,
}

/// What is garbage to every node, whether it has a key or not.
pub(crate) const GARBAGE: [Kind; 3] = [Kind::Noise, Kind::NearMiss, Kind::Foreign];

/// Everything. To a node with a key all of it is garbage; without one the last three are
/// believed, for then whoever reaches the port is trusted.
pub(crate) const EVERYTHING: [Kind; 6] =
    [Kind::Noise, Kind::NearMiss, Kind::Foreign, Kind::Joiners, Kind::Contenders, Kind::Gossip];

/// Everything that an eavesdropper on a network without keys knows of the node it floods.
#[derive(Clone, Debug)]
pub(crate) struct Victim {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    pub(crate) voters: Vec<u64>,
}

impl Victim {
    /// A running node of `cluster`.
    pub(crate) fn of(cluster: &Cluster, id: u64) -> Self {
        let status = cluster.status(id).expect("it answers");
        let (start, nonce) = status.node.boot.split_once('-').expect("a start and a nonce");
        let number = |text| u64::from_str_radix(text, 16).expect("a number");
        let boot = Boot { start: number(start), nonce: number(nonce) };
        let process = Process { id: NodeId::new(id).expect("a node id"), boot };
        let address = cluster.node(id).settings.address;
        Self { address, process, voters: cluster.voters().to_vec() }
    }
}

/// A process that there is not.
fn nobody(random: &mut ChaCha8Rng) -> Process {
    let number = random.random_range(1000..1_000_000_000);
    let boot = Boot { start: random.random_range(1..1 << 40), nonce: random.next_u64() };
    Process { id: NodeId::new(number).expect("in range"), boot }
}

fn genesis(voters: &[u64]) -> Genesis {
    let ids = voters.iter().map(|id| NodeId::new(*id).expect("a node id")).collect();
    let voters = VoterSet::new(ids).expect("a voter set");
    Genesis::new(voters, false, &Timing::of(Profile::Lan), false)
}

/// One datagram of this kind.
pub(crate) fn forge(kind: Kind, victim: &Victim, random: &mut ChaCha8Rng) -> Vec<u8> {
    match kind {
        Kind::Noise | Kind::NearMiss => {
            let mut bytes = vec![0; random.random_range(1..1400)];
            random.fill_bytes(&mut bytes);
            if kind == Kind::NearMiss {
                let start = [b'G', b'g', 2];
                let length = bytes.len().min(3);
                bytes[..length].copy_from_slice(&start[..length]);
            }
            bytes
        }
        Kind::Foreign => envelope("another", nobody(random), victim, poll(random)),
        Kind::Contenders => envelope("gaggle", nobody(random), victim, poll(random)),
        Kind::Joiners => {
            let join =
                Join { nonce: random.next_u64(), padding: vec![0; 400], ancestors: Vec::new() };
            envelope("gaggle", nobody(random), victim, Message::Join(join))
        }
        Kind::Gossip => {
            let liar = Boot { start: 1, nonce: 1 };
            let liar = Process { id: NodeId::new(999).expect("in range"), boot: liar };
            let packet = gossip(
                MemberIdentity::new(liar, ([10, 9, 9, 9], 8000).into(), true),
                victim,
                random,
            );
            envelope("gaggle", liar, victim, Message::Gossip(packet))
        }
    }
}

fn poll(random: &mut ChaCha8Rng) -> Message {
    let sequence = random.next_u64();
    Message::Poll(Poll { sequence, quorum_connected: true, eligible: true, founding: false })
}

fn envelope(cluster: &str, sender: Process, victim: &Victim, message: Message) -> Vec<u8> {
    let genesis = genesis(&victim.voters);
    let configuration: ConfigurationStamp = Configuration::genesis(genesis.clone()).stamp();
    let header = Header {
        cluster: ClusterName::new(cluster).expect("a cluster name").digest(),
        genesis: genesis.digest(),
        lineage: None,
        sender,
        addressee: Addressee::process(victim.process),
        configuration,
        token: 7,
        echo: 0,
        leader_freshness: None,
    };
    datagram::encode(&header, &message).expect("it fits")
}

/// A packet in the gossip library's layout: a header, a count, members.
fn gossip(liar: MemberIdentity, victim: &Victim, random: &mut ChaCha8Rng) -> Vec<u8> {
    let header = foca::Header {
        src: liar,
        src_incarnation: 0,
        dst: MemberIdentity::new(victim.process, victim.address, true),
        message: foca::Message::Gossip,
    };
    let named = 20_u16;
    let mut bytes = Vec::new();
    codec::encode_into(&header, &mut bytes).expect("it fits");
    bytes.extend_from_slice(&named.to_be_bytes());
    for _ in 0..named {
        let [_, a, b, c] = random.next_u32().to_be_bytes();
        let member = MemberIdentity::new(nobody(random), ([10, a, b, c], 8000).into(), true);
        codec::encode_into(&foca::Member::alive(member), &mut bytes).expect("it fits");
    }
    bytes
}

/// A running flood. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Floods `victim` with these kinds in turn.
    pub(crate) fn start(victim: &Victim, kinds: &[Kind], seed: u64) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Made before, so that the thread does nothing but send.
        let mut forged = |kind: &Kind| -> Vec<Vec<u8>> {
            (0..4096).map(|_| forge(*kind, victim, &mut random)).collect()
        };
        let datagrams: Vec<Vec<u8>> = kinds.iter().flat_map(&mut forged).collect();
        let (stopped, counted, address) = (Arc::clone(&stop), Arc::clone(&sent), victim.address);
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            for datagram in datagrams.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A full buffer is what a flood meets.
                let _ = socket.send_to(datagram, address);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, sent, thread: Some(thread) }
    }

    /// How many datagrams were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
