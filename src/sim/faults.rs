//! What an [`Action`] does to the world.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::action::{Action, Restart};
use super::checks::Invariant;
use super::disk::{DiskHealth, Tear};
use super::host::{Input, Running};
use super::network::{Fate, Network, Packet};
use super::postman::Kept;
use super::work::Working;
use super::world::{Happening, Tale, World};
use crate::node::NodeCore;
use crate::vocabulary::datagram::{self, Header};
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::{Message, Release};
use crate::vocabulary::plant::{self, Plant};
use crate::vocabulary::record::Disk;

/// A death is noticed, and a release sent for the dead, after so many nanoseconds.
const KEEPER_DELAY: u64 = 1_200_000;

/// It is sent again after so many nanoseconds each, for datagrams are lost.
const KEEPER_REPEATS: [u64; 3] = [0, 20_000_000, 60_000_000];

/// What a keeper was given by its node, for the time after its death.
struct Testament {
    release: Release,
    envelopes: Vec<(usize, Header)>,
}

impl World {
    /// Does `action` now.
    pub fn act(&mut self, action: &Action) {
        if !self.is_possible(action) {
            return;
        }
        self.coverage.count(action.name());
        self.trace.note(self.now, || super::trace::Happened::Fault(action.to_string()));
        self.tell(None, Tale::Action(action.clone()));
        match action {
            Action::Crash(host, tear) => self.crash(*host, *tear),
            Action::Start(host, restart) => self.start(*host, *restart),
            Action::Freeze(host) => self.hosts[*host].frozen = true,
            Action::Thaw(host) => self.thaw(*host),
            Action::Suspend(host) => self.suspend(*host),
            Action::Resume(host) => self.thaw(*host),
            Action::Starve(host, effort) => self.hosts[*host].starvation = *effort,
            Action::Leave(host) => self.offer(*host, Input::Leave),
            Action::StepDown(host) => {
                self.offer(*host, Input::StepDown { to: None, hold: None });
            }
            Action::JumpWall(host, milliseconds) => {
                self.hosts[*host].clocks.jump_wall(*milliseconds);
            }
            Action::SetRates(host, holder, voter) => {
                self.hosts[*host].clocks.set_rates(self.now, *holder, *voter);
                self.observe_anew(*host);
            }
            Action::SetDisk(host, health) => self.hosts[*host].disk.health = *health,
            Action::Cut(from, to) => self.network.cut(*from, *to),
            Action::Mend(from, to) => self.network.mend(*from, *to),
            Action::Partition(groups) => self.network.partition(groups),
            Action::MendAll => self.network.mend_all(),
            Action::SetWeather(weather) => self.network.weather = *weather,
            Action::SetBlackout(blackout) => self.network.blackout = *blackout,
            Action::Replay(count) => self.replay(*count),
            Action::Move(host) => self.move_house(*host),
            Action::SlowDisk(host, delay) => self.hosts[*host].slow_disk = *delay,
            Action::Slew(host, rate) => self.hosts[*host].clocks.slew(self.now, *rate),
            Action::EndPipe(host) => self.end_pipe(*host),
            Action::LeaveForGood(host) => {
                self.hosts[*host].gone = true;
                self.offer(*host, Input::Leave);
            }
        }
        if action.changes_reach() {
            self.observe_reach();
        }
    }

    /// Whether there is anything for it to act on.
    fn is_possible(&self, action: &Action) -> bool {
        let runs = |host: &usize| self.hosts[*host].running.is_some();
        match action {
            Action::Start(host, _) => {
                let away = if self.peaceful {
                    self.hosts[*host].is_away()
                } else {
                    self.hosts[*host].gone
                };
                !runs(host) && !away
            }
            Action::Crash(host, _)
            | Action::Leave(host)
            | Action::StepDown(host)
            | Action::EndPipe(host)
            | Action::LeaveForGood(host) => runs(host),
            Action::Freeze(host) | Action::Suspend(host) => !self.hosts[*host].frozen,
            Action::Thaw(host) => {
                self.hosts[*host].frozen && !self.hosts[*host].clocks.is_suspended()
            }
            Action::Resume(host) => self.hosts[*host].clocks.is_suspended(),
            _ => true,
        }
    }

