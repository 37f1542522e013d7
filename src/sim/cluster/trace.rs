//! What happened in a run, for people and for comparison.
//!
//! Every event goes into a digest: the same seed twice must give the same one. The lines
//! themselves are kept in a ring, or whole, and are put into words only when somebody reads
//! them.

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::network::Packet;
use crate::vocabulary::event::Event;
use crate::wire::message::Message;

/// How much of the trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceDepth {
    /// Only the digest.
    Digest,
    /// The last so many lines, without gossip.
    Last(usize),
    /// Every line, gossip included.
    Full,
}

/// One line of the trace.
#[derive(Clone, Debug)]
pub struct Entry {
    /// True time in nanoseconds.
    pub at: u64,
    /// What happened.
    pub what: Happened,
}

/// What a line tells.
#[derive(Clone, Debug)]
pub enum Happened {
    /// A datagram was sent.
    Sent {
        /// By which node.
        from: usize,
        /// To which node.
        to: usize,
        /// What.
        packet: Rc<Packet>,
        /// Whether the network lost it.
        lost: bool,
    },
    /// A datagram was handled.
    Handled {
        /// By which node.
        by: usize,
        /// What.
        packet: Rc<Packet>,
    },
    /// A timer was due.
    Woke {
        /// In which node.
        by: usize,
    },
    /// A record became durable, or not.
    Stored {
        /// By which node.
        by: usize,
        /// With success.
        sound: bool,
    },
    /// A node said that something happened.
    Told {
        /// Which node.
        by: usize,
        /// What.
        event: Box<Event>,
    },
    /// The world did something to the nodes.
    Fault(String),
}

/// See the module.
#[derive(Debug)]
pub struct Trace {
    depth: TraceDepth,
    entries: VecDeque<Entry>,
    digest: u64,
    ids: Vec<u64>,
}

impl Trace {
    /// An empty trace. `ids` are the nodes' ids in the order of their indices.
    pub fn new(depth: TraceDepth, ids: Vec<u64>) -> Self {
        Self { depth, entries: VecDeque::new(), digest: 0, ids }
    }

    /// Mixes one number into the digest.
    pub fn mix(&mut self, number: u64) {
        let mixed = (self.digest ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.digest = mixed ^ (mixed >> 29);
    }

    /// Mixes bytes into the digest.
    pub fn mix_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    /// Notes one line, if lines are kept.
    pub fn note(&mut self, at: u64, what: impl FnOnce() -> Happened) {
        let limit = match self.depth {
            TraceDepth::Digest => return,
            TraceDepth::Last(limit) => limit,
            TraceDepth::Full => usize::MAX,
        };
        let what = what();
        if limit < usize::MAX && what.is_small_talk() {
            return;
        }
        if self.entries.len() >= limit {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { at, what });
    }

    /// The digest so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines kept, in words.
    pub fn lines(&self) -> Vec<String> {
        self.entries.iter().map(|entry| self.line(entry)).collect()
    }

    fn line(&self, entry: &Entry) -> String {
        let at = entry.at / 1000;
        let id = |index: &usize| self.ids.get(*index).copied().unwrap_or(0);
        let what = match &entry.what {
            Happened::Sent { from, to, packet, lost } => {
                let lost = if *lost { " (lost)" } else { "" };
                format!("{} → {} {}{lost}", id(from), id(to), Words(packet))
            }
            Happened::Handled { by, packet } => format!("{} handles {}", id(by), Words(packet)),
            Happened::Woke { by } => format!("{} wakes", id(by)),
            Happened::Stored { by, sound } => {
                format!("{} {}", id(by), if *sound { "has stored" } else { "cannot store" })
            }
            Happened::Told { by, event } => format!("{} says {event:?}", id(by)),
            Happened::Fault(text) => format!("*** {text}"),
        };
        format!("{:6}.{:03} ms  {what}", at / 1000, at % 1000)
    }
}

impl Happened {
    fn is_small_talk(&self) -> bool {
        match self {
            Self::Sent { packet, .. } | Self::Handled { packet, .. } => packet.is_gossip(),
            Self::Woke { .. } => true,
            _ => false,
        }
    }
}

struct Words<'a>(&'a Packet);

impl fmt::Display for Words<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((header, message)) = &self.0.content else {
            return write!(formatter, "#{} undecodable", self.0.number);
        };
        write!(formatter, "#{} of {} ", self.0.number, header.sender)?;
        match message {
            Message::Gossip(bytes) => write!(formatter, "Gossip of {} bytes", bytes.len()),
            Message::Join(join) => write!(formatter, "Join {}", join.nonce),
            other => write!(formatter, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_depends_on_order_and_content() {
        let digest = |numbers: &[u64]| {
            let mut trace = Trace::new(TraceDepth::Digest, vec![]);
            numbers.iter().for_each(|number| trace.mix(*number));
            trace.digest()
        };
        assert_eq!(digest(&[1, 2, 3]), digest(&[1, 2, 3]));
        assert_ne!(digest(&[1, 2, 3]), digest(&[1, 3, 2]));
        assert_ne!(digest(&[1, 2, 3]), digest(&[1, 2, 4]));
    }

    #[test]
    fn a_ring_keeps_the_last_lines() {
        let mut trace = Trace::new(TraceDepth::Last(2), vec![]);
        for number in 0..5 {
            trace.note(number, || Happened::Fault(format!("fault {number}")));
        }
        let lines = trace.lines();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with("fault 4"), "{lines:?}");
    }
}
