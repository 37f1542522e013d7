//! The gossip library's packets in our wire format.
//!
//! The library puts both identities whole into every packet. Our own envelope says already which
//! process speaks to which, and nine packets in ten carry nothing else. So only what the envelope
//! does not say goes on the wire.
//!
//! This is also where membership learns what changed: the library encodes every update that it
//! has applied, exactly once, in order to spread it. Its notifications leave suspicions out.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, State};
use serde::{Deserialize, Serialize};

use super::broadcast::Broadcast;
use super::identity::MemberIdentity;
use crate::vocabulary::identity::Process;
use crate::wire::codec::{self, CodecError};

/// The incarnation under which a node that leaves declares itself dead. The library itself never
/// uses it: a member that reaches it takes a new name.
pub(super) const LEFT: u16 = u16::MAX;

/// bincode with a limit, like everything else on the wire.
#[derive(Clone, Debug)]
pub(super) struct GossipCodec {
    shared: Arc<Mutex<Shared>>,
}

/// What the codec and [`super::swim`] tell each other. The library owns the codec, so they share
/// this; both are only ever used by the one owner of the node.
#[derive(Debug)]
struct Shared {
    own: MemberIdentity,
    sender: Process,
    leaving: bool,
    written: VecDeque<Member<MemberIdentity>>,
}

/// The start of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Prefix {
    address: SocketAddr,
    renewal: u32,
    eligible: bool,
    incarnation: u16,
    to_renewal: u32,
    message: Message<MemberIdentity>,
}

impl GossipCodec {
    pub(super) fn new(own: MemberIdentity) -> Self {
        let shared = Shared { own, sender: own.process, leaving: false, written: VecDeque::new() };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // No holder leaves anything half-written.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next packet to be decoded came from this process and is meant for this identity.
    pub(super) fn expect(&self, sender: Process, own: MemberIdentity) {
        let mut shared = self.shared();
        shared.sender = sender;
        shared.own = own;
    }

    /// From here on this node's own death is told as its leaving.
    pub(super) fn leave(&self) {
        self.shared().leaving = true;
    }

    /// The next update that was applied, in order. Members that were sent to a newcomer are
    /// among them, as they are.
    pub(super) fn pop_written(&self) -> Option<Member<MemberIdentity>> {
        self.shared().written.pop_front()
    }
}

/// How a packet begins: where its sender says it is, the message, and the bytes that took.
pub(super) fn opening(
    packet: &[u8],
) -> Result<(SocketAddr, Message<MemberIdentity>, usize), CodecError> {
    let (prefix, used) = codec::decode_front::<Prefix>(packet)?;
    Ok((prefix.address, prefix.message, used))
}

/// The message of a packet, if it is sound.
pub(super) fn message_of(packet: &[u8]) -> Option<Message<MemberIdentity>> {
    opening(packet).ok().map(|(_, message, _)| message)
}

/// Whether its sender answers a probe with it.
pub(super) fn is_acknowledgement(packet: &[u8]) -> bool {
    matches!(message_of(packet), Some(Message::Ack(_)))
}

/// Which member sent this packet, if it is sound and came from `sender`.
pub(super) fn source(sender: Process, packet: &[u8]) -> Option<MemberIdentity> {
    let (prefix, _) = codec::decode_front::<Prefix>(packet).ok()?;
    let Prefix { address, renewal, eligible, .. } = prefix;
    Some(MemberIdentity { process: sender, address, renewal, eligible })
}

/// The packet with only those members that `keep` approves of. Its layout is the library's: a
/// header, then, unless it carries broadcasts alone, a count of members in two bytes, the
/// members, and broadcasts.
pub(super) fn retain_members(
    packet: &[u8],
    mut keep: impl FnMut(&Member<MemberIdentity>) -> bool,
) -> Result<Cow<'_, [u8]>, CodecError> {
    let (_, message, mut at) = opening(packet)?;
    let Some(count) = packet.get(at..at + 2).filter(|_| message != Message::Broadcast) else {
        return Ok(Cow::Borrowed(packet));
    };
    let count = u16::from_be_bytes([count[0], count[1]]);
    let start = at;
    at += 2;
    let mut kept: u16 = 0;
    let mut members = Vec::new();
    for _ in 0..count {
        let (member, size) = codec::decode_front::<Member<MemberIdentity>>(&packet[at..])?;
        if keep(&member) {
            kept += 1;
            members.extend_from_slice(&packet[at..at + size]);
        }
        at += size;
    }
    if kept == count {
        return Ok(Cow::Borrowed(packet));
    }
    let mut reduced = packet[..start].to_vec();
    reduced.extend_from_slice(&kept.to_be_bytes());
    reduced.extend_from_slice(&members);
    reduced.extend_from_slice(&packet[at..]);
    Ok(Cow::Owned(reduced))
}

