//! HAProxy's agent-check: the line, and whoever asks for it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use super::super::Listeners;
use super::super::api::agent_check::line;
use super::*;

#[test]
fn the_line_says_what_the_node_knows_of_itself() {
    let said = |snapshot: &Snapshot, now, pulse| {
        let history = History::new(snapshot.process, snapshot.address, snapshot.started);
        line(&moment(snapshot, &history, (now, pulse)))
    };
    let lives = |snapshot: &Snapshot| said(snapshot, at(5_000), beats(at(5_000)));
    assert_eq!(lives(&goose()), "up ready\n");
    assert_eq!(lives(&duck()), "up maint\n");
    // The lease alone decides, to its last instant: the driver may hang meanwhile.
    let deadline = goose().lease.unwrap().deadline;
    let long_ago = beats(at(1_000));
    assert_eq!(said(&goose(), HolderTime(deadline.0 - 1), long_ago), "up ready\n");
    assert_eq!(said(&goose(), deadline, long_ago), "down\n");
    assert_eq!(said(&goose(), deadline, beats(deadline)), "up maint\n");
    assert_eq!(said(&duck(), at(5_000), Pulse { ended: true, ..beats(at(5_000)) }), "down\n");
    let in_phase = |phase| Snapshot { phase, ..duck() };
    assert_eq!(lives(&in_phase(Phase::Starting)), "down\n");
    assert_eq!(lives(&in_phase(Phase::Joining)), "down\n");
    // Nobody is to be woken for a restart that was ordered.
    assert_eq!(lives(&in_phase(Phase::Leaving)), "up maint\n");
    let mut sick = duck();
    sick.unhealthy = Some("HTTP 503".to_owned());
    assert_eq!(lives(&sick), "up maint\n");
}

/// A server that serves nothing but agent-checks.
fn served(double: &Double) -> (ServerThread, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listeners = Listeners { tcp: None, control: None, agent_check: Some(listener) };
    (spawn_thread(listeners, double.clone(), options()).unwrap(), address)
}

fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn read(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn whoever_connects_is_told_and_let_go_whatever_it_sends() {
    let double = Double::new(goose(), 5_000);
    let (server, address) = served(&double);
    assert_eq!(server.address(), None, "no HTTP");
    assert_eq!(read(connected(address)), "up ready\n");
    let mut sends = connected(address);
    // As agent-send does. What is not read would reset the connection, and the answer with it.
    sends.write_all(b"backend/server\n").unwrap();
    assert_eq!(read(sends), "up ready\n");
    let closes = connected(address);
    closes.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(closes), "up ready\n");
    // At the moment of the answer.
    double.set_clock(goose().lease.unwrap().deadline.0);
    assert_eq!(read(connected(address)), "up maint\n");
}

#[test]
fn a_crowd_that_never_lets_go_keeps_nobody_out() {
    let (_server, address) = served(&Double::new(duck(), 5_000));
    let began = Instant::now();
    // More than are kept at once, and none of them reads or closes.
    let crowd: Vec<TcpStream> = (0..200).map(|_| connected(address)).collect();
    assert_eq!(read(connected(address)), "up maint\n");
    for mut stream in crowd {
        // It was told, and it is closed from the other side, if need be by a reset.
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        assert_eq!(text, b"up maint\n");
        // Whoever goes on sending is not heard for long.
        while stream.write_all(&[b'x'; 1024]).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(20), "it is never closed");
        }
    }
}
