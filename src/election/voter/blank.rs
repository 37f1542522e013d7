//! A voter without its record: it grants nothing until it is founded with the others (with all of
//! them, or after some patience with a majority), or until all the others have told it what it may
//! have forgotten.

use std::time::Duration;

use super::{Phase, Voter};
use crate::election::founding::{Asker, Heard};
use crate::election::outbox::Outbox;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::lineage::{Lineage, Proposal};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::Lack;
use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};
use crate::vocabulary::timing::FOUNDING_PATIENCE;
use crate::wire::message::{Founding, PollAck};

/// The only voter's newest record may have been a few claims above the one that is left of it.
const SLOT_MARGIN: u64 = 1 << 16;

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(super) struct Blank {
    /// What kind of emptiness it is, with the nonce that names it.
    pub(super) word: Founding,
    /// Until then something may be in force that it granted and forgot.
    pub(super) until: VoterTime,
    /// From then on it asks for a word that counts; none while it waits.
    pub(super) asks_since: Option<HolderTime>,
    /// From then on a majority on empty disks founds without the rest.
    pub(super) patience: VoterTime,
}

impl Blank {
    pub(super) fn new(word: Founding, until: VoterTime, now: VoterTime) -> Self {
        Self { word, until, asks_since: None, patience: now.plus(FOUNDING_PATIENCE).max(until) }
    }

    /// When time alone changes something next, as seen at `now`.
    pub(super) fn next_event(&self, now: VoterTime) -> Option<VoterTime> {
        let wait = self.asks_since.is_none().then_some(self.until);
        // Once it is over, what is heard decides.
        let patience = Some(self.patience).filter(|patience| *patience > now);
        wait.into_iter().chain(patience).min()
    }
}

