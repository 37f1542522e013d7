//! A Bloom filter: a set in a few bits, which holds everybody who is in it, and by chance some
//! who are not. A salt makes those others each time.

use serde::{Deserialize, Serialize};

/// The largest filter, in bytes. With what goes with it it fits a packet; of two thousand
/// members it hides one in six that is lacking, of five thousand every second one: each
/// question hides others, so that does no lasting harm.
const FILTER_MAX: usize = 1024;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filter {
    pub(super) salt: u64,
    pub(super) probes: u8,
    pub(super) bits: Vec<u8>,
}

impl Filter {
    pub(super) fn of(hashes: impl Iterator<Item = u64>, count: usize, salt: u64) -> Self {
        let bytes = count.clamp(16, FILTER_MAX);
        // The usual optimum, 0.7 bits of probes for each bit a member has.
        let probes = u8::try_from((bytes * 8 * 7 / 10 / count.max(1)).clamp(1, 4)).unwrap_or(4);
        let mut filter = Self { salt, probes, bits: vec![0; bytes] };
        for hash in hashes {
            for bit in filter.places(hash) {
                filter.bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    pub(super) fn holds(&self, hash: u64) -> bool {
        self.places(hash).all(|bit| self.bits[bit / 8] & (1 << (bit % 8)) != 0)
    }

    /// Which bits stand for a member. There must be some.
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        // The hashes are good already; the salt has to reach all of their bits.
        let mixed = (hash ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = mixed ^ (mixed >> 32);
        let (first, step) = (mixed & 0xffff_ffff, (mixed >> 32) | 1);
        let bits = self.bits.len() as u64 * 8;
        let place = move |probe: u64| (first + probe * step) % bits;
        (0..u64::from(self.probes.min(4)))
            .map(move |probe| usize::try_from(place(probe)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::codec::stable_hash;

    #[test]
    fn a_filter_holds_all_that_are_in_it_and_few_others() {
        let hash = |number: u64| stable_hash(b"filter", &number.to_le_bytes());
        for (count, others_max) in [(1, 20), (100, 60), (1000, 60), (2000, 250), (5000, 700)] {
            let filter = Filter::of((0..count).map(hash), usize::try_from(count).unwrap(), 77);
            assert!((0..count).all(|number| filter.holds(hash(number))));
            let others = (10_000..11_000).filter(|number| filter.holds(hash(*number))).count();
            assert!(others <= others_max, "{others} of 1000 others in a filter of {count}");
        }
    }
}
