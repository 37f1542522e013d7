//! Push/pull: what gossip has missed is found by comparing digests, and fetched.
//!
//! News is gossiped so many times and then no more: a node that has missed it by then would never
//! hear of it. A newcomer would have to be told of everybody by everybody's gossip. So every node
//! asks another one at random now and then:
//!
//! ```text
//! asker                                                      responder
//!   │ Compare { digest of whom I hold for present } ──────────▶ │
//!   │ ◀──────────── Page { digest of whom I do, nobody }        │   equal: again in 10 to 30 s
//!   │ Compare { the same, and a Bloom filter of them } ───────▶ │   they differ
//!   │ ◀──────────── Page { 36 that are not in the filter, … }   │   one page
//!   │ Compare … ──────────────────────────────────────────────▶ │
//!   │ ◀────────────────────────────────── Page …, Page …        │   now up to 8 pages
//!   │ Compare …                                                 │   until nothing is left
//! ```
//!
//! One filter for more members than it has room for would hide most of what is asked for. So a
//! large cluster is divided into parts by the hashes of its members, and each question is about
//! the next part. With one filter for all, half of five thousand nodes knew everybody after three
//! seconds, and the last one after a minute.
//!
//! A newcomer sends the filter at once, and keeps its pace while that brings anything. It does not
//! gossip what it learns, which is news to nobody else. If digests differ and the responder has
//! nothing to send, the responder is probably the one that is behind, so it asks in turn.
//!
//! The responder names a dead member only if the asker may hold it for present, and the asker
//! believes that only if it does. Otherwise no dead member would ever be forgotten.
//!
//! Bounds: a node asks one question at a time, a page is no larger than a gossip packet, eight
//! pages answer a question, and a node sends [`PAGES_AT_ONCE`] in [`WINDOW`]. A source that has
//! not proven its address gets a small multiple of what it sent (`node/proof.rs`).

mod filter;
pub(super) mod message;

use std::net::SocketAddr;
use std::time::Duration;

use foca::{Member, State};

use super::identity::MemberIdentity;
use super::members::{FIRST, Held, Members, hash};
use super::timers::{Timer, Timers};
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::HolderTime;
use crate::wire::codec::{self, CodecError};
use crate::wire::datagram::GOSSIP_SIZE_MAX;
use filter::{Filter, Part};
use message::{Compare, Exchange, Page};

/// The pause between two questions if all is well, give or take half of it.
const PAUSE_MOST: Duration = Duration::from_secs(20);
/// A node is a newcomer for so long at most.
const NEWCOMER_MAX: Duration = Duration::from_secs(10);
/// A responder that seems to lack something asks in turn this often at most.
const ASK_IN_TURN_INTERVAL: Duration = Duration::from_secs(5);
/// A question is answered by so many pages at most.
const PAGES_MAX: u8 = 8;
/// So many pages are sent in [`WINDOW`] to all askers: about ten megabytes a second.
const PAGES_AT_ONCE: usize = 128;
const WINDOW: Duration = Duration::from_millis(20);
/// A page takes this for other things than members.
const PAGE_FRAME: usize = 40;
/// So many questions in a row go to one node.
const ROUNDS_MAX: u32 = 32;

/// A question that was asked and not answered yet.
#[derive(Clone, Copy, Debug)]
struct Question {
    partner: (Process, SocketAddr),
    nonce: u32,
    has_filter: bool,
    /// So many parts the filters are divided into.
    parts: u8,
    /// So many of them were not asked for since that last brought anything.
    untried: u8,
    pages: usize,
    learnt: usize,
    /// With the questions before it, to the same node.
    gained: usize,
    round: u32,
}

/// The pace of one node's questions and answers.
#[derive(Debug)]
pub(super) struct PushPull {
    pause_least: Duration,
    pause: Duration,
    newcomer_until: HolderTime,
    /// What the last one that was asked held was not the same.
    differs: bool,
    last_asked: Option<HolderTime>,
    question: Option<Question>,
    /// Counts the questions with a filter: each is about the next part.
    part: u32,
    /// Since when, and how many pages were sent since then.
    window: HolderTime,
    pages: usize,
}

