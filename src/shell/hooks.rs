//! Hooks: a command that is run when this node has become Goose, and one when it is to be Goose
//! no more.
//!
//! ```text
//! until Goose ──▶ on-goose ──▶ wait ──▶ on-duck ──▶ permit dropped: the lease may go
//!      ▲                        │ told to go, or little of the lease is left      │
//!      └────────────────────────┴─────────────────────────────────────────────────┘
//! ```
//!
//! Before all that, as the node starts: on-duck, for what an earlier process may have left behind.
//!
//! One at a time and never out of order: each is waited for before the next is started, up to a
//! limit, and is killed then. The hook of a demotion starts before the deadline; if need be
//! the one of the election is killed for it. Before a hand-over it is waited for.
//!
//! If on-goose fails, the node is not healthy: on-duck runs, and another node leads. One on-duck that
//! fails is logged, for nobody can do more about it.
//!
//! If this process dies in between, the keeper runs on-duck (see `shell::keeper`).
//!
//! Assumptions: this process runs, or is dead. When it is frozen its hook comes late; what must not
//! outlive the lease belongs under `gaggle exec`.
//! A hook is trusted with its own descendants: only its process group is killed.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

use super::handle::Handle;
use super::last_will_sender::HookRunner;
use super::setback::Setback;
use super::spawned::{Spawned, Voice};
use super::work::Permit;
use crate::config::hooks::Hooks;
use crate::config::raw::OnHookFailure;
use crate::node::setup::Setup;
use crate::vocabulary::event::{ElectionReason, Event};
use crate::vocabulary::health::Complainant;
use crate::vocabulary::snapshot::{Lease, Snapshot};
use crate::vocabulary::work::EndReason;

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
    /// The node is not healthy.
    Unhealthy,
    /// The hook on-goose has failed.
    HookFailed,
    /// The node starts, and has led nobody yet.
    Started,
    /// The node is dead.
    Died,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Elected => "elected",
            Self::HandedOver => "handed-over",
            Self::RenewedLate => "renewed-late",
            Self::SteppingDown => "stepping-down",
            Self::LeaseRunsOut => "lease-runs-out",
            Self::Unhealthy => "unhealthy",
            Self::HookFailed => "hook-failed",
            Self::Started => "started",
            Self::Died => "died",
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

