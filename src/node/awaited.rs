//! Says whom a voter without its record waits for, for as long as it does.

use std::time::Duration;

use crate::election::Election;
use crate::vocabulary::event::Warning;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Lack;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::LEASE_MAX_LEAST;

/// By then those that are up have answered: they are asked once the wait is over.
const FIRST: Duration = Duration::from_secs(LEASE_MAX_LEAST.as_secs() + 2);
/// What has changed is said this often at most.
const CHANGED: Duration = Duration::from_secs(5);
/// What has not is said again after this.
const UNCHANGED: Duration = Duration::from_secs(60);

/// What was said last, and when.
#[derive(Debug)]
pub(super) struct Awaited {
    next_check: HolderTime,
    said: Vec<(NodeId, Lack)>,
    said_at: HolderTime,
}

impl Awaited {
    pub(super) fn new(now: HolderTime) -> Self {
        Self { next_check: now.plus(FIRST), said: Vec::new(), said_at: now }
    }

    /// When it is to be seen whether there is something to say, if a voter waits. No timer, for
    /// the voter may begin to wait, and cease to, at any time.
    pub(super) fn next(&self, election: &Election) -> Option<HolderTime> {
        election.is_blank().then_some(self.next_check)
    }

    /// Whom this voter waits for, if it is time to say so.
    pub(super) fn complaint(&mut self, election: &Election, now: HolderTime) -> Option<Warning> {
        self.next(election).filter(|at| *at <= now)?;
        self.next_check = now.plus(CHANGED);
        let lacks = election.awaits();
        let is_old = now.since(self.said_at) >= UNCHANGED;
        if lacks.is_empty() || !is_old && lacks == self.said {
            return None;
        }
        self.said.clone_from(&lacks);
        self.said_at = now;
        Some(Warning::AwaitsVoters { lacks })
    }
}
