//! The timers of one state machine, in a table.
//!
//! When something is due is set in one place. "What is due next?" and "is it due?" are both read
//! from there, so that the two never disagree: a machine that sleeps past what it has to do, or
//! one that wakes again and again with nothing to do.

use std::marker::PhantomData;

/// One of a state machine's timers: an enumeration without fields.
pub trait Timer {
    /// Its place in the table.
    fn place(self) -> usize;
}

/// `N` timers of the kind `K`, on the clock that `T` reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timers<K, T, const N: usize> {
    due: [Option<T>; N],
    kind: PhantomData<K>,
}

impl<K: Timer, T: Copy + Ord, const N: usize> Timers<K, T, N> {
    /// None of them is set.
    #[must_use]
    pub fn new() -> Self {
        Self { due: [None; N], kind: PhantomData }
    }

    /// The same with one of them set.
    #[must_use]
    pub fn with(mut self, timer: K, at: T) -> Self {
        self.set(timer, at);
        self
    }

    /// From here on it is due at `at`.
    pub fn set(&mut self, timer: K, at: T) {
        self.due[timer.place()] = Some(at);
    }

    /// It is due at `at`, or earlier if it was.
    pub fn set_earlier(&mut self, timer: K, at: T) {
        let due = &mut self.due[timer.place()];
        *due = Some(due.map_or(at, |set| set.min(at)));
    }

    /// It is never due until it is set again.
    pub fn stop(&mut self, timer: K) {
        self.due[timer.place()] = None;
    }

    /// When it is due, if it is set.
    pub fn get(&self, timer: K) -> Option<T> {
        self.due[timer.place()]
    }

    /// Whether it is due at `now`.
    pub fn is_expired(&self, timer: K, now: T) -> bool {
        self.get(timer).is_some_and(|at| at <= now)
    }

    /// When the first of them is due.
    pub fn next(&self) -> Option<T> {
        self.due.iter().flatten().min().copied()
    }
}

impl<K: Timer, T: Copy + Ord, const N: usize> Default for Timers<K, T, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Bell {
        Low,
        High,
    }

    impl Timer for Bell {
        fn place(self) -> usize {
            self as usize
        }
    }

    #[test]
    fn the_first_that_is_set_is_the_next_and_what_was_stopped_is_never_due() {
        let mut timers = Timers::<Bell, u64, 2>::new();
        assert_eq!(timers.next(), None);
        timers.set(Bell::Low, 7);
        timers.set_earlier(Bell::High, 5);
        timers.set_earlier(Bell::Low, 9);
        assert_eq!((timers.next(), timers.get(Bell::Low)), (Some(5), Some(7)));
        assert!(timers.is_expired(Bell::High, 5) && !timers.is_expired(Bell::Low, 6));
        timers.stop(Bell::High);
        assert_eq!(timers.next(), Some(7));
        assert!(!timers.is_expired(Bell::High, u64::MAX));
    }
}
