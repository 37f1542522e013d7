//! What workers and nodes wrote, read against the promise.
//!
//! - Workers write their signs of life by a clock that all processes of the machine share. No two
//!   of different terms may be alive at once, and later ones are of higher terms.
//! - Nodes write when they began to lead and when that ended, into their histories and logs. No
//!   term may be of two nodes, terms rise as they begin, and each ends before the next begins.
//!
//! A history counts in thousandths of a second, rounded down: so do its begins and ends alike,
//! and a begin before an end is a fault whatever was cut off. It reads the host's wall clock:
//! where a test sets clocks wrong, histories are not compared.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::harness::work::{Life, lives, overlaps};

/// A time at which a term was led, as the node that led it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) node: u64,
    pub(crate) term: u64,
    /// As the node writes times: in order as text.
    pub(crate) began: String,
    /// None while it leads.
    pub(crate) ended: Option<String>,
}

impl Reign {
    /// Those of `node` itself in its page of `/v1/history`.
    pub(crate) fn of_history(node: u64, page: &[u8]) -> Vec<Self> {
        let page: Value = serde_json::from_slice(page).unwrap_or_default();
        let terms = page["terms"].as_array().cloned().unwrap_or_default();
        let own = terms.iter().filter(|seen| seen["id"] == node);
        let reign = |seen: &Value| {
            Some(Self {
                node,
                term: seen["term"].as_u64()?,
                began: seen["time"].as_str()?.to_owned(),
                ended: seen["ended"].as_str().map(str::to_owned),
            })
        };
        own.filter_map(reign).collect()
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Empty if the promise was kept.
    pub(crate) faults: Vec<String>,
    /// The workers, the earliest first.
    pub(crate) lives: Vec<Life>,
    /// All terms that anybody led, in order.
    pub(crate) terms: Vec<u64>,
}

impl Verdict {
    /// Judges the histories, the logs by node, and the workers' folder.
    pub(crate) fn new(reigns: &[Reign], logs: &[(u64, String)], work: &Path) -> Self {
        let lives = lives(work);
        let led: Vec<(u64, u64)> = logs.iter().flat_map(|(node, log)| led(*node, log)).collect();
        let mut faults = two_holders(reigns, &led, &lives);
        faults.extend(disorder_of_reigns(reigns));
        faults.extend(disorder_of_work(&lives));
        let mut terms: Vec<u64> = led.iter().map(|(_, term)| *term).collect();
        terms.sort_unstable();
        terms.dedup();
        Self { faults, lives, terms }
    }

