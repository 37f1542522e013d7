//! The list of members as people and the election see it: in order, counted, and shared.
//!
//! A reader holds the list as it was; changes are made in place while there is no reader. What is
//! asked of the list at every packet, or at every change of opinion about a member, is counted as
//! the list changes: to look through thousands of members costs more than all else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rand::{Rng, RngExt};

use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::metadata::Metadata;
use crate::vocabulary::snapshot::MemberView;

/// Up to so many changes are made one by one. More are merged, in one pass over all members.
const FEW: usize = 8;

/// See the module. Lowest id first, this node included.
#[derive(Debug)]
pub(super) struct MemberList {
    own: NodeId,
    members: Arc<Vec<MemberView>>,
    counts: Counts,
    /// Most have nothing to say of themselves.
    nothing: Arc<Metadata>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Others that are not gone.
    others: usize,
    /// Of those, whose metadata is not known.
    undescribed: usize,
    /// Higher nodes that may lead and are not gone.
    rank: usize,
}

impl Counts {
    fn count(&mut self, own: NodeId, member: &MemberView, comes: bool) {
        let step = |count: &mut usize, applies: bool| match (applies, comes) {
            (true, true) => *count += 1,
            (true, false) => *count -= 1,
            (false, _) => {}
        };
        let is_other = is_other(own, member);
        step(&mut self.others, is_other);
        step(&mut self.undescribed, is_other && member.metadata.is_none());
        step(&mut self.rank, is_other && member.eligible && member.id > own);
    }
}

impl MemberList {
    /// Only this node.
    pub(super) fn new(own: MemberView) -> Self {
        let mut counts = Counts::default();
        counts.count(own.id, &own, true);
        Self { own: own.id, members: Arc::new(vec![own]), counts, nothing: Arc::default() }
    }

    /// Puts these in place of what the list says of them; none: no longer known. Whose metadata
    /// is not given keeps what is known of the same process.
    pub(super) fn apply(&mut self, fresh: BTreeMap<NodeId, Option<MemberView>>) {
        if fresh.len() > FEW {
            return self.merge(fresh);
        }
        for (id, member) in fresh {
            let place = self.place(id);
            let members = Arc::make_mut(&mut self.members);
            if let Ok(at) = place {
                self.counts.count(self.own, &members[at], false);
            }
            match (place, member) {
                (Ok(at), Some(member)) => {
                    let member = inherit(member, &members[at]);
                    self.counts.count(self.own, &member, true);
                    members[at] = member;
                }
                (Err(at), Some(member)) => {
                    self.counts.count(self.own, &member, true);
                    members.insert(at, member);
                }
                (Ok(at), None) => _ = members.remove(at),
                (Err(_), None) => {}
            }
        }
    }

    fn merge(&mut self, fresh: BTreeMap<NodeId, Option<MemberView>>) {
        let mut members = Vec::with_capacity(self.members.len() + fresh.len());
        let mut fresh = fresh.into_iter().peekable();
        let mut kept = self.members.iter().peekable();
        loop {
            let next = [kept.peek().map(|member| member.id), fresh.peek().map(|(id, _)| *id)];
            let Some(id) = next.into_iter().flatten().min() else { break };
            let before = kept.next_if(|member| member.id == id);
            match (fresh.next_if(|(other, _)| *other == id), before) {
                (Some((_, Some(member))), Some(before)) => members.push(inherit(member, before)),
                (Some((_, Some(member))), None) => members.push(member),
                (Some((_, None)), _) => {}
                (None, before) => members.extend(before.cloned()),
            }
        }
        self.counts = Counts::default();
        members.iter().for_each(|member| self.counts.count(self.own, member, true));
        self.members = Arc::new(members);
    }

    /// Takes in the metadata of this process, if the list names it.
    pub(super) fn describe(&mut self, process: Process, metadata: &Metadata) {
        let Ok(at) = self.place(process.id) else { return };
        if self.members[at].boot != process.boot {
            return;
        }
        let member = &mut Arc::make_mut(&mut self.members)[at];
        self.counts.count(self.own, member, false);
        let is_nothing = *metadata == *self.nothing;
        member.metadata =
            Some(if is_nothing { Arc::clone(&self.nothing) } else { Arc::new(metadata.clone()) });
        self.counts.count(self.own, member, true);
    }

