//! Long polls and event streams, over real sockets, read line by line.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::shell::history::EVENTS_MAX;

/// Longer than anything here takes; whatever must come back at once would else wait for this.
const LONG: Duration = Duration::from_secs(20);

fn connected(server: &ServerThread, path: &str, headers: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(server.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    BufReader::new(stream)
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let count = reader.read_line(&mut line).ok()?;
    (count > 0).then(|| line.trim_end().to_owned())
}

/// The next event: its name, its id and its data. Comments and what HTTP puts between are
/// passed over.
fn event(reader: &mut BufReader<TcpStream>) -> Option<(String, Option<u64>, Value)> {
    let (mut name, mut id) = (None, None);
    loop {
        let line = line(reader)?;
        if let Some(text) = line.strip_prefix("event: ") {
            name = Some(text.to_owned());
        } else if let Some(text) = line.strip_prefix("id: ") {
            id = text.parse().ok();
        } else if let Some(text) = line.strip_prefix("data: ") {
            return Some((name?, id, serde_json::from_str(text).unwrap()));
        }
    }
}

fn body(reader: &mut BufReader<TcpStream>) -> Value {
    loop {
        let line = line(reader).expect("a body");
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

fn member(number: u64) -> Event {
    Event::MemberChanged {
        id: id(number),
        address: address("127.0.0.1:8007"),
        state: MemberState::Alive,
    }
}

#[test]
fn a_stream_begins_with_the_status_and_tells_what_happens() {
    let double = Double::new(duck(), 5_000);
    let server = served(&double, options());
    let mut reader = connected(&server, "/v1/events", "");
    let (name, index, data) = event(&mut reader).unwrap();
    assert_eq!((name.as_str(), index), ("status", None));
    assert_eq!(data["status"]["role"], "duck");
    assert_eq!(data["voters"]["majority"], 2);
    double.happened(member(8));
    let expected = json!({"index": 18, "time": "2025-11-24T19:22:03.456Z", "words": "in words",
                          "id": 8, "addr": "127.0.0.1:8007", "state": "alive"});
    assert_eq!(event(&mut reader), Some(("member".to_owned(), Some(18), expected)));
    double.happened(Event::GooseChanged(None));
    let (name, index, data) = event(&mut reader).unwrap();
    assert_eq!((name.as_str(), index), ("goose", Some(19)));
    assert_eq!(data.get("goose"), Some(&Value::Null));
}

#[test]
fn who_comes_back_misses_nothing_or_is_told() {
    let double = Double::new(duck(), 5_000);
    let server = served(&double, options());
    for number in 1..=4 {
        double.happened(member(number));
    }
    // The server has its own copy: wait until it is there.
    let mut poll = connected(&server, "/v1/events?index=17", "");
    assert_eq!(event(&mut poll).map(|it| it.0), Some("status".to_owned()));
    for index in 18..=21 {
        assert_eq!(event(&mut poll).and_then(|it| it.1), Some(index));
    }
    let mut reader = connected(&server, "/v1/events", "Last-Event-ID: 19\r\n");
    event(&mut reader).unwrap();
    assert_eq!(event(&mut reader).and_then(|it| it.1), Some(20));
    assert_eq!(event(&mut reader).and_then(|it| it.1), Some(21));
    // Of another process of this node: its index was higher.
    let mut reader = connected(&server, "/v1/events", "Last-Event-ID: 500\r\n");
    event(&mut reader).unwrap();
    assert_eq!(event(&mut reader).map(|it| it.0), Some("gap".to_owned()));
}

#[test]
fn who_falls_behind_is_told_so_and_dropped() {
    let double = Double::new(duck(), 5_000);
    let server = served(&double, Options { heartbeat: LONG, ..options() });
    let mut reader = connected(&server, "/v1/events", "");
    event(&mut reader).unwrap();
    // Faster than the reader reads, and more than any buffer on the way holds.
    let deadline = Instant::now() + LONG;
    let mut number = 0;
    let last = loop {
        for _ in 0..4 * EVENTS_MAX as u64 {
            number += 1;
            double.happened(member(1 + number % 9));
        }
        reader.get_ref().set_nonblocking(true).unwrap();
        let waiting = reader.get_ref().peek(&mut [0; 1]).is_ok();
        reader.get_ref().set_nonblocking(false).unwrap();
        assert!(Instant::now() < deadline, "never dropped");
        if waiting && let Some(end) = skip_to_end(&mut reader) {
            break end;
        }
    };
    assert_eq!(last["reason"], "slow");
    assert_eq!(line(&mut reader).as_deref(), Some(""));
}

/// Reads a few events; the data of the last one of the stream, if it is among them.
fn skip_to_end(reader: &mut BufReader<TcpStream>) -> Option<Value> {
    (0..64).find_map(|_| {
        let (name, _, data) = event(reader)?;
        (name == "end").then_some(data)
    })
}

#[test]
fn silence_is_filled_with_comments() {
    let heartbeat = Duration::from_millis(5);
    let server = served(&Double::new(duck(), 5_000), Options { heartbeat, ..options() });
    let mut reader = connected(&server, "/v1/events", "");
    event(&mut reader).unwrap();
    let mut comments = 0;
    while comments < 3 {
        comments += u32::from(line(&mut reader).unwrap() == ":");
    }
}

#[test]
fn a_full_server_says_so() {
    let server = served(&Double::new(duck(), 5_000), Options { readers_max: 1, ..options() });
    let mut reader = connected(&server, "/v1/events?every=1h", "");
    assert_eq!(body(&mut reader)["status"], 400);
    let mut reader = connected(&server, "/v1/events", "");
    event(&mut reader).unwrap();
    for path in ["/v1/events", "/v1/status?index=17"] {
        let mut second = connected(&server, path, "");
        assert_eq!(body(&mut second)["type"], "urn:gaggle:problem:too-many-readers");
    }
}

#[test]
fn a_stopping_server_says_goodbye_and_waits_for_nobody_who_has_it() {
    // Whatever is given its whole time here is given longer than this test may take.
    let options = Options { farewell: LONG, linger: LONG, heartbeat: LONG, ..options() };
    let server = served(&Double::new(duck(), 5_000), options);
    let mut streams = [(); 3].map(|()| connected(&server, "/v1/events", ""));
    streams.iter_mut().for_each(|stream| drop(event(stream).unwrap()));
    let mut poll = connected(&server, "/v1/status?index=17&wait=60s", "");
    let mut idle = connected(&server, "/v1/status", "");
    body(&mut idle);
    let before = Instant::now();
    // None of them closes its connection.
    server.stop();
    assert!(before.elapsed() < LONG, "{:?}", before.elapsed());
    for mut stream in streams {
        let (name, _, data) = event(&mut stream).unwrap();
        assert_eq!((name.as_str(), &data["reason"]), ("end", &json!("stopping")));
        // The last piece of the answer, and the end of the connection.
        while line(&mut stream).is_some() {}
    }
    // It was either asked in time, and answered, or not taken any more.
    assert!(line(&mut poll).is_none_or(|line| line == "HTTP/1.1 200 OK"));
}

#[test]
fn a_stopping_server_gives_up_who_does_not_go_on() {
    let farewell = Duration::from_millis(1);
    let options = Options { farewell, linger: LONG, body_timeout: LONG, ..options() };
    let server = served(&Double::new(duck(), 5_000), options);
    let mut stream = TcpStream::connect(server.address().unwrap()).unwrap();
    let head = format!(
        "POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\n{BEARER}\
         Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It is being answered, and waits for the body.
    let mut reader = BufReader::new(stream);
    assert_eq!(line(&mut reader).as_deref(), Some("HTTP/1.1 100 Continue"));
    let before = Instant::now();
    server.stop();
    assert!(before.elapsed() < LONG / 2, "{:?}", before.elapsed());
}

#[test]
fn a_long_poll_waits_for_news_for_its_time_and_for_nothing_else() {
    let double = Double::new(duck_of_another(), 5_000);
    let server = served(&double, options());
    let before = Instant::now();
    // Another index than the node's is news.
    for path in ["/v1/status?index=16", "/v1/status?index=18&wait=20s", "/v1/goose?wait=20s"] {
        body(&mut connected(&server, path, ""));
    }
    assert_eq!(body(&mut connected(&server, "/v1/status?index=17&wait=1ms", ""))["index"], 17);
    let mut reader = connected(&server, "/v1/goose?index=17&wait=60s", "");
    // It waits now or will find the news: either way it must come back long before its time.
    double.happened(member(8));
    assert_eq!(body(&mut reader)["id"], 2);
    let mut reader = connected(&server, "/v1/status?index=17&wait=60s", "");
    body(&mut reader);
    assert!(before.elapsed() < LONG, "{:?}", before.elapsed());
}
