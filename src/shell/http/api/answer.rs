//! How answers are made: a body, its media type, and that nobody may keep it.

use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::media_type::{EVENT_STREAM, JSON, TEXT};
use super::problem::Kind;

/// A few words.
pub(super) fn text(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = typed(TEXT, body);
    *response.status_mut() = status;
    response
}

/// A success of this media type.
pub(super) fn typed(media_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    unkept(Response::new(body.into()), media_type)
}

/// The asker is sent on, this once, by the same method.
pub(super) fn moved(url: &str) -> Response<Bytes> {
    let Ok(location) = HeaderValue::from_str(url) else {
        return Kind::Internal.with(format!("\"{url}\" is no URL")).response();
    };
    let mut response = typed(TEXT, format!("{url}\n"));
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A success without a body.
pub(super) fn empty() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The same answer, naming the methods that there are.
pub(super) fn allowing(mut response: Response<Bytes>, methods: &'static str) -> Response<Bytes> {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// A view as JSON, with a line break at its end.
pub(super) fn json<T: Serialize>(view: &T) -> Response<Bytes> {
    json_body(serde_json::to_vec(view).map(|mut body| {
        body.push(b'\n');
        body.into()
    }))
}

/// A JSON document that was written already.
pub(in crate::shell::http) fn json_body(body: Result<Bytes, serde_json::Error>) -> Response<Bytes> {
    match body {
        Ok(body) => typed(JSON, body),
        Err(error) => Kind::Internal.with(error.to_string()).response(),
    }
}

/// The head of a stream of events.
pub(in crate::shell::http) fn stream_head<B>(body: B) -> Response<B> {
    let mut response = unkept(Response::new(body), EVENT_STREAM);
    // Proxies that collect answers before they pass them on would make the stream useless.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn unkept<B>(mut response: Response<B>, media_type: &'static str) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
