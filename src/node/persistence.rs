//! What must be durable, and what waits for it.
//!
//! One record is written at a time. What changes meanwhile is written next, all at once. A
//! write that failed is tried again, and nothing that relied on it is said. What nobody waits for
//! is put off for a moment: a voter that was released is claimed within a round trip, and then
//! one write holds both, where the claim would have waited for the first before its own.

use std::time::Duration;

use super::{NodeCore, Output};
use crate::election::voter::VoterPast;
use crate::vocabulary::configuration::{Configuration, Genesis};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::record::Record;
use crate::vocabulary::time::{HolderTime, Now, milliseconds};

/// A failed write is tried again after this.
const RETRY: Duration = Duration::from_millis(200);

/// A write that was not confirmed after this is spoken of: a disk that is well takes a thousandth
/// of it, and a slow one a tenth.
const SLOW: Duration = Duration::from_secs(1);

/// What nobody waits for is written after this, unless something else is before. A claim follows
/// a release within a millisecond or two on a local network; whoever released waits for the word
/// that it is durable for as long, and asks again after that.
const PUT_OFF: Duration = Duration::from_millis(5);

/// The record as it should be, and how far the disk is behind.
#[derive(Debug)]
pub(super) struct Persistence {
    record: Record,
    /// No disk at all: everything counts as stored at once.
    ephemeral: bool,
    dirty: bool,
    /// Until when a change may stay unwritten that nobody waits for.
    put_off: Option<HolderTime>,
    next_ticket: u64,
    under_way: Option<UnderWay>,
    retry_at: Option<HolderTime>,
    /// Why the last write failed, which has been told; the next may well fail like it.
    failure: Option<String>,
    started: bool,
    lost: bool,
    past: Option<(VoterPast, bool, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    ticket: u64,
    vote_revision: u64,
    since: HolderTime,
    /// It was said that it takes long.
    told: bool,
}

impl Persistence {
    pub(super) fn new(record: Record, ephemeral: bool) -> Self {
        Self {
            record,
            ephemeral,
            dirty: true,
            put_off: None,
            next_ticket: 1,
            under_way: None,
            retry_at: None,
            failure: None,
            started: false,
            lost: false,
            past: None,
        }
    }

    /// Keeps what the voter will find of its past until the voter set is known.
    pub(super) fn remember_past(&mut self, past: VoterPast, damaged: bool, first_sequence: u32) {
        self.past = Some((past, damaged, first_sequence));
    }

    /// What was told to others, by the clock or by hearsay, is not told lower later.
    pub(super) fn raise_past(&mut self, ballot: u64) {
        let Some((past, ..)) = &mut self.past else { return };
        let (nonce, left) = match past {
            VoterPast::Blank { nonce } => (*nonce, 0),
            VoterPast::Lost { nonce, max_ballot } => (*nonce, *max_ballot),
            VoterPast::Remembered(_) => return,
        };
        if ballot > left {
            *past = VoterPast::Lost { nonce, max_ballot: ballot };
        }
    }

    pub(super) fn past(&self) -> (VoterPast, bool, u32) {
        let unknown = (VoterPast::Lost { nonce: 0, max_ballot: 0 }, false, 0);
        self.past.clone().unwrap_or(unknown)
    }

    /// From here on this process counts as a later start.
    pub(super) fn note_start(&mut self, start: u64) {
        self.record.last_start = start;
        self.dirty = true;
    }

    /// The vote is another one now: what is being written says nothing of it.
    pub(super) fn disown_write(&mut self) {
        if let Some(under_way) = &mut self.under_way {
            under_way.vote_revision = 0;
        }
        self.dirty = true;
    }

    /// The voter set is known.
    pub(super) fn found(&mut self, genesis: Genesis, configuration: Configuration) {
        self.record.genesis = Some(genesis);
        self.record.configuration = Some(configuration);
        self.dirty = true;
    }

    pub(super) fn mark(&mut self) {
        self.dirty = true;
    }

    /// Something changed that nobody waits for.
    pub(super) fn mark_soon(&mut self, now: HolderTime) {
        if self.ephemeral {
            self.dirty = true;
        } else {
            self.put_off.get_or_insert(now.plus(PUT_OFF));
        }
    }

    /// When the next write begins by itself, or the one under way is spoken of.
    pub(super) fn next_deadline(&self) -> Option<HolderTime> {
        if let Some(under_way) = &self.under_way {
            return (!under_way.told).then(|| under_way.since.plus(SLOW));
        }
        let next = if self.dirty { self.retry_at } else { self.put_off };
        next.filter(|_| !self.lost)
    }

    /// Since when a write is under way that has been spoken of.
    pub(super) fn slow_since(&self) -> Option<HolderTime> {
        self.under_way.filter(|under_way| under_way.told).map(|under_way| under_way.since)
    }

