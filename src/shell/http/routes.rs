//! Which question gets which answer: a pure function of the request, a snapshot and the
//! holder clock. No socket, no clock, no waiting.
//!
//! An order cannot be answered at once: for it, [`respond`] says which order it is, the
//! server reads the body, [`Order::parse`] understands it, and [`carried_out`] words the
//! outcome.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::admin::{self, Peer, Token};
use super::history;
use super::metrics;
use super::page;
use super::problem::{Kind, Problem};
use super::query::{Subscription, Wait};
use super::views::{Moment, Role};
use crate::node::{ForgetError, StepDownError, SteppedDown};
use crate::shell::handle::OrderError;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Phase;

/// The longest target of a request, in bytes.
pub const TARGET_SIZE_MAX: usize = 2048;
/// The largest body of a request, in bytes.
pub const BODY_SIZE_MAX: usize = 4 * 1024;
/// The longest time a node can be told to hold back from contending.
pub const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const READ_METHODS: &str = "GET, HEAD, OPTIONS";
const ORDER_METHODS: &str = "POST, OPTIONS";

/// What a request says, its body aside.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// GET, POST and so on.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub peer: Peer,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Outcome {
    /// Send this.
    Answer(Response<Bytes>),
    /// Read the body and pass the order on; the sender is an operator.
    Order(OrderKind),
    /// Ask again, with [`answer_now`], once the index has moved on or the time is over.
    Wait(Wait),
    /// Begin a stream of events.
    Events(Subscription),
}

/// Which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// `POST /v1/step-down`
    StepDown,
    /// `POST /v1/forget`
    Forget,
    /// `POST /v1/leave`
    Leave,
}

/// An order with all it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Step down as Goose.
    StepDown {
        /// In favour of this node.
        to: Option<NodeId>,
        /// And do not contend for so long.
        hold: Option<Duration>,
    },
    /// Make the cluster forget a member that is down or has left.
    Forget {
        /// Which.
        id: NodeId,
    },
    /// Leave the cluster and end.
    Leave,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It stepped down.
    SteppedDown(SteppedDown),
    /// The member is forgotten.
    Forgot {
        /// Which.
        id: NodeId,
        /// It is a voter, and stays one.
        is_voter: bool,
    },
    /// It said goodbye.
    Left,
}

/// The answer to `request` at this `moment`.
pub fn respond(request: Request<'_>, moment: &Moment<'_>, token: Option<&Token>) -> Outcome {
    if target_size(request.uri) > TARGET_SIZE_MAX {
        return Outcome::Answer(target_too_long().response());
    }
    match request.uri.path() {
        "/v1/step-down" => order(request, token, OrderKind::StepDown),
        "/v1/forget" => order(request, token, OrderKind::Forget),
        "/v1/leave" => order(request, token, OrderKind::Leave),
        "/v1/events" if *request.method == Method::GET => {
            match Subscription::parse(request.uri.query(), request.headers) {
                Ok(subscription) => Outcome::Events(subscription),
                Err(detail) => Outcome::Answer(Kind::Malformed.with(detail).response()),
            }
        }
        "/v1/status" | "/v1/goose" if *request.method == Method::GET => {
            match Wait::parse(request.uri.query()) {
                // Another index than ours, below or above, is news to whoever asks.
                Ok(Some(wait)) if wait.index == moment.snapshot.index => Outcome::Wait(wait),
                Ok(_) => Outcome::Answer(answer_now(request, moment)),
                Err(detail) => Outcome::Answer(Kind::Malformed.with(detail).response()),
            }
        }
        _ => Outcome::Answer(answer_now(request, moment)),
    }
}

/// How long a target is, in bytes, without writing it down.
fn target_size(uri: &Uri) -> usize {
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    uri.path_and_query().map_or(0, |target| target.as_str().len()) + authority
}

/// Whether just the status is asked for, as it is now.
pub fn is_plain_status(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && uri.path() == "/v1/status" && uri.query().is_none()
}

/// The answer of everything that only looks, without any waiting.
pub fn answer_now(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    read(request, request.uri.path(), moment)
}

/// The head of a stream of events.
pub fn stream_head<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers before they pass them on would make the stream useless.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Everything that only looks.
fn read(request: Request<'_>, path: &str, moment: &Moment<'_>) -> Response<Bytes> {
    let answer: fn(Request<'_>, &Moment<'_>) -> Response<Bytes> = match path {
        "/" => front,
        "/goose" | "/leader" | "/primary" => is_goose,
        "/duck" | "/replica" => is_duck,
        "/livez" => alive,
        "/readyz" => ready,
        "/v1/status" => |_, moment| json(&moment.status()),
        "/v1/goose" => |_, moment| moment.goose().map_or_else(no_goose, |view| json(&view)),
        "/v1/members" => |_, moment| json(&moment.members()),
        "/v1/voters" => |_, moment| moment.voters().map_or_else(no_voters, |view| json(&view)),
        "/v1/history" => |_, moment| json(&history::history(moment.history, moment.now)),
        "/v1/events" => |_, _| stream_head(Bytes::new()),
        "/metrics" => metrics,
        "/dashboard.css" => |_, _| part_of_page("text/css; charset=utf-8", page::STYLE),
        "/dashboard.js" => |_, _| part_of_page("text/javascript; charset=utf-8", page::SCRIPT),
        "/v1/openapi.json" => |_, _| typed("application/json", OPENAPI),
        _ => return Kind::NotFound.with(format!("{path} is not a resource here")).response(),
    };
    match *request.method {
        Method::GET | Method::HEAD => answer(request, moment),
        // Load balancers ask with OPTIONS too, and mean the role by it.
        Method::OPTIONS if is_role_check(path) => allowing(answer(request, moment), READ_METHODS),
        Method::OPTIONS => allowing(empty(), READ_METHODS),
        _ => Problem::method_not_allowed(request.method.as_str(), READ_METHODS),
    }
}

