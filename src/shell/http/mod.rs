//! What a node answers over HTTP, and the small client that asks it.
//!
//! ```text
//! client          server ---- events
//!     \            /           /
//!      ---- api --------------     what is asked and answered; pure
//! ```
//!
//! What is shown is remembered elsewhere: [`crate::shell::history`] and the node's snapshot.

pub mod api;
pub mod client;
mod events;
mod server;
#[cfg(test)]
mod tests;

#[cfg(feature = "simulation")]
pub use server::serve_connection;
pub use server::{Listeners, NodeView, Options, ServeError, ServerThread, serve, spawn_thread};
