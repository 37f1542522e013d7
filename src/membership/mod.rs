//! Membership: who is probably alive, by SWIM gossip.
//!
//! SWIM (Das, Gupta, Motivala 2002) is foca's; this module gives it an identity, a codec, one
//! timer queue and a view by node id, and mends what it leaves broken (`repair.rs`). All it says
//! is a hint: the election works, only less well informed, whatever membership believes.
//!
//! Assumptions: packets were checked to come from a node of this cluster; time is the holder
//! clock; whoever drives it calls [`Membership::handle_timeout`] at
//! [`Membership::next_deadline`], for a timer that is never delivered stalls the library.

mod broadcast;
mod capacity;
mod codec;
mod filter;
pub mod identity;
mod member_list;
mod members_by_id;
mod metadata;
mod parameters;
mod push_pull;
mod repair;
pub mod seeding;
mod swim_members;
mod timers;
mod tombstones;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, Member, OwnedNotification, Timer};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::vocabulary::codec::CodecError;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::message::{Goose, Message};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;
use broadcast::{Broadcast, Listener};
use capacity::{CROWDED, MEMBERS_MAX};
use codec::GossipCodec;
use identity::MemberIdentity;
use members_by_id::MembersById;
use push_pull::PushPull;
use swim_members::SwimMembers;
use timers::Timers;
pub use tombstones::ForgetError;

/// In a large cluster the view is brought up to date this often at most.
const UPDATE_LEAST: Duration = Duration::from_millis(100);
/// Up to this many members the view is brought up to date at every change.
const SMALL: usize = 64;
/// Each member has a timer or two, and the library a few of its own.
const TIMERS_MAX: usize = 4 * MEMBERS_MAX;
/// An error is reported this often at most.
const ERROR_INTERVAL: Duration = Duration::from_secs(10);

/// What membership wants done, or has to tell.
#[derive(Clone, Debug)]
pub enum MembershipOutput {
    /// Send a packet.
    Send {
        /// To which process.
        to: Process,
        /// Where it is.
        address: SocketAddr,
        /// What.
        packet: Vec<u8>,
    },
    /// Send something else.
    Tell {
        /// To which process.
        to: Process,
        /// Where it is.
        address: SocketAddr,
        /// What.
        message: Message,
    },
    /// More is known of what people want to know of members.
    DetailsChanged,
    /// The opinion of a member changed.
    MemberChanged {
        /// Which node.
        id: NodeId,
        /// Where it is.
        address: SocketAddr,
        /// What is thought of it now.
        state: MemberState,
    },
    /// A member is no longer known: an operator had it forgotten, or it was gone for a day.
    MemberForgotten {
        /// Which node.
        id: NodeId,
        /// Where it was.
        address: SocketAddr,
    },
    /// A process is gone: declared down, or replaced by a newer one of its node.
    Departed(Process),
    /// Somebody knows this node.
    Connected,
    /// Nobody does any more.
    Disconnected,
    /// Gossip names a Goose. A hint.
    GooseHint(Goose),
    /// The library reported an error; it was survived.
    Error(String),
}

type Library = Foca<MemberIdentity, GossipCodec, ChaCha8Rng, Listener>;

/// One node's membership.
pub struct Membership {
    foca: Library,
    runtime: AccumulatingRuntime<MemberIdentity>,
    timers: Timers,
    timing: Timing,
    codec: GossipCodec,
    view: MembersById,
    swim_members: SwimMembers,
    push_pull: PushPull,
    last_update: HolderTime,
    connected: bool,
    notices: repair::Notices,
    refused: u64,
    tombstones: tombstones::Tombstones,
    rounds: metadata::Rounds,
    buddies: repair::BuddyNotices,
    isolation: repair::Isolation,
    last_received: HolderTime,
    /// The timer of gossip, while there is nothing to gossip: an idle node sleeps.
    parked: Option<Timer<MemberIdentity>>,
    has_announced: bool,
    left: bool,
    next_error: HolderTime,
    scaled_for: u32,
    heard: Receiver<Broadcast>,
    hear: Sender<Broadcast>,
    random: ChaCha8Rng,
    outputs: VecDeque<MembershipOutput>,
}

