//! A tiny blocking HTTP client over one kept connection, so that a sample costs one round trip
//! and nothing of the product under test is used to judge it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an answer is waited for. A stopped process still accepts connections (its kernel
/// does), so silence is normal and must not take long.
const PATIENCE: Duration = Duration::from_millis(250);

/// An answer, with the span of time in which it was computed.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// 200, 503 and so on.
    pub(crate) code: u16,
    pub(crate) body: Vec<u8>,
    /// Read before the request was written.
    pub(crate) sent: Instant,
    /// Read after the answer had come in.
    pub(crate) received: Instant,
}

/// A client of one node.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    patience: Duration,
    stream: Option<TcpStream>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::patient(address, PATIENCE)
    }

    /// One that waits for so long.
    pub(crate) fn patient(address: SocketAddr, patience: Duration) -> Self {
        Self { address, patience, stream: None }
    }

    /// Asks for `path`. Nothing if nobody answers in time; the next call connects anew.
    pub(crate) fn get(&mut self, path: &str) -> Option<Answer> {
        self.ask("GET", path, "\r\n")
    }

    /// `rest` is what follows on the Host header.
    fn ask(&mut self, method: &str, path: &str, rest: &str) -> Option<Answer> {
        let answer = self.exchange(method, path, rest);
        if answer.is_err() {
            self.stream = None;
        }
        answer.ok()
    }

    fn exchange(&mut self, method: &str, path: &str, rest: &str) -> std::io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{rest}", self.address);
        let (answer, last) = exchange(&mut stream, &request)?;
        if !last {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Gives an order over a node's control socket, and waits for it to be carried out.
pub(crate) fn order(socket: &Path, path: &str, body: &str, patience: Duration) -> Option<Answer> {
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    exchange(&mut stream, &request).ok().map(|(answer, _)| answer)
}

/// One request and its answer, and whether it is the last on this connection.
fn exchange<S: Read + Write>(stream: &mut S, request: &str) -> std::io::Result<(Answer, bool)> {
    let sent = Instant::now();
    stream.write_all(request.as_bytes())?;
    let (head, body) = read_answer(stream)?;
    let received = Instant::now();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| malformed("no status code"))?;
    let last = header(&head, "connection").is_some_and(|value| value == "close");
    Ok((Answer { code, body, sent, received }, last))
}

/// Reads one answer with a Content-Length: its head in lower case, and its body.
fn read_answer(stream: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let length: usize = length.ok_or_else(|| malformed("no length"))?;
    while bytes.len() < head_end + length {
        read_more(stream, &mut bytes)?;
    }
    Ok((head, bytes.split_off(head_end)))
}

fn read_more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let mut chunk = [0; 2048];
    match stream.read(&mut chunk)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| *field == name).map(|(_, value)| value.trim())
}

fn malformed(reason: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, reason)
}
