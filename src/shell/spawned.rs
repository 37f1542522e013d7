//! A command that is run for a moment and waited for, in a process group of its own.
//!
//! It is trusted with its own descendants: only its process group is killed.

use std::io;
use std::os::fd::AsFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// Of what a command complains no more is read.
const COMPLAINT_MAX: usize = 4096;
/// What a command has written before it ended is there by then.
const COMPLAINT_PATIENCE: Duration = Duration::from_millis(20);

/// Where what it says goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// To the log: standard output is for data of the node's.
    Log,
    /// Nowhere, but for the last line of its complaints: see [`Spawned::complaint`].
    Kept,
}

/// A command that runs. Dropping it kills its process group.
pub(super) struct Spawned {
    child: Child,
    said: Vec<u8>,
}

impl Spawned {
    /// Starts the command of these words.
    pub(super) fn start(
        words: &[String],
        variables: Vec<(String, String)>,
        voice: Voice,
    ) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command.args(arguments).envs(variables).stdin(Stdio::null()).process_group(0);
        match voice {
            Voice::Log => {
                command.stdout(io::stderr().as_fd().try_clone_to_owned()?);
            }
            Voice::Kept => {
                command.stdout(Stdio::null()).stderr(Stdio::piped());
            }
        }
        Ok(Self { child: command.spawn()?, said: Vec::new() })
    }

    /// Waits for its end, and reads meanwhile what it complains of.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Some(mut errors) = self.child.stderr.take() else { return self.child.wait().await };
        loop {
            tokio::select! {
                status = self.child.wait() => {
                    // Somebody else may hold the other end.
                    let rest = read(&mut errors, &mut self.said);
                    let _ = timeout(COMPLAINT_PATIENCE, rest).await;
                    return status;
                }
                more = read(&mut errors, &mut self.said) => if !more {
                    return self.child.wait().await;
                },
            }
        }
    }

    /// The last line of its complaints; empty if it had none.
    pub(super) fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.said);
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        line.unwrap_or_default().to_owned()
    }
}

/// Reads some more. Returns whether there may be more yet.
async fn read(errors: &mut ChildStderr, said: &mut Vec<u8>) -> bool {
    let mut part = [0; 1024];
    let Ok(count) = errors.read(&mut part).await else { return false };
    said.extend_from_slice(&part[..count]);
    // Of a long complaint the end counts.
    let excess = said.len().saturating_sub(COMPLAINT_MAX);
    said.drain(..excess);
    count > 0
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // None once it was waited for: the number may be another's by now.
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = id {
            // It may have ended just now; the runtime reaps it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
