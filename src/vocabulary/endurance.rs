//! What a set of timings is worth to people: how long nobody may lead at worst, and what a
//! sitting Goose rides out.

use std::time::Duration;

use super::timing::{CLOCK_DRIFT_THOUSANDTHS, Profile, Timing, counted};

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
        Self { round_trip, sync: Duration::from_millis(10) }
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
    fn a_lease_without_slack_rides_out_nothing() {
        let mut timing = Timing::of(Profile::Lan);
        timing.renew_interval = timing.lease;
        assert_eq!(timing.endurance(Surroundings::of(Profile::Lan)), None);
    }
}
