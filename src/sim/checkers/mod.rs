//! The judges: they watch a run in true time, which no node can see, and stop it at the first
//! broken promise.
//!
//! They are independent of the node's own reasoning: they are told when leases, grants and
//! quarantines end in true time, what left on the wire, and what is on disk, and they draw
//! their own conclusions. The numbers are those of the protocol's list of invariants.

mod deference;
pub mod electorate;
mod leadership;
mod promises;
mod prompt;
mod reach;
mod steps;
mod voting;
mod work;

pub use deference::DeferenceChecks;
pub use leadership::Leadership;
pub use promises::{Promises, Sender};
pub use prompt::{Chances, Prompt};
pub use reach::Reach;
pub use steps::Steps;
pub use voting::{VoterState, Voting};
pub use work::Works;

use std::fmt;

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: at most one Goose at every instant.
    OneGoose,
    /// I2: terms rise; one holder and one interval per term.
    RisingTerms,
    /// I3: a counted grant is outlasted by the voter's grant or quarantine.
    GrantOutlasts,
    /// I4: one live holder per voter.
    OneHolder,
    /// I5: a voter's highest ballot never falls.
    RisingBallots,
    /// I6: what a grant or a status says is durable.
    DurableFirst,
    /// I8: no release while still acting under it.
    StopThenRelease,
    /// I9: duplicates and replays never lengthen a grant.
    NoReplay,
    /// C2 and C3: a lease is counted from the sending of its own request, and by a majority.
    HonestCount,
    /// I10: a Goose that reaches no majority is a Duck within D.
    MinorityYields,
    /// I11: only who says that it reaches a majority is waited for.
    WorthWaiting,
    /// I12: nobody is waited for without end.
    BoundedWait,
    /// I13: any two majorities by which nodes lead share a voter.
    QuorumsIntersect,
    /// Where the Goose sees to the number of voters, there are as many as are wanted, and it never
    /// makes them fewer.
    VotersKept,
    /// I14: an incumbent whom nothing disturbs stays.
    Steady,
    /// A Goose yields to a higher node only where that is wanted, and only if it has stayed.
    PatientPreemption,
    /// I15: a Goose within the bound, known to all.
    Live,
    /// I16: the term a node knows never falls.
    RisingView,
    /// I17: a Goose that nobody confirms stops renewing.
    DeafStops,
    /// I18: a claim blocks a voter for the claim's lease at most.
    ShortClaims,
    /// Once nothing hinders it any more, somebody leads within two seconds.
    Prompt,
    /// Once nothing disturbs it any more, leadership settles.
    Settled,
    /// Works of different nodes never overlap.
    OneWorker,
    /// Work never outlives the lease under which it is done.
    WorkEndsInTime,
    /// A founding has one lineage.
    OneLineage,
    /// The contract between a node and whoever drives it.
    Contract,
}

impl Invariant {
    /// Whether it holds only with one live process per voter.
    pub fn needs_single_voters(self) -> bool {
        matches!(
            self,
            Self::OneGoose
                | Self::RisingTerms
                | Self::GrantOutlasts
                | Self::OneHolder
                | Self::RisingBallots
                | Self::HonestCount
                | Self::MinorityYields
                | Self::PatientPreemption
                | Self::OneLineage
                | Self::OneWorker
        )
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::OneGoose => "I1, at most one Goose",
            Self::RisingTerms => "I2, rising terms",
            Self::GrantOutlasts => "I3, a grant outlasts its count",
            Self::OneHolder => "I4, one holder per voter",
            Self::RisingBallots => "I5, rising ballots",
            Self::DurableFirst => "I6, durable first",
            Self::StopThenRelease => "I8, stop, then release",
            Self::NoReplay => "I9, replays lengthen nothing",
            Self::HonestCount => "C2/C3, honest count",
            Self::MinorityYields => "I10, a minority is all Ducks in time",
            Self::WorthWaiting => "I11, only who reaches a majority is waited for",
            Self::BoundedWait => "I12, bounded deference",
            Self::QuorumsIntersect => "I13, intersecting quorums",
            Self::VotersKept => "as many voters as are wanted",
            Self::Steady => "I14, an undisturbed Goose stays",
            Self::PatientPreemption => "patient preemption",
            Self::Live => "I15, a Goose in time",
            Self::RisingView => "I16, rising view",
            Self::DeafStops => "I17, a deaf Goose stops renewing",
            Self::ShortClaims => "I18, short claims",
            Self::Prompt => "a Goose within two seconds",
            Self::Settled => "leadership settles",
            Self::OneWorker => "one work at a time",
            Self::WorkEndsInTime => "work ends before its lease",
            Self::OneLineage => "one lineage",
            Self::Contract => "the node's contract",
        };
        formatter.write_str(text)
    }
}

/// A broken promise. The run ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// True time in nanoseconds.
    pub at: u64,
    /// What was broken.
    pub invariant: Invariant,
    /// How, in a sentence.
    pub sentence: String,
}

impl Violation {
    /// A violation of `invariant` at `at`.
    pub fn new(at: u64, invariant: Invariant, sentence: String) -> Self {
        Self { at, invariant, sentence }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at / 1000;
        let (millis, rest) = (micros / 1000, micros % 1000);
        write!(formatter, "{millis}.{rest:03} ms: {}: {}", self.invariant, self.sentence)
    }
}

/// Whether all is well.
pub type Verdict = Result<(), Violation>;

/// Some process, for handmade observations in the checkers' own tests.
#[cfg(test)]
pub(crate) fn process(id: u64, nonce: u64) -> crate::vocabulary::identity::Process {
    use crate::vocabulary::identity::{Boot, NodeId, Process};
    Process { id: NodeId::new(id).unwrap(), boot: Boot { start: 1, nonce } }
}