/// A packet that tells a member that it was given up, so that it renames itself.
pub(super) fn death_notice(own: &MemberIdentity, to: &MemberIdentity) -> Vec<u8> {
    begin(own, to, Message::TurnUndead)
}

/// A packet with one piece of news and nothing else.
pub(super) fn bearing(own: &MemberIdentity, to: &MemberIdentity, news: &Broadcast) -> Vec<u8> {
    let mut packet = begin(own, to, Message::Broadcast);
    let news = news.encode();
    packet.put_u16(u16::try_from(news.len()).unwrap_or(u16::MAX));
    packet.extend_from_slice(&news);
    packet
}

/// A packet that tells `suspect` that it is suspected, and nothing else.
pub(super) fn notice(own: &MemberIdentity, suspect: &MemberIdentity, incarnation: u16) -> Vec<u8> {
    telling(own, suspect, &Member::new(*suspect, incarnation, State::Suspect))
}

/// What a node that has left answers to this packet from another: which member that is, and a
/// packet that says that this one has left. None if the other expects no answer: two nodes that
/// have left would answer each other for ever.
pub(super) fn goodbye(
    own: &MemberIdentity,
    sender: Process,
    packet: &[u8],
) -> Option<(MemberIdentity, Vec<u8>)> {
    let asker = source(sender, packet)?;
    if !matches!(message_of(packet)?, Message::Announce | Message::Feed | Message::Ping(_)) {
        return None;
    }
    Some((asker, telling(own, &asker, &Member::new(*own, LEFT, State::Down))))
}

/// A packet with one update and nothing else.
fn telling(own: &MemberIdentity, to: &MemberIdentity, update: &Member<MemberIdentity>) -> Vec<u8> {
    let mut packet = begin(own, to, Message::Gossip);
    packet.put_u16(1);
    let _ = codec::encode_into(update, &mut packet);
    packet
}

/// The start of a packet. Identities and a few numbers cannot exceed the codec's limit, so neither
/// this nor what is put behind it fails.
fn begin(own: &MemberIdentity, to: &MemberIdentity, message: Message<MemberIdentity>) -> Vec<u8> {
    let mut packet = Vec::with_capacity(128);
    // What this node says of itself is older than anything known of it, so it changes nothing.
    let _ = codec::encode_into(&prefix(own, 0, to, message), &mut packet);
    packet
}

fn prefix(
    from: &MemberIdentity,
    incarnation: u16,
    to: &MemberIdentity,
    message: Message<MemberIdentity>,
) -> Prefix {
    let MemberIdentity { address, renewal, eligible, .. } = *from;
    Prefix { address, renewal, eligible, incarnation, to_renewal: to.renewal, message }
}

fn put<T: Serialize>(value: &T, mut buffer: impl BufMut) -> Result<(), CodecError> {
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
        let message = header.message.clone();
        put(&prefix(&header.src, header.src_incarnation, &header.dst, message), buffer)
    }

    fn decode_header(&mut self, buffer: impl Buf) -> Result<Header<MemberIdentity>, CodecError> {
        let Prefix { address, renewal, eligible, incarnation, to_renewal, message } = take(buffer)?;
        let shared = self.shared();
        Ok(Header {
            src: MemberIdentity { process: shared.sender, address, renewal, eligible },
            src_incarnation: incarnation,
            dst: MemberIdentity { renewal: to_renewal, ..shared.own },
            message,
        })
    }

    fn encode_member(
        &mut self,
        member: &Member<MemberIdentity>,
        buffer: impl BufMut,
    ) -> Result<(), CodecError> {
        let mut shared = self.shared();
        let own = member.id().process == shared.own.process;
        if own && shared.leaving && member.state() == State::Down {
            return put(&Member::new(*member.id(), LEFT, State::Down), buffer);
        }
        shared.written.push_back(member.clone());
        put(member, buffer)
    }

    fn decode_member(&mut self, buffer: impl Buf) -> Result<Member<MemberIdentity>, CodecError> {
        take(buffer)
    }
}
