//! The one place that knows siphash: hashes that do not change between releases, as those of the
//! standard library do.

use std::hash::Hasher;

use siphasher::sip::{SipHasher13, SipHasher24};

/// A 64-bit hash that is the same on every machine and in every release (SipHash-1-3 with a
/// zero key; `domain` keeps different uses apart). It detects mistakes, not attackers.
pub fn stable_hash(domain: &[u8], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(domain.len() as u64);
    hasher.write(domain);
    hasher.write(bytes);
    hasher.finish()
}

/// A 64-bit hash that nobody can foretell who does not know `key` (SipHash-2-4).
pub fn keyed_hash(key: &[u8; 16], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(bytes);
    hasher.finish()
}
