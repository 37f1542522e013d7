//! Once all faults are over, somebody leads before long, and then goes on leading.
//!
//! A vacancy counts only while nothing holds the nodes back that the protocol wants to hold them:
//! a voter that waits out a restart or keeps a grant of a process that is gone, a node that was
//! told to step down. While there is a majority of voters that could grant, and a voter among
//! them that could lead, they have two seconds, in proportion to the longest lease. How many
//! terms it takes is bounded, too: leadership that changes hands again and again is no better
//! than none.

use super::{Invariant, Verdict, Violation};

const SECOND: u64 = 1_000_000_000;
/// The lease for which two seconds are promised.
const USUAL_LEASE: u64 = 600_000_000;
/// So many terms may begin after the last fault: one that was being won, one that is won, and a
/// last order that arrives late.
const TERMS_MAX: usize = 4;

/// What the nodes could do at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chances {
    /// Whether somebody leads.
    pub led: bool,
    /// Whether nothing keeps them from electing somebody.
    pub open: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Prompt {
    limit: u64,
    terms: usize,
    last: Option<u64>,
    vacant: u64,
}

impl Prompt {
    /// From a moment on at which there are no faults any more and there have been so many terms.
    /// `lease`: the longest that any node asks for, in nanoseconds.
    pub fn new(terms: usize, lease: u64) -> Self {
        let limit = 2 * SECOND * lease.max(USUAL_LEASE) / USUAL_LEASE;
        Self { limit, terms, last: None, vacant: 0 }
    }

    /// For how long nobody has led without a reason.
    pub fn vacant(&self) -> u64 {
        self.vacant
    }

    /// The nodes are looked at. Looks are a few dozen milliseconds apart.
    ///
    /// # Errors
    /// If nobody has led for too long, or too many have. `yields`: so many more terms may have
    /// begun because a cluster prefers higher nodes.
    pub fn look(&mut self, at: u64, chances: Chances, terms: usize, yields: usize) -> Verdict {
        let span = self.last.replace(at).map_or(0, |last| at - last);
        if chances.led {
            self.vacant = 0;
        } else if chances.open {
            self.vacant += span;
        }
        if self.vacant > self.limit {
            let sentence =
                format!("nobody has led for {} ms without a reason", self.vacant / 1_000_000);
            return Err(Violation::new(at, Invariant::Prompt, sentence));
        }
        let begun = terms - self.terms;
        if begun > TERMS_MAX + yields {
            let sentence = format!("{begun} terms have begun since the last fault");
            return Err(Violation::new(at, Invariant::Settled, sentence));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Chances = Chances { led: false, open: true };

    #[test]
    fn a_vacancy_is_counted_while_nothing_holds_anybody_back() {
        let mut prompt = Prompt::new(3, USUAL_LEASE);
        let held = Chances { open: false, ..OPEN };
        for second in 0..20 {
            prompt.look(second * SECOND, held, 3, 0).unwrap();
        }
        prompt.look(20 * SECOND, OPEN, 3, 0).unwrap();
        prompt.look(21 * SECOND, OPEN, 3, 0).unwrap();
        let broken = prompt.look(22 * SECOND, OPEN, 3, 0).unwrap_err();
        assert_eq!(broken.invariant, Invariant::Prompt);
    }

    #[test]
    fn leadership_that_changes_again_and_again_is_found() {
        let mut prompt = Prompt::new(3, USUAL_LEASE);
        let led = Chances { led: true, open: true };
        prompt.look(SECOND, led, 3 + TERMS_MAX, 0).unwrap();
        prompt.look(SECOND, led, 4 + TERMS_MAX, 1).unwrap();
        let broken = prompt.look(SECOND, led, 4 + TERMS_MAX, 0).unwrap_err();
        assert_eq!(broken.invariant, Invariant::Settled);
    }
}
