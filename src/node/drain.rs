//! Giving the lease away while somebody works under it: ask, wait, give.
//!
//! ```text
//!            order accepted, nobody works
//!   open ─────────────────────────────────────────────▶ carried out, answered
//!    │ ▲                                                  ▲
//!    │ │ limit: answered, work goes on                    │ last end of work
//!    │ │ lapse: answered, nothing was handed over         │
//!    │ └─────────────────────────────────────────────┐    │
//!    └─ order accepted, work alive ─▶ the work is ──▶ draining ── limit, leaving ──▶ gone,
//!                                     asked to end                  nothing released
//! ```
//!
//! *Decide first, end work second*: whether an order is accepted is judged before any work is
//! asked to end, so a refused order changes nothing. What has become of the decision by the time
//! the work has ended is judged again, and said.
//!
//! An order that comes while another is under way joins it. The one that asks for more wins:
//! leaving over stepping down, and what a person says over what the node wants by itself; the
//! newest named successor counts. The limit counts from the moment at which the work was asked.
//!
//! Work that was asked to end and did not stays asked, even when the order was answered and the
//! lease is kept: it may end whenever it likes. Other work may begin then.

use std::time::Duration;

use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::work::{EndOfWork, EndReason};

/// What is to be done once the work has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The term that is to end, or of the work that has outlived it.
    pub(super) term: u64,
    /// Why.
    pub(super) reason: EndReason,
    /// In whose favour; none: the best standby.
    pub(super) nominee: Option<NodeId>,
    /// The process that the cluster prefers. Another one of the same node has not shown yet that
    /// it stays.
    pub(super) preferred: Option<Process>,
    /// For how long the node holds back afterwards, if anybody said.
    pub(super) hold: Option<Duration>,
    /// Somebody waits for the answer.
    pub(super) awaited: bool,
    /// Until when the work is waited for. None: without a limit.
    until: Option<HolderTime>,
    /// Nobody leads under this term any more, so it never opens again.
    abdicated: bool,
    /// The node is drained or not healthy: the term ends with the work under it, however long that
    /// takes.
    pub(super) drains: bool,
}

impl Plan {
    /// A plan for `term`, for which nothing has been waited yet.
    pub(super) fn new(term: u64, reason: EndReason) -> Self {
        Self {
            term,
            reason,
            nominee: None,
            preferred: None,
            hold: None,
            awaited: false,
            until: None,
            abdicated: reason == EndReason::Abdicated,
            drains: false,
        }
    }

    /// A plan to hand over for good, for somebody who waits for the answer.
    pub(super) fn draining(term: u64) -> Self {
        Self { drains: true, ..Self::new(term, EndReason::SteppingDown) }
    }

    /// A plan to hand over for good, as the node is not healthy.
    pub(super) fn unhealthy(term: u64) -> Self {
        Self { drains: true, ..Self::new(term, EndReason::Unhealthy) }
    }

    /// The same, in favour of `nominee`.
    pub(super) fn in_favour_of(self, nominee: Option<NodeId>) -> Self {
        Self { nominee, ..self }
    }

    /// A plan to make way for `preferred`.
    pub(super) fn making_way(term: u64, preferred: Process) -> Self {
        let plan = Self::new(term, EndReason::Preempted { by: preferred.id });
        Self { nominee: Some(preferred.id), preferred: Some(preferred), ..plan }
    }

    /// The same, for somebody who waits for the answer, and has said for how long the node is to
    /// hold back.
    pub(super) fn awaited(self, hold: Option<Duration>) -> Self {
        Self { hold, awaited: true, ..self }
    }

    /// Whether the node leaves.
    pub(super) fn leaves(&self) -> bool {
        self.reason == EndReason::Leaving
    }

    /// Whether nobody leads under the term any more.
    pub(super) fn is_abdicated(&self) -> bool {
        self.abdicated
    }

    /// Who asks for more.
    fn rank(&self) -> u8 {
        match self.reason {
            EndReason::LeaseOver => 0,
            EndReason::Abdicated => 1,
            EndReason::Preempted { .. } => 2,
            EndReason::Unhealthy => 3,
            EndReason::SteppingDown => 4,
            EndReason::Leaving => 5,
        }
    }

    /// Another order comes while this one waits.
    fn join(&mut self, other: Self, until: Option<HolderTime>) {
        self.awaited |= other.awaited;
        self.abdicated |= other.abdicated;
        self.drains |= other.drains;
        if other.abdicated {
            // Whoever gave the term up does not wait, and nothing else changes.
            return;
        }
        if other.rank() >= self.rank() {
            self.nominee = other.nominee.or(self.nominee);
            self.preferred = other.preferred;
            self.hold = other.hold.or(self.hold);
            self.reason = other.reason;
        }
        self.until = self.until.or(until);
    }

