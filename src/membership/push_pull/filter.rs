//! A Bloom filter: a set in a few bits. It holds all of its members, and by chance some others. A
//! salt makes those others different ones each time.

use serde::{Deserialize, Serialize};

/// The largest filter, in bytes. With what goes with it it fits a packet.
const FILTER_MAX: usize = 960;
/// A part has so many members at most, which is one for each byte of a filter: more in one filter
/// would hide too many others, so it hides one in forty.
const PART_MAX: usize = FILTER_MAX;

/// One part of all that may be in a filter, by their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    number: u8,
    of: u8,
}

impl Part {
    /// How many parts so many members are divided into.
    pub(super) fn count(members: usize) -> u8 {
        u8::try_from(members.div_ceil(PART_MAX).max(1)).unwrap_or(u8::MAX)
    }

    /// One of so many parts.
    pub(super) fn new(number: u32, of: u8) -> Self {
        let number = u8::try_from(number % u32::from(of.max(1))).unwrap_or(0);
        Self { number, of }
    }

    /// Whether a hash belongs to this part.
    pub(super) fn covers(self, hash: u64) -> bool {
        // A salt decides about the place in the filter, so any bits will do here.
        (hash >> 32) % u64::from(self.of.max(1)) == u64::from(self.number)
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filter {
    pub(super) salt: u64,
    pub(super) part: Part,
    pub(super) probes: u8,
    pub(super) bits: Vec<u8>,
}

impl Filter {
    /// Of those `hashes` that belong to the part; there are about `count` in all parts.
    pub(super) fn of(
        hashes: impl Iterator<Item = u64>,
        part: Part,
        count: usize,
        salt: u64,
    ) -> Self {
        let count = count.div_ceil(usize::from(part.of.max(1)));
        let bytes = count.clamp(16, FILTER_MAX);
        // The usual optimum, 0.7 bits of probes for each bit a member has.
        let probes = u8::try_from((bytes * 8 * 7 / 10 / count.max(1)).clamp(1, 4)).unwrap_or(4);
        let mut filter = Self { salt, part, probes, bits: vec![0; bytes] };
        for hash in hashes.filter(|hash| part.covers(*hash)) {
            for bit in filter.places(hash) {
                filter.bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// Whether this hash belongs to the filter's part, and is not in the filter.
    pub(super) fn lacks(&self, hash: u64) -> bool {
        self.part.covers(hash) && !self.holds(hash)
    }

    /// Whether this hash belongs to the filter's part, and is in the filter or seems to be.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.part.covers(hash) && self.holds(hash)
    }

    fn holds(&self, hash: u64) -> bool {
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
    use crate::vocabulary::hash::stable_hash;

    fn hash(number: u64) -> u64 {
        stable_hash(b"filter", &number.to_le_bytes())
    }

    #[test]
    fn a_filter_holds_all_that_are_in_it_and_few_others() {
        for count in [1, 100, 1000, 2000, 5000, 60_000] {
            let (total, mut others) = (usize::try_from(count).unwrap(), 0);
            let parts = Part::count(total);
            for number in 0..parts {
                let part = Part::new(number.into(), parts);
                let filter = Filter::of((0..count).map(hash), part, total, 77);
                assert!((0..count).all(|number| !filter.lacks(hash(number))));
                others += (100_000..101_000).filter(|it| filter.has(hash(*it))).count();
            }
            assert!(others <= 60, "{others} of 1000 others in the filters of {count}");
        }
    }

    #[test]
    fn everybody_belongs_to_one_part() {
        for of in [0, 1, 2, 5, u8::MAX] {
            let parts: Vec<Part> =
                (0..of.max(1)).map(|number| Part::new(number.into(), of)).collect();
            for number in 0..1000 {
                let covers = |part: &&Part| part.covers(hash(number));
                assert_eq!(parts.iter().filter(covers).count(), 1);
            }
        }
        assert_eq!(Part::new(7, 5), Part::new(2, 5), "they come in turn");
    }
}
