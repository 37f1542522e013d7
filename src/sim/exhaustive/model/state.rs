//! The state of the model, and how each step changes it.
//!
//! Coarse steps: one node does something, and all that follows happens at once over the links
//! that are up in that moment. A story of a founding, a wiped disk and two elections is some sixty
//! messages, too many to go through in every order. As bursts it is ten steps: in each the checker
//! chooses whose timer comes and which of that node's links carry messages, each direction for
//! itself. What meets a link that is down is lost or, within [`Bounds::holds`], stays under way to
//! arrive at any later step. The others' messages to each other are lost meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::Bounds;
use super::action::{Action, Links};
use super::breaks::Break;
use super::broken::Broken;
use super::judge::Judge;
use super::node::{Node, sight};
use crate::election::outbox::Outgoing;
use crate::sim::exhaustive::electorate::{self, Arrival};
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp, VoterSet};
use crate::vocabulary::event::{DemotionReason, Event};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{Now, nanoseconds};
use crate::vocabulary::voter_change::VoterGoal;
use crate::wire::datagram::Addressee;
use crate::wire::message::Message;

/// No cascade of messages is longer than this.
const MESSAGES_MAX: usize = 64;

/// A message under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    pub(super) from: Process,
    pub(super) to: Addressee,
    /// Under which configuration it was sent.
    pub(super) stamp: ConfigurationStamp,
    pub(super) message: Message,
}

/// How often each thing has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spent {
    /// Steps of time.
    pub waits: u32,
    /// Messages that arrived and stayed.
    pub repeats: u32,
    /// Crashes, with or without the disk.
    pub crashes: u32,
    /// Crashes with the disk emptied.
    pub wipes: u32,
    /// Failed writes.
    pub failures: u32,
    /// Tenures ended by request.
    pub step_downs: u32,
    /// Bursts whose messages stayed under way.
    pub holds: u32,
    /// Orders to change who votes.
    pub orders: u32,
}

/// All nodes, all messages, and what the judges remember.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) time: u64,
    /// Who founded the cluster.
    pub(super) founders: Arc<VoterSet>,
    pub(super) nodes: Vec<Node>,
    pub(super) envelopes: Vec<Arc<Envelope>>,
    pub(super) spent: Spent,
    pub(super) judge: Judge,
}

impl State {
    /// Nodes with ids from 1, of which the higher ones vote, just started on empty disks.
    pub(super) fn new(bounds: &Bounds) -> Self {
        let nodes = bounds.newcomers + bounds.voters;
        let ids: Vec<u64> = (1..=nodes).collect();
        let (_, founders) = ids.split_at(usize::try_from(bounds.newcomers).unwrap_or(0));
        let founders = voter_set(founders);
        let time = 60_000_000_000;
        let now = bounds.broken.clocks(time);
        mutant::set(bounds.broken.mutant());
        let node = |number: &u64| {
            let is_eligible = *number > nodes - bounds.contenders;
            let is_short = bounds.mixed && *number < nodes;
            Node::new(id(*number), &founders, is_eligible, is_short, now)
        };
        let nodes = ids.iter().map(node).collect();
        let mut state = Self {
            time,
            founders: Arc::new(founders),
            nodes,
            envelopes: Vec::new(),
            spent: Spent::default(),
            judge: Judge::default(),
        };
        state.look_around(bounds);
        state
    }

    /// The promise that was broken first, if one was.
    pub fn broken(&self) -> Option<Broken> {
        self.judge.broken()
    }

    /// How many tenures there have been, counted up to two.
    pub fn tenures(&self) -> u32 {
        self.judge.terms().1
    }

    /// What has been used up of the bounds.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// How many lead at this instant.
    pub fn geese(&self) -> usize {
        self.nodes.iter().filter(|node| node.leads(self.time)).count()
    }

    /// Whether every founder may grant.
    pub fn is_founded(&self) -> bool {
        let grants =
            |node: &Node| node.election.inspect().voter.is_some_and(|voter| voter.may_grant);
        self.nodes.iter().filter(|node| self.founders.contains(node.me.id)).all(grants)
    }

    /// Whether somebody leads under a configuration of which this is so.
    pub fn is_led(&self, by: impl Fn(&Configuration) -> bool) -> bool {
        self.nodes.iter().any(|node| node.leads(self.time) && by(node.election.configuration()))
    }

    /// Whether other voters than the founders have somebody lead them.
    pub fn has_changed(&self) -> bool {
        self.is_led(|it| it.voters != *self.founders)
    }

    pub(super) fn now(&self, bounds: &Bounds) -> Now {
        bounds.broken.clocks(self.time)
    }

