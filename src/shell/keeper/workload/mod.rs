//! A workload: a command that runs while, and only while, its node is Goose.
//!
//! ```text
//! node ── Start, Deadline, End, Signal, testament ──▶ keeper ── spawn, signals ──▶ command
//!  ▲                                                    │                             │
//!  └── Started, Failed, Exited, Gone ───────────────────┘ ◀── whatever it leaves ─────┘
//! ```
//!
//! The keeper of `exec` is the parent of the command, not the node: so the command ends in time
//! even when the node is frozen or dead. The keeper is a child subreaper. Whatever the command
//! starts stays below it, daemons included, and the work is *gone* when the keeper has no
//! descendant left. Only then the node hands over, and only then the keeper of a dead node
//! sends its testament.
//!
//! The node tells the keeper its deadline at every renewal, on the holder clock, which is one
//! clock for all processes of a machine. The keeper ends the work by itself when no more than
//! the kill budget is left: the stop timeout between SIGTERM and SIGKILL, and [`KILL_MARGIN`]
//! for the kill itself.
//!
//! Where this process may make a cgroup (version 2), the command is born in one: then a single
//! write kills even what forks faster than anybody can list it. It is never needed for knowing
//! that all is gone.
//!
//! Assumptions: the keeper itself is not frozen, and a process that was killed is gone within
//! [`KILL_MARGIN`]. One that hangs in the kernel is not; no lease can help there, only the term.

mod cgroup;
mod family;
mod message;
mod node_side;
mod supervisor;

use std::time::Duration;

pub use message::{Order, Report};
pub use node_side::{Reports, Workload, WorkloadError, kill_orphans, start};
pub use supervisor::supervise;

use crate::vocabulary::timing::{Timing, counted};

/// The hidden subcommand under which the binary is the keeper of a workload.
pub const SUBCOMMAND: &str = "keeper-exec";

/// From SIGKILL until everything is certainly gone.
pub const KILL_MARGIN: Duration = Duration::from_millis(60);

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
