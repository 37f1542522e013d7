//! The table of routes: every resource of a node, once. The router, the Allow headers, the guard
//! of orders and the OpenAPI document all come from here.
//!
//! A new resource is one more entry. What it shows is a view ([`super::views`]), whose schema
//! stands in `openapi.json` and is held against the answers by a test.

use std::sync::LazyLock;

use hyper::Response;
use hyper::body::Bytes;

use super::answer::{json, typed};
use super::media_type::{
    CSS, EVENT_STREAM, HTML, JAVASCRIPT, JSON, OPENMETRICS, PROBLEM, PROMETHEUS, TEXT,
};
use super::order::OrderKind;
use super::problem::Kind;
use super::route::{Action, Answer, Body, Guard, Parameter, Route, Schema};
use super::{dashboard, handlers, history, openapi, paths};

/// Every resource.
pub(in crate::shell::http) static ROUTES: &[Route] = &[
    Route {
        paths: &["/"],
        guard: Guard::Open,
        action: Action::Show(handlers::front),
        summary: "Goose or Duck; to a browser the dashboard.",
        parameters: &[],
        answers: &[Answer::text(200, "One word and a newline.", &[TEXT, HTML])],
    },
    Route {
        paths: &["/goose", "/leader", "/primary"],
        guard: Guard::Open,
        action: Action::Check { handler: handlers::is_goose, success: "It is the Goose." },
        summary: "Whether this node is the Goose, for load balancers; or the way to the Goose.",
        parameters: &[Parameter::query(
            "redirect",
            Schema::Text,
            "If it is not, lead to the HTTP address of the Goose; with the key of a tag, always lead \
             to the URL that the Goose's tag has.",
        )],
        answers: &[
            Answer::text(200, "It is the Goose at the moment of the answer.", &[TEXT]),
            Answer::text(307, "The URL, in Location and as the body.", &[TEXT]),
            Answer::text(
                503,
                "It is not; or, asked to lead on, it knows no Goose, or no such address of it.",
                &[TEXT, PROBLEM],
            ),
        ],
    },
    Route {
        paths: &["/duck", "/replica"],
        guard: Guard::Open,
        action: Action::Check { handler: handlers::is_duck, success: "It is a healthy Duck." },
        summary: "Whether this node is a healthy Duck, for load balancers.",
        parameters: &[],
        answers: &[
            Answer::text(200, "It is a healthy Duck at the moment of the answer.", &[TEXT]),
            Answer::text(503, "It is not.", &[TEXT]),
        ],
    },
    Route {
        paths: &["/livez"],
        guard: Guard::Open,
        action: Action::Show(handlers::is_alive),
        summary: "Whether the process is alive.",
        parameters: &[],
        answers: &[
            Answer::text(200, "It is.", &[TEXT]),
            Answer::problem(503, "Only a restart helps."),
        ],
    },
    Route {
        paths: &["/readyz"],
        guard: Guard::Open,
        action: Action::Show(handlers::is_ready),
        summary: "Whether the node has joined and serves.",
        parameters: &[Parameter::query("goose", Schema::Text, "Ask for a known Goose, too.")],
        answers: &[
            Answer::text(200, "It does.", &[TEXT]),
            Answer::problem(503, "Not yet, or no more."),
        ],
    },
    Route {
        paths: &[paths::STATUS],
        guard: Guard::Open,
        action: Action::Poll(|_, moment| json(&moment.status())),
        summary: "This node.",
        parameters: &[],
        answers: &[
            Answer::json(200, "How it stands.", "Status"),
            Answer::problem(503, "Too many others wait here."),
        ],
    },
    Route {
        paths: &[paths::GOOSE],
        guard: Guard::Open,
        action: Action::Poll(handlers::goose),
        summary: "The Goose that this node knows.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Who it is.", "Goose"),
            Answer::problem(503, "None is known, or too many others wait here."),
        ],
    },
    Route {
        paths: &[paths::MEMBERS],
        guard: Guard::Open,
        action: Action::Show(|_, moment| json(&moment.members())),
        summary: "Everybody this node knows.",
        parameters: &[],
        answers: &[Answer::json(200, "Lowest id first.", "Members")],
    },
    Route {
        paths: &[paths::VOTERS],
        guard: Guard::Operator,
        action: Action::Voters(handlers::voters),
        summary: "The voters as this node sees them.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Lowest id first.", "Voters"),
            Answer::problem(503, "Not known yet."),
        ],
    },
    Route {
        paths: &[paths::VOTE],
        guard: Guard::Operator,
        action: Action::Vote,
        summary: "As Goose, lead to a set of voters with this node, or without it.",
        parameters: &[],
        answers: &[],
    },
    Route {
        paths: &[paths::HISTORY],
        guard: Guard::Open,
        action: Action::Show(|_, moment| json(&history::history(moment))),
        summary: "The terms that this process has seen.",
        parameters: &[],
        answers: &[Answer::json(200, "Oldest first.", "History")],
    },
    Route {
        paths: &[paths::EVENTS],
        guard: Guard::Open,
        action: Action::Stream,
        summary: "Server-sent events, from now on or after Last-Event-ID.",
        parameters: &[
            Parameter::query("index", Schema::Index, "As Last-Event-ID, which is stronger."),
            Parameter::query(
                "every",
                Schema::Span,
                "Send a status event this often, too: 250ms, 1s. 100ms at least.",
            ),
            Parameter::header(
                "Last-Event-ID",
                Schema::Index,
                "Send what happened after this index first.",
            ),
        ],
        answers: &[
            Answer::text(
                200,
                "A stream. It begins with a status event; gap says that events were lost, end is the last one.",
                &[EVENT_STREAM],
            ),
            Answer::problem(503, "Too many others read here."),
        ],
    },
    Route {
        paths: &["/metrics"],
        guard: Guard::Open,
        action: Action::Show(handlers::metrics),
        summary: "What the node counts.",
        parameters: &[],
        answers: &[Answer::text(
            200,
            "Prometheus text, or OpenMetrics if Accept names it.",
            &[PROMETHEUS, OPENMETRICS],
        )],
    },
    Route {
        paths: &["/dashboard.css"],
        guard: Guard::Open,
        action: Action::Show(|_, _| dashboard::style()),
        summary: "A part of the dashboard.",
        parameters: &[],
        answers: &[Answer::text(200, "Its style.", &[CSS])],
    },
    Route {
        paths: &["/dashboard.js"],
        guard: Guard::Open,
        action: Action::Show(|_, _| dashboard::script()),
        summary: "A part of the dashboard.",
        parameters: &[],
        answers: &[Answer::text(200, "Its script.", &[JAVASCRIPT])],
    },
    Route {
        paths: &["/v1/openapi.json"],
        guard: Guard::Open,
        action: Action::Show(|_, _| document()),
        summary: "This document.",
        parameters: &[],
        answers: &[Answer {
            status: 200,
            description: "OpenAPI 3.1.",
            media_types: &[JSON],
            schema: Schema::Object,
        }],
    },
    Route {
        paths: &[paths::STEP_DOWN],
        guard: Guard::Operator,
        action: Action::Order {
            kind: OrderKind::StepDown,
            body: Some(Body { schema: "StepDown", required: false }),
        },
        summary: "Hand over and be a Duck.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Done.", "SteppedDown"),
            Answer::problem(409, "Not the Goose, or no such standby."),
        ],
    },
    Route {
        paths: &[paths::DRAIN],
        guard: Guard::Operator,
        action: Action::Order {
            kind: OrderKind::Drain,
            body: Some(Body { schema: "Drain", required: false }),
        },
        summary: "Hand over and hold back until told otherwise, also after a restart; or end that.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Done.", "Drained"),
            Answer::problem(409, "It leads, and nobody could take over."),
        ],
    },
    Route {
        paths: &[paths::PAUSE],
        guard: Guard::Operator,
        action: Action::Order {
            kind: OrderKind::Pause,
            body: Some(Body { schema: "Pause", required: false }),
        },
        summary: "As Goose, make way for nobody by choice for a while. Ends with the term.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Done.", "Paused"),
            Answer::problem(409, "Not the Goose; the detail names it."),
        ],
    },
    Route {
        paths: &[paths::RESUME],
        guard: Guard::Operator,
        action: Action::Order { kind: OrderKind::Resume, body: None },
        summary: "End a pause.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Done.", "Paused"),
            Answer::problem(409, "Not the Goose; the detail names it."),
        ],
    },
    Route {
        paths: &[paths::FORGET],
        guard: Guard::Operator,
        action: Action::Order {
            kind: OrderKind::Forget,
            body: Some(Body { schema: "Forget", required: true }),
        },
        summary: "Make the cluster forget a member that is down or has left. A voter stays a voter.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Done.", "Forgot"),
            Answer::problem(409, "Not down and not left, or no such member."),
        ],
    },
    Route {
        paths: &["/v1/reload"],
        guard: Guard::Operator,
        action: Action::Order { kind: OrderKind::Reload, body: None },
        summary: "Read the settings again, as SIGHUP has it done.",
        parameters: &[],
        answers: &[
            Answer::json(200, "Done.", "Reloaded"),
            Answer::problem(409, "They make no sense; the detail says why. Nothing changed."),
        ],
    },
    Route {
        paths: &[paths::LEAVE],
        guard: Guard::Operator,
        action: Action::Order { kind: OrderKind::Leave, body: None },
        summary: "Say goodbye and end.",
        parameters: &[],
        answers: &[Answer::json(200, "Done.", "Left")],
    },
];

/// The OpenAPI document of the table, written when it is first asked for.
static DOCUMENT: LazyLock<Result<Bytes, serde_json::Error>> =
    LazyLock::new(|| openapi::document(ROUTES));

fn document() -> Response<Bytes> {
    match &*DOCUMENT {
        Ok(text) => typed(JSON, text.clone()),
        Err(error) => Kind::Internal.with(error.to_string()).response(),
    }
}
