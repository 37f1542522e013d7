//! A bound on the members that are known, which the gossip library does not have.
//!
//! The library keeps whatever gossip names, and without a key anybody who reaches the port can
//! name members. So there are two limits, in this order:
//!
//! 1. Above [`CROWDED`] members the dead are forgotten before their time, the longest dead
//!    first. A cluster whose nodes come and go at ever new addresses lives with that for ever.
//! 2. Where [`MEMBERS_MAX`] might be passed, members at addresses that are not known yet are
//!    taken out of each packet before the library sees it, and counted. Those that are known
//!    go on as before.
//!
//! Assumption: the library holds one member per address, so a known address adds none.

use std::borrow::Cow;
use std::net::SocketAddr;

use foca::Member;

use super::codec;
use super::identity::MemberIdentity;
use crate::vocabulary::codec::CodecError;
use crate::vocabulary::datagram::GOSSIP_SIZE_MAX;

/// The most members that are known, dead ones included: several times the largest cluster that
/// is meant.
pub(super) const MEMBERS_MAX: usize = 8192;
/// From here on the dead are forgotten early.
pub(super) const CROWDED: usize = MEMBERS_MAX / 4 * 3;
/// No packet names more members than this: an encoded one takes more than eight bytes.
const NAMED_MAX: usize = GOSSIP_SIZE_MAX / 8;

/// A packet as the library may see it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted<'packet> {
    /// The packet without the members that are no news or that there is no room for; none if its
    /// sender is one of those.
    pub(super) packet: Option<Cow<'packet, [u8]>>,
    /// How many members there was no room for.
    pub(super) refused: u64,
}

/// Takes out of a packet what the library need not see: what is no news, for it would look
/// through its whole list to find that out, and what there is no room for. `known`: how many
/// members there are.
pub(super) fn admit<'packet>(
    packet: &'packet [u8],
    known: usize,
    is_known: impl Fn(SocketAddr) -> bool,
    is_news: impl Fn(&Member<MemberIdentity>) -> bool,
) -> Admitted<'packet> {
    let crowded = known + NAMED_MAX > MEMBERS_MAX;
    let fits = |address| !crowded || is_known(address);
    // What cannot be read is for the library to refuse.
    reduce(packet, fits, is_news)
        .unwrap_or(Admitted { packet: Some(Cow::Borrowed(packet)), refused: 0 })
}

/// The packet with members only that fit and are news.
fn reduce(
    packet: &[u8],
    fits: impl Fn(SocketAddr) -> bool,
    is_news: impl Fn(&Member<MemberIdentity>) -> bool,
) -> Result<Admitted<'_>, CodecError> {
    let (source, ..) = codec::opening(packet)?;
    if !fits(source) {
        return Ok(Admitted { packet: None, refused: 1 });
    }
    let mut refused = 0;
    let (packet, _) = codec::retain_members(packet, |member| {
        let fits = fits(member.id().address);
        refused += u64::from(!fits);
        fits && is_news(member)
    })?;
    Ok(Admitted { packet: Some(packet), refused })
}

#[cfg(test)]
mod tests {
    use foca::{Codec, Header, Member};

    use super::*;
    use crate::membership::codec::GossipCodec;
    use crate::membership::identity::MemberIdentity;
    use crate::membership::parameters::REMOVE_DOWN_AFTER;
    use crate::membership::{Membership, MembershipOutput};
    use crate::vocabulary::codec as wire;
    use crate::vocabulary::identity::{Boot, NodeId, Process};
    use crate::vocabulary::time::HolderTime;
    use crate::vocabulary::timing::{Profile, Timing};

    fn identity(number: u32) -> MemberIdentity {
        let id = NodeId::new(u64::from(number) + 1).unwrap();
        let process = Process { id, boot: Boot { start: 1, nonce: 1 } };
        let [_, a, b, c] = number.to_be_bytes();
        MemberIdentity::new(process, ([10, a, b, c], 8000).into(), true)
    }

    fn packet(from: MemberIdentity, named: &[Member<MemberIdentity>]) -> Vec<u8> {
        let header = Header {
            src: from,
            src_incarnation: 0,
            dst: identity(0),
            message: foca::Message::Gossip,
        };
        let mut bytes = Vec::new();
        GossipCodec::new(from).encode_header(&header, &mut bytes).unwrap();
        bytes.extend_from_slice(&u16::try_from(named.len()).unwrap().to_be_bytes());
        named.iter().for_each(|member| wire::encode_into(member, &mut bytes).unwrap());
        bytes
    }

