//! What the node counts of itself, judged.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::findings::{Findings, Verdict};
use crate::config::http_tls::{DAY, EXPIRY_NOTICE};
use crate::vocabulary::reject::Reject;

/// Later than this, in seconds, and a lease of the default profile is in danger.
const DELAY_ODD: f64 = 0.2;
/// More terms than this in an hour are no accident.
const TERMS_ODD: u64 = 10;

/// Why datagrams are refused that somebody sends by mistake, and what to do.
const MENDABLE: [(Reject, &str); 9] = [
    (Reject::UnknownKey, "sealed with a key that this node lacks: give all nodes one --key-file"),
    (Reject::Unsealed, "not sealed, but this node has a key: give their senders the --key-file"),
    (Reject::Forged, "not sealed with the key that they name: forged, or damaged on their way"),
    (Reject::ForeignCluster, "of another --cluster: correct the name, or the seed that leads here"),
    (
        Reject::ForeignVoters,
        "of a cluster of this name that was founded with other --voters, another --preempt, with \
         longer leases, or with or without --ephemeral",
    ),
    (
        Reject::ForeignLineage,
        "of another founding of a cluster of this name with the same voters: give each cluster its \
         own --cluster name, or correct the --seed or the address that leads here",
    ),
    (Reject::TooNew, "of a later version of the protocol: update this node"),
    (Reject::TooOld, "of an earlier version of the protocol: update the nodes that send them"),
    (Reject::Damaged, "damaged on their way: look after the network's cards and cables"),
];

/// What the node refused since its start and people can mend, from its metrics.
pub(super) fn refusals(findings: &mut Findings, metrics: &str) {
    let mut seen = false;
    for (reason, words) in MENDABLE {
        let name = format!("gaggle_datagrams_dropped_total{{reason=\"{}\"}} ", reason.name());
        if let Some(count) = counted(metrics, &name).filter(|count| *count > 0) {
            let words = format!("{count} refused since the node started: {words}");
            findings.add(Verdict::Odd, "datagrams", words);
            seen = true;
        }
    }
    if !seen {
        let words = "none was refused for its key, its cluster, its voters or its version";
        findings.add(Verdict::Ok, "datagrams", words);
    }
}

/// What is counted under `name`, which ends in a space.
fn counted(metrics: &str, name: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok())
}

/// Whether somebody reads what the node says.
pub(super) fn log(findings: &mut Findings, metrics: &str) {
    let dropped = counted(metrics, "gaggle_log_lines_dropped_total ");
    if let Some(count) = dropped.filter(|count| *count > 0) {
        let words = format!(
            "{count} lines were dropped since the node started: nobody read its standard error, or \
             it is closed"
        );
        findings.add(Verdict::Odd, "log", words);
    }
}

/// For how long clients will still believe the node, if it serves HTTP over TLS.
pub(super) fn certificate(findings: &mut Findings, metrics: &str) {
    let Some(expires) = counted(metrics, "gaggle_http_tls_expires_timestamp_seconds ") else {
        return;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_secs(expires).saturating_sub(now);
    let days = left.as_secs() / DAY;
    let (verdict, words) = if left.is_zero() {
        let words = "the TLS certificate has expired: renew it, and reload the node";
        (Verdict::Wrong, words.to_owned())
    } else if left < EXPIRY_NOTICE {
        let words =
            format!("the TLS certificate expires in {days} days: renew it, and reload the node");
        (Verdict::Odd, words)
    } else {
        (Verdict::Ok, format!("the TLS certificate is valid for {days} more days"))
    };
    findings.add(verdict, "certificate", words);
}

/// Whether the node comes round in time, and whether its cluster is at rest.
pub(super) fn pace(findings: &mut Findings, metrics: &str) {
    if let Some(delay) = measured(metrics, "gaggle_driver_delay_max_seconds ") {
        let milliseconds = (delay * 1000.0).round();
        findings.ok_if(
            delay < DELAY_ODD,
            Verdict::Odd,
            "pace",
            [
                format!("the node never came round more than {milliseconds} ms late"),
                format!(
                    "the node once came round {milliseconds} ms late: its machine is too busy, or \
                     froze it. A lease that is not renewed meanwhile lapses"
                ),
            ],
        );
    }
    let late = counted(metrics, "gaggle_lease_renewals_late_total ");
    if let Some(count) = late.filter(|count| *count > 0) {
        let words = format!(
            "{count} confirmations of the lease came late since the node started: the network or \
             the voters are slow at times"
        );
        findings.add(Verdict::Odd, "pace", words);
    }
    let terms = counted(metrics, "gaggle_terms_last_hour ");
    if let Some(count) = terms.filter(|count| *count > TERMS_ODD) {
        let words = format!(
            "{count} terms began within the last hour: `gaggle history` says why each ended"
        );
        findings.add(Verdict::Odd, "pace", words);
    }
}

/// What is measured under `name`, which ends in a space.
fn measured(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok())
}
