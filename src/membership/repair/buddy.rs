//! Mend 2: a suspect hears of the suspicion from the node that suspects it.

use std::time::Duration;

use super::super::codec;
use super::super::identity::MemberIdentity;
use super::super::members::Members;
use super::super::timers::{Timer, Timers};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// So many notices wait at most; a suspicion plans three.
pub(in crate::membership) const BUDDY_NOTICES_MAX: usize = 512;

/// How many notices wait among the timers.
#[derive(Debug, Default)]
pub(in crate::membership) struct BuddyNotices {
    waiting: usize,
}

impl BuddyNotices {
    /// A suspicion has begun that lasts for `wait`.
    pub(in crate::membership) fn plan(
        &mut self,
        suspect: MemberIdentity,
        incarnation: u16,
        (now, wait): (HolderTime, Duration),
        timers: &mut Timers,
    ) {
        if mutant::is(Mutant::NoBuddyNotice) {
            return;
        }
        for thirds in 0..3 {
            if self.waiting < BUDDY_NOTICES_MAX {
                self.waiting += 1;
                let timer = Timer::BuddyNotice { suspect, incarnation };
                timers.set(now.plus(wait * thirds / 3), timer);
            }
        }
    }

    /// A notice is due: the packet for the suspect, if the suspicion still stands.
    pub(in crate::membership) fn take(
        &mut self,
        own: &MemberIdentity,
        suspect: &MemberIdentity,
        incarnation: u16,
        members: &Members,
    ) -> Option<Vec<u8>> {
        self.waiting -= 1;
        let stands = members.suspects(suspect, incarnation);
        stands.then(|| codec::notice(own, suspect, incarnation))
    }
}
