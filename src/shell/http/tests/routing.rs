//! Every route by every method, the shapes of the documents, and the lease's last instant.

use std::net::Ipv4Addr;

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Response, Uri};
use serde_json::{Value, json};

use super::super::api::guard::Peer;
use super::super::api::route::{Action, Guard, Request};
use super::super::api::router::{Outcome, TARGET_SIZE_MAX, respond};
use super::super::api::table::ROUTES;
use super::*;

fn asked(snapshot: &Snapshot, now: HolderTime, line: &str, headers: &HeaderMap) -> Response<Bytes> {
    asked_when(snapshot, (now, beats(now)), line, headers)
}

fn asked_when(
    snapshot: &Snapshot,
    now: (HolderTime, Pulse),
    line: &str,
    headers: &HeaderMap,
) -> Response<Bytes> {
    let (method, target) = line.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    let uri: Uri = target.parse().unwrap();
    let history = History::new(snapshot.process, snapshot.address, snapshot.started);
    let moment = moment(snapshot, &history, now);
    let peer = Peer::Tcp(Ipv4Addr::LOCALHOST.into());
    let request = Request { method: &method, uri: &uri, headers, peer };
    match respond(request, &moment, None) {
        Outcome::Answer(response) => response,
        other => panic!("{line} became {other:?}"),
    }
}

fn get(snapshot: &Snapshot, milliseconds: u64, path: &str) -> Response<Bytes> {
    asked(snapshot, at(milliseconds), &format!("GET {path}"), &HeaderMap::new())
}

fn status(snapshot: &Snapshot, milliseconds: u64, path: &str) -> u16 {
    get(snapshot, milliseconds, path).status().as_u16()
}

fn document(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[test]
fn the_front_is_one_word() {
    let of = |snapshot| get(&snapshot, 5_000, "/").body().clone();
    assert_eq!(of(goose()), "Goose\n");
    assert_eq!(of(duck()), "Duck\n");
    let response = get(&duck(), 5_000, "/");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[test]
fn only_a_browser_gets_the_page() {
    let page = |accept: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().unwrap());
        asked(&goose(), at(5_000), "GET /", &headers)
    };
    let browser = page("text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!(browser.headers()["content-type"], "text/html; charset=utf-8");
    let body = String::from_utf8(browser.body().to_vec()).unwrap();
    assert!(body.starts_with("<!doctype html>"), "{body}");
    let policy = browser.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    // Nothing from elsewhere, and no script that the policy would refuse.
    assert!(!body.contains("src=\"http") && !body.contains("<script>"), "{body}");
    assert_eq!(page("*/*").body(), "Goose\n");
    assert_eq!(page("text/html;q=0, text/plain").body(), "Goose\n");
}

#[test]
fn the_roles_are_checked_by_status_and_by_word() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        for path in ["/goose", "/leader", "/primary", "/duck", "/replica"] {
            let line = format!("{method} {path}");
            let asks_goose = matches!(path, "/goose" | "/leader" | "/primary");
            for (snapshot, is_goose) in [(goose(), true), (duck(), false)] {
                let response = asked(&snapshot, at(5_000), &line, &HeaderMap::new());
                let expected = if is_goose == asks_goose { 200 } else { 503 };
                assert_eq!(response.status(), expected, "{line}");
                assert_eq!(response.body(), if is_goose { "Goose\n" } else { "Duck\n" });
                if method == "OPTIONS" {
                    assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
                }
            }
        }
    }
}

