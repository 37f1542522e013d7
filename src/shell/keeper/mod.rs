//! The keeper: a helper process that tells the voters when this process is dead.
//!
//! A Goose that is killed cannot release its lease, and without a keeper the others wait until
//! it runs out. The keeper is started by the binary (the binary executed again, with a hidden
//! subcommand); the node stays the process that the user started. The keeper holds two things:
//!
//! * a **pidfd** of the node, opened by the node itself, so that nobody else can be meant. It
//!   becomes readable when the process is dead, and at no other time. The end of a pipe is *not*
//!   death: a `close` or an `exec` ends it early, and an inherited descriptor keeps it open;
//! * the node's **testament**: datagrams, ready to be sent, that release everything the process
//!   ever held. The node feeds it down a pipe whenever it changes. There is no other secret: no
//!   argument, no environment, and every other descriptor that it inherited is closed.
//!
//! When the pidfd says so, the keeper sends the testament and exits. It never acts on silence or
//! suspicion. If the keeper dies first, or the whole machine does, the lease runs out as it
//! would without one: slower, and just as safe.

mod process;
pub mod workload;

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::start::Confidant;
use crate::node::Testament;

pub use process::keep;

/// The hidden subcommand under which the binary is a keeper; see `commands`.
const SUBCOMMAND: &str = "keeper";

/// The very file that this process was started from, even if it was replaced or removed since.
const OWN_BINARY: &str = "/proc/self/exe";

/// A pipe takes a message of this size whole or not at all.
const MESSAGE_MAX: usize = 4096;

/// Why there is no keeper. The node works without one; a crash then costs a lease.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// This platform has no pidfd, or forbids it.
    #[error("this system offers no pidfd ({0})")]
    NoPidfd(io::Error),
    /// It could not be started.
    #[error("cannot start the keeper process: {0}")]
    NoProcess(io::Error),
}

/// The node's end of the line to its keeper.
#[derive(Debug)]
pub struct Keeper {
    pipe: ChildStdin,
    /// What the pipe had no room for yet.
    unsent: Option<Vec<u8>>,
}

impl Keeper {
    /// Starts a keeper of this process. To be called before a runtime is started, so that no
    /// thread of it is duplicated for nothing.
    ///
    /// # Errors
    /// As [`KeeperError`] says; nothing is left running then.
    pub fn start() -> Result<Self, KeeperError> {
        let own = pidfd_open(getpid(), PidfdFlags::empty())
            .map_err(|error| KeeperError::NoPidfd(error.into()))?;
        let mut child = {
            use std::os::unix::process::CommandExt;
            Command::new(OWN_BINARY)
                .arg0("gaggle")
                .arg(SUBCOMMAND)
                .env_clear()
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(Stdio::from(own))
                .stderr(Stdio::null())
                // Signals of the terminal are meant for the node.
                .process_group(0)
                .spawn()
                .map_err(KeeperError::NoProcess)?
        };
        let pipe = child
            .stdin
            .take()
            .ok_or_else(|| KeeperError::NoProcess(io::Error::other("the pipe to it is missing")))?;
        rustix::io::ioctl_fionbio(&pipe, true)
            .map_err(|error| KeeperError::NoProcess(error.into()))?;
        reap(child)?;
        Ok(Self { pipe, unsent: None })
    }
}

impl Confidant for Keeper {
    fn feed(&mut self, testament: &[Testament]) {
        match encode(testament) {
            Some(message) => {
                self.unsent = Some(message);
                self.flush();
            }
            None => {
                tracing::warn!("the testament is too large for the keeper: a crash costs a lease")
            }
        }
    }

    fn flush(&mut self) {
        let Some(message) = &self.unsent else { return };
        match self.pipe.write(message) {
            // A full pipe: the keeper is slow. It is tried again with the next input.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Written, or the keeper is gone, which is logged by whoever reaps it.
            _ => self.unsent = None,
        }
    }
}

/// Waits for the keeper on a thread of its own, so that it never stays a zombie, and says so if
/// it ends before the node does.
fn reap(mut child: Child) -> Result<(), KeeperError> {
    let wait = move || match child.wait() {
        Ok(status) => {
            tracing::warn!("the keeper has ended ({status}): from now on a crash costs a lease");
        }
        Err(error) => tracing::debug!("cannot wait for the keeper: {error}"),
    };
    let thread = thread::Builder::new().name("gaggle-keeper".to_owned()).stack_size(64 * 1024);
    thread.spawn(wait).map(|_| ()).map_err(KeeperError::NoProcess)
}

/// Length (4 bytes), then for each datagram: address as text with its length (1 byte), datagram
/// with its length (2 bytes).
fn encode(testament: &[Testament]) -> Option<Vec<u8>> {
    let mut message = vec![0; 4];
    for Testament { to, datagram } in testament {
        let address = to.to_string();
        message.push(u8::try_from(address.len()).ok()?);
        message.extend_from_slice(address.as_bytes());
        message.extend_from_slice(&u16::try_from(datagram.len()).ok()?.to_be_bytes());
        message.extend_from_slice(datagram);
    }
    let length = u32::try_from(message.len() - 4).ok()?;
    message[..4].copy_from_slice(&length.to_be_bytes());
    (message.len() <= MESSAGE_MAX).then_some(message)
}

/// Reads one message off the front of `bytes`: the testament and how many bytes it took. None
/// while it is incomplete.
fn decode(bytes: &[u8]) -> Option<(Vec<Testament>, usize)> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let end = usize::try_from(length).ok()?.checked_add(4)?;
    let mut rest = bytes.get(4..end)?;
    let mut testament = Vec::new();
    while !rest.is_empty() {
        let (size, after) = rest.split_first()?;
        let (address, after) = after.split_at_checked(usize::from(*size))?;
        let (size, after) = after.split_first_chunk::<2>()?;
        let (datagram, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        let to = std::str::from_utf8(address).ok()?.parse().ok()?;
        testament.push(Testament { to, datagram: datagram.to_vec() });
        rest = after;
    }
    Some((testament, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_testament_survives_the_pipe_in_any_pieces() {
        let testament = vec![
            Testament { to: "10.0.0.1:8000".parse().unwrap(), datagram: vec![1; 130] },
            Testament { to: "[::1]:8001".parse().unwrap(), datagram: vec![2; 200] },
        ];
        let message = encode(&testament).unwrap();
        for cut in 0..message.len() {
            assert_eq!(decode(&message[..cut]), None);
        }
        assert_eq!(decode(&message), Some((testament, message.len())));
        let empty = encode(&[]).unwrap();
        assert_eq!(decode(&empty), Some((Vec::new(), 4)));
    }

    #[test]
    fn fifteen_voters_fit_and_a_monster_is_refused() {
        let one = Testament { to: "10.0.0.1:8000".parse().unwrap(), datagram: vec![1; 220] };
        assert!(encode(&vec![one.clone(); 15]).is_some());
        assert!(encode(&vec![one; 50]).is_none());
    }
}
