//! What the rest of a program holds of a running node: a cheap clone that asks and orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::clock::Clock;
use super::driver::Order;
use super::history::History;
use super::work::{Permit, Rest, Work};
use crate::node::{ForgetError, StepDownError, SteppedDown};
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::{Lease, Snapshot};
use crate::vocabulary::time::HolderTime;

/// What the driver task shares with its handles.
#[derive(Debug)]
pub(super) struct Shared {
    /// The lease deadline on the holder clock, 0 without a lease: all that `is_goose` needs.
    pub(super) deadline: AtomicU64,
    /// The highest term this node has led under. Written before the deadline of its lease.
    pub(super) led: AtomicU64,
    pub(super) work: Work,
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

/// Work under the lease that was asked to end is waited for so long.
const WORK_PATIENCE: Duration = Duration::from_secs(30);

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The node refused; nothing changed.
    #[error(transparent)]
    Refused(#[from] StepDownError),
    /// The member was not forgotten; nothing changed.
    #[error(transparent)]
    NotForgotten(#[from] ForgetError),
    /// The node has ended, or too many orders are waiting.
    #[error("the node is not taking orders: it is stopping or overloaded")]
    Unavailable,
    /// What is done under the lease was asked to end and has not. The lease was not given away.
    #[error("the work under the lease has not ended: the lease is kept until it has")]
    WorkGoesOn,
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

    /// Waits until this node is Goose with a lease that lasts for longer than `beyond`. Never
    /// returns if the node ends before.
    pub async fn until_lease(&self, beyond: Duration) -> Lease {
        let mut snapshots = self.snapshots();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(lease) = snapshot.lease_at(self.holder_now().plus(beyond)) {
                return lease;
            }
            if snapshots.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How long this node may still act under `term`, judged at this moment; zero if it leads
    /// under another term or not at all. Takes no lock.
    pub fn remaining(&self, term: u64) -> Duration {
        // The deadline first: a term that is written later is never taken for the one that
        // this deadline belongs to.
        let deadline = self.shared.deadline.load(Ordering::Acquire);
        if self.shared.led.load(Ordering::Acquire) != term {
            return Duration::ZERO;
        }
        HolderTime(deadline).since(self.clock.holder())
    }

    /// A permit to work under the lease: before it is handed over, the work is asked to end and
    /// waited for. None while that is under way. The lease may still lapse: watch its deadline.
    pub fn begin_work(&self) -> Option<Permit> {
        self.shared.work.begin()
    }

    /// Steps down at once, asking no work to end, and without waiting for it. If nobody could
    /// take over, this node contends again at once, for another term.
    pub fn abdicate(&self) {
        // If too many orders wait, this node leads on until it is told again.
        let _ = self.orders.try_send(Order::Abdicate);
    }

    /// Tells the node to leave at once, asking no work to end, and without waiting for it.
    pub fn dismiss(&self) {
        // If too many orders wait, the node stays.
        let _ = self.orders.try_send(Order::Leave(None));
    }

    /// Ends the work under the lease, steps down, hands over to `to` or to the best standby
    /// known, and holds back from contending for `hold` (default: four leases).
    ///
    /// # Errors
    /// As [`OrderError`] says; nothing changed then.
    pub async fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        self.refuse_early(to)?;
        let rest = self.end_work().await?;
        let (reply, answer) = oneshot::channel();
        let order = Order::StepDown { to, hold, reply, rest };
        self.orders.try_send(order).map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// Makes the cluster forget a member that is down or has left.
    ///
    /// # Errors
    /// As [`OrderError`] says; nothing changed then.
    pub async fn forget(&self, id: NodeId) -> Result<(), OrderError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Forget { id, reply };
        self.orders.try_send(order).map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// Ends the work under the lease, steps down if it is Goose, says goodbye, and returns when
    /// the node has ended.
    ///
    /// # Errors
    /// [`OrderError::Unavailable`] if too many orders are waiting, and
    /// [`OrderError::WorkGoesOn`]. A node that has ended already is no error.
    pub async fn leave(&self) -> Result<(), OrderError> {
        let rest = self.end_work().await?;
        if self.orders.try_send(Order::Leave(Some(rest))).is_err() && !self.orders.is_closed() {
            return Err(OrderError::Unavailable);
        }
        // A node that failed has ended too.
        let _ = self.ended().await;
        Ok(())
    }

    /// Work is not ended for an order that will be refused.
    fn refuse_early(&self, to: Option<NodeId>) -> Result<(), StepDownError> {
        if !self.is_goose() {
            return Err(StepDownError::NotGoose);
        }
        let Some(id) = to else { return Ok(()) };
        let snapshot = self.snapshot();
        let known = snapshot.members.iter().any(|member| member.id == id && member.eligible);
        if known && id != snapshot.process.id {
            Ok(())
        } else {
            Err(StepDownError::UnknownNominee(id))
        }
    }

    async fn end_work(&self) -> Result<Rest, OrderError> {
        self.shared.work.end(WORK_PATIENCE).await.ok_or(OrderError::WorkGoesOn)
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
