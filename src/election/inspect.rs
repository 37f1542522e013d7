//! What an election shows of its insides: to people, and to checkers.

use super::Election;
use crate::election::voter::Voter;
use crate::vocabulary::inspection::{Inspection, TableSize, VoterInspection};
use crate::vocabulary::snapshot::VoterView;
use crate::vocabulary::time::HolderTime;

impl Election {
    /// Every table whose entries come from others, with its bound.
    pub fn tables(&self) -> Vec<TableSize> {
        self.voter.as_ref().map(Voter::tables).unwrap_or_default()
    }

    /// Each voter as this node sees it; addresses are for the caller to fill in.
    pub fn voter_views(&self) -> Vec<VoterView> {
        let voters = self.contender.tracker().voters();
        let views = voters.map(|(id, progress)| VoterView {
            id,
            address: None,
            answered: progress.answered(),
            round_trip: progress.round_trip(),
            granted_until: Some(progress.counted_until()).filter(|until| *until > HolderTime(0)),
            leaves: progress.leaves(),
        });
        views.collect()
    }

    /// Until when this node holds back from contending; that may be over.
    pub fn holds_back_until(&self) -> HolderTime {
        self.contender.holds_back_until()
    }

    /// The insides, for checkers.
    pub fn inspect(&self) -> Inspection {
        let voter = self.voter.as_ref().map(|voter| VoterInspection {
            grant: voter.grant().map(|grant| (grant.holder, grant.ballot, grant.expiry)),
            quarantine_until: voter.quarantine_until(),
            max_ballot: voter.stable_vote().vote().max_ballot,
            durable_ballot: voter.stable_vote().durable_ballot(),
            may_grant: voter.may_grant(),
            is_mute: voter.is_mute(),
        });
        let voters = self.contender.tracker().voters();
        let counted = voters.map(|(id, progress)| (id, progress.counted_until())).collect();
        let lineage = self.lineage();
        Inspection { voter, counted, is_claiming: self.contender.claimed_ballot(), lineage }
    }
}
