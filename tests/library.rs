//! The library as a program uses it: several nodes in one process, on sockets of the caller's.
//! A busy thread stands for a frozen process: the runtime has one thread, so nothing of the
//! nodes moves while a test holds it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::future::{pending, poll_fn};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use gaggle::{
    Config, Error, Event, Events, Leadership, MemberState, Node, NodeId, Role, StartError,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Far longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `count` nodes that all vote; the folder is to be kept as long as they live.
async fn gaggle(count: usize) -> (Vec<Node>, TempDir) {
    let sockets: Vec<UdpSocket> =
        (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let voters: Vec<String> =
        sockets.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        let config = Config::on_socket(socket)
            .unwrap()
            .voters(&voters)
            .state_dir(folder.path().join(number.to_string()));
        nodes.push(Node::start(config).await.unwrap());
    }
    (nodes, folder)
}

async fn alone() -> (Node, TempDir) {
    let (mut nodes, folder) = gaggle(1).await;
    (nodes.remove(0), folder)
}

/// The next leadership, and whose it is.
async fn leadership(nodes: &[Node]) -> (usize, Leadership) {
    let mut waiting = JoinSet::new();
    for (number, node) in nodes.iter().cloned().enumerate() {
        waiting.spawn(async move { (number, node.until_goose().await.unwrap()) });
    }
    timeout(PATIENCE, waiting.join_next()).await.unwrap().unwrap().unwrap()
}

/// Waits until another node than `own` is said to be `wanted`.
async fn seen(events: &mut Events, own: NodeId, wanted: MemberState) {
    while let Some(event) = events.next().await {
        if let Event::MemberChanged { id, state } = event
            && id != own
            && state == wanted
        {
            return;
        }
    }
    panic!("the node has not ended");
}

