//! How far a message may raise a ballot.
//!
//! Ballots only rise, and there are 2^53 of them. One garbled or hostile message must not use them
//! up, so whoever names a ballot far above all that is known here is not believed at once. A node
//! that really is far behind (it slept for long, or the cluster once started from a clock) hears
//! the same of the other voters: what a majority of them name is believed.

use super::{BALLOT_JUMP_MAX, BALLOT_MAX, Election};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::Now;
use crate::wire::message::Message;

impl Election {
    /// Whether the ballots that a message names may be taken over.
    pub(super) fn believes_ballot(&mut self, now: Now, from: Process, message: &Message) -> bool {
        let named = message.highest_ballot();
        if self.is_ballot_near(now, named) {
            return true;
        }
        if named < BALLOT_MAX && from != self.me {
            if let Some(progress) = self.contender.tracker_mut().voter_mut(from.id) {
                progress.names_ballot(named);
            }
            if named
                <= self.contender.tracker().ballot_of_majority().saturating_add(BALLOT_JUMP_MAX)
            {
                return true;
            }
        }
        self.outbox.event(Event::Warning(Warning::BallotRefused { by: from.id, ballot: named }));
        false
    }

    /// Whether a ballot is not far above all that is known here.
    pub(super) fn is_ballot_near(&self, now: Now, ballot: u64) -> bool {
        // A voter that has lost its record may start above its clock.
        let known = self.highest_ballot_known().max(now.wall.0.min(BALLOT_MAX / 2));
        ballot <= known.saturating_add(BALLOT_JUMP_MAX).min(BALLOT_MAX - 1)
    }

    fn highest_ballot_known(&self) -> u64 {
        let promised = self.voter.as_ref().map_or(0, |voter| voter.stable_vote().vote().max_ballot);
        self.contender.highest_ballot().max(promised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::fixture::{self, WALL, clocks, id, process, remembered};
    use crate::election::outbox::Outgoing;
    use crate::election::{BALLOT_LAST, BALLOT_MAX};
    use crate::wire::message::{PollAck, Standing, VoterStatus};
    use std::net::SocketAddr;

    /// Voter 1 of so many, whose record names `ballot`.
    fn voter_one(voters: u64, ballot: u64) -> Election {
        fixture::voter_one(voters, remembered(ballot))
    }

    /// An answer of voter `from` that names `ballot`.
    fn names(election: &mut Election, from: u64, ballot: u64) -> bool {
        let status = VoterStatus {
            sequence: 1,
            standing: Standing::Vacant,
            max_ballot: ballot,
            top_contender: None,
            goose: None,
        };
        let answer = Message::PollAck(PollAck { sequence: 1, status, record: None });
        election.believes_ballot(clocks(0, WALL), process(id(from), 1), &answer)
    }

    fn warnings(election: &mut Election) -> Vec<Warning> {
        std::iter::from_fn(|| election.poll_outgoing())
            .filter_map(|outgoing| match outgoing {
                Outgoing::Event(Event::Warning(warning)) => Some(warning),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn one_voter_raises_a_ballot_by_so_much_and_no_more() {
        let mut election = voter_one(3, 5000);
        assert!(names(&mut election, 2, 5000 + BALLOT_JUMP_MAX));
        assert!(!names(&mut election, 2, 5001 + BALLOT_JUMP_MAX));
        let ballot = 5001 + BALLOT_JUMP_MAX;
        assert_eq!(warnings(&mut election), [Warning::BallotRefused { by: id(2), ballot }]);
        // Nor by saying it again, nor by way of somebody who does not vote.
        assert!(!names(&mut election, 2, ballot) && !names(&mut election, 9, ballot));
    }

    #[test]
    fn what_a_majority_names_is_believed_however_far_it_is() {
        let mut election = voter_one(3, 5);
        let far = BALLOT_MAX / 2;
        assert!(!names(&mut election, 2, far));
        assert!(names(&mut election, 3, far + 1), "both others say so");
        // Nobody makes anybody believe in the last one of all.
        for from in [2, 3, 2, 3] {
            assert!(!names(&mut election, from, BALLOT_MAX));
        }
        assert!(names(&mut election, 2, far), "and what was believed before still is");
    }

    #[test]
    fn a_clock_that_is_ahead_counts_as_known_and_an_insane_one_only_so_far() {
        let mut election = voter_one(3, 5);
        let sane = clocks(0, 1_800_000_000_000);
        let status = |ballot| Message::Announce(goose(ballot));
        let from = process(id(2), 1);
        assert!(election.believes_ballot(sane, from, &status(1_800_000_000_000 + BALLOT_JUMP_MAX)));
        let insane = clocks(0, u64::MAX / 2);
        assert!(!election.believes_ballot(insane, from, &status(BALLOT_MAX - 1)));
    }

    fn goose(term: u64) -> crate::vocabulary::goose::Goose {
        let address = SocketAddr::from(([127, 0, 0, 1], 8000));
        crate::vocabulary::goose::Goose { term, process: process(id(2), 1), address, http: None }
    }

    /// The only voter, which could elect itself at any time.
    #[test]
    fn after_the_last_ballot_nobody_is_elected_and_it_is_said() {
        for (ballot, leads) in [(BALLOT_LAST - 1, true), (BALLOT_LAST, false)] {
            let mut election = voter_one(1, ballot);
            let mut said = Vec::new();
            for milliseconds in 0..3000 {
                let now = clocks(milliseconds * 1_000_000, WALL);
                election.handle_timeout(now);
                while let Some(outgoing) = election.poll_outgoing() {
                    if let Outgoing::Event(Event::Warning(warning)) = outgoing {
                        said.push(warning);
                    }
                }
                if let Some((_, revision)) = election.vote() {
                    election.handle_stored(now, revision, true);
                }
            }
            assert_eq!(election.lease().is_some(), leads, "{ballot}: {said:?}");
            let exhausted = said.iter().filter(|it| **it == Warning::BallotsExhausted).count();
            assert_eq!(exhausted, usize::from(!leads), "{said:?}");
        }
    }
}
