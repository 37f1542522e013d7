//! A contender: polls the voters, claims a vacancy, and holds the lease it wins.
//!
//! ```text
//!             majority vacant, nobody higher          majority granted
//!   Standby ────────────────────────────▶ Claiming ──────────────────▶ Goose
//!      ▲                                     │                           │
//!      └──────── no majority in L_c/2 ───────┘◀── lapse, step down ──────┘
//! ```
//!
//! The one rule that makes it safe: **Goose ⇔ the holder clock is before the majority-th
//! largest time until which a voter's grant counts**, and a grant counts from the moment its
//! own request was *sent*. Everything else here is about finding a Goose soon.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backoff::Backoff;
use super::outbox::Outbox;
use super::preemption::Preemption;
use super::role::{Claim, Farewell, Role};
use super::voter_progress::VoterProgress;
use super::work::Work;
use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::message::{
    Acquire, AcquireKind, Message, Poll, Release, Standing, VoterStatus,
};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;

/// Unanswered polls are repeated this often in a row before the contender falls back to its
/// ordinary interval: a dead voter is not to be bombarded for ever.
const QUICK_POLLS: u32 = 25;
/// While voters say that they are writing to disk, a claim is kept open for this long.
const SLOW_DISK_PATIENCE: Duration = Duration::from_secs(2);
/// A release that nobody acknowledges is sent this often.
pub(crate) const RELEASES_MAX: u32 = 10;

/// One contender's state.
#[derive(Clone, Debug, Hash)]
pub struct Contender {
    pub(crate) me: Process,
    pub(crate) timing: Timing,
    pub(crate) eligible: bool,
    pub(crate) voters: VoterSet,
    pub(crate) progress: BTreeMap<NodeId, VoterProgress>,
    pub(crate) role: Role,
    pub(crate) highest_ballot: u64,
    sequence: u64,
    next_poll: HolderTime,
    quick_polls: u32,
    /// Answers to what was asked before this do not count: a tenure lapsed.
    pub(crate) barrier: HolderTime,
    /// It does not claim before this: backoff, or told to hold back.
    pub(crate) hold_until: HolderTime,
    certificate: Option<(Release, HolderTime)>,
    pub(crate) farewell: Option<Farewell>,
    /// Until when it reaches a majority of the voters, if nothing more is heard of them; none
    /// if it does not, which the voters know by now.
    connected_until: Option<HolderTime>,
    was_held: bool,
    backoff: Backoff,
    /// This boot has said goodbye: it never contends again.
    pub(crate) retired: bool,
    /// Whether it hands over to a higher node that has come to stay.
    pub(crate) preempts: bool,
    pub(crate) preemption: Preemption,
    /// What is done under the lease.
    pub(crate) work: Work,
    /// No ballot is left, and that was said.
    is_exhausted: bool,
}

impl Contender {
    /// A contender that starts at `now` by polling every voter.
    pub fn new(
        me: Process,
        voters: VoterSet,
        timing: &Timing,
        eligible: bool,
        now: HolderTime,
    ) -> Self {
        Self {
            me,
            timing: timing.clone(),
            eligible,
            progress: voters.ids().iter().map(|id| (*id, VoterProgress::new(*id))).collect(),
            voters,
            role: Role::Standby,
            highest_ballot: 0,
            sequence: 0,
            next_poll: now,
            quick_polls: 0,
            barrier: HolderTime(0),
            hold_until: HolderTime(0),
            certificate: None,
            farewell: None,
            connected_until: None,
            was_held: false,
            backoff: Backoff::new(me.boot.nonce),
            retired: false,
            preempts: false,
            preemption: Preemption::default(),
            work: Work::default(),
            is_exhausted: false,
        }
    }

    /// Numbers the requests from here on.
    pub(crate) fn number_from(&mut self, sequence: u32) {
        self.sequence = u64::from(sequence);
    }

    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(crate) fn majority(&self) -> usize {
        if mutant::is(Mutant::QuorumOfOne) {
            return 1;
        }
        self.voters.majority()
    }

