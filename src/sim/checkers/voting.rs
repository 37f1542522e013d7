//! I3, I4 and I5: what holders count on, against what voters owe.
//!
//! Times are true time. A grant must outlast its count by the whole margin δ, not just by an
//! instant: the margin is for what a holder does between looking and acting, so nothing of it
//! may be used up by the clocks.

use std::collections::BTreeMap;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::MARGIN;

/// Allowed for the rounding of nanoseconds on the way from one clock to another.
const ROUNDING: u64 = 2_000;

/// What a voter owes at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterState {
    /// The grant in force: to whom, for which ballot, until when.
    pub grant: Option<(Process, u64, u64)>,
    /// Until when it waits out its own restart.
    pub quarantine_until: Option<u64>,
    /// The highest ballot it knows.
    pub max_ballot: u64,
    /// The highest ballot it says is durable.
    pub durable_ballot: u64,
    /// Whether it may grant to anybody.
    pub may_grant: bool,
}

#[derive(Debug, Default)]
struct Memory {
    /// None while its process is down.
    state: Option<VoterState>,
    /// The highest ballot it has ever had, by its own word, durable.
    durable_ballot: u64,
    /// The ballot it granted last, and to whom.
    granted: Option<(u64, Process)>,
    /// The highest term that it helped to begin, whatever it has forgotten since.
    helped: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Voting {
    voters: BTreeMap<NodeId, Memory>,
    counts: BTreeMap<Process, Vec<(NodeId, u64)>>,
}

impl Voting {
    /// What a node is from `at` on: what it owes as a voter, if it is one, and the grants that
    /// its process counts on, each with its end: none if it neither leads nor claims. Both at
    /// once, since a process that is both changes both in one step.
    ///
    /// # Errors
    /// The first promise it breaks.
    pub fn observe(
        &mut self,
        at: u64,
        process: Process,
        owes: Option<VoterState>,
        mut counts: Vec<(NodeId, u64)>,
    ) -> Verdict {
        counts.retain(|(_, until)| *until > at);
        let votes = owes.is_some();
        if let Some(state) = owes {
            self.note_voter(at, process.id, state)?;
        }
        for (voter, until) in &counts {
            self.check_outlasts(at, process, *voter, *until)?;
            self.check_alone(at, process, *voter)?;
        }
        if counts.is_empty() {
            self.counts.remove(&process);
        } else {
            self.counts.insert(process, counts);
        }
        if votes {
            self.check_debts(at, process.id)?;
        }
        Ok(())
    }

    fn note_voter(&mut self, at: u64, id: NodeId, state: VoterState) -> Verdict {
        let memory = self.voters.entry(id).or_default();
        let floor = memory.state.as_ref().map_or(memory.durable_ballot, |last| last.max_ballot);
        if state.max_ballot < floor {
            let sentence =
                format!("voter {id} knew ballot {floor} and now says {}", state.max_ballot);
            return Err(Violation::new(at, Invariant::RisingBallots, sentence));
        }
        // Whoever has forgotten a claim that came to nothing need not learn of it again.
        if state.may_grant && state.max_ballot < memory.helped {
            let sentence = format!(
                "voter {id} helped to begin term {}, and votes again from ballot {}",
                memory.helped, state.max_ballot
            );
            return Err(Violation::new(at, Invariant::RisingBallots, sentence));
        }
        if let Some((holder, ballot, _)) = state.grant {
            match memory.granted {
                Some((last, other)) if last == ballot && other != holder => {
                    let sentence =
                        format!("voter {id} gave ballot {ballot} to {other}, and to {holder}");
                    return Err(Violation::new(at, Invariant::OneHolder, sentence));
                }
                _ => memory.granted = Some((ballot, holder)),
            }
        }
        memory.durable_ballot = memory.durable_ballot.max(state.durable_ballot);
        memory.state = Some(state);
        Ok(())
    }

    /// Whether voter `id` still owes everybody what they count on.
    fn check_debts(&self, at: u64, id: NodeId) -> Verdict {
        for (process, counts) in &self.counts {
            for (voter, until) in counts.iter().filter(|(voter, _)| *voter == id) {
                self.check_outlasts(at, *process, *voter, *until)?;
            }
        }
        Ok(())
    }

