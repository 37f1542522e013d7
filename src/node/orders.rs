//! Orders: what a node is told to do with its lease, and the work under it.
//!
//! The order of things is the drain's ([`super::drain`]); what is carried out is the election's.

use std::time::Duration;

use super::drain::{Plan, Step};
use super::{NodeCore, Output};
use crate::election::Election;
use crate::vocabulary::event::{DemotionReason, Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::{HolderTime, Now, milliseconds};
use crate::vocabulary::work::{EndOfWork, EndReason, WorkRefused};

/// A leaving node stays this long at least, so that its goodbye is gossiped on.
const LINGER_LEAST: Duration = Duration::from_millis(150);
/// A leaving node waits this long at most for its release to be acknowledged.
const LINGER_MOST: Duration = Duration::from_millis(600);

/// What became of an order to step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteppedDown {
    /// The term that ended.
    pub term: u64,
    /// Who was asked to take over, if anybody was at hand.
    pub nominee: Option<NodeId>,
}

/// Why a node did not step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepDownError {
    /// It is not Goose. Nothing changed.
    #[error("this node is not the Goose")]
    NotGoose,
    /// The successor asked for is not known as a standby. Nothing changed.
    #[error("node {0} is no standby: it has not polled the voters lately, or may not be Goose")]
    UnknownNominee(NodeId),
    /// Nobody could take over, so nobody would lead until this node contends again. Nothing
    /// changed.
    #[error(
        "nobody could take over now: no other node that may be Goose has reached a majority of \
         the voters lately and is not holding back itself. Try again in a while, name a node \
         with --to, or stop this one with `gaggle leave`"
    )]
    NoStandby,
    /// The work under the lease was asked to end and has not. The lease was kept.
    #[error("the work under the lease has not ended: the lease is kept until it has")]
    WorkGoesOn,
    /// The lease ran out while the order waited for the work to end, so nothing was handed over.
    #[error(
        "the lease of term {term} ran out before its work had ended: it was not handed over, and \
         the voters elect whom they can"
    )]
    Lapsed {
        /// The term that is over.
        term: u64,
    },
}

/// A node that says goodbye.
#[derive(Debug)]
pub(super) struct Leaving {
    since: HolderTime,
    pub(super) next_goodbye: HolderTime,
    /// Whether it has released what it held.
    releases: bool,
}

impl Leaving {
    pub(super) fn releases(&self) -> bool {
        self.releases
    }
}

impl NodeCore {
    /// Somebody begins to work under `term`, until [`NodeCore::end_work`]. Until then the lease
    /// is not given away: [`Output::EndWork`] asks for the end. It may still lapse, so whoever
    /// works watches its deadline, too.
    ///
    /// # Errors
    /// [`WorkRefused`] unless the node leads under exactly that term now and nobody has asked to
    /// end it; nothing has begun then.
    pub fn begin_work(&mut self, now: Now, term: u64) -> Result<(), WorkRefused> {
        self.enter(now);
        let begun = match &mut self.election {
            Some(election) => election.begin_work(now, term),
            None => Err(WorkRefused::NotLeading { term }),
        };
        self.settle(now);
        begun
    }

    /// Work that [`NodeCore::begin_work`] let begin has ended for certain.
    ///
    /// # Panics
    /// If more work ends than has begun.
    pub fn end_work(&mut self, now: Now) {
        self.enter(now);
        if let Some(election) = &mut self.election {
            election.end_work(now);
        }
        self.settle(now);
    }

