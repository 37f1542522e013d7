//! The world: a heap of events ordered by true time, and the hosts they happen to.
//!
//! One event at a time is taken from the heap. Whatever a process does in answer is carried
//! out at once (see [`super::settle`]), and the judges look at it before the next event.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use super::action::Action;
use super::checks::{
    DeferenceChecks, Invariant, Leadership, Promises, Reach, Verdict, Violation, Voting, Works,
};
use super::clocks::{Clocks, TRUE_RATE};
use super::coverage::Coverage;
use super::disk::{DiskHealth, SimulatedDisk};
use super::host::{Host, Input, SOCKET_BUFFER};
use super::interceptor::{Interception, Interceptor};
use super::job::Chore;
use super::network::{Captured, Delay, Network, Packet, Weather};
use super::prng::Prng;
use super::tally::Tally;
use super::trace::{Happened, Trace, TraceDepth};
use crate::node::LastWillDatagram;
use crate::vocabulary::event::Event;
use crate::vocabulary::setup::Setup;

/// The wall clock at true time zero, in milliseconds: some day in 2026.
const EPOCH: i64 = 1_780_000_000_000;

/// A disk that hangs is looked at again after so many nanoseconds.
const HUNG_DISK: u64 = 20_000_000;

/// A timer that is due again at once so often in a row never lets go.
const RESTLESS_MAX: u32 = 2000;
/// So many events in a second mean that time stands still, or that datagrams breed.
const STORM: u64 = 1_000_000;

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Happening {
    Arrive {
        to: usize,
        address: SocketAddr,
        from: SocketAddr,
        packet: Rc<Packet>,
    },
    Written {
        host: usize,
        epoch: u32,
        ticket: u64,
    },
    Resolved {
        host: usize,
        epoch: u32,
        addresses: Vec<SocketAddr>,
    },
    Wake {
        host: usize,
        epoch: u32,
    },
    CatchUp {
        host: usize,
        epoch: u32,
    },
    Attend {
        host: usize,
        epoch: u32,
    },
    /// Somebody speaks for the dead: what they left, and after which pauses still.
    Speak {
        index: usize,
        will: Rc<Vec<LastWillDatagram>>,
        pauses: &'static [u64],
    },
    Chore {
        host: usize,
        number: u64,
        chore: Chore,
    },
    Do(Action),
    Nemesis,
}

