//! The keeper of a process: it has the last will that the node wrote, ready to be sent, and sends
//! it when that process is dead.
//!
//! The datagrams are the node's own, sealed by it while it lived. The keeper is a process of its
//! own: a frozen or starved node does not hold it up, and it may die, too.

use std::net::SocketAddr;
use std::rc::Rc;

use super::checks::Invariant;
use super::effects::open;
use super::job::LastWill;
use super::network::Packet;
use super::world::{Happening, World};
use crate::node::LastWillDatagram;
use crate::vocabulary::message::Message;

/// A death is noticed after so many nanoseconds.
pub(super) const DEATH_NOTICED: u64 = 1_200_000;

/// The will is sent again after each of these, in nanoseconds: datagrams are lost.
const SENDINGS: [u64; 3] = [2_000_000, 10_000_000, 30_000_000];

/// The keeper sends from a port of its own.
const KEEPER_PORT: u16 = 50_000;

impl World {
    /// A node tells its keeper what is to be sent after its death, whenever that changes.
    pub(super) fn confide(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if !host.keeper || host.keeper_dead {
            return;
        }
        let Some(running) = &mut host.running else { return };
        if let Some(will) = running.core.poll_last_will() {
            running.will = Some(Rc::new(will));
        }
    }

    /// What the keeper of a host would send if its process died now.
    pub(super) fn last_will(&self, index: usize) -> Option<LastWill> {
        let running = self.hosts[index].running.as_ref()?;
        let will = running.will.clone().filter(|will| !will.is_empty())?;
        Some(LastWill { index, will })
    }

    /// The keeper tells the voters, after so many nanoseconds, that the process is dead.
    pub(super) fn execute(&mut self, will: LastWill, delay: u64) {
        let LastWill { index, will } = will;
        self.coverage.count("release by a keeper");
        let speaks = Happening::Speak { index, will, pauses: &SENDINGS };
        self.schedule(self.now + delay, speaks);
    }

    /// One sending of a will, and the next after its pause.
    pub(super) fn speak(
        &mut self,
        index: usize,
        will: &Rc<Vec<LastWillDatagram>>,
        pauses: &'static [u64],
    ) {
        for envelope in will.iter() {
            self.packet_number += 1;
            // Keys may have been rotated since: somebody may be behind, but nobody far.
            let mut rings = self.hosts.iter().map(|host| host.setup.keys.as_ref());
            let content = rings.find_map(|keys| open(keys, &envelope.datagram));
            let datagram = envelope.datagram.clone();
            let packet = Packet { number: self.packet_number, datagram, content };
            self.judge_will(&packet);
            let address = self.hosts[index].setup.address;
            let source = SocketAddr::new(address.ip(), KEEPER_PORT);
            self.send(index, source, envelope.to, Rc::new(packet));
        }
        if let Some((pause, pauses)) = pauses.split_first() {
            let (at, will) = (self.now + pause, Rc::clone(will));
            self.schedule(at, Happening::Speak { index, will, pauses });
        }
    }

    /// Whoever is released must be dead.
    fn judge_will(&mut self, packet: &Packet) {
        let Some((_, Message::Release { release, .. })) = &packet.content else {
            let sentence = "a keeper sends bytes that nobody can read".to_owned();
            return self.broken(Invariant::Contract, sentence);
        };
        let holder = release.holder;
        if self.hosts.iter().any(|host| host.process() == Some(holder)) {
            let sentence = format!("the keeper releases {holder} while it lives");
            self.broken(Invariant::StopThenRelease, sentence);
        }
        if self.works.works(holder) {
            let sentence = format!("the keeper releases {holder} while its work is alive");
            self.broken(Invariant::StopThenRelease, sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::network::Network;

    #[test]
    fn a_keepers_datagrams_come_from_the_machine_of_its_node() {
        let address = Network::address(4, 2);
        let source = SocketAddr::new(address.ip(), KEEPER_PORT);
        assert_eq!(Network::index_of(source), Some(4));
        assert_ne!(source, address);
    }
}
