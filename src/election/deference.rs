//! The bully rule, as a voter realises it: of those who could lead, the highest id first.
//!
//! This is not safety; it decides who wins a vacancy, never whether two may. A contender is
//! deferred to only while it is fresh and says that it reaches a majority itself, and only for
//! a bounded time in each vacancy. So a node that cannot reach a majority never holds up one
//! that can.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::VoterTime;

/// The most contenders that a voter keeps in mind.
pub(crate) const CONTENDERS_MAX: usize = 16;

#[derive(Clone, Debug, Hash)]
struct Entry {
    process: Process,
    heard: VoterTime,
    /// Since when it has said, without a break, that it reaches a majority.
    connected_since: Option<VoterTime>,
}

/// Who might lead, and who is being waited for.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Deference {
    contenders: BTreeMap<NodeId, Entry>,
    freshness: Duration,
    patience: Duration,
    /// Until when each is waited for that has had a turn in this vacancy. Apart from the
    /// contenders, for whoever falls out of that table and comes back gets no other; nor does
    /// anybody if this one is full.
    turns: BTreeMap<Process, VoterTime>,
    nominee: Option<(NodeId, VoterTime)>,
    /// Set in the first vacancy after founding: until when any higher node in sight is waited
    /// for, connected or not.
    first: Option<First>,
}

#[derive(Clone, Debug, Hash)]
enum First {
    Due,
    Until(VoterTime),
}

impl Deference {
    /// `freshness`: how long a contender counts after it was heard. `patience`: W_d.
    pub(crate) fn new(freshness: Duration, patience: Duration) -> Self {
        Self {
            contenders: BTreeMap::new(),
            freshness,
            patience,
            turns: BTreeMap::new(),
            nominee: None,
            first: None,
        }
    }

    /// The first vacancy after founding is about to begin: a simultaneous start should elect
    /// the highest id, though nobody has had the time to show that it reaches a majority.
    pub(crate) fn expect_simultaneous_start(&mut self) {
        self.first = Some(First::Due);
    }

    /// Notes that an eligible contender was heard.
    pub(crate) fn hear(&mut self, process: Process, connected: bool, now: VoterTime) {
        let known = self.contenders.get(&process.id).filter(|entry| entry.process == process);
        let since = known.and_then(|entry| entry.connected_since);
        let connected_since = if connected { Some(since.unwrap_or(now)) } else { None };
        let entry = Entry { process, heard: now, connected_since };
        self.contenders.insert(process.id, entry);
        if self.contenders.len() > CONTENDERS_MAX {
            // Whoever is gone first, then the lowest: it would not be waited for anyway. To drop
            // whoever was heard least lately would let a thousand newcomers displace each other.
            let worth = |(id, entry): &(&NodeId, &Entry)| {
                let fresh = self.is_fresh(entry, now);
                (fresh, if fresh { VoterTime(0) } else { entry.heard }, **id)
            };
            if let Some(id) = self.contenders.iter().min_by_key(worth).map(|(id, _)| *id) {
                self.contenders.remove(&id);
            }
        }
    }

    /// Takes a process out: its grant ran out, or it gave up.
    pub(crate) fn remove(&mut self, process: Process) {
        let known = self.contenders.get(&process.id).is_some_and(|entry| entry.process == process);
        if known && !mutant::is(Mutant::DeadContenderDeferredTo) {
            self.contenders.remove(&process.id);
        }
    }

    /// A process says that it may not lead at present. Its turn in this vacancy stays spent.
    pub(crate) fn withdraw(&mut self, process: Process) {
        let known = self.contenders.get_mut(&process.id);
        if let Some(entry) = known.filter(|entry| entry.process == process) {
            entry.connected_since = None;
        }
    }

    /// A release named its successor, which comes first for one W_d.
    pub(crate) fn nominate(&mut self, nominee: Option<NodeId>, now: VoterTime) {
        self.nominee = nominee.map(|id| (id, now.plus(self.patience)));
    }

