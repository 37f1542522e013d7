//! What the rounds showed.

use std::fmt::Write as _;

use serde_json::json;

use super::Act;
use super::harness::work::{Life, overlaps};

/// One round: what was done, in which term, and in which the next worker was seen.
pub(crate) struct Round {
    pub(crate) act: Act,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// Rounds under the same circumstances, and all workers that lived meanwhile.
pub(crate) struct Series {
    pub(crate) profile: String,
    pub(crate) idle: u32,
    pub(crate) rounds: Vec<Round>,
    pub(crate) lives: Vec<Life>,
}

impl Series {
    pub(crate) fn label(&self) -> String {
        format!("{}, {} idle processes", self.profile, self.idle)
    }

    pub(crate) fn overlaps(&self) -> Vec<(Life, Life)> {
        overlaps(&self.lives)
    }

    /// Milliseconds in which nobody worked after `act`, or after any; the shortest first.
    fn gaps(&self, act: Option<Act>) -> Vec<f64> {
        let gap = |round: &Round| {
            let before = self.lives.iter().filter(|life| life.term == round.before);
            let after = self.lives.iter().filter(|life| life.term == round.after);
            let last = before.map(|life| life.last).max()?;
            let first = after.map(|life| life.first).min()?;
            // A gap is a few seconds at most.
            Some((first - last) as f64 / 1e6)
        };
        let asked = |round: &&Round| act.is_none_or(|act| act == round.act);
        let mut gaps: Vec<f64> = self.rounds.iter().filter(asked).filter_map(gap).collect();
        gaps.sort_by(f64::total_cmp);
        gaps
    }
}

/// The smallest of `sorted` that is not exceeded in `percent` per cent of the cases.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// With the same profile on the machine as it was, if this one was among idle processes.
fn empty<'a>(all: &'a [Series], series: &Series) -> Option<&'a Series> {
    let same = |other: &&Series| other.profile == series.profile && other.idle == 0;
    all.iter().find(same).filter(|_| series.idle > 0)
}

pub(crate) fn table(all: &[Series], ways: &[Act]) -> String {
    let mut text = String::new();
    // Writing into a string never fails.
    for series in all {
        let _ = writeln!(
            text,
            "{}\n  {:<17} rounds  gap: median     90 %     worst   median to that of an empty machine",
            series.label(),
            "done to the holder"
        );
        for act in ways.iter().copied().map(Some).chain([None]) {
            let gaps = series.gaps(act);
            let [median, ninety, worst] = [50, 90, 100].map(|percent| percentile(&gaps, percent));
            let _ = write!(
                text,
                "  {:<18} {:>6}  {median:>8.1} ms {ninety:>6.1} ms {worst:>6.1} ms",
                act.map_or("all", Act::label),
                gaps.len()
            );
            if let Some(empty) = empty(all, series) {
                let ratio = median / percentile(&empty.gaps(act), 50);
                let _ = write!(text, "   {ratio:.2}");
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "  {} workers lived; two were alive at once {} times\n",
            series.lives.len(),
            series.overlaps().len()
        );
    }
    text
}

pub(crate) fn as_json(all: &[Series], ways: &[Act]) -> serde_json::Value {
    let series = all.iter().map(|series| {
        let acts = ways.iter().copied().map(|act| {
            let gaps = series.gaps(Some(act));
            let median = percentile(&gaps, 50);
            let empty = empty(all, series).map(|empty| percentile(&empty.gaps(Some(act)), 50));
            json!({
                "act": act.label(),
                "median_ms": median,
                "worst_ms": percentile(&gaps, 100),
                "median_to_empty": empty.map(|empty| median / empty),
                "gaps_ms": gaps,
            })
        });
        json!({
            "profile": series.profile,
            "idle": series.idle,
            "rounds": series.rounds.len(),
            "workers": series.lives.len(),
            "overlaps": series.overlaps().len(),
            "acts": acts.collect::<Vec<_>>(),
        })
    });
    serde_json::Value::Array(series.collect())
}
