//! Work under a lease: what it is, and what may happen to it. Plain values, which
//! [`super::keeper`] moves on.

use std::rc::Rc;
use std::time::Duration;

use crate::node::LastWillDatagram;
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::{HolderTime, nanoseconds};
use crate::vocabulary::timing::{Timing, counted};
use crate::vocabulary::work::EndOfWork;

/// What a keeper was given by its node, for the time after its death.
pub(super) type LastWill = Rc<Vec<LastWillDatagram>>;

/// From SIGKILL until nothing is left, at most.
pub(super) const KILL_MARGIN: Duration = Duration::from_millis(60);
/// Words between a node and its keeper take up to so many nanoseconds.
pub(super) const WORD: u64 = 500_000;

/// How work is done in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkPlan {
    /// It lasts about so many nanoseconds, if it ends by itself.
    pub lasts: Option<u64>,
    /// It obeys SIGTERM within so many nanoseconds.
    pub obeys_within: u64,
    /// So many times in a thousand it ignores SIGTERM.
    pub stubborn: u32,
    /// So many times in a thousand whoever did it gives the term up at its end.
    pub abdicates: u32,
}

/// The work under the lease of one process, as that process knows it.
#[derive(Clone, Debug, Default)]
pub struct OwnWork {
    /// The term under which it began.
    pub term: u64,
    /// How much is alive.
    pub alive: u32,
    /// The end that the process last asked for.
    pub asked: Option<EndOfWork>,
}

/// Something that will happen to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkStep {
    /// It is started.
    Spawn,
    /// It is done.
    Done,
    /// Its keeper looks at the clock.
    Look,
    /// Its keeper sees that the node is dead.
    NodeDead,
    /// Nothing of it is left.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Ordered,
    Alive,
    /// It was told to end, and is killed then.
    Ending(HolderTime),
    Killed,
}

/// One piece of work.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) number: u64,
    pub(super) node: Process,
    pub(super) term: u64,
    pub(super) deadline: HolderTime,
    pub(super) stage: Stage,
    pub(super) is_stubborn: bool,
    /// What is sent once it has ended, for its node is dead.
    pub(super) will: Option<LastWill>,
    /// What its machine was too fast asleep for.
    pub(super) missed: Vec<WorkStep>,
}

/// From SIGTERM to SIGKILL, where the deadline is near or the node is dead: half of what fits.
pub(super) fn stop_timeout(timing: &Timing) -> Duration {
    let least = timing.renew_interval * 2 + KILL_MARGIN;
    counted(timing.lease).saturating_sub(least) / 2
}

impl Work {
    pub(super) fn is_alive(&self) -> bool {
        self.stage != Stage::Ordered
    }

    /// When its keeper has to do something about it by itself.
    pub(super) fn next_look(&self, timing: &Timing) -> HolderTime {
        let before = |span: Duration| HolderTime(self.deadline.0.saturating_sub(nanoseconds(span)));
        match self.stage {
            Stage::Ordered | Stage::Killed => HolderTime::NEVER,
            Stage::Alive => before(stop_timeout(timing) + KILL_MARGIN),
            Stage::Ending(kill_at) => kill_at.min(before(KILL_MARGIN)),
        }
    }
}