    /// Everybody, lowest id first.
    pub(super) fn shared(&self) -> Arc<Vec<MemberView>> {
        Arc::clone(&self.members)
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&MemberView> {
        self.members.get(self.place(id).ok()?)
    }

    /// Which process a node is now, and where.
    pub(super) fn address_of(&self, id: NodeId) -> Option<(Process, SocketAddr)> {
        self.get(id).map(address)
    }

    /// Whether this process is one of the others that are not gone.
    pub(super) fn is_here(&self, process: Process) -> bool {
        let known = self.get(process.id).filter(|member| is_other(self.own, member));
        known.is_some_and(|member| member.boot == process.boot)
    }

    /// How many others are not gone.
    pub(super) fn others(&self) -> usize {
        self.counts.others
    }

    /// The others that are not gone, from the one of that number on and round to it.
    pub(super) fn others_from(&self, number: usize) -> impl Iterator<Item = (Process, SocketAddr)> {
        let all = self.around(self.place_of(number));
        all.filter(|member| is_other(self.own, member)).map(address)
    }

    /// One of the others that are not gone, at random.
    pub(super) fn any_other(&self, random: &mut impl Rng) -> Option<(Process, SocketAddr)> {
        if self.counts.others == 0 {
            return None;
        }
        self.members.get(self.place_of(random.random_range(0..self.counts.others))).map(address)
    }

    /// Up to `count` others that are not gone, at random if there are more; if all are gone, of
    /// those.
    pub(super) fn sample(&self, count: usize, random: &mut impl Rng) -> Vec<(Process, SocketAddr)> {
        let mut start =
            |of: usize, is_choice: bool| if is_choice { random.random_range(0..of) } else { 0 };
        let others = self.counts.others;
        if others > 0 {
            return self.others_from(start(others, others > count)).take(count).collect();
        }
        // A node that is alone asks those that it holds for dead: it may be mistaken.
        let absent = self.members.iter().filter(|member| !member.state.is_present()).map(address);
        let absent: Vec<_> = absent.collect();
        let start = start(absent.len(), !absent.is_empty());
        absent.iter().cycle().skip(start).take(absent.len().min(count)).copied().collect()
    }

    /// How many higher nodes may lead and are not gone.
    pub(super) fn rank(&self) -> usize {
        self.counts.rank
    }

    /// Those who may lead and are not gone, highest first.
    pub(super) fn eligible(&self) -> impl Iterator<Item = (Process, SocketAddr)> {
        let may_lead = |member: &&MemberView| member.eligible && member.state.is_present();
        self.members.iter().rev().filter(may_lead).map(address)
    }

    /// Of how many others that are not gone the metadata is not known.
    pub(super) fn undescribed(&self) -> usize {
        self.counts.undescribed
    }

    /// Of which ones.
    pub(super) fn lacking(&self) -> impl Iterator<Item = (Process, SocketAddr)> {
        let others = self.members.iter().filter(|member| is_other(self.own, member));
        others.filter(|member| member.metadata.is_none()).map(address)
    }

    /// Whether the metadata of this process is not known.
    pub(super) fn lacks(&self, process: &Process) -> bool {
        let known = self.get(process.id).filter(|member| member.boot == process.boot);
        known.is_none_or(|member| member.metadata.is_none())
    }

    /// The metadata of a node, if it is known, and of which of its processes it is.
    pub(super) fn metadata_of(&self, id: NodeId) -> Option<(Process, &Arc<Metadata>)> {
        self.get(id).and_then(described)
    }

    /// All metadata that is known, from one place in the list on and round to it.
    pub(super) fn described_from(
        &self,
        start: usize,
    ) -> impl Iterator<Item = (Process, &Arc<Metadata>)> {
        self.around(start).filter_map(described)
    }

    /// All, from one place on and round to it.
    fn around(&self, start: usize) -> impl Iterator<Item = &MemberView> {
        let (before, behind) = self.members.split_at(start % self.members.len().max(1));
        behind.iter().chain(before)
    }

    /// Where a node is in the list, or where it would be.
    fn place(&self, id: NodeId) -> Result<usize, usize> {
        self.members.binary_search_by_key(&id, |member| member.id)
    }

    /// Where in the list the other of that number is, counted without those that are gone: a
    /// member that stands behind many of them is not asked more often than another.
    fn place_of(&self, number: usize) -> usize {
        if self.counts.others + 1 == self.members.len() {
            let own = self.members.partition_point(|member| member.id < self.own);
            return number + usize::from(number >= own);
        }
        let all = self.members.iter().enumerate();
        let here = all.filter(|(_, member)| is_other(self.own, member));
        here.map(|(at, _)| at).nth(number).unwrap_or(0)
    }
}

/// The metadata of a member that is known.
fn described(member: &MemberView) -> Option<(Process, &Arc<Metadata>)> {
    Some((address(member).0, member.metadata.as_ref()?))
}

/// Which process a member is, and where.
fn address(member: &MemberView) -> (Process, SocketAddr) {
    (Process { id: member.id, boot: member.boot }, member.address)
}

/// Whether it is another node than this one, and not gone.
fn is_other(own: NodeId, member: &MemberView) -> bool {
    member.id != own && member.state.is_present()
}

/// What is known of a process stays known while its state changes.
fn inherit(mut member: MemberView, before: &MemberView) -> MemberView {
    if member.metadata.is_none() && member.boot == before.boot {
        member.metadata.clone_from(&before.metadata);
    }
    member
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::vocabulary::identity::Boot;
    use crate::vocabulary::snapshot::MemberState;

    const OWN: u64 = 50;

    fn member(number: u64, state: MemberState, eligible: bool, boot: u64) -> MemberView {
        let id = NodeId::new(number).unwrap();
        let address = ([10, 0, 0, 1], 8000).into();
        let boot = Boot { start: boot, nonce: 0 };
        MemberView { id, address, boot, eligible, state, metadata: None }
    }

    fn states() -> [MemberState; 4] {
        [MemberState::Alive, MemberState::Suspect, MemberState::Down, MemberState::Left]
    }

    /// What the list counts, counted.
    fn counted(list: &MemberList) -> Counts {
        let mut counts = Counts::default();
        list.members.iter().for_each(|member| counts.count(list.own, member, true));
        counts
    }

    #[test]
    fn changes_one_by_one_come_to_the_same_as_all_at_once() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let own = || member(OWN, MemberState::Alive, true, 1);
        let (mut single, mut merged) = (MemberList::new(own()), MemberList::new(own()));
        for _ in 0..200 {
            let mut fresh = BTreeMap::new();
            for _ in 0..random.random_range(1..40) {
                let number = random.random_range(1..100);
                if number == OWN {
                    continue;
                }
                let state = states()[random.random_range(0..4)];
                let view = member(number, state, random.random(), random.random_range(1..3));
                let comes = random.random_range(0..4) > 0;
                fresh.insert(view.id, comes.then_some(view));
            }
            for (id, view) in fresh.clone() {
                single.apply(BTreeMap::from([(id, view)]));
            }
            merged.merge(fresh);
            for _ in 0..10 {
                let id = NodeId::new(random.random_range(1..100)).unwrap();
                let process = Process { id, boot: Boot { start: 1, nonce: 0 } };
                single.describe(process, &Metadata::default());
                merged.describe(process, &Metadata::default());
            }
            assert_eq!(single.members, merged.members);
            assert_eq!((single.counts, merged.counts), (counted(&single), counted(&merged)));
            assert!(single.members.is_sorted_by_key(|member| member.id));
        }
        let described = single.around(0).filter(|member| member.metadata.is_some()).count();
        assert!(described > 5 && single.undescribed() > 5 && single.rank() > 5);
    }

