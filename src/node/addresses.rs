//! Where to send. Gossip and configuration *say* where a node is; a datagram *shows* it.
//!
//! Answers go to where the question came from. What a node sends of its own accord goes to the
//! place from which the process last answered a question of ours, for that proves more than
//! any advertisement; otherwise to the advertised address. Gossip never overrides a proven
//! address of the same process.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::membership::Membership;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::time::HolderTime;

/// The most nodes whose addresses are kept; far more than voters and standbys.
const ADDRESSES_MAX: usize = 1024;

#[derive(Debug, Default)]
struct Entry {
    advertised: Option<SocketAddr>,
    proven: Option<(Boot, SocketAddr)>,
    source: Option<Source>,
}

/// From where the last datagram of a process came, and when.
#[derive(Clone, Copy, Debug)]
struct Source {
    boot: Boot,
    address: SocketAddr,
    at: HolderTime,
}

/// What is known of addresses, by node.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    entries: BTreeMap<NodeId, Entry>,
}

impl Addresses {
    pub(super) fn table(&self) -> TableSize {
        TableSize { name: "addresses", size: self.entries.len(), size_max: ADDRESSES_MAX }
    }

    fn entry(&mut self, id: NodeId) -> Option<&mut Entry> {
        if self.entries.len() >= ADDRESSES_MAX && !self.entries.contains_key(&id) {
            // Whoever was never configured or proven is found again by gossip.
            let dispensable = |entry: &Entry| entry.advertised.is_none() && entry.proven.is_none();
            self.entries.retain(|_, entry| !dispensable(entry));
            if self.entries.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        Some(self.entries.entry(id).or_default())
    }

    /// Configuration, a record or a welcome says where a node is.
    pub(super) fn advertise(&mut self, id: NodeId, address: SocketAddr) {
        if let Some(entry) = self.entry(id) {
            entry.advertised = Some(address);
        }
    }

    /// A datagram of this process came from there.
    pub(super) fn came_from(&mut self, process: Process, address: SocketAddr, at: HolderTime) {
        if let Some(entry) = self.entry(process.id) {
            entry.source = Some(Source { boot: process.boot, address, at });
        }
    }

    /// Where the last datagram of this process came from, and when.
    pub(super) fn heard_from(&self, process: Process) -> Option<(SocketAddr, HolderTime)> {
        let source = self.entries.get(&process.id)?.source?;
        (source.boot == process.boot).then_some((source.address, source.at))
    }

    /// The process answered, from there, something that only a receiver of our question knows.
    pub(super) fn prove(&mut self, process: Process, source: SocketAddr) {
        if let Some(entry) = self.entry(process.id) {
            entry.proven = Some((process.boot, source));
        }
    }

    /// Where an answer to this process goes.
    pub(super) fn for_answer(&self, process: Process) -> Option<SocketAddr> {
        let entry = self.entries.get(&process.id)?;
        let source = entry.source.filter(|source| source.boot == process.boot);
        source.map(|source| source.address)
    }

    /// Where something unasked goes. `boot` none: whichever process the node is now.
    /// `gossip`: what membership says of the node.
    pub(super) fn for_push(
        &self,
        id: NodeId,
        boot: Option<Boot>,
        gossip: Option<(Process, SocketAddr)>,
    ) -> Option<SocketAddr> {
        let entry = self.entries.get(&id);
        let proven = entry.and_then(|entry| entry.proven);
        let newer =
            |known: Boot| gossip.is_some_and(|(process, _)| process.boot.start > known.start);
        match (proven, boot) {
            (Some((known, address)), Some(boot)) if known == boot => return Some(address),
            (Some((known, address)), None) if !newer(known) => return Some(address),
            _ => {}
        }
        gossip.map(|(_, address)| address).or_else(|| entry.and_then(|entry| entry.advertised))
    }

    /// Where a node is, for people and for the record.
    pub(super) fn best(
        &self,
        id: NodeId,
        gossip: Option<(Process, SocketAddr)>,
    ) -> Option<SocketAddr> {
        self.for_push(id, None, gossip)
    }
}

/// Where nodes are, this one included: for people, for the record, and for newcomers.
pub(super) struct Directory<'a> {
    pub(super) me: NodeId,
    /// Where this node is.
    pub(super) own: SocketAddr,
    pub(super) addresses: &'a Addresses,
    pub(super) membership: &'a Membership,
}

impl Directory<'_> {
    pub(super) fn address_of(&self, id: NodeId) -> Option<SocketAddr> {
        if id == self.me {
            Some(self.own)
        } else {
            self.addresses.best(id, self.membership.address_of(id))
        }
    }

    /// Those of these nodes whose address is known, with it.
    pub(super) fn addresses_of(&self, ids: &[NodeId]) -> Vec<(NodeId, SocketAddr)> {
        ids.iter().filter_map(|id| Some((*id, self.address_of(*id)?))).collect()
    }
}