    /// Ends every fault, and starts whatever does not run.
    pub fn heal(&mut self) {
        self.chaos = None;
        self.peaceful = true;
        self.forgotten = self.packet_number;
        self.act(&Action::MendAll);
        self.bring_seeds_back();
        for index in 0..self.hosts.len() {
            self.act(&Action::Resume(index));
            self.act(&Action::Thaw(index));
            self.act(&Action::SetDisk(index, DiskHealth::Sound));
            self.act(&Action::SlowDisk(index, None));
            self.act(&Action::Starve(index, 0));
            if self.hosts[index].is_away() {
                self.act(&Action::Crash(index, Tear::Kept));
            }
            self.act(&Action::Start(index, Restart::WithDisk));
        }
    }

    /// Nodes that are no seeds of each other's, not even by way of others, and that have all
    /// moved, cannot find each other: no protocol helps there, only an operator, who keeps the
    /// seeds alive that hold them together.
    fn bring_seeds_back(&mut self) {
        while let Some(missed) = self.missed_seed() {
            self.hosts[missed].gone = false;
        }
    }

    /// A seed of somebody's that has gone for good, if the others fall apart without it.
    fn missed_seed(&self) -> Option<usize> {
        let living: Vec<usize> =
            (0..self.hosts.len()).filter(|index| !self.hosts[*index].is_away()).collect();
        let mut reached: BTreeSet<usize> = living.first().copied().into_iter().collect();
        loop {
            let before = reached.len();
            for host in &living {
                let seeds = self.seeds_of(*host).filter(|seed| !self.hosts[*seed].is_away());
                let together: Vec<usize> = seeds.chain([*host]).collect();
                if together.iter().any(|index| reached.contains(index)) {
                    reached.extend(together);
                }
            }
            if reached.len() == before {
                break;
            }
        }
        let gone = |seed: &usize| self.hosts[*seed].gone && self.hosts[*seed].stranger.is_none();
        let mut seeds = living.iter().flat_map(|host| self.seeds_of(*host));
        if reached.len() < living.len() { seeds.find(gone) } else { None }
    }

    fn seeds_of(&self, index: usize) -> impl Iterator<Item = usize> {
        let named = |name: &String| {
            self.hosts.iter().position(|host| name.starts_with(&format!("node-{}:", host.id)))
        };
        self.hosts[index].setup.seeds.iter().filter_map(named)
    }

    fn start(&mut self, index: usize, restart: Restart) {
        let now = self.now;
        let host = &mut self.hosts[index];
        match restart {
            Restart::WithDisk => {}
            Restart::Wiped => host.disk.wipe(),
            Restart::Damaged => host.disk.damage(&mut self.streams.disk),
        }
        let disk = host.disk.load();
        let kept = match &disk {
            Disk::Sound(record) => Some(record.vote.as_ref().map_or(0, |vote| vote.max_ballot)),
            _ => None,
        };
        host.epoch += 1;
        host.setup.entropy = self.streams.process.bytes();
        if kept.is_none() && host.epoch > 1 {
            host.forget(now);
        }
        let core = match NodeCore::new(host.setup.clone(), disk, host.clocks.now(now)) {
            Ok(core) => core,
            Err(error) => {
                let sentence = format!("node {} does not start: {error}", host.id);
                return self.broken(Invariant::Contract, sentence);
            }
        };
        if let Some(stranger) = host.stranger {
            self.coverage.count(stranger.name());
        }
        let (id, process) = (host.id, core.process());
        host.running = Some(Running {
            core,
            process,
            born: now,
            inbox: Default::default(),
            busy_until: now,
            wake_at: u64::MAX,
            restless: 0,
            lease: None,
            term: 0,
            inspection: Default::default(),
            envelopes: Default::default(),
            ballot: 0,
            work: Working::default(),
        });
        let verdict = match kept {
            Some(ballot) => self.voting.voter_starts(now, id, ballot),
            None => {
                self.voting.voter_wiped(id);
                Ok(())
            }
        };
        self.judge(verdict);
        self.settle(index, None);
    }

    fn crash(&mut self, index: usize, tear: Tear) {
        let testament = self.testament(index);
        self.end_process(index);
        self.execute(index, testament);
        let host = &mut self.hosts[index];
        host.disk.crash(tear, &mut self.streams.disk);
        host.frozen = false;
        if host.clocks.is_suspended() {
            host.clocks.resume(self.now);
        }
    }

    /// The pipe between a node and its keeper ends, and the node lives: a descriptor was
    /// closed early. A keeper that takes that for a death would release a living Goose.
    fn end_pipe(&mut self, index: usize) {
        if plant::is(Plant::PipeEndTakenForDeath) {
            let testament = self.testament(index);
            self.execute(index, testament);
        }
    }

