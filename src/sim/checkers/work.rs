//! Two works of different nodes never overlap in real time, and none outlives its deadline.
//!
//! A Goose on paper is not yet one in deed: what counts is what is done under the lease, by a
//! process that nobody stops the instant the lease is over. Work on a suspended machine acts on
//! nothing. Once the machine resumes, it is over before long, and until then only its term tells
//! it from its successor.

use std::collections::BTreeMap;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::identity::Process;

/// Work that finds its lease over when its machine resumes is gone within so many nanoseconds.
const KILLED_AFTER_RESUME: u64 = 65_000_000;
/// Allowed for the rounding of nanoseconds on the way from one clock to another.
const ROUNDING: u64 = 2_000;

#[derive(Debug)]
struct Worker {
    process: Process,
    term: u64,
    /// When the lease is over under which it works, as far as its keeper was told.
    until: u64,
    paused: bool,
    /// Its machine was suspended until a moment ago.
    excused_until: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Works {
    /// What is alive, by a number of its own.
    alive: BTreeMap<u64, Worker>,
}

impl Works {
    /// Work begins.
    ///
    /// # Errors
    /// If other work is alive.
    pub fn begins(&mut self, at: u64, number: u64, process: Process, term: u64) -> Verdict {
        let acts = |other: &&Worker| !other.paused && other.excused_until <= at;
        let rival = self.alive.values().find(acts).map(|other| (other.process, other.term));
        let worker = Worker { process, term, until: u64::MAX, paused: false, excused_until: 0 };
        self.alive.insert(number, worker);
        let Some((other, elder)) = rival else { return Ok(()) };
        let sentence = format!(
            "work of {process} begins in term {term} while work of {other} in term {elder} is alive"
        );
        Err(Violation::new(at, Invariant::OneWorker, sentence))
    }

    /// The lease under which it works is over at `until`.
    pub fn promised(&mut self, number: u64, until: u64) {
        if let Some(worker) = self.alive.get_mut(&number) {
            worker.until = until;
        }
    }

    /// Its machine is suspended, or goes on.
    pub fn paused(&mut self, at: u64, number: u64, paused: bool) {
        if let Some(worker) = self.alive.get_mut(&number) {
            if worker.paused && !paused {
                worker.excused_until = at + KILLED_AFTER_RESUME;
            }
            worker.paused = paused;
        }
    }

    /// Whether any work of `process` is alive.
    pub fn works(&self, process: Process) -> bool {
        self.alive.values().any(|worker| worker.process == process)
    }

    /// Nothing of it is left.
    ///
    /// # Errors
    /// If its lease was over before that.
    pub fn ended(&mut self, at: u64, number: u64) -> Verdict {
        let Some(worker) = self.alive.remove(&number) else { return Ok(()) };
        // A machine that loses its power while it sleeps has not acted since.
        if worker.paused || at <= worker.until.saturating_add(ROUNDING).max(worker.excused_until) {
            return Ok(());
        }
        let sentence = format!(
            "work of {} in term {} outlived its lease by {} µs",
            worker.process,
            worker.term,
            (at - worker.until) / 1000
        );
        Err(Violation::new(at, Invariant::WorkEndsInTime, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn work_that_begins_beside_other_work_is_found() {
        let mut works = Works::default();
        works.begins(10, 1, process(1, 1), 1).unwrap();
        works.promised(1, 100);
        assert!(works.works(process(1, 1)));
        works.ended(90, 1).unwrap();
        works.begins(95, 2, process(2, 1), 2).unwrap();
        let broken = works.begins(99, 3, process(3, 1), 3).unwrap_err();
        assert_eq!(broken.invariant, Invariant::OneWorker);
    }

    #[test]
    fn work_that_outlives_its_lease_is_found() {
        let mut works = Works::default();
        works.begins(10, 1, process(1, 1), 1).unwrap();
        works.promised(1, 100 * MILLI);
        let broken = works.ended(101 * MILLI, 1).unwrap_err();
        assert_eq!(broken.invariant, Invariant::WorkEndsInTime);
    }

    #[test]
    fn what_a_suspended_machine_does_is_excused_until_shortly_after_it_resumes() {
        let mut works = Works::default();
        works.begins(10, 1, process(1, 1), 1).unwrap();
        works.promised(1, 100 * MILLI);
        works.paused(50 * MILLI, 1, true);
        works.begins(200 * MILLI, 2, process(2, 1), 2).unwrap();
        works.paused(300 * MILLI, 1, false);
        works.ended(300 * MILLI, 2).unwrap();
        works.begins(310 * MILLI, 3, process(2, 1), 2).unwrap();
        let broken = works.ended(400 * MILLI, 1).unwrap_err();
        assert_eq!(broken.invariant, Invariant::WorkEndsInTime);
    }
}
