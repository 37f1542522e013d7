//! The keeper's own process: it waits for the death of its node, ends the node's work, sends the
//! last will, and ends.
//!
//! ```text
//!            ┌── an order, the node's death, a child's end, the timer
//!   wait ────┴──▶ obey ──▶ look at children and clock ──▶ wait ...
//!                   └──▶ node dead, nothing of its work left: its hook on-duck, last will, end
//! ```
//!
//! One loop for every node: without work there is no [`Runner`], and so nothing of it is ever left.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::address_runner::{AddressRunner, WORD};
use super::command_runner::CommandRunner;
use super::hook::Hook;
use super::message::{ORDER_SIZE_MAX, Order, Report, decode_last_will, report};
use super::precedence::Precedence;
use super::runner::Runner;

/// The last will is sent again after each of these: a lost datagram costs a lease, a repeated one
/// nothing.
const SENDINGS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(30),
];

/// Orders that are obeyed before the clock is looked at: a renewal may be among them.
const ORDERS_AT_ONCE: usize = 64;
/// Orders that a dead node may have left in the line: more than it holds.
const LAST_ORDERS_MAX: usize = 512;

/// Keeps the process whose pidfd is the standard output, as it says down the standard input.
/// `words` are its hook on-duck, if there is one; then the stop timeout in milliseconds and the command,
/// or what addresses are to be held, or nothing. Returns when that
/// process is dead, nothing of its work is left, and its last will is sent.
///
/// # Errors
/// What the operating system refused, or that the standard output is no pidfd. Nothing was
/// sent then, and whatever was running is gone.
pub fn keep(words: &[OsString]) -> io::Result<()> {
    if !is_pidfd_at_output() {
        return Err(io::Error::other("the standard output is no pidfd"));
    }
    close_inherited()?;
    ignore_signals()?;
    let (hook, work) = Hook::of_words(words)?;
    let mut keeper = Keeper {
        precedence: Precedence::take(),
        runner: of_words(work)?,
        hook,
        last_will: Vec::with_capacity(ORDER_SIZE_MAX),
        order: Box::new([0; ORDER_SIZE_MAX]),
        node_dead: false,
        line_open: true,
    };
    report(Report::Keeping(keeper.precedence.as_bits()));
    // For whoever lists processes; without a name it works as well.
    let _ = rustix::thread::set_name(c"gaggle-keeper");
    let outcome = keeper.run();
    if let Some(runner) = &mut keeper.runner {
        // Whatever happened: nothing outlives this process.
        runner.end_all();
    }
    outcome?;
    if let Some(hook) = &mut keeper.hook {
        hook.run(&keeper.precedence);
    }
    send(&keeper.last_will);
    Ok(())
}

/// The work that these words describe; none without words.
fn of_words(words: &[OsString]) -> io::Result<Option<Box<dyn Runner>>> {
    Ok(match words.split_first() {
        None => None,
        Some((first, rest)) if first == WORD => Some(Box::new(AddressRunner::new(rest)?)),
        Some((timeout, command)) => Some(Box::new(CommandRunner::new(timeout, command)?)),
    })
}

struct Keeper {
    precedence: Precedence,
    /// None if the node has no work.
    runner: Option<Box<dyn Runner>>,
    /// None if the node has no hook on-duck.
    hook: Option<Hook>,
    /// As it was read. Replaced in place.
    last_will: Vec<u8>,
    order: Box<[u8; ORDER_SIZE_MAX]>,
    node_dead: bool,
    line_open: bool,
}

impl Keeper {
    /// Until the node is dead and nothing of its work is left.
    fn run(&mut self) -> io::Result<()> {
        loop {
            let (spoken, died) = self.wait()?;
            if spoken {
                self.obey_some(ORDERS_AT_ONCE);
            }
            if died {
                self.node_dead = true;
                // What it said last is still in the line. Its work has no more time for it.
                if let Some(runner) = &mut self.runner {
                    runner.outlive_node();
                }
                self.obey_some(LAST_ORDERS_MAX);
                if let Some(runner) = &mut self.runner {
                    runner.outlive_node();
                }
            }
            let idle = self.runner.as_mut().is_none_or(|runner| runner.look());
            if self.node_dead && idle {
                return Ok(());
            }
        }
    }

