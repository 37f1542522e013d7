//! A voter: grants one lease at a time, and stands by it across crashes.
//!
//! ```text
//!            empty disk              heard every voter virgin, map durable
//!   start ──────────────▶ Virgin ───────────────────────────────────────▶ Ready
//!     │                     │ somebody not heard within lease_max            ▲
//!     │ record              ▼                                                │
//!     └──────────────▶ Waiting ──quarantine over──▶ (Flooring, if the ───────┘
//!                                                   record was lost)
//! ```
//!
//! Only a Ready voter grants, with one exception: while it waits, the holder that its record
//! names may renew, for a live grant from before the restart can only be that one's own.
//!
//! Assumptions: `now` is read after the message was received; a record that was reported as
//! stored survives a crash; [`crate::vocabulary::timing`] bounds the clocks.

mod grants;
mod standing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::deference::Deference;
use super::founding::Roll;
use super::ledger::Ledger;
use super::outbox::Outbox;
use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::message::{Founding, Message, Nak, NakReason};
use crate::vocabulary::plant::{self, Plant};
use crate::vocabulary::record::Vote;
use crate::vocabulary::time::{Now, VoterTime, WallTime};
use crate::vocabulary::timing::Timing;

/// How far the voter is from granting.
#[derive(Clone, Debug, Hash)]
enum Phase {
    Virgin {
        nonce: u64,
        revision: u64,
        deadline: VoterTime,
    },
    Founding {
        nonce: u64,
        revision: u64,
        map: Vec<(NodeId, u64)>,
    },
    Waiting {
        until: VoterTime,
        floor: bool,
    },
    Flooring {
        revision: u64,
    },
    Ready,
    /// Another live process votes under this id, or nothing can be stored any more: saying
    /// nothing is all that is safe.
    Silenced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HeldGrant {
    pub(crate) holder: Process,
    pub(crate) ballot: u64,
    pub(crate) expiry: VoterTime,
}

/// A grant that leaves as soon as its record is durable.
#[derive(Clone, Debug, Hash)]
struct Reservation {
    holder: Process,
    ballot: u64,
    sequence: u64,
    granted: Duration,
    revision: u64,
}

#[derive(Clone, Debug, Hash)]
struct Vacancy {
    notices: u32,
    next_notice: VoterTime,
}

/// What a voter finds of its own past when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoterPast {
    /// An empty disk: perhaps a new cluster. The nonce names this emptiness.
    Virgin {
        /// Drawn at random for this start.
        nonce: u64,
    },
    /// A sound record.
    Remembered(Vote),
    /// There was a record, or there may have been one.
    Lost,
}

/// One voter's state.
#[derive(Clone, Debug, Hash)]
pub struct Voter {
    me: Process,
    voters: VoterSet,
    lease: Duration,
    lease_max: Duration,
    ledger: Ledger,
    phase: Phase,
    founded: Option<Vec<(NodeId, u64)>>,
    roll: Roll,
    grant: Option<HeldGrant>,
    reservation: Option<Reservation>,
    acknowledgements: VecDeque<(u64, Process, u64)>,
    sequences: BTreeMap<Process, (u64, u64)>,
    sequence_clock: u64,
    tombstones: VecDeque<Process>,
    vacancy: Option<Vacancy>,
    deference: Deference,
    status_sequence: u64,
    /// The highest ballot said by anybody: the floor of a lost record.
    heard_ballot: u64,
}

