//! Work that is done under the lease, as whoever does it sees it.
//!
//! ```text
//! Handle::begin_work(term) ──▶ driver ──▶ core: may it begin?
//!            │                               │
//!            ▼                               │ no: WorkRefused, nothing has begun
//!         Permit ◀───────────────────────────┘
//!            │  asked_to_end()    ◀── the core wants the lease gone, or it is over
//!            └─ dropped ──▶ driver ──▶ core: it has ended, for certain
//! ```
//!
//! The driver decides, and it makes the permit itself: one that nobody received ends at once.
//! What is said when a permit is dropped can be neither lost nor refused, and so is as bounded as
//! the permits are.
//!
//! That a lease lapses asks nobody: whoever works under it watches the deadline, too. Assumption:
//! whoever holds a permit ends soon after it is asked to. It is waited for with a limit, and if
//! that is not kept the lease is *not* given away.

use super::sync::{UnboundedSender, watch};
use crate::vocabulary::health::Complainant;
use crate::vocabulary::work::EndOfWork;

/// What is said to the driver and needs no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A permit was dropped.
    WorkEnded,
    /// Nobody leads under this term any more.
    Abdicated(u64),
    /// The node is to leave.
    Leave,
    /// Somebody complains of the node's health, or does no more.
    Health(Complainant, Option<String>),
}

/// The last end of work that was asked for, and how many there were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) end: Option<EndOfWork>,
}

/// Somebody works under the lease. To be dropped when that has ended for certain, and not before.
#[derive(Debug)]
pub struct Permit {
    term: u64,
    /// Ends that were asked for before this work began do not concern it.
    since: u64,
    asked: watch::Receiver<Asked>,
    words: UnboundedSender<Word>,
}

impl Permit {
    /// A permit for work that the core has just let begin.
    pub(super) fn new(
        term: u64,
        asked: watch::Receiver<Asked>,
        words: UnboundedSender<Word>,
    ) -> Self {
        let since = asked.borrow().number;
        Self { term, since, asked, words }
    }

    /// The term under which the work is done.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The end that the work was asked for, as of this moment; none: it may go on, or there is no
    /// driver any more, and the lease runs out by itself.
    pub fn end(&self) -> Option<EndOfWork> {
        let asked = self.asked.borrow();
        asked.end.filter(|_| asked.number > self.since)
    }

    /// Returns once the work is to end: because the lease is to be given away once it has, or
    /// because the lease is over. That may be said late or never, so watch the deadline as well.
    /// None: the node has ended, or has failed; its lease runs out by itself.
    ///
    /// If the order fails because the work went on for too long, this stays so: it may end
    /// whenever it likes.
    pub async fn asked_to_end(&self) -> Option<EndOfWork> {
        let mut asked = self.asked.clone();
        // An error means that the driver is gone, and with it whoever renews the lease.
        let asked = asked.wait_for(|asked| asked.number > self.since).await.ok()?;
        asked.end
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Without a driver there is nobody to tell, and nothing is given away.
        let _ = self.words.send(Word::WorkEnded);
    }
}
