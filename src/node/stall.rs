//! Whether this process was kept from running, by its own clock: then a lease that lapsed meanwhile
//! is nobody else's fault.
//!
//! A Goose has something to do several times in a lease, so between two inputs little time passes.
//! Where much has passed, the process was frozen, or the machine had no time for it.

use std::time::Duration;

use crate::vocabulary::event::{DemotionReason, Event};
use crate::vocabulary::time::{HolderTime, milliseconds};

/// What follows from a stall shows within this: the inputs that waited are taken in one by one.
const AFTERMATH: Duration = Duration::from_millis(100);

/// The inputs of a process, as far as their times go.
#[derive(Debug, Default)]
pub(super) struct Stall {
    last: Option<HolderTime>,
    /// The last one that was noticed: how long it was, and when it was over.
    noticed: Option<(Duration, HolderTime)>,
}

impl Stall {
    /// An input comes in. Longer than half a `lease` after the last one is noticed.
    pub(super) fn enter(&mut self, now: HolderTime, lease: Duration) {
        let gap = self.last.map_or(Duration::ZERO, |last| now.since(last));
        if gap >= lease / 2 {
            self.noticed = Some((gap, now));
        }
        self.last = Some(now);
    }

    /// The event, with the reason that only this process itself can know.
    pub(super) fn explained(&self, event: Event, now: HolderTime) -> Event {
        let fresh = self.noticed.filter(|(_, over)| now.since(*over) < AFTERMATH);
        match (event, fresh) {
            (
                Event::BecameDuck { term, reason: DemotionReason::LeaseLapsed { .. } },
                Some((gap, _)),
            ) => {
                let reason = DemotionReason::Stalled { milliseconds: milliseconds(gap) };
                Event::BecameDuck { term, reason }
            }
            (event, _) => event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(600);

    fn at(milliseconds: u64) -> HolderTime {
        HolderTime(milliseconds * 1_000_000)
    }

    fn lapsed() -> Event {
        let reason = DemotionReason::LeaseLapsed { silent: Vec::new() };
        Event::BecameDuck { term: 3, reason }
    }

    #[test]
    fn a_lapse_after_a_stall_is_the_fault_of_the_stall_and_no_other_is() {
        let mut stall = Stall::default();
        for now in [1000, 1120, 1240] {
            stall.enter(at(now), LEASE);
        }
        assert_eq!(stall.explained(lapsed(), at(1240)), lapsed());
        stall.enter(at(2440), LEASE);
        stall.enter(at(2441), LEASE);
        let reason = DemotionReason::Stalled { milliseconds: 1200 };
        let expected = Event::BecameDuck { term: 3, reason };
        assert_eq!(stall.explained(lapsed(), at(2441)), expected);
        assert_eq!(stall.explained(Event::Joined, at(2441)), Event::Joined);
        assert_eq!(stall.explained(lapsed(), at(2600)), lapsed(), "long over");
    }
}
