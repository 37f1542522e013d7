//! What was sent and what was thought of others, counted for whoever measures.
//!
//! Judges look at every event; this only adds up, so that it costs nothing at thousands of
//! nodes.

use super::network::Packet;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::MemberState;
use crate::wire::message::Layer;

/// What one machine has sent, and what of the election was sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams of membership sent: gossip, questions about members, and the way in.
    pub gossip_packets: u64,
    /// Their bytes, envelopes included; UDP and IP headers not.
    pub gossip_bytes: u64,
    /// All other datagrams sent: the election's.
    pub election_packets: u64,
    /// Of the election's datagrams those sent to it, lost ones included.
    pub election_packets_received: u64,
}

/// A node has come to doubt another, or to hold it for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// True time in nanoseconds.
    pub at: u64,
    /// Who, by index.
    pub by: usize,
    /// Of whom.
    pub about: NodeId,
    /// What it thinks.
    pub state: MemberState,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By machine.
    pub traffic: Vec<Traffic>,
    /// Every opinion but "alive", if anybody listens.
    pub opinions: Option<Vec<Opinion>>,
}

impl Tally {
    pub(super) fn new(machines: usize) -> Self {
        Self { traffic: vec![Traffic::default(); machines], opinions: None }
    }

    pub(super) fn sent(&mut self, from: usize, to: Option<usize>, packet: &Packet) {
        let sender = &mut self.traffic[from];
        if packet.message().is_some_and(|it| it.kind().layer() == Layer::Membership) {
            sender.gossip_packets += 1;
            sender.gossip_bytes += packet.datagram.len() as u64;
            return;
        }
        sender.election_packets += 1;
        if let Some(receiver) = to.and_then(|to| self.traffic.get_mut(to)) {
            receiver.election_packets_received += 1;
        }
    }

    pub(super) fn thinks(&mut self, at: u64, by: usize, about: NodeId, state: MemberState) {
        if state != MemberState::Alive
            && let Some(opinions) = &mut self.opinions
        {
            opinions.push(Opinion { at, by, about, state });
        }
    }
}
