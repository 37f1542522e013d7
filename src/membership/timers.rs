//! One ordered queue for every timer of the gossip library.
//!
//! The library needs each timer delivered, in the order of deadlines and, within one, of its
//! own ranking. A sleep per timer or a lossy channel breaks its probe cycle. Its `Ord` compares
//! ranks only and disagrees with its `Eq`, so it is never used as a key by itself.
//!
//! Gossip can make the library submit timers as fast as it comes in: members that die again and
//! again under new names, a node that is alone and in company by turns. Of those a later timer
//! makes an earlier one void, and takes its place ([`slot`]), so the queue stays bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use foca::Timer;

use super::identity::MemberIdentity;
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::HolderTime;

/// The pending timers, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pending: BTreeMap<Key, Timer<MemberIdentity>>,
    slots: BTreeMap<Slot, Key>,
    inserted: u64,
}

/// The rank of the second stage of a probe.
const SECOND_STAGE: u8 = 0;

/// Deadline, rank, order of insertion.
type Key = (HolderTime, u8, u64);
/// Of the timers of one slot only the last submitted counts.
type Slot = (u8, Option<SocketAddr>);

impl Timers {
    pub(super) fn insert(&mut self, deadline: HolderTime, timer: Timer<MemberIdentity>) {
        self.inserted += 1;
        let key = (deadline, rank(&timer), self.inserted);
        if let Some(slot) = slot(&timer)
            && let Some(void) = self.slots.insert(slot, key)
        {
            self.pending.remove(&void);
        }
        self.pending.insert(key, timer);
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn next_deadline(&self) -> HolderTime {
        self.pending.first_key_value().map_or(HolderTime::NEVER, |((deadline, ..), _)| *deadline)
    }

    pub(super) fn pop_due(&mut self, now: HolderTime) -> Option<Timer<MemberIdentity>> {
        if self.next_deadline() > now {
            return None;
        }
        let (_, timer) = self.pending.pop_first()?;
        if let Some(slot) = slot(&timer) {
            self.slots.remove(&slot);
        }
        Some(timer)
    }

    /// What would ask others after `probed`, if that is who is being probed.
    pub(super) fn pop_second_stage(&mut self, probed: Process) -> Option<Timer<MemberIdentity>> {
        let stage = (SECOND_STAGE, None);
        let key = *self.slots.get(&stage)?;
        let is_his = |timer: &&Timer<MemberIdentity>| matches!(timer, Timer::SendIndirectProbe { probed_id, .. } if probed_id.process == probed);
        self.pending.get(&key).filter(is_his)?;
        self.slots.remove(&stage);
        self.pending.remove(&key)
    }

    /// The earliest removal of a dead member, long before it is due.
    pub(super) fn pop_removal(&mut self) -> Option<Timer<MemberIdentity>> {
        let removes = |timer: &Timer<MemberIdentity>| matches!(timer, Timer::RemoveDown(_));
        let key = *self.pending.iter().find(|(_, timer)| removes(timer))?.0;
        let timer = self.pending.remove(&key)?;
        if let Some(slot) = slot(&timer) {
            self.slots.remove(&slot);
        }
        Some(timer)
    }
}

/// Where a timer replaces the one before it. The library keeps one cycle of each kind and
/// ignores timers of an earlier one; and it has one member at each address, so that forgetting
/// an earlier one there has become void. Suspicions come from its own probes, one a period.
fn slot(timer: &Timer<MemberIdentity>) -> Option<Slot> {
    match timer {
        Timer::ChangeSuspectToDown { .. } => None,
        Timer::RemoveDown(member) => Some((rank(timer), Some(member.address))),
        _ => Some((rank(timer), None)),
    }
}

/// The library's own order within one deadline: an indirect probe before the next cycle.
fn rank(timer: &Timer<MemberIdentity>) -> u8 {
    match timer {
        Timer::SendIndirectProbe { .. } => SECOND_STAGE,
        Timer::ProbeRandomMember(_) => 1,
        Timer::ChangeSuspectToDown { .. } => 2,
        Timer::PeriodicAnnounce(_) => 3,
        Timer::PeriodicGossip(_) => 4,
        Timer::RemoveDown(_) => 5,
        Timer::PeriodicAnnounceDown(_) => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::{Boot, NodeId, Process};

    fn member(renewal: u32) -> MemberIdentity {
        let process = Process { id: NodeId::new(7).unwrap(), boot: Boot { start: 1, nonce: 1 } };
        let first = MemberIdentity::new(process, "10.0.0.7:8000".parse().unwrap(), true);
        MemberIdentity { renewal, ..first }
    }

    fn suspicion(incarnation: u16) -> Timer<MemberIdentity> {
        Timer::ChangeSuspectToDown { member_id: member(0), incarnation, token: 1 }
    }

    #[test]
    fn a_later_cycle_or_death_takes_the_place_of_the_earlier_one() {
        let mut timers = Timers::default();
        for turn in 0..10_000 {
            let deadline = HolderTime(100_000 + u64::from(turn));
            timers.insert(deadline, Timer::RemoveDown(member(turn)));
            timers.insert(deadline, Timer::ProbeRandomMember(turn.to_le_bytes()[0]));
        }
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.pop_due(HolderTime::NEVER), Some(Timer::ProbeRandomMember(15)));
        assert_eq!(timers.pop_due(HolderTime::NEVER), Some(Timer::RemoveDown(member(9_999))));
        assert!(timers.pending.is_empty() && timers.slots.is_empty());
    }

    #[test]
    fn the_second_stage_of_a_probe_comes_early_for_whom_it_is_about_only() {
        let mut timers = Timers::default();
        let stage = Timer::SendIndirectProbe { probed_id: member(0), token: 1 };
        timers.insert(HolderTime(50), stage.clone());
        timers.insert(HolderTime(100), Timer::ProbeRandomMember(1));
        let other = Process { id: NodeId::new(8).unwrap(), ..member(0).process };
        assert_eq!(timers.pop_second_stage(other), None);
        assert_eq!(timers.pop_second_stage(member(0).process), Some(stage));
        assert_eq!(timers.pop_second_stage(member(0).process), None);
        assert_eq!(timers.next_deadline(), HolderTime(100));
        assert!(timers.slots.len() == 1 && timers.pending.len() == 1);
    }

    #[test]
    fn timers_come_out_by_deadline_then_rank_then_insertion_and_none_is_lost() {
        let mut timers = Timers::default();
        timers.insert(HolderTime(5), Timer::ProbeRandomMember(1));
        timers.insert(HolderTime(9), Timer::PeriodicAnnounceDown(1));
        timers.insert(HolderTime(5), suspicion(1));
        timers.insert(HolderTime(5), suspicion(2));
        timers.insert(HolderTime(5), Timer::PeriodicAnnounce(0));
        timers.insert(HolderTime(3), Timer::PeriodicGossip(2));
        let mut out = Vec::new();
        assert_eq!(timers.pop_due(HolderTime(2)), None);
        while let Some(timer) = timers.pop_due(HolderTime(9)) {
            out.push(timer);
        }
        assert_eq!(
            out,
            [
                Timer::PeriodicGossip(2),
                Timer::ProbeRandomMember(1),
                suspicion(1),
                suspicion(2),
                Timer::PeriodicAnnounce(0),
                Timer::PeriodicAnnounceDown(1),
            ]
        );
        assert_eq!(timers.next_deadline(), HolderTime::NEVER);
    }
}
