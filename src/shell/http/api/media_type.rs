//! The media types of all answers.

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const JSON: &str = "application/json";
/// What went wrong, as RFC 9457 describes it.
pub(super) const PROBLEM: &str = "application/problem+json";
/// Server-sent events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// The text format of Prometheus.
pub(super) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
