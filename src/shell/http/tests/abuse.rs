//! Hostile and clumsy clients over real sockets. Each test ends with a polite request that
//! must still be answered.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

/// Sends `bytes`, and returns all that comes back until the server closes.
fn exchanged(server: &ServerThread, bytes: &[u8]) -> String {
    let mut stream = connected(server);
    // The server may stop reading before everything is sent.
    let _ = stream.write_all(bytes);
    received(&mut stream)
}

fn connected(server: &ServerThread) -> TcpStream {
    let stream = TcpStream::connect(server.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn received(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is no loss.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The usual polite question.
fn still_answers(server: &ServerThread) {
    let answer = exchanged(server, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nDuck\n"), "{answer}");
}

fn duck_server(options: Options) -> ServerThread {
    served(&Double::new(duck(), 5_000), options)
}

#[test]
fn a_head_request_has_no_body() {
    let server = duck_server(options());
    for path in ["/", "/goose", "/v1/status", "/nothing"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = exchanged(&server, request.as_bytes());
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.contains("content-length: 0"), "{answer}");
    }
}

#[test]
fn connections_are_kept_and_requests_may_queue() {
    let server = duck_server(options());
    let one = "GET /goose HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /duck HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchanged(&server, format!("{}{last}", one.repeat(50)).as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 503 ").count(), 50, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 1, "{answer}");
}

#[test]
fn good_requests_before_a_bad_one_are_answered() {
    let server = duck_server(options());
    let one = "GET /duck HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = exchanged(&server, format!("{}nonsense\r\n\r\n", one.repeat(3)).as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 3, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400 ").count(), 1, "{answer}");
    assert!(answer.contains("urn:gaggle:problem:malformed"), "{answer}");
}

#[test]
fn the_role_is_computed_for_each_answer_of_one_connection() {
    let double = Double::new(goose(), 5_000);
    let server = served(&double, options());
    let mut stream = connected(&server);
    let mut ask = |expected: &str| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(expected.as_bytes()) {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
    };
    ask("Goose\n");
    double.set_clock(5_600 * MILLISECOND - 1);
    ask("Goose\n");
    double.set_clock(5_600 * MILLISECOND);
    ask("Duck\n");
}

#[test]
fn an_unfinished_head_is_timed_out() {
    let timeout = Duration::from_millis(100);
    let server = duck_server(Options { header_timeout: timeout, ..options() });
    let answer = exchanged(&server, b"GET / HTTP/1.1\r\nHos");
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("urn:gaggle:problem:timeout"), "{answer}");
    assert_eq!(exchanged(&server, b""), "", "silence is answered by silence");
    still_answers(&server);
}

#[test]
fn an_unfinished_body_is_timed_out() {
    let timeout = Duration::from_millis(100);
    let server = duck_server(Options { body_timeout: timeout, ..options() });
    let head = format!("POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\n{BEARER}");
    let answer = exchanged(&server, format!("{head}Content-Length: 10\r\n\r\n{{").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    still_answers(&server);
}

#[test]
fn huge_heads_are_refused_and_the_reason_arrives() {
    let server = duck_server(options());
    for size in [20_000, 50_000, 500_000] {
        let value = "x".repeat(size);
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n");
        let answer = exchanged(&server, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 431 "), "{size}: {answer}");
        assert!(answer.contains("urn:gaggle:problem:headers-too-large"), "{size}: {answer}");
    }
    let many = "X: y\r\n".repeat(200);
    let answer = exchanged(&server, format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    still_answers(&server);
}

#[test]
fn huge_bodies_are_refused_and_the_reason_arrives() {
    let double = Double::new(duck(), 5_000);
    let server = served(&double, options());
    let head = format!("POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\n{BEARER}");
    let body = "x".repeat(100_000);
    let declared = format!("{head}Content-Length: 100000\r\n\r\n{body}");
    let answer = exchanged(&server, declared.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n186a0\r\n{body}\r\n0\r\n\r\n");
    let answer = exchanged(&server, chunked.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let absurd = format!("{head}Content-Length: 18446744073709551616\r\n\r\n");
    let answer = exchanged(&server, absurd.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(double.orders(), Vec::<String>::new());
    still_answers(&server);
}

#[test]
fn garbage_is_answered_by_a_refusal_or_by_nothing() {
    let server = duck_server(options());
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\nTransfer-Encoding: nonsense\r\n\r\n",
    ];
    for bytes in garbage {
        let answer = exchanged(&server, bytes);
        let problem = answer.contains("urn:gaggle:problem:malformed");
        let refused = answer.starts_with("HTTP/1.1 400 ") && problem;
        assert!(answer.is_empty() || refused, "{bytes:?}: {answer}");
    }
    still_answers(&server);
}

#[test]
fn idle_connections_make_room() {
    let options = Options { connections_max: 8, ..options() };
    let server = duck_server(options);
    let idle: Vec<_> = (0..100).map(|_| connected(&server)).collect();
    still_answers(&server);
    drop(idle);
    still_answers(&server);
}

#[test]
fn stopping_does_not_wait_for_idle_connections() {
    let server = duck_server(options());
    let mut idle = connected(&server);
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut first = [0; 1];
    idle.read_exact(&mut first).unwrap();
    let before = std::time::Instant::now();
    server.stop();
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    assert!(received(&mut idle).ends_with("Duck\n"));
}
