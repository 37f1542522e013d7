//! The histories of all nodes side by side: whether any two of them can be true.
//!
//! ```text
//! history of 1   ──[ term 3 ]──────────────[ term 7 ]──▶
//! history of 2   ─────────────[ term 5 ]───────────────▶   each time within the bounds of its clock
//!                                   └──▶ judge ──▶ faults: nothing else explains what was written
//! ```
//!
//! A pure function over what nodes say of their own leaderships, joined on one scale of time. Clocks of
//! different machines do not agree, so each moment has bounds, and a fault is only what is one
//! wherever within its bounds each moment was. On one machine the bounds may be a single point.
//!
//! What a node cannot say is no fault: a process that was killed knows no end of its last term, and of
//! that only the beginning counts. Nor is it judged whether a term outlived its own lease: a history ends
//! it at the deadline at the latest, by construction ([`super::over_at`]). If a lease had been counted for
//! too long, the next term would have begun before that, which is an overlap.

use std::fmt;
use std::time::Duration;

use super::terms::TermSeen;
use crate::vocabulary::identity::{NodeId, Process};

/// When something was, on a scale that all histories share: nanoseconds since any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// No sooner than this.
    pub earliest: u64,
    /// No later than this.
    pub latest: u64,
}

impl Bounds {
    /// Then, by a clock that is right.
    #[must_use]
    pub fn exactly(at: u64) -> Self {
        Self { earliest: at, latest: at }
    }

    /// Then, by a clock that is off by so much at most.
    #[must_use]
    pub fn around(at: u64, off_by: u64) -> Self {
        Self { earliest: at.saturating_sub(off_by), latest: at.saturating_add(off_by) }
    }
}

/// One leadership, as the node that led says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// Who led.
    pub node: NodeId,
    /// Under which term.
    pub term: u64,
    /// When it noted that it leads: no sooner than it did.
    pub began: Bounds,
    /// When it says that it led no more. None: it leads, or was killed.
    pub ended: Option<Bounds>,
}

/// What cannot be true together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One term is of two nodes.
    TwoHolders {
        /// The term.
        term: u64,
        /// They say so of themselves, or others of them.
        nodes: [NodeId; 2],
    },
    /// A term began before a lower one was over.
    Overlap {
        /// The lower term, and who led.
        earlier: (u64, NodeId),
        /// The higher one.
        later: (u64, NodeId),
        /// For so long at least.
        least: Duration,
    },
    /// A term ended before it began.
    Backwards {
        /// The term, and who led.
        reign: (u64, NodeId),
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoHolders { term, nodes: [one, other] } => {
                write!(formatter, "term {term} is of node {one} and of node {other}")
            }
            Self::Overlap { earlier, later, least } => write!(
                formatter,
                "term {} of node {} began {least:?} before term {} of node {} was over",
                later.0, later.1, earlier.0, earlier.1
            ),
            Self::Backwards { reign: (term, node) } => {
                write!(formatter, "term {term} of node {node} ended before it began")
            }
        }
    }
}

/// Everything that is wrong with these, in the order of terms. `heard` is what any node says of anybody:
/// a term, and whose. A leadership may be told of several times; the end counts that is known.
#[must_use]
pub fn judge(reigns: &[Reign], heard: &[(u64, NodeId)]) -> Vec<Fault> {
    let mut faults = two_holders(reigns, heard);
    let reigns = joined(reigns);
    faults.extend(reigns.iter().filter_map(backwards));
    // Of all lower terms, the one that lasted longest.
    let mut last: Option<&Reign> = None;
    for reign in &reigns {
        if let Some(earlier) = last.filter(|it| reign.began.latest < over(it)) {
            faults.push(Fault::Overlap {
                earlier: (earlier.term, earlier.node),
                later: (reign.term, reign.node),
                least: Duration::from_nanos(over(earlier) - reign.began.latest),
            });
        }
        if last.is_none_or(|known| over(known) < over(reign)) {
            last = Some(reign);
        }
    }
    faults.sort_by_key(Fault::term);
    faults
}

impl Fault {
    fn term(&self) -> u64 {
        match self {
            Self::TwoHolders { term, .. } => *term,
            Self::Overlap { later, .. } => later.0,
            Self::Backwards { reign } => reign.0,
        }
    }
}

/// The leaderships of the process `own` among what it has seen, on its holder clock.
pub fn own<'a>(
    own: Process,
    seen: impl IntoIterator<Item = &'a TermSeen>,
) -> impl Iterator<Item = Reign> {
    seen.into_iter().filter(move |seen| seen.goose == own).map(|seen| Reign {
        node: seen.goose.id,
        term: seen.term,
        began: Bounds::exactly(seen.began.1.0),
        ended: seen.ended.as_ref().map(|(_, at, _)| Bounds::exactly(at.0)),
    })
}