impl Membership {
    /// A member that knows nobody yet.
    pub fn new(identity: MemberIdentity, timing: &Timing, entropy: [u8; 32]) -> Self {
        let (hear, heard) = channel();
        let mut random = ChaCha8Rng::from_seed(entropy);
        let codec = GossipCodec::new(identity);
        let foca = library(identity, timing, 1, (&codec, &hear, &mut random));
        Self {
            foca,
            runtime: AccumulatingRuntime::new(),
            timers: Timers::default(),
            timing: timing.clone(),
            codec,
            view: MembersById::new(identity),
            swim_members: SwimMembers::default(),
            push_pull: PushPull::new(timing.probe_round_trip),
            last_update: HolderTime(0),
            connected: false,
            notices: repair::Notices::default(),
            refused: 0,
            tombstones: tombstones::Tombstones::default(),
            rounds: metadata::Rounds::new(&mut random),
            buddies: repair::BuddyNotices::default(),
            isolation: repair::Isolation::default(),
            last_received: HolderTime(0),
            parked: None,
            has_announced: false,
            left: false,
            next_error: HolderTime(0),
            scaled_for: 1,
            heard,
            hear,
            random,
            outputs: VecDeque::new(),
        }
    }

    /// A gossip packet arrived from this process of another node.
    pub fn handle_gossip(&mut self, now: HolderTime, sender: Process, packet: &[u8]) {
        // Whoever has said goodbye is not to be woken by those who had not heard it yet.
        if self.left && !mutant::is(Mutant::LeaverListens) {
            self.answer_with_goodbye(sender, packet);
            return;
        }
        if let Some(before) = self.isolation.end() {
            self.start_anew(now, before);
        }
        self.last_received = now;
        if push_pull::is_exchange(packet) {
            return self.handle_exchange(now, sender, packet);
        }
        let Some(packet) = self.without_forgotten(now, sender, packet) else { return };
        let own = *self.foca.identity();
        let is_news = |member: &Member<MemberIdentity>| {
            member.id().address == own.address || self.swim_members.is_news(member)
        };
        let is_known = |address| self.swim_members.knows(address);
        let admitted = capacity::admit(&packet, self.swim_members.size(), is_known, is_news);
        self.refused += admitted.refused;
        let Some(packet) = admitted.packet else { return };
        self.codec.expect(sender, own);
        let outcome = self.foca.handle_data(&packet, &mut self.runtime);
        self.note(now, outcome);
        self.end_probe(now, sender, &packet);
        self.drain(now);
        self.forget_the_longest_dead(now);
    }

    /// The library wants to be asked later whether a probe was answered. Once it was, it is asked
    /// at once: that spares a wake-up for each probe. If that was a late answer to an earlier
    /// probe, others are asked after the member a little early.
    fn end_probe(&mut self, now: HolderTime, sender: Process, packet: &[u8]) {
        if codec::is_acknowledgement(packet)
            && let Some(timer) = self.timers.pop_second_stage(sender)
        {
            self.deliver(now, timer);
        }
    }

    /// Mend 6: whoever asks a node that has left, or lets it in late, is told.
    fn answer_with_goodbye(&mut self, sender: Process, packet: &[u8]) {
        let own = self.foca.identity();
        if let Some((asker, goodbye)) = codec::goodbye(own, sender, packet)
            && !mutant::is(Mutant::LeaverIsSilent)
        {
            let (to, address) = (asker.process, asker.address);
            self.outputs.push_back(MembershipOutput::Send { to, address, packet: goodbye });
        }
    }

    /// Makes room, if it is scarce.
    fn forget_the_longest_dead(&mut self, now: HolderTime) {
        while self.swim_members.size() > CROWDED
            && let Some(removal) = self.timers.pop_removal()
        {
            self.deliver(now, removal);
        }
        self.drain(now);
    }

