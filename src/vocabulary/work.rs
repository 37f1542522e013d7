//! Work: what somebody does under the lease, in the words of whoever lets it begin and has it end.

use super::identity::NodeId;
use super::time::HolderTime;

/// Work is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOfWork {
    /// The term under which it is done.
    pub term: u64,
    /// Why.
    pub reason: EndReason,
    /// Until when it is waited for, while the lease is renewed. None: it is not waited for, as
    /// the lease is over already; or it is waited for without a limit, as nobody needs an answer.
    pub until: Option<HolderTime>,
}

/// Why work is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Whoever led under this term has given it up: the last guard was dropped.
    Abdicated,
    /// The cluster prefers a higher node, which has come to stay.
    Preempted {
        /// Who is to take over.
        by: NodeId,
    },
    /// The node is not healthy.
    Unhealthy,
    /// The node was told to step down.
    SteppingDown,
    /// The node was told to leave.
    Leaving,
    /// The lease has lapsed, or the machine was suspended. The work should have ended before:
    /// voters still keep the lease for a moment, and nobody shortens that.
    LeaseOver,
}

impl EndReason {
    /// Whether the end was planned: the lease is renewed until the work has ended.
    pub fn is_planned(self) -> bool {
        self != Self::LeaseOver
    }
}

/// Why work did not begin. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkRefused {
    /// The node does not lead under that term, or does no more.
    #[error("this node does not lead under term {term}: wait until it is Goose again")]
    NotLeading {
        /// The term asked for.
        term: u64,
    },
    /// Somebody has asked to end that term.
    #[error("term {term} is about to end: wait until this node is Goose again")]
    Ending {
        /// The term asked for.
        term: u64,
    },
}
