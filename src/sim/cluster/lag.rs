//! Time passes between reading the clock, deciding, and doing what was decided: a process is not
//! on a processor all the time, and nothing tells it when it is not.
//!
//! Meanwhile nothing is handled, what was decided is not seen by anybody, and if the process dies
//! it is never done.

use crate::sim::prng::Prng;

/// So many times in a thousand a process that lags lets time pass.
const OFTEN: u32 = 200;

/// How much time passes on one machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lag {
    most: u64,
}

impl Lag {
    /// From now on up to so many nanoseconds pass now and then; zero ends that.
    pub(super) fn set(&mut self, most: u64) {
        self.most = most;
    }

    /// How much time passes now, if some does.
    pub(super) fn draw(self, prng: &mut Prng) -> Option<u64> {
        (self.most > 0 && prng.chance(OFTEN)).then(|| prng.between(1, self.most))
    }
}
