//! Worlds that break a rule, to see whether the judges find it.

use crate::vocabulary::mutant::Mutant;
use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};

/// What is wrong with the world or with the code in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Nothing.
    None,
    /// Disks say that they have written what they have not.
    LyingDisks,
    /// The network delivers a release as one of whoever holds the addressee's vote.
    RedirectedReleases,
    /// A restarted voter finds the record of its founding: an old backup.
    RolledBackRecords,
    /// Voters' clocks run a third too fast.
    FastVoterClocks,
    /// A mutant of the code itself.
    Mutant(Mutant),
}

impl Break {
    /// A mutant to turn on while this world runs.
    pub(crate) fn mutant(self) -> Option<Mutant> {
        match self {
            Self::Mutant(mutant) => Some(mutant),
            _ => None,
        }
    }

    /// True time to clock readings: the holder's clock is as slow as is allowed, the voter's as
    /// fast.
    pub(super) fn clocks(self, time: u64) -> Now {
        let fast = if self == Self::FastVoterClocks { 1_330 } else { 1_005 };
        Now {
            holder: HolderTime(time / 1_000 * 995),
            voter: VoterTime(time / 1_000 * fast),
            wall: WallTime(1_000_000 + time / 1_000_000),
        }
    }
}
