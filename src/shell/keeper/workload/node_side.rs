//! The node's end of the line to the keeper of its workload.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StandardStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use rustix::process::{PidfdFlags, getpid, pidfd_open, set_child_subreaper};
use tokio::net::UnixStream;

use super::super::{KeeperError, OWN_BINARY, reap};
use super::SUBCOMMAND;
use super::message::{Order, Report};
use crate::node::Testament;
use crate::shell::start::Confidant;
use crate::vocabulary::time::HolderTime;

/// The keeper of the workload has ended, which it does not while its node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keeper of the command has ended: the command cannot be run or ended without it")]
pub struct WorkloadError;

/// The line to the keeper, for orders. Clones are the same line.
#[derive(Clone, Debug)]
pub struct Workload {
    line: Arc<OwnedFd>,
}

/// Starts the keeper of a workload: to order it, and as the confidant of the node.
/// To be called before a runtime is started.
///
/// # Errors
/// As [`KeeperError`] says; nothing is left running then.
pub fn start(
    command: &[OsString],
    stop_timeout: Duration,
) -> Result<(Workload, Box<dyn Confidant>), KeeperError> {
    let failed = |error: rustix::io::Errno| KeeperError::NoProcess(error.into());
    let own = pidfd_open(getpid(), PidfdFlags::empty())
        .map_err(|error| KeeperError::NoPidfd(error.into()))?;
    // It keeps messages apart, and passes each whole or not at all.
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).map_err(failed)?;
    let child = Command::new(OWN_BINARY)
        .arg0("gaggle")
        .arg(SUBCOMMAND)
        .arg(stop_timeout.as_millis().to_string())
        .args(command)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(own))
        .stderr(Stdio::null())
        // Signals of the terminal are meant for the node, which passes them on.
        .process_group(0)
        .spawn()
        .map_err(KeeperError::NoProcess)?;
    // If the keeper dies, what it kept becomes a child of this process.
    set_child_subreaper(Some(getpid())).map_err(failed)?;
    send_streams(&ours).map_err(KeeperError::NoProcess)?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(failed)?;
    reap(child)?;
    let workload = Workload { line: Arc::new(ours) };
    Ok((workload.clone(), Box::new(WorkloadConfidant { workload, unsent: None })))
}

/// The command gets this process's own standard input, output and error.
fn send_streams(line: &OwnedFd) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [input.as_fd(), output.as_fd(), errors.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&streams));
    sendmsg(line, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Kills whatever descends from this process: the keeper is dead, and what it kept has come to
/// this process, which is a subreaper, too.
pub fn kill_orphans() {
    super::family::kill_all();
}

impl Workload {
    /// Gives an order. Never blocks.
    ///
    /// # Errors
    /// [`WorkloadError`] if it cannot be given: the keeper has ended, or has not listened for
    /// long.
    pub fn order(&self, order: &Order) -> Result<(), WorkloadError> {
        let message = order.encode().ok_or(WorkloadError)?;
        send(&*self.line, &message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
            .map(|_| ())
            .map_err(|_| WorkloadError)
    }

    /// The reports, from here on. To be called once, within a runtime.
    ///
    /// # Errors
    /// What the operating system refused.
    pub fn reports(&self) -> io::Result<Reports> {
        let stream = StandardStream::from(self.line.try_clone()?);
        Ok(Reports { line: UnixStream::from_std(stream)? })
    }
}

/// What the keeper says.
#[derive(Debug)]
pub struct Reports {
    line: UnixStream,
}

impl Reports {
    /// The next report. Cancelling it loses none.
    ///
    /// # Errors
    /// [`WorkloadError`]: there will be none.
    pub async fn next(&mut self) -> Result<Report, WorkloadError> {
        let mut bytes = [0; 16];
        loop {
            self.line.readable().await.map_err(|_| WorkloadError)?;
            match self.line.try_read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Err(WorkloadError),
                Ok(count) => {
                    if let Some(report) = Report::decode(&bytes[..count]) {
                        return Ok(report);
                    }
                }
            }
        }
    }
}

struct WorkloadConfidant {
    workload: Workload,
    unsent: Option<Order>,
}

impl Confidant for WorkloadConfidant {
    fn feed(&mut self, testament: &[Testament]) {
        self.unsent = Some(Order::Testament(testament.to_vec()));
        self.flush();
    }

    fn flush(&mut self) {
        if let Some(order) = &self.unsent
            && self.workload.order(order).is_ok()
        {
            self.unsent = None;
        }
    }

    fn renewed(&mut self, term: u64, deadline: HolderTime) {
        // If it cannot be said, the work ends at the deadline that was said last: in time.
        let _ = self.workload.order(&Order::Deadline { term, deadline });
    }
}
