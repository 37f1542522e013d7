//! `gaggle exec`: a node that runs a command while, and only while, it is Goose.
//!
//! ```text
//!  until Goose ──▶ start ──▶ wait ──▶ gone ──▶ what now?
//!      ▲                      │                 │ ended by us: on from the start
//!      └──────────────────────┴─────────────────┘ by itself: as --on-exit says
//! ```
//!
//! The command is a child of the keeper's, which ends it in time by itself; see
//! [`crate::shell::keeper::workload`]. Here is only what a node does that is alive.
//!
//! Its exit code is the command's, or 128 + the signal that ended it; 126 and 127 if it could
//! not be executed or found; 125 if the node or its keeper failed. A node that was told to go
//! exits with 0, unless its command answered SIGTERM with a code of its own.

use std::cell::Cell;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::{ExecArguments, OnExit};
use super::launch::{Launched, launch};
use super::log::{self, Log};
use super::reload::Running;
use super::run::{Signals, greeting};
use super::settings::{Environment, RunSettings, SettingsError};
use super::sources::Origins;
use super::systemd::Systemd;
use super::{CommandError, Exit, entropy, one_line, runtime};
use crate::shell::handle::Handle;
use crate::shell::hooks;
use crate::shell::keeper::workload::{self, Order, Report, Reports, Workload, WorkloadError};
use crate::shell::work::Permit;
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::timing::Timing;

/// The exit code for what is not the command's fault.
const OWN_FAULT: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A command that ended soon is restarted after this, twice that, and so on.
const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// One that ran for so long is restarted as if it had never failed.
const SOUND_AFTER: Duration = Duration::from_secs(10);
/// Between two looks while the lease is being given away.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Runs a node and its command to their end.
pub(super) fn exec(arguments: &ExecArguments, origins: &Origins) -> Result<ExitCode, CommandError> {
    let log = Log::start(arguments.run.log_format, arguments.run.log_level)
        .map_err(CommandError::Process)?;
    let environment = Environment::of_process(entropy()?);
    let refused = |error| CommandError::settings(error, origins);
    let settings = RunSettings::check(&arguments.run, &environment).map_err(refused)?;
    let stop_timeout = stop_timeout(arguments, &settings.setup.timing).map_err(refused)?;
    let running = Running::new(log, &arguments.run, &settings, origins);
    for warning in &settings.warnings {
        tracing::warn!("{}", one_line(warning));
    }
    // Before the runtime: a process that has few threads yet is cheapest to start another from.
    let (workload, confidant) = workload::start(&arguments.command, stop_timeout)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        // Before the node starts, so that a signal never finds it without a handler.
        let mut signals = Signals::new().map_err(CommandError::Process)?;
        let forwarded = Forwarded::new().map_err(CommandError::Process)?;
        let reports = workload.reports().map_err(CommandError::Process)?;
        let greeting = greeting(&settings);
        let launched = tokio::select! {
            launched = launch(settings, Some(confidant)) => launched?,
            (name, _) = signals.next() => {
                tracing::info!("{name} received before the node has started: ending");
                return Ok(Exit::Done.into());
            }
        };
        tracing::info!("{greeting}");
        let shift = Shift {
            handle: launched.handle.clone(),
            workload,
            on_exit: arguments.on_exit,
            budget: stop_timeout + workload::KILL_MARGIN,
            answered: Cell::new(0),
            said: Cell::new(false),
        };
        lived(shift, reports, forwarded, launched, signals, running).await
    });
    // A look-up of a host name may still hang in the resolver; nobody waits for it.
    runtime.shutdown_background();
    log::finish();
    outcome
}

/// The exit code: what kept the command from running is not the command's fault.
pub(super) fn concluded(outcome: Result<ExitCode, CommandError>) -> ExitCode {
    let usage = outcome.as_ref().is_err_and(|error| error.exit() == Exit::Usage);
    let failed = outcome.is_err() && !usage;
    let code = super::concluded(outcome);
    if failed { OWN_FAULT.into() } else { code }
}

/// The stop timeout that was asked for, or half of what fits.
fn stop_timeout(arguments: &ExecArguments, timing: &Timing) -> Result<Duration, SettingsError> {
    if arguments.run.no_keeper {
        return Err(SettingsError::ExecWithoutKeeper);
    }
    let max = workload::stop_timeout_max(timing);
    let lease = timing.lease;
    match arguments.stop_timeout {
        Some(asked) if asked > max => Err(SettingsError::StopTimeout { asked, max, lease }),
        Some(asked) => Ok(asked),
        None => Ok(max / 2),
    }
}

