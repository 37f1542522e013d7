//! Leaving so that the others are not left with too few votes.
//!
//! Where the Goose sees to the number of voters, a voter without which those who are left would be no
//! majority does not just go: its grants say that it is about to, and it stays for a moment. The Goose
//! has those who stay vote alone ([`super::automation`]). So a cluster may shrink to its last node, one
//! `systemctl stop` after another, and that one leads on.

use std::time::Duration;

use crate::election::Election;
use crate::membership::Membership;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::{HolderTime, Now};
use crate::vocabulary::timing::Timing;

/// How long a voter stays for the others at most: some rounds of renewals, with a slow disk in between.
const STAYS_MAX: Duration = Duration::from_secs(2);

/// A voter that is about to leave.
#[derive(Debug, Default)]
pub(super) struct Parting {
    until: Option<HolderTime>,
}

impl Parting {
    /// It stays for a moment.
    pub(super) fn begin(&mut self, now: HolderTime) {
        self.until.get_or_insert(now.plus(STAYS_MAX));
    }

    /// It goes.
    pub(super) fn end(&mut self) {
        self.until = None;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.until.is_some()
    }

    /// When it goes at the latest.
    pub(super) fn next(&self) -> Option<HolderTime> {
        self.until
    }
}

/// Who else could lead, and who else votes, as this node sees it.
pub(super) struct Company<'a> {
    pub(super) me: NodeId,
    pub(super) election: Option<&'a Election>,
    pub(super) membership: &'a Membership,
    pub(super) timing: &'a Timing,
}

impl Company<'_> {
    /// Whether the other voters that answer would be no majority without this one, and somebody else
    /// could lead who can have that changed.
    pub(super) fn misses_me(&self, now: Now) -> bool {
        let Some(election) = self.election else { return false };
        let configuration = election.configuration();
        if configuration.automatic.is_none() || !election.votes() {
            return false;
        }
        let fresh = now.holder.minus(self.timing.contender_freshness() * 2);
        let voters = election.voter_views();
        let others = voters.iter().filter(|voter| voter.id != self.me);
        let reached = others.filter(|voter| voter.answered.is_some_and(|at| at >= fresh)).count();
        let leads = |member: &MemberView| {
            member.id != self.me && member.eligible && member.state == MemberState::Alive
        };
        reached < configuration.voters.majority() && self.membership.members().iter().any(leads)
    }
}
