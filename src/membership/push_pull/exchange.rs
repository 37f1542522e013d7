//! What a node does when it compares with another one whom both know. The pace and the packets
//! are those of [`super`].

use std::net::SocketAddr;

use rand::RngExt;

use super::super::capacity::MEMBERS_MAX;
use super::super::identity::MemberIdentity;
use super::super::swim_members::SwimMembers;
use super::super::{Member, Membership, MembershipOutput, push_pull};
use super::{Compare, Exchange, Next, Page};
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::HolderTime;

impl Membership {
    /// The library holds this of a member now.
    pub(in crate::membership) fn learn(&mut self, member: &Member<MemberIdentity>) {
        let before = self.swim_members.note(member);
        self.view.note(member, before.as_ref());
    }

    /// The library was started anew, and holds what it holds.
    pub(in crate::membership) fn reload(&mut self) {
        self.view.clear();
        self.swim_members = SwimMembers::default();
        for member in self.foca.iter_membership_state() {
            let before = self.swim_members.note(member);
            self.view.note(member, before.as_ref());
        }
    }

    /// Asks somebody what this node lacks, if it is time to.
    pub(in crate::membership) fn reconcile(&mut self, now: HolderTime) {
        if self.left || now < self.push_pull.next_deadline() {
            return;
        }
        self.push_pull.postpone(now, self.random.random_range(0.0..1.0));
        let Some(partner) = self.view.any_other(&mut self.random) else { return };
        self.ask(now, partner, self.push_pull.wants_filter(now));
    }

    fn ask(&mut self, now: HolderTime, partner: (Process, SocketAddr), has_filter: bool) {
        let own = *self.foca.identity();
        let entropy = self.random.random();
        let held = (&own, &self.swim_members);
        // Its size is bounded, far below the codec's limit.
        if let Ok(packet) = self.push_pull.ask(now, partner, held, has_filter, entropy) {
            let (to, address) = partner;
            self.outputs.push_back(MembershipOutput::Send { to, address, packet });
        }
    }

    /// A packet of [`super`] arrived.
    pub(in crate::membership) fn handle_exchange(
        &mut self,
        now: HolderTime,
        sender: Process,
        packet: &[u8],
    ) {
        match push_pull::decode(packet) {
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
        if self.swim_members.is_news(&alive) {
            if self.swim_members.size() >= MEMBERS_MAX {
                self.refused += 1;
                return;
            }
            let outcome = self.foca.apply_many(std::iter::once(alive), true, &mut self.runtime);
            self.note(now, outcome);
            self.drain(now);
        }
        if !self.swim_members.get(&asker).is_some_and(|held| held.is_present()) {
            return;
        }
        let held = (&own, &self.swim_members);
        let (pages, asks_back) = self.push_pull.answer(now, &asker, compare, held);
        let (to, address) = (asker.process, asker.address);
        for page in pages {
            if let Ok(packet) = push_pull::encode(&Exchange::Page(page)) {
                self.outputs.push_back(MembershipOutput::Send { to, address, packet });
            }
        }
        if asks_back {
            self.ask(now, (to, address), true);
        }
    }

    fn read_page(&mut self, now: HolderTime, sender: Process, page: &Page) {
        if !self.push_pull.accepts(sender, page) {
            return;
        }
        let own = *self.foca.identity();
        let mut news = push_pull::news(&page.members, &own, &self.swim_members);
        news.retain(|member| !self.is_forgotten(member.id()));
        let room = MEMBERS_MAX.saturating_sub(self.swim_members.size());
        self.refused += news.len().saturating_sub(room) as u64;
        news.truncate(room);
        let spreads = !self.push_pull.is_newcomer(now);
        let outcome = self.foca.apply_many(news.iter().cloned(), spreads, &mut self.runtime);
        self.note(now, outcome);
        // What is not gossiped is not written down by the codec.
        news.iter().for_each(|member| self.learn(member));
        self.drain(now);
        let state = (self.swim_members.digest(&own), self.swim_members.present());
        let chance = self.random.random_range(0.0..1.0);
        let next = self.push_pull.conclude(now, page, news.len(), state, chance);
        if let Next::Again(to, address) = next {
            self.ask(now, (to, address), true);
        }
    }
}
