//! Push/pull: what gossip has missed is found by comparing digests, and fetched.
//!
//! News is gossiped so many times and then no more; whoever has missed it by then would never
//! hear of it. And somebody new would have to be told of everybody by everybody's gossip. So
//! every node asks another one at random now and then:
//!
//! ```text
//! asker                                                      asked
//!   │ Compare { digest of whom I hold for present } ──────────▶ │
//!   │ ◀──────────── Page { digest of whom I do, nobody }        │   equal: again in 10 to 30 s
//!   │ Compare { the same, and a Bloom filter of them } ───────▶ │   they differ
//!   │ ◀──────────── Page { 36 that are not in the filter, … }   │   one page
//!   │ Compare … ──────────────────────────────────────────────▶ │
//!   │ ◀────────────────────────────────── Page …, Page …        │   now up to 8 pages
//!   │ Compare …                                                 │   until nothing is left
//! ```
//!
//! A filter of more members than have room in it would hide most of what is asked for. Then the
//! members are divided into parts by their hashes, and a question is about one part, the next
//! about the next: with one filter for all, half of five thousand nodes knew everybody after
//! three seconds and the last one after a minute.
//!
//! A newcomer sends the filter at once, and keeps its pace while that brings anything. What it
//! learns it does not gossip: it is news to nobody else. Whoever is asked and has
//! nothing to give to one that differs asks back, for then it is probably itself that lacks
//! something.
//!
//! Of the dead only those are told that the asker may hold for present, and it believes that
//! only of those that it does: or nobody who is dead would ever be forgotten.
//!
//! Bounds: one question at a time, a page is no larger than a gossip packet, eight of them
//! answer a question, and a node sends [`PAGES_AT_ONCE`] in [`WINDOW`]. A source that has not
//! proven its address gets a small multiple of what it sent, like from everybody
//! (`node/proof.rs`).

mod exchange;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use foca::{Member, State};
use serde::{Deserialize, Serialize};

use super::filter::{Filter, Part};
use super::identity::MemberIdentity;
use super::swim_members::{self, SwimMembers};
use crate::vocabulary::codec::{self, CodecError};
use crate::vocabulary::datagram::GOSSIP_SIZE_MAX;
use crate::vocabulary::identity::Process;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// How such a packet begins. No packet of the library does: it begins with a small number.
const MARK: u8 = 0xff;
/// The pause between two questions if all is well, give or take half of it.
const PAUSE_MOST: Duration = Duration::from_secs(20);
/// Somebody new is a newcomer for so long at most.
const NEWCOMER_MAX: Duration = Duration::from_secs(10);
/// Whoever is found to lack something asks back this often at most.
const ASK_BACK_INTERVAL: Duration = Duration::from_secs(5);
/// A question is answered by so many pages at most.
const PAGES_MAX: u8 = 8;
/// So many pages are sent in [`WINDOW`], whoever asks: about ten megabytes a second.
const PAGES_AT_ONCE: usize = 128;
const WINDOW: Duration = Duration::from_millis(20);
/// A page takes this for other things than members.
const PAGE_FRAME: usize = 40;
/// So many questions in a row go to one node.
const ROUNDS_MAX: u32 = 32;

/// What two nodes say to each other here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exchange {
    Compare(Compare),
    Page(Page),
}

/// "This is what I hold; what do I lack?"
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Compare {
    /// Where the asker is, and under which name; its process is in the envelope.
    pub(super) address: SocketAddr,
    pub(super) renewal: u32,
    pub(super) eligible: bool,
    /// To be echoed.
    nonce: u32,
    /// So many pages are wanted at most.
    pages: u8,
    digest: u64,
    /// Empty if digests are to be compared first.
    filter: Filter,
}

impl Compare {
    /// Who asks.
    pub(super) fn asker(&self, process: Process) -> MemberIdentity {
        let Self { address, renewal, eligible, .. } = *self;
        MemberIdentity { process, address, renewal, eligible }
    }
}

/// Members that the asker seems to lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    nonce: u32,
    /// Of what the answering node holds.
    digest: u64,
    /// No other page of this answer follows.
    last: bool,
    /// There was more than fitted the answer.
    more: bool,
    pub(super) members: Vec<Member<MemberIdentity>>,
}

/// A question that was asked and not answered yet.
#[derive(Clone, Copy, Debug)]
struct Question {
    to: Process,
    address: SocketAddr,
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

/// What to do after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing for now.
    Wait,
    /// Ask the same node again, with a filter.
    Again(Process, SocketAddr),
}

/// The pace of one node's questions and answers.
#[derive(Debug)]
pub(super) struct PushPull {
    pause_least: Duration,
    pause: Duration,
    next: HolderTime,
    newcomer_until: HolderTime,
    /// What the last one that was asked held was not the same.
    differs: bool,
    last_asked: Option<HolderTime>,
    question: Option<Question>,
    /// Counts the questions with a filter: each is about the next part.
    part: u32,
    window: HolderTime,
    pages: usize,
}

