//! Where each mutant is found: in runs of which swarm, and within how many seeds.
//!
//! A test goes through all of them, and `cargo run --example simulate -- --mutants` prints how
//! many seeds each really took.

use super::run::{Options, Report, run};
use super::theme::Swarm;
use crate::vocabulary::mutant::Mutant;

/// A mutant and where to look for it.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// The bug.
    pub mutant: Mutant,
    /// What runs are about in which it shows.
    pub swarm: Swarm,
    /// It is found among so many seeds, counted from 0: some three times what it takes at
    /// present, so that small changes elsewhere do not lose it.
    pub seeds: u64,
}

/// One for each mutant but those of [`UNHUNTED`].
pub const MUTANTS: [Hunt; Mutant::ALL.len() + Mutant::OF_WORK.len() - UNHUNTED.len()] = [
    hunt(Mutant::GrantCountedFromReceipt, Swarm::Mixed, 10),
    hunt(Mutant::NoDriftMargin, Swarm::Mixed, 10),
    hunt(Mutant::GrantMatchedToNewestRequest, Swarm::Mixed, 10),
    hunt(Mutant::StaleVoterClock, Swarm::Mixed, 10),
    hunt(Mutant::ShortGrantCountedAsLong, Swarm::Mixed, 10),
    hunt(Mutant::NoQuarantine, Swarm::Mixed, 30),
    hunt(Mutant::ShortQuarantine, Swarm::Mixed, 30),
    hunt(Mutant::QuarantinedVoterRenewsAnybody, Swarm::Duels, 100),
    hunt(Mutant::AnyReleaseLiftsQuarantine, Swarm::Duels, 100),
    hunt(Mutant::BallotNotPersisted, Swarm::Mixed, 10),
    hunt(Mutant::VisibleMajorityWithoutGrants, Swarm::Mixed, 10),
    hunt(Mutant::QuorumOfOne, Swarm::Mixed, 10),
    hunt(Mutant::OneBallotToTwoHolders, Swarm::Duels, 30),
    hunt(Mutant::RaisedBallotPublishedAsTerm, Swarm::Duels, 20),
    hunt(Mutant::ReleaseIgnoresBallot, Swarm::Founding, 30),
    hunt(Mutant::ReleaseBeforeSteppingDown, Swarm::Duels, 10),
    hunt(Mutant::BlankForEver, Swarm::Founding, 20),
    hunt(Mutant::MapWithoutNonces, Swarm::Founding, 50),
    hunt(Mutant::FoundedOnMajority, Swarm::Founding, 300),
    hunt(Mutant::BlankCountedAsVacant, Swarm::Founding, 300),
    hunt(Mutant::NoFloorAfterWipe, Swarm::Amnesia, 30),
    hunt(Mutant::LossForgotten, Swarm::Amnesia, 60),
    hunt(Mutant::RestartedVirginDoesNotWait, Swarm::Duels, 10),
    hunt(Mutant::LongerRenewalNotRecorded, Swarm::Leases, 10),
    hunt(Mutant::DuplicateLengthensGrant, Swarm::Mixed, 10),
    hunt(Mutant::DeafGooseRenews, Swarm::Leases, 40),
    hunt(Mutant::PreemptionWithoutPatience, Swarm::Duels, 60),
    hunt(Mutant::PipeEndTakenForDeath, Swarm::Mixed, 120),
    hunt(Mutant::KeeperReleasesWithoutBoot, Swarm::Duels, 80),
    hunt(Mutant::DeadContenderDeferredTo, Swarm::Mixed, 20),
    hunt(Mutant::ChecksumIgnored, Swarm::Leases, 100),
    hunt(Mutant::DeafGooseRenewsOnceMore, Swarm::Leases, 100),
    hunt(Mutant::LowerBallotGranted, Swarm::Mixed, 30),
    hunt(Mutant::BackoffTooLong, Swarm::Duels, 300),
    hunt(Mutant::GooseResigns, Swarm::Mixed, 10),
    hunt(Mutant::KeeperForgetsDeadline, Swarm::Mixed, 100),
    hunt(Mutant::KeeperReleasesBeforeWorkEnds, Swarm::Mixed, 100),
    hunt(Mutant::LapseReleasesUnderWork, Swarm::Mixed, 100),
    hunt(Mutant::HandoverUnderWork, Swarm::Mixed, 100),
    hunt(Mutant::WorkBegunWhileEnding, Swarm::Mixed, 100),
    hunt(Mutant::LeaveReleasesUnderWork, Swarm::Mixed, 200),
];

/// Bugs for which no swarm is known that shows them within a thousand seeds. They are found by
/// the model checker (`tests/core/model.rs`), by stories (`tests/core/scenarios/records.rs` and
/// `work.rs`), and what takes voters that change by the tests of founding.
pub const UNHUNTED: [Mutant; 10] = [
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

const fn hunt(mutant: Mutant, swarm: Swarm, seeds: u64) -> Hunt {
    Hunt { mutant, swarm, seeds }
}

impl Hunt {
    /// The first run that finds the bug, if one does.
    pub fn go(&self) -> Option<Report> {
        let options =
            Options { mutant: Some(self.mutant), swarm: Some(self.swarm), ..Options::default() };
        (0..self.seeds).map(|seed| run(seed, options)).find(|report| report.violation.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_hunted_or_named() {
        let hunted = |mutant: &Mutant| MUTANTS.iter().any(|hunt| hunt.mutant == *mutant);
        let mut all = Mutant::ALL.iter().chain(&Mutant::OF_WORK);
        assert!(all.all(|mutant| hunted(mutant) != UNHUNTED.contains(mutant)));
    }
}
