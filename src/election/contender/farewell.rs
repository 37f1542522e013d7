//! Giving the lease up: a lapse, a step down, a leave. Duck first; what was granted is released
//! afterwards, unless work under it is still alive.

use std::time::Duration;

use super::tracker::Context;
use super::{Contender, Role};
use crate::election::contender::lease::Tenure;
use crate::election::outbox::Outbox;
use crate::vocabulary::event::{DemotionReason, Event};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::wire::message::{Message, Release};

impl Contender {
    /// See [`crate::election::Election::end_hold`].
    pub(in crate::election) fn end_hold(&mut self, now: HolderTime) {
        self.candidacy.end_hold(now);
    }

    /// See [`crate::election::Election::hold_back`].
    pub(in crate::election) fn hold_back(&mut self, until: HolderTime) {
        self.candidacy.hold_until(until);
    }

    /// Duck first, release afterwards.
    pub(super) fn demote(&mut self, reason: DemotionReason, now: HolderTime, outbox: &mut Outbox) {
        let Some(tenure) = self.tenure() else { return };
        let (term, ballot) = (tenure.term(), tenure.ballot());
        self.role = Role::Standby;
        self.polls.set_barrier(now);
        outbox.event(Event::BecameDuck { term, reason });
        // Work that is alive has to notice first. The grants run out at the voters by themselves,
        // which is the time that it has.
        if !self.work.is_alive() || mutant::is(Mutant::LapseReleasesUnderWork) {
            let release = Release { holder: self.me, ballot, all: false, nominee: None };
            self.release(release, now, outbox);
        }
        self.poll_anew(now);
    }

    /// Somebody has led under `term`. Whatever this node claims from here on is above it.
    pub(in crate::election) fn hear_term(
        &mut self,
        term: u64,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        self.candidacy.hear_ballot(term);
        if self.tenure().is_some_and(|tenure| tenure.term() < term) {
            self.demote(DemotionReason::Overtaken { term }, now, outbox);
        }
    }

    /// Gives the lease up in favour of `nominee`, who gets a certificate that the voters
    /// believe at once, and holds back from contending for `hold`. Returns the term.
    pub(in crate::election) fn step_down(
        &mut self,
        nominee: Option<Process>,
        hold: Duration,
        reason: DemotionReason,
        now: HolderTime,
        outbox: &mut Outbox,
    ) -> Option<u64> {
        let leaving = reason == DemotionReason::Leaving;
        let term = self.tenure().map(Tenure::term);
        let ballot = self.tenure().map(Tenure::ballot).or(self.claimed_ballot());
        let nominee = nominee.filter(|_| term.is_some());
        let release = Release {
            holder: self.me,
            ballot: ballot.unwrap_or(0),
            all: leaving,
            nominee: nominee.map(|process| process.id),
        };
        if mutant::is(Mutant::ReleaseBeforeSteppingDown) && term.is_some() {
            let release = Release { all: false, ..release };
            self.releasing.begin(release, now, &mut self.tracker);
            self.advance_release(now, outbox);
            return term;
        }
        if mutant::is(Mutant::CertificateWhileActing)
            && let Some(nominee) = nominee
        {
            outbox.send(nominee, Message::Handover(release));
            return term;
        }
        self.role = Role::Standby;
        self.candidacy.hold_until(now.plus(hold));
        if leaving {
            self.candidacy.retire();
        }
        if let Some(term) = term {
            self.polls.set_barrier(now);
            outbox.event(Event::BecameDuck { term, reason });
        }
        if ballot.is_some() || leaving {
            if let Some(nominee) = nominee {
                outbox.send(nominee, Message::Handover(release.clone()));
            }
            self.release(release, now, outbox);
        }
        term
    }

    /// Stops leading and contending for good without a word to the voters.
    pub(in crate::election) fn leave_without_release(
        &mut self,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let term = self.tenure().map(Tenure::term);
        self.role = Role::Standby;
        self.candidacy.retire();
        self.polls.set_barrier(now);
        if let Some(term) = term {
            outbox.event(Event::BecameDuck { term, reason: DemotionReason::Leaving });
        }
    }

    /// Sends a release to every voter, and again until it is acknowledged. The role must have
    /// been given up before.
    pub(super) fn release(&mut self, release: Release, now: HolderTime, outbox: &mut Outbox) {
        assert!(self.tenure().is_none(), "I8: released while still acting");
        let mutated = Mutant::OF_WORK.iter().any(|mutant| mutant::is(*mutant));
        assert!(!self.work.is_alive() || mutated, "I8: released while work is alive");
        self.tracker.forget_grants();
        self.naming.withdraw();
        self.releasing.begin(release, now, &mut self.tracker);
        self.advance_release(now, outbox);
    }

    pub(super) fn advance_release(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let Self { releasing, tracker, timing, .. } = self;
        releasing.advance(&mut Context { now, timing, tracker, outbox });
    }

    /// A voter acknowledged a release.
    pub(in crate::election) fn release_acknowledged(&mut self, from: NodeId, sequence: u64) {
        self.releasing.acknowledged(from, sequence);
    }
}
