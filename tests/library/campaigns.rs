//! Campaigns and looks on real nodes: who steps down, who does not, and what a program hears of it.

use std::future::pending;
use std::time::Duration;

use gaggle::testing::Cluster;
use gaggle::{EndError, Error, LostReason, Node, NodeId, Role, State};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Far longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The Goose of a cluster of so many.
async fn led(count: usize) -> (Cluster, Node) {
    let cluster = Cluster::start(count).await.unwrap();
    let goose = timeout(PATIENCE, cluster.goose()).await.unwrap();
    let node = cluster.node(goose).unwrap();
    (cluster, node)
}

/// A request, as a service answers it: with the term under which it was served.
async fn answered(node: &Node) -> Option<u64> {
    let leadership = node.leadership()?;
    leadership.run(async { sleep(Duration::from_millis(1)).await }).await.ok()?;
    Some(leadership.term())
}

/// On a machine that is busy for longer than a lease, a term ends without anybody's doing. Then it is
/// tried again; what is wrong for another reason stays wrong.
async fn calmly(mut attempt: impl AsyncFnMut() -> bool) {
    for _ in 0..5 {
        if timeout(PATIENCE, attempt()).await.unwrap() {
            return;
        }
    }
    panic!("it went wrong five times");
}

#[tokio::test]
async fn twenty_requests_leave_the_goose_alone() {
    let (cluster, _) = led(1).await;
    let node = cluster.node(0).unwrap();
    calmly(async || {
        let term = node.wait_for_goose().await.unwrap().term;
        let mut terms = Vec::new();
        for _ in 0..20 {
            terms.extend(answered(&node).await);
        }
        // And so do twenty at once.
        let mut requests = JoinSet::new();
        for _ in 0..20 {
            let node = node.clone();
            requests.spawn(async move { answered(&node).await });
        }
        terms.extend(requests.join_all().await.into_iter().flatten());
        println!("served under terms {terms:?}");
        terms == vec![term; 40]
    })
    .await;
}

#[tokio::test]
async fn a_campaign_steps_down_when_it_is_dropped_and_a_look_does_not() {
    let (_cluster, node) = led(1).await;
    let campaign = timeout(PATIENCE, node.until_goose()).await.unwrap().unwrap();
    let term = campaign.term();
    let look = campaign.leadership().clone();
    drop(node.leadership());
    drop(look.clone());
    assert!(look.is_valid() && look.term() == term);
    drop(campaign);
    timeout(PATIENCE, look.lost()).await.unwrap();
    let next = timeout(PATIENCE, node.until_goose()).await.unwrap().unwrap();
    assert!(next.term() > term && !look.is_valid());
    let refused = look.run(async {}).await.unwrap_err();
    assert_eq!((refused.term, refused.reason), (term, LostReason::GivenUp));

    // Whoever lets go of the guard and not of the lead, leads on.
    let kept = next.into_leadership();
    let other = timeout(PATIENCE, node.until_goose()).await.unwrap().unwrap();
    assert_eq!(other.term(), kept.term());
    drop(other);
    assert!(kept.run(sleep(Duration::from_millis(5))).await.is_ok());
    assert!(kept.is_valid());
}

#[tokio::test]
async fn a_duck_has_no_leadership_and_knows_whom_to_ask() {
    let (cluster, _) = led(3).await;
    calmly(async || {
        let mut known = Vec::new();
        for node in cluster.nodes() {
            assert!(node.is_alive());
            let goose = node.wait_for_goose().await.unwrap();
            let leads = node.status().id == goose.id;
            known.push((goose, leads == node.leadership().is_some(), leads == node.is_goose()));
        }
        known.iter().all(|it| *it == (known[0].0.clone(), true, true))
    })
    .await;
    for node in cluster.nodes() {
        timeout(PATIENCE, node.shutdown()).await.unwrap().unwrap();
        assert!(node.wait_for_goose().await.is_err() && !node.is_alive());
    }
}

/// A thread works under the lease of `node` and is told to end, and takes its time. Returns whether
/// the lease was kept meanwhile.
async fn worked_on_a_thread(node: &Node) -> bool {
    let campaign = node.until_goose().await.unwrap();
    let Ok(work) = campaign.begin().await else { return false };
    let worker = std::thread::spawn({
        let node = node.clone();
        move || {
            let lost = loop {
                match work.check(Duration::from_millis(1)) {
                    Ok(()) => std::thread::sleep(Duration::from_millis(1)),
                    Err(lost) => break lost,
                }
            };
            // Longer than a lease.
            std::thread::sleep(Duration::from_millis(700));
            (lost.reason, work.leadership().is_valid() && node.is_goose())
        }
    });
    let ended = loop {
        match node.step_down().await {
            Err(Error::NoStandby) => sleep(Duration::from_millis(1)).await,
            ended => break ended,
        }
    };
    let told = worker.join().unwrap();
    assert!(!campaign.is_valid());
    ended == Ok(campaign.term()) && told == (LostReason::SteppingDown, true)
}

#[tokio::test]
async fn a_hand_over_waits_for_work_on_a_thread_and_the_thread_is_told() {
    let (cluster, _) = led(3).await;
    calmly(async || {
        let goose = cluster.goose().await;
        worked_on_a_thread(&cluster.node(goose).unwrap()).await
    })
    .await;
}

