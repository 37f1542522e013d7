//! From one machine to another: what a script does to a message, what the network does to it,
//! and what arrives.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;

use super::agenda::{Agenda, Happening};
use super::coverage::Coverage;
use super::interceptor::{Interception, Interceptor, Kept};
use super::network::{Captured, Fate, Network, Packet};
use super::notes::{Notes, Tale};
use super::trace::Happened;
use crate::sim::prng::Prng;
use crate::wire::datagram::{self, Header};
use crate::wire::message::Message;
use crate::wire::seal::{self, KeyRing, Opened};

/// See the module.
pub struct Delivery {
    /// What is between the machines.
    pub network: Network,
    /// What a script does to single messages.
    pub interceptor: Interceptor,
    prng: Prng,
    /// Counts the datagrams.
    number: u64,
    /// Datagrams up to this number never arrive any more.
    forgotten: u64,
    /// What has been handled once.
    handled: BTreeSet<u64>,
}

impl Delivery {
    pub(super) fn new(network: Network, prng: Prng) -> Self {
        Self {
            network,
            interceptor: Interceptor::default(),
            prng,
            number: 0,
            forgotten: 0,
            handled: BTreeSet::new(),
        }
    }

    /// A datagram with a number of its own.
    pub(super) fn packet(
        &mut self,
        datagram: Vec<u8>,
        content: Option<(Header, Message)>,
    ) -> Packet {
        self.number += 1;
        Packet { number: self.number, datagram, content }
    }

    /// Nothing that is under way arrives any more.
    pub(super) fn forget(&mut self) {
        self.forgotten = self.number;
    }

    /// Whether a datagram still arrives.
    pub(super) fn arrives(&self, packet: &Packet) -> bool {
        packet.number > self.forgotten
    }

    /// Whether the operating system refuses to send, which it does to so many of a thousand.
    pub(super) fn refuses(&mut self, share: u32) -> bool {
        self.prng.chance(share)
    }

    /// Puts a datagram of host `from` on the network.
    pub(super) fn send(
        &mut self,
        from: usize,
        sent: Kept,
        agenda: &mut Agenda,
        notes: &mut Notes,
        coverage: &mut Coverage,
    ) {
        let now = agenda.now();
        if self.intercept(now, from, &sent, notes) {
            return;
        }
        let Kept { to, address, source, packet } = sent;
        let fate = self.network.fate(from, to, &packet, &mut self.prng);
        let lost = fate == Fate::Lost;
        notes.trace.note(now, || Happened::Sent { from, to, packet: Rc::clone(&packet), lost });
        let (first, second) = match fate {
            Fate::Lost => return coverage.count("lost datagram"),
            Fate::Arrives(delay) => (delay, None),
            Fate::Twice(first, second) => (first, Some(second)),
        };
        for delay in [Some(first), second].into_iter().flatten() {
            let damaged = self.network.damage(&packet.datagram, &mut self.prng);
            let packet = match damaged {
                // Judges do not read it: what it says was said by nobody.
                Some(datagram) => {
                    coverage.count("flipped bits");
                    Rc::new(self.packet(datagram, None))
                }
                None => Rc::clone(&packet),
            };
            agenda.after(delay, Happening::Arrive { to, address, from: source, packet });
        }
    }

    /// Applies the script's rules to a message of `from`. Returns whether it goes no further.
    fn intercept(&mut self, now: u64, from: usize, sent: &Kept, notes: &mut Notes) -> bool {
        let interception = self.interceptor.interception(from, sent.to, &sent.packet);
        if matches!(interception, Some(Interception::Hold | Interception::Copy)) {
            self.interceptor.kept.push(sent.clone());
        }
        if self.interceptor.tells(&sent.packet) {
            let (to, packet) = (sent.to, Rc::clone(&sent.packet));
            let is_cut = self.network.is_cut(from, to);
            let fate = if is_cut { Some(Interception::Lose) } else { interception };
            notes.tell(now, Some(from), || Tale::Sent { to, packet, fate });
        }
        matches!(interception, Some(Interception::Lose | Interception::Hold))
    }

    /// A datagram is handled by host `to`. Returns whether it was before.
    pub(super) fn is_repeated(&mut self, to: usize, from: SocketAddr, packet: &Rc<Packet>) -> bool {
        let is_repeated = !packet.is_gossip() && !self.handled.insert(packet.number);
        if !is_repeated && packet.number.is_multiple_of(8) {
            self.network.capture(Captured { to, from, packet: Rc::clone(packet) });
        }
        is_repeated
    }

    /// It was handed over and told nobody anything: what comes next is no repeat.
    pub(super) fn take_back(&mut self, packet: &Packet) {
        self.handled.remove(&packet.number);
    }

    /// So many recorded datagrams are sent again, to where the hosts are now.
    pub(super) fn replay(
        &mut self,
        count: usize,
        address: impl Fn(usize) -> SocketAddr,
        agenda: &mut Agenda,
    ) {
        for _ in 0..count {
            let Some(captured) = self.network.recall(&mut self.prng) else { return };
            let Captured { to, from, packet } = captured;
            let delay = self.prng.between(0, 20_000_000);
            agenda.after(delay, Happening::Arrive { to, address: address(to), from, packet });
        }
    }
}

/// What a datagram says, for those who have its keys.
pub(super) fn open(keys: Option<&KeyRing>, datagram: &[u8]) -> Option<(Header, Message)> {
    let opened = seal::open(keys, datagram).ok()?;
    datagram::decode(opened.as_ref().map_or(datagram, Opened::plain)).ok()
}