    /// Everybody sees everybody's newest process.
    pub(super) fn look_around(&mut self, bounds: &Bounds) {
        let eligible: Vec<Process> =
            self.nodes.iter().rev().filter(|node| node.is_eligible).map(|node| node.me).collect();
        for place in 0..self.nodes.len() {
            let seen = sight(self.nodes[place].me, &eligible);
            self.act(bounds, place, |election, now| election.handle_sight(now, seen));
        }
    }

    /// Lets one election do something, and takes what comes of it. A failed assertion in the
    /// code is a finding too.
    pub(super) fn act(
        &mut self,
        bounds: &Bounds,
        place: usize,
        input: impl FnOnce(&mut crate::election::Election, Now),
    ) {
        mutant::set(bounds.broken.mutant());
        let now = self.now(bounds);
        let node = &mut self.nodes[place];
        let led = node.leads(self.time);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            input(node.election(), now);
        }));
        if outcome.is_err() {
            self.judge.blame_assertion();
        }
        self.collect(bounds, place, led);
        self.judge.look(&self.nodes, self.time, bounds);
    }

    /// Takes what a node wants done. `led`: whether it led before the input that this comes of.
    fn collect(&mut self, bounds: &Bounds, place: usize, led: bool) {
        while let Some(outgoing) = self.nodes[place].election().poll_outgoing() {
            match outgoing {
                Outgoing::Send { to, message } => {
                    let node = &self.nodes[place];
                    let stamp = node.election.stamp_for(&message);
                    self.judge.sent(node, stamp, &message);
                    self.post(bounds, Envelope { from: node.me, to, stamp, message });
                }
                Outgoing::Event(Event::BecameDuck {
                    reason: DemotionReason::LeaseLapsed { .. },
                    ..
                }) if led => self.judge.lapsed_early(),
                Outgoing::Persist | Outgoing::NewVote | Outgoing::PersistSoon => {
                    self.nodes[place].note_change();
                }
                Outgoing::Event(Event::BecameGoose { term, .. }) => self.judge.term_begins(term),
                Outgoing::Event(_) | Outgoing::Renewed(_) | Outgoing::MakeWay(_) => {}
            }
        }
        if self.nodes[place].knows_more() {
            self.nodes[place].note_change();
        }
        if !bounds.slow_disks && self.nodes[place].pending.is_some() {
            self.write(bounds, place);
        }
    }

    fn post(&mut self, bounds: &Bounds, envelope: Envelope) {
        let heard = if let Message::Poll(poll) = &envelope.message {
            // A never-goose learns nothing from it that matters, once it is founded.
            poll.founding || self.is_contender(envelope.from.id)
        } else {
            let is_notice = matches!(envelope.message, Message::Vacant(_));
            let is_announcement = matches!(envelope.message, Message::Announce(_));
            !is_announcement && (bounds.notices || !is_notice)
        };
        let addressee = self.addressee(&envelope).filter(|place| !self.nodes[*place].is_gone);
        if heard && addressee.is_some() && self.envelopes.len() < bounds.envelopes {
            self.envelopes.push(Arc::new(envelope));
        }
    }

    fn is_contender(&self, id: NodeId) -> bool {
        self.nodes.iter().any(|node| node.me.id == id && node.is_eligible)
    }

    pub(super) fn addressee(&self, envelope: &Envelope) -> Option<usize> {
        self.nodes.iter().position(|node| Some(node.me.id) == envelope.to.id)
    }

    /// Hands a message over. Returns where it went.
    pub(super) fn deliver(&mut self, bounds: &Bounds, envelope: &Envelope) -> Option<usize> {
        let place = self.addressee(envelope)?;
        let me = self.nodes[place].me;
        let Envelope { mut from, to, stamp, mut message } = envelope.clone();
        if bounds.broken == Break::RedirectedReleases
            && let Message::Release { release, .. } = &mut message
            && let Some((holder, ballot)) = self.held_by(place)
        {
            from = holder;
            release.holder = holder;
            release.ballot = ballot;
        }
        let mut answer = None;
        self.act(bounds, place, |election, now| {
            let arrival = Arrival { from, to, stamp, message: &message };
            answer = electorate::hand_over(election, me, now, arrival);
        });
        if let Some(message) = answer {
            let to = Addressee::process(envelope.from);
            let stamp = self.nodes[place].election.stamp_for(&message);
            self.post(bounds, Envelope { from: me, to, stamp, message });
        }
        Some(place)
    }

    fn held_by(&self, place: usize) -> Option<(Process, u64)> {
        let voter = self.nodes[place].election.inspect().voter?;
        voter.grant.map(|(holder, ballot, _)| (holder, ballot))
    }

    /// A message arrives, and the answers to its sender are back at once.
    pub(super) fn exchange(&mut self, bounds: &Bounds, envelope: &Envelope) {
        let before = self.envelopes.len();
        let Some(place) = self.deliver(bounds, envelope) else { return };
        let me = self.nodes[place].me;
        let to = Addressee::process(envelope.from);
        let fresh = self.envelopes.split_off(before);
        let (answers, others): (Vec<_>, Vec<_>) =
            fresh.into_iter().partition(|fresh| fresh.from == me && fresh.to == to);
        self.envelopes.extend(others);
        for answer in answers {
            self.deliver(bounds, &answer);
        }
    }

    /// Time moves on to this node's next timer.
    pub(super) fn wait(&mut self, bounds: &Bounds, place: usize) {
        let due = |state: &Self| {
            let now = state.now(bounds);
            state.nodes[place].election.poll_timeout(now)
        };
        if let Some(span) = due(self).filter(|span| *span > Duration::ZERO) {
            // The timer is the faster clock's, or else the slower one's.
            let (start, span) = (self.time, nanoseconds(span));
            self.time = start + span * 1_000 / 1_005 + 2_000;
            if due(self) > Some(Duration::ZERO) {
                self.time = start + span * 1_000 / 995 + 2_000;
            }
        }
        self.act(bounds, place, |election, now| election.handle_timeout(now));
    }

    /// A write ends well.
    pub(super) fn write(&mut self, bounds: &Bounds, place: usize) {
        if let Some(revision) = self.nodes[place].reach_disk(bounds.broken) {
            self.act(bounds, place, |election, now| election.handle_stored(now, revision, true));
        }
    }

    /// A write fails. It is tried again: what was to be written still is.
    pub(super) fn fail(&mut self, bounds: &Bounds, place: usize) {
        if let Some((revision, _)) = self.nodes[place].pending {
            self.act(bounds, place, |election, now| election.handle_stored(now, revision, false));
        }
    }

    pub(super) fn crash(&mut self, bounds: &Bounds, place: usize, written: bool) {
        if written {
            self.nodes[place].reach_disk(bounds.broken);
        }
        self.restart(bounds, place);
    }

    pub(super) fn wipe(&mut self, bounds: &Bounds, place: usize) {
        self.nodes[place].empty_disk();
        self.restart(bounds, place);
    }

    fn restart(&mut self, bounds: &Bounds, place: usize) {
        mutant::set(bounds.broken.mutant());
        let now = self.now(bounds);
        let founders = Arc::clone(&self.founders);
        self.nodes[place].restart(&founders, bounds.broken, now);
        let id = self.nodes[place].me.id;
        let me = self.nodes[place].me;
        // What was meant for the process before does nothing, but for what the envelope answers.
        let gullible = mutant::is(Mutant::EarlierBootsAnswersAccepted);
        self.envelopes.retain(|envelope| {
            let stale =
                envelope.to.id == Some(id) && envelope.to.boot.is_some_and(|b| b != me.boot);
            let answer = matches!(envelope.message, Message::PollAck(_));
            !stale || matches!(envelope.message, Message::Acquire(_)) || gullible && answer
        });
        self.look_around(bounds);
        self.collect(bounds, place, false);
    }

    /// A Goose is told who is to vote.
    pub(super) fn order(&mut self, bounds: &Bounds, place: usize, goal: usize) {
        let voters = voter_set(bounds.goals[goal]);
        let present = &self.nodes[place].election.configuration().voters;
        let is_new = |id: NodeId| voters.contains(id) && !present.contains(id);
        let newcomers = self.nodes.iter().map(|node| node.me).filter(|process| is_new(process.id));
        let newcomers: Vec<Process> = newcomers.collect();
        self.act(bounds, place, |election, now| {
            election.change_voters(now, VoterGoal { voters, automatic: None }, &newcomers);
        });
    }

    pub(super) fn step_down(
        &mut self,
        bounds: &Bounds,
        place: usize,
        nominee: Option<usize>,
        leaving: bool,
    ) {
        let nominee = nominee.map(|nominee| self.nodes[nominee].me);
        self.act(bounds, place, |election, now| {
            let reason =
                if leaving { DemotionReason::Leaving } else { DemotionReason::SteppedDown };
            election.step_down(now, nominee, Some(Duration::ZERO), reason);
        });
    }

    /// The world after one step.
    pub fn after(&self, bounds: &Bounds, action: Action) -> Self {
        let mut state = self.clone();
        state.step(bounds, action);
        state
    }

    /// The highest other node that may lead.
    pub(super) fn successor(&self, node: usize) -> Option<usize> {
        (0..self.nodes.len()).rev().find(|other| {
            *other != node && self.nodes[*other].is_eligible && !self.nodes[*other].is_gone
        })
    }

    fn step(&mut self, bounds: &Bounds, action: Action) {
        match action {
            Action::Deliver(place) => {
                let envelope = self.envelopes.remove(place);
                self.deliver(bounds, &envelope);
            }
            Action::Exchange(place) => {
                let envelope = self.envelopes.remove(place);
                self.exchange(bounds, &envelope);
            }
            Action::Repeat(place) => {
                self.spent.repeats += 1;
                let envelope = Arc::clone(&self.envelopes[place]);
                self.deliver(bounds, &envelope);
            }
            Action::Lose(place) => {
                self.envelopes.remove(place);
            }
            Action::Wait(node) => {
                self.spent.waits += 1;
                self.wait(bounds, node);
            }
            Action::Write(node) => self.write(bounds, node),
            Action::Fail(node) => {
                self.spent.failures += 1;
                self.fail(bounds, node);
            }
            Action::Crash { node, written } => {
                self.spent.crashes += 1;
                self.crash(bounds, node, written);
            }
            Action::Wipe(node) => {
                self.spent.crashes += 1;
                self.spent.wipes += 1;
                self.wipe(bounds, node);
            }
            Action::StepDown { node, nominee, leaving } => {
                self.spent.step_downs += 1;
                self.step_down(bounds, node, nominee, leaving);
            }
            Action::Burst(..)
            | Action::Arrive(..)
            | Action::Settle(..)
            | Action::HandOver(..)
            | Action::Order { .. }
            | Action::Pass => self.burst(bounds, action),
        }
    }

    /// One coarse step.
    pub(super) fn burst(&mut self, bounds: &Bounds, action: Action) {
        // Only what stays under way is limited, not what comes and goes.
        let roomy = Bounds { envelopes: MESSAGES_MAX, ..bounds.clone() };
        match action {
            Action::Burst(node, links) => {
                self.spent.waits += 1;
                let older = std::mem::take(&mut self.envelopes);
                self.wait(&roomy, node);
                self.cascade(&roomy, bounds.envelopes, node, links, older);
            }
            Action::Arrive(envelope, links) => {
                let envelope = self.envelopes.remove(envelope);
                let older = std::mem::take(&mut self.envelopes);
                if let Some(node) = self.deliver(&roomy, &envelope) {
                    self.cascade(&roomy, bounds.envelopes, node, links, older);
                } else {
                    self.envelopes = older;
                }
            }
            Action::Settle(node, links) => {
                let older = std::mem::take(&mut self.envelopes);
                self.write(&roomy, node);
                self.cascade(&roomy, bounds.envelopes, node, links, older);
            }
            Action::HandOver(node, links) => {
                self.spent.step_downs += 1;
                let older = std::mem::take(&mut self.envelopes);
                self.step_down(&roomy, node, self.successor(node), false);
                self.cascade(&roomy, bounds.envelopes, node, links, older);
            }
            Action::Order { node, goal, links } => {
                self.spent.orders += 1;
                let older = std::mem::take(&mut self.envelopes);
                self.order(&roomy, node, goal);
                self.cascade(&roomy, bounds.envelopes, node, links, older);
            }
            Action::Pass => {
                self.spent.waits += 1;
                self.time += nanoseconds(super::timing().lease_max) * 1_000 / 1_005 + 2_000;
                self.judge.look(&self.nodes, self.time, bounds);
            }
            _ => {}
        }
    }

    /// Delivers what is new over the links that are up, and what comes of it, to the end.
    fn cascade(
        &mut self,
        roomy: &Bounds,
        room: usize,
        active: usize,
        links: Links,
        mut under_way: Vec<Arc<Envelope>>,
    ) {
        let mut held = false;
        let stamp = |state: &Self| state.nodes[active].election.configuration().stamp();
        let begun = stamp(self);
        for _ in 0..MESSAGES_MAX {
            if self.envelopes.is_empty() {
                break;
            }
            let envelope = self.envelopes.remove(0);
            let from = self.nodes.iter().position(|node| node.me.id == envelope.from.id);
            let to = self.addressee(&envelope);
            let (Some(from), Some(to)) = (from, to) else { continue };
            if from != active && to != active {
                continue;
            }
            let is_up = links.carries(active, from, to) && !(links.breaks && stamp(self) != begun);
            if is_up {
                self.deliver(roomy, &envelope);
            } else if links.hold && under_way.len() < room {
                under_way.push(envelope);
                held = true;
            }
        }
        self.spent.holds += u32::from(held);
        self.envelopes = under_way;
    }
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap_or_else(|_| unreachable!("ids from 1"))
}

/// These voters. Bounds name at least one, and nobody twice.
fn voter_set(ids: &[u64]) -> VoterSet {
    let ids = ids.iter().map(|number| id(*number)).collect();
    VoterSet::new(ids).unwrap_or_else(|_| unreachable!("some voters, all different"))
}
