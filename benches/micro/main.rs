//! What the smallest things cost: one question, one message, one datagram, one write.
//!
//! ```text
//! cargo bench --bench micro                 all of it
//! cargo bench --bench micro -- seal         what has "seal" in its name
//! ```
//!
//! The core's inputs are measured on three whole nodes in invented time: each measured input is
//! one that the cluster's own course brought about, never the same one twice, for a repeated
//! one is refused. `record_write` goes to the disk of the build's folder.

mod cluster;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use divan::{Bencher, black_box};
use gaggle::node::Output;
use gaggle::node::setup::Setup;
use gaggle::shell::handle::Handle;
use gaggle::shell::http::api::guard::Peer;
use gaggle::shell::http::api::route::Request;
use gaggle::shell::http::api::router::respond;
use gaggle::shell::http::api::views::Moment;
use gaggle::shell::process_usage::ProcessUsage;
use gaggle::shell::start::{StartOptions, start};
use gaggle::shell::store::{NoStore, StateFolder, Store};
use gaggle::vocabulary::configuration::ClusterName;
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::time::WallTime;
use gaggle::wire::message::Message;
use gaggle::wire::record::{Disk, Record};
use gaggle::wire::seal::{self, KeyRing, NONCE_SIZE};
use hyper::{HeaderMap, Method, Uri};

fn main() {
    divan::main();
}

/// A real node that votes alone and leads, on a thread of its own for as long as this process
/// lives.
fn leading_node() -> Handle {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let address = socket.local_addr().expect("an address");
    let setup = Setup { seeds: Vec::new(), voters: None, address, ..cluster::setup(1, false) };
    let options = StartOptions {
        setup,
        socket,
        disk: Disk::Empty,
        store: Box::new(NoStore),
        last_will_sender: None,
    };
    let (ready, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let handle = start(options).expect("a node");
            let mut snapshots = handle.snapshots();
            let leads = snapshots.wait_for(|snapshot| snapshot.lease.is_some());
            drop(leads.await.expect("it lives"));
            ready.send(handle.clone()).expect("somebody waits");
            handle.ended().await.expect("it ends with the process");
        });
    });
    started.recv().expect("it starts")
}

/// The lease deadline against the clock.
#[divan::bench]
fn is_goose(bencher: Bencher<'_, '_>) {
    let handle = leading_node();
    bencher.bench_local(|| black_box(&handle).is_goose());
}

/// A look, as a request handler makes it and drops it.
#[divan::bench]
fn leadership(bencher: Bencher<'_, '_>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let cluster = runtime.block_on(gaggle::testing::Cluster::start(1)).expect("a node");
    let goose = runtime.block_on(cluster.goose());
    let node = cluster.node(goose).expect("it runs");
    bencher.bench_local(|| black_box(&node).leadership().map(|it| it.term()));
}

/// `GET /goose` and `GET /v1/status`, from the snapshot to the bytes of the body.
#[divan::bench(args = ["/goose", "/v1/status"])]
fn answer_without_socket(bencher: Bencher<'_, '_>, path: &str) {
    let handle = leading_node();
    let uri: Uri = path.parse().expect("a path");
    let headers = HeaderMap::new();
    bencher.bench_local(|| {
        let snapshot = handle.snapshot();
        let history = Arc::clone(&handle.history().borrow());
        let moment = Moment {
            snapshot: &snapshot,
            wall: WallTime(0),
            now: handle.holder_now(),
            reachable_within: Duration::from_secs(1),
            history: &history,
            pulse: handle.pulse(),
            log_lines_dropped: 0,
            process_usage: ProcessUsage::read,
            certificate_expires: None,
        };
        let (method, peer) = (&Method::GET, Peer::Tcp(Ipv4Addr::LOCALHOST.into()));
        let request = Request { method, uri: &uri, headers: &headers, peer };
        respond(black_box(request), &moment, None)
    });
}

/// What is sealed, and what is not.
const SEALED: [bool; 2] = [false, true];

/// A standby's question, with the answer made.
#[divan::bench(args = SEALED)]
fn handle_poll(bencher: Bencher<'_, '_>, sealed: bool) {
    handle(bencher, sealed, |message| matches!(message, Message::Poll(_)));
}

/// A renewal, with the grant made.
#[divan::bench(args = SEALED)]
fn handle_acquire(bencher: Bencher<'_, '_>, sealed: bool) {
    handle(bencher, sealed, |message| matches!(message, Message::Acquire(_)));
}

/// A probe of the membership, or the answer to one.
#[divan::bench(args = SEALED)]
fn handle_gossip(bencher: Bencher<'_, '_>, sealed: bool) {
    handle(bencher, sealed, |message| matches!(message, Message::Gossip(_)));
}

/// One input to the first node, to the last output that it leads to.
fn handle(bencher: Bencher<'_, '_>, sealed: bool, wanted: fn(&Message) -> bool) {
    let cluster = std::cell::RefCell::new(Cluster::settled(sealed));
    bencher.with_inputs(|| cluster.borrow_mut().next_for_first(wanted)).bench_local_values(
        |(now, from, datagram)| {
            let mut cluster = cluster.borrow_mut();
            let node = cluster.first();
            node.handle_datagram(now, from, black_box(&datagram));
            let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
            cluster.keep(outputs);
        },
    );
}

/// Bytes of the datagrams that are sealed and opened.
const SIZES: [usize; 3] = [100, 400, 1200];

fn keys() -> KeyRing {
    KeyRing::new(vec![cluster::SECRET]).expect("one key")
}

/// One datagram, sealed.
#[divan::bench(args = SIZES)]
fn seal(bencher: Bencher<'_, '_>, size: usize) {
    let (keys, plain) = (keys(), vec![7; size]);
    bencher.bench_local(|| keys.seal([3; NONCE_SIZE], 1, black_box(&plain)));
}

/// One datagram, opened.
#[divan::bench(args = SIZES)]
fn open(bencher: Bencher<'_, '_>, size: usize) {
    let keys = keys();
    let sealed = keys.seal([3; NONCE_SIZE], 1, &vec![7; size]).expect("it fits");
    bencher.bench_local(|| seal::open(Some(&keys), black_box(&sealed)));
}

/// The record, to the disk and certainly there.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn record_write(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (mut store, _) = StateFolder::open(folder.path()).expect("a state folder");
    let record = Record {
        cluster: ClusterName::new("micro").expect("a name"),
        id: NodeId::new(7).expect("an id"),
        last_start: 1,
        genesis: None,
        configuration: None,
        lineage: None,
        ancestors: Vec::new(),
        is_drained: false,
        held_until: None,
        addresses: Vec::new(),
        vote: None,
    };
    bencher.bench_local(|| store.store(black_box(&record)).expect("it is written"));
}
