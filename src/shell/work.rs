//! Work that is done under the lease, and that must have ended before the lease is given away.
//!
//! ```text
//! begin ──▶ busy ──▶ permit dropped          step-down, leave:
//!             │           ▲                    ask ──▶ wait until nothing is busy ──▶ order
//!             └─ asked ───┘                           (the lease is renewed meanwhile)
//! ```
//!
//! That a lease lapses by itself asks nobody: whoever works under it watches the deadline, too.
//! Assumption: whoever holds a [`Permit`] ends soon after it is asked to. It is waited for with
//! a limit, and if that is not kept the lease is *not* given away.

use std::time::Duration;

use tokio::sync::watch;

/// What is known of the work under a node's lease.
#[derive(Clone, Debug)]
pub(super) struct Work {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Orders that wait for the work to end.
    asking: usize,
    /// Permits that are out.
    busy: usize,
}

impl Work {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }

    /// A permit to work; none while the lease is about to be given away.
    pub(super) fn begin(&self) -> Option<Permit> {
        let begun = self.state.send_if_modified(|state| {
            let free = state.asking == 0;
            state.busy += usize::from(free);
            free
        });
        begun.then(|| Permit { work: self.clone() })
    }

    /// Whether anybody works.
    pub(super) fn is_busy(&self) -> bool {
        self.state.borrow().busy > 0
    }

    /// Asks all work to end and waits until it has, for `limit` at most. No other work begins
    /// before what is returned is dropped. None: some work has not ended.
    pub(super) async fn end(&self, limit: Duration) -> Option<Rest> {
        self.state.send_modify(|state| state.asking += 1);
        let rest = Rest { work: self.clone() };
        let mut state = self.state.subscribe();
        let idle = state.wait_for(|state| state.busy == 0);
        // The sender lives as long as `self`, so only the limit can end this early.
        matches!(tokio::time::timeout(limit, idle).await, Ok(Ok(_))).then_some(rest)
    }
}

/// Somebody works. Dropped when that has ended for certain.
#[derive(Debug)]
pub struct Permit {
    work: Work,
}

impl Permit {
    /// Returns once the work is to end, so that the lease can be given away.
    pub async fn asked_to_end(&self) {
        let mut state = self.work.state.subscribe();
        // The sender lives as long as `self`.
        let _ = state.wait_for(|state| state.asking > 0).await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.work.state.send_modify(|state| state.busy -= 1);
    }
}

/// Nobody works, and nobody begins.
#[derive(Debug)]
pub(super) struct Rest {
    work: Work,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.work.state.send_modify(|state| state.asking -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lease_waits_for_the_work_and_no_other_begins_meanwhile() {
        let work = Work::new();
        let permit = work.begin().unwrap();
        assert!(work.end(Duration::ZERO).await.is_none(), "somebody works");
        let ending = async {
            permit.asked_to_end().await;
            assert!(work.begin().is_none());
            drop(permit);
        };
        let (rest, ()) = tokio::join!(work.end(Duration::from_secs(10)), ending);
        assert!(work.begin().is_none(), "the lease is being given away");
        drop(rest.unwrap());
        assert!(work.begin().is_some());
    }
}