    /// A tenure has begun: the next vacancy starts afresh.
    pub(crate) fn settle(&mut self) {
        self.nominee = None;
        self.first = None;
        self.turns.clear();
    }

    /// Everybody heard of, fresh or not: whom to tell of a vacancy that lasts.
    pub(crate) fn known(&self) -> impl Iterator<Item = Process> {
        self.contenders.values().map(|entry| entry.process)
    }

    /// Those that were heard of lately.
    pub(crate) fn fresh(&self, now: VoterTime) -> impl Iterator<Item = Process> {
        let fresh = move |entry: &&Entry| self.is_fresh(entry, now);
        self.contenders.values().filter(fresh).map(|entry| entry.process)
    }

    /// The best contender and how long it has been connected, other than the holder.
    pub(crate) fn standby(&self, holder: NodeId, now: VoterTime) -> Option<(Process, Duration)> {
        let entry = self.contenders.values().rev().find(|entry| {
            entry.process.id != holder
                && self.is_fresh(entry, now)
                && entry.connected_since.is_some()
        })?;
        Some((entry.process, now.since(entry.connected_since?)))
    }

    fn is_fresh(&self, entry: &Entry, now: VoterTime) -> bool {
        now.since(entry.heard) <= self.freshness || mutant::is(Mutant::DeadContenderDeferredTo)
    }

    /// Whom a claim of `claimant` in a vacancy would have to wait for at this moment. Asking
    /// starts the wait. `in_sight` is the highest eligible node that membership knows.
    pub(crate) fn ahead_of(
        &mut self,
        claimant: NodeId,
        in_sight: Option<NodeId>,
        now: VoterTime,
    ) -> Option<NodeId> {
        if let Some((nominee, until)) = self.nominee {
            if now < until {
                return (nominee != claimant).then_some(nominee);
            }
            self.nominee = None;
        }
        self.first_ahead_of(claimant, in_sight, now)
            .or_else(|| self.connected_ahead_of(claimant, now))
    }

    fn first_ahead_of(
        &mut self,
        claimant: NodeId,
        in_sight: Option<NodeId>,
        now: VoterTime,
    ) -> Option<NodeId> {
        let until = match self.first.as_ref()? {
            First::Due => now.plus(self.patience),
            First::Until(until) => *until,
        };
        self.first = Some(First::Until(until));
        if now >= until {
            return None;
        }
        let heard = self.contenders.last_key_value().map(|(id, _)| *id);
        heard.max(in_sight).filter(|highest| *highest > claimant)
    }

