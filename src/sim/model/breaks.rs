//! Worlds that break a rule, to see whether the judges find it.

use crate::vocabulary::plant::Plant;

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
    /// A bug that is planted in the code itself.
    Planted(Plant),
}

impl Break {
    /// A bug to plant in the code while this world runs.
    pub(crate) fn plant(self) -> Option<Plant> {
        match self {
            Self::Planted(plant) => Some(plant),
            _ => None,
        }
    }
}