    /// For the output of a test: how many terms, workers, and the gaps between these.
    pub(crate) fn summary(&self) -> String {
        let by_term = lives_by_term(&self.lives);
        let gaps = by_term.windows(2).map(|two| (two[1].first - two[0].last) / 1_000_000);
        let gaps: Vec<i128> = gaps.collect();
        format!("{} terms, {} workers, gaps {gaps:?} ms", self.terms.len(), self.lives.len())
    }
}

/// The terms that a node's log says it led, as (node, term).
fn led(node: u64, log: &str) -> Vec<(u64, u64)> {
    let after = log.split("became Goose of term ").skip(1);
    let number =
        |rest: &str| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok();
    after.filter_map(number).map(|term| (node, term)).collect()
}

/// Terms that two nodes led, or worked in, by anybody's word.
fn two_holders(reigns: &[Reign], led: &[(u64, u64)], lives: &[Life]) -> Vec<String> {
    let mut holders: BTreeMap<u64, u64> = BTreeMap::new();
    let mut faults = Vec::new();
    let of_reigns = reigns.iter().map(|reign| (reign.node, reign.term));
    let of_lives = lives.iter().map(|life| (life.node, life.term));
    for (node, term) in of_reigns.chain(led.iter().copied()).chain(of_lives) {
        let holder = *holders.entry(term).or_insert(node);
        if holder != node {
            faults.push(format!("term {term} is of node {holder} and of node {node}"));
        }
    }
    faults.dedup();
    faults
}

/// Reigns that began before a lower term did, or before it had ended.
fn disorder_of_reigns(reigns: &[Reign]) -> Vec<String> {
    // Whoever was asked twice said more the second time.
    let mut terms: BTreeMap<u64, &Reign> = BTreeMap::new();
    for reign in reigns {
        let known = terms.entry(reign.term).or_insert(reign);
        if known.ended.is_none() {
            *known = reign;
        }
    }
    let mut faults = Vec::new();
    let ordered: Vec<&Reign> = terms.into_values().collect();
    for (at, earlier) in ordered.iter().enumerate() {
        for later in &ordered[at + 1..] {
            let end = earlier.ended.as_ref().unwrap_or(&earlier.began);
            if later.began < *end {
                faults.push(format!("{later:?} began before {earlier:?} was over"));
            }
        }
    }
    faults
}

/// Workers that were alive beside another's, or later in a lower term.
fn disorder_of_work(lives: &[Life]) -> Vec<String> {
    let both = overlaps(lives);
    let mut faults: Vec<String> = both
        .iter()
        .map(|(one, other)| {
            let together = one.last.min(other.last) - one.first.max(other.first);
            format!("alive at once for {} us: {one:?} and {other:?}", together / 1000)
        })
        .collect();
    for two in lives.windows(2).filter(|two| two[1].term < two[0].term) {
        faults.push(format!("a lower term after a higher: {two:?}"));
    }
    faults
}

/// One span for each term: from its first worker's first sign of life to the last's last.
fn lives_by_term(lives: &[Life]) -> Vec<Life> {
    let mut spans: BTreeMap<u64, Life> = BTreeMap::new();
    for life in lives {
        let span = spans.entry(life.term).or_insert(*life);
        span.first = span.first.min(life.first);
        span.last = span.last.max(life.last);
    }
    spans.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reign(node: u64, term: u64, began: &str, ended: Option<&str>) -> Reign {
        Reign { node, term, began: began.to_owned(), ended: ended.map(str::to_owned) }
    }

    fn life(node: u64, term: u64, first: i128, last: i128) -> Life {
        Life { first, last, term, node }
    }

    #[test]
    fn one_after_the_other_is_no_fault() {
        let reigns = [
            // Asked while it led, and once more when it was over.
            reign(1, 3, "10:00:00.000", None),
            reign(1, 3, "10:00:00.000", Some("10:00:01.000")),
            reign(2, 5, "10:00:01.000", Some("10:00:02.000")),
            // Killed: nobody knows when it ended.
            reign(1, 6, "10:00:03.000", None),
            reign(2, 7, "10:00:03.100", None),
        ];
        assert_eq!(disorder_of_reigns(&reigns), Vec::<String>::new());
        let lives = [life(1, 3, 0, 10), life(1, 3, 5, 11), life(2, 5, 12, 20)];
        assert_eq!(disorder_of_work(&lives), Vec::<String>::new());
        assert_eq!(two_holders(&reigns, &[(1, 3), (2, 5)], &lives), Vec::<String>::new());
    }

    #[test]
    fn a_begin_before_the_end_is_a_fault() {
        let reigns =
            [reign(1, 3, "10:00:00.000", Some("10:00:01.001")), reign(2, 5, "10:00:01.000", None)];
        assert_eq!(disorder_of_reigns(&reigns).len(), 1);
    }

    #[test]
    fn a_lower_term_after_a_higher_is_a_fault() {
        let reigns = [reign(1, 5, "10:00:00.000", None), reign(2, 3, "10:00:01.000", None)];
        assert_eq!(disorder_of_reigns(&reigns).len(), 1);
        assert_eq!(disorder_of_work(&[life(1, 5, 0, 10), life(2, 3, 11, 20)]).len(), 1);
    }

    #[test]
    fn two_workers_at_once_are_a_fault() {
        assert_eq!(disorder_of_work(&[life(1, 3, 0, 10), life(2, 5, 10, 20)]).len(), 1);
        assert_eq!(disorder_of_work(&[life(1, 3, 0, 10), life(1, 5, 9, 20)]).len(), 1);
    }

    #[test]
    fn a_term_of_two_nodes_is_a_fault_whoever_says_so() {
        let reigns = [reign(1, 3, "10:00:00.000", None)];
        assert_eq!(two_holders(&reigns, &[(2, 3)], &[]).len(), 1);
        assert_eq!(two_holders(&reigns, &[], &[life(2, 3, 0, 10)]).len(), 1);
        let log =
            "T INFO became Goose of term 3: granted term=3\nT INFO became Duck, term 3 is over";
        assert_eq!(led(2, log), [(2, 3)]);
    }

    #[test]
    fn a_history_tells_of_the_nodes_own_reigns() {
        let page = br#"{"index":6,"terms":[
            {"term":1,"id":2,"time":"T1","ended":"T2"},
            {"term":2,"id":1,"time":"T2","ended":null}]}"#;
        assert_eq!(Reign::of_history(1, page), [reign(1, 2, "T2", None)]);
        assert_eq!(Reign::of_history(1, b"no page"), []);
    }
}
