//! Being Goose: a lease that is being established, renewed, and lapses.
//!
//! ```text
//!                 a majority granted L            every r
//!   won ──claim──▶ established ─────────▶ renewing ◀─────┐
//!   lease L_c                               │  └─────────┘
//!                                           │ no majority confirms for 2r
//!                                           ▼
//!             lapsed ◀──deadline── probing: extends nothing
//! ```
//!
//! The lease lasts until the majority-th largest of the times until which the voters' grants
//! count. No timer holds that time, for every grant moves it: [`Tenure::deadline`] is asked both
//! for what is due next and for whether the lease has lapsed.

use std::time::Duration;

use super::tracker::{Context, PollTerms, ProgressTracker, Request};
use super::voter_progress::VoterProgress;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timers::{Timer, Timers};
use crate::vocabulary::timing::{Timing, counted};
use crate::wire::message::NakReason;

/// The Goose says that it is this often, for those who were not told.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(5);
/// A crowd hears of a tenure so much later than those who take part in elections: to wake it is
/// work, above all where many nodes share a machine, and nobody's lease waits for it.
const CROWD_WAITS: Duration = Duration::from_millis(1);

/// Who is told of a tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Voters and standbys.
    Electors,
    /// The neighbours, too.
    Everybody,
}

#[derive(Clone, Copy, Debug, Hash)]
enum TenureTimer {
    /// Every voter is asked to extend its grant.
    Renewal,
    /// Others are told.
    Announcement,
}

impl Timer for TenureTimer {
    fn place(self) -> usize {
        self as usize
    }
}

/// A tenure: from the grants of a majority to the lapse of the lease.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Tenure {
    /// The ballot that won. It names the tenure for ever.
    term: u64,
    /// The ballot that is renewed: the term, or higher, to satisfy a voter that has seen a
    /// higher one. Never published: another contender may already have used a ballot between.
    ballot: u64,
    since: HolderTime,
    timers: Timers<TenureTimer, HolderTime, 2>,
    was_announced: bool,
    /// Whether a majority has granted the full lease yet.
    established: bool,
    /// When the lease was last seen to move, which is when a majority was last heard.
    confirmed: HolderTime,
}

impl Tenure {
    /// A majority granted `ballot`.
    pub(super) fn begin(ballot: u64, now: HolderTime) -> Self {
        let timers =
            Timers::new().with(TenureTimer::Renewal, now).with(TenureTimer::Announcement, now);
        Self {
            term: ballot,
            ballot,
            since: now,
            timers,
            was_announced: false,
            established: false,
            confirmed: now,
        }
    }

    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    pub(crate) fn since(&self) -> HolderTime {
        self.since
    }

    pub(super) fn ballot(&self) -> u64 {
        self.ballot
    }

    pub(super) fn is_established(&self) -> bool {
        self.established
    }

    /// Whether a grant for this ballot counts: any ballot of the same tenure does.
    pub(super) fn covers(&self, ballot: u64) -> bool {
        (self.term..=self.ballot).contains(&ballot)
    }

    /// The time up to which a majority's grants count.
    pub(super) fn deadline(&self, tracker: &ProgressTracker, timing: &Timing) -> HolderTime {
        if mutant::is(Mutant::VisibleMajorityWithoutGrants) {
            return tracker.answered_requests().plus(counted(timing.lease));
        }
        tracker.majority_of(VoterProgress::counted_until)
    }

    /// When something is to be done next, the lapse included.
    pub(super) fn next(&self, tracker: &ProgressTracker, timing: &Timing) -> Option<HolderTime> {
        Some(self.deadline(tracker, timing)).into_iter().chain(self.timers.next()).min()
    }

    pub(super) fn is_renewal_due(&self, now: HolderTime) -> bool {
        self.timers.is_expired(TenureTimer::Renewal, now)
    }

