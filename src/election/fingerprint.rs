//! A number for what an election could still do, for model checkers.
//!
//! Two elections that differ only in when they happened have the same fingerprint. Every
//! reading of a clock counts from now, and one that is further back than anything looks is as
//! good as any other. Numbers that are only ever compared (of requests, statuses and
//! revisions) are visited by [`Election::numbers`], so that a checker can replace each by its
//! rank. Ballots are not: a claim takes the highest one and *adds* one, so gaps matter.
//!
//! Two things are left out. After [`super::view::FORGET_AFTER`] the advisory view forgets a
//! Goose, and here a view may be older than it seems. And how long a standby has been connected
//! is known only up to the horizon.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::Election;
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::{Now, nanoseconds};

/// Whose numbers they are, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Requests of this process, which their answers name.
    Requests(Process),
    /// What this voter has said of itself.
    Statuses(Process),
    /// Changes of this voter's record.
    Revisions(Process),
}

/// Sees every number of a kind, and may replace it.
pub type Visitor<'a> = dyn FnMut(Counter, &mut u64) + 'a;

/// A hasher that counts clock readings from now.
struct Relative {
    state: u64,
    now: Now,
    horizon: u64,
}

impl Relative {
    /// The finaliser of splitmix64 over what was mixed before and one more word.
    fn mix(&mut self, word: u64) {
        let mut mixed = (self.state.rotate_left(7) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.state = mixed ^ mixed >> 31;
    }

    fn mix_time(&mut self, reading: u64, now: u64) {
        let oldest = now.saturating_sub(self.horizon);
        self.mix(reading.max(oldest).wrapping_sub(now));
    }
}

impl Hasher for Relative {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_u128(&mut self, value: u128) {
        let low = u64::try_from(value & u128::from(u64::MAX)).unwrap_or_default();
        match value >> 64 {
            1 => self.mix_time(low, self.now.holder.0),
            2 => self.mix_time(low, self.now.voter.0),
            _ => self.write(&value.to_le_bytes()),
        }
    }
}

impl Election {
    /// The same for two elections that will do the same from here on, but for the time of day.
    pub fn fingerprint(&self, now: Now) -> u64 {
        let timing = &self.timing;
        // How far back anything looks: freshness, confirmation, the age of a poll round.
        let longest = [
            timing.lease,
            timing.contender_freshness(),
            timing.renew_interval * 2,
            timing.standby_interval + timing.retransmit,
        ];
        let longest = longest.into_iter().max().unwrap_or_default() + Duration::from_millis(10);
        let mut hasher = Relative { state: 0, now, horizon: nanoseconds(longest) };
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Visits every number that is only compared.
    pub fn numbers(&mut self, visit: &mut Visitor<'_>) {
        self.contender.numbers(visit);
        if let Some(voter) = &mut self.voter {
            voter.numbers(visit);
        }
    }

    /// Visits the numbers of others' requests that this node has still to answer.
    pub fn owed_answers(&mut self, visit: &mut Visitor<'_>) {
        if let Some(voter) = &mut self.voter {
            voter.owed_answers(visit);
        }
    }

    /// Forgets the requests that no answer will ever come to: they are only matched by it.
    pub fn forget_requests(&mut self, awaited: &dyn Fn(u64) -> bool) {
        self.contender.tracker_mut().forget_requests(awaited);
    }
}
