//! A leadership, as whoever is interested sees it: a look that steps nobody down.

mod work;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

pub use work::Work;

use super::Node;
use super::lost::{LeadershipLost, LostReason};
use crate::shell::handle::{Handle, WorkError};
use crate::vocabulary::event::Event;
use crate::vocabulary::snapshot::{Lease, Snapshot};
use crate::vocabulary::work::EndOfWork;

/// Work is cancelled when the twentieth part of a lease is left: 30 ms of the usual 600.
const MARGIN_DIVISOR: u32 = 20;

/// The end is told when the fifth part of a lease is left: 120 ms of the usual 600. Two renewals in a
/// row may be lost before.
const NOTICE_DIVISOR: u32 = 5;

/// What is left of a lease when work under it is cancelled, and when none begins.
pub(super) fn margin(lease: Duration) -> Duration {
    lease / MARGIN_DIVISOR
}

/// One leadership of this node: a look at it, which costs little to make and to clone. Dropping one
/// steps nobody down, so a request handler may make as many as it likes.
///
/// Comes from [`Node::leadership`], which answers at once, and from a [`Campaign`](crate::Campaign),
/// which is a leadership with a say in how long it lasts.
///
/// ```no_run
/// # fn example(node: &gaggle::Node) -> Option<()> {
/// let leadership = node.leadership()?; // None: ask node.status().goose
/// if leadership.is_valid() {
///     write_something(leadership.term()); // and let the receiver refuse a lower term
/// }
/// # Some(())
/// # }
/// # fn write_something(_: u64) {}
/// ```
#[derive(Clone, Debug)]
pub struct Leadership {
    term: u64,
    /// The lease that was asked for.
    lease: Duration,
    /// Keeps the node alive.
    node: Node,
}

