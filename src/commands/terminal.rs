//! Whether the terminal that a node was started on is still there.
//!
//! SIGHUP means two things: somebody wants the settings read again, or the terminal has closed.
//! The kernel takes a terminal that closes away from its processes before it sends the signal, and
//! then there is nothing behind /dev/tty any more. A shell that ends may send the signal while its
//! terminal is still there, so that it is looked at once more a little later.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

/// The controlling terminal of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    /// There was one at the start, and nobody asked to outlive it.
    matters: bool,
}

impl Terminal {
    /// To be called before there is a handler for SIGHUP: who ignores that signal, as under
    /// nohup(1), outlives the terminal.
    pub(super) fn of_process() -> Self {
        Self { matters: look().is_ok() && !ignores_hang_up() }
    }

    /// One that nobody asks for any more.
    pub(super) fn gone() -> Self {
        Self { matters: false }
    }

    /// Whether there was one, and is no more.
    pub(super) fn has_closed(self) -> bool {
        // Any other error says nothing about it.
        self.matters && matches!(look(), Err(Errno::NXIO | Errno::IO))
    }

    /// Whether its end would be the node's.
    pub(super) fn matters(self) -> bool {
        self.matters
    }
}

fn look() -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open("/dev/tty", flags, Mode::empty()).map(drop)
}

fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is number 1.
    mask.is_some_and(|mask| mask & 1 != 0)
}
