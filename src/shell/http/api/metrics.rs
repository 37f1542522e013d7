//! `/metrics`: what a node counts, as Prometheus and OpenMetrics write it.
//!
//! The writer is our own. Every value is computed from one snapshot at the moment of the
//! answer, so the registries of the metrics crates, which hold live counters behind locks,
//! would only be filled in order to be read once; and the format is four kinds of line.
//!
//! Names are stable: base units, a `gaggle_` prefix, `_total` on what only rises. What every process
//! has is called as Prometheus' own clients call it, `process_`, for dashboards know that. Whoever reads
//! a role or a lease here should know that a scrape is old when it is looked at.

use std::fmt::{Display, Write};

use hyper::header::{ACCEPT, HeaderMap};

use super::media_type::{OPENMETRICS, PROMETHEUS};
use super::views::Moment;
use crate::shell::process_usage::ProcessUsage;
use crate::vocabulary::histogram::Histogram;
use crate::vocabulary::reject::Reject;

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// OpenMetrics if it is asked for by name.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let named = values.any(|value| value.contains("application/openmetrics-text"));
        if named { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => PROMETHEUS,
            Self::OpenMetrics => OPENMETRICS,
        }
    }
}

/// The page at this `moment`.
pub(super) fn render(moment: &Moment<'_>, format: Format) -> String {
    let mut page = Page { text: String::with_capacity(8 * 1024), format };
    roles(&mut page, moment);
    lease(&mut page, moment);
    voters(&mut page, moment);
    cluster(&mut page, moment);
    datagrams(&mut page, moment);
    process(&mut page, (moment.process_usage)());
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

fn roles(page: &mut Page, moment: &Moment<'_>) {
    let (snapshot, status) = (moment.snapshot, moment.status());
    page.head("gaggle_build_info", Kind::Gauge, "Always 1; which software this is.");
    let commit = crate::shell::COMMIT;
    page.sample("gaggle_build_info", &[("version", &status.version), ("commit", commit)], 1);
    page.gauge(
        "gaggle_uptime_seconds",
        "How long this process has run.",
        moment.now.since(snapshot.started).as_secs_f64(),
    );
    page.gauge(
        "gaggle_driver_age_seconds",
        "How long ago the driver came round; from 3 on the node is stuck.",
        moment.pulse.age(moment.now).as_secs_f64(),
    );
    page.gauge(
        "gaggle_driver_delay_max_seconds",
        "The most that the driver ever came round later than it had meant to.",
        moment.pulse.delay_max.as_secs_f64(),
    );
    page.counter(
        "gaggle_log_lines_dropped_total",
        "Lines of the log that were dropped, as nobody read it.",
        moment.log_lines_dropped,
    );
    if let Some(expires) = moment.certificate_expires {
        page.gauge(
            "gaggle_http_tls_expires_timestamp_seconds",
            "When the certificate ends with which HTTP is served, in seconds since 1970.",
            expires,
        );
    }
    page.gauge(
        "gaggle_healthy",
        "Whether this node could do the work that it would lead for: 1 or 0.",
        u8::from(snapshot.unhealthy.is_none()),
    );
    page.gauge(
        "gaggle_is_goose",
        "Whether this node was the Goose when it answered: 1 or 0.",
        u8::from(status.lease.is_some()),
    );
    page.gauge(
        "gaggle_has_goose",
        "Whether this node knew of a Goose, itself included: 1 or 0.",
        u8::from(status.goose.is_some()),
    );
    page.gauge("gaggle_term", "The highest term this node knows of.", status.term);
    page.counter(
        "gaggle_goose_changes_total",
        "Terms that this process has seen begin.",
        moment.history.terms.goose_changes,
    );
    page.gauge(
        "gaggle_terms_last_hour",
        "Terms that this process has seen begin within the last hour; 256 at most.",
        moment.history.terms.began_within_the_hour(moment.now),
    );
    page.histogram(
        "gaggle_election_duration_seconds",
        "From when this node knew of no Goose until it knew of one.",
        &moment.history.terms.elections,
    );
}

fn lease(page: &mut Page, moment: &Moment<'_>) {
    let lease = moment.snapshot.lease_at(moment.now);
    page.gauge(
        "gaggle_lease_remaining_seconds",
        "What was left of this node's lease; 0 on a Duck.",
        lease.map_or(0.0, |lease| lease.deadline.since(moment.now).as_secs_f64()),
    );
    page.gauge(
        "gaggle_lease_duration_seconds",
        "The lease that this node asks for; 0 on a Duck.",
        lease.map_or(0.0, |lease| lease.duration.as_secs_f64()),
    );
    page.histogram(
        "gaggle_lease_renewal_round_trip_seconds",
        "How long other voters took to confirm this node's lease.",
        &moment.snapshot.counters.renewals,
    );
    page.counter(
        "gaggle_lease_renewals_late_total",
        "Confirmations of this node's lease that took longer than until the next was asked for.",
        moment.snapshot.counters.renewals_late,
    );
    let voters = moment.snapshot.voters.iter().flat_map(|voters| &voters.voters);
    let name = "gaggle_voter_round_trip_seconds";
    page.head(name, Kind::Gauge, "How long a voter's answers to this node take, as of late.");
    for (id, trip) in voters.filter_map(|voter| Some((voter.id, voter.round_trip?))) {
        page.sample(name, &[("voter", &id.to_string())], trip.as_secs_f64());
    }
}

fn cluster(page: &mut Page, moment: &Moment<'_>) {
    let status = moment.status();
    page.head("gaggle_members", Kind::Gauge, "Members by what gossip says of them.");
    let members = &status.members;
    for (state, count) in [
        ("alive", members.alive),
        ("suspect", members.suspect),
        ("down", members.down),
        ("left", members.left),
    ] {
        page.sample("gaggle_members", &[("state", state)], count);
    }
    let counters = &moment.snapshot.counters;
    let foreign = Reject::ALL.iter().position(|reason| *reason == Reject::ForeignVoters);
    page.counter(
        "gaggle_voter_configuration_mismatches_total",
        "Datagrams of a cluster of this name that was founded with other voters.",
        foreign.map_or(0, |position| counters.rejected[position]),
    );
    page.counter(
        "gaggle_store_failures_total",
        "Records that could not be written.",
        counters.store_failures,
    );
    page.counter(
        "gaggle_store_stalls_total",
        "Writes of a record that took longer than a second, one under way included.",
        counters.store_stalls,
    );
    page.gauge(
        "gaggle_store_stalled_seconds",
        "How long such a write has been under way; 0 if none is.",
        moment.snapshot.store_slow.map_or(0.0, |since| moment.now.since(since).as_secs_f64()),
    );
}

fn voters(page: &mut Page, moment: &Moment<'_>) {
    let status = moment.status();
    let voters = status.voters.as_ref();
    page.gauge(
        "gaggle_voters",
        "Voters of the cluster; 0 while unknown.",
        voters.map_or(0, |voters| voters.ids.len()),
    );
    page.gauge(
        "gaggle_voters_majority",
        "How many voters make a majority; 0 while unknown.",
        voters.map_or(0, |voters| voters.majority),
    );
    let known = moment.snapshot.voters.as_ref().map(|voters| &voters.configuration);
    page.gauge(
        "gaggle_voters_version",
        "Counts the changes of the voters; 1 at the founding, 0 while unknown.",
        known.map_or(0, |known| known.version),
    );
    page.gauge(
        "gaggle_voters_ballot",
        "The ballot of the Goose that last wrote down who votes; 0 at the founding.",
        known.map_or(0, |known| known.ballot),
    );
    page.gauge(
        "gaggle_voters_automatic",
        "How many voters the Goose keeps by itself; 0: they change by order only.",
        known.and_then(|known| known.automatic).unwrap_or(0),
    );
    let change = moment.snapshot.voter_change.as_ref().filter(|_| status.lease.is_some());
    page.gauge(
        "gaggle_voters_changing",
        "Whether this node, as Goose, leads to other voters: 1 or 0.",
        u8::from(change.is_some()),
    );
    page.gauge(
        "gaggle_voters_learning",
        "Nodes that are to vote and do not grant yet, as the Goose knows; 0 on a Duck.",
        change.map_or(0, |change| change.hold.learning().len()),
    );
    page.gauge(
        "gaggle_voters_reachable",
        "Voters that answered this node lately. Only voters and standbys ask.",
        voters.map_or(0, |voters| voters.reachable.len()),
    );
    page.gauge(
        "gaggle_is_voter",
        "Whether this node votes: 1 or 0.",
        u8::from(voters.is_some_and(|voters| voters.is_voter)),
    );
}

fn datagrams(page: &mut Page, moment: &Moment<'_>) {
    let counters = &moment.snapshot.counters;
    let received = "Datagrams that came in, dropped ones included.";
    page.counter("gaggle_datagrams_received_total", received, counters.datagrams_received);
    page.counter("gaggle_datagrams_sent_total", "Datagrams sent.", counters.datagrams_sent);
    page.counter("gaggle_sent_bytes_total", "Bytes sent in datagrams.", counters.bytes_sent);
    page.counter(
        "gaggle_send_failures_total",
        "Datagrams that the operating system would not send.",
        counters.send_failures,
    );
    page.counter(
        "gaggle_answers_withheld_total",
        "Answers kept back from addresses that have not shown that they receive.",
        counters.answers_withheld,
    );
    page.counter(
        "gaggle_members_refused_total",
        "Members that gossip named and that were not taken in, for too many are known.",
        counters.members_refused,
    );
    let name = "gaggle_datagrams_dropped_total";
    page.head(name, Kind::Counter, "Datagrams that came in and were dropped, by reason.");
    for (reason, count) in Reject::ALL.iter().zip(counters.rejected) {
        page.sample(name, &[("reason", reason.name())], count);
    }
}

/// What cannot be read is left out: 0 bytes of memory would be a lie.
fn process(page: &mut Page, usage: ProcessUsage) {
    let name = "process_cpu_seconds_total";
    page.head(name, Kind::Counter, "Processor time of this process, in user and kernel mode.");
    page.sample(name, &[], usage.processor.as_secs_f64());
    let gauges = [
        ("process_open_fds", "Descriptors that this process has open.", usage.open_files),
        ("process_max_fds", "Descriptors that it may have open.", usage.open_files_max),
        (
            "process_resident_memory_bytes",
            "Memory of this process that is present.",
            usage.stat.map(|stat| stat.resident_memory),
        ),
        (
            "process_virtual_memory_bytes",
            "Memory of this process that is mapped.",
            usage.stat.map(|stat| stat.virtual_memory),
        ),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            page.gauge(name, help, value);
        }
    }
    if let Some(stat) = usage.stat {
        page.gauge(
            "process_start_time_seconds",
            "When this process began, in seconds since 1970.",
            stat.started.as_secs_f64(),
        );
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

struct Page {
    text: String,
    format: Format,
}

// Writing to a string cannot fail, so what `write!` says is not looked at here.
impl Page {
    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let (word, suffix) = match kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
            Kind::Histogram => ("histogram", ""),
        };
        // OpenMetrics names the family, Prometheus what it finds on the page.
        let family = match self.format {
            Format::Prometheus => name,
            Format::OpenMetrics => name.strip_suffix(suffix).unwrap_or(name),
        };
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}");
        if self.format == Format::OpenMetrics {
            let unit = ["seconds", "bytes"].into_iter().find(|unit| family.ends_with(unit));
            if let Some(unit) = unit {
                let _ = writeln!(self.text, "# UNIT {family} {unit}");
            }
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ =
                write!(self.text, "{}{label}=\"{text}\"", if position == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, Kind::Counter, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, Kind::Histogram, help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            let seconds = std::time::Duration::from_micros(bound).as_secs_f64();
            // With a decimal point, as OpenMetrics wants bounds to be written.
            self.sample(&bucket, &[("le", &format!("{seconds:?}"))], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count());
        self.sample(&format!("{name}_sum"), &[], histogram.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), &[], histogram.count());
    }
}
