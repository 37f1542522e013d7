//! The keeper: a helper process that outlives its node for a moment, ends the node's work, and
//! tells the voters that the node is dead.
//!
//! ```text
//! node ── last will, Start, Deadline, End, Signal ──▶ keeper ── spawn, signals ──▶ command
//!  ▲                                                    │                             │
//!  └── Started, Exited, Killed, Unreached, Gone ────────┘ ◀── whatever it leaves ─────┘
//! ```
//!
//! It is started by the binary (the binary executed again, with a hidden subcommand) or by a program
//! that embeds a node (so with that program), and the node stays the process that the user started. `gaggle run` and `gaggle exec` start the same
//! keeper; without a command it simply has no work. It holds:
//!
//! * a **pidfd** of the node, opened by the node itself, so that nobody else can be meant. It
//!   becomes readable when the process is dead, and at no other time. The end of a line is *not*
//!   death: a `close` or an `exec` ends it early, and an inherited descriptor keeps it open;
//! * the node's **last will**: datagrams, ready to be sent, that release everything the process
//!   ever held. The node feeds it down the line whenever it changes. There is no other secret, and
//!   every other descriptor that was inherited is closed;
//! * the **command** of `exec`, whose parent it is: so that ends in time even when the node is
//!   frozen or dead;
//! * or the **addresses** of `address`, which it puts and removes by itself: see
//!   [`crate::shell::address`].
//!
//! When the pidfd says so, the keeper ends the work, runs the hook on-duck if the node has led and has not
//! run it, sends the last will once nothing of the work is left, and exits. It never acts on silence or suspicion. If the keeper dies first, or the
//! whole machine does, the lease runs out as it would without one: slower, and just as safe.
//!
//! The keeper is a child subreaper. Whatever the command starts stays below it, daemons
//! included, and the work is *gone* when the keeper has no descendant left. Only then a living
//! node hands over.
//!
//! The node tells the keeper its deadline at every renewal, on the holder clock, which is one
//! clock for all processes of a machine. The keeper ends the work by itself when no more than
//! the kill budget is left: the stop timeout between SIGTERM and SIGKILL, and [`KILL_MARGIN`]
//! for the kill itself. An end that the node orders may take longer, for as long as the lease is
//! renewed meanwhile.
//!
//! Assumptions: the keeper itself is not frozen; the file of the command can be read without
//! waiting; and a process that was killed is gone within [`KILL_MARGIN`]. One that hangs in the
//! kernel, or that has become another user's and has left the command's cgroup, is not: it is
//! named, the lease is kept for as long as the node lives, and after that only the term helps.

mod address_runner;
mod cgroup;
mod command_runner;
mod hook;
mod message;
mod node_side;
mod orphans;
mod precedence;
mod process;
mod process_tree;
mod runner;

use std::ffi::OsString;
use std::io;
use std::time::Duration;

pub use message::{Cause, Report};
pub use node_side::{Keeper, LineBroken, Reports, WorkKeeper, end_orphans};
pub use orphans::{is_first_process, wait_for_orphans};
pub use process::keep;
pub use process_tree::Unreached;

use crate::vocabulary::timing::{Timing, counted};

/// The hidden subcommand under which the binary is a keeper; see `commands`.
pub const SUBCOMMAND: &str = "keeper";

/// The same, for a program that embeds a node and has arguments of its own.
const EMBEDDED_SUBCOMMAND: &str = "gaggle-keeper";

/// What a keeper is told in words, if these are the arguments with which an embedded node starts one.
pub fn words_of_embedded(mut arguments: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let word = arguments.nth(1)?;
    (word == EMBEDDED_SUBCOMMAND).then(|| arguments.collect())
}

/// From SIGKILL until everything is certainly gone.
pub const KILL_MARGIN: Duration = Duration::from_millis(60);

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

/// The longest stop timeout that fits into the lease: the work of a Goose that misses no two
/// renewals in a row is never ended for it. No lease that is allowed is too short for any.
pub fn stop_timeout_max(timing: &Timing) -> Duration {
    let least = timing.renew_interval * 2 + KILL_MARGIN;
    let whole = counted(timing.lease).saturating_sub(least).as_millis();
    Duration::from_millis(u64::try_from(whole).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::timing::{LEASE_FLOOR, Profile};

    #[test]
    fn the_kill_budget_leaves_room_for_two_renewals() {
        let max = |profile| stop_timeout_max(&Timing::of(profile)).as_millis();
        assert_eq!(max(Profile::Lan), 274);
        let shortest = Timing::of(Profile::Fast).with_lease(LEASE_FLOOR);
        assert_eq!(stop_timeout_max(&shortest).as_millis(), 8);
        for profile in [Profile::Lan, Profile::Fast, Profile::Wan] {
            let timing = Timing::of(profile);
            let budget = stop_timeout_max(&timing) + KILL_MARGIN;
            assert!(counted(timing.lease) >= budget + 2 * timing.renew_interval);
        }
    }
}
