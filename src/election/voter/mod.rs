//! A voter: grants one lease at a time, and stands by it across crashes.
//!
//! ```text
//!            no record            heard that nobody has one      map durable
//!   start ──────────────▶ Blank ──────────────────────────▶ Founding ────▶ Ready
//!     │                     │                                                ▲
//!     │ record              │ waited, then heard all others: durable         │
//!     │                     ├──────────────────────────────▶ Resuming ───────┤
//!     │                     │ patience over, all heard are empty: durable    │
//!     │                     └──────────────────────────────▶ Resuming ───────┤
//!     └──────────────▶ Waiting ──quarantine over─────────────────────────────┘
//! ```
//!
//! Where nobody else can say what a lost record said (the only voter; a cluster that was founded
//! to keep none), a voter waits and then resumes above what the clock says: the weaker promise.
//!
//! Only a Ready voter grants, with one exception: while it waits, the holder that its record
//! names may renew, because only that holder can still have a live grant from before the restart.
//!
//! Assumptions: `now` is read after the message was received; a record that was reported as
//! stored survives a crash; [`crate::vocabulary::timing`] bounds the clocks.

mod blank;
mod grants;
mod standing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::deference::Deference;
use super::founding::Roll;
use super::outbox::Outbox;
use super::stable_vote::StableVote;
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::lineage::{Lineage, Proposal};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{Now, VoterTime};
use crate::vocabulary::timing::Timing;
use crate::wire::message::{Acquire, AcquireKind, Founding, Message, Nak, NakReason};
use crate::wire::record::Vote;
use blank::Blank;

/// How far the voter is from granting.
#[derive(Clone, Debug, Hash)]
enum Phase {
    Blank(Blank),
    Founding {
        word: Founding,
        revision: u64,
        map: Vec<(NodeId, u64)>,
    },
    /// It waits out what it may have granted before. `by_clock`: it has forgotten what that was,
    /// and nobody else can say.
    Waiting {
        until: VoterTime,
        by_clock: bool,
    },
    Resuming {
        revision: u64,
    },
    /// It never voted as far as it knows, and comes to by the word of a Goose: not before `until`.
    Learning {
        until: VoterTime,
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
    answer: Answer,
    revision: u64,
}

/// What a grant says of the request that it answers.
#[derive(Clone, Debug, Hash)]
struct Answer {
    ballot: u64,
    sequence: u64,
    granted: Duration,
    /// The asker wants to know by which lineage the voter stands.
    names_lineage: bool,
}

impl Answer {
    fn to(acquire: &Acquire, granted: Duration) -> Self {
        let Acquire { ballot, sequence, .. } = *acquire;
        let names_lineage = acquire.kind == AcquireKind::Claim || acquire.lineage.is_some();
        Self { ballot, sequence, granted, names_lineage }
    }

    fn refusal(&self, reason: NakReason) -> Nak {
        Nak { sequence: self.sequence, ballot: self.ballot, reason }
    }
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
    Blank {
        /// Drawn at random for this start.
        nonce: u64,
    },
    /// A sound record.
    Remembered(Vote),
    /// There was a record, or there may have been one.
    Lost {
        /// Drawn at random for this start.
        nonce: u64,
        /// The highest ballot that is still readable somewhere; 0 if none is.
        max_ballot: u64,
    },
}

impl VoterPast {
    /// The highest ballot that it names.
    pub fn ballot(&self) -> u64 {
        match self {
            Self::Blank { .. } => 0,
            Self::Remembered(vote) => vote.max_ballot,
            Self::Lost { max_ballot, .. } => *max_ballot,
        }
    }
}

/// What a voter of this process does without its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Memory {
    /// It keeps one, as all voters of its cluster should.
    #[default]
    Kept,
    /// It keeps none, so every start is a loss.
    Fleeting,
    /// The cluster was founded to keep none: the clock stands in for what is forgotten.
    Clock,
}

/// What a voter knows of its cluster.
#[derive(Clone, Debug, Hash)]
pub struct Mandate {
    /// Who votes, by what this node stands by or was told.
    pub configuration: Configuration,
    /// The longest lease that any voter grants, whatever its own settings are.
    pub lease_max: Duration,
    /// What this process does without its record.
    pub memory: Memory,
    /// Which founding it is, if this node knows it from what is left of its record.
    pub lineage: Option<Lineage>,
    /// See [`super::ElectionSetup::asks_first`].
    pub asks_first: Duration,
}

