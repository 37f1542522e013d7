//! The OpenAPI document against the running server: every path and method, every status that
//! can be brought about, every shape; and nothing that the document does not know.

use serde_json::{Map, Value};

use super::*;
use crate::shell::reloader::{Reloaded, Reloader};
use crate::vocabulary::event::{ElectionReason, Warning};

mod exchange;
mod schema;

use exchange::{Exchange, asked};
use schema::complaints;

fn the_document() -> Value {
    let server = served(&Double::new(goose(), 5_000), options());
    serde_json::from_slice(&asked(&server, "get", "/v1/openapi.json", "").body).unwrap()
}

/// The nodes that are asked: between them they show every state.
fn nodes() -> Vec<(&'static str, Snapshot)> {
    let mut joining = duck();
    joining.phase = Phase::Joining;
    joining.voters = None;
    let mut lost = duck();
    lost.store_lost = true;
    let mut hanging = duck();
    hanging.store_slow = Some(at(2_000));
    let mut drained = duck();
    drained.is_drained = true;
    let mut sick = duck();
    sick.unhealthy = Some("HTTP 503".to_owned());
    let mut holding = duck();
    holding.holds_back_until = Some(at(7_400));
    let mut paused = goose();
    paused.paused_until = Some(at(9_000));
    let mut stranded = goose();
    stranded.lease = stranded.lease.map(|lease| Lease { term: 13, ..lease });
    let mut tagged = duck();
    tagged.tags = metadata(3).tags.clone();
    vec![
        ("tagged", tagged),
        ("drained", drained),
        ("not healthy", sick),
        ("holding back", holding),
        ("paused", paused),
        ("without a standby", stranded),
        ("goose", goose()),
        ("leading to other voters", changing(&[4])),
        ("duck", duck()),
        ("duck of another", duck_of_another()),
        ("duck of one that serves", duck_of_one_that_serves()),
        ("joining", joining),
        ("lost its store", lost),
        ("its disk hangs", hanging),
    ]
}

/// Targets that are asked besides the bare path.
fn variants(path: &str, method: &str) -> Vec<(String, String)> {
    let bare = (path.to_owned(), String::new());
    let with = |query: &str| (format!("{path}{query}"), String::new());
    let order = |body: &str| {
        let head = format!("{BEARER}Content-Length: {}\r\n\r\n{body}", body.len());
        (path.to_owned(), head)
    };
    match (path, method) {
        ("/", "get") => vec![bare, (path.to_owned(), "Accept: text/html\r\n".to_owned())],
        ("/metrics", "get") => {
            let accept = "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n";
            vec![bare, (path.to_owned(), accept.to_owned())]
        }
        ("/v1/status" | "/v1/goose", "get") => {
            vec![bare, with("?index=17&wait=1ms"), with("?index=x")]
        }
        ("/v1/events", "get") => vec![bare, with("?index=x")],
        ("/readyz", "get") => vec![bare, with("?goose")],
        ("/goose" | "/leader" | "/primary", "get" | "head") => vec![bare, with("?redirect")],
        ("/v1/step-down", "post") => vec![
            bare,
            order(""),
            order("{\"to\":99}"),
            order("nonsense"),
            (path.to_owned(), format!("{BEARER}Content-Length: 99999\r\n")),
        ],
        ("/v1/forget", "post") => vec![
            bare,
            order("{\"id\":4}"),
            order("{\"id\":99}"),
            order("{}"),
            (path.to_owned(), format!("{BEARER}Content-Length: 99999\r\n")),
        ],
        ("/v1/drain", "post") => vec![
            bare,
            order(""),
            order("{\"off\":true}"),
            order("[true]"),
            (path.to_owned(), format!("{BEARER}Content-Length: 99999\r\n")),
        ],
        ("/v1/pause", "post") => vec![
            bare,
            order(""),
            order("{\"for_ms\":60000}"),
            order("{\"for_ms\":0}"),
            (path.to_owned(), format!("{BEARER}Content-Length: 99999\r\n")),
        ],
        ("/v1/voters", "put") => vec![
            bare,
            order("{\"auto\":3}"),
            order("{\"ids\":[1,\"127.0.0.1:8000\"]}"),
            order("{\"fixed\":true}"),
            order("{\"auto\":99}"),
            order("{}"),
            (path.to_owned(), format!("{BEARER}Content-Length: 99999\r\n")),
        ],
        ("/v1/voters/{id}", "put" | "delete") => {
            let to = |id: &str, body: &str| {
                let head = format!("{BEARER}Content-Length: {}\r\n\r\n{body}", body.len());
                (path.replace("{id}", id), head)
            };
            vec![
                (path.replace("{id}", "4"), String::new()),
                to("4", ""),
                to("127.0.0.1:8003", ""),
                to("nobody", ""),
                to("99", ""),
                to("4", "{\"replaces\":1}"),
                (path.replace("{id}", "4"), format!("{BEARER}Content-Length: 99999\r\n")),
            ]
        }
        ("/v1/leave" | "/v1/resume" | "/v1/reload", "post") => vec![bare, order("")],
        _ => vec![bare],
    }
}

