//! Being Goose: renewing, noticing that nobody answers, and stopping in time.

use std::time::Duration;

use super::contender::Contender;
use super::outbox::Outbox;
use super::role::{Farewell, Role, Tenure};
use super::voter_progress::VoterProgress;
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::message::{
    AcquireKind, Goose, Grant, Message, Nak, NakReason, PROBE_BALLOT, Release,
};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::counted;

/// The Goose says that it is this often, for those who were not told.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(5);
/// A crowd hears of a tenure so much later than those who take part in elections: to wake it is
/// work, above all where many nodes share a machine, and nobody's lease waits for it.
const CROWD_WAITS: Duration = Duration::from_millis(1);
/// After another process with its id was seen to hold a grant, a node waits this long before
/// it contends again.
const DUPLICATE_HOLD: Duration = Duration::from_secs(5);

/// Who is told of a tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Voters and standbys.
    Electors,
    /// The neighbours, too.
    Everybody,
}

impl Contender {
    /// The time up to which a majority's grants count. The node is Goose before it, and only if
    /// its role says so too.
    pub fn lease_deadline(&self) -> HolderTime {
        match &self.role {
            Role::Goose(_) if mutant::is(Mutant::VisibleMajorityWithoutGrants) => {
                let heard =
                    |progress: &VoterProgress| progress.answered_request().unwrap_or(HolderTime(0));
                self.majority_of(heard).plus(counted(self.timing.lease))
            }
            Role::Goose(_) => self.majority_of(VoterProgress::counted_until),
            _ => HolderTime(0),
        }
    }

    /// The tenure's term and start, if there is one. Whether it is still valid is for the
    /// deadline to say.
    pub(crate) fn tenure(&self) -> Option<&Tenure> {
        match &self.role {
            Role::Goose(tenure) => Some(tenure),
            _ => None,
        }
    }

    /// Applies a lapse, which is final. Called before any other input is.
    pub(crate) fn expire(&mut self, now: HolderTime, outbox: &mut Outbox) {
        if matches!(self.role, Role::Goose(_)) && self.lease_deadline() <= now {
            let silent =
                self.progress.iter().filter(|(_, progress)| progress.counted_until() <= now);
            let silent = silent.map(|(id, _)| *id).collect();
            self.demote(DemotionReason::LeaseLapsed { silent }, now, outbox);
        }
    }

    /// The machine was suspended: no grant can be trusted any more.
    pub(crate) fn void_grants(&mut self, now: HolderTime, outbox: &mut Outbox) {
        match &self.role {
            Role::Goose(_) => self.demote(DemotionReason::Suspended, now, outbox),
            Role::Claiming(_) => self.abandon_claim(now, Duration::ZERO, outbox),
            Role::Standby => {}
        }
    }

    /// Duck first, release afterwards.
    fn demote(&mut self, reason: DemotionReason, now: HolderTime, outbox: &mut Outbox) {
        let Role::Goose(tenure) = &self.role else { return };
        let (term, ballot) = (tenure.term, tenure.ballot);
        self.role = Role::Standby;
        self.set_barrier(now);
        outbox.event(Event::BecameDuck { term, reason });
        // Work that is alive has to notice first. The grants run out at the voters by themselves,
        // which is the time that it has.
        if !self.work.is_alive() || mutant::is(Mutant::LapseReleasesUnderWork) {
            let release = Release { holder: self.me, ballot, all: false, nominee: None };
            self.release(release, now, outbox);
        }
        self.take_heart();
        self.poll_soon(now);
    }

    /// How often the lease is renewed: in proportion to what a majority really grants, or a
    /// Goose that asks for more than it gets would lapse between two renewals.
    fn renew_interval(&self) -> Duration {
        let interval = self.timing.renew_interval;
        let mut granted: Vec<Duration> =
            self.progress.values().filter_map(VoterProgress::granted_lease).collect();
        granted.sort_unstable_by(|one, other| other.cmp(one));
        let granted = granted.get(self.majority() - 1).copied().unwrap_or(self.timing.lease);
        if granted >= self.timing.lease {
            return interval;
        }
        interval.mul_f64(granted.div_duration_f64(self.timing.lease))
    }

    pub(crate) fn advance_tenure(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let (renew_interval, retransmit) = (self.renew_interval(), self.timing.retransmit);
        let Role::Goose(tenure) = &mut self.role else { return };
        if now < tenure.next_renewal {
            return;
        }
        if mutant::is(Mutant::GooseResigns) && now.since(tenure.since) > self.timing.lease * 3 {
            self.demote(DemotionReason::SteppedDown, now, outbox);
            return;
        }
        if tenure.established && self.yield_to_higher(now, outbox) {
            return;
        }
        let Role::Goose(tenure) = &mut self.role else { return };
        // A voter may grant less than it was asked for: then its lease is over before `retransmit`.
        let pause =
            if tenure.established { renew_interval } else { retransmit.min(renew_interval) };
        tenure.next_renewal = now.plus(pause);
        let voters: Vec<NodeId> = self.progress.keys().copied().collect();
        for voter in voters {
            self.renew_or_probe(voter, now, outbox);
        }
    }