impl PushPull {
    /// `round_trip`: what a round trip may take.
    pub(super) fn new(round_trip: Duration) -> Self {
        Self {
            pause_least: round_trip,
            pause: round_trip,
            newcomer_until: HolderTime(0),
            differs: true,
            last_asked: None,
            question: None,
            part: 0,
            window: HolderTime(0),
            pages: 0,
        }
    }

    /// The node is in touch with others now. `chance` is from 0 to 1.
    pub(super) fn begin(&mut self, now: HolderTime, chance: f64, timers: &mut Timers) {
        self.pause = self.pause_least;
        timers.set(now.plus(self.pause.mul_f64(chance)), Timer::PushPull);
        self.newcomer_until = now.plus(NEWCOMER_MAX);
        self.question = None;
    }

    /// The node is not in touch with others any more.
    pub(super) fn end(&mut self, timers: &mut Timers) {
        timers.stop(&Timer::PushPull);
        self.question = None;
    }

    /// Whether a filter is worth its bytes in the next question.
    pub(super) fn wants_filter(&self, now: HolderTime) -> bool {
        self.differs && self.is_newcomer(now)
    }

    /// Whether what this node learns is news to no other.
    pub(super) fn is_newcomer(&self, now: HolderTime) -> bool {
        now < self.newcomer_until
    }

    /// Sets when the next question is due, if the one that comes now is not answered.
    pub(super) fn postpone(&mut self, now: HolderTime, chance: f64, timers: &mut Timers) {
        if let Some(unanswered) = self.question.take() {
            self.pace(now, unanswered.gained);
        }
        timers.set(now.plus(self.pause.mul_f64(0.5 + chance)), Timer::PushPull);
    }

    /// A question to this node, with a filter or without.
    pub(super) fn ask(
        &mut self,
        now: HolderTime,
        partner: (Process, SocketAddr),
        (own, members): (&MemberIdentity, &Members),
        has_filter: bool,
        entropy: u64,
    ) -> Result<Vec<u8>, CodecError> {
        let nonce = u32::try_from(entropy >> 32).unwrap_or(0);
        let count = members.present() + 1;
        let parts = Part::count(count);
        let (round, gained, untried) = match self.question {
            Some(before) if before.partner.0 == partner.0 => {
                (before.round + 1, before.gained, before.untried)
            }
            _ => (0, 0, parts),
        };
        self.question = Some(Question {
            partner,
            nonce,
            has_filter,
            parts,
            untried: untried.saturating_sub(has_filter.into()),
            pages: 0,
            learnt: 0,
            gained,
            round,
        });
        self.last_asked = Some(now);
        let filter = if has_filter {
            self.part = self.part.wrapping_add(1);
            let everybody = members.around(FIRST).filter(|held| held.is_present());
            let hashes = everybody.map(|held| held.hash).chain([hash(own)]);
            Filter::of(hashes, Part::new(self.part, parts), count, entropy)
        } else {
            Filter::default()
        };
        let MemberIdentity { address, renewal, eligible, .. } = *own;
        let digest = members.digest(own);
        // An asker that has not proven its address to the other yet gets a page and no more.
        let pages = if round == 0 { 1 } else { PAGES_MAX };
        message::encode(&Exchange::Compare(Compare {
            address,
            renewal,
            eligible,
            nonce,
            pages,
            digest,
            filter,
        }))
    }

    /// The pages that answer a question, in order, and whether this node should ask in turn.
    pub(super) fn answer(
        &mut self,
        now: HolderTime,
        asker: &MemberIdentity,
        compare: &Compare,
        (own, members): (&MemberIdentity, &Members),
    ) -> (Vec<Page>, bool) {
        if now.since(self.window) >= WINDOW {
            (self.window, self.pages) = (now, 0);
        }
        let digest = members.digest(own);
        let differ = digest != compare.digest;
        let mut pages = Vec::new();
        if differ && !compare.filter.is_empty() {
            let budget = PAGES_AT_ONCE.saturating_sub(self.pages);
            if budget == 0 {
                return (pages, false);
            }
            let wanted = usize::from(compare.pages.clamp(1, PAGES_MAX));
            pages = lacking(asker, compare, members, digest, budget.min(wanted));
        }
        let gives = !pages.is_empty();
        if !gives {
            pages.push(Page::empty(compare.nonce, digest));
        }
        self.pages += pages.len();
        let recent = self.last_asked.is_some_and(|at| now.since(at) < ASK_IN_TURN_INTERVAL);
        (pages, differ && !gives && !compare.filter.is_empty() && !recent)
    }

