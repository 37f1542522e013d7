//! Who votes, as it changes: what this node hears of it, and how it comes to vote itself.
//!
//! A configuration may be learnt from anybody who knows it, for whoever claims under it still needs
//! the votes of a majority of its voters, and none of them votes under one that it knows to be over.
//! Only a voter takes care: it takes one over together with a grant, from the holder.

use super::Election;
use super::voter::{Mandate, Memory, Voter, VoterPast};
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp};
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::lineage::Lineage;
use crate::vocabulary::time::{Now, VoterTime};
use crate::vocabulary::voter_change::{VoterChange, VoterGoal};
use crate::wire::message::{Acquire, AcquireKind, Message};
use std::time::Duration;

/// What a node needs that comes to vote while it runs.
#[derive(Clone, Debug, Hash)]
pub(super) struct VoterAdmission {
    /// The longest lease that any voter of this cluster grants.
    pub(super) lease_max: Duration,
    /// What this node does, if it votes, without its record.
    pub(super) memory: Memory,
    /// See [`super::ElectionSetup::asks_first`].
    pub(super) asks_first: Duration,
    /// When this process began: before it, the node may have voted, and have forgotten it.
    pub(super) started: VoterTime,
    /// The highest ballot that is left of a record that says no more.
    pub(super) left_ballot: u64,
}

impl VoterAdmission {
    /// What a voter of this configuration knows of its cluster.
    pub(super) fn mandate(
        &self,
        configuration: &Configuration,
        lineage: Option<Lineage>,
    ) -> Mandate {
        let Self { lease_max, memory, asks_first, .. } = *self;
        Mandate { configuration: configuration.clone(), lease_max, memory, lineage, asks_first }
    }

    /// What a voter knows of its past that comes to be while this process runs.
    fn past(&self, me: Process) -> VoterPast {
        VoterPast::Lost { nonce: me.boot.nonce, max_ballot: self.left_ballot }
    }
}

/// Whether a node begins as a voter: it is named as one, or it was one and still has the record. (A
/// voter that was removed, and does not know it, must not forget what it promised.)
pub(super) fn votes_at_start(id: NodeId, configuration: &Configuration, past: &VoterPast) -> bool {
    let has_record = matches!(past, VoterPast::Remembered(vote) if vote.founding.is_sound());
    configuration.voters.contains(id) || has_record
}

impl Election {
    /// What the voter of this node stands by, if it has one.
    pub fn installed(&self) -> Option<&Configuration> {
        Some(self.voter.as_ref()?.stable_vote().configuration())
    }

    /// What the next process of this node is to begin with: what its voter stands by, or, if that has no
    /// record to stand by, the newest that this node has heard of.
    pub fn lasting_configuration(&self) -> &Configuration {
        let known = self.configuration();
        let stood_by = |it: &&Configuration| self.vouches() || !it.is_older_than(known);
        self.installed().filter(stood_by).unwrap_or(known)
    }

    /// Under which configuration a message of this node is sent: a voter's answer under what it
    /// stands by durably, all else under what this node contends or leads under.
    pub fn stamp_for(&self, message: &Message) -> ConfigurationStamp {
        let voter = self.voter.as_ref().filter(|_| message.kind().is_of_voter());
        voter.map_or_else(|| self.configuration().stamp(), Voter::stamp)
    }

    /// Leads to other voters, if this node is Goose; `learners` are processes that are to vote and
    /// do not yet. It goes on with the lease, and ends with the term. Returns whether it leads.
    pub fn change_voters(&mut self, now: Now, goal: VoterGoal, learners: &[Process]) -> bool {
        self.expire(now);
        let leads = self.contender.change_voters(goal, learners, now.holder, &mut self.outbox);
        self.advance(now);
        leads
    }

    /// Whether a voter's grant counts for this node now.
    pub fn holds_grant_of(&self, voter: NodeId, now: Now) -> bool {
        let mut voters = self.contender.tracker().voters();
        voters.any(|(id, progress)| id == voter && progress.counted_until() > now.holder)
    }

    /// The change of voters under way, if this node leads one.
    pub fn voter_change(&self) -> Option<&VoterChange> {
        self.contender.change()
    }

    /// Others say who votes. A configuration that is not newer is ignored; one that is newer is
    /// followed once this node neither claims nor leads.
    pub fn hear_configuration(&mut self, now: Now, configuration: &Configuration) {
        if self.is_newer(now, &configuration.stamp()) {
            self.heard = Some(configuration.clone());
        }
        self.advance(now);
    }

    /// This node, which does not vote, belongs from here on to what was rescued of its cluster, where
    /// these vote.
    pub fn go_over(&mut self, now: Now, configuration: &Configuration) {
        if let Some(voter) = self.voter.take() {
            let left = voter.stable_vote().vote().max_ballot;
            self.admission.left_ballot = self.admission.left_ballot.max(left);
            self.outbox.new_vote();
        }
        self.contender.naming_mut().unsettle();
        if self.view.forget_all() {
            self.outbox.event(Event::GooseChanged(None));
        }
        self.hear_configuration(now, configuration);
    }

