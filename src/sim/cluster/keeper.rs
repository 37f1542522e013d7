//! The keeper of a machine: it begins and ends work under the lease of the node there, and speaks
//! for the node once that is dead.
//!
//! ```text
//!  node shows a lease ──▶ core lets it begin ──▶ keeper starts it ──▶ alive
//!                                                                       │ SIGTERM: the node asks,
//!                                                                       │ the deadline is near, or
//!                                                                       │ the node is dead
//!  core is told ◀── nothing is left ◀── SIGKILL, if it does not obey ◀──┘
//! ```
//!
//! As on a real machine, work is a child of the keeper, not of the node: the keeper counts the
//! deadline that the node told it at the last renewal, so that work ends in time though its node
//! is frozen, starved or dead. Only when a dead node's work has ended, its last will is sent. The
//! datagrams of a will are the node's own, sealed by it while it lived.
//!
//! A keeper may die, too. A living node then kills what it kept, and leaves. If the node is frozen
//! or dead at that moment, whoever killed the keeper is taken to have killed everything: nothing
//! that is left on the machine could end the work.

use std::net::SocketAddr;
use std::time::Duration;

use super::agenda::{Agenda, Happening};
use super::clocks::Clocks;
use super::coverage::Coverage;
use super::work::{KILL_MARGIN, LastWill, Stage, WORD, Work, WorkPlan, WorkStep, stop_timeout};
use crate::sim::checkers::{Verdict, Works};
use crate::sim::prng::Prng;
use crate::vocabulary::identity::Process;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::Timing;
use crate::vocabulary::work::EndOfWork;

const MILLI: u64 = 1_000_000;

/// A death is noticed after so many nanoseconds.
const DEATH_NOTICED: u64 = 1_200_000;
/// A will is sent again after each of these, in nanoseconds: datagrams are lost.
const SENDINGS: [u64; 3] = [2_000_000, 10_000_000, 30_000_000];
/// A keeper sends from a port of its own.
const PORT: u16 = 50_000;

/// From where the keeper beside a node at `address` sends.
pub(super) fn source(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), PORT)
}

/// What a keeper sees and may touch.
pub(super) struct Site<'a> {
    /// Of which host.
    pub(super) index: usize,
    /// The process that lives there.
    pub(super) living: Option<Process>,
    pub(super) clocks: &'a Clocks,
    pub(super) timing: &'a Timing,
    pub(super) agenda: &'a mut Agenda,
    pub(super) prng: &'a mut Prng,
    pub(super) works: &'a mut Works,
    pub(super) coverage: &'a mut Coverage,
    /// What the judge of all work says to what the keeper does.
    pub(super) verdicts: Vec<Verdict>,
}

impl Site<'_> {
    fn now(&self) -> HolderTime {
        self.clocks.now(self.agenda.now()).holder
    }

    /// How long before the deadline work begins no more, or is told to end.
    fn budget(&self) -> Duration {
        stop_timeout(self.timing) + KILL_MARGIN
    }

    fn after(&mut self, delay: u64, number: u64, step: WorkStep) {
        self.agenda.after(delay, Happening::Work { host: self.index, number, step });
    }

    /// The keeper looks at the clock when it has to act, and not later if a deadline moves on.
    fn look_at(&mut self, number: u64, reading: HolderTime) {
        let at = self.clocks.holder_shows(reading);
        if at != u64::MAX {
            let lateness = self.prng.between(0, WORD);
            let delay = at.saturating_sub(self.agenda.now()) + lateness;
            self.after(delay, number, WorkStep::Look);
        }
    }

    /// The keeper tells the voters, after so many nanoseconds, that the process is dead.
    fn execute(&mut self, will: LastWill, delay: u64) {
        self.coverage.count("release by a keeper");
        let speaks = Happening::Speak { index: self.index, will, pauses: &SENDINGS };
        self.agenda.after(delay, speaks);
    }
}