#[test]
fn whoever_asks_for_it_is_led_to_the_goose_or_to_its_service() {
    let goes_to = |snapshot: &Snapshot, line: &str| {
        let response = asked(snapshot, at(5_000), line, &HeaderMap::new());
        let location = response.headers().get("location");
        let location = location.map(|location| location.to_str().unwrap().to_owned());
        assert_eq!(response.headers()["cache-control"], "no-store");
        (response.status().as_u16(), location)
    };
    let serves = duck_of_one_that_serves();
    for path in ["/goose", "/leader", "/primary"] {
        let there = (307, Some(format!("http://127.0.0.1:9001{path}")));
        assert_eq!(goes_to(&serves, &format!("GET {path}?redirect")), there);
        assert_eq!(goes_to(&serves, &format!("HEAD {path}?redirect=")), there);
    }
    let service = (307, Some("http://10.0.0.2:8080/app".to_owned()));
    assert_eq!(goes_to(&serves, "GET /goose?redirect=service"), service);
    // OPTIONS asks for nobody, and the check itself is what it was.
    assert_eq!(goes_to(&serves, "OPTIONS /goose?redirect"), (503, None));
    assert_eq!(goes_to(&serves, "GET /goose"), (503, None));

    // By https, if the Goose's tags say so; until they are here, as this node does it.
    let mut secured = duck_of_one_that_serves();
    let tls = |tags: &[(&str, &str)]| {
        Tags::new(tags.iter().copied().chain([("gaggle.http", "tls")])).unwrap()
    };
    let known = Metadata { tags: tls(&[("rack", "7")]), ..Metadata::default() };
    let members: Vec<_> = secured.members.iter().cloned().collect();
    secured.members = members
        .into_iter()
        .map(|member| {
            let metadata = (member.id == id(2)).then(|| Arc::new(known.clone()));
            MemberView { metadata: metadata.or(member.metadata), ..member }
        })
        .collect::<Vec<_>>()
        .into();
    let there = (307, Some("https://127.0.0.1:9001/goose".to_owned()));
    assert_eq!(goes_to(&secured, "GET /goose?redirect"), there);
    let view = document(&get(&secured, 5_000, "/v1/goose"));
    assert_eq!((&view["http_tls"], &view["tags"]), (&json!(true), &json!({ "rack": "7" })));
    let members = document(&get(&secured, 5_000, "/v1/members"));
    assert_eq!(members["members"][1]["http_tls"], true);
    assert!(members["members"][2].get("http_tls").is_none(), "node 3 serves without TLS");
    secured.members = Arc::new(Vec::new());
    let there = (307, Some("http://127.0.0.1:9001/goose".to_owned()));
    assert_eq!(goes_to(&secured, "GET /goose?redirect"), there);
    secured.tags = tls(&[]);
    let there = (307, Some("https://127.0.0.1:9001/goose".to_owned()));
    assert_eq!(goes_to(&secured, "GET /goose?redirect"), there);
    assert_eq!(document(&get(&secured, 5_000, "/v1/status"))["node"]["http_tls"], true);

    // On the Goose itself the asker is there already; its service is elsewhere all the same.
    let mut own = goose();
    own.tags = Tags::new([("service", "https://db.example:8443")]).unwrap();
    assert_eq!(goes_to(&own, "GET /goose?redirect"), (200, None));
    let service = (307, Some("https://db.example:8443".to_owned()));
    assert_eq!(goes_to(&own, "GET /goose?redirect=service"), service);
    assert_eq!(document(&get(&own, 5_000, "/v1/goose"))["tags"], json!({ "service": service.1 }));
    // It is nobody's way any more once its lease is over.
    assert_eq!(status(&own, 5_600, "/goose?redirect"), 503);

    for (snapshot, path, kind, words) in [
        (duck(), "/goose?redirect", "no-goose", "knows no Goose"),
        (duck(), "/goose?redirect=service", "no-goose", "knows no Goose"),
        (duck_of_another(), "/goose?redirect", "no-address", "node 2 (db-2), serves no HTTP"),
        (duck_of_another(), "/goose?redirect=service", "no-address", "has no such tag"),
        (serves, "/goose?redirect=port", "no-address", "\"10.0.0.2:8080\" and no URL"),
    ] {
        let answer = get(&snapshot, 5_000, path);
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem = document(&answer);
        assert_eq!(problem["type"], format!("urn:gaggle:problem:{kind}"), "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
}

#[test]
fn the_tags_of_the_goose_are_those_of_its_very_process() {
    let tags = |snapshot: &Snapshot| document(&get(snapshot, 5_000, "/v1/goose"))["tags"].clone();
    let mut snapshot = duck_of_one_that_serves();
    assert_eq!(tags(&snapshot)["service"], "http://10.0.0.2:8080/app");
    // It has been started anew, perhaps with other tags, and leads no more: nothing is known of them.
    Arc::make_mut(&mut snapshot.members)[1].boot = boot(9);
    assert_eq!(tags(&snapshot), Value::Null);
    assert_eq!(tags(&duck_of_another()), Value::Null);
}

#[test]
fn the_role_ends_at_the_deadline_and_not_a_nanosecond_later() {
    let snapshot = goose();
    let deadline = snapshot.lease.unwrap().deadline.0;
    let ask = |now, path: &str| {
        asked(&snapshot, HolderTime(now), &format!("GET {path}"), &HeaderMap::new())
    };
    assert_eq!(ask(deadline - 1, "/goose").status(), 200);
    assert_eq!(ask(deadline, "/goose").status(), 503);
    assert_eq!(ask(deadline - 1, "/duck").status(), 503);
    assert_eq!(ask(deadline, "/duck").status(), 200);
    assert_eq!(ask(deadline, "/").body(), "Duck\n");
    assert_eq!(ask(deadline, "/v1/goose").status(), 503);
    let after = document(&ask(deadline, "/v1/status"));
    assert_eq!(
        (&after["role"], &after["lease"], &after["goose"]),
        (&json!("duck"), &Value::Null, &Value::Null)
    );
    assert_eq!(document(&ask(deadline - 1, "/v1/status"))["role"], "goose");
}

#[test]
fn a_duck_that_does_not_take_part_is_not_healthy() {
    for phase in [Phase::Starting, Phase::Joining, Phase::Leaving] {
        let snapshot = Snapshot { phase, ..duck() };
        assert_eq!(status(&snapshot, 5_000, "/duck"), 503, "{phase:?}");
        assert_eq!(status(&snapshot, 5_000, "/readyz"), 503, "{phase:?}");
        assert_eq!(status(&snapshot, 5_000, "/livez"), 200, "{phase:?}");
        let lost = Snapshot { store_lost: true, ..snapshot };
        assert_eq!(status(&lost, 5_000, "/livez"), 503, "{phase:?}");
    }
}

#[test]
fn nobody_answers_for_a_driver_that_does_not_come_round() {
    let asked = |snapshot: &Snapshot, pulse: Pulse, path: &str| {
        let line = format!("GET {path}");
        asked_when(snapshot, (at(5_000), pulse), &line, &HeaderMap::new())
    };
    let ended = Pulse { ended: true, ..beats(at(5_000)) };
    for (pulse, code) in [(beats(at(2_001)), 200), (beats(at(2_000)), 503), (ended, 503)] {
        for path in ["/livez", "/readyz", "/duck", "/replica"] {
            let answer = asked(&duck(), pulse, path);
            assert_eq!(answer.status(), code, "{path} {pulse:?}");
        }
        // The lease decides about that, and nothing else.
        assert_eq!(asked(&goose(), pulse, "/goose").status(), 200);
        assert_eq!(asked(&goose(), pulse, "/livez").status(), code);
    }
    let answer = asked(&duck(), beats(at(1_000)), "/livez");
    let words = document(&answer)["detail"].to_string();
    assert!(words.contains("has not come round for 4.0s"), "{words}");
    let status = document(&asked(&duck(), beats(at(1_000)), "/v1/status"));
    assert_eq!(status["node"]["driver_age_ms"], 4_000);
}

#[test]
fn readiness_can_demand_a_goose() {
    assert_eq!(status(&duck(), 5_000, "/readyz"), 200);
    assert_eq!(status(&duck(), 5_000, "/readyz?goose"), 503);
    assert_eq!(status(&duck_of_another(), 5_000, "/readyz?goose"), 200);
    assert_eq!(status(&duck_of_another(), 5_500, "/readyz?goose=1"), 503);
    assert_eq!(status(&goose(), 5_000, "/readyz?goose"), 200);
}

#[test]
fn the_status_has_the_promised_shape() {
    let response = get(&goose(), 5_000, "/v1/status");
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    let expected = concat!(
        r#"{"cluster":"gaggle","lineage":"1ae142c4edd86d22","index":17,"version":"VERSION","#,
        r#""node":{"id":3,"name":"db-3","boot":"3-0000000000000007","addr":"127.0.0.1:8002","#,
        r#""http":"127.0.0.1:9002","uptime_ms":4000,"driver_age_ms":0},"#,
        r#""role":"goose","term":12,"lease":{"remaining_ms":600,"duration_ms":600},"#,
        r#""goose":{"id":3,"name":"db-3","addr":"127.0.0.1:8002","http":"127.0.0.1:9002","term":12},"#,
        r#""voters":{"version":1,"ids":[1,2,3],"reachable":[2,3],"majority":2,"is_voter":true},"#,
        r#""members":{"alive":1,"suspect":1,"down":1}}"#,
        "\n"
    );
    assert_eq!(text, expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_status_of_a_duck_has_no_lease_and_may_know_no_goose() {
    let status = document(&get(&duck(), 5_000, "/v1/status"));
    assert_eq!(status["role"], "duck");
    assert_eq!(status["term"], 11);
    assert_eq!(status["lease"], Value::Null);
    assert_eq!(status["goose"], Value::Null);
    let unknowing = Snapshot { voters: None, ..duck() };
    assert_eq!(document(&get(&unknowing, 5_000, "/v1/status"))["voters"], Value::Null);
    assert_eq!(status_of(&unknowing, "/v1/voters"), 503);
}

fn status_of(snapshot: &Snapshot, path: &str) -> u16 {
    status(snapshot, 5_000, path)
}

#[test]
fn the_goose_is_shown_with_the_age_of_the_evidence() {
    let known = document(&get(&duck_of_another(), 5_000, "/v1/goose"));
    let expected = json!({
        "id": 2, "name": "db-2", "addr": "127.0.0.1:8001", "http": null, "term": 11,
        "expires_in_ms": 500, "age_ms": 300
    });
    assert_eq!(known, expected);
    let none = get(&duck(), 5_000, "/v1/goose");
    assert_eq!(none.status(), 503);
    assert_eq!(none.headers()["content-type"], "application/problem+json");
    assert_eq!(document(&none)["type"], "urn:gaggle:problem:no-goose");
}

#[test]
fn members_and_voters_have_the_promised_shape() {
    let members = document(&get(&duck_of_another(), 5_000, "/v1/members"));
    let second = json!({
        "id": 2, "name": "db-2", "addr": "127.0.0.1:8001", "boot": "2-0000000000000007",
        "state": "suspect", "eligible": true, "role": "goose", "http": "127.0.0.1:9001",
        "tags": {}
    });
    assert_eq!(members["members"][1], second);
    assert_eq!(members["members"][2]["role"], "duck");
    assert_eq!(members["members"][2]["tags"], json!({"zone": "eu-1"}));
    assert!(members["members"][0]["tags"].is_null(), "not known yet");
    assert!(members["members"][0]["name"].is_null(), "not known yet");
    assert_eq!(members["members"][0]["speaks_from"], "10.0.0.9:8000");
    let voters = document(&get(&goose(), 5_000, "/v1/voters"));
    let expected = json!({
        "version": 1, "ballot": 0, "majority": 2, "preempt": false, "auto": null, "voters": [
            {"id": 1, "addr": "127.0.0.1:8000", "reachable": false, "answered_ms": null,
             "granting": false},
            {"id": 2, "name": "db-2", "addr": "127.0.0.1:8001", "reachable": true,
             "answered_ms": 100, "round_trip_ms": 0.45,
             "granting": true},
            {"id": 3, "name": "db-3", "addr": "127.0.0.1:8002", "reachable": true, "answered_ms": null,
             "granting": false}
        ]
    });
    assert_eq!(voters, expected);
    let later = document(&get(&goose(), 5_901, "/v1/status"));
    assert_eq!(later["voters"]["reachable"], json!([3]), "an old answer is none");
}

#[test]
fn what_the_process_uses_stands_under_the_names_that_every_dashboard_knows() {
    let page = String::from_utf8(get(&goose(), 5_000, "/metrics").body().to_vec()).unwrap();
    for line in [
        "# TYPE process_cpu_seconds_total counter",
        "process_cpu_seconds_total 1.25",
        "process_open_fds 23",
        "process_max_fds 1024",
        "process_resident_memory_bytes 9000000",
        "process_virtual_memory_bytes 12000000",
        "process_start_time_seconds 1700000000.5",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}: {page}");
    }
}

/// Each place that shows voters says that they change, to whom, and what that waits for.
#[test]
fn a_change_of_voters_is_shown_with_what_holds_it_up() {
    let shown = |snapshot: &Snapshot| {
        let change = document(&get(snapshot, 5_000, "/v1/voters"))["change"].clone();
        let page = String::from_utf8(get(snapshot, 5_000, "/metrics").body().to_vec()).unwrap();
        let metrics = ["changing", "learning", "version", "ballot", "automatic"].map(|name| {
            let line = format!("\ngaggle_voters_{name} ");
            page.split(&line).nth(1).and_then(|it| it.split('\n').next()).unwrap().to_owned()
        });
        (change, metrics.join(" "))
    };
    assert_eq!(shown(&goose()), (Value::Null, "0 0 1 0 0".to_owned()));
    // Node 2 has a name, and node 4 none that is known.
    let words = "node 2 (db-2), 4 to answer and keep a record, as a voter must";
    let change = json!({ "voters": [2, 3, 4], "learning": [2, 4], "waits_for": words });
    assert_eq!(shown(&changing(&[2, 4])), (change, "1 2 1 0 0".to_owned()));
    let words = "a majority of those who would vote then to answer";
    let change = json!({ "voters": [2, 3, 4], "waits_for": words });
    assert_eq!(shown(&changing(&[])), (change, "1 0 1 0 0".to_owned()));
    let mut kept = goose();
    if let Some(voters) = &mut kept.voters {
        voters.configuration.automatic = Some(5);
        (voters.configuration.ballot, voters.configuration.version) = (12, 4);
    }
    assert_eq!(shown(&kept), (Value::Null, "0 0 4 12 5".to_owned()));
}

#[test]
fn what_is_not_there_is_a_problem() {
    for path in ["/nothing", "/goose/", "/v1", "/v1/status/", "/%2e%2e/etc/passwd"] {
        let response = get(&duck(), 5_000, path);
        assert_eq!(response.status(), 404, "{path}");
        let problem = document(&response);
        assert_eq!(problem["status"], 404);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{problem}");
        }
    }
    let long = format!("/{}", "a".repeat(TARGET_SIZE_MAX));
    assert_eq!(status_of(&duck(), &long), 414);
}

#[test]
fn other_methods_are_refused_with_what_is_allowed() {
    for route in ROUTES {
        let (allow, methods) = match route.action {
            Action::Order { .. } => ("POST, OPTIONS", &["GET", "HEAD", "PUT", "DELETE"][..]),
            Action::Voters(_) => ("GET, HEAD, PUT, OPTIONS", &["POST", "DELETE"][..]),
            Action::Vote => ("PUT, DELETE, OPTIONS", &["GET", "HEAD", "POST"][..]),
            _ => ("GET, HEAD, OPTIONS", &["POST", "PUT", "DELETE"][..]),
        };
        for path in route.paths {
            let refused = ["PATCH", "TRACE", "CONNECT", "NONSENSE"];
            for method in methods.iter().chain(&refused) {
                let line = format!("{method} {path}");
                let response = asked(&duck(), at(5_000), &line, &HeaderMap::new());
                assert_eq!(response.status(), 405, "{line}");
                assert_eq!(response.headers()["allow"], allow);
            }
            let line = format!("OPTIONS {path}");
            let response = asked(&duck(), at(5_000), &line, &HeaderMap::new());
            assert_eq!(response.headers()["allow"], allow);
        }
    }
}

#[test]
fn every_order_is_guarded_and_every_path_is_written_once() {
    for route in ROUTES {
        let order = matches!(route.action, Action::Order { .. } | Action::Voters(_) | Action::Vote);
        assert_eq!(order, route.guard == Guard::Operator, "{:?}", route.paths);
    }
    let mut paths: Vec<&str> = ROUTES.iter().flat_map(|route| route.paths).copied().collect();
    let count = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), count, "{paths:?}");
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_there() {
    let parts = [
        include_str!("../api/dashboard/dashboard.js"),
        include_str!("../api/dashboard/index.html"),
    ];
    // Relative ones, for a proxy may put the page below a path of its own.
    let quoted = parts.iter().flat_map(|part| part.split('"').skip(1).step_by(2));
    let named = |text: &&str| text.starts_with("v1/") || text.starts_with("dashboard.");
    let paths: Vec<&str> = quoted.filter(named).collect();
    assert!(paths.len() > 5, "{paths:?}");
    for relative in paths {
        let path = format!("/{}", relative.split('?').next().unwrap());
        assert!(ROUTES.iter().any(|route| route.paths.contains(&path.as_str())), "{path}");
    }
}
