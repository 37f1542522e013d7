//! One thing that may happen.

use std::fmt;

/// Which links of one node carry messages in this step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Links {
    /// Bit 2·p: the node reaches the node at place p. Bit 2·p + 1: the other way.
    pub up: u16,
    /// Whether what meets a link that is down stays under way.
    pub hold: bool,
    /// Whether all of them are down from the moment on at which the node makes a configuration.
    pub breaks: bool,
}

impl Links {
    /// Every link of one of `nodes` nodes.
    pub(super) fn all(nodes: usize) -> Self {
        let up = u16::try_from((1_u32 << (2 * nodes)) - 1).unwrap_or(u16::MAX);
        Self { up, hold: false, breaks: false }
    }

    /// None of them.
    pub(super) fn none(hold: bool) -> Self {
        Self { up: 0, hold, breaks: false }
    }

    pub(super) fn carries(self, active: usize, from: usize, to: usize) -> bool {
        let bit = if from == active { 2 * to } else { 2 * from + 1 };
        self.up >> bit & 1 == 1
    }
}

impl fmt::Display for Links {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |way: usize| {
            let up = (0..8).filter(move |place| self.up >> (2 * place + way) & 1 == 1);
            up.map(|place| (place + 1).to_string()).collect::<Vec<_>>().join(" ")
        };
        let rest = if self.hold { "stays under way" } else { "is lost" };
        let until = if self.breaks { " until it makes a configuration" } else { "" };
        write!(out, "reaching [{}], hearing [{}]{until}, the rest {rest}", of(0), of(1))
    }
}

/// One step. Messages are named by their place, which is the same for the same state.
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
    /// This node, a Goose, is told to lead to the voters of that place in
    /// [`Bounds::goals`](super::Bounds::goals), and what follows happens at once over these links.
    Order {
        /// Which node.
        node: usize,
        /// Which voters.
        goal: usize,
        /// Over which links.
        links: Links,
    },
    /// Everybody stalls for as long as the longest lease lasts.
    Pass,
}
