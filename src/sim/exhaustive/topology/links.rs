//! Who reaches whom.

/// How many topologies there are.
pub const TOPOLOGIES: u32 = 1 << 18;

pub(super) const VOTERS: [u64; 3] = [1, 2, 3];
pub(super) const CONTENDERS: [u64; 3] = [11, 12, 13];
/// It is where the third voter is.
pub(super) const NEWCOMER: u64 = 4;

/// One topology: bit 2·(3·contender + voter) lets the contender reach the voter, the next one
/// the voter the contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology(pub u32);

impl Topology {
    fn bit(self, contender: usize, voter: usize, back: bool) -> bool {
        self.0 >> (2 * (3 * contender + voter) + usize::from(back)) & 1 == 1
    }

    /// Whether every link has its opposite.
    pub fn is_symmetric(self) -> bool {
        (self.0 ^ self.0 >> 1) & 0x15555 == 0
    }

    /// Whether `from` reaches `to`. Contenders reach each other, and so do voters.
    pub(super) fn reaches(self, from: u64, to: u64) -> bool {
        match (contender(from), voter(to), contender(to), voter(from)) {
            (Some(contender), Some(voter), ..) => self.bit(contender, voter, false),
            (_, _, Some(contender), Some(voter)) => self.bit(contender, voter, true),
            _ => true,
        }
    }

    /// The highest contender with two-way links to a majority of the founders.
    pub fn rightful(self) -> Option<u64> {
        self.rightful_of(&VOTERS)
    }

    /// The same for these voters.
    pub(super) fn rightful_of(self, voters: &[u64]) -> Option<u64> {
        let qualified = |contender: &u64| {
            let both = |voter: &&u64| {
                self.reaches(*contender, **voter) && self.reaches(**voter, *contender)
            };
            voters.iter().filter(both).count() > voters.len() / 2
        };
        CONTENDERS.into_iter().rev().find(qualified)
    }
}

fn contender(id: u64) -> Option<usize> {
    CONTENDERS.iter().position(|other| *other == id)
}

pub(super) fn voter(id: u64) -> Option<usize> {
    let id = if id == NEWCOMER { VOTERS[2] } else { id };
    VOTERS.iter().position(|other| *other == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rightful_one_is_the_highest_with_a_majority_of_two_way_links() {
        assert_eq!(Topology(0).rightful(), None);
        assert_eq!(Topology(TOPOLOGIES - 1).rightful(), Some(13));
        // Two-way links of the lowest to voters 1 and 2 alone.
        assert_eq!(Topology(0b1111).rightful(), Some(11));
        // One way to the second voter only.
        assert_eq!(Topology(0b0111).rightful(), None);
        assert!(Topology(0b1111).is_symmetric());
        assert!(!Topology(0b0111).is_symmetric());
    }
}
