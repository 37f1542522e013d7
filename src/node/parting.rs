//! Leaving so that the others are not left with too few votes.
//!
//! Where the Goose sees to the number of voters, a voter does not just go: its grants say that it is
//! about to, for long enough that the Goose hears it; and if those who are left would be no majority,
//! it stays until the Goose has those who stay vote alone ([`super::automation`]). So a cluster may
//! shrink to its last node, one `systemctl stop` after another or several at once, and that one leads
//! on.

use std::time::Duration;

use crate::election::Election;
use crate::membership::Membership;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::{HolderTime, Now};
use crate::vocabulary::timing::Timing;

/// It stays for so many intervals of renewals at least, so that the Goose hears of it even where
/// others go at the same time;
const RENEWALS_LEAST: u32 = 2;
/// but for no longer than this: with a long lease a mere restart would take seconds.
const STAYS_LEAST: Duration = Duration::from_secs(1);
/// How long a voter stays for the others at most. The node that takes its place has to wait for the
/// longest lease since it started, and there are some rounds and writes besides.
const STAYS_MAX: Duration = Duration::from_secs(5);

/// A voter that is about to leave.
#[derive(Debug, Default)]
pub(super) struct Parting {
    /// When it may go at the earliest, and goes at the latest.
    stays: Option<(HolderTime, HolderTime)>,
}

impl Parting {
    /// It stays for a moment.
    pub(super) fn begin(&mut self, now: HolderTime, timing: &Timing) {
        let least = now.plus((timing.renew_interval * RENEWALS_LEAST).min(STAYS_LEAST));
        self.stays.get_or_insert((least, now.plus(STAYS_MAX)));
    }

    /// It goes.
    pub(super) fn end(&mut self) {
        self.stays = None;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.stays.is_some()
    }

    /// Whether it goes now.
    pub(super) fn is_over(&self, now: Now, company: &Company<'_>) -> bool {
        let Some((least, most)) = self.stays else { return false };
        let is_free = !company.counts_on_me() || !company.misses_me(now);
        now.holder >= most || now.holder >= least && is_free
    }

    /// When time alone brings something next.
    pub(super) fn next(&self, now: HolderTime) -> Option<HolderTime> {
        self.stays.map(|(least, most)| if now < least { least } else { most })
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
    /// Whether this node votes where the Goose sees to the number of voters, and somebody else could
    /// lead.
    pub(super) fn counts_on_me(&self) -> bool {
        let leads = |member: &MemberView| {
            member.id != self.me && member.eligible && member.state == MemberState::Alive
        };
        let votes =
            |election: &Election| election.configuration().automatic.is_some() && election.votes();
        self.election.is_some_and(votes) && self.membership.members().iter().any(leads)
    }

    /// Whether the other voters that answer, and have not left, are no majority without this one.
    pub(super) fn misses_me(&self, now: Now) -> bool {
        let Some(election) = self.election else { return false };
        let fresh = now.holder.minus(self.timing.contender_freshness() * 2);
        let members = self.membership.members();
        let has_left = |id: NodeId| {
            members.iter().any(|member| member.id == id && member.state == MemberState::Left)
        };
        let voters = election.voter_views();
        let others = voters.iter().filter(|voter| voter.id != self.me && !has_left(voter.id));
        let reached = others.filter(|voter| voter.answered.is_some_and(|at| at >= fresh)).count();
        reached < election.configuration().voters.majority()
    }
}