fn is_role_check(path: &str) -> bool {
    matches!(path, "/goose" | "/leader" | "/primary" | "/duck" | "/replica")
}

fn order(request: Request<'_>, token: Option<&Token>, kind: OrderKind) -> Outcome {
    match *request.method {
        Method::POST => {}
        Method::OPTIONS => return Outcome::Answer(allowing(empty(), ORDER_METHODS)),
        _ => {
            let method = request.method.as_str();
            return Outcome::Answer(Problem::method_not_allowed(method, ORDER_METHODS));
        }
    }
    match admin::check(request.peer, request.headers, token) {
        Ok(()) => Outcome::Order(kind),
        Err(refusal) => Outcome::Answer(Kind::Forbidden.with(refusal.to_string()).response()),
    }
}

/// `/`: one word, or a page to a browser.
fn front(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    if accepts_html(request.headers) {
        return part_of_page("text/html; charset=utf-8", page::HTML);
    }
    word(StatusCode::OK, moment)
}

fn part_of_page(media_type: &'static str, body: &'static str) -> Response<Bytes> {
    let mut response = typed(media_type, body);
    let headers = response.headers_mut();
    headers.insert("content-security-policy", HeaderValue::from_static(page::POLICY));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

/// Whether a browser asks: it names text/html, which curl and health checks do not.
fn accepts_html(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
            html && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0"))
        })
    })
}

/// What the product answers, for programs that read such things. A test holds it against the
/// running server.
const OPENAPI: &str = include_str!("openapi.json");

fn metrics(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let format = metrics::Format::accepted(request.headers);
    typed(format.media_type(), metrics::render(moment, format))
}

