//! Drives the processes of a cluster, as the shell's driver drives one: takes one event at a time
//! from the agenda, hands it to whom it concerns, carries out at once whatever the process wants
//! done in answer, and shows it to the judges before the next event.

use std::net::SocketAddr;
use std::rc::Rc;

use super::agenda::{Agenda, Happening, STORM, Storm};
use super::delivery::{Delivery, open};
use super::disk::DiskHealth;
use super::host::{Host, lookup};
use super::interceptor::Kept;
use super::judges::Judges;
use super::keeper::Keeper;
use super::network::{Network, Packet, Weather};
use super::notes::{Notes, Tale};
use super::process::{Input, Reception, Turn};
use super::tally::Tally;
use super::trace::{Happened, Trace, TraceDepth};
use crate::node::Output;
use crate::node::setup::Setup;
use crate::sim::checkers::Invariant;
use crate::sim::prng::Prng;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::time::nanoseconds;
use crate::wire::record::Record;

/// A disk that hangs is looked at again after so many nanoseconds.
const HUNG_DISK: u64 = 20_000_000;
/// Looking up a name takes up to so many nanoseconds.
const LOOKUP: u64 = 30_000_000;

/// See the module.
pub struct Cluster {
    /// The machines.
    pub hosts: Vec<Host>,
    /// From one machine to another.
    pub delivery: Delivery,
    /// Who watches.
    pub judges: Judges,
    /// What is noted.
    pub notes: Notes,
    /// Sleeps end up to so many nanoseconds late.
    pub timer_lateness: u64,
    /// Whether nothing is broken on purpose any more.
    pub(super) is_peaceful: bool,
    pub(super) agenda: Agenda,
    /// Chance in processes, and in disks: kept apart so that one does not disturb the other.
    pub(super) prng: Prng,
    pub(super) disk_prng: Prng,
    /// Counts all work that was ever ordered.
    pub(super) works: u64,
}

impl Cluster {
    /// Machines on which nothing runs yet. `setups` are in the order of the nodes' indices;
    /// addresses in them are filled in.
    pub(super) fn new(seed: u64, setups: Vec<Setup>, weather: Weather, depth: TraceDepth) -> Self {
        let size = setups.len();
        let ids = setups.iter().map(|setup| setup.id.number()).collect();
        let mut clock_prng = Prng::new(seed, "clocks");
        let host = |(index, setup)| Host::new(index, setup, &mut clock_prng);
        Self {
            hosts: setups.into_iter().enumerate().map(host).collect(),
            delivery: Delivery::new(Network::new(size, weather), Prng::new(seed, "network")),
            judges: Judges::default(),
            notes: Notes { trace: Trace::new(depth, ids), tally: Tally::new(size), story: None },
            timer_lateness: 1_200_000,
            is_peaceful: false,
            agenda: Agenda::default(),
            prng: Prng::new(seed, "process"),
            disk_prng: Prng::new(seed, "disk"),
            works: 0,
        }
    }

    /// True time in nanoseconds.
    pub fn now(&self) -> u64 {
        self.agenda.now()
    }

    /// A promise is broken.
    pub fn broken(&mut self, invariant: Invariant, sentence: String) {
        self.judges.broken(self.agenda.now(), invariant, sentence);
    }

    /// What happens next by true time `until`, unless a promise is broken.
    pub(super) fn next(&mut self, until: u64) -> Option<Happening> {
        if self.judges.violation.is_some() {
            return None;
        }
        match self.agenda.next(until) {
            Ok(Some(happening)) => {
                self.notes.trace.mix(self.agenda.now());
                Some(happening)
            }
            Ok(None) => None,
            Err(Storm) => {
                self.broken(Invariant::Contract, format!("{STORM} events in a second"));
                None
            }
        }
    }

