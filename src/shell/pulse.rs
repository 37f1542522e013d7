//! Whether the driver comes round: what everything looks at that answers for a node.
//!
//! The HTTP server, and whoever else answers, lives on while the driver hangs: in a lock, in a
//! call that does not return, behind somebody who blocks its runtime. So the driver stamps the
//! holder clock each time it comes round, and an answer says how long ago that was. The role is
//! not judged by it: that is the lease's, which ends by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::vocabulary::time::{HolderTime, nanoseconds};

/// A driver that has not come round for so long is stuck. It wakes at least every second, even
/// with nothing to do, so three rounds in a row are missing; a busy machine may cost one.
pub const LIMIT: Duration = Duration::from_secs(3);

/// Where the driver stamps the time.
#[derive(Debug)]
pub(super) struct Stamp {
    last: AtomicU64,
    /// The most that it ever came round late, in nanoseconds.
    delay_max: AtomicU64,
}

impl Stamp {
    pub(super) fn new(now: HolderTime) -> Self {
        Self { last: AtomicU64::new(now.0), delay_max: AtomicU64::new(0) }
    }

    /// The driver comes round. Nothing else is published by this, so no order is needed.
    pub(super) fn beat(&self, now: HolderTime) {
        self.last.store(now.0, Ordering::Relaxed);
    }

    /// The driver came round so much later than it had meant to.
    pub(super) fn came_late(&self, delay: Duration) {
        self.delay_max.fetch_max(nanoseconds(delay), Ordering::Relaxed);
    }

    pub(super) fn delay_max(&self) -> Duration {
        Duration::from_nanos(self.delay_max.load(Ordering::Relaxed))
    }

    pub(super) fn last(&self) -> HolderTime {
        HolderTime(self.last.load(Ordering::Relaxed))
    }
}

/// When the driver came round last, and whether there still is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// On the holder clock.
    pub last: HolderTime,
    /// It has ended: the node has left, or failed.
    pub ended: bool,
    /// The most that it ever came round later than it had meant to.
    pub delay_max: Duration,
}

impl Pulse {
    /// How long ago it was at `now`.
    pub fn age(self, now: HolderTime) -> Duration {
        now.since(self.last)
    }

    /// Whether it came round lately, as [`LIMIT`] has it.
    pub fn is_felt(self, now: HolderTime) -> bool {
        !self.ended && self.age(now) < LIMIT
    }
}
