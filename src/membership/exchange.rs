//! What a node does when it compares with another one whom both know: the pace and the packets
//! are [`super::reconciliation`]'s.

use std::net::SocketAddr;

use rand::RngExt;

use super::capacity::MEMBERS_MAX;
use super::identity::MemberIdentity;
use super::reconciliation::{self, Compare, Exchange, Next, Page};
use super::roster::Roster;
use super::{Member, Membership, MembershipOutput};
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::HolderTime;

impl Membership {
    /// The library holds this of a member now.
    pub(super) fn learn(&mut self, member: &Member<MemberIdentity>) {
        let before = self.roster.note(member);
        self.view.note(member, before.as_ref());
    }

    /// The library was started anew, and holds what it holds.
    pub(super) fn reload(&mut self) {
        self.view.clear();
        self.roster = Roster::default();
        for member in self.foca.iter_membership_state() {
            let before = self.roster.note(member);
            self.view.note(member, before.as_ref());
        }
    }

    /// Asks somebody what this node lacks, if it is time to.
    pub(super) fn reconcile(&mut self, now: HolderTime) {
        if self.left || now < self.reconciliation.next_deadline() {
            return;
        }
        self.reconciliation.postpone(now, self.random.random_range(0.0..1.0));
        let Some(partner) = self.view.any_other(&mut self.random) else { return };
        self.ask(now, partner, self.reconciliation.wants_filter(now));
    }

    fn ask(&mut self, now: HolderTime, partner: (Process, SocketAddr), has_filter: bool) {
        let own = *self.foca.identity();
        let entropy = self.random.random();
        let held = (&own, &self.roster);
        // Its size is bounded, far below the codec's limit.
        if let Ok(packet) = self.reconciliation.ask(now, partner, held, has_filter, entropy) {
            let (to, address) = partner;
            self.outputs.push_back(MembershipOutput::Send { to, address, packet });
        }
    }

    /// A packet of [`super::reconciliation`] arrived.
    pub(super) fn handle_exchange(&mut self, now: HolderTime, sender: Process, packet: &[u8]) {
        match reconciliation::decode(packet) {
            Ok(Exchange::Compare(compare)) => self.compare(now, sender, &compare),
            Ok(Exchange::Page(page)) => self.read_page(now, sender, &page),
            Err(error) => self.complain(now, error.to_string()),
        }
        self.drain(now);
    }

    /// Somebody asks what it lacks. It is alive, then, and whoever did not know it does now.
    fn compare(&mut self, now: HolderTime, sender: Process, compare: &Compare) {
        let own = *self.foca.identity();
        let asker = compare.asker(sender);
        // Whoever is forgotten or held for dead is told so when it probes or is probed.
        if asker.address == own.address || self.is_forgotten(&asker) {
            return;
        }
        let alive = Member::alive(asker);
        if self.roster.is_news(&alive) {
            if self.roster.size() >= MEMBERS_MAX {
                self.refused += 1;
                return;
            }
            let outcome = self.foca.apply_many(std::iter::once(alive), true, &mut self.runtime);
            self.note(now, outcome);
            self.drain(now);
        }
        if !self.roster.get(&asker).is_some_and(|held| held.is_present()) {
            return;
        }
        let held = (&own, &self.roster);
        let (pages, asks_back) = self.reconciliation.answer(now, &asker, compare, held);
        let (to, address) = (asker.process, asker.address);
        for page in pages {
            if let Ok(packet) = reconciliation::encode(&Exchange::Page(page)) {
                self.outputs.push_back(MembershipOutput::Send { to, address, packet });
            }
        }
        if asks_back {
            self.ask(now, (to, address), true);
        }
    }

    fn read_page(&mut self, now: HolderTime, sender: Process, page: &Page) {
        if !self.reconciliation.accepts(sender, page) {
            return;
        }
        let own = *self.foca.identity();
        let mut news = reconciliation::news(&page.members, &own, &self.roster);
        news.retain(|member| !self.is_forgotten(member.id()));
        let room = MEMBERS_MAX.saturating_sub(self.roster.size());
        self.refused += news.len().saturating_sub(room) as u64;
        news.truncate(room);
        let spreads = !self.reconciliation.is_newcomer(now);
        let outcome = self.foca.apply_many(news.iter().cloned(), spreads, &mut self.runtime);
        self.note(now, outcome);
        // What is not gossiped is not written down by the codec.
        news.iter().for_each(|member| self.learn(member));
        self.drain(now);
        let state = (self.roster.digest(&own), self.roster.present());
        let chance = self.random.random_range(0.0..1.0);
        let next = self.reconciliation.conclude(now, page, news.len(), state, chance);
        if let Next::Again(to, address) = next {
            self.ask(now, (to, address), true);
        }
    }
}
