//! A leadership, for as long as it lasts.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{Inner, Node};
use crate::shell::handle::Handle;
use crate::shell::work::Permit;

/// Work is cancelled when the twentieth part of a lease is left: 30 ms of the usual 600.
const MARGIN_DIVISOR: u32 = 20;

/// What is left of a lease when work under it is cancelled, and when none begins.
pub(super) fn margin(lease: Duration) -> Duration {
    lease / MARGIN_DIVISOR
}

/// The guard of one leadership: this node was Goose of [`term`](Self::term) when it was made.
/// When the last guard of a term is dropped, the node steps down and hands over, as by
/// [`Node::step_down`]; if nobody is at hand who could take over, it may become Goose again, of
/// another term. A guard that is leaked keeps its term for as long as the node is Goose.
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
    term: u64,
    margin: Duration,
    /// Keeps the node alive.
    node: Node,
}

impl Drop for Leadership {
    fn drop(&mut self) {
        let Inner { guards, handle, .. } = &*self.node.inner;
        guards.leave(self.term, || handle.abdicate(self.term));
    }
}

/// The leadership was lost, or is about to be handed over. The work was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leadership of term {term} is over: wait until this node is Goose again")]
pub struct LeadershipLost {
    /// The term that is over.
    pub term: u64,
}

impl Leadership {
    /// A guard that the node's guards have counted.
    pub(super) fn new(term: u64, margin: Duration, node: Node) -> Self {
        Self { term, margin, node }
    }

    fn handle(&self) -> &Handle {
        &self.node.inner.handle
    }

    /// The term of this leadership: the fencing token. No other process ever has it, and every
    /// later Goose has a higher one. Hand it along with every write.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Whether this leadership still lasts, judged at this moment. Takes no lock. Once false it
    /// stays so, even if this node becomes Goose again.
    pub fn is_valid(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// How long this leadership lasts if it is not renewed, judged at this moment; zero once it
    /// is over. Takes no lock.
    pub fn remaining(&self) -> Duration {
        self.handle().remaining(self.term)
    }

    /// Returns when this leadership is over. It may be some milliseconds late, as timers are:
    /// what must *end before* belongs into [`Leadership::run`].
    pub async fn lost(&self) {
        self.left_at_most(Duration::ZERO).await;
    }

    /// Runs `work` while, and only while, this leadership lasts. It begins only if nobody has
    /// asked to end this term. The work is dropped when the twentieth part of the lease is left
    /// unrenewed, and when the term is to end: by an order to step down, by a higher node that the
    /// cluster prefers, by [`Node::shutdown`]. All of these wait for that drop, for 30 s at most
    /// (see [`Config::drain_timeout`](crate::Config::drain_timeout)), and keep the lease meanwhile.
    /// The work is never polled after that moment, even if this process was frozen meanwhile.
    ///
    /// What is dropped is this future: a task or thread that it started goes on, and a poll that
    /// blocks cannot be cut short. A lease that lapses does not wait for either; then nothing is
    /// released, so that the others wait until it has run out, and this node does not become Goose
    /// again before that poll has returned. The same holds for a future that is leaked: it counts
    /// as work that never ends. A panic in the work passes through, and ends it.
    ///
    /// # Errors
    /// [`LeadershipLost`] if the work was not begun, or was dropped before its end.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, LeadershipLost> {
        let lost = LeadershipLost { term: self.term };
        // Dropped last, after the work: a hand-over waits for it.
        let permit = self.handle().begin_work(self.term).await.map_err(|_| lost)?;
        let margin = self.margin;
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
            _ = permit.asked_to_end() => {}
            () = self.left_at_most(margin) => {}
        }
    }

    /// Returns when no more than `margin` of the lease is left.
    async fn left_at_most(&self, margin: Duration) {
        let mut snapshots = self.handle().snapshots();
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
