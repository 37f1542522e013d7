//! Durations counted in a few fixed buckets, for those who look at a node from outside.
//!
//! Assumption: whoever reads it wants shares and trends, so bucket bounds are fixed for ever
//! and a count never falls while the process lives.

use std::time::Duration;

use super::time::nanoseconds;

/// The upper bounds of the buckets, inclusive, in microseconds: from a quiet rack to a lost
/// quorum. Longer ones are counted by the total alone.
pub const BOUNDS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// Counted durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many fell into each bucket alone, in the order of [`BOUNDS`].
    buckets: [u64; BOUNDS.len()],
    /// How many there were.
    count: u64,
    /// Their sum, in nanoseconds.
    sum: u64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, span: Duration) {
        let span = nanoseconds(span);
        let fits = |bound: &u64| span <= bound.saturating_mul(1_000);
        if let Some(bucket) = BOUNDS.iter().position(fits) {
            self.buckets[bucket] = self.buckets[bucket].saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(span);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// Each bound in microseconds, with how many were no longer than it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = BOUNDS.iter().zip(&self.buckets);
        counted.scan(0_u64, |total, (bound, count)| {
            *total = total.saturating_add(*count);
            Some((*bound, *total))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_longer_to_the_total() {
        let mut histogram = Histogram::default();
        for microseconds in [250, 251, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let counted: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counted[..2], [1, 2]);
        assert_eq!(counted[BOUNDS.len() - 2..], [2, 3]);
        assert_eq!(histogram.count(), 4);
        assert_eq!(histogram.sum(), Duration::from_micros(20_000_502));
    }
}
