//! Membership: who is probably alive, by SWIM gossip.
//!
//! SWIM (Das, Gupta, Motivala 2002) is foca's; this module gives it an identity, a codec, one
//! table of timers and a list by node id, and mends what it leaves broken (`repair`). All it
//! says is a hint: the election works, only less well informed, whatever membership believes.
//!
//! Each part owns its state, and says what is to be done. This file says in which order:
//!
//! ```text
//!   packet ──▶ repair ─▶ tombstones ─▶ capacity ─▶ swim ──┐
//!      └─────▶ push_pull ─────────────────────────▶ swim ──┼─▶ settle ─▶ members ─▶ metadata
//!   timer ───▶ timers ─▶ repair ──────────────────▶ swim ──┘     └─▶ outputs
//! ```
//!
//! Assumptions: packets were checked to come from a node of this cluster; time is the holder
//! clock; the node calls [`Membership::handle_timeout`] at [`Membership::next_deadline`], for a
//! timer that is never delivered stalls SWIM.

mod broadcast;
mod capacity;
mod codec;
pub mod identity;
mod member_list;
mod members;
mod metadata;
mod output;
mod parameters;
mod push_pull;
mod repair;
pub mod seeding;
mod swim;
#[cfg(test)]
mod tests;
mod timers;
mod tombstones;

use std::net::SocketAddr;
use std::sync::Arc;

use foca::{Member, OwnedNotification};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::metadata::{Metadata, MetadataQuery, MetadataReply};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::MemberView;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;
use crate::wire::codec::CodecError;
use crate::wire::message::Message;
use broadcast::{Broadcast, TOMBSTONES_MAX, Tombstone};
use capacity::{CROWDED, Capacity, MEMBERS_MAX};
use identity::MemberIdentity;
use members::{Held, Members};
use metadata::MetadataRounds;
pub use output::MembershipOutput;
use output::Outputs;
use push_pull::PushPull;
use push_pull::message::{self, Compare, Exchange, Page};
use repair::buddy::{BUDDY_NOTICES_MAX, BuddyNotices};
use repair::death_notices::DeathNotices;
use repair::isolation::Isolation;
use swim::{Swim, SwimOutput};
use timers::{Timer, Timers};
pub use tombstones::ForgetError;
use tombstones::Tombstones;

/// Each member has a timer or two, and SWIM a few of its own.
const TIMERS_MAX: usize = 4 * MEMBERS_MAX + BUDDY_NOTICES_MAX;

/// One node's membership.
pub struct Membership {
    timing: Timing,
    swim: Swim,
    timers: Timers,
    members: Members,
    push_pull: PushPull,
    metadata: MetadataRounds,
    tombstones: Tombstones,
    capacity: Capacity,
    isolation: Isolation,
    buddies: BuddyNotices,
    death_notices: DeathNotices,
    random: ChaCha8Rng,
    outputs: Outputs,
}

impl Membership {
    /// A member that knows no other yet.
    pub fn new(identity: MemberIdentity, timing: &Timing, entropy: [u8; 32]) -> Self {
        let mut random = ChaCha8Rng::from_seed(entropy);
        Self {
            timing: timing.clone(),
            swim: Swim::new(identity, timing, &mut random),
            timers: Timers::default(),
            members: Members::new(identity),
            push_pull: PushPull::new(timing.probe_round_trip),
            metadata: MetadataRounds::new(&mut random),
            tombstones: Tombstones::default(),
            capacity: Capacity::default(),
            isolation: Isolation::default(),
            buddies: BuddyNotices::default(),
            death_notices: DeathNotices::default(),
            random,
            outputs: Outputs::default(),
        }
    }

    /// A gossip packet arrived from this process of another node.
    pub fn handle_gossip(&mut self, now: HolderTime, sender: Process, packet: &[u8]) {
        // A node that has said goodbye is not to be woken by those that had not heard it yet.
        if self.swim.has_left() && !mutant::is(Mutant::LeaverListens) {
            self.answer_with_goodbye(sender, packet);
            return;
        }
        if let Some(before) = self.isolation.end(now) {
            self.start_anew(now, before);
        }
        if message::is_exchange(packet) {
            return self.handle_exchange(now, sender, packet);
        }
        let known = (self.swim.own(), &self.members);
        let searched = self.tombstones.search(now, known, sender, packet);
        if let Some((to, reply)) = searched.reply {
            self.send(now, &to, reply);
        }
        let Some(packet) = searched.packet else { return };
        let own = self.swim.own().address;
        let Some(packet) = self.capacity.admit(&packet, own, &self.members) else { return };
        self.outputs.report(now, self.swim.handle_data(sender, &packet));
        // SWIM wants to be asked later whether a probe was answered. Once it was, it is asked at
        // once: that spares a wake-up for each probe. If that was a late answer to an earlier
        // probe, others are asked after the member a little early.
        if codec::is_acknowledgement(&packet)
            && let Some(timer) = self.timers.take_second_stage(sender)
        {
            self.deliver(now, timer);
        }
        self.settle(now);
        while self.members.size() > CROWDED
            && let Some(removal) = self.timers.take_removal()
        {
            self.deliver(now, removal);
        }
        self.settle(now);
    }

