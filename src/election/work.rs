//! What is done under the lease of this node, as far as the election must know of it.
//!
//! ```text
//!             begin, under the term that is led            last end
//!   nothing ───────────────────────────────────▶ alive ──────────────▶ nothing
//!                                                  │  closed: nothing else begins
//!                                                  └─ lapse: nothing is released, and this
//!                                                     node contends no more, until the last end
//! ```
//!
//! Two rules follow from it. A lease is never released while work is alive: voters then keep it
//! for as long as they granted it, and whoever works has that long to notice. And a contender
//! whose work has outlived its term does not claim another: or the same node would act under two
//! terms at once, and who receives its writes could not tell the later from the earlier.
//!
//! Assumption: whoever works says so before it begins, and says truly when it has ended.

use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::work::WorkRefused;

/// See the module. All work that is alive is work under one term.
#[derive(Clone, Debug, Default, Hash)]
pub struct Work {
    term: u64,
    alive: u32,
    closed: bool,
}

impl Work {
    /// Work begins under `term`, under which this node leads.
    ///
    /// # Errors
    /// [`WorkRefused`]; nothing has begun then.
    pub(crate) fn begin(&mut self, term: u64) -> Result<(), WorkRefused> {
        if self.closed && !mutant::is(Mutant::WorkBegunWhileEnding) {
            return Err(WorkRefused::Ending { term });
        }
        // No tenure begins while work of an older one is alive.
        assert!(
            self.alive == 0 || self.term == term || mutant::is(Mutant::ContendsUnderOldWork),
            "work under two terms: {} and {term}",
            self.term
        );
        self.term = term;
        self.alive += 1;
        Ok(())
    }

    /// Some work has ended.
    pub(crate) fn end(&mut self) {
        assert!(self.alive > 0, "more work has ended than has begun");
        self.alive -= 1;
    }

    /// Nothing else begins until [`Work::reopen`].
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Work may begin again.
    pub(crate) fn reopen(&mut self) {
        self.closed = false;
    }

    /// Whether nothing else may begin.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The term of the work that is alive, if any is.
    pub fn alive_under(&self) -> Option<u64> {
        self.is_alive().then_some(self.term)
    }

    /// Whether anything is done.
    pub fn is_alive(&self) -> bool {
        self.alive > 0
    }
}
