//! Time as an argument. The core never reads a clock: whoever drives it passes a [`Now`].
//!
//! Two clocks matter, and they are of different types so that they cannot be mixed up:
//!
//! * [`HolderTime`] is what a lease *holder* counts with. It must never under-count, so it
//!   includes time spent suspended and is not slewed by NTP.
//! * [`VoterTime`] is what a *voter* counts a grant with. It may only ever make a grant
//!   longer, so it excludes time spent suspended and is not slewed either.
//!
//! Both are nanoseconds since an arbitrary origin that is fixed for the life of a process.
//! Neither is ever sent to another node: spans are. [`WallTime`] orders the starts of one
//! node and sets the floor of a lost ballot; it is never compared between nodes.

use std::hash::{Hash, Hasher};
use std::time::Duration;

/// A reading of the holder clock: nanoseconds, suspend included, never slewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderTime(pub u64);

/// A reading of the voter clock: nanoseconds, suspend excluded, never slewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VoterTime(pub u64);

/// A reading of the wall clock: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

/// The three clocks, read together at the moment an input arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The clock a holder counts its leases with.
    pub holder: HolderTime,
    /// The clock a voter counts its grants with.
    pub voter: VoterTime,
    /// The wall clock; a hint only.
    pub wall: WallTime,
}

/// A span in nanoseconds, saturating at five centuries.
pub fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A span in whole milliseconds, rounded down, saturating.
pub fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

macro_rules! clock_reading {
    ($reading:ident, $tag:literal) => {
        impl Hash for $reading {
            /// As a tagged 128-bit number, so that a hasher can tell times from other numbers
            /// and the two clocks from each other.
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write_u128($tag << 64 | u128::from(self.0));
            }
        }

        impl $reading {
            /// A time that never comes.
            pub const NEVER: Self = Self(u64::MAX);

            /// This reading moved forward by `span`, saturating.
            #[must_use]
            pub fn plus(self, span: Duration) -> Self {
                Self(self.0.saturating_add(nanoseconds(span)))
            }

            /// This reading moved back by `span`, saturating.
            #[must_use]
            pub fn minus(self, span: Duration) -> Self {
                Self(self.0.saturating_sub(nanoseconds(span)))
            }

            /// The span from `earlier` to this reading, zero if `earlier` is later.
            #[must_use]
            pub fn since(self, earlier: Self) -> Duration {
                Duration::from_nanos(self.0.saturating_sub(earlier.0))
            }
        }
    };
}

clock_reading!(HolderTime, 1_u128);
clock_reading!(VoterTime, 2_u128);
