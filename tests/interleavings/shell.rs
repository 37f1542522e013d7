//! The published lease, and the permit to work on its way from the driver and back.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

use crate::vocabulary::work::{EndOfWork, EndReason};

#[path = "../../src/shell/published_lease.rs"]
mod published_lease;
mod sync;
#[path = "../../src/shell/work.rs"]
mod work;

use published_lease::PublishedLease;
use sync::{Channel, Watch, block_on};
use work::{Asked, Permit, Word};

/// What both implementations offer.
trait Publishes: Send + Sync + 'static {
    fn make() -> Self;
    fn publish(&self, lease: Option<(u64, u64)>);
    fn deadline_of(&self, term: u64) -> u64;
}

impl Publishes for PublishedLease {
    fn make() -> Self {
        Self::new()
    }
    fn publish(&self, lease: Option<(u64, u64)>) {
        self.publish(lease);
    }
    fn deadline_of(&self, term: u64) -> u64 {
        self.deadline_of(term)
    }
}

/// How it may be broken.
#[derive(Clone, Copy)]
enum Bug {
    StoresSwapped,
    LoadsSwapped,
    Relaxed,
}

const STORES_SWAPPED: u8 = Bug::StoresSwapped as u8;
const LOADS_SWAPPED: u8 = Bug::LoadsSwapped as u8;
const RELAXED: u8 = Bug::Relaxed as u8;

struct Broken<const BUG: u8> {
    deadline: AtomicU64,
    led: AtomicU64,
}

impl<const BUG: u8> Publishes for Broken<BUG> {
    fn make() -> Self {
        Self { deadline: AtomicU64::new(0), led: AtomicU64::new(0) }
    }
    fn publish(&self, lease: Option<(u64, u64)>) {
        let order = if BUG == RELAXED { Ordering::Relaxed } else { Ordering::Release };
        let deadline = lease.map_or(0, |(_, deadline)| deadline);
        if BUG == STORES_SWAPPED {
            self.deadline.store(deadline, order);
        }
        if let Some((term, _)) = lease {
            self.led.store(term, order);
        }
        if BUG != STORES_SWAPPED {
            self.deadline.store(deadline, order);
        }
    }
    fn deadline_of(&self, term: u64) -> u64 {
        let order = if BUG == RELAXED { Ordering::Relaxed } else { Ordering::Acquire };
        let early = self.led.load(order);
        let deadline = self.deadline.load(order);
        let led = if BUG == LOADS_SWAPPED { early } else { self.led.load(order) };
        if led == term { deadline } else { 0 }
    }
}

/// Terms 1 and 2 of one node, one after the other; each is known to others once it is published.
fn check_publishing<P: Publishes>() {
    loom::model(|| {
        let lease = Arc::new(P::make());
        let known = Arc::new(AtomicU64::new(0));
        let driver = {
            let (lease, known) = (Arc::clone(&lease), Arc::clone(&known));
            thread::spawn(move || {
                lease.publish(Some((1, 100)));
                known.store(1, Ordering::Release);
                lease.publish(None);
                lease.publish(Some((2, 200)));
                known.store(2, Ordering::Release);
            })
        };
        let before = known.load(Ordering::Acquire);
        let first = lease.deadline_of(1);
        assert!(first == 0 || first == 100, "term 1 lasts until {first}");
        if before == 2 {
            assert_eq!(first, 0, "term 1 is over");
            assert_eq!(lease.deadline_of(2), 200, "term 2 has begun");
        }
        driver.join().unwrap();
    });
}

#[test]
fn a_deadline_is_never_taken_for_that_of_another_term() {
    check_publishing::<PublishedLease>();
}

#[test]
#[should_panic(expected = "term 1 lasts until 200")]
fn the_check_fails_if_the_deadline_is_written_before_the_term() {
    check_publishing::<Broken<STORES_SWAPPED>>();
}

#[test]
#[should_panic(expected = "term 1 lasts until 200")]
fn the_check_fails_if_the_term_is_read_before_the_deadline() {
    check_publishing::<Broken<LOADS_SWAPPED>>();
}

#[test]
#[should_panic(expected = "term 1")]
fn the_check_fails_if_nothing_orders_the_two() {
    check_publishing::<Broken<RELAXED>>();
}

