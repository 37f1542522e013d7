//! What a voter says of itself: answers to polls, notices of vacancy, and founding.

use std::time::Duration;

use super::{Phase, Voter};
use crate::election::outbox::Outbox;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::message::{Founding, Goose, Message, Poll, PollAck, Standing, VoterStatus};
use crate::vocabulary::plant::{self, Plant};
use crate::vocabulary::time::{Now, VoterTime};

/// A vacancy is told again this often, to more and more nodes.
const NOTICE_INTERVAL: Duration = Duration::from_millis(100);
/// After this many notices, they are sent once a second only.
const NOTICES_QUICK: u32 = 20;
/// The most nodes that one notice goes to.
const NOTICE_WIDTH_MAX: usize = 48;

impl Voter {
    /// Tells contenders of a vacancy, if it is time to: those that poll, and the highest eligible
    /// nodes in sight; if it lasts, those that ever polled, too, and more of those in sight each
    /// time. Many that once polled would do no more than keep each other's answers waiting.
    pub(crate) fn notices(
        &mut self,
        in_sight: &[Process],
        goose: Option<&Goose>,
        now: VoterTime,
        outbox: &mut Outbox,
    ) {
        let Some(vacancy) = self.vacancy.as_mut().filter(|vacancy| vacancy.next_notice <= now)
        else {
            return;
        };
        let width = (3_usize << vacancy.notices.min(4)).min(NOTICE_WIDTH_MAX);
        let lasts = vacancy.notices > 0;
        vacancy.notices = vacancy.notices.saturating_add(1);
        let quick = vacancy.notices < NOTICES_QUICK;
        let pause = if quick { NOTICE_INTERVAL } else { NOTICE_INTERVAL * 10 };
        vacancy.next_notice = now.plus(pause);
        let mut told: Vec<Process> = if lasts {
            self.deference.known().collect()
        } else {
            self.deference.fresh(now).collect()
        };
        told.extend(in_sight.iter().take(width));
        told.sort_unstable();
        told.dedup();
        for process in told {
            let highest = in_sight.first().map(|process| process.id);
            let status = self.status(process.id, highest, goose, now);
            outbox.send(process, Message::Vacant(status));
        }
    }

    /// This voter's word on itself, to `reader`.
    fn status(
        &mut self,
        reader: NodeId,
        in_sight: Option<NodeId>,
        goose: Option<&Goose>,
        now: VoterTime,
    ) -> VoterStatus {
        self.status_sequence += 1;
        let standing = self.standing(now);
        let vacant = standing == Standing::Vacant;
        let top_contender =
            if vacant { self.deference.ahead_of(reader, in_sight, now) } else { None };
        VoterStatus {
            sequence: self.status_sequence,
            standing,
            max_ballot: self.ledger.durable_ballot(),
            top_contender,
            goose: goose.cloned(),
        }
    }

    fn standing(&self, now: VoterTime) -> Standing {
        match (&self.phase, &self.grant) {
            (Phase::Virgin { .. } | Phase::Founding { .. } | Phase::Silenced, _) => {
                Standing::Virgin
            }
            (_, Some(grant)) => Standing::Held {
                holder: grant.holder,
                ballot: grant.ballot,
                remaining: grant.expiry.since(now),
            },
            (Phase::Waiting { until, .. }, None) => Standing::Quarantined {
                remaining: until.since(now),
                holder: self.ledger.vote().max_holder,
            },
            (Phase::Flooring { .. }, None) => Standing::Persisting,
            (Phase::Ready, None) if self.reservation.is_some() => Standing::Persisting,
            (Phase::Ready, None) => Standing::Vacant,
        }
    }

    /// Whether this voter says anything at all yet: never before what it says is durable.
    pub(super) fn is_mute(&self) -> bool {
        match self.phase {
            Phase::Virgin { revision, .. } => !self.ledger.is_durable(revision),
            Phase::Silenced => true,
            _ => !self.ledger.is_durable(1),
        }
    }

    /// Answers a poll.
    pub(crate) fn poll(
        &mut self,
        from: Process,
        poll: &Poll,
        in_sight: Option<NodeId>,
        goose: Option<&Goose>,
        now: Now,
        outbox: &mut Outbox,
    ) {
        if self.is_mute() {
            return;
        }
        if poll.eligible && !self.tombstones.contains(&from) {
            self.deference.hear(from, poll.quorum_connected, now.voter);
        } else {
            self.deference.withdraw(from);
        }
        let status = self.status(from.id, in_sight, goose, now.voter);
        let founding = poll.founding.then(|| match (&self.phase, &self.founded) {
            (Phase::Virgin { nonce, .. } | Phase::Founding { nonce, .. }, _) => {
                Founding::Virgin { nonce: *nonce }
            }
            _ if plant::is(Plant::VirginForEver) => Founding::Virgin { nonce: self.me.boot.nonce },
            (_, Some(map)) => Founding::Founded(map.clone()),
            (_, None) => Founding::Waited,
        });
        let answer = PollAck { sequence: poll.sequence, status, founding };
        outbox.send(from, Message::PollAck(answer));
    }

    /// Learns from another voter's answer to a poll of this boot.
    pub(crate) fn learn(&mut self, from: Process, answer: &PollAck, outbox: &mut Outbox) {
        self.hear_ballot(answer.status.max_ballot);
        let Phase::Virgin { nonce, revision, .. } = self.phase else { return };
        let Some(founding) = &answer.founding else { return };
        if !self.voters.contains(from.id) || from.id == self.me.id {
            return;
        }
        self.roll.hear(from.id, from.boot, answer.status.sequence, founding.clone());
        if !self.ledger.is_durable(revision) {
            return;
        }
        let Some(map) = self.roll.map(self.me.id, nonce, &self.voters) else { return };
        let revision = self.ledger.change(|vote| {
            vote.founding = Founding::Founded(map.clone());
            vote.max_lease_ever = Duration::ZERO;
        });
        self.phase = Phase::Founding { nonce, revision, map };
        outbox.persist();
    }
}
