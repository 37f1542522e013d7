//! `/v1/events`: server-sent events, one reader at a time.
//!
//! ```text
//! retry: 1000
//! event: status     first, and every so often if asked for: the node as it is now
//! event: goose      id: 17, what happened, in the order in which it did
//! :                 nothing has happened for a while, and both sides are still there
//! event: end        the last one: why the stream ends, and whether to come back
//! ```
//!
//! A reader has a place in the shared history and no queue of its own, so a thousand of them
//! cost a thousand places. Who falls so far behind that the history has moved on is told and
//! dropped; who does not read at all is dropped by its connection, which looks at
//! [`Activity`].

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::api::history;
use super::api::query::Subscription;
use super::api::views::{GooseView, StatusView, VotersView};
use super::server::node_view::{NodeView, at_this_moment};
use super::server::options::Options;
use crate::shell::history::History;

/// Events that are put into one piece.
const PIECE_EVENTS_MAX: usize = 64;

/// What a `status` event carries.
#[derive(Serialize)]
struct StatusEvent {
    status: StatusView,
    goose: Option<GooseView>,
    voters: Option<VotersView>,
}

/// How a stream is doing, for the connection that carries it.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Whether there is one.
    streaming: AtomicBool,
    /// Counts the pieces that were asked for.
    pieces: AtomicU64,
}

impl Activity {
    pub(super) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Relaxed)
    }

    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }
}

/// One of a bounded number of places for readers; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    /// A place, if fewer than `most` are taken.
    pub(super) fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let more = |count: usize| (count < most).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a stream needs of its connection.
pub(super) struct Carrier<V> {
    pub(super) view: V,
    pub(super) history: watch::Receiver<Arc<History>>,
    pub(super) closing: watch::Receiver<bool>,
    pub(super) options: Arc<Options>,
    pub(super) busy: Arc<AtomicBool>,
    pub(super) activity: Arc<Activity>,
    /// Held for as long as the stream lives.
    pub(super) _place: Place,
}

struct Reader<V> {
    carrier: Carrier<V>,
    /// The next event to send.
    cursor: u64,
    greeting: bool,
    ended: bool,
    every: Option<Duration>,
    next_status: Instant,
}

/// The pieces of one stream, made one at a time and only when the last one is on its way.
pub(super) struct EventBody<V> {
    activity: Arc<Activity>,
    busy: Arc<AtomicBool>,
    next: Option<NextPiece<V>>,
}

type NextPiece<V> = Pin<Box<dyn Future<Output = (Option<Bytes>, Reader<V>)> + Send>>;

impl<V: NodeView> EventBody<V> {
    /// The stream that `subscription` asks for.
    pub(super) fn new(subscription: Subscription, carrier: Carrier<V>) -> Self {
        let (activity, busy) = (Arc::clone(&carrier.activity), Arc::clone(&carrier.busy));
        activity.streaming.store(true, Ordering::Relaxed);
        let cursor = {
            let history = carrier.history.borrow();
            match subscription.after {
                None => history.noted,
                // Further back than anything that is kept: the first look says that it is lost.
                Some(index) => history.after_index(index).unwrap_or(u64::MAX),
            }
        };
        let every = subscription.every;
        let next_status = Instant::now();
        let reader = Reader { carrier, cursor, greeting: true, ended: false, every, next_status };
        Self { activity, busy, next: Some(Box::pin(reader.piece())) }
    }
}

impl<V> Drop for EventBody<V> {
    fn drop(&mut self) {
        self.activity.streaming.store(false, Ordering::Relaxed);
        self.busy.store(false, Ordering::Relaxed);
    }
}

impl<V: NodeView> Body for EventBody<V> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.activity.pieces.fetch_add(1, Ordering::Relaxed);
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        match next.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((None, _)) => {
                self.next = None;
                Poll::Ready(None)
            }
            Poll::Ready((Some(piece), reader)) => {
                self.next = Some(Box::pin(reader.piece()));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
    }
}

impl<V: NodeView> Reader<V> {
    /// The next piece, as soon as there is one; none when the stream has ended.
    async fn piece(mut self) -> (Option<Bytes>, Self) {
        if self.ended {
            return (None, self);
        }
        if std::mem::take(&mut self.greeting) {
            let greeting = format!("retry: 1000\n\n{}", self.status());
            return (Some(greeting.into()), self);
        }
        let heartbeat = Instant::now() + self.carrier.options.heartbeat;
        loop {
            if let Some(piece) = self.news() {
                return (Some(piece.into()), self);
            }
            let due = self.every.map_or(heartbeat, |_| self.next_status.min(heartbeat));
            let mut closing = self.carrier.closing.clone();
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return self.end("stopping"),
                changed = self.carrier.history.changed() => if changed.is_err() {
                    return self.end("stopping");
                },
                () = sleep_until(due) => {
                    let piece = if self.every.is_some() && due == self.next_status {
                        self.status()
                    } else {
                        ":\n\n".to_owned()
                    };
                    return (Some(piece.into()), self);
                }
            }
        }
    }

    /// The next events, if there are any.
    fn news(&mut self) -> Option<String> {
        let history = Arc::clone(&self.carrier.history.borrow_and_update());
        if self.cursor == u64::MAX {
            // The reader comes back from too long ago, or from another process of this node.
            self.cursor = history.noted;
            return Some(format!(
                "event: gap\nid: {}\ndata: {{\"words\":\"events were lost: what happened since \
                 the last id is no longer kept\"}}\n\n",
                history.index
            ));
        }
        let Some(events) = history.since(self.cursor) else {
            let piece = ending("slow");
            self.ended = true;
            return Some(piece);
        };
        let snapshot = self.carrier.view.snapshot();
        let mut piece = String::new();
        for happening in events.take(PIECE_EVENTS_MAX) {
            let event = history::event(happening, &snapshot);
            let data = serde_json::to_string(&event).unwrap_or_default();
            let name = history::name(&happening.event);
            // Writing to a string cannot fail.
            let _ = write!(piece, "event: {name}\nid: {}\ndata: {data}\n\n", happening.index);
            self.cursor = happening.sequence + 1;
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// The node as it is now. It has no id: nothing happened.
    fn status(&mut self) -> String {
        if let Some(every) = self.every {
            self.next_status = Instant::now() + every;
        }
        let Carrier { view, history, options, .. } = &self.carrier;
        let event = at_this_moment(view, history, options, |_, moment| StatusEvent {
            status: moment.status(),
            goose: moment.goose(),
            voters: moment.voters(),
        });
        let data = serde_json::to_string(&event).unwrap_or_default();
        format!("event: status\ndata: {data}\n\n")
    }

    fn end(mut self, reason: &str) -> (Option<Bytes>, Self) {
        self.ended = true;
        (Some(ending(reason).into()), self)
    }
}

/// The last event of a stream.
fn ending(reason: &str) -> String {
    let words = match reason {
        "slow" => "you are too far behind: come back with the last id, or read the status anew",
        _ => "the node is stopping",
    };
    let data = format!("{{\"reason\":\"{reason}\",\"words\":\"{words}\"}}");
    format!("event: end\ndata: {data}\n\n")
}
