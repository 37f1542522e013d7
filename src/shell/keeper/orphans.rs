//! Processes that were left to the node, and that nobody else waits for.
//!
//! A node that runs a command is a child subreaper, and one that is process 1 of a container is
//! everybody's: what a hook leaves behind, or a visitor of the container, becomes its child. When
//! such a process ends it stays a zombie until the node waits for it. The node's own children
//! (hooks, the keeper) are waited for by whoever started them, within a moment, so whatever is
//! still a zombie after that is an orphan.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// Whoever started a process waits for it sooner.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether orphans are left to this process because it is the first of its container.
#[must_use]
pub fn is_first_process() -> bool {
    getpid() == Pid::INIT
}

/// Waits for orphans that have ended, as long as the runtime lives.
pub async fn wait_for_orphans() {
    let Ok(mut ended) = signal(SignalKind::child()) else { return };
    while ended.recv().await.is_some() {
        let mut before = zombies();
        while !before.is_empty() {
            sleep(PATIENCE).await;
            let now = zombies();
            for orphan in before.intersection(&now) {
                // Somebody may have been faster after all.
                let _ = Pid::from_raw(*orphan).map(|it| waitpid(Some(it), WaitOptions::NOHANG));
            }
            before = &now - &before;
        }
    }
}

/// Children of this process that have ended. None on a kernel that does not list children.
fn zombies() -> BTreeSet<i32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let numbers: BTreeSet<i32> =
        lists.flat_map(|list| numbers(&list)).filter(|number| is_zombie(*number)).collect();
    numbers
}

fn numbers(list: &str) -> Vec<i32> {
    list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn is_zombie(number: i32) -> bool {
    let stat = fs::read(format!("/proc/{number}/stat")).unwrap_or_default();
    // The name stands in brackets and may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')');
    end.is_some_and(|end| stat[end..].starts_with(b") Z"))
}
