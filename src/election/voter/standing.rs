//! What a voter says of itself: answers to polls, notices of vacancy, and founding.

use std::time::Duration;

use super::{Phase, Voter};
use crate::election::outbox::Outbox;
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{Now, VoterTime};
use crate::wire::message::{Founding, Message, Poll, PollAck, RecordReport, Standing, VoterStatus};

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
            max_ballot: self.stable_vote.durable_ballot(),
            top_contender,
            goose: goose.cloned(),
        }
    }

    fn standing(&self, now: VoterTime) -> Standing {
        match (&self.phase, &self.grant) {
            (
                Phase::Blank(_) | Phase::Founding { .. } | Phase::Learning { .. } | Phase::Silenced,
                _,
            ) => Standing::Blank,
            (_, Some(grant)) => Standing::Held {
                holder: grant.holder,
                ballot: grant.ballot,
                remaining: grant.expiry.since(now),
            },
            (Phase::Waiting { until, .. }, None) => Standing::Quarantined {
                remaining: until.since(now),
                holder: self.stable_vote.vote().max_holder,
            },
            (Phase::Resuming { .. }, None) => Standing::Persisting,
            (Phase::Ready, None) if self.reservation.is_some() => Standing::Persisting,
            (Phase::Ready, None) => Standing::Vacant,
        }
    }

    /// Whether this voter says anything at all yet: never before what it says is durable.
    pub(crate) fn is_mute(&self) -> bool {
        matches!(self.phase, Phase::Silenced) || !self.stable_vote.is_durable(1)
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
        let record = if poll.founding { self.report() } else { None };
        let answer = PollAck { sequence: poll.sequence, status, record };
        outbox.send(from, Message::PollAck(answer));
    }

    /// This voter's word on its record; none while that is not settled.
    fn report(&self) -> Option<RecordReport> {
        let founding = match &self.phase {
            _ if mutant::is(Mutant::BlankForEver) => Founding::Blank { nonce: self.me.boot.nonce },
            Phase::Blank(blank) => blank.word.clone(),
            Phase::Founding { word, .. } => word.clone(),
            Phase::Ready | Phase::Waiting { by_clock: false, .. } => {
                self.stable_vote.vote().founding.clone()
            }
            Phase::Waiting { .. }
            | Phase::Resuming { .. }
            | Phase::Learning { .. }
            | Phase::Silenced => return None,
        };
        let configuration = self.stable_vote.durable_configuration();
        let lineage = self.stable_vote.durable_lineage();
        Some(RecordReport { founding, configuration, lineage })
    }
}
