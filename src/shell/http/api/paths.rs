//! The paths that the client asks, too. A path that nobody but the server needs stands in the
//! table of routes alone.

/// How the node stands.
pub const STATUS: &str = "/v1/status";
/// The Goose that it knows.
pub const GOOSE: &str = "/v1/goose";
/// Everybody it knows.
pub const MEMBERS: &str = "/v1/members";
/// The voters as it sees them.
pub const VOTERS: &str = "/v1/voters";
/// One voter, by the id of its node.
pub const VOTE: &str = "/v1/voters/{id}";
/// How a path ends that names a node.
pub const NAMED: &str = "{id}";
/// The terms that it has seen.
pub const HISTORY: &str = "/v1/history";
/// Server-sent events.
pub const EVENTS: &str = "/v1/events";
/// The order to hand over.
pub const STEP_DOWN: &str = "/v1/step-down";
/// The order to hold back until told otherwise.
pub const DRAIN: &str = "/v1/drain";
/// The order to make way for nobody by choice.
pub const PAUSE: &str = "/v1/pause";
/// The order to do so again.
pub const RESUME: &str = "/v1/resume";
/// The order to forget a member.
pub const FORGET: &str = "/v1/forget";
/// The order to leave.
pub const LEAVE: &str = "/v1/leave";
