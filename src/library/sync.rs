//! What threads share, by the names under which the model checker stands in for it: see
//! `tests/interleavings`.

pub(super) use std::sync::{Mutex, PoisonError};
