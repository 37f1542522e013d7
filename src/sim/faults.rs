//! What an [`Action`] does to the world.

use std::collections::BTreeSet;

use super::action::{Action, Restart, Settings};
use super::checks::Invariant;
use super::disk::{DiskHealth, Tear};
use super::foreign_nodes::ForeignNode;
use super::host::{Input, Running};
use super::job::Working;
use super::keeper::DEATH_NOTICED;
use super::keys;
use super::network::Network;
use super::world::{Happening, Tale, World};
use crate::node::NodeCore;
use crate::vocabulary::identity::Process;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::record::Disk;
use crate::vocabulary::timing::Timing;

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
            Action::Narrow(from, to, longest) => self.network.narrow(*from, *to, *longest),
            Action::FailSends(host, share) => self.hosts[*host].failing_sends = *share,
            Action::KillKeeper(host) => self.kill_keeper(*host),
            Action::LosePower(host, tear) => self.lose_power(*host, *tear),
            Action::Reconfigure(host, settings) => self.reconfigure(*host, *settings),
            Action::Lag(host, most) => self.hosts[*host].lag = *most,
            Action::RotateKeys(host) => self.rotate_keys(*host),
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
            // Whoever runs keeps the settings that it has.
            Action::Reconfigure(host, _) => !runs(host),
            Action::KillKeeper(host) => self.hosts[*host].keeper && !self.hosts[*host].keeper_dead,
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
        self.nemesis = None;
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
            self.act(&Action::FailSends(index, 0));
            self.act(&Action::Lag(index, 0));
            if self.hosts[index].is_away() || self.hosts[index].silenced {
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
        let gone =
            |seed: &usize| self.hosts[*seed].gone && self.hosts[*seed].foreign_node.is_none();
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
            Restart::Wiped | Restart::EntryLost => host.disk.wipe(),
            Restart::Damaged => host.disk.damage(true, &mut self.streams.disk),
            Restart::OlderDamaged => host.disk.damage(false, &mut self.streams.disk),
        }
        if let Some(foreign_node) = host.foreign_node.filter(|foreign_node| foreign_node.is_twin())
        {
            self.prepare_twin(index, foreign_node);
        }
        let host = &mut self.hosts[index];
        let disk = host.disk.load();
        // What it reads may be more than what is durable.
        let durable = host.disk.durable().and_then(|record| record.vote.as_ref());
        let durable = durable.map_or(0, |vote| vote.max_ballot);
        let kept = matches!(disk, Disk::Sound(_)).then_some(durable);
        host.epoch += 1;
        host.keeper_dead = false;
        host.silenced = false;
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
        if let Some(foreign_node) = host.foreign_node {
            self.coverage.count(foreign_node.name());
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
            will: None,
            decided: None,
            keys: host.setup.keys.clone(),
            work: Working::default(),
        });
        let verdict = match kept {
            // What a twin remembers is another's.
            _ if self.hosts[index].foreign_node.is_some_and(ForeignNode::is_twin) => Ok(()),
            Some(ballot) => self.voting.voter_starts(now, id, ballot),
            None => {
                self.voting.voter_wiped(id);
                Ok(())
            }
        };
        self.judge(verdict);
        self.take_effects(index, None);
    }

    /// A second process of a voter is about to start.
    fn prepare_twin(&mut self, index: usize, foreign_node: ForeignNode) {
        self.twins_until = u64::MAX;
        let id = self.hosts[index].id;
        let Some(original) = self.hosts.iter().position(|host| host.id == id) else { return };
        let (before, after) = self.hosts.split_at_mut(index);
        if let (ForeignNode::TwinOnCopy, Some(original), Some(twin)) =
            (foreign_node, before.get(original), after.first_mut())
        {
            twin.disk.copy(&original.disk);
        } else {
            self.hosts[index].disk.wipe();
        }
    }

    fn crash(&mut self, index: usize, tear: Tear) {
        self.lay_to_rest(index);
        let host = &mut self.hosts[index];
        host.disk.crash(tear, &mut self.streams.disk);
        host.frozen = false;
        if host.clocks.is_suspended() {
            host.clocks.resume(self.now);
            self.pause_labour(index, false);
        }
    }

    fn lose_power(&mut self, index: usize, tear: Tear) {
        self.end_process(index);
        self.lose_labour(index);
        let host = &mut self.hosts[index];
        host.disk.lose_power(tear, &mut self.streams.disk);
        host.frozen = false;
        if host.clocks.is_suspended() {
            host.clocks.resume(self.now);
        }
    }

    /// Somebody changes the settings of a node that does not run.
    fn reconfigure(&mut self, index: usize, settings: Settings) {
        let host = &mut self.hosts[index];
        let longest = host.setup.timing.lease_max;
        match settings {
            Settings::Keys => {
                self.advance_keys(index);
            }
            Settings::Lease(milliseconds) => {
                let lease = std::time::Duration::from_millis(milliseconds);
                host.setup.timing = host.original.timing.clone().with_lease(lease);
                host.setup.timing.lease_max = lease.max(longest);
            }
            Settings::Profile(profile) => {
                host.setup.timing = Timing::of(profile);
                let own = host.setup.timing.lease_max;
                host.setup.timing.lease_max = own.max(longest);
            }
            // Only a record can name them then.
            Settings::VotersOmitted if !host.disk.is_ephemeral() && host.epoch > 0 => {
                host.setup.voters = None;
                host.setup.voter_addresses.clear();
                host.setup.preempt = None;
            }
            // As they were given first: what was said of the cluster must not change.
            Settings::VotersGiven => {
                host.setup.voters.clone_from(&host.original.voters);
                host.setup.voter_addresses.clone_from(&host.original.voter_addresses);
                host.setup.preempt = host.original.preempt;
            }
            Settings::VotersOmitted => {}
        }
    }

    /// The pipe between a node and its keeper ends, and the node lives: a descriptor was
    /// closed early. A keeper that takes that for a death would release a living Goose.
    fn end_pipe(&mut self, index: usize) {
        if mutant::is(Mutant::PipeEndTakenForDeath)
            && let Some(will) = self.last_will(index)
        {
            self.execute(will, DEATH_NOTICED);
        }
    }

    fn suspend(&mut self, index: usize) {
        self.hosts[index].frozen = true;
        self.hosts[index].clocks.suspend(self.now);
        self.pause_labour(index, true);
        self.observe_anew(index);
    }

    fn thaw(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        host.frozen = false;
        if host.clocks.is_suspended() {
            host.clocks.resume(self.now);
            self.pause_labour(index, false);
        }
        let host = &mut self.hosts[index];
        let epoch = host.epoch;
        let lags = host.running.as_ref().is_some_and(|running| running.decided.is_some());
        if let Some(running) = &mut host.running {
            running.wake_at = u64::MAX;
        }
        if lags {
            self.catch_up(index, epoch);
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

    /// Moves the keys of host `index` one stage on, if all others are as far as it is. What runs
    /// there goes on with the keys that it has. Returns whether it did.
    fn advance_keys(&mut self, index: usize) -> bool {
        let stage = self.hosts[index].key_stage;
        let last = self.hosts.iter().any(|host| host.key_stage < stage);
        if last || self.hosts[index].setup.keys.is_none() || stage == u8::MAX / 2 {
            return false;
        }
        let host = &mut self.hosts[index];
        host.key_stage += 1;
        host.setup.keys = keys::ring(host.key_stage);
        true
    }

    /// A node is told the next keys while it runs.
    fn rotate_keys(&mut self, index: usize) {
        // A process that sleeps is told nothing.
        let host = &self.hosts[index];
        let sleeps = host.running.is_some() && !host.is_attentive(self.now);
        if sleeps || !self.advance_keys(index) {
            return;
        }
        let host = &mut self.hosts[index];
        if let (Some(running), Some(keys)) = (&mut host.running, host.setup.keys.clone()) {
            running.core.rotate_keys(keys);
            running.keys.clone_from(&host.setup.keys);
            self.take_effects(index, None);
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
        let keeps_none = |voter: &usize| self.hosts[*voter].disk.is_ephemeral();
        // Where records are kept, one that keeps none may vote by the clock until it learns so, and
        // is one without its record from then on.
        let mixed = voters.iter().any(|voter| !keeps_none(voter));
        let fragile = |other: &&usize| {
            let host = &self.hosts[**other];
            let unsettled = self.terms() == 0 || !host.may_grant();
            let is_blank = mixed && keeps_none(other) && unsettled;
            **other != index && (host.is_fragile(self.now) || is_blank)
        };
        let forgetful = voters.iter().filter(fragile).count();
        !voters.contains(&index) || forgetful < (voters.len() - 1) / 2
    }

    /// The process on a host, if one runs.
    pub fn process_of(&self, index: usize) -> Option<Process> {
        self.hosts[index].process()
    }
}