    /// The `majority`-th largest of one time per voter: what a majority of them reaches.
    pub(crate) fn majority_of(&self, time: impl Fn(&VoterProgress) -> HolderTime) -> HolderTime {
        let mut times: Vec<HolderTime> = self.progress.values().map(time).collect();
        times.sort_unstable_by(|left, right| right.cmp(left));
        times.get(self.majority() - 1).copied().unwrap_or(HolderTime(0))
    }

    /// Whether a majority of the voters answered lately, to requests sent after the last lapse.
    pub fn is_quorum_connected(&self, now: HolderTime) -> bool {
        self.quorum_connected_until(now).is_some()
    }

    fn quorum_connected_until(&self, now: HolderTime) -> Option<HolderTime> {
        let newest =
            self.majority_of(|progress| progress.answered_request().unwrap_or(HolderTime(0)));
        let until = newest.plus(self.timing.contender_freshness());
        (newest > self.barrier && now <= until).then_some(until)
    }

    /// Answers to what was asked before `now` count no more.
    pub(crate) fn set_barrier(&mut self, now: HolderTime) {
        self.barrier = now;
        self.connected_until = None;
    }

    /// Whether it could lead, as far as it is concerned. While work of an earlier term is alive
    /// it could not: it would act under two terms at once.
    fn may_contend(&self, now: HolderTime) -> bool {
        let works = self.work.is_alive() && !mutant::is(Mutant::ContendsUnderOldWork);
        self.eligible && !self.retired && !works && now >= self.hold_until
    }

    /// Work has ended. If that was what kept it from contending, voters are told that it is back.
    pub(crate) fn work_ended(&mut self, now: HolderTime) {
        self.work.end();
        if !self.work.is_alive() && matches!(self.role, Role::Standby) {
            self.poll_soon(now);
        }
    }

