//! What can go wrong with a node that runs, in types of the library's own.

use std::net::SocketAddr;

use crate::config::words::for_a_program;
use crate::shell::handle::{Departure, NodeFailed, OrderError};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::ForeignFounding;

/// The node has ended or is shutting down, so what was asked of it will never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended or is shutting down: start another one")]
pub struct NodeEnded;

/// The node has ended, but not in good order. Whatever lease it held runs out by itself, so that
/// the others wait for it; and so it may take them up to a lease until somebody leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndError {
    /// Work in [`Leadership::run`](crate::Leadership::run), or of
    /// [`Leadership::begin`](crate::Leadership::begin), was asked to end and had not within the limit
    /// (see [`Config::drain_timeout`](crate::Config::drain_timeout)), so nothing was released. That
    /// work may still be going on.
    #[error("the node has left, but its work had not ended in time: its lease runs out by itself")]
    WorkGoesOn,
    /// Its seeds belong to another founding of the cluster than the record in its state folder.
    #[error(
        "the record in the state folder belongs to another founding of the cluster (lineage {own:016x}) \
         than the node at {address} (lineage {lineage:016x}), or to what that was rescued from: start with \
         an empty state folder to join it, or with other seeds to go on with the recorded one"
    )]
    Misled {
        /// The number of the founding that the record belongs to.
        own: u64,
        /// The number of the founding that the seed belongs to.
        lineage: u64,
        /// Where the seed was heard.
        address: SocketAddr,
    },
    /// The node met a bug of its own, or its runtime is gone.
    #[error("the node failed: please report what it logged")]
    Failed,
}

impl EndError {
    pub(super) fn judge(ended: Result<Departure, NodeFailed>) -> Result<(), Self> {
        match ended {
            Ok(Departure::Released) => Ok(()),
            Ok(Departure::WorkGoesOn) => Err(Self::WorkGoesOn),
            Ok(Departure::Misled(ForeignFounding { own, lineage, address, .. })) => {
                Err(Self::Misled { own: own.number(), lineage: lineage.number(), address })
            }
            Err(NodeFailed) => Err(Self::Failed),
        }
    }
}

/// Why an order was not carried out. The node is as it was, where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This node is not the Goose.
    #[error("this node is not the Goose: ask the one that is")]
    NotGoose,
    /// The successor asked for is not at hand.
    #[error("node {0} is no standby: it has not polled the voters lately, or may not be Goose")]
    UnknownSuccessor(NodeId),
    /// Nobody could take over at this moment: no other node that may lead has polled the voters lately.
    /// Each of the others has stepped down within the last four leases and holds back, has only just
    /// started, is drained or not healthy, or never leads. Most of that passes by itself: try again.
    #[error("nobody could take over now: try again in a while, or shut this node down")]
    NoStandby,
    /// The member is alive, or may be, so it was not forgotten.
    #[error("node {0} is not down and has not left: only such members can be forgotten")]
    MemberPresent(NodeId),
    /// Nobody is known under that id.
    #[error("node {0} is no member that this node knows")]
    UnknownMember(NodeId),
    /// The work under the lease was asked to end and has not within the limit (see
    /// [`Config::drain_timeout`](crate::Config::drain_timeout)). The lease is kept, and other work may
    /// begin under it.
    #[error("the work under the lease has not ended: the lease is kept until it has")]
    WorkGoesOn,
    /// The node is drained, and the work under its lease was asked to end and has not within the
    /// limit. The node leads until the work ends, and hands over then.
    #[error("the node is drained, but its work has not ended: it leads until then")]
    DrainedUnderWork,
    /// Somebody ordered the opposite while this order was waiting.
    #[error("somebody has ordered the opposite meanwhile")]
    Overruled,
    /// The order holds, but the state folder takes no record any more: a restart forgets it.
    #[error("the order holds until the node ends and not beyond: its state folder is broken")]
    NotKept,
    /// The lease ran out while the order waited for the work to end: nothing was handed over.
    #[error("the lease of term {term} ran out before its work had ended: others may lead already")]
    Lapsed {
        /// The term that is over.
        term: u64,
    },
    /// The voters stay as they are.
    #[error("{reason}")]
    VotersKept {
        /// Why, and what to do.
        reason: String,
    },
    /// The node has ended, or too many orders are waiting.
    #[error("the node takes no orders: it has ended")]
    Unavailable,
}

impl From<OrderError> for Error {
    fn from(error: OrderError) -> Self {
        use crate::node::{DrainError, ForgetError, StepDownError, VoterOrderError};
        match error {
            OrderError::Refused(StepDownError::NotGoose)
            | OrderError::NotPaused(_)
            | OrderError::VotersKept(VoterOrderError::NotGoose { .. }) => Self::NotGoose,
            OrderError::Refused(StepDownError::UnknownNominee(id)) => Self::UnknownSuccessor(id),
            OrderError::Refused(StepDownError::NoStandby)
            | OrderError::NotDrained(DrainError::NoStandby) => Self::NoStandby,
            OrderError::NotDrained(DrainError::WorkGoesOn) => Self::DrainedUnderWork,
            OrderError::NotDrained(DrainError::Overruled) => Self::Overruled,
            OrderError::NotDrained(DrainError::NotKept) => Self::NotKept,
            OrderError::NotForgotten(ForgetError::Unknown(id))
            | OrderError::VotersKept(VoterOrderError::Unknown(id)) => Self::UnknownMember(id),
            OrderError::NotForgotten(ForgetError::Own(id) | ForgetError::Present(id)) => {
                Self::MemberPresent(id)
            }
            OrderError::Refused(StepDownError::WorkGoesOn) => Self::WorkGoesOn,
            OrderError::Refused(StepDownError::Lapsed { term }) => Self::Lapsed { term },
            OrderError::VotersKept(error) => Self::VotersKept { reason: for_a_program(&error) },
            OrderError::Unavailable => Self::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::VoterOrderError;

    #[test]
    fn a_program_is_told_of_methods_and_neither_of_flags_nor_of_commands() {
        let id = NodeId::new(7).unwrap();
        for error in [
            VoterOrderError::NotGoose { goose: None },
            VoterOrderError::Ephemeral,
            VoterOrderError::FoundedByTwo,
            VoterOrderError::Unknown(id),
            VoterOrderError::Absent(id, "down"),
            VoterOrderError::Automatic { number: 3 },
            VoterOrderError::NoVoter(id),
            VoterOrderError::Unsafe { removed: id, granting: 1, left: 2, majority: 2 },
        ] {
            let text = Error::from(OrderError::VotersKept(error)).to_string();
            assert!(!text.contains("--") && !text.contains("`gaggle "), "{text}");
        }
        let text = Error::from(OrderError::VotersKept(VoterOrderError::Automatic { number: 3 }));
        assert!(text.to_string().contains("`Node::keep_voters(None)`"), "{text}");
    }
}