impl PushPull {
    /// `round_trip`: what a round trip may take.
    pub(super) fn new(round_trip: Duration) -> Self {
        Self {
            pause_least: round_trip,
            pause: round_trip,
            next: HolderTime::NEVER,
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
    pub(super) fn begin(&mut self, now: HolderTime, chance: f64) {
        self.pause = self.pause_least;
        self.next = now.plus(self.pause.mul_f64(chance));
        self.newcomer_until = now.plus(NEWCOMER_MAX);
        self.question = None;
    }

    /// It no longer is.
    pub(super) fn end(&mut self) {
        self.next = HolderTime::NEVER;
        self.question = None;
    }

    /// When somebody is to be asked.
    pub(super) fn next_deadline(&self) -> HolderTime {
        if mutant::is(Mutant::NoReconciliation) { HolderTime::NEVER } else { self.next }
    }

    /// Whether a filter is worth its bytes in the next question.
    pub(super) fn wants_filter(&self, now: HolderTime) -> bool {
        self.differs && self.is_newcomer(now)
    }

    /// Whether what this node learns is news to nobody else.
    pub(super) fn is_newcomer(&self, now: HolderTime) -> bool {
        now < self.newcomer_until
    }

    /// When the next question is due, if the one that comes now is not answered.
    pub(super) fn postpone(&mut self, now: HolderTime, chance: f64) {
        if let Some(unanswered) = self.question.take() {
            self.pace(now, unanswered.gained);
        }
        self.next = now.plus(self.pause.mul_f64(0.5 + chance));
    }

    /// Slower while others hold something else: somebody may have what this node lacks.
    fn slow_down(&mut self) {
        let pause = if self.differs { self.pause * 3 / 2 } else { self.pause * 2 };
        self.pause = pause.min(PAUSE_MOST);
    }

    /// A question to this node, with a filter or without.
    pub(super) fn ask(
        &mut self,
        now: HolderTime,
        (to, address): (Process, SocketAddr),
        (own, swim_members): (&MemberIdentity, &SwimMembers),
        has_filter: bool,
        entropy: u64,
    ) -> Result<Vec<u8>, CodecError> {
        let nonce = u32::try_from(entropy >> 32).unwrap_or(0);
        let count = swim_members.present() + 1;
        let parts = Part::count(count);
        let (round, gained, untried) = match self.question {
            Some(before) if before.to == to => (before.round + 1, before.gained, before.untried),
            _ => (0, 0, parts),
        };
        self.question = Some(Question {
            to,
            address,
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
            let everybody = swim_members.around(FIRST).filter(|held| held.is_present());
            let hashes = everybody.map(|held| held.hash).chain([swim_members::hash(own)]);
            Filter::of(hashes, Part::new(self.part, parts), count, entropy)
        } else {
            Filter::default()
        };
        let MemberIdentity { address, renewal, eligible, .. } = *own;
        let digest = swim_members.digest(own);
        // Whoever has not proven its address to the other yet gets a page and no more.
        let pages = if round == 0 { 1 } else { PAGES_MAX };
        encode(&Exchange::Compare(Compare {
            address,
            renewal,
            eligible,
            nonce,
            pages,
            digest,
            filter,
        }))
    }

    /// The pages that answer a question, in order, and whether this node should ask back.
    pub(super) fn answer(
        &mut self,
        now: HolderTime,
        asker: &MemberIdentity,
        compare: &Compare,
        (own, swim_members): (&MemberIdentity, &SwimMembers),
    ) -> (Vec<Page>, bool) {
        if now.since(self.window) >= WINDOW {
            (self.window, self.pages) = (now, 0);
        }
        let (digest, nonce) = (swim_members.digest(own), compare.nonce);
        let differ = digest != compare.digest;
        let mut pages = Vec::new();
        if differ && !compare.filter.is_empty() {
            let budget = PAGES_AT_ONCE.saturating_sub(self.pages);
            if budget == 0 {
                return (pages, false);
            }
            let wanted = usize::from(compare.pages.clamp(1, PAGES_MAX));
            pages = lacking(asker, compare, swim_members, digest, budget.min(wanted));
        }
        let gives = !pages.is_empty();
        if !gives {
            pages.push(Page { nonce, digest, last: true, more: false, members: Vec::new() });
        }
        self.pages += pages.len();
        let recent = self.last_asked.is_some_and(|at| now.since(at) < ASK_BACK_INTERVAL);
        (pages, differ && !gives && !compare.filter.is_empty() && !recent)
    }

    /// Whether this page answers a question of this node's.
    pub(super) fn accepts(&mut self, sender: Process, page: &Page) -> bool {
        let Some(question) = &mut self.question else { return false };
        question.pages += 1;
        question.to == sender
            && question.nonce == page.nonce
            && question.pages <= usize::from(PAGES_MAX)
    }

    /// So many of a page's members were news; `digest` is this node's own by now.
    pub(super) fn conclude(
        &mut self,
        now: HolderTime,
        page: &Page,
        learnt: usize,
        (digest, present): (u64, usize),
        chance: f64,
    ) -> Next {
        let Some(question) = &mut self.question else { return Next::Wait };
        question.learnt += learnt;
        question.gained += learnt;
        if !page.last {
            return Next::Wait;
        }
        if question.learnt > 0 {
            question.untried = if page.more { question.parts } else { question.parts - 1 };
        }
        let Question { to, address, has_filter, untried, gained, round, .. } = *question;
        let same = page.digest == digest;
        let goes_on = !has_filter || untried > 0;
        if !same && goes_on && round < ROUNDS_MAX {
            // The answer to what comes now has its time, too.
            self.next = self.next.max(now.plus(self.pause_least));
            return Next::Again(to, address);
        }
        self.question = None;
        // One that is equal may be a newcomer, too: nothing follows from one alone.
        self.differs = !same;
        if gained * 16 >= present {
            self.pause = self.pause_least;
        } else {
            self.pace(now, gained);
        }
        self.postpone(now, chance);
        Next::Wait
    }

    /// Slower, except for a newcomer whose last conversation brought so many members, if any.
    fn pace(&mut self, now: HolderTime, gained: usize) {
        if gained == 0 || !self.is_newcomer(now) {
            self.slow_down();
        }
    }
}

/// The first of all addresses.
const FIRST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Pages of what the asker seems to lack, beginning anywhere: whoever asks several nodes gets
/// something else from each.
fn lacking(
    asker: &MemberIdentity,
    compare: &Compare,
    swim_members: &SwimMembers,
    digest: u64,
    pages_max: usize,
) -> Vec<Page> {
    let salt = compare.filter.salt.to_le_bytes();
    let start = swim_members.nth_address(usize::from(u16::from_le_bytes([salt[0], salt[1]])));
    let lacks = |held: &&swim_members::Held| {
        let filter = &compare.filter;
        let differs =
            if held.is_present() { filter.lacks(held.hash) } else { filter.has(held.hash) };
        differs && held.member.id() != asker
    };
    let empty =
        || Page { nonce: compare.nonce, digest, last: true, more: false, members: Vec::new() };
    let mut pages: Vec<Page> = Vec::new();
    let mut size = GOSSIP_SIZE_MAX;
    let mut bytes = Vec::new();
    for held in swim_members.around(start.unwrap_or(FIRST)).filter(lacks) {
        bytes.clear();
        // An identity and a few numbers: it cannot exceed the codec's limit.
        let _ = codec::encode_into(&held.member, &mut bytes);
        if size + bytes.len() > GOSSIP_SIZE_MAX - PAGE_FRAME {
            if pages.len() == pages_max {
                pages.iter_mut().for_each(|page| page.more = true);
                break;
            }
            pages.iter_mut().for_each(|page| page.last = false);
            pages.push(empty());
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
    members: &[Member<MemberIdentity>],
    own: &MemberIdentity,
    swim_members: &SwimMembers,
) -> Vec<Member<MemberIdentity>> {
    let believed = |member: &&Member<MemberIdentity>| match member.state() {
        State::Down => swim_members.get(member.id()).is_some_and(swim_members::Held::is_present),
        State::Alive | State::Suspect => swim_members.is_news(member),
    };
    let others = members.iter().filter(|member| member.id().address != own.address);
    others.filter(believed).cloned().collect()
}

/// Whether a packet belongs here and not to the library.
pub(super) fn is_exchange(packet: &[u8]) -> bool {
    packet.first() == Some(&MARK)
}

pub(super) fn encode(exchange: &Exchange) -> Result<Vec<u8>, CodecError> {
    let mut packet = vec![MARK];
    codec::encode_into(exchange, &mut packet)?;
    Ok(packet)
}

/// Reads such a packet.
///
/// # Errors
/// [`CodecError`] if it is none.
pub(super) fn decode(packet: &[u8]) -> Result<Exchange, CodecError> {
    codec::decode_whole(packet.get(1..).unwrap_or_default())
}

/// What it is, for whoever watches; none if it is not sound.
pub(super) fn kind(packet: &[u8]) -> Option<&'static str> {
    Some(match decode(packet).ok()? {
        Exchange::Compare(_) => "Compare",
        Exchange::Page(_) => "Page",
    })
}

#[cfg(test)]
mod tests;
