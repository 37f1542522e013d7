//! One connection from its first byte to its last: hyper in the middle, limits around it.
//!
//! What is measured here and not by hyper: the time a body and an order take, the age of the
//! connection, and the lingering close: whoever was refused while still sending must be able
//! to read why, so what it sends is thrown away for a moment instead of being answered by a
//! reset.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::bare_refusal::Stream;
use super::node_view::{NodeView, at_this_moment};
use super::options::Options;
use super::status_cache::RecentStatus;
use crate::shell::handle::OrderError;
use crate::shell::history::History;
use crate::shell::http::api::guard::Peer;
use crate::shell::http::api::order::{self, BODY_SIZE_MAX, Done, Order, OrderKind};
use crate::shell::http::api::problem::{Kind, Problem};
use crate::shell::http::api::query::{Subscription, Wait};
use crate::shell::http::api::route;
use crate::shell::http::api::router::{self, Outcome};
use crate::shell::http::api::views::Moment;
use crate::shell::http::api::{json_body, stream_head};
use crate::shell::http::events::{Activity, Carrier, EventBody, Place};
use crate::vocabulary::snapshot::Snapshot;

/// The largest head, in bytes.
const HEAD_SIZE_MAX: usize = 16 * 1024;
/// The most headers.
const HEADERS_MAX: usize = 100;
/// What hyper buffers at most of one connection, in each direction.
const BUFFER_SIZE_MAX: usize = 2 * HEAD_SIZE_MAX;
/// An answer that was begun when the connection grew too old has so long to be written.
const LAST_ANSWER: Duration = Duration::from_secs(15);
/// After the last answer, so much more is read and thrown away at most.
const LINGER_SIZE: usize = 1024 * 1024;

/// One connection's surroundings.
pub(super) struct Connection<V> {
    pub(super) view: V,
    pub(super) options: Arc<Options>,
    /// Of all connections.
    pub(super) status: Arc<RecentStatus>,
    pub(super) peer: Peer,
    /// Whether a request is being answered.
    pub(super) busy: Arc<AtomicBool>,
    /// Whether a request was refused before all of it was read.
    pub(super) unread: AtomicBool,
    /// The past, from the server's own copy: readers do not burden the node.
    pub(super) history: watch::Receiver<Arc<History>>,
    /// How many wait or read events, on all connections.
    pub(super) readers: Arc<AtomicUsize>,
    /// Whether the server is going.
    pub(super) closing: watch::Receiver<bool>,
    /// How this connection's stream is doing.
    pub(super) activity: Arc<Activity>,
    /// Whether this connection is too old to wait on.
    pub(super) aged: watch::Sender<bool>,
}

type Answer<V> = Response<Either<Full<Bytes>, EventBody<V>>>;

