//! What a node's process uses, from `/proc`.

use super::harness::Cluster;

/// How much memory a node's process holds, in KiB.
pub(crate) fn resident_kib(cluster: &Cluster, id: u64) -> Option<f64> {
    status(cluster, id, "VmRSS:")
}

/// The part of it that no file backs, in KiB.
pub(crate) fn anonymous_kib(cluster: &Cluster, id: u64) -> Option<f64> {
    status(cluster, id, "RssAnon:")
}

fn status(cluster: &Cluster, id: u64, name: &str) -> Option<f64> {
    let process = cluster.node(id).pid()?;
    field(&std::fs::read_to_string(format!("/proc/{process}/status")).ok()?, name)
}

/// The number in the line that begins with `name`.
pub(crate) fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The time for which the threads of a node have run, in seconds: what utime and stime count
/// in hundredths, the scheduler's own statistics count in nanoseconds.
pub(crate) fn processor_seconds(cluster: &Cluster, id: u64) -> Option<f64> {
    let process = cluster.node(id).pid()?;
    let mut seconds = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
        seconds += nanoseconds / 1e9;
    }
    Some(seconds)
}
