//! A later term than that of the Goose: two have led at once.
//!
//! That cannot be while what the promise rests on holds. But a voter that is two processes, or that
//! was given an old record, makes it so, and then it must not stay so. The earlier of the two is
//! of no use: whoever keeps to terms refuses it, and no view of any node falls back to its term.
//! It would go on renewing its lease nonetheless, and nobody could follow it. So whoever hears
//! an earlier term announced names the later one, and a Goose that hears of a later one is Goose no
//! more. The next term is above both.
//!
//! A false word of a later term costs one term and no more, for it is not believed if it is far
//! above all that is known.

use super::Election;
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::Now;
use crate::wire::message::Message;

impl Election {
    /// A Goose announces itself; or, to a Goose, somebody names a later one.
    pub(super) fn hear_announcement(&mut self, now: Now, from: Process, goose: &Goose) {
        if goose.process != from {
            if self.lease_at(now.holder).is_some() {
                self.view.note(goose);
            }
            return;
        }
        let later = self.view.latest().filter(|latest| latest.term > goose.term);
        if let Some(later) = later.cloned() {
            self.outbox.send(from, Message::Announce(later));
        }
        self.learn_goose(goose, self.timing.lease, now.holder);
    }

    /// See the module.
    pub(super) fn heed_later_term(&mut self, now: Now) {
        let term = self.view.term();
        // What this node could not claim above would end each of its terms again.
        if self.is_ballot_near(now, term) {
            self.contender.hear_term(term, now.holder, &mut self.outbox);
        }
    }
}
