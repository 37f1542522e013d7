//! The node as the server sees it: something to look at, and to pass orders on to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::options::Options;
use crate::node::{Drained, Paused, SteppedDown, VoterOrder, VotersOrdered};
use crate::shell::clock::Clock;
use crate::shell::handle::{Handle, OrderError};
use crate::shell::history::History;
use crate::shell::http::api::views::Moment;
use crate::shell::process_usage::ProcessUsage;
use crate::shell::pulse::Pulse;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Snapshot;
use crate::vocabulary::time::HolderTime;

/// What the server needs of a node: to look at it, and to pass orders on.
pub trait NodeView: Clone + Send + Sync + 'static {
    /// The newest snapshot.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// The holder clock, read now.
    fn holder_now(&self) -> HolderTime;
    /// When the driver came round last.
    fn pulse(&self) -> Pulse;
    /// What happened lately: a new copy whenever something does.
    fn history(&self) -> watch::Receiver<Arc<History>>;
    /// See [`Handle::step_down`].
    fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> impl Future<Output = Result<SteppedDown, OrderError>> + Send;
    /// See [`Handle::drain`].
    fn drain(&self, is_drained: bool) -> impl Future<Output = Result<Drained, OrderError>> + Send;
    /// See [`Handle::pause`].
    fn pause(
        &self,
        lasts: Option<Duration>,
    ) -> impl Future<Output = Result<Paused, OrderError>> + Send;
    /// See [`Handle::change_voters`].
    fn change_voters(
        &self,
        order: VoterOrder,
    ) -> impl Future<Output = Result<VotersOrdered, OrderError>> + Send;
    /// See [`Handle::forget`].
    fn forget(&self, id: NodeId) -> impl Future<Output = Result<(), OrderError>> + Send;
    /// See [`Handle::leave`].
    fn leave(&self) -> impl Future<Output = Result<(), OrderError>> + Send;
    /// Done when the node has ended and takes no more orders. A double never ends.
    fn ended(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

impl NodeView for Handle {
    fn snapshot(&self) -> Arc<Snapshot> {
        Handle::snapshot(self)
    }
    fn holder_now(&self) -> HolderTime {
        Handle::holder_now(self)
    }
    fn pulse(&self) -> Pulse {
        Handle::pulse(self)
    }
    fn history(&self) -> watch::Receiver<Arc<History>> {
        Handle::history(self)
    }
    async fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        Handle::step_down(self, to, hold).await
    }
    async fn drain(&self, is_drained: bool) -> Result<Drained, OrderError> {
        Handle::drain(self, is_drained).await
    }
    async fn pause(&self, lasts: Option<Duration>) -> Result<Paused, OrderError> {
        Handle::pause(self, lasts).await
    }
    async fn change_voters(&self, order: VoterOrder) -> Result<VotersOrdered, OrderError> {
        Handle::change_voters(self, order).await
    }
    async fn forget(&self, id: NodeId) -> Result<(), OrderError> {
        Handle::forget(self, id).await
    }
    async fn leave(&self) -> Result<(), OrderError> {
        // Whoever asked is told what is left of it: nothing.
        Handle::leave(self).await.map(|_| ()).map_err(|_| OrderError::Unavailable)
    }
    async fn ended(&self) {
        // However it ended.
        let _ = Handle::ended(self).await;
    }
}

/// What `look` sees of a node at this moment.
pub(in crate::shell::http) fn at_this_moment<V: NodeView, T>(
    view: &V,
    history: &watch::Receiver<Arc<History>>,
    options: &Options,
    look: impl FnOnce(&Arc<Snapshot>, &Moment<'_>) -> T,
) -> T {
    let history = Arc::clone(&history.borrow());
    let snapshot = view.snapshot();
    let moment = Moment {
        snapshot: &snapshot,
        // Read after the snapshot: a pause between the two can only shorten the lease.
        now: view.holder_now(),
        wall: Clock::Machine.now().wall,
        reachable_within: options.reachable_within,
        history: &history,
        pulse: view.pulse(),
        log_lines_dropped: options.log_lines_dropped.load(Ordering::Relaxed),
        process_usage: ProcessUsage::read,
        certificate_expires: options.certificate_expires(),
    };
    look(&snapshot, &moment)
}
