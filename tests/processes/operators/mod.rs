//! What operators see in a terminal, in front of real nodes: the history's reasons, `watch`,
//! `doctor`, `completions`, and what the metrics say of refused datagrams.
//!
//! With `-- --nocapture` the transcripts are printed.

mod history;
mod log;
mod machine;
mod refusals;
mod terminal;

use std::time::Duration;

use crate::harness::Cluster;
use crate::harness::watch::Watch;

/// Three voters, 1, 2 and 3, that run.
fn three() -> Cluster {
    let watch = Watch::new(Duration::from_millis(20), false);
    let mut cluster = Cluster::new(&[1, 2, 3], &[1, 2, 3], watch);
    cluster.start_highest_first();
    cluster
}