    fn asks(&self) -> EndOfWork {
        EndOfWork { term: self.term, reason: self.reason, until: self.until }
    }
}

/// What has become of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All work has ended.
    CarryOut(Plan),
    /// The lease was over first.
    Lapsed(Plan),
    /// The limit has passed and work is still alive: the lease is kept. `reopens`: work may
    /// begin again.
    WorkGoesOn {
        /// The plan that is given up.
        plan: Plan,
        /// Not if the term was given up, or if the node is drained or not healthy.
        reopens: bool,
    },
    /// The limit has passed and work is still alive: the node leaves without releasing anything.
    LeaveAnyway(Plan),
}

/// The order under way, if one waits for the end of work.
#[derive(Debug)]
pub(super) struct Drain {
    /// How long work is waited for.
    limit: Duration,
    plan: Option<Plan>,
    /// The term of work that was told that its lease is over.
    told_over: u64,
}

impl Drain {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, plan: None, told_over: 0 }
    }

    /// Takes an accepted order on. Returns what the work is to be told, if that is news to it.
    pub(super) fn accept(&mut self, plan: Plan, now: HolderTime) -> Option<EndOfWork> {
        let until = (!plan.abdicated).then(|| now.plus(self.limit));
        let before = self.plan.as_ref().map(Plan::asks);
        match &mut self.plan {
            Some(under_way) => under_way.join(plan, until),
            None => self.plan = Some(Plan { until, ..plan }),
        }
        let asks = self.plan.as_ref().map(Plan::asks);
        asks.filter(|_| asks != before)
    }

    /// The node is neither drained nor unhealthy any more. An order under way stands until its limit.
    pub(super) fn undrain(&mut self, now: HolderTime) {
        if let Some(plan) = self.plan.as_mut().filter(|plan| plan.drains) {
            plan.drains = false;
            plan.until = plan.until.or((!plan.abdicated).then_some(now));
        }
    }

    /// The end that somebody has asked for, if an order is under way.
    pub(super) fn asked(&self) -> Option<EndOfWork> {
        self.plan.as_ref().map(Plan::asks)
    }

    /// When the limit passes.
    pub(super) fn deadline(&self) -> Option<HolderTime> {
        self.plan.as_ref().and_then(|plan| plan.until)
    }

    /// What is to be done now, if anything is. `alive`: of which term work is alive. `leads`:
    /// under which term the node leads at this moment.
    pub(super) fn step(
        &mut self,
        now: HolderTime,
        alive: Option<u64>,
        leads: Option<u64>,
    ) -> Option<Step> {
        let plan = self.plan.as_mut()?;
        if leads != Some(plan.term) && !plan.leaves() {
            return self.plan.take().map(Step::Lapsed);
        }
        if alive.is_none() {
            return self.plan.take().map(Step::CarryOut);
        }
        if plan.until.is_none_or(|until| now < until) {
            return None;
        }
        if plan.leaves() {
            return self.plan.take().map(Step::LeaveAnyway);
        }
        if plan.abdicated || plan.drains {
            let given_up = plan.clone();
            let reason = match plan.reason {
                _ if plan.abdicated => EndReason::Abdicated,
                EndReason::Unhealthy => EndReason::Unhealthy,
                _ => EndReason::SteppingDown,
            };
            *plan = Plan { drains: plan.drains, ..Plan::new(plan.term, reason) };
            return Some(Step::WorkGoesOn { plan: given_up, reopens: false });
        }
        self.plan.take().map(|plan| Step::WorkGoesOn { plan, reopens: true })
    }

    /// What work is to be told whose lease is over, once for each term.
    pub(super) fn outlived(&mut self, alive: Option<u64>, leads: Option<u64>) -> Option<EndOfWork> {
        let term = alive.filter(|term| leads != Some(*term) && self.told_over != *term)?;
        self.told_over = term;
        Some(EndOfWork { term, reason: EndReason::LeaseOver, until: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EndReason::{Abdicated, Leaving, Preempted, SteppingDown};

    const LIMIT: Duration = Duration::from_secs(30);

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn at(seconds: u64) -> HolderTime {
        HolderTime(seconds * 1_000_000_000)
    }

    fn stepping_down(to: Option<NodeId>) -> Plan {
        Plan::new(7, SteppingDown).in_favour_of(to).awaited(None)
    }

    #[test]
    fn the_order_waits_for_the_work_and_no_longer_than_the_limit() {
        let mut drain = Drain::new(LIMIT);
        let asked = drain.accept(stepping_down(None), at(1)).unwrap();
        assert_eq!((asked.term, asked.until), (7, Some(at(31))));
        assert_eq!(drain.step(at(2), Some(7), Some(7)), None);
        assert!(matches!(drain.step(at(2), None, Some(7)), Some(Step::CarryOut(_))));
        assert_eq!(drain.asked(), None);

        drain.accept(stepping_down(None), at(40));
        assert_eq!(drain.step(at(69), Some(7), Some(7)), None);
        let step = drain.step(at(70), Some(7), Some(7));
        assert!(matches!(step, Some(Step::WorkGoesOn { reopens: true, .. })), "{step:?}");
        assert_eq!(drain.asked(), None);
    }

    #[test]
    fn a_lapse_voids_the_order_but_not_the_leave() {
        let mut drain = Drain::new(LIMIT);
        drain.accept(stepping_down(None), at(1));
        assert!(matches!(drain.step(at(2), Some(7), None), Some(Step::Lapsed(_))));
        drain.accept(Plan::new(7, Leaving), at(3));
        assert_eq!(drain.step(at(4), Some(7), None), None, "the work is still alive");
        assert!(matches!(drain.step(at(5), None, None), Some(Step::CarryOut(_))));
        drain.accept(Plan::new(7, Leaving), at(6));
        assert!(matches!(drain.step(at(36), Some(7), None), Some(Step::LeaveAnyway(_))));
    }

    #[test]
    fn orders_join_and_the_one_that_asks_for_more_wins() {
        let mut drain = Drain::new(LIMIT);
        let preempted = Plan::new(7, Preempted { by: id(9) }).in_favour_of(Some(id(9)));
        assert!(drain.accept(preempted, at(1)).is_some());
        assert!(drain.accept(stepping_down(Some(id(3))), at(2)).is_some());
        assert_eq!(drain.accept(stepping_down(None), at(3)), None, "the work knows already");
        drain.accept(Plan::new(7, Abdicated), at(4));
        let Some(Step::CarryOut(plan)) = drain.step(at(5), None, Some(7)) else { panic!() };
        assert_eq!((plan.nominee, plan.reason, plan.awaited), (Some(id(3)), SteppingDown, true));
        assert_eq!(plan.until, Some(at(31)), "counted from when the work was asked");

        drain.accept(stepping_down(Some(id(3))), at(10));
        let leaving = drain.accept(Plan::new(7, Leaving), at(11)).unwrap();
        assert_eq!(leaving.reason, Leaving);
        let Some(Step::LeaveAnyway(plan)) = drain.step(at(40), Some(7), Some(7)) else { panic!() };
        assert_eq!((plan.nominee, plan.awaited), (Some(id(3)), true));
    }

    #[test]
    fn a_term_that_was_given_up_never_opens_again() {
        let mut drain = Drain::new(LIMIT);
        let asked = drain.accept(Plan::new(7, Abdicated), at(1)).unwrap();
        assert_eq!(asked.until, None);
        assert_eq!(drain.step(at(100), Some(7), Some(7)), None, "nobody waits for an answer");
        drain.accept(stepping_down(None), at(100));
        let step = drain.step(at(130), Some(7), Some(7));
        assert!(matches!(step, Some(Step::WorkGoesOn { reopens: false, .. })), "{step:?}");
        assert_eq!(drain.asked().unwrap().reason, Abdicated);
        assert!(matches!(drain.step(at(131), None, Some(7)), Some(Step::CarryOut(_))));
    }

    #[test]
    fn a_drained_node_hands_over_whenever_its_work_ends_unless_it_is_drained_no_more() {
        let mut drain = Drain::new(LIMIT);
        drain.accept(Plan::draining(7), at(1));
        let step = drain.step(at(31), Some(7), Some(7));
        assert!(matches!(step, Some(Step::WorkGoesOn { reopens: false, .. })), "{step:?}");
        assert_eq!(drain.step(at(500), Some(7), Some(7)), None, "it is said once");
        assert!(matches!(drain.step(at(501), None, Some(7)), Some(Step::CarryOut(_))));

        drain.accept(Plan::draining(7), at(600));
        drain.step(at(630), Some(7), Some(7));
        drain.undrain(at(700));
        let step = drain.step(at(700), Some(7), Some(7));
        assert!(matches!(step, Some(Step::WorkGoesOn { reopens: true, .. })), "{step:?}");
        assert_eq!(drain.asked(), None);
    }

    #[test]
    fn work_that_outlives_its_lease_is_told_once() {
        let mut drain = Drain::new(LIMIT);
        assert_eq!(drain.outlived(Some(7), Some(7)), None);
        assert_eq!(drain.outlived(Some(7), None).unwrap().reason, EndReason::LeaseOver);
        assert_eq!(drain.outlived(Some(7), None), None);
        assert_eq!(drain.outlived(None, None), None);
    }
}
