//! What may happen next.

use std::sync::Arc;

use super::burst::Links;
use super::world::World;
use super::{Bounds, Opening};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::message::Message;

/// One step. Letters are named by their place, which is the same for the same world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A letter arrives; what it leads to is under way.
    Deliver(usize),
    /// A letter arrives, and the direct answers are back before anything else happens.
    Exchange(usize),
    /// A letter arrives and is still under way: a duplicate.
    Repeat(usize),
    /// A letter is lost, which makes room for others.
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
    /// A letter arrives, and so does what follows over these links.
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
        let letters = self.letters.len();
        for letter in 0..letters {
            actions.push(if bounds.is_brisk(&self.letters[letter].message) {
                Action::Exchange(letter)
            } else {
                Action::Deliver(letter)
            });
            if self.spent.repeats < bounds.repeats {
                actions.push(Action::Repeat(letter));
            }
            // Staying under way for ever is as good as lost, unless room runs out.
            if 2 * letters > bounds.letters {
                actions.push(Action::Lose(letter));
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

    /// One step in words: which letter of whom to whom, at which time.
    pub fn tell(&self, bounds: &Bounds, action: Action) -> String {
        let letter = |place: usize| {
            let letter = &self.letters[place];
            let to = letter.to.id.map_or(0, NodeId::number);
            format!("{} to {to}: {:?}", letter.from.id, letter.message)
        };
        let node = |place: usize| self.nodes[place].me.id;
        let words = match action {
            Action::Deliver(place) => format!("arrives, {}", letter(place)),
            Action::Exchange(place) => format!("arrives and is answered, {}", letter(place)),
            Action::Repeat(place) => format!("a copy arrives, {}", letter(place)),
            Action::Lose(place) => format!("is lost, {}", letter(place)),
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
            Action::Arrive(place, links) => format!("arrives, then {links}: {}", letter(place)),
            Action::Settle(place, links) => format!("node {}'s write ends, {links}", node(place)),
            Action::HandOver(place, links) => format!("node {} hands over, {links}", node(place)),
            Action::Pass => "everybody stalls for a lease".to_owned(),
        };
        let milliseconds = self.time / 1_000_000;
        let geese: Vec<u64> = (0..self.nodes.len())
            .filter(|place| self.leads(*place))
            .map(|place| node(place).number())
            .collect();
        let letters = self.letters.len();
        let limit = bounds.letters;
        format!("{milliseconds} ms, Geese {geese:?}, {letters}/{limit} letters: {words}")
    }

    fn step(&mut self, bounds: &Bounds, action: Action) {
        match action {
            Action::Deliver(place) => {
                let letter = self.letters.remove(place);
                self.deliver(bounds, &letter);
            }
            Action::Exchange(place) => {
                let letter = self.letters.remove(place);
                self.exchange(bounds, &letter);
            }
            Action::Repeat(place) => {
                self.spent.repeats += 1;
                let letter = Arc::clone(&self.letters[place]);
                self.deliver(bounds, &letter);
            }
            Action::Lose(place) => {
                self.letters.remove(place);
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
    /// Whether a letter of this kind is answered before anything else happens.
    fn is_brisk(&self, message: &Message) -> bool {
        let asks =
            matches!(message, Message::Poll(_) | Message::Probe { .. } | Message::Release { .. });
        self.brisk && asks
    }

    /// In one line, for reports.
    pub fn describe(&self) -> String {
        let Self { voters, contenders, opening, letters, repeats, waits, crashes, .. } = self;
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
            (false, true) => "letters, but polls answered at once".to_owned(),
            (false, false) => "letters".to_owned(),
        };
        format!(
            "{voters} voters, {contenders} contenders, {opening}, at most {letters} letters, \
             {waits} waits, {repeats} repeats, {crashes} crashes, {wipes} wipes, \
             {failures} failed writes, {step_downs} step-downs, {disks} disks, notices {heard}; \
             steps are {steps}"
        )
    }
}
