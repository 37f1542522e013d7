//! Swarms: what a run is about.
//!
//! Faults drawn at random from everything hardly ever meet in the one order that a rare bug
//! needs. So a run may leave most of them out: its swarm is a few kinds of fault, in a setting
//! and at a pace in which one part of the protocol is under strain all the time (A. Groce et al.,
//! "Swarm Testing", ISSTA 2012). A seed draws its swarm; a search for a mutant may name it.

use super::faults::FaultKind;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Swarm {
    /// Anything, at any pace.
    Mixed,
    /// Voters that die and forget faster than they recover.
    Brittle,
    /// A cluster that is being founded, over broken links, while a disk is wiped.
    Founding,
    /// Many vacancies, claimants that do not see each other, and voters that restart at once.
    Duels,
    /// Nodes that lease for different spans, and voters that grant longer than they ask.
    Leases,
    /// Voters that miss whole terms, and others that forget them.
    Amnesia,
    /// Nodes that do not belong: second processes of one id, other clusters, other voters.
    ForeignNodes,
    /// Voters that change, and machines that come and go with their records. Drawn by no seed: it is
    /// named.
    Elastic,
    /// A cluster that one machine founds, whose Goose sees to the number of voters by itself, while
    /// others come and go. Drawn by no seed: it is named.
    Automatic,
}

impl Swarm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Mixed,
        Self::Brittle,
        Self::Founding,
        Self::Duels,
        Self::Leases,
        Self::Amnesia,
        Self::ForeignNodes,
        Self::Elastic,
        Self::Automatic,
    ];

    /// How often seeds draw it: so many times in a hundred.
    pub(super) fn share(self) -> u32 {
        match self {
            Self::Mixed => 62,
            Self::Brittle => 14,
            Self::Founding | Self::Leases | Self::Amnesia => 4,
            Self::Duels | Self::ForeignNodes => 6,
            Self::Elastic | Self::Automatic => 0,
        }
    }

    /// Whether others come to vote than those that found the cluster.
    pub(super) fn changes_voters(self) -> bool {
        matches!(self, Self::Elastic | Self::Automatic)
    }

    /// The word for it on a command line, and in a list of what was met.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Brittle => "brittle",
            Self::Founding => "founding",
            Self::Duels => "duels",
            Self::Leases => "leases",
            Self::Amnesia => "amnesia",
            Self::ForeignNodes => "foreign nodes",
            Self::Elastic => "elastic",
            Self::Automatic => "automatic",
        }
    }

    /// The kinds of fault that a run may meet, and how many times in a thousand it meets each.
    pub(super) fn kinds(self) -> (&'static [FaultKind], u32) {
        use FaultKind::{
            ChangeVoters, Crash, DeafOrMute, Flapping, FlippedBits, ForeignNode, Freeze,
            KeeperDies, Leave, LeaveForGood, LostRecord, Move, OneWay, Partition, PowerLoss,
            Replay, RotateKeys, SlowDisk, StepDown, TornWrite,
        };
        match self {
            Self::Mixed => (FaultKind::OF_FIXED_VOTERS, 280),
            Self::Brittle => (&[Crash, TornWrite, LostRecord, OneWay, Partition, DeafOrMute], 500),
            Self::Founding => (&[LostRecord, LostRecord, Crash, OneWay, Replay], 600),
            Self::Duels => (
                &[StepDown, Crash, Crash, Crash, Freeze, OneWay, Flapping, Replay, KeeperDies],
                600,
            ),
            Self::Leases => (&[Crash, OneWay, DeafOrMute, StepDown, FlippedBits, RotateKeys], 700),
            Self::Amnesia => (&[LostRecord, Partition, StepDown, Crash], 900),
            Self::ForeignNodes => {
                (&[ForeignNode, ForeignNode, Crash, Partition, LeaveForGood], 700)
            }
            Self::Elastic => (
                &[
                    ChangeVoters,
                    ChangeVoters,
                    ChangeVoters,
                    ChangeVoters,
                    Crash,
                    Partition,
                    OneWay,
                    DeafOrMute,
                    Freeze,
                    StepDown,
                    LostRecord,
                    TornWrite,
                    Replay,
                    KeeperDies,
                    Move,
                    PowerLoss,
                    SlowDisk,
                    Leave,
                ],
                700,
            ),
            Self::Automatic => (
                &[
                    LeaveForGood,
                    LeaveForGood,
                    ChangeVoters,
                    Crash,
                    Partition,
                    OneWay,
                    DeafOrMute,
                    Freeze,
                    StepDown,
                    Replay,
                    KeeperDies,
                    Move,
                    SlowDisk,
                    Leave,
                ],
                400,
            ),
        }
    }

    /// The mean time between two faults, for a lease of so many nanoseconds, if the swarm
    /// has its own pace.
    pub(super) fn pace(self, lease: u64) -> Option<(u64, u64)> {
        match self {
            Self::Mixed | Self::ForeignNodes => None,
            Self::Brittle => Some((lease / 10, lease / 2)),
            Self::Founding => Some((lease / 10, lease / 3)),
            Self::Duels => Some((lease / 20, lease / 5)),
            Self::Leases => Some((lease / 4, lease)),
            Self::Amnesia => Some((lease / 2, lease * 2)),
            Self::Elastic => Some((lease / 4, lease * 2)),
            // Whoever is to vote has to stay for ten seconds first.
            Self::Automatic => Some((lease * 4, lease * 20)),
        }
    }

    /// The longest that a fault lasts, if the swarm has its own bound.
    pub(super) fn length_max(self, lease: u64) -> Option<u64> {
        match self {
            Self::Founding => Some(lease / 12),
            Self::Duels => Some(lease / 20),
            _ => None,
        }
    }

    /// How long the faults go on when nobody says otherwise, in seconds.
    pub(super) fn seconds(self) -> u64 {
        match self {
            Self::Founding => 2,
            Self::Duels | Self::Leases => 6,
            Self::Automatic => 40,
            _ => 12,
        }
    }
}
