//! How a program hears that a leadership is over, and why.

use serde::{Deserialize, Serialize};

use crate::vocabulary::event::DemotionReason;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::work::{EndOfWork, EndReason};

/// The leadership is over, or is to end. What [`Leadership::run`](crate::Leadership::run) was
/// given is dropped; whatever else works under this term is to stop.
///
/// "Is to end" is not always the end: a lease that was not renewed in time may be renewed yet. If
/// [`Leadership::is_valid`](crate::Leadership::is_valid) still holds once your work has ended, begin
/// again under the same term; see [`Work::ending`](crate::Work::ending).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("the leadership of term {term} {}: {reason}{}", self.tense(), self.advice())]
#[non_exhaustive]
pub struct LeadershipLost {
    /// The term that is over, or is to end.
    pub term: u64,
    /// Why, as far as this node knows.
    pub reason: LostReason,
    /// Whether the lease was over when this was said. If not, it is to end: that is told before.
    pub is_over: bool,
}

impl LeadershipLost {
    fn tense(&self) -> &'static str {
        if self.is_over { "is over" } else { "is to end" }
    }

    /// What to do, if there is anything.
    fn advice(&self) -> &'static str {
        match self.reason {
            // This node never leads again.
            LostReason::ShuttingDown | LostReason::NodeEnded => "",
            _ if self.is_over => ". Wait until this node is Goose again",
            _ => ". End what works under it",
        }
    }
}

/// Why a leadership is over, or is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LostReason {
    /// The lease was not renewed in time: it has run out, or is about to. Nobody waits for the work.
    #[error("its lease was not renewed in time")]
    NotRenewed,
    /// The node was told to step down, or was drained. It waits for the work, and hands over then.
    #[error("the node was told to step down")]
    SteppingDown,
    /// The node was told to leave the cluster. It waits for the work, and hands over then.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// A higher node has come to stay, and the cluster prefers it. This one waits for the work, and
    /// hands over then.
    #[error("node {by} takes over, which the cluster prefers")]
    Preempted {
        /// Who takes over.
        by: NodeId,
    },
    /// The node is not healthy. It waits for the work, and hands over then.
    #[error("the node is not healthy")]
    Unhealthy,
    /// The last [`Campaign`](crate::Campaign) of the term was dropped.
    #[error("the program has given it up")]
    GivenUp,
    /// The node leads under this term no more, and what ended it is not known here: see
    /// [`Event::BecameDuck`](crate::Event::BecameDuck).
    #[error("the node leads under it no more")]
    Over,
    /// The node has ended or has failed; its lease runs out by itself.
    #[error("the node has ended")]
    NodeEnded,
}

impl LostReason {
    pub(super) fn of(end: EndOfWork) -> Self {
        match end.reason {
            EndReason::Abdicated => Self::GivenUp,
            EndReason::Preempted { by } => Self::Preempted { by },
            EndReason::Unhealthy => Self::Unhealthy,
            EndReason::SteppingDown => Self::SteppingDown,
            EndReason::Leaving => Self::ShuttingDown,
            EndReason::LeaseOver => Self::NotRenewed,
        }
    }

    pub(super) fn of_demotion(reason: &DemotionReason) -> Self {
        match reason {
            DemotionReason::LeaseLapsed { .. }
            | DemotionReason::Stalled { .. }
            | DemotionReason::Suspended => Self::NotRenewed,
            DemotionReason::SteppedDown => Self::SteppingDown,
            DemotionReason::Unhealthy => Self::Unhealthy,
            DemotionReason::Leaving => Self::ShuttingDown,
            DemotionReason::Preempted { by } => Self::Preempted { by: *by },
            DemotionReason::Overtaken { .. } => Self::Over,
        }
    }
}
