//! The keeper's own process: it waits for a death, sends a testament, and ends.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

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

/// More than the node ever has unread in the pipe.
const UNREAD_MAX: usize = 256 * 1024;

/// Keeps the process whose pidfd is the standard output, with the testament that comes down the
/// standard input. Returns when that process is dead and its testament sent.
///
/// # Errors
/// What the operating system refused. Nothing was sent then.
pub fn keep() -> io::Result<()> {
    ignore_signals()?;
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
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let died = waiting[0].revents();
        let fed = waiting.get(1).is_some_and(|line| !line.revents().is_empty());
        if died.intersects(PollFlags::NVAL | PollFlags::ERR) {
            return Err(io::Error::other("the standard output is no pidfd"));
        }
        if fed {
            // The end of the line is not a death: it only means that nothing more will come.
            line_open = read_on(&mut unread, &mut testament)?;
        }
        if died.contains(PollFlags::IN) {
            // What it wrote last is still in the pipe.
            while line_open && is_readable() {
                line_open = read_on(&mut unread, &mut testament)?;
            }
            send(&testament);
            return Ok(());
        }
    }
}

/// Signals that are sent to a whole group or service are meant for the node; its death is what
/// ends this process.
fn ignore_signals() -> io::Result<()> {
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))?;
    }
    Ok(())
}

fn is_readable() -> bool {
    let mut waiting = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)];
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut waiting, Some(&none)).is_ok_and(|ready| ready > 0)
}

/// Reads what there is; the last whole testament counts. Returns whether more may come.
fn read_on(unread: &mut Vec<u8>, testament: &mut Vec<Testament>) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    // Not through std's buffer, which would hide from `poll` what it holds.
    let count = match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
        Ok(0) => return Ok(false),
        Ok(count) => count,
        Err(Errno::INTR) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    unread.extend_from_slice(&bytes[..count]);
    while let Some((newer, used)) = decode(unread) {
        *testament = newer;
        unread.drain(..used);
    }
    if unread.len() > UNREAD_MAX {
        return Err(io::Error::other("the line carries no testament"));
    }
    Ok(true)
}

fn send(testament: &[Testament]) {
    let four = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
    if testament.is_empty() {
        return;
    }
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
