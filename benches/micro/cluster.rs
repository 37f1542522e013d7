//! Three nodes in invented time that have elected a Goose, and what they say to each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gaggle::node::{NodeCore, Output};
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::datagram;
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::message::Message;
use gaggle::vocabulary::record::Disk;
use gaggle::vocabulary::seal::{self, KEY_SIZE, KeyRing};
use gaggle::vocabulary::setup::Setup;
use gaggle::vocabulary::time::{HolderTime, Now, VoterTime, WallTime, nanoseconds};

/// The key of those that seal.
pub(crate) const SECRET: [u8; KEY_SIZE] = [5; KEY_SIZE];

const NODES: u64 = 3;
const LATENCY: u64 = 100_000;
/// Until then they have met, founded the cluster and elected.
const SETTLED: u64 = 3_000_000_000;

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("an id")
}

fn address(number: u64) -> SocketAddr {
    format!("10.0.0.{number}:8000").parse().expect("an address")
}

/// The settings of one of three voters.
pub(crate) fn setup(number: u64, sealed: bool) -> Setup {
    let all = || (1..=NODES).map(id);
    Setup {
        seeds: vec![address(1).to_string()],
        voters: Some(VoterSet::new(all().collect()).expect("a set")),
        voter_addresses: (1..=NODES).map(|number| (id(number), address(number))).collect(),
        keys: sealed.then(|| KeyRing::new(vec![SECRET]).expect("one key")),
        entropy: [u8::try_from(number).unwrap_or(0); 32],
        ..Setup::new(ClusterName::new("micro").expect("a name"), id(number), address(number))
    }
}

/// One datagram on its way: from whom, to whom.
type Mail = (SocketAddr, u64, Vec<u8>);

/// The nodes, the time and the mail.
pub(crate) struct Cluster {
    now: u64,
    posted: u64,
    keys: Option<KeyRing>,
    nodes: BTreeMap<u64, NodeCore>,
    mail: BTreeMap<(u64, u64), Mail>,
}

impl Cluster {
    /// Three nodes of which one leads; it is not the first.
    pub(crate) fn settled(sealed: bool) -> Self {
        let keys = setup(1, sealed).keys;
        let mut cluster =
            Self { now: 1_000_000, posted: 0, keys, nodes: BTreeMap::new(), mail: BTreeMap::new() };
        for number in 1..=NODES {
            let node = NodeCore::new(setup(number, sealed), Disk::Empty, cluster.now());
            cluster.nodes.insert(number, node.expect("a node"));
            cluster.drain(number);
        }
        while cluster.now < SETTLED {
            cluster.step(|_| false);
        }
        assert!(cluster.nodes[&NODES].lease().is_some(), "the highest leads");
        cluster
    }

    fn now(&self) -> Now {
        Now {
            holder: HolderTime(self.now),
            voter: VoterTime(self.now),
            wall: WallTime(1_700_000_000_000 + self.now / 1_000_000),
        }
    }

    /// Lets the nodes go on until a datagram of the wanted kind reaches the first of them.
    pub(crate) fn next_for_first(
        &mut self,
        wanted: fn(&Message) -> bool,
    ) -> (Now, SocketAddr, Vec<u8>) {
        loop {
            if let Some((from, datagram)) = self.step(wanted) {
                return (self.now(), from, datagram);
            }
        }
    }

    /// The node that is measured.
    pub(crate) fn first(&mut self) -> &mut NodeCore {
        self.nodes.get_mut(&1).expect("it is there")
    }

    /// Carries out what the first node wants done.
    pub(crate) fn keep(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            self.carry_out(1, output);
        }
        self.drain(1);
    }

    /// One datagram or one deadline, whichever is earlier. A wanted datagram to the first node
    /// is handed out in place of being delivered.
    fn step(&mut self, wanted: fn(&Message) -> bool) -> Option<(SocketAddr, Vec<u8>)> {
        let now = self.now();
        let timeout = |node: &NodeCore| node.poll_timeout(now).map(nanoseconds);
        let pause = self.nodes.values().filter_map(timeout).min().unwrap_or(1_000_000);
        let due = self.now + pause.max(1);
        let arrival = self.mail.first_key_value().map(|((at, _), _)| *at);
        if arrival.is_none_or(|at| at > due) {
            self.now = due;
            let now = self.now();
            for number in 1..=NODES {
                self.nodes.get_mut(&number).expect("it is there").handle_timeout(now);
                self.drain(number);
            }
            return None;
        }
        let ((at, _), (from, to, datagram)) = self.mail.pop_first()?;
        self.now = self.now.max(at);
        if to == 1 && self.is_wanted(&datagram, wanted) {
            return Some((from, datagram));
        }
        let now = self.now();
        self.nodes.get_mut(&to).expect("it is there").handle_datagram(now, from, &datagram);
        self.drain(to);
        None
    }

    fn is_wanted(&self, datagram: &[u8], wanted: fn(&Message) -> bool) -> bool {
        let opened = seal::open(self.keys.as_ref(), datagram).expect("it is one of ours");
        let plain = opened.as_ref().map_or(datagram, |opened| opened.plain());
        datagram::decode(plain).is_ok_and(|(_, message)| wanted(&message))
    }

    fn drain(&mut self, number: u64) {
        while let Some(output) = self.nodes.get_mut(&number).and_then(NodeCore::poll_output) {
            self.carry_out(number, output);
        }
    }

    fn carry_out(&mut self, number: u64, output: Output) {
        let now = self.now();
        match output {
            Output::Transmit { to, datagram } => {
                self.posted += 1;
                let receiver = (1..=NODES).find(|number| address(*number) == to);
                let receiver = receiver.expect("one of the three");
                let mail = (address(number), receiver, datagram);
                self.mail.insert((self.now + LATENCY, self.posted), mail);
            }
            Output::Store { ticket, .. } => {
                let node = self.nodes.get_mut(&number).expect("it is there");
                node.handle_stored(now, ticket, Ok(()));
            }
            Output::Resolve(_) | Output::Event(_) | Output::EndWork(_) | Output::SteppedDown(_) => {
            }
        }
    }
}
