//! What was measured, and its summary as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::idle::IdleCost;

/// What a time stands for. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    ColdStart,
    KillToGoose,
    KillToAgreement,
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

/// The times of one measure at one size, sorted, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, time: f64) {
        let at = self.0.partition_point(|other| *other < time);
        self.0.insert(at, time);
    }

    pub(crate) fn all(&self) -> &[f64] {
        &self.0
    }

    /// The smallest time that is not exceeded in `percent` per cent of the cases.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }
}

/// Everything that was found out.
#[derive(Debug)]
pub(crate) struct Report {
    runs: usize,
    profile: &'static str,
    times: BTreeMap<(Measure, u64), Times>,
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
    pub(crate) fn new(runs: usize, profile: &'static str) -> Self {
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
    pub(crate) fn profile(&self) -> &'static str {
        self.profile
    }

    /// All measures, in the order of the table, with their times by size.
    pub(crate) fn measures(&self) -> Vec<(Measure, Vec<(u64, &Times)>)> {
        let mut measures: Vec<(Measure, Vec<(u64, &Times)>)> = Vec::new();
        for ((measure, nodes), times) in &self.times {
            match measures.last_mut() {
                Some((last, sizes)) if last == measure => sizes.push((*nodes, times)),
                _ => measures.push((*measure, vec![(*nodes, times)])),
            }
        }
        measures
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:<43}{:>6}{:>6}{:>10}{:>10}{:>10}\n",
            "milliseconds", "nodes", "count", "median", "90 %", "worst"
        );
        for (measure, sizes) in self.measures() {
            for (nodes, times) in sizes {
                let (median, high) = (times.median(), times.percentile(90));
                let (label, count, worst) =
                    (measure.label(), times.all().len(), times.percentile(100));
                line(
                    &mut table,
                    format_args!(
                        "{label:<43}{nodes:>6}{count:>6}{median:>10.1}{high:>10.1}{worst:>10.1}"
                    ),
                );
            }
        }
        let _ = writeln!(table);
        let (successions, highest) = (self.successions, self.highest_succeeded);
        line(
            &mut table,
            format_args!("next Goose was the highest node: {highest} of {successions}"),
        );
        let (events, disturbances) = (self.duck_events, self.disturbances);
        line(
            &mut table,
            format_args!(
                "leadership changed by a dying Duck or a returning node: {disturbances} of {events}"
            ),
        );
        let (faults, terms) = (self.faults.len(), self.terms_seen);
        line(&mut table, format_args!("two Geese at once: {faults} in {terms} terms"));
        self.idle_table(&mut table);
        table
    }

    fn idle_table(&self, table: &mut String) {
        if !self.idle.is_empty() {
            line(
                table,
                format_args!(
                    "\n{:<21}{:>6}{:>10}{:>10}{:>14}{:>13}{:>18}",
                    "idle, per process",
                    "nodes",
                    "RSS MiB",
                    "anon MiB",
                    "% of a core",
                    "sent kB/s",
                    "keeper's own MiB"
                ),
            );
        }
        for cost in &self.idle {
            let IdleCost { nodes, role, resident, anonymous, processor, sent, keeper } = cost;
            let (resident, anonymous, keeper) =
                (resident / 1024.0, anonymous / 1024.0, keeper / 1024.0);
            let sent = sent / 1000.0;
            line(
                table,
                format_args!(
                    "{role:<21}{nodes:>6}{resident:>10.1}{anonymous:>10.2}{processor:>14.2}\
                     {sent:>13.2}{keeper:>18.2}"
                ),
            );
        }
    }

    pub(crate) fn json(&self) -> Value {
        let figure = |(measure, nodes): &(Measure, u64), times: &Times| {
            json!({
                "measure": measure.label(), "nodes": nodes, "unit": "ms",
                "median": times.median(), "p90": times.percentile(90),
                "worst": times.percentile(100), "times": times.all(),
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

/// Adds a line. Writing to a string cannot fail.
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{arguments}");
}