impl Voter {
    /// A voter that starts at `now`. Its record is to be stored at once; until then it says
    /// nothing.
    pub fn new(me: Process, voters: VoterSet, timing: &Timing, past: VoterPast, now: Now) -> Self {
        let lease_max = timing.lease_max;
        let alone = voters.len() == 1;
        let blank = |founding, max_lease_ever| Vote {
            max_ballot: 0,
            max_holder: None,
            max_lease_ever,
            founding,
        };
        let (vote, phase) = match past {
            // Nobody else's memory is needed, so the founding is complete with the first record.
            VoterPast::Virgin { nonce } if alone => {
                let map = vec![(me.id, nonce)];
                let vote = blank(Founding::Founded(map.clone()), lease_max);
                (vote, Phase::Founding { nonce, revision: 1, map })
            }
            VoterPast::Virgin { nonce } => {
                let deadline = now.voter.plus(lease_max);
                (
                    blank(Founding::Virgin { nonce }, lease_max),
                    Phase::Virgin { nonce, revision: 1, deadline },
                )
            }
            VoterPast::Remembered(vote) => {
                let floor = owes_floor(&vote);
                let lazy = plant::is(Plant::RestartedVirginDoesNotWait)
                    && matches!(vote.founding, Founding::Virgin { .. });
                let floor = floor && !lazy;
                let until = now.voter.plus(if lazy {
                    Duration::ZERO
                } else {
                    quarantine(vote.max_lease_ever)
                });
                (vote, Phase::Waiting { until, floor })
            }
            VoterPast::Lost => {
                let until = now.voter.plus(quarantine(lease_max));
                (Vote::lost(lease_max), Phase::Waiting { until, floor: true })
            }
        };
        let durable_ballot = vote.max_ballot;
        Self {
            me,
            voters,
            lease: timing.lease,
            lease_max,
            ledger: Ledger::new(vote, durable_ballot),
            phase,
            founded: None,
            roll: Roll::default(),
            grant: None,
            reservation: None,
            acknowledgements: VecDeque::new(),
            sequences: BTreeMap::new(),
            sequence_clock: 0,
            tombstones: VecDeque::new(),
            vacancy: None,
            deference: Deference::new(timing.contender_freshness(), timing.deference),
            status_sequence: 0,
            heard_ballot: 0,
        }
    }

