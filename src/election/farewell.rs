//! Giving up what the voters granted: a release to each, until it is acknowledged.

use super::contender::{Contender, RELEASES_MAX};
use super::outbox::Outbox;
use super::role::{Farewell, Role};
use super::voter_progress::VoterProgress;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::message::{Message, Release};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

impl Contender {
    /// Sends a release to every voter, and again until it is acknowledged. The role must have
    /// been given up before.
    pub(crate) fn release(&mut self, release: Release, now: HolderTime, outbox: &mut Outbox) {
        assert!(!matches!(self.role, Role::Goose(_)), "I8: released while still acting");
        let mutated = Mutant::OF_WORK.iter().any(|mutant| mutant::is(*mutant));
        assert!(!self.work.is_alive() || mutated, "I8: released while work is alive");
        for progress in self.progress.values_mut() {
            progress.forget_grants();
        }
        let everybody: Vec<NodeId> = self.progress.keys().copied().collect();
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
            let process = self.progress.get(voter).and_then(VoterProgress::process);
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