    /// Voter `id` is down. What it owes is settled by how it comes back.
    pub fn voter_down(&mut self, id: NodeId) {
        self.voters.entry(id).or_default().state = None;
    }

    /// Voter `id` lost its record, and cannot be blamed for what it forgot.
    pub fn voter_wiped(&mut self, id: NodeId) {
        let memory = self.voters.entry(id).or_default();
        *memory = Memory { helped: memory.helped, ..Memory::default() };
    }

    /// `process` leads in this term.
    pub fn leads(&mut self, process: Process, term: u64) {
        for memory in self.voters.values_mut() {
            if memory.granted == Some((term, process)) {
                memory.helped = memory.helped.max(term);
            }
        }
    }

    /// What a sound disk says when voter `id` starts from it.
    ///
    /// # Errors
    /// If it says less than the voter said was durable.
    pub fn voter_starts(&mut self, at: u64, id: NodeId, on_disk: u64) -> Verdict {
        let memory = self.voters.entry(id).or_default();
        memory.state = None;
        if on_disk < memory.durable_ballot {
            let sentence = format!(
                "voter {id} said that ballot {} was durable, and its disk has {on_disk}",
                memory.durable_ballot
            );
            return Err(Violation::new(at, Invariant::RisingBallots, sentence));
        }
        memory.durable_ballot = on_disk;
        Ok(())
    }

    /// The process is no more.
    pub fn holder_down(&mut self, process: Process) {
        self.counts.remove(&process);
    }

    fn check_outlasts(&self, at: u64, process: Process, voter: NodeId, until: u64) -> Verdict {
        let Some(state) = self.voters.get(&voter).and_then(|memory| memory.state.as_ref()) else {
            return Ok(());
        };
        if until <= at {
            return Ok(());
        }
        let needed = until.saturating_add(nanoseconds(MARGIN)) - ROUNDING;
        let (granted_to, granted_until) = match &state.grant {
            Some((holder, _, end)) if *end > at => (Some(*holder), *end),
            _ => (None, 0),
        };
        let waits = state.quarantine_until.is_some_and(|end| end >= needed);
        let elsewhere = granted_to.is_some_and(|holder| holder != process);
        let held = granted_to == Some(process) && granted_until >= needed;
        let mute = !state.may_grant && state.quarantine_until.is_none();
        if !elsewhere && (held || waits || mute) {
            return Ok(());
        }
        let sentence = format!(
            "{process} counts on voter {voter} until {} µs, but the voter says {state:?}",
            until / 1000
        );
        Err(Violation::new(at, Invariant::GrantOutlasts, sentence))
    }

