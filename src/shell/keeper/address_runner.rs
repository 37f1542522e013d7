//! The part of the keeper that holds addresses under the node's lease, and drops them in time.
//!
//! ```text
//!          Start                         End, deadline near, node dead, the kernel refuses
//!   idle ─────────▶ holding ───────────────────────────────────────────▶ leaving ── removed ──┐
//!    ▲               │  ▲ renewed: put anew                                                   │
//!    │               └──┘ now and then: announced, or the node told why not                   │
//!    └──────────────────────────────────── Gone ◀─────────────────────────────────────────────┘
//! ```
//!
//! What cannot be removed goes by itself: it has a lifetime, and nobody puts it anew. So leaving ends.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::KILL_MARGIN;
use super::message::{Order, Report, report};
use super::precedence::Precedence;
use super::runner::{Runner, pause_until, set_timer, timer};
use crate::shell::address::announce::{Announcer, Link};
use crate::shell::address::kernel::Kernel;
use crate::shell::address::{Addresses, lifetime};
use crate::shell::clock::Clock;
use crate::vocabulary::time::{HolderTime, nanoseconds};

/// The first word of a keeper that holds addresses.
pub(super) const WORD: &str = "address";

/// While the lease is renewed, an address is put anew no more often than this.
const PUT_INTERVAL: Duration = Duration::from_millis(250);
/// After it was put for the first time, it is announced at these times: a frame may be lost, and a
/// bridge may have to learn first.
const ANNOUNCEMENTS: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// And then ever again: whoever came late, or was misled meanwhile.
const ANNOUNCEMENT_INTERVAL: Duration = Duration::from_secs(10);
/// And after this, if nobody could hear of it.
const UNANNOUNCED_INTERVAL: Duration = Duration::from_secs(1);
/// What could not be removed is tried again after this.
const LEAVE_INTERVAL: Duration = Duration::from_millis(5);
/// The reason of an error that is not the kernel's own: EIO.
const UNKNOWN: i32 = 5;
/// How late the kernel may be with a lifetime that is over.
const LATE: Duration = Duration::from_millis(500);

/// What is held, and how it stands.
pub(super) struct AddressRunner {
    addresses: Addresses,
    /// No more than this may be left of the lease when they are put.
    least_left: Duration,
    kernel: Kernel,
    timer: OwnedFd,
    node_dead: bool,
    state: State,
}

enum State {
    Idle,
    Holding(Holding),
    Leaving(Leaving),
}

struct Holding {
    term: u64,
    deadline: HolderTime,
    /// The number of the device.
    device: u32,
    announcer: Announcer,
    /// When they were put last, and when they go if nobody puts them again.
    put: HolderTime,
    end: HolderTime,
    announcements: Announcements,
}

/// When the addresses are announced, and whether anybody can have heard of it.
struct Announcements {
    /// How many there were since then.
    count: usize,
    since: HolderTime,
    next: HolderTime,
    /// Why the last one was none; 0: it was one.
    hindrance: i32,
}

struct Leaving {
    device: u32,
    /// They are gone by then, whatever the kernel says.
    end: HolderTime,
}

impl Holding {
    /// When there is no more time: what is removed later may outlive the lease.
    fn over(&self) -> HolderTime {
        HolderTime(self.deadline.0.saturating_sub(nanoseconds(KILL_MARGIN)))
    }

    /// Announces the addresses. The node is told if nobody can have heard of it, and if that changes.
    fn announce(&mut self, now: HolderTime) {
        let Self { announcer, announcements, .. } = self;
        let outcome = announcer.announce();
        let hindrance =
            outcome.as_ref().err().map_or(0, |error| error.raw_os_error().unwrap_or(UNKNOWN));
        if std::mem::replace(&mut announcements.hindrance, hindrance) != hindrance {
            report(Report::Unannounced(hindrance));
            // If they can be told again, they are told as often as at first.
            (announcements.count, announcements.since) = (0, now);
        }
        announcements.next = if outcome.is_ok() {
            announcements.count += 1;
            announcements.since.plus(announced_at(announcements.count))
        } else {
            now.plus(UNANNOUNCED_INTERVAL)
        };
    }
}

/// When the addresses are announced again after so many times, from the first one on.
fn announced_at(count: usize) -> Duration {
    let position = count.saturating_sub(1);
    let later = position.saturating_sub(ANNOUNCEMENTS.len() - 1);
    match ANNOUNCEMENTS.get(position) {
        Some(at) => *at,
        None => ANNOUNCEMENT_INTERVAL.saturating_mul(u32::try_from(later).unwrap_or(u32::MAX)),
    }
}

impl AddressRunner {
    /// Of the least that is left of the lease, in milliseconds, the device and the addresses.
    pub(super) fn new(words: &[OsString]) -> io::Result<Self> {
        let malformed = || io::Error::other("no addresses");
        let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
        let words = words.ok_or_else(malformed)?;
        let [least, device, list @ ..] = &words[..] else { return Err(malformed()) };
        let list = list.iter().map(|text| text.parse().ok()).collect::<Option<Vec<_>>>();
        let least = least.parse().map_err(|_| malformed())?;
        Ok(Self {
            addresses: Addresses {
                device: (*device).to_owned(),
                list: list.ok_or_else(malformed)?,
            },
            least_left: Duration::from_millis(least),
            kernel: Kernel::open()?,
            timer: timer()?,
            node_dead: false,
            state: State::Idle,
        })
    }

