//! What workers and nodes wrote, read against the promise.
//!
//! - Workers write their signs of life by a clock that all processes of the machine share. No two
//!   of different terms may be alive at once, and later ones are of higher terms.
//! - Nodes write when they began to lead and when that ended, into their histories and logs. No
//!   term may be of two nodes, terms rise as they begin, and each ends before the next begins.
//!
//! A history counts in thousandths of a second, rounded down: so do its begins and ends alike,
//! and a begin before an end is a fault whatever was cut off. It reads the host's wall clock:
//! where a test sets clocks wrong, histories are not compared. Histories are judged by the library's
//! own judge, whose tests show what it finds; all else by what stands here.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gaggle::NodeId;
use gaggle::shell::history::judge::{Reign, judge};
use gaggle::shell::http::api::history::HistoryView;

use crate::harness::work::{Life, lives, overlaps};

/// What a node says of itself and of others in its page of `/v1/history`: its own terms, and whose each
/// term was. Nodes of a sandbox read one wall clock.
pub(crate) fn told(node: u64, page: &[u8]) -> (Vec<Reign>, Vec<(u64, u64)>) {
    let Ok(page) = serde_json::from_slice::<HistoryView>(page) else { return Default::default() };
    let own = NodeId::new(node).map(|id| page.reigns(id, Duration::ZERO)).unwrap_or_default();
    let heard = page.heard().into_iter().map(|(term, id)| (id.number(), term));
    (own, heard.collect())
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
    /// Judges the histories, whose terms nodes have heard of (as node and term), the logs by node, and
    /// the workers' folder.
    pub(crate) fn new(
        reigns: &[Reign],
        heard: &[(u64, u64)],
        logs: &[(u64, String)],
        work: &Path,
    ) -> Self {
        let lives = lives(work);
        let led = logs.iter().flat_map(|(node, log)| led(*node, log));
        let led: Vec<(u64, u64)> = led.chain(heard.iter().copied()).collect();
        let mut faults = two_holders(reigns, &led, &lives);
        faults.extend(judge(reigns, &[]).iter().map(ToString::to_string));
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
    let of_reigns = reigns.iter().map(|reign| (reign.node.number(), reign.term));
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

    fn life(node: u64, term: u64, first: i128, last: i128) -> Life {
        Life { first, last, term, node }
    }

    #[test]
    fn one_after_the_other_is_no_fault() {
        let lives = [life(1, 3, 0, 10), life(1, 3, 5, 11), life(2, 5, 12, 20)];
        assert_eq!(disorder_of_work(&lives), Vec::<String>::new());
        assert_eq!(two_holders(&[], &[(1, 3), (2, 5)], &lives), Vec::<String>::new());
    }

    #[test]
    fn a_lower_term_after_a_higher_is_a_fault() {
        assert_eq!(disorder_of_work(&[life(1, 5, 0, 10), life(2, 3, 11, 20)]).len(), 1);
    }

    #[test]
    fn two_workers_at_once_are_a_fault() {
        assert_eq!(disorder_of_work(&[life(1, 3, 0, 10), life(2, 5, 10, 20)]).len(), 1);
        assert_eq!(disorder_of_work(&[life(1, 3, 0, 10), life(1, 5, 9, 20)]).len(), 1);
    }

    #[test]
    fn a_term_of_two_nodes_is_a_fault_whoever_says_so() {
        assert_eq!(two_holders(&[], &[(1, 3), (2, 3)], &[]).len(), 1);
        assert_eq!(two_holders(&[], &[(1, 3)], &[life(2, 3, 0, 10)]).len(), 1);
        let log =
            "T INFO became Goose of term 3: granted term=3\nT INFO became Duck, term 3 is over";
        assert_eq!(led(2, log), [(2, 3)]);
    }

    #[test]
    fn a_history_tells_of_the_nodes_own_reigns_and_of_others() {
        let term = |term: u64, id: u64, ended: &str| {
            format!(
                "{{\"term\":{term},\"id\":{id},\"addr\":\"127.0.0.1:1\",\"duration_ms\":0,\"reason\":\"\",\
                 \"time\":\"2026-01-01T00:00:00.001Z\",\"ended\":{ended},\"ended_reason\":null}}"
            )
        };
        let over = "\"2026-01-01T00:00:00.003Z\"";
        let page = format!("{{\"index\":6,\"terms\":[{},{}]}}", term(1, 2, over), term(2, 1, over));
        let (own, heard) = told(1, page.as_bytes());
        let [reign] = &own[..] else { panic!("{own:?}") };
        assert_eq!((reign.node.number(), reign.term), (1, 2));
        let lasted = reign.ended.unwrap().earliest - reign.began.latest;
        assert_eq!(lasted, 2_000_000);
        assert_eq!(heard, [(2, 1), (1, 2)]);
        // The judge is asked, and finds what does not go together.
        let (other, _) = told(2, page.as_bytes());
        assert_eq!(judge(&[own, other].concat(), &[]).len(), 1);
        assert_eq!(told(1, b"no page"), Default::default());
    }
}
