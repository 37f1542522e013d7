//! A contender's luck: how long it waits after an attempt that came to nothing.
//!
//! The stream of one seed, kept as a seed and a position, so that it is a plain value that can
//! be copied and compared. It is drawn from once per failed attempt, so that starting the
//! generator anew each time costs nothing that matters.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::vocabulary::time::HolderTime;

/// So many attempts in a row may fail by bad luck.
const FAILURES_BY_LUCK: u32 = 3;
/// The wait is doubled so often at most.
const DOUBLINGS_MAX: u32 = 3;

/// A stream of random numbers, how far into it, and the attempts that failed lately.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backoff {
    seed: u64,
    position: u128,
    failures: u32,
    /// When the wait after the last of them ends.
    resumes: HolderTime,
}

impl Backoff {
    /// The beginning of the stream that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, position: 0, failures: 0, resumes: HolderTime::default() }
    }

    /// A random time of about `usual`: between a half of it and twice as long.
    pub(crate) fn draw(&mut self, usual: Duration) -> Duration {
        usual.mul_f64(self.factor())
    }

    /// How long to wait after an attempt that failed at `now`, because others contend: a random
    /// time of about `usual`. Where many contend for few votes, some of which are lost, or where
    /// profiles differ, that is not enough for anybody to be let through: from the fourth failure
    /// on, each of which came within `memory` of the end of the wait before, the wait doubles,
    /// three times at most.
    pub(crate) fn wait(&mut self, usual: Duration, now: HolderTime, memory: Duration) -> Duration {
        if now.since(self.resumes) > memory {
            self.failures = 0;
        }
        let doublings = (self.failures + 1).saturating_sub(FAILURES_BY_LUCK).min(DOUBLINGS_MAX);
        self.failures = (self.failures + 1).min(FAILURES_BY_LUCK + DOUBLINGS_MAX);
        let wait = self.draw(usual) * (1 << doublings);
        self.resumes = now.plus(wait);
        wait
    }

    /// The next factor between a half and two.
    fn factor(&mut self) -> f64 {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_word_pos(self.position);
        let factor = generator.random_range(0.5..2.0);
        self.position = generator.get_word_pos();
        factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_generators_own() {
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        let mut backoff = Backoff::new(7);
        for _ in 0..20 {
            let expected: f64 = generator.random_range(0.5..2.0);
            assert_eq!(backoff.clone().factor().to_bits(), expected.to_bits());
            assert_eq!(backoff.factor().to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn whoever_fails_again_and_again_waits_longer_and_is_forgiven_in_time() {
        let second = Duration::from_secs(1);
        let (mut backoff, mut factors) = (Backoff::new(7), Backoff::new(7));
        let mut now = HolderTime(0);
        // Each attempt takes half a second, and comes when the wait before it is over.
        let mut grown = |rest: u64| {
            now = now.plus(Duration::from_millis(rest));
            let wait = backoff.wait(second, now, second);
            now = now.plus(wait);
            (wait.as_secs_f64() / factors.factor()).round()
        };
        let in_a_row: Vec<f64> = (1..=8).map(|_| grown(500)).collect();
        assert_eq!(in_a_row, [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]);
        assert_eq!([1500, 500, 500, 500].map(grown), [1.0, 1.0, 1.0, 2.0]);
    }
}
