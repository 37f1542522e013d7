//! Changing who votes: by the Goose, one voter at a time.
//!
//! ```text
//!   order ──▶ rewritten under this term ──a majority stands by it──▶ next voter set ──┐
//!                                                 ▲                                   │
//!   learners grant again and again, and wait ─────┘◀──────── until it is the goal ◀───┘
//! ```
//!
//! A configuration counts from the moment it is made, and may be lost with the Goose that made it.
//! Two rules keep two Geese from counting majorities that do not meet: the Goose changes nothing
//! before a majority holds its grant and stands by exactly the configuration before, made in its
//! own term (the bug that Ongaro described in 2015 for Raft's changes of one server is the lack of
//! this); and its live grants must be a majority of the new set, too, or its own lease would lapse
//! with the change.

use super::lease::{self, Tenure};
use super::tracker::ProgressTracker;
use super::{Contender, Role};
use crate::election::outbox::Outbox;
use crate::vocabulary::configuration::{Configuration, VOTERS_MAX, VoterSet};
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::voter_change::{ChangeHold, VoterChange, VoterGoal};

/// What comes next on the way to a goal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is reached.
    Done,
    /// Nothing, for this reason.
    Wait(ChangeHold),
    /// This configuration.
    To(Configuration),
}

/// See the module.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Reconfiguration {
    change: Option<VoterChange>,
    /// A voter stands by a configuration that an earlier Goose left half done: this one has to go
    /// above it.
    is_overtaken: bool,
}

impl Reconfiguration {
    /// From here on the Goose leads to this.
    pub(super) fn pursue(&mut self, goal: VoterGoal) {
        self.change = Some(VoterChange { goal, hold: ChangeHold::Commit });
    }

    /// It goes on once this is over.
    pub(super) fn wait_for(&mut self, hold: ChangeHold) {
        if let Some(change) = &mut self.change {
            change.hold = hold;
        }
    }

    /// The change of voters under way, as it stood when it was looked at last.
    pub(super) fn change(&self) -> Option<&VoterChange> {
        self.change.as_ref()
    }

    /// It leads to nothing any more.
    pub(super) fn give_up(&mut self) {
        self.change = None;
        self.is_overtaken = false;
    }

    /// A voter refuses, for it stands by a newer configuration of an earlier term.
    pub(super) fn overtake(&mut self) {
        self.is_overtaken = true;
    }

    /// Whether there is anything to do.
    pub(super) fn is_wanted(&self) -> bool {
        self.change.is_some() || self.is_overtaken
    }

    /// What comes next for the Goose of `term`. For another set of voters it counts only on those
    /// that have answered since `heard_since`, or it would be deaf the moment it leads there.
    pub(super) fn next(
        &self,
        term: u64,
        tracker: &ProgressTracker,
        heard_since: HolderTime,
        now: HolderTime,
    ) -> Step {
        let present = tracker.configuration();
        if present.ballot != term && !mutant::is(Mutant::NoRewriteInOwnTerm) {
            return Step::To(present.rewritten(term));
        }
        if !tracker.is_committed(now) && !mutant::is(Mutant::ChangeWithoutCommit) {
            return Step::Wait(ChangeHold::Commit);
        }
        let Some(VoterChange { goal, .. }) = &self.change else { return Step::Done };
        let learning = absent(goal, present).filter(|id| !tracker.is_ready(*id, now)).collect();
        let voters = match next_set(goal, present, |id| tracker.answered(id)) {
            _ if !Vec::is_empty(&learning) => return Step::Wait(ChangeHold::Learning(learning)),
            Some(voters) => voters,
            None if present.automatic != goal.automatic => present.voters.clone(),
            None => return Step::Done,
        };
        let is_held = tracker.holds_majority_of(&voters, heard_since, now);
        if !is_held && !mutant::is(Mutant::NewMajorityNotHeld) {
            return Step::Wait(ChangeHold::Majority);
        }
        let automatic = goal.automatic;
        Step::To(Configuration { automatic, ..present.changed(term, voters) })
    }
}

/// Who is to vote and does not.
pub(super) fn absent(goal: &VoterGoal, present: &Configuration) -> impl Iterator<Item = NodeId> {
    let ids = goal.voters.ids().iter().copied();
    ids.filter(|id| !present.voters.contains(*id))
}

