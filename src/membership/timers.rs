//! One ordered queue for every timer of the gossip library.
//!
//! The library needs each timer delivered, in the order of deadlines and, within one, of its
//! own ranking. A sleep per timer or a lossy channel breaks its probe cycle. Its `Ord` compares
//! ranks only and disagrees with its `Eq`, so it is never used as a key by itself.

use std::collections::BTreeMap;

use foca::Timer;

use super::identity::MemberIdentity;
use crate::vocabulary::time::HolderTime;

/// The pending timers, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pending: BTreeMap<(HolderTime, u8, u64), Timer<MemberIdentity>>,
    inserted: u64,
}

impl Timers {
    pub(super) fn insert(&mut self, deadline: HolderTime, timer: Timer<MemberIdentity>) {
        self.inserted += 1;
        self.pending.insert((deadline, rank(&timer), self.inserted), timer);
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
        self.pending.pop_first().map(|(_, timer)| timer)
    }

    /// The earliest removal of a dead member, long before it is due.
    pub(super) fn pop_removal(&mut self) -> Option<Timer<MemberIdentity>> {
        let removes = |timer: &Timer<MemberIdentity>| matches!(timer, Timer::RemoveDown(_));
        let key = *self.pending.iter().find(|(_, timer)| removes(timer))?.0;
        self.pending.remove(&key)
    }
}

/// The library's own order within one deadline: an indirect probe before the next cycle.
fn rank(timer: &Timer<MemberIdentity>) -> u8 {
    match timer {
        Timer::SendIndirectProbe { .. } => 0,
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

    #[test]
    fn timers_come_out_by_deadline_then_rank_then_insertion_and_none_is_lost() {
        let mut timers = Timers::default();
        timers.insert(HolderTime(5), Timer::ProbeRandomMember(1));
        timers.insert(HolderTime(9), Timer::PeriodicGossip(1));
        timers.insert(HolderTime(5), Timer::ProbeRandomMember(2));
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
                Timer::ProbeRandomMember(2),
                Timer::PeriodicAnnounce(0),
                Timer::PeriodicGossip(1),
            ]
        );
        assert_eq!(timers.next_deadline(), HolderTime::NEVER);
    }
}
