//! The same play in virtual time: nodes as values, datagrams in a sorted queue, time as a
//! number. Nothing but the seed decides what happens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gaggle::node::{NodeCore, Output};
use gaggle::vocabulary::record::{Disk, Record};
use gaggle::vocabulary::snapshot::Lease;
use gaggle::vocabulary::time::{HolderTime, Now, VoterTime, WallTime, nanoseconds};

use super::links::{Links, NODES, Prng, Traffic};
use super::recording::{Shared, lock};
use super::world::{Failure, World, setup};

/// A datagram's way in a calm network.
const LATENCY: u64 = 200_000;
/// The clocks' reading at the start; no clock of a real machine starts at zero either.
const ORIGIN: u64 = 1_000_000_000;

struct Mail {
    from: usize,
    to: usize,
    datagram: Vec<u8>,
}

/// Five cores and a queue.
pub(crate) struct SimulatedWorld {
    recording: Shared,
    now: u64,
    sequence: u64,
    nodes: BTreeMap<usize, NodeCore>,
    frozen: [bool; NODES],
    records: BTreeMap<usize, Record>,
    mail: BTreeMap<(u64, u64), Mail>,
    /// What waits in the receive buffer of a frozen node.
    waiting: Vec<Mail>,
    links: Links,
    traffic: Traffic,
    prng: Prng,
}

fn addresses() -> Vec<SocketAddr> {
    (1_u8..).take(NODES).map(|node| SocketAddr::from(([10, 0, 0, node], 8000))).collect()
}

impl SimulatedWorld {
    pub(crate) fn new(recording: Shared, seed: u64) -> Result<Self, Failure> {
        let mut world = Self {
            recording,
            now: ORIGIN,
            sequence: 0,
            nodes: BTreeMap::new(),
            frozen: [false; NODES],
            records: BTreeMap::new(),
            mail: BTreeMap::new(),
            waiting: Vec::new(),
            links: Links::default(),
            traffic: Traffic::default(),
            prng: Prng::new(seed),
        };
        for node in 1..=NODES {
            world.restart(node)?;
        }
        Ok(world)
    }

    fn clocks(&self) -> Now {
        Now {
            holder: HolderTime(self.now),
            voter: VoterTime(self.now),
            wall: WallTime(1_700_000_000_000 + self.now / 1_000_000),
        }
    }

    fn is_frozen(&self, node: usize) -> bool {
        self.frozen[node - 1]
    }

    /// Carries out what a node wants done.
    fn drain(&mut self, node: usize) {
        let (clocks, now) = (self.clocks(), self.now());
        loop {
            let Some(core) = self.nodes.get_mut(&node) else { return };
            match core.poll_output() {
                None => return,
                Some(Output::Transmit { to, datagram }) => self.send(node, to, datagram),
                Some(Output::Store { ticket, record }) => {
                    self.records.insert(node, *record);
                    core.handle_stored(clocks, ticket, Ok(()));
                }
                // Seeds are given by address.
                Some(Output::Resolve(_) | Output::EndWork(_) | Output::SteppedDown(_)) => {}
                Some(Output::Event(event)) => lock(&self.recording).hear(now, node, &event),
            }
        }
    }

    fn send(&mut self, from: usize, to: SocketAddr, datagram: Vec<u8>) {
        let Some(to) = addresses().iter().position(|address| *address == to) else { return };
        let to = to + 1;
        for hold in self.links.of(from, to).fate(&mut self.prng, &mut self.traffic) {
            self.sequence += 1;
            let jitter = self.prng.draw() % LATENCY;
            let arrival = self.now + LATENCY + jitter + nanoseconds(hold);
            let mail = Mail { from, to, datagram: datagram.clone() };
            self.mail.insert((arrival, self.sequence), mail);
        }
    }

    fn deliver(&mut self, mail: Mail) {
        if self.is_frozen(mail.to) {
            self.waiting.push(mail);
            return;
        }
        let clocks = self.clocks();
        let source = addresses()[mail.from - 1];
        if let Some(core) = self.nodes.get_mut(&mail.to) {
            core.handle_datagram(clocks, source, &mail.datagram);
            self.drain(mail.to);
        }
    }

    /// The next moment at which a timer is due, and whose.
    fn next_timer(&self) -> Option<(u64, usize)> {
        let clocks = self.clocks();
        let awake = self.nodes.iter().filter(|(node, _)| !self.is_frozen(**node));
        awake
            .filter_map(|(node, core)| {
                Some((self.now + nanoseconds(core.poll_timeout(clocks)?), *node))
            })
            .min()
    }

    /// The next moment at which a lease runs out, on a frozen node too.
    fn next_expiry(&self) -> Option<u64> {
        let leases = self.nodes.values().filter_map(NodeCore::lease);
        leases.map(|lease| lease.deadline.0).filter(|deadline| *deadline > self.now).min()
    }

    /// Whoever led up to this moment led until it, should it end now.
    fn extend(&self) {
        let now = self.now();
        let mut recording = lock(&self.recording);
        for (node, term) in recording.geese() {
            let lease = self.nodes.get(&node).and_then(NodeCore::lease);
            let holds = |lease: Lease| lease.term == term && self.now <= lease.deadline.0;
            if lease.is_some_and(holds) {
                recording.observe(node, Some(term), now, now);
            }
        }
    }

    /// Looks at every node: what is true from this moment on.
    fn observe(&self) {
        let now = self.now();
        let mut recording = lock(&self.recording);
        for (node, core) in &self.nodes {
            let lease = core.lease().filter(|lease| self.now < lease.deadline.0);
            recording.observe(*node, lease.map(|lease| lease.term), now, now);
        }
    }
}

impl World for SimulatedWorld {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.now - ORIGIN)
    }

    fn pass(&mut self, span: Duration) -> Result<(), Failure> {
        let end = self.now + nanoseconds(span);
        loop {
            let mail = self.mail.first_key_value().map(|((at, _), _)| *at);
            let timer = self.next_timer();
            let due = [mail, timer.map(|(at, _)| at), self.next_expiry()];
            let next = due.into_iter().flatten().min().unwrap_or(u64::MAX).max(self.now);
            self.now = next.min(end);
            self.extend();
            if next > end {
                self.observe();
                return Ok(());
            }
            if mail.is_some_and(|at| at <= next) {
                if let Some((_, mail)) = self.mail.pop_first() {
                    self.deliver(mail);
                }
            } else if let Some((at, node)) = timer
                && at <= next
            {
                let clocks = self.clocks();
                if let Some(core) = self.nodes.get_mut(&node) {
                    core.handle_timeout(clocks);
                }
                self.drain(node);
            }
            self.observe();
        }
    }

    fn kill(&mut self, node: usize) -> Result<(), Failure> {
        self.nodes.remove(&node);
        self.frozen[node - 1] = false;
        self.waiting.retain(|mail| mail.to != node);
        Ok(())
    }

    fn restart(&mut self, node: usize) -> Result<(), Failure> {
        let disk = self.records.get(&node).cloned().map_or(Disk::Empty, Disk::Sound);
        let setup = setup(node, &addresses(), self.prng.bytes())?;
        self.nodes.insert(node, NodeCore::new(setup, disk, self.clocks())?);
        self.drain(node);
        Ok(())
    }

    fn freeze(&mut self, node: usize) {
        self.frozen[node - 1] = true;
    }

    fn thaw(&mut self, node: usize) {
        self.frozen[node - 1] = false;
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|mail| mail.to == node);
        self.waiting = later;
        for mail in now {
            self.deliver(mail);
        }
    }

    fn set_links(&mut self, links: &Links) {
        self.links = links.clone();
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}
