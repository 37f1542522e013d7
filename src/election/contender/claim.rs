//! Claiming: whether and when a contender may, and one attempt.
//!
//! ```text
//!   held back ──▶ free to claim ──a majority is free──▶ Claim ──a majority granted──▶ won
//!       ▲                                                 │
//!       └── backoff ◀── no majority in L_c/2, or too many refused: released
//! ```

use std::time::Duration;

use super::backoff::Backoff;
use super::tracker::{Context, ProgressTracker, Request};
use crate::election::BALLOT_LAST;
use crate::vocabulary::event::ElectionReason;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timers::{Timer, Timers};
use crate::vocabulary::timing::Timing;
use crate::wire::message::{AcquireKind, NakReason, Release, Standing, VoterStatus};

/// While voters say that they are writing to disk, a claim is kept open for this long.
const SLOW_DISK_PATIENCE: Duration = Duration::from_secs(2);
/// After another process with its id was seen to hold a grant, a node waits this long before
/// it contends again.
const DUPLICATE_HOLD: Duration = Duration::from_secs(5);

/// What keeps a contender from claiming, and what its next claim would be.
#[derive(Clone, Debug, Hash)]
pub(super) struct Candidacy {
    me: NodeId,
    eligible: bool,
    /// This boot has said goodbye: it never contends again.
    retired: bool,
    /// It does not claim before this: backoff, or told to hold back.
    hold_until: HolderTime,
    /// Nor before this, unless it hears before that its seeds belong to its own cluster.
    awaits_seeds_until: HolderTime,
    highest_ballot: u64,
    /// The release of the Goose that nominated it, and until when that counts.
    nomination: Option<(Release, HolderTime)>,
    backoff: Backoff,
    /// No ballot is left, and that was said.
    is_exhausted: bool,
}

/// What a contender makes of what the voters say.
#[derive(Debug)]
pub(super) enum Prospect {
    /// No majority is free.
    Taken,
    /// A majority is free and prefers somebody else.
    Deferred,
    /// It may claim, with this certificate.
    Open(Option<Release>),
}

impl Candidacy {
    pub(super) fn new(me: Process, eligible: bool) -> Self {
        Self {
            me: me.id,
            eligible,
            retired: false,
            hold_until: HolderTime(0),
            awaits_seeds_until: HolderTime(0),
            highest_ballot: 0,
            nomination: None,
            backoff: Backoff::new(me.boot.nonce),
            is_exhausted: false,
        }
    }

    /// Whether it could lead, as far as it is concerned.
    pub(super) fn is_open(&self, now: HolderTime) -> bool {
        self.eligible && !self.retired && self.resumes(now).is_none()
    }

    /// From here on it may lead, or may not.
    pub(super) fn set_eligible(&mut self, eligible: bool) {
        self.eligible = eligible;
    }

    /// It holds back no more.
    pub(super) fn end_hold(&mut self, now: HolderTime) {
        self.hold_until = self.hold_until.min(now);
    }

    /// Whether this node may ever lead.
    pub(super) fn is_eligible(&self) -> bool {
        self.eligible
    }

    /// When it contends again, if it holds back at `now`.
    pub(super) fn resumes(&self, now: HolderTime) -> Option<HolderTime> {
        Some(self.hold_until.max(self.awaits_seeds_until)).filter(|until| *until > now)
    }

    /// Until when it was told to hold back, or does so after a claim that failed.
    pub(super) fn holds_back_until(&self) -> HolderTime {
        self.hold_until
    }

    /// It claims no more until then.
    pub(super) fn hold_until(&mut self, until: HolderTime) {
        self.hold_until = self.hold_until.max(until);
    }

    /// It does not claim until then; a time that is over ends the wait.
    pub(super) fn await_seeds(&mut self, until: HolderTime) {
        self.awaits_seeds_until = until;
    }

    /// It claims no more for a random time of about `usual`, so that contenders which split a
    /// vote once do not split it again and again. Returns the end of the hold.
    pub(super) fn back_off(
        &mut self,
        usual: Duration,
        now: HolderTime,
        timing: &Timing,
    ) -> HolderTime {
        // Only a claim that others kept from a majority counts as one that failed.
        let drawn = if usual == timing.deference {
            self.backoff.wait(usual, now, timing.lease)
        } else {
            self.backoff.draw(usual)
        };
        let pause = if mutant::is(Mutant::BackoffTooLong) { drawn * 200 } else { drawn };
        self.hold_until(now.plus(pause));
        self.hold_until
    }

