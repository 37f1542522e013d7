//! Says whom a voter without its record waits for, for as long as it does.

use std::time::Duration;

use super::NodeCore;
use crate::election::Election;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Lack;
use crate::vocabulary::time::{HolderTime, Now};
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
}

impl NodeCore {
    /// When somebody is to be told next, if a voter waits.
    pub(super) fn next_complaint(&self) -> Option<HolderTime> {
        let waits = self.election.as_ref().is_some_and(Election::is_blank);
        waits.then_some(self.awaited.next_check)
    }

    /// Says whom this voter waits for, if it is time to.
    pub(super) fn complain_of_awaited(&mut self, now: Now) {
        let Some(election) = &self.election else { return };
        if now.holder < self.awaited.next_check || !election.is_blank() {
            return;
        }
        self.awaited.next_check = now.holder.plus(CHANGED);
        let lacks = election.awaits();
        let is_old = now.holder.since(self.awaited.said_at) >= UNCHANGED;
        if !lacks.is_empty() && (is_old || lacks != self.awaited.said) {
            self.awaited.said.clone_from(&lacks);
            self.awaited.said_at = now.holder;
            self.index += 1;
            self.event(Event::Warning(Warning::AwaitsVoters { lacks }));
        }
    }
}
