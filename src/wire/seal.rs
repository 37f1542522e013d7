//! Sealed datagrams: nobody without a key of the cluster can read, make or change one.
//!
//! ```text
//! +-----+---------+------+-------+------------------------------+-----+
//! | "Gs"| version | hint | nonce | number | plain datagram      | tag |
//! +-----+---------+------+-------+------------------------------+-----+
//!   2 B     1 B     4 B    24 B    8 B      enciphered           16 B
//! |------ associated data -------|
//! ```
//!
//! The cipher is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha); its nonce is long enough to be
//! drawn at random. The hint is what a key makes of a fixed text: it tells which key of the
//! ring opens a datagram, and a foreign key from a forgery, and says nothing about the key.
//! The number rises with every datagram that one process seals; [`Window`] finds repeats by it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::datagram::DATAGRAM_SIZE_MAX;
use crate::vocabulary::identity::Process;
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::reject::Reject;

/// The length of a key, in bytes.
pub const KEY_SIZE: usize = 32;
/// The length of a nonce, in bytes.
pub const NONCE_SIZE: usize = 24;
/// The most keys in a ring: an old one, a new one, and room for disorder.
pub const KEYS_MAX: usize = 8;
/// How much longer a datagram becomes, in bytes.
pub const SEAL_SIZE: usize = PREFIX_SIZE + NUMBER_SIZE + TAG_SIZE;

const MAGIC: [u8; 2] = *b"Gs";
const SEAL_VERSION: u8 = 1;
const HINT_SIZE: usize = 4;
const HINT_END: usize = 3 + HINT_SIZE;
const PREFIX_SIZE: usize = HINT_END + NONCE_SIZE;
const NUMBER_SIZE: usize = 8;
const TAG_SIZE: usize = 16;
/// Never drawn for a datagram, except with a chance of 1 to 2^192.
const HINT_NONCE: [u8; NONCE_SIZE] = *b"gaggle: which key is it?";

/// One key, with which whoever has it reads and writes everything. Wiped when dropped.
#[derive(Clone)]
struct Key {
    secret: Zeroizing<[u8; KEY_SIZE]>,
    hint: [u8; HINT_SIZE],
}

impl Key {
    fn new(secret: [u8; KEY_SIZE]) -> Self {
        let secret = Zeroizing::new(secret);
        let mut nothing = [0; 0];
        let made = XChaCha20Poly1305::new((&*secret).into()).encrypt_inout_detached(
            &XNonce::from(HINT_NONCE),
            b"",
            nothing.as_mut_slice().into(),
        );
        let mut hint = [0; HINT_SIZE];
        // Only texts of many gigabytes cannot be enciphered.
        if let Ok(tag) = made {
            hint.copy_from_slice(&tag[..HINT_SIZE]);
        }
        Self { secret, hint }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.secret).into())
    }
}

/// The keys of a cluster: the first seals, every one opens. So a new key is first added
/// everywhere behind the old one, then put first everywhere, and then the old one removed
/// everywhere, and at no moment are two nodes unable to understand each other.
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<[Key]>,
}

/// Why keys make no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// None at all.
    #[error("there is no key: make one with `gaggle keygen`")]
    Empty,
    /// More than [`KEYS_MAX`].
    #[error("{0} keys are too many: at most {KEYS_MAX}; remove those that no node seals with")]
    TooMany(usize),
    /// One of them twice; which, counted from 1.
    #[error("key {0} is there already: remove one of the two")]
    Repeated(usize),
}

impl KeyRing {
    /// A ring of these keys, the first of which seals.
    ///
    /// # Errors
    /// As [`KeyRingError`] says.
    pub fn new(secrets: Vec<[u8; KEY_SIZE]>) -> Result<Self, KeyRingError> {
        let secrets = Zeroizing::new(secrets);
        if secrets.is_empty() {
            return Err(KeyRingError::Empty);
        }
        if secrets.len() > KEYS_MAX {
            return Err(KeyRingError::TooMany(secrets.len()));
        }
        let repeated = |at: &usize| secrets[..*at].contains(&secrets[*at]);
        if let Some(at) = (0..secrets.len()).find(repeated) {
            return Err(KeyRingError::Repeated(at + 1));
        }
        Ok(Self { keys: secrets.iter().copied().map(Key::new).collect() })
    }