impl<V: NodeView> Connection<V> {
    /// Serves `stream` to its end.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let mut closing = self.closing.clone();
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_header_size(HEAD_SIZE_MAX)
            .max_buf_size(BUFFER_SIZE_MAX);
        let service = service_fn(|request| Box::pin(self.answer(request)));
        let linger_max = self.options.linger;
        let mut connection = builder.serve_connection(TokioIo::new(Stream::new(stream)), service);
        let mut outcome = tokio::select! {
            outcome = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(outcome),
            () = self.age() => None,
            // It takes nothing any more: there is nobody to say goodbye to.
            () = self.stall() => return,
            _ = closing.wait_for(|closing| *closing) => None,
        };
        if outcome.is_none() {
            Pin::new(&mut connection).graceful_shutdown();
            let rest = poll_fn(|context| connection.poll_without_shutdown(context));
            outcome = timeout(LAST_ANSWER, rest).await.ok();
        }
        let Some(outcome) = outcome else {
            return;
        };
        let parts = connection.into_parts();
        let (mut stream, refusal) = parts.io.into_inner().into_parts();
        // Silence on an idle connection deserves no answer, an unfinished head does.
        let unfinished =
            outcome.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty();
        let problem = match refusal {
            Some(status) => Some(unparsed(status)),
            None if unfinished => {
                let limit = self.options.header_timeout;
                let detail = format!("the request's head did not arrive within {limit:?}");
                Some(Kind::Timeout.with(detail))
            }
            None => None,
        };
        let more = !parts.read_buf.is_empty() || self.unread.load(Ordering::Relaxed);
        if let Some(problem) = &problem {
            let answer = written_out(&closing_answer(problem.response()));
            let _ = timeout(linger_max, stream.write_all(&answer)).await;
        }
        if *closing.borrow() && problem.is_none() && !more {
            // All was read and answered: nothing will be sent that could cause a reset, and
            // the node wants to be gone.
            let _ = timeout(linger_max, stream.shutdown()).await;
            return;
        }
        let _ = timeout(linger_max, linger(stream)).await;
    }

    /// Answers whoever cannot be understood, and parts with them.
    #[cfg(feature = "tls")]
    pub(super) async fn refuse<S>(self, mut stream: S, problem: &Problem)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let answer = written_out(&closing_answer(problem.response()));
        let _ = timeout(self.options.linger, stream.write_all(&answer)).await;
        let _ = timeout(self.options.linger, linger(stream)).await;
    }

    /// Done when the connection is too old for another request. A stream has no end of its own,
    /// so its age is no reason.
    async fn age(&self) {
        sleep(self.options.connection_age_max).await;
        self.aged.send_replace(true);
        while self.activity.is_streaming() {
            sleep(self.options.heartbeat).await;
        }
    }

    /// Done when a stream's reader takes nothing for two heartbeats.
    async fn stall(&self) {
        let mut last = None;
        loop {
            sleep(self.options.heartbeat * 2).await;
            let pieces = self.activity.pieces();
            if self.activity.is_streaming() && last == Some(pieces) {
                return;
            }
            last = self.activity.is_streaming().then_some(pieces);
        }
    }

    /// Answers one request.
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer<V>, Infallible> {
        self.busy.store(true, Ordering::Relaxed);
        let response = self.respond(request).await;
        // A stream keeps its connection busy until it ends.
        if !self.activity.is_streaming() {
            self.busy.store(false, Ordering::Relaxed);
        }
        if response.headers().contains_key(CONNECTION) {
            self.unread.store(true, Ordering::Relaxed);
        }
        Ok(response)
    }

    async fn respond(&self, request: Request<Incoming>) -> Answer<V> {
        let (parts, body) = request.into_parts();
        if body.size_hint().lower() > BODY_SIZE_MAX as u64 {
            return whole(too_large());
        }
        let request = route::Request {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            peer: self.peer,
        };
        if router::is_plain_status(&parts.method, &parts.uri) {
            let body = self.at_this_moment(|snapshot, moment| self.status.body(snapshot, moment));
            return whole(json_body(body));
        }
        let token = self.options.admin_token.as_ref();
        match self.at_this_moment(|_, moment| router::respond(request, moment, token)) {
            Outcome::Answer(response) => whole(response),
            Outcome::Order(kind) => whole(self.order(kind, body).await),
            Outcome::Wait(wait, handler) => {
                let Some(_place) = self.place() else { return whole(self.too_many()) };
                self.wait(wait).await;
                whole(self.at_this_moment(|_, moment| handler(request, moment)))
            }
            Outcome::Events(subscription) => {
                let Some(place) = self.place() else { return whole(self.too_many()) };
                stream_head(Either::Right(self.events(subscription, place)))
            }
        }
    }

    fn at_this_moment<T>(&self, answer: impl FnOnce(&Arc<Snapshot>, &Moment<'_>) -> T) -> T {
        at_this_moment(&self.view, &self.history, &self.options, answer)
    }

    fn place(&self) -> Option<Place> {
        Place::take(&self.readers, self.options.readers_max)
    }

    fn too_many(&self) -> Response<Bytes> {
        let most = self.options.readers_max;
        let detail = format!("{most} others are waiting or reading events here: try again later");
        Kind::TooManyReaders.with(detail).response()
    }

    /// Waits until the index has moved on, the time is over, or the connection is about to end.
    async fn wait(&self, wait: Wait) {
        let (mut history, mut closing) = (self.history.clone(), self.closing.clone());
        let mut aged = self.aged.subscribe();
        tokio::select! {
            _ = history.wait_for(|history| history.index > wait.index) => {}
            () = sleep(wait.wait) => {}
            _ = closing.wait_for(|closing| *closing) => {}
            _ = aged.wait_for(|aged| *aged) => {}
        }
    }

    fn events(&self, subscription: Subscription, place: Place) -> EventBody<V> {
        let carrier = Carrier {
            view: self.view.clone(),
            history: self.history.clone(),
            closing: self.closing.clone(),
            options: Arc::clone(&self.options),
            busy: Arc::clone(&self.busy),
            activity: Arc::clone(&self.activity),
            _place: place,
        };
        EventBody::new(subscription, carrier)
    }

    async fn order(&self, kind: OrderKind, body: Incoming) -> Response<Bytes> {
        let body = Limited::new(body, BODY_SIZE_MAX).collect();
        let body = match timeout(self.options.body_timeout, body).await {
            Err(_) => {
                let limit = self.options.body_timeout;
                let detail = format!("the body did not arrive within {limit:?}");
                return closing_answer(Kind::Timeout.with(detail).response());
            }
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return too_large();
            }
            Ok(Err(error)) => {
                return closing_answer(Kind::Malformed.with(error.to_string()).response());
            }
            Ok(Ok(body)) => body.to_bytes(),
        };
        let order = match Order::parse(kind, &body) {
            Ok(order) => order,
            Err(response) => return *response,
        };
        match timeout(self.options.order_timeout, self.carry_out(order)).await {
            Ok(outcome) => at_this_moment(&self.view, &self.history, &self.options, |_, moment| {
                order::carried_out(outcome, moment)
            }),
            Err(_) => {
                let detail = "the order was given and may still be carried out: ask /v1/status";
                Kind::OrderTimeout.with(detail).response()
            }
        }
    }

    async fn carry_out(&self, order: Order) -> Result<Done, OrderError> {
        match order {
            Order::StepDown { to, hold } => {
                self.view.step_down(to, hold).await.map(Done::SteppedDown)
            }
            Order::Drain { is_drained } => self.view.drain(is_drained).await.map(Done::Drained),
            Order::Pause { lasts } => self.view.pause(lasts).await.map(Done::Paused),
            Order::Voters(order) => self.view.change_voters(order).await.map(Done::Voters),
            Order::Forget { id } => {
                let voters = self.view.snapshot().voters.clone();
                let is_voter =
                    voters.is_some_and(|voters| voters.configuration.voters.contains(id));
                self.view.forget(id).await.map(|()| Done::Forgot { id, is_voter })
            }
            Order::Reload => match &self.options.reloader {
                Some(reloader) => {
                    reloader.reload().await.map(Done::Reloaded).ok_or(OrderError::Unavailable)
                }
                None => {
                    let words = "this node's settings are those of the program that started it";
                    Ok(Done::Reloaded(Err(words.to_owned())))
                }
            },
            Order::Leave => self.view.leave().await.map(|()| Done::Left),
        }
    }
}

