//! What a route is: the columns of the table of routes, and what follows from them.

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Response, Uri};

use super::guard::Peer;
use super::media_type::{JSON, PROBLEM};
use super::order::OrderKind;
use super::paths;
use super::views::Moment;

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

/// Answers a request that only looks.
pub(super) type Handler = fn(Request<'_>, &Moment<'_>) -> Response<Bytes>;

/// One resource.
pub(in crate::shell::http) struct Route {
    /// Where it is; any path but the first is an alias.
    pub(in crate::shell::http) paths: &'static [&'static str],
    /// Who may use it.
    pub(in crate::shell::http) guard: Guard,
    /// What is done.
    pub(in crate::shell::http) action: Action,
    /// What it is, for the OpenAPI document.
    pub(super) summary: &'static str,
    /// What may be asked for, beside what every action of its kind takes.
    pub(super) parameters: &'static [Parameter],
    /// How it is answered, beside what every action of its kind answers.
    pub(super) answers: &'static [Answer],
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shell::http) enum Guard {
    /// Everybody.
    Open,
    /// Whoever asks over the control socket, or with the admin token by TLS or from loopback.
    Operator,
}

/// What is done for whoever may use a route.
pub(in crate::shell::http) enum Action {
    /// Something is shown.
    Show(Handler),
    /// The same, and OPTIONS shows it, too: load balancers ask so, and mean the role by it.
    Check {
        /// Shows it.
        handler: Handler,
        /// What a success says, for the OpenAPI document.
        success: &'static str,
    },
    /// The same as the first, and a GET may wait until it has changed.
    Poll(Handler),
    /// A GET begins a stream of events.
    Stream,
    /// The voters are shown, and whoever may order says who they are to be.
    Voters(Handler),
    /// A node is to vote, or to vote no more.
    Vote,
    /// The node is told to do something.
    Order {
        /// What.
        kind: OrderKind,
        /// What the order says, if it can say something.
        body: Option<Body>,
    },
}

/// The body of an order, for the OpenAPI document.
pub(in crate::shell::http) struct Body {
    /// The schema's name.
    pub(super) schema: &'static str,
    /// Whether there must be one.
    pub(super) required: bool,
}

/// A parameter of a request, for the OpenAPI document.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// Where it stands: `query` or `header`.
    pub(super) place: &'static str,
    pub(super) schema: Schema,
    pub(super) description: &'static str,
}

/// An answer that may come, for the OpenAPI document.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) media_types: &'static [&'static str],
    pub(super) schema: Schema,
}

/// How a body or a parameter is described in the OpenAPI document.
#[derive(Clone, Copy)]
pub(super) enum Schema {
    /// Some text.
    Text,
    /// An index of events.
    Index,
    /// A span of time: 250ms, 30s, 1m, or a bare number of seconds.
    Span,
    /// Some JSON object.
    Object,
    /// JSON of the schema of this name.
    Named(&'static str),
}

impl Answer {
    /// A text of one of these media types.
    pub(super) const fn text(
        status: u16,
        description: &'static str,
        media_types: &'static [&'static str],
    ) -> Self {
        Self { status, description, media_types, schema: Schema::Text }
    }

    /// JSON of the schema of this name.
    pub(super) const fn json(status: u16, description: &'static str, schema: &'static str) -> Self {
        Self { status, description, media_types: &[JSON], schema: Schema::Named(schema) }
    }

    /// What went wrong.
    pub(super) const fn problem(status: u16, description: &'static str) -> Self {
        let schema = Schema::Named("Problem");
        Self { status, description, media_types: &[PROBLEM], schema }
    }
}

impl Parameter {
    /// A part of the query.
    pub(super) const fn query(
        name: &'static str,
        schema: Schema,
        description: &'static str,
    ) -> Self {
        Self { name, place: "query", schema, description }
    }

    /// A header.
    pub(super) const fn header(
        name: &'static str,
        schema: Schema,
        description: &'static str,
    ) -> Self {
        Self { name, place: "header", schema, description }
    }
}

impl Route {
    /// The methods that there are here, as an Allow header names them.
    pub(super) fn allow(&self) -> &'static str {
        match self.action {
            Action::Order { .. } => "POST, OPTIONS",
            Action::Voters(_) => "GET, HEAD, PUT, OPTIONS",
            Action::Vote => "PUT, DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether it is at this path, and which node that names.
    pub(in crate::shell::http) fn matches(&self, path: &str) -> bool {
        self.paths.iter().any(|known| match known.strip_suffix(paths::NAMED) {
            Some(folder) => path
                .strip_prefix(folder)
                .is_some_and(|name| !name.is_empty() && !name.contains('/')),
            None => *known == path,
        })
    }

    /// Whether a request by this method is an order.
    pub(super) fn orders(method: &Method) -> bool {
        [Method::POST, Method::PUT, Method::DELETE].contains(method)
    }

    /// Whether there is this method here.
    pub(super) fn allows(&self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }
}