    /// Steps down, hands over to `to` or to the best standby known, and holds back from
    /// contending for `hold` (default: four leases). While others may lead and none of them
    /// could at once, it does so only if it is not to hold back at all. Work under the lease is
    /// asked to end first, and waited for while the lease is renewed.
    ///
    /// The answer comes as [`Output::SteppedDown`], at once if nobody works.
    ///
    /// # Errors
    /// As [`StepDownError`] says; nothing changed then, and no work was asked to end.
    pub fn step_down(
        &mut self,
        now: Now,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<(), StepDownError> {
        self.enter(now);
        let joins = self.drain.asked().is_some();
        let accepted = match (self.led(now), to) {
            (None, _) => Err(StepDownError::NotGoose),
            (Some(_), Some(id)) if self.standby(id).is_none() => {
                Err(StepDownError::UnknownNominee(id))
            }
            // The term ends in any case then.
            (Some(term), _) if joins => Ok(term),
            (Some(_), None) if hold != Some(Duration::ZERO) && self.should_wait_for_standby() => {
                Err(StepDownError::NoStandby)
            }
            (Some(term), _) => Ok(term),
        };
        let outcome = accepted.map(|term| {
            let plan = Plan::new(term, EndReason::SteppingDown);
            self.accept(now, plan.in_favour_of(to).awaited(hold));
        });
        self.settle(now);
        outcome
    }

    /// Whoever led under `term` has given it up: it ends as by [`NodeCore::step_down`], also if
    /// nobody could take over, and nothing begins under it any more. If the node does not lead
    /// under it, nothing happens.
    pub fn abdicate(&mut self, now: Now, term: u64) {
        self.enter(now);
        if self.led(now) == Some(term) {
            self.accept(now, Plan::new(term, EndReason::Abdicated));
        }
        self.settle(now);
    }

    /// Steps down if it is Goose, says goodbye, and is gone once [`NodeCore::has_left`]. Work is
    /// asked to end first, and waited for. If it has not ended by the limit, the node leaves
    /// without releasing anything, so that the lease runs out at the voters.
    pub fn leave(&mut self, now: Now) {
        self.enter(now);
        if self.leaving.is_none() {
            let alive = self.election.as_ref().and_then(|it| it.work().alive_under());
            match alive.or(self.led(now)) {
                Some(term) => self.accept(now, Plan::new(term, EndReason::Leaving)),
                None => _ = self.depart(now, None, true),
            }
        }
        self.settle(now);
    }

    /// Whether everything was said and the process may end.
    pub fn has_left(&self, now: Now) -> bool {
        let Some(leaving) = &self.leaving else { return false };
        let stayed = now.holder.since(leaving.since);
        let unsaid = self.election.as_ref().is_some_and(Election::is_saying_farewell);
        let alone = !self.membership.may_be_known();
        stayed >= LINGER_MOST || (!unsaid && (alone || stayed >= LINGER_LEAST))
    }

    /// The end of the term that somebody has asked for, while its work is alive.
    pub fn ending(&self) -> Option<EndOfWork> {
        self.drain.asked()
    }

    /// Whether it leaves, or has left, without having released its lease: the work under it had
    /// not ended in time.
    pub fn leaves_without_release(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| !leaving.releases)
    }

    /// The cluster prefers `to`, and work is alive.
    pub(super) fn make_way(&mut self, now: Now, to: Process) {
        if let Some(term) = self.led(now) {
            self.accept(now, Plan::making_way(term, to));
        }
    }

    /// Does what is due of the order under way. Returns whether anything was.
    pub(super) fn drain_work(&mut self, now: Now) -> bool {
        let alive = self.election.as_ref().and_then(|it| it.work().alive_under());
        let leads = self.led(now);
        let hasty = mutant::is(Mutant::HandoverUnderWork) && leads.is_some();
        let step = self.drain.step(now.holder, alive.filter(|_| !hasty), leads);
        let outlived = self.drain.outlived(alive, leads);
        let moved = step.is_some() || outlived.is_some();
        match step {
            Some(Step::CarryOut(plan)) => self.carry_out(now, &plan),
            Some(Step::Lapsed(plan)) => {
                self.reopen_work();
                self.answer(&plan, Err(StepDownError::Lapsed { term: plan.term }));
            }
            Some(Step::WorkGoesOn { plan, reopens }) => {
                if reopens {
                    self.reopen_work();
                }
                let warning = Warning::WorkGoesOn { term: plan.term, leaves: false };
                self.event(Event::Warning(warning));
                self.answer(&plan, Err(StepDownError::WorkGoesOn));
            }
            Some(Step::LeaveAnyway(plan)) => {
                let warning = Warning::WorkGoesOn { term: plan.term, leaves: true };
                self.event(Event::Warning(warning));
                self.answer(&plan, Err(StepDownError::WorkGoesOn));
                self.depart(now, None, mutant::is(Mutant::LeaveReleasesUnderWork));
            }
            None => {}
        }
        if let Some(end) = outlived {
            self.event(Event::Warning(Warning::WorkOutlivesLease { term: end.term }));
            self.outputs.push_back(Output::EndWork(end));
        }
        moved
    }

    pub(super) fn say_goodbye(&mut self, now: Now) {
        let Some(leaving) = &mut self.leaving else { return };
        if leaving.next_goodbye <= now.holder {
            leaving.next_goodbye = now.holder.plus(LINGER_LEAST / 5);
            self.membership.linger(now.holder);
        }
    }