    /// It never claims again.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    /// Notes a ballot that somebody named, so that the next claim is above it.
    pub(super) fn hear_ballot(&mut self, ballot: u64) {
        self.highest_ballot = self.highest_ballot.max(ballot);
    }

    pub(super) fn highest_ballot(&self) -> u64 {
        self.highest_ballot
    }

    /// A ballot that nobody is known to have used; none if there is no other.
    pub(super) fn next_ballot(&mut self) -> Option<u64> {
        if self.highest_ballot >= BALLOT_LAST {
            return None;
        }
        self.highest_ballot += 1;
        Some(self.highest_ballot)
    }

    /// Whether it is yet to be said that no ballot is left; asking says so.
    pub(super) fn turns_exhausted(&mut self) -> bool {
        !std::mem::replace(&mut self.is_exhausted, true)
    }

    /// The outgoing Goose nominated this node, which counts until then.
    pub(super) fn nominated(&mut self, release: Release, until: HolderTime, now: HolderTime) {
        // Being asked by the Goose itself is stronger than having been told to hold back.
        self.hold_until = self.hold_until.min(now);
        self.nomination = Some((release, until));
    }

    /// Whether a majority of the voters is free and none of them prefers somebody else. What they
    /// said before `counts_from` does not count.
    pub(super) fn prospect(
        &mut self,
        counts_from: HolderTime,
        now: HolderTime,
        tracker: &ProgressTracker,
        timing: &Timing,
    ) -> Prospect {
        self.nomination.take_if(|(_, until)| *until <= now);
        let certificate = self.nomination.as_ref().map(|(release, _)| release);
        // A round is as old as its oldest answer that is still believed.
        let age = match certificate {
            Some(_) => timing.contender_freshness(),
            None => timing.standby_interval + timing.retransmit,
        };
        let since = now.minus(age).max(counts_from);
        let lately = now.minus(timing.deference);
        let mut free = 0;
        let mut preferred = None;
        for (_, progress) in tracker.voters() {
            let Some(status) = progress.standing(since) else { continue };
            if is_free(status, certificate) {
                free += 1;
                // A voter waits for anybody for one W_d. A word that is older says nothing
                // of now; it may come from a voter that is heard and does not hear.
                let still = progress.standing(lately).and_then(|status| status.top_contender);
                preferred = preferred.or(still);
            }
        }
        if free < tracker.majority() {
            Prospect::Taken
        } else if preferred.is_some_and(|id| id != self.me) && certificate.is_none() {
            Prospect::Deferred
        } else {
            Prospect::Open(self.nomination.take().map(|(release, _)| release))
        }
    }
}

/// Whether this status leaves the voter free for a claim with `certificate`. Quarantine
/// and virginity count as taken, however long they last: that is safety, not courtesy.
fn is_free(status: &VoterStatus, certificate: Option<&Release>) -> bool {
    let released = |holder: Process, ballot: u64| {
        certificate.is_some_and(|release| {
            release.holder == holder && (release.all || ballot <= release.ballot)
        })
    };
    match status.standing {
        Standing::Vacant => true,
        Standing::Held { holder, ballot, .. } => released(holder, ballot),
        Standing::Blank => mutant::is(Mutant::BlankCountedAsVacant),
        Standing::Quarantined { .. } | Standing::Persisting => false,
    }
}

#[derive(Clone, Copy, Debug, Hash)]
enum ClaimTimer {
    /// Whoever has not answered is asked again.
    Retransmission,
    /// It is given up.
    End,
}

impl Timer for ClaimTimer {
    fn place(self) -> usize {
        self as usize
    }
}

/// An attempt to win an election.
#[derive(Clone, Debug, Hash)]
pub(super) struct Claim {
    ballot: u64,
    timers: Timers<ClaimTimer, HolderTime, 2>,
    /// However slow disks are, it is not kept open longer.
    patience: HolderTime,
    certificate: Option<Release>,
    /// Voters that refused in a way that will not change while this claim lasts, unless they say so.
    refused: Vec<NodeId>,
    /// Those among them that refused because they had granted somebody else.
    held: Vec<NodeId>,
}

