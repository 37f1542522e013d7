//! A contender's luck: how long it waits after an attempt that came to nothing.
//!
//! The stream of one seed, kept as a seed and a position, so that it is a plain value that can
//! be copied and compared. It is drawn from once per failed attempt, so that starting the
//! generator anew each time costs nothing that matters.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// A stream of random numbers, and how far into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backoff {
    seed: u64,
    position: u128,
}

impl Backoff {
    /// The beginning of the stream that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, position: 0 }
    }

    /// The next factor between a half and two.
    pub(crate) fn factor(&mut self) -> f64 {
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
}