/// Nothing is left of work whose node lives: it is told.
pub(super) struct Ended {
    /// The term, if it is given up as well.
    pub(super) abdicated: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Keeper {
    /// Whether there is one.
    pub is_present: bool,
    /// How work is done here, if it is.
    pub plan: Option<WorkPlan>,
    /// Whether it was killed under the process that runs here.
    is_dead: bool,
    /// What the node has told it for the time after its death.
    will: Option<LastWill>,
    /// What is done here, by processes that have died, too.
    works: Vec<Work>,
    /// Nothing new is begun before this true time.
    idle_until: u64,
}

impl Keeper {
    /// Whether it is there and lives.
    pub(super) fn is_alive(&self) -> bool {
        self.is_present && !self.is_dead
    }

    /// A process starts, and a keeper with it.
    pub(super) fn starts(&mut self) {
        self.is_dead = false;
    }

    /// The node tells it what is to be sent after its death.
    pub(super) fn entrust(&mut self, will: LastWill) {
        self.will = Some(will);
    }

    /// Whether it keeps work of `process`.
    pub(super) fn works_for(&self, process: Process) -> bool {
        self.works.iter().any(|work| work.node == process)
    }

    /// Work is ordered under `lease`, if there is time for it. Returns its number: `number`.
    pub(super) fn order(&mut self, site: &mut Site<'_>, lease: Lease, number: u64) -> Option<u64> {
        let (plan, node) = (self.plan?, site.living?);
        let has_time = lease.deadline.since(site.now()) > site.budget();
        if !self.is_alive() || !has_time || site.agenda.now() < self.idle_until {
            return None;
        }
        self.works.push(Work {
            number,
            node,
            term: lease.term,
            deadline: lease.deadline,
            stage: Stage::Ordered,
            is_stubborn: site.prng.chance(plan.stubborn),
            will: None,
            missed: Vec::new(),
        });
        Some(number)
    }

    /// The core has let ordered work begin, or not.
    pub(super) fn ordered(&mut self, site: &mut Site<'_>, number: u64, may_begin: bool) {
        if may_begin {
            let delay = site.prng.between(1, 8 * WORD);
            return site.after(delay, number, WorkStep::Spawn);
        }
        self.works.retain(|work| work.number != number);
        self.idle_until = site.agenda.now() + 10 * MILLI;
        site.coverage.count("work that may not begin");
    }

    /// Whatever the node says to it of work that it has ordered: of renewals, and of an end that
    /// the core asks for. Returns the term whose work has just been told to end.
    pub(super) fn hear(
        &mut self,
        site: &mut Site<'_>,
        lease: Option<Lease>,
        asked: Option<EndOfWork>,
    ) -> Option<u64> {
        let living = site.living;
        let work = self.works.iter_mut().find(|work| Some(work.node) == living)?;
        let lease = lease.filter(|lease| lease.term == work.term);
        if let Some(lease) = lease.filter(|lease| lease.deadline > work.deadline) {
            work.deadline = lease.deadline;
            site.works.promised(work.number, site.clocks.holder_shows(lease.deadline));
        }
        let end = asked.filter(|end| end.term == work.term)?;
        let (number, stage) = (work.number, work.stage);
        if !matches!(stage, Stage::Alive | Stage::Ordered) {
            return None;
        }
        site.coverage.count("work asked to end");
        self.end(site, number, end.until);
        Some(end.term)
    }

