//! What a voter owes, and how much of it is on disk.
//!
//! Every change gets a revision. An answer that relies on a change waits until a revision at
//! least as high is durable; what is said of the highest ballot is what is durable.

use std::collections::VecDeque;

use crate::vocabulary::configuration::{Configuration, ConfigurationStamp};
use crate::vocabulary::lineage::Proposal;
use crate::vocabulary::mutant::{self, Mutant};
use crate::wire::record::Vote;

#[derive(Clone, Debug, Hash)]
pub(crate) struct StableVote {
    vote: Vote,
    revision: u64,
    /// Under which configuration it votes: durable with the vote, in one write.
    configuration: Configuration,
    /// The last revision that changed the configuration.
    installed: u64,
    /// Under which configuration it votes, as far as that is durable.
    durable_configuration: ConfigurationStamp,
    /// Whether only one of the two slots of the record names that configuration yet: what is left
    /// if the other one rots would name one that is over.
    lacks_copy: bool,
    /// The last revision that changed what is promised.
    promise: u64,
    /// The last revision that changed the lineage.
    lineage: u64,
    /// By which lineage the disk says that the voter stands.
    durable_lineage: Option<Proposal>,
    durable_revision: u64,
    durable_ballot: u64,
    /// The highest ballot at each revision that is not durable yet.
    under_way: VecDeque<(u64, u64)>,
}

impl StableVote {
    /// A vote of which nothing is known to be durable: what was read may be in the memory of
    /// the machine only, if the process before this one saw its write fail.
    pub(crate) fn new(vote: Vote, configuration: Configuration) -> Self {
        let under_way = VecDeque::from([(1, vote.max_ballot)]);
        Self {
            vote,
            revision: 1,
            installed: 1,
            lacks_copy: false,
            durable_configuration: configuration.stamp(),
            configuration,
            promise: 1,
            lineage: 1,
            durable_lineage: None,
            durable_revision: 0,
            durable_ballot: 0,
            under_way,
        }
    }

    pub(crate) fn vote(&self) -> &Vote {
        &self.vote
    }

    /// Under which configuration the voter votes from here on.
    pub(crate) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The same, as far as it is durable.
    pub(crate) fn durable_configuration(&self) -> ConfigurationStamp {
        if mutant::is(Mutant::ConfigurationSaidBeforeDurable) {
            return self.configuration.stamp();
        }
        self.durable_configuration
    }

    /// Takes a configuration over together with what `apply` changes: both are durable, or neither.
    pub(crate) fn install(
        &mut self,
        configuration: &Configuration,
        apply: impl FnOnce(&mut Vote),
    ) -> u64 {
        let revision = self.change(apply);
        let was = self.configuration.stamp();
        assert!(!configuration.stamp().is_older_than(&was), "I13: no configuration comes back");
        self.configuration = configuration.clone();
        self.installed = revision;
        self.lacks_copy = true;
        revision
    }

    /// Whether the record is to be written once more, so that both of its slots name the
    /// configuration; asking counts as doing.
    pub(crate) fn turns_to_copy(&mut self) -> bool {
        let due = self.lacks_copy && self.is_durable(self.installed);
        self.lacks_copy &= !due;
        due
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn durable_ballot(&self) -> u64 {
        self.durable_ballot
    }

    pub(crate) fn is_durable(&self, revision: u64) -> bool {
        self.durable_revision >= revision
    }

    /// Whether everything that was promised is durable. A lineage that is not yet is no promise.
    pub(crate) fn is_promise_durable(&self) -> bool {
        self.is_durable(self.promise)
    }

    /// By which lineage the voter stands, as far as that is durable.
    pub(crate) fn durable_lineage(&self) -> Option<Proposal> {
        if mutant::is(Mutant::LineageSaidBeforeDurable) {
            return self.vote.lineage;
        }
        self.durable_lineage
    }

    /// The voter stands by this lineage from here on.
    pub(crate) fn stand_by(&mut self, proposal: Proposal) {
        let promise = self.promise;
        self.change(|vote| vote.lineage = Some(proposal));
        self.promise = promise;
    }

    /// Applies a change and returns the revision that must be durable before it is relied on.
    pub(crate) fn change(&mut self, apply: impl FnOnce(&mut Vote)) -> u64 {
        let (floor, lineage) = (self.vote.max_ballot, self.vote.lineage);
        apply(&mut self.vote);
        assert!(self.vote.max_ballot >= floor, "I5: the highest ballot never falls");
        self.revision += 1;
        self.promise = self.revision;
        if self.vote.lineage != lineage {
            self.lineage = self.revision;
        }
        // Revisions that were never stored one by one are covered by any later one, so a long
        // queue (a disk that keeps failing) may lose its middle.
        if self.under_way.len() >= 64 {
            self.under_way.pop_back();
        }
        self.under_way.push_back((self.revision, self.vote.max_ballot));
        self.revision
    }

    /// Notes that everything up to `revision` is durable.
    pub(crate) fn stored(&mut self, revision: u64) {
        self.durable_revision = self.durable_revision.max(revision);
        if self.is_durable(self.lineage) {
            self.durable_lineage = self.vote.lineage;
        }
        if self.is_durable(self.installed) {
            self.durable_configuration = self.configuration.stamp();
        }
        while let Some((_, ballot)) = self.under_way.front().filter(|(at, _)| *at <= revision) {
            self.durable_ballot = self.durable_ballot.max(*ballot);
            self.under_way.pop_front();
        }
    }
}

#[cfg(feature = "simulation")]
impl StableVote {
    /// See [`super::Election::numbers`].
    pub(crate) fn numbers(&mut self, visit: &mut dyn FnMut(&mut u64)) {
        visit(&mut self.revision);
        visit(&mut self.promise);
        visit(&mut self.lineage);
        visit(&mut self.installed);
        visit(&mut self.durable_revision);
        self.under_way.iter_mut().for_each(|(revision, _)| visit(revision));
    }
}
