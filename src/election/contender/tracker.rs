//! The voters as a contender sees them: what it asked each of them, and what each has said.
//!
//! All parts of a contender ask through this, for a voter compares the numbers of the requests
//! of a process, whatever they ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::voter_progress::VoterProgress;
use crate::election::outbox::Outbox;
use crate::vocabulary::configuration::{Configuration, VoterSet};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::lineage::Lineage;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;
use crate::wire::message::{Acquire, AcquireKind, Message, Poll, Release, Standing, VoterStatus};

/// What every part of a contender works with while it handles one input.
pub(super) struct Context<'a> {
    pub(super) now: HolderTime,
    pub(super) timing: &'a Timing,
    pub(super) tracker: &'a mut ProgressTracker,
    pub(super) outbox: &'a mut Outbox,
}

/// What a poll or a renewal says of its sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollTerms {
    pub(super) may_contend: bool,
    pub(super) quorum_connected: bool,
    pub(super) founding: bool,
    /// What a renewal proposes.
    pub(super) lineage: Option<Lineage>,
}

/// What an Acquire asks for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) kind: AcquireKind,
    pub(super) ballot: u64,
    pub(super) lease: Duration,
    pub(super) certificate: Option<Release>,
    pub(super) lineage: Option<Lineage>,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ProgressTracker {
    me: Process,
    /// What it contends and leads under.
    configuration: Configuration,
    progress: BTreeMap<NodeId, VoterProgress>,
    /// Nodes that are to vote: their grants count for nothing yet.
    learners: BTreeMap<NodeId, VoterProgress>,
    /// The number of the newest request.
    sequence: u64,
}

impl ProgressTracker {
    pub(super) fn new(me: Process, configuration: Configuration, first_sequence: u32) -> Self {
        let voters = configuration.voters.ids().iter();
        let progress = voters.map(|id| (*id, VoterProgress::new(*id))).collect();
        let (sequence, learners) = (u64::from(first_sequence), BTreeMap::new());
        Self { me, configuration, progress, learners, sequence }
    }

    /// What it contends and leads under.
    pub(crate) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// From here on it contends or leads under this configuration. What is known of those who stay
    /// voters, or were learners, is kept.
    pub(super) fn take_over(&mut self, configuration: Configuration) {
        let mut known = std::mem::take(&mut self.progress);
        known.append(&mut self.learners);
        for id in configuration.voters.ids() {
            let mut progress = known.remove(id).unwrap_or_else(|| VoterProgress::new(*id));
            progress.votes();
            self.progress.insert(*id, progress);
        }
        self.configuration = configuration;
        self.learners = known.into_iter().filter(|(_, progress)| progress.is_learner()).collect();
    }

    /// These processes are to learn from here on, and no others.
    pub(super) fn teach(&mut self, learners: &[Process], now: HolderTime) {
        let wanted = |id: &NodeId| learners.iter().any(|process| process.id == *id);
        self.learners.retain(|id, _| wanted(id));
        for process in learners.iter().filter(|it| !self.progress.contains_key(&it.id)) {
            let known = || VoterProgress::learner(*process, now);
            self.learners.entry(process.id).or_insert_with(known);
        }
    }

    /// What a node is asked for by a Goose.
    pub(super) fn renewal_of(&self, id: NodeId) -> AcquireKind {
        if self.progress.contains_key(&id) { AcquireKind::Renew } else { AcquireKind::Learn }
    }

    /// The nodes that learn.
    pub(super) fn learner_ids(&self) -> Vec<NodeId> {
        self.learners.keys().copied().collect()
    }

    /// Whether a node has granted again and again, and does so now: it may be named a voter.
    pub(crate) fn is_ready(&self, learner: NodeId, now: HolderTime) -> bool {
        self.learners.get(&learner).is_some_and(|progress| progress.has_settled(now))
    }

    /// Whether a majority of the voters hold a live grant of this process, and stood by exactly its
    /// configuration when they gave it.
    pub(crate) fn is_committed(&self, now: HolderTime) -> bool {
        let stamp = self.configuration.stamp();
        let stands = |progress: &&VoterProgress| {
            progress.counted_until() > now && progress.granted_under() == Some(stamp)
        };
        self.progress.values().filter(stands).count() >= self.majority()
    }