    /// Puts the addresses for the first time.
    fn take(&mut self, term: u64, deadline: HolderTime) {
        let Self { addresses, kernel, .. } = self;
        let prepared = Link::of(&addresses.device).and_then(|link| {
            let link = link.ok_or_else(|| io::Error::from(rustix::io::Errno::NODEV))?;
            Ok((link.number, Announcer::new(&link, addresses)?))
        });
        let (device, announcer) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return report_failure(&error),
        };
        let put = put(kernel, addresses, device, deadline);
        let now = Clock::Machine.holder();
        match put {
            Ok(end) => {
                report(Report::Started { grouped: false });
                let mut holding = Holding {
                    term,
                    deadline,
                    device,
                    announcer,
                    put: now,
                    end,
                    announcements: Announcements { count: 0, since: now, next: now, hindrance: 0 },
                };
                holding.announce(now);
                self.state = State::Holding(holding);
            }
            Err(error) => {
                report(Report::Failed(error.raw_os_error().unwrap_or(0)));
                // Some may be there.
                let end = now.plus(Duration::from_secs(lifetime(deadline.since(now)).into()));
                self.state = State::Leaving(Leaving { device, end });
                self.remove();
            }
        }
    }

    /// The lease was renewed.
    fn renewed(&mut self, of: u64, until: HolderTime) {
        let now = Clock::Machine.holder();
        let Self { addresses, kernel, least_left, .. } = self;
        let State::Holding(holding) = &mut self.state else { return };
        if holding.term != of {
            return;
        }
        holding.deadline = until;
        let is_due = now.since(holding.put) >= PUT_INTERVAL && until.since(now) > *least_left;
        if !is_due {
            return;
        }
        match put(kernel, addresses, holding.device, until) {
            Ok(end) => (holding.put, holding.end) = (now, end),
            Err(error) => {
                report(Report::Failed(error.raw_os_error().unwrap_or(0)));
                self.leave();
            }
        }
    }

    fn leave(&mut self) {
        if let State::Holding(Holding { device, end, .. }) = self.state {
            self.state = State::Leaving(Leaving { device, end });
            self.remove();
        }
    }

    /// Removes what is to go; when nothing is left, says so.
    fn remove(&mut self) {
        let State::Leaving(Leaving { device, end }) = self.state else { return };
        let removed = self.addresses.list.iter().map(|it| self.kernel.remove(device, *it));
        // Each is tried, whatever became of the others.
        let all = removed.fold(true, |all, one| all & one.is_ok());
        if all || Clock::Machine.holder() >= end.plus(LATE) {
            self.state = State::Idle;
            report(Report::Gone);
        }
    }
}

impl Runner for AddressRunner {
    fn children(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn set_timer(&self) -> io::Result<BorrowedFd<'_>> {
        let pause = match &self.state {
            State::Idle => None,
            State::Holding(holding) => {
                Some(pause_until(holding.over().min(holding.announcements.next)))
            }
            State::Leaving(_) => Some(LEAVE_INTERVAL),
        };
        set_timer(&self.timer, pause)?;
        Ok(self.timer.as_fd())
    }

    fn obey(&mut self, order: Order<'_>, _: &Precedence) {
        match order {
            Order::Start { term, deadline, .. } => {
                let is_fresh = deadline.since(Clock::Machine.holder()) > self.least_left;
                if matches!(self.state, State::Idle) && !self.node_dead && is_fresh {
                    self.take(term, deadline);
                } else {
                    report(Report::Gone);
                }
            }
            Order::Deadline { term, deadline } => self.renewed(term, deadline),
            // It takes no time that somebody could grant.
            Order::End(_) => self.leave(),
            Order::Signal(_) | Order::LastWillDatagram(_) | Order::Hook(_) => {}
        }
    }

    fn outlive_node(&mut self) {
        self.node_dead = true;
        self.leave();
    }

    fn look(&mut self) -> bool {
        let now = Clock::Machine.holder();
        if let State::Holding(holding) = &mut self.state {
            if now >= holding.over() {
                self.leave();
            } else if now >= holding.announcements.next {
                holding.announce(now);
            }
        } else {
            self.remove();
        }
        matches!(self.state, State::Idle)
    }

    fn end_all(&mut self) {
        self.leave();
        while !self.look() {
            std::thread::sleep(LEAVE_INTERVAL);
        }
    }
}

/// Puts all of them; when they go if nobody puts them again.
fn put(
    kernel: &Kernel,
    addresses: &Addresses,
    device: u32,
    deadline: HolderTime,
) -> io::Result<HolderTime> {
    let now = Clock::Machine.holder();
    let seconds = lifetime(deadline.since(now));
    for address in &addresses.list {
        kernel.put(device, *address, seconds)?;
    }
    Ok(Clock::Machine.holder().plus(Duration::from_secs(seconds.into())))
}

/// Nothing was put.
fn report_failure(error: &io::Error) {
    report(Report::Failed(error.raw_os_error().unwrap_or(0)));
    report(Report::Gone);
}
