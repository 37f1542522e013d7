//! Orders from the client's request to the node and back.

use super::super::client::{Answer, NodeUrl, Question, ask};
use super::*;
use hyper::Method;

const LIMIT: Duration = Duration::from_secs(10);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn post(server: &ServerThread, path: &str, body: &str) -> Answer {
    let node = NodeUrl::from(server.address().unwrap());
    let token = Token::new(SECRET).unwrap();
    let question =
        Question::Order { method: Method::POST, path, body: body.to_owned(), token: Some(&token) };
    runtime().block_on(ask(&node, question, LIMIT)).unwrap()
}

#[test]
fn stepping_down_says_which_term_ended_and_who_follows() {
    let double = Double::new(goose(), 5_000);
    let server = served(&double, options());
    let answer = post(&server, "/v1/step-down", "");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "{\"term\":12,\"nominee\":2}\n");
    let answer = post(&server, "/v1/step-down", r#"{"to":"127.0.0.1:8000","hold_ms":1500}"#);
    assert_eq!(answer.status, 200);
    let derived = NodeId::of_address(address("127.0.0.1:8000")).unwrap();
    assert_eq!(
        double.orders(),
        [
            "step down to None hold None".to_owned(),
            format!("step down to Some({derived:?}) hold Some(1.5s)")
        ]
    );
}

#[test]
fn what_cannot_be_done_says_why() {
    let server = served(&Double::new(duck(), 5_000), options());
    let complaint = post(&server, "/v1/step-down", "{}").complaint();
    assert!(complaint.contains("it knows of none at the moment. To have"), "{complaint}");
    let server = served(&Double::new(duck_of_another(), 5_000), options());
    let answer = post(&server, "/v1/step-down", "{}");
    assert_eq!(answer.status, 409);
    assert_eq!(answer.problem_kind().as_deref(), Some("not-the-goose"));
    let complaint = answer.complaint();
    assert!(
        complaint.starts_with("this node is not the Goose: node 2 (db-2) at 127.0.0.1:8001 is. "),
        "{complaint}"
    );
    assert!(
        complaint.ends_with(" is. To have this one hold back, use `gaggle drain`"),
        "{complaint}"
    );
    let server = served(&Double::new(goose(), 5_000), options());
    let answer = post(&server, "/v1/step-down", r#"{"to":99}"#);
    assert_eq!(answer.status, 409);
    assert_eq!(answer.problem_kind().as_deref(), Some("no-such-standby"));
    let expected = "node 99 is no member that this node knows: see `gaggle members`";
    assert_eq!(answer.complaint(), expected);
    for (to, expected) in [
        (1, "node 1 is down: start it, or name another one"),
        (3, "node 3 is the Goose itself: name another one, or leave --to out"),
    ] {
        let answer = post(&server, "/v1/step-down", &format!("{{\"to\":{to}}}"));
        assert_eq!((answer.status.as_u16(), answer.complaint().as_str()), (409, expected));
    }
}

#[test]
fn a_member_is_forgotten_or_it_is_said_why_not() {
    let double = Double::new(duck(), 5_000);
    let server = served(&double, options());
    let answer = post(&server, "/v1/forget", r#"{"id":"127.0.0.1:8000"}"#);
    let derived = NodeId::of_address(address("127.0.0.1:8000")).unwrap();
    let expected = format!("{{\"id\":{derived},\"is_voter\":false}}\n");
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, expected.as_bytes()));
    let answer = post(&server, "/v1/forget", r#"{"id":1}"#);
    assert_eq!(&answer.body[..], b"{\"id\":1,\"is_voter\":true}\n");
    for (id, kind) in [(98, "member-present"), (99, "no-such-member")] {
        let answer = post(&server, "/v1/forget", &format!("{{\"id\":{id}}}"));
        assert_eq!(answer.status, 409);
        assert_eq!(answer.problem_kind().as_deref(), Some(kind));
    }
    for body in ["", "{}", "[1]", "{\"id\":0}", "{\"id\":1,\"too\":1}", "{\"id\":\"x\"}"] {
        let answer = post(&server, "/v1/forget", body);
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(double.orders().len(), 4);
}

#[test]
fn a_node_is_drained_and_drained_no_more() {
    let double = Double::new(goose(), 5_000);
    let server = served(&double, options());
    let drained = "{\"drained\":true,\"changed\":true,\"kept\":true,\"term\":12,\"nominee\":2}\n";
    let not =
        "{\"drained\":false,\"changed\":false,\"kept\":true,\"term\":null,\"nominee\":null}\n";
    for (body, expected) in
        [("", drained), ("{}", drained), ("{\"off\":false}", drained), ("{\"off\":true}", not)]
    {
        let answer = post(&server, "/v1/drain", body);
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, expected.as_bytes()),
            "{body}"
        );
    }
    for body in ["{", "[]", "{\"off\":1}", "{\"on\":true}"] {
        assert_eq!(post(&server, "/v1/drain", body).status, 400, "{body}");
    }
    assert_eq!(double.orders(), ["drain true", "drain true", "drain true", "drain false"]);
}