    /// Something happens, other than what was planned from outside.
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { to, address, from, packet } => {
                if self.hosts[to].setup.address == address && self.delivery.arrives(&packet) {
                    self.offer(to, Input::Datagram { from, packet });
                }
            }
            Happening::Written { host, epoch, ticket } => self.written(host, epoch, ticket),
            Happening::Resolved { host, epoch, found } => {
                if self.hosts[host].epoch == epoch {
                    self.offer(host, Input::Resolved(found));
                }
            }
            Happening::Wake { host, epoch } => self.wake(host, epoch),
            Happening::Attend { host, epoch } => self.attend(host, epoch),
            Happening::CatchUp { host, epoch } => self.catch_up(host, epoch),
            Happening::Work { host, number, step } => {
                let in_peace = self.is_peaceful;
                let ended =
                    self.keep(host, |keeper, site| keeper.step(site, number, step, in_peace));
                ended.into_iter().for_each(|ended| self.work_ended(host, &ended));
            }
            Happening::Speak { index, will, pauses } => self.speak(index, &will, pauses),
            Happening::Planned(_) => {}
        }
    }

    fn written(&mut self, index: usize, epoch: u32, ticket: u64) {
        let host = &mut self.hosts[index];
        if host.epoch != epoch {
            return;
        }
        if host.disk.health == DiskHealth::Hung {
            let again = Happening::Written { host: index, epoch, ticket };
            return self.agenda.after(HUNG_DISK, again);
        }
        let Some(outcome) = host.disk.complete(ticket, &mut self.disk_prng) else { return };
        let sound = outcome.is_ok();
        self.judges.coverage.count(if sound { "write" } else { "failed write" });
        self.notes.trace.note(self.agenda.now(), || Happened::Stored { by: index, sound });
        self.offer(index, Input::Stored { ticket, outcome });
    }

    /// Hands an input to a process, now or once it attends to it.
    pub(super) fn offer(&mut self, index: usize, input: Input) {
        let host = &mut self.hosts[index];
        match host.receive(self.agenda.now(), input) {
            Reception::Handled(input) => self.handle(index, input),
            Reception::Attended(at) => {
                self.agenda.at(at, Happening::Attend { host: index, epoch: host.epoch });
            }
            Reception::Waits => {}
            Reception::Lost => self.judges.coverage.count("socket overflow"),
        }
    }

    pub(super) fn attend(&mut self, index: usize, epoch: u32) {
        while self.judges.violation.is_none() {
            let host = &mut self.hosts[index];
            let is_there = host.epoch == epoch && !host.frozen;
            let Some(running) = host.running.as_mut().filter(|_| is_there) else { return };
            match running.turn(self.agenda.now()) {
                Turn::Input(input) => self.handle(index, input),
                Turn::Busy(at) => {
                    return self.agenda.at(at, Happening::Attend { host: index, epoch });
                }
                Turn::Nobody => return,
            }
        }
    }

    fn handle(&mut self, index: usize, input: Input) {
        // What was decided before is done before.
        let epoch = self.hosts[index].epoch;
        self.catch_up(index, epoch);
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.agenda.now());
        let Some(running) = &mut host.running else { return };
        let mut repeated = None;
        match input {
            Input::Datagram { from, packet } => {
                repeated = self.handle_datagram(index, from, packet);
            }
            Input::Stored { ticket, outcome } => running.core.handle_stored(now, ticket, outcome),
            Input::Resolved(found) => running.core.handle_resolved(now, &found),
            Input::StepDown { to, hold } => {
                // The answer comes once the work has ended; who is refused is told nothing here.
                let _ = running.core.step_down(now, to, hold);
            }
            Input::Drain(is_drained) => {
                // As above.
                let _ = running.core.drain(now, is_drained);
            }
            Input::Health(by, complaint) => running.core.set_health(now, by, complaint),
            Input::Pause(lasts) => _ = running.core.pause(now, lasts),
            Input::ChangeVoters(order) => {
                let outcome = running.core.change_voters(now, &order);
                self.judges.coverage.count(match outcome {
                    Ok(_) => "change of voters",
                    Err(_) => "refused change of voters",
                });
            }
            Input::Leave => running.core.leave(now),
            Input::WorkEnded => {
                running.work.alive = running.work.alive.saturating_sub(1);
                running.core.end_work(now);
            }
            Input::Abdicate { term } => {
                self.judges.coverage.count("abdication");
                running.core.abdicate(now, term);
            }
        }
        self.tire(index);
        self.conclude(index, repeated.as_deref());
    }

    /// Returns the datagram, if it was handled before.
    fn handle_datagram(
        &mut self,
        index: usize,
        from: SocketAddr,
        packet: Rc<Packet>,
    ) -> Option<Rc<Packet>> {
        let is_repeated = self.delivery.is_repeated(index, from, &packet);
        if is_repeated {
            self.judges.coverage.count("repeated datagram");
        }
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.agenda.now());
        let running = host.running.as_mut()?;
        self.notes.trace.mix_bytes(&packet.datagram);
        let happened = || Happened::Handled { by: index, packet: Rc::clone(&packet) };
        self.notes.trace.note(self.agenda.now(), happened);
        let rejected = running.core.counters().rejected;
        let is_mute = running.inspection.voter.as_ref().is_some_and(|voter| voter.is_mute);
        running.core.handle_datagram(now, from, &packet.datagram);
        // What the door refuses has told the process nothing, nor has a mute voter heard anything.
        let is_taken = running.core.counters().rejected == rejected;
        if !is_repeated && (is_mute || !is_taken) {
            self.delivery.take_back(&packet);
        }
        if let Some(content) = packet.content.as_ref().filter(|_| is_taken) {
            self.judges.received(running.process, now, content);
        }
        is_repeated.then_some(packet)
    }

    fn tire(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.starvation == 0 {
            return;
        }
        let effort = self.prng.between(0, host.starvation);
        if let Some(running) = &mut host.running {
            running.tire(self.agenda.now() + effort);
        }
    }

    fn wake(&mut self, index: usize, epoch: u32) {
        let now = self.agenda.now();
        let host = &mut self.hosts[index];
        let is_there = host.epoch == epoch && !host.frozen;
        let Some(running) = host.running.as_mut().filter(|_| is_there) else { return };
        match running.alarm_rings(now) {
            (false, _) => return,
            (true, Some(busy_until)) => {
                return self.agenda.at(busy_until, Happening::Wake { host: index, epoch });
            }
            (true, None) => {}
        }
        self.catch_up(index, epoch);
        let host = &mut self.hosts[index];
        let clock = host.clocks.now(now);
        let Some(running) = &mut host.running else { return };
        running.forget_alarm();
        if !running.is_due(clock) {
            return self.set_alarm(index);
        }
        self.notes.trace.note(now, || Happened::Woke { by: index });
        if running.handle_timeout(clock) {
            let sentence = format!("{} has a timer that stays due", running.process);
            return self.broken(Invariant::Contract, sentence);
        }
        self.tire(index);
        self.conclude(index, None);
    }

    /// Wakes the process when its next timer is due by its own clock: never earlier, and as
    /// much later as sleeps are on a real machine.
    pub(super) fn set_alarm(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(due) = host.missing_alarm(self.agenda.now()) else { return };
        let at = due + self.prng.between(0, self.timer_lateness + 1);
        if let Some(running) = &mut host.running {
            running.set_alarm(at);
        }
        self.agenda.at(at, Happening::Wake { host: index, epoch: host.epoch });
    }

    /// Does what a process has just decided, or lets time pass first. `repeated` is the datagram
    /// it handled, if it had handled the same before.
    fn conclude(&mut self, index: usize, repeated: Option<&Packet>) {
        let now = self.agenda.now();
        let host = &mut self.hosts[index];
        let lag = if repeated.is_none() { host.lag.draw(&mut self.prng) } else { None };
        let Some(lag) = lag else { return self.take_effects(index, repeated) };
        if let Some(running) = &mut host.running {
            running.decide_late(host.clocks.now(now), now + lag);
        }
        self.judges.coverage.count("lag");
        self.agenda.after(lag, Happening::CatchUp { host: index, epoch: host.epoch });
    }

    /// What was decided a while ago is done now.
    pub(super) fn catch_up(&mut self, index: usize, epoch: u32) {
        let host = &mut self.hosts[index];
        if host.epoch != epoch || host.frozen {
            return;
        }
        if host.running.as_ref().is_some_and(|running| running.decided.is_some()) {
            self.take_effects(index, None);
            if let Some(running) = &mut self.hosts[index].running {
                running.decided = None;
            }
        }
    }

    /// Looks at a process, does what it wants done, and sets its alarm.
    pub(in crate::sim) fn take_effects(&mut self, index: usize, repeated: Option<&Packet>) {
        self.observe(index, repeated);
        self.drain(index);
        if self.hosts[index].running.is_none() {
            return;
        }
        self.confide(index);
        self.tend(index);
        let host = &self.hosts[index];
        let clock = host.clocks.now(self.agenda.now());
        if host.running.as_ref().is_some_and(|running| running.core.has_left(clock)) {
            self.judges.coverage.count("left");
            return self.lay_to_rest(index);
        }
        self.set_alarm(index);
    }

    /// Shows the judges what a process is after an input.
    pub(super) fn observe(&mut self, index: usize, repeated: Option<&Packet>) {
        let now = self.agenda.now();
        let Some(running) = &mut self.hosts[index].running else { return };
        if let Some(before) = running.renamed() {
            self.judges.ended(before);
        }
        let process = running.process;
        // First, for the same input may have changed who votes and what that makes of the lease.
        let before = running.inspection_before();
        if let Some(term) = running.new_term() {
            self.judges.observe_term(now, process, term);
        }
        if let Some(lease_before) = running.lease_before() {
            let lease = running.lease;
            if lease_before.zip(lease).is_some_and(|(a, b)| a.since == b.since && a.term != b.term)
            {
                let sentence = format!("{process} goes on under another term: {lease:?}");
                self.judges.broken(now, Invariant::RisingTerms, sentence);
            }
            self.notes.trace.mix(lease.map_or(0, |lease| lease.deadline.0));
            self.judges.observe_lease(now, &self.hosts, index);
        }
        let Some(before) = before else { return };
        if let Some(packet) = repeated {
            self.judges.repeated(now, &self.hosts[index], packet, &before);
        }
        self.judges.observe_votes(now, &self.hosts[index]);
    }

    /// Shows the judges a host whose clocks have just changed.
    pub(super) fn observe_clocks(&mut self, index: usize) {
        let now = self.agenda.now();
        self.judges.observe_lease(now, &self.hosts, index);
        self.judges.observe_votes(now, &self.hosts[index]);
        self.keep(index, Keeper::observe_clocks);
    }

    /// Does what a process wants done.
    pub(super) fn drain(&mut self, index: usize) {
        while self.judges.violation.is_none() {
            let Some(running) = &mut self.hosts[index].running else { return };
            let Some(output) = running.core.poll_output() else { return };
            match output {
                Output::Transmit { to, datagram } => self.transmit(index, to, datagram),
                Output::Store { ticket, record } => self.store(index, ticket, &record),
                Output::Resolve(names) => self.resolve(index, &names),
                Output::Event(event) => self.told(index, event),
                Output::EndWork(end) => running.work.asked = Some(end),
                Output::SteppedDown(outcome) => {
                    if outcome.is_ok() {
                        self.judges.coverage.count("stepped down");
                    }
                }
                Output::Drained(answer) => {
                    if answer.outcome.is_ok_and(|done| done.is_drained && done.is_news) {
                        self.judges.coverage.count("drained");
                    }
                }
            }
        }
    }

    fn transmit(&mut self, from: usize, to: SocketAddr, datagram: Vec<u8>) {
        let host = &mut self.hosts[from];
        let keys = host.running.as_ref().and_then(|running| running.keys.as_ref());
        let content = open(keys, &datagram);
        let packet = self.delivery.packet(datagram, content);
        self.notes.trace.mix_bytes(&packet.datagram);
        self.notes.tally.sent(from, Network::index_of(to), &packet);
        self.judges.sent(self.agenda.now(), host, &packet);
        self.judges.sent_under_work(self.agenda.now(), host, &packet);
        if self.delivery.refuses(host.failing_sends) {
            self.judges.coverage.count("send that failed");
            if let Some(running) = &mut host.running {
                running.core.handle_send_failure();
            }
            return;
        }
        let source = host.setup.address;
        self.send(from, source, to, packet);
    }

    pub(super) fn send(
        &mut self,
        from: usize,
        source: SocketAddr,
        address: SocketAddr,
        packet: Packet,
    ) {
        let coverage = &mut self.judges.coverage;
        let Some(to) = Network::index_of(address).filter(|to| *to < self.hosts.len()) else {
            return coverage.count("datagram to nowhere");
        };
        let sent = Kept { to, address, source, packet: Rc::new(packet) };
        self.delivery.send(from, sent, &mut self.agenda, &mut self.notes, coverage);
    }

    fn store(&mut self, index: usize, ticket: u64, record: &Record) {
        let host = &mut self.hosts[index];
        let delay = host.disk.draw_delay(&mut self.disk_prng);
        let epoch = host.epoch;
        if let Err(error) = host.disk.begin(ticket, record) {
            return self.broken(Invariant::Contract, error);
        }
        self.agenda.after(delay, Happening::Written { host: index, epoch, ticket });
    }

    fn resolve(&mut self, index: usize, names: &[String]) {
        let found = |name: &String| {
            (name.clone(), lookup(&self.hosts, name).into_iter().collect::<Vec<_>>())
        };
        let found = names.iter().map(found).collect();
        let epoch = self.hosts[index].epoch;
        let delay = self.prng.between(0, LOOKUP);
        self.agenda.after(delay, Happening::Resolved { host: index, epoch, found });
    }

    fn told(&mut self, index: usize, event: Event) {
        let now = self.agenda.now();
        if let Event::Warning(Warning::FoundedWithout { silent }) = &event {
            for host in self.hosts.iter_mut().filter(|host| silent.contains(&host.id)) {
                host.left_out = true;
            }
        }
        self.hosts[index].hears(now, &event);
        self.judges.told(now, &self.hosts, index, &event);
        if let Event::MemberChanged { id, state, .. } = &event {
            self.notes.tally.thinks(now, index, *id, *state);
        }
        self.notes.trace.note(now, || Happened::Told { by: index, event: Box::new(event.clone()) });
        self.notes.tell(now, Some(index), || Tale::Event(event));
    }

    /// The process is gone, for whatever reason.
    pub(super) fn end_process(&mut self, index: usize) {
        let Some(running) = self.hosts[index].running.take() else { return };
        self.judges.ended(running.process);
        if !self.hosts[index].is_twin() {
            self.judges.voter_ended(running.process.id);
        } else if !self.hosts.iter().any(|host| host.running.is_some() && host.is_twin()) {
            let memory = self.hosts.iter().map(|host| nanoseconds(host.setup.timing.lease_max));
            self.judges.last_twin_ends(self.agenda.now(), 3 * memory.max().unwrap_or(0));
        }
    }
}
