//! Whoever answers for a node tells the truth of its driver: one that is stuck behind somebody
//! who blocks its runtime, and one that has died.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gaggle::node::LastWillDatagram;
use gaggle::node::setup::Setup;
use gaggle::shell::handle::{Handle, NodeFailed};
use gaggle::shell::http::{Options, ServerThread, spawn_thread};
use gaggle::shell::last_will_sender::LastWillSender;
use gaggle::shell::start::{StartOptions, start};
use gaggle::shell::store::NoStore;
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::time::HolderTime;
use gaggle::wire::record::Disk;

use crate::harness::http::{Answer, Client};

/// Far longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that is its whole cluster, and the server that answers for it.
fn served(last_will_sender: Option<Box<dyn LastWillSender>>) -> (Handle, ServerThread) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let id = NodeId::new(1).unwrap();
    let setup = Setup {
        voters: Some(VoterSet::new(vec![id]).unwrap()),
        entropy: [1; 32],
        ..Setup::new(ClusterName::new("pulse").unwrap(), id, socket.local_addr().unwrap())
    };
    let store = Box::new(NoStore);
    let handle =
        start(StartOptions { setup, socket, disk: Disk::Empty, store, last_will_sender }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options::new(Duration::from_millis(200));
    let server = spawn_thread(listener, handle.clone(), options).unwrap();
    (handle, server)
}

/// Asks until all of `paths` answer with `code`; the last answer's words.
fn until(server: SocketAddr, paths: &[&str], code: u16) -> String {
    let began = Instant::now();
    let mut client = Client::patient(server, PATIENCE);
    loop {
        let answers = paths.iter().map(|path| client.get(path).expect("the server answers"));
        let answers: Vec<Answer> = answers.collect();
        if answers.iter().all(|answer| answer.code == code) {
            return String::from_utf8(answers.last().unwrap().body.clone()).unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "not {code} but {answers:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_blocked_runtime_is_told_from_a_node_that_lives() {
    let (tell, told) = mpsc::channel();
    let (block, blocked) = mpsc::channel::<()>();
    let (go_on, free) = mpsc::channel::<()>();
    let runtime = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (handle, server) = served(None);
            tell.send(server.address().unwrap()).unwrap();
            while blocked.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
            // What a program must not do on its only thread.
            free.recv().unwrap();
            while blocked.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
            handle.leave().await.unwrap();
            server.stop();
        });
    });
    let server = told.recv().unwrap();
    until(server, &["/goose", "/readyz", "/livez"], 200);
    block.send(()).unwrap();
    let words = until(server, &["/goose", "/duck", "/readyz", "/livez"], 503);
    assert!(words.contains("has not come round for"), "{words}");
    let status = Client::patient(server, PATIENCE).get("/v1/status").unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    assert!(status["node"]["driver_age_ms"].as_u64().unwrap() >= 3_000, "{status}");
    go_on.send(()).unwrap();
    until(server, &["/goose", "/readyz", "/livez"], 200);
    block.send(()).unwrap();
    runtime.join().unwrap();
}

/// A part of the driver's that dies, and the driver with it.
struct Dies;

impl LastWillSender for Dies {
    fn feed(&mut self, _: &[LastWillDatagram]) {}
    fn renewed(&mut self, _: u64, _: HolderTime) {
        panic!("this sender dies, as it was told to");
    }
    fn flush(&mut self) {}
}

#[tokio::test]
async fn a_driver_that_has_died_is_told_and_nobody_answers_for_it() {
    let (node, server) = served(Some(Box::new(Dies)));
    let ended = tokio::time::timeout(PATIENCE, node.ended()).await.expect("it ends");
    assert_eq!(ended, Err(NodeFailed));
    let answers = tokio::task::spawn_blocking(move || {
        let words = until(server.address().unwrap(), &["/duck", "/readyz", "/livez"], 503);
        until(server.address().unwrap(), &["/goose"], 503);
        words
    });
    let words = answers.await.unwrap();
    assert!(words.contains("the node has ended"), "{words}");
}
