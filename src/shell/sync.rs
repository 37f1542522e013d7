//! What threads share, by the names under which the model checker stands in for it: see
//! `tests/interleavings`.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use tokio::sync::mpsc::UnboundedSender;
pub(super) use tokio::sync::watch;
