//! What was measured, judged by what was promised, as a table and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::report::{Table, Values};

/// A Goose is found in a large cluster as fast as in a small one, and voters have as much to do,
/// or so many times that.
const RELATIVE_MOST: f64 = 1.1;
/// A cluster of so many nodes is small. This many have all the standbys there may be.
const SMALL: usize = 10;
/// Nothing is promised beyond.
const PROMISED_UP_TO: usize = 2000;

/// What a number stands for. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    BootHalf,
    BootAll,
    /// Not only who is there: tags and HTTP addresses, too.
    DetailsAll,
    /// The seed takes its time.
    BurstAll,
    BurstOverflow,
    CrashHalf,
    CrashAll,
    GossipBytes,
    GossipPackets,
    /// With churn or without.
    VoterLoad(bool),
    /// Under a loss of so many in a thousand.
    FalseDowns(u32),
    /// Under a loss of so many in a thousand.
    Renames(u32),
    SplitHeal,
    IsolationHeal,
    IsolationDoubts,
    IsolationRenames,
    /// With churn or without.
    Killed(bool),
    /// With churn or without.
    Frozen(bool),
    SimulatorSeconds,
}

impl Measure {
    /// Every one.
    fn all() -> Vec<Self> {
        let mut all = vec![
            Self::BootHalf,
            Self::BootAll,
            Self::DetailsAll,
            Self::BurstAll,
            Self::BurstOverflow,
            Self::CrashHalf,
            Self::CrashAll,
            Self::GossipBytes,
            Self::GossipPackets,
            Self::SplitHeal,
            Self::IsolationHeal,
            Self::IsolationDoubts,
            Self::IsolationRenames,
            Self::SimulatorSeconds,
        ];
        all.extend([10, 50, 100].map(Self::FalseDowns));
        all.extend([10, 50, 100].map(Self::Renames));
        all.extend([false, true].map(Self::VoterLoad));
        all.extend([false, true].map(Self::Killed));
        all.extend([false, true].map(Self::Frozen));
        all
    }

    fn is_fail_over(self) -> bool {
        matches!(self, Self::Killed(_) | Self::Frozen(_))
    }

    pub(crate) fn label(self) -> String {
        let churn = |churn| if churn { ", 30 % churn a minute" } else { "" };
        match self {
            Self::BootHalf => "start from one seed → half know all".to_owned(),
            Self::BootAll => "start from one seed → all know all".to_owned(),
            Self::DetailsAll => "the same → all know all details, to a second".to_owned(),
            Self::BurstAll => "the same from a slow seed → all know all".to_owned(),
            Self::BurstOverflow => "datagrams that its socket lost".to_owned(),
            Self::CrashHalf => "crash → down at half".to_owned(),
            Self::CrashAll => "crash → down at all".to_owned(),
            Self::GossipBytes => "steady gossip per node".to_owned(),
            Self::GossipPackets => "steady gossip per node".to_owned(),
            Self::VoterLoad(with) => format!("election, to the busiest voter{}", churn(with)),
            Self::FalseDowns(loss) => format!("false downs in 10 min, {} % loss", loss / 10),
            Self::Renames(loss) => format!("renames in 10 min, {} % loss", loss / 10),
            Self::SplitHeal => "half and half for 5 min → all know all".to_owned(),
            Self::IsolationHeal => "one cut off for 150 s → all know all".to_owned(),
            Self::IsolationDoubts => "doubts of others after that".to_owned(),
            Self::IsolationRenames => "renames of others after that".to_owned(),
            Self::Killed(with) => format!("Goose killed → next Goose{}", churn(with)),
            Self::Frozen(with) => format!("Goose frozen → next Goose{}", churn(with)),
            Self::SimulatorSeconds => "the simulator's own cost of a minute".to_owned(),
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::GossipBytes => "B/s",
            Self::GossipPackets | Self::VoterLoad(_) => "packets/s",
            Self::FalseDowns(_) | Self::Renames(_) => "",
            Self::IsolationDoubts | Self::IsolationRenames | Self::BurstOverflow => "",
            Self::SimulatorSeconds => "s",
            _ => "ms",
        }
    }

    /// What it may be at most at a thousand nodes, where that was promised; half as much again
    /// at two thousand.
    fn bound(self, nodes: usize) -> Option<f64> {
        let at_thousand = match self {
            Self::BootAll => 2500.0,
            Self::CrashAll => 4000.0,
            Self::GossipBytes => 1500.0,
            Self::FalseDowns(50) | Self::Renames(50) => 0.0,
            Self::IsolationDoubts | Self::IsolationRenames => 0.0,
            Self::SplitHeal => 10_000.0,
            Self::SimulatorSeconds if nodes <= 1000 => 15.0,
            _ => return None,
        };
        match nodes {
            ..=1000 => Some(at_thousand),
            1001..=PROMISED_UP_TO => Some(at_thousand * 1.5),
            _ => None,
        }
    }
}

