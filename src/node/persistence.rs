//! What must be durable, and what waits for it.
//!
//! One record is written at a time. What changes meanwhile is written next, all at once. A
//! write that failed is tried again, and nothing that relied on it is said. What nobody waits for
//! is put off for a moment: a voter that was released is claimed within a round trip, and then
//! one write holds both, where the claim would have waited for the first before its own.

use std::net::SocketAddr;
use std::time::Duration;

use super::drained::Durability;
use super::outputs::{Output, Outputs};
use crate::election::Election;
use crate::election::voter::VoterPast;
use crate::vocabulary::configuration::{Configuration, Genesis};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::lineage::Lineage;
use crate::vocabulary::time::{HolderTime, Now, WallTime, milliseconds};
use crate::vocabulary::timing::HOLD_MAX;
use crate::wire::message::Founding;
use crate::wire::record::{Record, Vote};

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
    /// Whether the durable record says that the node is drained; none before the first.
    drained_on_disk: Option<bool>,
    past: Option<(VoterPast, bool, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    ticket: u64,
    vote_revision: u64,
    is_drained: bool,
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
            drained_on_disk: None,
            past: None,
        }
    }

    /// Keeps what the voter will find of its past until the voter set is known.
    pub(super) fn remember_past(&mut self, past: VoterPast, damaged: bool, first_sequence: u32) {
        self.past = Some((past, damaged, first_sequence));
    }

    /// The voter begins anew, and does not vouch for `known`. A ballot that others were told of, by the
    /// clock or by hearsay, is never told lower later all the same, and no grant is waited out for a
    /// shorter time than it may last.
    pub(super) fn raise_past(&mut self, known: &Vote) {
        let Some((past, ..)) = &mut self.past else { return };
        let ballot = known.max_ballot;
        let (nonce, left) = match past {
            VoterPast::Blank { nonce } => (*nonce, 0),
            VoterPast::Lost { nonce, max_ballot } => (*nonce, *max_ballot),
            VoterPast::Remembered(vote) => {
                vote.max_lease_in_force = vote.max_lease_in_force.max(known.max_lease_in_force);
                if ballot > vote.max_ballot {
                    vote.max_ballot = ballot;
                    vote.max_holder = None;
                    // Its record says that it has lost what it promised.
                    if let Some(nonce) = vote.founding.blank_nonce() {
                        vote.founding = Founding::Lost { nonce };
                    }
                }
                return;
            }
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

    /// Others vote from here on, as far as a node knows that does not vote itself.
    pub(super) fn note_configuration(&mut self, configuration: &Configuration) {
        if self.record.configuration.as_ref() != Some(configuration) {
            self.record.configuration = Some(configuration.clone());
            self.dirty = true;
        }
    }

    /// What is in force, as far as this node knows.
    pub(super) fn configuration(&self) -> Option<Configuration> {
        self.record.configuration.clone()
    }

    /// Which founding this is, as far as this node knows.
    pub(super) fn lineage(&self) -> Option<Lineage> {
        self.record.lineage
    }

    /// Which founding this is has been settled, or this node belongs to another cluster now.
    pub(super) fn note_lineage(&mut self, lineage: Option<Lineage>) {
        if self.record.lineage != lineage {
            self.record.lineage = lineage;
            self.dirty = true;
        }
    }

    /// The lineages that a person has rescued this one from.
    pub(super) fn note_ancestors(&mut self, ancestors: &[Lineage]) {
        if self.record.ancestors != ancestors {
            self.record.ancestors = ancestors.to_vec();
            self.dirty = true;
        }
    }

    /// Whatever this node promised as a voter, it promised to a cluster of which another has been
    /// rescued, where it does not vote.
    pub(super) fn forget_vote(&mut self, nonce: u64) {
        let max_ballot = self.record.vote.take().map_or(0, |vote| vote.max_ballot);
        let (_, _, first_sequence) = self.past();
        self.remember_past(VoterPast::Lost { nonce, max_ballot }, false, first_sequence);
        self.dirty = true;
    }

    /// A person has told this node to hold back for so long, or no longer.
    pub(super) fn note_hold(&mut self, hold: Option<Duration>, wall: WallTime) {
        let until = hold.map(|hold| wall.0.saturating_add(milliseconds(hold)));
        if self.record.held_until != until {
            self.record.held_until = until;
            self.dirty = true;
        }
    }

    /// For how long it holds back, as it was told, perhaps in an earlier life. A clock that was put back
    /// makes it no longer than the longest hold.
    pub(super) fn hold(&self, wall: WallTime) -> Option<Duration> {
        let left = self.record.held_until?.checked_sub(wall.0).filter(|left| *left > 0)?;
        Some(Duration::from_millis(left).min(HOLD_MAX))
    }

    /// Whether the node holds back until told otherwise.
    pub(super) fn is_drained(&self) -> bool {
        self.record.is_drained
    }

    /// The node was told to hold back, or to do so no more. Returns whether that is news.
    pub(super) fn note_drained(&mut self, is_drained: bool) -> bool {
        let is_news = self.record.is_drained != is_drained;
        if is_news {
            self.record.is_drained = is_drained;
            // A write under way may still say the opposite.
            self.drained_on_disk = None;
            self.dirty = true;
        }
        is_news
    }

    /// How durable it is that the node is drained, or that it is not.
    pub(super) fn drain_durability(&self) -> Durability {
        if self.ephemeral {
            Durability::Fleeting
        } else if self.drained_on_disk == Some(self.record.is_drained) {
            Durability::Kept
        } else if self.lost {
            Durability::Lost
        } else {
            Durability::Pending
        }
    }

    /// The voter set is known.
    pub(super) fn found(&mut self, genesis: Genesis, configuration: Configuration) {
        self.record.genesis = Some(genesis);
        self.record.configuration = Some(configuration);
        self.dirty = true;
    }

    /// Remembers where the voters are, for a restart without a seed.
    pub(super) fn note_addresses(&mut self, addresses: Vec<(NodeId, SocketAddr)>) {
        if addresses != self.record.addresses {
            self.record.addresses = addresses;
            self.dirty = true;
        }
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

    /// Whether no disk remembers anything.
    pub(super) fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// Whether the first record is durable. Until then the node says nothing.
    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    /// Whether nothing can be made durable any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// When time alone brings something next: a write begins, or the one under way is spoken of.
    pub(super) fn next(&self) -> Option<HolderTime> {
        self.slow_at().or(self.next_write())
    }

    /// When the write under way is spoken of, if it was not yet.
    fn slow_at(&self) -> Option<HolderTime> {
        let untold = self.under_way.filter(|under_way| !under_way.told);
        untold.map(|under_way| under_way.since.plus(SLOW))
    }

    /// When a write begins: never while another is under way, or after the store was lost. No
    /// timer, for which of them counts depends on what else there is to write.
    fn next_write(&self) -> Option<HolderTime> {
        if self.under_way.is_some() || self.lost {
            None
        } else if self.dirty {
            Some(self.retry_at.unwrap_or(HolderTime(0)))
        } else {
            self.put_off
        }
    }

    /// Since when a write is under way that has been spoken of.
    pub(super) fn slow_since(&self) -> Option<HolderTime> {
        self.under_way.filter(|under_way| under_way.told).map(|under_way| under_way.since)
    }

    /// The record that is to be written now, if any is. `vote`: as it is now, and its revision.
    fn begin_write(&mut self, vote: Option<(&Vote, u64)>, now: HolderTime) -> Option<UnderWay> {
        self.next_write().filter(|at| *at <= now)?;
        self.dirty = false;
        self.put_off = None;
        let vote_revision = vote.map_or(0, |(_, revision)| revision);
        if let Some((vote, _)) = vote {
            self.record.vote = Some(vote.clone());
        }
        let ticket = self.next_ticket;
        let is_drained = self.record.is_drained;
        let write = UnderWay { ticket, vote_revision, is_drained, since: now, told: false };
        if !self.ephemeral {
            self.next_ticket += 1;
            self.under_way = Some(write);
        }
        Some(write)
    }

    /// A write failed. Returns whether for another reason than the one before.
    fn failed(&mut self, error: &str, now: HolderTime) -> bool {
        self.dirty = true;
        self.retry_at = Some(now.plus(RETRY));
        let is_other = self.failure.as_deref() != Some(error);
        self.failure = Some(error.to_owned());
        is_other
    }

    /// A write succeeded. Returns whether it was the first.
    fn succeeded(&mut self, write: &UnderWay) -> bool {
        self.drained_on_disk = Some(write.is_drained);
        self.retry_at = None;
        self.failure = None;
        !std::mem::replace(&mut self.started, true)
    }
}

/// Storing, and what it may touch.
pub(super) struct Storing<'a> {
    pub(super) me: Process,
    pub(super) persistence: &'a mut Persistence,
    pub(super) election: Option<&'a mut Election>,
    pub(super) outputs: &'a mut Outputs,
}

impl Storing<'_> {
    /// Hands the record out to be stored, if it changed and nothing is under way. Returns
    /// whether it counts as stored already, which may lead to more.
    pub(super) fn keep(&mut self, now: Now) -> bool {
        let election = self.election.as_deref();
        if let Some(configuration) = election.map(Election::lasting_configuration) {
            self.persistence.note_configuration(configuration);
        }
        let vote = election.and_then(Election::vote);
        let Some(write) = self.persistence.begin_write(vote, now.holder) else { return false };
        if self.persistence.is_ephemeral() {
            self.succeeded(now, &write);
            return true;
        }
        let record = Box::new(self.persistence.record.clone());
        self.outputs.push(Output::Store { ticket: write.ticket, record });
        false
    }

    /// The store answers.
    pub(super) fn answered(&mut self, now: Now, ticket: u64, outcome: Result<(), String>) {
        let write = self.persistence.under_way.take_if(|under_way| under_way.ticket == ticket);
        let Some(write) = write else { return };
        if write.told {
            self.outputs.note_change();
            let milliseconds = milliseconds(now.holder.since(write.since));
            self.outputs.event(Event::StoreAnswered { milliseconds });
        }
        let Err(error) = outcome else { return self.succeeded(now, &write) };
        self.outputs.count().store_failures += 1;
        if self.persistence.failed(&error, now.holder) {
            self.outputs.warn(Warning::StoreFailed { error });
        }
        if let Some(election) = &mut self.election {
            election.handle_stored(now, write.vote_revision, false);
        }
    }

    fn succeeded(&mut self, now: Now, write: &UnderWay) {
        if self.persistence.succeeded(write) {
            self.outputs.event(Event::Started { process: self.me });
        }
        if let Some(election) = &mut self.election {
            election.handle_stored(now, write.vote_revision, true);
        }
    }

    /// Says that a write takes long, once it does.
    pub(super) fn look(&mut self, now: HolderTime) {
        if self.persistence.slow_at().is_none_or(|at| now < at) {
            return;
        }
        if let Some(under_way) = &mut self.persistence.under_way {
            under_way.told = true;
        }
        self.outputs.count().store_stalls += 1;
        self.outputs.note_change();
        self.outputs.warn(Warning::StoreSlow { milliseconds: milliseconds(SLOW) });
    }

    /// Nothing can be made durable any more. What was granted stands until it runs out, and
    /// nothing is granted again.
    pub(super) fn lose(&mut self, now: Now) {
        if std::mem::replace(&mut self.persistence.lost, true) {
            return;
        }
        self.persistence.under_way = None;
        self.outputs.note_change();
        self.outputs.warn(Warning::StoreLost);
        if let Some(election) = &mut self.election {
            election.handle_store_lost(now);
        }
    }
}
