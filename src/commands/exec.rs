//! `gaggle exec`: a node that runs a command while, and only while, it is Goose.
//!
//! ```text
//!  until Goose ──▶ start ──▶ wait ──▶ gone ──▶ what now?
//!      ▲                      │                 │ ended by us: on from the start
//!      └──────────────────────┴─────────────────┘ by itself: as --on-exit says
//! ```
//!
//! The command is a child of the keeper's, which ends it in time by itself; see
//! [`crate::shell::keeper`]. Here is only what a node does that is alive.
//!
//! Its exit code is the command's, or 128 + the signal that ended it; 126 and 127 if it could
//! not be executed or found when the node was started; 125 if the node or its keeper failed; 124, as timeout(1) says it, if
//! the command had to be killed because it did not end within the drain timeout (137 would say
//! that somebody else killed it). A node that was told to go exits with 0, unless its command
//! answered SIGTERM with a code of its own.

mod signals;
mod supervisor;

use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use super::arguments::ExecArguments;
use super::exits::{ExitTable, OnExit};
use super::launch::{Launched, ended, launch};
use super::log::{self, Log};
use super::reload::Running;
use super::run::{Signals, greeting};
use super::systemd::Systemd;
use super::{CommandError, Exit, entropy, environment, one_line, runtime};
use crate::config::checked::Storage;
use crate::config::program::{Unrunnable, runnable};
use crate::config::{self, Checked, Fault, SettingsError};
use crate::shell::handle::Departure;
use crate::shell::keeper::{self, Reports, WorkKeeper, wait_for_orphans};
use crate::shell::store::StateFolder;
use crate::vocabulary::timing::Timing;
use signals::Forwarded;
use supervisor::{NOT_EXECUTABLE, NOT_FOUND, OWN_FAULT, Supervisor};

/// The core waits for work by so much longer than the keeper: what is killed needs a moment.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// Runs a node and its command to their end.
pub(super) fn exec(arguments: &ExecArguments) -> Result<ExitCode, CommandError> {
    let raw = &arguments.run;
    let log = Log::start(raw.log_format, raw.log_level).map_err(CommandError::Process)?;
    let mut checked = config::check(raw, &environment(entropy()?))?;
    checked.setup.drain_timeout = arguments.drain_timeout.saturating_add(KILL_PATIENCE);
    let stop_timeout = stop_timeout(arguments, &checked.setup.timing)
        .map_err(|fault| SettingsError::new(fault, &raw.origins))?;
    if !arguments.alone && !is_in_company(&checked) {
        return Err(SettingsError::new(Fault::ExecAlone, &raw.origins).into());
    }
    if let Err((code, reason)) = find_command(arguments) {
        let command = arguments.command[0].display();
        tracing::error!("{command} cannot be run: {reason}. Correct what follows --");
        log::finish();
        return Ok(code.into());
    }
    let on_exit = arguments.on_exit.clone().unwrap_or_else(|| exits_of(&checked));
    let running = Running::new(log, raw, &checked);
    for warning in &checked.warnings {
        tracing::warn!("{}", one_line(warning));
    }
    // Before the runtime: a process that has few threads yet is cheapest to start another from.
    let (keeper, last_will_sender) =
        WorkKeeper::start(&arguments.command, stop_timeout, &checked.hooks)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        // Before the node starts, so that a signal never finds it without a handler.
        let mut signals = Signals::new().map_err(CommandError::Process)?;
        let forwarded = Forwarded::new(arguments.forward_hup).map_err(CommandError::Process)?;
        let reports = keeper.reports().map_err(CommandError::Process)?;
        let greeting = greeting(&checked);
        let launched = tokio::select! {
            launched = launch(checked, Some(Box::new(last_will_sender)), running.reloader(), || ()) => launched?,
            (cause, _) = signals.next() => {
                tracing::info!("{cause} before the node has started: ending");
                return Ok(Exit::Done.into());
            }
        };
        tracing::info!("{greeting}");
        tokio::spawn(wait_for_orphans());
        let supervisor = Supervisor::new(
            launched.handle.clone(),
            keeper,
            on_exit,
            arguments.drain_timeout,
            stop_timeout + keeper::KILL_MARGIN,
        );
        lived(supervisor, reports, forwarded, launched, signals, running).await
    });
    // A look-up of a host name may still hang in the resolver; nobody waits for it.
    runtime.shutdown_background();
    log::finish();
    outcome
}

