//! I1 and I2: who is Goose when, and under which term.
//!
//! A process is Goose from the moment its lease is first shown until the lease ends by its
//! own clock, frozen or not: a frozen process may have been about to act. So intervals of
//! true time are compared, and two overlap exactly if one is shown while the other runs.

use std::collections::BTreeMap;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::identity::Process;

#[derive(Debug)]
struct Reign {
    term: u64,
    /// The first instant at which it is over, if its clock goes on as it does.
    end: u64,
}

#[derive(Debug)]
struct Tenure {
    holder: Process,
    over: bool,
    /// It began while a voter was two processes: its number is no promise.
    void: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Leadership {
    reigns: BTreeMap<Process, Reign>,
    terms: BTreeMap<u64, Tenure>,
    /// Whether a voter is two processes at present.
    pub twins: bool,
}

impl Leadership {
    /// The lease of `process` as it stands at `at`: its term, and when it ends in true time.
    ///
    /// # Errors
    /// The first promise it breaks.
    pub fn observe(&mut self, at: u64, process: Process, lease: Option<(u64, u64)>) -> Verdict {
        self.observe_late(at, process, lease, false)
    }

    /// As [`Leadership::observe`]. `late`: the process shows only now what it decided a while ago,
    /// so that its lease may have seemed to be over in between, and nobody else's has begun.
    ///
    /// # Errors
    /// The first promise it breaks.
    pub fn observe_late(
        &mut self,
        at: u64,
        process: Process,
        lease: Option<(u64, u64)>,
        late: bool,
    ) -> Verdict {
        let Some((term, end)) = lease.filter(|(_, end)| *end > at) else {
            // Whether it renewed the lease in time, it has yet to show.
            if lease.is_none() || !late {
                self.ended(process);
            }
            return Ok(());
        };
        let goes_on = |last: &Reign| (last.end > at || late) && last.term == term;
        let began = !self.reigns.get(&process).is_some_and(goes_on);
        if began {
            self.ended(process);
        }
        let mut verdict = self.check_overlap(at, process, term);
        if began {
            verdict = verdict.and(self.check_term(at, process, term));
            self.terms.insert(term, Tenure { holder: process, over: false, void: self.twins });
        }
        // Noted even if it is wrong: where that is excused, it is so once and for all.
        self.reigns.insert(process, Reign { term, end });
        verdict
    }

    /// The process is no longer Goose, or is no more.
    pub fn ended(&mut self, process: Process) {
        if let Some(reign) = self.reigns.remove(&process)
            && let Some(tenure) = self.terms.get_mut(&reign.term)
        {
            tenure.over = true;
        }
    }

    /// How many terms there have been.
    pub fn terms(&self) -> usize {
        self.terms.len()
    }

    /// Whether the term began while a voter was two processes, so that its number is no promise.
    pub fn is_void(&self, term: u64) -> bool {
        self.terms.get(&term).is_some_and(|tenure| tenure.void)
    }

    fn check_overlap(&self, at: u64, process: Process, term: u64) -> Verdict {
        let rival = self.reigns.iter().find(|(other, reign)| **other != process && reign.end > at);
        let Some((other, reign)) = rival else { return Ok(()) };
        let sentence = format!(
            "{process} is Goose of term {term} while {other} is Goose of term {} for another {} µs",
            reign.term,
            (reign.end - at) / 1000
        );
        Err(Violation::new(at, Invariant::OneGoose, sentence))
    }

