//! What operators see in a terminal, in front of real nodes: the history's reasons, `watch`,
//! `doctor`, `completions`, and what the metrics say of refused datagrams.
//!
//! With `-- --nocapture` the transcripts are printed.

mod advertised;
mod history;
mod log;
mod machine;
mod refusals;
pub(crate) mod terminal;
mod unled;

use std::time::Duration;

use crate::harness::Cluster;
use crate::harness::watch::Watch;

/// Three voters, 1, 2 and 3, that run.
fn three() -> Cluster {
    three_and(&[])
}

/// The same, and more nodes that are not started.
fn three_and(more: &[u64]) -> Cluster {
    let watch = Watch::new(Duration::from_millis(20), false);
    let mut cluster = Cluster::new(&[&[1, 2, 3], more].concat(), &[1, 2, 3], watch);
    for id in [3, 2, 1] {
        cluster.start(id);
        cluster.wait_until(&format!("node {id} answers"), |cluster| cluster.status(id));
    }
    cluster
}