#[tokio::test]
async fn whoever_watches_hears_of_every_goose() {
    let (mut cluster, node) = led(3).await;
    let goose = timeout(PATIENCE, cluster.goose()).await.unwrap();
    let watcher = cluster.node((goose + 1) % 3).unwrap();
    let mut standing = watcher.watch();
    let first = timeout(PATIENCE, standing.wait_for(|it| it.goose.is_some())).await.unwrap();
    let first = first.unwrap().goose.clone().unwrap();
    assert_eq!(first.id, node.status().id);
    drop(node);
    let killed = Instant::now();
    cluster.kill(goose);
    let next = standing.wait_for(|it| it.goose.as_ref().is_some_and(|goose| *goose != first));
    let next = timeout(PATIENCE, next).await.unwrap().unwrap().clone();
    assert!(next.goose.unwrap().term > first.term && next.term > first.term);
    // It said nothing: no voter frees its vote before the lease has run out.
    assert!(killed.elapsed() > Duration::from_millis(400), "{:?}", killed.elapsed());
    // On what it stored it comes back.
    timeout(PATIENCE, cluster.restart(goose)).await.unwrap().unwrap();
    let back = cluster.node(goose).unwrap();
    assert!(timeout(PATIENCE, back.wait_for_goose()).await.unwrap().unwrap().term > first.term);
    timeout(PATIENCE, watcher.shutdown()).await.unwrap().unwrap();
    let closed = async { while standing.changed().await.is_ok() {} };
    timeout(PATIENCE, closed).await.unwrap();
    let last = standing.borrow().clone();
    assert_eq!((last.role, last.goose), (Role::Duck, None));
}

#[test]
fn a_node_whose_runtime_is_gone_is_seen_to_have_failed() {
    let folder = tempfile::tempdir().unwrap();
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let node = own.block_on(async {
        let config = gaggle::Config::new("127.0.0.1:0").state(State::dir(folder.path()));
        let node = Node::start(config).await.unwrap();
        drop(timeout(PATIENCE, node.until_goose()).await.unwrap().unwrap());
        node
    });
    let mut events = node.events();
    own.shutdown_background();
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        assert_eq!(timeout(PATIENCE, node.ended()).await.unwrap(), Err(EndError::Failed));
        assert!(timeout(PATIENCE, node.until_goose()).await.unwrap().is_err());
        assert!(timeout(PATIENCE, node.wait_for_goose()).await.unwrap().is_err());
        assert_eq!(node.step_down().await, Err(Error::Unavailable));
        let heard = async { while events.next().await.is_some() {} };
        timeout(PATIENCE, heard).await.unwrap();
        assert!(!node.is_alive());
    });
}

#[tokio::test]
async fn a_program_pauses_drains_and_changes_voters() {
    let (cluster, node) = led(3).await;
    let duck = cluster.nodes().into_iter().find(|node| !node.is_goose()).unwrap();
    assert_eq!(duck.pause(Duration::from_secs(9)).await, Err(Error::NotGoose));
    let term = node.pause(Duration::from_secs(9)).await.unwrap();
    assert_eq!(term, node.status().term);
    assert!(node.status().paused.is_some_and(|left| left > Duration::from_secs(8)));
    assert_eq!((node.resume().await, node.resume().await), (Ok(true), Ok(false)));

    let stranger = NodeId::new(99).unwrap();
    assert_eq!(duck.add_voter(stranger).await, Err(Error::NotGoose));
    assert_eq!(node.add_voter(stranger).await, Err(Error::UnknownMember(stranger)));
    let refused = node.keep_voters(Some(99)).await.unwrap_err();
    assert!(matches!(refused, Error::VotersKept { .. }), "{refused}");
    let gone = duck.status().id;
    let changed = async {
        loop {
            match node.remove_voter(gone).await {
                Ok(change) if change.waits_for.is_none() => return change,
                // Its voters answer in a moment.
                Ok(_) | Err(Error::VotersKept { .. }) => sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let change = timeout(PATIENCE, changed).await.unwrap();
    assert_eq!(change.voters.len(), 2);
    assert!(!change.voters.contains(&gone));
    assert_eq!(node.status().voters.unwrap().ids, change.voters);

    let drained = async {
        while node.drain(true).await != Ok(true) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, drained).await.unwrap();
    assert!(node.status().drained && !node.is_goose());
    assert_eq!(node.drain(false).await, Ok(true));
}

#[tokio::test]
async fn the_next_goose_of_a_cluster_is_there_as_soon_as_one_steps_down() {
    let (cluster, node) = led(3).await;
    let campaign = timeout(PATIENCE, node.until_goose()).await.unwrap().unwrap();
    let lost = timeout(PATIENCE, async {
        tokio::join!(campaign.run(pending::<()>()), async {
            while node.step_down().await.is_err() {
                sleep(Duration::from_millis(1)).await;
            }
        })
    });
    assert_eq!(lost.await.unwrap().0.unwrap_err().reason, LostReason::SteppingDown);
    let next = timeout(PATIENCE, cluster.goose()).await.unwrap();
    assert!(cluster.node(next).unwrap().status().term > campaign.term());
}
