//! Bytes as a source of decisions, and bytes made slightly wrong.

use gaggle::sim::prng::Prng;

/// Reads an input as decisions. Past its end everything is zero.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn pair(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A place in something of `length` bytes.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        (usize::from(self.pair()) * length) >> 16
    }

    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// A number: one that is known to be delicate, near to `around`, or any.
    pub(crate) fn number(&mut self, around: u64) -> u64 {
        match self.byte() {
            byte @ 0..=15 => EDGES[usize::from(byte)],
            byte @ 16..=79 => around.wrapping_add(u64::from(byte - 16)),
            byte @ 80..=95 => around.wrapping_sub(u64::from(byte - 79)),
            byte @ 96..=127 => u64::from(byte - 96),
            128..=239 => around,
            240..=247 => u64::from(self.byte()) << (self.byte() % 64),
            _ => self.take(8).iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        }
    }
}

/// Numbers at which something changes: lengths on the wire, signs, ballots.
pub(crate) const EDGES: [u64; 16] = [
    0,
    1,
    250,
    251,
    255,
    65_535,
    65_536,
    u32::MAX as u64,
    1 << 32,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// A number as the wire format writes it.
pub(crate) fn varint(number: u64) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    match number {
        0..=250 => vec![bytes[0]],
        251..=0xffff => [&[251], &bytes[..2]].concat(),
        0x1_0000..=0xffff_ffff => [&[252], &bytes[..4]].concat(),
        _ => [&[253], &bytes[..]].concat(),
    }
}

/// How many bytes the number takes whose first byte is this.
fn varint_size(first: u8) -> usize {
    match first {
        251 => 3,
        252 => 5,
        253 => 9,
        254 => 17,
        _ => 1,
    }
}

/// Makes one thing in `bytes` wrong, from `start` on. `other` is something of the same kind.
pub(crate) fn spoil(reader: &mut Reader<'_>, bytes: &mut Vec<u8>, start: usize, other: &[u8]) {
    let operation = reader.byte();
    let start = start.min(bytes.len());
    let at = start + reader.place(bytes.len() - start);
    if at >= bytes.len() {
        bytes.push(reader.byte());
        return;
    }
    match operation % 10 {
        0 | 1 => bytes[at] ^= 1 << (reader.byte() % 8),
        2 => bytes[at] = reader.byte(),
        3 => bytes.truncate(at),
        // A number, or what would be the length of something, becomes another.
        4..=6 => {
            let end = (at + varint_size(bytes[at])).min(bytes.len());
            let number = reader.number(u64::from(bytes[at]));
            bytes.splice(at..end, varint(number));
        }
        7 => {
            let from = reader.place(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        8 => {
            let count = usize::from(reader.byte() % 32);
            let end = (at + count).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let count = usize::from(reader.byte() % 32);
            let filling = vec![reader.byte(); count];
            bytes.splice(at..at, filling);
        }
    }
}

/// Changes `bytes` in one to eight ways, for inputs that are no decisions.
pub(crate) fn mutate(
    prng: &mut Prng,
    bytes: &mut Vec<u8>,
    other: &[u8],
    dictionary: &[&[u8]],
    size_max: usize,
) {
    let more = if prng.coin() { 0 } else { prng.below(7) };
    for _ in 0..=more {
        let at = prng.below(bytes.len() + 1);
        let length = 1 + prng.below(16.min(bytes.len().max(1)));
        let end = (at + length).min(bytes.len());
        match prng.below(12) {
            0..=2 if at < bytes.len() => bytes[at] ^= 1 << prng.below(8),
            3 if at < bytes.len() => bytes[at] = random(prng),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let filling: Vec<u8> = (0..length).map(|_| random(prng)).collect();
                drop(bytes.splice(at..at, filling));
            }
            6 => {
                let copy = bytes[at..end].to_vec();
                let to = prng.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
            7 if !other.is_empty() => {
                let from = prng.below(other.len());
                let until = from + prng.below(other.len() - from) + 1;
                let until = until.min(other.len());
                let end = if prng.coin() { end } else { at };
                drop(bytes.splice(at..end, other[from..until].iter().copied()));
            }
            8 => bytes.truncate(at),
            9 | 10 if !dictionary.is_empty() => {
                let word = prng.pick(dictionary);
                let end = if prng.coin() { end } else { at };
                drop(bytes.splice(at..end, word.iter().copied()));
            }
            _ => {
                let number = EDGES[prng.below(EDGES.len())].to_le_bytes();
                let size = prng.pick(&[1, 2, 4, 8]);
                let end = (at + size).min(bytes.len());
                drop(bytes.splice(at..end, number[..size].iter().copied()));
            }
        }
    }
    bytes.truncate(size_max);
}

/// Any byte.
pub(crate) fn random(prng: &mut Prng) -> u8 {
    u8::try_from(prng.below(256)).unwrap_or(0)
}
