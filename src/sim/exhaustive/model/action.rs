//! What may happen next.

use std::fmt;
use std::sync::Arc;

use super::world::World;
use super::{Bounds, Opening};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::message::Message;

/// Which links of one node carry messages in this step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Links {
    /// Bit 2·p: the node reaches the node at place p. Bit 2·p + 1: the other way.
    pub up: u8,
    /// Whether what meets a link that is down stays under way.
    pub hold: bool,
}

impl Links {
    /// Every link of one of `nodes` nodes.
    pub(super) fn all(nodes: usize) -> Self {
        Self { up: u8::try_from((1_u32 << (2 * nodes)) - 1).unwrap_or(u8::MAX), hold: false }
    }

    pub(super) fn carries(self, active: usize, from: usize, to: usize) -> bool {
        let bit = if from == active { 2 * to } else { 2 * from + 1 };
        self.up >> bit & 1 == 1
    }
}

impl fmt::Display for Links {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |way: usize| {
            let up = (0..4).filter(move |place| self.up >> (2 * place + way) & 1 == 1);
            up.map(|place| (place + 1).to_string()).collect::<Vec<_>>().join(" ")
        };
        let rest = if self.hold { "stays under way" } else { "is lost" };
        write!(out, "reaching [{}], hearing [{}], the rest {rest}", of(0), of(1))
    }
}

/// One step. Messages are named by their place, which is the same for the same world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A message arrives; what it leads to is under way.
    Deliver(usize),
    /// A message arrives, and the direct answers are back before anything else happens.
    Exchange(usize),
    /// A message arrives and is still under way: a duplicate.
    Repeat(usize),
    /// A message is lost, which makes room for others.
    Lose(usize),
    /// Time moves on to this node's next timer, and only this node notices.
    Wait(usize),
    /// This node's write ends well.
    Write(usize),
    /// This node's write fails; it may be tried again.
    Fail(usize),
    /// This node's process crashes and starts again. `written`: what was being written is.
    Crash {
        /// Which node.
        node: usize,
        /// Whether the write under way had reached the disk.
        written: bool,
    },
    /// The same, and the disk is empty then.
    Wipe(usize),
    /// This node, a Goose, steps down in favour of another one, or of nobody in particular.
    StepDown {
        /// Which node.
        node: usize,
        /// The place of the nominee.
        nominee: Option<usize>,
        /// Whether it shuts down.
        leaving: bool,
    },
    /// Time moves on to this node's next timer, and what follows happens at once over these
    /// links.
    Burst(usize, Links),
    /// A message arrives, and so does what follows over these links.
    Arrive(usize, Links),
    /// This node's write ends well, and what follows happens at once over these links.
    Settle(usize, Links),
    /// This node, a Goose, steps down for the highest other node, over these links.
    HandOver(usize, Links),
    /// Everybody stalls for as long as the longest lease lasts.
    Pass,
}

