//! What happens to datagrams between two nodes: the same rules for the relay and for the
//! simulation, and the dice that both throw.

use std::time::Duration;

/// How many nodes play at a time, each at a place of its own: 1 to this.
pub(crate) const NODES: usize = 5;
/// How many of them vote at the founding, those with the lowest ids, and at the end of every act.
pub(crate) const VOTERS: usize = 3;
/// The first node at a place has its number as id; whoever takes its place has this much more.
pub(crate) const GENERATION: usize = 10;
/// So many nodes may stand at a place, one after another.
const GENERATIONS: usize = 4;

/// The place of a node.
pub(crate) fn place(node: usize) -> usize {
    node % GENERATION
}

/// The ids of all nodes that there can ever be.
pub(crate) fn machines() -> impl Iterator<Item = usize> {
    let at = |generation| move |place| place + generation * GENERATION;
    (0..GENERATIONS).flat_map(move |generation| (1..=NODES).map(at(generation)))
}

/// A small seeded generator (splitmix64): the same seed plays the same game.
#[derive(Clone, Debug)]
pub(crate) struct Prng(u64);

impl Prng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` − 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(1).max(1);
        usize::try_from(self.draw() % bound).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// A place.
    pub(crate) fn place(&mut self) -> usize {
        1 + self.below(NODES)
    }

    /// A span of `least` to `most` milliseconds.
    pub(crate) fn milliseconds(&mut self, least: u64, most: u64) -> Duration {
        let range = (most.saturating_sub(least) * 1000).max(1);
        Duration::from_micros(least * 1000 + self.draw() % range)
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes());
        }
        bytes
    }
}

/// One direction between two nodes. The default is a link without fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Nothing gets through.
    pub(crate) cut: bool,
    /// So many of a hundred datagrams are lost.
    pub(crate) loss: usize,
    /// So many of a hundred arrive twice.
    pub(crate) duplicates: usize,
    /// Each is held back by up to so many milliseconds, so that they overtake each other.
    pub(crate) delay: u64,
}

/// What became of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) delivered: u64,
    pub(crate) cut: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
}

impl Link {
    /// How long each copy of one datagram is held back; no entry if it is lost.
    pub(crate) fn fate(self, prng: &mut Prng, traffic: &mut Traffic) -> Vec<Duration> {
        if self.cut {
            traffic.cut += 1;
            return Vec::new();
        }
        if prng.percent(self.loss) {
            traffic.lost += 1;
            return Vec::new();
        }
        traffic.delivered += 1;
        let copies = if prng.percent(self.duplicates) { 2 } else { 1 };
        traffic.duplicated += copies - 1;
        (0..copies).map(|_| prng.milliseconds(0, self.delay)).collect()
    }
}

/// Every direction of every link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links([[Link; NODES]; NODES]);

impl Links {
    pub(crate) fn of(&self, from: usize, to: usize) -> Link {
        self.0[place(from) - 1][place(to) - 1]
    }

    pub(crate) fn of_mut(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.0[place(from) - 1][place(to) - 1]
    }

    /// Cuts one direction between every node of `from` and every node of `to`.
    pub(crate) fn silence(&mut self, from: &[usize], to: &[usize]) {
        for &sender in from {
            for &receiver in to {
                self.of_mut(sender, receiver).cut = true;
            }
        }
    }

    /// Cuts both directions between every node of `left` and every node of `right`.
    pub(crate) fn separate(&mut self, left: &[usize], right: &[usize]) {
        self.silence(left, right);
        self.silence(right, left);
    }

    pub(crate) fn everywhere(&mut self, link: Link) {
        self.0 = [[link; NODES]; NODES];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_one_direction_only() {
        let mut links = Links::default();
        links.of_mut(1, 2).cut = true;
        assert!(links.of(11, 22).cut, "whoever takes a place takes its links");
        let (mut prng, mut traffic) = (Prng::new(1), Traffic::default());
        assert!(links.of(1, 2).fate(&mut prng, &mut traffic).is_empty());
        assert_eq!(links.of(2, 1).fate(&mut prng, &mut traffic), [Duration::ZERO]);
        assert_eq!((traffic.cut, traffic.delivered), (1, 1));
    }

    #[test]
    fn loss_and_duplicates_come_about_as_often_as_asked() {
        let link = Link { loss: 20, duplicates: 10, delay: 50, ..Link::default() };
        let (mut prng, mut traffic) = (Prng::new(7), Traffic::default());
        for _ in 0..10_000 {
            for hold in link.fate(&mut prng, &mut traffic) {
                assert!(hold < Duration::from_millis(50));
            }
        }
        assert!((1800..2200).contains(&traffic.lost), "{traffic:?}");
        assert!((600..1000).contains(&traffic.duplicated), "{traffic:?}");
    }
}
