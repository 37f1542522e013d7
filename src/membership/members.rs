//! Who is known: what SWIM holds, by address, and the list that people and the election see.
//!
//! SWIM keeps its members in a list and looks through all of it for every member that a packet
//! names, which at a thousand members is nearly all that a node does. It says of every change
//! that it makes (see [`super::codec`]), so this knows what it holds without looking through it,
//! tells what would be no news before SWIM is asked, and keeps a digest of it for push/pull.
//!
//! ```text
//!   SWIM's changes ──▶ held: by address, renamed now and then ──▶ digest, news
//!                        │ touched nodes
//!                        ▼ update(): the best that is known of each node
//!                      list: by node id ──▶ people, the election
//! ```
//!
//! SWIM thinks in addresses and renames its members; people and the election think in node ids.
//! A node that moved is held twice, and the list shows the better of the two.
//!
//! Assumption: SWIM holds one member per address, never this node itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use foca::{Member, State};

use super::codec::LEFT;
use super::identity::MemberIdentity;
use super::member_list::MemberList;
use super::output::MembershipOutput;
use super::timers::{Timer, Timers};
use crate::vocabulary::hash::stable_hash;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::metadata::Metadata;
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::HolderTime;

/// The first of all addresses.
pub(super) const FIRST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// In a large cluster the list is brought up to date this often at most.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);
/// Up to so many members the list is brought up to date at every change.
const SMALL: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Members {
    own: NodeId,
    held: BTreeMap<SocketAddr, Held>,
    /// How many of them are not down.
    present: usize,
    /// The sum of the hashes of those who are not down.
    digest: u64,
    /// Which nodes are held, and where, without this one: a node that moved is there twice.
    places: BTreeSet<(NodeId, SocketAddr)>,
    /// Nodes of which something may have changed since the last update.
    touched: BTreeSet<NodeId>,
    last_update: HolderTime,
    list: MemberList,
}

/// A member, and the hash of its identity.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) member: Member<MemberIdentity>,
    pub(super) hash: u64,
}

impl Held {
    pub(super) fn is_present(&self) -> bool {
        self.member.state() != State::Down
    }
}

/// A hash of who a member is, whatever is thought of it.
pub(super) fn hash(identity: &MemberIdentity) -> u64 {
    stable_hash(b"member", &identity.encode())
}

fn state_of(member: &Member<MemberIdentity>) -> MemberState {
    match member.state() {
        State::Alive => MemberState::Alive,
        State::Suspect => MemberState::Suspect,
        State::Down if member.incarnation() == LEFT => MemberState::Left,
        State::Down => MemberState::Down,
    }
}

fn view_of(member: &Member<MemberIdentity>) -> MemberView {
    let MemberIdentity { process: Process { id, boot }, address, eligible, .. } = *member.id();
    MemberView { id, address, boot, eligible, state: state_of(member), metadata: None }
}

impl Members {
    /// Only this node.
    pub(super) fn new(own: MemberIdentity) -> Self {
        Self {
            own: own.process.id,
            held: BTreeMap::new(),
            present: 0,
            digest: 0,
            places: BTreeSet::new(),
            touched: BTreeSet::new(),
            last_update: HolderTime(0),
            list: MemberList::new(view_of(&Member::alive(own))),
        }
    }

    /// SWIM holds this of a member now, in place of what it held at that address.
    pub(super) fn note(&mut self, member: &Member<MemberIdentity>) {
        let MemberIdentity { process: Process { id, .. }, address, .. } = *member.id();
        let before = self.held.get(&address);
        let hash = match before {
            Some(before) if before.member.id() == member.id() => before.hash,
            _ => hash(member.id()),
        };
        let held = Held { member: member.clone(), hash };
        self.count(&held, true);
        let before = self.held.insert(address, held);
        if let Some(before) = &before {
            self.count(before, false);
        }
        let before = before.map(|before| before.member);
        if let Some(other) = before.as_ref().map(|before| before.id().process.id)
            && other != id
            && self.places.remove(&(other, address))
        {
            self.touched.insert(other);
        }
        // What is said of this node's own id is no news to it.
        if id == self.own {
            return;
        }
        let is_new = self.places.insert((id, address));
        let is_same = before.is_some_and(|before| {
            (before.id(), state_of(&before)) == (member.id(), state_of(member))
        });
        if is_new || !is_same {
            self.touched.insert(id);
        }
    }