/// What reaches the driver.
enum Order {
    /// Somebody asks to work and waits for the reply, or does not any more.
    Begin(Arc<Reply>),
    StepDown,
    Word(Word),
}

/// A reply that may come too late.
#[derive(Default)]
struct Reply {
    /// None: nobody waits any more.
    slot: loom::sync::Mutex<Slot>,
    filled: loom::sync::Condvar,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Gone,
    Filled(Option<Permit>),
}

impl Reply {
    /// The driver's answer; it comes back if nobody waits.
    fn fill(&self, permit: Option<Permit>) -> Option<Permit> {
        let mut slot = self.slot.lock().unwrap();
        if matches!(*slot, Slot::Gone) {
            return permit;
        }
        *slot = Slot::Filled(permit);
        self.filled.notify_one();
        None
    }

    fn wait(&self) -> Option<Permit> {
        let mut slot = self.slot.lock().unwrap();
        loop {
            if let Slot::Filled(permit) = &mut *slot {
                return permit.take();
            }
            slot = self.filled.wait(slot).unwrap();
        }
    }

    /// Whoever asked has gone.
    fn abandon(&self) {
        let slot = std::mem::replace(&mut *self.slot.lock().unwrap(), Slot::Gone);
        // What had come already is dropped with it.
        drop(slot);
    }
}

/// One driver: it lets one piece of work begin, is told to step down, has the work end, and gives
/// the lease away. `patient`: it waits for the end of work.
fn drive(orders: &Channel<Order>, asked: &Watch<Asked>, released: &AtomicBool, patient: bool) {
    let (mut alive, mut closed, mut answered) = (0_u32, false, false);
    while !answered || !closed || alive > 0 {
        match orders.receive() {
            Order::Begin(reply) => {
                answered = true;
                let permit = (!closed).then(|| {
                    alive += 1;
                    let words = orders.sender(Order::Word);
                    Permit::new(7, asked.subscribe(), words)
                });
                drop(reply.fill(permit));
            }
            Order::StepDown => {
                closed = true;
                let end = EndOfWork { term: 7, reason: EndReason::SteppingDown, until: None };
                asked.send(Asked { number: 1, end: Some(end) });
            }
            Order::Word(word) => {
                assert_eq!(word, Word::WorkEnded);
                alive -= 1;
            }
        }
        if closed && (alive == 0 || !patient) {
            released.store(true, Ordering::SeqCst);
        }
    }
}

/// One thread asks to work, does so as `work` says, and another is the driver.
fn check_permits(patient: bool, work: fn(&Reply, &AtomicBool)) {
    let mut model = loom::model::Builder::new();
    // More switches of a thread that could go on show nothing new here, and take minutes.
    model.preemption_bound = Some(3);
    model.check(move || {
        let orders = Channel::<Order>::new();
        let asked = Watch::new(Asked::default());
        let released = Arc::new(AtomicBool::new(false));
        let worker = {
            let begin = orders.sender(Order::Begin);
            let step_down = orders.sender(|()| Order::StepDown);
            let released = Arc::clone(&released);
            thread::spawn(move || {
                let reply = Arc::new(Reply::default());
                begin.send(Arc::clone(&reply)).unwrap();
                step_down.send(()).unwrap();
                work(&reply, &released);
            })
        };
        drive(&orders, &asked, &released, patient);
        assert!(released.load(Ordering::SeqCst));
        worker.join().unwrap();
    });
}

fn works(reply: &Reply, released: &AtomicBool) {
    let Some(permit) = reply.wait() else { return };
    let end = block_on(permit.asked_to_end()).unwrap();
    assert_eq!(end.reason, EndReason::SteppingDown);
    assert!(!released.load(Ordering::SeqCst), "given away with the work alive");
    drop(permit);
}

#[test]
fn the_lease_is_given_away_once_the_permit_is_back() {
    check_permits(true, works);
}

#[test]
fn a_permit_that_nobody_waits_for_is_not_lost() {
    check_permits(true, |reply, _| reply.abandon());
}

#[test]
#[should_panic(expected = "given away")]
fn the_check_fails_if_the_driver_does_not_wait() {
    check_permits(false, works);
}