    #[test]
    fn details_are_those_of_one_process() {
        let mut list = MemberList::new(member(OWN, MemberState::Alive, true, 1));
        let (first, second) =
            (member(3, MemberState::Alive, true, 1), member(3, MemberState::Alive, true, 2));
        let process = |view: &MemberView| Process { id: view.id, boot: view.boot };
        let details_of_three =
            |list: &MemberList| list.get(NodeId::new(3).unwrap()).unwrap().metadata.is_some();
        list.apply(BTreeMap::from([(first.id, Some(first.clone()))]));
        list.describe(process(&second), &Metadata::default());
        assert!(!details_of_three(&list), "of another process");
        list.describe(process(&first), &Metadata::default());
        let down = MemberView { state: MemberState::Down, ..first.clone() };
        list.apply(BTreeMap::from([(first.id, Some(down))]));
        assert!(details_of_three(&list), "whoever is gone is known still");
        list.apply(BTreeMap::from([(first.id, Some(second))]));
        assert!(!details_of_three(&list));
    }

    #[test]
    fn any_other_is_each_of_the_others_and_nobody_else() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut list = MemberList::new(member(OWN, MemberState::Alive, true, 1));
        assert_eq!(list.any_other(&mut random), None);
        for down in [0, 3] {
            let state = |number| if number < down { states()[2] } else { states()[0] };
            for number in (0..9).filter(|number| *number != 4) {
                let view = member(number + OWN - 4, state(number), true, 1);
                list.apply(BTreeMap::from([(view.id, Some(view))]));
            }
            let mut seen: Vec<NodeId> =
                (0..500).filter_map(|_| Some(list.any_other(&mut random)?.0.id)).collect();
            seen.sort_unstable();
            seen.dedup();
            let others: Vec<NodeId> = list.others_from(0).map(|(process, _)| process.id).collect();
            assert_eq!(seen, others);
            assert_eq!(others.len(), list.others());
        }
    }

    #[test]
    fn who_reads_the_list_holds_it_as_it_was() {
        let mut list = MemberList::new(member(OWN, MemberState::Alive, true, 1));
        let before = list.shared();
        let view = member(1, MemberState::Alive, true, 1);
        list.apply(BTreeMap::from([(view.id, Some(view))]));
        assert_eq!((before.len(), list.shared().len()), (1, 2));
    }
}
