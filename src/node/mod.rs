//! One node, whole, without any input or output: where membership and election meet.
//!
//! The run loop, for whoever drives it: hand in one input with the clocks read at its
//! arrival, then drain [`NodeCore::poll_output`] until it is empty, then ask
//! [`NodeCore::poll_timeout`] how long to sleep at most. Inputs never fail: what is wrong
//! with them is counted or told as an event.
//!
//! ```text
//!              handle_datagram            ┌────────────┐
//!   socket ──▶ (admission: envelope) ───▶ │ membership │──┐
//!                        │                └────────────┘  │ sight: who is around
//!                        │                ┌────────────┐◀─┘
//!                        └──────────────▶ │  election  │──▶ outputs: transmit, store, event
//!                                         └────────────┘
//! ```
//!
//! Membership and election do not know each other. What passes between them passes here:
//! membership's hints of who is around, and the voters' addresses.
//!
//! This file puts things in order and decides nothing. Each part keeps its own state. It returns
//! what is to be done; or, where several parts are needed, a struct borrows exactly what it may
//! touch: `Exchange`, `Storing`, `Orders`.

mod addresses;
mod admission;
mod automation;
mod awaited;
mod cluster;
mod descent;
mod drain;
mod drained;
mod electorate;
mod exchange;
mod health;
mod join;
mod last_will;
mod orders;
mod outputs;
mod pace;
mod parting;
mod pause;
mod persistence;
mod proof;
pub mod rescue;
mod sealing;
mod send;
pub mod setup;
mod stall;
mod start;
mod starts;
mod step_down;
mod views;

use std::net::SocketAddr;
use std::time::Duration;

use crate::election::Election;
use crate::election::outbox::Outgoing;
pub use crate::membership::ForgetError;
use crate::membership::Membership;
use crate::node::setup::Setup;
use crate::vocabulary::event::Event;
use crate::vocabulary::health::Complainant;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::{HolderTime, Now, VoterTime};
use crate::vocabulary::timing::drift_between;
use crate::vocabulary::work::WorkRefused;
use crate::wire::record::Disk;
use crate::wire::seal::KeyRing;
use addresses::Addresses;
use admission::Admission;
use automation::Automation;
use awaited::Awaited;
use cluster::Cluster;
use drain::Drain;
use drained::DrainOrder;
pub use drained::{DrainAnswer, DrainError, Drained};
use electorate::Electorate;
pub use electorate::{VoterOrder, VoterOrderError, VotersOrdered};
use exchange::Exchange;
use health::Health;
use join::Joining;
use last_will::LastWill;
pub use last_will::LastWillDatagram;
use orders::{Leaving, Orders, Rest};
pub use outputs::Output;
use outputs::Outputs;
use pace::Pace;
use parting::Parting;
use pause::Pause;
pub use pause::{NotLeading, Paused};
use persistence::{Persistence, Storing};
use proof::Proofs;
use sealing::Sealing;
use stall::Stall;
pub use start::{StartError, check_record};
use starts::Starts;
pub use step_down::{StepDownError, SteppedDown};

/// A suspend is noticed when the holder clock gains this much on the voter clock, besides what two
/// clocks may drift apart in the time between two inputs.
const SUSPEND_NOTICED: Duration = Duration::from_millis(5);
/// One input leads to no more rounds than this; what is left is done at the next.
const ROUNDS_MAX: usize = 64;

/// One node's whole state.
pub struct NodeCore {
    setup: Setup,
    me: Process,
    cluster: Cluster,
    awaited: Awaited,
    starts: Starts,
    /// None until the voter set is known.
    election: Option<Election>,
    membership: Membership,
    joining: Joining,
    addresses: Addresses,
    persistence: Persistence,
    admission: Admission,
    sealing: Sealing,
    proofs: Proofs,
    outputs: Outputs,
    started: HolderTime,
    clock_offset: Option<(u64, VoterTime)>,
    stall: Stall,
    pace: Pace,
    drain: Drain,
    drain_order: DrainOrder,
    health: Health,
    pause: Pause,
    automation: Automation,
    parting: Parting,
    leaving: Option<Leaving>,
    last_will: LastWill,
}

