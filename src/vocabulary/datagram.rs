//! The envelope around every message: what protocol this is, which cluster, from whom, to
//! whom, and under which voter configuration.
//!
//! ```text
//! +-----+---------+--------------------------------------------+---------+
//! | "Gg"| version | cluster genesis sender addressee configur. | message |
//! +-----+---------+--------------------------------------------+---------+
//!   2 B     1 B      Header, bincode                              bincode
//! ```
//!
//! Zeros may follow the message: questions to strangers are padded, so that the answer is no
//! larger than a small multiple of the question. With a key the whole is sealed
//! ([`super::seal`]).
//!
//! Input is hostile: whatever does not decode is a [`Reject`], which the node counts and
//! drops.

use serde::{Deserialize, Serialize};

use super::codec;
use super::configuration::ConfigurationStamp;
use super::identity::{Boot, NodeId, Process};
use super::message::Message;

/// The largest datagram sent or accepted, in bytes: fits every path that carries IPv6.
pub const DATAGRAM_SIZE_MAX: usize = 1400;

/// The largest packet that the membership layer may put into a datagram, in bytes.
pub const GOSSIP_SIZE_MAX: usize = 1200;

/// The protocol's version.
pub const PROTOCOL_VERSION: u8 = 2;

const MAGIC: [u8; 2] = *b"Gg";

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
    pub sighting: Option<Sighting>,
}

/// That a Goose was there, and how long ago. It rides on gossip, so that each of thousands of
/// nodes knows the Goose from moment to moment and none has to ask the voters. Advice only, and
/// it says nothing to whoever does not know that Goose already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Its term.
    pub term: u64,
    /// Since it was last confirmed, in milliseconds, with an allowance for every hand that this
    /// went through.
    pub age: u16,
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// Longer than [`DATAGRAM_SIZE_MAX`].
    Oversized,
    /// Not a datagram of this protocol at all.
    NotGaggle,
    /// A later version of the protocol.
    TooNew,
    /// An earlier version of the protocol, which this one does not understand.
    TooOld,
    /// Of this protocol by its first bytes, but not decodable.
    Malformed,
    /// Another cluster's name.
    ForeignCluster,
    /// Our cluster's name, founded with another voter set.
    ForeignVoters,
    /// Addressed to another node.
    WrongNode,
    /// Addressed to an earlier process of this node.
    WrongBoot,
    /// Sent by this very process: an echo.
    Echo,
    /// Not expected: an answer to no question, or from somebody who has no say in it.
    Unexpected,
    /// This node cannot handle it yet: it does not know its cluster.
    NotReady,
    /// It came in plain, and this node has a key.
    Unsealed,
    /// Sealed with a key that this node lacks.
    UnknownKey,
    /// Sealed by somebody who names a key of ours without having it, or damaged.
    Forged,
    /// Sealed and sound, and taken in before; or too late to tell.
    Replayed,
}

impl Reject {
    /// Every reason, in order.
    pub const ALL: [Self; 16] = [
        Self::Oversized,
        Self::NotGaggle,
        Self::TooNew,
        Self::TooOld,
        Self::Malformed,
        Self::ForeignCluster,
        Self::ForeignVoters,
        Self::WrongNode,
        Self::WrongBoot,
        Self::Echo,
        Self::Unexpected,
        Self::NotReady,
        Self::Unsealed,
        Self::UnknownKey,
        Self::Forged,
        Self::Replayed,
    ];

    /// The name under which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::NotGaggle => "not_gaggle",
            Self::TooNew => "too_new",
            Self::TooOld => "too_old",
            Self::Malformed => "malformed",
            Self::ForeignCluster => "foreign_cluster",
            Self::ForeignVoters => "foreign_voters",
            Self::WrongNode => "wrong_node",
            Self::WrongBoot => "wrong_boot",
            Self::Echo => "echo",
            Self::Unexpected => "unexpected",
            Self::NotReady => "not_ready",
            Self::Unsealed => "unsealed",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
        }
    }
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
    codec::encode_into(header, &mut datagram)?;
    codec::encode_into(message, &mut datagram)?;
    if datagram.len() > DATAGRAM_SIZE_MAX {
        return Err(EncodeError::TooLarge(datagram.len()));
    }
    Ok(datagram)
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
    let Some((prefix, rest)) = datagram.split_first_chunk::<3>() else {
        return Err(Reject::NotGaggle);
    };
    if prefix[..2] != MAGIC || prefix[2] == 0 {
        return Err(Reject::NotGaggle);
    }
    if prefix[2] > PROTOCOL_VERSION {
        return Err(Reject::TooNew);
    }
    if prefix[2] < PROTOCOL_VERSION {
        return Err(Reject::TooOld);
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