    /// Whether the write under way is to be spoken of from `now` on.
    fn turns_slow(&mut self, now: HolderTime) -> bool {
        let slow =
            |under_way: &&mut UnderWay| !under_way.told && now.since(under_way.since) >= SLOW;
        let slow = self.under_way.as_mut().filter(slow);
        slow.map(|under_way| under_way.told = true).is_some()
    }

    /// Whether a write is to begin at `now`.
    fn is_due(&self, now: HolderTime) -> bool {
        let changed = self.dirty || self.put_off.is_some_and(|until| until <= now);
        let waiting = self.retry_at.is_some_and(|at| now < at);
        changed && self.under_way.is_none() && !waiting && !self.lost
    }
}

impl NodeCore {
    /// Whether the first record is durable. Until then the node says nothing.
    pub(super) fn is_started(&self) -> bool {
        self.persistence.started
    }

    /// The store answers: the record of `ticket` is durable, or why it is not.
    pub fn handle_stored(&mut self, now: Now, ticket: u64, outcome: Result<(), String>) {
        self.enter(now);
        let answered = self.persistence.under_way.take_if(|under_way| under_way.ticket == ticket);
        if let Some(under_way) = answered {
            if under_way.told {
                self.index += 1;
                let milliseconds = milliseconds(now.holder.since(under_way.since));
                self.event(Event::StoreAnswered { milliseconds });
            }
            match outcome {
                Ok(()) => self.stored(now, under_way.vote_revision),
                Err(error) => {
                    self.persistence.dirty = true;
                    self.persistence.retry_at = Some(now.holder.plus(RETRY));
                    self.counters.store_failures += 1;
                    if self.persistence.failure.as_ref() != Some(&error) {
                        self.persistence.failure = Some(error.clone());
                        self.event(Event::Warning(Warning::StoreFailed { error }));
                    }
                    if let Some(election) = &mut self.election {
                        election.handle_stored(now, under_way.vote_revision, false);
                    }
                }
            }
        }
        self.settle(now);
    }

    /// Says that a write takes long, once it does.
    pub(super) fn look_at_store(&mut self, now: HolderTime) {
        if self.persistence.turns_slow(now) {
            self.counters.store_stalls += 1;
            self.index += 1;
            let milliseconds = milliseconds(SLOW);
            self.event(Event::Warning(Warning::StoreSlow { milliseconds }));
        }
    }

    /// Nothing can be made durable any more. What was granted stands until it runs out, and
    /// nothing is granted again.
    pub fn handle_store_lost(&mut self, now: Now) {
        self.enter(now);
        if !self.persistence.lost {
            self.persistence.lost = true;
            self.persistence.under_way = None;
            self.index += 1;
            self.event(Event::Warning(Warning::StoreLost));
            if let Some(election) = &mut self.election {
                election.handle_store_lost(now);
            }
        }
        self.settle(now);
    }

    /// Whether nothing can be made durable any more.
    pub(super) fn has_lost_store(&self) -> bool {
        self.persistence.lost
    }

    fn stored(&mut self, now: Now, vote_revision: u64) {
        self.persistence.retry_at = None;
        self.persistence.failure = None;
        if !self.persistence.started {
            self.persistence.started = true;
            self.event(Event::Started { process: self.me });
        }
        if let Some(election) = &mut self.election {
            election.handle_stored(now, vote_revision, true);
        }
    }

    /// Hands the record out to be stored, if it changed and nothing is under way. Returns
    /// whether it counts as stored already, which may lead to more.
    pub(super) fn keep(&mut self, now: Now) -> bool {
        let persistence = &mut self.persistence;
        if !persistence.is_due(now.holder) {
            return false;
        }
        persistence.dirty = false;
        persistence.put_off = None;
        let mut vote_revision = 0;
        if let Some((vote, revision)) = self.election.as_ref().and_then(|it| it.vote()) {
            persistence.record.vote = Some(vote.clone());
            vote_revision = revision;
        }
        if persistence.ephemeral {
            self.stored(now, vote_revision);
            return true;
        }
        let ticket = persistence.next_ticket;
        persistence.next_ticket += 1;
        persistence.under_way =
            Some(UnderWay { ticket, vote_revision, since: now.holder, told: false });
        self.outputs
            .push_back(Output::Store { ticket, record: Box::new(persistence.record.clone()) });
        false
    }

    /// Remembers where the voters are, for a restart without a seed.
    pub(super) fn keep_addresses(&mut self) {
        let Some(election) = &self.election else { return };
        let mut addresses = Vec::new();
        for id in election.configuration().voters.ids() {
            let gossip = self.membership.address_of(*id);
            let address = if *id == self.me.id {
                Some(self.setup.address)
            } else {
                self.addresses.best(*id, gossip)
            };
            addresses.extend(address.map(|address| (*id, address)));
        }
        if addresses != self.persistence.record.addresses {
            self.persistence.record.addresses = addresses;
            self.persistence.dirty = true;
        }
    }
}