impl NodeCore {
    /// A node on what `disk` remembers. It says nothing until its first record is stored.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub fn new(setup: Setup, disk: Disk, now: Now) -> Result<Self, StartError> {
        let mut node = start::start(setup, disk, now)?;
        node.settle(now);
        Ok(node)
    }

    /// Handles one datagram. `now` is read after it was received.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        self.enter(now);
        self.outputs.count().datagrams_received += 1;
        self.exchange().take_in(now, from, datagram);
        self.settle(now);
        self.proofs.part();
    }

    /// Applies everything that is due at `now`; harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        self.enter(now);
        self.storing().look(now.holder);
        if self.persistence.is_started() {
            self.membership.handle_timeout(now.holder);
            if let Some(election) = &mut self.election {
                election.handle_timeout(now);
            }
            self.exchange().seek(now);
            self.electorate().automate(now);
            let election = self.election.as_ref();
            if let Some(warning) = election.and_then(|it| self.awaited.complaint(it, now.holder)) {
                self.outputs.note_change();
                self.outputs.warn(warning);
            }
            let (own, timing) = (self.me.id, &self.setup.timing);
            let slow = |it| self.pace.complaint(own, it, timing, now.holder);
            if let Some(warning) = election.and_then(slow) {
                self.outputs.warn(warning);
            }
            if self.leaving.as_mut().is_some_and(|leaving| leaving.turns_goodbye(now.holder)) {
                self.membership.linger(now.holder);
            }
        }
        self.settle(now);
    }

    /// A datagram could not be sent. It is counted; the protocol sends again by itself.
    pub fn handle_send_failure(&mut self) {
        self.outputs.count().send_failures += 1;
    }

    /// The addresses of the names that [`Output::Resolve`] asked for, by name; none of a name that
    /// could not be looked up.
    pub fn handle_resolved(&mut self, now: Now, found: &[(String, Vec<SocketAddr>)]) {
        self.enter(now);
        for (name, addresses) in found {
            self.addresses.resolved(name, addresses);
        }
        if self.persistence.is_started() {
            let addresses: Vec<SocketAddr> =
                found.iter().flat_map(|(_, addresses)| addresses).copied().collect();
            self.joining.resolved(&addresses);
            self.exchange().seek(now);
        }
        self.settle(now);
    }

    /// The store answers: the record of `ticket` is durable, or why it is not.
    pub fn handle_stored(&mut self, now: Now, ticket: u64, outcome: Result<(), String>) {
        self.enter(now);
        self.storing().answered(now, ticket, outcome);
        self.settle(now);
    }

    /// Nothing can be made durable any more. What was granted stands until it runs out, and
    /// nothing is granted again.
    pub fn handle_store_lost(&mut self, now: Now) {
        self.enter(now);
        self.storing().lose(now);
        self.settle(now);
    }

    /// Makes the cluster forget a member that is down or has left. One that votes stays a voter:
    /// that is configuration. Whoever comes back as a new process is welcome at once.
    ///
    /// # Errors
    /// As [`ForgetError`] says; nothing changed then.
    pub fn forget(&mut self, now: Now, id: NodeId) -> Result<(), ForgetError> {
        self.enter(now);
        let outcome = self.membership.forget(now.holder, id);
        self.settle(now);
        outcome
    }

    /// Somebody begins to work under `term`, until [`NodeCore::end_work`]. Until then the lease
    /// is not given away: [`Output::EndWork`] asks for the end. It may still lapse, so whoever
    /// works watches its deadline, too.
    ///
    /// # Errors
    /// [`WorkRefused`] unless the node leads under exactly that term now and nobody has asked to
    /// end it; nothing has begun then.
    pub fn begin_work(&mut self, now: Now, term: u64) -> Result<(), WorkRefused> {
        self.enter(now);
        let begun = match &mut self.election {
            Some(election) => election.begin_work(now, term),
            None => Err(WorkRefused::NotLeading { term }),
        };
        self.settle(now);
        begun
    }

    /// Work that [`NodeCore::begin_work`] let begin has ended for certain.
    ///
    /// # Panics
    /// If more work ends than has begun.
    pub fn end_work(&mut self, now: Now) {
        self.enter(now);
        if let Some(election) = &mut self.election {
            election.end_work(now);
        }
        self.settle(now);
    }

    /// Steps down, hands over to `to` or to the best standby known, and holds back from
    /// contending for `hold` (default: four leases). While others may lead and none of them
    /// could at once, it does so only if it is not to hold back at all. Work under the lease is
    /// asked to end first, and waited for while the lease is renewed.
    ///
    /// The answer comes as [`Output::SteppedDown`], at once if nobody works.
    ///
    /// # Errors
    /// As [`StepDownError`] says; nothing changed then, and no work was asked to end.
    pub fn step_down(
        &mut self,
        now: Now,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<(), StepDownError> {
        self.enter(now);
        let outcome = self.orders().step_down(now, to, hold);
        self.settle(now);
        outcome
    }

    /// From here on the node is drained, or not. A drained node votes, but does not contend and
    /// takes no hand-over, also after a restart. One that leads hands over as by
    /// [`NodeCore::step_down`]. An end of that ends any hold, too.
    ///
    /// The answer comes as [`Output::Drained`], once it is durable and the term is over.
    ///
    /// # Errors
    /// [`DrainError::NoStandby`]; nothing changed then.
    pub fn drain(&mut self, now: Now, is_drained: bool) -> Result<(), DrainError> {
        self.enter(now);
        let outcome = self.orders().drain(now, is_drained);
        self.settle(now);
        outcome
    }

    /// Somebody finds the node not healthy, and says why; none: does so no more. One that is not
    /// healthy votes, but does not contend and takes no hand-over; one that leads hands over once
    /// the work under its lease has ended. A restart forgets it.
    pub fn set_health(&mut self, now: Now, by: Complainant, complaint: Option<&str>) {
        self.enter(now);
        self.orders().judge(now, by, complaint);
        self.settle(now);
    }

    /// As Goose, this node makes way for nobody by choice for so long; none: it does again. That
    /// ends with the term. What is under way already goes on.
    ///
    /// # Errors
    /// [`NotLeading`]; nothing changed then.
    pub fn pause(&mut self, now: Now, lasts: Option<Duration>) -> Result<Paused, NotLeading> {
        self.enter(now);
        let outcome = self.orders().pause(now, lasts);
        self.settle(now);
        outcome
    }

    /// As Goose, leads to other voters, one at a time, while it leads: add before remove. An order
    /// that is given again says how far it has come.
    ///
    /// # Errors
    /// As [`VoterOrderError`] says; nothing changed then.
    pub fn change_voters(
        &mut self,
        now: Now,
        order: &VoterOrder,
    ) -> Result<VotersOrdered, VoterOrderError> {
        self.enter(now);
        let outcome = self.electorate().order(now, order);
        self.outputs.note_change();
        self.settle(now);
        outcome
    }

    /// Whoever led under `term` has given it up: it ends as by [`NodeCore::step_down`], also if
    /// nobody could take over, and nothing begins under it any more. If the node does not lead
    /// under it, nothing happens.
    pub fn abdicate(&mut self, now: Now, term: u64) {
        self.enter(now);
        self.orders().abdicate(now, term);
        self.settle(now);
    }

    /// Steps down if it is Goose, says goodbye, and is gone once [`NodeCore::has_left`]. Work is
    /// asked to end first, and waited for. If it has not ended by the limit, the node leaves
    /// without releasing anything, so that the lease runs out at the voters.
    pub fn leave(&mut self, now: Now) {
        self.enter(now);
        let rest = self.orders().leave(now);
        self.finish(now, rest);
        self.settle(now);
    }

    /// Whether everything was said and the process may end.
    pub fn has_left(&self, now: Now) -> bool {
        let (unsaid, alone) = (self.is_saying_farewell(), !self.membership.may_be_known());
        self.leaving.as_ref().is_some_and(|leaving| leaving.is_over(now.holder, unsaid, alone))
    }

    /// From here on these seeds are asked, host names or addresses with ports.
    pub fn replace_seeds(&mut self, seeds: &[String]) {
        self.joining.replace_seeds(seeds);
    }

    /// From here on the first of `keys` seals and all of them open; those of before are
    /// forgotten. Nothing else changes: no term, no grant, no member.
    pub fn rotate_keys(&mut self, keys: KeyRing) {
        self.sealing.rotate(keys);
        self.last_will.revoke();
    }

    /// The next thing to be done, in order; none if all is.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// The longest time until [`NodeCore::handle_timeout`] is to be called; zero if it is due.
    /// None: nothing is scheduled. The clock decides what is due, not the sleep.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let election = self.election.as_ref();
        let complaint = election.and_then(|election| self.awaited.next(election));
        let election = election.and_then(|election| election.poll_timeout(now));
        let membership = Some(self.membership.next_deadline());
        let is_leaving = self.leaving.is_some();
        let is_seeking = join::is_seeking(&self.cluster, &self.membership, is_leaving);
        let others = [
            membership.filter(|at| *at != HolderTime::NEVER),
            self.joining.next(is_seeking),
            self.leaving.as_ref().map(Leaving::next),
            self.parting.next(now.holder, &self.setup.timing),
            self.drain.deadline(),
            self.automation.next(),
            self.health.next(),
            complaint,
        ];
        let is_started = self.persistence.is_started();
        let others = others.into_iter().flatten().filter(|_| is_started);
        let all = others.chain(self.persistence.next()).map(|at| at.since(now.holder));
        all.chain(election.filter(|_| is_started)).min()
    }

    /// The last will, whenever it differs from the one before: voters came, moved or restarted.
    /// An empty one means that nothing is left to release: the node has left by itself.
    pub fn poll_last_will(&mut self) -> Option<Vec<LastWillDatagram>> {
        if let Some(leaving) = &self.leaving {
            // What was not released, this process still holds: whoever is certain of its death
            // says so.
            let nothing_left = leaving.releases() && !self.is_saying_farewell();
            return if nothing_left { self.last_will.withdraw() } else { None };
        }
        let voters = self.exchange().sending(None).other_voters();
        let turns = self.last_will.turns(&voters);
        turns.then(|| last_will::write(&voters, &mut self.exchange().sending(None)))
    }

    /// Comes before every input: notices a stall, and a suspend, which voids what was granted.
    fn enter(&mut self, now: Now) {
        self.stall.enter(now.holder, self.setup.timing.lease);
        let offset = now.holder.0.wrapping_sub(now.voter.0);
        if let Some((last, at)) = self.clock_offset
            && let Ok(grown) = u64::try_from(offset.wrapping_sub(last).cast_signed())
            && let Some(election) = &mut self.election
        {
            let most = SUSPEND_NOTICED + drift_between(now.voter.since(at));
            if Duration::from_nanos(grown) > most {
                election.handle_suspend(now);
            }
        }
        self.clock_offset = Some((offset, now.voter));
    }

    /// Comes after every input: lets everything flow until nothing moves any more.
    fn settle(&mut self, now: Now) {
        if self.leaving.is_none() && self.joining.misled().is_some() {
            let rest = self.orders().leave(now);
            self.finish(now, rest);
        }
        if let Some(rest) = self.orders().part_at_last(now) {
            self.finish(now, rest);
        }
        for _ in 0..ROUNDS_MAX {
            let moved = self.exchange().drain_membership(now);
            let moved = self.orders().look_around(now) | moved;
            let moved = self.drain_election(now) | moved;
            self.note_lineage();
            let moved = self.storing().keep(now) | moved;
            let moved = self.drain_work(now) | moved;
            if !moved {
                break;
            }
        }
        if let Some(answer) = self.drain_order.answer(self.persistence.drain_durability()) {
            self.outputs.push(Output::Drained(answer));
        }
    }

    fn note_lineage(&mut self) {
        let Some(election) = &self.election else { return };
        if election.lineage() != self.persistence.lineage() {
            self.persistence.note_lineage(election.lineage());
            self.outputs.note_change();
        }
    }

    fn drain_election(&mut self, now: Now) -> bool {
        let mut moved = false;
        while let Some(outgoing) = self.election.as_mut().and_then(Election::poll_outgoing) {
            moved = true;
            match outgoing {
                Outgoing::Send { to, message } => {
                    self.exchange().sending(None).send(now.holder, to, &message);
                }
                Outgoing::Persist => self.persistence.mark(),
                Outgoing::NewVote => self.persistence.disown_write(),
                Outgoing::PersistSoon => self.persistence.mark_soon(now.holder),
                Outgoing::MakeWay(to) => self.orders().make_way(now, to),
                Outgoing::Renewed(span) => {
                    let is_late = span > self.setup.timing.renew_interval;
                    let counters = self.outputs.count();
                    counters.renewals.observe(span);
                    counters.renewals_late += u64::from(is_late);
                }
                Outgoing::Event(Event::Warning(warning)) => {
                    if self.admission.lets_through(&warning, now.holder) {
                        self.outputs.note_change();
                        self.outputs.warn(warning);
                    }
                }
                Outgoing::Event(event) => {
                    let event = self.stall.explained(event, now.holder);
                    self.outputs.note_change();
                    if let Event::GooseChanged(Some(goose)) = &event {
                        if goose.process == self.me {
                            self.membership.broadcast_goose(goose);
                        }
                        self.exchange().seeking().notice(now.holder);
                    }
                    self.outputs.event(event);
                }
            }
        }
        moved
    }

    /// Does what is due of the order under way. Returns whether anything was.
    fn drain_work(&mut self, now: Now) -> bool {
        let (step, outlived) = self.orders().due(now);
        let moved = step.is_some() || outlived.is_some();
        if let Some(step) = step {
            let rest = self.orders().advance(now, step);
            self.finish(now, rest);
        }
        if let Some(end) = outlived {
            self.orders().tell_over(end);
        }
        moved
    }

    /// Does what an order leaves to do.
    fn finish(&mut self, now: Now, rest: Rest) {
        if rest.departs {
            self.drain_election(now);
            self.membership.leave(now.holder);
        }
        if let Some(answer) = rest.answer {
            self.outputs.push(answer);
        }
    }

    fn is_saying_farewell(&self) -> bool {
        self.election.as_ref().is_some_and(Election::is_saying_farewell)
    }

    fn exchange(&mut self) -> Exchange<'_> {
        Exchange {
            setup: &self.setup,
            is_leaving: self.leaving.is_some(),
            is_parting: self.parting.is_under_way(),
            me: &mut self.me,
            cluster: &mut self.cluster,
            starts: &mut self.starts,
            election: &mut self.election,
            membership: &mut self.membership,
            joining: &mut self.joining,
            addresses: &mut self.addresses,
            persistence: &mut self.persistence,
            admission: &mut self.admission,
            sealing: &mut self.sealing,
            proofs: &mut self.proofs,
            health: &self.health,
            outputs: &mut self.outputs,
        }
    }

    fn electorate(&mut self) -> Electorate<'_> {
        Electorate {
            membership: &self.membership,
            automation: &mut self.automation,
            pause: &self.pause,
            me: self.me.id,
            timing: &self.setup.timing,
            cluster: &self.cluster,
            election: &mut self.election,
        }
    }

    fn storing(&mut self) -> Storing<'_> {
        Storing {
            me: self.me,
            persistence: &mut self.persistence,
            election: self.election.as_mut(),
            outputs: &mut self.outputs,
        }
    }

    fn orders(&mut self) -> Orders<'_> {
        Orders {
            setup: &self.setup,
            membership: &mut self.membership,
            drain: &mut self.drain,
            drain_order: &mut self.drain_order,
            health: &mut self.health,
            persistence: &mut self.persistence,
            pause: &mut self.pause,
            parting: &mut self.parting,
            leaving: &mut self.leaving,
            election: &mut self.election,
            outputs: &mut self.outputs,
        }
    }
}
