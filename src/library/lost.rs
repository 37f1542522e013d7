//! How a program hears that a leadership is over, and why.

use serde::{Deserialize, Serialize};

use crate::vocabulary::event::DemotionReason;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::work::{EndOfWork, EndReason};

/// The leadership is over, or about to end. What [`Leadership::run`](crate::Leadership::run) was
/// given is dropped; whatever else works under this term is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("the leadership of term {term} is over: {reason}. Wait until this node is Goose again")]
#[non_exhaustive]
pub struct LeadershipLost {
    /// The term that is over.
    pub term: u64,
    /// Why, as far as this node knows.
    pub reason: LostReason,
}

/// Why a leadership is over.
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