impl Voter {
    fn asker(&self) -> Asker<'_> {
        Asker { me: self.me.id, configuration: &self.mandate.configuration }
    }

    /// Whose word this voter waits for, and what is wrong with each; nobody's, if it has a record.
    pub(crate) fn awaits(&self) -> Vec<(NodeId, Lack)> {
        match self.phase {
            Phase::Blank(_) => self.roll.lacks(self.asker()),
            _ => Vec::new(),
        }
    }

    /// The wait of a voter without a record ends, if it is over. Returns whether it ends now: then
    /// the others are to be asked at once.
    pub(super) fn end_blank_wait(&mut self, now: Now) -> bool {
        let Phase::Blank(blank) = &mut self.phase else { return false };
        if blank.until > now.voter || blank.asks_since.is_some() {
            return false;
        }
        blank.asks_since = Some(now.holder);
        true
    }

    /// Learns from another voter's answer to a poll of this boot, which was asked at `asked`.
    pub(crate) fn learn(
        &mut self,
        from: Process,
        answer: &PollAck,
        asked: HolderTime,
        outbox: &mut Outbox,
    ) {
        self.hear_ballot(answer.status.max_ballot);
        let Phase::Blank(blank) = &self.phase else { return };
        let Some(report) = &answer.record else { return };
        if !self.mandate.configuration.voters.contains(from.id) || from.id == self.me.id {
            return;
        }
        let is_late_enough = blank.asks_since.is_some_and(|since| asked >= since);
        let (report, max_ballot) = (report.clone(), answer.status.max_ballot);
        self.roll.hear(from.id, Heard { report, max_ballot, is_late_enough });
        self.conclude(outbox);
    }

    /// Goes on, if what was heard suffices.
    fn conclude(&mut self, outbox: &mut Outbox) {
        let Phase::Blank(blank) = &self.phase else { return };
        if !self.stable_vote.is_durable(1) {
            return;
        }
        let may_regain = blank.asks_since.is_some() || mutant::is(Mutant::EarlyAnswersCounted);
        if let Some(map) = self.roll.map(self.asker(), &blank.word) {
            let word = blank.word.clone();
            // All hear the same of each other, so they take the same.
            let own = self.stable_vote.vote().lineage;
            let known = Proposal::newest(own.into_iter().chain(self.roll.lineage()));
            let revision = self.stable_vote.change(|vote| {
                vote.founding = Founding::Founded(map.clone());
                vote.lineage = known.or_else(|| Some(Proposal::of_founding(&map)));
                vote.max_lease_in_force = Duration::ZERO;
            });
            self.phase = Phase::Founding { word, revision, map };
            outbox.persist();
        } else if may_regain && let Some(ballot) = self.roll.highest_ballot(self.asker()) {
            self.resume_above(ballot.max(self.heard_ballot), Founding::Waited, outbox);
            outbox.event(Event::RecordRegained);
        } else if may_regain
            && let Some((map, ballot)) = self.roll.map_with(self.asker(), &blank.word)
        {
            // Named in it, so nothing was lost since.
            self.found_with(map, ballot.max(self.heard_ballot), outbox);
        }
    }

    /// The only voter has nobody to hear of: once its seeds have had their time, it founds.
    pub(super) fn found_alone(&mut self, outbox: &mut Outbox) {
        let Phase::Blank(blank) = &self.phase else { return };
        if self.is_alone() && blank.asks_since.is_some() {
            self.conclude(outbox);
        }
    }

    fn is_alone(&self) -> bool {
        self.mandate.configuration.voters.ids() == [self.me.id]
    }

    /// A seed knows which founding this is, and that nobody else votes: the only voter has lost its
    /// record, and nobody can say what it promised. Returns whether that is so.
    pub(crate) fn hear_earlier_life(
        &mut self,
        lineage: Lineage,
        now: Now,
        outbox: &mut Outbox,
    ) -> bool {
        let Phase::Blank(blank) = &self.phase else { return false };
        let alone = blank.word.blank_nonce().filter(|_| self.is_alone());
        let Some(nonce) = alone else { return false };
        self.stable_vote.change(|vote| {
            vote.founding = Founding::Lost { nonce };
            vote.lineage = Some(Proposal { lineage, ballot: 0 });
        });
        let until = now.voter.plus(self.mandate.lease_max);
        self.phase = Phase::Waiting { until, by_clock: true };
        outbox.persist();
        outbox.event(Event::Warning(Warning::ResumesByClock));
        true
    }

    /// A voter that never comes must not keep a cluster from being founded: once the patience is
    /// over, a majority on empty disks goes on without the rest. Whether the silent ones remember
    /// a cluster cannot be known then, so terms begin above the clock.
    ///
    /// Nor must one process with other settings: if every voter says that it keeps no record, the
    /// cluster is one that keeps none, though it was once told otherwise, and goes by the clock.
    pub(super) fn found_without_the_rest(&mut self, now: Now, outbox: &mut Outbox) {
        let Phase::Blank(blank) = &self.phase else { return };
        if now.voter < blank.patience || !self.stable_vote.is_durable(1) {
            return;
        }
        if let Some(map) = self.roll.map_of_majority(self.asker(), &blank.word) {
            self.found_with(map, self.floor_by_clock(now.wall), outbox);
        } else if self.roll.is_without_records(self.asker(), &blank.word) {
            self.resume_by_clock(now.wall, outbox);
        }
    }

    fn found_with(&mut self, map: Vec<(NodeId, u64)>, ballot: u64, outbox: &mut Outbox) {
        let named = |id: &NodeId| map.iter().any(|(voter, _)| voter == id);
        let voters = self.mandate.configuration.voters.ids().iter().copied();
        let silent: Vec<NodeId> = voters.filter(|id| !named(id)).collect();
        self.resume_above(ballot, Founding::Founded(map), outbox);
        outbox.event(if silent.is_empty() {
            Event::Founded
        } else {
            Event::Warning(Warning::FoundedWithout { silent })
        });
    }

    /// Nobody else can say what was forgotten, so the clock has to do: it starts above every ballot
    /// that is known.
    pub(super) fn resume_by_clock(&mut self, wall: WallTime, outbox: &mut Outbox) {
        self.resume_above(self.floor_by_clock(wall), Founding::Waited, outbox);
    }

    fn floor_by_clock(&self, wall: WallTime) -> u64 {
        // The clock may be insane. What was heard is below the largest ballot, and is never left
        // below.
        let last = crate::election::BALLOT_MAX - 1;
        let wall = wall.0.clamp(1, crate::election::BALLOT_MAX / 2);
        let left = match self.stable_vote.vote().max_ballot {
            0 => 0,
            ballot => ballot.saturating_add(SLOT_MARGIN).min(last),
        };
        self.heard_ballot.max(wall).max(left)
    }

    /// Its own promises are over, and from here on it votes above `ballot`: in one write.
    fn resume_above(&mut self, ballot: u64, founding: Founding, outbox: &mut Outbox) {
        let ballot = if mutant::is(Mutant::NoFloorAfterWipe) { 0 } else { ballot };
        let lineage = self.roll.lineage();
        let configuration = self.mandate.configuration.clone();
        let revision = self.stable_vote.install(&configuration, |vote| {
            vote.max_ballot = vote.max_ballot.max(ballot);
            vote.max_holder = None;
            vote.max_lease_in_force = Duration::ZERO;
            vote.founding = founding;
            vote.lineage = lineage.or(vote.lineage);
        });
        self.phase = Phase::Resuming { revision };
        outbox.persist();
    }
}
