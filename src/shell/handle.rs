//! What the rest of a program holds of a running node: a cheap clone that asks and orders.

use std::sync::Arc;
use std::time::Duration;

use crate::node::{StepDownError, SteppedDown};
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Snapshot;
use crate::vocabulary::time::HolderTime;

/// A running node, from outside its driver task.
#[derive(Clone)]
pub struct Handle {}

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The node refused; nothing changed.
    #[error(transparent)]
    Refused(#[from] StepDownError),
    /// The node has ended, or too many orders are waiting.
    #[error("the node is not taking orders: it is stopping or overloaded")]
    Unavailable,
}

#[expect(unused_variables, clippy::todo)]
impl Handle {
    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }
    /// The holder clock, read now.
    pub fn holder_now(&self) -> HolderTime {
        todo!()
    }
    /// Whether this node is Goose at this moment: the lease deadline against the clock.
    pub fn is_goose(&self) -> bool {
        todo!()
    }
    /// See [`crate::node::NodeCore::step_down`].
    pub async fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        todo!()
    }
    /// Steps down, says goodbye, and returns when the node has ended.
    pub async fn leave(&self) -> Result<(), OrderError> {
        todo!()
    }
    /// Events from here on; a reader that falls behind loses the oldest and is told.
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<Event> {
        todo!()
    }
}