    /// What must be durable, and its revision.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn grant(&self) -> Option<HeldGrant> {
        self.grant
    }

    /// Until when a restart is waited out, if it is.
    pub(crate) fn quarantine_until(&self) -> Option<VoterTime> {
        match self.phase {
            Phase::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether it has still to be founded, and so wants to hear from the other voters.
    pub(crate) fn is_virgin(&self) -> bool {
        matches!(self.phase, Phase::Virgin { .. } | Phase::Founding { .. })
    }

    pub(crate) fn may_grant(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Stops voting for good: another live process votes under this id, or the store is lost.
    pub(crate) fn silence(&mut self) {
        if !matches!(self.phase, Phase::Silenced) {
            self.phase = Phase::Silenced;
            self.reservation = None;
        }
    }

    pub(crate) fn is_silenced(&self) -> bool {
        matches!(self.phase, Phase::Silenced)
    }

    /// Applies every expiry up to `now`. Called before any other input is.
    pub(crate) fn expire(&mut self, now: Now, outbox: &mut Outbox) {
        if let Some(grant) = self.grant.take_if(|grant| grant.expiry <= now.voter) {
            self.deference.remove(grant.holder);
        }
        match self.phase {
            Phase::Virgin { deadline, .. } if deadline <= now.voter => {
                self.take_floor(now.wall, outbox);
            }
            Phase::Waiting { until, floor: true } if until <= now.voter => {
                self.take_floor(now.wall, outbox);
            }
            Phase::Waiting { until, floor: false } if until <= now.voter => {
                self.phase = Phase::Ready;
            }
            _ => {}
        }
        self.update_vacancy(now.voter);
    }

    /// The record was lost, or may have been: start above every ballot that can be learned.
    fn take_floor(&mut self, wall: WallTime, outbox: &mut Outbox) {
        // The clock may be insane. What was heard is below the largest ballot, and is never left
        // below.
        let wall = wall.0.clamp(1, super::BALLOT_MAX / 2);
        let mut floor = self.heard_ballot.max(wall);
        if plant::is(Plant::NoFloorAfterWipe) {
            floor = 0;
        }
        let revision = self.ledger.change(|vote| {
            vote.max_ballot = vote.max_ballot.max(floor);
            vote.max_holder = None;
            vote.founding = Founding::Waited;
        });
        self.phase = Phase::Flooring { revision };
        outbox.persist();
    }

    fn update_vacancy(&mut self, now: VoterTime) {
        let vacant = self.may_grant() && self.grant.is_none() && self.reservation.is_none();
        match (&self.vacancy, vacant) {
            (None, true) => self.vacancy = Some(Vacancy { notices: 0, next_notice: now }),
            (Some(_), false) => self.vacancy = None,
            _ => {}
        }
    }

    /// How long until [`Voter::expire`] or [`Voter::notices`] has something to do.
    pub(crate) fn timeout(&self, now: VoterTime) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Virgin { deadline, .. } => Some(deadline),
            Phase::Waiting { until, .. } => Some(until),
            _ => None,
        };
        let grant = self.grant.map(|grant| grant.expiry);
        let notice = self.vacancy.as_ref().map(|vacancy| vacancy.next_notice);
        [phase, grant, notice].into_iter().flatten().min().map(|at| at.since(now))
    }

    /// Notes a ballot that somebody named.
    pub(crate) fn hear_ballot(&mut self, ballot: u64) {
        self.heard_ballot = self.heard_ballot.max(ballot);
    }

    /// Everything up to `revision` is durable, or could not be made so.
    pub(crate) fn stored(&mut self, revision: u64, sound: bool, now: Now, outbox: &mut Outbox) {
        if !sound {
            if let Some(held) = self.reservation.take_if(|held| held.revision <= revision) {
                let reason = NakReason::StoreFailed;
                let nak = Nak { sequence: held.sequence, ballot: held.ballot, reason };
                outbox.send(held.holder, Message::Nak(nak));
            }
            self.update_vacancy(now.voter);
            return;
        }
        self.ledger.stored(revision);
        while let Some((_, to, sequence)) =
            self.acknowledgements.pop_front_if(|(needed, ..)| *needed <= revision)
        {
            outbox.send(to, Message::ReleaseAck { sequence });
        }
        match &self.phase {
            Phase::Founding { revision: needed, map, .. } if *needed <= revision => {
                self.founded = Some(map.clone());
                self.phase = Phase::Ready;
                self.deference.expect_simultaneous_start();
                outbox.event(Event::Founded);
            }
            Phase::Flooring { revision: needed } if *needed <= revision => {
                self.phase = Phase::Ready;
            }
            _ => {}
        }
        if let Some(held) = self.reservation.take_if(|held| held.revision <= revision) {
            // Counted from now, which is later than the request: a grant only gets longer.
            let Reservation { holder, ballot, sequence, granted, .. } = held;
            self.give(holder, ballot, sequence, granted, now.voter, outbox);
        }
        self.update_vacancy(now.voter);
    }

    /// Says what the voter does about its past, once, for the log.
    pub(crate) fn report_start(&self, damaged: bool, now: VoterTime, outbox: &mut Outbox) {
        if damaged {
            outbox.event(Event::Warning(Warning::RecordDamaged));
        }
        if let Some(until) = self.quarantine_until() {
            let milliseconds = crate::vocabulary::time::milliseconds(until.since(now));
            outbox.event(Event::Quarantined { milliseconds });
        }
    }
}

#[cfg(feature = "simulation")]
impl Voter {
    /// See [`super::Election::numbers`].
    pub(crate) fn numbers(&mut self, visit: &mut super::fingerprint::Visitor<'_>) {
        use super::fingerprint::Counter;
        let revisions = Counter::Revisions(self.me);
        self.ledger.numbers(&mut |number| visit(revisions, number));
        if let Phase::Virgin { revision, .. }
        | Phase::Founding { revision, .. }
        | Phase::Flooring { revision } = &mut self.phase
        {
            visit(revisions, revision);
        }
        if let Some(held) = &mut self.reservation {
            visit(revisions, &mut held.revision);
        }
        for (revision, ..) in &mut self.acknowledgements {
            visit(revisions, revision);
        }
        // Which process was idle longest matters to a full table only.
        self.sequence_clock = 0;
        for (process, (sequence, clock)) in &mut self.sequences {
            visit(Counter::Requests(*process), sequence);
            *clock = 0;
        }
        visit(Counter::Statuses(self.me), &mut self.status_sequence);
        self.roll.numbers(visit);
        self.owed_answers(visit);
    }

    /// See [`super::Election::owed_answers`].
    pub(crate) fn owed_answers(&mut self, visit: &mut super::fingerprint::Visitor<'_>) {
        use super::fingerprint::Counter;
        if let Some(held) = &mut self.reservation {
            visit(Counter::Requests(held.holder), &mut held.sequence);
        }
        for (_, to, sequence) in &mut self.acknowledgements {
            visit(Counter::Requests(*to), sequence);
        }
    }
}