/// What is done about exits if nobody says: where others may run the command, they do; a node that is
/// all of its cluster takes nobody along, and ends as the command did.
fn exits_of(checked: &Checked) -> ExitTable {
    let setup = &checked.setup;
    let is_all = setup.voters.as_ref().is_none_or(|voters| voters.ids() == [setup.id]);
    ExitTable::always(if is_all && setup.seeds.is_empty() {
        OnExit::Stop
    } else {
        OnExit::StepDown
    })
}

/// The exit code: what kept the command from running is not the command's fault.
pub(super) fn concluded(outcome: Result<ExitCode, CommandError>) -> ExitCode {
    let usage = outcome.as_ref().is_err_and(|error| error.exit() == Exit::Usage);
    let failed = outcome.is_err() && !usage;
    let code = super::concluded(outcome);
    if failed { OWN_FAULT.into() } else { code }
}

/// The stop timeout that was asked for, or half of what fits.
fn stop_timeout(arguments: &ExecArguments, timing: &Timing) -> Result<Duration, Fault> {
    if arguments.run.no_keeper {
        return Err(Fault::ExecWithoutKeeper);
    }
    let max = keeper::stop_timeout_max(timing);
    let lease = timing.lease;
    match arguments.stop_timeout {
        Some(asked) if asked > max => Err(Fault::StopTimeout { asked, max, lease }),
        Some(asked) => Ok(asked),
        None => Ok(max / 2),
    }
}

/// Looks for the command before anything is started: a node without its work is of no use as Goose.
/// The error is the exit code, and why.
fn find_command(arguments: &ExecArguments) -> Result<(), (u8, &'static str)> {
    let Some(command) = arguments.command.first() else { return Ok(()) };
    let path = std::env::var_os("PATH");
    runnable(Path::new(command), path.as_deref()).map_err(|reason| match reason {
        Unrunnable::Missing => (NOT_FOUND, reason.words()),
        _ => (NOT_EXECUTABLE, reason.words()),
    })
}

/// Whether the node is to be one of several. One that knows nobody founds a cluster of its own, which is
/// rarely meant where something is to be done by one alone.
pub(super) fn is_in_company(checked: &Checked) -> bool {
    let setup = &checked.setup;
    let knows_others = setup.voters.is_some() || !setup.seeds.is_empty();
    let returns =
        matches!(&checked.storage, Storage::Folder(folder) if StateFolder::was_used(folder));
    knows_others || returns
}

/// From the start of the node to its end.
async fn lived(
    supervisor: Supervisor,
    mut reports: Reports,
    mut forwarded: Forwarded,
    Launched { handle, http }: Launched,
    mut signals: Signals,
    mut running: Running,
) -> Result<ExitCode, CommandError> {
    let mut verdict = None;
    let mut signalled = false;
    let systemd = Systemd::of_environment(&handle);
    let mut work = pin!(supervisor.work(&mut reports, &mut forwarded));
    tokio::select! {
        code = &mut work => verdict = Some(code),
        // It never ends by itself.
        () = systemd.keep_informed(&handle) => {}
        outcome = handle.ended() => {
            outcome.map_err(|error| CommandError::Ended(error.to_string()))?;
        }
        (cause, _) = signals.next_end(&mut running, &handle) => {
            tracing::info!("{cause}: ending the command and leaving; once more ends at once");
            signalled = true;
        }
    }
    systemd.stopping();
    // The command is ended first, by the other half of this.
    let mut goodbye = pin!(handle.leave());
    let departure = loop {
        tokio::select! {
            outcome = &mut goodbye => {
                if let Err(error) = &outcome {
                    tracing::warn!("could not say goodbye: {error}");
                }
                break outcome;
            }
            code = &mut work, if verdict.is_none() => verdict = Some(code),
            never = signals.insist(&mut signalled) => match never {},
        }
    };
    ended(http);
    if departure == Ok(Departure::WorkGoesOn) {
        return Ok(left_behind(&supervisor).into());
    }
    if let Ok(Departure::Misled(foreign)) = departure {
        return Err(CommandError::Misled(foreign));
    }
    let code = match verdict {
        Some(outcome) => outcome.unwrap_or_else(|error| {
            tracing::error!("{error}");
            OWN_FAULT
        }),
        None => supervisor.answer(),
    };
    Ok(code.into())
}

/// The truth about a node that has ended before its command.
fn left_behind(supervisor: &Supervisor) -> u8 {
    let left = supervisor.left_behind();
    for process in &left {
        tracing::error!(
            "process {} of the command still runs, as user {}: from now on no lease is kept for it, \
             and another node may run the command beside it. End it",
            process.process,
            process.user
        );
    }
    if left.is_empty() {
        tracing::error!(
            "something of the command still runs though it was killed: no lease is kept for it"
        );
    }
    OWN_FAULT
}