    /// Asks every voter to extend its grant.
    pub(super) fn renew(&mut self, terms: PollTerms, context: &mut Context<'_>) {
        let (interval, retransmit) =
            (renew_interval(context.tracker, context.timing), context.timing.retransmit);
        // A voter may grant less than it was asked for: `retransmit` may then be longer than that
        // grant lasts.
        let pause = if self.established { interval } else { retransmit.min(interval) };
        self.timers.set(TenureTimer::Renewal, context.now.plus(pause));
        for voter in context.tracker.ids() {
            self.renew_or_probe(voter, terms, context);
        }
        for learner in context.tracker.learner_ids() {
            self.renew_or_probe(learner, terms, context);
        }
    }

    /// Every voter is asked at once: the configuration has changed, or is to.
    pub(super) fn renew_soon(&mut self, now: HolderTime) {
        self.timers.set_earlier(TenureTimer::Renewal, now);
    }

    /// A Goose that is not heard back from must not go on locking the voters: it only asks
    /// whether they hear it, until a majority says so.
    fn renew_or_probe(&self, voter: NodeId, terms: PollTerms, context: &mut Context<'_>) {
        let Context { now, timing, tracker, outbox } = context;
        let more = u32::from(mutant::is(Mutant::DeafGooseRenewsOnceMore));
        let patience = (2 + more) * renew_interval(tracker, timing);
        if now.since(self.confirmed) > patience && !mutant::is(Mutant::DeafGooseRenews) {
            tracker.probe(voter, *now, outbox);
        } else if tracker.process_of(voter).is_some() {
            let request = Request {
                kind: tracker.renewal_of(voter),
                ballot: self.ballot,
                lease: timing.lease,
                certificate: None,
                // A ballot that was raised in place was promised to nobody, so nothing is proposed
                // under it.
                lineage: terms.lineage.filter(|_| self.ballot == self.term),
            };
            tracker.acquire(voter, &request, *now, outbox);
        } else {
            // Its process is not known yet; a poll tells.
            tracker.poll(voter, terms, *now, outbox);
        }
    }

    /// A voter refused to extend its grant. `raised`: a ballot that nobody is known to have used.
    pub(super) fn refused(
        &mut self,
        voter: NodeId,
        reason: &NakReason,
        raised: impl FnOnce() -> Option<u64>,
        terms: PollTerms,
        context: &mut Context<'_>,
    ) {
        match reason {
            NakReason::Stale { max_ballot } if *max_ballot >= self.ballot => match raised() {
                Some(ballot) => self.raise(ballot, context.now),
                None => context.outbox.event(Event::Warning(Warning::BallotsExhausted)),
            },
            NakReason::Stale { .. } | NakReason::NewBoot { .. } => {
                self.renew_or_probe(voter, terms, context);
            }
            NakReason::DuplicateId => {
                context.outbox.event(Event::Warning(Warning::DuplicateId { address: None }));
            }
            NakReason::Held { .. }
            | NakReason::Defer { .. }
            | NakReason::Quarantine { .. }
            | NakReason::Blank
            | NakReason::Persisting
            | NakReason::StoreFailed
            | NakReason::Configuration
            | NakReason::Dead => {}
        }
    }

    /// Raises the ballot in place: the term stays what it is.
    fn raise(&mut self, ballot: u64, now: HolderTime) {
        self.ballot = ballot;
        if mutant::is(Mutant::RaisedBallotPublishedAsTerm) {
            self.term = ballot;
        }
        self.timers.set(TenureTimer::Renewal, now);
    }

    /// Notes that voters answer.
    pub(super) fn confirm(&mut self, context: &Context<'_>) {
        let Context { now, timing, tracker, .. } = context;
        let deadline = self.deadline(tracker, timing);
        let interval = renew_interval(tracker, timing);
        let was_deaf = now.since(self.confirmed) > 2 * interval;
        self.confirmed = self.confirmed.max(heard(tracker));
        // A voter may grant less than was asked for, so time alone establishes it too.
        let claim_lease = timing.claim_lease;
        let full = deadline.since(*now) > claim_lease || now.since(self.since) > claim_lease;
        if !self.established && full {
            self.established = true;
            self.timers.set(TenureTimer::Renewal, now.plus(interval));
        }
        if was_deaf && now.since(self.confirmed) <= 2 * interval {
            self.timers.set(TenureTimer::Renewal, *now);
        }
    }