/// The set that differs by one voter from the present one and is nearer to the goal; none if that
/// is reached. Additions come first, so that no more can be lost meanwhile than before; and of those
/// who go, whoever `answered` longest ago, for it is gone first: the others are a majority for as long
/// as possible.
fn next_set(
    goal: &VoterGoal,
    present: &Configuration,
    answered: impl Fn(NodeId) -> Option<HolderTime>,
) -> Option<VoterSet> {
    let present = &present.voters;
    let missing = goal.voters.ids().iter().find(|id| !present.contains(**id));
    let surplus = present.ids().iter().filter(|id| !goal.voters.contains(**id));
    let surplus = surplus.min_by_key(|id| answered(**id));
    if mutant::is(Mutant::ChangesAtOnce) && missing.or(surplus).is_some() {
        return Some(goal.voters.clone());
    }
    let missing = missing.filter(|_| surplus.is_none() || !mutant::is(Mutant::RemovedBeforeAdded));
    match (missing, surplus) {
        (Some(missing), surplus) if surplus.is_none() || present.len() < VOTERS_MAX => {
            present.with(*missing).ok()
        }
        (_, Some(surplus)) => present.without(*surplus).ok(),
        _ => None,
    }
}

impl Contender {
    /// Takes a configuration over that others made. Not while it claims or leads: what it was
    /// elected by is what it goes on with. Returns whether it did.
    pub(in crate::election) fn take_over(
        &mut self,
        configuration: &Configuration,
        now: HolderTime,
    ) -> bool {
        let known = self.tracker.configuration();
        if !self.is_standby() || !known.is_older_than(configuration) {
            return false;
        }
        self.tracker.take_over(configuration.clone());
        self.candidacy.hear_ballot(configuration.ballot);
        self.poll_soon(now);
        true
    }

    /// As Goose, leads to other voters; these processes are not voters yet. Returns whether it
    /// leads.
    pub(in crate::election) fn change_voters(
        &mut self,
        goal: VoterGoal,
        learners: &[Process],
        now: HolderTime,
        outbox: &mut Outbox,
    ) -> bool {
        if self.tenure().is_none() {
            return false;
        }
        self.tracker.teach(learners, now);
        self.reconfiguration.pursue(goal);
        self.renew_soon(now);
        self.advance_change(now, outbox);
        true
    }

    /// Somebody stands by a configuration that an earlier Goose left half done.
    pub(in crate::election) fn overtake(&mut self) {
        self.reconfiguration.overtake();
    }

    /// The change of voters under way, if one is.
    pub(in crate::election) fn change(&self) -> Option<&VoterChange> {
        self.tenure().and(self.reconfiguration.change())
    }

    fn renew_soon(&mut self, now: HolderTime) {
        if let Role::Goose(tenure) = &mut self.role {
            tenure.renew_soon(now);
        }
    }

    /// Takes the next step of a change of voters, if it may be taken.
    pub(super) fn advance_change(&mut self, now: HolderTime, outbox: &mut Outbox) {
        let Some(term) = self.tenure().map(Tenure::term) else { return };
        if !self.reconfiguration.is_wanted() {
            return;
        }
        let heard_since = lease::heard_since(&self.tracker, &self.timing, now);
        match self.reconfiguration.next(term, &self.tracker, heard_since, now) {
            Step::Wait(hold) => self.reconfiguration.wait_for(hold),
            Step::Done => {
                self.reconfiguration.give_up();
                self.tracker.teach(&[], now);
                outbox.event(Event::VotersChanged(self.tracker.configuration().clone()));
            }
            Step::To(configuration) => {
                self.tracker.take_over(configuration);
                if let Role::Goose(tenure) = &mut self.role {
                    tenure.leads_elsewhere(&self.tracker);
                }
                self.renew_soon(now);
            }
        }
    }

