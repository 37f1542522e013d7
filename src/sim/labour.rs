//! What is done under a lease, and the keeper that begins and ends it.
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
//! is frozen, starved or dead. Only when a dead node's work has ended, its last will is sent.
//!
//! A keeper may die, too. A living node then kills what it kept, and leaves. If the node is frozen
//! or dead at that moment, whoever killed the keeper is taken to have killed everything: nothing
//! that is left on the machine could end the work.

use std::time::Duration;

use super::host::{Host, Input};
use super::job::{Chore, KILL_MARGIN, Labour, LastWill, Stage, WORD, stop_timeout};
use super::keeper::DEATH_NOTICED;
use super::world::{Happening, World};
use crate::vocabulary::identity::Process;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

const MILLI: u64 = 1_000_000;

impl World {
    /// The node's side, after every input: work begins if it may, its keeper hears of renewals,
    /// and of an end that the core asks for.
    pub(super) fn tend(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(running) = &mut host.running else { return };
        // What it decided late is done; what comes now is decided now.
        running.decided = None;
        let process = running.process;
        if host.labours.iter().any(|labour| labour.node == process) {
            self.pass_on(index, process);
        } else if host.employment.is_some() && host.keeper && !host.keeper_dead {
            self.employ(index);
        }
    }

    fn employ(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let clock = host.clocks.now(self.now);
        let (Some(employment), Some(running)) = (host.employment, &mut host.running) else {
            return;
        };
        let budget = stop_timeout(&host.setup.timing) + KILL_MARGIN;
        let lease = running.core.lease();
        let Some(lease) = lease.filter(|it| it.deadline.since(clock.holder) > budget) else {
            return;
        };
        if self.now < host.idle_until {
            return;
        }
        running.work.asked = None;
        let number = self.labours + 1;
        host.labours.push(Labour {
            number,
            node: running.process,
            term: lease.term,
            deadline: lease.deadline,
            stage: Stage::Ordered,
            stubborn: self.streams.process.chance(employment.stubborn),
            will: None,
            missed: Vec::new(),
        });
        if self.begin_work(index).is_err() {
            self.hosts[index].labours.retain(|labour| labour.number != number);
            self.hosts[index].idle_until = self.now + 10 * MILLI;
            return self.coverage.count("work that may not begin");
        }
        self.labours = number;
        let delay = self.streams.process.between(1, 8 * WORD);
        self.schedule_chore(index, number, delay, Chore::Spawn);
    }

    /// Whatever the node says to the keeper of work that it has ordered.
    fn pass_on(&mut self, index: usize, process: Process) {
        let host = &mut self.hosts[index];
        let Some(running) = &host.running else { return };
        let mine = host.labours.iter_mut().find(|labour| labour.node == process);
        let Some(labour) = mine else { return };
        let lease = running.core.lease().filter(|lease| lease.term == labour.term);
        if let Some(lease) = lease.filter(|lease| lease.deadline > labour.deadline) {
            labour.deadline = lease.deadline;
            let until = host.clocks.holder_shows(lease.deadline);
            self.works.promised(labour.number, until);
        }
        let asked = running.work.asked.filter(|end| end.term == labour.term);
        let number = labour.number;
        if let (Some(end), Stage::Alive | Stage::Ordered) = (asked, labour.stage) {
            self.coverage.count("work asked to end");
            self.end_labour(index, number, end.until);
            // Somebody else would begin at this very moment.
            if self.begin_work(index).is_ok_and(|term| term == Some(end.term)) {
                self.end_work(index);
            }
        }
    }

