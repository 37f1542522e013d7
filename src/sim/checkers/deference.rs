//! I11 and I12: for whom voters make others wait, and for how long.
//!
//! Deference decides who wins a vacancy, never whether two may. So it may only cost time, and
//! little of it: a voter may name a contender as coming first only if that one told it, a
//! moment ago, that it reaches a majority, or was nominated by the Goose that left; in its
//! first vacancy after founding it may name anybody, for one W_d. And while it has granted
//! nothing, it may not go on naming one for longer than everybody's turn takes.
//!
//! All times are the voter's own: what it waits for, it waits for by its own clock. What a node
//! says to its own voter is not seen on the wire; of that its own word is taken.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::VoterTime;
use crate::vocabulary::timing::Timing;
use crate::wire::message::{Message, NakReason, Release, Standing};

/// A voter keeps so many contenders in mind, and each has one turn.
const TURNS_MAX: u32 = 17;
/// A voter tells of a vacancy this often.
const NOTICE_INTERVAL: Duration = Duration::from_millis(100);
/// Allowed for timers that are late.
const LATENESS: Duration = Duration::from_millis(5);

/// When a process last said that it may lead and reaches a majority, and when that it does not.
/// What a voter says in the instant in which it hears the second may still follow from the first.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    contends: Option<VoterTime>,
    does_not: Option<VoterTime>,
}

#[derive(Debug, Default)]
struct Voter {
    /// What each process said of itself. A late word of one that is gone says nothing of the
    /// next one.
    heard: BTreeMap<Process, Word>,
    /// Who was nominated, and when last. An older Goose's word may come later.
    nominees: BTreeMap<NodeId, VoterTime>,
    /// When its own node last stepped down, and may have nominated anybody to it.
    stepped_down: Option<VoterTime>,
    /// When it first spoke after it was founded.
    founded: Option<Option<VoterTime>>,
    /// Since when it has named somebody, again and again, and when last, while it granted
    /// nothing.
    named: BTreeMap<NodeId, (VoterTime, VoterTime)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct DeferenceChecks {
    voters: BTreeMap<Process, Voter>,
}

impl DeferenceChecks {
    /// `voter` has taken in `message` of `from`; nothing that follows was judged yet.
    pub fn hears(&mut self, voter: Process, from: Process, now: VoterTime, message: &Message) {
        let voter = self.voters.entry(voter).or_default();
        match message {
            Message::Poll(poll) => voter.hears(from, poll.eligible && poll.quorum_connected, now),
            Message::Release { release, .. } => voter.nominates(release, now),
            Message::Acquire(acquire) => {
                if let Some(release) = &acquire.certificate {
                    voter.nominates(release, now);
                }
            }
            _ => {}
        }
    }

    /// `voter` was founded.
    pub fn founded(&mut self, voter: Process) {
        self.voters.entry(voter).or_default().founded = Some(None);
    }

    /// The node of `voter` stepped down. If it is the only voter, and its nominee cannot be told,
    /// nobody else hears whom it nominated.
    pub fn stepped_down(&mut self, voter: Process, now: VoterTime) {
        self.voters.entry(voter).or_default().stepped_down = Some(now);
    }

    /// `voter` has granted its vote to somebody.
    pub fn grants(&mut self, voter: Process) {
        if let Some(voter) = self.voters.get_mut(&voter) {
            voter.named.clear();
        }
    }

    /// The process is no more.
    pub fn ended(&mut self, voter: Process) {
        self.voters.remove(&voter);
    }

