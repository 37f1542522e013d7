//! Whether the network is as quick as the timings need it to be. Where it is not, claims run out on
//! their way and nobody leads, or nobody for long; and nothing else says why.

use std::time::Duration;

use crate::election::Election;
use crate::vocabulary::event::Warning;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;

/// The voters' round trips are looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// A network that was slow for so long is slow.
const SLOW_FOR: Duration = Duration::from_secs(3);
/// What is known of a voter that was not heard for so long is old.
const HEARD_LATELY: Duration = Duration::from_secs(5);
/// It is said again after this.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// What is known of the network's pace.
#[derive(Debug, Default)]
pub(super) struct Pace {
    looked: HolderTime,
    slow_since: Option<HolderTime>,
    said: Option<HolderTime>,
}

impl Pace {
    /// Looks, if it is time to, and says so if a majority of the voters has been too far away for a
    /// while.
    pub(super) fn complaint(
        &mut self,
        own: NodeId,
        election: &Election,
        timing: &Timing,
        now: HolderTime,
    ) -> Option<Warning> {
        if now.since(self.looked) < LOOK_INTERVAL {
            return None;
        }
        self.looked = now;
        let mut trips: Vec<(Duration, NodeId)> = Vec::new();
        for voter in election.voter_views() {
            let fresh = voter.answered.is_some_and(|at| now.since(at) < HEARD_LATELY);
            let trip = if voter.id == own { Some(Duration::ZERO) } else { voter.round_trip };
            let trip = trip.filter(|_| fresh || voter.id == own);
            trips.extend(trip.map(|trip| (trip, voter.id)));
        }
        let majority = election.configuration().voters.majority();
        self.judge(trips, majority, timing, now)
    }

    fn judge(
        &mut self,
        mut trips: Vec<(Duration, NodeId)>,
        majority: usize,
        timing: &Timing,
        now: HolderTime,
    ) -> Option<Warning> {
        trips.sort_unstable();
        let limit = timing.round_trip_limit();
        // The quickest majority decides how quick the voters are.
        let (round_trip, _) = *trips.get(majority.checked_sub(1)?)?;
        if round_trip <= limit {
            self.slow_since = None;
            return None;
        }
        let since = *self.slow_since.get_or_insert(now);
        let is_said = self.said.is_some_and(|said| now.since(said) < SAID_AGAIN);
        if now.since(since) < SLOW_FOR || is_said {
            return None;
        }
        self.said = Some(now);
        let mut voters: Vec<NodeId> =
            trips.into_iter().filter(|(trip, _)| *trip > limit).map(|(_, id)| id).collect();
        voters.sort_unstable();
        Some(Warning::TooSlow { round_trip, limit, voters, profile: timing.profile() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::timing::Profile;

    #[test]
    fn a_majority_that_stays_too_far_away_is_told_of_once_a_minute() {
        let timing = Timing::of(Profile::Lan);
        let id = |number| NodeId::new(number).unwrap();
        let trips = |two: u64, three: u64| {
            let far = |number, trip| (Duration::from_millis(trip), id(number));
            vec![far(1, 0), far(2, two), far(3, three)]
        };
        let mut pace = Pace::default();
        let mut said = |seconds: u64, two, three| {
            let now = HolderTime(seconds * 1_000_000_000);
            pace.judge(trips(two, three), 2, &timing, now)
        };
        assert_eq!(said(1, 72, 110), None, "not for long");
        let Some(Warning::TooSlow { round_trip, voters, profile, .. }) = said(4, 72, 110) else {
            panic!("nothing was said");
        };
        assert_eq!((round_trip.as_millis(), profile), (72, Profile::Lan));
        assert_eq!(voters, [id(2), id(3)]);
        assert_eq!(said(8, 72, 110), None, "said already");
        assert!(said(70, 72, 110).is_some());
        assert_eq!(said(140, 5, 110), None, "one near voter is a majority with this one");
        assert_eq!(said(141, 72, 110), None, "not for long");
    }
}
