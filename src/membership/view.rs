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

use super::codec::LEFT;
use super::identity::MemberIdentity;
use super::roster::Roster;
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

    fn view(&self, details: Option<Arc<Details>>) -> MemberView {
        MemberView {
            id: self.identity.process.id,
            address: self.identity.address,
            boot: self.identity.process.boot,
            eligible: self.identity.eligible,
            state: self.state,
            details,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct View {
    own: MemberIdentity,
    /// Which nodes the roster holds, and where: a node that moved is there twice.
    places: BTreeSet<(NodeId, SocketAddr)>,
    /// Nodes of which something may have changed since the last update.
    touched: BTreeSet<NodeId>,
    /// The best that is known of every node, this one included, as of the last update; lowest
    /// id first.
    listed: Arc<Vec<MemberView>>,
    /// What people want to know of the nodes in `listed`, and of which of their processes.
    details: BTreeMap<NodeId, (Boot, Arc<Details>)>,
    /// Most have nothing to say of themselves.
    nothing: Arc<Details>,
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
        Self {
            own,
            places: BTreeSet::new(),
            touched: BTreeSet::new(),
            listed: Arc::new(vec![entry.view(None)]),
            details: BTreeMap::new(),
            nothing: Arc::default(),
            others: Vec::new(),
            rank: 0,
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
    pub(super) fn forget(&mut self, identity: &MemberIdentity, roster: &Roster) {
        let id = identity.process.id;
        let place = (id, identity.address);
        let held = roster.at(identity.address).map(Member::id);
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
    pub(super) fn update(&mut self, roster: &Roster) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut fresh = BTreeMap::new();
        for id in std::mem::take(&mut self.touched) {
            let before = self.get(id);
            let Some(entry) = self.best(id, roster) else {
                if let Some(gone) = before {
                    changes.push(Change { id, address: gone.address, state: None });
                    fresh.insert(id, None);
                }
                continue;
            };
            let view = entry.view(None);
            let same =
                before.is_some_and(|before| before.state == view.state && before.boot == view.boot);
            if !same {
                changes.push(Change { id, address: view.address, state: Some(view.state) });
            }
            let is_listed = before.is_some_and(|before| {
                before.address == view.address && before.eligible == view.eligible
            });
            if !same || !is_listed {
                fresh.insert(id, Some(entry));
            }
        }
        if !fresh.is_empty() {
            self.merge(fresh);
        }
        changes
    }

    /// The best that is known of a node: rather one that lives, rather the latest.
    fn best(&self, id: NodeId, roster: &Roster) -> Option<Entry> {
        let of_node = self.places.range((id, FIRST)..).take_while(|(other, _)| *other == id);
        let held = of_node.filter_map(|(_, address)| roster.at(*address));
        held.map(Entry::of).max_by_key(|entry| (entry.state.is_present(), entry.identity.age()))
    }

    /// The list with these in place of what it says of them; none: no longer known.
    fn merge(&mut self, fresh: BTreeMap<NodeId, Option<Entry>>) {
        let mut listed = Vec::with_capacity(self.listed.len() + fresh.len());
        let mut fresh = fresh.into_iter().peekable();
        let mut kept = self.listed.iter().peekable();
        loop {
            let next = [kept.peek().map(|member| member.id), fresh.peek().map(|(id, _)| *id)];
            let Some(id) = next.into_iter().flatten().min() else { break };
            let before = kept.next_if(|member| member.id == id);
            match fresh.next_if(|(other, _)| *other == id) {
                Some((_, Some(entry))) => {
                    listed.push(entry.view(self.known_details(entry.identity.process)));
                }
                Some((_, None)) => _ = self.details.remove(&id),
                None => listed.extend(before.cloned()),
            }
        }
        self.listed = Arc::new(listed);
        self.derive();
    }

    /// The list shows what was learnt of members.
    pub(super) fn show_details(&mut self) {
        let listed = self.listed.iter().map(|member| {
            let details = self.known_details(place(member).0);
            MemberView { details, ..member.clone() }
        });
        self.listed = Arc::new(listed.collect());
    }

    fn known_details(&self, process: Process) -> Option<Arc<Details>> {
        let known = self.details.get(&process.id).filter(|(boot, _)| *boot == process.boot);
        known.map(|(_, details)| Arc::clone(details))
    }

    /// What follows from the list.
    fn derive(&mut self) {
        let own = self.own.process.id;
        let others = self.listed.iter().filter(|it| it.state.is_present() && it.id != own);
        self.others.clear();
        self.others.extend(others.map(place));
        self.rank = self.eligible().take_while(|member| member.id > own).count();
    }

    fn get(&self, id: NodeId) -> Option<&MemberView> {
        let at = self.listed.binary_search_by_key(&id, |member| member.id).ok()?;
        self.listed.get(at)
    }

    /// Those who may lead and are not gone, highest first.
    fn eligible(&self) -> impl Iterator<Item = &MemberView> {
        self.listed.iter().rev().filter(|member| member.eligible && member.state.is_present())
    }

    pub(super) fn listed(&self) -> Arc<Vec<MemberView>> {
        Arc::clone(&self.listed)
    }

    /// The others that are not gone.
    pub(super) fn others(&self) -> &[(Process, SocketAddr)] {
        &self.others
    }

    /// Takes in the details of a process that is known. See [`View::show_details`].
    pub(super) fn learn(&mut self, process: Process, details: &Details) {
        if self.get(process.id).is_some() {
            let is_nothing = *details == *self.nothing;
            let details =
                if is_nothing { Arc::clone(&self.nothing) } else { Arc::new(details.clone()) };
            self.details.insert(process.id, (process.boot, details));
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
        self.places.len()
    }

    /// Where those were who are gone.
    pub(super) fn absent(&self) -> impl Iterator<Item = (Process, SocketAddr)> {
        self.listed.iter().filter(|member| !member.state.is_present()).map(place)
    }

    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    pub(super) fn top_eligible(&self, count: usize) -> Vec<(Process, SocketAddr)> {
        self.eligible().take(count).map(place).collect()
    }

    pub(super) fn address_of(&self, id: NodeId) -> Option<(Process, SocketAddr)> {
        self.get(id).map(place)
    }
}

/// Which process a member is, and where.
fn place(member: &MemberView) -> (Process, SocketAddr) {
    (Process { id: member.id, boot: member.boot }, member.address)
}