    /// `voter` says something.
    ///
    /// # Errors
    /// If it makes others wait for somebody who has no claim to that, or for too long.
    pub fn says(
        &mut self,
        at: u64,
        process: Process,
        now: VoterTime,
        timing: &Timing,
        message: &Message,
    ) -> Verdict {
        let named = match message {
            Message::Nak(nak) => match nak.reason {
                NakReason::Defer { to } => Some(to),
                _ => None,
            },
            Message::PollAck(answer) => answer.status.top_contender,
            Message::Vacant(status) => status.top_contender,
            Message::Release { release, .. } | Message::Handover(release) => {
                // Its own voter hears it, too.
                self.voters.entry(process).or_default().nominates(release, now);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let voter = self.voters.entry(process).or_default();
        let vacant = match message {
            Message::PollAck(answer) => answer.status.standing == Standing::Vacant,
            Message::Vacant(_) => true,
            _ => named.is_some(),
        };
        if let Some(first) = voter.founded.as_mut().filter(|_| vacant) {
            first.get_or_insert(now);
        }
        let Some(named) = named else { return Ok(()) };
        if named != process.id && !voter.may_name(named, now, timing) {
            let sentence = format!("{process} makes others wait for node {named}, in vain");
            return Err(Violation::new(at, Invariant::WorthWaiting, sentence));
        }
        let (since, last) = voter.named.entry(named).or_insert((now, now));
        if now.since(*last) > timing.deference * 4 + NOTICE_INTERVAL {
            // Nobody has asked meanwhile, or nobody was named: a new wait.
            *since = now;
        }
        *last = now;
        let waited = now.since(*since);
        if waited > timing.deference * TURNS_MAX + LATENESS {
            let sentence =
                format!("{process} has made others wait for node {named} for {waited:?}");
            return Err(Violation::new(at, Invariant::BoundedWait, sentence));
        }
        Ok(())
    }
}

impl Voter {
    fn hears(&mut self, from: Process, contends: bool, now: VoterTime) {
        let known = self.heard.contains_key(&from);
        let word = self.heard.entry(from).or_default();
        *(if contends { &mut word.contends } else { &mut word.does_not }) = Some(now);
        if !known {
            // Another process has a turn of its own.
            self.named.remove(&from.id);
        }
    }

    fn nominates(&mut self, release: &Release, now: VoterTime) {
        if let Some(nominee) = release.nominee {
            self.nominees.insert(nominee, now);
        }
    }

    fn may_name(&self, named: NodeId, now: VoterTime, timing: &Timing) -> bool {
        let lately = |at: VoterTime, span: Duration| now.since(at) <= span + LATENESS;
        let contends = self.heard.iter().any(|(process, word)| {
            let fresh = word.contends.filter(|at| lately(*at, timing.contender_freshness()));
            let taken_back = |since| word.does_not.is_some_and(|at| at > since && at < now);
            process.id == named && fresh.is_some_and(|at| !taken_back(at))
        });
        let nominated = self.nominees.get(&named).is_some_and(|at| lately(*at, timing.deference));
        let by_itself = self.stepped_down.is_some_and(|at| lately(at, timing.deference));
        let first = self.founded.flatten().is_some_and(|at| lately(at, timing.deference));
        contends || nominated || by_itself || first
    }
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;
    use crate::vocabulary::timing::Profile;
    use crate::wire::message::{Nak, Poll};

    fn at(milliseconds: u64) -> VoterTime {
        VoterTime(milliseconds * 1_000_000)
    }

    fn poll(quorum_connected: bool) -> Message {
        Message::Poll(Poll { sequence: 1, quorum_connected, eligible: true, founding: false })
    }

    /// Voter 1 tells somebody to wait for node 5.
    fn defers(deference: &mut DeferenceChecks, now: u64) -> Verdict {
        let reason = NakReason::Defer { to: NodeId::new(5).unwrap() };
        let nak = Message::Nak(Nak { sequence: 1, ballot: 1, reason });
        deference.says(now, process(1, 1), at(now), &Timing::of(Profile::Lan), &nak)
    }

    fn broken(verdict: Verdict) -> Option<Invariant> {
        verdict.err().map(|violation| violation.invariant)
    }

    #[test]
    fn nobody_waits_for_who_does_not_say_that_it_reaches_a_majority() {
        let mut deference = DeferenceChecks::default();
        assert_eq!(broken(defers(&mut deference, 10)), Some(Invariant::WorthWaiting));
        deference.hears(process(1, 1), process(5, 1), at(20), &poll(false));
        assert_eq!(broken(defers(&mut deference, 21)), Some(Invariant::WorthWaiting));
        deference.hears(process(1, 1), process(5, 1), at(30), &poll(true));
        assert_eq!(defers(&mut deference, 31), Ok(()));
        // It may have died since.
        let fresh = Timing::of(Profile::Lan).contender_freshness().as_millis();
        let later = 100 + u64::try_from(fresh).unwrap();
        assert_eq!(broken(defers(&mut deference, later)), Some(Invariant::WorthWaiting));
    }

    #[test]
    fn a_nominee_and_the_first_vacancy_are_waited_for_once() {
        let nominee = NodeId::new(5).ok();
        let release = Release { holder: process(9, 1), ballot: 1, all: false, nominee };
        let mut deference = DeferenceChecks::default();
        let message = Message::Release { sequence: 1, release };
        deference.hears(process(1, 1), process(9, 1), at(0), &message);
        assert_eq!(defers(&mut deference, 30), Ok(()));
        assert_eq!(broken(defers(&mut deference, 50)), Some(Invariant::WorthWaiting));
        let mut deference = DeferenceChecks::default();
        deference.stepped_down(process(1, 1), at(100));
        assert_eq!(defers(&mut deference, 130), Ok(()));
        assert_eq!(broken(defers(&mut deference, 150)), Some(Invariant::WorthWaiting));
        let mut deference = DeferenceChecks::default();
        deference.founded(process(1, 1));
        assert_eq!(defers(&mut deference, 100), Ok(()));
        assert_eq!(defers(&mut deference, 130), Ok(()));
        assert_eq!(broken(defers(&mut deference, 150)), Some(Invariant::WorthWaiting));
    }

    #[test]
    fn nobody_is_waited_for_without_end_but_anew_after_a_grant() {
        let mut deference = DeferenceChecks::default();
        let wait = |deference: &mut DeferenceChecks, from: u64, until: u64| {
            (from..until).step_by(10).find_map(|now| {
                deference.hears(process(1, 1), process(5, 1), at(now), &poll(true));
                broken(defers(deference, now))
            })
        };
        assert_eq!(wait(&mut deference, 0, 500), None);
        deference.grants(process(1, 1));
        assert_eq!(wait(&mut deference, 500, 1000), None);
        assert_eq!(wait(&mut deference, 1000, 1100), Some(Invariant::BoundedWait));
    }
}