    /// How many members were not taken in, for there was no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether this packet is the first word of somebody who wants to join: the only one that
    /// may be meant for an earlier identity of its receiver.
    pub fn is_announcement(packet: &[u8]) -> bool {
        codec::message_of(packet).is_some_and(|message| message == foca::Message::Announce)
    }

    /// The kind of a packet in words, for whoever watches; none if it is not sound.
    pub fn kind(packet: &[u8]) -> Option<String> {
        if push_pull::is_exchange(packet) {
            return push_pull::kind(packet).map(str::to_owned);
        }
        codec::message_of(packet).map(|message| format!("{message:?}"))
    }

    /// Delivers every timer that is due, in order.
    pub fn handle_timeout(&mut self, now: HolderTime) {
        while let Some(timer) = self.timers.pop_due(now) {
            self.watch_isolation(now);
            self.deliver(now, timer);
            self.drain(now);
        }
        self.tell_suspects(now);
        self.reconcile(now);
        self.update_view(now);
        self.hold_round(now);
    }

    fn deliver(&mut self, now: HolderTime, timer: Timer<MemberIdentity>) {
        let idle = self.foca.updates_backlog() == 0 && self.foca.custom_broadcast_backlog() == 0;
        if matches!(timer, Timer::PeriodicGossip(_)) && idle {
            self.parked = Some(timer);
            return;
        }
        let gated = self.isolation.gates(self.last_received, now);
        if !repair::permits(&timer, &self.swim_members, gated) {
            return;
        }
        if let Timer::RemoveDown(member) = timer {
            self.remove(now, member);
            return;
        }
        let outcome = self.foca.handle_timer(timer, &mut self.runtime);
        self.note(now, outcome);
    }

    /// Mend 2.
    fn tell_suspects(&mut self, now: HolderTime) {
        while let Some((suspect, incarnation)) = self.buddies.pop_due(now) {
            if !repair::is_still_suspected(&suspect, incarnation, &self.swim_members) {
                continue;
            }
            let own = self.foca.identity();
            // An identity and a few numbers: it cannot exceed the codec's limit.
            if let Ok(packet) = codec::notice(own, &suspect, incarnation) {
                let (to, address) = (suspect.process, suspect.address);
                self.outputs.push_back(MembershipOutput::Send { to, address, packet });
            }
        }
    }

    /// When [`Membership::handle_timeout`] is due.
    pub fn next_deadline(&self) -> HolderTime {
        let update = if self.view.is_stale() {
            self.last_update.plus(UPDATE_LEAST)
        } else {
            HolderTime::NEVER
        };
        let push_pull = if self.left { HolderTime::NEVER } else { self.push_pull.next_deadline() };
        let timers = self.timers.next_deadline().min(self.buddies.next_deadline());
        timers.min(update).min(push_pull).min(self.rounds.next_deadline())
    }

    /// Makes itself known to a member whose identity came with a welcome.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are no identity; nothing is sent then.
    pub fn announce_to(&mut self, now: HolderTime, member: &[u8]) -> Result<(), CodecError> {
        let member = MemberIdentity::decode(member)?;
        if self.left {
            return Ok(());
        }
        self.has_announced = true;
        let outcome = self.foca.announce(member, &mut self.runtime);
        self.note(now, outcome);
        self.drain(now);
        Ok(())
    }

    /// The identity under which this node gossips now, for a welcome.
    pub fn encoded_identity(&self) -> Vec<u8> {
        self.foca.identity().encode()
    }

    /// Says goodbye. The library gossips it once; [`Membership::linger`] does so again.
    pub fn leave(&mut self, now: HolderTime) {
        self.codec.leave();
        let outcome = self.foca.leave_cluster(&mut self.runtime);
        self.left = true;
        self.note(now, outcome);
        self.drain(now);
    }

    /// Gossips once more what is still to be told.
    pub fn linger(&mut self, now: HolderTime) {
        let outcome = self.foca.gossip(&mut self.runtime);
        self.note(now, outcome);
        self.drain(now);
    }

