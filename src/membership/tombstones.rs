//! Members that an operator had forgotten.
//!
//! The dead stay in everybody's list for a day, so that whoever was cut off is recognised when
//! it comes back. An operator who knows better has one forgotten: it is taken out of the list
//! here, and a **tombstone** with its exact name is gossiped to the others, which do the same.
//!
//! Whoever missed that still names the dead one, and the gossip library would take it in again.
//! So for as long as the dead are kept, every packet is searched for names that have a
//! tombstone. They are taken out before the library sees them, and whoever named one is told.
//!
//! A tombstone names one process and how often it has renamed itself. A new process of the node
//! is somebody else and welcome at once. So is the same process, should it turn out to be
//! alive: it is told that it was given up, as the library would have told it, and renames itself.
//! Where a member is alive or suspect its tombstone waits: the member is forgotten once it is
//! down.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use foca::{Member, State, Timer};

use super::broadcast::{Broadcast, TOMBSTONES_MAX, Tombstone};
use super::codec;
use super::identity::MemberIdentity;
use super::parameters::REMOVE_DOWN_AFTER;
use super::{Membership, MembershipOutput};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// Whoever names a forgotten member is told so, this often at most for each.
const TOLD_INTERVAL: Duration = Duration::from_millis(200);

/// Why a member was not forgotten. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForgetError {
    /// The node asked itself.
    #[error("node {0} is the node asked, which cannot forget itself: end it with `gaggle leave`")]
    Own(NodeId),
    /// Nobody is known under that id.
    #[error("node {0} is no member that this node knows: see `gaggle members`")]
    Unknown(NodeId),
    /// It is alive, or may be.
    #[error(
        "node {0} is not down and has not left: only such members can be forgotten; end it with \
         `gaggle leave`, or wait until it is shown as down"
    )]
    Present(NodeId),
}

/// When a tombstone may be removed, and when somebody was last told of it.
#[derive(Debug)]
struct Grave {
    renewal: u32,
    until: HolderTime,
    told: Option<HolderTime>,
}

/// Every tombstone that is kept.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    graves: BTreeMap<Process, Grave>,
}

impl Tombstones {
    pub(super) fn len(&self) -> usize {
        self.graves.len()
    }

    fn add(&mut self, tombstone: Tombstone, now: HolderTime) {
        self.graves.retain(|_, grave| grave.until > now);
        let Tombstone { process, renewal } = tombstone;
        if self.graves.len() >= TOMBSTONES_MAX && !self.graves.contains_key(&process) {
            let oldest = self.graves.iter().min_by_key(|(_, grave)| grave.until);
            if let Some(oldest) = oldest.map(|(process, _)| *process) {
                self.graves.remove(&oldest);
            }
        }
        let until = now.plus(REMOVE_DOWN_AFTER);
        let grave = self.graves.entry(process).or_insert(Grave { renewal, until, told: None });
        grave.renewal = grave.renewal.max(renewal);
        grave.until = until;
    }

    /// Whether this member has a tombstone.
    pub(super) fn names(&self, member: &MemberIdentity) -> bool {
        let grave = self.graves.get(&member.process);
        grave.is_some_and(|grave| member.renewal <= grave.renewal)
    }

    /// The tombstone of `process`, if somebody may be told of it now.
    fn telling(&mut self, process: Process, now: HolderTime) -> Option<Tombstone> {
        let grave = self.graves.get_mut(&process)?;
        let due = grave.told.is_none_or(|told| now.since(told) >= TOLD_INTERVAL);
        due.then(|| {
            grave.told = Some(now);
            Tombstone { process, renewal: grave.renewal }
        })
    }
}

impl Membership {
    /// Makes the cluster forget a member that is down or has left.
    ///
    /// # Errors
    /// As [`ForgetError`] says; nothing changed then.
    pub fn forget(&mut self, now: HolderTime, id: NodeId) -> Result<(), ForgetError> {
        if id == self.foca.identity().process.id {
            return Err(ForgetError::Own(id));
        }
        let of_node = |member: &&Member<MemberIdentity>| member.id().process.id == id;
        // A node that moved is there at each of its addresses.
        let known: Vec<_> = self.foca.iter_membership_state().filter(of_node).cloned().collect();
        if known.is_empty() {
            return Err(ForgetError::Unknown(id));
        }
        if known.iter().any(|member| member.state() != State::Down) {
            return Err(ForgetError::Present(id));
        }
        for member in known {
            let MemberIdentity { process, renewal, .. } = *member.id();
            let tombstone = Tombstone { process, renewal };
            self.lay_to_rest(now, tombstone);
            // Nothing is wrong with it that the library could complain of.
            let _ = self.foca.add_broadcast(&Broadcast::Forgotten(tombstone).encode());
        }
        self.drain(now);
        Ok(())
    }

    /// A tombstone was set here or elsewhere.
    pub(super) fn lay_to_rest(&mut self, now: HolderTime, tombstone: Tombstone) {
        if tombstone.process == self.foca.identity().process {
            return;
        }
        self.tombstones.add(tombstone, now);
        let dead = |member: &&Member<MemberIdentity>| {
            member.state() == State::Down && self.tombstones.names(member.id())
        };
        let dead: Vec<_> =
            self.foca.iter_membership_state().filter(dead).map(|member| *member.id()).collect();
        dead.iter().for_each(|member| self.remove(now, *member));
    }

