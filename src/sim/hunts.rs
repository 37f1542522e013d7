//! Where each planted bug is found: in runs of which theme, and within how many seeds.
//!
//! A test goes through all of them, and `cargo run --example simulate -- --plants` prints how
//! many seeds each really took.

use super::run::{Options, Report, run};
use super::theme::Theme;
use crate::vocabulary::plant::Plant;

/// A planted bug and where to look for it.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// The bug.
    pub plant: Plant,
    /// What runs are about in which it shows.
    pub theme: Theme,
    /// It is found among so many seeds, counted from 0: some three times what it takes at
    /// present, so that small changes elsewhere do not lose it.
    pub seeds: u64,
}

/// One for each planted bug but those of [`UNHUNTED`].
pub const HUNTS: [Hunt; Plant::ALL.len() + Plant::OF_WORK.len() - UNHUNTED.len()] = [
    hunt(Plant::GrantCountedFromReceipt, Theme::Mixed, 10),
    hunt(Plant::NoDriftMargin, Theme::Mixed, 10),
    hunt(Plant::GrantMatchedToNewestRequest, Theme::Mixed, 10),
    hunt(Plant::StaleVoterClock, Theme::Mixed, 10),
    hunt(Plant::ShortGrantCountedAsLong, Theme::Mixed, 10),
    hunt(Plant::NoQuarantine, Theme::Mixed, 30),
    hunt(Plant::ShortQuarantine, Theme::Mixed, 30),
    hunt(Plant::QuarantinedVoterRenewsAnybody, Theme::Duels, 100),
    hunt(Plant::AnyReleaseLiftsQuarantine, Theme::Duels, 100),
    hunt(Plant::BallotNotPersisted, Theme::Mixed, 10),
    hunt(Plant::VisibleMajorityWithoutGrants, Theme::Mixed, 10),
    hunt(Plant::QuorumOfOne, Theme::Mixed, 10),
    hunt(Plant::OneBallotToTwoHolders, Theme::Duels, 30),
    hunt(Plant::RaisedBallotPublishedAsTerm, Theme::Duels, 20),
    hunt(Plant::ReleaseIgnoresBallot, Theme::Founding, 30),
    hunt(Plant::ReleaseBeforeSteppingDown, Theme::Duels, 10),
    hunt(Plant::VirginForEver, Theme::Founding, 20),
    hunt(Plant::MapWithoutNonces, Theme::Founding, 50),
    hunt(Plant::FoundedOnMajority, Theme::Founding, 300),
    hunt(Plant::VirginCountedAsVacant, Theme::Founding, 300),
    hunt(Plant::NoFloorAfterWipe, Theme::Amnesia, 30),
    hunt(Plant::LossForgotten, Theme::Amnesia, 60),
    hunt(Plant::RestartedVirginDoesNotWait, Theme::Duels, 10),
    hunt(Plant::LongerRenewalNotRecorded, Theme::Leases, 10),
    hunt(Plant::DuplicateLengthensGrant, Theme::Mixed, 10),
    hunt(Plant::DeafGooseRenews, Theme::Leases, 40),
    hunt(Plant::PreemptionWithoutPatience, Theme::Duels, 60),
    hunt(Plant::PipeEndTakenForDeath, Theme::Mixed, 120),
    hunt(Plant::KeeperReleasesWithoutBoot, Theme::Duels, 80),
    hunt(Plant::DeadContenderDeferredTo, Theme::Mixed, 20),
    hunt(Plant::ChecksumIgnored, Theme::Leases, 100),
    hunt(Plant::DeafGooseRenewsOnceMore, Theme::Leases, 100),
    hunt(Plant::LowerBallotGranted, Theme::Mixed, 30),
    hunt(Plant::BackoffTooLong, Theme::Duels, 300),
    hunt(Plant::GooseResigns, Theme::Mixed, 10),
    hunt(Plant::KeeperForgetsDeadline, Theme::Mixed, 100),
    hunt(Plant::KeeperReleasesBeforeWorkEnds, Theme::Mixed, 100),
    hunt(Plant::LapseReleasesUnderWork, Theme::Mixed, 100),
    hunt(Plant::HandoverUnderWork, Theme::Mixed, 100),
    hunt(Plant::WorkBegunWhileEnding, Theme::Mixed, 100),
    hunt(Plant::LeaveReleasesUnderWork, Theme::Mixed, 200),
];

/// Bugs for which no theme is known that shows them within a thousand seeds. They are found by
/// the model checker (`tests/model.rs`), by stories (`tests/scenarios/records.rs` and `work.rs`),
/// and what takes voters that change by the tests of founding.
pub const UNHUNTED: [Plant; 10] = [
    Plant::EarlyAnswersCounted,
    Plant::OneVoterLessThanAll,
    Plant::BallotWithoutConfiguration,
    Plant::BlankCountedAsSound,
    Plant::WaitsOwnLeaseOnly,
    Plant::StartsOrderedByClock,
    Plant::EarlierBootsAnswersAccepted,
    Plant::CertificateOfAnother,
    Plant::CertificateWhileActing,
    Plant::ContendsUnderOldWork,
];

const fn hunt(plant: Plant, theme: Theme, seeds: u64) -> Hunt {
    Hunt { plant, theme, seeds }
}

impl Hunt {
    /// The first run that finds the bug, if one does.
    pub fn go(&self) -> Option<Report> {
        let options =
            Options { plant: Some(self.plant), theme: Some(self.theme), ..Options::default() };
        (0..self.seeds).map(|seed| run(seed, options)).find(|report| report.violation.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_is_hunted_or_named() {
        let hunted = |plant: &Plant| HUNTS.iter().any(|hunt| hunt.plant == *plant);
        let mut all = Plant::ALL.iter().chain(&Plant::OF_WORK);
        assert!(all.all(|plant| hunted(plant) != UNHUNTED.contains(plant)));
    }
}
