//! What people want to know of each member: pulled, not gossiped.
//!
//! Details (where a member serves HTTP, its tags) are fixed for the life of a process, so the
//! process that gossip names is also the version of its details. Whoever lacks those of a member
//! that is here asks, in rounds: one partner a round, for as many details as fit a datagram.
//!
//! - The partner is any member, drawn at random, and answers for whomever it knows. So details
//!   spread like a rumour that is asked for: of a thousand nodes that start together, each
//!   sends some sixty questions in half a minute, and not a thousand.
//! - Some rumours must have a beginning: out of a cluster of N about [`DIRECT`] members a round
//!   ask a newcomer itself. In a small cluster everybody does.
//! - Whoever lacks nothing asks nothing: at rest this costs no packet and no timer.
//! - Where rounds bring nothing, because members are of a kind that does not answer, they
//!   become rare.
//!
//! Only members are answered. An answer is one datagram, it echoes a number of the question that
//! cannot be guessed, and says something of members only that gossip has named already: so the
//! table is never larger than the list of members.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::{Membership, MembershipOutput};
use crate::vocabulary::codec;
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::Message;
use crate::vocabulary::metadata::{Metadata, MetadataQuery, MetadataReply};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// From one round to the next.
const ROUND: Duration = Duration::from_millis(500);
/// A first round is put off at random by up to so much for each member, and a round at most.
const SPREAD: Duration = Duration::from_millis(10);
/// About so many members ask a newcomer itself in each round.
const DIRECT: usize = 8;
/// After so many rounds in a row that brought nothing, pauses grow.
const FRUITLESS: u32 = 8;
/// And double so often at most: to half a minute.
const DOUBLINGS: u32 = 6;
/// A question names at most so many members: about as many as an answer has room for.
const WANTED_MAX: usize = 32;
/// The largest answer, in bytes, before it is put into its envelope.
const REPLY_SIZE_MAX: usize = 1100;

/// The rounds of asking.
#[derive(Debug)]
pub(super) struct Rounds {
    random: ChaCha8Rng,
    next: HolderTime,
    asked: Option<(u64, Process)>,
    fruitless: u32,
}

impl Rounds {
    pub(super) fn new(random: &mut ChaCha8Rng) -> Self {
        let random = ChaCha8Rng::from_rng(random);
        Self { random, next: HolderTime::NEVER, asked: None, fruitless: 0 }
    }

    pub(super) fn next_deadline(&self) -> HolderTime {
        self.next
    }

    fn pause(&mut self) -> Duration {
        let doublings = self.fruitless.saturating_sub(FRUITLESS).min(DOUBLINGS);
        (ROUND * 2_u32.pow(doublings)).mul_f64(self.random.random_range(0.75..1.25))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound.max(1))
    }
}

impl Membership {
    /// Says what this node's own details are.
    pub fn describe(&mut self, metadata: Metadata) {
        let own = self.foca.identity().process;
        self.view.learn(own, &metadata);
    }

    /// Somebody is here of whom something may be lacking.
    pub(super) fn plan_round(&mut self, now: HolderTime) {
        if self.left || self.view.undescribed() == 0 {
            return;
        }
        let many = u32::try_from(self.view.others()).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(many).min(ROUND);
        let first = now.plus(spread.mul_f64(self.rounds.random.random_range(0.0..1.0)));
        self.rounds.fruitless = 0;
        // A round that is near is not put off, nor is one held at every change.
        if self.rounds.next == HolderTime::NEVER || self.rounds.next > now.plus(ROUND * 2) {
            self.rounds.next = first;
        }
    }

