//! The identity under which this node gossips.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::vocabulary::identity::{Process, normalised};
use crate::wire::codec::{self, CodecError};

/// A member as gossip carries it: lean, because it is repeated in every packet. Renamed by the
/// gossip library when it was wrongly declared down; the process in it never changes, so
/// everything of ours is keyed by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberIdentity {
    /// Which process of which node.
    pub process: Process,
    /// Where it is reached.
    pub address: SocketAddr,
    /// How often this process has had to take a new identity.
    pub renewal: u32,
    /// Whether it may become Goose.
    pub eligible: bool,
}

impl MemberIdentity {
    /// The first identity of a process.
    pub fn new(process: Process, address: SocketAddr, eligible: bool) -> Self {
        Self { process, address: normalised(address), renewal: 0, eligible }
    }

    /// For a welcome.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A fixed-size value: it cannot exceed the codec's limit.
        let _ = codec::encode_into(self, &mut bytes);
        bytes
    }

    /// From a welcome.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are no identity.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_whole(bytes)
    }

    /// A strict order of identities at one address or of one node: the later wins.
    pub(super) fn age(&self) -> (u64, u32, u64, u64) {
        let Process { id, boot } = self.process;
        (boot.start, self.renewal, id.number(), boot.nonce)
    }
}

impl foca::Identity for MemberIdentity {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self { renewal: self.renewal.checked_add(1)?, ..*self })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.age() > adversary.age()
    }
}