    /// A Goose that is not heard back from must not go on locking the voters: it only asks
    /// whether they hear it, until a majority says so.
    fn renew_or_probe(&mut self, voter: NodeId, now: HolderTime, outbox: &mut Outbox) {
        let more = u32::from(mutant::is(Mutant::DeafGooseRenewsOnceMore));
        let patience = (2 + more) * self.renew_interval();
        let Role::Goose(tenure) = &self.role else { return };
        if now.since(tenure.confirmed) > patience && !mutant::is(Mutant::DeafGooseRenews) {
            self.probe(voter, now, outbox);
        } else {
            self.renew(voter, now, outbox);
        }
    }

    /// Hands over to a higher node that has come to stay, in a cluster that wants it so. Returns
    /// whether it did.
    fn yield_to_higher(&mut self, now: HolderTime, outbox: &mut Outbox) -> bool {
        if !self.preempts || self.work.is_closed() {
            return false;
        }
        let granting = self.progress.values().filter(|progress| progress.counted_until() > now);
        let said: Vec<(Process, Duration)> = granting.filter_map(VoterProgress::standby).collect();
        let successor = self.preemption.successor(self.me.id, self.majority(), &said, now);
        let Some(nominee) = successor else { return false };
        self.preemption.note(nominee.id, now);
        if self.work.is_alive() {
            outbox.make_way(nominee);
            return false;
        }
        // If it fails to take over, this node comes back soon: the nominee's time is W_d.
        let hold = self.timing.deference * 2;
        let reason = DemotionReason::Preempted { by: nominee.id };
        self.step_down(Some(nominee), hold, reason, now, outbox);
        true
    }

    fn probe(&mut self, voter: NodeId, now: HolderTime, outbox: &mut Outbox) {
        let sequence = self.next_sequence();
        let Some(progress) = self.progress.get_mut(&voter) else { return };
        if let Some(process) = progress.process() {
            progress.sent(sequence, now, None);
            outbox.send(process, Message::Probe { sequence });
        }
    }

    fn renew(&mut self, voter: NodeId, now: HolderTime, outbox: &mut Outbox) {
        let Role::Goose(tenure) = &self.role else { return };
        let ballot = tenure.ballot;
        let lease = self.timing.lease;
        if self.progress.get(&voter).is_some_and(|progress| progress.process().is_some()) {
            self.acquire(voter, AcquireKind::Renew, ballot, lease, None, now, outbox);
        } else {
            // Its process is not known yet; a poll tells.
            self.poll(voter, now, false, outbox);
        }
    }

    /// Whom it is time to announce the tenure to, if it is; asking resets it. `crowded`: there
    /// are many neighbours.
    pub(crate) fn announcement_due(&mut self, now: HolderTime, crowded: bool) -> Option<Audience> {
        let Role::Goose(tenure) = &mut self.role else { return None };
        if now < tenure.next_announcement {
            return None;
        }
        let is_first = !std::mem::replace(&mut tenure.was_announced, true);
        let (audience, pause) = if is_first && crowded {
            (Audience::Electors, CROWD_WAITS)
        } else {
            (Audience::Everybody, ANNOUNCE_INTERVAL)
        };
        tenure.next_announcement = now.plus(pause);
        Some(audience)
    }

    /// A voter granted. Returns whether that answers a request of this process.
    pub(crate) fn granted(
        &mut self,
        from: Process,
        grant: &Grant,
        now: HolderTime,
        outbox: &mut Outbox,
    ) -> bool {
        self.hear_ballot(grant.ballot);
        let ours = match &self.role {
            Role::Claiming(claim) => claim.ballot == grant.ballot,
            // Grants for any ballot of the same tenure count.
            Role::Goose(tenure) => (tenure.term..=tenure.ballot).contains(&grant.ballot),
            Role::Standby => false,
        };
        let asked = match &self.role {
            Role::Goose(_) => self.timing.lease,
            _ => self.timing.claim_lease,
        };
        let long = mutant::is(Mutant::ShortGrantCountedAsLong);
        let granted = if long { asked } else { grant.granted };
        let Some(progress) = self.progress.get_mut(&from.id).filter(|_| ours) else { return false };
        if !progress.granted(grant.sequence, grant.ballot, granted, grant.standby, now) {
            return false;
        }
        let asked_at = progress.answered_request();
        match &self.role {
            Role::Claiming(_) => self.consider_victory(now, outbox),
            Role::Goose(_) => {
                if let Some(sent) = asked_at.filter(|_| from != self.me) {
                    outbox.renewed(now.since(sent));
                }
                self.confirm(now);
            }
            Role::Standby => {}
        }
        true
    }