/// How long a restart is waited out, but for the bugs planted in it.
fn quarantine(lease: Duration) -> Duration {
    if plant::is(Plant::NoQuarantine) {
        return Duration::ZERO;
    }
    if plant::is(Plant::ShortQuarantine) {
        return lease / 4;
    }
    lease
}

/// Whether the process that wrote this record had yet to start above every ballot it may have
/// forgotten. It cannot have granted anything, so waiting again is all that is asked of it.
fn owes_floor(vote: &Vote) -> bool {
    match vote.founding {
        // Virgin before: it may have been wiped before that.
        Founding::Virgin { .. } => true,
        // It lost its record and died before its floor, which is at least 1, was durable.
        Founding::Waited => vote.max_ballot == 0 && !plant::is(Plant::OwedFloorForgotten),
        // Founded by itself, and what it granted since, if anything, is not in this record: the
        // newer of its two slots may have been lost without a trace.
        Founding::Founded(ref map) => map.len() == 1 && vote.max_ballot == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::Boot;
    use crate::vocabulary::message::Release;
    use crate::vocabulary::time::HolderTime;
    use crate::vocabulary::timing::Profile;

    fn process(number: u64) -> Process {
        Process { id: NodeId::new(number).unwrap(), boot: Boot { start: 1, nonce: number } }
    }

    fn voter(past: VoterPast) -> Voter {
        let voters = VoterSet::new((1..=3).map(|id| process(id).id).collect()).unwrap();
        Voter::new(process(1), voters, &Timing::of(Profile::Lan), past, at(0))
    }

    fn at(milliseconds: u64) -> Now {
        let nanoseconds = milliseconds * 1_000_000;
        Now {
            holder: HolderTime(nanoseconds),
            voter: VoterTime(nanoseconds),
            wall: WallTime(1_700_000_000_000 + milliseconds),
        }
    }

    #[test]
    fn a_release_does_not_pay_the_floor_that_is_owed() {
        let mut lost = voter(VoterPast::Lost);
        let mut outbox = Outbox::new(process(1));
        lost.stored(1, true, at(1), &mut outbox);
        let release = Release { holder: process(2), ballot: 7, all: false, nominee: None };
        lost.release(process(2), 1, &release, at(2), &mut outbox);
        // It crashes before its floor is durable.
        let mut again = voter(VoterPast::Remembered(lost.ledger().vote().clone()));
        again.stored(1, true, at(1), &mut outbox);
        again.expire(at(10_000), &mut outbox);
        assert!(again.ledger().vote().max_ballot > 1_700_000_000_000);
        // Nor does the crash of the one that had it from a release make it less.
        lost.expire(at(10_000), &mut outbox);
        assert!(lost.ledger().vote().max_ballot > 1_700_000_000_000);
    }

    #[test]
    fn a_floor_is_never_below_what_was_heard() {
        let mut lost = voter(VoterPast::Lost);
        let mut outbox = Outbox::new(process(1));
        lost.stored(1, true, at(1), &mut outbox);
        let heard = crate::election::BALLOT_MAX / 2 + 5;
        lost.hear_ballot(heard);
        lost.expire(at(10_000), &mut outbox);
        assert_eq!(lost.ledger().vote().max_ballot, heard);
    }

    #[test]
    fn whoever_is_all_voters_and_finds_an_ungranted_record_waits_and_takes_the_floor() {
        let voters = VoterSet::new(vec![process(1).id]).unwrap();
        let timing = Timing::of(Profile::Lan);
        let alone = |past| Voter::new(process(1), voters.clone(), &timing, past, at(0));
        let first = alone(VoterPast::Virgin { nonce: 4 });
        let mut again = alone(VoterPast::Remembered(first.ledger().vote().clone()));
        assert!(again.quarantine_until() >= Some(VoterTime(600_000_000)));
        let mut outbox = Outbox::new(process(1));
        again.stored(1, true, at(1), &mut outbox);
        again.expire(at(10_000), &mut outbox);
        assert!(again.ledger().vote().max_ballot > 1_700_000_000_000);
    }
}
