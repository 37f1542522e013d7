//! The dashboard that a browser gets at `/`: three files, embedded. They hold nothing of the
//! node; the script asks for everything, and puts it in as text. Nothing is loaded from
//! elsewhere, so it works offline, and the policy forbids all else.

use hyper::Response;
use hyper::body::Bytes;
use hyper::header::HeaderValue;

use super::answer::typed;
use super::media_type::{CSS, HTML, JAVASCRIPT};

/// What the page may do: load its own style and script, and ask the node it came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src data:; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'";

/// The page.
pub(super) fn page() -> Response<Bytes> {
    part(HTML, include_str!("index.html"))
}

/// Its style.
pub(super) fn style() -> Response<Bytes> {
    part(CSS, include_str!("dashboard.css"))
}

/// Its script.
pub(super) fn script() -> Response<Bytes> {
    part(JAVASCRIPT, include_str!("dashboard.js"))
}

fn part(media_type: &'static str, body: &'static str) -> Response<Bytes> {
    let mut response = typed(media_type, body);
    let headers = response.headers_mut();
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}