fn whole<V>(response: Response<Bytes>) -> Answer<V> {
    response.map(|body| Either::Left(Full::new(body)))
}

/// What hyper's parser refused with `status`.
fn unparsed(status: StatusCode) -> Problem {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Kind::HeadersTooLarge.with(format!(
            "the request's head has more than {HEAD_SIZE_MAX} bytes or {HEADERS_MAX} headers"
        )),
        StatusCode::URI_TOO_LONG => router::target_too_long(),
        _ => Kind::Malformed.with("this is no HTTP/1.1 request"),
    }
}

fn too_large() -> Response<Bytes> {
    let detail = format!("the body is larger than {BODY_SIZE_MAX} bytes");
    closing_answer(Kind::BodyTooLarge.with(detail).response())
}

/// The last answer of a connection: what follows on it is not read as a request.
fn closing_answer(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// An answer as bytes, for when hyper has already given up on the request.
fn written_out(response: &Response<Bytes>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
        .extend_from_slice(format!("content-length: {}\r\n\r\n", response.body().len()).as_bytes());
    bytes.extend_from_slice(response.body());
    bytes
}

/// Ends our side and throws away what still comes from the other, so that the last answer is
/// not lost to a reset.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = [0; 8 * 1024];
    let mut discarded = 0;
    while discarded < LINGER_SIZE {
        match stream.read(&mut rest).await {
            Ok(0) | Err(_) => return,
            Ok(count) => discarded += count,
        }
    }
}
