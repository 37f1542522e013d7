//! The table of routes as an OpenAPI document, for programs that read such things. What it
//! promises is held against the running server by a test.
//!
//! What no route decides (the schemas, the token) stands in `openapi.json`.

use hyper::body::Bytes;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::media_type::{JSON, PROBLEM};
use super::query::INDEX_MAX;
use super::route::{Action, Answer, Guard, Parameter, Route, Schema};

/// The document without its paths.
const FRAME: &str = include_str!("openapi.json");

/// A query is read where a GET waits or streams, and by no other method.
const QUERY_ANSWERS: &[Answer] = &[Answer::problem(400, "The query cannot be understood.")];
/// What a long poll takes.
const POLL_PARAMETERS: &[Parameter] = &[
    Parameter::query("index", Schema::Index, "Wait until the index is no longer this one."),
    Parameter::query(
        "wait",
        Schema::Span,
        "How long at most: 250ms, 30s, 1m. 30s if left out, 60s at most.",
    ),
];
/// A span of time, as a query may say it.
const SPAN: &str = "^[0-9]{1,9}(ms|s|m)?$";
/// How any request may be answered, by its target alone.
const TARGET_ANSWER: Answer = Answer::problem(414, "The target is too long.");
/// How any order may be answered.
const ORDER_ANSWERS: &[Answer] = &[
    Answer::problem(400, "The body cannot be understood."),
    Answer::problem(408, "The body did not arrive in time."),
    Answer::problem(413, "The body is too large."),
    Answer::problem(503, "The node takes no orders now."),
    Answer::problem(504, "Given, but not known to be done."),
];
/// How an order to change voters is answered.
const VOTERS_ANSWERS: &[Answer] = &[
    Answer::json(200, "It is in force.", "VotersOrdered"),
    Answer::json(202, "It is under way; ask again.", "VotersOrdered"),
    Answer::problem(409, "Not the Goose, or not safe; the detail says why. Nothing changed."),
];
/// What of an order to change voters stands in its path.
const VOTE_PATH: &str = "The node, by id or address.";
/// How whoever is no operator is answered.
const OPERATOR_ANSWERS: &[Answer] = &[Answer::problem(
    403,
    "Not an operator: neither over the control socket, nor with the admin token by https or from \
     loopback. The detail names the way.",
)];

/// The document that describes `routes`.
///
/// # Errors
/// If the part that is written by hand is no JSON.
pub(super) fn document(routes: &[Route]) -> Result<Bytes, serde_json::Error> {
    let mut document: Map<String, Value> = serde_json::from_str(FRAME)?;
    let mut paths = Map::new();
    for route in routes {
        for path in route.paths {
            paths.insert((*path).to_owned(), operations(route));
        }
    }
    document.insert("paths".to_owned(), paths.into());
    let mut text = Vec::new();
    let indented = PrettyFormatter::with_indent(b" ");
    document.serialize(&mut Serializer::with_formatter(&mut text, indented))?;
    text.push(b'\n');
    Ok(text.into())
}

/// What can be done with a route, by method.
fn operations(route: &Route) -> Value {
    let options = options(route);
    match route.action {
        Action::Order { .. } => {
            return json!({ "post": operation(route), "options": options });
        }
        Action::Vote => {
            let put = change(route.summary, Some("Vote"), true);
            let delete = change(route.summary, None, true);
            return json!({ "put": put, "delete": delete, "options": options });
        }
        _ => {}
    }
    let get = operation(route);
    // It answers as GET does, but without a body. It neither waits nor streams, and so does not look at
    // what is said of that.
    let mut head = get.clone();
    let heeded: &[Parameter] = match route.action {
        Action::Stream => &[],
        _ => route.parameters,
    };
    head["parameters"] = heeded.iter().map(asked).collect();
    head["summary"] = format!("{} The head alone.", route.summary).into();
    let bare = |answer: &Answer| (answer.status.to_string(), described(answer.description));
    head["responses"] = route.answers.iter().chain([&TARGET_ANSWER]).map(bare).collect();
    let mut operations = json!({ "get": get, "head": head, "options": options });
    if let Action::Voters(_) = route.action {
        let summary = "As Goose, lead to these voters, or keep as many as that.";
        operations["put"] = change(summary, Some("VotersOrder"), false);
    }
    operations
}

