//! Who gets a connection, what is read and written on it, and for how long.
//!
//! ```text
//! thread -> accept (TCP, control listener) -> (tls) -> connection (hyper) -> api
//!            |  bounded table of them                     |            \---> events (a body without end)
//!            \-- strangers, operators                     \-- orders -------> node view
//!         agent listener: one line to whoever connects, no HTTP
//! ```
//!
//! Assumptions: whoever connects may be hostile, so connections, headers, bodies and time are
//! all bounded, and the server is meant to run on a thread of its own ([`spawn_thread`]), so
//! that no load on it can delay the election. Every word about the role holds at the moment of
//! the answer, by the lease deadline and the holder clock: nothing is cached by others
//! (`Cache-Control: no-store`), and here only what would come out the same ([`status_cache`]).

mod accept;
mod agent_listener;
mod bare_refusal;
mod connection;
mod connection_table;
mod control_listener;
pub(super) mod node_view;
pub(super) mod options;
pub(super) mod status_cache;
mod thread;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "simulation")]
pub use accept::serve_connection;
pub use accept::{Listeners, serve};
pub use node_view::NodeView;
pub use options::Options;
pub use thread::{ServerThread, spawn_thread};

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
