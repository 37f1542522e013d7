//! What a living node does with its command: when it is started, when it is told to end, and
//! what is said of it.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::signals::Forwarded;
use crate::commands::arguments::OnExit;
use crate::shell::handle::Handle;
use crate::shell::hooks;
use crate::shell::keeper::{
    Cause, CommandKeeper, LineBroken, Report, Reports, Unreached, end_orphans,
};
use crate::shell::work::Permit;
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::work::{EndOfWork, EndReason};

/// The exit code for what is not the command's fault.
pub(super) const OWN_FAULT: u8 = 125;
/// The exit code if the command had to be killed at a planned end.
pub(super) const KILLED: u8 = 124;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A command that ended soon is restarted after this, twice that, and so on.
const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// One that ran for so long is restarted as if it had never failed.
const SOUND_AFTER: Duration = Duration::from_secs(10);
/// Between two tries while the lease is about to be given away, or has too little left.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a node does with its command.
pub(super) struct Supervisor {
    pub(super) handle: Handle,
    pub(super) keeper: CommandKeeper,
    pub(super) on_exit: OnExit,
    /// How long the command may take to end when the node tells it to.
    pub(super) drain_timeout: Duration,
    /// What of the lease must be left for the command to be started.
    pub(super) budget: Duration,
    told: Told,
}

/// What the command answered, and what was said of it.
#[derive(Default)]
struct Told {
    /// The exit code with which it answered when it was told that the node leaves.
    answered: Cell<u8>,
    /// It was said how the command is kept together.
    grouped: Cell<bool>,
    /// Processes of its that no signal reaches, as long as anything of it is left.
    unreached: RefCell<Vec<Unreached>>,
}

/// How one run of the command ended.
enum Outcome {
    /// Too little of the lease was left by the time it was to be started.
    Late,
    /// Its time was over.
    Ended,
    /// By itself, with this wait status.
    Exited(i32),
    /// It could not be started, for this reason of the operating system's.
    Failed(i32),
}

impl Supervisor {
    pub(super) fn new(
        handle: Handle,
        keeper: CommandKeeper,
        on_exit: OnExit,
        drain_timeout: Duration,
        budget: Duration,
    ) -> Self {
        Self { handle, keeper, on_exit, drain_timeout, budget, told: Told::default() }
    }

    /// The exit code with which the command answered the node's end; 0 if it did not run.
    pub(super) fn answer(&self) -> u8 {
        self.told.answered.get()
    }

    /// What is left of the command, though the node ends: it is nobody's business any more.
    pub(super) fn left_behind(&self) -> Vec<Unreached> {
        self.told.unreached.borrow().clone()
    }