    fn check_alone(&self, at: u64, process: Process, voter: NodeId) -> Verdict {
        let rival = self.counts.iter().find(|(other, counts)| {
            **other != process && counts.iter().any(|(id, until)| *id == voter && *until > at)
        });
        let Some((other, _)) = rival else { return Ok(()) };
        let sentence = format!("{process} and {other} both count on voter {voter}");
        Err(Violation::new(at, Invariant::OneHolder, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    const MILLI: u64 = 1_000_000;

    fn voter() -> NodeId {
        NodeId::new(9).unwrap()
    }

    fn granted(id: u64, until: u64) -> VoterState {
        let grant = Some((process(id, 1), 1, until * MILLI));
        VoterState { grant, max_ballot: 1, may_grant: true, ..VoterState::default() }
    }

    fn owe(voting: &mut Voting, at: u64, state: VoterState) -> Verdict {
        voting.observe(at, process(9, 1), Some(state), vec![])
    }

    fn count(voting: &mut Voting, at: u64, id: u64, until: u64) -> Verdict {
        voting.observe(at * MILLI, process(id, 1), None, vec![(voter(), until * MILLI)])
    }

    #[test]
    fn a_grant_that_outlasts_its_count_by_the_margin_is_well() {
        let mut voting = Voting::default();
        owe(&mut voting, MILLI, granted(1, 600)).unwrap();
        count(&mut voting, 2, 1, 580).unwrap();
        assert_eq!(count(&mut voting, 3, 1, 581).unwrap_err().invariant, Invariant::GrantOutlasts);
    }

    #[test]
    fn a_voter_that_lets_go_too_early_is_found() {
        let mut voting = Voting::default();
        owe(&mut voting, MILLI, granted(1, 600)).unwrap();
        count(&mut voting, 2, 1, 500).unwrap();
        let free = VoterState { max_ballot: 1, may_grant: true, ..VoterState::default() };
        let verdict = owe(&mut voting, 400 * MILLI, free.clone());
        assert_eq!(verdict.unwrap_err().invariant, Invariant::GrantOutlasts);
        owe(&mut voting, 501 * MILLI, free).unwrap();
    }

    #[test]
    fn a_restarted_voter_must_wait_long_enough() {
        let mut voting = Voting::default();
        owe(&mut voting, MILLI, granted(1, 600)).unwrap();
        count(&mut voting, 2, 1, 500).unwrap();
        voting.voter_down(voter());
        voting.voter_starts(100 * MILLI, voter(), 1).unwrap();
        let waiting = |until| VoterState {
            quarantine_until: Some(until * MILLI),
            max_ballot: 1,
            ..VoterState::default()
        };
        owe(&mut voting, 100 * MILLI, waiting(700)).unwrap();
        let verdict = owe(&mut voting, 101 * MILLI, waiting(510));
        assert_eq!(verdict.unwrap_err().invariant, Invariant::GrantOutlasts);
    }

    #[test]
    fn two_holders_of_one_voter_are_found() {
        let mut voting = Voting::default();
        count(&mut voting, 2, 1, 500).unwrap();
        assert_eq!(count(&mut voting, 3, 2, 700).unwrap_err().invariant, Invariant::OneHolder);
        count(&mut voting, 500, 2, 700).unwrap();
    }

    #[test]
    fn one_ballot_for_two_holders_is_found_even_after_the_first_gave_it_back() {
        let mut voting = Voting::default();
        owe(&mut voting, 1, granted(1, 600)).unwrap();
        let free = VoterState { max_ballot: 1, may_grant: true, ..VoterState::default() };
        owe(&mut voting, 2, free).unwrap();
        let verdict = owe(&mut voting, 3, granted(2, 600));
        assert_eq!(verdict.unwrap_err().invariant, Invariant::OneHolder);
    }

    #[test]
    fn a_falling_ballot_is_found_in_a_boot_and_across_boots() {
        let state = |max_ballot, durable_ballot| VoterState {
            max_ballot,
            durable_ballot,
            ..VoterState::default()
        };
        let mut voting = Voting::default();
        owe(&mut voting, 1, state(5, 4)).unwrap();
        let verdict = owe(&mut voting, 2, state(4, 4));
        assert_eq!(verdict.unwrap_err().invariant, Invariant::RisingBallots);
        voting.voter_down(voter());
        let verdict = voting.voter_starts(3, voter(), 3);
        assert_eq!(verdict.unwrap_err().invariant, Invariant::RisingBallots);
        voting.voter_starts(3, voter(), 4).unwrap();
        assert!(owe(&mut voting, 4, state(3, 3)).is_err());
        voting.voter_wiped(voter());
        owe(&mut voting, 5, state(1, 0)).unwrap();
    }

    #[test]
    fn a_voter_that_forgot_a_term_it_helped_to_begin_is_found() {
        let mut voting = Voting::default();
        owe(&mut voting, 1, granted(1, 600)).unwrap();
        voting.leads(process(1, 1), 1);
        voting.voter_wiped(voter());
        owe(&mut voting, 2, VoterState::default()).unwrap();
        let votes =
            |max_ballot| VoterState { max_ballot, may_grant: true, ..VoterState::default() };
        let verdict = owe(&mut voting, 3, votes(0));
        assert_eq!(verdict.unwrap_err().invariant, Invariant::RisingBallots);
        voting.voter_wiped(voter());
        owe(&mut voting, 4, votes(7)).unwrap();
    }
}
