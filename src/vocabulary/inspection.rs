//! The insides of a node's election, for checkers that watch it in a simulation.

use super::identity::{NodeId, Process};
use super::lineage::Lineage;
use super::time::{HolderTime, VoterTime};

/// What a checker may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The node's vote, if it is a voter.
    pub voter: Option<VoterInspection>,
    /// Until when each voter's grant counts for this node.
    pub counted: Vec<(NodeId, HolderTime)>,
    /// The ballot of a claim under way.
    pub is_claiming: Option<u64>,
    /// Which founding the cluster is, if that is settled.
    pub lineage: Option<Lineage>,
}

/// How full a table is that strangers could fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Which table.
    pub name: &'static str,
    /// How many entries it has.
    pub size: usize,
    /// How many it may have at most.
    pub size_max: usize,
}

/// What a checker may see of a voter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterInspection {
    /// The live grant: its holder, its ballot and its end.
    pub grant: Option<(Process, u64, VoterTime)>,
    /// Until when a restart is waited out.
    pub quarantine_until: Option<VoterTime>,
    /// The highest ballot promised, durable or not.
    pub max_ballot: u64,
    /// The highest ballot that is durable.
    pub durable_ballot: u64,
    /// Whether it may grant to anybody.
    pub may_grant: bool,
    /// Whether it takes nothing in and says nothing: what it stands by is not durable yet, or it has
    /// been silenced.
    pub is_mute: bool,
}