    /// Asks somebody, if it is time and anything is lacking.
    pub(super) fn hold_round(&mut self, now: HolderTime) {
        if now < self.rounds.next {
            return;
        }
        self.rounds.next = HolderTime::NEVER;
        self.rounds.asked = None;
        if self.view.undescribed() == 0 || self.left || mutant::is(Mutant::DetailsUnasked) {
            return;
        }
        let lacking: Vec<_> = self.view.lacking().collect();
        let direct = self.rounds.below(self.view.others()) < DIRECT;
        let anybody = self.view.any_other(&mut self.rounds.random).filter(|_| !direct);
        let (partner, address) =
            anybody.unwrap_or_else(|| lacking[self.rounds.below(lacking.len())]);
        let start = self.rounds.below(lacking.len());
        let around = lacking.iter().cycle().skip(start).take(lacking.len());
        // Its own details are the one thing that it has for certain.
        let itself = lacking.iter().filter(|(member, _)| *member == partner);
        let rest = around.filter(|(member, _)| *member != partner);
        let wanted = itself.chain(rest).map(|(member, _)| member.id).take(WANTED_MAX).collect();
        let nonce = self.rounds.random.next_u64();
        let more = lacking.len() > WANTED_MAX;
        self.rounds.asked = Some((nonce, partner));
        self.rounds.fruitless = self.rounds.fruitless.saturating_add(1);
        self.rounds.next = now.plus(self.rounds.pause());
        let message = Message::MetadataQuery(MetadataQuery { nonce, wanted, more });
        self.outputs.push_back(MembershipOutput::Tell { to: partner, address, message });
    }

    /// What is to be answered to this process; none if it is no member, or if nothing that it
    /// lacks is known.
    pub fn answer(&mut self, sender: Process, query: &MetadataQuery) -> Option<MetadataReply> {
        if !self.view.is_here(sender) || self.left {
            return None;
        }
        let wanted =
            query.wanted.iter().take(WANTED_MAX).filter_map(|id| self.view.details_of(*id));
        let start = self.rounds.below(self.view.known() + 1);
        let others = self.view.described_from(start).filter(|_| query.more);
        let mut entries: Vec<(Process, Metadata)> = Vec::new();
        let mut room = REPLY_SIZE_MAX;
        for (process, metadata) in wanted.chain(others) {
            if process == sender || entries.iter().any(|(known, _)| *known == process) {
                continue;
            }
            let entry = (process, Metadata::clone(metadata));
            let mut bytes = Vec::new();
            let fits = codec::encode_into(&entry, &mut bytes).is_ok() && bytes.len() <= room;
            if !fits {
                break;
            }
            room -= bytes.len();
            entries.push(entry);
        }
        let nonce = query.nonce;
        (!entries.is_empty()).then_some(MetadataReply { nonce, entries })
    }

