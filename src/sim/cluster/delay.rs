//! How long things take.

use crate::sim::prng::Prng;

/// How long a datagram travels or a write takes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Always the same.
    Constant(u64),
    /// Anything from the first to the second.
    Uniform(u64, u64),
    /// Mostly around this, now and then many times as long.
    LongTailed(u64),
}

impl Delay {
    /// Draws one.
    pub fn draw(self, prng: &mut Prng) -> u64 {
        match self {
            Self::Constant(delay) => delay,
            Self::Uniform(low, high) => prng.between(low, high),
            Self::LongTailed(mean) => prng.long_tailed(mean),
        }
    }
}
