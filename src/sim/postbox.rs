//! A handful of nodes in invented time and the mail between them, in a few lines.
//!
//! For tests that play the rest of the world themselves: they see what every node does, carry
//! datagrams as they like, and take, keep or add any. There are no faults here and no judges; the
//! [`super::cluster`] has those.
//!
//! ```text
//!   NodeCore ──outputs──▶ Carrier: sees all, says when a datagram arrives ──▶ mail, by time
//!      ▲                                                                       │
//!      └────────────── whatever is due next: write, datagram, timer ◀──────────┘
//! ```
//!
//! Node `n` is at 10.0.0.n. All clocks run true; the holder clock is ahead of the voter clock, so
//! that whoever mistakes one for the other is found.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::node::setup::{DRAIN_TIMEOUT, Setup};
use crate::node::{NodeCore, Output, StartError};
use crate::vocabulary::configuration::{ClusterName, VoterSet};
use crate::vocabulary::health::IfNoneHealthy;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::metadata::Tags;
use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime, nanoseconds};
use crate::vocabulary::timing::{Profile, Timing};
use crate::wire::record::{Disk, Record};

/// A datagram travels for so many nanoseconds, if its carrier does not say otherwise.
pub const TRAVEL: u64 = 200_000;
/// The true time at which everything begins, in nanoseconds.
pub const ORIGIN: u64 = 1_000_000_000;
/// How far the holder clock is ahead, in nanoseconds.
const HOLDER_AHEAD: u64 = 5_000_000_000;

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Of whom.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// Who carries the datagrams, and sees everything that nodes do.
pub trait Carrier {
    /// A write takes so many nanoseconds. None: it is done at once.
    const WRITE: Option<u64> = None;

    /// Node `number` wants this done.
    fn see(&mut self, _now: u64, _number: u64, _output: &Output) {}

    /// What node `number` wanted to be written is.
    fn written(&mut self, _number: u64, _record: &Record) {}

    /// A node posts a datagram. Calls `arrive` for each copy of it that arrives, with the nanoseconds
    /// that this takes.
    fn carry(&mut self, _datagram: &Datagram, arrive: &mut dyn FnMut(u64)) {
        arrive(TRAVEL);
    }

    /// A datagram has arrived where no node lives.
    fn find_nobody(&mut self, _datagram: Datagram) {}
}

impl Carrier for () {}

/// See the module.
pub struct Postbox<C> {
    /// The nodes, by number.
    pub nodes: BTreeMap<u64, NodeCore>,
    /// What each has written.
    pub records: BTreeMap<u64, Record>,
    /// Who carries the datagrams.
    pub carrier: C,
    time: u64,
    sequence: u64,
    mail: BTreeMap<(u64, u64), Datagram>,
    writes: BTreeMap<(u64, u64), (u64, u64, Record)>,
    /// What waits in the sockets of nodes that are stopped.
    stopped: BTreeMap<u64, Vec<Datagram>>,
}

/// The id of node `number`.
///
/// # Panics
/// If the number is no id.
pub fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap_or_else(|error| panic!("{error}"))
}

/// Where node `number` is.
pub fn address(number: u64) -> SocketAddr {
    let last = u8::try_from(number).unwrap_or(u8::MAX);
    SocketAddr::from(([10, 0, 0, last], 8000))
}

/// Which node is at `address`, if one may be.
pub fn number(address: SocketAddr) -> Option<u64> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    let number = u64::from(ip.octets()[3]);
    (self::address(number) == address).then_some(number)
}

/// What node `number` is started with: it knows these voters, if any, and asks node 1.
///
/// # Panics
/// If the numbers are no ids, or too many.
pub fn setup(cluster: &str, number: u64, voters: &[u64]) -> Setup {
    let set = |voters: &[u64]| VoterSet::new(voters.iter().map(|voter| id(*voter)).collect());
    Setup {
        cluster: ClusterName::new(cluster).unwrap_or_else(|error| panic!("{error}")),
        id: id(number),
        address: address(number),
        http: None,
        tags: Tags::default(),
        name: None,
        seeds: vec![address(1).to_string()],
        voters: (!voters.is_empty()).then(|| set(voters).unwrap_or_else(|error| panic!("{error}"))),
        voter_addresses: voters.iter().map(|voter| (id(*voter), address(*voter))).collect(),
        voter_names: Vec::new(),
        preempt: None,
        eligible: true,
        is_checked: false,
        if_none_healthy: IfNoneHealthy::Nobody,
        timing: Timing::of(Profile::Lan),
        automatic: None,
        first_term: 1,
        drain_timeout: DRAIN_TIMEOUT,
        keys: None,
        entropy: [u8::try_from(number).unwrap_or(u8::MAX); 32],
    }
}

