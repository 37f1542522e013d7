//! How the many know the Goose from moment to moment, though nobody tells them.
//!
//! The Goose announces itself to the voters, to the standbys and, in a small cluster, to all;
//! a new one is told to everybody by gossip, once. Evidence of a Goose runs out with its lease,
//! though, and thousands cannot ask the voters several times a second whether it still leads.
//! So every packet of gossip carries how lately its sender saw the Goose: the Goose itself, the
//! voters and the standbys know best, and the age spreads like any rumour, at no packet of its
//! own. The load of the voters does not depend on the number of nodes.
//!
//! Assumption: this is advice, for people and for whoever looks for the Goose. No grant and no
//! claim depends on it.

use std::time::Duration;

use super::BALLOT_MAX;
use super::Election;
use crate::vocabulary::event::Event;
use crate::vocabulary::goose::Goose;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{HolderTime, Now, nanoseconds};
use crate::wire::datagram::LeaderFreshness;

impl Election {
    /// Takes note of a Goose that somebody named.
    pub fn hear_of_goose(&mut self, now: Now, goose: &Goose) {
        self.learn_goose(goose, self.timing.lease, now.holder);
        self.advance(now);
    }

    pub(super) fn learn_goose(&mut self, goose: &Goose, remaining: Duration, now: HolderTime) {
        if goose.term >= BALLOT_MAX || goose.process == self.me {
            return;
        }
        if goose.term >= self.view.term() {
            self.news = now;
        }
        if self.view.learn(goose, now, now.plus(remaining)) {
            self.outbox.event(Event::GooseChanged(Some(goose.clone())));
        }
    }

    /// How lately the Goose was seen, to be told beside gossip; none if that is too long ago.
    pub fn leader_freshness(&self, now: HolderTime) -> Option<LeaderFreshness> {
        let known = self.view.known()?;
        let age = if known.goose.process == self.me {
            self.lease_at(now)?;
            Duration::ZERO
        } else {
            now.since(known.confirmed)
        };
        let is_over = known.goose.process != self.me && !known.is_valid_at(now);
        if is_over || age >= self.leader_freshness_max() {
            return None;
        }
        let age = u16::try_from(age.as_millis()).ok()?;
        Some(LeaderFreshness { term: known.goose.term, age })
    }

    /// Somebody says that the Goose was seen. Whoever stands by hears of it from the voters
    /// themselves, and better; for all others this is what keeps them from asking.
    pub fn hear_of_leader_freshness(&mut self, now: HolderTime, leader_freshness: LeaderFreshness) {
        if self.stands_by(now) || mutant::is(Mutant::LeaderFreshnessUnheard) {
            return;
        }
        let Some((seen, end)) = self.seen(now, leader_freshness) else { return };
        if self.view.sight(leader_freshness.term, seen, end) {
            self.news = self.news.max(seen);
        }
    }

    /// A welcome names a Goose. It counts if it also says how lately that was seen: newcomers
    /// that take each other's word for it would keep a dead Goose alive for ever.
    pub fn hear_in_welcome(
        &mut self,
        now: Now,
        goose: &Goose,
        leader_freshness: Option<LeaderFreshness>,
    ) {
        let leader_freshness =
            leader_freshness.filter(|leader_freshness| leader_freshness.term == goose.term);
        let acceptable = goose.term < super::BALLOT_MAX && goose.process != self.me;
        if let Some((seen, end)) = leader_freshness.and_then(|it| self.seen(now.holder, it))
            && acceptable
        {
            // Whoever stands by will know better in a moment.
            let soon = now.holder.plus(self.timing.lease);
            let end = if self.stands_by(now.holder) { end.min(soon) } else { end };
            if goose.term >= self.view.term() {
                self.news = self.news.max(seen);
                self.come_late(now.holder);
            }
            if self.view.learn(goose, seen, end) {
                self.outbox.event(Event::GooseChanged(Some(goose.clone())));
            }
        }
        self.advance(now);
    }

    /// This node was of this cluster before, or has just heard who leads it. One that does not
    /// vote has no hurry to ask the voters then: should nobody lead, they tell it so as soon as
    /// gossip has told them of it.
    pub fn come_late(&mut self, now: HolderTime) {
        if self.voter.is_none() {
            self.contender.let_first_round_pass(now);
        }
    }

    /// When the Goose was seen, and until when that counts; none if it is too long ago.
    fn seen(
        &self,
        now: HolderTime,
        leader_freshness: LeaderFreshness,
    ) -> Option<(HolderTime, HolderTime)> {
        // Nobody can tell how long it was on its way. What each hand adds bounds the hands that
        // it can go through, and so what is missing: no rumour keeps a dead Goose alive.
        let age = Duration::from_millis(leader_freshness.age.into()) + self.timing.probe_round_trip;
        let lasts = self.leader_freshness_max();
        let seen = HolderTime(now.0.checked_sub(nanoseconds(age))?);
        (age < lasts).then(|| (seen, seen.plus(lasts)))
    }

    /// A rumour that the Goose was seen is believed for so long: as many probe periods as it
    /// takes to reach thousands, twice over.
    fn leader_freshness_max(&self) -> Duration {
        self.timing.probe_period * 16
    }
}
