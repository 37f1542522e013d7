//! `gaggle run`: one node in the foreground, until it is told to go.
//!
//! ```text
//! flags -> settings (exit 2 if refused) -> log -> launch -> wait -> leave -> exit 0
//!                                                            ^
//!                                SIGTERM, SIGINT, POST /v1/leave, end of input
//! ```
//!
//! The node runs on this thread's runtime, HTTP on a thread of its own. A second signal ends
//! the process at once, with 128 + its number.

use std::io::Read;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::launch::{Launched, ended, launch};
use super::log::{self, Log};
use super::reload::Running;
use super::systemd::Systemd;
use super::terminal::Terminal;
use super::{CommandError, Exit, entropy, environment, one_line, runtime};
use crate::config::checked::{Storage, reached_at};
use crate::config::hooks::Hooks;
use crate::config::{self, Checked, Raw};
use crate::shell::handle::{Departure, Handle};
use crate::shell::http::api::views::scheme;
use crate::shell::last_will_sender::LastWillSender;

/// Runs a node to its end.
pub(super) fn run(raw: &Raw) -> Result<Exit, CommandError> {
    let log = Log::start(raw.log_format, raw.log_level).map_err(CommandError::Process)?;
    let checked = config::check(raw, &environment(entropy()?))?;
    let running = Running::new(log, raw, &checked);
    for warning in &checked.warnings {
        tracing::warn!("{}", one_line(warning));
    }
    // Before the runtime: a process that has few threads yet is cheapest to start another from.
    let last_will_sender = if raw.no_keeper { None } else { keeper(&checked.hooks) };
    let runtime = runtime()?;
    let lived = lived(checked, last_will_sender, running, raw.exit_with_stdin);
    let outcome = runtime.block_on(lived);
    // A look-up of a host name may still hang in the resolver; nobody waits for it.
    runtime.shutdown_background();
    log::finish();
    outcome
}