struct Scheduled {
    at: u64,
    sequence: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// Who breaks things, now and then.
pub trait Nemesis {
    /// When it strikes next: after so many nanoseconds.
    fn next_delay(&mut self, prng: &mut Prng) -> u64;
    /// Breaks something.
    fn strike(&mut self, world: &mut World);
}

/// The streams of chance, kept apart so that one does not disturb the others.
pub(super) struct Streams {
    pub(super) network: Prng,
    pub(super) disk: Prng,
    pub(super) process: Prng,
    pub(super) nemesis: Prng,
}

/// What an event in a process was, for the story.
#[derive(Clone, Debug)]
pub struct Told {
    /// True time in nanoseconds.
    pub at: u64,
    /// Which node, by index; none if the world did it.
    pub by: Option<usize>,
    /// What.
    pub what: Tale,
}

/// See [`Told`].
#[derive(Clone, Debug)]
pub enum Tale {
    /// A node's event.
    Event(Event),
    /// What the world did.
    Action(Action),
    /// A message left that the script has an eye on.
    Sent {
        /// To which node.
        to: usize,
        /// What.
        packet: Rc<Packet>,
        /// What became of it, if it did not just arrive.
        fate: Option<Interception>,
    },
    /// What the script itself says.
    Remark(String),
}

/// See the module.
pub struct World {
    /// True time in nanoseconds.
    pub now: u64,
    /// The machines.
    pub hosts: Vec<Host>,
    /// What is between them.
    pub network: Network,
    /// What a script does to single messages.
    pub interceptor: Interceptor,
    /// What has been met.
    pub coverage: Coverage,
    /// What happened, line by line.
    pub trace: Trace,
    /// What was counted for whoever measures.
    pub tally: Tally,
    /// What nodes said, if anybody listens.
    pub story: Option<Vec<Told>>,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// How many events there have been.
    pub events: u64,
    /// The true time and the number of events when the second began that is looked at.
    second: (u64, u64),
    pub(super) leadership: Leadership,
    pub(super) voting: Voting,
    pub(super) promises: Promises,
    pub(super) deference: DeferenceChecks,
    pub(super) reach: Reach,
    pub(super) works: Works,
    /// Until then a second process of a voter may have its effect.
    pub(super) twins_until: u64,
    /// Counts all work that ever began.
    pub(super) labours: u64,
    pub(super) streams: Streams,
    pub(super) nemesis: Option<Box<dyn Nemesis>>,
    pub(super) peaceful: bool,
    /// Datagrams up to this number never arrive any more.
    pub(super) forgotten: u64,
    pub(super) packet_number: u64,
    pub(super) delivered: BTreeSet<u64>,
    /// Sleeps end up to so many nanoseconds late.
    pub timer_lateness: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

impl World {
    /// A world of machines on which nothing runs yet. `setups` are in the order of the nodes'
    /// indices; addresses in them are filled in.
    pub fn new(seed: u64, setups: Vec<Setup>, weather: Weather, depth: TraceDepth) -> Self {
        let ids = setups.iter().map(|setup| setup.id.number()).collect();
        let network = Network::new(setups.len(), weather);
        let tally = Tally::new(setups.len());
        let mut clock_dice = Prng::new(seed, "clocks");
        let host = |(index, mut setup): (usize, Setup)| {
            setup.address = Network::address(index, 0);
            let origin = clock_dice.between(1, 1 << 50);
            Host {
                id: setup.id,
                original: setup.clone(),
                setup,
                lag: 0,
                clocks: Clocks::new(origin + clock_dice.between(0, 1 << 40), origin, EPOCH),
                disk: SimulatedDisk::new(false),
                disk_delay: Delay::Constant(80_000),
                slow_disk: None,
                running: None,
                epoch: 0,
                frozen: false,
                starvation: 0,
                failing_sends: 0,
                held_until: 0,
                key_stage: 0,
                address_version: 0,
                foreign_node: None,
                silenced: false,
                gone: false,
                keeper: false,
                keeper_dead: false,
                employment: None,
                labours: Vec::new(),
                idle_until: 0,
                forgot: false,
                left_out: false,
                fragile_until: 0,
            }
        };
        Self {
            now: 0,
            hosts: setups.into_iter().enumerate().map(host).collect(),
            network,
            interceptor: Interceptor::default(),
            coverage: Coverage::default(),
            trace: Trace::new(depth, ids),
            tally,
            story: None,
            violation: None,
            events: 0,
            second: (0, 0),
            leadership: Leadership::default(),
            voting: Voting::default(),
            promises: Promises::default(),
            deference: DeferenceChecks::default(),
            reach: Reach::default(),
            works: Works::default(),
            twins_until: 0,
            labours: 0,
            streams: Streams {
                network: Prng::new(seed, "network"),
                disk: Prng::new(seed, "disk"),
                process: Prng::new(seed, "process"),
                nemesis: Prng::new(seed, "chaos"),
            },
            nemesis: None,
            peaceful: false,
            forgotten: 0,
            packet_number: 0,
            delivered: BTreeSet::new(),
            timer_lateness: 1_200_000,
            heap: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// Does something after a delay in nanoseconds.
    pub fn plan(&mut self, delay: u64, action: Action) {
        self.schedule(self.now + delay, Happening::Do(action));
    }

    /// Gives the world over to chance.
    pub fn unleash(&mut self, mut nemesis: Box<dyn Nemesis>) {
        let first = nemesis.next_delay(&mut self.streams.nemesis);
        self.nemesis = Some(nemesis);
        self.schedule(self.now + first, Happening::Nemesis);
    }

    /// Lets events happen until true time `until` or a broken promise.
    pub fn run_until(&mut self, until: u64) {
        while self.violation.is_none() {
            match self.heap.peek() {
                Some(Reverse(next)) if next.at <= until => {}
                _ => break,
            }
            let Some(Reverse(next)) = self.heap.pop() else { break };
            self.now = next.at;
            if self.now >= self.second.0 + 1_000_000_000 {
                self.second = (self.now, self.events);
            }
            if self.events - self.second.1 > STORM {
                return self.broken(Invariant::Contract, format!("{STORM} events in a second"));
            }
            self.events += 1;
            self.trace.mix(next.at);
            self.happen(next.what);
        }
        self.now = self.now.max(until);
    }

    /// The nodes that are Goose at this moment by their own clocks.
    pub fn geese(&self) -> Vec<(usize, u64)> {
        let lease = |(index, host): (usize, &Host)| Some((index, host.lease_at(self.now)?.term));
        self.hosts.iter().enumerate().filter_map(lease).collect()
    }

    /// How many terms there have been.
    pub fn terms(&self) -> usize {
        self.leadership.terms()
    }

    pub(super) fn schedule(&mut self, at: u64, what: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse(Scheduled { at, sequence: self.sequence, what }));
    }

    pub(super) fn judge(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            // With two processes of one voter nobody promises that.
            if self.now < self.twins_until && violation.invariant.needs_single_voters() {
                return self.coverage.count("promise void by a twin");
            }
            self.violation.get_or_insert(violation);
        }
    }