impl Leadership {
    pub(super) fn new(lease: &Lease, node: Node) -> Self {
        Self { term: lease.term, lease: lease.duration, node }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.node.inner.handle
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// What is left of the lease when work under it is cancelled.
    pub(super) fn margin(&self) -> Duration {
        margin(self.lease)
    }

    /// What is left of the lease when its end is told.
    pub(super) fn notice(&self) -> Duration {
        self.lease / NOTICE_DIVISOR
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
    /// is over. Takes no lock. A term begins with a quarter of the usual lease (130 ms of 600), and has
    /// all of it once it has been renewed, a round trip later.
    pub fn remaining(&self) -> Duration {
        self.handle().remaining(self.term)
    }

    /// Returns when this leadership is over. It may be some milliseconds late, as timers are:
    /// what must *end before* belongs into [`Leadership::run`].
    pub async fn lost(&self) {
        self.left_at_most(Duration::ZERO).await;
    }

    /// Returns *before* this leadership is over: when somebody has asked to end it, or when the fifth
    /// part of the lease is left unrenewed (120 ms of the usual 600), and says why. That is the time
    /// there is to stop what cannot be dropped.
    ///
    /// Nobody waits for whoever merely listens: a planned end may follow at once. Take a [`Work`]
    /// ([`Leadership::begin`]) to be waited for.
    pub async fn ending(&self) -> LeadershipLost {
        let mut snapshots = self.handle().snapshots();
        let asked = async {
            loop {
                if let Some(end) = self.asked_to_end() {
                    return LostReason::of(end);
                }
                if snapshots.changed().await.is_err() {
                    return LostReason::NodeEnded;
                }
            }
        };
        let reason = tokio::select! {
            biased;
            reason = asked => reason,
            () = self.nears_its_end() => self.reason(),
            _ = self.handle().ended() => LostReason::NodeEnded,
        };
        self.lost_for(reason)
    }

    /// Begins a piece of work that cannot be dropped: a blocking call, a thread, a task of its own.
    /// As long as the [`Work`] lives, no order hands the lease over, within
    /// [`Config::drain_timeout`](crate::Config::drain_timeout). In the first moment of a term this waits
    /// until the lease has been renewed once, which takes a round trip.
    ///
    /// # Errors
    /// [`LeadershipLost`] if the leadership is over or somebody has asked to end it, or if that first
    /// renewal has not come in time. Nothing has begun then.
    pub async fn begin(&self) -> Result<Work, LeadershipLost> {
        match self.handle().begin_work(self.term).await {
            Ok(permit) => {
                let work = Work::new(self.clone(), permit);
                tokio::select! {
                    biased;
                    () = self.full() => Ok(work),
                    () = work.left_at_most(self.margin()) => Err(work.lost()),
                }
            }
            Err(WorkError::Ended) => Err(self.lost_for(LostReason::NodeEnded)),
            Err(WorkError::Refused(_)) => {
                let asked = self.asked_to_end().map(LostReason::of);
                Err(self.lost_for(asked.unwrap_or_else(|| self.reason())))
            }
        }
    }

    /// Runs `work` while, and only while, this leadership lasts. It begins only if nobody has
    /// asked to end this term. The work is dropped when the twentieth part of the lease is left
    /// unrenewed, and when the term is to end: by an order to step down, by a higher node that the
    /// cluster prefers, by [`Node::shutdown`]. All of these wait for that drop, for 30 s at most
    /// (see [`Config::drain_timeout`](crate::Config::drain_timeout)), and keep the lease meanwhile.
    /// The work is never polled after that moment, even if this process was frozen meanwhile.
    ///
    /// What is dropped is this future: a task or thread that it started goes on, and a poll that
    /// blocks cannot be cut short. For those there is [`Leadership::begin`].
    ///
    /// A lease that lapses waits for nobody. If a poll is still blocking then, others may lead as soon as
    /// the lease has run out at the voters, and this node leads again only after that poll has returned.
    /// A future that is leaked counts as work that never ends. A panic in the work passes through, and
    /// ends it.
    ///
    /// # Errors
    /// [`LeadershipLost`] if the work was not begun, or was dropped before its end.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, LeadershipLost> {
        // Dropped last, after the work: a hand-over waits for it.
        let begun = self.begin().await?;
        let margin = self.margin();
        let mut ending = pin!(begun.left_at_most(margin));
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.remaining() <= margin || ending.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(begun.lost()));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// The end of this term that somebody has asked for, and that waits for work.
    pub(super) fn asked_to_end(&self) -> Option<EndOfWork> {
        self.handle().snapshot().ending.filter(|end| end.term == self.term)
    }

    pub(super) fn lost_for(&self, reason: LostReason) -> LeadershipLost {
        LeadershipLost { term: self.term, reason, is_over: !self.is_valid() }
    }

    /// Why it is over or about to end, when nobody has asked for that of whoever wants to know.
    pub(super) fn reason(&self) -> LostReason {
        let handle = self.handle();
        if handle.pulse().ended {
            return LostReason::NodeEnded;
        }
        if self.node.inner.guards.gave_up(self.term) {
            return LostReason::GivenUp;
        }
        if self.is_valid() {
            return LostReason::NotRenewed;
        }
        let ended = |event: &Event| match event {
            Event::BecameDuck { term, reason } if *term == self.term => {
                Some(LostReason::of_demotion(reason))
            }
            _ => None,
        };
        let history = handle.history();
        let history = history.borrow();
        history.events.iter().rev().find_map(|it| ended(&it.event)).unwrap_or(LostReason::Over)
    }

    /// Returns when a fifth of the lease is left. Not on the lease of a claim, which is hardly longer:
    /// that nears its end when a margin is left.
    async fn nears_its_end(&self) {
        tokio::select! {
            biased;
            () = self.full() => {}
            () = self.left_at_most(self.margin()) => {}
        }
        self.left_at_most(self.notice()).await;
    }

    /// Returns when the lease has been renewed since the term was won; never if that is over.
    async fn full(&self) {
        let is_full = |snapshot: &Snapshot| {
            let lease = snapshot.lease.filter(|lease| lease.term == self.term);
            lease.is_some_and(|lease| self.node.inner.is_full(&lease))
        };
        if is_full(&self.handle().snapshot()) {
            return;
        }
        if self.handle().snapshots().wait_for(|snapshot| is_full(snapshot)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when no more than `margin` of the lease is left.
    pub(super) async fn left_at_most(&self, margin: Duration) {
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
