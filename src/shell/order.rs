//! What the rest of a program asks of the driver: plain values, on their way to it.

use std::time::Duration;

use tokio::sync::oneshot;

use super::work::Permit;
use crate::node::{
    DrainError, Drained, ForgetError, NotLeading, Paused, StepDownError, SteppedDown, VoterOrder,
    VoterOrderError, VotersOrdered,
};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::work::WorkRefused;
use crate::wire::seal::KeyRing;

/// Where the outcome of an order to step down goes.
pub(super) type Answer = oneshot::Sender<Result<SteppedDown, StepDownError>>;

/// Where the outcome of an order to drain the node goes, or to end that.
pub(super) type DrainReply = oneshot::Sender<Result<Drained, DrainError>>;

/// A setting that changes while the node runs.
#[derive(Debug)]
pub(super) enum Change {
    Keys(KeyRing),
    Seeds(Vec<String>),
}

/// An order from outside.
#[derive(Debug)]
pub(super) enum Order {
    StepDown { to: Option<NodeId>, hold: Option<Duration>, reply: Answer },
    Drain { is_drained: bool, reply: DrainReply },
    Pause { lasts: Option<Duration>, reply: oneshot::Sender<Result<Paused, NotLeading>> },
    Voters { order: VoterOrder, reply: oneshot::Sender<Result<VotersOrdered, VoterOrderError>> },
    BeginWork { term: u64, reply: oneshot::Sender<Result<Permit, WorkRefused>> },
    Forget { id: NodeId, reply: oneshot::Sender<Result<(), ForgetError>> },
    Change(Change),
}
