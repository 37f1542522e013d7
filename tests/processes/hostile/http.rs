//! A hostile crowd at the HTTP port of the Goose, all at once: ten thousand connections that say
//! nothing, heads that come byte by byte, answers that nobody reads, heads and bodies that are
//! too large, requests by the hundred in one breath, and garbage.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{assert_undisturbed, cluster, code, connected, exchanged};
use crate::harness::PATIENCE;

const IDLE: u64 = 10_000;
/// Files that this process needs besides.
const SPARE: u64 = 1_000;

/// How many idle connections this process may have.
fn idle_count() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let wanted = IDLE + SPARE;
    let allowed = limits.maximum.unwrap_or(u64::MAX);
    if limits.current.is_some_and(|current| current < wanted) {
        let current = Some(wanted.min(allowed));
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum: limits.maximum });
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(IDLE.min(current.saturating_sub(SPARE))).unwrap()
}

fn idlers(address: SocketAddr) -> Vec<TcpStream> {
    let count = idle_count();
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => all.push(stream),
            Err(error) => {
                println!("no more connections: {error}");
                break;
            }
        }
    }
    println!("{} idle connections were opened, of {IDLE}", all.len());
    assert_eq!(all.len(), count);
    all
}

/// Heads that come one byte at a time, until the server has enough or the attack is over.
/// Returns how many connections were closed on.
fn drip(address: SocketAddr, over: &AtomicBool) -> usize {
    let mut streams: Vec<TcpStream> = (0..100).map(|_| connected(address)).collect();
    let head = b"GET /v1/status HTTP/1.1\r\nHost: a\r\nX-Slow: ";
    let mut closed = 0;
    let mut at = 0;
    while !streams.is_empty() && !over.load(Ordering::Relaxed) {
        let byte = [*head.get(at).unwrap_or(&b'x')];
        let before = streams.len();
        streams.retain_mut(|stream| stream.write_all(&byte).is_ok());
        closed += before - streams.len();
        at += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    closed
}

/// Requests without end from somebody who reads no answer.
fn never_read(address: SocketAddr, over: &AtomicBool) {
    let request = "GET /v1/members HTTP/1.1\r\nHost: a\r\n\r\n".repeat(64);
    let mut streams: Vec<TcpStream> = (0..50).map(|_| connected(address)).collect();
    for stream in &streams {
        stream.set_nonblocking(true).unwrap();
    }
    while !streams.is_empty() && !over.load(Ordering::Relaxed) {
        streams.retain_mut(|stream| match stream.write(request.as_bytes()) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn too_large(address: SocketAddr) {
    let value = "x".repeat(1_000_000);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n");
    let answer = exchanged(address, head.as_bytes());
    assert!(matches!(code(&answer), 0 | 431), "{answer}");
    let order = "POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    let body = format!("{order}Content-Length: 1000000\r\n\r\n{value}");
    let answer = exchanged(address, body.as_bytes());
    assert!(matches!(code(&answer), 0 | 413), "{answer}");
    let chunks = format!("{order}Transfer-Encoding: chunked\r\n\r\nf4240\r\n{value}");
    let answer = exchanged(address, chunks.as_bytes());
    assert!(matches!(code(&answer), 0 | 403), "{answer}");
}

fn garbage(address: SocketAddr) {
    let mut noise: u64 = 0x9e37_79b9_7f4a_7c15;
    for length in 1..200 {
        let bytes: Vec<u8> = (0..length * 7)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()[0]
            })
            .collect();
        let mut stream = connected(address);
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(matches!(code(&answer), 0 | 400 | 431), "{answer}");
    }
}

/// Three hundred requests in one breath, each answered in its turn.
fn pipelined(address: SocketAddr) -> bool {
    let (count, last) = (300, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let requests = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count);
    let answer = exchanged(address, format!("{requests}{last}").as_bytes());
    answer.matches("HTTP/1.1 200 OK\r\n").count() == count + 1 && answer.ends_with("Goose\n")
}

#[test]
fn a_hostile_crowd_at_its_http_port_does_not_unseat_the_goose() {
    let (cluster, first) = cluster(&[]);
    let address = cluster.node(first.goose).settings.http;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dripping = scope.spawn(|| drip(address, &over));
        let unread = scope.spawn(|| never_read(address, &over));
        let idle = idlers(address);
        too_large(address);
        garbage(address);
        // A health check gets through, and good requests by the hundred are answered, though
        // it may take a few attempts: whoever says nothing at first may be taken for idle.
        cluster.wait_until("a health check is answered in the crowd", |_| {
            let answer =
                exchanged(address, b"GET /goose HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            (code(&answer) == 200).then_some(())
        });
        cluster.wait_until("300 requests in one breath are answered", |_| {
            pipelined(address).then_some(())
        });
        over.store(true, Ordering::Relaxed);
        let closed = dripping.join().unwrap();
        println!("{closed} of 100 slow heads were closed on");
        unread.join().unwrap();
        drop(idle);
    });
    assert_undisturbed(&cluster, first);
    // Nobody was obeyed.
    assert_eq!(cluster.running(), [1, 2, 3]);
}
