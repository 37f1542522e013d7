//! What a node can be asked over HTTP, and what it answers. Pure: no socket, no clock, no
//! waiting.
//!
//! ```text
//! request -> router -- table of routes -> handler -> views, problem, metrics, dashboard
//!                  \-- guard -----------> order   (carried out by the server)
//!            table --> openapi            (the document describes what the table holds)
//! ```
//!
//! A resource is written once, in the table of routes: its paths, who may use it, how it is
//! answered, and how the OpenAPI document describes it. The client shares with the server what
//! both must agree on: [`paths`], [`views`], [`history`] and the problems.

pub(super) mod agent_check;
mod answer;
mod dashboard;
mod date;
pub mod guard;
mod handlers;
pub mod history;
mod media_type;
mod metrics;
mod openapi;
pub mod order;
pub mod paths;
pub(super) mod problem;
pub mod query;
pub mod route;
pub mod router;
pub(super) mod table;
pub mod views;
pub mod voters;
mod words;

pub(super) use answer::{json_body, stream_head};
