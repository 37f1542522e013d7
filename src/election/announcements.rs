//! Who leads, as this node tells others and hears of them.

use std::time::Duration;

use super::contender::Audience;
use super::{Election, STANDBYS};
use crate::vocabulary::event::Event;
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::{HolderTime, Now};
use crate::wire::message::{Message, Standing, VoterStatus};

impl Election {
    /// Tells the voters and the standbys, and perhaps the neighbours; gossip tells the rest.
    pub(super) fn announce(&mut self, audience: Audience, now: HolderTime) {
        let Some(lease) = self.lease() else { return };
        let (process, address, http) = (self.me, self.address, self.http);
        let goose = Goose { term: lease.term, process, address, http };
        if self.view.learn(&goose, now, lease.deadline) {
            self.outbox.event(Event::GooseChanged(Some(goose.clone())));
        }
        let mut told: Vec<Process> = self.voter_processes().collect();
        told.extend(self.sight.eligible.iter().take(STANDBYS + 1));
        if audience == Audience::Everybody {
            told.extend(&self.sight.neighbours);
        }
        told.sort_unstable();
        told.dedup();
        for process in told.into_iter().filter(|process| *process != self.me) {
            self.outbox.send(process, Message::Announce(goose.clone()));
        }
    }

    pub(super) fn update_view(&mut self, now: Now) {
        let mut lost = self.view.expire(now.holder);
        let mine = self.view.goose().is_some_and(|goose| goose.process == self.me);
        if mine && self.lease().is_none() {
            lost |= self.view.forget_all();
        } else if !mine {
            lost |= self.is_vacancy_known(now.holder) && self.view.forget_all();
        }
        if lost {
            self.outbox.event(Event::GooseChanged(None));
        }
    }

    /// Whether a majority of the voters said, since the Goose was last confirmed, that their
    /// vote is free.
    fn is_vacancy_known(&self, now: HolderTime) -> bool {
        let Some(known) = self.view.known() else { return false };
        let fresh = now.minus(self.timing.contender_freshness());
        let since = fresh.max(known.confirmed.plus(Duration::from_nanos(1)));
        self.contender.tracker().is_majority(since, |standing| *standing == Standing::Vacant)
    }

    pub(super) fn note_release(&mut self, holder: Process) {
        if holder != self.me && self.view.forget(holder) {
            self.outbox.event(Event::GooseChanged(None));
        }
    }

    pub(super) fn heard_status(&mut self, now: Now, status: &VoterStatus) {
        self.contender.informed(status, now.holder);
        if let (Some(goose), Standing::Held { holder, remaining, .. }) =
            (&status.goose, &status.standing)
            && goose.process == *holder
        {
            self.learn_goose(goose, *remaining, now.holder);
        }
    }

    pub(super) fn heard_vacancy(&mut self, now: Now, status: &VoterStatus) {
        self.heard_status(now, status);
        self.news = now.holder;
        let asleep = now.holder >= self.awake_until;
        self.awake_until = now.holder.plus(self.timing.standby_interval * 5);
        // The notices of the other voters may be lost: ask them, once per notice round.
        if asleep || !self.contender.tracker().is_majority_held(now.holder, &self.timing) {
            self.contender.poll_soon(now.holder.plus(self.timing.retransmit));
        }
    }
}