    /// Runs the command whenever this node is Goose. Returns the exit code when there is
    /// nothing left to do.
    pub(super) async fn work(
        &self,
        reports: &mut Reports,
        forwarded: &mut Forwarded,
    ) -> Result<u8, LineBroken> {
        let mut backoff = BACKOFF_LEAST;
        loop {
            let lease = self.handle.until_lease(self.budget).await;
            let Ok(permit) = self.handle.begin_work(lease.term).await else {
                tokio::time::sleep(LOOK_INTERVAL).await;
                continue;
            };
            let began = Instant::now();
            let outcome = self.run(&permit, lease, reports, forwarded).await;
            if outcome.is_err() {
                // While the lease is still kept.
                end_orphans(|unreached| self.say_unreached(unreached)).await;
                self.told.unreached.borrow_mut().clear();
            }
            drop(permit);
            let status = match outcome? {
                Outcome::Late => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    continue;
                }
                Outcome::Ended => continue,
                Outcome::Failed(reason) => return Ok(not_started(reason)),
                Outcome::Exited(status) => status,
            };
            let code = exit_code(status);
            tracing::info!("the command has ended by itself, with exit code {code}");
            if began.elapsed() > SOUND_AFTER {
                backoff = BACKOFF_LEAST;
            }
            match self.on_exit {
                OnExit::Stop => return Ok(code),
                OnExit::Restart => tokio::time::sleep(backoff).await,
                OnExit::StepDown => {
                    // It may not be Goose any more, and then others have it already.
                    let _ = self.handle.step_down(None, None).await;
                    tokio::time::sleep(backoff).await;
                }
            }
            backoff = (backoff * 2).min(BACKOFF_MOST);
        }
    }

    /// Runs the command once, until nothing of it is left.
    async fn run(
        &self,
        permit: &Permit,
        lease: Lease,
        reports: &mut Reports,
        forwarded: &mut Forwarded,
    ) -> Result<Outcome, LineBroken> {
        let term = lease.term;
        let environment = hooks::variables(&self.handle.snapshot(), term, "goose");
        // Those that came while nothing ran were meant for the node.
        forwarded.forget();
        self.keeper.start_command(term, lease.deadline, &environment)?;
        let mut outcome = Outcome::Late;
        let mut asked = false;
        let (mut answered, mut killed) = (0, false);
        loop {
            tokio::select! {
                report = reports.next() => match report? {
                    Report::Started { grouped } => {
                        tracing::info!(term, "the command runs, in term {term}");
                        self.say_grouped(grouped);
                        outcome = Outcome::Ended;
                    }
                    Report::Failed(reason) => outcome = Outcome::Failed(reason),
                    Report::Exited(status) => outcome = Outcome::Exited(status),
                    Report::Ended(status) => answered = own_code(status),
                    Report::Killed(cause, after) => {
                        say_killed(term, cause, after);
                        killed |= cause == Cause::Ordered;
                    }
                    Report::Unreached(process) => self.say_unreached(process),
                    Report::Gone => break,
                    Report::Keeping(_) => {}
                },
                end = permit.asked_to_end(), if !asked => {
                    asked = true;
                    if let Some(limit) = self.limit(end) {
                        self.keeper.end_command(limit)?;
                    }
                }
                number = forwarded.next() => self.keeper.signal_command(number)?,
            }
        }
        self.told.unreached.borrow_mut().clear();
        if *self.handle.dismissed().borrow() {
            self.told.answered.set(if killed { KILLED } else { answered });
        }
        if !matches!(outcome, Outcome::Late) {
            tracing::info!(term, "nothing of the command is left");
        }
        Ok(outcome)
    }

    /// How long the command may take to end, if the end is planned; and says why.
    fn limit(&self, end: Option<EndOfWork>) -> Option<Duration> {
        let limit = self.drain_timeout;
        let why = match end.map(|end| end.reason) {
            Some(EndReason::Abdicated | EndReason::SteppingDown) => {
                "this node steps down".to_owned()
            }
            Some(EndReason::Preempted { by }) => format!("this node makes way for node {by}"),
            Some(EndReason::Leaving) => "this node leaves".to_owned(),
            // The keeper knows the deadline, and watches the node.
            Some(EndReason::LeaseOver) | None => return None,
        };
        tracing::info!("the command is told to end within {limit:?}, as {why}");
        Some(limit)
    }

    fn say_grouped(&self, grouped: bool) {
        if !self.told.grouped.replace(true) {
            if grouped {
                tracing::debug!("the command has a cgroup of its own");
            } else {
                tracing::info!(
                    "no cgroup for the command, as this process may not make one: what it \
                     starts is found by its parents alone"
                );
            }
        }
    }

    fn say_unreached(&self, unreached: Unreached) {
        let Unreached { process, user, reason } = unreached;
        let reason = std::io::Error::from_raw_os_error(reason);
        tracing::error!(
            "process {process} of the command belongs to user {user}, and no signal of this \
             node's reaches it ({reason}): end it as that user. This node keeps the lease for as \
             long as it lives"
        );
        self.told.unreached.borrow_mut().push(unreached);
    }
}

fn say_killed(term: u64, cause: Cause, after: Duration) {
    let why = match cause {
        Cause::Ordered => "the drain timeout is over",
        Cause::CommandEnded => "this is what the command left behind",
        Cause::LeaseRunsOut => "the lease runs out",
        Cause::NodeDead => "the node is dead",
    };
    tracing::warn!(term, "the command had not ended {after:.1?} after SIGTERM: SIGKILL, as {why}");
}

fn not_started(reason: i32) -> u8 {
    let error = std::io::Error::from_raw_os_error(reason);
    tracing::error!("the command cannot be executed: {error}. Correct what follows --");
    match error.kind() {
        std::io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }
}

/// As a shell says it: the exit code, or 128 + the signal.
fn exit_code(status: i32) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let status = std::process::ExitStatus::from_raw(status);
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_FAULT)
}

/// The code with which a command that was told to end has ended, if it chose one itself.
fn own_code(status: i32) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = std::process::ExitStatus::from_raw(status).code();
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_commands_own() {
        assert_eq!(exit_code(0), 0);
        assert_eq!(exit_code(7 << 8), 7);
        assert_eq!(exit_code(9), 137);
        assert_eq!(exit_code(15), 143);
        assert_eq!((own_code(7 << 8), own_code(15)), (7, 0));
    }
}
