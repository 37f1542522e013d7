//! How the routes that only look are answered.

use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Method, Response, StatusCode, Uri};

use super::answer::{json, moved, text, typed};
use super::dashboard;
use super::metrics::{self, Format};
use super::problem::Kind;
use super::query;
use super::route::Request;
use super::views::{Moment, Role, scheme};
use crate::vocabulary::snapshot::Phase;

/// `/`: one word, or a page to a browser.
pub(super) fn front(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    if accepts_html(request.headers) {
        return dashboard::page();
    }
    word(StatusCode::OK, moment)
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

pub(super) fn metrics(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let format = Format::accepted(request.headers);
    typed(format.media_type(), metrics::render(moment, format))
}

pub(super) fn is_goose(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let goose = Role::of(moment.snapshot, moment.now) == Role::Goose;
    // Whoever asks what can be done here asks for nobody's address.
    let query = request.uri.query().filter(|_| *request.method != Method::OPTIONS);
    match query::redirect(query).as_deref() {
        // It is here.
        Some("") if goose => {}
        Some("") => return to_http_of_goose(request.uri.path(), moment),
        Some(tag) => return to_service_of_goose(tag, moment),
        None => {}
    }
    word(if goose { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, moment)
}

/// The same check, asked of the Goose. Without the wish to be sent on: what this node knows may be
/// out of date, and then two nodes would send the asker to and fro.
fn to_http_of_goose(path: &str, moment: &Moment<'_>) -> Response<Bytes> {
    let Some(goose) = moment.goose() else { return no_goose() };
    match goose.http {
        Some(http) => moved(&format!("{}://{http}{path}", scheme(goose.http_tls))),
        None => {
            let detail = format!("the Goose, node {}, serves no HTTP", goose.called());
            Kind::NoAddress.with(detail).response()
        }
    }
}

/// Where the Goose's tag of this key leads.
fn to_service_of_goose(tag: &str, moment: &Moment<'_>) -> Response<Bytes> {
    let Some(goose) = moment.goose() else { return no_goose() };
    let called = goose.called();
    let detail = match goose.tags.get(tag) {
        Some(url) if is_url(url) => return moved(url),
        Some(other) => format!(
            "the tag {tag} of the Goose, node {called}, is \"{other}\" and no URL: write it like \
             http://10.0.0.1:8080"
        ),
        None => format!(
            "the Goose, node {called}, has no such tag that this node knows of: give each node --tag \
             with the URL of its service"
        ),
    };
    Kind::NoAddress.with(detail).response()
}

/// Whether a client that follows redirections can go there.
fn is_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    })
}

/// A healthy Duck takes part; one that is joining, leaving, stuck or not healthy is none.
pub(super) fn is_duck(_: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let duck = Role::of(moment.snapshot, moment.now) == Role::Duck;
    let healthy = duck
        && moment.snapshot.unhealthy.is_none()
        && moment.snapshot.phase == Phase::Serving
        && moment.has_pulse();
    word(if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, moment)
}

pub(super) fn is_alive(_: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
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

pub(super) fn is_ready(request: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
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

pub(super) fn goose(_: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    moment.goose().map_or_else(no_goose, |view| json(&view))
}

pub(super) fn voters(_: Request<'_>, moment: &Moment<'_>) -> Response<Bytes> {
    let unknown =
        || Kind::NotReady.with("this node has not learned its cluster's voters yet").response();
    moment.voters().map_or_else(unknown, |view| json(&view))
}

fn no_goose() -> Response<Bytes> {
    Kind::NoGoose.with("this node knows no Goose at the moment").response()
}

fn word(status: StatusCode, moment: &Moment<'_>) -> Response<Bytes> {
    match Role::of(moment.snapshot, moment.now) {
        Role::Goose => text(status, "Goose\n"),
        Role::Duck => text(status, "Duck\n"),
    }
}
