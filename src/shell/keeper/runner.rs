//! What the keeper does for its node's work, whatever that is: it begins under a lease, goes on for as
//! long as the lease is renewed, and ends in time.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::message::Order;
use super::precedence::Precedence;
use crate::shell::clock::Clock;
use crate::vocabulary::time::HolderTime;

/// What looks at the clock before something is due does so again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Work that the keeper begins and ends.
pub(super) trait Runner {
    /// Readable when a child may have ended; none if it has no children.
    fn children(&self) -> Option<BorrowedFd<'_>>;
    /// Sets the timer to the next time at which there is something to do, and returns it.
    fn set_timer(&self) -> io::Result<BorrowedFd<'_>>;
    /// Obeys an order of the node's.
    fn obey(&mut self, order: Order<'_>, precedence: &Precedence);
    /// The node is dead: nobody renews its lease.
    fn outlive_node(&mut self);
    /// Looks at the clock and at what else there is. Returns whether nothing is left to end.
    fn look(&mut self) -> bool;
    /// Ends whatever is left, for as long as it takes.
    fn end_all(&mut self);
}

/// A timer that counts time that the machine slept, as the deadline does.
pub(super) fn timer() -> io::Result<OwnedFd> {
    Ok(timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?)
}

/// How long to sleep before a time. The timer's clock may be slewed by an eighth, the holder's is not:
/// so it is looked at before the time, and again.
pub(super) fn pause_until(time: HolderTime) -> Duration {
    let left = time.since(Clock::Machine.holder());
    (left * 7 / 8).max(LOOK_AGAIN.min(left))
}

/// The timer is due after this; none: never.
pub(super) fn set_timer(timer: &OwnedFd, pause: Option<Duration>) -> io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Zero would disarm it.
    let pause = pause.map(|pause| pause.max(Duration::from_micros(1)));
    let value = pause.map_or(Ok(zero), Timespec::try_from).unwrap_or(zero);
    let due = Itimerspec { it_interval: zero, it_value: value };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &due)?;
    Ok(())
}
