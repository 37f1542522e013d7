//! The rules by which a voter grants, refuses and takes back.

use std::time::Duration;

use super::{Answer, HeldGrant, Phase, Reservation, Voter};
use crate::election::deference::CONTENDERS_MAX;
use crate::election::outbox::Outbox;
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp, VOTERS_MAX};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::lineage::Proposal;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{Now, VoterTime};
use crate::wire::message::{Acquire, AcquireKind, Founding, Grant, Message, NakReason, Release};
use crate::wire::record::Vote;

/// The most processes whose last request number is remembered.
const SEQUENCES_MAX: usize = 64;
/// The most dead processes remembered. Older ones are still stopped by their old ballots.
const TOMBSTONES_MAX: usize = 256;
/// The most releases that wait for the disk at once; one more is answered when sent again.
const ACKNOWLEDGEMENTS_MAX: usize = 32;

impl Voter {
    /// Decides on a request for a grant. The rules are taken in this order; each comment names
    /// what would go wrong without it.
    pub(crate) fn acquire(
        &mut self,
        from: Process,
        acquire: &Acquire,
        stamp: ConfigurationStamp,
        in_sight: Option<NodeId>,
        now: Now,
        outbox: &mut Outbox,
    ) {
        if self.is_mute() || !self.admit_sequence(from, acquire.sequence) {
            return;
        }
        self.consider_learning(acquire);
        let admitted = self
            .judge_configuration(acquire, stamp)
            .and_then(|()| self.judge_learning(acquire, now.voter));
        match admitted.and_then(|()| self.judge(from, acquire, in_sight, now, outbox)) {
            Ok(()) => {
                self.promise(from, acquire, now, outbox);
                if let Some(lineage) = acquire.lineage {
                    let ballot = acquire.ballot;
                    self.stand_by(from, Proposal { lineage, ballot }, outbox);
                }
            }
            Err(reason) => outbox.send(from, Message::Nak(acquire.refusal(reason))),
        }
        self.update_vacancy(now.voter);
    }

    /// A request number that was seen, or an older one, is ignored: duplicates must never
    /// lengthen a grant.
    fn admit_sequence(&mut self, from: Process, sequence: u64) -> bool {
        self.sequence_clock += 1;
        let entry = self.sequences.entry(from).or_insert((0, 0));
        if sequence <= entry.0 && !mutant::is(Mutant::DuplicateLengthensGrant) {
            return false;
        }
        *entry = (sequence, self.sequence_clock);
        if self.sequences.len() > SEQUENCES_MAX {
            let holder = self.grant.map(|grant| grant.holder);
            let last_holder = self.stable_vote.vote().max_holder;
            let spared =
                |process: &Process| Some(*process) == holder || Some(*process) == last_holder;
            let idlest = self.sequences.iter().filter(|(process, _)| !spared(process));
            if let Some(process) = idlest.min_by_key(|(_, entry)| entry.1).map(|(key, _)| *key) {
                self.sequences.remove(&process);
            }
        }
        true
    }

    /// Every table whose entries come from others, with its bound.
    pub(crate) fn tables(&self) -> Vec<TableSize> {
        let table = |name, size, size_max| TableSize { name, size, size_max };
        vec![
            table("request numbers", self.sequences.len(), SEQUENCES_MAX + 1),
            table("dead processes", self.tombstones.len(), TOMBSTONES_MAX),
            table("acknowledgements", self.acknowledgements.len(), ACKNOWLEDGEMENTS_MAX),
            table("contenders", self.deference.known().count(), CONTENDERS_MAX),
            table("voters heard", self.roll.len(), VOTERS_MAX),
        ]
    }