    /// The term that this node leads under at this moment.
    fn led(&self, now: Now) -> Option<u64> {
        self.lease().filter(|lease| now.holder < lease.deadline).map(|lease| lease.term)
    }

    /// Takes an accepted order on; [`NodeCore::drain_work`] carries it out.
    fn accept(&mut self, now: Now, plan: Plan) {
        let Some(election) = &mut self.election else { return };
        election.close_work();
        let works = election.work().is_alive();
        let Some(end) = self.drain.accept(plan, now.holder).filter(|_| works) else { return };
        let EndOfWork { term, reason, until } = end;
        let milliseconds = until.map(|until| milliseconds(until.since(now.holder)));
        self.index += 1;
        self.event(Event::WorkAskedToEnd { term, reason, milliseconds });
        self.outputs.push_back(Output::EndWork(end));
    }

    fn reopen_work(&mut self) {
        if let Some(election) = &mut self.election {
            election.reopen_work();
        }
    }

    fn answer(&mut self, plan: &Plan, outcome: Result<SteppedDown, StepDownError>) {
        if plan.awaited {
            self.outputs.push_back(Output::SteppedDown(outcome));
        }
    }

    /// Nobody works any more, or nobody did.
    fn carry_out(&mut self, now: Now, plan: &Plan) {
        self.reopen_work();
        let nominee = plan.nominee.and_then(|id| self.standby(id));
        let ended = if plan.leaves() {
            self.depart(now, nominee, true)
        } else {
            self.hand_over(now, plan, nominee)
        };
        let outcome = ended.ok_or(StepDownError::Lapsed { term: plan.term });
        self.answer(plan, outcome);
    }

    fn hand_over(
        &mut self,
        now: Now,
        plan: &Plan,
        nominee: Option<Process>,
    ) -> Option<SteppedDown> {
        let (reason, usual) = match plan.reason {
            EndReason::Preempted { by } if !plan.is_abdicated() => {
                // Whoever is preferred has gone or restarted meanwhile: there is no reason left.
                nominee.filter(|process| Some(*process) == plan.preferred)?;
                // If it fails to take over, this node comes back soon.
                (DemotionReason::Preempted { by }, Some(self.setup.timing.deference * 2))
            }
            _ => (DemotionReason::SteppedDown, None),
        };
        let alone = nominee.is_none() && self.should_wait_for_standby();
        // Nobody could take over at this moment, so nobody is to wait for this node in vain.
        let usual = if alone { Some(Duration::ZERO) } else { usual };
        let election = self.election.as_mut()?;
        let ended = election.step_down(now, nominee, plan.hold.or(usual), reason);
        let (term, nominee) = ended?;
        Some(SteppedDown { term, nominee: nominee.map(|process| process.id) })
    }

    /// Says goodbye. Returns the term that ended, if one did.
    fn depart(
        &mut self,
        now: Now,
        nominee: Option<Process>,
        releases: bool,
    ) -> Option<SteppedDown> {
        let since = now.holder;
        self.leaving = Some(Leaving { since, next_goodbye: since, releases });
        let mut ended = None;
        if let Some(election) = &mut self.election {
            if releases {
                ended = election.step_down(now, nominee, None, DemotionReason::Leaving);
            } else {
                election.leave_without_release(now);
            }
        }
        self.drain_election(now);
        self.membership.leave(now.holder);
        let (term, nominee) = ended?;
        Some(SteppedDown { term, nominee: nominee.map(|process| process.id) })
    }

    /// Whether nobody could take over yet, but somebody may in a while. Where nobody else may
    /// ever lead, whoever gives the order knows that.
    fn should_wait_for_standby(&self) -> bool {
        let known = self.election.as_ref().and_then(Election::best_standby);
        let other = |member: &MemberView| {
            member.id != self.me.id && member.eligible && member.state == MemberState::Alive
        };
        known.is_none() && self.membership.members().iter().any(other)
    }

    /// The process of a node that may be handed the lease: it may lead, and is not known to be
    /// down or to have left.
    fn standby(&self, id: NodeId) -> Option<Process> {
        if id == self.me.id {
            return None;
        }
        let members = self.membership.members();
        let here = |member: &&MemberView| member.id == id && member.state.is_present();
        members.iter().find(here).filter(|member| member.eligible)?;
        self.membership.address_of(id).map(|(process, _)| process)
    }
}
