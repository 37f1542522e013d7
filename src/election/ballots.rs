//! How far a message may raise a ballot.
//!
//! Ballots only rise, and there are 2^53 of them. One garbled or hostile message must not use them
//! up, so whoever names a ballot far above all that is known here is not believed at once. A node
//! that really is far behind (it slept for long, or the cluster once started from a clock) hears
//! the same of the other voters: what a majority of them name is believed.

use super::{BALLOT_JUMP_MAX, BALLOT_MAX, Election};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::{Message, NakReason};
use crate::vocabulary::time::Now;

impl Election {
    /// Whether the ballots that a message names may be taken over.
    pub(super) fn believes_ballot(&mut self, now: Now, from: Process, message: &Message) -> bool {
        let named = highest_ballot_in(message);
        let known = self.highest_ballot_known();
        // A voter that has lost its record may start above its clock.
        let known = known.max(now.wall.0.min(BALLOT_MAX / 2));
        if named <= known.saturating_add(BALLOT_JUMP_MAX).min(BALLOT_MAX - 1) {
            return true;
        }
        if named < BALLOT_MAX && from != self.me {
            if let Some(link) = self.contender.links.get_mut(&from.id) {
                link.names_ballot(named);
            }
            if named <= self.ballot_of_majority().saturating_add(BALLOT_JUMP_MAX) {
                return true;
            }
        }
        self.outbox.event(Event::Warning(Warning::BallotRefused { by: from.id, ballot: named }));
        false
    }

    fn highest_ballot_known(&self) -> u64 {
        let promised = self.voter.as_ref().map_or(0, |voter| voter.ledger().vote().max_ballot);
        self.contender.highest_ballot.max(promised)
    }

    /// What a majority of the voters name at least; without this node's own vote, if the others
    /// alone are no majority.
    fn ballot_of_majority(&self) -> u64 {
        let others = self.contender.links.iter().filter(|(id, _)| **id != self.me.id);
        let mut named: Vec<u64> = others.map(|(_, link)| link.named_ballot()).collect();
        named.sort_unstable_by(|one, other| other.cmp(one));
        let enough = self.contender.voters.majority().min(named.len());
        enough.checked_sub(1).and_then(|place| named.get(place).copied()).unwrap_or(0)
    }
}

/// The largest ballot or term that a message names.
fn highest_ballot_in(message: &Message) -> u64 {
    match message {
        Message::PollAck(answer) => answer.status.max_ballot,
        Message::Vacant(status) => status.max_ballot,
        Message::Acquire(acquire) => {
            let certificate = acquire.certificate.as_ref().map_or(0, |release| release.ballot);
            acquire.ballot.max(certificate)
        }
        Message::Grant(grant) => grant.ballot,
        Message::Nak(nak) => match nak.reason {
            NakReason::Stale { max_ballot } => max_ballot.max(nak.ballot),
            _ => nak.ballot,
        },
        Message::Release { release, .. } | Message::Handover(release) => release.ballot,
        Message::Announce(goose) => goose.term,
        _ => 0,
    }
}