    /// The holder of this voter's promise proposes a lineage, or says that it is settled.
    pub(crate) fn stand_by(&mut self, holder: Process, proposal: Proposal, outbox: &mut Outbox) {
        let vote = self.stable_vote.vote();
        let promised = vote.max_holder == Some(holder) && vote.max_ballot <= proposal.ballot;
        let is_newer = vote.lineage.is_none_or(|known| known.ballot < proposal.ballot);
        if promised && is_newer && !self.is_mute() {
            self.stable_vote.stand_by(proposal);
            outbox.persist_soon();
        }
    }

    /// A voter on an empty disk that waits for a founding hears of a Goose in whose configuration it
    /// has no vote: nothing is to be founded any more.
    fn consider_learning(&mut self, acquire: &Acquire) {
        if let Phase::Blank(blank) = &self.phase
            && acquire.kind == AcquireKind::Learn
            && acquire.configuration.as_ref().is_some_and(|it| !it.voters.contains(self.me.id))
            && !matches!(blank.word, Founding::Fleeting { .. })
        {
            self.phase = Phase::Learning { until: blank.until };
        }
    }

    /// A voter never goes back to a configuration that it knows to be over: those who stand by the
    /// newer one may have elected somebody else (Ongaro and Ousterhout, section 6).
    fn judge_configuration(
        &self,
        acquire: &Acquire,
        stamp: ConfigurationStamp,
    ) -> Result<(), NakReason> {
        let own = self.stable_vote.configuration().stamp();
        let is_told = own.is_older_than(&stamp)
            && acquire
                .configuration
                .as_ref()
                .is_some_and(|told| told.stamp() == stamp && told.ballot <= acquire.ballot);
        if own == stamp || is_told || mutant::is(Mutant::VoterIgnoresConfiguration) {
            return Ok(());
        }
        Err(NakReason::Configuration)
    }

    /// Nobody but a Goose makes a voter of a node that has no vote, and not before what it may have
    /// granted and forgotten has run out.
    fn judge_learning(&self, acquire: &Acquire, now: VoterTime) -> Result<(), NakReason> {
        match self.phase {
            Phase::Learning { .. } if acquire.kind != AcquireKind::Learn => Err(NakReason::Blank),
            Phase::Learning { until } if until > now => {
                Err(NakReason::Quarantine { remaining: until.since(now) })
            }
            _ => Ok(()),
        }
    }

