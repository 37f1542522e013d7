//! What becomes of an order to step down.

use crate::vocabulary::identity::{NodeId, Process};

/// What became of an order to step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteppedDown {
    /// The term that ended.
    pub term: u64,
    /// Who was asked to take over, if anybody was at hand.
    pub nominee: Option<NodeId>,
}

impl From<(u64, Option<Process>)> for SteppedDown {
    fn from((term, nominee): (u64, Option<Process>)) -> Self {
        Self { term, nominee: nominee.map(|process| process.id) }
    }
}

/// Why a node did not step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepDownError {
    /// It is not Goose. Nothing changed.
    #[error("this node is not the Goose")]
    NotGoose,
    /// The successor asked for is not known as a standby. Nothing changed.
    #[error("node {0} is no standby: it has not polled the voters lately, or may not be Goose")]
    UnknownNominee(NodeId),
    /// Nobody could take over, so nobody would lead until this node contends again. Nothing
    /// changed.
    #[error(
        "nobody could take over now: no other node that may be Goose has reached a majority of \
         the voters lately and is not holding back itself. Try again in a while, name a node \
         with --to, or stop this one with `gaggle leave`"
    )]
    NoStandby,
    /// The work under the lease was asked to end and has not. The lease was kept.
    #[error("the work under the lease has not ended: the lease is kept until it has")]
    WorkGoesOn,
    /// The lease ran out while the order waited for the work to end, so nothing was handed over.
    #[error(
        "the lease of term {term} ran out before its work had ended: it was not handed over, and \
         the voters elect whom they can"
    )]
    Lapsed {
        /// The term that is over.
        term: u64,
    },
}
