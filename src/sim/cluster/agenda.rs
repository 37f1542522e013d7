//! What will happen, in the order of true time; what is planned first for an instant happens
//! first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::rc::Rc;

use super::network::Packet;
use super::work::WorkStep;
use crate::node::LastWillDatagram;

/// So many events in a second mean that time stands still, or that datagrams breed.
pub(super) const STORM: u64 = 1_000_000;

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Happening {
    Arrive {
        to: usize,
        address: SocketAddr,
        from: SocketAddr,
        packet: Rc<Packet>,
    },
    Written {
        host: usize,
        epoch: u32,
        ticket: u64,
    },
    Resolved {
        host: usize,
        epoch: u32,
        found: Vec<(String, Vec<SocketAddr>)>,
    },
    Wake {
        host: usize,
        epoch: u32,
    },
    CatchUp {
        host: usize,
        epoch: u32,
    },
    Attend {
        host: usize,
        epoch: u32,
    },
    /// A keeper speaks for the dead: what they left, and after which pauses still.
    Speak {
        index: usize,
        will: Rc<Vec<LastWillDatagram>>,
        pauses: &'static [u64],
    },
    Work {
        host: usize,
        number: u64,
        step: WorkStep,
    },
    /// What the world has planned under this number.
    Planned(u64),
}

struct Scheduled {
    at: u64,
    sequence: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Agenda {
    now: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    events: u64,
    /// The true time and the number of events when the second began that is looked at.
    second: (u64, u64),
}

/// More events in a second than [`STORM`].
pub(super) struct Storm;

impl Agenda {
    /// True time in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// How many events there have been.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Plans something for true time `at`.
    pub(super) fn at(&mut self, at: u64, what: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse(Scheduled { at, sequence: self.sequence, what }));
    }

    /// Plans something for `delay` nanoseconds from now.
    pub(super) fn after(&mut self, delay: u64, what: Happening) {
        self.at(self.now + delay, what);
    }

    /// Moves on to what happens next, if it happens by `until`.
    pub(super) fn next(&mut self, until: u64) -> Result<Option<Happening>, Storm> {
        if self.heap.peek().is_none_or(|Reverse(next)| next.at > until) {
            return Ok(None);
        }
        let Some(Reverse(next)) = self.heap.pop() else { return Ok(None) };
        self.now = next.at;
        if self.now >= self.second.0 + 1_000_000_000 {
            self.second = (self.now, self.events);
        }
        if self.events - self.second.1 > STORM {
            return Err(Storm);
        }
        self.events += 1;
        Ok(Some(next.what))
    }

    /// Moves on to `until`, if it is not past that.
    pub(super) fn pass_to(&mut self, until: u64) {
        self.now = self.now.max(until);
    }
}