    /// SWIM no longer holds this member.
    pub(super) fn forget(&mut self, identity: &MemberIdentity) {
        let address = identity.address;
        if self.get(identity).is_some()
            && let Some(before) = self.held.remove(&address)
        {
            self.count(&before, false);
            let id = identity.process.id;
            if self.places.remove(&(id, address)) {
                self.touched.insert(id);
            }
        }
    }

    /// SWIM was started anew and holds these.
    pub(super) fn reload<'a>(&mut self, held: impl Iterator<Item = &'a Member<MemberIdentity>>) {
        self.touched.extend(self.places.iter().map(|(id, _)| *id));
        self.places.clear();
        self.held.clear();
        (self.present, self.digest) = (0, 0);
        held.for_each(|member| self.note(member));
    }

    fn count(&mut self, held: &Held, comes: bool) {
        if !held.is_present() {
            return;
        }
        if comes {
            self.present += 1;
            self.digest = self.digest.wrapping_add(held.hash);
        } else {
            self.present -= 1;
            self.digest = self.digest.wrapping_sub(held.hash);
        }
    }

    /// Brings the list up to date and returns what changed about others; none if there was
    /// nothing to do, or not yet. `alive`: how many others are not down.
    pub(super) fn update(
        &mut self,
        now: HolderTime,
        alive: usize,
        timers: &mut Timers,
    ) -> Option<Vec<MembershipOutput>> {
        if self.touched.is_empty() {
            return None;
        }
        let due = self.last_update.plus(UPDATE_INTERVAL);
        if alive > SMALL && now < due {
            timers.set(due, Timer::MembersUpdate);
            return None;
        }
        timers.stop(&Timer::MembersUpdate);
        self.last_update = now;
        let mut changes = Vec::new();
        let mut fresh = BTreeMap::new();
        for id in std::mem::take(&mut self.touched) {
            let before = self.list.get(id);
            let Some(view) = self.best(id) else {
                if let Some(gone) = before {
                    changes.push(MembershipOutput::MemberForgotten { id, address: gone.address });
                    fresh.insert(id, None);
                }
                continue;
            };
            let is_same =
                before.is_some_and(|before| (before.state, before.boot) == (view.state, view.boot));
            if !is_same {
                let MemberView { address, state, .. } = view;
                changes.push(MembershipOutput::MemberChanged { id, address, state });
            }
            let is_listed = before.is_some_and(|before| {
                (before.address, before.eligible) == (view.address, view.eligible)
            });
            if !is_same || !is_listed {
                fresh.insert(id, Some(view));
            }
        }
        if !fresh.is_empty() {
            self.list.apply(fresh);
        }
        Some(changes)
    }

    /// The best that is known of a node: rather one that lives, rather the latest.
    fn best(&self, id: NodeId) -> Option<MemberView> {
        let of_node = self.places.range((id, FIRST)..).take_while(|(other, _)| *other == id);
        let held = of_node.filter_map(|(_, address)| self.at(*address));
        held.max_by_key(|member| (state_of(member).is_present(), member.id().age())).map(view_of)
    }

    /// This node has another name in gossip.
    pub(super) fn rename_own(&mut self, own: MemberIdentity) {
        self.list.apply(BTreeMap::from([(self.own, Some(view_of(&Member::alive(own))))]));
    }

    /// Takes in the metadata of a process that is known.
    pub(super) fn describe(&mut self, process: Process, metadata: &Metadata) {
        self.list.describe(process, metadata);
    }

    /// The list as of the last update, this node included.
    pub(super) fn list(&self) -> &MemberList {
        &self.list
    }

    /// How many are held, dead ones included.
    pub(super) fn size(&self) -> usize {
        self.held.len()
    }

    /// How many nodes are held, gone ones included, this one not.
    pub(super) fn known(&self) -> usize {
        self.places.len()
    }

    /// How many that are held are not down.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// Equal for two nodes that hold the same for present, themselves included.
    pub(super) fn digest(&self, own: &MemberIdentity) -> u64 {
        self.digest.wrapping_add(hash(own))
    }

    /// Who is held at this address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<&Member<MemberIdentity>> {
        self.held.get(&address).map(|held| &held.member)
    }

    /// What is held of exactly this member.
    pub(super) fn get(&self, identity: &MemberIdentity) -> Option<&Held> {
        self.held.get(&identity.address).filter(|held| held.member.id() == identity)
    }

    /// Whether exactly this suspicion still stands.
    pub(super) fn suspects(&self, identity: &MemberIdentity, incarnation: u16) -> bool {
        self.get(identity).is_some_and(|Held { member, .. }| {
            member.incarnation() == incarnation && member.state() == State::Suspect
        })
    }

    /// Whether this process is held, under whatever name.
    pub(super) fn holds(&self, process: Process) -> bool {
        let of_node = self.places.range((process.id, FIRST)..);
        let mut of_node = of_node.take_while(|(id, _)| *id == process.id);
        of_node.any(|(_, address)| self.at(*address).is_some_and(|it| it.id().process == process))
    }

    /// Everybody, beginning behind this address and coming round to it.
    pub(super) fn around(&self, start: SocketAddr) -> impl Iterator<Item = &Held> {
        let (behind, before) = (self.held.range(start..), self.held.range(..start));
        behind.chain(before).map(|(_, held)| held)
    }

    /// Some address that is held, the same for the same number while nothing changes.
    pub(super) fn nth_address(&self, number: usize) -> Option<SocketAddr> {
        self.held.keys().nth(number % self.held.len().max(1)).copied()
    }

    /// Whether SWIM would change anything if it were told this. The rules are SWIM's: the later
    /// identity at an address wins, and the order of states.
    pub(super) fn is_news(&self, update: &Member<MemberIdentity>) -> bool {
        let Some(known) = self.at(update.id().address) else { return true };
        if known.id() != update.id() {
            return known.id().age() <= update.id().age();
        }
        let (before, after) = (known.incarnation(), update.incarnation());
        match (known.state(), update.state()) {
            (State::Down, _) => false,
            (_, State::Down) => true,
            (State::Alive, State::Suspect) => after >= before,
            (_, State::Alive | State::Suspect) => after > before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::Boot;

    fn identity(number: u8, renewal: u32) -> MemberIdentity {
        let id = NodeId::new(u64::from(number)).unwrap();
        let process = Process { id, boot: Boot { start: 1, nonce: 1 } };
        let first = MemberIdentity::new(process, ([10, 0, 0, number], 8000).into(), true);
        MemberIdentity { renewal, ..first }
    }

    #[test]
    fn a_digest_depends_on_who_is_present_and_on_nothing_else() {
        let (mut here, mut there) = (Members::new(identity(9, 0)), Members::new(identity(9, 0)));
        let own = identity(9, 0);
        here.note(&Member::alive(identity(1, 0)));
        here.note(&Member::alive(identity(2, 0)));
        there.note(&Member::new(identity(2, 0), 7, State::Suspect));
        there.note(&Member::down(identity(3, 0)));
        assert_ne!(here.digest(&own), there.digest(&own));
        there.note(&Member::alive(identity(1, 0)));
        assert_eq!(here.digest(&own), there.digest(&own));
        here.note(&Member::alive(identity(1, 1)));
        assert_ne!(here.digest(&own), there.digest(&own), "another name is another member");
        assert_eq!((here.present(), there.present(), there.size()), (2, 2, 3));
        here.forget(&identity(1, 0));
        assert_eq!(here.present(), 2, "it has another name by now");
        here.forget(&identity(1, 1));
        here.forget(&identity(2, 0));
        assert_eq!(here.digest(&own), hash(&own));
    }

    #[test]
    fn news_is_what_the_library_would_take_over() {
        use rand::{SeedableRng, rngs::ChaCha8Rng};

        use crate::membership::codec::GossipCodec;

        let own = identity(9, 0);
        let states = [State::Alive, State::Suspect, State::Down];
        let all = || {
            (0..2).flat_map(|renewal| {
                let of =
                    move |state| (0..3).map(move |at| Member::new(identity(1, renewal), at, state));
                states.into_iter().flat_map(of)
            })
        };
        let mut checked = 0;
        for (known, update) in all().flat_map(|known| all().map(move |it| (known.clone(), it))) {
            let mut runtime = foca::AccumulatingRuntime::new();
            let (random, codec) = (ChaCha8Rng::from_seed([1; 32]), GossipCodec::new(own));
            let mut library = foca::Foca::new(own, foca::Config::simple(), random, codec.clone());
            library.apply_many(std::iter::once(known.clone()), true, &mut runtime).unwrap();
            while codec.pop_written().is_some() {}
            library.apply_many(std::iter::once(update.clone()), true, &mut runtime).unwrap();
            let mut members = Members::new(identity(9, 0));
            members.note(&known);
            let taken = codec.pop_written().is_some();
            // Of two that are the same the library writes the second down if it comes by name.
            assert_eq!(members.is_news(&update), taken, "{known:?} then {update:?}");
            checked += 1;
        }
        assert_eq!(checked, 18 * 18);
    }
}
