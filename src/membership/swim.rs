//! SWIM, as the foca library does it, with what it needs from us around it: an identity, a codec,
//! room for what it wants done, and a listener for the broadcasts that it carries.
//!
//! ```text
//!   packets, timers ──▶ foca ──▶ packets, timers, notifications ──┐
//!                        │ codec: every update that it applies ───┼──▶ poll(): one after another
//!                        └ listener: every broadcast that is new ─┘
//! ```
//!
//! Assumption: the caller of anything here that changes something polls until nothing is left.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, Member, OwnedNotification, Timer};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::broadcast::{Broadcast, Listener};
use super::codec::{self, GossipCodec};
use super::identity::MemberIdentity;
use super::parameters::parameters;
use crate::vocabulary::identity::Process;
use crate::vocabulary::timing::Timing;

type Library = Foca<MemberIdentity, GossipCodec, ChaCha8Rng, Listener>;
type Outcome = Result<(), foca::Error>;

/// What came of a change.
#[derive(Debug)]
pub(super) enum SwimOutput {
    /// Send this packet.
    Send(MemberIdentity, Vec<u8>),
    /// Hand this timer to [`Swim::handle_timer`] after so long.
    Schedule(Duration, Timer<MemberIdentity>),
    /// SWIM holds this of a member from here on.
    Holds(Member<MemberIdentity>),
    /// Its notifications, which leave suspicions out.
    Notification(OwnedNotification<MemberIdentity>),
    /// Another node broadcast something new.
    Heard(Broadcast),
}

/// See the module.
pub(super) struct Swim {
    foca: Library,
    runtime: AccumulatingRuntime<MemberIdentity>,
    codec: GossipCodec,
    heard: Receiver<Broadcast>,
    hear: Sender<Broadcast>,
    /// The timer of gossip, while there is nothing to gossip: an idle node sleeps.
    parked: Option<Timer<MemberIdentity>>,
    /// The order of magnitude of the cluster for which the numbers are set.
    magnitude: u32,
    is_connected: bool,
    has_announced: bool,
    has_left: bool,
}

impl Swim {
    /// A member that knows no other yet.
    pub(super) fn new(own: MemberIdentity, timing: &Timing, random: &mut ChaCha8Rng) -> Self {
        let (hear, heard) = channel();
        let codec = GossipCodec::new(own);
        Self {
            foca: library(own, timing, 1, (&codec, &hear, random)),
            runtime: AccumulatingRuntime::new(),
            codec,
            heard,
            hear,
            parked: None,
            magnitude: 1,
            is_connected: false,
            has_announced: false,
            has_left: false,
        }
    }

    /// Begins anew under the same name, with these members and with no timer. It does not gossip
    /// them.
    pub(super) fn start_anew(
        &mut self,
        timing: &Timing,
        members: Vec<Member<MemberIdentity>>,
        random: &mut ChaCha8Rng,
    ) -> Outcome {
        let material = (&self.codec, &self.hear, random);
        self.foca = library(*self.own(), timing, members.len(), material);
        self.runtime = AccumulatingRuntime::new();
        self.parked = None;
        self.is_connected = false;
        let outcome = self.foca.apply_many(members.into_iter(), false, &mut self.runtime);
        while self.codec.pop_written().is_some() {}
        outcome
    }

    /// The next thing that came of a change: packets first, then timers, and so on.
    pub(super) fn poll(&mut self) -> Option<SwimOutput> {
        if let Some((to, packet)) = self.runtime.to_send() {
            return Some(SwimOutput::Send(to, packet.to_vec()));
        }
        if let Some((after, timer)) = self.runtime.to_schedule() {
            return Some(SwimOutput::Schedule(after, timer));
        }
        if let Some(member) = self.codec.pop_written() {
            return Some(SwimOutput::Holds(member));
        }
        let is_idle = self.is_idle();
        if let Some(timer) = self.parked.take_if(|_| !is_idle) {
            return Some(SwimOutput::Schedule(Duration::ZERO, timer));
        }
        if let Some(notification) = self.runtime.to_notify() {
            match notification {
                OwnedNotification::Active => self.is_connected = true,
                OwnedNotification::Idle
                | OwnedNotification::Defunct
                | OwnedNotification::Rejoin(_) => self.is_connected = false,
                _ => {}
            }
            return Some(SwimOutput::Notification(notification));
        }
        self.heard.try_recv().ok().map(SwimOutput::Heard)
    }

