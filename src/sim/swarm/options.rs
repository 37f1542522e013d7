//! What a caller sets of a run.

use super::theme::Swarm;
use crate::sim::cluster::trace::TraceDepth;
use crate::vocabulary::mutant::Mutant;

/// What replaces parts of what the seed says.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// So many nodes.
    pub nodes: Option<usize>,
    /// So many seconds of faults.
    pub seconds: Option<u64>,
    /// What it is to be about.
    pub swarm: Option<Swarm>,
    /// How much of the trace is kept.
    pub trace: TraceDepth,
    /// A mutant that is on for this run, to see whether the judges find it.
    pub mutant: Option<Mutant>,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: None, seconds: None, swarm: None, trace: TraceDepth::Digest, mutant: None }
    }
}
