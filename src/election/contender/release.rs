//! Giving up what the voters granted: a release to each, until it is acknowledged.

use std::collections::BTreeMap;

use super::tracker::{Context, ProgressTracker};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::time::HolderTime;
use crate::wire::message::{Message, Release};

/// A release that nobody acknowledges is sent this often.
const RELEASES_MAX: u32 = 10;

/// The release on its way to the voters, if there is one.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Releasing {
    under_way: Option<UnderWay>,
}

#[derive(Clone, Debug, Hash)]
struct UnderWay {
    release: Release,
    unacknowledged: BTreeMap<NodeId, u64>,
    sent: u32,
    next_send: HolderTime,
}

impl Releasing {
    /// This one is to be sent to every voter at once, in place of another.
    pub(super) fn begin(
        &mut self,
        release: Release,
        now: HolderTime,
        tracker: &mut ProgressTracker,
    ) {
        let unacknowledged = tracker.number_each();
        self.under_way = Some(UnderWay { release, unacknowledged, sent: 0, next_send: now });
    }

    /// It is sent no more.
    pub(super) fn stop(&mut self) {
        self.under_way = None;
    }

    /// Whether one is on its way.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// When it is sent next.
    pub(super) fn next(&self) -> Option<HolderTime> {
        self.under_way.as_ref().map(|under_way| under_way.next_send)
    }

    /// Sends it to whoever has not acknowledged it, if it is time to.
    pub(super) fn advance(&mut self, context: &mut Context<'_>) {
        let Context { now, timing, tracker, outbox } = context;
        let due = self.next().is_some_and(|at| at <= *now);
        let Some(under_way) = self.under_way.as_mut().filter(|_| due) else { return };
        under_way.sent += 1;
        under_way.next_send = now.plus(timing.retransmit);
        for (voter, sequence) in &under_way.unacknowledged {
            let Some(process) = tracker.process_of(*voter) else { continue };
            let release = under_way.release.clone();
            outbox.send(process, Message::Release { sequence: *sequence, release });
        }
        if under_way.sent >= RELEASES_MAX {
            self.stop();
        }
    }

    /// A voter acknowledged it.
    pub(super) fn acknowledged(&mut self, from: NodeId, sequence: u64) {
        let Some(under_way) = &mut self.under_way else { return };
        if under_way.unacknowledged.get(&from) == Some(&sequence) {
            under_way.unacknowledged.remove(&from);
        }
        if under_way.unacknowledged.is_empty() {
            self.stop();
        }
    }

    /// See [`crate::election::Election::numbers`].
    #[cfg(feature = "simulation")]
    pub(super) fn numbers(&mut self, visit: &mut dyn FnMut(&mut u64)) {
        let numbers = self.under_way.iter_mut().flat_map(|it| it.unacknowledged.values_mut());
        numbers.for_each(visit);
    }
}
