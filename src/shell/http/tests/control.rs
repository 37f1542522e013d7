//! The control socket in front of a double: orders without a token, limits of its own, and what
//! becomes of its file.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::super::client::{NodeUrl, Question, ask};
use super::super::{Listeners, NodeView};
use super::*;
use crate::node::{VoterOrder, VotersOrdered};
use crate::shell::control_socket::ControlSocket;
use crate::shell::control_socket::places::Places;
use hyper::Method;

const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    server: ServerThread,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn served<V: NodeView>(view: &V, options: Options) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let control = ControlSocket::open(Some(folder.path()), id(3), &Places::default()).unwrap();
    let path = control.path().to_owned();
    let listeners = Listeners { tcp: Some(tcp), control: Some(control), agent_check: None };
    let server = spawn_thread(listeners, view.clone(), options).unwrap();
    Served { server, path, _folder: folder }
}

fn exchanged(path: &PathBuf, request: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

const LEAVE: &str = "POST /v1/leave HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

#[test]
fn an_order_needs_no_token_and_questions_are_answered_as_over_tcp() {
    let double = Double::new(goose(), 5_000);
    let options = Options { admin_token: None, ..options() };
    let served = served(&double, options);
    let front = exchanged(&served.path, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(front.starts_with("HTTP/1.1 200") && front.ends_with("Goose\n"), "{front}");
    let left = exchanged(&served.path, &format!("{LEAVE}Content-Length: 0\r\n\r\n"));
    assert!(left.starts_with("HTTP/1.1 200"), "{left}");
    let page = exchanged(&served.path, &format!("{LEAVE}Origin: null\r\n\r\n"));
    assert!(page.starts_with("HTTP/1.1 403"), "{page}");
    assert_eq!(double.orders(), ["leave"]);
    // Over TCP the same order is refused.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let question = Question::Order {
        method: Method::POST,
        path: "/v1/leave",
        body: String::new(),
        token: None,
    };
    let node = NodeUrl::from(served.server.address().unwrap());
    let answer = runtime.block_on(ask(&node, question, PATIENCE)).unwrap();
    assert_eq!((answer.status.as_u16(), double.orders().len()), (403, 1));
    let node = NodeUrl::socket(served.path.clone());
    let answer = runtime.block_on(ask(&node, Question::Get("/v1/status"), PATIENCE)).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn a_crowd_at_the_port_or_at_the_socket_keeps_no_operator_out() {
    let double = Double::new(duck(), 5_000);
    let options = Options { connections_max: 8, readers_max: 8, ..options() };
    let served = served(&double, options);
    // Every connection over TCP is busy with events.
    let events: Vec<std::net::TcpStream> = (0..8)
        .map(|_| {
            let mut stream =
                std::net::TcpStream::connect(served.server.address().unwrap()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 64]).unwrap();
            stream
        })
        .collect();
    // More than the socket takes, and all of them silent; some in the middle of a head.
    let idle: Vec<UnixStream> = (0..200)
        .map(|number| {
            let mut stream = UnixStream::connect(&served.path).unwrap();
            if number % 3 == 0 {
                // It may be closed on already.
                let _ = stream.write_all(b"POST /v1/leave HTTP/1.1\r\nHo");
            }
            stream
        })
        .collect();
    let left = exchanged(&served.path, &format!("{LEAVE}Content-Length: 0\r\n\r\n"));
    assert!(left.starts_with("HTTP/1.1 200"), "{left}");
    drop((events, idle));
    assert_eq!(double.orders(), ["leave"]);
}

#[test]
fn the_file_goes_when_the_server_stops_and_another_in_its_place_stays() {
    let double = Double::new(duck(), 5_000);
    let first = served(&double, options());
    first.server.stop();
    assert!(!first.path.exists());
    let second = served(&double, options());
    std::fs::remove_file(&second.path).unwrap();
    std::fs::write(&second.path, "somebody's").unwrap();
    second.server.stop();
    assert_eq!(std::fs::read_to_string(&second.path).unwrap(), "somebody's");
}

/// A node that ends when it is told to.
#[derive(Clone)]
struct Mortal(Double, watch::Receiver<bool>);

impl NodeView for Mortal {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }
    fn holder_now(&self) -> HolderTime {
        self.0.holder_now()
    }
    fn pulse(&self) -> Pulse {
        self.0.pulse()
    }
    fn history(&self) -> watch::Receiver<Arc<History>> {
        NodeView::history(&self.0)
    }
    async fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        self.0.step_down(to, hold).await
    }
    async fn drain(&self, is_drained: bool) -> Result<Drained, OrderError> {
        self.0.drain(is_drained).await
    }
    async fn pause(&self, lasts: Option<Duration>) -> Result<Paused, OrderError> {
        self.0.pause(lasts).await
    }
    async fn change_voters(&self, order: VoterOrder) -> Result<VotersOrdered, OrderError> {
        self.0.change_voters(order).await
    }
    async fn forget(&self, id: NodeId) -> Result<(), OrderError> {
        self.0.forget(id).await
    }
    async fn leave(&self) -> Result<(), OrderError> {
        self.0.leave().await
    }
    async fn ended(&self) {
        let _ = self.1.clone().wait_for(|ended| *ended).await;
    }
}

#[test]
fn the_socket_goes_with_the_node_while_questions_are_still_answered() {
    let (end, ended) = watch::channel(false);
    let node = Mortal(Double::new(duck(), 5_000), ended);
    let served = served(&node, options());
    assert!(served.path.exists());
    end.send_replace(true);
    let before = std::time::Instant::now();
    while served.path.exists() {
        assert!(before.elapsed() < PATIENCE, "it is still there");
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut stream = std::net::TcpStream::connect(served.server.address().unwrap()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("Duck\n"), "{answer}");
}
