//! Orders: what a node is told to do with its lease, and the work under it.
//!
//! The order of things is the drain's ([`super::drain`]); what is carried out is the election's.

use std::time::Duration;

use super::drain::{Drain, Plan, Step};
use super::drained::{DrainError, DrainOrder};
use super::health::Health;
use super::outputs::{Output, Outputs};
use super::parting::{Company, Parting};
use super::pause::{NotLeading, Pause, Paused};
use super::persistence::Persistence;
use super::step_down::{StepDownError, SteppedDown};
use crate::election::Election;
use crate::membership::Membership;
use crate::node::setup::Setup;
use crate::vocabulary::event::{DemotionReason, Event, Warning};
use crate::vocabulary::health::Complainant;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::{HolderTime, Now, milliseconds};
use crate::vocabulary::work::{EndOfWork, EndReason};

/// A leaving node stays this long at least, so that its goodbye is gossiped on.
const LINGER_LEAST: Duration = Duration::from_millis(150);
/// A leaving node waits this long at most for its release to be acknowledged.
const LINGER_MOST: Duration = Duration::from_millis(600);

/// A node that says goodbye.
#[derive(Debug)]
pub(super) struct Leaving {
    since: HolderTime,
    next_goodbye: HolderTime,
    /// Whether it has released what it held.
    releases: bool,
}

impl Leaving {
    fn begin(now: HolderTime, releases: bool) -> Self {
        Self { since: now, next_goodbye: now, releases }
    }

    /// Whether it has released what it held.
    pub(super) fn releases(&self) -> bool {
        self.releases
    }

    /// When it says goodbye again.
    pub(super) fn next(&self) -> HolderTime {
        self.next_goodbye
    }

    /// Whether it is to say goodbye again now.
    pub(super) fn turns_goodbye(&mut self, now: HolderTime) -> bool {
        let due = self.next() <= now;
        if due {
            self.next_goodbye = now.plus(LINGER_LEAST / 5);
        }
        due
    }

    /// Whether the process may end. `unsaid`: a release is on its way. `alone`: nobody knows it.
    pub(super) fn is_over(&self, now: HolderTime, unsaid: bool, alone: bool) -> bool {
        let stayed = now.since(self.since);
        stayed >= LINGER_MOST || (!unsaid && (alone || stayed >= LINGER_LEAST))
    }
}

/// What is left to do of an order for whoever gave it to [`Orders`].
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Rest {
    /// The node leaves: what the election has to say comes first, then the goodbye of gossip.
    pub(super) departs: bool,
    /// What comes after that.
    pub(super) answer: Option<Output>,
}

/// Orders, and what they may touch.
pub(super) struct Orders<'a> {
    pub(super) setup: &'a Setup,
    pub(super) membership: &'a mut Membership,
    pub(super) drain: &'a mut Drain,
    pub(super) drain_order: &'a mut DrainOrder,
    pub(super) health: &'a mut Health,
    pub(super) persistence: &'a mut Persistence,
    pub(super) pause: &'a mut Pause,
    pub(super) parting: &'a mut Parting,
    pub(super) leaving: &'a mut Option<Leaving>,
    pub(super) election: &'a mut Option<Election>,
    pub(super) outputs: &'a mut Outputs,
}