    /// A packet arrived from this process of another node.
    pub(super) fn handle_data(&mut self, sender: Process, packet: &[u8]) -> Outcome {
        self.codec.expect(sender, *self.foca.identity());
        self.foca.handle_data(packet, &mut self.runtime)
    }

    /// One of its timers is due.
    pub(super) fn handle_timer(&mut self, timer: Timer<MemberIdentity>) -> Outcome {
        if matches!(timer, Timer::PeriodicGossip(_)) && self.is_idle() {
            self.parked = Some(timer);
            return Ok(());
        }
        self.foca.handle_timer(timer, &mut self.runtime)
    }

    /// Takes over these members. If it `spreads` them, it gossips them and says what it holds;
    /// otherwise it does neither.
    pub(super) fn apply(&mut self, members: &[Member<MemberIdentity>], spreads: bool) -> Outcome {
        self.foca.apply_many(members.iter().cloned(), spreads, &mut self.runtime)
    }

    /// Forgets a member that is down. False: it is not down under this name, and stays.
    pub(super) fn remove(&mut self, member: MemberIdentity) -> bool {
        // There is no way for this to fail.
        let _ = self.foca.handle_timer(Timer::RemoveDown(member), &mut self.runtime);
        !self.held().any(|held| *held.id() == member)
    }

    /// Makes itself known to a member.
    pub(super) fn announce(&mut self, member: MemberIdentity) -> Outcome {
        self.has_announced = true;
        self.foca.announce(member, &mut self.runtime)
    }

    /// Broadcasts this, if it is new.
    pub(super) fn spread(&mut self, broadcast: &Broadcast) {
        // It is well-formed; an older term than one heard already is not spread, which is no error.
        let _ = self.foca.add_broadcast(&broadcast.encode());
    }

    /// Gossips at once what is still to be told.
    pub(super) fn gossip(&mut self) -> Outcome {
        self.foca.gossip(&mut self.runtime)
    }

    /// Takes this name in place of its own, and gossips it.
    pub(super) fn rename(&mut self, own: MemberIdentity) -> Outcome {
        self.is_connected = false;
        self.foca.change_identity(own, &mut self.runtime)
    }

    /// Says goodbye, once.
    pub(super) fn leave(&mut self) -> Outcome {
        self.codec.leave();
        self.has_left = true;
        self.foca.leave_cluster(&mut self.runtime)
    }

    /// The time to defend oneself grows with the cluster, by its order of magnitude.
    pub(super) fn rescale(&mut self, timing: &Timing) {
        let alive = self.alive();
        let magnitude = alive.max(1).ilog10();
        if magnitude != self.magnitude {
            self.magnitude = magnitude;
            // Only numbers change that the library allows to change while it runs.
            let _ = self.foca.set_config(parameters(timing, alive));
        }
    }

    /// The identity under which this node gossips now.
    pub(super) fn own(&self) -> &MemberIdentity {
        self.foca.identity()
    }

    /// Everybody that is held, dead ones included, in an order that changes.
    pub(super) fn held(&self) -> impl Iterator<Item = &Member<MemberIdentity>> {
        self.foca.iter_membership_state()
    }

    /// How many others are not down.
    pub(super) fn alive(&self) -> usize {
        self.foca.num_members()
    }

    /// Whether this packet is a ping of a member and there is no news of members.
    pub(super) fn is_brief_ping(&self, packet: &[u8]) -> bool {
        let ping = matches!(codec::message_of(packet), Some(foca::Message::Ping(_)));
        ping && self.foca.updates_backlog() == 0
    }

    /// Whether another node knows this one under its present name (mend 4).
    pub(super) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether it ever made itself known to another node.
    pub(super) fn has_announced(&self) -> bool {
        self.has_announced
    }

    /// Whether it has said goodbye.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    fn is_idle(&self) -> bool {
        self.foca.updates_backlog() == 0 && self.foca.custom_broadcast_backlog() == 0
    }
}

/// The library, knowing no other node.
fn library(
    own: MemberIdentity,
    timing: &Timing,
    members: usize,
    (codec, hear, random): (&GossipCodec, &Sender<Broadcast>, &mut ChaCha8Rng),
) -> Library {
    let listener = Listener::new(hear.clone());
    let random = ChaCha8Rng::from_rng(random);
    Foca::with_custom_broadcast(own, parameters(timing, members), random, codec.clone(), listener)
}