    /// It tells work to end. `until`: how long an end that was planned may take.
    fn end(&mut self, site: &mut Site<'_>, number: u64, until: Option<HolderTime>) {
        let (now, stop_timeout) = (site.now(), stop_timeout(site.timing));
        let Some(plan) = self.plan else { return };
        let Some(work) = self.find(number) else { return };
        match work.stage {
            Stage::Ordered => return site.after(WORD, number, WorkStep::Gone),
            Stage::Alive => {}
            _ => return,
        }
        let left = work.deadline.since(now).saturating_sub(KILL_MARGIN);
        let unplanned = now.plus(left.min(stop_timeout));
        // As `gaggle exec` has it, the keeper kills a little before the order is given up. A program
        // of one's own may be later, and does not always succeed then.
        let always = plan.stubborn == 1000;
        let planned = until.map(|until| {
            let left = until.since(now);
            let margin = if always { (KILL_MARGIN * 2).min(left / 2) } else { Duration::ZERO };
            now.plus(left.saturating_sub(margin))
        });
        work.stage = Stage::Ending(planned.unwrap_or(unplanned));
        let look = work.next_look(site.timing);
        if work.is_stubborn {
            site.coverage.count("work that ignores SIGTERM");
        } else {
            let takes = site.prng.between(0, plan.obeys_within + 1);
            site.after(takes, number, WorkStep::Gone);
        }
        site.look_at(number, look);
    }

    /// The next thing happens to work.
    pub(super) fn step(
        &mut self,
        site: &mut Site<'_>,
        number: u64,
        step: WorkStep,
        in_peace: bool,
    ) -> Option<Ended> {
        let asleep = site.clocks.is_suspended();
        let work = self.find(number)?;
        if asleep {
            work.missed.push(step);
            return None;
        }
        match step {
            WorkStep::Spawn if work.stage == Stage::Ordered => self.spawn(site, number, in_peace),
            WorkStep::Done if work.stage == Stage::Alive => {
                site.coverage.count("work that ends by itself");
                self.gone(site, number, in_peace)
            }
            WorkStep::Look => {
                self.look(site, number);
                None
            }
            WorkStep::NodeDead => {
                site.coverage.count("work of a dead node");
                self.end(site, number, None);
                None
            }
            WorkStep::Gone => self.gone(site, number, in_peace),
            WorkStep::Spawn | WorkStep::Done => None,
        }
    }

    fn spawn(&mut self, site: &mut Site<'_>, number: u64, in_peace: bool) -> Option<Ended> {
        let lasts = self.plan.and_then(|plan| plan.lasts);
        let work = self.find(number)?;
        if work.deadline.since(site.now()) <= site.budget() || site.living != Some(work.node) {
            return self.gone(site, number, in_peace);
        }
        work.stage = Stage::Alive;
        let look = work.next_look(site.timing);
        site.coverage.count("work");
        let verdict = site.works.begins(site.agenda.now(), number, work.node, work.term);
        site.works.promised(number, site.clocks.holder_shows(work.deadline));
        site.verdicts.push(verdict);
        if let Some(lasts) = lasts {
            let lasts = site.prng.long_tailed(lasts);
            site.after(lasts, number, WorkStep::Done);
        }
        site.look_at(number, look);
        None
    }

    fn look(&mut self, site: &mut Site<'_>, number: u64) {
        let Some(work) = self.find(number) else { return };
        let look = work.next_look(site.timing);
        match work.stage {
            _ if look > site.now() => site.look_at(number, look),
            Stage::Alive if mutant::is(Mutant::KeeperForgetsDeadline) => {}
            Stage::Alive => {
                site.coverage.count("work ended at its deadline");
                self.end(site, number, None);
            }
            Stage::Ending(_) => {
                work.stage = Stage::Killed;
                site.coverage.count("work killed");
                let is_slow = site.prng.chance(50);
                let most = if is_slow { 50 * MILLI } else { 4 * MILLI };
                let takes = site.prng.between(MILLI / 10, most);
                site.after(takes, number, WorkStep::Gone);
            }
            Stage::Ordered | Stage::Killed => {}
        }
    }

    /// Nothing of it is left: its node is told, or, if that is dead, the voters are.
    fn gone(&mut self, site: &mut Site<'_>, number: u64, in_peace: bool) -> Option<Ended> {
        let place = self.works.iter().position(|work| work.number == number)?;
        let work = self.works.swap_remove(place);
        if work.is_alive() {
            site.verdicts.push(site.works.ended(site.agenda.now(), number));
        }
        if let Some(will) = work.will {
            site.execute(will, 0);
            return None;
        }
        if site.living != Some(work.node) {
            return None;
        }
        let rest = site.prng.pick(&[1, 50, 300]) * MILLI;
        self.idle_until = site.agenda.now() + rest;
        let share = self.plan.map_or(0, |plan| plan.abdicates);
        let abdicates = !in_peace && site.prng.chance(share);
        Some(Ended { abdicated: abdicates.then_some(work.term) })
    }

