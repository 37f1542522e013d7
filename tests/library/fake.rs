//! The fake Goose, in paused time: what a program can rely on in its own tests, and every reason for
//! which a leadership is lost.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use gaggle::testing::FakeGoose;
use gaggle::{EndError, Error, Event, LostReason, Role};
use tokio::time::{Instant, sleep, timeout};

/// In time that is paused, this passes at once.
const PATIENCE: Duration = Duration::from_secs(100);

/// D of the usual lease: so long after its last renewal it is over.
const COUNTED: Duration = Duration::from_nanos(574_114_925);

#[tokio::test(start_paused = true)]
async fn it_leads_from_the_grant_on_and_renews_for_as_long_as_it_is_let() {
    let fake = FakeGoose::new();
    let node = fake.node();
    assert!(!node.is_goose() && node.leadership().is_none());
    assert_eq!(fake.grant(), 1);
    let look = node.leadership().unwrap();
    assert!(node.is_goose() && look.term() == 1);
    sleep(Duration::from_secs(3600)).await;
    assert!(look.is_valid());
    assert_eq!(fake.grant(), 1, "it leads already");

    fake.freeze();
    let began = Instant::now();
    timeout(PATIENCE, look.lost()).await.unwrap();
    assert!(began.elapsed() <= COUNTED + Duration::from_millis(1), "{:?}", began.elapsed());
    fake.thaw();
    sleep(Duration::from_secs(1)).await;
    assert!(!node.is_goose() && !look.is_valid());
    assert_eq!(fake.grant(), 2);
    assert!(node.is_goose() && !look.is_valid());
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_before_the_lease_is_over_and_work_is_dropped_in_time() {
    let fake = FakeGoose::new();
    fake.grant();
    let campaign = fake.node().until_goose().await.unwrap();
    fake.freeze();
    let began = Instant::now();
    let told = timeout(PATIENCE, campaign.ending()).await.unwrap();
    // A fifth of the lease is left, or a timer's millisecond less.
    let left = campaign.remaining();
    assert!(left <= Duration::from_millis(120) && left > Duration::from_millis(118), "{left:?}");
    assert_eq!((told.term, told.reason), (1, LostReason::NotRenewed));
    let lost = timeout(PATIENCE, campaign.run(pending::<()>())).await.unwrap().unwrap_err();
    let left = campaign.remaining();
    assert!(left <= Duration::from_millis(30) && left > Duration::from_millis(28), "{left:?}");
    assert_eq!(lost.reason, LostReason::NotRenewed);
    assert!(began.elapsed() < COUNTED);
}

#[tokio::test(start_paused = true)]
async fn every_end_has_its_reason() {
    for reason in [
        LostReason::SteppingDown,
        LostReason::ShuttingDown,
        LostReason::Unhealthy,
        LostReason::GivenUp,
        LostReason::NotRenewed,
        LostReason::NodeEnded,
    ] {
        let fake = FakeGoose::new();
        let node = fake.node();
        let term = fake.grant();
        let mut campaign = Some(node.until_goose().await.unwrap());
        let look = node.leadership().unwrap();
        let mut work = pin!(look.run(pending::<()>()));
        let mut notice = pin!(look.ending());
        // Both have begun.
        for _ in 0..3 {
            let poll = poll_fn(|context| {
                Poll::Ready(
                    work.as_mut().poll(context).is_pending()
                        && notice.as_mut().poll(context).is_pending(),
                )
            });
            assert!(poll.await);
            tokio::task::yield_now().await;
        }
        let cause = async {
            match reason {
                LostReason::SteppingDown => _ = fake.hand_over().await,
                LostReason::ShuttingDown => _ = node.shutdown().await,
                LostReason::Unhealthy => node.set_healthy(false, "no database"),
                LostReason::GivenUp => drop(campaign.take()),
                LostReason::NodeEnded => fake.fail(),
                _ => fake.freeze(),
            }
        };
        let all = async { tokio::join!(work, notice, cause) };
        let (lost, told, ()) = timeout(PATIENCE, all).await.unwrap();
        let lost = lost.unwrap_err();
        assert_eq!((lost.term, lost.reason), (term, reason));
        assert_eq!((told.term, told.reason), (term, reason));
        assert!(!lost.to_string().contains("--"), "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_early_does_not_say_that_it_is_over_and_advises_nobody_to_wait_in_vain() {
    let fake = FakeGoose::new();
    let node = fake.node();
    fake.grant();
    let look = node.leadership().unwrap();
    fake.freeze();
    let early = look.ending().await;
    assert!(!early.is_over && look.is_valid());
    let renewal = "its lease was not renewed in time";
    let text = format!("the leadership of term 1 is to end: {renewal}. End what works under it");
    assert_eq!(early.to_string(), text);
    look.lost().await;
    let late = look.begin().await.unwrap_err();
    let text = late.to_string();
    assert!(late.is_over && text.starts_with("the leadership of term 1 is over: "), "{text}");
    assert!(text.ends_with(". Wait until this node is Goose again"), "{text}");

    fake.grant();
    let work = node.leadership().unwrap().begin().await.unwrap();
    let leaving = tokio::spawn(async move { node.shutdown().await });
    let last = work.ending().await;
    assert_eq!(last.to_string(), "the leadership of term 2 is to end: the node is shutting down");
    drop(work);
    leaving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_was_told_of_a_renewal_that_is_late_may_begin_again_once_it_has_come() {
    let fake = FakeGoose::new();
    fake.grant();
    let look = fake.node().leadership().unwrap();
    let work = look.begin().await.unwrap();
    fake.freeze();
    let told = timeout(PATIENCE, work.ending()).await.unwrap();
    assert_eq!((told.reason, told.is_over), (LostReason::NotRenewed, false));
    drop(work);
    fake.thaw();
    sleep(Duration::from_millis(1)).await;
    let again = look.begin().await.unwrap();
    assert_eq!((again.term(), again.check(Duration::from_millis(400))), (told.term, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_for_work_and_another_leads_then() {
    let fake = FakeGoose::new();
    let node = fake.node();
    let mut events = node.events();
    assert_eq!(fake.hand_over().await, Err(Error::NotGoose));
    let term = fake.grant();
    let work = node.leadership().unwrap().begin().await.unwrap();
    assert_eq!(work.check(Duration::from_millis(400)), Ok(()));
    let refused = work.check(Duration::from_millis(550)).unwrap_err();
    assert_eq!(refused.reason, LostReason::NotRenewed, "so much is never left");
    let given = tokio::spawn({
        let fake = fake.clone();
        async move { fake.hand_over().await }
    });
    let told = timeout(PATIENCE, work.ending()).await.unwrap();
    assert_eq!(told.reason, LostReason::SteppingDown);
    assert_eq!(work.check(Duration::ZERO), Err(told));
    sleep(Duration::from_secs(5)).await;
    assert!(node.is_goose(), "it is waited for, and the lease is renewed");
    assert_eq!(work.leadership().begin().await.unwrap_err(), told, "and nothing else begins");
    drop(work);
    assert_eq!(given.await.unwrap(), Ok(term));
    let known = node.status().goose.unwrap();
    assert_eq!((known.id.number(), known.term), (2, term + 1));
    assert_eq!(fake.grant(), term + 2);
    let mut heard = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        heard.push(event);
    }
    let ducks: Vec<&Event> =
        heard.iter().filter(|event| matches!(event, Event::BecameDuck { .. })).collect();
    assert!(matches!(ducks[..], [Event::BecameDuck { term: 1, .. }]), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_given_up_after_the_drain_timeout() {
    let fake = FakeGoose::new();
    fake.grant();
    let work = fake.node().leadership().unwrap().begin().await.unwrap();
    let began = Instant::now();
    assert_eq!(fake.hand_over().await, Err(Error::WorkGoesOn));
    assert!(began.elapsed() >= Duration::from_secs(30));
    assert!(fake.node().is_goose());
    assert_eq!(timeout(PATIENCE, fake.node().shutdown()).await.unwrap(), Err(EndError::WorkGoesOn));
    drop(work);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_revoked_was_not_told_of() {
    let fake = FakeGoose::new();
    fake.grant();
    let node = fake.node();
    let work = node.leadership().unwrap().begin().await.unwrap();
    let mut standing = node.watch();
    assert_eq!(standing.borrow_and_update().role, Role::Goose);
    fake.revoke();
    assert!(!node.is_goose() && node.leadership().is_none());
    assert_eq!(work.check(Duration::ZERO).unwrap_err().reason, LostReason::NotRenewed);
    timeout(PATIENCE, standing.changed()).await.unwrap().unwrap();
    let now = standing.borrow_and_update().clone();
    assert_eq!((now.role, now.term, now.goose), (Role::Duck, 1, None));
    assert_eq!(fake.elect_other(), 2);
    assert_eq!(timeout(PATIENCE, node.wait_for_goose()).await.unwrap().unwrap().term, 2);
    fake.forget_goose();
    assert_eq!(node.status().goose, None);
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_hears_of_a_lease_that_runs_out_in_a_frozen_node() {
    let fake = FakeGoose::new();
    fake.grant();
    let mut standing = fake.node().watch();
    standing.borrow_and_update();
    fake.freeze();
    let over = standing.wait_for(|standing| standing.role == Role::Duck);
    drop(timeout(PATIENCE, over).await.unwrap().unwrap());
    fake.fail();
    assert_eq!(timeout(PATIENCE, fake.node().ended()).await.unwrap(), Err(EndError::Failed));
    let closed = async { while standing.changed().await.is_ok() {} };
    timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_are_a_stream_that_loses_none_when_it_is_left() {
    use futures_core::Stream;

    let fake = FakeGoose::new();
    let mut events = fake.node().events();
    // Somebody begins to wait, and leaves.
    assert!(timeout(Duration::from_millis(1), events.next()).await.is_err());
    fake.grant();
    let mut stream = pin!(events);
    let first = poll_fn(|context| stream.as_mut().poll_next(context)).await;
    assert_eq!(first, Some(Event::BecameGoose { term: 1, handed_over: false }));
    let second = timeout(PATIENCE, stream.next()).await.unwrap();
    assert!(matches!(second, Some(Event::GooseChanged(Some(_)))), "{second:?}");
    drop(fake);
}
