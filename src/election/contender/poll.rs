//! Polling the voters: how a contender learns that the lease is free, and that it is heard.
//!
//! ```text
//!   round after round ──▶ a majority answers: quorum-connected ──▶ the voters are told at once
//!      ▲   ▲                                     │
//!      │   └── nobody holds a majority: whoever  │ no majority answers any more:
//!      │       has not answered is asked again   │ the voters are told at once
//!      └─────────────────────────────────────────┘
//! ```

use super::tracker::{Context, PollTerms, ProgressTracker};
use super::voter_progress::VoterProgress;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timers::{Timer, Timers};
use crate::vocabulary::timing::Timing;
use std::time::Duration;

/// Unanswered polls are repeated this often in a row before the contender falls back to its
/// ordinary interval: a dead voter is not to be bombarded for ever.
const QUICK_POLLS: u32 = 25;

#[derive(Clone, Copy, Debug, Hash)]
enum PollTimer {
    /// Every voter is polled.
    Round,
    /// It reaches no majority of the voters, if nothing more is heard of them by then. Not set
    /// while it reaches none, which the voters know.
    Disconnection,
}

impl Timer for PollTimer {
    fn place(self) -> usize {
        self as usize
    }
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(super) struct Polls {
    timers: Timers<PollTimer, HolderTime, 2>,
    /// How often unanswered polls were repeated in a row.
    repeated: u32,
    /// Answers to what was asked before this do not count: a tenure ended.
    barrier: HolderTime,
    /// Whether a majority said, when it was last heard, that their votes are taken.
    was_held: bool,
}

impl Polls {
    /// The first round is due at once.
    pub(super) fn new(now: HolderTime) -> Self {
        Self {
            timers: Timers::new().with(PollTimer::Round, now),
            repeated: 0,
            barrier: HolderTime(0),
            was_held: false,
        }
    }

    /// The next round is due at `at`, or earlier if it was.
    pub(super) fn soon(&mut self, at: HolderTime) {
        self.timers.set_earlier(PollTimer::Round, at);
    }

    /// The next round is due at `at`.
    pub(super) fn put_off(&mut self, at: HolderTime) {
        self.timers.set(PollTimer::Round, at);
    }

    /// See [`super::Contender::let_first_round_pass`].
    pub(super) fn let_first_round_pass(
        &mut self,
        now: HolderTime,
        tracker: &ProgressTracker,
        timing: &Timing,
    ) {
        let is_unasked = tracker.voters().all(|(_, progress)| progress.is_unasked());
        if self.is_round_due(now) && is_unasked {
            // By then even thousands of members are known.
            let told = timing.probe_round_trip * 3;
            self.put_off(now.plus(told.min(timing.standby_interval)));
        }
    }

    /// See [`super::Contender::poll_in_company`].
    pub(super) fn in_company(&mut self, now: HolderTime, timing: &Timing) {
        let round = self.timers.get(PollTimer::Round);
        if round.is_some_and(|at| at.since(now) <= timing.standby_interval / 4) {
            self.soon(now);
        }
    }

    /// News came: unanswered polls may be repeated quickly again.
    pub(super) fn take_heart(&mut self) {
        self.repeated = 0;
    }

    /// Answers to what was asked before `now` count no more.
    pub(super) fn set_barrier(&mut self, now: HolderTime) {
        self.barrier = now;
        self.timers.stop(PollTimer::Disconnection);
    }

    /// The first moment from which on an answer counts.
    pub(super) fn counts_from(&self) -> HolderTime {
        HolderTime(self.barrier.0.saturating_add(1))
    }

    /// Until when it reaches a majority of the voters, if nothing more is heard of them: they
    /// answered lately, to requests sent after the last tenure. None if it does not.
    pub(super) fn quorum_connected_until(
        &self,
        now: HolderTime,
        tracker: &ProgressTracker,
        timing: &Timing,
    ) -> Option<HolderTime> {
        let newest = tracker.answered_requests();
        let until = newest.plus(timing.contender_freshness());
        (newest > self.barrier && now <= until).then_some(until)
    }