/// Read otherwise than exactly, it would be another node's.
#[test]
fn the_highest_id_may_be_written_with_a_point_too() {
    let double = Double::new(goose(), 5_000);
    let server = served(&double, options());
    for id in ["9007199254740991", "9007199254740991.0"] {
        post(&server, "/v1/forget", &format!("{{\"id\":{id}}}"));
    }
    let expected = vec!["forget 9007199254740991".to_owned(); 2];
    assert_eq!(*double.orders.lock().unwrap(), expected);
}

#[test]
fn the_goose_pauses_for_an_hour_or_as_told_and_a_duck_names_the_goose() {
    let double = Double::new(goose(), 5_000);
    let server = served(&double, options());
    let said = |path: &str, body: &str| {
        let answer = post(&server, path, body);
        (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
    };
    let expected =
        |lasts: &str| (200, format!("{{\"term\":12,\"for_ms\":{lasts},\"was_paused\":false}}\n"));
    assert_eq!(said("/v1/pause", ""), expected("3600000"));
    assert_eq!(said("/v1/pause", "{\"for_ms\":86400000}"), expected("86400000"));
    assert_eq!(
        said("/v1/pause", "{\"for_ms\":6e4}"),
        expected("60000"),
        "one way to write a number"
    );
    assert_eq!(said("/v1/resume", ""), expected("null"));
    for body in [
        "{",
        "[]",
        "{\"for_ms\":0}",
        "{\"for_ms\":86400001}",
        "{\"for_ms\":1.5}",
        "{\"for_ms\":-1.0}",
        "{\"for_ms\":1e99}",
        "{\"for\":1}",
    ] {
        assert_eq!(said("/v1/pause", body).0, 400, "{body}");
    }
    let server = served(&Double::new(duck(), 5_000), options());
    let answer = post(&server, "/v1/pause", "");
    assert_eq!(
        (answer.status.as_u16(), answer.problem_kind().as_deref()),
        (409, Some("not-the-goose"))
    );
    assert!(answer.complaint().ends_with("ask node 2 at 127.0.0.1"), "{}", answer.complaint());
}

#[test]
fn bodies_that_say_nothing_sensible_order_nothing() {
    let double = Double::new(goose(), 5_000);
    let server = served(&double, options());
    let bodies = ["{", "[]", "{\"to\":0}", "{\"to\":\"somebody\"}", "{\"to\":-1}", "{\"too\":1}"];
    for body in bodies.iter().chain(&["{\"hold_ms\":86400001}", "{\"hold_ms\":1e99}"]) {
        let answer = post(&server, "/v1/step-down", body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.problem_kind().as_deref(), Some("malformed"), "{body}");
    }
    assert_eq!(double.orders(), Vec::<String>::new());
}

#[test]
fn leaving_is_answered_before_the_server_stops() {
    let double = Double::new(duck(), 5_000);
    let server = served(&double, options());
    let answer = post(&server, "/v1/leave", "");
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"{\"left\":true}\n"[..]));
    assert_eq!(double.orders(), ["leave"]);
    let address = server.address().unwrap();
    server.stop();
    let error = runtime().block_on(ask(&address.into(), Question::Get("/"), LIMIT)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("nobody listens at http://{address}")), "{text}");
    assert!(text.contains("gaggle run"), "{text}");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = NodeUrl::from(silent.local_addr().unwrap());
    let question = ask(&node, Question::Get("/"), Duration::from_millis(50));
    let error = runtime().block_on(question).unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[test]
fn urls_are_understood_or_refused() {
    let shown = |text: &str| text.parse::<NodeUrl>().map(|url| url.to_string());
    assert_eq!(shown("http://127.0.0.1:9001").unwrap(), "http://127.0.0.1:9001");
    assert_eq!(shown("127.0.0.1:9001/").unwrap(), "http://127.0.0.1:9001");
    #[cfg(feature = "tls")]
    for url in ["https://goose.example:9001", "https://[::1]:9001"] {
        assert_eq!(shown(url).unwrap(), url);
    }
    assert_eq!(shown("goose.example").unwrap(), "http://goose.example:9000");
    assert_eq!(shown("http://[::1]:9001").unwrap(), "http://[::1]:9001");
    for path in ["/run/gaggle/gaggle-3.sock", "./gaggle.sock", "state/gaggle.sock", "../x"] {
        assert_eq!(shown(path).unwrap(), path);
        assert_eq!(shown(&format!("unix:{path}")).unwrap(), path);
    }
    assert_eq!(shown("unix:///a/b.sock").unwrap(), "/a/b.sock");
    // A folder means the socket in it.
    let folder = tempfile::tempdir().unwrap().keep();
    let text = folder.display().to_string();
    assert_eq!(shown(&text).unwrap(), format!("{text}/gaggle.sock"));
    std::fs::remove_dir(folder).unwrap();
    for wrong in [
        "ftp://a:1",
        "https://a:1/v1",
        "http://a:1/v1",
        "http://u@a:1",
        "http://a:99999",
        "",
        "a:b",
        "http://a:1?x",
        "unix:",
    ] {
        let error = shown(wrong).unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:9000"), "{wrong}: {error}");
    }
}
