//! What happened lately, in order and in words, for whoever asks later.
//!
//! ```text
//! driver -- note --> History -- a shared copy per change --> /v1/events, /v1/history, /metrics
//! ```
//!
//! Everything is bounded: the last [`EVENTS_MAX`] events and the last [`TERMS_MAX`] terms, all
//! of this process only. It is copied when something happens, which is seldom, so that nobody
//! who reads can hold the driver up. Assumption: what may come often (warnings) was thinned out
//! by the log before.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::journal;
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event};
use crate::vocabulary::histogram::Histogram;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::{HolderTime, Now, WallTime};

/// Events that are kept. A reader that is further behind has lost some.
pub const EVENTS_MAX: usize = 1024;
/// Terms that are kept.
pub const TERMS_MAX: usize = 256;
/// Of so many terms, the last ones, gossip may still say how they ended.
const GUESSES_MAX: usize = 4;

/// One event, with its place and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Counts the events of this process, from 0.
    pub sequence: u64,
    /// The snapshot's index when it happened; several events may share one.
    pub index: u64,
    /// By the wall clock of this machine.
    pub wall: WallTime,
    /// What happened.
    pub event: Event,
    /// The same in words.
    pub words: String,
}

/// One term, as this node saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermSeen {
    /// The term.
    pub term: u64,
    /// Whose.
    pub goose: Process,
    /// Where that node is reached.
    pub address: SocketAddr,
    /// When this node learned of it.
    pub began: (WallTime, HolderTime),
    /// How it came about.
    pub began_by: Beginning,
    /// When it ended for this node, and why. None: it goes on.
    pub ended: Option<(WallTime, HolderTime, Ending)>,
}

/// How a term came about, as far as this node can tell. Its text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// This node won an election.
    Elected,
    /// The last Goose named whoever leads now.
    HandedOver,
    /// Another node leads; how it came to it was not told.
    Announced,
}

impl fmt::Display for Beginning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Elected => "elected: a majority of the voters granted it the lease",
            Self::HandedOver => "handed over: the last Goose named it",
            Self::Announced => "elected, as it said itself or a voter said",
        })
    }
}

/// Why a term ended, as far as this node can tell. Its text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This node was the Goose, and knows.
    Own(DemotionReason),
    /// The Goose said itself that it holds the lease no longer.
    Released {
        /// Whom it named to follow.
        nominee: Option<NodeId>,
    },
    /// Its keeper said that its process has died.
    Died,
    /// Nothing was heard of it any more.
    Silent,
    /// Another node leads, and nothing was heard of how the term ended.
    Replaced {
        /// That node.
        by: NodeId,
    },
    /// It did not answer gossip, which gave it up.
    Gone,
    /// It said goodbye to the cluster.
    Left,
    /// Its node is here as another process.
    Restarted,
}

impl Ending {
    /// Whether gossip may know better.
    fn is_guessed(&self) -> bool {
        matches!(self, Self::Silent | Self::Replaced { .. } | Self::Gone)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(reason) => formatter.write_str(&journal::demoted(reason)),
            Self::Released { nominee: Some(nominee) } => {
                write!(formatter, "it stepped down and named node {nominee} to follow")
            }
            Self::Died => formatter.write_str("it crashed: its process died, as its keeper said"),
            Self::Released { nominee: None } => formatter
                .write_str("it gave the lease up: it stepped down, or too few voters renewed it"),
            Self::Silent => formatter.write_str("it has gone or is silent"),
            Self::Replaced { by } => write!(formatter, "node {by} has taken over"),
            Self::Gone => formatter
                .write_str("it crashed or was cut off: it fell silent and answered nobody's ping"),
            Self::Left => formatter.write_str("it left: it said goodbye to the cluster"),
            Self::Restarted => formatter.write_str(
                "it crashed: its process died without a word to this node, and another runs now",
            ),
        }
    }
}

