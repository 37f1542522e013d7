//! What a set of timings is worth to people: how long nobody may lead at worst, what a sitting
//! Goose rides out, and whether the network leaves a lease long enough to be of use at all.

use std::time::Duration;

use super::timing::{
    CLOCK_DRIFT_THOUSANDTHS, LEASE_CEILING, LEASE_FLOOR, Profile, Timing, TimingError, counted,
};

/// What it takes an ordinary disk to make a grant durable.
const SYNC: Duration = Duration::from_millis(10);

/// What is assumed of the machines and of the network between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// RTT: there and back between any two nodes.
    pub round_trip: Duration,
    /// What it takes to make a grant durable.
    pub sync: Duration,
}

impl Surroundings {
    /// What each profile is made for.
    pub fn of(profile: Profile) -> Self {
        let round_trip = match profile {
            Profile::Lan => Duration::from_millis(2),
            Profile::Fast => Duration::from_millis(1),
            Profile::Wan => Duration::from_millis(200),
        };
        Self { round_trip, sync: SYNC }
    }
}

/// What a sitting Goose rides out: the largest m and then P with D ≥ (m+1)·r + RTT + P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endurance {
    /// m: so many renewals in a row may be lost.
    pub lost_renewals: u32,
    /// P: and so long may it or the voters stall on top of that.
    pub stall: Duration,
}

impl Timing {
    /// Holds the inequalities against the numbers, as [`Timing::check`], and against the network
    /// that `profile`, from which these timings were made, is for.
    ///
    /// # Errors
    /// The first inequality that does not hold.
    pub fn check_for(&self, profile: Profile) -> Result<(), TimingError> {
        self.check()?;
        let surroundings = Surroundings::of(profile);
        if self.suffices(surroundings) {
            return Ok(());
        }
        let whole = |milliseconds| Duration::from_millis(milliseconds);
        let ceiling = LEASE_CEILING.as_millis().try_into().unwrap_or(u64::MAX);
        let floor = LEASE_FLOOR.as_millis().try_into().unwrap_or(0);
        let (mut low, mut high) = (floor, ceiling);
        // Of the profile's own timings: in these some spans may be at their floor. With a longer
        // lease all spans grow in proportion, so what suffices stays enough.
        while low < high {
            let middle = low + (high - low) / 2;
            if Timing::of(profile).with_lease(whole(middle)).suffices(surroundings) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let round_trip = surroundings.round_trip;
        let (lease, minimum) = (self.lease, whole(high));
        Err(TimingError::LeaseTooShortHere { lease, minimum, round_trip })
    }

    /// Whether a lost renewal is ridden out, and whether a claim outlasts its own way there and
    /// back and that of the first renewal. Otherwise a Goose would be Duck again before its lease
    /// has begun, over and over.
    fn suffices(&self, surroundings: Surroundings) -> bool {
        let Surroundings { round_trip, sync } = surroundings;
        let rides = self.endurance(surroundings).is_some_and(|it| it.lost_renewals >= 1);
        rides && counted(self.claim_lease) >= 2 * round_trip + sync
    }

    /// The longest round trip to a majority of the voters with which somebody can come to lead: a
    /// claim outlasts its own way there and back and that of the first renewal.
    pub fn round_trip_limit(&self) -> Duration {
        counted(self.claim_lease).saturating_sub(SYNC) / 2
    }

    /// From which profile these timings were made: gossip is not stretched with the lease.
    pub fn profile(&self) -> Profile {
        let same = |profile: &Profile| {
            let other = Self::of(*profile);
            (other.probe_period, other.probe_round_trip)
                == (self.probe_period, self.probe_round_trip)
        };
        [Profile::Fast, Profile::Wan].into_iter().find(same).unwrap_or_default()
    }

    /// What a lease rides out. None if it does not even last from one renewal to the next.
    pub fn endurance(&self, surroundings: Surroundings) -> Option<Endurance> {
        let left = counted(self.lease).checked_sub(surroundings.round_trip)?;
        let rounds = left.as_nanos() / self.renew_interval.as_nanos().max(1);
        let lost_renewals = u32::try_from(rounds).ok()?.checked_sub(1)?;
        let stall = left.checked_sub(self.renew_interval * (lost_renewals + 1))?;
        Some(Endurance { lost_renewals, stall })
    }

    /// How long after a Goose froze or was cut off another one leads at the latest, if the
    /// voters are up: L(1+ε) + notice + RTT + fsync. The notice is how long a vacancy waits for
    /// a higher contender.
    pub fn fail_over_bound(&self, surroundings: Surroundings) -> Duration {
        let drift = u32::try_from(CLOCK_DRIFT_THOUSANDTHS).unwrap_or(u32::MAX);
        let outlasted = self.lease + self.lease * drift / 1000;
        outlasted + self.deference + surroundings.round_trip + surroundings.sync
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_are_worth_what_they_promise() {
        let worth = |profile| {
            let (timing, surroundings) = (Timing::of(profile), Surroundings::of(profile));
            let endurance = timing.endurance(surroundings).unwrap();
            let bound = timing.fail_over_bound(surroundings).as_millis();
            (endurance.lost_renewals, endurance.stall.as_millis(), bound)
        };
        assert_eq!(worth(Profile::Lan), (3, 92, 645));
        assert_eq!(worth(Profile::Fast), (3, 26, 282));
        assert_eq!(worth(Profile::Wan), (3, 350, 3525));
    }

    #[test]
    fn every_profile_suffices_and_names_the_least_lease_that_would() {
        for profile in [Profile::Lan, Profile::Fast, Profile::Wan] {
            let timing = Timing::of(profile);
            assert_eq!(timing.check_for(profile), Ok(()));
            assert!(timing.contender_freshness() < counted(timing.lease), "{profile:?}");
        }
        let wan = |lease| {
            let timing = Timing::of(Profile::Wan).with_lease(Duration::from_millis(lease));
            timing.check_for(Profile::Wan)
        };
        let Err(TimingError::LeaseTooShortHere { minimum, .. }) = wan(150) else {
            panic!("{:?}", wan(150));
        };
        let minimum = u64::try_from(minimum.as_millis()).unwrap();
        assert_eq!(wan(minimum), Ok(()));
        assert!(wan(minimum - 1).is_err() && minimum > 1000, "{minimum}");
        let lan = Timing::of(Profile::Lan).with_lease(LEASE_FLOOR);
        assert_eq!(lan.check_for(Profile::Lan), Ok(()));
    }

    #[test]
    fn every_profile_knows_itself_and_how_far_away_voters_may_be() {
        let of = |profile| {
            let timing = Timing::of(profile).with_lease(Duration::from_secs(4));
            assert_eq!(timing.profile(), profile);
            Timing::of(profile).round_trip_limit().as_millis()
        };
        assert_eq!([Profile::Lan, Profile::Fast, Profile::Wan].map(of), [59, 34, 430]);
    }

    #[test]
    fn a_lease_without_slack_rides_out_nothing() {
        let mut timing = Timing::of(Profile::Lan);
        timing.renew_interval = timing.lease;
        assert_eq!(timing.endurance(Surroundings::of(Profile::Lan)), None);
    }
}