    /// Whether somebody may know this node, or come to know it by what is on its way.
    pub fn may_be_known(&self) -> bool {
        self.alive_count() > 1 || self.has_announced
    }

    /// Whether anybody knows this node under its present name (mend 4).
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether nothing at all was received for ten probe periods, though others should be there.
    pub fn is_silent(&self, now: HolderTime) -> bool {
        self.connected && now.since(self.last_received) > self.timing.probe_period * 10
    }

    /// Whether somebody is at this address, as far as gossip knows.
    pub fn is_present(&self, address: SocketAddr) -> bool {
        let own = self.foca.identity().address;
        address == own
            || self.swim_members.at(address).is_some_and(|it| it.state() != foca::State::Down)
    }

    /// Lets gossip spread who is Goose.
    pub fn broadcast_goose(&mut self, now: HolderTime, goose: &Goose) {
        // An older term than one heard already is not spread; that is no error.
        let _ = self.foca.add_broadcast(&Broadcast::Goose(goose.clone()).encode());
        self.hear(now);
        // What this node says of itself is no news to it.
        self.outputs
            .retain(|output| !matches!(output, MembershipOutput::GooseHint(hint) if hint == goose));
    }

    /// What to do next, in order.
    pub fn poll_output(&mut self) -> Option<MembershipOutput> {
        self.outputs.pop_front()
    }

    /// Everybody, this node included, lowest id first.
    pub fn members(&self) -> Arc<Vec<MemberView>> {
        self.view.listed()
    }

    /// How many are not down, this node included.
    pub fn alive_count(&self) -> usize {
        self.view.others() + 1
    }

    /// How often this process has had to take a new name.
    pub fn renewals(&self) -> u32 {
        self.foca.identity().renewal
    }

    /// The highest nodes that may lead and are not down, highest first.
    pub fn top_eligible(&self, count: usize) -> Vec<(Process, SocketAddr)> {
        self.view.top_eligible(count)
    }

    /// How many nodes that may lead are higher than this one.
    pub fn rank_among_eligible(&self) -> usize {
        self.view.rank()
    }

    /// Where a node is, and which process it is now, according to gossip.
    pub fn address_of(&self, id: NodeId) -> Option<(Process, SocketAddr)> {
        self.view.address_of(id)
    }

    /// Up to `count` others that are not gone, at random if there are more; if all are gone, of
    /// those.
    pub fn sample(&mut self, count: usize) -> Vec<(Process, SocketAddr)> {
        let others = self.view.others();
        if others == 0 {
            // Whoever is alone asks those that it holds for dead: it may be mistaken.
            let absent: Vec<_> = self.view.absent().collect();
            let start =
                if absent.is_empty() { 0 } else { self.random.random_range(0..absent.len()) };
            let around = absent.len().min(count);
            return absent.iter().cycle().skip(start).take(around).copied().collect();
        }
        let start = if others <= count { 0 } else { self.random.random_range(0..others) };
        self.view.others_from(start).take(count).collect()
    }

    fn note(&mut self, now: HolderTime, outcome: Result<(), foca::Error>) {
        if let Err(error) = outcome {
            self.complain(now, error.to_string());
        }
    }

    fn complain(&mut self, now: HolderTime, error: String) {
        if now >= self.next_error {
            self.next_error = now.plus(ERROR_INTERVAL);
            self.outputs.push_back(MembershipOutput::Error(error));
        }
    }

    /// Every table whose entries come from others, with its bound.
    pub fn tables(&self) -> Vec<TableSize> {
        let known = self.view.known();
        vec![
            TableSize { name: "members", size: known, size_max: MEMBERS_MAX },
            TableSize {
                name: "forgotten",
                size: self.tombstones.len(),
                size_max: broadcast::TOMBSTONES_MAX,
            },
            TableSize { name: "timers", size: self.timers.len(), size_max: TIMERS_MAX },
        ]
    }

