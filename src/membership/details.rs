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

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::{Membership, MembershipOutput};
use crate::vocabulary::codec;
use crate::vocabulary::details::{Details, DetailsQuery, DetailsReply};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::message::Message;
use crate::vocabulary::plant::{self, Plant};
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
    pub fn describe(&mut self, details: Details) {
        let own = self.foca.identity().process;
        self.view.learn(own, &Arc::new(details));
        self.view.derive();
    }

    /// Somebody is here of whom something may be lacking.
    pub(super) fn plan_round(&mut self, now: HolderTime) {
        if self.left || !self.view.others().iter().any(|(member, _)| self.view.lacks(member)) {
            return;
        }
        let many = u32::try_from(self.view.others().len()).unwrap_or(u32::MAX);
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
        let others = self.view.others();
        let lacks = |(member, _): &&(Process, _)| self.view.lacks(member);
        let lacking: Vec<_> = others.iter().filter(lacks).copied().collect();
        if lacking.is_empty() || self.left || plant::is(Plant::DetailsUnasked) {
            return;
        }
        let direct = self.rounds.below(others.len()) < DIRECT;
        let (partner, address) = if direct {
            lacking[self.rounds.below(lacking.len())]
        } else {
            others[self.rounds.below(others.len())]
        };
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
        let message = Message::DetailsQuery(DetailsQuery { nonce, wanted, more });
        self.outputs.push_back(MembershipOutput::Tell { to: partner, address, message });
    }

    /// What is to be answered to this process; none if it is no member, or if nothing that it
    /// lacks is known.
    pub fn answer(&mut self, sender: Process, query: &DetailsQuery) -> Option<DetailsReply> {
        let is_member = self.view.others().binary_search_by_key(&sender, |(it, _)| *it).is_ok();
        if !is_member || self.left {
            return None;
        }
        let wanted =
            query.wanted.iter().take(WANTED_MAX).filter_map(|id| self.view.details_of(*id));
        let start = self.rounds.below(self.view.described());
        let others = self.view.described_from(start).filter(|_| query.more);
        let mut entries: Vec<(Process, Details)> = Vec::new();
        let mut room = REPLY_SIZE_MAX;
        for (process, details) in wanted.chain(others) {
            if process == sender || entries.iter().any(|(known, _)| *known == process) {
                continue;
            }
            let entry = (process, Details::clone(details));
            let mut bytes = Vec::new();
            let fits = codec::encode_into(&entry, &mut bytes).is_ok() && bytes.len() <= room;
            if !fits {
                break;
            }
            room -= bytes.len();
            entries.push(entry);
        }
        let nonce = query.nonce;
        (!entries.is_empty()).then_some(DetailsReply { nonce, entries })
    }

    /// An answer came. False: nobody had asked for it.
    pub fn take_answer(&mut self, now: HolderTime, sender: Process, reply: &DetailsReply) -> bool {
        if self.rounds.asked != Some((reply.nonce, sender)) {
            return false;
        }
        self.rounds.asked = None;
        let mut news = false;
        for (process, details) in &reply.entries {
            let known = self.view.address_of(process.id);
            let is_member = known.is_some_and(|(member, _)| member == *process);
            // Nobody knows better than the member itself.
            if is_member && (self.view.lacks(process) || *process == sender) {
                self.view.learn(*process, &Arc::new(details.clone()));
                news = true;
            }
        }
        if news {
            self.rounds.fruitless = 0;
            self.view.derive();
            self.outputs.push_back(MembershipOutput::DetailsChanged);
            // The next round finds out whether anything is lacking still.
            self.rounds.next = self.rounds.next.min(now.plus(ROUND.mul_f64(1.25)));
        }
        true
    }

    /// Of how many members the details are known, this one included.
    pub fn described(&self) -> usize {
        self.view.described()
    }

    /// Which of those that are here this node knows nothing of.
    pub fn undescribed(&self) -> impl Iterator<Item = NodeId> {
        let lacks = |(member, _): &&(Process, _)| self.view.lacks(member);
        self.view.others().iter().filter(lacks).map(|(member, _)| member.id)
    }
}
