//! The library as a program uses it: several nodes in one process, on sockets of the caller's.
//! A busy thread stands for a frozen process: the runtime has one thread, so nothing of the
//! nodes moves while a test holds it.

use std::future::{Future, pending, poll_fn};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use gaggle::{
    Campaign, Config, EndError, Error, Event, Events, LostReason, MemberState, Node, NodeId, Role,
    StartError,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Far longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `count` nodes that all vote; the folder is to be kept as long as they live.
async fn gaggle(count: usize) -> (Vec<Node>, TempDir) {
    gaggle_with(count, |config| config).await
}

/// The same, with other settings.
async fn gaggle_with(count: usize, settings: impl Fn(Config) -> Config) -> (Vec<Node>, TempDir) {
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
        nodes.push(Node::start(settings(config)).await.unwrap());
    }
    (nodes, folder)
}

async fn alone() -> (Node, TempDir) {
    let (mut nodes, folder) = gaggle(1).await;
    (nodes.remove(0), folder)
}

/// The next leadership, and whose it is.
async fn leadership(nodes: &[Node]) -> (usize, Campaign) {
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
            tokio::time::sleep(Duration::from_millis(1)).await;
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
    let lost = ended.unwrap_err();
    assert_eq!((lost.term, lost.reason), (leader.term(), LostReason::SteppingDown));
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

/// A claim is granted a quarter of this at most.
const LONG_LEASE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_campaign_begins_with_a_lease_that_was_renewed() {
    let (nodes, _folder) = gaggle_with(3, |config| config.lease(LONG_LEASE)).await;
    let (_, campaign) = leadership(&nodes).await;
    assert!(campaign.remaining() > LONG_LEASE / 2, "{:?}", campaign.remaining());
}

#[tokio::test]
async fn work_begins_on_a_lease_that_was_renewed_however_early_somebody_looks() {
    let (nodes, _folder) = gaggle_with(3, |config| config.lease(LONG_LEASE)).await;
    let looked = async {
        loop {
            match nodes.iter().find_map(Node::leadership) {
                Some(leadership) => return leadership,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let look = timeout(PATIENCE, looked).await.unwrap();
    assert!(look.is_valid(), "a look is as early as the lease");
    let work = look.begin().await.unwrap();
    work.check(LONG_LEASE / 2).unwrap();
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
    // Nobody is handed a term that was given up, even before the node has heard of it.
    let (_, next) = leadership(&nodes).await;
    assert!(next.term() > term);
}

/// A guard with work under it that has begun.
async fn working(node: &Node) -> (JoinHandle<bool>, u64) {
    loop {
        let leader = timeout(PATIENCE, node.until_goose()).await.unwrap().unwrap();
        let term = leader.term();
        let (begun, begins) = oneshot::channel();
        let work = tokio::spawn(async move {
            let work = async {
                begun.send(()).unwrap();
                pending::<()>().await;
            };
            leader.run(work).await.is_ok()
        });
        // On a busy machine the lease may lapse before.
        if timeout(PATIENCE, begins).await.unwrap().is_ok() {
            return (work, term);
        }
    }
}

#[tokio::test]
async fn a_refused_order_leaves_the_work_alone() {
    let (nodes, _folder) = gaggle(3).await;
    let (first, leader) = leadership(&nodes).await;
    let (work, term) = working(&nodes[first]).await;
    let nobody = NodeId::new(99).unwrap();
    let refused = nodes[first].step_down_to(nobody, None).await;
    assert_eq!(refused, Err(Error::UnknownSuccessor(nobody)));
    let duck = (first + 1) % 3;
    assert_eq!(nodes[duck].step_down().await, Err(Error::NotGoose));
    let undisturbed = leader.term() == term && leader.run(async {}).await.is_ok();
    assert_eq!(work.is_finished(), !leader.is_valid());
    assert!(undisturbed || !leader.is_valid(), "nothing but a lapse ends it");
}

#[tokio::test]
async fn a_shutdown_is_never_refused_and_ends_the_loop_at_once() {
    let (nodes, _folder) = gaggle(3).await;
    let (first, _leader) = leadership(&nodes).await;
    let (work, _) = working(&nodes[first]).await;
    let node = nodes[first].clone();
    let again = node.clone();
    let shutdown =
        tokio::spawn(
            async move { tokio::join!(again.shutdown(), again.step_down(), again.shutdown()) },
        );
    // Whatever the loop asks for from here on, it is told that there is nothing to wait for.
    timeout(PATIENCE, async { while node.until_goose().await.is_ok() {} }).await.unwrap();
    let (one, _, two) = timeout(PATIENCE, shutdown).await.unwrap().unwrap();
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert!(!work.await.unwrap(), "the work was dropped");
    assert_eq!(node.ended().await, Ok(()));
    assert_eq!(node.step_down().await, Err(Error::Unavailable));
    assert!(node.until_goose().await.is_err());
}

#[tokio::test]
async fn a_panic_in_the_work_ends_it() {
    let (nodes, _folder) = gaggle(3).await;
    let (first, leader) = leadership(&nodes).await;
    let term = leader.term();
    let fails = tokio::spawn(async move { leader.run(async { panic!("as planned") }).await });
    assert!(fails.await.unwrap_err().is_panic());
    // Its guard went with it, and so did the term.
    let (_, next) = leadership(&nodes).await;
    assert!(next.term() > term);
    timeout(PATIENCE, nodes[first].shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn work_that_never_ends_keeps_the_lease_and_the_node_leaves_without_a_release() {
    let (nodes, _folder) = gaggle_with(1, |it| it.drain_timeout(Duration::from_millis(50))).await;
    let (_, leader) = leadership(&nodes).await;
    let mut work = Box::pin(leader.run(pending::<()>()));
    let began = poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending()));
    assert!(began.await);
    // The driver answers, and the work is polled for the first time. Nobody polls it again.
    let polled = poll_fn(|context| {
        assert!(work.as_mut().poll(context).is_pending());
        Poll::Ready(())
    });
    timeout(PATIENCE, nodes[0].forget(NodeId::new(99).unwrap())).await.unwrap().unwrap_err();
    polled.await;
    let given_up = timeout(PATIENCE, nodes[0].step_down()).await.unwrap();
    assert_eq!(given_up, Err(Error::WorkGoesOn));
    assert!(leader.is_valid());
    let left = timeout(PATIENCE, nodes[0].shutdown()).await.unwrap();
    assert_eq!(left, Err(EndError::WorkGoesOn));
    assert_eq!(nodes[0].ended().await, Err(EndError::WorkGoesOn));
    drop(work);
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
    let error = refused(Config::new("localhost")).await;
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

#[tokio::test]
async fn a_node_whose_only_seed_is_itself_is_refused_instead_of_waiting_for_ever() {
    let (socket, own) = bound();
    let config = Config::on_socket(socket).unwrap().seed(&own);
    let error = timeout(PATIENCE, Node::start(config)).await.unwrap().unwrap_err().to_string();
    let expected = format!("the only seed is this node itself ({own})");
    assert!(error.starts_with(&expected), "{error}");
    assert!(!error.contains("--") && error.contains("Config::voters"), "{error}");
}

#[tokio::test]
async fn settings_are_judged_before_a_port_or_a_folder_is_opened() {
    // Whoever opens first says that this port is taken.
    let (_taken, own) = bound();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let start =
        |change: fn(Config) -> Config| Node::start(change(Config::new(&own)).state_dir(&state));
    let wrong: [fn(Config) -> Config; 6] = [
        |config| config.voters(["goose"]),
        |config| config.voters(["1", "1"]),
        |config| config.id(1 << 60),
        |config| config.key([1; 32]).key([1; 32]),
        |config| config.advertise("0.0.0.0:8000".parse().unwrap()),
        |config| config.seed("192.0.2.1:8000"),
    ];
    for change in wrong {
        let error = start(change).await.unwrap_err();
        assert!(!matches!(error, StartError::Bind(_)), "{error}");
        assert!(!error.to_string().contains("--"), "{error}");
    }
    assert!(!state.exists(), "no folder was made");
    let error = start(|config| config).await.unwrap_err();
    assert!(matches!(error, StartError::Bind(_)), "{error}");
}

/// A socket of the test's own, and its address.
fn bound() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = socket.local_addr().unwrap().to_string();
    (socket, own)
}

#[tokio::test]
async fn a_program_that_cannot_work_says_so_and_another_leads() {
    let (nodes, _folder) = gaggle(3).await;
    let (first, leadership) = leadership(&nodes).await;
    nodes[first].set_healthy(false, "the database\nis gone");
    let lost = timeout(PATIENCE, leadership.run(pending::<()>())).await.unwrap();
    assert_eq!(lost.unwrap_err().reason, LostReason::Unhealthy, "the work is asked to end");
    let others: Vec<Node> =
        (0..3).filter(|number| *number != first).map(|number| nodes[number].clone()).collect();
    let (_, next) = self::leadership(&others).await;
    assert!(next.is_valid());
    let status = nodes[first].status();
    assert_eq!(status.role, Role::Duck);
    assert_eq!(status.unhealthy.as_deref(), Some("the database is gone"));
    let own = nodes[first].members().into_iter().find(|member| member.id == status.id).unwrap();
    assert!(!own.eligible);
    nodes[first].set_healthy(true, "");
    let healthy = async {
        while nodes[first].status().unhealthy.is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, healthy).await.unwrap();
}

#[tokio::test]
async fn a_program_begins_unhealthy_if_it_likes_and_leads_anyway_if_it_likes_that() {
    let (nodes, _folder) = gaggle_with(1, Config::unhealthy_at_start).await;
    let mut goose = std::pin::pin!(nodes[0].until_goose());
    let joined = async {
        while !nodes[0].status().has_joined {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = &mut goose => panic!("it leads before it is healthy"),
        outcome = timeout(PATIENCE, joined) => outcome.unwrap(),
    }
    assert!(nodes[0].status().unhealthy.is_some());
    nodes[0].set_healthy(true, "");
    drop(timeout(PATIENCE, goose).await.unwrap().unwrap());

    let (nodes, _folder) = gaggle_with(1, |config| config.unhealthy_at_start().lead_anyway()).await;
    let _campaign = timeout(PATIENCE, nodes[0].until_goose()).await.unwrap().unwrap();
    assert!(nodes[0].status().unhealthy.is_some());
}
