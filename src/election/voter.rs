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

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::deference::Deference;
use super::founding::Roll;
use super::ledger::Ledger;
use super::outbox::Outbox;
use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::message::{
    Acquire, AcquireKind, Founding, Goose, Grant, Message, Nak, NakReason, Poll, PollAck, Release,
    Standing, VoterStatus,
};
use crate::vocabulary::record::Vote;
use crate::vocabulary::time::{Now, VoterTime, WallTime};
use crate::vocabulary::timing::Timing;

/// The most processes whose last request number is remembered.
const SEQUENCES_MAX: usize = 64;
/// The most dead processes remembered. Older ones are still stopped by their old ballots.
const TOMBSTONES_MAX: usize = 256;
/// The most releases that wait for the disk at once; one more is answered when sent again.
const ACKNOWLEDGEMENTS_MAX: usize = 32;
/// A vacancy is told again this often, to more and more nodes.
const NOTICE_INTERVAL: Duration = Duration::from_millis(100);
/// After this many notices, they are sent once a second only.
const NOTICES_QUICK: u32 = 20;
/// The most nodes that one notice goes to.
const NOTICE_WIDTH_MAX: usize = 48;

/// How far the voter is from granting.
#[derive(Debug)]
enum Phase {
    Virgin { nonce: u64, revision: u64, deadline: VoterTime },
    Founding { nonce: u64, revision: u64, map: Vec<(NodeId, u64)> },
    Waiting { until: VoterTime, floor: bool },
    Flooring { revision: u64 },
    Ready,
    /// Another live process votes under this id: saying nothing is all that is safe.
    Silenced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldGrant {
    pub(crate) holder: Process,
    pub(crate) ballot: u64,
    pub(crate) expiry: VoterTime,
}

/// A grant that leaves as soon as its record is durable.
#[derive(Debug)]
struct Reservation {
    holder: Process,
    ballot: u64,
    sequence: u64,
    granted: Duration,
    revision: u64,
}

#[derive(Debug)]
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
#[derive(Debug)]
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
                let vote = blank(Founding::Founded(map.clone()), Duration::ZERO);
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
                // Virgin before: it may have been wiped before that, so it takes the floor too.
                let floor = matches!(vote.founding, Founding::Virgin { .. });
                let until = now.voter.plus(vote.max_lease_ever);
                (vote, Phase::Waiting { until, floor })
            }
            VoterPast::Lost => {
                let until = now.voter.plus(lease_max);
                (blank(Founding::Waited, lease_max), Phase::Waiting { until, floor: true })
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

    /// Whether a grant is being written.
    pub(crate) fn is_persisting(&self) -> bool {
        self.reservation.is_some()
    }

    /// Stops voting for good: another live process votes under this id.
    pub(crate) fn silence(&mut self, outbox: &mut Outbox) {
        if !matches!(self.phase, Phase::Silenced) {
            self.phase = Phase::Silenced;
            self.reservation = None;
            outbox.persist();
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
        let floor = self.heard_ballot.max(wall.0).min(super::BALLOT_MAX / 2);
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

    /// Tells contenders of a vacancy, if it is time to: those that polled, and the highest
    /// eligible nodes in sight, more of them each time.
    pub(crate) fn notices(
        &mut self,
        in_sight: &[Process],
        goose: Option<&Goose>,
        now: VoterTime,
        outbox: &mut Outbox,
    ) {
        let Some(vacancy) = self.vacancy.as_mut().filter(|vacancy| vacancy.next_notice <= now)
        else {
            return;
        };
        let width = (3_usize << vacancy.notices.min(4)).min(NOTICE_WIDTH_MAX);
        vacancy.notices = vacancy.notices.saturating_add(1);
        let quick = vacancy.notices < NOTICES_QUICK;
        let pause = if quick { NOTICE_INTERVAL } else { NOTICE_INTERVAL * 10 };
        vacancy.next_notice = now.plus(pause);
        let mut told: Vec<Process> = self.deference.known().collect();
        told.extend(in_sight.iter().take(width));
        told.sort_unstable();
        told.dedup();
        for process in told {
            let highest = in_sight.first().map(|process| process.id);
            let status = self.status(process.id, highest, goose, now);
            outbox.send(process, Message::Vacant(status));
        }
    }

    /// This voter's word on itself, to `reader`.
    fn status(
        &mut self,
        reader: NodeId,
        in_sight: Option<NodeId>,
        goose: Option<&Goose>,
        now: VoterTime,
    ) -> VoterStatus {
        self.status_sequence += 1;
        let standing = self.standing(now);
        let vacant = standing == Standing::Vacant;
        let top_contender =
            if vacant { self.deference.ahead_of(reader, in_sight, now) } else { None };
        VoterStatus {
            sequence: self.status_sequence,
            standing,
            max_ballot: self.ledger.durable_ballot(),
            top_contender,
            goose: goose.cloned(),
        }
    }

    fn standing(&self, now: VoterTime) -> Standing {
        match (&self.phase, &self.grant) {
            (Phase::Virgin { .. } | Phase::Founding { .. } | Phase::Silenced, _) => {
                Standing::Virgin
            }
            (_, Some(grant)) => Standing::Held {
                holder: grant.holder,
                ballot: grant.ballot,
                remaining: grant.expiry.since(now),
            },
            (Phase::Waiting { until, .. }, None) => Standing::Quarantined {
                remaining: until.since(now),
                holder: self.ledger.vote().max_holder,
            },
            (Phase::Flooring { .. }, None) => Standing::Persisting,
            (Phase::Ready, None) if self.reservation.is_some() => Standing::Persisting,
            (Phase::Ready, None) => Standing::Vacant,
        }
    }

    /// Whether this voter says anything at all yet: never before what it says is durable.
    fn is_mute(&self) -> bool {
        match self.phase {
            Phase::Virgin { revision, .. } => !self.ledger.is_durable(revision),
            Phase::Silenced => true,
            _ => !self.ledger.is_durable(1),
        }
    }

    /// Answers a poll.
    pub(crate) fn poll(
        &mut self,
        from: Process,
        poll: &Poll,
        in_sight: Option<NodeId>,
        goose: Option<&Goose>,
        now: Now,
        outbox: &mut Outbox,
    ) {
        if self.is_mute() {
            return;
        }
        if poll.eligible && !self.tombstones.contains(&from) {
            self.deference.hear(from, poll.quorum_connected, now.voter);
        }
        let status = self.status(from.id, in_sight, goose, now.voter);
        let founding = poll.founding.then(|| match (&self.phase, &self.founded) {
            (Phase::Virgin { nonce, .. } | Phase::Founding { nonce, .. }, _) => {
                Founding::Virgin { nonce: *nonce }
            }
            (_, Some(map)) => Founding::Founded(map.clone()),
            (_, None) => Founding::Waited,
        });
        let answer = PollAck { sequence: poll.sequence, status, founding };
        outbox.send(from, Message::PollAck(answer));
    }

    /// Learns from another voter's answer to a poll of this boot.
    pub(crate) fn learn(&mut self, from: Process, answer: &PollAck, outbox: &mut Outbox) {
        self.hear_ballot(answer.status.max_ballot);
        let Phase::Virgin { nonce, revision, .. } = self.phase else { return };
        let Some(founding) = &answer.founding else { return };
        if !self.voters.contains(from.id) || from.id == self.me.id {
            return;
        }
        self.roll.hear(from.id, from.boot, answer.status.sequence, founding.clone());
        if !self.ledger.is_durable(revision) {
            return;
        }
        let Some(map) = self.roll.map(self.me.id, nonce, &self.voters) else { return };
        let revision = self.ledger.change(|vote| {
            vote.founding = Founding::Founded(map.clone());
            vote.max_lease_ever = Duration::ZERO;
        });
        self.phase = Phase::Founding { nonce, revision, map };
        outbox.persist();
    }

    /// Notes a ballot that somebody named.
    pub(crate) fn hear_ballot(&mut self, ballot: u64) {
        self.heard_ballot = self.heard_ballot.max(ballot);
    }

    /// Decides on a request for a grant. The rules are taken in this order; each comment names
    /// what would go wrong without it.
    pub(crate) fn acquire(
        &mut self,
        from: Process,
        acquire: &Acquire,
        in_sight: Option<NodeId>,
        now: Now,
        outbox: &mut Outbox,
    ) {
        if self.is_mute() || !self.admit_sequence(from, acquire.sequence) {
            return;
        }
        match self.judge(from, acquire, in_sight, now, outbox) {
            Ok(()) => self.promise(from, acquire, now, outbox),
            Err(reason) => refuse(from, acquire, reason, outbox),
        }
        self.update_vacancy(now.voter);
    }

    /// A request number that was seen, or an older one, is ignored: duplicates must never
    /// lengthen a grant.
    fn admit_sequence(&mut self, from: Process, sequence: u64) -> bool {
        self.sequence_clock += 1;
        let entry = self.sequences.entry(from).or_insert((0, 0));
        if sequence <= entry.0 {
            return false;
        }
        *entry = (sequence, self.sequence_clock);
        if self.sequences.len() > SEQUENCES_MAX {
            let holder = self.grant.map(|grant| grant.holder);
            let last_holder = self.ledger.vote().max_holder;
            let spared = |process: &Process| Some(*process) == holder || Some(*process) == last_holder;
            let idlest = self.sequences.iter().filter(|(process, _)| !spared(process));
            if let Some(process) = idlest.min_by_key(|(_, entry)| entry.1).map(|(key, _)| *key) {
                self.sequences.remove(&process);
            }
        }
        true
    }

    fn judge(
        &mut self,
        from: Process,
        acquire: &Acquire,
        in_sight: Option<NodeId>,
        now: Now,
        outbox: &mut Outbox,
    ) -> Result<(), NakReason> {
        if self.tombstones.contains(&from) {
            return Err(NakReason::Dead);
        }
        if self.is_virgin() {
            return Err(NakReason::Virgin);
        }
        if let Some(certificate) = &acquire.certificate {
            if certificate.holder != from {
                self.apply_release(certificate, now, outbox);
            }
        }
        // A grant from before the restart may still be counted; it can only be the last
        // holder's own, so that one may go on.
        if let Phase::Waiting { until, .. } = self.phase {
            if self.ledger.vote().max_holder != Some(from) {
                return Err(NakReason::Quarantine { remaining: until.since(now.voter) });
            }
        }
        if matches!(self.phase, Phase::Flooring { .. }) {
            return Err(NakReason::Persisting);
        }
        if let Some(grant) = &self.grant {
            if grant.holder.id == from.id && grant.holder != from {
                return Err(NakReason::DuplicateId);
            }
            if grant.holder != from {
                return Err(NakReason::Held { remaining: grant.expiry.since(now.voter) });
            }
        }
        if self.reservation.is_some() {
            return Err(NakReason::Persisting);
        }
        // One holder per ballot, for ever: a term is a ballot.
        let vote = self.ledger.vote();
        let taken = acquire.ballot == vote.max_ballot && vote.max_holder != Some(from);
        if acquire.ballot < vote.max_ballot || taken {
            return Err(NakReason::Stale { max_ballot: vote.max_ballot });
        }
        let claims = acquire.kind == AcquireKind::Claim && self.grant.is_none();
        if claims && self.may_grant() {
            if let Some(to) = self.deference.ahead_of(from.id, in_sight, now.voter) {
                return Err(NakReason::Defer { to });
            }
        }
        Ok(())
    }

    /// Grants, after whatever changes is durable.
    fn promise(&mut self, from: Process, acquire: &Acquire, now: Now, outbox: &mut Outbox) {
        let granted = acquire.lease.min(self.lease_max);
        // A claim is followed by a renewal to L at once, which then needs no write.
        let owed = match acquire.kind {
            AcquireKind::Claim => granted.max(self.lease.min(self.lease_max)),
            AcquireKind::Renew => granted,
        };
        let vote = self.ledger.vote();
        let unchanged = vote.max_ballot == acquire.ballot
            && vote.max_holder == Some(from)
            && vote.max_lease_ever >= owed
            && self.ledger.is_durable(self.ledger.revision());
        if unchanged {
            if acquire.kind == AcquireKind::Renew {
                self.deference.settle();
            }
            self.give(from, acquire.ballot, acquire.sequence, granted, now.voter, outbox);
            return;
        }
        let revision = self.ledger.change(|vote| {
            vote.max_ballot = acquire.ballot;
            vote.max_holder = Some(from);
            vote.max_lease_ever = vote.max_lease_ever.max(owed);
        });
        self.reservation = Some(Reservation {
            holder: from,
            ballot: acquire.ballot,
            sequence: acquire.sequence,
            granted,
            revision,
        });
        outbox.persist();
    }

    fn give(
        &mut self,
        holder: Process,
        ballot: u64,
        sequence: u64,
        granted: Duration,
        now: VoterTime,
        outbox: &mut Outbox,
    ) {
        let old = self.grant.map_or(VoterTime(0), |grant| grant.expiry);
        let conflicting = self.grant.is_some_and(|grant| grant.holder != holder);
        assert!(!conflicting, "I4: a grant to one process while another holds one");
        self.grant = Some(HeldGrant { holder, ballot, expiry: old.max(now.plus(granted)) });
        let standby = self.deference.standby(holder.id, now);
        let grant = Grant { sequence, ballot, granted, standby };
        outbox.send(holder, Message::Grant(grant));
    }

    /// Applies a release that came by itself, and acknowledges it once it is durable.
    pub(crate) fn release(
        &mut self,
        from: Process,
        sequence: u64,
        release: &Release,
        now: Now,
        outbox: &mut Outbox,
    ) {
        if self.is_mute() || self.is_virgin() {
            return;
        }
        self.apply_release(release, now, outbox);
        let revision = self.ledger.revision();
        if self.ledger.is_durable(revision) {
            outbox.send(from, Message::ReleaseAck { sequence });
        } else if self.acknowledgements.len() < ACKNOWLEDGEMENTS_MAX {
            self.acknowledgements.push_back((revision, from, sequence));
        }
        self.update_vacancy(now.voter);
    }

    /// A release names its process and ballot, so a late copy ends nothing newer.
    fn apply_release(&mut self, release: &Release, now: Now, outbox: &mut Outbox) {
        let Release { holder, ballot, all, nominee } = *release;
        if all && !self.tombstones.contains(&holder) {
            if self.tombstones.len() >= TOMBSTONES_MAX {
                self.tombstones.pop_front();
            }
            self.tombstones.push_back(holder);
            self.deference.remove(holder);
        }
        let covers = |whose: Process, which: u64| whose == holder && (all || which <= ballot);
        if self.reservation.as_ref().is_some_and(|held| covers(held.holder, held.ballot)) {
            self.reservation = None;
        }
        if self.grant.take_if(|grant| covers(grant.holder, grant.ballot)).is_some() {
            self.deference.remove(holder);
            self.deference.nominate(nominee.filter(|id| *id != holder.id), now.voter);
        }
        let vote = self.ledger.vote();
        if vote.max_holder == Some(holder) && (all || vote.max_ballot <= ballot) {
            if let Phase::Waiting { floor: false, .. } = self.phase {
                self.phase = Phase::Ready;
            }
        }
        let max_ballot = vote.max_ballot.max(ballot);
        let his = vote.max_ballot < ballot || vote.max_holder == Some(holder);
        let ends = his && (all || max_ballot == ballot);
        let max_holder = if ends { None } else { vote.max_holder };
        if (max_ballot, max_holder) != (vote.max_ballot, vote.max_holder) {
            self.ledger.change(|vote| {
                vote.max_ballot = max_ballot;
                vote.max_holder = max_holder;
            });
            outbox.persist();
        }
        self.update_vacancy(now.voter);
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

fn refuse(from: Process, acquire: &Acquire, reason: NakReason, outbox: &mut Outbox) {
    let nak = Nak { sequence: acquire.sequence, ballot: acquire.ballot, reason };
    outbox.send(from, Message::Nak(nak));
}
