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
//!
//! Each part keeps its own state: what was asked of each voter ([`tracker`]), the polls
//! ([`poll`]), whether and how it claims ([`claim`]), the lease ([`lease`]) and its release
//! ([`release`]). Here they are put in order.

mod backoff;
mod claim;
mod farewell;
mod lease;
mod naming;
mod poll;
mod reconfiguration;
mod release;
mod tracker;
mod voter_progress;

use std::time::Duration;

use super::outbox::Outbox;
use super::preemption::Preemption;
use super::work::Work;
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp};
use crate::vocabulary::event::{DemotionReason, Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;
use crate::wire::message::{Grant, Nak, NakReason, PROBE_BALLOT, Release, VoterStatus};
use claim::{Candidacy, Claim, Prospect, Verdict};
pub(super) use lease::Audience;
use lease::Tenure;
pub use naming::Known;
use naming::Naming;
use poll::Polls;
use reconfiguration::Reconfiguration;
use release::Releasing;
pub(super) use tracker::ProgressTracker;
use tracker::{Context, PollTerms};
use voter_progress::VoterProgress;

/// A contender that took its cluster for another one claims again after about this.
const MISTAKEN_HOLD: Duration = Duration::from_secs(5);

/// What a contender is at the moment.
#[derive(Clone, Debug, Hash)]
enum Role {
    Standby,
    Claiming(Claim),
    Goose(Tenure),
}

/// One contender's state.
#[derive(Clone, Debug, Hash)]
pub(super) struct Contender {
    me: Process,
    timing: Timing,
    tracker: ProgressTracker,
    role: Role,
    polls: Polls,
    candidacy: Candidacy,
    releasing: Releasing,
    /// Set if it hands over to a higher node that has come to stay.
    preemption: Option<Preemption>,
    /// What is done under the lease.
    work: Work,
    naming: Naming,
    reconfiguration: Reconfiguration,
}

impl Contender {
    /// A contender that starts at `now` by polling every voter. Its requests are numbered from
    /// `first_sequence`.
    pub(super) fn new(
        me: Process,
        configuration: &Configuration,
        timing: &Timing,
        eligible: bool,
        lineage: Known,
        first_sequence: u32,
        now: HolderTime,
    ) -> Self {
        Self {
            me,
            timing: timing.clone(),
            tracker: ProgressTracker::new(me, configuration.clone(), first_sequence),
            role: Role::Standby,
            polls: Polls::new(now),
            candidacy: Candidacy::new(me, eligible),
            releasing: Releasing::default(),
            preemption: configuration.preempt.then(Preemption::default),
            work: Work::default(),
            naming: Naming::new(lineage),
            reconfiguration: Reconfiguration::default(),
        }
    }

    /// The voters, as it sees them.
    pub(super) fn tracker(&self) -> &ProgressTracker {
        &self.tracker
    }

    pub(super) fn tracker_mut(&mut self) -> &mut ProgressTracker {
        &mut self.tracker
    }

    pub(super) fn preemption_mut(&mut self) -> Option<&mut Preemption> {
        self.preemption.as_mut()
    }

    /// What is done under the lease.
    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn work_mut(&mut self) -> &mut Work {
        &mut self.work
    }

    /// Which founding this is.
    pub(super) fn naming(&self) -> &Naming {
        &self.naming
    }

    pub(super) fn naming_mut(&mut self) -> &mut Naming {
        &mut self.naming
    }

    /// Whether a release is still on its way.
    pub(super) fn is_releasing(&self) -> bool {
        self.releasing.is_under_way()
    }

    /// The ballot that it claims, if it does.
    pub(super) fn claimed_ballot(&self) -> Option<u64> {
        let Role::Claiming(claim) = &self.role else { return None };
        Some(claim.ballot())
    }

    fn tenure(&self) -> Option<&Tenure> {
        let Role::Goose(tenure) = &self.role else { return None };
        Some(tenure)
    }

    /// The lease of the tenure, if there is one. Whether it is still valid is for its deadline to
    /// say.
    pub(super) fn lease(&self) -> Option<Lease> {
        let tenure = self.tenure()?;
        Some(Lease {
            term: tenure.term(),
            deadline: tenure.deadline(&self.tracker, &self.timing),
            duration: self.timing.lease,
            since: tenure.since(),
        })
    }

    /// Whether it neither leads nor claims, works, or has anything to release.
    pub(super) fn is_idle(&self) -> bool {
        self.is_standby() && !self.releasing.is_under_way() && !self.work.is_alive()
    }

    fn is_standby(&self) -> bool {
        matches!(self.role, Role::Standby)
    }

    /// Whether it could lead, as far as it is concerned. While work of an earlier term is alive
    /// it could not: it would act under two terms at once.
    fn may_contend(&self, now: HolderTime) -> bool {
        let works = self.work.is_alive() && !mutant::is(Mutant::ContendsUnderOldWork);
        !works && self.candidacy.is_open(now)
    }

    pub(super) fn holds_back_until(&self) -> HolderTime {
        self.candidacy.holds_back_until()
    }

    /// Whether a majority of the voters answered lately, to requests sent after the last tenure.
    fn is_quorum_connected(&self, now: HolderTime) -> bool {
        self.polls.quorum_connected_until(now, &self.tracker, &self.timing).is_some()
    }

    fn poll_terms(&self, now: HolderTime, founding: bool) -> PollTerms {
        let may_contend = self.may_contend(now);
        let quorum_connected = may_contend && self.is_quorum_connected(now);
        let lineage = self.naming.proposed();
        PollTerms { may_contend, quorum_connected, founding, lineage }
    }

    /// Work has ended. If that was what kept it from contending, voters are told that it is back.
    pub(super) fn work_ended(&mut self, now: HolderTime) {
        self.work.end();
        if !self.work.is_alive() && self.is_standby() {
            self.poll_soon(now);
        }
    }

    /// It claims above this.
    pub(super) fn hear_ballot(&mut self, ballot: u64) {
        self.candidacy.hear_ballot(ballot);
    }

    /// The highest ballot that anybody named.
    pub(super) fn highest_ballot(&self) -> u64 {
        self.candidacy.highest_ballot()
    }

    /// Something changed that makes the voters worth asking at once.
    pub(super) fn poll_soon(&mut self, at: HolderTime) {
        self.polls.soon(at);
    }

    /// It comes to a cluster that is there already: before its first round it learns by gossip
    /// whether it is one of those who ask at all. Or the voters' load would grow with the number
    /// of nodes that come and go.
    pub(super) fn let_first_round_pass(&mut self, now: HolderTime) {
        self.polls.let_first_round_pass(now, &self.tracker, &self.timing);
    }

    /// It waits for its seeds' word which cluster they belong to; a time that is over ends that.
    pub(super) fn await_seeds(&mut self, until: HolderTime) {
        self.candidacy.await_seeds(until);
    }

    /// This node's own voter has just answered the Goose: a poll that is due before long goes out
    /// with that answer. So the Goose wakes once for the answer and the poll.
    pub(super) fn poll_in_company(&mut self, now: HolderTime) {
        self.polls.in_company(now, &self.timing);
    }

    /// There is news: all are polled at once, and unanswered polls are repeated quickly again.
    pub(super) fn poll_anew(&mut self, now: HolderTime) {
        self.polls.take_heart();
        self.polls.soon(now);
    }

    /// Another founding voter has just shown that it is there: it is asked at once, so that the
    /// founding does not wait for the next round.
    pub(super) fn greet(&mut self, voter: NodeId, now: HolderTime, outbox: &mut Outbox) {
        let terms = self.poll_terms(now, true);
        let pause = self.timing.retransmit;
        if self.tracker.voter_mut(voter).is_some_and(|progress| progress.greet(now, pause)) {
            self.tracker.poll(voter, terms, now, outbox);
        }
    }

    /// Does what is due. `stands_by`: this node is one of those who keep polling.
    pub(super) fn advance(
        &mut self,
        now: HolderTime,
        stands_by: bool,
        founding: bool,
        outbox: &mut Outbox,
    ) {
        self.advance_release(now, outbox);
        match &self.role {
            Role::Goose(_) => self.advance_tenure(now, outbox),
            Role::Claiming(_) => self.advance_claim(now, outbox),
            Role::Standby => self.end_change(now),
        }
        let is_standby = self.is_standby();
        let terms = self.poll_terms(now, founding);
        let Self { polls, tracker, timing, .. } = self;
        let mut context = Context { now, timing, tracker, outbox };
        if is_standby && stands_by {
            polls.advance(terms, &mut context);
            self.consider_claim(now, outbox);
        } else if !is_standby && founding && polls.is_round_due(now) {
            // Its own voter has no record, and asks the others even while this node leads.
            polls.poll_everybody(terms, &mut context);
        }
    }

    /// How long until [`Contender::advance`] has something to do.
    pub(super) fn timeout(
        &self,
        now: HolderTime,
        stands_by: bool,
        founding: bool,
    ) -> Option<Duration> {
        let farewell = self.releasing.next();
        let role = match &self.role {
            Role::Goose(tenure) => tenure.next(&self.tracker, &self.timing),
            Role::Claiming(claim) => claim.next(),
            Role::Standby if stands_by => {
                let poll = self.polls.next(founding, now, &self.tracker, &self.timing);
                poll.into_iter().chain(self.candidacy.resumes(now)).min()
            }
            Role::Standby => None,
        };
        let asks = self.polls.next_round().filter(|_| founding);
        [farewell, role, asks].into_iter().flatten().min().map(|at| at.since(now))
    }

    /// A voter said how it stands.
    pub(super) fn informed(&mut self, status: &VoterStatus, now: HolderTime) {
        self.candidacy.hear_ballot(status.max_ballot);
        self.polls.informed(now, &self.tracker, &self.timing);
    }

    /// A voter said that it is vacant, by itself: a claim that it refused may be asked of it again.
    pub(super) fn vacated(&mut self, voter: NodeId, now: HolderTime, outbox: &mut Outbox) {
        if let Role::Claiming(claim) = &mut self.role {
            claim.vacated(voter, now);
            self.advance_claim(now, outbox);
        }
    }

    /// The outgoing Goose nominated this node.
    pub(super) fn nominated(&mut self, release: Release, now: HolderTime, outbox: &mut Outbox) {
        self.candidacy.hear_ballot(release.ballot);
        if !self.is_standby() || !self.candidacy.is_eligible() {
            return;
        }
        self.candidacy.nominated(release, now.plus(self.timing.lease), now);
        self.poll_soon(now.plus(self.timing.retransmit));
        self.consider_claim(now, outbox);
    }

    /// See [`super::Election::set_eligible`]. The voters hear at once.
    pub(super) fn set_eligible(&mut self, eligible: bool, now: HolderTime, outbox: &mut Outbox) {
        if !eligible {
            self.abandon_claim(Duration::ZERO, now, outbox);
        }
        self.candidacy.set_eligible(eligible);
        self.poll_soon(now);
    }

    /// Claims, if a majority of the voters is free and none of them prefers somebody else.
    fn consider_claim(&mut self, now: HolderTime, outbox: &mut Outbox) {
        if !self.is_standby() || !self.may_contend(now) {
            return;
        }
        // Notices of vacancy do not show that requests arrive. A claim that no majority hears
        // wins nothing, and locks the voters that do hear it, again and again.
        if !self.is_quorum_connected(now) {
            return;
        }
        let counts_from = self.polls.counts_from();
        match self.candidacy.prospect(counts_from, now, &self.tracker, &self.timing) {
            Prospect::Taken => {}
            // Ask again when the preferred one has had its time.
            Prospect::Deferred => self.poll_soon(now.plus(self.timing.deference)),
            Prospect::Open(certificate) => self.claim(certificate, now, outbox),
        }
    }

    fn claim(&mut self, certificate: Option<Release>, now: HolderTime, outbox: &mut Outbox) {
        let Some(ballot) = self.candidacy.next_ballot() else {
            if self.candidacy.turns_exhausted() {
                outbox.event(Event::Warning(Warning::BallotsExhausted));
            }
            return;
        };
        self.releasing.stop();
        self.tracker.forget_grants();
        self.naming.withdraw();
        self.role = Role::Claiming(Claim::begin(ballot, certificate, now, &self.timing));
        self.advance_claim(now, outbox);
    }

    fn advance_claim(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let Self { role: Role::Claiming(claim), tracker, timing, .. } = self else { return };
        let verdict = claim.advance(&mut Context { now, timing, tracker, outbox });
        self.conclude_claim(verdict, now, outbox);
    }

    fn conclude_claim(&mut self, verdict: Verdict, now: HolderTime, outbox: &mut Outbox) {
        match verdict {
            Verdict::Open => {}
            Verdict::Lost(pause) => self.abandon_claim(pause, now, outbox),
            Verdict::Duplicate(pause) => {
                outbox.event(Event::Warning(Warning::DuplicateId { address: None }));
                self.abandon_claim(pause, now, outbox);
            }
            Verdict::Dead => {
                self.abandon_claim(Duration::ZERO, now, outbox);
                self.candidacy.retire();
            }
        }
    }

    /// Gives a claim up: what was granted is released, and the next attempt, after a `pause` that
    /// is drawn around this one, has a fresh ballot.
    fn abandon_claim(&mut self, pause: Duration, now: HolderTime, outbox: &mut Outbox) {
        let Some(ballot) = self.claimed_ballot() else { return };
        self.role = Role::Standby;
        self.release(Release { holder: self.me, ballot, all: false, nominee: None }, now, outbox);
        let resumes = self.candidacy.back_off(pause, now, &self.timing);
        self.polls.put_off(resumes);
        self.polls.take_heart();
    }

    /// A voter granted.
    pub(super) fn granted(
        &mut self,
        from: Process,
        grant: &Grant,
        stamp: ConfigurationStamp,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        self.candidacy.hear_ballot(grant.ballot);
        let (ours, asked) = match &self.role {
            Role::Claiming(claim) => (claim.ballot() == grant.ballot, self.timing.claim_lease),
            Role::Goose(tenure) => (tenure.covers(grant.ballot), self.timing.lease),
            Role::Standby => (false, self.timing.claim_lease),
        };
        let long = mutant::is(Mutant::ShortGrantCountedAsLong);
        let granted = if long { asked } else { grant.granted };
        let progress = self.tracker.voter_mut(from.id).filter(|_| ours);
        let Some(progress) = progress else { return };
        let left_before = progress.leaves();
        if !progress.granted(grant, granted, stamp, now) {
            return;
        }
        let turns_to_leave = grant.leaves && !left_before;
        let asked_at = progress.answered_request();
        let Self { role, tracker, timing, naming, .. } = self;
        match role {
            Role::Claiming(_) => self.consider_victory(now, outbox),
            Role::Goose(tenure) => {
                if let Some(sent) = asked_at.filter(|_| from != self.me) {
                    outbox.renewed(now.since(sent));
                }
                naming.count(tracker);
                tenure.confirm(&Context { now, timing, tracker, outbox });
                if turns_to_leave {
                    // Whether it is missed depends on who answers now.
                    tenure.renew_soon(now);
                }
                self.advance_change(now, outbox);
            }
            Role::Standby => {}
        }
    }

    fn consider_victory(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let Role::Claiming(claim) = &self.role else { return };
        let (term, reason) = (claim.ballot(), claim.reason());
        let tenure = Tenure::begin(term, now);
        if tenure.deadline(&self.tracker, &self.timing) <= now
            && !mutant::is(Mutant::VisibleMajorityWithoutGrants)
        {
            return;
        }
        if let Some(voters) = self.naming.contradicted(&self.tracker) {
            outbox.event(Event::Warning(Warning::MistakenLineage { voters }));
            return self.conclude_claim(Verdict::Lost(MISTAKEN_HOLD), now, outbox);
        }
        self.role = Role::Goose(tenure);
        self.naming.propose(self.me, term, &self.tracker);
        outbox.event(Event::BecameGoose { term, reason });
        self.advance_tenure(now, outbox);
    }

    fn advance_tenure(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let Some(tenure) = self.tenure().filter(|tenure| tenure.is_renewal_due(now)) else {
            return;
        };
        if mutant::is(Mutant::GooseResigns) && now.since(tenure.since()) > self.timing.lease * 3 {
            self.demote(DemotionReason::SteppedDown, now, outbox);
            return;
        }
        if tenure.is_established() && self.yield_to_higher(now, outbox) {
            return;
        }
        self.advance_change(now, outbox);
        let terms = self.poll_terms(now, false);
        let Self { role: Role::Goose(tenure), tracker, timing, .. } = self else { return };
        tenure.renew(terms, &mut Context { now, timing, tracker, outbox });
    }

    /// Hands over to a higher node that has come to stay, in a cluster that wants it so. Returns
    /// whether it did.
    fn yield_to_higher(&mut self, now: HolderTime, outbox: &mut Outbox) -> bool {
        let Some(term) = self.tenure().map(Tenure::term).filter(|_| !self.work.is_closed()) else {
            return false;
        };
        let open = |preemption: &&mut Preemption| !preemption.is_paused(term, now);
        let Some(preemption) = self.preemption.as_mut().filter(open) else { return false };
        let (said, majority) = (self.tracker.standbys(now), self.tracker.majority());
        let Some(nominee) = preemption.successor(self.me.id, majority, &said, now) else {
            return false;
        };
        preemption.note(nominee.id, now);
        if self.work.is_alive() {
            outbox.make_way(nominee);
            return false;
        }
        // If it fails to take over, this node comes back soon: the nominee's time is W_d.
        let hold = self.timing.deference * 2;
        let reason = DemotionReason::Preempted { by: nominee.id };
        self.step_down(Some(nominee), hold, reason, now, outbox);
        true
    }

    /// Whom it is time to announce the tenure to, if it is; asking resets it. `crowded`: there
    /// are many neighbours.
    pub(super) fn announcement_due(&mut self, now: HolderTime, crowded: bool) -> Option<Audience> {
        let Role::Goose(tenure) = &mut self.role else { return None };
        tenure.announcement_due(now, crowded)
    }

    /// A voter answered a probe.
    pub(super) fn probe_acknowledged(
        &mut self,
        from: Process,
        sequence: u64,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let heard = |progress: &mut VoterProgress| progress.heard(sequence, None, now).is_some();
        let expected = self.tracker.voter_mut(from.id).is_some_and(heard);
        let Self { role, tracker, timing, .. } = self;
        if expected && let Role::Goose(tenure) = role {
            tenure.confirm(&Context { now, timing, tracker, outbox });
        }
    }

    /// A voter refused.
    pub(super) fn refused(
        &mut self,
        from: Process,
        nak: &Nak,
        stamp: ConfigurationStamp,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let known = self.tracker.configuration().stamp();
        let Some(progress) = self.tracker.voter_mut(from.id) else { return };
        // No ballot is asked for by a probe.
        let ballot = Some(nak.ballot).filter(|ballot| *ballot != PROBE_BALLOT);
        if progress.heard(nak.sequence, ballot, now).is_none() {
            return;
        }
        if let NakReason::NewBoot { boot } = nak.reason {
            progress.reboot(boot, now);
        }
        if let NakReason::Stale { max_ballot } = nak.reason {
            self.candidacy.hear_ballot(max_ballot);
        }
        let terms = self.poll_terms(now, false);
        let Self { role, tracker, timing, candidacy, .. } = self;
        let mut context = Context { now, timing, tracker, outbox };
        match role {
            Role::Claiming(claim) if claim.ballot() == nak.ballot => {
                let verdict = claim.refused(from.id, &nak.reason, &context);
                self.conclude_claim(verdict, now, outbox);
            }
            Role::Goose(tenure) => {
                tenure.confirm(&context);
                let is_ahead =
                    nak.reason == NakReason::Configuration && known.is_older_than(&stamp);
                if is_ahead && stamp.ballot < tenure.term() {
                    self.reconfiguration.overtake();
                }
                let raised = || candidacy.next_ballot();
                tenure.refused(from.id, &nak.reason, raised, terms, &mut context);
            }
            Role::Claiming(_) | Role::Standby => {}
        }
    }

    /// Applies a lapse, which is final. Called before any other input is.
    pub(super) fn expire(&mut self, now: HolderTime, outbox: &mut Outbox) {
        if self.lease().is_some_and(|lease| !lease.is_valid_at(now)) {
            let silent = self.tracker.ids_of(|_, progress| progress.counted_until() <= now);
            self.demote(DemotionReason::LeaseLapsed { silent }, now, outbox);
        }
    }

    /// The machine was suspended: no grant can be trusted any more.
    pub(super) fn void_grants(&mut self, now: HolderTime, outbox: &mut Outbox) {
        match &self.role {
            Role::Goose(_) => self.demote(DemotionReason::Suspended, now, outbox),
            Role::Claiming(_) => self.abandon_claim(Duration::ZERO, now, outbox),
            Role::Standby => {}
        }
    }

    /// See [`super::Election::numbers`].
    #[cfg(feature = "simulation")]
    pub(super) fn numbers(&mut self, visit: &mut super::fingerprint::Visitor<'_>) {
        let counter = super::fingerprint::Counter::Requests(self.me);
        self.tracker.numbers(visit);
        self.releasing.numbers(&mut |sequence| visit(counter, sequence));
    }
}
