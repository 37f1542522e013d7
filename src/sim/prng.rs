//! Where all chance of a simulation comes from: one seed, split into named streams.
//!
//! Integers only. Floating-point logarithms differ between machines, and a seed must mean the
//! same run everywhere.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use crate::vocabulary::hash::stable_hash;

/// A stream of random numbers that a seed and a name determine.
#[derive(Clone, Debug)]
pub struct Prng(Xoshiro256PlusPlus);

impl Prng {
    /// The stream called `name` of `seed`. Streams of different names do not disturb each
    /// other: one more draw from one leaves the others as they were.
    pub fn new(seed: u64, name: &str) -> Self {
        let mixed = stable_hash(name.as_bytes(), &seed.to_le_bytes());
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// A number of at least `low` and below `high`; `low` if the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        if low >= high { low } else { self.0.random_range(low..high) }
    }

    /// A position in a list of `length`; zero if it is empty.
    pub fn below(&mut self, length: usize) -> usize {
        if length <= 1 { 0 } else { self.0.random_range(0..length) }
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.between(0, 1000) < u64::from(per_mille)
    }

    /// True every other time.
    pub fn coin(&mut self) -> bool {
        self.chance(500)
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A span with a long tail: mostly around `mean`, now and then many times as long.
    pub fn long_tailed(&mut self, mean: u64) -> u64 {
        let mut scale = mean;
        for _ in 0..6 {
            if !self.chance(125) {
                break;
            }
            scale = scale.saturating_mul(3);
        }
        self.between(scale / 8, scale + scale / 2)
    }

    /// Bytes for whoever needs entropy of its own.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// The positions 0 to `length` − 1, shuffled.
    pub fn shuffled(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for last in (1..length).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_stream() {
        let draw = |name| {
            let mut prng = Prng::new(7, name);
            (0..20).map(|_| prng.between(0, 1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw("network"), draw("network"));
        assert_ne!(draw("network"), draw("disks"));
    }

    #[test]
    fn a_shuffle_keeps_every_position() {
        let mut order = Prng::new(1, "shuffle").shuffled(9);
        order.sort_unstable();
        assert_eq!(order, (0..9).collect::<Vec<_>>());
    }
}
