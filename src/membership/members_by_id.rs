//! Who is around, keyed by our own stable node ids.
//!
//! The gossip library thinks in addresses and renames its members; people and the election
//! think in node ids. This follows the library's list change by change: to look through the
//! whole list at every packet is what costs most at a thousand members. What the library holds
//! is in the roster once, and here only who is where: members times nodes is what memory goes by.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use foca::{Member, State};
use rand::Rng;

use super::codec::LEFT;
use super::identity::MemberIdentity;
use super::member_list::MemberList;
use super::swim_members::SwimMembers;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::metadata::Metadata;
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

    fn view(&self) -> MemberView {
        MemberView {
            id: self.identity.process.id,
            address: self.identity.address,
            boot: self.identity.process.boot,
            eligible: self.identity.eligible,
            state: self.state,
            metadata: None,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct MembersById {
    own: MemberIdentity,
    /// Which nodes the roster holds, and where: a node that moved is there twice.
    places: BTreeSet<(NodeId, SocketAddr)>,
    /// Nodes of which something may have changed since the last update.
    touched: BTreeSet<NodeId>,
    /// The best that is known of every node, this one included, as of the last update.
    list: MemberList,
    /// Most have nothing to say of themselves.
    nothing: Arc<Metadata>,
}

/// What an update changed for one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: NodeId,
    pub(super) address: SocketAddr,
    /// None: it is no longer known.
    pub(super) state: Option<MemberState>,
}

impl MembersById {
    pub(super) fn new(own: MemberIdentity) -> Self {
        let entry = Entry { identity: own, state: MemberState::Alive };
        Self {
            own,
            places: BTreeSet::new(),
            touched: BTreeSet::new(),
            list: MemberList::new(entry.view()),
            nothing: Arc::default(),
        }
    }

    /// The library holds this of a member now, in place of `before`.
    pub(super) fn note(
        &mut self,
        member: &Member<MemberIdentity>,
        before: Option<&Member<MemberIdentity>>,
    ) {
        let entry = Entry::of(member);
        let id = entry.identity.process.id;
        let address = entry.identity.address;
        if let Some(other) = before.map(|before| before.id().process.id).filter(|it| *it != id)
            && self.places.remove(&(other, address))
        {
            self.touched.insert(other);
        }
        // What is said of this node's own id is no news to it.
        if id == self.own.process.id {
            return;
        }
        let is_new = self.places.insert((id, address));
        if is_new || before.map(Entry::of) != Some(entry) {
            self.touched.insert(id);
        }
    }

    /// The library no longer holds this member.
    pub(super) fn forget(&mut self, identity: &MemberIdentity, swim_members: &SwimMembers) {
        let id = identity.process.id;
        let place = (id, identity.address);
        let held = swim_members.at(identity.address).map(Member::id);
        let has_another_name = held.is_some_and(|held| held.process.id == id && held != identity);
        if !has_another_name && self.places.remove(&place) {
            self.touched.insert(id);
        }
    }

    /// The library was started anew: it holds what it is said to from here on.
    pub(super) fn clear(&mut self) {
        self.touched.extend(self.places.iter().map(|(id, _)| *id));
        self.places.clear();
    }

    /// Whether there is anything to update.
    pub(super) fn is_stale(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Takes over what was noted and returns what changed about others.
    pub(super) fn update(&mut self, swim_members: &SwimMembers) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut fresh = BTreeMap::new();
        for id in std::mem::take(&mut self.touched) {
            let before = self.list.get(id);
            let Some(entry) = self.best(id, swim_members) else {
                if let Some(gone) = before {
                    changes.push(Change { id, address: gone.address, state: None });
                    fresh.insert(id, None);
                }
                continue;
            };
            let view = entry.view();
            let same =
                before.is_some_and(|before| before.state == view.state && before.boot == view.boot);
            if !same {
                changes.push(Change { id, address: view.address, state: Some(view.state) });
            }
            let is_listed = before.is_some_and(|before| {
                before.address == view.address && before.eligible == view.eligible
            });
            if !same || !is_listed {
                fresh.insert(id, Some(view));
            }
        }
        if !fresh.is_empty() {
            self.list.apply(fresh);
        }
        changes
    }

    /// The best that is known of a node: rather one that lives, rather the latest.
    fn best(&self, id: NodeId, swim_members: &SwimMembers) -> Option<Entry> {
        let of_node = self.places.range((id, FIRST)..).take_while(|(other, _)| *other == id);
        let held = of_node.filter_map(|(_, address)| swim_members.at(*address));
        held.map(Entry::of).max_by_key(|entry| (entry.state.is_present(), entry.identity.age()))
    }

    pub(super) fn listed(&self) -> Arc<Vec<MemberView>> {
        self.list.shared()
    }

    /// How many others are not gone.
    pub(super) fn others(&self) -> usize {
        self.list.others()
    }

    /// The others that are not gone, from the one of that number on and round to it.
    pub(super) fn others_from(&self, number: usize) -> impl Iterator<Item = (Process, SocketAddr)> {
        self.list.others_from(number).map(place)
    }

    /// Whether this process is one of the others that are not gone.
    pub(super) fn is_here(&self, process: Process) -> bool {
        let known = self.list.get(process.id).filter(|_| process.id != self.own.process.id);
        known.is_some_and(|member| member.boot == process.boot && member.state.is_present())
    }

    /// One of the others that are not gone, at random.
    pub(super) fn any_other(&self, random: &mut impl Rng) -> Option<(Process, SocketAddr)> {
        self.list.any_other(random).map(place)
    }

    /// Takes in the details of a process that is known.
    pub(super) fn learn(&mut self, process: Process, metadata: &Metadata) {
        let is_nothing = *metadata == *self.nothing;
        let metadata =
            if is_nothing { Arc::clone(&self.nothing) } else { Arc::new(metadata.clone()) };
        self.list.describe(process, metadata);
    }

    /// Whether the details of this process are not known.
    pub(super) fn lacks(&self, process: &Process) -> bool {
        let known = self.list.get(process.id).filter(|member| member.boot == process.boot);
        known.is_none_or(|member| member.metadata.is_none())
    }

    /// How many others are here whose details are not known.
    pub(super) fn undescribed(&self) -> usize {
        self.list.undescribed()
    }

    /// The others that are here and whose details are not known.
    pub(super) fn lacking(&self) -> impl Iterator<Item = (Process, SocketAddr)> {
        self.list.others_from(0).filter(|member| member.metadata.is_none()).map(place)
    }

    pub(super) fn details_of(&self, id: NodeId) -> Option<(Process, &Arc<Metadata>)> {
        self.list.get(id).and_then(described)
    }

    /// All details, from one place in the list on and round to it.
    pub(super) fn described_from(
        &self,
        start: usize,
    ) -> impl Iterator<Item = (Process, &Arc<Metadata>)> {
        self.list.around(start).filter_map(described)
    }

    /// How many are known, gone ones included, this node not.
    pub(super) fn known(&self) -> usize {
        self.places.len()
    }

    /// Where those were who are gone.
    pub(super) fn absent(&self) -> impl Iterator<Item = (Process, SocketAddr)> {
        self.list.around(0).filter(|member| !member.state.is_present()).map(place)
    }

    pub(super) fn rank(&self) -> usize {
        self.list.rank()
    }

    pub(super) fn top_eligible(&self, count: usize) -> Vec<(Process, SocketAddr)> {
        self.list.eligible().take(count).map(place).collect()
    }

    pub(super) fn address_of(&self, id: NodeId) -> Option<(Process, SocketAddr)> {
        self.list.get(id).map(place)
    }
}

/// The details of a member that are known.
fn described(member: &MemberView) -> Option<(Process, &Arc<Metadata>)> {
    Some((place(member).0, member.metadata.as_ref()?))
}

/// Which process a member is, and where.
fn place(member: &MemberView) -> (Process, SocketAddr) {
    (Process { id: member.id, boot: member.boot }, member.address)
}
