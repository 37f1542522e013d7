//! Where each mutant is found: in runs of which swarm, and within how many seeds.
//!
//! A test goes through all of them, and `cargo run --example simulate -- --mutants` prints how
//! many seeds each really took.

use super::run::{Options, Report, run};
use super::theme::Swarm;
use crate::vocabulary::mutant::Mutant;

/// A mutant and where to look for it.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The bug.
    pub mutant: Mutant,
    /// What runs are about in which it shows.
    pub swarm: Swarm,
    /// It is found among so many seeds, counted from 0: some three times what it takes at
    /// present, so that small changes elsewhere do not lose it.
    pub seeds: u64,
}

/// One for each mutant but those of [`NOT_SEARCHED`].
pub const MUTANTS: [Search; Mutant::ALL.len() + Mutant::OF_WORK.len() - NOT_SEARCHED.len()] = [
    search(Mutant::GrantCountedFromReceipt, Swarm::Mixed, 10),
    search(Mutant::NoDriftMargin, Swarm::Mixed, 10),
    search(Mutant::GrantMatchedToNewestRequest, Swarm::Mixed, 10),
    search(Mutant::StaleVoterClock, Swarm::Mixed, 10),
    search(Mutant::ShortGrantCountedAsLong, Swarm::Mixed, 10),
    search(Mutant::NoQuarantine, Swarm::Mixed, 30),
    search(Mutant::ShortQuarantine, Swarm::Mixed, 30),
    search(Mutant::AnyReleaseLiftsQuarantine, Swarm::Duels, 100),
    search(Mutant::BallotNotPersisted, Swarm::Mixed, 10),
    search(Mutant::VisibleMajorityWithoutGrants, Swarm::Mixed, 10),
    search(Mutant::QuorumOfOne, Swarm::Mixed, 10),
    search(Mutant::OneBallotToTwoHolders, Swarm::Duels, 30),
    search(Mutant::RaisedBallotPublishedAsTerm, Swarm::Duels, 20),
    search(Mutant::ReleaseIgnoresBallot, Swarm::Founding, 100),
    search(Mutant::ReleaseBeforeSteppingDown, Swarm::Duels, 10),
    search(Mutant::BlankForEver, Swarm::Founding, 20),
    search(Mutant::MapWithoutNonces, Swarm::Founding, 50),
    search(Mutant::FoundedOnMajority, Swarm::Founding, 300),
    search(Mutant::BlankCountedAsVacant, Swarm::Founding, 400),
    search(Mutant::NoFloorAfterWipe, Swarm::Amnesia, 30),
    search(Mutant::LossForgotten, Swarm::Amnesia, 60),
    search(Mutant::RestartedBlankDoesNotWait, Swarm::Duels, 10),
    search(Mutant::LongerRenewalNotRecorded, Swarm::Leases, 10),
    search(Mutant::DuplicateLengthensGrant, Swarm::Mixed, 10),
    search(Mutant::DeafGooseRenews, Swarm::Leases, 40),
    search(Mutant::PreemptionWithoutPatience, Swarm::Duels, 60),
    search(Mutant::PipeEndTakenForDeath, Swarm::Mixed, 120),
    search(Mutant::KeeperReleasesWithoutBoot, Swarm::Duels, 80),
    search(Mutant::DeadContenderDeferredTo, Swarm::Mixed, 20),
    search(Mutant::ChecksumIgnored, Swarm::Leases, 100),
    search(Mutant::DeafGooseRenewsOnceMore, Swarm::Leases, 100),
    search(Mutant::LowerBallotGranted, Swarm::Mixed, 30),
    search(Mutant::BackoffTooLong, Swarm::Duels, 500),
    search(Mutant::GooseResigns, Swarm::Mixed, 10),
    search(Mutant::LineageDrawnByEachGoose, Swarm::Founding, 300),
    search(Mutant::KeeperForgetsDeadline, Swarm::Mixed, 100),
    search(Mutant::KeeperReleasesBeforeWorkEnds, Swarm::Mixed, 100),
    search(Mutant::LapseReleasesUnderWork, Swarm::Mixed, 100),
    search(Mutant::HandoverUnderWork, Swarm::Mixed, 100),
    search(Mutant::WorkBegunWhileEnding, Swarm::Mixed, 100),
    search(Mutant::LeaveReleasesUnderWork, Swarm::Mixed, 900),
    search(Mutant::ChangeWithoutCommit, Swarm::Elastic, 20),
    search(Mutant::ChangesAtOnce, Swarm::Elastic, 20),
    search(Mutant::VoterIgnoresConfiguration, Swarm::Elastic, 480),
    search(Mutant::RemovedBeforeAdded, Swarm::Automatic, 100),
    search(Mutant::CandidatesIgnored, Swarm::Automatic, 20),
];

/// Bugs for which no swarm is known that shows them within a thousand seeds. They are found by
/// the model checker (`tests/core/model.rs`), by stories (`tests/core/scenarios/records.rs` and
/// `work.rs`), and by the tests of founding, of the voter, and of
/// `contender/reconfiguration.rs`. What concerns the lineage
/// beside is found by the unit tests of `contender/naming.rs` and of the voter.
pub const NOT_SEARCHED: [Mutant; 17] = [
    Mutant::NoRewriteInOwnTerm,
    Mutant::NewMajorityNotHeld,
    Mutant::ConfigurationSaidBeforeDurable,
    Mutant::LearnerDoesNotWait,
    Mutant::QuarantinedVoterRenewsAnybody,
    Mutant::LineageSettledByOne,
    Mutant::LineageSaidBeforeDurable,
    Mutant::EarlyAnswersCounted,
    Mutant::OneVoterLessThanAll,
    Mutant::BallotWithoutConfiguration,
    Mutant::BlankCountedAsSound,
    Mutant::WaitsOwnLeaseOnly,
    Mutant::StartsOrderedByClock,
    Mutant::EarlierBootsAnswersAccepted,
    Mutant::CertificateOfAnother,
    Mutant::CertificateWhileActing,
    Mutant::ContendsUnderOldWork,
];

const fn search(mutant: Mutant, swarm: Swarm, seeds: u64) -> Search {
    Search { mutant, swarm, seeds }
}

impl Search {
    /// The first run that finds the bug, if one does.
    pub fn run(&self) -> Option<Report> {
        let options =
            Options { mutant: Some(self.mutant), swarm: Some(self.swarm), ..Options::default() };
        (0..self.seeds).map(|seed| run(seed, options)).find(|report| report.violation.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_searched_for_or_named() {
        let searched = |mutant: &Mutant| MUTANTS.iter().any(|search| search.mutant == *mutant);
        let mut all = Mutant::ALL.iter().chain(&Mutant::OF_WORK);
        assert!(all.all(|mutant| searched(mutant) != NOT_SEARCHED.contains(mutant)));
    }
}