    /// A voter said how it stands.
    pub(super) fn informed(&mut self, now: HolderTime, tracker: &ProgressTracker, timing: &Timing) {
        if let Some(until) = self.quorum_connected_until(now, tracker, timing) {
            if self.timers.get(PollTimer::Disconnection).is_none() {
                // Voters defer only to whoever reaches a majority: tell them at once.
                self.soon(now);
            }
            self.expect_disconnection(until);
        }
        let held = tracker.is_majority_held(now, timing);
        if self.was_held && !held {
            self.take_heart();
        }
        self.was_held = held;
    }

    /// It reaches a majority up to and including `until`.
    fn expect_disconnection(&mut self, until: HolderTime) {
        self.timers.set(PollTimer::Disconnection, until.plus(Duration::from_nanos(1)));
    }

    pub(super) fn next_round(&self) -> Option<HolderTime> {
        self.timers.get(PollTimer::Round)
    }

    pub(super) fn is_round_due(&self, now: HolderTime) -> bool {
        self.timers.is_expired(PollTimer::Round, now)
    }

    /// When [`Polls::advance`] has something to do.
    pub(super) fn next(
        &self,
        founding: bool,
        now: HolderTime,
        tracker: &ProgressTracker,
        timing: &Timing,
    ) -> Option<HolderTime> {
        let repeats = self.repeats(founding, now, tracker, timing);
        let repeat = repeats.then(|| {
            let voters = tracker.voters();
            voters.filter_map(|(_, progress)| repeated_at(progress, timing)).min()
        });
        self.timers.next().into_iter().chain(repeat.flatten()).min()
    }

    /// Whether an unanswered poll is repeated without waiting for the next round: while nobody
    /// is known to hold a majority, or while this voter is being founded. No timer, for what the
    /// voters say decides, and that grows old by itself.
    fn repeats(
        &self,
        founding: bool,
        now: HolderTime,
        tracker: &ProgressTracker,
        timing: &Timing,
    ) -> bool {
        self.repeated < QUICK_POLLS && (founding || !tracker.is_majority_held(now, timing))
    }

    /// Polls whom it is time to poll.
    pub(super) fn advance(&mut self, terms: PollTerms, context: &mut Context<'_>) {
        let Context { now, timing, tracker, outbox } = context;
        if self.timers.is_expired(PollTimer::Disconnection, *now) {
            match self.quorum_connected_until(*now, tracker, timing) {
                Some(until) => self.expect_disconnection(until),
                None => {
                    self.timers.stop(PollTimer::Disconnection);
                    // Nobody is to wait for it in the vacancy that may come.
                    self.soon(*now);
                }
            }
        }
        if self.is_round_due(*now) {
            self.poll_everybody(terms, context);
        } else if self.repeats(terms.founding, *now, tracker, timing) {
            let is_due = |at: HolderTime| at <= *now;
            let silent: Vec<NodeId> =
                tracker.ids_of(|_, progress| repeated_at(progress, timing).is_some_and(is_due));
            self.repeated += u32::from(!silent.is_empty());
            for voter in silent {
                tracker.poll(voter, terms, *now, outbox);
            }
        }
    }

    /// A round.
    pub(super) fn poll_everybody(&mut self, terms: PollTerms, context: &mut Context<'_>) {
        let Context { now, timing, tracker, outbox } = context;
        self.put_off(now.plus(timing.standby_interval));
        for voter in tracker.ids() {
            tracker.poll(voter, terms, *now, outbox);
        }
    }
}

/// When the unanswered poll of a voter is repeated.
fn repeated_at(progress: &VoterProgress, timing: &Timing) -> Option<HolderTime> {
    progress.unanswered_poll().map(|sent| sent.plus(timing.retransmit))
}