    /// The keeper tells work to end. `until`: how long an end that was planned may take.
    fn end_labour(&mut self, index: usize, number: u64, until: Option<HolderTime>) {
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.now).holder;
        let stop_timeout = stop_timeout(&host.setup.timing);
        let Some(employment) = host.employment else { return };
        let Some(labour) = find(&mut host.labours, number) else { return };
        match labour.stage {
            Stage::Ordered => return self.schedule_chore(index, number, WORD, Chore::Gone),
            Stage::Alive => {}
            _ => return,
        }
        let left = labour.deadline.since(now).saturating_sub(KILL_MARGIN);
        let unplanned = now.plus(left.min(stop_timeout));
        // As `gaggle exec` has it, the keeper kills a little before the order is given up. A program
        // of one's own may be later, and does not always succeed then.
        let always = employment.stubborn == 1000;
        let planned = until.map(|until| {
            let left = until.since(now);
            let margin = if always { (KILL_MARGIN * 2).min(left / 2) } else { Duration::ZERO };
            now.plus(left.saturating_sub(margin))
        });
        labour.stage = Stage::Ending(planned.unwrap_or(unplanned));
        if labour.stubborn {
            self.coverage.count("work that ignores SIGTERM");
        } else {
            let takes = self.streams.process.between(0, employment.obeys_within + 1);
            self.schedule_chore(index, number, takes, Chore::Gone);
        }
        self.schedule_look(index, number);
    }

    fn schedule_chore(&mut self, index: usize, number: u64, delay: u64, chore: Chore) {
        let happening = Happening::Chore { host: index, number, chore };
        self.schedule(self.now + delay, happening);
    }

    /// The keeper looks at the clock when it has to act, and not later if a deadline moves on.
    fn schedule_look(&mut self, index: usize, number: u64) {
        let host = &self.hosts[index];
        let Some(labour) = host.labours.iter().find(|labour| labour.number == number) else {
            return;
        };
        let at = host.clocks.holder_shows(labour.next_look(&host.setup.timing));
        if at != u64::MAX {
            let lateness = self.streams.process.between(0, WORD);
            self.schedule_chore(index, number, at.saturating_sub(self.now) + lateness, Chore::Look);
        }
    }

    pub(super) fn do_chore(&mut self, index: usize, number: u64, chore: Chore) {
        let host = &mut self.hosts[index];
        let asleep = host.clocks.is_suspended();
        let Some(labour) = find(&mut host.labours, number) else { return };
        if asleep {
            return labour.missed.push(chore);
        }
        match chore {
            Chore::Spawn if labour.stage == Stage::Ordered => self.spawn(index, number),
            Chore::Done if labour.stage == Stage::Alive => {
                self.coverage.count("work that ends by itself");
                self.gone(index, number);
            }
            Chore::Look => self.look(index, number),
            Chore::NodeDead => {
                self.coverage.count("work of a dead node");
                self.end_labour(index, number, None);
            }
            Chore::Gone => self.gone(index, number),
            Chore::Spawn | Chore::Done => {}
        }
    }

    fn spawn(&mut self, index: usize, number: u64) {
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.now).holder;
        let budget = stop_timeout(&host.setup.timing) + KILL_MARGIN;
        let living = host.process();
        let Some(labour) = find(&mut host.labours, number) else { return };
        if labour.deadline.since(now) <= budget || living != Some(labour.node) {
            return self.gone(index, number);
        }
        labour.stage = Stage::Alive;
        let (node, term, deadline) = (labour.node, labour.term, labour.deadline);
        let until = host.clocks.holder_shows(deadline);
        let lasts = host.employment.and_then(|employment| employment.lasts);
        self.coverage.count("work");
        let verdict = self.works.begins(self.now, number, node, term);
        self.works.promised(number, until);
        self.judge(verdict);
        if let Some(lasts) = lasts {
            let lasts = self.streams.process.long_tailed(lasts);
            self.schedule_chore(index, number, lasts, Chore::Done);
        }
        self.schedule_look(index, number);
    }

    fn look(&mut self, index: usize, number: u64) {
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.now).holder;
        let timing = &host.setup.timing;
        let Some(labour) = find(&mut host.labours, number) else { return };
        let due = labour.next_look(timing) <= now;
        match labour.stage {
            _ if !due => self.schedule_look(index, number),
            Stage::Alive if mutant::is(Mutant::KeeperForgetsDeadline) => {}
            Stage::Alive => {
                self.coverage.count("work ended at its deadline");
                self.end_labour(index, number, None);
            }
            Stage::Ending(_) => {
                labour.stage = Stage::Killed;
                self.coverage.count("work killed");
                let slow = self.streams.process.chance(50);
                let most = if slow { 50 * MILLI } else { 4 * MILLI };
                let takes = self.streams.process.between(MILLI / 10, most);
                self.schedule_chore(index, number, takes, Chore::Gone);
            }
            Stage::Ordered | Stage::Killed => {}
        }
    }

    /// Nothing of it is left: its node is told, or, if that is dead, the voters are.
    fn gone(&mut self, index: usize, number: u64) {
        let host = &mut self.hosts[index];
        let Some(place) = host.labours.iter().position(|labour| labour.number == number) else {
            return;
        };
        let labour = host.labours.swap_remove(place);
        if labour.is_alive() {
            let verdict = self.works.ended(self.now, number);
            self.judge(verdict);
        }
        if let Some(will) = labour.will {
            return self.execute(will, 0);
        }
        let host = &mut self.hosts[index];
        if host.process() != Some(labour.node) {
            return;
        }
        let rest = self.streams.process.pick(&[1, 50, 300]) * MILLI;
        host.idle_until = self.now + rest;
        let abdicates = host.employment.map_or(0, |employment| employment.abdicates);
        let abdicates = !self.peaceful && self.streams.process.chance(abdicates);
        self.offer(index, Input::WorkEnded);
        if abdicates {
            self.offer(index, Input::Abdicate { term: labour.term });
        }
    }

    /// The process on a host is no more, for whatever reason; `will` is what its keeper has. Work
    /// that it ordered ends first.
    pub(super) fn bury(&mut self, index: usize, process: Process, will: Option<LastWill>) {
        let host = &mut self.hosts[index];
        let Some(labour) = host.labours.iter_mut().find(|labour| labour.node == process) else {
            return will.map_or((), |will| self.execute(will, DEATH_NOTICED));
        };
        let number = labour.number;
        if mutant::is(Mutant::KeeperReleasesBeforeWorkEnds) {
            if let Some(will) = will {
                self.execute(will, DEATH_NOTICED);
            }
        } else {
            labour.will = will;
        }
        self.schedule_chore(index, number, DEATH_NOTICED, Chore::NodeDead);
    }

    /// The keeper on a host is killed.
    pub(super) fn kill_keeper(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        host.keeper_dead = true;
        let attentive = host.running.is_some() && !host.frozen;
        let process = host.process();
        if let Some(running) = &mut host.running {
            running.will = None;
        }
        let numbers: Vec<(u64, bool)> = host
            .labours
            .iter_mut()
            .map(|labour| {
                labour.will = None;
                (labour.number, attentive && process == Some(labour.node))
            })
            .collect();
        let worked = !numbers.is_empty();
        for (number, by_node) in numbers {
            let host = &mut self.hosts[index];
            if let Some(labour) = find(&mut host.labours, number).filter(|it| it.is_alive()) {
                labour.stage = Stage::Killed;
            }
            if by_node {
                self.schedule_chore(index, number, 4 * MILLI, Chore::Gone);
            } else {
                self.gone(index, number);
            }
        }
        if worked {
            self.offer(index, Input::Leave);
        }
    }

    /// The whole machine is without power.
    pub(super) fn lose_labour(&mut self, index: usize) {
        for labour in std::mem::take(&mut self.hosts[index].labours) {
            let verdict = self.works.ended(self.now, labour.number);
            self.judge(verdict);
        }
    }

    /// The machine is suspended, or goes on: then whatever its work and its keeper missed happens
    /// at once.
    pub(super) fn pause_labour(&mut self, index: usize, paused: bool) {
        let mut due = Vec::new();
        for labour in &mut self.hosts[index].labours {
            self.works.paused(self.now, labour.number, paused);
            if !paused {
                due.extend(labour.missed.drain(..).map(|chore| (labour.number, chore)));
            }
        }
        for (number, chore) in due {
            self.schedule_chore(index, number, 0, chore);
        }
    }

    /// The clocks of a host have changed: deadlines come sooner or later.
    pub(super) fn observe_works(&mut self, index: usize) {
        let host = &self.hosts[index];
        let mut numbers = Vec::new();
        for labour in &host.labours {
            let until = host.clocks.holder_shows(labour.deadline);
            self.works.promised(labour.number, until);
            numbers.push(labour.number);
        }
        // The keeper's timer follows the clock.
        numbers.into_iter().for_each(|number| self.schedule_look(index, number));
    }
}

fn find(labours: &mut [Labour], number: u64) -> Option<&mut Labour> {
    labours.iter_mut().find(|labour| labour.number == number)
}

impl Host {
    /// Whether work is alive here.
    pub fn works(&self) -> bool {
        self.labours.iter().any(Labour::is_alive)
    }
}