fn typed(media_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = plain(StatusCode::OK, body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn is_goose(_: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let goose = Role::of(moment.snapshot, moment.now) == Role::Goose;
    word(if goose { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, moment)
}

/// A healthy Duck takes part; one that is joining, leaving or stuck is none.
fn is_duck(_: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let duck = Role::of(moment.snapshot, moment.now) == Role::Duck;
    let healthy = duck && moment.snapshot.phase == Phase::Serving && moment.has_pulse();
    word(if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, moment)
}

fn alive(_: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    if let Some(reason) = stuck(moment) {
        return Kind::NotAlive.with(reason).response();
    }
    if moment.snapshot.store_lost {
        return Kind::NotAlive
            .with("what writes this node's record has died: restart it")
            .response();
    }
    text(StatusCode::OK, "ok\n")
}

/// Why nothing that the node shows of itself can be relied on, if that is so.
fn stuck(moment: &Moment<'_>) -> Option<String> {
    if moment.pulse.ended {
        return Some("the node has ended: start it anew".to_owned());
    }
    let age = moment.pulse.age(moment.now);
    (!moment.has_pulse()).then(|| {
        format!("the node is stuck: its driver has not come round for {age:.1?}. Restart it")
    })
}

fn ready(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let reason = match moment.snapshot.phase {
        Phase::Starting => Some("its first record is being written"),
        Phase::Joining => Some("it has not joined its cluster yet"),
        Phase::Leaving => Some("it is leaving"),
        Phase::Serving => None,
    };
    if let Some(reason) = stuck(moment) {
        return Kind::NotReady.with(reason).response();
    }
    if let Some(reason) = reason {
        return Kind::NotReady.with(format!("the node is not ready: {reason}")).response();
    }
    let query = request.uri.query().unwrap_or_default();
    let asks_goose = query.split('&').any(|pair| pair.split('=').next() == Some("goose"));
    if asks_goose && moment.goose().is_none() { no_goose() } else { text(StatusCode::OK, "ok\n") }
}

/// The problem with a target that is too long.
pub(super) fn target_too_long() -> Problem {
    Kind::TargetTooLong.with(format!("the target is longer than {TARGET_SIZE_MAX} bytes"))
}

fn no_goose() -> Response<Bytes> {
    Kind::NoGoose.with("this node knows no Goose at the moment").response()
}

fn no_voters() -> Response<Bytes> {
    Kind::NotReady.with("this node has not learned its cluster's voters yet").response()
}

fn word(status: StatusCode, moment: &Moment<'_>) -> Response<Bytes> {
    match Role::of(moment.snapshot, moment.now) {
        Role::Goose => text(status, "Goose\n"),
        Role::Duck => text(status, "Duck\n"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Bytes> {
    plain(status, Bytes::from_static(body.as_bytes()))
}

fn plain(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn empty() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn allowing(mut response: Response<Bytes>, methods: &'static str) -> Response<Bytes> {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn json<T: Serialize>(view: &T) -> Response<Bytes> {
    json_body(serde_json::to_vec(view).map(|mut body| {
        body.push(b'\n');
        body.into()
    }))
}

/// A JSON document that was written already.
pub(super) fn json_body(body: Result<Bytes, serde_json::Error>) -> Response<Bytes> {
    match body {
        Ok(body) => typed("application/json", body),
        Err(error) => Kind::Internal.with(error.to_string()).response(),
    }
}

/// The body of `POST /v1/step-down`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepDownBody {
    #[serde(default)]
    to: Option<Named>,
    #[serde(default)]
    hold_ms: Option<u64>,
}

/// The body of `POST /v1/forget`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetBody {
    id: Named,
}

/// A node as a person names it: by number or by address.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Number(u64),
    Text(String),
}

impl Named {
    /// The id that is meant; `field` said it.
    fn id(self, field: &str) -> Result<NodeId, String> {
        let id = match self {
            Self::Number(number) => NodeId::new(number),
            Self::Text(text) => text.parse(),
        };
        id.map_err(|error| format!("\"{field}\": {error}"))
    }
}

/// The fields of a body. By way of a map, because an array would do for a struct otherwise.
fn fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let fields = serde_json::from_slice::<serde_json::Map<_, _>>(body);
    fields.and_then(|fields| serde_json::from_value(fields.into()))
}

impl Order {
    /// The order that `body` describes.
    ///
    /// # Errors
    /// The answer to a body that describes none.
    pub fn parse(kind: OrderKind, body: &[u8]) -> Result<Self, Box<Response<Bytes>>> {
        let malformed = |detail: String| Box::new(Kind::Malformed.with(detail).response());
        let empty = body.trim_ascii().is_empty();
        match kind {
            OrderKind::Leave => Ok(Self::Leave),
            OrderKind::Forget => {
                let body: ForgetBody = fields(body).map_err(|error| {
                    malformed(format!("the body is not {{\"id\":ID}}: {error}"))
                })?;
                Ok(Self::Forget { id: body.id.id("id").map_err(malformed)? })
            }
            OrderKind::StepDown if empty => Ok(Self::StepDown { to: None, hold: None }),
            OrderKind::StepDown => {
                let body: StepDownBody = fields(body).map_err(|error| {
                    malformed(format!(
                        "the body is not {{\"to\":ID,\"hold_ms\":N}}, both optional: {error}"
                    ))
                })?;
                let to = body.to.map(|named| named.id("to")).transpose().map_err(malformed)?;
                let hold = body.hold_ms.map(Duration::from_millis);
                if hold.is_some_and(|hold| hold > HOLD_MAX) {
                    let limit = HOLD_MAX.as_millis();
                    return Err(malformed(format!("\"hold_ms\" may be {limit} (a day) at most")));
                }
                Ok(Self::StepDown { to, hold })
            }
        }
    }
}

/// The answer of `POST /v1/step-down`.
#[derive(Serialize)]
struct SteppedDownView {
    term: u64,
    nominee: Option<NodeId>,
}

/// The answer of `POST /v1/forget`.
#[derive(Serialize)]
struct ForgotView {
    id: NodeId,
    is_voter: bool,
}

/// The answer of `POST /v1/leave`.
#[derive(Serialize)]
struct LeftView {
    left: bool,
}

/// The answer to an order, once it is known what became of it.
pub fn carried_out(outcome: Result<Done, OrderError>) -> Response<Bytes> {
    match outcome {
        Ok(Done::SteppedDown(SteppedDown { term, nominee })) => {
            json(&SteppedDownView { term, nominee })
        }
        Ok(Done::Forgot { id, is_voter }) => json(&ForgotView { id, is_voter }),
        Ok(Done::Left) => json(&LeftView { left: true }),
        Err(error) => {
            let kind = match error {
                OrderError::Refused(StepDownError::NotGoose | StepDownError::Lapsed { .. }) => {
                    Kind::NotTheGoose
                }
                OrderError::Refused(StepDownError::UnknownNominee(_)) => Kind::NoSuchStandby,
                OrderError::Refused(StepDownError::NoStandby) => Kind::NoStandby,
                OrderError::NotForgotten(ForgetError::Unknown(_)) => Kind::NoSuchMember,
                OrderError::NotForgotten(ForgetError::Own(_) | ForgetError::Present(_)) => {
                    Kind::MemberPresent
                }
                OrderError::Unavailable | OrderError::Refused(StepDownError::WorkGoesOn) => {
                    Kind::Unavailable
                }
            };
            kind.with(error.to_string()).response()
        }
    }
}
