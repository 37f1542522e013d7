//! What people want to know of each member: pulled, not gossiped.
//!
//! Metadata (where a member serves HTTP, its tags) is fixed for the life of a process, so the
//! process that gossip names is also the version of its metadata. A node that lacks that of a
//! member that is here asks in rounds: one partner a round, for as much as fits a datagram.
//!
//! - The partner is any member, drawn at random, and answers for every member that it knows. So
//!   metadata spreads like a rumour that is asked for: of a thousand nodes that start together,
//!   each sends some sixty questions in half a minute, and not a thousand.
//! - A rumour must have a beginning: in a cluster of N about [`DIRECT`] members a round ask a
//!   newcomer itself. In a small cluster every member does.
//! - A node that lacks nothing asks nothing: at rest this costs no packet and no timer.
//! - Rounds that bring nothing, because members are of a kind that does not answer, become rare.
//!
//! Only members are answered. An answer is one datagram and echoes a number of the question that
//! cannot be guessed. A node believes it only about members that gossip has named already, so the
//! table is never larger than the list of members.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::member_list::MemberList;
use super::members::Members;
use super::timers::{Timer, Timers};
use crate::vocabulary::identity::Process;
use crate::vocabulary::metadata::{Metadata, MetadataQuery, MetadataReply};
use crate::vocabulary::time::HolderTime;
use crate::wire::codec;

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
pub(super) const WANTED_MAX: usize = 32;
/// The largest answer, in bytes, before it is put into its envelope.
pub(super) const REPLY_SIZE_MAX: usize = 1100;

/// The rounds of asking.
#[derive(Debug)]
pub(super) struct MetadataRounds {
    random: ChaCha8Rng,
    asked: Option<(u64, Process)>,
    fruitless: u32,
}

/// A question for a member at an address.
pub(super) type Question = ((Process, SocketAddr), MetadataQuery);

impl MetadataRounds {
    pub(super) fn new(random: &mut ChaCha8Rng) -> Self {
        Self { random: ChaCha8Rng::from_rng(random), asked: None, fruitless: 0 }
    }

    /// Members changed: sets the next round if the metadata of one may be lacking.
    pub(super) fn plan(&mut self, now: HolderTime, list: &MemberList, timers: &mut Timers) {
        if list.undescribed() == 0 {
            return;
        }
        let many = u32::try_from(list.others()).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(many).min(ROUND);
        let first = now.plus(spread.mul_f64(self.random.random_range(0.0..1.0)));
        self.fruitless = 0;
        // A round that is near is not put off, nor is one held at every change.
        let next = timers.deadline(&Timer::MetadataRound);
        if next == HolderTime::NEVER || next > now.plus(ROUND * 2) {
            timers.set(first, Timer::MetadataRound);
        }
    }

    /// A round is due: whom to ask for what, if anything is lacking.
    pub(super) fn hold(
        &mut self,
        now: HolderTime,
        list: &MemberList,
        timers: &mut Timers,
    ) -> Option<Question> {
        self.asked = None;
        let lacking: Vec<_> = list.lacking().collect();
        if lacking.is_empty() {
            return None;
        }
        let direct = self.below(list.others()) < DIRECT;
        let anybody = list.any_other(&mut self.random).filter(|_| !direct);
        let partner = anybody.unwrap_or_else(|| lacking[self.below(lacking.len())]);
        let start = self.below(lacking.len());
        let around = lacking.iter().cycle().skip(start).take(lacking.len());
        // Its own metadata is the one thing that it has for certain.
        let itself = lacking.iter().filter(|(member, _)| *member == partner.0);
        let rest = around.filter(|(member, _)| *member != partner.0);
        let wanted = itself.chain(rest).map(|(member, _)| member.id).take(WANTED_MAX).collect();
        let nonce = self.random.next_u64();
        let more = lacking.len() > WANTED_MAX;
        self.asked = Some((nonce, partner.0));
        self.fruitless = self.fruitless.saturating_add(1);
        timers.set(now.plus(self.pause()), Timer::MetadataRound);
        Some((partner, MetadataQuery { nonce, wanted, more }))
    }

    /// What is to be answered to this process; none if it is no member, or if nothing that it
    /// lacks is known.
    pub(super) fn answer(
        &mut self,
        sender: Process,
        query: &MetadataQuery,
        members: &Members,
    ) -> Option<MetadataReply> {
        let list = members.list();
        if !list.is_here(sender) {
            return None;
        }
        let wanted = query.wanted.iter().take(WANTED_MAX).filter_map(|id| list.metadata_of(*id));
        let start = self.below(members.known() + 1);
        let others = list.described_from(start).filter(|_| query.more);
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

    /// Whether this node asked this process for such an answer. It counts once.
    pub(super) fn expects(&mut self, sender: Process, reply: &MetadataReply) -> bool {
        self.asked.take_if(|asked| *asked == (reply.nonce, sender)).is_some()
    }

    /// Takes in an answer. True: it was news.
    pub(super) fn learn(
        &mut self,
        now: HolderTime,
        sender: Process,
        reply: &MetadataReply,
        members: &mut Members,
        timers: &mut Timers,
    ) -> bool {
        let mut is_news = false;
        for (process, metadata) in &reply.entries {
            let known = members.list().address_of(process.id);
            let is_member = known.is_some_and(|(member, _)| member == *process);
            // Nobody knows better than the member itself.
            if is_member && (members.list().lacks(process) || *process == sender) {
                members.describe(*process, metadata);
                is_news = true;
            }
        }
        if is_news {
            self.fruitless = 0;
            // The next round finds out whether anything is lacking still.
            let next = timers.deadline(&Timer::MetadataRound);
            timers.set(next.min(now.plus(ROUND.mul_f64(1.25))), Timer::MetadataRound);
        }
        is_news
    }

    fn pause(&mut self) -> Duration {
        let doublings = self.fruitless.saturating_sub(FRUITLESS).min(DOUBLINGS);
        (ROUND * 2_u32.pow(doublings)).mul_f64(self.random.random_range(0.75..1.25))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound.max(1))
    }
}