    pub(super) fn broken(&mut self, invariant: Invariant, sentence: String) {
        self.judge(Err(Violation::new(self.now, invariant, sentence)));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrive { to, address, from, packet } => {
                if self.hosts[to].setup.address == address && packet.number > self.forgotten {
                    self.arrive(to, from, packet);
                }
            }
            Happening::Written { host, epoch, ticket } => self.written(host, epoch, ticket),
            Happening::Resolved { host, epoch, addresses } => {
                if self.hosts[host].epoch == epoch {
                    self.offer(host, Input::Resolved(addresses));
                }
            }
            Happening::Wake { host, epoch } => self.wake(host, epoch),
            Happening::Attend { host, epoch } => self.attend(host, epoch),
            Happening::CatchUp { host, epoch } => self.catch_up(host, epoch),
            Happening::Chore { host, number, chore } => self.do_chore(host, number, chore),
            Happening::Speak { index, will, pauses } => self.speak(index, &will, pauses),
            // Faults that were planned before the peace do not break it.
            Happening::Do(_) if self.peaceful => {}
            Happening::Do(action) => self.act(&action),
            Happening::Nemesis => self.let_loose(),
        }
    }

    fn let_loose(&mut self) {
        let Some(mut nemesis) = self.nemesis.take() else { return };
        nemesis.strike(self);
        let delay = nemesis.next_delay(&mut self.streams.nemesis);
        self.nemesis = Some(nemesis);
        self.schedule(self.now + delay, Happening::Nemesis);
    }

    fn arrive(&mut self, to: usize, from: SocketAddr, packet: Rc<Packet>) {
        if self.hosts[to].running.is_none() {
            return;
        }
        self.offer(to, Input::Datagram { from, packet });
    }

    fn written(&mut self, index: usize, epoch: u32, ticket: u64) {
        let host = &mut self.hosts[index];
        if host.epoch != epoch {
            return;
        }
        if host.disk.health == DiskHealth::Hung {
            let again = Happening::Written { host: index, epoch, ticket };
            return self.schedule(self.now + HUNG_DISK, again);
        }
        let Some(outcome) = host.disk.complete(ticket, &mut self.streams.disk) else { return };
        self.coverage.count(if outcome.is_ok() { "write" } else { "failed write" });
        let sound = outcome.is_ok();
        self.trace.note(self.now, || Happened::Stored { by: index, sound });
        self.offer(index, Input::Stored { ticket, outcome });
    }

    /// Hands an input to a process, now or once it attends to it.
    pub(super) fn offer(&mut self, index: usize, input: Input) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let attentive = host.is_attentive(now);
        let Some(running) = &mut host.running else { return };
        if attentive && running.inbox.is_empty() {
            self.handle(index, input);
            return;
        }
        if running.inbox.len() >= SOCKET_BUFFER && matches!(input, Input::Datagram { .. }) {
            self.coverage.count("socket overflow");
            return;
        }
        running.inbox.push_back(input);
        if running.inbox.len() == 1 && !host.frozen {
            let (at, epoch) = (running.busy_until.max(now), host.epoch);
            self.schedule(at, Happening::Attend { host: index, epoch });
        }
    }

    pub(super) fn attend(&mut self, index: usize, epoch: u32) {
        loop {
            let now = self.now;
            let host = &mut self.hosts[index];
            if host.epoch != epoch || host.frozen || self.violation.is_some() {
                return;
            }
            let Some(running) = &mut host.running else { return };
            if running.inbox.is_empty() {
                return;
            }
            if running.busy_until > now {
                let at = running.busy_until;
                self.schedule(at, Happening::Attend { host: index, epoch });
                return;
            }
            if let Some(input) = running.inbox.pop_front() {
                self.handle(index, input);
            }
        }
    }

