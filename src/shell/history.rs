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
use std::net::SocketAddr;
use std::sync::Arc;

use super::journal;
use crate::vocabulary::event::{ElectionReason, Event};
use crate::vocabulary::histogram::Histogram;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::{HolderTime, Now, WallTime};

/// Events that are kept. A reader that is further behind has lost some.
pub const EVENTS_MAX: usize = 1024;
/// Terms that are kept.
pub const TERMS_MAX: usize = 256;

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
    pub goose: NodeId,
    /// Where that node is reached.
    pub address: SocketAddr,
    /// When this node learned of it.
    pub began: (WallTime, HolderTime),
    /// How it came about, in words.
    pub began_by: String,
    /// When it ended for this node, and why, in words. None: it goes on.
    pub ended: Option<(WallTime, HolderTime, String)>,
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

    fn note_term(&mut self, event: &Event, now: Now) {
        match event {
            Event::BecameGoose { term, reason } => {
                let (own, address) = self.own;
                let how = match reason {
                    ElectionReason::Elected => "elected: a majority of the voters granted it",
                    ElectionReason::HandedOver => "handed over: the last Goose named it",
                };
                self.begin(*term, own.id, address, how.to_owned(), now);
            }
            Event::GooseChanged(Some(goose)) => {
                let how = "announced by itself or by a voter".to_owned();
                self.begin(goose.term, goose.process.id, goose.address, how, now);
            }
            Event::BecameDuck { term, reason } => {
                self.end(Some(*term), &journal::demoted(reason), now);
            }
            Event::GooseChanged(None) => self.end(None, "it has gone or is silent", now),
            _ => {}
        }
    }

    fn begin(&mut self, term: u64, goose: NodeId, address: SocketAddr, how: String, now: Now) {
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
        self.end(None, &format!("node {goose} has taken over"), now);
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
    fn end(&mut self, term: Option<u64>, why: &str, now: Now) {
        let known = self.terms.back_mut();
        let known = known.filter(|it| it.ended.is_none() && term.is_none_or(|t| t == it.term));
        if let Some(known) = known {
            Arc::make_mut(known).ended = Some((now.wall, now.holder, why.to_owned()));
            self.vacant_since.get_or_insert(now.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::event::DemotionReason;
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
        assert_eq!(why, "the lease lapsed because voters 2, 3 did not renew it");
        assert_eq!(history.terms[1].ended, None);
        assert_eq!(history.goose_changes, 2);
        assert_eq!(history.elections.count(), 2);
        assert_eq!(history.elections.sum().as_millis(), 540);
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