impl<C: Carrier> Postbox<C> {
    /// No nodes yet.
    pub fn new(carrier: C) -> Self {
        Self {
            nodes: BTreeMap::new(),
            records: BTreeMap::new(),
            carrier,
            time: ORIGIN,
            sequence: 0,
            mail: BTreeMap::new(),
            writes: BTreeMap::new(),
            stopped: BTreeMap::new(),
        }
    }

    /// True time, in nanoseconds.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// What all clocks show.
    pub fn now(&self) -> Now {
        Now {
            holder: HolderTime(self.time + HOLDER_AHEAD),
            voter: VoterTime(self.time),
            wall: WallTime(1_700_000_000_000 + self.time / 1_000_000),
        }
    }

    /// The true time until which node `number` shows its lease.
    pub fn lease_ends(&self, number: u64) -> Option<u64> {
        let lease = self.nodes.get(&number)?.lease()?;
        Some(lease.deadline.0.saturating_sub(HOLDER_AHEAD))
    }

    /// Which nodes lead at this moment.
    pub fn geese(&self) -> Vec<u64> {
        let leads = |number: &u64| self.lease_ends(*number).is_some_and(|end| self.time < end);
        self.nodes.keys().copied().filter(leads).collect()
    }

    /// Starts a node on what it has written.
    ///
    /// # Errors
    /// As the node says. Nothing has changed then.
    pub fn start(&mut self, setup: Setup) -> Result<(), StartError> {
        let record = self.records.get(&setup.id.number()).cloned();
        self.start_on(setup, record.map_or(Disk::Empty, Disk::Sound))
    }

    /// Starts a node on any disk.
    ///
    /// # Errors
    /// As [`Postbox::start`].
    pub fn start_on(&mut self, setup: Setup, disk: Disk) -> Result<(), StartError> {
        let number = setup.id.number();
        let node = NodeCore::new(setup, disk, self.now())?;
        self.nodes.insert(number, node);
        self.drain(number);
        Ok(())
    }

    /// Does what node `number` wants done.
    pub fn drain(&mut self, number: u64) {
        while let Some(output) = self.nodes.get_mut(&number).and_then(NodeCore::poll_output) {
            self.carry_out(number, output);
        }
    }

    /// Does one thing that node `number` wants done.
    pub fn carry_out(&mut self, number: u64, output: Output) {
        self.carrier.see(self.time, number, &output);
        match output {
            Output::Transmit { to, datagram } => {
                let datagram = Datagram { from: address(number), to, bytes: datagram };
                let mut arrivals = Vec::new();
                self.carrier.carry(&datagram, &mut |delay| arrivals.push(delay));
                for delay in arrivals {
                    self.post(delay, datagram.clone());
                }
            }
            Output::Store { ticket, record } => match C::WRITE {
                Some(delay) => {
                    self.sequence += 1;
                    let key = (self.time + delay, self.sequence);
                    self.writes.insert(key, (number, ticket, *record));
                }
                None => self.written(number, ticket, *record),
            },
            // Seeds are addresses here, and nobody works.
            Output::Resolve(_)
            | Output::Event(_)
            | Output::EndWork(_)
            | Output::SteppedDown(_)
            | Output::Drained(_) => {}
        }
    }