    fn handle(&mut self, index: usize, input: Input) {
        // What was decided before is done before.
        let epoch = self.hosts[index].epoch;
        self.catch_up(index, epoch);
        let true_now = self.now;
        let host = &mut self.hosts[index];
        let Some(running) = &mut host.running else { return };
        let now = host.clocks.now(true_now);
        let mut repeated = None;
        match input {
            Input::Datagram { from, packet } => {
                let repeat = !packet.is_gossip() && !self.delivered.insert(packet.number);
                if repeat {
                    self.coverage.count("repeated datagram");
                } else if packet.number.is_multiple_of(8) {
                    self.network.capture(Captured { to: index, from, packet: Rc::clone(&packet) });
                }
                self.trace.mix_bytes(&packet.datagram);
                self.trace
                    .note(true_now, || Happened::Handled { by: index, packet: Rc::clone(&packet) });
                let rejected = running.core.counters().rejected;
                running.core.handle_datagram(now, from, &packet.datagram);
                // What the door refuses has told the process nothing.
                let taken = running.core.counters().rejected == rejected;
                if let Some((header, message)) = packet.content.as_ref().filter(|_| taken) {
                    let (process, voter) = (running.process, header.sender.id);
                    self.promises.answer_arrives(now.holder, process, voter, message);
                    self.deference.hears(process, header.sender, now.voter, message);
                }
                repeated = repeat.then_some(packet);
            }
            Input::Stored { ticket, outcome } => running.core.handle_stored(now, ticket, outcome),
            Input::Resolved(addresses) => running.core.handle_resolved(now, &addresses),
            Input::StepDown { to, hold } => {
                // The answer comes once the work has ended; who is refused is told nothing here.
                let _ = running.core.step_down(now, to, hold);
            }
            Input::Leave => running.core.leave(now),
            Input::WorkEnded => {
                running.work.alive = running.work.alive.saturating_sub(1);
                running.core.end_work(now);
            }
            Input::Abdicate { term } => {
                self.coverage.count("abdication");
                running.core.abdicate(now, term);
            }
        }
        self.tire(index);
        self.conclude(index, repeated.as_deref());
    }

    fn tire(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.starvation == 0 {
            return;
        }
        let effort = self.streams.process.between(0, host.starvation);
        if let Some(running) = &mut host.running {
            running.busy_until = self.now + effort;
        }
    }

    fn wake(&mut self, index: usize, epoch: u32) {
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.epoch != epoch || host.frozen {
            return;
        }
        let clock = host.clocks.now(now);
        let Some(running) = &mut host.running else { return };
        if running.wake_at != now {
            return;
        }
        if running.busy_until > now {
            running.wake_at = running.busy_until;
            let at = running.wake_at;
            self.schedule(at, Happening::Wake { host: index, epoch });
            return;
        }
        self.catch_up(index, epoch);
        let Some(running) = &mut self.hosts[index].running else { return };
        running.wake_at = u64::MAX;
        if running.core.poll_timeout(clock).is_none_or(|left| !left.is_zero()) {
            self.set_alarm(index);
            return;
        }
        self.trace.note(now, || Happened::Woke { by: index });
        running.core.handle_timeout(clock);
        let again = running.core.poll_timeout(clock).is_some_and(|left| left.is_zero());
        running.restless = if again { running.restless + 1 } else { 0 };
        if running.restless > RESTLESS_MAX {
            let process = running.process;
            self.broken(Invariant::Contract, format!("{process} has a timer that stays due"));
            return;
        }
        self.tire(index);
        self.conclude(index, None);
    }

    /// Wakes the process when its next timer is due by its own clock: never earlier, and as
    /// much later as sleeps are on a real machine.
    pub(super) fn set_alarm(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.frozen {
            return;
        }
        let clock = host.clocks.now(now);
        let Some(running) = &mut host.running else { return };
        let Some(left) = running.core.poll_timeout(clock) else { return };
        let due = host.clocks.holder_shows(clock.holder.plus(left)).max(now + 1000);
        if due == u64::MAX || due >= running.wake_at {
            return;
        }
        let lateness = self.streams.process.between(0, self.timer_lateness + 1);
        running.wake_at = due + lateness;
        let (at, epoch) = (running.wake_at, host.epoch);
        self.schedule(at, Happening::Wake { host: index, epoch });
    }

    /// Sets the rates of every host's clocks, in millionths of true time.
    pub fn set_rates(&mut self, rates: &[(u64, u64)]) {
        for (host, (holder, voter)) in self.hosts.iter_mut().zip(rates) {
            host.clocks.set_rates(self.now, *holder, *voter);
        }
    }

    /// All clocks run true from now on.
    pub fn set_true_rates(&mut self) {
        self.set_rates(&vec![(TRUE_RATE, TRUE_RATE); self.hosts.len()]);
    }

    /// The lines of the trace that were kept.
    pub fn trace_lines(&self) -> Vec<String> {
        self.trace.lines()
    }

    /// Something to put into the story.
    pub(super) fn tell(&mut self, by: Option<usize>, what: Tale) {
        if let Some(story) = &mut self.story {
            story.push(Told { at: self.now, by, what });
        }
    }

    /// What waits in front of every process, for the curious.
    pub fn queued(&self) -> usize {
        let waiting = |host: &Host| host.running.as_ref().map_or(0, |r| VecDeque::len(&r.inbox));
        self.hosts.iter().map(waiting).sum()
    }
}