/// Each leadership once, by its term.
fn joined(reigns: &[Reign]) -> Vec<Reign> {
    let mut sorted: Vec<&Reign> = reigns.iter().collect();
    sorted.sort_by_key(|reign| (reign.term, reign.node));
    let mut joined: Vec<Reign> = Vec::new();
    for reign in sorted {
        match joined.last_mut().filter(|it| (it.term, it.node) == (reign.term, reign.node)) {
            Some(known) => known.ended = known.ended.or(reign.ended),
            None => joined.push(reign.clone()),
        }
    }
    joined
}

/// The moment at which it surely was not over.
fn over(reign: &Reign) -> u64 {
    reign.ended.map_or(reign.began.earliest, |ended| ended.earliest.max(reign.began.earliest))
}

fn two_holders(reigns: &[Reign], heard: &[(u64, NodeId)]) -> Vec<Fault> {
    let own = reigns.iter().map(|reign| (reign.term, reign.node));
    let mut all: Vec<(u64, NodeId)> = own.chain(heard.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    let pairs = all.windows(2).filter(|two| two[0].0 == two[1].0);
    pairs.map(|two| Fault::TwoHolders { term: two[0].0, nodes: [two[0].1, two[1].1] }).collect()
}

fn backwards(reign: &Reign) -> Option<Fault> {
    let is_so = reign.ended.is_some_and(|ended| ended.latest < reign.began.earliest);
    is_so.then_some(Fault::Backwards { reign: (reign.term, reign.node) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn reign(node: u64, term: u64, began: u64, ended: Option<u64>) -> Reign {
        let ended = ended.map(Bounds::exactly);
        Reign { node: id(node), term, began: Bounds::exactly(began), ended }
    }

    #[test]
    fn one_after_the_other_is_no_fault() {
        let reigns = [
            reign(2, 5, 20, Some(30)),
            // Asked while it led, and once more when it was over.
            reign(1, 3, 10, None),
            reign(1, 3, 10, Some(20)),
            // Killed: nobody knows when it ended.
            reign(1, 6, 40, None),
            reign(2, 7, 41, None),
        ];
        assert_eq!(judge(&reigns, &[(3, id(1)), (5, id(2)), (7, id(2))]), []);
        assert_eq!(judge(&[], &[]), []);
    }

    #[test]
    fn a_beginning_before_the_end_is_a_fault_by_as_much_as_is_sure() {
        let reigns = [reign(1, 3, 10, Some(50)), reign(2, 5, 30, Some(40)), reign(3, 6, 45, None)];
        let overlap = |later, least| Fault::Overlap {
            earlier: (3, id(1)),
            later,
            least: Duration::from_nanos(least),
        };
        // The second one is over when the third begins, and the first one is not.
        assert_eq!(judge(&reigns, &[]), [overlap((5, id(2)), 20), overlap((6, id(3)), 5)]);
        // By the clocks of two machines that are 15 off in sum it may not have been so.
        let off = |mut reign: Reign, by: u64| {
            reign.began = Bounds::around(reign.began.earliest, by);
            reign.ended = reign.ended.map(|ended| Bounds::around(ended.earliest, by));
            reign
        };
        let [one, other] = [reign(1, 3, 10, Some(50)), reign(2, 5, 40, None)];
        let judged = |by| judge(&[off(one.clone(), by), off(other.clone(), by)], &[]).len();
        assert_eq!([judged(0), judged(4), judged(5), judged(9)], [1, 1, 0, 0]);
    }

    #[test]
    fn a_lower_term_after_a_higher_one_is_a_fault() {
        let faults = judge(&[reign(1, 5, 10, None), reign(2, 3, 20, None)], &[]);
        assert!(matches!(faults[..], [Fault::Overlap { earlier: (3, _), later: (5, _), .. }]));
    }

    #[test]
    fn a_term_of_two_is_a_fault_whoever_says_so() {
        let fault = Fault::TwoHolders { term: 3, nodes: [id(1), id(2)] };
        let one = reign(1, 3, 10, None);
        assert_eq!(judge(std::slice::from_ref(&one), &[(3, id(2))]), std::slice::from_ref(&fault));
        assert_eq!(judge(&[], &[(3, id(2)), (3, id(1)), (3, id(2))]), std::slice::from_ref(&fault));
        assert!(judge(&[one, reign(2, 3, 20, None)], &[]).contains(&fault));
        assert_eq!(fault.to_string(), "term 3 is of node 1 and of node 2");
    }

    #[test]
    fn a_term_that_runs_backwards_is_a_fault() {
        let backwards = Fault::Backwards { reign: (3, id(1)) };
        assert_eq!(judge(&[reign(1, 3, 10, Some(9))], &[]), [backwards]);
    }
}
