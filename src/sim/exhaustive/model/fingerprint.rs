//! Which states are the same: those in which the same may happen from here on.
//!
//! Clock readings count relative to now. Numbers that are only compared are replaced by their
//! ranks among all of their kind in the world, in nodes and messages alike; nought and one stay
//! what they are. Requests to which no answer is under way, nor will be, are left out. Messages
//! count in any order. Of the past, the highest term counts, and the budgets spent.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Break;
use super::state::{Envelope, State};
use crate::election::fingerprint::{Counter, Visitor};
use crate::vocabulary::identity::Process;
use crate::wire::message::{Message, PollAck};

/// All numbers of each kind, in order.
#[derive(Default)]
struct Ranks(BTreeMap<Counter, BTreeSet<u64>>);

impl Ranks {
    fn note(&mut self, counter: Counter, number: u64) {
        self.0.entry(counter).or_insert_with(|| BTreeSet::from([0, 1])).insert(number);
    }

    fn rank(&self, counter: Counter, number: &mut u64) {
        let below = self.0.get(&counter).map_or(0, |all| all.range(..*number).count());
        *number = u64::try_from(below).unwrap_or(u64::MAX);
    }
}

impl Envelope {
    /// Visits the numbers in this message.
    fn numbers(&mut self, visit: &mut Visitor<'_>) {
        let from = self.from;
        let asked = Counter::Requests(from);
        // An answer names its process; what does not name one is no answer.
        let to = self.to.id.zip(self.to.boot).map(|(id, boot)| Process { id, boot });
        let answered = Counter::Requests(to.unwrap_or(from));
        let counter = if self.message.kind().is_answer() { answered } else { asked };
        if let Some(number) = self.message.number_mut() {
            visit(counter, number);
        }
        if let Message::PollAck(PollAck { status, .. }) | Message::Vacant(status) =
            &mut self.message
        {
            visit(Counter::Statuses(from), &mut status.sequence);
        }
    }
}

/// The same for two states in which the same may happen from here on.
pub fn fingerprint(state: &State, broken: Break) -> u64 {
    let now = broken.clocks(state.time);
    let mut elections: Vec<_> = state.nodes.iter().map(|node| (*node.election).clone()).collect();
    let mut envelopes: Vec<Envelope> =
        state.envelopes.iter().map(|envelope| (**envelope).clone()).collect();

    let mut awaited = BTreeSet::new();
    let mut await_answer = |counter: Counter, number: &mut u64| {
        awaited.insert((counter, *number));
    };
    envelopes.iter_mut().for_each(|envelope| envelope.numbers(&mut await_answer));
    elections.iter_mut().for_each(|election| election.owed_answers(&mut await_answer));
    for (node, election) in state.nodes.iter().zip(&mut elections) {
        let requests = Counter::Requests(node.me);
        election.forget_requests(&|number| awaited.contains(&(requests, number)));
    }

    let mut ranks = Ranks::default();
    let mut note = |counter: Counter, number: &mut u64| ranks.note(counter, *number);
    envelopes.iter_mut().for_each(|envelope| envelope.numbers(&mut note));
    elections.iter_mut().for_each(|election| election.numbers(&mut note));
    for node in &state.nodes {
        if let Some((revision, _)) = node.pending {
            ranks.note(Counter::Revisions(node.me), revision);
        }
    }

    let mut replace = |counter: Counter, number: &mut u64| ranks.rank(counter, number);
    envelopes.iter_mut().for_each(|envelope| envelope.numbers(&mut replace));
    elections.iter_mut().for_each(|election| election.numbers(&mut replace));

    let mut hasher = DefaultHasher::new();
    for (node, election) in state.nodes.iter().zip(&elections) {
        if node.is_gone {
            continue;
        }
        election.fingerprint(now).hash(&mut hasher);
        let pending = node.pending.as_ref().map(|(revision, kept)| {
            let mut revision = *revision;
            ranks.rank(Counter::Revisions(node.me), &mut revision);
            (revision, kept)
        });
        (node.me, &node.disk, pending, node.watermark).hash(&mut hasher);
    }
    // Their order is that of sending, which matters to nobody.
    let mut digests: Vec<u64> = envelopes.iter().map(digest).collect();
    digests.sort_unstable();
    digests.hash(&mut hasher);
    (state.spent, state.judge.terms(), state.judge.broken()).hash(&mut hasher);
    hasher.finish()
}

fn digest(envelope: &Envelope) -> u64 {
    let mut hasher = DefaultHasher::new();
    envelope.hash(&mut hasher);
    hasher.finish()
}