#[test]
fn the_server_answers_as_the_document_says() {
    let document = the_document();
    let mut seen: Vec<String> = Vec::new();
    // Whoever knows the settings: every other time they make no sense.
    let (reloader, mut ordered) = Reloader::new();
    std::thread::spawn(move || {
        let mut outcomes =
            [Ok(Reloaded::default()), Err("nonsense".to_owned())].into_iter().cycle();
        while let Some(reply) = ordered.blocking_recv() {
            let _ = reply.send(outcomes.next().unwrap());
        }
    });
    for (name, snapshot) in nodes() {
        let double = Double::new(snapshot, 5_000);
        let twin = Warning::TwinVoter { address: address("10.0.0.9:8000") };
        double.happened(Event::Warning(twin));
        double.happened(Event::BecameGoose { term: 12, reason: ElectionReason::Elected });
        if let Some(voters) = &double.snapshot.voters {
            double.happened(Event::VotersChanged(voters.configuration.clone()));
        }
        let history = |history: &mut Arc<History>| Arc::make_mut(history).index = 17;
        double.history.send_modify(history);
        let reloader = Some(reloader.clone());
        let server = served(&double, Options { reloader, ..options() });
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                // Whatever is asked for, there may be too much of it.
                let long = format!("{}?{}", path.replace("{id}", "4"), "x".repeat(2048));
                for (target, headers) in
                    variants(path, method).into_iter().chain([(long, String::new())])
                {
                    let answer = asked(&server, method, &target, &headers);
                    let what = format!("{method} {target} of a node that is {name}");
                    judge(&document, operation, &answer, &what);
                    seen.push(format!("{method} {path} {}", answer.status));
                }
            }
        }
    }
    let unseen = promised(&document).into_iter().filter(|promise| !seen.contains(promise));
    // They take a slow client, a busy node or a crowd; other tests bring them about.
    let excused = |promise: &String| {
        let crowd = promise == "get /v1/status 503" || promise == "get /v1/events 503";
        let busy = ["post ", "put ", "delete "].iter().any(|method| promise.starts_with(method))
            && ["408", "503", "504", "413"].iter().any(|status| promise.ends_with(status));
        let idle = ["/v1/leave", "/v1/resume", "/v1/reload"];
        let idle = idle.iter().any(|path| *promise == format!("post {path} 400"));
        crowd
            || busy
            || idle
            || promise == "head /v1/status 503"
            || promise == "head /v1/events 503"
    };
    let unseen: Vec<String> = unseen.filter(|promise| !excused(promise)).collect();
    assert!(unseen.is_empty(), "promised and never seen: {unseen:#?}");
}

/// Every status of every operation that the document names.
fn promised(document: &Value) -> Vec<String> {
    let mut promised = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                promised.push(format!("{method} {path} {status}"));
            }
        }
    }
    promised
}