    /// What a request tells this voter to take over, if it grants.
    fn told<'a>(&self, acquire: &'a Acquire) -> Option<&'a Configuration> {
        let own = self.stable_vote.configuration();
        acquire.configuration.as_deref().filter(|told| own.is_older_than(told))
    }

    fn judge(
        &mut self,
        from: Process,
        acquire: &Acquire,
        in_sight: Option<NodeId>,
        now: Now,
        outbox: &mut Outbox,
    ) -> Result<(), NakReason> {
        if self.tombstones.contains(&from) {
            return Err(NakReason::Dead);
        }
        if self.is_blank() {
            return Err(NakReason::Blank);
        }
        if let Some(certificate) = &acquire.certificate
            && certificate.holder != from
        {
            let mut certificate = certificate.clone();
            if mutant::is(Mutant::CertificateOfAnother)
                && let Some(grant) = self.grant
            {
                (certificate.holder, certificate.ballot) = (grant.holder, grant.ballot);
            }
            self.apply_release(&certificate, now, outbox);
        }
        // A grant from before the restart may still be counted; it can only be the last
        // holder's own, so that one may go on: also if somebody else's ballot has been heard of
        // since.
        if let Phase::Waiting { until, .. } = self.phase
            && self.before.is_none_or(|(holder, _)| holder != from)
            && !mutant::is(Mutant::QuarantinedVoterRenewsAnybody)
        {
            return Err(NakReason::Quarantine { remaining: until.since(now.voter) });
        }
        if matches!(self.phase, Phase::Resuming { .. }) {
            return Err(NakReason::Persisting);
        }
        if let Some(grant) = &self.grant {
            // What an earlier process of its node holds runs out like anybody's: it has most
            // likely been started again. A later process means that both are alive.
            if grant.holder.id == from.id && grant.holder.boot > from.boot {
                return Err(NakReason::DuplicateId);
            }
            if grant.holder != from {
                return Err(NakReason::Held { remaining: grant.expiry.since(now.voter) });
            }
        }
        if self.reservation.is_some() {
            return Err(NakReason::Persisting);
        }
        // One holder per ballot, for ever: a term is a ballot.
        let vote = self.stable_vote.vote();
        let taken = acquire.ballot == vote.max_ballot
            && vote.max_holder != Some(from)
            && !mutant::is(Mutant::OneBallotToTwoHolders);
        let lower = acquire.ballot < vote.max_ballot && !mutant::is(Mutant::LowerBallotGranted);
        if lower || taken {
            return Err(NakReason::Stale { max_ballot: vote.max_ballot });
        }
        let claims = acquire.kind == AcquireKind::Claim && self.grant.is_none();
        if claims
            && self.may_grant()
            && let Some(to) = self.deference.ahead_of(from.id, in_sight, now.voter)
        {
            return Err(NakReason::Defer { to });
        }
        Ok(())
    }

    /// Grants at once if the durable record says so already. Otherwise it reserves the grant, and
    /// [`Voter::stored`] gives it once the record is durable.
    fn promise(&mut self, from: Process, acquire: &Acquire, now: Now, outbox: &mut Outbox) {
        let granted = acquire.lease.min(self.lease_max);
        // A claim is followed by a renewal to L at once, which then needs no write.
        let owed = match acquire.kind {
            AcquireKind::Claim => granted.max(self.lease.min(self.lease_max)),
            AcquireKind::Renew | AcquireKind::Learn => granted,
        };
        let told = self.told(acquire);
        let vote = self.stable_vote.vote();
        let unchanged = told.is_none()
            && vote.max_ballot == acquire.ballot
            && vote.max_holder == Some(from)
            && (vote.max_lease_in_force >= owed || mutant::is(Mutant::LongerRenewalNotRecorded))
            && self.stable_vote.is_promise_durable();
        if unchanged {
            if acquire.kind == AcquireKind::Renew {
                self.deference.settle();
            }
            self.give(from, &Answer::to(acquire, granted), now.voter, outbox);
            return;
        }
        // Every earlier grant has run out or was given back, unless it is this holder's own.
        let learns = matches!(self.phase, Phase::Learning { .. });
        let is_first = self.grant.is_none() && (self.may_grant() || learns);
        let earlier = if is_first { Duration::ZERO } else { vote.max_lease_in_force };
        let promise = |vote: &mut Vote| {
            vote.max_ballot = acquire.ballot.max(vote.max_ballot);
            vote.max_holder = Some(from);
            vote.max_lease_in_force = earlier.max(owed);
            if learns {
                vote.founding = Founding::Waited;
            }
        };
        let revision = match told {
            Some(told) => self.stable_vote.install(told, promise),
            None => self.stable_vote.change(promise),
        };
        if learns {
            self.phase = Phase::Resuming { revision };
        }
        if mutant::is(Mutant::BallotNotPersisted) {
            self.give(from, &Answer::to(acquire, granted), now.voter, outbox);
            outbox.persist();
            return;
        }
        let answer = Answer::to(acquire, granted);
        self.reservation = Some(Reservation { holder: from, answer, revision });
        outbox.persist();
    }

    pub(super) fn give(
        &mut self,
        holder: Process,
        answer: &Answer,
        now: VoterTime,
        outbox: &mut Outbox,
    ) {
        let Answer { ballot, sequence, granted, names_lineage } = *answer;
        let now = if mutant::is(Mutant::StaleVoterClock) {
            VoterTime(now.0.saturating_sub(60_000_000))
        } else {
            now
        };
        let old = self.grant.map_or(VoterTime(0), |grant| grant.expiry);
        let conflicting = self.grant.is_some_and(|grant| grant.holder != holder);
        assert!(!conflicting, "I4: a grant to one process while another holds one");
        self.grant = Some(HeldGrant { holder, ballot, expiry: old.max(now.plus(granted)) });
        let standby = self.deference.standby(holder.id, now);
        let lineage = self.stable_vote.durable_lineage().filter(|_| names_lineage);
        let leaves = self.leaves;
        let grant = Grant { sequence, ballot, granted, standby, lineage, leaves };
        outbox.send(holder, Message::Grant(grant));
    }

    /// Applies a release that came by itself, and acknowledges it once it is durable.
    pub(crate) fn release(
        &mut self,
        from: Process,
        sequence: u64,
        release: &Release,
        now: Now,
        outbox: &mut Outbox,
    ) {
        // A release speaks for its sender alone; only a certificate speaks for another.
        if self.is_mute() || self.is_blank() || from != release.holder {
            return;
        }
        self.apply_release(release, now, outbox);
        let revision = self.stable_vote.revision();
        if self.stable_vote.is_durable(revision) {
            outbox.send(from, Message::ReleaseAck { sequence });
        } else if self.acknowledgements.len() < ACKNOWLEDGEMENTS_MAX {
            self.acknowledgements.push_back((revision, from, sequence));
        }
        self.update_vacancy(now.voter);
    }

    /// A release names its process and ballot, so a late copy ends nothing newer.
    fn apply_release(&mut self, release: &Release, now: Now, outbox: &mut Outbox) {
        let Release { holder, ballot, all, nominee } = *release;
        if all && !self.tombstones.contains(&holder) {
            if self.tombstones.len() >= TOMBSTONES_MAX {
                self.tombstones.pop_front();
            }
            self.tombstones.push_back(holder);
            self.deference.remove(holder);
        }
        // This voter lost its record and has granted nothing since its start, so there is nothing
        // to release.
        if let Phase::Waiting { by_clock: true, .. } = self.phase {
            self.hear_ballot(ballot);
            return;
        }
        let bootless = all && mutant::is(Mutant::KeeperReleasesWithoutBoot);
        let all = all || mutant::is(Mutant::ReleaseIgnoresBallot);
        let is_his = |whose: Process| whose == holder || bootless && whose.id == holder.id;
        let covers = |whose: Process, which: u64| is_his(whose) && (all || which <= ballot);
        if self.reservation.as_ref().is_some_and(|held| covers(held.holder, held.answer.ballot)) {
            self.reservation = None;
        }
        if self.grant.take_if(|grant| covers(grant.holder, grant.ballot)).is_some() {
            self.deference.remove(holder);
            self.deference.nominate(nominee.filter(|id| *id != holder.id), now.voter);
        }
        let ends_wait =
            self.before.is_some_and(|(whose, which)| whose == holder && (all || which <= ballot));
        let vote = self.stable_vote.vote();
        if (ends_wait || mutant::is(Mutant::AnyReleaseLiftsQuarantine))
            && let Phase::Waiting { by_clock: false, .. } = self.phase
        {
            self.phase = Phase::Ready;
        }
        let max_ballot = vote.max_ballot.max(ballot);
        let names_him = vote.max_ballot < ballot || vote.max_holder == Some(holder);
        let clears_holder = names_him && (all || max_ballot == ballot);
        let max_holder = if clears_holder { None } else { vote.max_holder };
        if (max_ballot, max_holder) != (vote.max_ballot, vote.max_holder) {
            self.stable_vote.change(|vote| {
                vote.max_ballot = max_ballot;
                vote.max_holder = max_holder;
            });
            // A claim follows at once, and would have to wait for this write before its own.
            // A crash in between forgets the release, as if it had been lost on its way: it is
            // acknowledged only once it is durable, so its sender sends it again.
            outbox.persist_soon();
        }
        self.update_vacancy(now.voter);
    }
}
