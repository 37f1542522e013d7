//! Giving up what the voters granted: a release to each, until it is acknowledged.

use std::collections::BTreeMap;

use super::tracker::{Context, ProgressTracker};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::message::{Message, Release};
use crate::vocabulary::time::HolderTime;

/// A release that nobody acknowledges is sent this often.
const RELEASES_MAX: u32 = 10;

/// A release on its way to the voters.
#[derive(Clone, Debug, Hash)]
pub(super) struct Farewell {
    release: Release,
    unacknowledged: BTreeMap<NodeId, u64>,
    sent: u32,
    next_send: HolderTime,
}

impl Farewell {
    /// To be sent to every voter at once.
    pub(super) fn begin(release: Release, now: HolderTime, tracker: &mut ProgressTracker) -> Self {
        Self { release, unacknowledged: tracker.number_each(), sent: 0, next_send: now }
    }

    /// When it is sent next.
    pub(super) fn next(&self) -> HolderTime {
        self.next_send
    }

    /// Sends it to whoever has not acknowledged it, if it is time to. Returns whether that was
    /// the last time.
    pub(super) fn advance(&mut self, context: &mut Context<'_>) -> bool {
        let Context { now, timing, tracker, outbox } = context;
        if self.next() > *now {
            return false;
        }
        self.sent += 1;
        self.next_send = now.plus(timing.retransmit);
        for (voter, sequence) in &self.unacknowledged {
            let Some(process) = tracker.process_of(*voter) else { continue };
            let release = self.release.clone();
            outbox.send(process, Message::Release { sequence: *sequence, release });
        }
        self.sent >= RELEASES_MAX
    }

    /// A voter acknowledged it. Returns whether all have.
    pub(super) fn acknowledged(&mut self, from: NodeId, sequence: u64) -> bool {
        if self.unacknowledged.get(&from) == Some(&sequence) {
            self.unacknowledged.remove(&from);
        }
        self.unacknowledged.is_empty()
    }

    /// See [`crate::election::Election::numbers`].
    #[cfg(feature = "simulation")]
    pub(super) fn numbers(&mut self, visit: &mut dyn FnMut(&mut u64)) {
        self.unacknowledged.values_mut().for_each(visit);
    }
}
