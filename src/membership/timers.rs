//! Everything that membership does later, in one table: what is due is looked up here to know when
//! to wake up, and taken from here to do it.
//!
//! SWIM needs each of its timers delivered, in the order of deadlines and, within one, of its own
//! ranking. A sleep per timer or a lossy channel breaks its probe cycle. Its `Ord` compares ranks
//! only and disagrees with its `Eq`, so a timer is never used as a key by itself.
//!
//! Gossip can make SWIM submit timers as fast as it comes in: members that die again and again
//! under new names, a node that is alone and in company by turns. Of those a later timer makes an
//! earlier one void and takes its place ([`slot`]), so the table stays bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::identity::MemberIdentity;
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::HolderTime;

/// What falls due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// SWIM is to be told of one of its own timers.
    Swim(foca::Timer<MemberIdentity>),
    /// A suspect is to be told that it is suspected (mend 2).
    BuddyNotice { suspect: MemberIdentity, incarnation: u16 },
    /// Another member is to be asked what this node lacks.
    PushPull,
    /// The list of members is to be brought up to date.
    MembersUpdate,
    /// A member is to be asked for metadata.
    MetadataRound,
}

/// The timers that are set, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pending: BTreeMap<Key, Timer>,
    slots: BTreeMap<Slot, Key>,
    inserted: u64,
}

/// The rank of the second stage of a probe.
const SECOND_STAGE: u8 = 0;
/// The last rank among SWIM's timers.
const SWIM_LAST: u8 = 6;

/// Deadline, rank, order of insertion.
type Key = (HolderTime, u8, u64);
/// Of the timers of one slot only the last that was set counts.
type Slot = (u8, Option<SocketAddr>);

impl Timers {
    /// Sets a timer, in place of the one in its slot.
    pub(super) fn set(&mut self, deadline: HolderTime, timer: Timer) {
        self.stop(&timer);
        self.inserted += 1;
        let key = (deadline, rank(&timer), self.inserted);
        if let Some(slot) = slot(&timer) {
            self.slots.insert(slot, key);
        }
        self.pending.insert(key, timer);
    }

    /// Stops the timer in the slot of `timer`, if one is set there.
    pub(super) fn stop(&mut self, timer: &Timer) {
        if let Some(void) = slot(timer).and_then(|slot| self.slots.remove(&slot)) {
            self.pending.remove(&void);
        }
    }

    /// When the timer in the slot of `timer` is due; [`HolderTime::NEVER`] if none is set there.
    pub(super) fn deadline(&self, timer: &Timer) -> HolderTime {
        let key = slot(timer).and_then(|slot| self.slots.get(&slot));
        key.map_or(HolderTime::NEVER, |(deadline, ..)| *deadline)
    }

    /// When the next timer is due; [`HolderTime::NEVER`] if none is set.
    pub(super) fn next(&self) -> HolderTime {
        self.pending.first_key_value().map_or(HolderTime::NEVER, |((deadline, ..), _)| *deadline)
    }

    /// Takes out a timer that is due. If several are, SWIM's come first, in its order: what it
    /// says of members is known before others are asked or told about them.
    pub(super) fn expired(&mut self, now: HolderTime) -> Option<Timer> {
        let due = || self.pending.range(..=(now, u8::MAX, u64::MAX)).map(|(key, _)| *key);
        let of_swim = due().find(|(_, rank, _)| *rank <= SWIM_LAST);
        let others =
            || due().min_by_key(|(deadline, rank, inserted)| (*rank, *deadline, *inserted));
        self.take(of_swim.or_else(others)?)
    }

    /// Takes out what would ask others after `probed`, if that is who is being probed.
    pub(super) fn take_second_stage(
        &mut self,
        probed: Process,
    ) -> Option<foca::Timer<MemberIdentity>> {
        let key = *self.slots.get(&(SECOND_STAGE, None))?;
        let is_about = |timer: &&Timer| matches!(timer, Timer::Swim(foca::Timer::SendIndirectProbe { probed_id, .. }) if probed_id.process == probed);
        self.pending.get(&key).filter(is_about)?;
        self.take_swim(key)
    }

    /// Takes out the earliest removal of a dead member, long before it is due.
    pub(super) fn take_removal(&mut self) -> Option<foca::Timer<MemberIdentity>> {
        let removes = |timer: &Timer| matches!(timer, Timer::Swim(foca::Timer::RemoveDown(_)));
        let key = *self.pending.iter().find(|(_, timer)| removes(timer))?.0;
        self.take_swim(key)
    }