    /// Whether it neither leads nor claims, works, or has anything to release.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.role, Role::Standby) && self.farewell.is_none() && !self.work.is_alive()
    }

    /// Notes a ballot that somebody named, so that the next claim is above it.
    pub(crate) fn hear_ballot(&mut self, ballot: u64) {
        self.highest_ballot = self.highest_ballot.max(ballot);
    }

    /// Something changed that makes the voters worth asking at once.
    pub(crate) fn poll_soon(&mut self, at: HolderTime) {
        self.next_poll = self.next_poll.min(at);
    }

    /// It comes to a cluster that is there already: before its first round it learns by gossip
    /// whether it is one of those who ask at all. Or the voters' load would grow with the number
    /// of nodes that come and go.
    pub(crate) fn let_first_round_pass(&mut self, now: HolderTime) {
        if self.next_poll <= now && self.progress.values().all(VoterProgress::is_unasked) {
            // By then even thousands of members are known.
            let told = self.timing.probe_round_trip * 3;
            self.next_poll = now.plus(told.min(self.timing.standby_interval));
        }
    }

    /// This node's own voter has just answered the Goose: a poll that is due before long goes out
    /// with that answer. Both nodes are awake anyway, and the Goose is woken once for both.
    pub(crate) fn poll_in_company(&mut self, now: HolderTime) {
        if self.next_poll.since(now) <= self.timing.standby_interval / 4 {
            self.poll_soon(now);
        }
    }

    /// News came: unanswered polls may be repeated quickly again.
    pub(crate) fn take_heart(&mut self) {
        self.quick_polls = 0;
    }

    /// Does what is due. `stands_by`: this node is one of those who keep polling.
    pub(crate) fn advance(
        &mut self,
        now: HolderTime,
        stands_by: bool,
        founding: bool,
        outbox: &mut Outbox,
    ) {
        self.say_farewell(now, outbox);
        match &self.role {
            Role::Goose(_) => self.advance_tenure(now, outbox),
            Role::Claiming(_) => self.advance_claim(now, outbox),
            Role::Standby => {}
        }
        if founding && !matches!(self.role, Role::Standby) && now >= self.next_poll {
            // Its own voter has no record, and asks the others even while this node leads.
            self.poll_everybody(now, founding, outbox);
        }
        if matches!(self.role, Role::Standby) && stands_by {
            self.advance_polls(now, founding, outbox);
            self.consider_claim(now, outbox);
        }
    }

    /// How long until [`Contender::advance`] has something to do.
    pub(crate) fn timeout(
        &self,
        now: HolderTime,
        stands_by: bool,
        founding: bool,
    ) -> Option<Duration> {
        let farewell = self.farewell.as_ref().map(|farewell| farewell.next_send);
        let role = match &self.role {
            Role::Goose(tenure) => Some(tenure.next_event(self.lease_deadline())),
            Role::Claiming(claim) => Some(claim.next_send.min(claim.deadline)),
            Role::Standby if stands_by => Some(self.next_poll_event(now, founding)),
            Role::Standby => None,
        };
        let asks = founding.then_some(self.next_poll);
        [farewell, role, asks].into_iter().flatten().min().map(|at| at.since(now))
    }

    fn next_poll_event(&self, now: HolderTime, founding: bool) -> HolderTime {
        let repeat = if self.polls_quickly(now, founding) {
            let unanswered =
                self.progress.values().filter_map(VoterProgress::unanswered_poll).min();
            unanswered.map(|sent| sent.plus(self.timing.retransmit))
        } else {
            None
        };
        let resume = (self.hold_until > now).then_some(self.hold_until);
        let lonely = self.connected_until.map(|until| until.plus(Duration::from_nanos(1)));
        let others = [repeat, resume, lonely].into_iter().flatten();
        others.fold(self.next_poll, HolderTime::min)
    }

    /// Whether an unanswered poll is repeated without waiting for the next round: while nobody
    /// is known to hold a majority, or while this voter is being founded.
    fn polls_quickly(&self, now: HolderTime, founding: bool) -> bool {
        self.quick_polls < QUICK_POLLS && (founding || !self.is_majority_held(now))
    }

    /// Whether a majority of the voters lately said that their vote is taken.
    pub(crate) fn is_majority_held(&self, now: HolderTime) -> bool {
        let since = HolderTime(now.0.saturating_sub(crate::vocabulary::time::nanoseconds(
            self.timing.contender_freshness(),
        )));
        let held = |progress: &&VoterProgress| {
            progress.standing(since).is_some_and(|status| status.standing != Standing::Vacant)
        };
        self.progress.values().filter(held).count() >= self.majority()
    }

    fn advance_polls(&mut self, now: HolderTime, founding: bool, outbox: &mut Outbox) {
        if self.connected_until.is_some_and(|until| until < now) {
            self.connected_until = self.quorum_connected_until(now);
            if self.connected_until.is_none() {
                // Nobody is to wait for it in the vacancy that may come.
                self.poll_soon(now);
            }
        }
        if now >= self.next_poll {
            self.poll_everybody(now, founding, outbox);
        } else if self.polls_quickly(now, founding) {
            let overdue = |progress: &&VoterProgress| {
                progress
                    .unanswered_poll()
                    .is_some_and(|sent| now.since(sent) >= self.timing.retransmit)
            };
            let silent: Vec<NodeId> = self
                .progress
                .iter()
                .filter(|(_, progress)| overdue(progress))
                .map(|(id, _)| *id)
                .collect();
            if !silent.is_empty() {
                self.quick_polls += 1;
            }
            for voter in silent {
                self.poll(voter, now, founding, outbox);
            }
        }
    }

    fn poll_everybody(&mut self, now: HolderTime, founding: bool, outbox: &mut Outbox) {
        self.next_poll = now.plus(self.timing.standby_interval);
        let everybody: Vec<NodeId> = self.progress.keys().copied().collect();
        for voter in everybody {
            self.poll(voter, now, founding, outbox);
        }
    }

    /// Polls one voter.
    pub(crate) fn poll(
        &mut self,
        voter: NodeId,
        now: HolderTime,
        founding: bool,
        outbox: &mut Outbox,
    ) {
        let sequence = self.next_sequence();
        let may_contend = self.may_contend(now);
        let poll = Poll {
            sequence,
            quorum_connected: may_contend && self.is_quorum_connected(now),
            eligible: may_contend,
            founding,
        };
        if let Some(progress) = self.progress.get_mut(&voter) {
            progress.sent_poll(sequence, now);
            outbox.send_to_node(voter, Message::Poll(poll));
        }
    }

    /// A voter said how it stands.
    pub(crate) fn informed(&mut self, status: &VoterStatus, now: HolderTime) {
        self.hear_ballot(status.max_ballot);
        let until = self.quorum_connected_until(now);
        if until.is_some() && self.connected_until.is_none() {
            // Voters defer only to whoever reaches a majority: tell them at once.
            self.poll_soon(now);
        }
        self.connected_until = until.or(self.connected_until);
        let held = self.is_majority_held(now);
        if self.was_held && !held {
            self.take_heart();
        }
        self.was_held = held;
    }

    /// The outgoing Goose nominated this node.
    pub(crate) fn nominated(&mut self, release: Release, now: HolderTime, outbox: &mut Outbox) {
        self.hear_ballot(release.ballot);
        if !matches!(self.role, Role::Standby) {
            return;
        }
        // Being asked by the Goose itself is stronger than having been told to hold back.
        self.hold_until = self.hold_until.min(now);
        self.certificate = Some((release, now.plus(self.timing.lease)));
        self.poll_soon(now.plus(self.timing.retransmit));
        self.consider_claim(now, outbox);
    }

    /// Whether this status leaves the voter free for a claim with `certificate`. Quarantine
    /// and virginity count as taken, however long they last: that is safety, not courtesy.
    fn is_free(status: &VoterStatus, certificate: Option<&Release>) -> bool {
        let released = |holder: Process, ballot: u64| {
            certificate.is_some_and(|release| {
                release.holder == holder && (release.all || ballot <= release.ballot)
            })
        };
        match status.standing {
            Standing::Vacant => true,
            Standing::Held { holder, ballot, .. } => released(holder, ballot),
            Standing::Blank => mutant::is(Mutant::BlankCountedAsVacant),
            _ => false,
        }
    }

    /// Claims, if a majority of the voters is free and none of them prefers somebody else.
    pub(crate) fn consider_claim(&mut self, now: HolderTime, outbox: &mut Outbox) {
        if !matches!(self.role, Role::Standby) || !self.may_contend(now) {
            return;
        }
        // Notices of vacancy do not show that requests arrive. A claim that no majority hears
        // wins nothing, and locks the voters that do hear it, again and again.
        if !self.is_quorum_connected(now) {
            return;
        }
        self.certificate.take_if(|(_, until)| *until <= now);
        let certificate = self.certificate.as_ref().map(|(release, _)| release);
        // A round is as old as its oldest answer that is still believed.
        let age = match certificate {
            Some(_) => self.timing.contender_freshness(),
            None => self.timing.standby_interval + self.timing.retransmit,
        };
        let since = HolderTime(now.0.saturating_sub(crate::vocabulary::time::nanoseconds(age)));
        let since = since.max(HolderTime(self.barrier.0.saturating_add(1)));
        let deference = crate::vocabulary::time::nanoseconds(self.timing.deference);
        let lately = HolderTime(now.0.saturating_sub(deference));
        let mut free = 0;
        let mut preferred = None;
        for progress in self.progress.values() {
            let Some(status) = progress.standing(since) else { continue };
            if Self::is_free(status, certificate) {
                free += 1;
                // A voter waits for anybody for one W_d. A word that is older says nothing
                // of now; it may come from a voter that is heard and does not hear.
                let still = progress.standing(lately).and_then(|status| status.top_contender);
                preferred = preferred.or(still);
            }
        }
        if free < self.majority() {
            return;
        }
        if preferred.is_some_and(|id| id != self.me.id) && certificate.is_none() {
            // Ask again when the preferred one has had its time.
            self.poll_soon(now.plus(self.timing.deference));
            return;
        }
        let certificate = self.certificate.take().map(|(release, _)| release);
        self.claim(certificate, now, outbox);
    }

    fn claim(&mut self, certificate: Option<Release>, now: HolderTime, outbox: &mut Outbox) {
        if self.highest_ballot >= super::BALLOT_LAST {
            if !std::mem::replace(&mut self.is_exhausted, true) {
                outbox.event(Event::Warning(Warning::BallotsExhausted));
            }
            return;
        }
        self.highest_ballot += 1;
        self.farewell = None;
        for progress in self.progress.values_mut() {
            progress.forget_grants();
        }
        self.role = Role::Claiming(Claim {
            ballot: self.highest_ballot,
            deadline: now.plus(self.timing.claim_lease / 2),
            patience: now.plus(SLOW_DISK_PATIENCE),
            next_send: now,
            certificate,
            refused: Vec::new(),
        });
        self.advance_claim(now, outbox);
    }

    fn advance_claim(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let Role::Claiming(claim) = &mut self.role else { return };
        if now >= claim.deadline {
            self.abandon_claim(now, self.timing.deference, outbox);
            return;
        }
        if now < claim.next_send {
            return;
        }
        claim.next_send = now.plus(self.timing.retransmit);
        let (ballot, certificate) = (claim.ballot, claim.certificate.clone());
        let refused = claim.refused.clone();
        let lease = self.timing.claim_lease;
        let pending: Vec<NodeId> = self
            .progress
            .iter()
            .filter(|(id, progress)| !refused.contains(id) && progress.counted_until() <= now)
            .map(|(id, _)| *id)
            .collect();
        for voter in pending {
            self.acquire(
                voter,
                AcquireKind::Claim,
                ballot,
                lease,
                certificate.clone(),
                now,
                outbox,
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of one message")]
    pub(crate) fn acquire(
        &mut self,
        voter: NodeId,
        kind: AcquireKind,
        ballot: u64,
        lease: Duration,
        certificate: Option<Release>,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let sequence = self.next_sequence();
        let Some(progress) = self.progress.get_mut(&voter) else { return };
        let Some(process) = progress.process() else { return };
        progress.sent(sequence, now, Some(ballot));
        let acquire = Acquire { kind, ballot, sequence, lease, certificate };
        outbox.send(process, Message::Acquire(acquire));
    }

    /// Gives a claim up: what was granted is released, and the next attempt has a fresh ballot.
    pub(crate) fn abandon_claim(
        &mut self,
        now: HolderTime,
        backoff: Duration,
        outbox: &mut Outbox,
    ) {
        let Role::Claiming(claim) = &self.role else { return };
        let ballot = claim.ballot;
        self.role = Role::Standby;
        self.release(Release { holder: self.me, ballot, all: false, nominee: None }, now, outbox);
        // Random, so that contenders which split a vote once do not split it again and again.
        let backoff = self.backoff.wait(backoff, now, self.timing.lease);
        let backoff = if mutant::is(Mutant::BackoffTooLong) { backoff * 200 } else { backoff };
        self.hold_until = self.hold_until.max(now.plus(backoff));
        self.next_poll = self.hold_until;
        self.take_heart();
    }
}

#[cfg(feature = "simulation")]
impl Contender {
    /// See [`super::Election::numbers`].
    pub(crate) fn numbers(&mut self, visit: &mut super::fingerprint::Visitor<'_>) {
        let counter = super::fingerprint::Counter::Requests(self.me);
        visit(counter, &mut self.sequence);
        for progress in self.progress.values_mut() {
            progress.numbers(self.me, visit);
        }
        for sequence in self.farewell.iter_mut().flat_map(|last| last.unacknowledged.values_mut()) {
            visit(counter, sequence);
        }
    }
}
