//! A machine's clocks, as functions of true time.
//!
//! True time is what the simulator counts in and what no node can see. Every clock runs at its
//! own rate, off by ε at most, from its own origin; the wall clock also jumps. In suspend the
//! holder clock goes on and the voter clock stands still, as on a real machine.
//!
//! The holder clock is put together as on a real machine: MONOTONIC_RAW and what BOOTTIME is
//! ahead of MONOTONIC. NTP slews the latter two, both alike, and so changes nothing.
//!
//! Assumption: rates stay within ε while a run tests the promise; a scenario may break that.

use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};

/// The rate of a perfect clock, in millionths.
pub const TRUE_RATE: u64 = 1_000_000;

/// The most by which a rate may be off, in millionths: ε.
pub const DRIFT_MAX: u64 = 5_000;

/// The most by which NTP slews the monotonic clock, in millionths: 8 %.
pub const SLEW_MAX: u64 = 80_000;

/// A clock that runs at a constant rate since its last change.
#[derive(Clone, Copy, Debug)]
struct Dial {
    /// True time of the last change.
    since: u64,
    /// What it showed then.
    reading: u64,
    /// Millionths; zero while it stands still.
    rate: u64,
}

impl Dial {
    fn at(&self, true_time: u64) -> u64 {
        let elapsed = true_time.saturating_sub(self.since);
        // In two parts, so that 64 bits suffice: clocks are read all the time.
        let (whole, rest) = (elapsed / TRUE_RATE, elapsed % TRUE_RATE);
        let moved = whole.saturating_mul(self.rate) + rest * self.rate / TRUE_RATE;
        self.reading.saturating_add(moved)
    }

    /// The first true time at which it shows `reading` or more; never, if it stands still.
    fn shows(&self, reading: u64) -> u64 {
        if reading <= self.reading {
            return self.since;
        }
        if self.rate == 0 || reading == u64::MAX {
            return u64::MAX;
        }
        let missing = u128::from(reading - self.reading) * u128::from(TRUE_RATE);
        let wait = missing.div_ceil(u128::from(self.rate));
        self.since.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    fn set_rate(&mut self, true_time: u64, rate: u64) {
        self.reading = self.at(true_time);
        self.since = true_time;
        self.rate = rate;
    }
}

/// The three clocks of one machine.
#[derive(Clone, Debug)]
pub struct Clocks {
    /// MONOTONIC_RAW and the time spent in suspend, at the holder's own rate.
    holder: Dial,
    voter: Dial,
    /// MONOTONIC, slewed. BOOTTIME is ahead of it by what was spent in suspend.
    monotonic: Dial,
    /// How long the machine was suspended until it last resumed.
    suspended: u64,
    suspended_since: Option<u64>,
    /// Milliseconds since 1970 at true time zero, and the jumps made since.
    wall: i64,
    voter_rate: u64,
}

impl Clocks {
    /// Clocks that show `holder`, `voter` nanoseconds and `wall` milliseconds at true time
    /// zero and run true.
    pub fn new(holder: u64, voter: u64, wall: i64) -> Self {
        let dial = |reading| Dial { since: 0, reading, rate: TRUE_RATE };
        Self {
            holder: dial(holder),
            voter: dial(voter),
            monotonic: dial(voter),
            suspended: 0,
            suspended_since: None,
            wall,
            voter_rate: TRUE_RATE,
        }
    }

    /// NTP makes the monotonic clock run at this rate, in millionths.
    pub fn slew(&mut self, true_time: u64, rate: u64) {
        self.monotonic.set_rate(true_time, rate);
    }

    /// From `true_time` on the clocks run at these rates, in millionths.
    pub fn set_rates(&mut self, true_time: u64, holder: u64, voter: u64) {
        self.holder.set_rate(true_time, holder);
        self.voter_rate = voter;
        if !self.is_suspended() {
            self.voter.set_rate(true_time, voter);
        }
    }

    /// The voter clock stands still from `true_time` on, the holder clock goes on.
    pub fn suspend(&mut self, true_time: u64) {
        self.voter.set_rate(true_time, 0);
        self.suspended_since.get_or_insert(true_time);
    }

    /// The voter clock goes on from `true_time` on.
    pub fn resume(&mut self, true_time: u64) {
        let rate = self.voter_rate;
        self.voter.set_rate(true_time, rate);
        let since = self.suspended_since.take();
        self.suspended += since.map_or(0, |since| true_time.saturating_sub(since));
    }

