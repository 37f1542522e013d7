//! What two nodes that compare say to each other.

use std::net::SocketAddr;

use foca::Member;
use serde::{Deserialize, Serialize};

use super::super::identity::MemberIdentity;
use super::filter::Filter;
use crate::vocabulary::identity::Process;
use crate::wire::codec::{self, CodecError};

/// How such a packet begins. No packet of SWIM does: it begins with a small number.
const MARK: u8 = 0xff;

/// What two nodes say to each other here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::membership) enum Exchange {
    Compare(Compare),
    Page(Page),
}

/// "This is what I hold; what do I lack?"
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::membership) struct Compare {
    /// Where the asker is, and under which name; its process is in the envelope.
    pub(in crate::membership) address: SocketAddr,
    pub(in crate::membership) renewal: u32,
    pub(in crate::membership) eligible: bool,
    /// To be echoed.
    pub(super) nonce: u32,
    /// So many pages are wanted at most.
    pub(super) pages: u8,
    pub(super) digest: u64,
    /// Empty if digests are to be compared first.
    pub(super) filter: Filter,
}

impl Compare {
    /// Who asks.
    pub(in crate::membership) fn asker(&self, process: Process) -> MemberIdentity {
        let Self { address, renewal, eligible, .. } = *self;
        MemberIdentity { process, address, renewal, eligible }
    }
}

/// Members that the asker seems to lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::membership) struct Page {
    pub(super) nonce: u32,
    /// Of what the answering node holds.
    pub(super) digest: u64,
    /// No other page of this answer follows.
    pub(super) last: bool,
    /// There was more than fitted the answer.
    pub(super) more: bool,
    pub(in crate::membership) members: Vec<Member<MemberIdentity>>,
}

impl Page {
    /// One with nobody on it, and the last one so far.
    pub(super) fn empty(nonce: u32, digest: u64) -> Self {
        Self { nonce, digest, last: true, more: false, members: Vec::new() }
    }
}

/// Whether a packet belongs here and not to SWIM.
pub(in crate::membership) fn is_exchange(packet: &[u8]) -> bool {
    packet.first() == Some(&MARK)
}

pub(in crate::membership) fn encode(exchange: &Exchange) -> Result<Vec<u8>, CodecError> {
    let mut packet = vec![MARK];
    codec::encode_into(exchange, &mut packet)?;
    Ok(packet)
}

/// Reads such a packet.
///
/// # Errors
/// [`CodecError`] if it is none.
pub(in crate::membership) fn decode(packet: &[u8]) -> Result<Exchange, CodecError> {
    codec::decode_whole(packet.get(1..).unwrap_or_default())
}

/// What it is, for those who watch; none if it is not sound.
pub(in crate::membership) fn kind(packet: &[u8]) -> Option<&'static str> {
    Some(match decode(packet).ok()? {
        Exchange::Compare(_) => "Compare",
        Exchange::Page(_) => "Page",
    })
}