/// One voter's state.
#[derive(Clone, Debug, Hash)]
pub struct Voter {
    me: Process,
    mandate: Mandate,
    lease: Duration,
    lease_max: Duration,
    stable_vote: StableVote,
    phase: Phase,
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
    /// Whom its record named when it started, and for which ballot: a grant from before can be no other
    /// process's.
    before: Option<(Process, u64)>,
    /// Its node is about to leave.
    leaves: bool,
    /// The highest ballot said by anybody: what was forgotten may have been as high.
    heard_ballot: u64,
}

impl Voter {
    /// A voter that starts at `now`. Its record is to be stored at once; until then it says
    /// nothing.
    pub fn new(me: Process, mandate: Mandate, timing: &Timing, past: VoterPast, now: Now) -> Self {
        let (vote, phase) = begin(me, &mandate, timing.lease_max, past, now);
        let before = vote.max_holder.map(|holder| (holder, vote.max_ballot));
        Self {
            me,
            before: before.filter(|_| matches!(phase, Phase::Waiting { by_clock: false, .. })),
            lease: timing.lease,
            lease_max: timing.lease_max.min(mandate.lease_max),
            stable_vote: StableVote::new(vote, mandate.configuration.clone()),
            mandate,
            phase,
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
            leaves: false,
            heard_ballot: 0,
        }
    }

    /// A voter that comes to vote by the word of a Goose, in a process that began at `started`. It
    /// may have voted before and lost its record, and so waits for the longest lease there is.
    pub fn learner(
        me: Process,
        mandate: Mandate,
        timing: &Timing,
        past: VoterPast,
        started: VoterTime,
        now: Now,
    ) -> Self {
        let wait =
            if mutant::is(Mutant::LearnerDoesNotWait) { Duration::ZERO } else { mandate.lease_max };
        let mut learner = Self::new(me, mandate, timing, past, now);
        learner.phase = Phase::Learning { until: started.plus(wait) };
        learner
    }

    /// Under which configuration this voter votes, as far as that is durable.
    pub(crate) fn stamp(&self) -> ConfigurationStamp {
        self.stable_vote.durable_configuration()
    }

    /// Others name a configuration. A voter that has no record to stand by goes by it from here
    /// on; any other takes one over of the holder of its grant alone. The only voter that lost its
    /// record, and waits to go on by its clock, learns that it is not the only one any more: it needs
    /// the others' word like any other.
    pub(crate) fn hear_configuration(&mut self, configuration: &Configuration, now: Now) {
        if !self.mandate.configuration.is_older_than(configuration) {
            return;
        }
        match self.phase {
            Phase::Blank(_) => self.roll.retain(&configuration.voters),
            Phase::Waiting { until, by_clock: true } if self.mandate.memory != Memory::Clock => {
                let lost = Founding::Lost { nonce: self.me.boot.nonce };
                let known = self.stable_vote.vote().founding.clone();
                let word = if known.blank_nonce().is_some() { known } else { lost };
                self.phase = Phase::Blank(Blank::new(word, until, now.voter));
            }
            _ => return,
        }
        self.mandate.configuration = configuration.clone();
    }

    /// Whether it comes to vote by the word of a Goose, and has not granted yet.
    pub(crate) fn is_learning(&self) -> bool {
        matches!(self.phase, Phase::Learning { .. })
    }

    /// What must be durable, and its revision.
    pub(crate) fn stable_vote(&self) -> &StableVote {
        &self.stable_vote
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

    /// Whether it has no record to stand by, and so wants to hear from the other voters.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self.phase, Phase::Blank(_) | Phase::Founding { .. })
    }

