//! What goes on beside a process: its keeper, and the work under its lease.

use std::rc::Rc;

use super::agenda::Happening;
use super::delivery::open;
use super::driver::Cluster;
use super::keeper::{self, Ended, Keeper, Site};
use super::process::Input;
use crate::node::LastWillDatagram;
use crate::sim::checkers::Invariant;
use crate::vocabulary::work::WorkRefused;

impl Cluster {
    /// Lets the keeper of a host do something.
    pub(super) fn keep<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Keeper, &mut Site<'_>) -> T,
    ) -> T {
        let host = &mut self.hosts[index];
        let mut site = Site {
            index,
            living: host.process(),
            clocks: &host.clocks,
            timing: &host.setup.timing,
            agenda: &mut self.agenda,
            prng: &mut self.prng,
            works: &mut self.judges.works,
            coverage: &mut self.judges.coverage,
            verdicts: Vec::new(),
        };
        let outcome = act(&mut host.keeper, &mut site);
        for verdict in site.verdicts {
            self.judges.judge(self.agenda.now(), verdict);
        }
        outcome
    }

    /// A node tells its keeper what is to be sent after its death, whenever that changes.
    pub(in crate::sim) fn confide(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if let Some(running) = host.running.as_mut().filter(|_| host.keeper.is_alive())
            && let Some(will) = running.core.poll_last_will()
        {
            host.keeper.entrust(Rc::new(will));
        }
    }

    /// The node's side, after every input: work begins if it may, its keeper hears of renewals,
    /// and of an end that the core asks for.
    pub(super) fn tend(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(running) = &mut host.running else { return };
        // What it decided late is done; what comes now is decided now.
        running.decided = None;
        let (lease, asked) = (running.core.lease(), running.work.asked);
        if host.keeper.works_for(running.process) {
            let ending = self.keep(index, |keeper, site| keeper.hear(site, lease, asked));
            // Somebody else would begin at this very moment.
            if ending.is_some() && self.begin_work(index).is_ok_and(|term| term == ending) {
                self.end_work(index);
            }
        } else if let Some(lease) = lease {
            let number = self.works + 1;
            let order = self.keep(index, |keeper, site| keeper.order(site, lease, number));
            let Some(number) = order else { return };
            self.works = number;
            if let Some(running) = &mut self.hosts[index].running {
                running.work.asked = None;
            }
            let may_begin = self.begin_work(index).is_ok();
            self.keep(index, |keeper, site| keeper.ordered(site, number, may_begin));
        }
    }

    /// Somebody begins to work under the lease that the process of a node shows. Returns its
    /// term; none if no process runs there or it shows none.
    ///
    /// # Errors
    /// As the process says.
    pub fn begin_work(&mut self, index: usize) -> Result<Option<u64>, WorkRefused> {
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.agenda.now());
        let Some(running) = &mut host.running else { return Ok(None) };
        let Some(lease) = running.core.lease() else { return Ok(None) };
        let ending = running.core.ending();
        if let Err(refused) = running.core.begin_work(now, lease.term) {
            // Whatever was due meanwhile is done all the same, and shown before it is.
            self.observe(index, None);
            self.drain(index);
            return Err(refused);
        }
        running.work.term = lease.term;
        running.work.alive += 1;
        if let Some(ending) = ending {
            let sentence = format!("work began under term {} after {ending:?}", lease.term);
            self.broken(Invariant::StopThenRelease, sentence);
        }
        self.take_effects(index, None);
        Ok(Some(lease.term))
    }

    /// Some work under the lease of the process of a node has ended.
    pub fn end_work(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.agenda.now());
        let Some(running) = &mut host.running else { return };
        if running.work.alive == 0 {
            return;
        }
        running.work.alive -= 1;
        running.core.end_work(now);
        self.take_effects(index, None);
    }

    pub(super) fn work_ended(&mut self, index: usize, ended: &Ended) {
        self.offer(index, Input::WorkEnded);
        if let Some(term) = ended.abdicated {
            self.offer(index, Input::Abdicate { term });
        }
    }

    /// One sending of a will, and the next after its pause.
    pub(super) fn speak(
        &mut self,
        index: usize,
        will: &Rc<Vec<LastWillDatagram>>,
        pauses: &'static [u64],
    ) {
        for spoken in will.iter() {
            // Keys may have been rotated since: somebody may be behind, but nobody far.
            let mut rings = self.hosts.iter().map(|host| host.setup.keys.as_ref());
            let content = rings.find_map(|keys| open(keys, &spoken.datagram));
            let packet = self.delivery.packet(spoken.datagram.clone(), content);
            self.judges.spoken(self.agenda.now(), &self.hosts, &packet);
            let source = keeper::source(self.hosts[index].setup.address);
            self.send(index, source, spoken.to, packet);
        }
        if let Some((pause, pauses)) = pauses.split_first() {
            let will = Rc::clone(will);
            self.agenda.after(*pause, Happening::Speak { index, will, pauses });
        }
    }

    /// The process on a host is dead; its keeper, if it has one, sees to the rest.
    pub(super) fn lay_to_rest(&mut self, index: usize) {
        let Some(process) = self.hosts[index].process() else { return };
        self.end_process(index);
        self.keep(index, |keeper, site| keeper.bury(site, process));
    }
}
