//! Giving up what the voters granted: a release to each, until it is acknowledged.

use super::contender::{Contender, Farewell, RELEASES_MAX, Role};
use super::link::Link;
use super::outbox::Outbox;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::message::{Message, Release};
use crate::vocabulary::plant::{self, Plant};
use crate::vocabulary::time::HolderTime;

impl Contender {
    /// Sends a release to every voter, and again until it is acknowledged. The role must have
    /// been given up before.
    pub(crate) fn release(&mut self, release: Release, now: HolderTime, outbox: &mut Outbox) {
        assert!(!matches!(self.role, Role::Goose(_)), "I8: released while still acting");
        let planted = Plant::OF_WORK.iter().any(|plant| plant::is(*plant));
        assert!(!self.work.is_alive() || planted, "I8: released while work is alive");
        for link in self.links.values_mut() {
            link.forget_grants();
        }
        let everybody: Vec<NodeId> = self.links.keys().copied().collect();
        let unacknowledged =
            everybody.into_iter().map(|voter| (voter, self.next_sequence())).collect();
        self.farewell = Some(Farewell { release, unacknowledged, sent: 0, next_send: now });
        self.say_farewell(now, outbox);
    }

    pub(crate) fn say_farewell(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let retransmit = self.timing.retransmit;
        let Some(farewell) = self.farewell.as_mut().filter(|farewell| farewell.next_send <= now)
        else {
            return;
        };
        farewell.sent += 1;
        farewell.next_send = now.plus(retransmit);
        for (voter, sequence) in &farewell.unacknowledged {
            let process = self.links.get(voter).and_then(Link::process);
            let Some(process) = process else { continue };
            let release = farewell.release.clone();
            outbox.send(process, Message::Release { sequence: *sequence, release });
        }
        if farewell.sent >= RELEASES_MAX {
            self.farewell = None;
        }
    }

    /// A voter acknowledged a release.
    pub(crate) fn release_acknowledged(&mut self, from: NodeId, sequence: u64) {
        if let Some(farewell) = &mut self.farewell {
            if farewell.unacknowledged.get(&from) == Some(&sequence) {
                farewell.unacknowledged.remove(&from);
            }
            if farewell.unacknowledged.is_empty() {
                self.farewell = None;
            }
        }
    }
}