    /// Waits for an order, the node's death, a child's end or the time to act. Returns whether
    /// it was one of the first two.
    fn wait(&self) -> io::Result<(bool, bool)> {
        let line = rustix::stdio::stdin();
        let death = rustix::stdio::stdout();
        let timer = self.runner.as_ref().map(|runner| runner.set_timer()).transpose()?;
        let children = self.runner.as_ref().and_then(|runner| runner.children());
        // Of those that are not waited for, the others take the place.
        let wanted = [
            Some(line).filter(|_| self.line_open),
            Some(death).filter(|_| !self.node_dead),
            timer,
            children,
        ];
        let mut waiting =
            std::array::from_fn::<_, 4, _>(|_| PollFd::from_borrowed_fd(line, PollFlags::IN));
        let mut places = [None; 4];
        let mut count = 0;
        for (place, descriptor) in places.iter_mut().zip(wanted) {
            if let Some(descriptor) = descriptor {
                waiting[count] = PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
                *place = Some(count);
                count += 1;
            }
        }
        match poll(&mut waiting[..count], None) {
            // A signal: nothing is marked, and the clock is looked at all the same.
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = |place: Option<usize>| {
            place.map_or(PollFlags::empty(), |place| waiting[place].revents())
        };
        let died = events(places[1]);
        if died.intersects(PollFlags::NVAL | PollFlags::ERR) {
            return Err(io::Error::other("the pidfd has become unusable"));
        }
        Ok((!events(places[0]).is_empty(), died.contains(PollFlags::IN)))
    }

    /// Obeys what orders there are, and no more than `limit`.
    fn obey_some(&mut self, limit: usize) {
        for _ in 0..limit {
            if !self.line_open || !is_readable() {
                break;
            }
            self.obey();
        }
    }

    fn obey(&mut self) {
        // Not through std's buffer, which would hide from `poll` what it holds.
        let count = match rustix::io::read(rustix::stdio::stdin(), &mut self.order[..]) {
            // The last of them: the node died with reports unread. What it said stands behind.
            Err(Errno::INTR | Errno::AGAIN | Errno::CONNRESET) => return,
            // The end of the line is no death: it only means that nothing more will come. The
            // deadline ends the work.
            Ok(0) | Err(_) => {
                self.line_open = false;
                return;
            }
            Ok(count) => count,
        };
        let order = Order::decode(&self.order[..count]);
        match (order, &mut self.runner) {
            (Some(Order::LastWillDatagram(datagrams)), _) => {
                self.last_will.clear();
                self.last_will.extend_from_slice(datagrams);
            }
            (Some(Order::Hook(environment)), _) => {
                if let Some(hook) = &mut self.hook {
                    hook.arm(environment);
                }
            }
            (Some(order), Some(runner)) => runner.obey(order, &self.precedence),
            _ => {}
        }
    }
}

/// Whether the standard output stands for a process: of the descriptors there are, only a
/// pidfd has a process id to show. Somebody who starts a keeper by hand has none.
fn is_pidfd_at_output() -> bool {
    let shown = std::fs::read_to_string("/proc/self/fdinfo/1").unwrap_or_default();
    shown.lines().any(|line| line.starts_with("Pid:"))
}

/// Closes whatever the node's parent left open: a lock or the end of a pipe in here would be
/// held for longer than the node lives.
///
/// What this process has opened itself is left alone. A program that embeds a node may be a keeper with
/// a runtime that its threads are using already, and that would abort without its descriptors.
fn close_inherited() -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        numbers.extend(number.filter(|number| *number > 2));
    }
    for number in numbers {
        // Without a file it is closed already, as the listing itself is.
        let shown = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
        if shown.is_ok_and(|shown| is_inherited(&shown)) {
            let _ = nix::unistd::close(number);
        }
    }
    Ok(())
}

/// Whether a descriptor, as the kernel shows it, came to this process with its exec: that closes all
/// that are marked to be, as whatever std and the runtime open is.
fn is_inherited(shown: &str) -> bool {
    let flags = shown.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & OFlags::CLOEXEC.bits() == 0)
}

/// Signals that are sent to a whole group or service are meant for the node; its death is what
/// ends this process.
fn ignore_signals() -> io::Result<()> {
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))?;
    }
    Ok(())
}

fn is_readable() -> bool {
    let mut waiting = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)];
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut waiting, Some(&none)).is_ok_and(|ready| ready > 0)
}

fn send(last_will: &[u8]) {
    let last_will = decode_last_will(last_will);
    if last_will.is_empty() {
        return;
    }
    let four = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
    for pause in SENDINGS {
        thread::sleep(pause);
        // The highest voter comes last in it, and is told first: it is the one that claims. Were it told
        // by another voter before, it could claim while its own voter still holds the grant.
        for one in last_will.iter().rev() {
            let socket = if one.to.is_ipv4() { &four } else { &six };
            if let Ok(socket) = socket {
                // A voter that cannot be reached frees its vote when the lease runs out.
                let _ = socket.send_to(&one.datagram, one.to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;

    #[test]
    fn what_was_inherited_is_told_from_what_is_this_processs_own() {
        let own = File::open("/dev/null").unwrap();
        let shown = |file: &File| {
            std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap()
        };
        assert!(!is_inherited(&shown(&own)), "{}", shown(&own));
        // As it is with what an exec has left open.
        let left_open = File::from(rustix::io::dup(own.as_fd()).unwrap());
        assert!(is_inherited(&shown(&left_open)), "{}", shown(&left_open));
        assert!(!is_inherited("pos:\t0\n") && !is_inherited("flags:\tnone\n"));
    }
}
