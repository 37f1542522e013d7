//! What the rounds showed.

use std::fmt::Write as _;

use serde_json::json;

use super::Act;
use super::harness::work::{Life, overlaps};
use super::report::Values;

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

    /// Milliseconds in which nobody worked after `act`, or after any.
    fn gaps(&self, act: Option<Act>) -> Values {
        let gap = |round: &Round| {
            let before = self.lives.iter().filter(|life| life.term == round.before);
            let after = self.lives.iter().filter(|life| life.term == round.after);
            let last = before.map(|life| life.last).max()?;
            let first = after.map(|life| life.first).min()?;
            // A gap is a few seconds at most.
            Some((first - last) as f64 / 1e6)
        };
        let asked = |round: &&Round| act.is_none_or(|act| act == round.act);
        self.rounds.iter().filter(asked).filter_map(gap).collect()
    }
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
            let (median, ninety, worst) = (gaps.median(), gaps.percentile(90), gaps.largest());
            let _ = write!(
                text,
                "  {:<18} {:>6}  {median:>8.1} ms {ninety:>6.1} ms {worst:>6.1} ms",
                act.map_or("all", Act::label),
                gaps.all().len()
            );
            if let Some(empty) = empty(all, series) {
                let ratio = median / empty.gaps(act).median();
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
            let median = gaps.median();
            let empty = empty(all, series).map(|empty| empty.gaps(Some(act)).median());
            json!({
                "act": act.label(),
                "median_ms": median,
                "worst_ms": gaps.largest(),
                "median_to_empty": empty.map(|empty| median / empty),
                "gaps_ms": gaps.all(),
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