    fn consider_victory(&mut self, now: HolderTime, outbox: &mut Outbox) {
        if self.majority_of(VoterProgress::counted_until) <= now
            && !mutant::is(Mutant::VisibleMajorityWithoutGrants)
        {
            return;
        }
        let Role::Claiming(claim) = &self.role else { return };
        let reason = match claim.certificate {
            Some(_) => ElectionReason::HandedOver,
            None => ElectionReason::Elected,
        };
        let term = claim.ballot;
        self.role = Role::Goose(Tenure {
            term,
            ballot: term,
            since: now,
            next_renewal: now,
            next_announcement: now,
            was_announced: false,
            established: false,
            confirmed: now,
        });
        outbox.event(Event::BecameGoose { term, reason });
        self.advance_tenure(now, outbox);
    }

    /// Notes that voters answer.
    fn confirm(&mut self, now: HolderTime) {
        let heard = self.majority_of(|progress| progress.answered().unwrap_or(HolderTime(0)));
        let deadline = self.lease_deadline();
        let (renew_interval, claim_lease) = (self.renew_interval(), self.timing.claim_lease);
        let Role::Goose(tenure) = &mut self.role else { return };
        let was_deaf = now.since(tenure.confirmed) > 2 * renew_interval;
        tenure.confirmed = tenure.confirmed.max(heard);
        // A voter may grant less than was asked for, so time alone establishes it too.
        let full = deadline.since(now) > claim_lease || now.since(tenure.since) > claim_lease;
        if !tenure.established && full {
            tenure.established = true;
            tenure.next_renewal = now.plus(renew_interval);
        }
        if was_deaf && now.since(tenure.confirmed) <= 2 * renew_interval {
            tenure.next_renewal = now;
        }
    }

    /// A voter answered a probe. Returns whether that answers a request of this process.
    pub(crate) fn probe_acknowledged(
        &mut self,
        from: Process,
        sequence: u64,
        now: HolderTime,
    ) -> bool {
        let expected = self
            .progress
            .get_mut(&from.id)
            .is_some_and(|progress| progress.heard(sequence, None, now).is_some());
        if expected {
            self.confirm(now);
        }
        expected
    }

    /// A voter refused. Returns whether that answers a request of this process.
    pub(crate) fn refused(
        &mut self,
        from: Process,
        nak: &Nak,
        now: HolderTime,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(progress) = self.progress.get_mut(&from.id) else { return false };
        // No ballot is asked for by a probe.
        let ballot = Some(nak.ballot).filter(|ballot| *ballot != PROBE_BALLOT);
        if progress.heard(nak.sequence, ballot, now).is_none() {
            return false;
        }
        if let NakReason::NewBoot { boot } = nak.reason {
            progress.reboot(boot, now);
        }
        if let NakReason::Stale { max_ballot } = nak.reason {
            self.hear_ballot(max_ballot);
        }
        match &self.role {
            Role::Claiming(claim) if claim.ballot == nak.ballot => {
                self.refused_claim(from.id, &nak.reason, now, outbox);
            }
            Role::Goose(_) => {
                self.confirm(now);
                self.refused_renewal(from.id, &nak.reason, now, outbox);
            }
            _ => {}
        }
        true
    }

    fn refused_claim(
        &mut self,
        voter: NodeId,
        reason: &NakReason,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let half = self.timing.claim_lease / 2;
        let majority = self.majority();
        let voters = self.voters.len();
        let Role::Claiming(claim) = &mut self.role else { return };
        match reason {
            // Slow disks must not starve the election: keep the ballot open for them.
            NakReason::Persisting => {
                claim.deadline = claim.deadline.max(now.plus(half)).min(claim.patience);
                return;
            }
            // Nearly free: wait in place.
            NakReason::Held { remaining } if *remaining <= half => {
                claim.next_send = claim.next_send.min(now.plus(*remaining));
                return;
            }
            NakReason::NewBoot { .. } => return,
            NakReason::DuplicateId => {
                outbox.event(Event::Warning(Warning::DuplicateId { address: None }));
                self.abandon_claim(now, DUPLICATE_HOLD, outbox);
                return;
            }
            NakReason::Dead => {
                self.abandon_claim(now, Duration::ZERO, outbox);
                self.retired = true;
                return;
            }
            _ => {}
        }
        if !claim.refused.contains(&voter) {
            claim.refused.push(voter);
        }
        if voters - claim.refused.len() < majority {
            let backoff = match reason {
                NakReason::Stale { .. } => Duration::ZERO,
                _ => self.timing.deference,
            };
            self.abandon_claim(now, backoff, outbox);
        }
    }

