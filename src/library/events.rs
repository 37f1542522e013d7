//! What happens in a node, as a program hears of it.

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::status::{Goose, MemberState};
use crate::shell::handle::Handle;
use crate::vocabulary::event::{self, ElectionReason};
use crate::vocabulary::identity::NodeId;

/// Something that happened in a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The node takes part from here on.
    Started,
    /// The node has found its cluster.
    Joined,
    /// This node became Goose. Ask [`Node::until_goose`](crate::Node::until_goose) for the guard.
    BecameGoose {
        /// Its term.
        term: u64,
        /// Whether the Goose before it handed over.
        handed_over: bool,
    },
    /// This node is Goose no more.
    BecameDuck {
        /// The term that ended.
        term: u64,
        /// Why, in words for people.
        reason: String,
    },
    /// This node knows another Goose than before, or none.
    GooseChanged(Option<Goose>),
    /// Gossip's opinion of a member changed.
    MemberChanged {
        /// Which member.
        id: NodeId,
        /// The new opinion.
        state: MemberState,
    },
    /// A member is no longer known: it was forgotten, or gone for a day.
    MemberForgotten {
        /// Which member.
        id: NodeId,
    },
    /// Something that a person should look at, in words for people.
    Warning(String),
    /// This reader was too slow, and so many events were lost to it.
    Missed(u64),
}

/// The events of a node, from the moment that it was made.
#[derive(Debug)]
pub struct Events {
    events: Receiver<event::Event>,
    handle: Handle,
}

impl Events {
    pub(super) fn new(handle: Handle) -> Self {
        Self { events: handle.events(), handle }
    }

    /// Waits for the next event. None: the node has ended. Cancelling it loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                biased;
                received = self.events.recv() => match received {
                    Ok(event) => {
                        if let Some(event) = told(event) {
                            return Some(event);
                        }
                    }
                    Err(RecvError::Lagged(count)) => return Some(Event::Missed(count)),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.handle.ended() => return None,
            }
        }
    }
}

/// The event as a program hears of it; none for what only concerns the node itself.
fn told(event: event::Event) -> Option<Event> {
    use event::Event as Inner;
    Some(match event {
        Inner::Started { .. } => Event::Started,
        Inner::Joined => Event::Joined,
        Inner::BecameGoose { term, reason } => {
            Event::BecameGoose { term, handed_over: reason == ElectionReason::HandedOver }
        }
        Inner::BecameDuck { term, reason } => {
            Event::BecameDuck { term, reason: crate::shell::journal::demoted(&reason) }
        }
        Inner::GooseChanged(goose) => Event::GooseChanged(goose.map(|goose| Goose::of(&goose))),
        Inner::MemberChanged { id, state, .. } => {
            Event::MemberChanged { id, state: MemberState::of(state) }
        }
        Inner::MemberForgotten { id, .. } => Event::MemberForgotten { id },
        Inner::Warning(warning) => Event::Warning(crate::shell::journal::warned(&warning, None)),
        _ => return None,
    })
}