    fn check_term(&self, at: u64, process: Process, term: u64) -> Verdict {
        let promised = |(_, tenure): &(&u64, &Tenure)| !tenure.void;
        let earlier = self.terms.get(&term).filter(|tenure| !tenure.void);
        let sentence = match (earlier, self.terms.iter().rev().find(promised)) {
            (Some(tenure), _) => format!(
                "term {term} of {} {} and {process} begins it again",
                tenure.holder,
                if tenure.over { "was over" } else { "runs" },
            ),
            (None, Some((highest, _))) if *highest > term => {
                format!("{process} begins term {term} after term {highest}")
            }
            _ => return Ok(()),
        };
        Err(Violation::new(at, Invariant::RisingTerms, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    fn broken(verdict: Verdict) -> Invariant {
        verdict.unwrap_err().invariant
    }

    #[test]
    fn one_goose_after_another_is_well() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((1, 100))).unwrap();
        leadership.observe(50, process(1, 1), Some((1, 150))).unwrap();
        leadership.observe(150, process(2, 1), Some((2, 300))).unwrap();
        leadership.observe(160, process(1, 1), None).unwrap();
        leadership.observe(200, process(2, 1), None).unwrap();
        leadership.observe(210, process(1, 1), Some((5, 400))).unwrap();
        assert_eq!(leadership.terms(), 3);
    }

    #[test]
    fn a_term_that_began_with_twins_may_begin_again_and_no_other() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((4, 50))).unwrap();
        leadership.twins = true;
        leadership.observe(60, process(2, 1), Some((5, 100))).unwrap();
        assert!(leadership.is_void(5) && !leadership.is_void(4) && !leadership.is_void(6));
        leadership.twins = false;
        leadership.observe(110, process(3, 1), Some((5, 150))).unwrap();
        let verdict = leadership.observe(160, process(2, 1), Some((5, 200)));
        assert_eq!(broken(verdict), Invariant::RisingTerms);
        let verdict = leadership.observe(210, process(1, 1), Some((4, 250)));
        assert_eq!(broken(verdict), Invariant::RisingTerms);
    }

    #[test]
    fn two_geese_are_found_even_if_one_is_frozen() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((1, 100))).unwrap();
        let verdict = leadership.observe(99, process(2, 1), Some((2, 300)));
        assert_eq!(broken(verdict), Invariant::OneGoose);
    }

    #[test]
    fn two_processes_of_one_id_are_two() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((1, 100))).unwrap();
        let verdict = leadership.observe(50, process(1, 2), Some((2, 300)));
        assert_eq!(broken(verdict), Invariant::OneGoose);
    }

    #[test]
    fn a_dead_process_reigns_no_more() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((1, 100))).unwrap();
        leadership.ended(process(1, 1));
        leadership.observe(20, process(2, 1), Some((2, 300))).unwrap();
    }

    #[test]
    fn a_lower_term_is_found() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((7, 100))).unwrap();
        let verdict = leadership.observe(100, process(2, 1), Some((6, 300)));
        assert_eq!(broken(verdict), Invariant::RisingTerms);
    }

    #[test]
    fn a_term_has_one_interval_and_one_holder() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((7, 100))).unwrap();
        let verdict = leadership.observe(101, process(1, 1), Some((7, 300)));
        assert_eq!(broken(verdict), Invariant::RisingTerms);
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((7, 100))).unwrap();
        let verdict = leadership.observe(101, process(2, 1), Some((7, 300)));
        assert_eq!(broken(verdict), Invariant::RisingTerms);
    }

    #[test]
    fn whoever_is_late_has_not_lost_its_term_by_that() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((7, 100))).unwrap();
        leadership.observe_late(150, process(1, 1), Some((7, 100)), true).unwrap();
        leadership.observe_late(160, process(1, 1), Some((7, 300)), true).unwrap();
        // It showed that it gave up, and it was not late.
        for (lease, late) in [(None, true), (Some((7, 300)), false)] {
            let mut leadership = Leadership::default();
            leadership.observe(10, process(1, 1), Some((7, 100))).unwrap();
            leadership.observe_late(310, process(1, 1), lease, late).unwrap();
            let verdict = leadership.observe_late(320, process(1, 1), Some((7, 900)), true);
            assert_eq!(broken(verdict), Invariant::RisingTerms);
        }
    }

    #[test]
    fn a_broken_promise_is_told_once() {
        let mut leadership = Leadership::default();
        leadership.observe(10, process(1, 1), Some((7, 100))).unwrap();
        let verdict = leadership.observe(101, process(2, 1), Some((7, 300)));
        assert_eq!(broken(verdict), Invariant::RisingTerms);
        leadership.observe(110, process(2, 1), Some((7, 310))).unwrap();
    }
}
