//! The count of guards: two threads make and drop guards of one term.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[path = "../../src/library/guards.rs"]
mod guards;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use std::sync::PoisonError;
}

const TERM: u64 = 7;

/// What both implementations offer.
trait Counts: Send + Sync + 'static {
    fn make() -> Self;
    fn enter(&self, term: u64) -> bool;
    fn leave(&self, term: u64, abdicate: impl FnOnce());
    fn gave_up(&self, term: u64) -> bool;
}

impl Counts for guards::Guards {
    fn make() -> Self {
        Self::new()
    }
    fn enter(&self, term: u64) -> bool {
        self.enter(term)
    }
    fn leave(&self, term: u64, abdicate: impl FnOnce()) {
        self.leave(term, abdicate);
    }
    fn gave_up(&self, term: u64) -> bool {
        self.gave_up(term)
    }
}

/// As a weak pointer would do it: whether a guard was the last is decided first, and the term is
/// given up afterwards.
struct Hasty {
    count: AtomicUsize,
}

impl Counts for Hasty {
    fn make() -> Self {
        Self { count: AtomicUsize::new(0) }
    }
    fn enter(&self, _: u64) -> bool {
        self.count.fetch_add(1, Ordering::AcqRel);
        true
    }
    fn leave(&self, _: u64, abdicate: impl FnOnce()) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            abdicate();
        }
    }
    fn gave_up(&self, _: u64) -> bool {
        false
    }
}

/// Nobody ever holds a guard of a term that was given up, and the last one gives it up.
fn check<G: Counts>() {
    loom::model(|| {
        let guards = Arc::new(G::make());
        let given_up = Arc::new(AtomicUsize::new(0));
        let worker = |rounds: usize| {
            let (guards, given_up) = (Arc::clone(&guards), Arc::clone(&given_up));
            move || {
                let mut held = 0;
                for _ in 0..rounds {
                    if !guards.enter(TERM) {
                        continue;
                    }
                    held += 1;
                    assert_eq!(given_up.load(Ordering::Acquire), 0, "a guard of a term given up");
                    assert!(!guards.gave_up(TERM), "while a guard is held");
                    guards.leave(TERM, || _ = given_up.fetch_add(1, Ordering::AcqRel));
                }
                held
            }
        };
        let other = thread::spawn(worker(2));
        let held = worker(1)() + other.join().unwrap();
        assert!(held >= 1);
        assert_eq!(given_up.load(Ordering::Acquire), 1, "given up once");
    });
}

#[test]
fn only_the_last_guard_gives_the_term_up_and_then_for_good() {
    loom::model(|| {
        let guards = guards::Guards::new();
        let leave = |term: u64| {
            let mut abdicated = false;
            guards.leave(term, || abdicated = true);
            abdicated
        };
        assert!(guards.enter(7) && guards.enter(7));
        assert!(!leave(7));
        assert!(guards.enter(7));
        assert!(!leave(7) && !guards.gave_up(7) && leave(7));
        assert!(!guards.enter(7) && !guards.enter(6) && guards.gave_up(7));

        assert!(guards.enter(9) && guards.enter(10));
        assert!(!leave(9), "its term was over already");
        assert!(!guards.enter(9) && leave(10));
    });
}

#[test]
fn a_guard_is_never_made_of_a_term_that_was_given_up() {
    check::<guards::Guards>();
}

#[test]
#[should_panic(expected = "given up")]
fn the_check_fails_if_giving_up_is_not_part_of_the_count() {
    check::<Hasty>();
}
