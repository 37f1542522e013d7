//! The node processes: how they are started, looked after, and ended without remains.

use std::fs::File;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::process::{ChildStdin, Command};
use tokio::time::{Instant, timeout_at};

use super::DevError;
use super::plan::PlannedNode;
#[cfg(target_os = "linux")]
use crate::shell::descriptor::watch_input;

/// A child that was told to leave is killed after this.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// One node process.
#[derive(Debug)]
pub(super) struct Child {
    id: u16,
    process: tokio::process::Child,
    /// Its standard input: the child leaves when this closes.
    _lifeline: Option<ChildStdin>,
    pid: Option<u32>,
}

impl Child {
    /// Starts `node`.
    pub(super) fn start(node: &PlannedNode) -> Result<Self, DevError> {
        let failure = |source| DevError::Spawn {
            id: node.id,
            command: command_line(&node.arguments),
            source,
        };
        let program = std::env::current_exe().map_err(failure)?;
        let log = File::options().append(true).create(true).open(&node.log).map_err(failure)?;
        let mut command = Command::new(program);
        command
            .args(&node.arguments)
            .arg("--exit-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // An interrupt from the terminal is for this process, which ends them in turn.
            .process_group(0)
            .kill_on_drop(true);
        // The plan says everything; what the user has set is meant for nodes of their own.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GAGGLE_") {
                command.env_remove(name);
            }
        }
        let mut process = command.spawn().map_err(failure)?;
        let lifeline = process.stdin.take();
        let pid = process.id();
        Ok(Self { id: node.id, process, _lifeline: lifeline, pid })
    }

    fn signal(&self, signal: Signal) {
        // No id any more: it has ended and been collected.
        if let Some(pid) = self.process.id().and_then(identified) {
            // It may have ended in this very moment.
            let _ = kill_process(pid, signal);
        }
    }
}

fn identified(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Done when the process of this id has ended, at the moment at which it did. None: the system has no
/// way to tell.
pub(super) async fn end_of(pid: u32) -> Option<Instant> {
    #[cfg(target_os = "linux")]
    {
        let process = pidfd_open(identified(pid)?, PidfdFlags::empty()).ok()?;
        let process = watch_input(process).ok()?;
        let _ended = process.readable().await.ok()?;
        Some(Instant::now())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Children(Vec<Child>);

impl Children {
    /// Takes care of one more, in the place of an earlier one of the same node.
    pub(super) fn add(&mut self, child: Child) -> Option<u32> {
        let pid = child.pid;
        self.0.retain(|known| known.id != child.id);
        self.0.push(child);
        pid
    }

    /// Sends a signal to a node, if it runs.
    pub(super) fn signal(&self, id: u16, signal: Signal) {
        self.0.iter().filter(|child| child.id == id).for_each(|child| child.signal(signal));
    }

    /// Whether a node's process has not ended.
    pub(super) fn runs(&mut self, id: u16) -> bool {
        let mut own = self.0.iter_mut().filter(|child| child.id == id);
        own.any(|child| matches!(child.process.try_wait(), Ok(None)))
    }

    /// Each child's node, process id, and how it ended if it did.
    pub(super) fn look(&mut self) -> Vec<(u16, Option<u32>, Option<ExitStatus>)> {
        let look = |child: &mut Child| {
            let ended = child.process.try_wait().ok().flatten();
            (child.id, child.pid, ended)
        };
        self.0.iter_mut().map(look).collect()
    }

    /// Asks all of them to leave, and kills those that do not within [`LEAVE_LIMIT`].
    pub(super) async fn end(&mut self) {
        for child in &self.0 {
            // One that is frozen hears it only then.
            child.signal(Signal::TERM);
            child.signal(Signal::CONT);
        }
        let deadline = Instant::now() + LEAVE_LIMIT;
        for child in &mut self.0 {
            if timeout_at(deadline, child.process.wait()).await.is_err() {
                // It fails only if the child has ended after all.
                let _ = child.process.kill().await;
            }
        }
        self.0.clear();
    }
}

/// The command as a person would type it again.
pub(super) fn command_line(arguments: &[String]) -> String {
    let program = std::env::args_os().next();
    let program =
        program.map_or_else(|| "gaggle".into(), |name| name.to_string_lossy().into_owned());
    let quoted = |word: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
        if word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let words: Vec<String> = std::iter::once(&program).chain(arguments).map(quoted).collect();
    words.join(" ")
}
