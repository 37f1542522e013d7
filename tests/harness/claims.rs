//! Judges whether two nodes were ever Goose at once, from answers over HTTP alone.
//!
//! An answer "I am the Goose of term t" was true at *some* instant between the sending of the
//! request and the receipt of the answer; that is all one can know from outside. A term is one
//! leadership without gaps, so between two such answers of one term its holder was the Goose
//! throughout. Hence, whatever the network and the scheduler did, these prove a fault:
//!
//! ```text
//! term 7, node A   [sent--received]                [sent--received]
//! term 8, node B                    [sent--received]                  8 began before 7 ended
//! ```
//!
//! - one term is claimed by two processes;
//! - a claim of a higher term was *received* before a claim of a lower one was *sent*.
//!
//! `/goose` names no term. A 200 of it proves a fault if it falls wholly within the time in
//! which another node was the Goose throughout.

use std::collections::BTreeMap;
use std::time::Instant;

/// One term, as far as it was seen.
#[derive(Debug)]
pub(super) struct Claim {
    node: u64,
    boot: String,
    /// It had begun by then.
    received_first: Instant,
    /// It had not ended by then.
    sent_last: Instant,
}

/// A 200 of `/goose`.
#[derive(Debug)]
struct Yes {
    node: u64,
    sent: Instant,
    received: Instant,
}

/// All claims that were ever seen in one cluster.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(super) terms: BTreeMap<u64, Claim>,
    yes: Vec<Yes>,
    shared_terms: Vec<String>,
}

impl Claims {
    /// `node`, in its process `boot`, said that it is the Goose of `term`.
    pub(crate) fn claimed(
        &mut self,
        node: u64,
        boot: &str,
        term: u64,
        (sent, received): (Instant, Instant),
    ) {
        let claim = self.terms.entry(term).or_insert_with(|| Claim {
            node,
            boot: boot.to_owned(),
            received_first: received,
            sent_last: sent,
        });
        if claim.boot != boot {
            let other = claim.node;
            self.shared_terms.push(format!("term {term} was claimed by {other} and by {node}"));
            return;
        }
        claim.received_first = claim.received_first.min(received);
        claim.sent_last = claim.sent_last.max(sent);
    }

    /// `node` answered `/goose` with 200.
    pub(crate) fn said_yes(&mut self, node: u64, (sent, received): (Instant, Instant)) {
        self.yes.push(Yes { node, sent, received });
    }

    /// Every proof that two nodes were Goose at once; empty if there is none.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.shared_terms.clone();
        for (low, earlier) in &self.terms {
            for (high, later) in self.terms.range(low + 1..) {
                if later.received_first < earlier.sent_last {
                    let overlap = earlier.sent_last - later.received_first;
                    faults.push(format!(
                        "term {high} of node {} had begun {overlap:?} before term {low} of node \
                         {} ended",
                        later.node, earlier.node
                    ));
                }
            }
        }
        for yes in &self.yes {
            let contradicts = |claim: &Claim| {
                claim.node != yes.node
                    && claim.received_first < yes.sent
                    && yes.received < claim.sent_last
            };
            if let Some((term, claim)) = self.terms.iter().find(|(_, claim)| contradicts(claim)) {
                faults.push(format!(
                    "node {} answered /goose with 200 while node {} led term {term}",
                    yes.node, claim.node
                ));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A span of milliseconds after a common instant.
    fn span(origin: Instant, from: u64, to: u64) -> (Instant, Instant) {
        (origin + Duration::from_millis(from), origin + Duration::from_millis(to))
    }

    #[test]
    fn one_after_the_other_is_no_fault() {
        let origin = Instant::now();
        let mut claims = Claims::default();
        claims.claimed(1, "a", 7, span(origin, 0, 10));
        claims.claimed(1, "a", 7, span(origin, 20, 900));
        // Overlapping requests prove nothing: the first may have been answered early.
        claims.claimed(2, "b", 8, span(origin, 30, 40));
        claims.claimed(1, "a", 9, span(origin, 50, 60));
        claims.said_yes(1, span(origin, 35, 55));
        assert_eq!(claims.faults(), Vec::<String>::new());
    }

    #[test]
    fn an_old_term_after_a_new_one_is_a_fault() {
        let origin = Instant::now();
        let mut claims = Claims::default();
        claims.claimed(2, "b", 8, span(origin, 30, 40));
        claims.claimed(1, "a", 7, span(origin, 41, 50));
        assert_eq!(claims.faults().len(), 1);
    }

    #[test]
    fn a_yes_within_the_term_of_another_is_a_fault() {
        let origin = Instant::now();
        let mut claims = Claims::default();
        claims.claimed(1, "a", 7, span(origin, 0, 10));
        claims.claimed(1, "a", 7, span(origin, 30, 40));
        claims.said_yes(2, span(origin, 11, 29));
        assert_eq!(claims.faults().len(), 1);
    }

    #[test]
    fn a_term_of_two_processes_is_a_fault() {
        let origin = Instant::now();
        let mut claims = Claims::default();
        claims.claimed(1, "a", 7, span(origin, 0, 10));
        claims.claimed(1, "a'", 7, span(origin, 30, 40));
        assert_eq!(claims.faults().len(), 1);
    }
}