    /// The process that lived here is no more. Work that it ordered ends first, then its will is
    /// sent.
    pub(super) fn bury(&mut self, site: &mut Site<'_>, process: Process) {
        let will = self.will.take().filter(|will| !will.is_empty());
        let Some(work) = self.works.iter_mut().find(|work| work.node == process) else {
            return will.map_or((), |will| site.execute(will, DEATH_NOTICED));
        };
        if mutant::is(Mutant::KeeperReleasesBeforeWorkEnds) {
            if let Some(will) = will {
                site.execute(will, DEATH_NOTICED);
            }
        } else {
            work.will = will;
        }
        site.after(DEATH_NOTICED, work.number, WorkStep::NodeDead);
    }

    /// The pipe between it and a living node ends: a descriptor was closed early. A keeper that
    /// takes that for a death would release a living Goose.
    pub(super) fn lose_pipe(&mut self, site: &mut Site<'_>) {
        if mutant::is(Mutant::PipeEndTakenForDeath)
            && let Some(will) = self.will.clone().filter(|will| !will.is_empty())
        {
            site.execute(will, DEATH_NOTICED);
        }
    }

    /// It is killed. `node_acts`: its node lives and is not frozen. Returns what its node is to be
    /// told, and whether there was any work.
    pub(super) fn die(
        &mut self,
        site: &mut Site<'_>,
        node_acts: bool,
        in_peace: bool,
    ) -> (Vec<Ended>, bool) {
        self.is_dead = true;
        self.will = None;
        let living = site.living;
        let mut kept = Vec::new();
        for work in &mut self.works {
            work.will = None;
            kept.push((work.number, node_acts && living == Some(work.node)));
            if work.is_alive() {
                work.stage = Stage::Killed;
            }
        }
        let mut ended = Vec::new();
        for (number, by_node) in &kept {
            if *by_node {
                site.after(4 * MILLI, *number, WorkStep::Gone);
            } else {
                ended.extend(self.gone(site, *number, in_peace));
            }
        }
        (ended, !kept.is_empty())
    }

    /// The whole machine is without power.
    pub(super) fn lose_power(&mut self, site: &mut Site<'_>) {
        self.will = None;
        for work in std::mem::take(&mut self.works) {
            site.verdicts.push(site.works.ended(site.agenda.now(), work.number));
        }
    }

    /// The machine is suspended, or goes on: then whatever work and keeper missed happens at once.
    pub(super) fn pause(&mut self, site: &mut Site<'_>, paused: bool) {
        let mut due = Vec::new();
        for work in &mut self.works {
            site.works.paused(site.agenda.now(), work.number, paused);
            if !paused {
                due.extend(work.missed.drain(..).map(|step| (work.number, step)));
            }
        }
        for (number, step) in due {
            site.after(0, number, step);
        }
    }

    /// The clocks of the machine have changed: deadlines come sooner or later, and the keeper's
    /// timer follows.
    pub(super) fn observe_clocks(&mut self, site: &mut Site<'_>) {
        for work in &self.works {
            site.works.promised(work.number, site.clocks.holder_shows(work.deadline));
            site.look_at(work.number, work.next_look(site.timing));
        }
    }

    fn find(&mut self, number: u64) -> Option<&mut Work> {
        self.works.iter_mut().find(|work| work.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cluster::network::Network;

    #[test]
    fn a_keepers_datagrams_come_from_the_machine_of_its_node() {
        let address = Network::address(4, 2);
        assert_eq!(Network::index_of(source(address)), Some(4));
        assert_ne!(source(address), address);
    }
}