    fn refused_renewal(
        &mut self,
        voter: NodeId,
        reason: &NakReason,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let highest = self.highest_ballot;
        let Role::Goose(tenure) = &mut self.role else { return };
        match reason {
            // Raise the ballot in place: the term stays what it is.
            NakReason::Stale { max_ballot }
                if *max_ballot >= tenure.ballot && highest < super::BALLOT_LAST =>
            {
                tenure.ballot = highest + 1;
                if mutant::is(Mutant::RaisedBallotPublishedAsTerm) {
                    tenure.term = tenure.ballot;
                }
                self.highest_ballot = tenure.ballot;
                tenure.next_renewal = now;
            }
            NakReason::Stale { max_ballot } if *max_ballot >= tenure.ballot => {
                outbox.event(Event::Warning(Warning::BallotsExhausted));
            }
            NakReason::Stale { .. } | NakReason::NewBoot { .. } => {
                self.renew_or_probe(voter, now, outbox);
            }
            NakReason::DuplicateId => {
                outbox.event(Event::Warning(Warning::DuplicateId { address: None }));
            }
            _ => {}
        }
    }

    /// The best successor that the voters know of.
    pub(crate) fn best_standby(&self) -> Option<Process> {
        let named =
            self.progress.values().filter_map(VoterProgress::standby).map(|(process, _)| process);
        named.filter(|process| process.id != self.me.id).max()
    }

    /// Gives the lease up in favour of `nominee`, who gets a certificate that the voters
    /// believe at once, and holds back from contending for `hold`. Returns the term.
    pub(crate) fn step_down(
        &mut self,
        nominee: Option<Process>,
        hold: Duration,
        reason: DemotionReason,
        now: HolderTime,
        outbox: &mut Outbox,
    ) -> Option<u64> {
        let leaving = reason == DemotionReason::Leaving;
        let ended = match &self.role {
            Role::Goose(tenure) => Some((tenure.term, tenure.ballot)),
            Role::Claiming(claim) => Some((0, claim.ballot)),
            Role::Standby => None,
        };
        let (term, ballot) = ended.unwrap_or((0, 0));
        let was_goose = matches!(self.role, Role::Goose(_));
        if mutant::is(Mutant::ReleaseBeforeSteppingDown) && was_goose {
            self.release_while_acting(ballot, nominee, now, outbox);
            return Some(term);
        }
        if mutant::is(Mutant::CertificateWhileActing)
            && let (true, Some(nominee)) = (was_goose, nominee)
        {
            let (holder, nominated) = (self.me, Some(nominee.id));
            let release = Release { holder, ballot, all: leaving, nominee: nominated };
            outbox.send(nominee, Message::Handover(release));
            return Some(term);
        }
        self.role = Role::Standby;
        self.hold_until = self.hold_until.max(now.plus(hold));
        self.retired |= leaving;
        if was_goose {
            self.set_barrier(now);
            outbox.event(Event::BecameDuck { term, reason });
        }
        if ended.is_some() || leaving {
            let nominee = nominee.filter(|_| was_goose);
            let release = Release {
                holder: self.me,
                ballot,
                all: leaving,
                nominee: nominee.map(|process| process.id),
            };
            if let Some(nominee) = nominee {
                outbox.send(nominee, Message::Handover(release.clone()));
            }
            self.release(release, now, outbox);
        }
        was_goose.then_some(term)
    }

    /// Stops leading and contending for good without a word to the voters.
    pub(crate) fn leave_without_release(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let term = self.tenure().map(|tenure| tenure.term);
        self.role = Role::Standby;
        self.retired = true;
        self.set_barrier(now);
        if let Some(term) = term {
            outbox.event(Event::BecameDuck { term, reason: DemotionReason::Leaving });
        }
    }

    /// The mutant of [`Mutant::ReleaseBeforeSteppingDown`].
    fn release_while_acting(
        &mut self,
        ballot: u64,
        nominee: Option<Process>,
        now: HolderTime,
        outbox: &mut Outbox,
    ) {
        let nominee = nominee.map(|process| process.id);
        let release = Release { holder: self.me, ballot, all: false, nominee };
        let unacknowledged: Vec<NodeId> = self.progress.keys().copied().collect();
        let unacknowledged =
            unacknowledged.into_iter().map(|voter| (voter, self.next_sequence())).collect();
        self.farewell = Some(Farewell { release, unacknowledged, sent: 0, next_send: now });
        self.say_farewell(now, outbox);
    }

    /// This node as Goose, in the words of an announcement.
    pub(crate) fn as_goose(
        &self,
        address: std::net::SocketAddr,
        http: Option<std::net::SocketAddr>,
    ) -> Option<Goose> {
        let tenure = self.tenure()?;
        Some(Goose { term: tenure.term, process: self.me, address, http })
    }
}