    /// Whether those whose live grants this process holds, learners included, and who have answered
    /// since `heard_since`, are a majority of `voters`.
    pub(super) fn holds_majority_of(
        &self,
        voters: &VoterSet,
        heard_since: HolderTime,
        now: HolderTime,
    ) -> bool {
        let all = self.progress.iter().chain(&self.learners);
        let granting = all.filter(|(id, progress)| {
            let is_heard = progress.answered().is_some_and(|at| at >= heard_since);
            voters.contains(**id) && progress.counted_until() > now && is_heard
        });
        granting.count() >= voters.majority()
    }

    /// When this voter answered last.
    pub(super) fn answered(&self, id: NodeId) -> Option<HolderTime> {
        self.progress.get(&id)?.answered()
    }

    /// How many voters there are.
    pub(super) fn len(&self) -> usize {
        self.configuration.voters.len()
    }

    pub(super) fn majority(&self) -> usize {
        if mutant::is(Mutant::QuorumOfOne) {
            return 1;
        }
        self.configuration.voters.majority()
    }

    /// What a majority of the voters reach: the `majority`-th largest of one value per voter.
    pub(super) fn majority_of(&self, time: impl Fn(&VoterProgress) -> HolderTime) -> HolderTime {
        let mut times: Vec<HolderTime> = self.progress.values().map(time).collect();
        times.sort_unstable_by(|left, right| right.cmp(left));
        times.get(self.majority() - 1).copied().unwrap_or(HolderTime(0))
    }

    /// When the newest requests were sent that a majority has answered.
    pub(super) fn answered_requests(&self) -> HolderTime {
        self.majority_of(|progress| progress.answered_request().unwrap_or(HolderTime(0)))
    }

    /// The lease that a majority granted last; none if no majority has granted.
    pub(super) fn granted_lease(&self) -> Option<Duration> {
        let mut granted: Vec<Duration> =
            self.progress.values().filter_map(VoterProgress::granted_lease).collect();
        granted.sort_unstable_by(|one, other| other.cmp(one));
        granted.get(self.majority() - 1).copied()
    }

    /// Whether a majority of the voters said since then that they stand so.
    pub(crate) fn is_majority(
        &self,
        since: HolderTime,
        stands: impl Fn(&Standing) -> bool,
    ) -> bool {
        let said = |progress: &&VoterProgress| {
            progress.standing(since).is_some_and(|status| stands(&status.standing))
        };
        self.progress.values().filter(said).count() >= self.majority()
    }

    /// Whether a majority of the voters lately said that their vote is taken.
    pub(crate) fn is_majority_held(&self, now: HolderTime, timing: &Timing) -> bool {
        let since = now.minus(timing.contender_freshness());
        self.is_majority(since, |standing| *standing != Standing::Vacant)
    }

    /// What a majority of the voters name as their highest ballot at least; without this node's
    /// own vote, if the others alone are no majority.
    pub(crate) fn ballot_of_majority(&self) -> u64 {
        let others = self.progress.iter().filter(|(id, _)| **id != self.me.id);
        let mut named: Vec<u64> = others.map(|(_, progress)| progress.named_ballot()).collect();
        named.sort_unstable_by(|one, other| other.cmp(one));
        let enough = self.configuration.voters.majority().min(named.len());
        enough.checked_sub(1).and_then(|place| named.get(place).copied()).unwrap_or(0)
    }

    /// A voter, or a node that learns.
    pub(crate) fn voter_mut(&mut self, id: NodeId) -> Option<&mut VoterProgress> {
        self.progress.get_mut(&id).or_else(|| self.learners.get_mut(&id))
    }

    pub(crate) fn voters(&self) -> impl Iterator<Item = (NodeId, &VoterProgress)> {
        self.progress.iter().map(|(id, progress)| (*id, progress))
    }

    /// The voters of which this is so.
    pub(super) fn ids_of(&self, is_meant: impl Fn(NodeId, &VoterProgress) -> bool) -> Vec<NodeId> {
        let meant = self.voters().filter(|(id, progress)| is_meant(*id, progress));
        meant.map(|(id, _)| id).collect()
    }

    pub(super) fn ids(&self) -> Vec<NodeId> {
        self.progress.keys().copied().collect()
    }