    /// A member went down: if it has a tombstone, it is forgotten now.
    pub(super) fn remove_if_forgotten(&mut self, now: HolderTime, member: MemberIdentity) {
        if self.tombstones.names(&member) {
            self.remove(now, member);
        }
    }

    /// Takes a dead member out of the library's list and ours.
    pub(super) fn remove(&mut self, now: HolderTime, member: MemberIdentity) {
        let outcome = self.foca.handle_timer(Timer::RemoveDown(member), &mut self.runtime);
        self.note(now, outcome);
        if !self.foca.iter_membership_state().any(|known| *known.id() == member) {
            self.view.forget(&member, &self.swim_members);
            self.swim_members.forget(&member);
        }
    }

    /// The packet without forgotten members; none if its sender is one. Whoever named one is
    /// told, and so is whoever is one.
    pub(super) fn without_forgotten<'packet>(
        &mut self,
        now: HolderTime,
        sender: Process,
        packet: &'packet [u8],
    ) -> Option<Cow<'packet, [u8]>> {
        if self.tombstones.len() == 0 || mutant::is(Mutant::ForgottenReturn) {
            return Some(Cow::Borrowed(packet));
        }
        // What cannot be read is for the library to refuse.
        let Some(source) = codec::source(sender, packet) else {
            return Some(Cow::Borrowed(packet));
        };
        if self.is_forgotten(&source) {
            let own = *self.foca.identity();
            if let Ok(notice) = codec::death_notice(&own, &source)
                && self.notices.permit(source.process.id, &notice, now)
            {
                self.send(&source, notice);
            }
            return None;
        }
        let mut named = None;
        let kept = codec::retain_members(packet, |member| {
            let forgotten = self.is_forgotten(member.id());
            named = named.or(forgotten.then_some(member.id().process));
            !forgotten
        });
        if let Some(tombstone) = named.and_then(|process| self.tombstones.telling(process, now)) {
            let own = *self.foca.identity();
            if let Ok(packet) = codec::bearing(&own, &source, &Broadcast::Forgotten(tombstone)) {
                self.send(&source, packet);
            }
        }
        Some(kept.map_or(Cow::Borrowed(packet), |(packet, _)| packet))
    }

    /// Whether this member has a tombstone and is not known to be here all the same.
    pub(super) fn is_forgotten(&self, member: &MemberIdentity) -> bool {
        let present = |known: &Member<MemberIdentity>| known.id().process == member.process;
        self.tombstones.names(member) && !self.foca.iter_membership_state().any(present)
    }

    fn send(&mut self, to: &MemberIdentity, packet: Vec<u8>) {
        let (to, address) = (to.process, to.address);
        self.outputs.push_back(MembershipOutput::Send { to, address, packet });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::Boot;

    fn tombstone(number: u64, renewal: u32) -> Tombstone {
        let id = NodeId::new(number).unwrap();
        Tombstone { process: Process { id, boot: Boot { start: 1, nonce: 1 } }, renewal }
    }

    fn identity(number: u64, renewal: u32) -> MemberIdentity {
        let process = tombstone(number, 0).process;
        let first = MemberIdentity::new(process, "10.0.0.1:8000".parse().unwrap(), true);
        MemberIdentity { renewal, ..first }
    }

    #[test]
    fn a_tombstone_names_a_process_up_to_a_renewal() {
        let mut tombstones = Tombstones::default();
        tombstones.add(tombstone(1, 2), HolderTime(0));
        tombstones.add(tombstone(1, 1), HolderTime(0));
        assert!(tombstones.names(&identity(1, 2)) && tombstones.names(&identity(1, 0)));
        assert!(!tombstones.names(&identity(1, 3)), "it has renamed itself since");
        assert!(!tombstones.names(&identity(2, 0)), "another node");
        let process = Process { boot: Boot { start: 2, nonce: 2 }, ..identity(1, 0).process };
        assert!(!tombstones.names(&MemberIdentity { process, ..identity(1, 0) }), "a new process");
    }

    #[test]
    fn tombstones_are_bounded_and_end() {
        let mut tombstones = Tombstones::default();
        for number in 1..5000 {
            tombstones.add(tombstone(number, 0), HolderTime(number));
            assert!(tombstones.len() <= TOMBSTONES_MAX);
        }
        assert!(tombstones.names(&identity(4999, 0)) && !tombstones.names(&identity(1, 0)));
        tombstones.add(tombstone(1, 0), HolderTime(5000).plus(REMOVE_DOWN_AFTER));
        assert_eq!(tombstones.len(), 1);
    }

    #[test]
    fn whoever_names_the_dead_is_told_now_and_then() {
        let mut tombstones = Tombstones::default();
        tombstones.add(tombstone(1, 0), HolderTime(0));
        let at = |milliseconds: u64| HolderTime(milliseconds * 1_000_000);
        let one = tombstone(1, 0).process;
        assert_eq!(tombstones.telling(one, at(0)), Some(tombstone(1, 0)));
        assert_eq!(tombstones.telling(one, at(199)), None);
        assert_eq!(tombstones.telling(one, at(200)), Some(tombstone(1, 0)));
        assert_eq!(tombstones.telling(tombstone(2, 0).process, at(200)), None);
    }
}