/// The helper that tells the voters when this process is dead.
#[cfg(target_os = "linux")]
fn keeper(hooks: &Hooks) -> Option<Box<dyn LastWillSender>> {
    match crate::shell::keeper::Keeper::start(hooks) {
        Ok(keeper) => Some(Box::new(keeper)),
        Err(error) => {
            tracing::warn!("no keeper: {error}. If this node is killed, that costs a lease");
            None
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn keeper(_: &Hooks) -> Option<Box<dyn LastWillSender>> {
    tracing::info!("no keeper on this platform: if this node is killed, that costs a lease");
    None
}

/// What is left to the first process of a container is waited for.
#[cfg(target_os = "linux")]
pub(super) fn wait_for_orphans() {
    use crate::shell::keeper;
    if keeper::is_first_process() {
        tokio::spawn(keeper::wait_for_orphans());
    }
}

#[cfg(not(target_os = "linux"))]
fn wait_for_orphans() {}

async fn lived(
    checked: Checked,
    last_will_sender: Option<Box<dyn LastWillSender>>,
    mut running: Running,
    exit_with_stdin: bool,
) -> Result<Exit, CommandError> {
    // Before the node starts, so that a signal never finds it without a handler.
    let mut signals = Signals::new().map_err(CommandError::Process)?;
    let greeting = greeting(&checked);
    let Launched { handle, http } = tokio::select! {
        launched = launch(checked, last_will_sender, running.reloader(), || ()) => launched?,
        (cause, _) = signals.next() => {
            tracing::info!("{cause} before the node has started: ending");
            return Ok(Exit::Done);
        }
    };
    tracing::info!("{greeting}");
    wait_for_orphans();
    let end_of_input = end_of_input(exit_with_stdin);
    let systemd = Systemd::of_environment(&handle);
    let mut signalled = tokio::select! {
        // It never ends by itself.
        () = systemd.keep_informed(&handle) => false,
        outcome = handle.ended() => {
            ended(http);
            return match outcome {
                Ok(Departure::Misled(foreign)) => Err(CommandError::Misled(foreign)),
                Ok(_) => Ok(Exit::Done),
                Err(error) => Err(CommandError::Ended(error.to_string())),
            };
        }
        (cause, _) = signals.next_end(&mut running, &handle) => {
            tracing::info!("{cause}: leaving; once more ends at once");
            true
        }
        () = end_of_input => {
            tracing::info!("standard input has ended: leaving");
            false
        }
    };
    systemd.stopping();
    tokio::select! {
        outcome = handle.leave() => {
            if let Err(error) = outcome {
                tracing::warn!("could not say goodbye: {error}");
            }
        }
        never = signals.insist(&mut signalled) => match never {},
    }
    ended(http);
    Ok(Exit::Done)
}

/// After SIGHUP the terminal is looked at once more: a shell that ends sends it while the terminal is
/// still there.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// The signals that end a node, and the one that makes it read its settings again, unless it says
/// that the terminal has closed.
pub(super) struct Signals {
    terminal: Terminal,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// When to look at the terminal again.
    second_look: Option<Instant>,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminal: Terminal::of_process(),
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            second_look: None,
        })
    }

    /// The next one that ends the node, in words and as a number; until then the settings of
    /// `running` are read again for every other, and when it is ordered.
    pub(super) async fn next_end(
        &mut self,
        running: &mut Running,
        handle: &Handle,
    ) -> (&'static str, i32) {
        loop {
            tokio::select! {
                heard = self.hear() => match heard {
                    Some(end) => return end,
                    None => running.hung_up(),
                },
                reading = running.read() => running.adopt(handle, reading),
            }
        }
    }

    /// The same, when there is nothing to read again.
    pub(super) async fn next(&mut self) -> (&'static str, i32) {
        loop {
            if let Some(end) = self.hear().await {
                return end;
            }
        }
    }

    /// While a node is leaving: the second one ends this process at once, and the keeper what it kept.
    /// `signalled`: there was one.
    pub(super) async fn insist(&mut self, signalled: &mut bool) -> std::convert::Infallible {
        loop {
            let (cause, number) = self.next().await;
            if *signalled {
                tracing::warn!("{cause} again: ending without goodbye");
                log::finish();
                std::process::exit(128 + number);
            }
            *signalled = true;
        }
    }

    /// What ends the node; None is a SIGHUP that does not.
    async fn hear(&mut self) -> Option<(&'static str, i32)> {
        loop {
            let second_look = self.second_look;
            tokio::select! {
                _ = self.terminate.recv() => {
                    return Some(("SIGTERM received", SignalKind::terminate().as_raw_value()));
                }
                _ = self.interrupt.recv() => {
                    return Some(("SIGINT received", SignalKind::interrupt().as_raw_value()));
                }
                Some(()) = self.hang_up.recv() => {
                    if !self.terminal.has_closed() {
                        let later = Instant::now() + SECOND_LOOK;
                        self.second_look = self.terminal.matters().then_some(later);
                        return None;
                    }
                }
                () = sleep_until(second_look.unwrap_or_else(Instant::now)),
                    if second_look.is_some() =>
                {
                    self.second_look = None;
                }
            }
            if self.terminal.has_closed() {
                // Once is enough to say it.
                self.terminal = Terminal::gone();
                return Some(("the terminal has closed", SignalKind::hangup().as_raw_value()));
            }
        }
    }
}

/// Done when standard input ends, if that matters; never otherwise. A thread waits for it: it
/// blocks, and whoever holds the other end may hold it for as long as the node lives.
async fn end_of_input(matters: bool) {
    let (ended, end) = oneshot::channel::<()>();
    let wait = move || {
        let mut input = std::io::stdin().lock();
        let mut ignored = [0; 64];
        while input.read(&mut ignored).is_ok_and(|count| count > 0) {}
        drop(ended);
    };
    let name = || std::thread::Builder::new().name("gaggle-stdin".to_owned());
    if matters && name().spawn(wait).is_ok() {
        let _ = end.await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// What a node says first.
pub(super) fn greeting(checked: &Checked) -> String {
    let setup = &checked.setup;
    let state = match &checked.storage {
        Storage::Folder(folder) => format!("state in {}", folder.display()),
        Storage::Ephemeral => "no state kept".to_owned(),
    };
    // Where it is served, for the one that is published may lead here from elsewhere only.
    let scheme = scheme(setup.tags.tell_tls());
    let http = checked.http.map(|http| reached_at(http, setup.address));
    let ask = http.map(|http| format!("; ask it: curl {scheme}://{http}/")).unwrap_or_default();
    let greeting = format!(
        "node {} of cluster \"{}\" on {} (UDP), pid {}, {state}{ask}",
        setup.id,
        setup.cluster,
        setup.address,
        std::process::id()
    );
    one_line(&greeting)
}
