//! Mutants: bugs that are put in to try the checkers, for a checker that was never seen to fail
//! proves nothing.
//!
//! Each variant breaks one rule of the election. The simulator turns at most one on, for its
//! own thread. Without the `simulation` feature [`is`] is the constant `false`, so that nothing
//! of this is left in the product.

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// A holder counts a grant from its receipt, not from the sending of its request.
    GrantCountedFromReceipt,
    /// A holder counts the whole lease, without drift or margin.
    NoDriftMargin,
    /// A grant is matched to the newest request instead of its own.
    GrantMatchedToNewestRequest,
    /// A voter stamps a grant with a clock reading from before.
    StaleVoterClock,
    /// A holder counts the lease it asked for, not the one it was granted.
    ShortGrantCountedAsLong,
    /// A restarted voter grants at once.
    NoQuarantine,
    /// A restarted voter waits a quarter of what it should.
    ShortQuarantine,
    /// A waiting voter lets anybody renew.
    QuarantinedVoterRenewsAnybody,
    /// Any release ends a voter's wait.
    AnyReleaseLiftsQuarantine,
    /// A grant leaves before its record is durable.
    BallotNotPersisted,
    /// Answers of a majority make a Goose, grants or not.
    VisibleMajorityWithoutGrants,
    /// One grant makes a Goose.
    QuorumOfOne,
    /// A voter gives one ballot to two holders.
    OneBallotToTwoHolders,
    /// A raised ballot is published as the term.
    RaisedBallotPublishedAsTerm,
    /// A release ends a newer grant of its holder.
    ReleaseIgnoresBallot,
    /// The release leaves while its sender still acts.
    ReleaseBeforeSteppingDown,
    /// A voter calls itself blank for ever.
    BlankForEver,
    /// The founding map is believed whatever nonces it names.
    MapWithoutNonces,
    /// A majority of blank voters founds at once, without patience for the others.
    FoundedOnMajority,
    /// A blank voter's vote counts as free.
    BlankCountedAsVacant,
    /// Founding believes answers to polls of an earlier process, and of earlier processes.
    EarlierBootsAnswersAccepted,
    /// A voter that lost its record starts from ballot 0.
    NoFloorAfterWipe,
    /// A voter that crashes before it has made up for a lost record votes after its wait alone.
    LossForgotten,
    /// A voter that restarted before it was founded votes at once.
    RestartedBlankDoesNotWait,
    /// A Goose changes voters before a majority stands by the configuration before.
    ChangeWithoutCommit,
    /// A Goose changes voters under a configuration that an earlier one made.
    NoRewriteInOwnTerm,
    /// A Goose changes voters although it does not hold a majority of the new ones.
    NewMajorityNotHeld,
    /// A Goose adds all new voters at once.
    ChangesAtOnce,
    /// A Goose removes a voter before it adds the one that comes in its place.
    RemovedBeforeAdded,
    /// A Goose that sees to the number of voters finds no candidate.
    CandidatesIgnored,
    /// A voter grants whatever configuration the asker names.
    VoterIgnoresConfiguration,
    /// A voter names a configuration that is not durable yet.
    ConfigurationSaidBeforeDurable,
    /// A node that comes to vote does not wait for what it may have granted before.
    LearnerDoesNotWait,
    /// A voter without its record counts answers that were asked for before its wait was over.
    EarlyAnswersCounted,
    /// A voter without its record takes the word of all others but one for that of all.
    OneVoterLessThanAll,
    /// A voter without its record takes the ballots of voters under another configuration.
    BallotWithoutConfiguration,
    /// A voter without its record believes others that have none either.
    BlankCountedAsSound,
    /// A voter without its record waits for its own longest lease, not for the cluster's.
    WaitsOwnLeaseOnly,
    /// Which process of a node is the later one is told by its start number alone.
    StartsOrderedByClock,
    /// A renewal to a longer lease is not recorded.
    LongerRenewalNotRecorded,
    /// A contender that is gone, or may not lead, is still deferred to, for ever.
    DeadContenderDeferredTo,
    /// A duplicate request lengthens a grant.
    DuplicateLengthensGrant,
    /// A deaf Goose goes on renewing.
    DeafGooseRenews,
    /// A higher node is handed the lease as soon as it is there.
    PreemptionWithoutPatience,
    /// A certificate ends whoever's grant it meets.
    CertificateOfAnother,
    /// A certificate leaves while its issuer goes on leading.
    CertificateWhileActing,
    /// The keeper takes the end of a pipe for the death of its node.
    PipeEndTakenForDeath,
    /// A keeper's release names a node, and so ends what a later process of it holds.
    KeeperReleasesWithoutBoot,
    /// A damaged datagram is believed.
    ChecksumIgnored,
    /// A keeper does not look at the deadline of the work that it keeps.
    KeeperForgetsDeadline,
    /// A keeper sends the last will before the work of the dead node has ended.
    KeeperReleasesBeforeWorkEnds,
    /// A deaf Goose renews for one interval longer than it may.
    DeafGooseRenewsOnceMore,
    /// A voter grants a ballot that is lower than one it knows.
    LowerBallotGranted,
    /// After a claim that failed, a contender waits for many times as long as it should.
    BackoffTooLong,
    /// A Goose resigns every few seconds.
    GooseResigns,
    /// Every Goose draws a lineage of its own while none is settled.
    LineageDrawnByEachGoose,
    /// A lineage is settled once one voter stands by it.
    LineageSettledByOne,
    /// A voter says that it stands by a lineage before that is durable.
    LineageSaidBeforeDurable,
    /// A member that refuted a suspicion is told of its death all the same.
    RefutedStillAccused,
    /// A suspect is not told that it is one.
    NoBuddyNotice,
    /// Whoever was cut off declares everybody else down.
    IsolatedAccuses,
    /// Whoever has lost everybody asks nobody.
    NoWatchdog,
    /// Whoever has left still listens to gossip.
    LeaverListens,
    /// Whoever has left answers nobody.
    LeaverIsSilent,
    /// Whoever was forgotten is taken in again as soon as anybody names it.
    ForgottenReturn,
    /// Nobody asks for the details of members.
    DetailsUnasked,
    /// A node that nobody tells of the Goose does not hear either that it was seen.
    LeaderFreshnessUnheard,
    /// Nobody compares with others what it knows.
    NoReconciliation,
    /// Whoever is well connected never looks after its seeds.
    SeedsForsaken,
    /// A lease that lapses is released although work is done under it.
    LapseReleasesUnderWork,
    /// The lease is handed over although work is done under it.
    HandoverUnderWork,
    /// Work begins under a term that somebody has asked to end.
    WorkBegunWhileEnding,
    /// A node contends although work of an earlier term of its own is alive.
    ContendsUnderOldWork,
    /// A node that leaves without waiting any longer releases its lease all the same.
    LeaveReleasesUnderWork,
}

