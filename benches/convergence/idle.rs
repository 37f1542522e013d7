//! What a node costs that has nothing to do: memory and processor time, from `/proc`, while
//! nobody asks it anything; and what it sends, counted on the way.

use std::time::{Duration, Instant};

use crate::harness::{Cluster, PATIENCE, poll_until};
use crate::report::usage::{anonymous_kib, field, processor_seconds, resident_kib};

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
    /// Bytes of UDP payload per second.
    pub(crate) sent: f64,
    /// What the keeper adds in memory that it shares with nobody, in KiB.
    pub(crate) keeper: f64,
}

/// What one node was seen to use.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    resident: f64,
    anonymous: f64,
    processor: f64,
    sent: f64,
    keeper: f64,
}

/// What a node has used since its start.
#[derive(Clone, Copy, Debug)]
struct Counted {
    seconds: f64,
    bytes: u64,
}

/// Measures a fresh cluster of `size`: the Goose, the Ducks that vote, and the other Ducks.
pub(crate) fn measure(size: u64, profile: &str, times: IdleTimes) -> Result<Vec<IdleCost>, String> {
    let mut cluster = rounds::relayed_cluster(size, profile);
    rounds::start_all(&mut cluster)?;
    cluster.watch().set_paused(true);
    std::thread::sleep(times.rest);
    let ids = cluster.ids();
    let count = |id: &u64| {
        let seconds = processor_seconds(&cluster, *id)?;
        Some(Counted { seconds, bytes: cluster.relay().sent_by(*id) })
    };
    let before: Vec<Option<Counted>> = ids.iter().map(count).collect();
    let began = Instant::now();
    std::thread::sleep(times.counted);
    let after: Vec<Option<Counted>> = ids.iter().map(count).collect();
    let seconds = began.elapsed().as_secs_f64();
    let used = |index: usize| {
        let id = ids[index];
        let (before, after) = (before[index]?, after[index]?);
        Some(Used {
            resident: resident_kib(&cluster, id)?,
            anonymous: anonymous_kib(&cluster, id)?,
            processor: (after.seconds - before.seconds) / seconds * 100.0,
            sent: (after.bytes - before.bytes) as f64 / seconds,
            keeper: keeper_memory(&cluster, id)?,
        })
    };
    let all: Option<Vec<Used>> = (0..ids.len()).map(used).collect();
    let all = all.ok_or("/proc does not tell all about the nodes")?;

    cluster.watch().set_paused(false);
    let asked = Instant::now();
    let leadership = poll_until(PATIENCE, || cluster.watch().agreement(&ids, asked));
    let goose = leadership.ok_or("the idle cluster has no Goose")?.goose;
    let role_of = |id: u64| match id {
        _ if id == goose => "Goose",
        _ if cluster.voters().contains(&id) => "Duck, votes",
        _ => "Duck",
    };
    let mut costs = Vec::new();
    for role in ["Goose", "Duck, votes", "Duck"] {
        let of_role = ids.iter().zip(&all).filter(|(id, _)| role_of(**id) == role);
        let of_role: Vec<&Used> = of_role.map(|(_, used)| used).collect();
        let mean = |field: fn(&Used) -> f64| {
            of_role.iter().map(|used| field(used)).sum::<f64>() / of_role.len() as f64
        };
        if !of_role.is_empty() {
            costs.push(IdleCost {
                nodes: size,
                role,
                resident: mean(|used| used.resident),
                anonymous: mean(|used| used.anonymous),
                processor: mean(|used| used.processor),
                sent: mean(|used| used.sent),
                keeper: mean(|used| used.keeper),
            });
        }
    }
    Ok(costs)
}

/// The memory that a node's keeper shares with nobody, in KiB.
fn keeper_memory(cluster: &Cluster, id: u64) -> Option<f64> {
    let node = cluster.node(id).pid()?.to_string();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let folder = entry.path();
        let Ok(stat) = std::fs::read_to_string(folder.join("stat")) else { continue };
        // The name in brackets, the state, then the parent.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        if parent == Some(node.as_str()) {
            let text = std::fs::read_to_string(folder.join("smaps_rollup")).ok()?;
            return Some(field(&text, "Private_Clean:")? + field(&text, "Private_Dirty:")?);
        }
    }
    None
}
