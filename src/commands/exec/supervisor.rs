//! What a living node does with its command: when it is started, when it is told to end, and
//! what is said of it.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::signals::Forwarded;
use crate::commands::exits::{ExitTable, OnExit};
use crate::shell::handle::Handle;
use crate::shell::hooks;
use crate::shell::keeper::{
    Cause, LineBroken, Report, Reports, Unreached, WorkKeeper, end_orphans,
};
use crate::shell::setback::{SOUND_AFTER, Setback};
use crate::shell::work::Permit;
use crate::vocabulary::health::Complainant;
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::work::{EndOfWork, EndReason};

/// The exit code for what is not the command's fault.
pub(super) const OWN_FAULT: u8 = 125;
/// The exit code if the command had to be killed at a planned end.
pub(super) const KILLED: u8 = 124;
/// The exit code if the command may not be executed.
pub(super) const NOT_EXECUTABLE: u8 = 126;
/// The exit code if there is no such command.
pub(super) const NOT_FOUND: u8 = 127;

/// A command that ends soon is started again here so often in a row; then it is another node's turn.
const RESTARTS_MAX: u32 = 3;
/// Before the first of them; twice as long before the next, and so on. The lease is kept meanwhile.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Between two tries while the lease is about to be given away, or has too little left.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a node does with its command.
pub(super) struct Supervisor {
    pub(super) handle: Handle,
    pub(super) keeper: WorkKeeper,
    pub(super) on_exit: ExitTable,
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

/// What is done next.
enum Next {
    /// It is started when this node is Goose again.
    Wait,
    /// It is started again here, after a pause.
    Restart,
    /// Others have their turn first.
    StandBack,
    /// Nothing ever again, but the node votes on.
    Done,
    /// The node leaves, with this exit code.
    Stop(u8),
}

impl Supervisor {
    pub(super) fn new(
        handle: Handle,
        keeper: WorkKeeper,
        on_exit: ExitTable,
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
        let mut setback = Setback::new(Complainant::Work);
        let mut restarts = 0;
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
            let outcome = outcome?;
            let ran = began.elapsed();
            restarts = if ran >= SOUND_AFTER { 0 } else { restarts };
            let next = self.judge(&outcome, restarts);
            if let (Next::StandBack | Next::Done, Some(reason)) = (&next, reason_of(&outcome)) {
                let reason = if matches!(next, Next::Done) {
                    format!("{reason}, and is done: to run it here once more, restart this node")
                } else {
                    reason
                };
                // Before the permit goes, so that the lease goes with it.
                setback.complain(&self.handle, reason);
            }
            drop(permit);
            match next {
                Next::Wait => tokio::time::sleep(LOOK_INTERVAL).await,
                Next::Restart => {
                    tokio::time::sleep(RESTART_PAUSE * (1 << restarts)).await;
                    restarts += 1;
                }
                Next::StandBack => {
                    restarts = 0;
                    setback.stand_back(&self.handle, ran).await;
                }
                Next::Done => std::future::pending().await,
                Next::Stop(code) => return Ok(code),
            }
        }
    }

    /// What follows from how the command ended, after so many restarts.
    fn judge(&self, outcome: &Outcome, restarts: u32) -> Next {
        let (code, is_lasting) = match outcome {
            Outcome::Late | Outcome::Ended => return Next::Wait,
            Outcome::Failed(reason) => not_started(*reason),
            Outcome::Exited(status) => {
                let code = exit_code(*status);
                tracing::info!("the command has ended by itself, with exit code {code}");
                (code, true)
            }
        };
        match self.on_exit.of(code) {
            OnExit::Stop if is_lasting => Next::Stop(code),
            OnExit::Done if is_lasting => Next::Done,
            OnExit::Restart if restarts < RESTARTS_MAX => Next::Restart,
            // What passes by itself is no end of the command.
            _ => Next::StandBack,
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
        self.keeper.start_work(term, lease.deadline, &environment)?;
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
                    Report::Keeping(_) | Report::Unannounced(_) => {}
                },
                end = permit.asked_to_end(), if !asked => {
                    asked = true;
                    if let Some(limit) = self.limit(end) {
                        self.keeper.end_work(limit)?;
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
            Some(EndReason::Unhealthy) => "this node is not healthy".to_owned(),
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

/// Why this node does not lead for a while, if its command has failed.
fn reason_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Late | Outcome::Ended => None,
        Outcome::Exited(status) => {
            Some(format!("the command has ended by itself, with exit code {}", exit_code(*status)))
        }
        Outcome::Failed(reason) => {
            let error = std::io::Error::from_raw_os_error(*reason);
            Some(format!("the command cannot be started: {error}"))
        }
    }
}

/// The exit code for a command that could not be started, and whether it is to blame: what the
/// machine lacks at the moment passes.
fn not_started(reason: i32) -> (u8, bool) {
    let error = std::io::Error::from_raw_os_error(reason);
    tracing::error!("the command cannot be started: {error}");
    match error.kind() {
        ErrorKind::NotFound => (NOT_FOUND, true),
        ErrorKind::PermissionDenied => (NOT_EXECUTABLE, true),
        _ => (NOT_EXECUTABLE, error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error())),
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

    #[test]
    fn what_a_machine_lacks_at_the_moment_is_no_fault_of_the_commands() {
        for (error, expected) in [
            (Errno::NOENT, (127, true)),
            (Errno::ACCESS, (126, true)),
            (Errno::NOEXEC, (126, true)),
            (Errno::AGAIN, (126, false)),
            (Errno::NOMEM, (126, false)),
            (Errno::TXTBSY, (126, false)),
            (Errno::MFILE, (126, false)),
        ] {
            assert_eq!(not_started(error.raw_os_error()), expected, "{error}");
        }
    }
}
