//! A bound on the members that are known, which the gossip library does not have.
//!
//! The library keeps whatever gossip names, and without a key anybody who reaches the port can
//! name members. So there are two limits, in this order:
//!
//! 1. Above [`CROWDED`] members the dead are forgotten before their time, the longest dead
//!    first. A cluster whose nodes come and go at ever new addresses lives with that for ever.
//! 2. Where [`MEMBERS_MAX`] might be passed, members at addresses that are not known yet are
//!    taken out of each packet before SWIM sees it, and counted. Those that are known go on as
//!    before.
//!
//! Assumption: SWIM holds one member per address, so a known address adds none.

use std::borrow::Cow;
use std::net::SocketAddr;

use foca::Member;

use super::codec;
use super::identity::MemberIdentity;
use super::members::Members;
use crate::vocabulary::codec::CodecError;
use crate::vocabulary::datagram::GOSSIP_SIZE_MAX;

/// The most members that are known, dead ones included: several times the largest cluster that
/// is meant.
pub(super) const MEMBERS_MAX: usize = 8192;
/// From here on the dead are forgotten early.
pub(super) const CROWDED: usize = MEMBERS_MAX / 4 * 3;
/// No packet names more members than this: an encoded one takes more than eight bytes.
pub(super) const NAMED_MAX: usize = GOSSIP_SIZE_MAX / 8;

/// How many members there was no room for.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    refused: u64,
}

impl Capacity {
    /// Takes out of a packet what SWIM need not see: what is no news, for SWIM would look through
    /// its whole list to find that out, and what there is no room for. The answer is the packet
    /// without those; none if its sender is one of them.
    pub(super) fn admit<'packet>(
        &mut self,
        packet: &'packet [u8],
        own: SocketAddr,
        members: &Members,
    ) -> Option<Cow<'packet, [u8]>> {
        let crowded = members.size() + NAMED_MAX > MEMBERS_MAX;
        let fits = |address| !crowded || members.at(address).is_some();
        let is_news =
            |member: &Member<MemberIdentity>| member.id().address == own || members.is_news(member);
        // What cannot be read is for SWIM to refuse.
        self.reduce(packet, fits, is_news).unwrap_or(Some(Cow::Borrowed(packet)))
    }

    /// The packet with members only that fit and are news.
    fn reduce<'packet>(
        &mut self,
        packet: &'packet [u8],
        fits: impl Fn(SocketAddr) -> bool,
        is_news: impl Fn(&Member<MemberIdentity>) -> bool,
    ) -> Result<Option<Cow<'packet, [u8]>>, CodecError> {
        let (source, ..) = codec::opening(packet)?;
        if !fits(source) {
            self.refused += 1;
            return Ok(None);
        }
        let mut refused = 0;
        let (packet, _) = codec::retain_members(packet, |member| {
            let fits = fits(member.id().address);
            refused += u64::from(!fits);
            fits && is_news(member)
        })?;
        self.refused += refused;
        Ok(Some(packet))
    }

    /// Leaves of new members as many as there is room for.
    pub(super) fn limit(&mut self, news: &mut Vec<Member<MemberIdentity>>, members: &Members) {
        let room = MEMBERS_MAX.saturating_sub(members.size());
        self.refused += news.len().saturating_sub(room) as u64;
        news.truncate(room);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}