/// An order to change who votes. `named`: its path names a node.
fn change(summary: &str, body: Option<&'static str>, named: bool) -> Value {
    let answers = VOTERS_ANSWERS.iter().chain(ORDER_ANSWERS).chain(OPERATOR_ANSWERS);
    let answers = answers.chain([&TARGET_ANSWER]);
    let responses: Value =
        answers.map(|answer| (answer.status.to_string(), with_body(answer))).collect();
    let security = json!([{}, { "token": [] }]);
    let mut operation = json!({ "summary": summary, "security": security, "responses": responses });
    if named {
        operation["parameters"] = named_node(Schema::Named("NodeReference"));
    }
    if let Some(body) = body {
        let content = json!({ JSON: { "schema": schema(Schema::Named(body)) } });
        operation["requestBody"] = json!({ "required": !named, "content": content });
    }
    operation
}

/// GET or POST.
fn operation(route: &Route) -> Value {
    let mut operation = json!({ "summary": route.summary });
    let (parameters, answers, body) = match &route.action {
        Action::Show(_) | Action::Check { .. } | Action::Voters(_) | Action::Vote => {
            (&[][..], &[][..], &None)
        }
        Action::Poll(_) => (POLL_PARAMETERS, QUERY_ANSWERS, &None),
        Action::Stream => (&[][..], QUERY_ANSWERS, &None),
        Action::Order { body, .. } => (&[][..], ORDER_ANSWERS, body),
    };
    let guarded = match route.guard {
        Guard::Operator if matches!(route.action, Action::Order { .. }) => {
            // Over the control socket nothing is needed, and over TCP the token.
            operation["security"] = json!([{}, { "token": [] }]);
            OPERATOR_ANSWERS
        }
        Guard::Open | Guard::Operator => &[][..],
    };
    let answers = route.answers.iter().chain(answers).chain(guarded).chain([&TARGET_ANSWER]);
    operation["responses"] =
        answers.map(|answer| (answer.status.to_string(), with_body(answer))).collect();
    let parameters: Vec<Value> = route.parameters.iter().chain(parameters).map(asked).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = body {
        let schema = schema(Schema::Named(body.schema));
        let content = json!({ JSON: { "schema": schema } });
        operation["requestBody"] = json!({ "required": body.required, "content": content });
    }
    operation
}

/// The part of the path that names a node.
fn named_node(how: Schema) -> Value {
    json!([{
        "name": "id",
        "in": "path",
        "required": true,
        "schema": schema(how),
        "description": VOTE_PATH,
    }])
}

fn options(route: &Route) -> Value {
    let mut responses = match route.action {
        Action::Check { success, .. } => {
            json!({ "200": described(success), "503": described("It is not.") })
        }
        _ => json!({ "204": described("See the Allow header.") }),
    };
    responses[TARGET_ANSWER.status.to_string()] = with_body(&TARGET_ANSWER);
    let mut operation = json!({ "summary": "What can be done here.", "responses": responses });
    if let Action::Vote = route.action {
        // What is named does not matter: the methods are the same.
        operation["parameters"] = named_node(Schema::Text);
    }
    operation
}

fn asked(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": parameter.place,
        "required": false,
        "schema": schema(parameter.schema),
        "description": parameter.description,
    })
}

fn described(description: &str) -> Value {
    json!({ "description": description })
}

fn with_body(answer: &Answer) -> Value {
    let content = answer.media_types.iter().map(|kind| {
        // What went wrong has one shape, whatever else may be answered with the same status.
        let shape = if *kind == PROBLEM { Schema::Named("Problem") } else { answer.schema };
        ((*kind).to_owned(), json!({ "schema": schema(shape) }))
    });
    json!({ "description": answer.description, "content": content.collect::<Value>() })
}

fn schema(schema: Schema) -> Value {
    match schema {
        Schema::Text => json!({ "type": "string" }),
        Schema::Index => json!({ "type": "integer", "minimum": 0, "maximum": INDEX_MAX }),
        Schema::Span => json!({ "type": "string", "pattern": SPAN }),
        Schema::Object => json!({ "type": "object" }),
        Schema::Named(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}
