//! What the rest of a program holds of a running node: a cheap clone that asks and orders.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::clock::Clock;
use super::history::History;
use super::order::Order;
use super::published_lease::PublishedLease;
use super::pulse::{Pulse, Stamp};
use super::work::{Permit, Word};
use crate::node::{
    DrainError, Drained, ForgetError, NotLeading, Paused, StepDownError, SteppedDown, VoterOrder,
    VoterOrderError, VotersOrdered,
};
use crate::vocabulary::event::Event;
use crate::vocabulary::health::Complainant;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::ForeignFounding;
use crate::vocabulary::snapshot::{Lease, Snapshot, is_valid_at};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::work::WorkRefused;

/// What the driver task shares with its handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) lease: PublishedLease,
    /// Somebody has told the node to leave, whether or not it has heard of it yet.
    pub(super) dismissed: watch::Sender<bool>,
    /// When the driver came round last.
    pub(super) stamp: Stamp,
    pub(super) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) history: watch::Sender<Arc<History>>,
}

/// A running node, from outside its driver task. Dropping it does not stop the node.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) words: mpsc::UnboundedSender<Word>,
    pub(super) ended: watch::Receiver<Option<Departure>>,
    pub(super) clock: Clock,
}

/// How a node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// In good order: what it held was released.
    Released,
    /// The work under its lease was asked to end and had not within the limit. Nothing was
    /// released: the lease runs out at the voters.
    WorkGoesOn,
    /// By itself, in good order: its seeds lead to another founding than that of its record.
    Misled(ForeignFounding),
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The node refused, or could not; the reason says what changed.
    #[error(transparent)]
    Refused(#[from] StepDownError),
    /// The node was not drained, or not in full; the reason says what holds.
    #[error(transparent)]
    NotDrained(#[from] DrainError),
    /// It does not lead, so it did not pause; nothing changed.
    #[error(transparent)]
    NotPaused(#[from] NotLeading),
    /// The member was not forgotten; nothing changed.
    #[error(transparent)]
    NotForgotten(#[from] ForgetError),
    /// The voters stay as they are; nothing changed.
    #[error(transparent)]
    VotersKept(#[from] VoterOrderError),
    /// The node has ended, or too many orders are waiting.
    #[error("the node is not taking orders: it is stopping or overloaded")]
    Unavailable,
}

/// Why work did not begin. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// The node refused.
    #[error(transparent)]
    Refused(#[from] WorkRefused),
    /// The node has ended.
    #[error("the node has ended")]
    Ended,
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

    /// When the driver came round last, and whether it has ended.
    pub fn pulse(&self) -> Pulse {
        // It tells before it ends, and its end closes the channel.
        let ended = self.ended.has_changed().is_err() || self.ended.borrow().is_some();
        let stamp = &self.shared.stamp;
        Pulse { last: stamp.last(), ended, delay_max: stamp.delay_max() }
    }

    /// Whether this node is Goose at this moment: the lease deadline against the clock. Takes
    /// no lock.
    pub fn is_goose(&self) -> bool {
        let deadline = HolderTime(self.shared.lease.deadline());
        is_valid_at(deadline, self.clock.holder())
    }

    /// Waits until this node is Goose of a term that nobody has asked to end, with a lease that
    /// lasts for longer than `beyond`. Never returns if the node ends before.
    pub async fn until_lease(&self, beyond: Duration) -> Lease {
        let mut snapshots = self.snapshots();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(lease) = snapshot.open_lease_at(self.holder_now().plus(beyond)) {
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
        let deadline = HolderTime(self.shared.lease.deadline_of(term));
        deadline.since(self.clock.holder())
    }

    /// Begins to work under `term`: before its lease is given away, the work is asked to end and
    /// waited for. The lease may still lapse: watch its deadline.
    ///
    /// # Errors
    /// [`WorkError`] unless the node leads under exactly that term and nobody has asked to end
    /// it. Nothing has begun then.
    pub async fn begin_work(&self, term: u64) -> Result<Permit, WorkError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::BeginWork { term, reply };
        self.orders.send(order).await.map_err(|_| WorkError::Ended)?;
        Ok(answer.await.map_err(|_| WorkError::Ended)??)
    }

    /// Nobody leads under `term` any more: once its work has ended the node steps down, and
    /// nothing begins under it meanwhile. Does not wait for that. If nobody could take over, this
    /// node contends again at once, for another term.
    pub fn abdicate(&self, term: u64) {
        // A node that has ended leads no more.
        let _ = self.words.send(Word::Abdicated(term));
    }

    /// Somebody finds the node not healthy, and says why; none: does so no more. One that leads asks
    /// the work under its lease to end and hands over once it has. Does not wait for that. What is
    /// said before work ends is heard before that.
    pub fn set_health(&self, by: Complainant, complaint: Option<String>) {
        // A node that has ended leads no more.
        let _ = self.words.send(Word::Health(by, complaint));
    }

    /// Tells the node to leave once its work has ended, and does not wait for it.
    pub fn dismiss(&self) {
        if !self.shared.dismissed.send_replace(true) {
            // A node that has ended has left.
            let _ = self.words.send(Word::Leave);
        }
    }

    /// Whether somebody has told the node to leave; and, from there on, a sign when it is so.
    pub fn dismissed(&self) -> watch::Receiver<bool> {
        self.shared.dismissed.subscribe()
    }

    /// Asks the work under the lease to end, steps down once it has, hands over to `to` or to the
    /// best standby known, and holds back from contending for `hold` (default: four leases).
    ///
    /// # Errors
    /// As [`OrderError`] says. An order that the node refuses changes nothing.
    pub async fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::StepDown { to, hold, reply };
        self.orders.send(order).await.map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// Has the node hold back until told otherwise, or ends that. One that leads has its work
    /// ended, and hands over. Answered once it is durable and the term is over.
    ///
    /// # Errors
    /// As [`OrderError`] says.
    pub async fn drain(&self, is_drained: bool) -> Result<Drained, OrderError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Drain { is_drained, reply };
        self.orders.send(order).await.map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// As Goose, the node makes way for nobody by choice for so long; none ends that.
    ///
    /// # Errors
    /// As [`OrderError`] says; nothing changed then.
    pub async fn pause(&self, lasts: Option<Duration>) -> Result<Paused, OrderError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Pause { lasts, reply };
        self.orders.send(order).await.map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// As Goose, the node leads to other voters, one at a time. What an order comes to is answered at
    /// once: given again, it says how far it has come.
    ///
    /// # Errors
    /// As [`OrderError`] says; nothing changed then.
    pub async fn change_voters(&self, order: VoterOrder) -> Result<VotersOrdered, OrderError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Voters { order, reply };
        self.orders.send(order).await.map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// Makes the cluster forget a member that is down or has left.
    ///
    /// # Errors
    /// As [`OrderError`] says; nothing changed then.
    pub async fn forget(&self, id: NodeId) -> Result<(), OrderError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Forget { id, reply };
        self.orders.send(order).await.map_err(|_| OrderError::Unavailable)?;
        Ok(answer.await.map_err(|_| OrderError::Unavailable)??)
    }

    /// Asks the work under the lease to end, steps down once it has, says goodbye, and returns
    /// when the node has ended. It cannot be refused: when the work has not ended within the
    /// limit the node leaves without releasing anything. Given twice, both wait for the same end.
    ///
    /// # Errors
    /// [`NodeFailed`] if the node ended without having left.
    pub async fn leave(&self) -> Result<Departure, NodeFailed> {
        self.dismiss();
        self.ended().await
    }

    /// Returns when the node has ended, and how.
    ///
    /// # Errors
    /// [`NodeFailed`] if it ended without having been told to.
    pub async fn ended(&self) -> Result<Departure, NodeFailed> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await.map_err(|_| NodeFailed)?;
        ended.ok_or(NodeFailed)
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
