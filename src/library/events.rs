//! What happens in a node, as a program hears of it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::standing::Goose;
use super::status::MemberState;
use crate::config::words::for_a_program;
use crate::shell::handle::Handle;
use crate::vocabulary::event::{self, ElectionReason};
use crate::vocabulary::identity::NodeId;

/// Something that happened in a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The node takes part from here on.
    Started,
    /// The node has found its cluster.
    Joined,
    /// This node became Goose. Ask [`Node::leadership`](crate::Node::leadership) whether it still is.
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
    /// Others vote from here on, as far as this node knows.
    VotersChanged {
        /// Their ids, lowest first.
        ids: Vec<NodeId>,
    },
    /// Something that a person should look at, in words for people.
    Warning(String),
    /// This reader was too slow, and so many events were lost to it.
    Missed(u64),
}

/// The events of a node, from the moment that it was made. It is a `futures_core::Stream`, too, for
/// those who have the methods of `StreamExt` at hand.
///
/// ```no_run
/// # async fn example(node: gaggle::Node) {
/// let mut events = node.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # }
/// ```
pub struct Events {
    /// None while the next event is waited for.
    source: Option<Source>,
    /// Whoever waits owns the source, and gives it back.
    waiting: Option<Waiting>,
}

type Waiting = Pin<Box<dyn Future<Output = (Source, Option<Event>)> + Send + Sync>>;

struct Source {
    events: Receiver<event::Event>,
    handle: Handle,
}

impl Source {
    async fn next(mut self) -> (Self, Option<Event>) {
        loop {
            tokio::select! {
                biased;
                received = self.events.recv() => match received {
                    Ok(event) => {
                        if let Some(event) = told(event) {
                            return (self, Some(event));
                        }
                    }
                    Err(RecvError::Lagged(count)) => return (self, Some(Event::Missed(count))),
                    Err(RecvError::Closed) => return (self, None),
                },
                _ = self.handle.ended() => return (self, None),
            }
        }
    }
}

impl Events {
    pub(super) fn new(handle: Handle) -> Self {
        Self { source: Some(Source { events: handle.events(), handle }), waiting: None }
    }

    /// Waits for the next event. None: the node has ended. Cancelling it loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(source) = self.source.take() {
            self.waiting = Some(Box::pin(source.next()));
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(None) };
        let (source, event) = ready!(waiting.as_mut().poll(context));
        (self.source, self.waiting) = (Some(source), None);
        Poll::Ready(event)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Events").finish_non_exhaustive()
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
            let reason = for_a_program(&crate::shell::journal::demoted(&reason));
            Event::BecameDuck { term, reason }
        }
        Inner::GooseChanged(goose) => Event::GooseChanged(goose.map(|goose| Goose::of(&goose))),
        Inner::MemberChanged { id, state, .. } => {
            Event::MemberChanged { id, state: MemberState::of(state) }
        }
        Inner::MemberForgotten { id, .. } => Event::MemberForgotten { id },
        Inner::VotersChanged(configuration) => {
            Event::VotersChanged { ids: configuration.voters.ids().to_vec() }
        }
        Inner::Warning(warning) => {
            Event::Warning(for_a_program(&crate::shell::journal::warned(&warning, None)))
        }
        _ => return None,
    })
}
