//! The envelope around every message: what protocol this is, which cluster, from whom, to
//! whom, and under which voter configuration.
//!
//! ```text
//! +-----+---------+----------+--------------------------------------------+---------+
//! | "Gg"| version | checksum | cluster genesis sender addressee configur. | message |
//! +-----+---------+----------+--------------------------------------------+---------+
//!   2 B     1 B       4 B       Header, bincode                              bincode
//! ```
//!
//! Zeros may follow the message: questions to strangers are padded, so that the answer is no
//! larger than a small multiple of the question. With a key the whole is sealed
//! ([`super::seal`]).
//!
//! The checksum makes a flipped bit a lost datagram: without it a damaged ballot or lease would
//! be believed. UDP's own has 16 bits, and some networks and cards do without it. It keeps no
//! attacker out; a key does.
//!
//! Input is hostile: whatever does not decode is a [`Reject`], which the node counts and
//! drops.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::codec;
use super::message::Message;
use crate::vocabulary::configuration::ConfigurationStamp;
use crate::vocabulary::hash::stable_hash;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::lineage::LineageClaim;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::reject::Reject;

/// The largest datagram sent or accepted, in bytes, seal included: what every path that carries IPv6
/// lets through (RFC 8200, section 5: 1,280 bytes, less 40 of IPv6 and 8 of UDP).
pub const DATAGRAM_SIZE_MAX: usize = 1232;

/// The largest packet that the membership layer may put into a datagram, in bytes: what the largest
/// envelope and the seal leave.
pub const GOSSIP_SIZE_MAX: usize = 1024;

/// The protocol's version.
pub const PROTOCOL_VERSION: u8 = 5;

const MAGIC: [u8; 2] = *b"Gg";
const CHECKSUM_SIZE: usize = 4;
/// What precedes the header, in bytes.
pub const PREFIX_SIZE: usize = MAGIC.len() + 1 + CHECKSUM_SIZE;

/// To whom a datagram is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Addressee {
    /// The node; none in a [`Message::Join`] to a seed, which is known by address only.
    pub id: Option<NodeId>,
    /// The process; none means "whoever you are now" and is allowed in a Poll and a Join only.
    pub boot: Option<Boot>,
}

impl Addressee {
    /// Exactly this process.
    pub fn process(process: Process) -> Self {
        Self { id: Some(process.id), boot: Some(process.boot) }
    }
}

/// What every datagram says before its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Digest of the cluster's name.
    pub cluster: u64,
    /// Digest of the genesis voter set; 0 while the sender does not know it.
    pub genesis: u64,
    /// Which founding of it, as far as the sender knows.
    pub lineage: Option<LineageClaim>,
    /// Who sends.
    pub sender: Process,
    /// Who is meant.
    pub addressee: Addressee,
    /// The voter configuration the sender acts under.
    pub configuration: ConfigurationStamp,
    /// To be echoed by whoever receives this, as proof that it receives at its address.
    pub token: u32,
    /// The last token that the addressee sent; 0 if none is known.
    pub echo: u32,
    /// Beside gossip and a welcome: how lately the Goose was seen.
    pub leader_freshness: Option<LeaderFreshness>,
}

/// That a Goose was there, and how long ago. It rides on gossip, so that each of thousands of
/// nodes knows the Goose from moment to moment and none has to ask the voters. Advice only, and
/// it says nothing to whoever does not know that Goose already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderFreshness {
    /// Its term.
    pub term: u64,
    /// Since it was last confirmed, in milliseconds, with an allowance for every hand that this
    /// went through.
    pub age: u16,
}

/// Encodes one datagram.
///
/// # Errors
/// If it would be larger than [`DATAGRAM_SIZE_MAX`] or than the codec's limit; nothing is
/// sent then.
pub fn encode(header: &Header, message: &Message) -> Result<Vec<u8>, EncodeError> {
    let mut datagram = Vec::with_capacity(256);
    datagram.extend_from_slice(&MAGIC);
    datagram.push(PROTOCOL_VERSION);
    datagram.resize(PREFIX_SIZE, 0);
    codec::encode_into(header, &mut datagram)?;
    codec::encode_into(message, &mut datagram)?;
    if datagram.len() > DATAGRAM_SIZE_MAX {
        return Err(EncodeError::TooLarge(datagram.len()));
    }
    renew_checksum(&mut datagram);
    Ok(datagram)
}

/// Gives a datagram that was changed the checksum of what it says now. Too short a one stays as
/// it is.
pub fn renew_checksum(datagram: &mut [u8]) {
    if let Some((prefix, rest)) = datagram.split_at_mut_checked(PREFIX_SIZE) {
        prefix[PREFIX_SIZE - CHECKSUM_SIZE..].copy_from_slice(&checksum(rest));
    }
}