impl Orders<'_> {
    /// See [`super::NodeCore::pause`].
    pub(super) fn pause(
        &mut self,
        now: Now,
        lasts: Option<Duration>,
    ) -> Result<Paused, NotLeading> {
        let known = self.election.as_ref().and_then(Election::goose).map(|known| known.goose);
        let goose = known.map(|goose| (goose.process.id, goose.address));
        let goose = goose.filter(|(id, _)| *id != self.setup.id);
        let term = self.led(now).ok_or(NotLeading { goose })?;
        let until = lasts.map(|lasts| now.holder.plus(lasts));
        let was_paused = self.pause.set(term, until, now.holder);
        if let Some(election) = &mut self.election {
            election.pause(term, until.unwrap_or(HolderTime(0)));
        }
        self.outputs.note_change();
        Ok(Paused { term, lasts, was_paused })
    }

    /// See [`super::NodeCore::step_down`].
    pub(super) fn step_down(
        &mut self,
        now: Now,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<(), StepDownError> {
        let term = self.led(now).ok_or(StepDownError::NotGoose)?;
        if let Some(id) = to.filter(|id| self.standby(*id).is_none()) {
            return Err(StepDownError::UnknownNominee(id));
        }
        // If another order is under way, the term ends in any case.
        let joins = self.drain.asked().is_some();
        let waits = to.is_none() && hold != Some(Duration::ZERO);
        if !joins && waits && self.should_wait_for_standby() {
            return Err(StepDownError::NoStandby);
        }
        let plan = Plan::new(term, EndReason::SteppingDown);
        self.accept(now, plan.in_favour_of(to).awaited(hold));
        Ok(())
    }

    /// See [`super::NodeCore::drain`].
    pub(super) fn drain(&mut self, now: Now, is_drained: bool) -> Result<(), DrainError> {
        let led = self.led(now).filter(|_| is_drained);
        // If another order is under way, the term ends in any case.
        let joins = self.drain.asked().is_some();
        if led.is_some() && !joins && self.should_wait_for_standby() {
            return Err(DrainError::NoStandby);
        }
        let is_news = self.persistence.note_drained(is_drained);
        let overruled = self.drain_order.accept(is_drained, is_news, led.is_some());
        overruled.into_iter().for_each(|answer| self.outputs.push(Output::Drained(answer)));
        if is_news {
            self.outputs.note_change();
        }
        let may_contend = self.may_contend();
        if let Some(election) = self.election.as_mut().filter(|_| is_news || !is_drained) {
            if !is_drained {
                // To end it once more ends any hold.
                election.end_hold(now);
                self.persistence.note_hold(None, now.wall);
                self.outputs.note_change();
            }
            election.set_eligible(now, may_contend);
        }
        self.tell_gossip(now);
        if let Some(term) = led {
            self.accept(now, Plan::draining(term));
        }
        if may_contend {
            self.drain.undrain(now.holder);
        }
        Ok(())
    }

    /// See [`super::NodeCore::set_health`].
    pub(super) fn judge(&mut self, now: Now, by: Complainant, complaint: Option<&str>) {
        let before = self.may_contend();
        let was_healthy = self.health.is_healthy();
        let Some(news) = self.health.note(by, complaint) else { return };
        self.outputs.note_change();
        self.reconsider(now, before);
        match self.health.complaint() {
            Some(reason) if news.is_first => {
                let leads_anyway = self.health.lets_lead();
                self.outputs.warn(Warning::Unhealthy { reason, leads_anyway });
            }
            None if !was_healthy => self.outputs.event(Event::Healthy),
            _ => {}
        }
        self.tell_gossip(now);
    }

    /// What this node may do depends on the health of others: looks at it again. Returns whether
    /// anything changed.
    pub(super) fn look_around(&mut self, now: Now) -> bool {
        self.health.looks_around() && self.reconsider(now, self.may_contend())
    }

    /// Does what follows from the health of this node and of others. `before`: whether it might
    /// contend until now. Returns whether that has changed.
    fn reconsider(&mut self, now: Now, before: bool) -> bool {
        let led = self.led(now);
        let others = self.health.looks_around() && self.others_are_healthy();
        self.health.look_around(now.holder, others, led.is_some());
        let may_contend = self.may_contend();
        if may_contend == before {
            return false;
        }
        if let Some(election) = &mut self.election {
            election.set_eligible(now, may_contend);
        }
        match led {
            Some(term) if !may_contend => self.accept(now, Plan::unhealthy(term)),
            _ if may_contend => self.drain.undrain(now.holder),
            _ => {}
        }
        true
    }

    /// Whether this node may contend, as far as it is concerned.
    fn may_contend(&self) -> bool {
        let stays = !self.parting.is_under_way();
        stays && self.setup.eligible && !self.persistence.is_drained() && self.health.lets_lead()
    }

    /// Has gossip say whether this node is one that may lead. One that leads though it is not healthy
    /// is none: so others tell it from a healthy one.
    fn tell_gossip(&mut self, now: Now) {
        let stays = !self.parting.is_under_way();
        let is_fit = stays && !self.persistence.is_drained() && self.health.is_healthy();
        self.membership.set_eligible(now.holder, self.setup.eligible && is_fit);
    }

    /// Whether gossip knows of another node that may lead and is healthy.
    fn others_are_healthy(&self) -> bool {
        let highest = self.membership.top_eligible(2);
        highest.iter().any(|(process, _)| process.id != self.setup.id)
    }

    /// See [`super::NodeCore::abdicate`].
    pub(super) fn abdicate(&mut self, now: Now, term: u64) {
        if self.led(now) == Some(term) {
            self.accept(now, Plan::new(term, EndReason::Abdicated));
        }
    }

    /// See [`super::NodeCore::leave`].
    pub(super) fn leave(&mut self, now: Now) -> Rest {
        if self.leaving.is_some() || self.parting.is_under_way() {
            return Rest::default();
        }
        match self.alive().or(self.led(now)) {
            Some(term) => {
                self.accept(now, Plan::new(term, EndReason::Leaving));
                Rest::default()
            }
            None if self.company().counts_on_me() => {
                self.part(now);
                Rest::default()
            }
            None => {
                self.depart(now, None, true);
                Rest { departs: true, answer: None }
            }
        }
    }

    fn company(&self) -> Company<'_> {
        let (me, election) = (self.setup.id, self.election.as_ref());
        Company { me, election, membership: self.membership, timing: &self.setup.timing }
    }

    /// This node stays for a moment, so that the others need its vote no more.
    fn part(&mut self, now: Now) {
        self.parting.begin(now.holder);
        self.tell_gossip(now);
        self.outputs.note_change();
        if let Some(election) = &mut self.election {
            election.part();
            election.set_eligible(now, false);
        }
    }

    /// A node that stayed for the others goes, if it is needed no more or has stayed long enough.
    pub(super) fn part_at_last(&mut self, now: Now) -> Option<Rest> {
        if self.leaving.is_some() || !self.parting.is_over(now.holder, &self.company()) {
            return None;
        }
        self.parting.end();
        self.depart(now, None, true);
        Some(Rest { departs: true, answer: None })
    }

    /// The cluster prefers `to`, and work is alive.
    pub(super) fn make_way(&mut self, now: Now, to: Process) {
        if let Some(term) = self.led(now) {
            self.accept(now, Plan::making_way(term, to));
        }
    }

    /// What is due of the order under way, and what work is to be told whose lease is over.
    pub(super) fn due(&mut self, now: Now) -> (Option<Step>, Option<EndOfWork>) {
        let (alive, leads) = (self.alive(), self.led(now));
        let hasty = mutant::is(Mutant::HandoverUnderWork) && leads.is_some();
        let step = self.drain.step(now.holder, alive.filter(|_| !hasty), leads);
        (step, self.drain.outlived(alive, leads))
    }

    /// Does what is due of the order under way.
    pub(super) fn advance(&mut self, now: Now, step: Step) -> Rest {
        match step {
            Step::CarryOut(plan) => self.carry_out(now, &plan),
            Step::Lapsed(plan) => {
                self.reopen_work();
                let answer = self.answer(&plan, Err(StepDownError::Lapsed { term: plan.term }));
                Rest { departs: false, answer }
            }
            Step::WorkGoesOn { plan, reopens } => {
                if reopens {
                    self.reopen_work();
                }
                self.outputs.warn(Warning::WorkGoesOn { term: plan.term, leaves: false });
                let answer = self.answer(&plan, Err(StepDownError::WorkGoesOn));
                Rest { departs: false, answer }
            }
            Step::LeaveAnyway(plan) => {
                self.outputs.warn(Warning::WorkGoesOn { term: plan.term, leaves: true });
                if let Some(answer) = self.answer(&plan, Err(StepDownError::WorkGoesOn)) {
                    self.outputs.push(answer);
                }
                self.depart(now, None, mutant::is(Mutant::LeaveReleasesUnderWork));
                Rest { departs: true, answer: None }
            }
        }
    }

    /// Work goes on whose lease is over.
    pub(super) fn tell_over(&mut self, end: EndOfWork) {
        self.outputs.warn(Warning::WorkOutlivesLease { term: end.term });
        self.outputs.push(Output::EndWork(end));
    }

    /// The term that this node leads under at this moment.
    fn led(&self, now: Now) -> Option<u64> {
        Some(self.election.as_ref()?.lease_at(now.holder)?.term)
    }

    /// The term of the work that is alive.
    fn alive(&self) -> Option<u64> {
        self.election.as_ref()?.work().alive_under()
    }

    /// Takes an accepted order on; [`Orders::advance`] carries it out.
    fn accept(&mut self, now: Now, plan: Plan) {
        let Some(election) = &mut self.election else { return };
        election.close_work();
        let works = election.work().is_alive();
        let Some(end) = self.drain.accept(plan, now.holder).filter(|_| works) else { return };
        let EndOfWork { term, reason, until } = end;
        let milliseconds = until.map(|until| milliseconds(until.since(now.holder)));
        self.outputs.note_change();
        self.outputs.event(Event::WorkAskedToEnd { term, reason, milliseconds });
        self.outputs.push(Output::EndWork(end));
    }

    fn reopen_work(&mut self) {
        if let Some(election) = &mut self.election {
            election.reopen_work();
        }
    }

    /// Nobody works any more, or nobody did.
    fn carry_out(&mut self, now: Now, plan: &Plan) -> Rest {
        self.reopen_work();
        let nominee = plan.nominee.and_then(|id| self.standby(id));
        let parts = plan.leaves() && self.company().counts_on_me();
        let departs = plan.leaves() && !parts;
        let ended = if parts {
            let election = self.election.as_mut();
            let ended =
                election.and_then(|it| it.step_down(now, nominee, None, DemotionReason::Leaving));
            self.part(now);
            ended.map(SteppedDown::from)
        } else if departs {
            self.depart(now, nominee, true)
        } else {
            self.hand_over(now, plan, nominee)
        };
        let outcome = ended.ok_or(StepDownError::Lapsed { term: plan.term });
        Rest { departs, answer: self.answer(plan, outcome) }
    }

    /// What is to be said of a plan that has come to an end.
    fn answer(
        &mut self,
        plan: &Plan,
        outcome: Result<SteppedDown, StepDownError>,
    ) -> Option<Output> {
        if plan.drains {
            self.drain_order.handed_over(outcome);
        }
        plan.awaited.then_some(Output::SteppedDown(outcome))
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
            EndReason::Unhealthy => (DemotionReason::Unhealthy, Some(Duration::ZERO)),
            _ => (DemotionReason::SteppedDown, None),
        };
        let alone = nominee.is_none() && self.should_wait_for_standby();
        // Nobody could take over at this moment, so nobody is to wait for this node in vain.
        let usual = if alone { Some(Duration::ZERO) } else { usual };
        let election = self.election.as_mut()?;
        let ended = election.step_down(now, nominee, plan.hold.or(usual), reason)?;
        if plan.hold.is_some() {
            self.persistence.note_hold(plan.hold, now.wall);
        }
        Some(SteppedDown::from(ended))
    }

    /// Stops leading for good. Returns the term that ended, if one did.
    fn depart(
        &mut self,
        now: Now,
        nominee: Option<Process>,
        releases: bool,
    ) -> Option<SteppedDown> {
        *self.leaving = Some(Leaving::begin(now.holder, releases));
        let election = self.election.as_mut()?;
        if !releases {
            election.leave_without_release(now);
            return None;
        }
        election.step_down(now, nominee, None, DemotionReason::Leaving).map(SteppedDown::from)
    }

    /// Whether nobody could take over yet, but somebody may in a while. Where nobody else may
    /// ever lead, whoever gives the order knows that.
    fn should_wait_for_standby(&self) -> bool {
        let known = self.election.as_ref().and_then(Election::best_standby);
        let other = |member: &MemberView| {
            member.id != self.setup.id && member.eligible && member.state == MemberState::Alive
        };
        known.is_none() && self.membership.members().iter().any(other)
    }

    /// The process of a node that may be handed the lease: it may lead, and is not known to be
    /// down or to have left, and answers: one that was killed a moment ago is suspect first.
    fn standby(&self, id: NodeId) -> Option<Process> {
        if id == self.setup.id {
            return None;
        }
        let members = self.membership.members();
        let here = |member: &&MemberView| member.id == id && member.state == MemberState::Alive;
        members.iter().find(here).filter(|member| member.eligible)?;
        self.membership.address_of(id).map(|(process, _)| process)
    }
}
