//! One request and its answer, by a client of the test's own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::shell::http::ServerThread;

/// What came back. Of a stream, its beginning.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) status: String,
    pub(super) media_type: String,
    pub(super) allow: String,
    pub(super) body: Vec<u8>,
}

/// Sends a request; `headers` may end with an empty line and a body.
pub(super) fn asked(server: &ServerThread, method: &str, target: &str, headers: &str) -> Exchange {
    let mut stream = TcpStream::connect(server.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let method = method.to_uppercase();
    let end = if headers.contains("\r\n\r\n") { "" } else { "\r\n" };
    let host = server.address().unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}{end}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("text/event-stream") && text.contains("data: ") && text.ends_with("\n\r\n")
        {
            break;
        }
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let body = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap();
    let header = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let field = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    Exchange {
        status: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        media_type: header("content-type"),
        allow: header("allow"),
        body,
    }
}