    /// Whether it stands by what was promised under this configuration.
    pub(crate) fn has_record(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Waiting { by_clock: false, .. })
    }

    /// Whether what it promised shows that its cluster was founded as it believes. A voter that
    /// resumed by the clock has not heard anybody, and may be alone in taking the cluster to keep
    /// no records; it vouches for that while its newest ballot has a holder.
    pub(crate) fn vouches(&self) -> bool {
        let by_clock = self.mandate.memory == Memory::Clock;
        self.has_record() && !(by_clock && self.stable_vote.vote().max_holder.is_none())
    }

    /// Whether nothing is in force or under way that this voter has granted.
    pub(crate) fn is_free(&self) -> bool {
        self.grant.is_none() && self.reservation.is_none()
    }

    /// What a restart of this voter would find of its past.
    pub(crate) fn past(&self) -> VoterPast {
        VoterPast::Remembered(self.stable_vote.vote().clone())
    }

    pub(crate) fn may_grant(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// From here on its grants say that it is about to leave.
    pub(crate) fn part(&mut self) {
        self.leaves = true;
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

    /// Applies every expiry up to `now`. Called before any other input is. Returns whether the
    /// other voters are to be asked at once.
    pub(crate) fn expire(&mut self, now: Now, outbox: &mut Outbox) -> bool {
        if let Some(grant) = self.grant.take_if(|grant| grant.expiry <= now.voter) {
            self.deference.remove(grant.holder);
        }
        let asks = self.end_blank_wait(now);
        self.found_alone(outbox);
        self.found_without_the_rest(now, outbox);
        match self.phase {
            Phase::Waiting { until, by_clock: true } if until <= now.voter => {
                self.resume_by_clock(now.wall, outbox);
            }
            Phase::Waiting { until, by_clock: false } if until <= now.voter => {
                self.phase = Phase::Ready;
            }
            _ => {}
        }
        self.update_vacancy(now.voter);
        asks
    }

    fn update_vacancy(&mut self, now: VoterTime) {
        let vacant = self.may_grant() && self.grant.is_none() && self.reservation.is_none();
        match (&self.vacancy, vacant) {
            (None, true) => self.vacancy = Some(Vacancy { notices: 0, next_notice: now }),
            (Some(_), false) => self.vacancy = None,
            _ => {}
        }
    }

    /// How long until [`Voter::expire`] or [`Voter::notices`] has something to do. No table of
    /// timers: each of these times is itself a part of what the voter stands by, and is kept with
    /// the grant, the wait or the vacancy that it ends.
    pub(crate) fn timeout(&self, now: VoterTime) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Blank(ref blank) => blank.next_event(now),
            Phase::Waiting { until, .. } => Some(until),
            Phase::Learning { until } => Some(until).filter(|until| *until > now),
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
                let nak = held.answer.refusal(NakReason::StoreFailed);
                outbox.send(held.holder, Message::Nak(nak));
            }
            self.update_vacancy(now.voter);
            return;
        }
        self.stable_vote.stored(revision);
        if self.stable_vote.turns_to_copy() {
            outbox.persist_soon();
        }
        let is_due = |(needed, ..): &&(u64, _, _)| *needed <= revision;
        while let Some(&(_, to, sequence)) = self.acknowledgements.front().filter(is_due) {
            self.acknowledgements.pop_front();
            outbox.send(to, Message::ReleaseAck { sequence });
        }
        self.found_alone(outbox);
        match &self.phase {
            Phase::Founding { revision: needed, .. } if *needed <= revision => {
                self.phase = Phase::Ready;
                self.deference.expect_simultaneous_start();
                outbox.event(Event::Founded);
            }
            Phase::Resuming { revision: needed } if *needed <= revision => {
                self.phase = Phase::Ready;
            }
            _ => {}
        }
        if let Some(held) = self.reservation.take_if(|held| held.revision <= revision) {
            let vote = self.stable_vote.vote();
            let named =
                (vote.max_ballot, vote.max_holder) == (held.answer.ballot, Some(held.holder));
            if !named && !mutant::is(Mutant::LowerBallotGranted) {
                // A release named a higher ballot meanwhile: after a crash, nothing on disk would
                // say that the grant was ever given.
                let reason = NakReason::Stale { max_ballot: vote.max_ballot };
                let nak = held.answer.refusal(reason);
                outbox.send(held.holder, Message::Nak(nak));
                return self.update_vacancy(now.voter);
            }
            // Counted from now, which is later than the request: a grant only gets longer.
            self.give(held.holder, &held.answer, now.voter, outbox);
        }
        self.update_vacancy(now.voter);
    }

    /// Says what the voter does about its past, once, for the log.
    pub(crate) fn report_start(&self, damaged: bool, now: VoterTime, outbox: &mut Outbox) {
        if damaged {
            outbox.event(Event::Warning(Warning::RecordDamaged));
        }
        let until = match &self.phase {
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Blank(blank) if !matches!(blank.word, Founding::Blank { .. }) => {
                Some(blank.until)
            }
            _ => None,
        };
        if damaged && matches!(self.phase, Phase::Waiting { by_clock: true, .. }) {
            outbox.event(Event::Warning(Warning::ResumesByClock));
        }
        if let Some(until) = until {
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
        self.stable_vote.numbers(&mut |number| visit(revisions, number));
        if let Phase::Founding { revision, .. } | Phase::Resuming { revision } = &mut self.phase {
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
        self.owed_answers(visit);
    }

    /// See [`super::Election::owed_answers`].
    pub(crate) fn owed_answers(&mut self, visit: &mut super::fingerprint::Visitor<'_>) {
        use super::fingerprint::Counter;
        if let Some(held) = &mut self.reservation {
            visit(Counter::Requests(held.holder), &mut held.answer.sequence);
        }
        for (_, to, sequence) in &mut self.acknowledgements {
            visit(Counter::Requests(*to), sequence);
        }
    }
}

/// How long a restart is waited out, but for mutants.
fn quarantine(lease: Duration) -> Duration {
    if mutant::is(Mutant::NoQuarantine) {
        return Duration::ZERO;
    }
    if mutant::is(Mutant::ShortQuarantine) {
        return lease / 4;
    }
    lease
}

/// What a voter owes that starts at `now` with this past, and what it does first.
fn begin(
    me: Process,
    mandate: &Mandate,
    own_lease_max: Duration,
    past: VoterPast,
    now: Now,
) -> (Vote, Phase) {
    let is_alone = mandate.configuration.voters.ids() == [me.id];
    // Nobody else remembers what this voter may have forgotten.
    let by_clock = is_alone || mandate.memory == Memory::Clock;
    let waits = |lease| now.voter.plus(quarantine(lease));
    let whole_wait =
        if mutant::is(Mutant::WaitsOwnLeaseOnly) { own_lease_max } else { mandate.lease_max };
    let is_remembered = matches!(past, VoterPast::Remembered(_));
    let mut vote = match past {
        VoterPast::Remembered(vote) => vote,
        VoterPast::Blank { nonce } => {
            Vote { founding: Founding::Blank { nonce }, ..Vote::lost(nonce, 0, mandate.lease_max) }
        }
        VoterPast::Lost { nonce, max_ballot } => Vote::lost(nonce, max_ballot, mandate.lease_max),
    };
    // What is settled stays so, whatever else was lost: voters that have all lost their records found
    // the same cluster again.
    let settled = mandate.lineage.map(|lineage| Proposal { lineage, ballot: 0 });
    vote.lineage = vote.lineage.or(settled);
    if is_alone && matches!(vote.founding, Founding::Founded(_)) && vote.max_ballot == 0 {
        // Founded by itself, and what it granted since, if anything, is not in this record: the
        // newer of its two slots may have been lost without a trace.
        return (vote, Phase::Waiting { until: waits(whole_wait), by_clock: true });
    }
    let forgets = is_remembered && mutant::is(Mutant::LossForgotten);
    let lazy = is_remembered && mutant::is(Mutant::RestartedBlankDoesNotWait);
    let nonce = vote.founding.blank_nonce().filter(|_| !forgets && !lazy);
    let Some(nonce) = nonce else {
        let until = if lazy { now.voter } else { waits(vote.max_lease_in_force) };
        return (vote, Phase::Waiting { until, by_clock: false });
    };
    let is_blank = matches!(vote.founding, Founding::Blank { .. });
    if is_alone && is_blank && mandate.memory != Memory::Clock && !mandate.asks_first.is_zero() {
        let (word, until) = (vote.founding.clone(), now.voter.plus(mandate.asks_first));
        return (vote, Phase::Blank(Blank::new(word, until, now.voter)));
    }
    if is_alone && is_blank && mandate.memory != Memory::Clock {
        // Nobody else's memory is needed, so the founding is complete with the first record.
        let map = vec![(me.id, nonce)];
        vote.founding = Founding::Founded(map.clone());
        vote.lineage.get_or_insert(Proposal::of_founding(&map));
        return (vote, Phase::Founding { word: Founding::Blank { nonce }, revision: 1, map });
    }
    if by_clock {
        return (vote, Phase::Waiting { until: waits(whole_wait), by_clock: true });
    }
    if mandate.memory == Memory::Fleeting {
        vote.founding = Founding::Fleeting { nonce };
    }
    let word = vote.founding.clone();
    (vote, Phase::Blank(Blank::new(word, waits(whole_wait), now.voter)))
}

#[cfg(test)]
mod tests;