    /// The voters' processes, as far as they are known.
    pub(crate) fn processes(&self) -> impl Iterator<Item = Process> {
        self.progress.values().filter_map(VoterProgress::process)
    }

    /// The process of one voter, once it was heard.
    pub(super) fn process_of(&self, voter: NodeId) -> Option<Process> {
        let known = self.progress.get(&voter).or_else(|| self.learners.get(&voter));
        known.and_then(VoterProgress::process)
    }

    /// The best successor that the voters know of.
    pub(crate) fn best_standby(&self) -> Option<Process> {
        let named = self.progress.values().filter_map(VoterProgress::standby);
        named.map(|(process, _)| process).filter(|process| process.id != self.me.id).max()
    }

    /// What the voters whose grants count at `now` say of the best standby each.
    pub(super) fn standbys(&self, now: HolderTime) -> Vec<(Process, Duration)> {
        let granting = self.progress.values().filter(|progress| progress.counted_until() > now);
        granting.filter_map(VoterProgress::standby).collect()
    }

    /// Takes note of how a voter stands. Returns whether that is news.
    pub(crate) fn stands(
        &mut self,
        voter: Process,
        status: &VoterStatus,
        asked: Option<HolderTime>,
        now: HolderTime,
    ) -> bool {
        let progress = self.progress.get_mut(&voter.id);
        progress.is_some_and(|progress| progress.stands(voter.boot, status, asked, now))
    }

    /// No grant counts any more.
    pub(super) fn forget_grants(&mut self) {
        for progress in self.progress.values_mut().chain(self.learners.values_mut()) {
            progress.forget_grants();
        }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// One request number for each voter.
    pub(super) fn number_each(&mut self) -> BTreeMap<NodeId, u64> {
        self.ids().into_iter().map(|voter| (voter, self.next_sequence())).collect()
    }

    /// Polls one voter.
    pub(super) fn poll(
        &mut self,
        voter: NodeId,
        terms: PollTerms,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let sequence = self.next_sequence();
        let poll = Poll {
            sequence,
            quorum_connected: terms.may_contend && terms.quorum_connected,
            eligible: terms.may_contend,
            founding: terms.founding,
        };
        if let Some(progress) = self.voter_mut(voter) {
            progress.sent_poll(sequence, now);
            outbox.send_to_node(voter, Message::Poll(poll));
        }
    }

    /// Asks one voter for a grant, if its process is known.
    pub(super) fn acquire(
        &mut self,
        voter: NodeId,
        request: &Request,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let sequence = self.next_sequence();
        let stamp = self.configuration.stamp();
        let Some(progress) = self.voter_mut(voter) else { return };
        let Some(process) = progress.process() else { return };
        let Request { kind, ballot, lease, certificate, lineage } = request.clone();
        progress.sent(sequence, now, Some(ballot));
        let stands_by_it = progress.stamp() == Some(stamp);
        let configuration = (!stands_by_it).then(|| Box::new(self.configuration.clone()));
        let acquire =
            Acquire { kind, ballot, sequence, lease, certificate, lineage, configuration };
        outbox.send(process, Message::Acquire(acquire));
    }

    /// Asks one voter whether it hears, if its process is known.
    pub(super) fn probe(&mut self, voter: NodeId, now: HolderTime, outbox: &mut Outbox) {
        let sequence = self.next_sequence();
        let Some(progress) = self.voter_mut(voter) else { return };
        if let Some(process) = progress.process() {
            progress.sent(sequence, now, None);
            outbox.send(process, Message::Probe { sequence });
        }
    }

    /// See [`crate::election::Election::numbers`].
    #[cfg(feature = "simulation")]
    pub(super) fn numbers(&mut self, visit: &mut crate::election::fingerprint::Visitor<'_>) {
        visit(crate::election::fingerprint::Counter::Requests(self.me), &mut self.sequence);
        for progress in self.progress.values_mut().chain(self.learners.values_mut()) {
            progress.numbers(self.me, visit);
        }
    }

    /// See [`crate::election::Election::forget_requests`].
    #[cfg(feature = "simulation")]
    pub(crate) fn forget_requests(&mut self, awaited: &dyn Fn(u64) -> bool) {
        for progress in self.progress.values_mut().chain(self.learners.values_mut()) {
            progress.forget_requests(awaited);
        }
    }
}