impl World {
    /// Everything that may happen next within the bounds, always in the same order.
    pub fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        if bounds.bursts {
            self.bursts(bounds, actions);
            return;
        }
        let envelopes = self.envelopes.len();
        for envelope in 0..envelopes {
            actions.push(if bounds.is_brisk(&self.envelopes[envelope].message) {
                Action::Exchange(envelope)
            } else {
                Action::Deliver(envelope)
            });
            if self.spent.repeats < bounds.repeats {
                actions.push(Action::Repeat(envelope));
            }
            // Staying under way for ever is as good as lost, unless room runs out.
            if 2 * envelopes > bounds.envelopes {
                actions.push(Action::Lose(envelope));
            }
        }
        for (place, node) in self.nodes.iter().enumerate() {
            if node.is_gone {
                continue;
            }
            if self.spent.waits < bounds.waits {
                actions.push(Action::Wait(place));
            }
            let writing = node.pending.is_some();
            if writing {
                actions.push(Action::Write(place));
                if self.spent.failures < bounds.failures {
                    actions.push(Action::Fail(place));
                }
            }
            self.crashes(place, bounds, actions);
            if self.spent.step_downs < bounds.step_downs && self.leads(place) {
                self.step_downs(place, actions);
            }
        }
    }

    /// How a process may end: before its write or after it, or with its disk emptied.
    pub(super) fn crashes(&self, place: usize, bounds: &Bounds, actions: &mut Vec<Action>) {
        if self.spent.crashes >= bounds.crashes {
            return;
        }
        actions.push(Action::Crash { node: place, written: false });
        if self.nodes[place].pending.is_some() {
            actions.push(Action::Crash { node: place, written: true });
        }
        if self.spent.wipes < bounds.wipes {
            actions.push(Action::Wipe(place));
        }
    }

    /// The highest other node that may lead.
    pub(super) fn successor(&self, node: usize) -> Option<usize> {
        (0..self.nodes.len()).rev().find(|other| {
            *other != node && self.nodes[*other].is_eligible && !self.nodes[*other].is_gone
        })
    }

    fn step_downs(&self, node: usize, actions: &mut Vec<Action>) {
        let nominee = self.successor(node);
        for leaving in [false, true] {
            actions.push(Action::StepDown { node, nominee, leaving });
        }
        actions.push(Action::StepDown { node, nominee: None, leaving: false });
    }

    /// The world after one step.
    pub fn after(&self, bounds: &Bounds, action: Action) -> Self {
        let mut world = self.clone();
        world.step(bounds, action);
        world
    }

    /// One step in words: which message of whom to whom, at which time.
    pub fn tell(&self, bounds: &Bounds, action: Action) -> String {
        let envelope = |place: usize| {
            let envelope = &self.envelopes[place];
            let to = envelope.to.id.map_or(0, NodeId::number);
            format!("{} to {to}: {:?}", envelope.from.id, envelope.message)
        };
        let node = |place: usize| self.nodes[place].me.id;
        let words = match action {
            Action::Deliver(place) => format!("arrives, {}", envelope(place)),
            Action::Exchange(place) => format!("arrives and is answered, {}", envelope(place)),
            Action::Repeat(place) => format!("a copy arrives, {}", envelope(place)),
            Action::Lose(place) => format!("is lost, {}", envelope(place)),
            Action::Wait(place) => format!("node {} waits for its next timer", node(place)),
            Action::Write(place) => format!("node {}'s write ends", node(place)),
            Action::Fail(place) => format!("node {}'s write fails", node(place)),
            Action::Crash { node: place, written } => {
                format!("node {} crashes, written: {written}", node(place))
            }
            Action::Wipe(place) => format!("node {} loses its disk", node(place)),
            Action::StepDown { node: place, nominee, leaving } => {
                let nominee = nominee.map(|place| node(place).number());
                format!("node {} steps down for {nominee:?}, leaving: {leaving}", node(place))
            }
            Action::Burst(place, links) => format!("node {}'s timer, {links}", node(place)),
            Action::Arrive(place, links) => format!("arrives, then {links}: {}", envelope(place)),
            Action::Settle(place, links) => format!("node {}'s write ends, {links}", node(place)),
            Action::HandOver(place, links) => format!("node {} hands over, {links}", node(place)),
            Action::Pass => "everybody stalls for a lease".to_owned(),
        };
        let milliseconds = self.time / 1_000_000;
        let geese: Vec<u64> = (0..self.nodes.len())
            .filter(|place| self.leads(*place))
            .map(|place| node(place).number())
            .collect();
        let envelopes = self.envelopes.len();
        let limit = bounds.envelopes;
        format!("{milliseconds} ms, Geese {geese:?}, {envelopes}/{limit} messages: {words}")
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
            | Action::Pass => self.burst(bounds, action),
        }
    }
}

impl Bounds {
    /// Whether a message of this kind is answered before anything else happens.
    fn is_brisk(&self, message: &Message) -> bool {
        let asks =
            matches!(message, Message::Poll(_) | Message::Probe { .. } | Message::Release { .. });
        self.brisk && asks
    }

    /// In one line, for reports.
    pub fn describe(&self) -> String {
        let Self { voters, contenders, opening, envelopes, repeats, waits, crashes, .. } = self;
        let opening = match opening {
            Opening::Founding => "empty disks",
            Opening::Founded => "founded, nobody leads",
            Opening::Reign => "somebody leads",
            Opening::Orphaned => "the Goose is gone",
        };
        let Self { wipes, failures, step_downs, slow_disks, notices, holds, .. } = self;
        let disks = if *slow_disks { "slow" } else { "instant" };
        let heard = if *notices { "heard" } else { "lost" };
        let steps = match (self.bursts, self.brisk) {
            (true, _) => format!("whole exchanges, {holds} of them held back"),
            (false, true) => "messages, but polls answered at once".to_owned(),
            (false, false) => "messages".to_owned(),
        };
        format!(
            "{voters} voters, {contenders} contenders, {opening}, at most {envelopes} messages, \
             {waits} waits, {repeats} repeats, {crashes} crashes, {wipes} wipes, \
             {failures} failed writes, {step_downs} step-downs, {disks} disks, notices {heard}; \
             steps are {steps}"
        )
    }
}