/// When a lease with this deadline was over, for a node that notices it `now`: a node that was
/// frozen or kept from running notices late, and others may have led since.
pub fn over_at(deadline: HolderTime, now: Now) -> Now {
    let late = now.holder.since(deadline);
    // Rounded up: rather a moment early than after the next term has begun.
    let milliseconds = u64::try_from(late.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Now {
        holder: now.holder.min(deadline),
        wall: WallTime(now.wall.0.saturating_sub(milliseconds)),
        ..now
    }
}

/// The past of one process, as far as it is kept.
#[derive(Clone, Debug)]
pub struct History {
    /// The node's newest index.
    pub index: u64,
    /// Oldest first.
    pub events: VecDeque<Arc<Happening>>,
    /// Oldest first.
    pub terms: VecDeque<Arc<TermSeen>>,
    /// Events noted since the start.
    pub noted: u64,
    /// Changes of the Goose that this node saw, the first included.
    pub goose_changes: u64,
    /// How long this node knew of no Goose, each time until it knew of one.
    pub elections: Histogram,
    vacant_since: Option<HolderTime>,
    own: (Process, SocketAddr),
}

impl History {
    /// Of the process `own`, reached at `address`, which starts at `now`.
    pub fn new(own: Process, address: SocketAddr, now: HolderTime) -> Self {
        Self {
            index: 0,
            events: VecDeque::new(),
            terms: VecDeque::new(),
            noted: 0,
            goose_changes: 0,
            elections: Histogram::default(),
            vacant_since: Some(now),
            own: (own, address),
        }
    }

    /// Keeps `event`, which happened `now` and reads as `words`.
    pub fn note(&mut self, event: Event, words: String, index: u64, now: Now) {
        self.note_term(&event, now);
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        let (sequence, wall) = (self.noted, now.wall);
        self.events.push_back(Arc::new(Happening { sequence, index, wall, event, words }));
        self.noted += 1;
        self.index = index;
    }

    /// The events from `sequence` on, oldest first; none if some of them are no longer kept.
    pub fn since(&self, sequence: u64) -> Option<impl Iterator<Item = &Arc<Happening>>> {
        let behind = usize::try_from(self.noted.saturating_sub(sequence)).unwrap_or(usize::MAX);
        let skipped = self.events.len().checked_sub(behind)?;
        Some(self.events.iter().skip(skipped))
    }

    /// The place of the first event above `index`; none if it may be no longer kept, or if no
    /// such index was reached yet: the index is of another process then.
    pub fn after_index(&self, index: u64) -> Option<u64> {
        if index > self.index {
            return None;
        }
        let first = self.events.iter().find(|event| event.index > index);
        let sequence = first.map_or(self.noted, |event| event.sequence);
        let lost = self.noted - self.events.len() as u64;
        (sequence > lost || lost == 0).then_some(sequence)
    }

    /// Gossip may know how the last terms ended, where nothing else was heard: `members` are
    /// those of the newest snapshot.
    pub fn learn(&mut self, members: &[MemberView], now: Now) {
        for position in self.terms.len().saturating_sub(GUESSES_MAX)..self.terms.len() {
            let Some(better) = self.better_ending(&self.terms[position], members) else { continue };
            if position + 1 == self.terms.len() {
                self.vacant_since.get_or_insert(now.holder);
            }
            let known = Arc::make_mut(&mut self.terms[position]);
            let (wall, at) = match &known.ended {
                Some((wall, at, _)) => (*wall, *at),
                None => (now.wall, now.holder),
            };
            known.ended = Some((wall, at, better));
        }
    }

    fn better_ending(&self, known: &TermSeen, members: &[MemberView]) -> Option<Ending> {
        let Process { id, boot } = known.goose;
        let position = members.binary_search_by_key(&id, |member| member.id).ok()?;
        let member = &members[position];
        let guess = known.ended.as_ref().map(|(_, _, ending)| ending);
        let better = match (guess, member.state) {
            (Some(guess), _) if !guess.is_guessed() => return None,
            (_, MemberState::Alive) if member.boot.start > boot.start => Ending::Restarted,
            // How long it goes on is for the election to say.
            (Some(_), MemberState::Down) if member.boot == boot => Ending::Gone,
            (Some(_), MemberState::Left) if member.boot == boot => Ending::Left,
            _ => return None,
        };
        (guess != Some(&better)).then_some(better)
    }

    fn note_term(&mut self, event: &Event, now: Now) {
        match event {
            Event::BecameGoose { term, reason } => {
                let (own, address) = self.own;
                let how = match reason {
                    ElectionReason::Elected => Beginning::Elected,
                    ElectionReason::HandedOver => Beginning::HandedOver,
                };
                self.begin(*term, own, address, how, now);
            }
            Event::GooseChanged(Some(goose)) => {
                let last = self.terms.back().and_then(|known| known.ended.as_ref());
                let how = match last {
                    Some((_, _, Ending::Released { nominee: Some(heir) }))
                        if *heir == goose.process.id =>
                    {
                        Beginning::HandedOver
                    }
                    _ => Beginning::Announced,
                };
                self.begin(goose.term, goose.process, goose.address, how, now);
            }
            Event::BecameDuck { term, reason } => {
                self.end(Some(*term), Ending::Own(reason.clone()), now);
            }
            Event::Released { by, nominee, died } => {
                let known = self.terms.back().filter(|known| known.goose == *by);
                let term = known.map(|known| known.term);
                let released = Ending::Released { nominee: *nominee };
                if term.is_some() {
                    self.end(term, if *died { Ending::Died } else { released }, now);
                }
            }
            Event::GooseChanged(None) => self.end(None, Ending::Silent, now),
            Event::TookLaterStart { process } => self.own.0 = *process,
            _ => {}
        }
    }

    fn begin(&mut self, term: u64, goose: Process, address: SocketAddr, how: Beginning, now: Now) {
        let known = self.terms.back().filter(|known| known.term == term);
        let over = known.and_then(|known| known.ended.as_ref());
        if over.is_some_and(|(_, _, ending)| !ending.is_guessed()) {
            // Late news by way of somebody who does not know yet.
            return;
        }
        if let Some(since) = self.vacant_since.take() {
            self.elections.observe(now.holder.since(since));
        }
        if let Some(known) = self.terms.back_mut().filter(|known| known.term == term) {
            // It was only silent for a while, or this is the same news by another way.
            if known.ended.is_some() {
                Arc::make_mut(known).ended = None;
            }
            return;
        }
        self.end(None, Ending::Replaced { by: goose.id }, now);
        self.vacant_since = None;
        self.goose_changes += 1;
        if self.terms.len() >= TERMS_MAX {
            self.terms.pop_front();
        }
        let began = (now.wall, now.holder);
        let seen = TermSeen { term, goose, address, began, began_by: how, ended: None };
        self.terms.push_back(Arc::new(seen));
    }

    /// Ends the last term, if it goes on and is `term` or any.
    fn end(&mut self, term: Option<u64>, why: Ending, now: Now) {
        let known = self.terms.back_mut();
        let known = known.filter(|it| it.ended.is_none() && term.is_none_or(|t| t == it.term));
        if let Some(known) = known {
            Arc::make_mut(known).ended = Some((now.wall, now.holder, why));
            self.vacant_since.get_or_insert(now.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::Boot;
    use crate::vocabulary::message::Goose;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn at(milliseconds: u64) -> Now {
        Now {
            holder: HolderTime(milliseconds * 1_000_000),
            wall: WallTime(1_700_000_000_000 + milliseconds),
            ..Now::default()
        }
    }

    fn process(number: u64) -> Process {
        Process { id: id(number), boot: Boot { start: 1, nonce: 7 } }
    }

    fn history() -> History {
        History::new(process(1), "127.0.0.1:8000".parse().unwrap(), at(0).holder)
    }

    fn goose(number: u64, term: u64) -> Event {
        Event::GooseChanged(Some(Goose {
            term,
            process: process(number),
            address: "127.0.0.1:8001".parse().unwrap(),
            http: None,
        }))
    }

    #[test]
    fn a_term_begins_once_and_ends_with_its_reason() {
        let mut history = history();
        let mut note = |event, now| {
            let index = history.index + 1;
            history.note(event, String::new(), index, at(now));
        };
        note(Event::BecameGoose { term: 3, reason: ElectionReason::Elected }, 40);
        note(goose(1, 3), 41);
        let silent = vec![id(2), id(3)];
        note(Event::BecameDuck { term: 3, reason: DemotionReason::LeaseLapsed { silent } }, 900);
        note(Event::GooseChanged(None), 900);
        note(goose(2, 4), 1_400);
        assert_eq!(history.terms.len(), 2);
        let (_, ended, why) = history.terms[0].ended.clone().unwrap();
        assert_eq!(ended, at(900).holder);
        assert_eq!(
            why.to_string(),
            "the lease lapsed because voters 2 and 3 did not answer in time"
        );
        assert_eq!(history.terms[1].ended, None);
        assert_eq!(history.goose_changes, 2);
        assert_eq!(history.elections.count(), 2);
        assert_eq!(history.elections.sum().as_millis(), 540);
    }

    #[test]
    fn a_lease_is_over_at_its_deadline_however_late_that_is_noticed() {
        assert_eq!(over_at(at(600).holder, at(9_000)), at(600));
        assert_eq!(over_at(at(600).holder, at(500)), at(500), "given away before");
        let deadline = HolderTime(at(600).holder.0 + 1);
        assert_eq!(over_at(deadline, at(9_000)).wall, at(600).wall);
    }

    fn seen(number: u64, start: u64, state: MemberState) -> Vec<MemberView> {
        let boot = Boot { start, nonce: 7 };
        let address = "127.0.0.1:8001".parse().unwrap();
        let member =
            MemberView { id: id(number), address, boot, eligible: true, state, metadata: None };
        vec![member]
    }

    fn ending(history: &History, position: usize) -> Ending {
        history.terms[position].ended.clone().unwrap().2
    }

    #[test]
    fn what_the_goose_said_is_kept_and_its_heir_was_handed_over() {
        let mut history = history();
        let mut note = |event, now| {
            history.note(event, String::new(), now, at(now));
            history.learn(&seen(2, 1, MemberState::Down), at(now));
        };
        note(goose(2, 3), 40);
        let by = process(2);
        note(Event::Released { by, nominee: Some(id(4)), died: false }, 50);
        note(Event::GooseChanged(None), 50);
        note(goose(4, 5), 60);
        note(Event::Released { by: process(4), nominee: None, died: true }, 70);
        // Somebody who does not know yet names it once more.
        note(goose(4, 5), 75);
        // Of nobody that leads.
        note(Event::Released { by, nominee: None, died: true }, 70);
        assert_eq!(ending(&history, 0), Ending::Released { nominee: Some(id(4)) });
        assert_eq!(history.terms[1].began_by, Beginning::HandedOver);
        assert_eq!(ending(&history, 1), Ending::Died);
        history.note(goose(2, 6), String::new(), 80, at(80));
        assert_eq!(history.terms[2].began_by, Beginning::Announced);
    }

    #[test]
    fn gossip_says_later_how_a_term_ended() {
        let mut history = history();
        history.note(goose(2, 3), String::new(), 1, at(40));
        history.learn(&seen(2, 1, MemberState::Down), at(45));
        assert_eq!(history.terms[0].ended, None, "that is for the election to say");
        history.note(Event::GooseChanged(None), String::new(), 2, at(50));
        history.learn(&seen(2, 1, MemberState::Alive), at(55));
        assert_eq!(ending(&history, 0), Ending::Silent);
        history.note(goose(4, 5), String::new(), 3, at(60));
        history.learn(&seen(2, 1, MemberState::Suspect), at(70));
        assert_eq!(ending(&history, 0), Ending::Silent);
        history.learn(&seen(2, 1, MemberState::Down), at(80));
        assert_eq!(ending(&history, 0), Ending::Gone);
        let when = history.terms[0].ended.clone().unwrap().1;
        assert_eq!(when, at(50).holder, "the reason is news, the end is not");
        history.learn(&seen(2, 2, MemberState::Alive), at(90));
        assert_eq!(ending(&history, 0), Ending::Restarted);
        history.learn(&seen(4, 2, MemberState::Alive), at(95));
        assert_eq!(ending(&history, 1), Ending::Restarted, "another process cannot go on");
        assert_eq!(history.terms[1].ended.clone().unwrap().1, at(95).holder);
    }

    #[test]
    fn who_said_goodbye_has_left() {
        let mut history = history();
        history.note(goose(2, 3), String::new(), 1, at(40));
        history.note(goose(4, 5), String::new(), 2, at(60));
        assert_eq!(ending(&history, 0), Ending::Replaced { by: id(4) });
        history.learn(&seen(2, 1, MemberState::Left), at(80));
        assert_eq!(ending(&history, 0), Ending::Left);
        history.learn(&seen(2, 2, MemberState::Alive), at(90));
        assert_eq!(ending(&history, 0), Ending::Left, "what came after is no news of it");
    }

    #[test]
    fn who_is_too_far_behind_is_told() {
        let mut history = history();
        for index in 0..EVENTS_MAX as u64 + 10 {
            history.note(Event::Joined, String::new(), index + 1, at(index));
        }
        assert!(history.since(9).is_none());
        assert_eq!(history.since(10).unwrap().count(), EVENTS_MAX);
        assert_eq!(history.since(history.noted).unwrap().count(), 0);
        assert_eq!(history.after_index(5), None);
        assert_eq!(history.after_index(history.index), Some(history.noted));
        assert_eq!(history.after_index(history.index - 1), Some(history.noted - 1));
        assert_eq!(history.after_index(history.index + 1), None);
    }
}