    /// What tells the keys apart without giving them away, the sealing one first.
    pub fn hints(&self) -> Vec<String> {
        self.keys.iter().map(|key| shown(&key.hint)).collect()
    }

    /// Seals `plain` with the first key. `nonce` must never be used again with that key:
    /// drawn at random it never is. `number` must rise with every datagram of one process.
    ///
    /// # Errors
    /// [`SealError`] if it would exceed [`DATAGRAM_SIZE_MAX`].
    pub fn seal(
        &self,
        nonce: [u8; NONCE_SIZE],
        number: u64,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let size = plain.len() + SEAL_SIZE;
        let key = self.keys.first().filter(|_| size <= DATAGRAM_SIZE_MAX);
        let key = key.ok_or(SealError(size))?;
        let mut sealed = Vec::with_capacity(size);
        sealed.extend_from_slice(&MAGIC);
        sealed.push(SEAL_VERSION);
        sealed.extend_from_slice(&key.hint);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&number.to_le_bytes());
        sealed.extend_from_slice(plain);
        let (prefix, text) = sealed.split_at_mut(PREFIX_SIZE);
        let tag = key
            .cipher()
            .encrypt_inout_detached(&XNonce::from(nonce), prefix, text.into())
            .map_err(|_| SealError(size))?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open(&self, datagram: &[u8]) -> Result<Opened, Reject> {
        let (prefix, rest) = datagram.split_at_checked(PREFIX_SIZE).ok_or(Reject::Malformed)?;
        let length = rest.len().checked_sub(TAG_SIZE).filter(|length| *length >= NUMBER_SIZE);
        let (text, tag) = rest.split_at(length.ok_or(Reject::Malformed)?);
        let nonce: [u8; NONCE_SIZE] =
            prefix[HINT_END..].try_into().map_err(|_| Reject::Malformed)?;
        let tag: [u8; TAG_SIZE] = tag.try_into().map_err(|_| Reject::Malformed)?;
        let mut reject = Reject::UnknownKey;
        for key in self.keys.iter().filter(|key| key.hint == prefix[3..HINT_END]) {
            let mut text = text.to_vec();
            let opened = key.cipher().decrypt_inout_detached(
                &XNonce::from(nonce),
                prefix,
                text.as_mut_slice().into(),
                &Tag::from(tag),
            );
            if opened.is_ok() {
                return Opened::of(text).ok_or(Reject::Malformed);
            }
            reject = Reject::Forged;
        }
        Err(reject)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyRing({})", self.hints().join(", "))
    }
}

impl PartialEq for KeyRing {
    fn eq(&self, other: &Self) -> bool {
        let secrets = |ring: &Self| ring.keys.iter().map(|key| *key.secret).collect::<Vec<_>>();
        *Zeroizing::new(secrets(self)) == *Zeroizing::new(secrets(other))
    }
}

impl Eq for KeyRing {}

/// Why a datagram cannot be sealed: it would be this many bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed datagram of {0} bytes exceeds {DATAGRAM_SIZE_MAX}")]
pub struct SealError(pub usize);

/// What was in a sealed datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which of its process's datagrams it is.
    pub number: u64,
    /// The number and the plain datagram: the one's bytes lead the other's.
    text: Vec<u8>,
}

impl Opened {
    fn of(text: Vec<u8>) -> Option<Self> {
        let number = text.first_chunk::<NUMBER_SIZE>().copied().map(u64::from_le_bytes)?;
        Some(Self { number, text })
    }

    /// The datagram that was sealed.
    pub fn plain(&self) -> &[u8] {
        &self.text[NUMBER_SIZE..]
    }
}

/// Opens what came in. With keys everything must be sealed and is returned; without keys
/// nothing may be, and nothing is returned: `datagram` is the plain one.
///
/// # Errors
/// [`Reject::Unsealed`], [`Reject::UnknownKey`], [`Reject::Forged`] and what else may be wrong
/// with the prefix.
pub fn open(keys: Option<&KeyRing>, datagram: &[u8]) -> Result<Option<Opened>, Reject> {
    if datagram.len() > DATAGRAM_SIZE_MAX {
        return Err(Reject::Oversized);
    }
    let sealed = datagram.starts_with(&MAGIC);
    let version = datagram.get(2).copied().unwrap_or(0);
    match keys {
        None if sealed && version > 0 => Err(Reject::UnknownKey),
        None => Ok(None),
        Some(_) if super::datagram::is_plain(datagram) => Err(Reject::Unsealed),
        Some(_) if !sealed || version == 0 => Err(Reject::NotGaggle),
        Some(_) if version > SEAL_VERSION => Err(Reject::TooNew),
        Some(keys) => keys.open(datagram).map(Some),
    }
}