/// Of everything but the zeros at the end, which padding may have put there.
fn checksum(rest: &[u8]) -> [u8; CHECKSUM_SIZE] {
    let end = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let hash = stable_hash(b"datagram", &rest[..end]).to_le_bytes();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Why a message cannot be sent. It is a bug of this node, met by counting, not by a panic.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Larger than [`DATAGRAM_SIZE_MAX`].
    #[error("a datagram of {0} bytes exceeds {DATAGRAM_SIZE_MAX}")]
    TooLarge(usize),
    /// The codec refused.
    #[error(transparent)]
    Codec(#[from] codec::CodecError),
}

/// Decodes one datagram. Whose it is and whether it is welcome is for the node to judge.
///
/// # Errors
/// The reason to count and drop it.
pub fn decode(datagram: &[u8]) -> Result<(Header, Message), Reject> {
    if datagram.len() > DATAGRAM_SIZE_MAX {
        return Err(Reject::Oversized);
    }
    let Some((start, _)) = datagram.split_first_chunk::<3>() else {
        return Err(Reject::NotGaggle);
    };
    if start[..2] != MAGIC || start[2] == 0 {
        return Err(Reject::NotGaggle);
    }
    match start[2].cmp(&PROTOCOL_VERSION) {
        Ordering::Greater => return Err(Reject::TooNew),
        Ordering::Less => return Err(Reject::TooOld),
        Ordering::Equal => {}
    }
    let (prefix, rest) = datagram.split_at_checked(PREFIX_SIZE).ok_or(Reject::Malformed)?;
    let sound = prefix[PREFIX_SIZE - CHECKSUM_SIZE..] == checksum(rest);
    if !sound && !mutant::is(Mutant::ChecksumIgnored) {
        return Err(Reject::Damaged);
    }
    let (header, used) = codec::decode_front::<Header>(rest).map_err(|_| Reject::Malformed)?;
    let rest = &rest[used..];
    let (message, used) = codec::decode_front(rest).map_err(|_| Reject::Malformed)?;
    if rest[used..].iter().any(|byte| *byte != 0) {
        return Err(Reject::Malformed);
    }
    Ok((header, message))
}

/// Whether these bytes claim to be a plain datagram of this protocol.
pub fn is_plain(datagram: &[u8]) -> bool {
    datagram.starts_with(&MAGIC) && datagram.get(2).is_some_and(|version| *version > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::lineage::{Certainty, Lineage};

    fn sample() -> Vec<u8> {
        let id = NodeId::new(7).unwrap();
        let header = Header {
            cluster: 1,
            genesis: 2,
            lineage: None,
            sender: Process { id, boot: Boot { start: 3, nonce: 4 } },
            addressee: Addressee { id: Some(id), boot: None },
            configuration: ConfigurationStamp::default(),
            token: 5,
            echo: 6,
            leader_freshness: None,
        };
        encode(&header, &Message::Probe { sequence: 256 }).unwrap()
    }

    /// The largest envelope around the largest packet, sealed.
    #[test]
    fn the_largest_packet_fits_the_largest_envelope() {
        let id = NodeId::new(NodeId::MAX).unwrap();
        let boot = Boot { start: u64::MAX, nonce: u64::MAX };
        let lineage = Lineage::of_nonces(&[(id, 1)]);
        let header = Header {
            cluster: u64::MAX,
            genesis: u64::MAX,
            lineage: Some(LineageClaim { lineage, certainty: Certainty::Settled }),
            sender: Process { id, boot },
            addressee: Addressee::process(Process { id, boot }),
            configuration: ConfigurationStamp {
                ballot: u64::MAX,
                version: u64::MAX,
                digest: u64::MAX,
            },
            token: u32::MAX,
            echo: u32::MAX,
            leader_freshness: Some(LeaderFreshness { term: u64::MAX, age: u16::MAX }),
        };
        let packet = Message::Gossip(vec![1; GOSSIP_SIZE_MAX]);
        let size = encode(&header, &packet).unwrap().len() + crate::wire::seal::SEAL_SIZE;
        assert!(size <= DATAGRAM_SIZE_MAX, "{size}");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let whole = sample();
        assert!(decode(&whole).is_ok());
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let reject = decode(&damaged).unwrap_err();
            assert!(bit < 24 || reject == Reject::Damaged, "bit {bit}: {reject:?}");
        }
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn padding_is_no_damage_unless_it_is_damaged() {
        let mut padded = sample();
        padded.resize(450, 0);
        assert_eq!(decode(&padded).unwrap(), decode(&sample()).unwrap());
        padded[400] ^= 1;
        assert_eq!(decode(&padded).unwrap_err(), Reject::Damaged);
        renew_checksum(&mut padded);
        assert_eq!(decode(&padded).unwrap_err(), Reject::Malformed);
    }

    #[test]
    fn versions_other_than_this_one_are_told_apart() {
        let of = |version| {
            let mut datagram = sample();
            datagram[2] = version;
            decode(&datagram).unwrap_err()
        };
        assert_eq!(of(PROTOCOL_VERSION - 1), Reject::TooOld);
        assert_eq!(of(PROTOCOL_VERSION + 1), Reject::TooNew);
        assert_eq!(of(0), Reject::NotGaggle);
    }
}
