//! The gossip library's packets in our wire format.

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member};

use super::identity::MemberIdentity;
use crate::vocabulary::codec::{self, CodecError};

/// bincode with a limit, like everything else on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct GossipCodec;

fn put<T: serde::Serialize>(value: &T, mut buffer: impl BufMut) -> Result<(), CodecError> {
    let mut bytes = Vec::with_capacity(64);
    codec::encode_into(value, &mut bytes)?;
    // The library fills packets until an item does not fit: that is an answer, not a failure.
    if buffer.remaining_mut() < bytes.len() {
        return Err(CodecError::Surplus(bytes.len() - buffer.remaining_mut()));
    }
    buffer.put_slice(&bytes);
    Ok(())
}

fn take<T: serde::de::DeserializeOwned>(mut buffer: impl Buf) -> Result<T, CodecError> {
    // The library hands contiguous slices only.
    let (value, used) = codec::decode_front(buffer.chunk())?;
    buffer.advance(used);
    Ok(value)
}

impl Codec<MemberIdentity> for GossipCodec {
    type Error = CodecError;

    fn encode_header(
        &mut self,
        header: &Header<MemberIdentity>,
        buffer: impl BufMut,
    ) -> Result<(), CodecError> {
        put(header, buffer)
    }

    fn decode_header(&mut self, buffer: impl Buf) -> Result<Header<MemberIdentity>, CodecError> {
        take(buffer)
    }

    fn encode_member(
        &mut self,
        member: &Member<MemberIdentity>,
        buffer: impl BufMut,
    ) -> Result<(), CodecError> {
        put(member, buffer)
    }

    fn decode_member(&mut self, buffer: impl Buf) -> Result<Member<MemberIdentity>, CodecError> {
        take(buffer)
    }
}
