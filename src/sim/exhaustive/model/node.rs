//! One node of the model: a process, and the disk that outlives it.

use std::sync::Arc;

use super::breaks::Break;
use crate::election::voter::VoterPast;
use crate::election::{Election, Sight};
use crate::sim::exhaustive::electorate;
use crate::vocabulary::configuration::{Configuration, VoterSet};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::Now;
use crate::wire::message::Founding;
use crate::wire::record::Vote;

/// What a node keeps, as far as its election goes by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kept {
    /// What it owes as a voter, once it is one.
    pub(super) vote: Option<Vote>,
    /// What it stands by as a voter; or else, who votes as far as it knows.
    pub(super) configuration: Configuration,
}

/// A node. Copies share what did not change.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) me: Process,
    pub(super) is_eligible: bool,
    /// Whether its own lease is the shorter one.
    is_short: bool,
    /// It stopped for good and is never heard of again.
    pub(super) is_gone: bool,
    pub(super) election: Arc<Election>,
    /// What the disk remembers.
    pub(super) disk: Option<Arc<Kept>>,
    /// What is being written, and its revision.
    pub(super) pending: Option<(u64, Arc<Kept>)>,
    /// The revision that was written last.
    written: u64,
    /// The highest ballot that was ever durable here, since the disk was last emptied.
    pub(super) watermark: u64,
    /// The first record that said founded: what an old backup holds.
    pub(super) backup: Option<Arc<Kept>>,
}

impl Node {
    /// The first process of a node with an empty disk, of a cluster that these voters found.
    pub(super) fn new(
        id: NodeId,
        founders: &VoterSet,
        is_eligible: bool,
        is_short: bool,
        now: Now,
    ) -> Self {
        let me = electorate::process(id, 1);
        let election = begin(me, None, founders, is_eligible, is_short, now);
        let mut node = Self {
            me,
            is_eligible,
            is_short,
            is_gone: false,
            election: Arc::new(election),
            disk: None,
            pending: None,
            written: 0,
            watermark: 0,
            backup: None,
        };
        node.note_change();
        node
    }

    /// The next process of this node, on what the disk remembers.
    pub(super) fn restart(&mut self, founders: &VoterSet, broken: Break, now: Now) {
        self.me = electorate::process(self.me.id, self.me.boot.start + 1);
        if broken == Break::RolledBackRecords && self.backup.is_some() {
            self.disk.clone_from(&self.backup);
            self.watermark = 0;
        }
        let kept = self.disk.as_deref();
        let election = begin(self.me, kept, founders, self.is_eligible, self.is_short, now);
        self.election = Arc::new(election);
        self.written = 0;
        self.pending = None;
        self.note_change();
    }

    /// Whether this node is Goose at this instant.
    pub(super) fn leads(&self, time: u64) -> bool {
        let now = Break::None.clocks(time).holder;
        !self.is_gone && self.election.lease().is_some_and(|lease| now < lease.deadline)
    }

    pub(super) fn election(&mut self) -> &mut Election {
        Arc::make_mut(&mut self.election)
    }

    /// What is to be kept may have changed: the newest is what is written next.
    pub(super) fn note_change(&mut self) {
        let configuration = self.election.lasting_configuration();
        let newest = self.pending.as_ref().map(|(_, kept)| kept).or(self.disk.as_ref());
        let (vote, revision) = match self.election.vote() {
            Some((vote, revision)) => (Some(vote), revision),
            // What a node owed that votes no more, it does not forget.
            None => (newest.and_then(|kept| kept.vote.as_ref()), 0),
        };
        let is_kept = newest
            .is_some_and(|kept| kept.vote.as_ref() == vote && kept.configuration == *configuration);
        let is_written = self.pending.is_none() && revision <= self.written;
        if !(is_kept && is_written) {
            let kept = Kept { vote: vote.cloned(), configuration: configuration.clone() };
            self.pending = Some((revision, Arc::new(kept)));
        }
    }

    /// Whether it knows of another configuration than what it keeps or is about to.
    pub(super) fn knows_more(&self) -> bool {
        let configuration = self.election.lasting_configuration();
        let newest = self.pending.as_ref().map(|(_, kept)| kept).or(self.disk.as_ref());
        newest.is_some_and(|kept| kept.configuration != *configuration)
    }

    /// What was being written reaches the disk. Returns its revision.
    pub(super) fn reach_disk(&mut self, broken: Break) -> Option<u64> {
        let (revision, kept) = self.pending.take()?;
        self.written = revision;
        if broken != Break::LyingDisks {
            if let Some(vote) = &kept.vote {
                self.watermark = self.watermark.max(vote.max_ballot);
                if self.backup.is_none() && matches!(vote.founding, Founding::Founded(_)) {
                    self.backup = Some(Arc::clone(&kept));
                }
            }
            self.disk = Some(kept);
        }
        Some(revision)
    }

    pub(super) fn empty_disk(&mut self) {
        self.disk = None;
        self.pending = None;
        self.watermark = 0;
        self.backup = None;
    }
}

fn begin(
    me: Process,
    kept: Option<&Kept>,
    founders: &VoterSet,
    is_eligible: bool,
    is_short: bool,
    now: Now,
) -> Election {
    let timing = if is_short { super::short_timing() } else { super::timing() };
    let vote = kept.and_then(|kept| kept.vote.clone());
    let past = vote.map_or(VoterPast::Blank { nonce: me.boot.nonce }, VoterPast::Remembered);
    // Whoever has no record goes by its command line, or by whoever let it in at the founding.
    let founded = || electorate::genesis(founders, &super::timing());
    let configuration = kept.map_or_else(founded, |kept| kept.configuration.clone());
    electorate::election(me, configuration, &timing, is_eligible, past, now)
}

/// What membership would say if everybody saw the first `processes` of everybody.
pub(super) fn sight(me: Process, eligible: &[Process]) -> Sight {
    let rank = eligible.iter().filter(|other| other.id > me.id).count();
    Sight { eligible: eligible.to_vec(), neighbours: Vec::new(), rank }
}
