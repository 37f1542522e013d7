//! Which cluster this node belongs to, as far as it knows, and how sure of that it is.

use crate::election::Election;
use crate::vocabulary::configuration::{ClusterName, Genesis};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::{ANCESTORS_MAX, Kinship, Lineage, LineageClaim};
use crate::vocabulary::reject::Reject;
use crate::wire::datagram::Header;
use crate::wire::message::Assurance;

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Of its name.
    digest: u64,
    genesis: Option<Genesis>,
    /// The lineages that a person has rescued this one from, the newest last.
    ancestors: Vec<Lineage>,
    /// How sure this node is of that while it does not vote.
    assurance: Assurance,
}

/// As many as are remembered.
fn newest(ancestors: &[Lineage]) -> Vec<Lineage> {
    ancestors[ancestors.len().saturating_sub(ANCESTORS_MAX)..].to_vec()
}

impl Cluster {
    /// `ancestors`: as this node's record has them.
    pub(super) fn new(name: &ClusterName, ancestors: &[Lineage]) -> Self {
        let assurance = Assurance::Assumed;
        Self { digest: name.digest(), genesis: None, ancestors: newest(ancestors), assurance }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// What it was founded with, once that is known.
    pub(super) fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref()
    }

    /// Whether its voters keep no records.
    pub(super) fn is_ephemeral(&self) -> bool {
        self.genesis.as_ref().is_some_and(|genesis| genesis.ephemeral)
    }

    /// Whether two voters founded it, and it was not rescued since.
    pub(super) fn is_founded_by_two(&self) -> bool {
        self.ancestors.is_empty() && self.genesis.as_ref().is_some_and(|it| it.voters.len() == 2)
    }

    /// From here on this node takes it to have been founded so.
    pub(super) fn settle(&mut self, genesis: Genesis) {
        self.genesis = Some(genesis);
    }

    /// The lineages that a person has rescued this one from, the newest last.
    pub(super) fn ancestors(&self) -> &[Lineage] {
        &self.ancestors
    }

    /// Whether this node's was rescued from the lineage that somebody says.
    pub(super) fn is_descended_from(&self, claim: Option<LineageClaim>) -> bool {
        claim.is_some_and(|claim| self.ancestors.contains(&claim.lineage))
    }

    /// What the lineage `theirs`, with these ancestors as its node says, is to this node's `own`.
    pub(super) fn kinship(&self, own: Lineage, theirs: Lineage, ancestors: &[Lineage]) -> Kinship {
        if theirs == own {
            Kinship::Stranger
        } else if self.ancestors.contains(&theirs) {
            Kinship::Ancestor
        } else if ancestors.contains(&own) {
            Kinship::Rescued
        } else {
            Kinship::Stranger
        }
    }

    /// This node takes over a lineage that was rescued from these.
    pub(super) fn descend_from(&mut self, ancestors: &[Lineage]) {
        self.ancestors = newest(ancestors);
    }

    /// A node for which a voter stands by that says so, too.
    pub(super) fn confirm(&mut self) {
        self.assurance = Assurance::Founded;
    }

    /// How sure this node is of what its cluster was founded with.
    pub(super) fn assurance(&self, election: Option<&Election>) -> Assurance {
        match election {
            // Whoever knows a term knows that somebody has led in it.
            Some(election) if election.vouches() || election.term() > 0 => Assurance::Founded,
            Some(election) if election.votes() => Assurance::Told,
            Some(_) | None => self.assurance,
        }
    }

    /// Whether a datagram is of the same cluster; of the same name it is. `joins`: its sender
    /// need not know what the cluster was founded with. `me` and `claim`: this node, and what it
    /// says of its lineage.
    pub(super) fn check(
        &self,
        header: &Header,
        me: NodeId,
        claim: Option<LineageClaim>,
        joins: bool,
    ) -> Result<(), Reject> {
        let Some(genesis) = &self.genesis else { return Err(Reject::NotReady) };
        let unknown = header.genesis == 0 && joins;
        if !unknown && header.genesis != genesis.digest() {
            return Err(Reject::ForeignVoters);
        }
        match (claim, header.lineage) {
            (Some(own), Some(theirs)) if own.contradicts(theirs, header.sender.id == me) => {
                Err(Reject::ForeignLineage)
            }
            _ => Ok(()),
        }
    }
}
