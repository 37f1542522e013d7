//! A leadership, for as long as it lasts.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::Node;
use crate::shell::handle::Handle;
use crate::shell::work::Permit;

/// Work is cancelled when the twentieth part of a lease is left: 30 ms of the usual 600.
const MARGIN_DIVISOR: u32 = 20;

/// One term of this node, shared by its guards. Dropped with the last of them.
#[derive(Debug)]
pub(super) struct Tenure {
    pub(super) term: u64,
    pub(super) lease: Duration,
    /// Keeps the node alive.
    pub(super) node: Node,
}

impl Drop for Tenure {
    fn drop(&mut self) {
        let handle = &self.node.inner.handle;
        if !handle.remaining(self.term).is_zero() {
            handle.abdicate();
        }
    }
}

/// The guard of one leadership: this node was Goose of [`term`](Self::term) when it was made.
/// When the last guard of a term is dropped, the node steps down and hands over; if nobody is at
/// hand who could take over, it may become Goose again, of another term.
///
/// ```no_run
/// # async fn example(node: gaggle::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let leadership = node.until_goose().await?;
/// while leadership.is_valid() {
///     write_something(leadership.term()); // and let the receiver refuse a lower term
///     # break;
/// }
/// # Ok(())
/// # }
/// # fn write_something(_: u64) {}
/// ```
#[derive(Debug)]
pub struct Leadership {
    tenure: Arc<Tenure>,
    handle: Handle,
}

/// The leadership was lost, or is about to be handed over. The work was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leadership of term {term} is over: wait until this node is Goose again")]
pub struct LeadershipLost {
    /// The term that is over.
    pub term: u64,
}

impl Leadership {
    pub(super) fn new(tenure: Arc<Tenure>, handle: Handle) -> Self {
        Self { tenure, handle }
    }

    /// The term of this leadership: the fencing token. No other process ever has it, and every
    /// later Goose has a higher one. Hand it along with every write.
    pub fn term(&self) -> u64 {
        self.tenure.term
    }

    /// Whether this leadership still lasts, judged at this moment. Takes no lock. Once false it
    /// stays so, even if this node becomes Goose again.
    pub fn is_valid(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// How long this leadership lasts if it is not renewed, judged at this moment; zero once it
    /// is over. Takes no lock.
    pub fn remaining(&self) -> Duration {
        self.handle.remaining(self.tenure.term)
    }

    /// Returns when this leadership is over. It may be some milliseconds late, as timers are:
    /// what must *end before* belongs into [`Leadership::run`].
    pub async fn lost(&self) {
        self.left_at_most(Duration::ZERO).await;
    }

    /// Runs `work` while, and only while, this leadership lasts. The work is dropped when the
    /// twentieth part of the lease is left unrenewed, and when the node is told to step down or
    /// shut down, which then waits for that drop. It is never polled after that moment, even if
    /// this process was frozen meanwhile.
    ///
    /// What is dropped is this future: a task or thread that it started goes on, and a poll that
    /// blocks cannot be cut short. A lease that lapses does not wait for either.
    ///
    /// # Errors
    /// [`LeadershipLost`] if the work was dropped before its end.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, LeadershipLost> {
        let lost = LeadershipLost { term: self.tenure.term };
        // Dropped last, after the work: a hand-over waits for it.
        let permit = self.handle.begin_work().ok_or(lost)?;
        let margin = self.tenure.lease / MARGIN_DIVISOR;
        let mut ending = pin!(self.ending(&permit, margin));
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.remaining() <= margin || ending.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(lost));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    async fn ending(&self, permit: &Permit, margin: Duration) {
        tokio::select! {
            () = permit.asked_to_end() => {}
            () = self.left_at_most(margin) => {}
        }
    }

    /// Returns when no more than `margin` of the lease is left.
    async fn left_at_most(&self, margin: Duration) {
        let mut snapshots = self.handle.snapshots();
        loop {
            let remaining = self.remaining();
            if remaining <= margin {
                return;
            }
            // The clock decides, not the sleep: it may run on another clock.
            tokio::select! {
                () = tokio::time::sleep(remaining - margin) => {}
                _ = snapshots.changed() => {}
            }
        }
    }
}
