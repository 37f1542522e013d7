//! The guards of one term, counted: the last that is dropped gives the term up.
//!
//! ```text
//!   enter(7) ─▶ 1 guard ─▶ enter(7) ─▶ 2 ─▶ leave ─▶ 1 ─▶ leave ─▶ given up ─▶ enter(7): no
//! ```
//!
//! Guards come and go on any thread. Whether a guard was the last, and whether another may still
//! be made, is one decision under one lock: so a guard is never made of a term that was given up.

use super::sync::{Mutex, PoisonError};

/// See the module. Terms only rise.
#[derive(Debug)]
pub(super) struct Guards {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The term that guards were last made of.
    term: u64,
    /// How many there are.
    count: usize,
    /// Nothing leads under this term or an earlier one any more.
    given_up: u64,
}

impl Guards {
    pub(super) fn new() -> Self {
        Self { held: Mutex::new(Held::default()) }
    }

    /// A guard of `term` is made. Returns whether it may be: not if the term was given up, or is
    /// an earlier one than another guard's.
    pub(super) fn enter(&self, term: u64) -> bool {
        // A panic elsewhere cannot have left it half written.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if term <= held.given_up || term < held.term {
            return false;
        }
        if held.term != term {
            // Guards of earlier terms guard nothing any more.
            (held.term, held.count) = (term, 0);
        }
        held.count += 1;
        true
    }

    /// Whether `term` was given up by the drop of its last guard.
    pub(super) fn gave_up(&self, term: u64) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).given_up == term
    }

    /// A guard of `term` was dropped. If it was the last of them, the term is given up, and
    /// `abdicate` is called before any other guard can be asked for.
    pub(super) fn leave(&self, term: u64, abdicate: impl FnOnce()) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.term != term {
            return;
        }
        held.count -= 1;
        if held.count == 0 {
            held.given_up = term;
            abdicate();
        }
    }
}
