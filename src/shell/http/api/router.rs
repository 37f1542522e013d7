//! Which question gets which answer: a pure function of the request, a snapshot and the holder
//! clock. No socket, no clock, no waiting.
//!
//! An order cannot be answered at once: for it, [`respond`] says which order it is, the server
//! reads the body, [`Order::parse`] understands it, and [`carried_out`] words the outcome.
//!
//! [`Order::parse`]: super::order::Order::parse
//! [`carried_out`]: super::order::carried_out

use hyper::body::Bytes;
use hyper::{Method, Response, Uri};
use percent_encoding::percent_decode_str;

use super::answer::{allowing, empty, stream_head};
use super::guard;
use super::order::OrderKind;
use super::paths;
use super::problem::{Kind, Problem};
use super::query::{Subscription, Wait};
use super::route::{Action, Guard, Handler, Request, Route};
use super::table::ROUTES;
use super::views::Moment;
use crate::config::token::Token;

/// The longest target of a request, in bytes.
pub const TARGET_SIZE_MAX: usize = 2048;

/// What to do with a request.
#[derive(Debug)]
pub enum Outcome {
    /// Send this.
    Answer(Response<Bytes>),
    /// Read the body and pass the order on; the sender is an operator.
    Order(OrderKind),
    /// Answer with this once the index has moved on or the time is over.
    Wait(Wait, Handler),
    /// Begin a stream of events.
    Events(Subscription),
}

/// The answer to `request` at this `moment`.
pub fn respond(request: Request<'_>, moment: &Moment<'_>, token: Option<&Token>) -> Outcome {
    if target_size(request.uri) > TARGET_SIZE_MAX {
        return Outcome::Answer(target_too_long().response());
    }
    let route = match admitted(request, token) {
        Ok(route) => route,
        Err(refusal) => return Outcome::Answer(*refusal),
    };
    let outcome = match route.action {
        _ if *request.method == Method::OPTIONS => {
            Ok(Outcome::Answer(options(route, request, moment)))
        }
        Action::Order { kind, .. } => Ok(Outcome::Order(kind)),
        Action::Vote => named(request).map(Outcome::Order),
        Action::Voters(_) if Route::orders(request.method) => Ok(Outcome::Order(OrderKind::Voters)),
        Action::Stream if *request.method == Method::GET => {
            Subscription::parse(request.uri.query(), request.headers).map(Outcome::Events)
        }
        Action::Stream => Ok(Outcome::Answer(stream_head(Bytes::new()))),
        Action::Poll(handler) if *request.method == Method::GET => {
            Wait::parse(request.uri.query()).map(|wait| match wait {
                // Another index than ours, below or above, is news to whoever asks.
                Some(wait) if wait.index == moment.snapshot.index => Outcome::Wait(wait, handler),
                _ => Outcome::Answer(handler(request, moment)),
            })
        }
        Action::Show(handler)
        | Action::Check { handler, .. }
        | Action::Poll(handler)
        | Action::Voters(handler) => Ok(Outcome::Answer(handler(request, moment))),
    };
    outcome.unwrap_or_else(|detail| Outcome::Answer(Kind::Malformed.with(detail).response()))
}

/// The order that a request gives of the node that its path names. Many clients write the colon of an
/// address by its number, as `%3A`.
fn named(request: Request<'_>) -> Result<OrderKind, String> {
    let name = request.uri.path().rsplit('/').next().unwrap_or_default();
    let id = percent_decode_str(name)
        .decode_utf8_lossy()
        .parse()
        .map_err(|error| format!("the path names no node: {error}"))?;
    Ok(OrderKind::Vote { id, votes: *request.method == Method::PUT })
}

/// Whether just the status is asked for, as it is now.
pub fn is_plain_status(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && uri.path() == paths::STATUS && uri.query().is_none()
}

/// The problem with a target that is too long.
pub(in crate::shell::http) fn target_too_long() -> Problem {
    Kind::TargetTooLong.with(format!("the target is longer than {TARGET_SIZE_MAX} bytes"))
}

/// How long a target is, in bytes, without writing it down.
fn target_size(uri: &Uri) -> usize {
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    uri.path_and_query().map_or(0, |target| target.as_str().len()) + authority
}

/// The route that `request` asks for, if there is one, its method is possible there, and its
/// sender may use it. What can be done there anybody may ask.
fn admitted(
    request: Request<'_>,
    token: Option<&Token>,
) -> Result<&'static Route, Box<Response<Bytes>>> {
    let path = request.uri.path();
    let Some(route) = ROUTES.iter().find(|route| route.matches(path)) else {
        let problem = Kind::NotFound.with(format!("{path} is not a resource here"));
        return Err(Box::new(problem.response()));
    };
    if !route.allows(request.method) {
        let method = request.method.as_str();
        return Err(Box::new(Problem::method_not_allowed(method, route.allow())));
    }
    if route.guard == Guard::Operator && Route::orders(request.method) {
        guard::check(request.peer, request.headers, token)
            .map_err(|refusal| Box::new(Kind::Forbidden.with(refusal.to_string()).response()))?;
    }
    Ok(route)
}

/// What can be done with `route`; of a check, what it says as well.
fn options(route: &Route, request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let answer = match route.action {
        Action::Check { handler, .. } => handler(request, moment),
        _ => empty(),
    };
    allowing(answer, route.allow())
}
