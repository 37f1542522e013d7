//! What a node answers over HTTP, and the small client that asks it.
//!
//! ```text
//! listeners -> server (limits, time) -> routes (pure) -> views / problem
//!  TCP, socket    |                        ^
//!                 +-- orders ------------> NodeView (the node's handle, or a test's double)
//! ```
//!
//! Assumptions: whoever connects may be hostile, so connections, headers, bodies and time are
//! all bounded, and the server is meant to run on a thread of its own ([`spawn_thread`]), so
//! that no load on it can delay the election. Every word about the role holds at the moment of
//! the answer, by the lease deadline and the holder clock: nothing is cached by others
//! (`Cache-Control: no-store`), and here only what would come out the same ([`status_cache`]).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;

use crate::node::SteppedDown;
use crate::shell::handle::{Handle, OrderError};
use crate::shell::history::History;
use crate::shell::pulse::Pulse;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Snapshot;
use crate::vocabulary::time::HolderTime;

pub mod admin;
mod bare_refusal;
pub mod client;
mod connection;
mod control;
pub mod history;
mod metrics;
mod page;
mod problem;
pub mod query;
pub mod routes;
mod server;
mod sse;
pub mod sse_client;
pub mod status_cache;
#[cfg(test)]
mod tests;
pub mod views;

#[cfg(feature = "simulation")]
pub use server::serve_connection;
pub use server::{Listeners, ServerThread, serve, spawn_thread};

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

/// The limits and manners of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most this many connections at once. One more drops the oldest idle one, or is
    /// itself dropped if none is idle.
    pub connections_max: usize,
    /// At most so many long polls and event streams at once: the other connections stay free
    /// for health checks.
    pub readers_max: usize,
    /// An event stream that has nothing to say says so this often. A reader that takes nothing
    /// for twice as long is dropped.
    pub heartbeat: Duration,
    /// A request's head must arrive within this; an idle connection is closed after it.
    pub header_timeout: Duration,
    /// A request's body must arrive within this.
    pub body_timeout: Duration,
    /// An order to the node must be carried out within this.
    pub order_timeout: Duration,
    /// After this a connection takes no further request and is closed once it is idle.
    pub connection_age_max: Duration,
    /// After a refusal, what its sender goes on sending is thrown away for so long at most, so
    /// that the reason is not lost to a reset.
    pub linger: Duration,
    /// On the way out, answers under way get so long to be written.
    pub farewell: Duration,
    /// A voter counts as reachable if its last answer is no older than this.
    pub reachable_within: Duration,
    /// The secret that makes a request over TCP from loopback an operator's.
    pub admin_token: Option<admin::Token>,
    /// Lines of the process's log that were dropped, as whoever writes it counts them.
    pub log_lines_dropped: Arc<AtomicU64>,
}

impl Options {
    /// The limits for a node whose standby polls come every `standby_interval`.
    pub fn new(standby_interval: Duration) -> Self {
        Self {
            // Half of the usual limit of 1024 open files.
            connections_max: 512,
            readers_max: 384,
            // Shorter than proxies' patience, which often is 30 s.
            heartbeat: Duration::from_secs(15),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            order_timeout: Duration::from_secs(10),
            connection_age_max: Duration::from_secs(60),
            linger: Duration::from_millis(500),
            farewell: Duration::from_millis(500),
            // One or two lost polls are no news; five are.
            reachable_within: standby_interval * 5,
            admin_token: None,
            log_lines_dropped: Arc::default(),
        }
    }
}

/// Why the server could not be started. No connection was accepted.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener could not be taken over.
    #[error("cannot serve HTTP on {address}: {source}")]
    Listener {
        /// Where it listens, if that is known.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No thread or runtime could be made.
    #[error("cannot start the HTTP thread: {0}")]
    Thread(#[source] std::io::Error),
}
