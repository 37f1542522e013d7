//! What was measured, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

/// What a number stands for. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    BootHalf,
    BootAll,
    CrashHalf,
    CrashAll,
    GossipBytes,
    GossipPackets,
    VoterLoad,
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
    pub(crate) fn label(self) -> String {
        let churn = |churn| if churn { ", 30 % churn a minute" } else { "" };
        match self {
            Self::BootHalf => "start from one seed → half know all".to_owned(),
            Self::BootAll => "start from one seed → all know all".to_owned(),
            Self::CrashHalf => "crash → down at half".to_owned(),
            Self::CrashAll => "crash → down at all".to_owned(),
            Self::GossipBytes => "steady gossip per node".to_owned(),
            Self::GossipPackets => "steady gossip per node".to_owned(),
            Self::VoterLoad => "election, to the busiest voter".to_owned(),
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
            Self::GossipPackets | Self::VoterLoad => "packets/s",
            Self::FalseDowns(_) | Self::Renames(_) => "",
            Self::IsolationDoubts | Self::IsolationRenames => "",
            Self::SimulatorSeconds => "s",
            _ => "ms",
        }
    }

    /// What it may be at most at a thousand nodes, where that was promised; half as much again
    /// at two thousand.
    pub(crate) fn bound(self, nodes: usize) -> Option<f64> {
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
            1001..=2000 => Some(at_thousand * 1.5),
            _ => None,
        }
    }
}

/// Everything that was found out.
#[derive(Debug, Default)]
pub(crate) struct Report {
    values: BTreeMap<Measure, BTreeMap<usize, Vec<f64>>>,
    /// What did not happen, or not in time.
    pub(crate) failures: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, measure: Measure, nodes: usize, value: f64) {
        if let Some(bound) = measure.bound(nodes)
            && value > bound
        {
            let (label, unit) = (measure.label(), measure.unit());
            self.failures.push(format!("{nodes} nodes: {label}: {value:.1} {unit} > {bound}"));
        }
        self.values.entry(measure).or_default().entry(nodes).or_default().push(value);
    }

    /// Every measure with its worst value at each size.
    pub(crate) fn worst(&self) -> impl Iterator<Item = (Measure, Vec<(usize, f64)>)> {
        self.values.iter().map(|(measure, sizes)| {
            let worst = |values: &Vec<f64>| values.iter().copied().fold(0.0, f64::max);
            (*measure, sizes.iter().map(|(nodes, values)| (*nodes, worst(values))).collect())
        })
    }

    /// The worst of each, one row a measure, one column a size.
    pub(crate) fn table(&self) -> String {
        let mut sizes: Vec<usize> = self.values.values().flat_map(|s| s.keys().copied()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut table = format!("{:<52}{:>10}", "the worst of every run", "nodes");
        sizes.iter().for_each(|size| line(&mut table, format_args!("{size:>10}")));
        table.push('\n');
        for (measure, values) in self.worst() {
            line(&mut table, format_args!("{:<52}{:>10}", measure.label(), measure.unit()));
            for size in &sizes {
                match values.iter().find(|(nodes, _)| nodes == size) {
                    Some((_, value)) => line(&mut table, format_args!("{value:>10.1}")),
                    None => line(&mut table, format_args!("{:>10}", "")),
                }
            }
            table.push('\n');
        }
        table
    }

    pub(crate) fn json(&self) -> Value {
        let figures = self.values.iter().flat_map(|(measure, sizes)| {
            sizes.iter().map(|(nodes, values)| {
                json!({
                    "measure": measure.label(), "unit": measure.unit(), "nodes": nodes,
                    "values": values, "bound": measure.bound(*nodes),
                })
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "figures": figures.collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }
}

/// Adds text. Writing to a string cannot fail.
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = write!(text, "{arguments}");
}
