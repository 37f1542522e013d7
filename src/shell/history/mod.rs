//! What happened lately, in order and in words, for whoever asks later.
//!
//! ```text
//! driver -- note --> History (events, terms, voters) -- a shared copy per change --> HTTP shows it
//! ```
//!
//! Everything is bounded: the last [`EVENTS_MAX`] events, the last [`TERMS_MAX`] terms and the last
//! [`VOTERS_MAX`] changes of the voters, all of this process only. It is copied when something happens, which is seldom, so that nobody
//! who reads can hold the driver up. Assumption: what may come often (warnings) was thinned out
//! by the log before.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::vocabulary::configuration::Configuration;
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::Process;
use crate::vocabulary::snapshot::MemberView;
use crate::vocabulary::time::{HolderTime, Now, WallTime};

mod complaints;
pub mod judge;
mod terms;
#[cfg(test)]
mod tests;

pub use complaints::{Complaint, Complaints};
pub use terms::{Beginning, Ending, TERMS_MAX, TermSeen, Terms};

/// Events that are kept. A reader that is further behind has lost some.
pub const EVENTS_MAX: usize = 1024;
/// Changes of the voters that are kept.
pub const VOTERS_MAX: usize = 64;

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

/// Others vote from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotersSeen {
    /// By the wall clock of this machine.
    pub wall: WallTime,
    /// Who votes.
    pub configuration: Configuration,
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
    /// Events noted since the start.
    pub noted: u64,
    /// Who led.
    pub terms: Terms,
    /// How the voters changed, oldest first.
    pub voters: VecDeque<Arc<VotersSeen>>,
    /// What was warned of lately.
    pub complaints: Complaints,
}

impl History {
    /// Of the process `own`, reached at `address`, which starts at `now`.
    pub fn new(own: Process, address: SocketAddr, now: HolderTime) -> Self {
        Self {
            index: 0,
            events: VecDeque::new(),
            noted: 0,
            voters: VecDeque::new(),
            terms: Terms::new(own, address, now),
            complaints: Complaints::default(),
        }
    }

    /// Keeps `event`, which happened `now` and reads as `words`.
    pub fn note(&mut self, event: Event, words: String, index: u64, now: Now) {
        self.terms.note(&event, now);
        if let Event::VotersChanged(configuration) = &event {
            self.note_voters(configuration, now);
        }
        self.complaints.note(&event, &words, now);
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        let (sequence, wall) = (self.noted, now.wall);
        self.events.push_back(Arc::new(Happening { sequence, index, wall, event, words }));
        self.noted += 1;
        self.index = index;
    }

    /// Each Goose writes the same voters anew, under its own ballot: that is no change.
    fn note_voters(&mut self, configuration: &Configuration, now: Now) {
        let is_same = |seen: &Arc<VotersSeen>| {
            let known = &seen.configuration;
            (&known.voters, known.automatic) == (&configuration.voters, configuration.automatic)
        };
        if self.voters.back().is_some_and(is_same) {
            return;
        }
        if self.voters.len() >= VOTERS_MAX {
            self.voters.pop_front();
        }
        let seen = VotersSeen { wall: now.wall, configuration: configuration.clone() };
        self.voters.push_back(Arc::new(seen));
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
        self.terms.learn(members, now);
    }
}