    /// What the keeper of a host would send if its process died now.
    fn testament(&self, index: usize) -> Option<Testament> {
        let host = &self.hosts[index];
        let running = host.running.as_ref().filter(|_| host.keeper)?;
        let release =
            Release { holder: running.process, ballot: running.ballot, all: true, nominee: None };
        let envelopes = running.envelopes.iter().map(|(to, header)| (*to, header.clone()));
        Some(Testament { release, envelopes: envelopes.collect() })
    }

    /// The keeper tells the voters, a few times, that a process will never act again.
    fn execute(&mut self, index: usize, testament: Option<Testament>) {
        let Some(Testament { release, envelopes }) = testament else { return };
        if self.hosts.iter().any(|host| host.process() == Some(release.holder)) {
            let sentence = format!("the keeper releases {} while it lives", release.holder);
            self.broken(Invariant::StopThenRelease, sentence);
        }
        let source = self.hosts[index].setup.address;
        let message = Message::Release { sequence: u64::MAX / 2, release };
        for (to, header) in envelopes {
            let Ok(bytes) = datagram::encode(&header, &message) else { continue };
            self.packet_number += 1;
            let content = Some((header, message.clone()));
            let packet = Rc::new(Packet { number: self.packet_number, datagram: bytes, content });
            let address = self.hosts[to].setup.address;
            let letter = Kept { to, address, source, packet: Rc::clone(&packet) };
            if self.intercept(index, &letter) {
                continue;
            }
            for repeat in KEEPER_REPEATS {
                let fate = self.network.fate(index, to, &packet, &mut self.streams.network);
                let (first, second) = match fate {
                    Fate::Lost => continue,
                    Fate::Arrives(travel) => (travel, None),
                    Fate::Twice(first, second) => (first, Some(second)),
                };
                for travel in [Some(first), second].into_iter().flatten() {
                    let packet = Rc::clone(&packet);
                    let happening = Happening::Arrive { to, address, from: source, packet };
                    self.schedule(self.now + KEEPER_DELAY + repeat + travel, happening);
                }
            }
        }
        self.coverage.count("release by a keeper");
    }

    fn suspend(&mut self, index: usize) {
        self.hosts[index].frozen = true;
        self.hosts[index].clocks.suspend(self.now);
        self.observe_anew(index);
    }

    fn thaw(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        host.frozen = false;
        if host.clocks.is_suspended() {
            host.clocks.resume(self.now);
        }
        let epoch = host.epoch;
        if let Some(running) = &mut host.running {
            running.wake_at = u64::MAX;
        }
        self.observe_anew(index);
        // Whether the timer or the socket comes first is anybody's guess.
        if self.streams.process.coin() {
            self.attend(index, epoch);
            self.set_alarm(index);
        } else {
            self.set_alarm(index);
            let delay = self.streams.process.between(0, 2_500_000);
            self.schedule(self.now + delay, Happening::Attend { host: index, epoch });
        }
    }

    fn replay(&mut self, count: usize) {
        for _ in 0..count {
            let Some(captured) = self.network.recall(&mut self.streams.network) else { return };
            let address = self.hosts[captured.to].setup.address;
            let (to, from, packet) = (captured.to, captured.from, captured.packet);
            let delay = self.streams.network.between(0, 20_000_000);
            let arrival = Happening::Arrive { to, address, from, packet };
            self.schedule(self.now + delay, arrival);
        }
    }

    fn move_house(&mut self, index: usize) {
        let ran = self.hosts[index].running.is_some();
        self.crash(index, Tear::Lost);
        let host = &mut self.hosts[index];
        host.address_version += 1;
        host.setup.address = Network::address(index, host.address_version);
        if ran {
            self.start(index, Restart::WithDisk);
        }
    }

    /// Whether voter `index` may lose its record now without leaving the promise: so many
    /// others may be without theirs at a time that a majority always remembers.
    pub fn may_forget(&self, index: usize, voters: &[usize]) -> bool {
        let fragile = |other: &&usize| **other != index && self.hosts[**other].is_fragile(self.now);
        let forgetful = voters.iter().filter(fragile).count();
        !voters.contains(&index) || forgetful < (voters.len() - 1) / 2
    }

    /// The process on a host, if one runs.
    pub fn process_of(&self, index: usize) -> Option<Process> {
        self.hosts[index].process()
    }
}