    /// Whether this page answers a question of this node's.
    pub(super) fn accepts(&mut self, sender: Process, page: &Page) -> bool {
        let Some(question) = &mut self.question else { return false };
        question.pages += 1;
        question.partner.0 == sender
            && question.nonce == page.nonce
            && question.pages <= usize::from(PAGES_MAX)
    }

    /// So many of a page's members were news; `digest` is this node's own by now. The answer is
    /// whom to ask again, with a filter.
    pub(super) fn conclude(
        &mut self,
        now: HolderTime,
        page: &Page,
        learnt: usize,
        (digest, present): (u64, usize),
        chance: f64,
        timers: &mut Timers,
    ) -> Option<(Process, SocketAddr)> {
        let question = self.question.as_mut()?;
        question.learnt += learnt;
        question.gained += learnt;
        if !page.last {
            return None;
        }
        if question.learnt > 0 {
            question.untried = if page.more { question.parts } else { question.parts - 1 };
        }
        let Question { partner, has_filter, untried, gained, round, .. } = *question;
        let same = page.digest == digest;
        let goes_on = !has_filter || untried > 0;
        if !same && goes_on && round < ROUNDS_MAX {
            // The answer to what comes now has its time, too.
            let due = timers.deadline(&Timer::PushPull).max(now.plus(self.pause_least));
            timers.set(due, Timer::PushPull);
            return Some(partner);
        }
        self.question = None;
        // One that is equal may be a newcomer, too: nothing follows from one alone.
        self.differs = !same;
        if gained * 16 >= present {
            self.pause = self.pause_least;
        } else {
            self.pace(now, gained);
        }
        self.postpone(now, chance, timers);
        None
    }

    /// Slower, except for a newcomer whose last conversation brought so many members, if any.
    fn pace(&mut self, now: HolderTime, gained: usize) {
        if gained == 0 || !self.is_newcomer(now) {
            // Less so while others hold something else: one may have what this node lacks.
            let pause = if self.differs { self.pause * 3 / 2 } else { self.pause * 2 };
            self.pause = pause.min(PAUSE_MOST);
        }
    }
}

/// Pages of what the asker seems to lack, beginning anywhere: an asker gets something else from
/// each responder.
fn lacking(
    asker: &MemberIdentity,
    compare: &Compare,
    members: &Members,
    digest: u64,
    pages_max: usize,
) -> Vec<Page> {
    let salt = compare.filter.salt.to_le_bytes();
    let start = members.nth_address(usize::from(u16::from_le_bytes([salt[0], salt[1]])));
    let lacks = |held: &&Held| {
        let filter = &compare.filter;
        let differs =
            if held.is_present() { filter.lacks(held.hash) } else { filter.has(held.hash) };
        differs && held.member.id() != asker
    };
    let mut pages: Vec<Page> = Vec::new();
    let mut size = GOSSIP_SIZE_MAX;
    let mut bytes = Vec::new();
    for held in members.around(start.unwrap_or(FIRST)).filter(lacks) {
        bytes.clear();
        // An identity and a few numbers: it cannot exceed the codec's limit.
        let _ = codec::encode_into(&held.member, &mut bytes);
        if size + bytes.len() > GOSSIP_SIZE_MAX - PAGE_FRAME {
            if pages.len() == pages_max {
                pages.iter_mut().for_each(|page| page.more = true);
                break;
            }
            pages.iter_mut().for_each(|page| page.last = false);
            pages.push(Page::empty(compare.nonce, digest));
            size = 0;
        }
        size += bytes.len();
        if let Some(page) = pages.last_mut() {
            page.members.push(held.member.clone());
        }
    }
    pages
}

/// Which of these members a node takes over: of the dead only those that it holds for present.
pub(super) fn news(
    named: &[Member<MemberIdentity>],
    own: &MemberIdentity,
    members: &Members,
) -> Vec<Member<MemberIdentity>> {
    let believed = |member: &&Member<MemberIdentity>| match member.state() {
        State::Down => members.get(member.id()).is_some_and(Held::is_present),
        State::Alive | State::Suspect => members.is_news(member),
    };
    let others = named.iter().filter(|member| member.id().address != own.address);
    others.filter(believed).cloned().collect()
}

#[cfg(test)]
mod tests;