/// Steps down as soon as somebody could take over; the term that ended.
async fn step_down(node: &Node) -> u64 {
    let ordered = async {
        loop {
            match node.step_down().await {
                Ok(term) => return term,
                Err(error) => assert_eq!(error, Error::NoStandby),
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ordered).await.unwrap()
}

/// Holds the only thread of the runtime until `over`.
fn freeze_until(over: impl Fn() -> bool) {
    while !over() {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn one_of_three_leads_and_hands_over_when_told_to() {
    let (nodes, _folder) = gaggle(3).await;
    let (first, leader) = leadership(&nodes).await;
    let mut events = nodes[first].events();
    assert!(nodes[first].is_goose() && leader.is_valid());
    let status = nodes[first].status();
    assert_eq!((status.role, status.term), (Role::Goose, leader.term()));
    assert_eq!(status.voters.unwrap().majority, 2);

    let (ended, ended_term) = tokio::join!(leader.run(pending::<()>()), step_down(&nodes[first]));
    assert_eq!(ended.unwrap_err().term, leader.term());
    assert_eq!(ended_term, leader.term());
    assert!(!leader.is_valid() && !nodes[first].is_goose());
    timeout(PATIENCE, leader.lost()).await.unwrap();

    let (_, next) = leadership(&nodes).await;
    assert!(next.term() > leader.term());
    let demoted = async {
        while let Some(event) = events.next().await {
            if let Event::BecameDuck { term, .. } = event {
                return term;
            }
        }
        panic!("the node has not ended");
    };
    assert_eq!(timeout(PATIENCE, demoted).await.unwrap(), leader.term());
    assert!(nodes[first].members().len() <= 3);
    for node in &nodes {
        timeout(PATIENCE, node.shutdown()).await.unwrap().unwrap();
        assert!(node.until_goose().await.is_err());
    }
}

#[tokio::test]
async fn the_lease_is_handed_over_only_after_the_work_is_dropped() {
    struct Work(Node, Arc<AtomicUsize>);
    impl Drop for Work {
        fn drop(&mut self) {
            // Still Goose: nobody else can be.
            self.1.store(if self.0.is_goose() { 1 } else { 2 }, Ordering::Relaxed);
        }
    }
    let (nodes, _folder) = gaggle(3).await;
    let (first, leader) = leadership(&nodes).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let work = Work(nodes[first].clone(), Arc::clone(&seen));
    let running = leader.run(async move {
        let _work = work;
        pending::<()>().await;
    });
    let (ended, stepped_down) = tokio::join!(running, step_down(&nodes[first]));
    assert!(ended.is_err() && stepped_down > 0);
    assert_eq!(seen.load(Ordering::Relaxed), 1, "dropped while this node was Goose");
}

#[tokio::test]
async fn work_is_never_polled_after_its_lease() {
    let (node, _folder) = alone().await;
    let (_, leader) = leadership(&[node]).await;
    let polls = AtomicUsize::new(0);
    let work = poll_fn(|context| {
        polls.fetch_add(1, Ordering::Relaxed);
        freeze_until(|| !leader.is_valid());
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    assert!(leader.run(work).await.is_err());
    assert_eq!(polls.load(Ordering::Relaxed), 1);
    assert!(leader.run(async {}).await.is_err(), "nor started");
}

#[tokio::test]
async fn a_guard_of_a_lapsed_lease_is_never_handed_out_and_never_valid_again() {
    let (node, _folder) = alone().await;
    let (_, leader) = leadership(std::slice::from_ref(&node)).await;
    assert!(node.is_goose() && leader.remaining() > Duration::ZERO);
    freeze_until(|| !node.is_goose());
    assert!(!leader.is_valid());
    // Asked before the node itself could notice anything.
    assert!(timeout(Duration::ZERO, node.until_goose()).await.is_err());
    let (_, next) = leadership(std::slice::from_ref(&node)).await;
    assert!(next.is_valid() && next.term() > leader.term());
    assert!(!leader.is_valid(), "the old term is over for ever");
    drop(leader);
    assert!(next.is_valid(), "an old guard ends nothing new");
}

#[tokio::test]
async fn the_last_guard_of_a_term_steps_down_when_it_is_dropped() {
    let (nodes, _folder) = gaggle(3).await;
    let (first, leader) = leadership(&nodes).await;
    let term = leader.term();
    let twin = nodes[first].until_goose().await.unwrap();
    drop(twin);
    assert!(leader.run(tokio::task::yield_now()).await.is_ok(), "one guard is left");
    drop(leader);
    let (_, next) = leadership(&nodes).await;
    // The one that was dropped may answer once more before the node has heard of it.
    timeout(PATIENCE, async {
        if next.term() == term {
            next.lost().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_node_that_nobody_holds_says_goodbye() {
    let (mut nodes, _folder) = gaggle(2).await;
    let other = nodes.remove(0);
    let id = other.status().id;
    let gone = nodes.remove(0);
    let mut events = other.events();
    timeout(PATIENCE, seen(&mut events, id, MemberState::Alive)).await.unwrap();
    drop(gone);
    timeout(PATIENCE, seen(&mut events, id, MemberState::Left)).await.unwrap();
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_before_anything_is_opened() {
    let refused = |config: Config| async { Node::start(config).await.unwrap_err() };
    let error = refused(Config::new("localhost:1")).await;
    assert!(matches!(error, StartError::Address(_)), "{error}");
    let error = refused(Config::new("0.0.0.0:0")).await;
    assert!(matches!(error, StartError::NothingToAdvertise(_)), "{error}");
    let error = refused(Config::new("127.0.0.1:0").id(0)).await;
    assert!(matches!(error, StartError::Id(_)), "{error}");
    let error = refused(Config::new("127.0.0.1:0").cluster("../up")).await;
    assert!(matches!(error, StartError::Cluster(_)), "{error}");
    let error = refused(Config::new("127.0.0.1:0").lease(Duration::from_millis(1))).await;
    assert!(matches!(error, StartError::Timing(_)), "{error}");
    let error = refused(Config::new("127.0.0.1:0").seed("nowhere")).await;
    assert!(matches!(error, StartError::Seed(_)), "{error}");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = socket.local_addr().unwrap().to_string();
    let error = refused(Config::on_socket(socket).unwrap().id(7).voters([own])).await;
    assert!(matches!(error, StartError::OwnAddressUnderAnotherId { .. }), "{error}");
}
