//! The lease as it is published: what every thread may ask at any moment, without a lock.
//!
//! ```text
//! driver:  publish(term, deadline)   led ◀── term, then deadline ◀── deadline
//! anybody: remaining(term)           deadline, then led; then the clock
//! ```
//!
//! The orders matter. The term is written before its deadline and read after it: so a deadline is
//! never taken for that of an earlier term, and whoever asks for a term that is over is told so,
//! even if the same node leads again. And the clock is read last: a thread that was stopped in
//! between compares with a clock that counted on.
//!
//! Assumptions: one writer; a term is known to others only after its deadline was published.

use super::sync::{AtomicU64, Ordering};

/// See the module. All zero: no lease yet.
#[derive(Debug)]
pub(super) struct PublishedLease {
    /// The lease deadline on the holder clock, in nanoseconds; 0 without a lease.
    deadline: AtomicU64,
    /// The highest term this node has led under.
    led: AtomicU64,
}

impl PublishedLease {
    pub(super) fn new() -> Self {
        Self { deadline: AtomicU64::new(0), led: AtomicU64::new(0) }
    }

    /// From here on the lease of `term` lasts until `deadline`; none: there is no lease. Returns
    /// whether the deadline moved. Only the driver calls this.
    pub(super) fn publish(&self, lease: Option<(u64, u64)>) -> bool {
        if let Some((term, _)) = lease {
            self.led.store(term, Ordering::Release);
        }
        let deadline = lease.map_or(0, |(_, deadline)| deadline);
        self.deadline.swap(deadline, Ordering::AcqRel) != deadline
    }

    /// The highest term this node has led under.
    pub(super) fn led(&self) -> u64 {
        self.led.load(Ordering::Acquire)
    }

    /// Until when this node leads, under whichever term; 0: it does not.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Acquire)
    }

    /// Until when this node leads under `term`; 0: it does not. The clock is to be read after.
    pub(super) fn deadline_of(&self, term: u64) -> u64 {
        let deadline = self.deadline.load(Ordering::Acquire);
        if self.led.load(Ordering::Acquire) == term { deadline } else { 0 }
    }
}
