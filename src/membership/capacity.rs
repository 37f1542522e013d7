//! A bound on the members that are known, which the gossip library does not have.
//!
//! The library keeps whatever gossip names, and without a key everybody who reaches the port can
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
use crate::wire::datagram::GOSSIP_SIZE_MAX;

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
        // What cannot be read is for SWIM to refuse.
        let whole = Some(Cow::Borrowed(packet));
        let Ok((source, ..)) = codec::opening(packet) else { return whole };
        if !fits(source) {
            self.refused += 1;
            return None;
        }
        let mut refused = 0;
        let reduced = codec::retain_members(packet, |member| {
            let address = member.id().address;
            let fits = fits(address);
            refused += u64::from(!fits);
            fits && (address == own || members.is_news(member))
        });
        let Ok(reduced) = reduced else { return whole };
        self.refused += refused;
        Some(reduced)
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