/// Runs on-duck before the node starts, for what an earlier process of it may have left.
pub async fn clean_up(hooks: &Hooks, setup: &Setup) {
    let variables = [
        ("GAGGLE_TERM", "0".to_owned()),
        ("GAGGLE_ROLE", "duck".to_owned()),
        ("GAGGLE_NODE_ID", setup.id.to_string()),
        ("GAGGLE_GOOSE_ADDR", String::new()),
        ("GAGGLE_CLUSTER", setup.cluster.to_string()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let what = What { role: "duck", term: 0, reason: Reason::Started };
    // It is logged, and the node starts all the same.
    let _ = run(hooks, &hooks.on_duck, what, variables).await;
}

/// Runs the hooks of a node for as long as it lives. Never returns. `of_the_dead` runs on-duck when it
/// is dead.
pub async fn keep(hooks: Hooks, handle: Handle, of_the_dead: Option<Box<dyn HookRunner>>) {
    let mut events = handle.events();
    let mut setback = Setback::new(Complainant::Hook);
    let mut last = 0;
    loop {
        let lease = handle.until_lease(hooks.lead).await;
        let Ok(permit) = handle.begin_work(lease.term).await else {
            sleep(LOOK_INTERVAL).await;
            continue;
        };
        let handed_over = is_handed_over(&mut events, lease.term);
        let elected = if handed_over { Reason::HandedOver } else { Reason::Elected };
        let reason = if lease.term == last { Reason::RenewedLate } else { elected };
        last = lease.term;
        let began = Instant::now();
        let arm = |variables: &[(String, String)]| {
            if let Some(runner) = &of_the_dead {
                runner.arm(variables);
            }
        };
        let mut variables = variables(&handle.snapshot(), lease.term, "duck");
        variables.push(("GAGGLE_REASON".to_owned(), Reason::Died.to_string()));
        arm(&variables);
        let took = tenure(&hooks, &handle, &permit, (lease, reason), &setback).await;
        arm(&[]);
        if took == Took::Failed {
            drop(permit);
            setback.stand_back(&handle, began.elapsed()).await;
        }
    }
}

/// What the hook of the election came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Took {
    Well,
    /// It failed, and that counts.
    Failed,
}

/// From the hook of the election to the end of the one of the demotion.
async fn tenure(
    hooks: &Hooks,
    handle: &Handle,
    permit: &Permit,
    (lease, elected): (Lease, Reason),
    setback: &Setback,
) -> Took {
    let term = lease.term;
    let variables = |role| variables(&handle.snapshot(), term, role);
    let end = async {
        tokio::select! {
            end = permit.asked_to_end() => match end {
                Some(end) if end.reason == EndReason::Unhealthy => Reason::Unhealthy,
                Some(end) if end.reason.is_planned() => Reason::SteppingDown,
                _ => Reason::LeaseRunsOut,
            },
            () = until_little_is_left(handle, lease.term, hooks.lead) => Reason::LeaseRunsOut,
        }
    };
    let mut end = std::pin::pin!(end);
    let what = What { role: "goose", term, reason: elected };
    let (mut reason, mut took) = (None, Took::Well);
    tokio::select! {
        // One that is still running then is dropped, and so killed.
        ended = &mut end => reason = Some(ended),
        outcome = run(hooks, &hooks.on_goose, what, variables("goose")) => {
            let failure = outcome.err().filter(|_| hooks.on_failure == OnHookFailure::StepDown);
            if let Some(failure) = failure {
                setback.complain(handle, failure);
                took = Took::Failed;
            }
        }
    }
    let reason = match reason {
        Some(reason) => reason,
        None => end.await,
    };
    let unhealthy = reason == Reason::Unhealthy && took == Took::Failed;
    let reason = if unhealthy { Reason::HookFailed } else { reason };
    let what = What { role: "duck", term, reason };
    // It is logged: nobody can do more about it.
    let _ = run(hooks, &hooks.on_duck, what, variables("duck")).await;
    took
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

/// Whether the lease of `term` was handed to this node, by what has happened since this was last asked.
pub fn is_handed_over(events: &mut broadcast::Receiver<Event>, of: u64) -> bool {
    let mut is_handed_over = false;
    loop {
        match events.try_recv() {
            Ok(Event::BecameGoose { term, reason: ElectionReason::HandedOver }) if term == of => {
                is_handed_over = true;
            }
            Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return is_handed_over,
        }
    }
}

/// Which hook is run, and why.
#[derive(Clone, Copy)]
struct What {
    role: &'static str,
    term: u64,
    reason: Reason,
}

/// Runs one hook to its end or to the limit. The error says how it failed.
async fn run(
    hooks: &Hooks,
    words: &[String],
    What { role, term, reason }: What,
    mut variables: Vec<(String, String)>,
) -> Result<(), String> {
    let Some(program) = words.first() else { return Ok(()) };
    tracing::info!(term, "the hook on-{role} starts ({reason}): {program}");
    variables.push(("GAGGLE_REASON".to_owned(), reason.to_string()));
    let outcome = match Spawned::start(words, variables, Voice::Log) {
        Ok(mut hook) => timeout(hooks.limit, hook.wait()).await,
        Err(error) => {
            tracing::error!(term, "the hook on-{role} cannot be started: {program}: {error}");
            return Err(format!("the hook on-{role} cannot be started: {error}"));
        }
    };
    let failure = match outcome {
        Ok(Ok(status)) if status.success() => {
            tracing::info!(term, "the hook on-{role} is done");
            return Ok(());
        }
        Ok(Ok(status)) => format!("the hook on-{role} has failed: {status}"),
        Ok(Err(error)) => format!("the hook on-{role} got lost: {error}"),
        Err(_) => format!("the hook on-{role} ran for longer than {:?}: killed", hooks.limit),
    };
    tracing::warn!(term, "{failure}");
    Err(failure)
}