    fn written(&mut self, number: u64, ticket: u64, record: Record) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(&number) {
            self.carrier.written(number, &record);
            self.records.insert(number, record);
            node.handle_stored(now, ticket, Ok(()));
        }
    }

    /// Puts a datagram into the mail that arrives after so many nanoseconds.
    pub fn post(&mut self, after: u64, datagram: Datagram) {
        self.sequence += 1;
        self.mail.insert((self.time + after, self.sequence), datagram);
    }

    /// Takes the next datagram that is wanted out of the mail.
    pub fn take(&mut self, wanted: impl Fn(&Datagram) -> bool) -> Option<Datagram> {
        let key = *self.mail.iter().find(|(_, datagram)| wanted(datagram))?.0;
        self.mail.remove(&key)
    }

    /// The datagram that arrives, if that is what happens next.
    pub fn next_datagram(&self) -> Option<&Datagram> {
        let ((at, _), datagram) = self.mail.first_key_value()?;
        let writes_first = self.writes.keys().next().is_some_and(|(write, _)| write <= at);
        (self.next() == Some(*at) && !writes_first).then_some(datagram)
    }

    /// Nothing that is in the mail arrives, and nothing that is being written by nodes that are
    /// gone is ever written.
    pub fn clear(&mut self) {
        self.mail.clear();
        self.writes.retain(|_, (number, ..)| self.nodes.contains_key(number));
    }

    /// Hands a datagram over at once. If its node is stopped, it waits there.
    pub fn deliver(&mut self, datagram: Datagram) {
        let now = self.now();
        let number = number(datagram.to).filter(|number| self.nodes.contains_key(number));
        let Some(number) = number else { return self.carrier.find_nobody(datagram) };
        if let Some(waiting) = self.stopped.get_mut(&number) {
            return waiting.push(datagram);
        }
        if let Some(node) = self.nodes.get_mut(&number) {
            node.handle_datagram(now, datagram.from, &datagram.bytes);
        }
        self.drain(number);
    }

    /// Ends a node, and empties its socket.
    pub fn kill(&mut self, number: u64) {
        self.nodes.remove(&number);
        self.stopped.remove(&number);
    }

    /// Stops a node in its tracks.
    pub fn freeze(&mut self, number: u64) {
        self.stopped.entry(number).or_default();
    }

    /// Lets a node go on.
    pub fn thaw(&mut self, number: u64) {
        let waiting = self.stopped.remove(&number).unwrap_or_default();
        waiting.into_iter().for_each(|datagram| self.deliver(datagram));
    }

    fn timer(&self) -> Option<(u64, u64)> {
        let now = self.now();
        let awake = self.nodes.iter().filter(|(number, _)| !self.stopped.contains_key(number));
        let due = |(number, node): (&u64, &NodeCore)| {
            Some((self.time.saturating_add(nanoseconds(node.poll_timeout(now)?)), *number))
        };
        awake.filter_map(due).min()
    }

    /// The true time at which something happens next.
    pub fn next(&self) -> Option<u64> {
        let write = self.writes.first_key_value().map(|((at, _), _)| *at);
        let datagram = self.mail.first_key_value().map(|((at, _), _)| *at);
        let timer = self.timer().map(|(at, _)| at);
        [write, datagram, timer].into_iter().flatten().min()
    }

    /// Moves on to true time `until`, if it is not past that; nothing happens.
    pub fn pass_to(&mut self, until: u64) {
        self.time = self.time.max(until);
    }

    /// Moves on to what happens next, and lets that happen: a write ends before a datagram arrives,
    /// and a datagram arrives before a timer is handled. Does nothing if nothing happens by `until`.
    pub fn step(&mut self, until: u64) -> bool {
        let Some(next) = self.next().filter(|next| *next <= until) else { return false };
        self.pass_to(next);
        let is_due = |at: Option<(u64, u64)>| at.is_some_and(|(at, _)| at <= next);
        if is_due(self.writes.keys().next().copied()) {
            if let Some((_, (number, ticket, record))) = self.writes.pop_first() {
                self.written(number, ticket, record);
                self.drain(number);
            }
        } else if is_due(self.mail.keys().next().copied()) {
            if let Some((_, datagram)) = self.mail.pop_first() {
                self.deliver(datagram);
            }
        } else if let Some((_, number)) = self.timer() {
            let now = self.now();
            if let Some(node) = self.nodes.get_mut(&number) {
                node.handle_timeout(now);
            }
            self.drain(number);
        }
        true
    }

    /// Lets time pass, and whatever is due meanwhile happen.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.time + nanoseconds(span);
        while self.step(until) {}
        self.pass_to(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_elect_the_highest_and_a_stopped_one_hears_later() {
        let mut postbox = Postbox::new(());
        for number in [1, 2, 3] {
            postbox.start(setup("post", number, &[1, 2, 3])).unwrap();
        }
        postbox.run_for(Duration::from_millis(500));
        assert_eq!(postbox.geese(), [3]);
        postbox.freeze(3);
        postbox.run_for(Duration::from_secs(2));
        assert_eq!(postbox.geese(), [2]);
        postbox.thaw(3);
        postbox.run_for(Duration::from_millis(100));
        assert_eq!(postbox.nodes[&3].term(), 2);
    }
}