    /// Mend 6: a node that has left tells those that ask it anything, or let it in late.
    fn answer_with_goodbye(&mut self, sender: Process, packet: &[u8]) {
        if let Some((asker, goodbye)) = codec::goodbye(self.swim.own(), sender, packet)
            && !mutant::is(Mutant::LeaverIsSilent)
        {
            self.outputs.send((asker.process, asker.address), goodbye);
        }
    }

    /// Mend 3: SWIM begins anew with what was known before this node was cut off.
    fn start_anew(&mut self, now: HolderTime, mut before: Vec<Member<MemberIdentity>>) {
        before.retain(|member| !self.tombstones.names(member.id()));
        self.outputs.report(now, self.swim.start_anew(&self.timing, before, &mut self.random));
        self.timers.stop_swim();
        self.members.reload(self.swim.held());
        self.settle(now);
    }

    /// Does everything that is due, in order.
    pub fn handle_timeout(&mut self, now: HolderTime) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Swim(timer) => {
                    // By node: a member that moved may be held twice.
                    let others = self.members.list().others();
                    let period = self.timing.probe_period;
                    self.isolation.watch(now, others, period, self.swim.held());
                    self.deliver(now, timer);
                    self.settle(now);
                }
                Timer::BuddyNotice { suspect, incarnation } => {
                    let own = self.swim.own();
                    let notice = self.buddies.take(own, &suspect, incarnation, &self.members);
                    if let Some(notice) = notice {
                        self.outputs.send((suspect.process, suspect.address), notice);
                    }
                }
                Timer::PushPull => self.compare_with_a_member(now),
                Timer::MembersUpdate => self.update_members(now),
                Timer::MetadataRound => self.ask_for_metadata(now),
            }
        }
    }

    /// When [`Membership::handle_timeout`] is due.
    pub fn next_deadline(&self) -> HolderTime {
        self.timers.next()
    }

    /// Tells SWIM of one of its timers, unless that would break something.
    fn deliver(&mut self, now: HolderTime, timer: foca::Timer<MemberIdentity>) {
        if !repair::permits(&timer, &self.members, self.isolation.gates(now)) {
            return;
        }
        if let foca::Timer::RemoveDown(member) = timer {
            return self.remove(member);
        }
        self.outputs.report(now, self.swim.handle_timer(timer));
    }

    /// Does what SWIM wants done, and takes over what it knows by now.
    fn settle(&mut self, now: HolderTime) {
        while let Some(output) = self.swim.poll() {
            match output {
                SwimOutput::Send(to, packet) => self.send(now, &to, packet),
                SwimOutput::Schedule(after, timer) => {
                    if let foca::Timer::ChangeSuspectToDown { member_id, incarnation, .. } = &timer
                    {
                        let span = (now, after);
                        self.buddies.plan(*member_id, *incarnation, span, &mut self.timers);
                    }
                    self.timers.set(now.plus(after), Timer::Swim(timer));
                }
                SwimOutput::Holds(member) => self.members.note(&member),
                SwimOutput::Notification(notification) => self.notified(now, notification),
                SwimOutput::Heard(Broadcast::Goose(goose)) => {
                    self.outputs.push(MembershipOutput::GooseHint(goose));
                }
                SwimOutput::Heard(Broadcast::Forgotten(tombstone)) => self.bury(now, tombstone),
            }
        }
        self.update_members(now);
    }

    /// Brings the list of members up to date, and tells what changed.
    fn update_members(&mut self, now: HolderTime) {
        let alive = self.swim.alive();
        let Some(changes) = self.members.update(now, alive, &mut self.timers) else { return };
        if !changes.is_empty() && !self.swim.has_left() {
            self.metadata.plan(now, self.members.list(), &mut self.timers);
        }
        changes.into_iter().for_each(|change| self.outputs.push(change));
        self.swim.rescale(&self.timing);
    }

    fn notified(&mut self, now: HolderTime, notification: OwnedNotification<MemberIdentity>) {
        match notification {
            OwnedNotification::MemberUp(_) => {}
            OwnedNotification::MemberDown(member) => {
                self.outputs.push(MembershipOutput::Departed(member.process));
                if self.tombstones.names(&member) {
                    self.remove(member);
                }
            }
            OwnedNotification::Rename(before, after) => {
                if before.process != after.process {
                    self.outputs.push(MembershipOutput::Departed(before.process));
                }
            }
            OwnedNotification::Active => {
                let chance = self.random.random_range(0.0..1.0);
                self.push_pull.begin(now, chance, &mut self.timers);
                self.outputs.push(MembershipOutput::Connected);
            }
            OwnedNotification::Idle | OwnedNotification::Defunct | OwnedNotification::Rejoin(_) => {
                self.push_pull.end(&mut self.timers);
                self.outputs.push(MembershipOutput::Disconnected);
            }
        }
    }

    /// Sends a packet, unless it is one more notice of its receiver's death (mend 5).
    fn send(&mut self, now: HolderTime, to: &MemberIdentity, packet: Vec<u8>) {
        if self.death_notices.permit(to.process.id, &packet, now) {
            self.outputs.send((to.process, to.address), packet);
        }
    }

    /// Takes a dead member out of SWIM's list and ours.
    fn remove(&mut self, member: MemberIdentity) {
        if self.swim.remove(member) {
            self.members.forget(&member);
        }
    }

    /// A tombstone was set here or elsewhere.
    fn bury(&mut self, now: HolderTime, tombstone: Tombstone) {
        if tombstone.process == self.swim.own().process {
            return;
        }
        self.tombstones.add(tombstone, now);
        let is_dead = |member: &&Member<MemberIdentity>| {
            member.state() == foca::State::Down && self.tombstones.names(member.id())
        };
        let dead: Vec<_> = self.swim.held().filter(is_dead).map(|member| *member.id()).collect();
        dead.into_iter().for_each(|member| self.remove(member));
    }

    /// Asks a member what this node lacks.
    fn compare_with_a_member(&mut self, now: HolderTime) {
        if self.swim.has_left() || mutant::is(Mutant::NoReconciliation) {
            return;
        }
        let chance = self.random.random_range(0.0..1.0);
        self.push_pull.postpone(now, chance, &mut self.timers);
        let Some(partner) = self.members.list().any_other(&mut self.random) else { return };
        self.ask(now, partner, self.push_pull.wants_filter(now));
    }

    fn ask(&mut self, now: HolderTime, partner: (Process, SocketAddr), has_filter: bool) {
        let entropy = self.random.random();
        let known = (self.swim.own(), &self.members);
        // Its size is bounded, far below the codec's limit.
        if let Ok(packet) = self.push_pull.ask(now, partner, known, has_filter, entropy) {
            self.outputs.send(partner, packet);
        }
    }

    /// A question or an answer of push/pull arrived.
    fn handle_exchange(&mut self, now: HolderTime, sender: Process, packet: &[u8]) {
        match message::decode(packet) {
            Ok(Exchange::Compare(compare)) => self.compare(now, sender, &compare),
            Ok(Exchange::Page(page)) => self.read_page(now, sender, &page),
            Err(error) => self.outputs.report(now, Err(error)),
        }
        self.settle(now);
    }

    /// Another node asks what it lacks. It is alive, then, and this node knows it from here on.
    fn compare(&mut self, now: HolderTime, sender: Process, compare: &Compare) {
        let own = *self.swim.own();
        let asker = compare.asker(sender);
        // An asker that is forgotten or held for dead is told so when it probes or is probed.
        if asker.address == own.address || self.tombstones.forgets(&asker, &self.members) {
            return;
        }
        let alive = Member::alive(asker);
        if self.members.is_news(&alive) {
            let mut news = vec![alive];
            self.capacity.limit(&mut news, &self.members);
            if news.is_empty() {
                return;
            }
            self.outputs.report(now, self.swim.apply(&news, true));
            self.settle(now);
        }
        if !self.members.get(&asker).is_some_and(Held::is_present) {
            return;
        }
        let known = (&own, &self.members);
        let (pages, asks_in_turn) = self.push_pull.answer(now, &asker, compare, known);
        let partner = (asker.process, asker.address);
        for page in pages {
            if let Ok(packet) = message::encode(&Exchange::Page(page)) {
                self.outputs.send(partner, packet);
            }
        }
        if asks_in_turn {
            self.ask(now, partner, true);
        }
    }

    /// A part of an answer arrived.
    fn read_page(&mut self, now: HolderTime, sender: Process, page: &Page) {
        if !self.push_pull.accepts(sender, page) {
            return;
        }
        let own = *self.swim.own();
        let mut news = push_pull::news(&page.members, &own, &self.members);
        news.retain(|member| !self.tombstones.forgets(member.id(), &self.members));
        self.capacity.limit(&mut news, &self.members);
        let spreads = !self.push_pull.is_newcomer(now);
        self.outputs.report(now, self.swim.apply(&news, spreads));
        // SWIM says nothing of what it does not gossip.
        news.iter().for_each(|member| self.members.note(member));
        self.settle(now);
        let state = (self.members.digest(&own), self.members.present());
        let chance = self.random.random_range(0.0..1.0);
        let timers = &mut self.timers;
        let again = self.push_pull.conclude(now, page, news.len(), state, chance, timers);
        if let Some(partner) = again {
            self.ask(now, partner, true);
        }
    }

    fn ask_for_metadata(&mut self, now: HolderTime) {
        if self.swim.has_left() || mutant::is(Mutant::DetailsUnasked) {
            return;
        }
        let question = self.metadata.hold(now, self.members.list(), &mut self.timers);
        if let Some(((to, address), query)) = question {
            let message = Box::new(Message::MetadataQuery(query));
            self.outputs.push(MembershipOutput::Tell { to, address, message });
        }
    }

    /// Says what this node's own metadata is.
    pub fn describe(&mut self, metadata: Metadata) {
        self.members.describe(self.swim.own().process, &metadata);
    }

    /// What is to be answered to this process; none if it is no member, or if nothing that it
    /// lacks is known.
    pub fn answer(&mut self, sender: Process, query: &MetadataQuery) -> Option<MetadataReply> {
        if self.swim.has_left() {
            return None;
        }
        self.metadata.answer(sender, query, &self.members)
    }

    /// An answer came. False: this node had not asked for it.
    pub fn take_answer(&mut self, now: HolderTime, sender: Process, reply: &MetadataReply) -> bool {
        if !self.metadata.expects(sender, reply) {
            return false;
        }
        if self.metadata.learn(now, sender, reply, &mut self.members, &mut self.timers) {
            self.outputs.push(MembershipOutput::DetailsChanged);
        }
        true
    }

    /// Makes itself known to a member whose identity came with a welcome.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are no identity; nothing is sent then.
    pub fn announce_to(&mut self, now: HolderTime, member: &[u8]) -> Result<(), CodecError> {
        let member = MemberIdentity::decode(member)?;
        if !self.swim.has_left() {
            self.outputs.report(now, self.swim.announce(member));
            self.settle(now);
        }
        Ok(())
    }

    /// Makes the cluster forget a member that is down or has left.
    ///
    /// # Errors
    /// As [`ForgetError`] says; nothing changed then.
    pub fn forget(&mut self, now: HolderTime, id: NodeId) -> Result<(), ForgetError> {
        for tombstone in tombstones::tombstones_of(id, self.swim.own(), self.swim.held())? {
            self.bury(now, tombstone);
            self.swim.spread(&Broadcast::Forgotten(tombstone));
        }
        self.settle(now);
        Ok(())
    }

    /// Lets gossip spread who is Goose.
    pub fn broadcast_goose(&mut self, goose: &Goose) {
        self.swim.spread(&Broadcast::Goose(goose.clone()));
    }

    /// From here on this node may lead, or may not. As that is part of its name in gossip, it
    /// takes a new one, as it does when it was wrongly given up.
    pub fn set_eligible(&mut self, now: HolderTime, eligible: bool) {
        let own = *self.swim.own();
        if own.eligible == eligible || self.swim.has_left() {
            return;
        }
        let Some(renewed) = foca::Identity::renew(&own) else { return };
        let renewed = MemberIdentity { eligible, ..renewed };
        self.outputs.report(now, self.swim.rename(renewed));
        self.members.rename_own(renewed);
        self.push_pull.end(&mut self.timers);
        self.outputs.push(MembershipOutput::Disconnected);
        self.settle(now);
    }

    /// Says goodbye. SWIM gossips it once; [`Membership::linger`] does so again.
    pub fn leave(&mut self, now: HolderTime) {
        self.outputs.report(now, self.swim.leave());
        self.timers.stop(&Timer::PushPull);
        self.settle(now);
    }

    /// Gossips once more what is still to be told.
    pub fn linger(&mut self, now: HolderTime) {
        self.outputs.report(now, self.swim.gossip());
        self.settle(now);
    }

    /// What to do next, in order.
    pub fn poll_output(&mut self) -> Option<MembershipOutput> {
        self.outputs.pop()
    }

    /// Whether this packet is the first word of a node that wants to join: the only one that may
    /// be meant for an earlier identity of its receiver.
    pub fn is_announcement(packet: &[u8]) -> bool {
        codec::message_of(packet).is_some_and(|message| message == foca::Message::Announce)
    }

    /// The kind of a packet in words, for those who watch; none if it is not sound.
    pub fn kind(packet: &[u8]) -> Option<String> {
        if message::is_exchange(packet) {
            return message::kind(packet).map(str::to_owned);
        }
        codec::message_of(packet).map(|message| format!("{message:?}"))
    }

    /// Whether this packet is a ping of a member with no news: then there is little news
    /// anywhere, and the answer is short. If it is not, and is lost for its length, others are
    /// asked to ping too, and the accused is told.
    pub fn asks_in_brief(&self, packet: &[u8]) -> bool {
        self.swim.is_brief_ping(packet)
    }

    /// The identity under which this node gossips now, for a welcome.
    pub fn encoded_identity(&self) -> Vec<u8> {
        self.swim.own().encode()
    }

    /// How often this process has had to take a new name.
    pub fn renewals(&self) -> u32 {
        self.swim.own().renewal
    }

    /// Whether another node may know this one, or come to know it by what is on its way.
    pub fn may_be_known(&self) -> bool {
        self.alive_count() > 1 || self.swim.has_announced()
    }

    /// Whether another node knows this one under its present name (mend 4).
    pub fn is_connected(&self) -> bool {
        self.swim.is_connected()
    }

    /// Whether nothing at all was received for ten probe periods, though others should be there.
    pub fn is_silent(&self, now: HolderTime) -> bool {
        self.is_connected() && self.isolation.is_silent(now, self.timing.probe_period * 10)
    }

    /// Whether a node is at this address, as far as gossip knows.
    pub fn is_present(&self, address: SocketAddr) -> bool {
        address == self.swim.own().address
            || self.members.at(address).is_some_and(|it| it.state() != foca::State::Down)
    }

    /// Everybody, this node included, lowest id first.
    pub fn members(&self) -> Arc<Vec<MemberView>> {
        self.members.list().shared()
    }

    /// How many are not down, this node included.
    pub fn alive_count(&self) -> usize {
        self.members.list().others() + 1
    }

    /// The highest nodes that may lead and are not down, highest first.
    pub fn top_eligible(&self, count: usize) -> Vec<(Process, SocketAddr)> {
        self.members.list().eligible().take(count).collect()
    }

    /// How many nodes that may lead are higher than this one.
    pub fn rank_among_eligible(&self) -> usize {
        self.members.list().rank()
    }

    /// The process that gossip holds to be at this address, whatever it thinks of it.
    pub fn process_at(&self, address: SocketAddr) -> Option<Process> {
        self.members.at(address).map(|member| member.id().process)
    }

    /// Where a node is, and which process it is now, according to gossip.
    pub fn address_of(&self, id: NodeId) -> Option<(Process, SocketAddr)> {
        self.members.list().address_of(id)
    }

    /// Up to `count` others that are not gone, at random if there are more; if all are gone, of
    /// those.
    pub fn sample(&mut self, count: usize) -> Vec<(Process, SocketAddr)> {
        self.members.list().sample(count, &mut self.random)
    }

    /// How many members were not taken in, for there was no room.
    pub fn refused(&self) -> u64 {
        self.capacity.refused()
    }

    /// Every table whose entries come from others, with its bound.
    pub fn tables(&self) -> Vec<TableSize> {
        let table = |name, size, size_max| TableSize { name, size, size_max };
        vec![
            table("members", self.members.known(), MEMBERS_MAX),
            table("forgotten", self.tombstones.len(), TOMBSTONES_MAX),
            table("timers", self.timers.len(), TIMERS_MAX),
        ]
    }
}
