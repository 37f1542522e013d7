//! Which founding the cluster is: how a Goose has that settled.
//!
//! ```text
//!            won: the newest that its       a majority stands by it
//!   unknown ──────────────────────▶ proposed ───────────────────────▶ settled
//!            voters stand by, or drawn         durably
//! ```
//!
//! A lineage that a majority once stood by is met by every later claim, for any two majorities
//! share a voter, and so is proposed again: two can never be settled. See
//! [`crate::vocabulary::lineage`].

use super::tracker::ProgressTracker;
use crate::vocabulary::identity::Process;
use crate::vocabulary::lineage::{Lineage, Proposal};
use crate::vocabulary::mutant::{self, Mutant};

/// What an election knows of its lineage when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// The lineage, if it is settled.
    pub settled: Option<Lineage>,
    /// Whether the cluster has none, for its voters keep no records.
    pub is_nameless: bool,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Naming {
    known: Known,
    /// What this process proposes, and from which term on a voter stands by that.
    proposed: Option<Proposal>,
}

impl Naming {
    pub(super) fn new(known: Known) -> Self {
        Self { known, proposed: None }
    }

    /// The lineage, once it is settled.
    pub(crate) fn settled(&self) -> Option<Lineage> {
        self.known.settled
    }

    /// It is settled, as somebody says who knows.
    pub(crate) fn settle(&mut self, lineage: Lineage) {
        self.known.settled.get_or_insert(lineage);
        self.proposed = None;
    }

    /// A majority has granted the claim of `term`: what they stand by goes on.
    pub(super) fn propose(&mut self, me: Process, term: u64, tracker: &ProgressTracker) {
        let Known { settled: None, is_nameless: false } = self.known else { return };
        let stood_by = tracker.voters().filter_map(|(_, progress)| progress.proposal());
        let newest =
            Proposal::newest(stood_by).filter(|_| !mutant::is(Mutant::LineageDrawnByEachGoose));
        let lineage = newest.map_or_else(|| Lineage::drawn(me, term), |newest| newest.lineage);
        self.proposed = Some(Proposal { lineage, ballot: term });
    }

    /// What a renewal proposes.
    pub(super) fn proposed(&self) -> Option<Lineage> {
        self.proposed.map(|proposed| proposed.lineage)
    }

    /// The tenure is over.
    pub(super) fn withdraw(&mut self) {
        self.proposed = None;
    }

    /// A voter has granted: perhaps a majority stands by the proposal now.
    pub(super) fn count(&mut self, tracker: &ProgressTracker) {
        let Some(Proposal { lineage, ballot: term }) = self.proposed else { return };
        let stands = |proposal: Proposal| proposal.lineage == lineage && proposal.ballot >= term;
        let standing = tracker.voters().filter_map(|(_, progress)| progress.proposal());
        let needed = if mutant::is(Mutant::LineageSettledByOne) { 1 } else { tracker.majority() };
        if standing.filter(|proposal| stands(*proposal)).count() >= needed {
            self.settle(lineage);
        }
    }
}
