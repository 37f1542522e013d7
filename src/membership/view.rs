//! Who is around, keyed by our own stable node ids.
//!
//! The gossip library thinks in addresses and renames its members; people and the election
//! think in node ids. This follows the library's list change by change: to look through the
//! whole list at every packet is what costs most at a thousand members.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use foca::{Member, State};

use super::codec::LEFT;
use super::identity::MemberIdentity;
use crate::vocabulary::details::Details;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::snapshot::{MemberState, MemberView};

/// The first of all addresses.
const FIRST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// One member as gossip sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    identity: MemberIdentity,
    state: MemberState,
}

impl Entry {
    fn of(member: &Member<MemberIdentity>) -> Self {
        let state = match member.state() {
            State::Alive => MemberState::Alive,
            State::Suspect => MemberState::Suspect,
            State::Down if member.incarnation() == LEFT => MemberState::Left,
            State::Down => MemberState::Down,
        };
        Self { identity: *member.id(), state }
    }

    fn lives(&self) -> bool {
        self.state.is_present()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct View {
    own: MemberIdentity,
    /// What the library holds, by node and address: a node that moved is there twice.
    known: BTreeMap<(NodeId, SocketAddr), Entry>,
    /// Nodes of which something may have changed since the last update.
    touched: BTreeSet<NodeId>,
    /// The best that is known of every node, this one included, as of the last update.
    best: BTreeMap<NodeId, Entry>,
    /// What people want to know of the nodes in `best`, and of which of their processes.
    details: BTreeMap<NodeId, (Boot, Arc<Details>)>,
    listed: Arc<Vec<MemberView>>,
    others: Vec<(Process, SocketAddr)>,
    rank: usize,
}

/// What an update changed for one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: NodeId,
    pub(super) address: SocketAddr,
    /// None: it is no longer known.
    pub(super) state: Option<MemberState>,
}

impl View {
    pub(super) fn new(own: MemberIdentity) -> Self {
        let entry = Entry { identity: own, state: MemberState::Alive };
        let mut view = Self {
            own,
            known: BTreeMap::new(),
            touched: BTreeSet::new(),
            best: BTreeMap::from([(own.process.id, entry)]),
            details: BTreeMap::new(),
            listed: Arc::default(),
            others: Vec::new(),
            rank: 0,
        };
        view.derive();
        view
    }

    /// The library holds this of a member now.
    pub(super) fn note(&mut self, member: &Member<MemberIdentity>) {
        let entry = Entry::of(member);
        let id = entry.identity.process.id;
        // What is said of this node's own id is no news to it.
        if id == self.own.process.id {
            return;
        }
        if self.known.insert((id, entry.identity.address), entry) != Some(entry) {
            self.touched.insert(id);
        }
    }

    /// The library no longer holds this member.
    pub(super) fn forget(&mut self, identity: &MemberIdentity) {
        let id = identity.process.id;
        let key = (id, identity.address);
        if self.known.get(&key).is_some_and(|entry| entry.identity == *identity) {
            self.known.remove(&key);
            self.touched.insert(id);
        }
    }

    /// The library's whole list, after it was started anew.
    pub(super) fn reload<'a>(&mut self, members: impl Iterator<Item = &'a Member<MemberIdentity>>) {
        self.touched.extend(self.known.keys().map(|(id, _)| *id));
        self.known.clear();
        members.for_each(|member| self.note(member));
    }

    /// Whether there is anything to update.
    pub(super) fn is_stale(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Takes over what was noted and returns what changed about others.
    pub(super) fn update(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.touched) {
            let of_node =
                self.known.range((id, FIRST)..).take_while(|((other, _), _)| *other == id);
            let rank = |entry: &&Entry| (entry.lives(), entry.identity.age());
            let Some(entry) = of_node.map(|(_, entry)| entry).max_by_key(rank).copied() else {
                if let Some(gone) = self.best.remove(&id) {
                    self.details.remove(&id);
                    changes.push(Change { id, address: gone.identity.address, state: None });
                }
                continue;
            };
            let same = self.best.insert(id, entry).is_some_and(|before| {
                before.state == entry.state && before.identity.process == entry.identity.process
            });
            if !same {
                let (address, state) = (entry.identity.address, Some(entry.state));
                changes.push(Change { id, address, state });
            }
        }
        if !changes.is_empty() {
            self.derive();
        }
        changes
    }

    pub(super) fn derive(&mut self) {
        let details = |entry: &Entry| {
            let known = self.details.get(&entry.identity.process.id);
            known.filter(|(boot, _)| *boot == entry.identity.process.boot)
        };
        let list = |entry: &Entry| MemberView {
            id: entry.identity.process.id,
            address: entry.identity.address,
            boot: entry.identity.process.boot,
            eligible: entry.identity.eligible,
            state: entry.state,
            details: details(entry).map(|(_, details)| Arc::clone(details)),
        };
        self.listed = Arc::new(self.best.values().map(list).collect());
        let own = self.own.process.id;
        let others =
            self.best.values().filter(|entry| entry.lives() && entry.identity.process.id != own);
        self.others.clear();
        self.others.extend(others.map(|entry| (entry.identity.process, entry.identity.address)));
        self.rank = self.eligible().take_while(|entry| entry.identity.process.id > own).count();
    }

    /// Those who may lead and are not gone, highest first.
    fn eligible(&self) -> impl Iterator<Item = &Entry> {
        self.best.values().rev().filter(|entry| entry.identity.eligible && entry.lives())
    }

    pub(super) fn listed(&self) -> Arc<Vec<MemberView>> {
        Arc::clone(&self.listed)
    }

    /// The others that are not gone.
    pub(super) fn others(&self) -> &[(Process, SocketAddr)] {
        &self.others
    }

    /// Takes in the details of a process that is known. The list shows them once it is derived.
    pub(super) fn learn(&mut self, process: Process, details: &Arc<Details>) {
        if self.best.contains_key(&process.id) {
            self.details.insert(process.id, (process.boot, Arc::clone(details)));
        }
    }

    /// Whether the details of this process are not known.
    pub(super) fn lacks(&self, process: &Process) -> bool {
        self.details.get(&process.id).is_none_or(|(boot, _)| *boot != process.boot)
    }

    pub(super) fn details_of(&self, id: NodeId) -> Option<(Process, &Arc<Details>)> {
        let (boot, details) = self.details.get(&id)?;
        Some((Process { id, boot: *boot }, details))
    }

    /// How many nodes' details are known.
    pub(super) fn described(&self) -> usize {
        self.details.len()
    }

    /// All details, from one place on and round to it.
    pub(super) fn described_from(
        &self,
        start: usize,
    ) -> impl Iterator<Item = (Process, &Arc<Details>)> {
        let around = self.details.iter().cycle().skip(start).take(self.details.len());
        around.map(|(id, (boot, details))| (Process { id: *id, boot: *boot }, details))
    }

    /// How many are known, gone ones included, this node not.
    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// Where those were who are gone.
    pub(super) fn absent(&self) -> impl Iterator<Item = (Process, SocketAddr)> {
        let absent = self.best.values().filter(|entry| !entry.lives());
        absent.map(|entry| (entry.identity.process, entry.identity.address))
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
        let entry = self.best.get(&id)?;
        Some((entry.identity.process, entry.identity.address))
    }
}