    /// Whether the machine is suspended.
    pub fn is_suspended(&self) -> bool {
        self.voter.rate == 0
    }

    /// The wall clock jumps by so many milliseconds.
    pub fn jump_wall(&mut self, milliseconds: i64) {
        self.wall = self.wall.saturating_add(milliseconds);
    }

    /// The wall clock is set so that its offset to true time is `milliseconds`.
    pub fn set_wall(&mut self, milliseconds: i64) {
        self.wall = milliseconds;
    }

    /// What a machine's own clocks show, for the holder's: MONOTONIC_RAW, MONOTONIC, BOOTTIME.
    fn machine(&self, true_time: u64) -> (u64, u64, u64) {
        let under_way = self.suspended_since.map_or(0, |since| true_time.saturating_sub(since));
        let suspended = self.suspended + under_way;
        let monotonic = self.monotonic.at(true_time);
        let raw = self.holder.at(true_time).wrapping_sub(suspended);
        (raw, monotonic, monotonic.wrapping_add(suspended))
    }

    /// What the clocks show at `true_time`.
    pub fn now(&self, true_time: u64) -> Now {
        let wall = self.wall.saturating_add_unsigned(true_time / 1_000_000);
        let (raw, monotonic, boottime) = self.machine(true_time);
        Now {
            holder: HolderTime(raw.wrapping_add(boottime.wrapping_sub(monotonic))),
            voter: VoterTime(self.voter.at(true_time)),
            wall: WallTime(wall.max(0).unsigned_abs()),
        }
    }

    /// The first true time at which the holder clock shows `reading` or more, if nothing
    /// changes.
    pub fn holder_shows(&self, reading: HolderTime) -> u64 {
        self.holder.shows(reading.0)
    }

    /// The first true time at which the voter clock shows `reading` or more, if nothing
    /// changes.
    pub fn voter_shows(&self, reading: VoterTime) -> u64 {
        self.voter.shows(reading.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_and_their_times_agree_at_any_rate() {
        for rate in [995_000, 999_999, 1_000_000, 1_000_003, 1_005_000] {
            let mut clocks = Clocks::new(1234, 99, 0);
            clocks.set_rates(17, rate, TRUE_RATE);
            for reading in [1300, 5000, 1_000_000_007] {
                let at = clocks.holder_shows(HolderTime(reading));
                assert!(clocks.now(at).holder.0 >= reading);
                assert!(clocks.now(at - 1).holder.0 < reading);
            }
        }
    }

    #[test]
    fn suspend_stops_the_voter_clock_only() {
        let mut clocks = Clocks::new(0, 0, 0);
        clocks.suspend(1000);
        assert_eq!(clocks.voter_shows(VoterTime(1001)), u64::MAX);
        assert_eq!(clocks.now(5000).voter.0, 1000);
        assert_eq!(clocks.now(5000).holder.0, 5000);
        clocks.resume(5000);
        assert_eq!(clocks.now(6000).voter.0, 2000);
    }

    /// Scenario 34: NTP slews MONOTONIC and BOOTTIME alike.
    #[test]
    fn a_slew_of_eight_per_cent_changes_no_clock_that_a_node_reads() {
        let (mut slewed, mut plain) = (Clocks::new(700, 99, 0), Clocks::new(700, 99, 0));
        slewed.slew(10, TRUE_RATE + SLEW_MAX);
        for clocks in [&mut slewed, &mut plain] {
            clocks.suspend(1_000_000);
        }
        slewed.slew(1_500_000, TRUE_RATE - SLEW_MAX);
        for clocks in [&mut slewed, &mut plain] {
            clocks.resume(3_000_000);
        }
        for at in [5, 1_000, 1_200_000, 2_000_000, 3_000_000, 90_000_000] {
            let (one, other) = (slewed.now(at), plain.now(at));
            assert_eq!((one.holder, one.voter), (other.holder, other.voter), "at {at}");
        }
        assert_ne!(slewed.monotonic.at(2_000_000), plain.monotonic.at(2_000_000));
    }

    #[test]
    fn the_wall_clock_jumps_alone() {
        let mut clocks = Clocks::new(0, 0, 10_000_000);
        clocks.jump_wall(-3_600_000);
        assert_eq!(clocks.now(2_000_000).wall.0, 6_400_002);
        assert_eq!(clocks.now(2_000_000).holder.0, 2_000_000);
    }
}