/// From the start of the node to its end.
async fn lived(
    shift: Shift,
    mut reports: Reports,
    mut forwarded: Forwarded,
    Launched { handle, http }: Launched,
    mut signals: Signals,
    mut running: Running,
) -> Result<ExitCode, CommandError> {
    let mut verdict = None;
    let mut signalled = false;
    let systemd = Systemd::of_environment(&handle);
    let mut work = pin!(shift.work(&mut reports, &mut forwarded));
    tokio::select! {
        code = &mut work => verdict = Some(code),
        // It never ends by itself.
        () = systemd.keep_informed(&handle) => {}
        outcome = handle.ended() => {
            outcome.map_err(|error| CommandError::Ended(error.to_string()))?;
        }
        (name, _) = signals.next_end(&mut running, &handle) => {
            tracing::info!("{name} received: ending the command and leaving; once more ends at once");
            signalled = true;
            // What it answered at the end of an earlier tenure was another question.
            shift.answered.set(0);
        }
    }
    systemd.stopping();
    // The command is ended first, by the other half of this.
    let mut goodbye = pin!(handle.leave());
    loop {
        tokio::select! {
            outcome = &mut goodbye => {
                if let Err(error) = outcome {
                    tracing::warn!("could not say goodbye: {error}");
                }
                break;
            }
            code = &mut work, if verdict.is_none() => verdict = Some(code),
            (name, number) = signals.next() => {
                if signalled {
                    tracing::warn!("{name} received again: ending without goodbye");
                    log::finish();
                    // The keeper ends the command.
                    std::process::exit(128 + number);
                }
                signalled = true;
            }
        }
    }
    http.stop();
    tracing::info!("the node has ended");
    let code = match verdict {
        Some(outcome) => outcome.unwrap_or_else(|error| {
            tracing::error!("{error}");
            OWN_FAULT
        }),
        None => shift.answered.get(),
    };
    Ok(code.into())
}

/// What a node does with its command.
struct Shift {
    handle: Handle,
    workload: Workload,
    on_exit: OnExit,
    /// What of the lease must be left for the command to be started.
    budget: Duration,
    /// The exit code with which the command answered when it was last told to end.
    answered: Cell<u8>,
    /// It was said how the command is kept together.
    said: Cell<bool>,
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

impl Shift {
    /// Runs the command whenever this node is Goose. Returns the exit code when there is
    /// nothing left to do.
    async fn work(
        &self,
        reports: &mut Reports,
        forwarded: &mut Forwarded,
    ) -> Result<u8, WorkloadError> {
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
                workload::kill_orphans();
            }
            drop(permit);
            let status = match outcome? {
                Outcome::Late => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    continue;
                }
                Outcome::Ended => continue,
                Outcome::Failed(reason) => return Ok(self.not_started(reason)),
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
    ) -> Result<Outcome, WorkloadError> {
        let (term, deadline) = (lease.term, lease.deadline);
        let environment = hooks::variables(&self.handle.snapshot(), term, "goose");
        // Those that came while nothing ran were meant for the node.
        forwarded.forget();
        self.workload.order(&Order::Start { term, deadline, environment })?;
        let mut outcome = Outcome::Late;
        let mut asked = false;
        loop {
            tokio::select! {
                report = reports.next() => match report? {
                    Report::Started { grouped } => {
                        tracing::info!(term, "the command runs, in term {term}");
                        self.say_once(grouped);
                        outcome = Outcome::Ended;
                    }
                    Report::Failed(reason) => outcome = Outcome::Failed(reason),
                    Report::Exited(status) => outcome = Outcome::Exited(status),
                    Report::Ended(status) => self.answered.set(own_code(status)),
                    Report::Gone => break,
                },
                _ = permit.asked_to_end(), if !asked => {
                    asked = true;
                    self.workload.order(&Order::End)?;
                }
                number = forwarded.next() => self.workload.order(&Order::Signal(number))?,
            }
        }
        if !matches!(outcome, Outcome::Late) {
            tracing::info!(term, "nothing of the command is left");
        }
        Ok(outcome)
    }

    fn say_once(&self, grouped: bool) {
        if !self.said.replace(true) {
            if grouped {
                tracing::debug!("the command has a cgroup of its own");
            } else {
                tracing::info!(
                    "no cgroup for the command, as this process may not make one: what it \
                     starts is found by the list of processes alone"
                );
            }
        }
    }

    fn not_started(&self, reason: i32) -> u8 {
        let error = std::io::Error::from_raw_os_error(reason);
        tracing::error!("the command cannot be executed: {error}. Correct what follows --");
        match error.kind() {
            std::io::ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        }
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

/// The signals that are meant for the command as well as for the node, or for it alone.
struct Forwarded {
    hang_up: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Forwarded {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Forgets those that have come so far.
    fn forget(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for signal in [&mut self.hang_up, &mut self.user_1, &mut self.user_2] {
            // Those of a kind are one.
            let _ = signal.poll_recv(&mut context);
        }
    }

    /// The next one's number.
    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.hang_up.recv() => SignalKind::hangup(),
            _ = self.user_1.recv() => SignalKind::user_defined1(),
            _ = self.user_2.recv() => SignalKind::user_defined2(),
        };
        kind.as_raw_value()
    }
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
