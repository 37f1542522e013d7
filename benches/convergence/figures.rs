//! What was measured, and its summary as a table and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::idle::IdleCost;
use super::report::{Table, Values};

/// What a time stands for. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    ColdStart,
    KillToGoose,
    KillToAgreement,
    EmbeddedKillToGoose,
    TerminateToGoose,
    TerminateToAgreement,
    FreezeToGoose,
    FreezeToAgreement,
    IsolateToGoose,
    IsolateToAgreement,
    Heal,
    Rejoin,
}

impl Measure {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ColdStart => "cold start → all agree",
            Self::KillToGoose => "kill -9 of the Goose → next Goose",
            Self::KillToAgreement => "kill -9 of the Goose → all agree",
            Self::EmbeddedKillToGoose => "kill -9 of an embedded Goose → next",
            Self::TerminateToGoose => "SIGTERM of the Goose → next Goose",
            Self::TerminateToAgreement => "SIGTERM of the Goose → all agree",
            Self::FreezeToGoose => "SIGSTOP of the Goose → next Goose",
            Self::FreezeToAgreement => "SIGSTOP of the Goose → all others agree",
            Self::IsolateToGoose => "isolation of the Goose → next Goose",
            Self::IsolateToAgreement => "isolation of the Goose → others agree",
            Self::Heal => "heal → all agree",
            Self::Rejoin => "start of a lost node → it knows the Goose",
        }
    }
}

/// Everything that was found out.
#[derive(Debug)]
pub(crate) struct Report {
    runs: u64,
    profile: String,
    times: BTreeMap<(Measure, u64), Values>,
    pub(crate) idle: Vec<IdleCost>,
    /// Goose after Goose, and how often the highest running node was the next.
    pub(crate) successions: usize,
    pub(crate) highest_succeeded: usize,
    /// Deaths of Ducks and returns of nodes, and how often they changed who leads.
    pub(crate) duck_events: usize,
    pub(crate) disturbances: usize,
    pub(crate) terms_seen: usize,
    /// Proofs of two Geese at once.
    pub(crate) faults: Vec<String>,
    /// What did not happen, or not in time.
    pub(crate) failures: Vec<String>,
    /// The logs of what took surprisingly long.
    pub(crate) slow: Vec<String>,
}

impl Report {
    pub(crate) fn new(runs: u64, profile: String) -> Self {
        Self {
            runs,
            profile,
            times: BTreeMap::new(),
            idle: Vec::new(),
            successions: 0,
            highest_succeeded: 0,
            duck_events: 0,
            disturbances: 0,
            terms_seen: 0,
            faults: Vec::new(),
            failures: Vec::new(),
            slow: Vec::new(),
        }
    }

    pub(crate) fn record(&mut self, nodes: u64, measure: Measure, milliseconds: f64) {
        self.times.entry((measure, nodes)).or_default().add(milliseconds);
    }

    /// By which timings the nodes ran.
    pub(crate) fn profile(&self) -> &str {
        &self.profile
    }

    /// All measures, in the order of the table, with their times by size.
    pub(crate) fn measures(&self) -> Vec<(Measure, Vec<(u64, &Values)>)> {
        let mut measures: Vec<(Measure, Vec<(u64, &Values)>)> = Vec::new();
        for ((measure, nodes), times) in &self.times {
            match measures.last_mut() {
                Some((last, sizes)) if last == measure => sizes.push((*nodes, times)),
                _ => measures.push((*measure, vec![(*nodes, times)])),
            }
        }
        measures
    }

    pub(crate) fn table(&self) -> String {
        let columns = [("nodes", 6), ("count", 6), ("median", 10), ("90 %", 10), ("worst", 10)];
        let mut table = Table::new(&[&[("milliseconds", 43)][..], &columns].concat());
        for (measure, sizes) in self.measures() {
            for (nodes, times) in sizes {
                let figures = [times.median(), times.percentile(90), times.largest()];
                let counts = [nodes.to_string(), times.all().len().to_string()];
                let first = [measure.label().to_owned()].into_iter().chain(counts);
                table.row(first.chain(figures.map(|figure| format!("{figure:.1}"))));
            }
        }
        let (successions, highest) = (self.successions, self.highest_succeeded);
        let (events, disturbances) = (self.duck_events, self.disturbances);
        let (faults, terms) = (self.faults.len(), self.terms_seen);
        let idle = if self.idle.is_empty() { String::new() } else { self.idle_table() };
        format!(
            "{table}\nnext Goose was the highest node: {highest} of {successions}\n\
             leadership changed by a dying Duck or a returning node: {disturbances} of {events}\n\
             two Geese at once: {faults} in {terms} terms\n{idle}"
        )
    }

    fn idle_table(&self) -> String {
        let mut table = Table::new(&[
            ("idle, per process", 21),
            ("nodes", 6),
            ("RSS MiB", 10),
            ("anon MiB", 10),
            ("% of a core", 14),
            ("sent kB/s", 13),
            ("keeper's own MiB", 18),
        ]);
        for cost in &self.idle {
            let IdleCost { nodes, role, resident, anonymous, processor, sent, keeper } = cost;
            table.row([
                (*role).to_owned(),
                nodes.to_string(),
                format!("{:.1}", resident / 1024.0),
                format!("{:.2}", anonymous / 1024.0),
                format!("{processor:.2}"),
                format!("{:.2}", sent / 1000.0),
                format!("{:.2}", keeper / 1024.0),
            ]);
        }
        format!("\n{table}")
    }

    pub(crate) fn json(&self) -> Value {
        let figure = |(measure, nodes): &(Measure, u64), times: &Values| {
            json!({
                "measure": measure.label(), "nodes": nodes, "unit": "ms",
                "median": times.median(), "p90": times.percentile(90),
                "worst": times.largest(), "times": times.all(),
            })
        };
        let idle = |cost: &IdleCost| {
            json!({
                "nodes": cost.nodes, "role": cost.role, "rss_kib": cost.resident,
                "rss_anon_kib": cost.anonymous, "cpu_percent_of_a_core": cost.processor,
                "udp_payload_bytes_sent_per_second": cost.sent,
                "keeper_private_kib": cost.keeper,
            })
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "runs": self.runs,
            "profile": self.profile,
            "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "figures": self.times.iter().map(|(key, times)| figure(key, times)).collect::<Vec<_>>(),
            "idle": self.idle.iter().map(idle).collect::<Vec<_>>(),
            "successions": self.successions, "highest_succeeded": self.highest_succeeded,
            "duck_events": self.duck_events, "disturbances": self.disturbances,
            "terms_seen": self.terms_seen, "two_geese": self.faults, "failures": self.failures,
        })
    }
}