    /// Stops every timer of SWIM, which is started anew.
    pub(super) fn stop_swim(&mut self) {
        self.pending.retain(|(_, rank, _), _| *rank > SWIM_LAST);
        self.slots.retain(|(rank, _), _| *rank > SWIM_LAST);
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    fn take_swim(&mut self, key: Key) -> Option<foca::Timer<MemberIdentity>> {
        match self.take(key)? {
            Timer::Swim(timer) => Some(timer),
            _ => None,
        }
    }

    fn take(&mut self, key: Key) -> Option<Timer> {
        let timer = self.pending.remove(&key)?;
        if let Some(slot) = slot(&timer) {
            self.slots.remove(&slot);
        }
        Some(timer)
    }
}

/// Where a timer replaces the one before it. SWIM keeps one cycle of each kind and ignores timers
/// of an earlier one; and it has one member at each address, so that forgetting an earlier one
/// there has become void. Its suspicions come from its own probes, one a period.
fn slot(timer: &Timer) -> Option<Slot> {
    match timer {
        Timer::Swim(foca::Timer::ChangeSuspectToDown { .. }) | Timer::BuddyNotice { .. } => None,
        Timer::Swim(foca::Timer::RemoveDown(member)) => Some((rank(timer), Some(member.address))),
        _ => Some((rank(timer), None)),
    }
}

/// SWIM's own order within one deadline, an indirect probe before the next cycle; then the others.
fn rank(timer: &Timer) -> u8 {
    match timer {
        Timer::Swim(timer) => match timer {
            foca::Timer::SendIndirectProbe { .. } => SECOND_STAGE,
            foca::Timer::ProbeRandomMember(_) => 1,
            foca::Timer::ChangeSuspectToDown { .. } => 2,
            foca::Timer::PeriodicAnnounce(_) => 3,
            foca::Timer::PeriodicGossip(_) => 4,
            foca::Timer::RemoveDown(_) => 5,
            foca::Timer::PeriodicAnnounceDown(_) => SWIM_LAST,
        },
        Timer::BuddyNotice { .. } => 7,
        Timer::PushPull => 8,
        Timer::MembersUpdate => 9,
        Timer::MetadataRound => 10,
    }
}

#[cfg(test)]
mod tests {
    use foca::Timer::{
        PeriodicAnnounce, PeriodicAnnounceDown, PeriodicGossip, ProbeRandomMember, RemoveDown,
        SendIndirectProbe,
    };

    use super::Timer::Swim;
    use super::*;
    use crate::vocabulary::identity::{Boot, NodeId};

    fn member(renewal: u32) -> MemberIdentity {
        let process = Process { id: NodeId::new(7).unwrap(), boot: Boot { start: 1, nonce: 1 } };
        let first = MemberIdentity::new(process, "10.0.0.7:8000".parse().unwrap(), true);
        MemberIdentity { renewal, ..first }
    }

    fn suspicion(incarnation: u16) -> Timer {
        Swim(foca::Timer::ChangeSuspectToDown { member_id: member(0), incarnation, token: 1 })
    }

    #[test]
    fn a_later_cycle_or_death_takes_the_place_of_the_earlier_one() {
        let mut timers = Timers::default();
        for turn in 0..10_000 {
            let deadline = HolderTime(100_000 + u64::from(turn));
            timers.set(deadline, Swim(RemoveDown(member(turn))));
            timers.set(deadline, Swim(ProbeRandomMember(turn.to_le_bytes()[0])));
        }
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.expired(HolderTime::NEVER), Some(Swim(ProbeRandomMember(15))));
        assert_eq!(timers.expired(HolderTime::NEVER), Some(Swim(RemoveDown(member(9_999)))));
        assert!(timers.pending.is_empty() && timers.slots.is_empty());
    }

    #[test]
    fn the_second_stage_of_a_probe_comes_early_for_whom_it_is_about_only() {
        let mut timers = Timers::default();
        let stage = SendIndirectProbe { probed_id: member(0), token: 1 };
        timers.set(HolderTime(50), Swim(stage.clone()));
        timers.set(HolderTime(100), Swim(ProbeRandomMember(1)));
        let other = Process { id: NodeId::new(8).unwrap(), ..member(0).process };
        assert_eq!(timers.take_second_stage(other), None);
        assert_eq!(timers.take_second_stage(member(0).process), Some(stage));
        assert_eq!(timers.take_second_stage(member(0).process), None);
        assert_eq!(timers.next(), HolderTime(100));
        assert!(timers.slots.len() == 1 && timers.pending.len() == 1);
    }

    #[test]
    fn timers_come_out_by_deadline_then_rank_then_insertion_and_none_is_lost() {
        let mut timers = Timers::default();
        timers.set(HolderTime(5), Swim(ProbeRandomMember(1)));
        timers.set(HolderTime(9), Swim(PeriodicAnnounceDown(1)));
        timers.set(HolderTime(5), suspicion(1));
        timers.set(HolderTime(5), suspicion(2));
        timers.set(HolderTime(5), Swim(PeriodicAnnounce(0)));
        timers.set(HolderTime(3), Swim(PeriodicGossip(2)));
        let mut out = Vec::new();
        assert_eq!(timers.expired(HolderTime(2)), None);
        while let Some(timer) = timers.expired(HolderTime(9)) {
            out.push(timer);
        }
        assert_eq!(
            out,
            [
                Swim(PeriodicGossip(2)),
                Swim(ProbeRandomMember(1)),
                suspicion(1),
                suspicion(2),
                Swim(PeriodicAnnounce(0)),
                Swim(PeriodicAnnounceDown(1)),
            ]
        );
        assert_eq!(timers.next(), HolderTime::NEVER);
    }

    #[test]
    fn what_swim_has_to_say_comes_first_and_each_of_the_others_is_set_once() {
        let mut timers = Timers::default();
        timers.set(HolderTime(1), Timer::MetadataRound);
        timers.set(HolderTime(2), Timer::PushPull);
        timers.set(HolderTime(3), Swim(PeriodicGossip(1)));
        timers.set(HolderTime(4), Timer::PushPull);
        assert_eq!(
            (timers.next(), timers.deadline(&Timer::PushPull)),
            (HolderTime(1), HolderTime(4))
        );
        assert_eq!(timers.expired(HolderTime(4)), Some(Swim(PeriodicGossip(1))));
        assert_eq!(timers.expired(HolderTime(4)), Some(Timer::PushPull));
        timers.set(HolderTime(9), Swim(ProbeRandomMember(1)));
        timers.stop_swim();
        timers.set(HolderTime(9), Timer::MembersUpdate);
        timers.stop(&Timer::MembersUpdate);
        assert_eq!(timers.expired(HolderTime(9)), Some(Timer::MetadataRound));
        assert!(timers.pending.is_empty() && timers.slots.is_empty());
    }
}