/// Which key a datagram was sealed with, as [`KeyRing::hints`] says it; none if it is not sealed.
pub fn hint_of(datagram: &[u8]) -> Option<String> {
    let hint = datagram.get(3..HINT_END).filter(|_| datagram.starts_with(&MAGIC))?;
    Some(shown(hint))
}

fn shown(hint: &[u8]) -> String {
    hint.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How far behind the newest number a datagram may still arrive.
const WINDOW_WIDTH: u64 = 1024;
/// The most processes of which numbers are remembered: some 1.3 MB.
const PROCESSES_MAX: usize = 8192;

/// Which of the last numbers of one process have been seen (as in RFC 6479).
#[derive(Clone, Debug)]
pub struct Window {
    newest: u64,
    seen: [u64; Self::WORDS],
}

impl Default for Window {
    fn default() -> Self {
        Self { newest: 0, seen: [0; Self::WORDS] }
    }
}

impl Window {
    /// One more than the width fills: the newest and the oldest word are begun only.
    #[allow(clippy::cast_possible_truncation)] // 17.
    const WORDS: usize = (WINDOW_WIDTH / 64 + 1) as usize;

    /// Whether `number` is new; from then on it is not. Numbers start at 1. What is so old
    /// that nobody remembers whether it was seen is not new.
    pub fn admit(&mut self, number: u64) -> bool {
        if number == 0 || number.saturating_add(WINDOW_WIDTH) <= self.newest {
            return false;
        }
        // Words between the newest one and that of `number` belong to a lap that is over.
        if number > self.newest {
            let (last, now) = (self.newest / 64, number / 64);
            for word in (last + 1..=now).rev().take(Self::WORDS) {
                self.seen[Self::word(word)] = 0;
            }
            self.newest = number;
        }
        let word = &mut self.seen[Self::word(number / 64)];
        let bit = 1 << (number % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    #[allow(clippy::cast_possible_truncation)] // Below WORDS.
    fn word(number: u64) -> usize {
        (number % (Self::WORDS as u64)) as usize
    }
}

/// The windows of all processes that were heard.
#[derive(Debug, Default)]
pub struct Windows {
    windows: BTreeMap<Process, (u64, Window)>,
    clock: u64,
}

impl Windows {
    /// How many processes are remembered.
    pub fn table(&self) -> TableSize {
        TableSize { name: "windows", size: self.windows.len(), size_max: PROCESSES_MAX }
    }

    /// Whether this process's datagram of this number is new; from then on it is not. Call it
    /// for opened datagrams only: a forger could use up numbers that are still to come.
    pub fn admit(&mut self, process: Process, number: u64) -> bool {
        self.clock += 1;
        if self.windows.len() >= PROCESSES_MAX && !self.windows.contains_key(&process) {
            // Whoever has been silent longest is most probably gone for good.
            let silent = self.windows.iter().min_by_key(|(_, (heard, _))| *heard);
            if let Some(silent) = silent.map(|(process, _)| *process) {
                self.windows.remove(&silent);
            }
        }
        let (heard, window) = self.windows.entry(process).or_default();
        *heard = self.clock;
        window.admit(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::{Boot, NodeId};

    const NONCE: [u8; NONCE_SIZE] = [9; NONCE_SIZE];

    fn ring(keys: &[u8]) -> KeyRing {
        KeyRing::new(keys.iter().map(|key| [*key; KEY_SIZE]).collect()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_whole() {
        let keys = ring(&[1]);
        for length in [0, 1, 100, DATAGRAM_SIZE_MAX - SEAL_SIZE] {
            let plain = vec![7; length];
            let sealed = keys.seal(NONCE, 42, &plain).unwrap();
            assert_eq!(sealed.len(), length + SEAL_SIZE);
            let opened = open(Some(&keys), &sealed).unwrap().unwrap();
            assert_eq!((opened.number, opened.plain()), (42, plain.as_slice()));
        }
        let large = vec![7; DATAGRAM_SIZE_MAX - SEAL_SIZE + 1];
        assert_eq!(keys.seal(NONCE, 42, &large), Err(SealError(DATAGRAM_SIZE_MAX + 1)));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let keys = ring(&[1]);
        let sealed = keys.seal(NONCE, 42, b"honk").unwrap();
        for at in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[at / 8] ^= 1 << (at % 8);
            let reject = open(Some(&keys), &changed).unwrap_err();
            match at / 8 {
                0..3 => assert_ne!(reject, Reject::Forged, "bit {at}"),
                3..7 => assert_eq!(reject, Reject::UnknownKey, "bit {at}"),
                _ => assert_eq!(reject, Reject::Forged, "bit {at}"),
            }
        }
        for length in 0..sealed.len() {
            assert!(open(Some(&keys), &sealed[..length]).is_err());
        }
    }

    #[test]
    fn a_ring_opens_what_any_of_its_keys_sealed() {
        let (old, both, swapped, new) = (ring(&[1]), ring(&[1, 2]), ring(&[2, 1]), ring(&[2]));
        let opens = |to: &KeyRing, from: &KeyRing| {
            open(Some(to), &from.seal(NONCE, 1, b"honk").unwrap()).map(|_| ())
        };
        for (one, other) in [(&old, &both), (&both, &swapped), (&swapped, &new)] {
            assert_eq!((opens(one, other), opens(other, one)), (Ok(()), Ok(())));
        }
        assert_eq!(opens(&old, &new), Err(Reject::UnknownKey));
        assert_ne!(both, swapped);
        assert_eq!(both, ring(&[1, 2]));
    }

    #[test]
    fn with_a_key_all_is_sealed_and_without_one_nothing() {
        let sealed = ring(&[1]).seal(NONCE, 1, b"honk").unwrap();
        assert_eq!(open(None, &sealed), Err(Reject::UnknownKey));
        assert_eq!(open(None, b"anything"), Ok(None));
        assert_eq!(open(Some(&ring(&[1])), b"Gg\x01anything"), Err(Reject::Unsealed));
        assert_eq!(open(Some(&ring(&[1])), b"anything"), Err(Reject::NotGaggle));
        assert_eq!(open(Some(&ring(&[1])), b"Gs\x02anything"), Err(Reject::TooNew));
    }

    #[test]
    fn rings_are_bounded_and_never_shown() {
        assert_eq!(KeyRing::new(Vec::new()).unwrap_err(), KeyRingError::Empty);
        assert_eq!(KeyRing::new(vec![[1; 32], [1; 32]]).unwrap_err(), KeyRingError::Repeated(2));
        let nine = (0..9).map(|key| [key; KEY_SIZE]).collect();
        assert_eq!(KeyRing::new(nine).unwrap_err(), KeyRingError::TooMany(9));
        let shown = format!("{:?}", ring(&[0xab]));
        assert_eq!(shown, format!("KeyRing({})", ring(&[0xab]).hints()[0]));
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn a_number_is_new_once() {
        let mut window = Window::default();
        assert!(!window.admit(0));
        for number in [1, 3, 2, 1000, 999, 1024, 1500, 478, 477] {
            assert!(window.admit(number), "{number}");
            assert!(!window.admit(number), "{number}");
        }
        assert!(!window.admit(476), "too old to be remembered");
        assert!(window.admit(1_000_000));
        assert!(!window.admit(1500));
        for number in (1_000_000 - 1023..1_000_000).rev() {
            assert!(window.admit(number), "{number}");
            assert!(!window.admit(number), "{number}");
        }
        assert!(!window.admit(1_000_000 - 1024));
        assert!(window.admit(u64::MAX));
        assert!(!window.admit(u64::MAX) && !window.admit(1_000_000));
    }

    #[test]
    fn the_table_of_windows_is_bounded() {
        let mut windows = Windows::default();
        let process =
            |start| Process { id: NodeId::new(1).unwrap(), boot: Boot { start, nonce: 0 } };
        for start in 0..(PROCESSES_MAX as u64 + 10) {
            assert!(windows.admit(process(start), 5));
        }
        assert_eq!(windows.windows.len(), PROCESSES_MAX);
        assert!(!windows.admit(process(PROCESSES_MAX as u64), 5), "the latest are remembered");
        assert!(windows.admit(process(PROCESSES_MAX as u64), 6));
    }
}
