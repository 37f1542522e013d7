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
use crate::vocabulary::time::HolderTime;
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
    /// Since when it is about to leave.
    since: Option<HolderTime>,
}

impl Parting {
    /// It stays for a moment.
    pub(super) fn begin(&mut self, now: HolderTime) {
        self.since.get_or_insert(now);
    }

    /// It goes.
    pub(super) fn end(&mut self) {
        self.since = None;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it goes now.
    pub(super) fn is_over(&self, now: HolderTime, company: &Company<'_>) -> bool {
        let Some(since) = self.since else { return false };
        let stayed = now.since(since);
        let is_free = !company.counts_on_me() || !company.misses_me(since);
        stayed >= STAYS_MAX || stayed >= company.stays_least() && is_free
    }

    /// When time alone brings something next.
    pub(super) fn next(&self, now: HolderTime, timing: &Timing) -> Option<HolderTime> {
        let ends = |since: HolderTime| {
            let least = since.plus(stays_least(timing));
            if now < least { least } else { since.plus(STAYS_MAX) }
        };
        self.since.map(ends)
    }
}

fn stays_least(timing: &Timing) -> Duration {
    (timing.renew_interval * RENEWALS_LEAST).min(STAYS_LEAST)
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

    fn stays_least(&self) -> Duration {
        stays_least(self.timing)
    }

    /// Whether the other voters that have answered `since` then, and have not left, are no majority
    /// without this one.
    fn misses_me(&self, since: HolderTime) -> bool {
        let Some(election) = self.election else { return false };
        let members = self.membership.members();
        let has_left = |id: NodeId| {
            members.iter().any(|member| member.id == id && member.state == MemberState::Left)
        };
        let voters = election.voter_views();
        let others = voters.iter().filter(|voter| voter.id != self.me && !has_left(voter.id));
        let reached = others.filter(|voter| voter.answered.is_some_and(|at| at > since)).count();
        reached < election.configuration().voters.majority()
    }
}
