//! Members that an operator had forgotten.
//!
//! The dead stay in everybody's list for a day, so that a node that was cut off is recognised when
//! it comes back. An operator who knows better has one forgotten: this node takes it out of its
//! list, and gossips a **tombstone** with its exact name to the others, which do the same.
//!
//! A node that missed that still names the dead member, and SWIM would take the member in again.
//! So for as long as the dead are kept, every packet is searched for names that have a tombstone.
//! They are taken out before SWIM sees them, and the sender that named one is told.
//!
//! A tombstone names one process and how often it has renamed itself. A new process of the node
//! is another member and welcome at once. So is the same process if it turns out to be alive: it
//! is told that it was given up, as SWIM would have told it, and renames itself. The tombstone of
//! a member that is alive or suspect waits: the member is forgotten once it is down.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use foca::{Member, State};

use super::broadcast::{Broadcast, TOMBSTONES_MAX, Tombstone};
use super::codec;
use super::identity::MemberIdentity;
use super::members::Members;
use super::parameters::REMOVE_DOWN_AFTER;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// A node that names a forgotten member is told so, this often at most for each such member.
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

/// When a tombstone may be removed, and when a node was last told of it.
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

    /// A tombstone was set here or elsewhere.
    pub(super) fn add(&mut self, tombstone: Tombstone, now: HolderTime) {
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

    /// The tombstone of `process`, if a node may be told of it now.
    fn telling(&mut self, process: Process, now: HolderTime) -> Option<Tombstone> {
        let grave = self.graves.get_mut(&process)?;
        let due = grave.told.is_none_or(|told| now.since(told) >= TOLD_INTERVAL);
        due.then(|| {
            grave.told = Some(now);
            Tombstone { process, renewal: grave.renewal }
        })
    }

    /// Whether this member has a tombstone and is not known to be here all the same.
    pub(super) fn forgets(&self, member: &MemberIdentity, members: &Members) -> bool {
        self.names(member) && !members.holds(member.process)
    }

    /// Takes the names of forgotten members out of a packet of `sender`.
    pub(super) fn search<'packet>(
        &mut self,
        now: HolderTime,
        (own, members): (&MemberIdentity, &Members),
        sender: Process,
        packet: &'packet [u8],
    ) -> Searched<'packet> {
        let whole = Searched { packet: Some(Cow::Borrowed(packet)), reply: None };
        if self.graves.is_empty() || mutant::is(Mutant::ForgottenReturn) {
            return whole;
        }
        // What cannot be read is for SWIM to refuse.
        let Some(source) = codec::source(sender, packet) else { return whole };
        if self.forgets(&source, members) {
            let notice = codec::death_notice(own, &source);
            return Searched { packet: None, reply: Some((source, notice)) };
        }
        let mut named = None;
        let kept = codec::retain_members(packet, |member| {
            let forgotten = self.forgets(member.id(), members);
            named = named.or(forgotten.then_some(member.id().process));
            !forgotten
        });
        let tombstone = named.and_then(|process| self.telling(process, now));
        let bearing = |tombstone| codec::bearing(own, &source, &Broadcast::Forgotten(tombstone));
        let reply = tombstone.map(|tombstone| (source, bearing(tombstone)));
        Searched { packet: Some(kept.unwrap_or(Cow::Borrowed(packet))), reply }
    }
}

/// A packet that was searched for forgotten members.
pub(super) struct Searched<'packet> {
    /// The packet without them; none if its sender is one.
    pub(super) packet: Option<Cow<'packet, [u8]>>,
    /// What the sender is told: that it is forgotten, or that a member is that it named.
    pub(super) reply: Option<(MemberIdentity, Vec<u8>)>,
}

/// The tombstones with which a node is forgotten; `held` is everybody that is known.
///
/// # Errors
/// As [`ForgetError`] says.
pub(super) fn tombstones_of<'a>(
    id: NodeId,
    own: &MemberIdentity,
    held: impl Iterator<Item = &'a Member<MemberIdentity>>,
) -> Result<Vec<Tombstone>, ForgetError> {
    if id == own.process.id {
        return Err(ForgetError::Own(id));
    }
    // A node that moved is there at each of its addresses.
    let known: Vec<_> = held.filter(|member| member.id().process.id == id).collect();
    if known.is_empty() {
        return Err(ForgetError::Unknown(id));
    }
    if known.iter().any(|member| member.state() != State::Down) {
        return Err(ForgetError::Present(id));
    }
    let name = |member: &&Member<MemberIdentity>| {
        let MemberIdentity { process, renewal, .. } = *member.id();
        Tombstone { process, renewal }
    };
    Ok(known.iter().map(name).collect())
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
    fn a_node_that_names_the_dead_is_told_now_and_then() {
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
