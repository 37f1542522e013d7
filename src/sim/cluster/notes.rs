//! What is noted of a run: a trace for comparison, a tally for whoever measures, a story for
//! people.

use std::rc::Rc;

use super::interceptor::Interception;
use super::network::Packet;
use super::tally::Tally;
use super::trace::Trace;
use crate::vocabulary::event::Event;

/// What an event in a process was, for the story.
#[derive(Clone, Debug)]
pub struct Told {
    /// True time in nanoseconds.
    pub at: u64,
    /// Which node, by index; none if the world did it.
    pub by: Option<usize>,
    /// What.
    pub what: Tale,
}

/// See [`Told`].
#[derive(Clone, Debug)]
pub enum Tale {
    /// A node's event.
    Event(Event),
    /// A message left that the script has an eye on.
    Sent {
        /// To which node.
        to: usize,
        /// What.
        packet: Rc<Packet>,
        /// What became of it, if it did not just arrive.
        fate: Option<Interception>,
    },
    /// What was done to the world, or what the script itself says.
    Remark(String),
}

/// See the module.
pub struct Notes {
    /// What happened, line by line.
    pub trace: Trace,
    /// What was counted.
    pub tally: Tally,
    /// What nodes said, if anybody listens.
    pub story: Option<Vec<Told>>,
}

impl Notes {
    /// Something to put into the story.
    pub(in crate::sim) fn tell(&mut self, at: u64, by: Option<usize>, what: impl FnOnce() -> Tale) {
        if let Some(story) = &mut self.story {
            story.push(Told { at, by, what: what() });
        }
    }
}
