//! One node of the model: a process, and the disk that outlives it.

use std::sync::Arc;

use super::breaks::Break;
use crate::election::voter::VoterPast;
use crate::election::{Election, Sight};
use crate::sim::exhaustive::electorate;
use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::Now;
use crate::wire::message::Founding;
use crate::wire::record::Vote;

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
    pub(super) disk: Option<Arc<Vote>>,
    /// What is being written, and its revision.
    pub(super) pending: Option<(u64, Arc<Vote>)>,
    /// The highest ballot that was ever durable here, since the disk was last emptied.
    pub(super) watermark: u64,
    /// The first record that said founded: what an old backup holds.
    pub(super) backup: Option<Arc<Vote>>,
}

impl Node {
    /// The first process of a node with an empty disk.
    pub(super) fn new(
        id: NodeId,
        voters: &VoterSet,
        is_eligible: bool,
        is_short: bool,
        now: Now,
    ) -> Self {
        let me = electorate::process(id, 1);
        let past = VoterPast::Blank { nonce: me.boot.nonce };
        let election = begin(me, voters, is_eligible, is_short, past, now);
        let mut node = Self {
            me,
            is_eligible,
            is_short,
            is_gone: false,
            election: Arc::new(election),
            disk: None,
            pending: None,
            watermark: 0,
            backup: None,
        };
        node.note_change();
        node
    }

    /// The next process of this node, on what the disk remembers.
    pub(super) fn restart(&mut self, voters: &VoterSet, broken: Break, now: Now) {
        self.me = electorate::process(self.me.id, self.me.boot.start + 1);
        if broken == Break::RolledBackRecords && self.backup.is_some() {
            self.disk.clone_from(&self.backup);
            self.watermark = 0;
        }
        let past = match &self.disk {
            None => VoterPast::Blank { nonce: self.me.boot.nonce },
            Some(vote) => VoterPast::Remembered(Vote::clone(vote)),
        };
        self.election =
            Arc::new(begin(self.me, voters, self.is_eligible, self.is_short, past, now));
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

    /// The vote changed: the newest one is what is written next.
    pub(super) fn note_change(&mut self) {
        if let Some((vote, revision)) = self.election.vote() {
            self.pending = Some((revision, Arc::new(vote.clone())));
        }
    }

    /// What was being written reaches the disk. Returns its revision.
    pub(super) fn reach_disk(&mut self, broken: Break) -> Option<u64> {
        let (revision, vote) = self.pending.take()?;
        if broken != Break::LyingDisks {
            self.watermark = self.watermark.max(vote.max_ballot);
            if self.backup.is_none() && matches!(vote.founding, Founding::Founded(_)) {
                self.backup = Some(Arc::clone(&vote));
            }
            self.disk = Some(vote);
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
    voters: &VoterSet,
    is_eligible: bool,
    is_short: bool,
    past: VoterPast,
    now: Now,
) -> Election {
    let timing = if is_short { super::short_timing() } else { super::timing() };
    electorate::election(me, voters, &timing, is_eligible, past, now)
}

/// What membership would say if everybody saw the first `processes` of everybody.
pub(super) fn sight(me: Process, eligible: &[Process]) -> Sight {
    let rank = eligible.iter().filter(|other| other.id > me.id).count();
    Sight { eligible: eligible.to_vec(), neighbours: Vec::new(), rank }
}