fn judge(document: &Value, operation: &Value, answer: &Exchange, what: &str) {
    let promised = &operation["responses"][answer.status.as_str()];
    assert!(promised.is_object(), "{what}: {} is not in the document", answer.status);
    let empty = Map::new();
    let content = promised["content"].as_object().unwrap_or(&empty);
    if content.is_empty() {
        return;
    }
    let media = content.get(&answer.media_type);
    let Some(media) = media else { panic!("{what}: {} is not in the document", answer.media_type) };
    if answer.media_type.ends_with("json") {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let wrong = complaints(document, &media["schema"], &body, "$");
        assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{body}");
    }
    if answer.media_type == "text/event-stream" {
        let text = String::from_utf8_lossy(&answer.body);
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        let wrong =
            complaints(document, &document["components"]["schemas"]["StatusEvent"], &data, "$");
        assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{data}");
    }
}

#[test]
fn a_path_may_name_a_node_with_any_letter_by_its_number() {
    let double = Double::new(goose(), 5_000);
    let server = served(&double, options());
    let head = format!("{BEARER}Content-Length: 0\r\n\r\n");
    for name in ["10.0.0.4:8000", "10.0.0.4%3A8000", "%31%30.0.0.4%3a8000"] {
        let answer = asked(&server, "put", &format!("/v1/voters/{name}"), &head);
        assert_eq!(answer.status, "202", "{name}: {}", String::from_utf8_lossy(&answer.body));
    }
    let mut orders = double.orders.lock().unwrap().clone();
    orders.dedup();
    assert_eq!(orders.len(), 1, "one node: {orders:?}");
}

/// Programs that read such documents refuse one that leaves a part of a path unsaid.
#[test]
fn every_part_of_a_path_is_described_wherever_it_stands() {
    let document = the_document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let named: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let told: Vec<&str> = parameters
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(named, told, "{method} {path}");
        }
    }
}

#[test]
fn what_the_document_does_not_know_is_refused() {
    let document = the_document();
    let server = served(&Double::new(goose(), 5_000), options());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["get", "head", "options", "post", "put", "delete", "patch"] {
            if methods.get(method).is_some() {
                continue;
            }
            let answer = asked(&server, method, path, BEARER);
            assert_eq!(answer.status, "405", "{method} {path}");
            let named: Vec<String> = answer.allow.split(", ").map(str::to_lowercase).collect();
            let known: Vec<&String> = methods.as_object().unwrap().keys().collect();
            assert_eq!(named.len(), known.len(), "{path}: {named:?}, {known:?}");
            assert!(known.iter().all(|name| named.contains(name)), "{path}: {named:?}");
        }
    }
    assert_eq!(asked(&server, "get", "/v2", "").status, "404");
}

#[test]
fn every_event_is_as_the_document_says() {
    use crate::shell::history::Happening;
    use crate::vocabulary::event::{DemotionReason, Warning};
    let document = the_document();
    let schema = &document["components"]["schemas"]["Event"];
    let goose = duck_of_another().goose.unwrap().goose;
    for event in [
        Event::Started { process: goose.process },
        Event::Joined,
        Event::BecameGoose { term: 3, reason: ElectionReason::HandedOver },
        Event::BecameDuck { term: 3, reason: DemotionReason::Suspended },
        Event::GooseChanged(Some(goose)),
        Event::GooseChanged(None),
        Event::MemberChanged { id: id(2), address: address("[::1]:1"), state: MemberState::Down },
        Event::MemberChanged { id: id(2), address: address("[::1]:1"), state: MemberState::Left },
        Event::MemberForgotten { id: id(2), address: address("[::1]:1") },
        Event::Founded,
        Event::Warning(Warning::SingleVoter),
    ] {
        let words = "words".to_owned();
        let happening = Happening { sequence: 1, index: 1, wall: WallTime(1), event, words };
        let view = super::super::api::history::event(&happening, &duck_of_another());
        let view = serde_json::to_value(view).unwrap();
        let wrong = complaints(&document, schema, &view, "$");
        assert!(wrong.is_empty(), "{wrong:#?}\n{view}");
    }
}
