//! Membership: who is probably alive, by SWIM gossip.
//!
//! SWIM (Das, Gupta, Motivala 2002) is foca's; this module gives it an identity, a codec, one
//! timer queue and a view by node id, and mends what it leaves broken (`mends.rs`). All it says
//! is a hint: the election works, only less well informed, whatever membership believes.
//!
//! Assumptions: packets were checked to come from a node of this cluster; time is the holder
//! clock; whoever drives it calls [`Membership::handle_timeout`] at
//! [`Membership::next_deadline`], for a timer that is never delivered stalls the library.

mod capacity;
mod codec;
pub mod identity;
mod mends;
mod parameters;
pub mod seeding;
mod timers;
mod view;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use foca::{AccumulatingRuntime, BroadcastHandler, Foca, Invalidates, OwnedNotification};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::vocabulary::codec::{self as wire, CodecError};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::message::Goose;
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;
use capacity::{CROWDED, MEMBERS_MAX};
use codec::GossipCodec;
use identity::MemberIdentity;
use timers::Timers;
use view::View;

/// Suspicions are not notified, so the view is refreshed this often.
const REFRESH: Duration = Duration::from_millis(500);
/// In a large cluster the view is rebuilt this often at most.
const REBUILD_LEAST: Duration = Duration::from_millis(100);
/// Up to this many members the view is rebuilt at every change.
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
    /// The opinion of a member changed.
    MemberChanged {
        /// Which node.
        id: NodeId,
        /// Where it is.
        address: SocketAddr,
        /// What is thought of it now.
        state: MemberState,
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

/// A term as gossip spreads it: a higher one makes a lower one pointless.
#[derive(Clone, Copy, Debug)]
struct Term(u64);

impl Invalidates for Term {
    fn invalidates(&self, other: &Self) -> bool {
        self.0 >= other.0
    }
}

/// Takes announcements of a Goose out of gossip and passes them on once.
#[derive(Debug)]
struct GooseListener {
    highest: Option<u64>,
    heard: Sender<Goose>,
}

impl BroadcastHandler<MemberIdentity> for GooseListener {
    type Key = Term;
    type Error = CodecError;

    fn receive_item(
        &mut self,
        data: &[u8],
        _sender: Option<&MemberIdentity>,
    ) -> Result<Option<Term>, CodecError> {
        let goose: Goose = wire::decode_whole(data)?;
        if self.highest.is_some_and(|highest| goose.term <= highest) {
            return Ok(None);
        }
        self.highest = Some(goose.term);
        let key = Term(goose.term);
        // The receiver lives as long as this handler does.
        let _ = self.heard.send(goose);
        Ok(Some(key))
    }
}

/// One node's membership.
pub struct Membership {
    foca: Foca<MemberIdentity, GossipCodec, ChaCha8Rng, GooseListener>,
    runtime: AccumulatingRuntime<MemberIdentity>,
    timers: Timers,
    timing: Timing,
    view: View,
    view_stale: bool,
    next_refresh: HolderTime,
    last_rebuild: HolderTime,
    connected: bool,
    notices: mends::Notices,
    refused: u64,
    last_received: HolderTime,
    next_error: HolderTime,
    scaled_for: u32,
    heard: Receiver<Goose>,
    random: ChaCha8Rng,
    outputs: VecDeque<MembershipOutput>,
}

impl Membership {
    /// A member that knows nobody yet.
    pub fn new(identity: MemberIdentity, timing: &Timing, entropy: [u8; 32]) -> Self {
        let (sender, heard) = channel();
        let listener = GooseListener { highest: None, heard: sender };
        let mut random = ChaCha8Rng::from_seed(entropy);
        let foca_random = ChaCha8Rng::from_rng(&mut random);
        let parameters = parameters::parameters(timing, 1);
        let foca =
            Foca::with_custom_broadcast(identity, parameters, foca_random, GossipCodec, listener);
        let mut view = View::default();
        view.rebuild(&identity, std::iter::empty());
        Self {
            foca,
            runtime: AccumulatingRuntime::new(),
            timers: Timers::default(),
            timing: timing.clone(),
            view,
            view_stale: false,
            next_refresh: HolderTime::NEVER,
            last_rebuild: HolderTime(0),
            connected: false,
            notices: mends::Notices::default(),
            refused: 0,
            last_received: HolderTime(0),
            next_error: HolderTime(0),
            scaled_for: 1,
            heard,
            random,
            outputs: VecDeque::new(),
        }
    }

    /// A gossip packet arrived.
    pub fn handle_gossip(&mut self, now: HolderTime, packet: &[u8]) {
        self.last_received = now;
        let known = self.foca.iter_membership_state().count();
        let admitted = capacity::admit(packet, known, |address| {
            self.foca.iter_membership_state().any(|member| member.id().address == address)
        });
        self.refused += admitted.refused;
        let Some(packet) = admitted.packet else { return };
        let outcome = self.foca.handle_data(&packet, &mut self.runtime);
        self.note(now, outcome);
        self.drain(now);
        self.forget_the_longest_dead(now);
    }

    /// Makes room, if it is scarce.
    fn forget_the_longest_dead(&mut self, now: HolderTime) {
        while self.foca.iter_membership_state().count() > CROWDED
            && let Some(removal) = self.timers.pop_removal()
        {
            let outcome = self.foca.handle_timer(removal, &mut self.runtime);
            self.note(now, outcome);
            self.view_stale = true;
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
        let header = wire::decode_front::<foca::Header<MemberIdentity>>(packet);
        header.is_ok_and(|(header, _)| header.message == foca::Message::Announce)
    }

    /// Delivers every timer that is due, in order.
    pub fn handle_timeout(&mut self, now: HolderTime) {
        while let Some(timer) = self.timers.pop_due(now) {
            let isolated = mends::is_isolated(
                // By node: a member that moved may be in the library's list twice.
                self.view.others().len(),
                self.last_received,
                self.timing.probe_period,
                now,
            );
            if mends::permits(&timer, self.foca.iter_membership_state(), isolated) {
                let outcome = self.foca.handle_timer(timer, &mut self.runtime);
                self.note(now, outcome);
            }
            self.drain(now);
        }
        if now >= self.next_refresh {
            self.view_stale = true;
            self.next_refresh = now.plus(REFRESH);
        }
        self.update_view(now);
    }

    /// When [`Membership::handle_timeout`] is due.
    pub fn next_deadline(&self) -> HolderTime {
        let rebuild =
            if self.view_stale { self.last_rebuild.plus(REBUILD_LEAST) } else { HolderTime::NEVER };
        self.timers.next_deadline().min(self.next_refresh).min(rebuild)
    }

    /// Makes itself known to a member whose identity came with a welcome.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are no identity; nothing is sent then.
    pub fn announce_to(&mut self, now: HolderTime, member: &[u8]) -> Result<(), CodecError> {
        let member = MemberIdentity::decode(member)?;
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
        let outcome = self.foca.leave_cluster(&mut self.runtime);
        self.note(now, outcome);
        self.drain(now);
    }

    /// Gossips once more what is still to be told.
    pub fn linger(&mut self, now: HolderTime) {
        let outcome = self.foca.gossip(&mut self.runtime);
        self.note(now, outcome);
        self.drain(now);
    }

    /// Whether anybody knows this node under its present name (mend 4).
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether nothing at all was received for ten probe periods, though others should be there.
    pub fn is_silent(&self, now: HolderTime) -> bool {
        self.connected && now.since(self.last_received) > self.timing.probe_period * 10
    }

    /// Lets gossip spread who is Goose.
    pub fn broadcast_goose(&mut self, goose: &Goose) {
        let mut bytes = Vec::new();
        if wire::encode_into(goose, &mut bytes).is_ok() {
            // An older term than one heard already is not spread; that is no error.
            let _ = self.foca.add_broadcast(&bytes);
        }
        self.hear();
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
        self.view.others().len() + 1
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

    /// Up to `count` others that are not down, at random if there are more.
    pub fn sample(&mut self, count: usize) -> Vec<(Process, SocketAddr)> {
        let others = self.view.others();
        if others.len() <= count {
            return others.to_vec();
        }
        let start = self.random.random_range(0..others.len());
        others.iter().cycle().skip(start).take(count).copied().collect()
    }

    fn note(&mut self, now: HolderTime, outcome: Result<(), foca::Error>) {
        if let Err(error) = outcome
            && now >= self.next_error
        {
            self.next_error = now.plus(ERROR_INTERVAL);
            self.outputs.push_back(MembershipOutput::Error(error.to_string()));
        }
    }

    /// Every table whose entries come from others, with its bound.
    pub fn tables(&self) -> Vec<TableSize> {
        let known = self.foca.iter_membership_state().count();
        vec![
            TableSize { name: "members", size: known, size_max: MEMBERS_MAX },
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
            self.timers.insert(now.plus(after), timer);
        }
        while let Some(notification) = self.runtime.to_notify() {
            self.notified(now, notification);
        }
        self.hear();
        self.update_view(now);
    }

    fn hear(&mut self) {
        while let Ok(goose) = self.heard.try_recv() {
            self.outputs.push_back(MembershipOutput::GooseHint(goose));
        }
    }

    fn notified(&mut self, now: HolderTime, notification: OwnedNotification<MemberIdentity>) {
        self.view_stale = true;
        match notification {
            OwnedNotification::MemberUp(_) => {}
            OwnedNotification::MemberDown(member) => {
                self.outputs.push_back(MembershipOutput::Departed(member.process));
            }
            OwnedNotification::Rename(before, after) => {
                if before.process != after.process {
                    self.outputs.push_back(MembershipOutput::Departed(before.process));
                }
            }
            OwnedNotification::Active => {
                self.connected = true;
                self.next_refresh = now.plus(REFRESH);
                self.outputs.push_back(MembershipOutput::Connected);
            }
            OwnedNotification::Idle | OwnedNotification::Defunct | OwnedNotification::Rejoin(_) => {
                self.connected = false;
                self.outputs.push_back(MembershipOutput::Disconnected);
            }
        }
    }

    fn update_view(&mut self, now: HolderTime) {
        let large = self.foca.num_members() > SMALL;
        if !self.view_stale || large && now < self.last_rebuild.plus(REBUILD_LEAST) {
            return;
        }
        self.view_stale = false;
        self.last_rebuild = now;
        let own = *self.foca.identity();
        for change in self.view.rebuild(&own, self.foca.iter_membership_state()) {
            let view::Change { id, address, state } = change;
            self.outputs.push_back(MembershipOutput::MemberChanged { id, address, state });
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