impl Mutant {
    /// All that break the election.
    pub const ALL: [Self; 58] = [
        Self::GrantCountedFromReceipt,
        Self::NoDriftMargin,
        Self::GrantMatchedToNewestRequest,
        Self::StaleVoterClock,
        Self::ShortGrantCountedAsLong,
        Self::NoQuarantine,
        Self::ShortQuarantine,
        Self::QuarantinedVoterRenewsAnybody,
        Self::AnyReleaseLiftsQuarantine,
        Self::BallotNotPersisted,
        Self::VisibleMajorityWithoutGrants,
        Self::QuorumOfOne,
        Self::OneBallotToTwoHolders,
        Self::RaisedBallotPublishedAsTerm,
        Self::ReleaseIgnoresBallot,
        Self::ReleaseBeforeSteppingDown,
        Self::BlankForEver,
        Self::MapWithoutNonces,
        Self::FoundedOnMajority,
        Self::BlankCountedAsVacant,
        Self::EarlierBootsAnswersAccepted,
        Self::NoFloorAfterWipe,
        Self::LossForgotten,
        Self::RestartedBlankDoesNotWait,
        Self::EarlyAnswersCounted,
        Self::OneVoterLessThanAll,
        Self::BallotWithoutConfiguration,
        Self::ChangeWithoutCommit,
        Self::NoRewriteInOwnTerm,
        Self::NewMajorityNotHeld,
        Self::ChangesAtOnce,
        Self::RemovedBeforeAdded,
        Self::CandidatesIgnored,
        Self::VoterIgnoresConfiguration,
        Self::ConfigurationSaidBeforeDurable,
        Self::LearnerDoesNotWait,
        Self::BlankCountedAsSound,
        Self::WaitsOwnLeaseOnly,
        Self::StartsOrderedByClock,
        Self::LongerRenewalNotRecorded,
        Self::DeadContenderDeferredTo,
        Self::DuplicateLengthensGrant,
        Self::DeafGooseRenews,
        Self::PreemptionWithoutPatience,
        Self::CertificateOfAnother,
        Self::CertificateWhileActing,
        Self::PipeEndTakenForDeath,
        Self::KeeperReleasesWithoutBoot,
        Self::ChecksumIgnored,
        Self::KeeperForgetsDeadline,
        Self::KeeperReleasesBeforeWorkEnds,
        Self::DeafGooseRenewsOnceMore,
        Self::LowerBallotGranted,
        Self::BackoffTooLong,
        Self::GooseResigns,
        Self::LineageDrawnByEachGoose,
        Self::LineageSettledByOne,
        Self::LineageSaidBeforeDurable,
    ];

    /// All that take a mend of gossip away. The election does not depend on membership, so its
    /// judges see nothing of them.
    pub const OF_MEMBERSHIP: [Self; 11] = [
        Self::RefutedStillAccused,
        Self::NoBuddyNotice,
        Self::IsolatedAccuses,
        Self::NoWatchdog,
        Self::LeaverListens,
        Self::LeaverIsSilent,
        Self::ForgottenReturn,
        Self::DetailsUnasked,
        Self::LeaderFreshnessUnheard,
        Self::NoReconciliation,
        Self::SeedsForsaken,
    ];

    /// All that let something act after its right has ended. They show only where work is done.
    pub const OF_WORK: [Self; 5] = [
        Self::LapseReleasesUnderWork,
        Self::HandoverUnderWork,
        Self::WorkBegunWhileEnding,
        Self::ContendsUnderOldWork,
        Self::LeaveReleasesUnderWork,
    ];
}

#[cfg(feature = "simulation")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Whether this mutant is on in this thread.
    pub fn is(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }

    /// Turns a mutant on in this thread, or none.
    pub fn set(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }
}

#[cfg(feature = "simulation")]
pub use active::{is, set};

/// No mutant is ever on in the product.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub const fn is(_mutant: Mutant) -> bool {
    false
}