    /// The voters are others now. That a majority of the former ones was heard says nothing of these.
    pub(super) fn leads_elsewhere(&mut self, tracker: &ProgressTracker) {
        self.confirmed = self.confirmed.min(heard(tracker));
    }

    /// Whom it is time to announce the tenure to, if it is; asking resets it. `crowded`: there
    /// are many neighbours.
    pub(super) fn announcement_due(&mut self, now: HolderTime, crowded: bool) -> Option<Audience> {
        if !self.timers.is_expired(TenureTimer::Announcement, now) {
            return None;
        }
        let is_first = !std::mem::replace(&mut self.was_announced, true);
        let (audience, pause) = if is_first && crowded {
            (Audience::Electors, CROWD_WAITS)
        } else {
            (Audience::Everybody, ANNOUNCE_INTERVAL)
        };
        self.timers.set(TenureTimer::Announcement, now.plus(pause));
        Some(audience)
    }
}

/// When a majority of the voters was last heard.
fn heard(tracker: &ProgressTracker) -> HolderTime {
    tracker.majority_of(|progress| progress.answered().unwrap_or(HolderTime(0)))
}

/// A Goose that has heard no majority of its voters since then is deaf.
pub(super) fn heard_since(
    tracker: &ProgressTracker,
    timing: &Timing,
    now: HolderTime,
) -> HolderTime {
    now.minus(2 * renew_interval(tracker, timing))
}

/// How often the lease is renewed: in proportion to what a majority really grants, or a
/// Goose that asks for more than it gets would lapse between two renewals.
fn renew_interval(tracker: &ProgressTracker, timing: &Timing) -> Duration {
    let granted = tracker.granted_lease().unwrap_or(timing.lease);
    if granted >= timing.lease {
        return timing.renew_interval;
    }
    timing.renew_interval.mul_f64(granted.div_duration_f64(timing.lease))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::configuration::{Configuration, VoterSet};
    use crate::vocabulary::identity::{Boot, Process};
    use crate::wire::message::Grant;

    const LEASE: Duration = Duration::from_millis(600);

    #[test]
    fn what_the_former_voters_said_does_not_speak_for_the_next_ones() {
        let id = |number| NodeId::new(number).expect("a number above 0");
        let at = |milliseconds: u64| HolderTime(milliseconds * 1_000_000);
        let set = |ids: &[u64]| VoterSet::new(ids.iter().copied().map(id).collect());
        let voters = set(&[1, 2, 3]).expect("three");
        let former =
            Configuration { ballot: 7, version: 1, voters, preempt: false, automatic: None };
        let own = Process { id: id(1), boot: Boot { start: 1, nonce: 1 } };
        let mut tracker = ProgressTracker::new(own, former.clone(), 0);
        for (voter, heard) in [(1, 1000), (2, 990), (3, 780)] {
            let progress = tracker.voter_mut(id(voter)).expect("a voter");
            progress.sent(1, at(700), Some(7));
            let (granted, standby, lineage, leaves) = (LEASE, None, None, false);
            let grant = Grant { sequence: 1, ballot: 7, granted, standby, lineage, leaves };
            assert!(progress.granted(&grant, LEASE, former.stamp(), at(heard)));
        }
        let mut tenure = Tenure::begin(7, at(1000));
        tenure.leads_elsewhere(&tracker);
        assert_eq!(tenure.confirmed, at(990), "by 1 and 2");
        tracker.take_over(former.changed(7, set(&[1, 3, 4]).expect("three")));
        tenure.leads_elsewhere(&tracker);
        assert_eq!(tenure.confirmed, at(780), "by 1 and 3");
    }
}
