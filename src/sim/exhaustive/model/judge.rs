//! What must hold in every state of the model, whatever happened before.

use super::Bounds;
use super::broken::Broken;
use super::world::World;
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::Message;
use crate::vocabulary::time::{HolderTime, VoterTime};

impl World {
    /// The promise that was broken first, if one was.
    pub fn broken(&self) -> Option<Broken> {
        self.broken
    }

    /// Whether this node is Goose at this instant.
    pub(super) fn leads(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        let now = super::world::clocks(self.time, super::Break::None).holder;
        !node.is_gone && node.election.lease().is_some_and(|lease| now < lease.deadline)
    }

    /// How many lead at this instant.
    pub fn geese(&self) -> usize {
        (0..self.nodes.len()).filter(|place| self.leads(*place)).count()
    }

    /// How many tenures there have been, counted up to two.
    pub fn tenures(&self) -> u32 {
        self.terms.1
    }

    /// What has been used up of the bounds.
    pub fn spent(&self) -> super::world::Spent {
        self.spent
    }

    /// Whether every voter may grant.
    pub fn is_founded(&self) -> bool {
        let grants = |node: &super::node::Node| {
            node.election.inspect().voter.is_some_and(|voter| voter.may_grant)
        };
        self.nodes.iter().all(grants)
    }

    fn blame(&mut self, broken: Broken) {
        self.broken = self.broken.or(Some(broken));
    }

    /// After every input of any node.
    pub(super) fn judge(&mut self, bounds: &Bounds) {
        if self.geese() > 1 {
            self.blame(Broken::TwoGeese);
        }
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let voter = node.election.inspect().voter;
            if voter.is_some_and(|voter| voter.max_ballot < node.watermark) {
                self.blame(Broken::BallotFell);
            }
        }
        self.judge_counted(bounds);
    }

    /// I3, in true time: whoever counts a grant, its voter keeps it from others for longer.
    fn judge_counted(&mut self, bounds: &Bounds) {
        let now = self.now(bounds);
        for holder in 0..self.nodes.len() {
            if self.nodes[holder].is_gone {
                continue;
            }
            let me = self.nodes[holder].me;
            for (voter, until) in self.nodes[holder].election.inspect().counted {
                if until <= now.holder {
                    continue;
                }
                let end = self.time + span(until, now.holder);
                let Some(place) = self.nodes.iter().position(|node| node.me.id == voter) else {
                    continue;
                };
                if !self.outlasts(place, me, end, bounds) {
                    self.blame(Broken::GrantOutlived);
                }
            }
        }
    }

    /// Whether this voter keeps its vote from everybody but `holder` until the true time `end`.
    /// A voter that is not founded grants nothing; should it be founded too soon, it shows then.
    fn outlasts(&self, place: usize, holder: Process, end: u64, bounds: &Bounds) -> bool {
        let now = self.now(bounds);
        let Some(voter) = self.nodes[place].election.inspect().voter else { return true };
        let covers = |until: VoterTime| {
            let fast = super::world::clocks(1_000_000, bounds.broken).voter.0;
            let left = until.0.saturating_sub(now.voter.0);
            self.time + left * 1_000_000 / fast >= end
        };
        match (voter.grant, voter.quarantine_until) {
            (Some((granted_to, _, expiry)), _) if granted_to == holder && covers(expiry) => true,
            (Some((granted_to, ..)), _) if granted_to != holder => false,
            (_, Some(until)) => covers(until),
            (_, None) => !voter.may_grant,
        }
    }

    /// A grant relies on its ballot, its holder and its length being on the disk.
    pub(super) fn judge_sent(&mut self, place: usize, message: &Message) {
        let Message::Grant(grant) = message else { return };
        let durable = self.nodes[place].disk.as_ref().is_some_and(|vote| {
            vote.max_ballot >= grant.ballot && vote.max_lease_ever >= grant.granted
        });
        if !durable {
            self.blame(Broken::GrantNotDurable);
        }
    }

    /// A tenure begins.
    pub(super) fn judge_term(&mut self, term: u64) {
        let (highest, tenures) = self.terms;
        if term <= highest {
            self.blame(Broken::TermNotAbove);
        }
        self.terms = (term.max(highest), (tenures + 1).min(2));
    }
}

/// The true span until a holder's clock, which is slow, shows `until`.
fn span(until: HolderTime, now: HolderTime) -> u64 {
    (until.0 - now.0) * 1_000 / 995
}
