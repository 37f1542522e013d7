//! The keeper's own process: it waits for a death, sends a testament, and ends.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::decode;
use crate::node::Testament;

/// The testament is sent again after each of these: a lost datagram costs a lease, a repeated
/// one nothing.
const SENDINGS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(30),
];

/// No testament is larger: it went through the pipe in one piece.
const UNREAD_MAX: usize = 2 * super::MESSAGE_MAX;

/// More than a pipe holds, in pieces of a page: somebody else who fills it is not waited for.
const LAST_READS_MAX: usize = 512;

/// Keeps the process whose pidfd is the standard output, with the testament that comes down the
/// standard input. Returns when that process is dead and its testament sent.
///
/// # Errors
/// What the operating system refused, or that the standard output is no pidfd. Nothing was
/// sent then.
pub fn keep() -> io::Result<()> {
    if !is_pidfd_at_output() {
        return Err(io::Error::other("the standard output is no pidfd"));
    }
    close_inherited()?;
    ignore_signals()?;
    // For whoever lists processes; without a name it works as well.
    let _ = rustix::thread::set_name(c"gaggle-keeper");
    let death = rustix::stdio::stdout();
    let line = rustix::stdio::stdin();
    let mut unread = Vec::new();
    let mut testament = Vec::new();
    let mut line_open = true;
    loop {
        let mut waiting = vec![PollFd::from_borrowed_fd(death, PollFlags::IN)];
        if line_open {
            waiting.push(PollFd::from_borrowed_fd(line, PollFlags::IN));
        }
        match poll(&mut waiting, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let died = waiting[0].revents();
        let fed = waiting.get(1).is_some_and(|line| !line.revents().is_empty());
        if died.intersects(PollFlags::NVAL | PollFlags::ERR) {
            return Err(io::Error::other("the pidfd has become unusable"));
        }
        if fed {
            // The end of the line is not a death: it only means that nothing more will come.
            line_open = read_on(&mut unread, &mut testament);
        }
        if died.contains(PollFlags::IN) {
            // What it wrote last is still in the pipe.
            for _ in 0..LAST_READS_MAX {
                if !line_open || !is_readable() {
                    break;
                }
                line_open = read_on(&mut unread, &mut testament);
            }
            send(&testament);
            return Ok(());
        }
    }
}

/// Whether the standard output stands for a process: of the descriptors there are, only a
/// pidfd has a process id to show. Somebody who starts a keeper by hand has none.
pub(super) fn is_pidfd_at_output() -> bool {
    let shown = std::fs::read_to_string("/proc/self/fdinfo/1").unwrap_or_default();
    shown.lines().any(|line| line.starts_with("Pid:"))
}

/// Closes whatever the node's parent left open: a lock or the end of a pipe in here would be
/// held for longer than the node lives.
pub(super) fn close_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        inherited.extend(number.filter(|number| *number > 2));
    }
    for number in inherited {
        // One of them was the listing itself, which is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Signals that are sent to a whole group or service are meant for the node; its death is what
/// ends this process.
pub(super) fn ignore_signals() -> io::Result<()> {
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))?;
    }
    Ok(())
}

pub(super) fn is_readable() -> bool {
    let mut waiting = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)];
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut waiting, Some(&none)).is_ok_and(|ready| ready > 0)
}

/// Reads what there is; the last whole testament counts. Returns whether more may come: not
/// after the line's end, after an error, or if it carries something else. What was read whole
/// before stands.
fn read_on(unread: &mut Vec<u8>, testament: &mut Vec<Testament>) -> bool {
    let mut bytes = [0; 4096];
    // Not through std's buffer, which would hide from `poll` what it holds.
    let count = match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
        Err(Errno::INTR) => return true,
        Ok(0) | Err(_) => return false,
        Ok(count) => count,
    };
    unread.extend_from_slice(&bytes[..count]);
    while let Some((newer, used)) = decode(unread) {
        *testament = newer;
        unread.drain(..used);
    }
    unread.len() <= UNREAD_MAX
}

pub(super) fn send(testament: &[Testament]) {
    if testament.is_empty() {
        return;
    }
    let four = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
    for pause in SENDINGS {
        thread::sleep(pause);
        for Testament { to, datagram } in testament {
            let socket = if to.is_ipv4() { &four } else { &six };
            if let Ok(socket) = socket {
                // A voter that cannot be reached frees its vote when the lease runs out.
                let _ = socket.send_to(datagram, to);
            }
        }
    }
}
