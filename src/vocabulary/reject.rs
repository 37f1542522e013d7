//! Why a datagram is dropped: what is counted, and what people are told.

use serde::Serialize;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// Longer than a datagram may be.
    Oversized,
    /// Not a datagram of this protocol at all.
    NotGaggle,
    /// A later version of the protocol.
    TooNew,
    /// An earlier version of the protocol, which this one does not understand.
    TooOld,
    /// Its checksum does not match: a bit was flipped, or the end cut off, on its way.
    Damaged,
    /// Of this protocol by its first bytes, but not decodable.
    Malformed,
    /// Another cluster's name.
    ForeignCluster,
    /// Our cluster's name, founded with another voter set.
    ForeignVoters,
    /// Our cluster's name and voters, but another founding.
    ForeignLineage,
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
    pub const ALL: [Self; 18] = [
        Self::Oversized,
        Self::NotGaggle,
        Self::TooNew,
        Self::TooOld,
        Self::Damaged,
        Self::Malformed,
        Self::ForeignCluster,
        Self::ForeignVoters,
        Self::ForeignLineage,
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
            Self::Damaged => "damaged",
            Self::Malformed => "malformed",
            Self::ForeignCluster => "foreign_cluster",
            Self::ForeignVoters => "foreign_voters",
            Self::ForeignLineage => "foreign_lineage",
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
