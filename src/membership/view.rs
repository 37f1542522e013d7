//! Who is around, keyed by our own stable node ids.
//!
//! The gossip library thinks in addresses and renames its members; people and the election
//! think in node ids. This view is rebuilt from the library's state when that changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use foca::{Member, State};

use super::identity::MemberIdentity;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::snapshot::{MemberState, MemberView};

/// One node as gossip sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    identity: MemberIdentity,
    state: MemberState,
}

/// The view, rebuilt as a whole.
#[derive(Debug, Default)]
pub(super) struct View {
    entries: BTreeMap<NodeId, Entry>,
    listed: Arc<Vec<MemberView>>,
    alive: Vec<(Process, SocketAddr)>,
    rank: usize,
}

/// What a rebuild changed for one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: NodeId,
    pub(super) address: SocketAddr,
    pub(super) state: MemberState,
}

impl View {
    /// Rebuilds the view and returns what changed about others.
    pub(super) fn rebuild<'a>(
        &mut self,
        own: &MemberIdentity,
        members: impl Iterator<Item = &'a Member<MemberIdentity>>,
    ) -> Vec<Change> {
        let own_entry = Entry { identity: *own, state: MemberState::Alive };
        let mut entries = BTreeMap::from([(own.process.id, own_entry)]);
        for member in members {
            let state = match member.state() {
                State::Alive => MemberState::Alive,
                State::Suspect => MemberState::Suspect,
                State::Down => MemberState::Down,
            };
            let entry = Entry { identity: *member.id(), state };
            let id = entry.identity.process.id;
            let known = entries.get(&id);
            // A newer process wins; of one process, its newest name.
            let newer = known.is_none_or(|known| {
                known.identity.process != own.process && precedes(known, &entry)
            });
            if newer {
                entries.insert(id, entry);
            }
        }
        let mut changes = Vec::new();
        for (id, entry) in entries.iter().filter(|(id, _)| **id != own.process.id) {
            let same = self.entries.get(id).is_some_and(|known| {
                known.state == entry.state && known.identity.process == entry.identity.process
            });
            if !same {
                let (address, state) = (entry.identity.address, entry.state);
                changes.push(Change { id: *id, address, state });
            }
        }
        if !changes.is_empty() || entries.len() != self.entries.len() || self.listed.is_empty() {
            self.entries = entries;
            self.derive(own.process.id);
        } else {
            self.entries = entries;
        }
        changes
    }

    fn derive(&mut self, own: NodeId) {
        let list = |entry: &Entry| MemberView {
            id: entry.identity.process.id,
            address: entry.identity.address,
            boot: entry.identity.process.boot,
            eligible: entry.identity.eligible,
            state: entry.state,
        };
        self.listed = Arc::new(self.entries.values().map(list).collect());
        let others = self
            .entries
            .values()
            .filter(|entry| entry.state != MemberState::Down && entry.identity.process.id != own);
        self.alive = others.map(|entry| (entry.identity.process, entry.identity.address)).collect();
        self.rank = self.eligible().filter(|entry| entry.identity.process.id > own).count();
    }

    /// Those who may lead and are not down, highest first.
    fn eligible(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .values()
            .rev()
            .filter(|entry| entry.identity.eligible && entry.state != MemberState::Down)
    }

    pub(super) fn listed(&self) -> Arc<Vec<MemberView>> {
        Arc::clone(&self.listed)
    }

    /// The others that are not down.
    pub(super) fn others(&self) -> &[(Process, SocketAddr)] {
        &self.alive
    }

    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    pub(super) fn top_eligible(&self, count: usize) -> Vec<(Process, SocketAddr)> {
        self.eligible()
            .take(count)
            .map(|entry| (entry.identity.process, entry.identity.address))
            .collect()
    }

    pub(super) fn address_of(&self, id: NodeId) -> Option<(Process, SocketAddr)> {
        let entry = self.entries.get(&id)?;
        Some((entry.identity.process, entry.identity.address))
    }
}

/// Whether `other` says more of the node than `known`. Of two processes the newer does, unless
/// it is down while the older lives.
fn precedes(known: &Entry, other: &Entry) -> bool {
    let lives = |entry: &Entry| entry.state != MemberState::Down;
    (lives(known), known.identity.age()) < (lives(other), other.identity.age())
}
