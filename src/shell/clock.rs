//! The operating system's clocks, read as the lease protocol needs them.
//!
//! `CLOCK_MONOTONIC` is slewed by NTP, by 8 % in common settings, so no lease may run on it;
//! `CLOCK_MONOTONIC_RAW` is not. Neither counts time spent suspended. A voter wants just that:
//! its grants may only get longer. A holder must count suspend, so its clock adds what
//! `CLOCK_BOOTTIME` has gained on `CLOCK_MONOTONIC`; the slew cancels out of that difference.
//!
//! Assumption: the kernel sees every suspend. A hypervisor that stops a guest unseen breaks it;
//! then the term is what protects a resource.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime, milliseconds, nanoseconds};

/// Readings further apart than this were torn by a preemption and are taken again.
const READING_APART_MAX: u64 = 1_000_000;
/// A machine that preempts every reading is believed at last: the error is on the safe side.
const READINGS_MAX: usize = 8;

/// What clocks are read. Both need no state of their own.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// Those of this machine.
    #[default]
    Machine,
    /// The one of the tokio runtime, from this moment on: a test may pause it. No lease is ever held by
    /// it.
    #[cfg(feature = "testing")]
    Runtime(tokio::time::Instant),
}

impl Clock {
    /// All clocks, read together.
    pub fn now(self) -> Now {
        let (holder, voter) = self.read();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { holder, voter, wall: WallTime(milliseconds(since_epoch)) }
    }

    /// The holder clock alone: what a lease is compared with.
    pub fn holder(self) -> HolderTime {
        self.read().0
    }

    fn read(self) -> (HolderTime, VoterTime) {
        match self {
            Self::Machine => read(),
            #[cfg(feature = "testing")]
            Self::Runtime(origin) => {
                // No deadline is 0.
                let elapsed = nanoseconds(origin.elapsed()).saturating_add(1);
                (HolderTime(elapsed), VoterTime(elapsed))
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn read() -> (HolderTime, VoterTime) {
    use rustix::time::{ClockId, clock_gettime};
    let read = |clock| {
        let time = clock_gettime(clock);
        nanoseconds(Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        ))
    };
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..READINGS_MAX {
        let before = read(ClockId::Monotonic);
        let boottime = read(ClockId::Boottime);
        let raw = read(ClockId::MonotonicRaw);
        let after = read(ClockId::Monotonic);
        let apart = after.saturating_sub(before);
        if apart < best.0 {
            // Boot time was read after `before`, so the difference is never too small.
            best = (apart, raw + boottime.saturating_sub(before), raw);
        }
        if apart <= READING_APART_MAX {
            break;
        }
    }
    (HolderTime(best.1), VoterTime(best.2))
}

/// Elsewhere there is one monotonic clock; that it may stop in a suspend is a limit of the
/// platform that the README names.
#[cfg(not(target_os = "linux"))]
fn read() -> (HolderTime, VoterTime) {
    use std::sync::OnceLock;
    use std::time::Instant;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let elapsed = nanoseconds(ORIGIN.get_or_init(Instant::now).elapsed());
    let _ = (READING_APART_MAX, READINGS_MAX);
    (HolderTime(elapsed), VoterTime(elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_only_rise_and_keep_their_distance() {
        let first = Clock::Machine.now();
        let mut last = first;
        for _ in 0..10_000 {
            let now = Clock::Machine.now();
            assert!(now.holder.0 + READING_APART_MAX >= last.holder.0);
            assert!(now.voter >= last.voter);
            last = now;
        }
        let offset = |now: Now| now.holder.0 - now.voter.0;
        assert!(offset(last).abs_diff(offset(first)) < 5_000_000, "no suspend happened");
        assert!(last.wall.0 > 1_700_000_000_000);
    }
}
