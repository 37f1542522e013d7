//! What the rest of a program holds of a running node: a cheap clone that asks and orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::clock::Clock;
use super::driver::Order;
use super::history::History;
use crate::node::{StepDownError, SteppedDown};
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Snapshot;
use crate::vocabulary::time::HolderTime;

/// What the driver task shares with its handles.
#[derive(Debug)]
pub(super) struct Shared {
    /// The lease deadline on the holder clock, 0 without a lease: all that `is_goose` needs.
    pub(super) deadline: AtomicU64,
    pub(super) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) history: watch::Sender<Arc<History>>,
}

/// A running node, from outside its driver task. Dropping it does not stop the node.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) clock: Clock,
}

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

/// A node's task ended without having left: it met a bug of its own. Its lease runs out by
/// itself; what it promised as a voter is on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node failed: please report the lines above")]
pub struct NodeFailed;

impl Handle {
    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshots.borrow())
    }

    /// Snapshots as they are published.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.shared.snapshots.subscribe()
    }

    /// The holder clock, read now.
    pub fn holder_now(&self) -> HolderTime {
        self.clock.holder()
    }

    /// Whether this node is Goose at this moment: the lease deadline against the clock. Takes
    /// no lock.
    pub fn is_goose(&self) -> bool {
        let deadline = self.shared.deadline.load(Ordering::Acquire);
        deadline != 0 && self.clock.holder() < HolderTime(deadline)
    }

    /// Steps down, hands over to `to` or to the best standby known, and holds back from
    /// contending for `hold` (default: four leases).
    ///
    /// # Errors
    /// As [`OrderError`] says; nothing changed then.
    pub async fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::StepDown { to, hold, reply };
        self.orders.try_send(order).map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// Steps down if it is Goose, says goodbye, and returns when the node has ended.
    ///
    /// # Errors
    /// [`OrderError::Unavailable`] if too many orders are waiting. A node that has ended
    /// already is no error.
    pub async fn leave(&self) -> Result<(), OrderError> {
        if self.orders.try_send(Order::Leave).is_err() && !self.orders.is_closed() {
            return Err(OrderError::Unavailable);
        }
        // A node that failed has ended too.
        let _ = self.ended().await;
        Ok(())
    }

    /// Returns when the node has ended, whatever ended it.
    ///
    /// # Errors
    /// [`NodeFailed`] if it ended without having been told to.
    pub async fn ended(&self) -> Result<(), NodeFailed> {
        let mut ended = self.ended.clone();
        ended.wait_for(|ended| *ended).await.map(|_| ()).map_err(|_| NodeFailed)
    }

    /// What happened lately: a new copy whenever something does.
    pub fn history(&self) -> watch::Receiver<Arc<History>> {
        self.shared.history.subscribe()
    }

    /// Events from here on; a reader that falls behind loses the oldest and is told.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }
}