/// Everything that was found out.
#[derive(Debug, Default)]
pub(crate) struct Report {
    values: BTreeMap<Measure, BTreeMap<usize, Values>>,
    /// What did not happen, or not in time.
    pub(crate) failures: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, measure: Measure, nodes: usize, value: f64) {
        self.values.entry(measure).or_default().entry(nodes).or_default().add(value);
    }

    /// The values of a measure by the number of nodes, if it was measured at all.
    pub(crate) fn sizes(&self, measure: Measure) -> Option<&BTreeMap<usize, Values>> {
        self.values.get(&measure)
    }

    /// What was promised of a measure at a size. Of a fail-over the median is meant, and a small
    /// cluster's sets the bound, if there is one; so it does of what voters have to do.
    pub(crate) fn bound(&self, measure: Measure, nodes: usize) -> Option<f64> {
        let small = match measure {
            Measure::Killed(_) | Measure::Frozen(_) => {
                let (small, values) = self.sizes(measure)?.first_key_value()?;
                (*small <= SMALL).then(|| values.median())
            }
            Measure::VoterLoad(_) => self.sizes(measure)?.get(&SMALL).map(Values::largest),
            _ => return measure.bound(nodes),
        };
        small.filter(|_| nodes <= PROMISED_UP_TO).map(|small| small * RELATIVE_MOST)
    }

    /// Which promises were not kept.
    pub(crate) fn exceeded(&self) -> Vec<String> {
        let mut exceeded = Vec::new();
        for (measure, sizes) in &self.values {
            for (nodes, values) in sizes {
                let counts =
                    if measure.is_fail_over() { values.median() } else { values.largest() };
                if let Some(bound) = self.bound(*measure, *nodes).filter(|bound| counts > *bound) {
                    let (label, unit) = (measure.label(), measure.unit());
                    exceeded.push(format!(
                        "{nodes} nodes: {label}: {counts:.1} {unit}, more than {bound:.1}"
                    ));
                }
            }
        }
        exceeded
    }

    /// The worst of each, one row a measure, one column a size.
    pub(crate) fn table(&self) -> String {
        let mut sizes: Vec<usize> = self.values.values().flat_map(|s| s.keys().copied()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let columns: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        let mut heads = vec![("the worst of every run", 56), ("nodes", 10)];
        heads.extend(columns.iter().map(|size| (size.as_str(), 10)));
        let mut table = Table::new(&heads);
        let row = |measure: Measure, value: &dyn Fn(usize) -> Option<f64>| {
            let shown = |size: &usize| value(*size).map_or(String::new(), |it| format!("{it:.1}"));
            let first = [measure.label(), measure.unit().to_owned()];
            first.into_iter().chain(sizes.iter().map(shown)).collect::<Vec<_>>()
        };
        for (measure, values) in &self.values {
            table.row(row(*measure, &|size| values.get(&size).map(Values::largest)));
        }
        let fail_overs = self.values.iter().filter(|(measure, _)| measure.is_fail_over());
        let mut fail_overs = fail_overs.peekable();
        if fail_overs.peek().is_none() {
            return table.to_string();
        }
        let widths = heads.iter().map(|(_, width)| *width).chain([0]);
        let mut medians = Table::headless(widths);
        for (measure, values) in fail_overs {
            let bound = self.bound(*measure, SMALL);
            let bound = bound.map_or(String::new(), |bound| format!("  <= {bound:.1}"));
            let cells = row(*measure, &|size| values.get(&size).map(Values::median));
            medians.row(cells.into_iter().chain([bound]));
        }
        let heading = "medians; the last column is that of the fewest nodes + 10 %";
        format!("{table}\n{heading}\n{medians}")
    }

    pub(crate) fn json(&self) -> Value {
        let figures = self.values.iter().flat_map(|(measure, sizes)| {
            sizes.iter().map(|(nodes, values)| {
                json!({
                    "measure": measure.label(), "unit": measure.unit(), "nodes": nodes,
                    "values": values.all(), "bound": self.bound(*measure, *nodes),
                })
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "figures": figures.collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }

    /// Takes in what an earlier run wrote. What has another name by now is left out.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), serde_json::Error> {
        let json: Value = serde_json::from_str(text)?;
        let all = Measure::all();
        for figure in json["figures"].as_array().into_iter().flatten() {
            let is = |measure: &&Measure| {
                figure["measure"] == measure.label() && figure["unit"] == measure.unit()
            };
            let nodes = figure["nodes"].as_u64().and_then(|nodes| usize::try_from(nodes).ok());
            if let (Some(measure), Some(nodes)) = (all.iter().find(is), nodes) {
                let values = figure["values"].as_array().into_iter().flatten();
                values.filter_map(Value::as_f64).for_each(|it| self.add(*measure, nodes, it));
            }
        }
        let failures = json["failures"].as_array().into_iter().flatten();
        self.failures.extend(failures.filter_map(Value::as_str).map(str::to_owned));
        Ok(())
    }
}
