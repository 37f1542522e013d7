//! What concerns a voter's record: what others say of theirs, and what is shown of one's own.

use super::Election;
use super::voter::{Voter, VoterPast};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::lineage::{Certainty, Lineage, LineageClaim, Proposal};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::Lack;
use crate::vocabulary::time::{HolderTime, Now};
use crate::wire::message::PollAck;
use crate::wire::record::Vote;

impl Election {
    /// Whether this node votes.
    pub fn votes(&self) -> bool {
        let is_named = self.configuration().voters.contains(self.me.id);
        self.voter.is_some() && is_named
    }

    /// Whether what this node promised as a voter shows that its cluster was founded as it
    /// believes.
    pub fn vouches(&self) -> bool {
        self.voter.as_ref().is_some_and(Voter::vouches)
    }

    /// Whether this node votes and has no record to stand by.
    pub fn is_blank(&self) -> bool {
        self.voter.as_ref().is_some_and(Voter::is_blank)
    }

    /// Whose word this node waits for as a voter without a record, and what is wrong with each.
    pub fn awaits(&self) -> Vec<(NodeId, Lack)> {
        self.voter.as_ref().map(Voter::awaits).unwrap_or_default()
    }

    /// Whether this process could end now and nobody would miss it: it neither leads nor claims
    /// nor releases, and its vote is free.
    pub fn is_idle(&self) -> bool {
        let is_free =
            self.voter.as_ref().is_none_or(|voter| voter.is_free() && !voter.is_silenced());
        is_free && self.contender.is_idle()
    }

    /// What this node knows as a voter, if it is one, whether it vouches for that or not.
    pub fn known_vote(&self) -> Option<&Vote> {
        self.voter.as_ref().map(|voter| voter.stable_vote().vote())
    }

    /// What the next process of this node would find of its past as a voter; none if it vouches for
    /// nothing.
    pub fn past(&self) -> Option<VoterPast> {
        self.voter.as_ref().filter(|voter| voter.vouches()).map(Voter::past)
    }

    /// This node claims nothing before that, unless it hears earlier that its seeds are of its own
    /// cluster.
    pub fn await_seeds(&mut self, until: HolderTime) {
        self.contender.await_seeds(until);
    }

    /// A seed is of this node's own cluster.
    pub fn hear_own_seed(&mut self, now: HolderTime) {
        self.contender.await_seeds(HolderTime(0));
        self.contender.poll_soon(now);
    }

    /// Which founding this is, once that is settled.
    pub fn lineage(&self) -> Option<Lineage> {
        self.contender.naming().settled()
    }

    /// What this node says of its lineage.
    pub fn lineage_claim(&self) -> Option<LineageClaim> {
        let stands_by = || self.voter.as_ref()?.stable_vote().durable_lineage();
        let settled = self.lineage().map(|lineage| (lineage, Certainty::Settled));
        let known = settled.or_else(|| {
            stands_by().map(|Proposal { lineage, ballot }| {
                (lineage, if ballot == 0 { Certainty::Founded } else { Certainty::Proposed })
            })
        });
        known.map(|(lineage, certainty)| LineageClaim { lineage, certainty })
    }

    /// The lineage of this node's cluster, as somebody says who knows; it is never changed.
    pub fn settle_lineage(&mut self, lineage: Lineage) {
        self.contender.naming_mut().settle(lineage);
    }

    /// The envelope of `from` names a lineage as settled. A voter that stands by its founding takes
    /// it of the holder of its grant alone: of others, it cannot know which founding they are of.
    pub fn hear_lineage(&mut self, from: Process, lineage: Lineage) {
        let Some(voter) = &mut self.voter else { return };
        let Some(grant) = voter.grant().filter(|grant| grant.holder == from) else { return };
        // What is settled stays so, whichever ballot it is known by.
        let stands_by = voter.stable_vote().vote().lineage;
        if stands_by.is_none_or(|known| known.lineage != lineage) {
            voter.stand_by(from, Proposal { lineage, ballot: grant.ballot }, &mut self.outbox);
        }
        self.contender.naming_mut().settle(lineage);
    }

    /// Whether this node may take the lineage that an answer to its own question names. A voter may
    /// not, for it may come to found a cluster itself.
    pub fn may_be_told_lineage(&self) -> bool {
        self.lineage().is_none() && self.voter.is_none()
    }

    /// A seed knows this node's very cluster, in which nobody else votes, and which founding it is.
    pub fn hear_earlier_life(&mut self, now: Now, lineage: Lineage) {
        let is_unknown = self.lineage().is_none();
        if let Some(voter) = self.voter.as_mut().filter(|_| is_unknown)
            && voter.hear_earlier_life(lineage, now, &mut self.outbox)
        {
            self.contender.naming_mut().settle(lineage);
        }
        self.advance(now);
    }

    /// An answer to a poll: to one of this process, or it is ignored whole.
    pub(super) fn informed(&mut self, now: Now, from: Process, answer: &PollAck) {
        let Some(progress) = self.contender.tracker_mut().voter_mut(from.id) else { return };
        let asked = progress.heard(answer.sequence, None, now.holder);
        let gullible = mutant::is(Mutant::EarlierBootsAnswersAccepted);
        if asked.is_none() && !gullible {
            return;
        }
        let is_news = progress.stands(from.boot, &answer.status, asked, now.holder);
        if is_news {
            self.heard_status(now, &answer.status);
        }
        if let Some(voter) = self.voter.as_mut().filter(|_| is_news || gullible) {
            voter.learn(from, answer, asked.unwrap_or(now.holder), &mut self.outbox);
        }
    }
}
