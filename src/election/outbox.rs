//! What the election wants done, in order.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::vocabulary::event::Event;
use crate::vocabulary::identity::{NodeId, Process};
use crate::wire::datagram::Addressee;
use crate::wire::message::Message;

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Send a message.
    Send {
        /// To whom; a message to this very process never appears here.
        to: Addressee,
        /// What.
        message: Message,
    },
    /// The vote changed: store it and report back with its revision.
    Persist,
    /// The vote is another one than before, of a voter that has just come to be or is none any more:
    /// what is being written says nothing of it.
    NewVote,
    /// The vote changed in a way that nobody waits for, and is likely to change again at once:
    /// store it soon.
    PersistSoon,
    /// Something happened.
    Event(Event),
    /// Another voter confirmed the lease, so long after it was asked.
    Renewed(Duration),
    /// The cluster prefers this process, which has come to stay, but work is alive.
    MakeWay(Process),
}

/// A queue of what is to be done. Messages to oneself are kept apart: the contender of a node
/// talks to the voter of the same node in the same words as to any other.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    me: Process,
    outgoing: VecDeque<Outgoing>,
    own: VecDeque<Message>,
}

impl Hash for Outbox {
    /// What is to be done is taken out after every input, so its number says enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.me.hash(state);
        self.outgoing.len().hash(state);
        self.own.hash(state);
    }
}

impl Outbox {
    pub(crate) fn new(me: Process) -> Self {
        Self { me, outgoing: VecDeque::new(), own: VecDeque::new() }
    }

    /// Sends to exactly this process.
    pub(crate) fn send(&mut self, to: Process, message: Message) {
        if to == self.me {
            self.own.push_back(message);
        } else {
            self.push(Addressee::process(to), message);
        }
    }

    /// Sends to a node, whichever process it is now. Only a Poll may.
    pub(crate) fn send_to_node(&mut self, id: NodeId, message: Message) {
        if id == self.me.id {
            self.own.push_back(message);
        } else {
            self.push(Addressee { id: Some(id), boot: None }, message);
        }
    }

    fn push(&mut self, to: Addressee, message: Message) {
        self.outgoing.push_back(Outgoing::Send { to, message });
    }

    pub(crate) fn persist(&mut self) {
        self.outgoing.push_back(Outgoing::Persist);
    }

    /// The vote is another one than before.
    pub(crate) fn new_vote(&mut self) {
        self.outgoing.push_back(Outgoing::NewVote);
    }

    pub(crate) fn persist_soon(&mut self) {
        self.outgoing.push_back(Outgoing::PersistSoon);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outgoing.push_back(Outgoing::Event(event));
    }

    /// Another voter confirmed the lease, so long after it was asked.
    pub(crate) fn renewed(&mut self, round_trip: Duration) {
        self.outgoing.push_back(Outgoing::Renewed(round_trip));
    }

    /// The cluster prefers `to`, but work is alive.
    pub(crate) fn make_way(&mut self, to: Process) {
        self.outgoing.push_back(Outgoing::MakeWay(to));
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    pub(crate) fn pop_own(&mut self) -> Option<Message> {
        self.own.pop_front()
    }
}