    /// Whether this names a configuration that is newer than what this node knows, and not one that
    /// would use the ballots up.
    pub fn is_newer(&self, now: Now, stamp: &ConfigurationStamp) -> bool {
        let newest = self.heard.as_ref().unwrap_or(self.configuration());
        newest.precedes(stamp) && self.is_ballot_near(now, stamp.ballot)
    }

    pub(super) fn follow_heard(&mut self, now: Now) {
        // What its own voter stands by, this node knows, too; and what it leads under, its voter.
        let newer = |it: &&Configuration| self.configuration().is_older_than(it);
        let installed = self.installed().filter(newer).cloned();
        self.heard = installed.or(self.heard.take());
        let present = self.contender.tracker().configuration();
        if let Some(voter) = &mut self.voter {
            voter.hear_configuration(present, now);
        }
        let Some(heard) = &self.heard else { return };
        if !self.configuration().is_older_than(heard) {
            self.heard = None;
            return;
        }
        if !self.contender.take_over(heard, now.holder) {
            // What an earlier Goose left half done is gone above, or nodes would differ for a term.
            let older = heard.ballot;
            if self.lease().is_some_and(|lease| older < lease.term) {
                self.contender.overtake();
                self.heard = None;
            }
            return;
        }
        let configuration = self.configuration().clone();
        self.heard = None;
        let is_named = configuration.voters.contains(self.me.id);
        match &mut self.voter {
            Some(voter) if voter.is_blank() && !is_named => {
                let left = voter.stable_vote().vote().max_ballot;
                self.admission.left_ballot = self.admission.left_ballot.max(left);
                self.voter = None;
                self.outbox.new_vote();
            }
            Some(voter) if voter.is_learning() && is_named => self.admit(&configuration, now),
            Some(voter) => voter.hear_configuration(&configuration, now),
            // It votes by what others say, and knows nothing of it: its record is lost.
            None if is_named => self.admit(&configuration, now),
            None => {}
        }
        self.outbox.event(Event::VotersChanged(configuration));
    }

    fn admit(&mut self, configuration: &Configuration, now: Now) {
        let mandate = self.admission.mandate(configuration, self.lineage());
        let past = self.admission.past(self.me);
        self.voter = Some(Voter::new(self.me, mandate, &self.timing, past, now));
        self.outbox.new_vote();
    }

    /// A claim, or a renewal.
    pub(super) fn acquired(
        &mut self,
        now: Now,
        from: Process,
        stamp: ConfigurationStamp,
        acquire: &Acquire,
    ) {
        self.consider_learning(acquire, stamp, now);
        let in_sight = self.sight.eligible.first().map(|process| process.id);
        let settled = self.lineage();
        let Self { me, voter: Some(voter), contender, outbox, .. } = self else { return };
        voter.hear_ballot(acquire.ballot);
        // What is settled stays so. Only beside two processes of one voter does anybody propose
        // another lineage then, and a voter that stood by it could be led by nobody.
        let contradicts = acquire.lineage.is_some_and(|it| settled.is_some_and(|own| own != it));
        if contradicts {
            let silent = Acquire { lineage: None, ..acquire.clone() };
            voter.acquire(from, &silent, stamp, in_sight, now, outbox);
        } else {
            voter.acquire(from, acquire, stamp, in_sight, now, outbox);
        }
        if acquire.kind == AcquireKind::Renew && from != *me {
            contender.poll_in_company(now.holder);
        }
    }

    /// A Goose asks a node to learn that has no vote.
    fn consider_learning(&mut self, acquire: &Acquire, stamp: ConfigurationStamp, now: Now) {
        let told = acquire.configuration.as_deref();
        let Some(told) = told.filter(|_| acquire.kind == AcquireKind::Learn) else { return };
        let is_sound = told.ballot <= acquire.ballot && stamp == told.stamp();
        let is_newcomer = self.voter.is_none() && !told.voters.contains(self.me.id) && is_sound;
        if is_newcomer && self.admission.memory == Memory::Kept {
            let mandate = self.admission.mandate(told, self.lineage());
            let (past, started) = (self.admission.past(self.me), self.admission.started);
            let learner = Voter::learner(self.me, mandate, &self.timing, past, started, now);
            self.voter = Some(learner);
            self.outbox.new_vote();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::election::fixture::{WALL, clocks, id, remembered, voter_one};
    use crate::election::voter::VoterPast;
    use crate::vocabulary::configuration::VoterSet;

    /// A later start of the same process begins with it: two such voters would otherwise found the
    /// cluster a second time beside those who vote now.
    #[test]
    fn a_voter_on_an_empty_disk_does_not_forget_who_votes_now() {
        let blank = VoterPast::Blank { nonce: 1 };
        for (past, forgets) in [(blank, false), (remembered(5), true)] {
            let mut election = voter_one(3, past);
            let founded = election.configuration().clone();
            let others = VoterSet::new(vec![id(1), id(4), id(5)]).unwrap();
            let newer = founded.changed(7, others);
            election.hear_configuration(clocks(1_000_000, WALL), &newer);
            let lasting = election.lasting_configuration();
            let expected = if forgets { &founded } else { &newer };
            assert_eq!(lasting, expected, "a record stands by what it holds");
        }
    }
}