    /// A tenure is over, and with it what it led to.
    pub(super) fn end_change(&mut self, now: HolderTime) {
        if self.reconfiguration.is_wanted() {
            self.reconfiguration.give_up();
            self.tracker.teach(&[], now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::vocabulary::configuration::ConfigurationStamp;
    use crate::vocabulary::identity::Boot;
    use crate::wire::message::Grant;

    const TERM: u64 = 7;
    const LEASE: Duration = Duration::from_millis(600);

    fn process(number: u64) -> Process {
        let id = NodeId::new(number).unwrap();
        Process { id, boot: Boot { start: 1, nonce: number } }
    }

    fn set(ids: &[u64]) -> VoterSet {
        VoterSet::new(ids.iter().map(|id| process(*id).id).collect()).unwrap()
    }

    fn at(milliseconds: u64) -> HolderTime {
        HolderTime(milliseconds * 1_000_000)
    }

    fn grant(tracker: &mut ProgressTracker, from: u64, number: u64, stamp: ConfigurationStamp) {
        let progress = tracker.voter_mut(process(from).id).unwrap();
        progress.sent(number, at(1000), Some(TERM));
        let (granted, standby, lineage, leaves) = (LEASE, None, None, false);
        let grant = Grant { sequence: number, ballot: TERM, granted, standby, lineage, leaves };
        assert!(progress.granted(&grant, LEASE, stamp, at(1001)));
    }

    /// The Goose of voters 1 to 3, of whom `granting` stand by what an earlier term left.
    fn begun(goal: &[u64], granting: &[u64]) -> (Reconfiguration, ProgressTracker) {
        let voters = set(&[1, 2, 3]);
        let present =
            Configuration { ballot: 3, version: 2, voters, preempt: false, automatic: None };
        let stamp = present.stamp();
        let mut tracker = ProgressTracker::new(process(1), present, 0);
        granting.iter().for_each(|id| grant(&mut tracker, *id, 1, stamp));
        let mut reconfiguration = Reconfiguration::default();
        reconfiguration.pursue(VoterGoal { voters: set(goal), automatic: None });
        (reconfiguration, tracker)
    }

    /// The same, after all of those stand by it as it was rewritten.
    fn rewritten(goal: &[u64], granting: &[u64]) -> (Reconfiguration, ProgressTracker) {
        let (reconfiguration, mut tracker) = begun(goal, granting);
        let Step::To(own) = reconfiguration.next(TERM, &tracker, at(900), at(1002)) else {
            panic!()
        };
        assert_eq!((own.ballot, own.version, own.voters.len()), (TERM, 2, 3));
        tracker.take_over(own.clone());
        let waits = Step::Wait(ChangeHold::Commit);
        assert_eq!(
            reconfiguration.next(TERM, &tracker, at(900), at(1002)),
            waits,
            "nobody stands by it"
        );
        granting.iter().for_each(|id| grant(&mut tracker, *id, 2, own.stamp()));
        (reconfiguration, tracker)
    }

    fn mutated<T>(bug: Mutant, look: impl FnOnce() -> T) -> T {
        mutant::set(Some(bug));
        let seen = look();
        mutant::set(None);
        seen
    }

    #[test]
    fn nothing_is_changed_that_an_earlier_goose_made() {
        let (reconfiguration, tracker) = begun(&[1, 2], &[1, 2]);
        let next = || reconfiguration.next(TERM, &tracker, at(900), at(1002));
        assert!(matches!(next(), Step::To(own) if own.voters.len() == 3));
        let changed = mutated(Mutant::NoRewriteInOwnTerm, next);
        assert!(matches!(changed, Step::To(own) if own.voters.len() == 2), "the mutant is seen");
    }

    #[test]
    fn a_set_whose_majority_does_not_grant_is_waited_for() {
        let (reconfiguration, tracker) = rewritten(&[1, 2], &[1, 3]);
        let next = || reconfiguration.next(TERM, &tracker, at(900), at(1002));
        assert_eq!(next(), Step::Wait(ChangeHold::Majority));
        let changed = mutated(Mutant::NewMajorityNotHeld, next);
        assert!(matches!(changed, Step::To(own) if own.voters.len() == 2), "the mutant is seen");
    }

    #[test]
    fn a_set_whose_majority_was_not_heard_lately_is_waited_for() {
        let (reconfiguration, tracker) = rewritten(&[1, 2], &[1, 2]);
        let next = |heard_since| reconfiguration.next(TERM, &tracker, heard_since, at(1500));
        assert_eq!(next(at(1400)), Step::Wait(ChangeHold::Majority), "its grants still count");
        assert!(matches!(next(at(900)), Step::To(own) if own.voters.len() == 2));
    }

    #[test]
    fn whoever_is_to_vote_has_granted_twice_and_comes_before_anybody_goes() {
        let (reconfiguration, mut tracker) = rewritten(&[1, 2, 4], &[1, 2]);
        tracker.teach(&[process(4)], at(1000));
        let stamp = tracker.configuration().stamp();
        let next =
            |tracker: &ProgressTracker| reconfiguration.next(TERM, tracker, at(900), at(1002));
        let learning = Step::Wait(ChangeHold::Learning(vec![process(4).id]));
        assert_eq!(next(&tracker), learning);
        grant(&mut tracker, 4, 1, stamp);
        assert_eq!(next(&tracker), learning, "once");
        grant(&mut tracker, 4, 2, stamp);
        let Step::To(four) = next(&tracker) else { panic!() };
        assert_eq!((four.ballot, four.version, four.voters), (TERM, 3, set(&[1, 2, 3, 4])));
    }
}