    fn known(membership: &Membership) -> usize {
        membership.tables()[0].size
    }

    /// A node that is told of `count` members, each by itself, and may forget the dead.
    fn told(count: u32, mention: impl Fn(MemberIdentity) -> Member<MemberIdentity>) -> Membership {
        let mut membership = Membership::new(identity(0), &Timing::of(Profile::Lan), [1; 32]);
        for first in (2..count + 2).step_by(20) {
            let named: Vec<_> = (first..first + 20).map(|at| mention(identity(at))).collect();
            membership.handle_gossip(
                HolderTime(1),
                identity(1).process,
                &packet(identity(1), &named),
            );
            while membership.poll_output().is_some() {}
            assert!(known(&membership) <= MEMBERS_MAX);
        }
        membership
    }

    #[test]
    fn forged_members_fill_the_table_to_its_bound_and_no_further() {
        let mut membership = told(10_000, Member::alive);
        assert!(known(&membership) > MEMBERS_MAX - NAMED_MAX);
        assert!(membership.refused() > 1000, "{}", membership.refused());
        // Whoever is known goes on, and is believed.
        let (one, stranger) = (identity(2), identity(99_999));
        let news = [Member::down(one), Member::alive(stranger)];
        membership.handle_gossip(HolderTime(2), identity(1).process, &packet(identity(1), &news));
        let departed = std::iter::from_fn(|| membership.poll_output())
            .any(|output| matches!(output, MembershipOutput::Departed(who) if who == one.process));
        assert!(departed);
        // Nobody new is, nor gets an answer.
        membership.handle_gossip(HolderTime(3), stranger.process, &packet(stranger, &[]));
        assert!(membership.poll_output().is_none());
    }

    #[test]
    fn the_dead_make_room_for_the_living() {
        let mut membership = told(10_000, Member::down);
        assert!(known(&membership) <= CROWDED + 20, "{}", known(&membership));
        assert_eq!(membership.refused(), 0);
        let news = [Member::alive(identity(50_000))];
        membership.handle_gossip(HolderTime(2), identity(1).process, &packet(identity(1), &news));
        assert!(membership.alive_count() >= 3);
    }

    #[test]
    fn the_dead_are_forgotten_after_a_day() {
        let mut membership = told(20, Member::down);
        let ids = |membership: &Membership| -> Vec<u64> {
            membership.members().iter().map(|member| member.id.number()).collect()
        };
        let day = HolderTime(1).plus(REMOVE_DOWN_AFTER);
        membership.handle_timeout(HolderTime(day.0 - 1));
        assert_eq!(ids(&membership).len(), 22);
        while membership.poll_output().is_some() {}
        membership.handle_timeout(day);
        assert_eq!(ids(&membership), [1, 2], "this one, and the one that told of the dead");
        let told =
            |output: &MembershipOutput| matches!(output, MembershipOutput::MemberForgotten { .. });
        assert_eq!(std::iter::from_fn(|| membership.poll_output()).filter(told).count(), 20);
    }

    #[test]
    fn what_is_no_news_is_taken_out() {
        let named = [Member::alive(identity(2)), Member::alive(identity(3))];
        let (whole, reduced) = (packet(identity(1), &named), packet(identity(1), &named[..1]));
        let admitted = admit(&whole, 2, |_| false, |member| *member.id() == identity(2));
        assert_eq!(admitted, Admitted { packet: Some(Cow::Owned(reduced)), refused: 0 });
        let admitted = admit(&whole, 2, |_| false, |_| true);
        assert!(matches!(admitted.packet, Some(Cow::Borrowed(_))));
    }

    #[test]
    fn what_follows_the_members_is_kept() {
        let named = [Member::alive(identity(2)), Member::alive(identity(3))];
        let mut whole = packet(identity(1), &named);
        whole.extend_from_slice(b"broadcast");
        let mut reduced = packet(identity(1), &named[1..]);
        reduced.extend_from_slice(b"broadcast");
        let is_known = |address| address != identity(2).address;
        let admitted = admit(&whole, MEMBERS_MAX, is_known, |_| true);
        assert_eq!(admitted, Admitted { packet: Some(Cow::Owned(reduced)), refused: 1 });
        let bytes = [255, 254, 253];
        assert_eq!(
            admit(&bytes, MEMBERS_MAX, |_| true, |_| true).packet,
            Some(Cow::Borrowed(&bytes[..]))
        );
    }
}
