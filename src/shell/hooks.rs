//! Hooks: a command that is run when this node has become Goose, and one when it is to be Goose
//! no more.
//!
//! ```text
//! until Goose ──▶ on-goose ──▶ wait ──▶ on-duck ──▶ permit dropped: the lease may go
//!      ▲                        │ told to go, or little of the lease is left      │
//!      └────────────────────────┴─────────────────────────────────────────────────┘
//! ```
//!
//! One at a time and never out of order: each is waited for before the next is started, up to a
//! limit, and is killed then. The hook of a demotion starts before the deadline; if need be
//! the one of the election is killed for it. Before a hand-over it is waited for.
//!
//! Assumptions: this process runs. When it is frozen its hook comes late, and when it is killed
//! there is none; what must not outlive the lease belongs under `gaggle exec`. A hook is trusted
//! with its own descendants: only its process group is killed.

use std::fmt;
use std::os::fd::AsFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

use super::handle::Handle;
use super::work::Permit;
use crate::config::hooks::Hooks;
use crate::vocabulary::event::{ElectionReason, Event};
use crate::vocabulary::snapshot::{Lease, Snapshot};

/// While the lease is about to be given away, it is looked at again after this.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Why a hook is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The node won an election.
    Elected,
    /// It was handed the lease.
    HandedOver,
    /// The lease was renewed after all, too late for the hook of the demotion not to run.
    RenewedLate,
    /// The lease is to be given away.
    SteppingDown,
    /// The lease is not renewed.
    LeaseRunsOut,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Elected => "elected",
            Self::HandedOver => "handed-over",
            Self::RenewedLate => "renewed-late",
            Self::SteppingDown => "stepping-down",
            Self::LeaseRunsOut => "lease-runs-out",
        })
    }
}

/// The variables that tell a command of which leadership it is part.
#[must_use]
pub fn variables(snapshot: &Snapshot, term: u64, role: &str) -> Vec<(String, String)> {
    let pairs = [
        ("GAGGLE_TERM", term.to_string()),
        ("GAGGLE_ROLE", role.to_owned()),
        ("GAGGLE_NODE_ID", snapshot.process.id.to_string()),
        ("GAGGLE_GOOSE_ADDR", snapshot.address.to_string()),
        ("GAGGLE_CLUSTER", snapshot.cluster.to_string()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Runs the hooks of a node for as long as it lives. Never returns.
pub async fn keep(hooks: Hooks, handle: Handle) {
    let mut events = handle.events();
    let mut last = 0;
    loop {
        let lease = handle.until_lease(hooks.lead).await;
        let Ok(permit) = handle.begin_work(lease.term).await else {
            sleep(LOOK_INTERVAL).await;
            continue;
        };
        let elected = elected(&mut events, lease.term);
        let reason = if lease.term == last { Reason::RenewedLate } else { elected };
        last = lease.term;
        tenure(&hooks, &handle, &permit, lease, reason).await;
    }
}

/// From the hook of the election to the end of the one of the demotion.
async fn tenure(hooks: &Hooks, handle: &Handle, permit: &Permit, lease: Lease, elected: Reason) {
    let end = async {
        tokio::select! {
            end = permit.asked_to_end() => match end {
                Some(end) if end.reason.is_planned() => Reason::SteppingDown,
                _ => Reason::LeaseRunsOut,
            },
            () = until_little_is_left(handle, lease.term, hooks.lead) => Reason::LeaseRunsOut,
        }
    };
    let mut end = std::pin::pin!(end);
    let ended = tokio::select! {
        // One that is still running then is dropped, and so killed.
        reason = &mut end => Some(reason),
        () = run(hooks, handle, &hooks.on_goose, ("goose", lease.term, elected)) => None,
    };
    let reason = match ended {
        Some(reason) => reason,
        None => end.await,
    };
    run(hooks, handle, &hooks.on_duck, ("duck", lease.term, reason)).await;
}

async fn until_little_is_left(handle: &Handle, term: u64, lead: Duration) {
    loop {
        let left = handle.remaining(term);
        if left <= lead {
            return;
        }
        sleep(left - lead).await;
    }
}

/// How this node came to `term`, by what has happened since this was last asked.
fn elected(events: &mut broadcast::Receiver<Event>, of: u64) -> Reason {
    let mut reason = Reason::Elected;
    loop {
        match events.try_recv() {
            Ok(Event::BecameGoose { term, reason: ElectionReason::HandedOver }) if term == of => {
                reason = Reason::HandedOver;
            }
            Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return reason,
        }
    }
}

/// Runs one hook to its end or to the limit.
async fn run(hooks: &Hooks, handle: &Handle, words: &[String], what: (&str, u64, Reason)) {
    let Some((program, arguments)) = words.split_first() else { return };
    let (role, term, reason) = what;
    tracing::info!(term, "the hook on-{role} starts ({reason}): {program}");
    let outcome = match spawn(program, arguments, handle, what) {
        Ok(mut hook) => timeout(hooks.limit, hook.wait()).await,
        Err(error) => {
            tracing::error!(term, "the hook on-{role} cannot be started: {program}: {error}");
            return;
        }
    };
    match outcome {
        Ok(Ok(status)) if status.success() => {
            tracing::info!(term, "the hook on-{role} is done");
        }
        Ok(Ok(status)) => tracing::warn!(term, "the hook on-{role} has failed: {status}"),
        Ok(Err(error)) => tracing::warn!(term, "the hook on-{role} got lost: {error}"),
        Err(_) => {
            let limit = hooks.limit;
            tracing::warn!(term, "the hook on-{role} ran for longer than {limit:?}: killed");
        }
    }
}

fn spawn(
    program: &str,
    arguments: &[String],
    handle: &Handle,
    (role, term, reason): (&str, u64, Reason),
) -> std::io::Result<Hook> {
    // What it says is for the log, and what the node says on standard output is data.
    let output = std::io::stderr().as_fd().try_clone_to_owned()?;
    let child = Command::new(program)
        .args(arguments)
        .envs(variables(&handle.snapshot(), term, role))
        .env("GAGGLE_REASON", reason.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .process_group(0)
        .spawn()?;
    Ok(Hook { child })
}

/// A hook that runs. Dropping it kills its process group.
struct Hook {
    child: Child,
}

impl Hook {
    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // None once it was waited for: the number may be another's by now.
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = id {
            // It may have ended just now; the runtime reaps it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