    /// An answer came. False: nobody had asked for it.
    pub fn take_answer(&mut self, now: HolderTime, sender: Process, reply: &MetadataReply) -> bool {
        if self.rounds.asked != Some((reply.nonce, sender)) {
            return false;
        }
        self.rounds.asked = None;
        let mut news = false;
        for (process, metadata) in &reply.entries {
            let known = self.view.address_of(process.id);
            let is_member = known.is_some_and(|(member, _)| member == *process);
            // Nobody knows better than the member itself.
            if is_member && (self.view.lacks(process) || *process == sender) {
                self.view.learn(*process, metadata);
                news = true;
            }
        }
        if news {
            self.rounds.fruitless = 0;
            self.outputs.push_back(MembershipOutput::DetailsChanged);
            // The next round finds out whether anything is lacking still.
            self.rounds.next = self.rounds.next.min(now.plus(ROUND.mul_f64(1.25)));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use foca::Member;

    use super::super::identity::MemberIdentity;
    use super::*;
    use crate::vocabulary::codec::encode_into;
    use crate::vocabulary::identity::{Boot, NodeId};
    use crate::vocabulary::metadata::{TAG_VALUE_MAX, TAGS_MAX, Tags};
    use crate::vocabulary::timing::{Profile, Timing};

    fn identity(number: u8) -> MemberIdentity {
        let id = NodeId::new(u64::from(number)).unwrap();
        let process = Process { id, boot: Boot { start: 1, nonce: 1 } };
        MemberIdentity::new(process, ([10, 0, 0, number], 8000).into(), true)
    }

    fn largest() -> Metadata {
        let key = |number| format!("{number:032}");
        let pairs: Vec<_> =
            (0..TAGS_MAX).map(|number| (key(number), "v".repeat(TAG_VALUE_MAX))).collect();
        let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Metadata { http: Some(([10, 0, 0, 1], 9000).into()), tags: Tags::new(pairs).unwrap() }
    }

    /// Node 1, which knows nodes 2 to 100.
    fn member() -> Membership {
        let mut membership = Membership::new(identity(1), &Timing::of(Profile::Lan), [1; 32]);
        membership.describe(largest());
        let others = (2..=100).map(|number| Member::alive(identity(number)));
        membership.foca.apply_many(others, false, &mut membership.runtime).unwrap();
        membership.reload();
        membership.update_view(HolderTime(1_000_000_000));
        membership
    }

    fn query(wanted: impl IntoIterator<Item = u8>, more: bool) -> MetadataQuery {
        let wanted = wanted.into_iter().map(|number| identity(number).process.id).collect();
        MetadataQuery { nonce: 7, wanted, more }
    }

    fn size(reply: &MetadataReply) -> usize {
        let mut bytes = Vec::new();
        encode_into(reply, &mut bytes).unwrap();
        bytes.len()
    }

    fn described(membership: &Membership) -> usize {
        membership.members().iter().filter(|member| member.metadata.is_some()).count()
    }

    #[test]
    fn only_members_are_answered_and_with_no_more_than_fits() {
        let mut membership = member();
        let (two, stranger) = (identity(2).process, identity(101).process);
        assert_eq!(membership.answer(stranger, &query([1], true)), None);
        let reborn = Process { boot: Boot { start: 2, nonce: 2 }, ..two };
        assert_eq!(membership.answer(reborn, &query([1], true)), None, "not known yet");
        assert_eq!(membership.answer(two, &query([3, 4], false)), None, "nothing to say");
        let reply = membership.answer(two, &query([1], false)).unwrap();
        assert_eq!(reply.entries, [(identity(1).process, largest())]);
        assert!(size(&reply) <= REPLY_SIZE_MAX + 16);
        for number in 2..=100 {
            membership.view.learn(identity(number).process, &Metadata::default());
        }
        let reply = membership.answer(two, &query([50, 51], true)).unwrap();
        let ids: Vec<u64> = reply.entries.iter().map(|(process, _)| process.id.number()).collect();
        assert_eq!(ids[..2], [50, 51], "what was asked for comes first");
        assert!(ids.len() > 8 && !ids.contains(&2), "{ids:?}");
        assert!(size(&reply) <= REPLY_SIZE_MAX + 16);
    }

    #[test]
    fn an_answer_counts_once_if_asked_for_and_for_members_only() {
        let mut membership = member();
        membership.hold_round(HolderTime::NEVER);
        let Some((nonce, partner)) = membership.rounds.asked else { panic!("nobody was asked") };
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
        let mut membership = member();
        for _ in 0..20 {
            while membership.poll_output().is_some() {}
            membership.hold_round(HolderTime::NEVER);
            let asked = membership.poll_output();
            let Some(MembershipOutput::Tell { to, message: Message::MetadataQuery(query), .. }) =
                asked
            else {
                panic!("{asked:?}");
            };
            assert_eq!((query.wanted[0], query.wanted.len()), (to.id, WANTED_MAX));
            assert!(query.more);
        }
    }

    #[test]
    fn whoever_lacks_nothing_has_no_round_to_come() {
        let mut membership = member();
        assert_ne!(membership.rounds.next_deadline(), HolderTime::NEVER);
        for number in 2..=100 {
            membership.view.learn(identity(number).process, &Metadata::default());
        }
        assert_eq!(membership.view.undescribed(), 0);
        membership.hold_round(HolderTime(2_000_000_000));
        assert_eq!(membership.rounds.next_deadline(), HolderTime::NEVER);
    }
}