    fn connected_ahead_of(&mut self, claimant: NodeId, now: VoterTime) -> Option<NodeId> {
        let best = self.contenders.values().rev().find(|entry| {
            let over = self.turns.get(&entry.process).is_some_and(|until| now >= *until);
            let waits = !over || mutant::is(Mutant::DeadContenderDeferredTo);
            waits && entry.connected_since.is_some() && self.is_fresh(entry, now)
        });
        let best = best.map(|entry| entry.process).filter(|best| best.id > claimant)?;
        if self.turns.len() >= CONTENDERS_MAX && !self.turns.contains_key(&best) {
            return None;
        }
        self.turns.entry(best).or_insert_with(|| now.plus(self.patience));
        Some(best.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::Boot;

    const PATIENCE: Duration = Duration::from_millis(30);

    fn process(number: u64) -> Process {
        Process { id: NodeId::new(number).unwrap(), boot: Boot { start: 1, nonce: number } }
    }

    fn at(milliseconds: u64) -> VoterTime {
        VoterTime(milliseconds * 1_000_000)
    }

    fn deference() -> Deference {
        Deference::new(Duration::from_millis(500), PATIENCE)
    }

    #[test]
    fn a_higher_connected_contender_comes_first_and_is_then_passed_over() {
        let mut deference = deference();
        deference.hear(process(3), true, at(0));
        let claimant = process(2).id;
        assert_eq!(deference.ahead_of(claimant, None, at(1)), Some(process(3).id));
        assert_eq!(deference.ahead_of(claimant, None, at(30)), Some(process(3).id));
        assert_eq!(deference.ahead_of(claimant, None, at(31)), None);
        deference.hear(process(3), true, at(40));
        assert_eq!(deference.ahead_of(claimant, None, at(41)), None, "once per vacancy");
    }

    #[test]
    fn whoever_reaches_no_majority_is_not_waited_for() {
        let mut deference = deference();
        deference.hear(process(3), false, at(0));
        assert_eq!(deference.ahead_of(process(2).id, None, at(1)), None);
    }

    #[test]
    fn a_stale_contender_is_not_waited_for() {
        let mut deference = deference();
        deference.hear(process(3), true, at(0));
        assert_eq!(deference.ahead_of(process(2).id, None, at(501)), None);
    }

    #[test]
    fn a_simultaneous_start_waits_for_whoever_is_in_sight_once() {
        let mut deference = deference();
        deference.expect_simultaneous_start();
        let highest = Some(process(5).id);
        assert_eq!(deference.ahead_of(process(2).id, highest, at(1)), highest);
        assert_eq!(deference.ahead_of(process(2).id, highest, at(31)), None);
    }

    #[test]
    fn a_nominee_comes_first_even_before_a_higher_one() {
        let mut deference = deference();
        deference.hear(process(9), true, at(0));
        deference.nominate(Some(process(2).id), at(0));
        assert_eq!(deference.ahead_of(process(9).id, None, at(1)), Some(process(2).id));
        assert_eq!(deference.ahead_of(process(2).id, None, at(1)), None);
        assert_eq!(deference.ahead_of(process(9).id, None, at(31)), None);
    }

    #[test]
    fn however_many_contend_a_vacancy_is_waited_out() {
        let mut deference = deference();
        let claimant = process(1).id;
        let deferred = (0..2000).filter(|now| {
            // One after another out of a hundred, so that each falls out of the table.
            deference.hear(process(2 + now * 37 % 100), true, at(*now));
            deference.ahead_of(claimant, None, at(*now)).is_some()
        });
        assert!(deferred.count() <= CONTENDERS_MAX * 30);
    }

    #[test]
    fn the_highest_are_kept_in_mind_but_not_when_they_are_gone() {
        let mut deference = deference();
        (1..=20).for_each(|number| deference.hear(process(number), true, at(0)));
        let lowest = deference.known().map(|process| process.id.number()).min();
        assert_eq!(lowest, Some(5));
        deference.hear(process(1), true, at(501));
        assert!(deference.known().any(|known| known == process(1)));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut deference = deference();
        for number in 1..100 {
            deference.hear(process(number), true, at(number));
        }
        assert_eq!(deference.known().count(), CONTENDERS_MAX);
    }

    #[test]
    fn who_comes_first_by_turns_is_not_waited_for_anew() {
        let mut deference = deference();
        let claimant = process(1).id;
        deference.hear(process(2), true, at(0));
        assert_eq!(deference.ahead_of(claimant, None, at(0)), Some(process(2).id));
        deference.hear(process(3), true, at(10));
        assert_eq!(deference.ahead_of(claimant, None, at(10)), Some(process(3).id));
        deference.hear(process(3), false, at(20));
        assert_eq!(deference.ahead_of(claimant, None, at(29)), Some(process(2).id));
        assert_eq!(deference.ahead_of(claimant, None, at(30)), None);
        deference.hear(process(3), true, at(35));
        assert_eq!(deference.ahead_of(claimant, None, at(39)), Some(process(3).id));
        deference.withdraw(process(3));
        assert_eq!(deference.ahead_of(claimant, None, at(39)), None);
        deference.hear(process(3), true, at(40));
        assert_eq!(deference.ahead_of(claimant, None, at(40)), None);
    }
}