/// What a claim comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Open,
    /// It is given up, and the contender backs off for about so long.
    Lost(Duration),
    /// Another process of this node holds a grant: it is given up for a long while.
    Duplicate(Duration),
    /// This boot has released everything for good: it is given up for ever.
    Dead,
}

impl Claim {
    pub(super) fn begin(
        ballot: u64,
        certificate: Option<Release>,
        now: HolderTime,
        timing: &Timing,
    ) -> Self {
        let timers = Timers::new()
            .with(ClaimTimer::Retransmission, now)
            .with(ClaimTimer::End, now.plus(timing.claim_lease / 2));
        let patience = now.plus(SLOW_DISK_PATIENCE);
        Self { ballot, timers, patience, certificate, refused: Vec::new(), held: Vec::new() }
    }

    pub(super) fn ballot(&self) -> u64 {
        self.ballot
    }

    /// Why it was won, if it is.
    pub(super) fn reason(&self) -> ElectionReason {
        match self.certificate {
            Some(_) => ElectionReason::HandedOver,
            None => ElectionReason::Elected,
        }
    }

    /// When [`Claim::advance`] has something to do.
    pub(super) fn next(&self) -> Option<HolderTime> {
        self.timers.next()
    }

    /// Asks whoever has not answered, if it is time to.
    pub(super) fn advance(&mut self, context: &mut Context<'_>) -> Verdict {
        let Context { now, timing, tracker, outbox } = context;
        if self.timers.is_expired(ClaimTimer::End, *now) {
            return Verdict::Lost(timing.deference);
        }
        if self.timers.is_expired(ClaimTimer::Retransmission, *now) {
            self.timers.set(ClaimTimer::Retransmission, now.plus(timing.retransmit));
            let request = Request {
                kind: AcquireKind::Claim,
                ballot: self.ballot,
                lease: timing.claim_lease,
                certificate: self.certificate.clone(),
                lineage: None,
            };
            let pending = tracker.ids_of(|id, progress| {
                !self.refused.contains(&id) && progress.counted_until() <= *now
            });
            for voter in pending {
                tracker.acquire(voter, &request, *now, outbox);
            }
        }
        Verdict::Open
    }

    /// A voter says that it is vacant. If it refused because it had granted somebody else, it is asked
    /// again: this contender had heard of that voter's vacancy from an older time, and of the newest one
    /// from another voter first.
    pub(super) fn vacated(&mut self, voter: NodeId, now: HolderTime) {
        if self.held.contains(&voter) {
            self.held.retain(|id| *id != voter);
            self.refused.retain(|id| *id != voter);
            self.timers.set_earlier(ClaimTimer::Retransmission, now);
        }
    }

    /// A voter refused it.
    pub(super) fn refused(
        &mut self,
        voter: NodeId,
        reason: &NakReason,
        context: &Context<'_>,
    ) -> Verdict {
        let Context { now, timing, tracker, .. } = context;
        let half = timing.claim_lease / 2;
        match reason {
            // Slow disks must not starve the election: keep the ballot open for them.
            NakReason::Persisting => {
                let later = now.plus(half);
                let end = self.timers.get(ClaimTimer::End).map_or(later, |end| end.max(later));
                self.timers.set(ClaimTimer::End, end.min(self.patience));
                return Verdict::Open;
            }
            // Nearly free: wait in place.
            NakReason::Held { remaining } if *remaining <= half => {
                self.timers.set_earlier(ClaimTimer::Retransmission, now.plus(*remaining));
                return Verdict::Open;
            }
            NakReason::NewBoot { .. } => return Verdict::Open,
            NakReason::DuplicateId => return Verdict::Duplicate(DUPLICATE_HOLD),
            NakReason::Dead => return Verdict::Dead,
            NakReason::Held { .. }
            | NakReason::Stale { .. }
            | NakReason::Defer { .. }
            | NakReason::Quarantine { .. }
            | NakReason::Blank
            | NakReason::StoreFailed
            | NakReason::Configuration => {}
        }
        if !self.refused.contains(&voter) {
            self.refused.push(voter);
        }
        if matches!(reason, NakReason::Held { .. }) && !self.held.contains(&voter) {
            self.held.push(voter);
        }
        if tracker.len() - self.refused.len() >= tracker.majority() {
            return Verdict::Open;
        }
        match reason {
            NakReason::Stale { .. } => Verdict::Lost(Duration::ZERO),
            _ => Verdict::Lost(timing.deference),
        }
    }
}
