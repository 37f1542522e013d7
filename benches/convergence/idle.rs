//! What a node costs that has nothing to do: memory and processor time, from `/proc`, while
//! nobody asks it anything.
//!
//! What it sends is not measured: the kernel counts bytes per interface, not per process.

use std::time::{Duration, Instant};

use crate::harness::{Cluster, PATIENCE, poll_until};

use super::rounds;

/// How long a cluster rests before its costs are counted, and how long they are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleTimes {
    rest: Duration,
    counted: Duration,
}

impl IdleTimes {
    pub(crate) const FULL: Self =
        Self { rest: Duration::from_secs(10), counted: Duration::from_secs(10) };
    pub(crate) const SHORT: Self =
        Self { rest: Duration::from_secs(1), counted: Duration::from_secs(3) };
}

/// The costs of one role in one cluster: the means over its nodes.
#[derive(Clone, Debug)]
pub(crate) struct IdleCost {
    pub(crate) nodes: u64,
    /// What the node was.
    pub(crate) role: &'static str,
    /// Resident memory, in KiB.
    pub(crate) resident: f64,
    /// The part of it that no file backs, in KiB.
    pub(crate) anonymous: f64,
    /// Per cent of one core.
    pub(crate) processor: f64,
}

/// Measures a fresh cluster of `size`: the Goose, the Ducks that vote, and the other Ducks.
pub(crate) fn measure(size: u64, times: IdleTimes) -> Result<Vec<IdleCost>, String> {
    let mut cluster = rounds::cluster(size);
    rounds::start_all(&mut cluster)?;
    cluster.watch().set_paused(true);
    std::thread::sleep(times.rest);
    let ids = cluster.ids();
    let before: Vec<Option<f64>> = ids.iter().map(|id| processor_seconds(&cluster, *id)).collect();
    let began = Instant::now();
    std::thread::sleep(times.counted);
    let after: Vec<Option<f64>> = ids.iter().map(|id| processor_seconds(&cluster, *id)).collect();
    let seconds = began.elapsed().as_secs_f64();
    let memory: Vec<Option<(f64, f64)>> = ids.iter().map(|id| memory(&cluster, *id)).collect();

    cluster.watch().set_paused(false);
    let asked = Instant::now();
    let leadership = poll_until(PATIENCE, || cluster.watch().agreement(&ids, asked));
    let goose = leadership.ok_or("the idle cluster has no Goose")?.goose;
    let mut costs = Vec::new();
    for role in ["Goose", "Duck, votes", "Duck"] {
        let mut sums = (0.0, 0.0, 0.0);
        let mut count = 0.0;
        for (index, id) in ids.iter().enumerate() {
            let votes = cluster.voters().contains(id);
            let own = if *id == goose {
                "Goose"
            } else if votes {
                "Duck, votes"
            } else {
                "Duck"
            };
            if own != role {
                continue;
            }
            let unreadable = || format!("/proc says nothing of node {id}");
            let (resident, anonymous) = memory[index].ok_or_else(unreadable)?;
            let spent = after[index].zip(before[index]).ok_or_else(unreadable)?;
            let processor = (spent.0 - spent.1) / seconds * 100.0;
            sums = (sums.0 + resident, sums.1 + anonymous, sums.2 + processor);
            count += 1.0;
        }
        if count > 0.0 {
            let (resident, anonymous, processor) = (sums.0 / count, sums.1 / count, sums.2 / count);
            costs.push(IdleCost { nodes: size, role, resident, anonymous, processor });
        }
    }
    Ok(costs)
}

/// The time for which the threads of a node have run, in seconds: what utime and stime count
/// in hundredths, the scheduler's own statistics count in nanoseconds.
fn processor_seconds(cluster: &Cluster, id: u64) -> Option<f64> {
    let process = cluster.node(id).pid()?;
    let mut seconds = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
        seconds += nanoseconds / 1e9;
    }
    Some(seconds)
}

/// VmRSS and RssAnon, in KiB.
fn memory(cluster: &Cluster, id: u64) -> Option<(f64, f64)> {
    let process = cluster.node(id).pid()?;
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some((field("VmRSS:")?, field("RssAnon:")?))
}