    /// Takes over what the library left in its runtime.
    fn drain(&mut self, now: HolderTime) {
        while let Some((to, packet)) = self.runtime.to_send() {
            if !self.notices.permit(to.process.id, &packet, now) {
                continue;
            }
            self.outputs.push_back(MembershipOutput::Send {
                to: to.process,
                address: to.address,
                packet: packet.to_vec(),
            });
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            if let Timer::ChangeSuspectToDown { member_id, incarnation, .. } = &timer {
                self.buddies.plan(*member_id, *incarnation, now, after);
            }
            self.timers.insert(now.plus(after), timer);
        }
        for member in self.codec.take_written() {
            self.learn(&member);
        }
        let busy = self.foca.updates_backlog() > 0 || self.foca.custom_broadcast_backlog() > 0;
        if let Some(timer) = self.parked.take_if(|_| busy) {
            self.timers.insert(now, timer);
        }
        while let Some(notification) = self.runtime.to_notify() {
            self.notified(now, notification);
        }
        self.hear(now);
        self.update_view(now);
    }

    fn hear(&mut self, now: HolderTime) {
        while let Ok(news) = self.heard.try_recv() {
            match news {
                Broadcast::Goose(goose) => {
                    self.outputs.push_back(MembershipOutput::GooseHint(goose))
                }
                Broadcast::Forgotten(tombstone) => self.lay_to_rest(now, tombstone),
            }
        }
    }

    fn notified(&mut self, now: HolderTime, notification: OwnedNotification<MemberIdentity>) {
        match notification {
            OwnedNotification::MemberUp(_) => {}
            OwnedNotification::MemberDown(member) => {
                self.outputs.push_back(MembershipOutput::Departed(member.process));
                self.remove_if_forgotten(now, member);
            }
            OwnedNotification::Rename(before, after) => {
                if before.process != after.process {
                    self.outputs.push_back(MembershipOutput::Departed(before.process));
                }
            }
            OwnedNotification::Active => {
                self.connected = true;
                self.push_pull.begin(now, self.random.random_range(0.0..1.0));
                self.outputs.push_back(MembershipOutput::Connected);
            }
            OwnedNotification::Idle | OwnedNotification::Defunct | OwnedNotification::Rejoin(_) => {
                self.connected = false;
                self.push_pull.end();
                self.outputs.push_back(MembershipOutput::Disconnected);
            }
        }
    }

    fn update_view(&mut self, now: HolderTime) {
        let large = self.foca.num_members() > SMALL;
        if !self.view.is_stale() || large && now < self.last_update.plus(UPDATE_LEAST) {
            return;
        }
        self.last_update = now;
        let changes = self.view.update(&self.swim_members);
        if !changes.is_empty() {
            self.plan_round(now);
        }
        for change in changes {
            let members_by_id::Change { id, address, state } = change;
            self.outputs.push_back(match state {
                Some(state) => MembershipOutput::MemberChanged { id, address, state },
                None => MembershipOutput::MemberForgotten { id, address },
            });
        }
        self.rescale();
    }

    /// The time to defend oneself grows with the cluster, by its order of magnitude.
    fn rescale(&mut self) {
        let members = self.foca.num_members();
        let scale = members.max(1).ilog10();
        if scale != self.scaled_for {
            self.scaled_for = scale;
            // Only numbers change that the library allows to change while it runs.
            let _ = self.foca.set_config(parameters::parameters(&self.timing, members));
        }
    }
}

/// The library, knowing nobody.
fn library(
    identity: MemberIdentity,
    timing: &Timing,
    members: usize,
    (codec, hear, random): (&GossipCodec, &Sender<Broadcast>, &mut ChaCha8Rng),
) -> Library {
    let listener = Listener::new(hear.clone());
    let parameters = parameters::parameters(timing, members);
    let random = ChaCha8Rng::from_rng(random);
    Foca::with_custom_broadcast(identity, parameters, random, codec.clone(), listener)
}
