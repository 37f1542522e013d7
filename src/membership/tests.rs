//! What the parts come to together, without a network between them.

use std::borrow::Cow;

use foca::{Codec, Header};

use super::capacity::NAMED_MAX;
use super::codec::GossipCodec;
use super::metadata::{REPLY_SIZE_MAX, WANTED_MAX};
use super::parameters::REMOVE_DOWN_AFTER;
use super::*;
use crate::vocabulary::identity::Boot;
use crate::vocabulary::metadata::{TAG_VALUE_MAX, TAGS_MAX, Tags};
use crate::vocabulary::node_name::{NAME_MAX, NodeName};
use crate::vocabulary::timing::Profile;
use crate::wire::codec as wire;

fn identity(number: u32) -> MemberIdentity {
    let id = NodeId::new(u64::from(number) + 1).unwrap();
    let process = Process { id, boot: Boot { start: 1, nonce: 1 } };
    let [_, a, b, c] = number.to_be_bytes();
    MemberIdentity::new(process, ([10, a, b, c], 8000).into(), true)
}

fn packet(from: MemberIdentity, named: &[Member<MemberIdentity>]) -> Vec<u8> {
    let header =
        Header { src: from, src_incarnation: 0, dst: identity(0), message: foca::Message::Gossip };
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
        membership.handle_gossip(HolderTime(1), identity(1).process, &packet(identity(1), &named));
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
    // A member that is known goes on, and is believed.
    let (one, stranger) = (identity(2), identity(99_999));
    let news = [Member::down(one), Member::alive(stranger)];
    membership.handle_gossip(HolderTime(2), identity(1).process, &packet(identity(1), &news));
    let departed = std::iter::from_fn(|| membership.poll_output())
        .any(|output| matches!(output, MembershipOutput::Departed(who) if who == one.process));
    assert!(departed);
    // A stranger is not, nor does it get an answer.
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
fn what_is_no_news_and_what_there_is_no_room_for_is_taken_out_and_all_else_kept() {
    let named = [Member::alive(identity(2)), Member::alive(identity(3))];
    let packet = |named| [packet(identity(1), named), b"broadcast".to_vec()].concat();
    let mut members = Members::new(identity(0));
    members.note(&named[0]);
    let mut capacity = Capacity::default();
    let mut admit = |bytes, members: &Members| {
        let packet: Option<Cow<'_, [u8]>> = capacity.admit(bytes, identity(0).address, members);
        (packet.map(Cow::into_owned), capacity.refused())
    };
    let (whole, reduced) = (packet(&named), packet(&named[1..]));
    assert_eq!(admit(&whole, &members), (Some(reduced), 0));
    assert_eq!(admit(&[255, 254, 253], &members), (Some(vec![255, 254, 253]), 0), "not read");
    members.note(&Member::alive(identity(1)));
    for other in 10..u32::try_from(MEMBERS_MAX).unwrap() {
        members.note(&Member::alive(identity(other)));
    }
    assert_eq!(admit(&whole, &members), (Some(packet(&[])), 1), "number 3 is a stranger");
}

fn largest() -> Metadata {
    let key = |number| format!("{number:032}");
    let pairs: Vec<_> =
        (0..TAGS_MAX).map(|number| (key(number), "v".repeat(TAG_VALUE_MAX))).collect();
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let name = NodeName::new(&"n".repeat(NAME_MAX)).ok();
    Metadata { http: Some(([10, 0, 0, 1], 9000).into()), tags: Tags::new(pairs).unwrap(), name }
}

/// Number 1, which knows numbers 2 to 100.
fn acquainted() -> Membership {
    let mut membership = Membership::new(identity(1), &Timing::of(Profile::Lan), [1; 32]);
    membership.describe(largest());
    let others = (2..=100).map(|number| Member::alive(identity(number)));
    let others: Vec<_> = others.collect();
    membership.swim.apply(&others, false).unwrap();
    membership.members.reload(membership.swim.held());
    membership.update_members(HolderTime(1_000_000_000));
    membership
}

fn query(wanted: impl IntoIterator<Item = u32>, more: bool) -> MetadataQuery {
    let wanted = wanted.into_iter().map(|number| identity(number).process.id).collect();
    MetadataQuery { nonce: 7, wanted, more }
}

/// Whom it asks in its next round, and what.
fn question(membership: &mut Membership) -> (Process, MetadataQuery) {
    while membership.poll_output().is_some() {}
    membership.ask_for_metadata(HolderTime::NEVER);
    let Some(MembershipOutput::Tell { to, message, .. }) = membership.poll_output() else {
        panic!("no question");
    };
    match *message {
        Message::MetadataQuery(query) => (to, query),
        other => panic!("{other:?}"),
    }
}

fn size(reply: &MetadataReply) -> usize {
    let mut bytes = Vec::new();
    wire::encode_into(reply, &mut bytes).unwrap();
    bytes.len()
}

fn described(membership: &Membership) -> usize {
    membership.members().iter().filter(|member| member.metadata.is_some()).count()
}

#[test]
fn only_members_are_answered_and_with_no_more_than_fits() {
    let mut membership = acquainted();
    let (two, stranger) = (identity(2).process, identity(101).process);
    assert_eq!(membership.answer(stranger, &query([1], true)), None);
    let reborn = Process { boot: Boot { start: 2, nonce: 2 }, ..two };
    assert_eq!(membership.answer(reborn, &query([1], true)), None, "not known yet");
    assert_eq!(membership.answer(two, &query([3, 4], false)), None, "nothing to say");
    let reply = membership.answer(two, &query([1], false)).unwrap();
    assert_eq!(reply.entries, [(identity(1).process, largest())]);
    assert!(size(&reply) <= REPLY_SIZE_MAX + 16);
    for number in 2..=100 {
        membership.members.describe(identity(number).process, &Metadata::default());
    }
    let reply = membership.answer(two, &query([50, 51], true)).unwrap();
    let ids: Vec<u64> = reply.entries.iter().map(|(process, _)| process.id.number()).collect();
    assert_eq!(ids[..2], [51, 52], "what was asked for comes first");
    assert!(ids.len() > 8 && !ids.contains(&3), "{ids:?}");
    assert!(size(&reply) <= REPLY_SIZE_MAX + 16);
}

#[test]
fn an_answer_counts_once_if_asked_for_and_for_members_only() {
    let mut membership = acquainted();
    let (partner, MetadataQuery { nonce, .. }) = question(&mut membership);
    let (three, stranger) = (identity(3).process, identity(101).process);
    let entries = vec![(three, largest()), (stranger, largest())];
    let reply = MetadataReply { nonce, entries };
    let forged = MetadataReply { nonce: nonce ^ 1, ..reply.clone() };
    let now = HolderTime(1);
    assert!(!membership.take_answer(now, partner, &forged));
    assert!(!membership.take_answer(now, stranger, &reply));
    assert_eq!(described(&membership), 1);
    assert!(membership.take_answer(now, partner, &reply));
    assert!(!membership.take_answer(now, partner, &reply), "a second time");
    assert_eq!(described(&membership), 2, "no more than there are members");
}

#[test]
fn a_question_fits_its_datagram_and_names_its_partner_first() {
    let mut membership = acquainted();
    for _ in 0..20 {
        let (to, query) = question(&mut membership);
        assert_eq!((query.wanted[0], query.wanted.len()), (to.id, WANTED_MAX));
        assert!(query.more);
    }
}

#[test]
fn a_node_that_lacks_nothing_has_no_round_to_come() {
    let mut membership = acquainted();
    assert_ne!(membership.timers.deadline(&Timer::MetadataRound), HolderTime::NEVER);
    for number in 2..=100 {
        membership.members.describe(identity(number).process, &Metadata::default());
    }
    assert_eq!(membership.members.list().undescribed(), 0);
    membership.handle_timeout(HolderTime(2_000_000_000));
    assert_eq!(membership.timers.deadline(&Timer::MetadataRound), HolderTime::NEVER);
}
