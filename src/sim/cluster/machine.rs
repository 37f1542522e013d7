//! What may be done to one machine from outside: to its power, the process on it, its keeper, its
//! keys and its address.

use super::agenda::Happening;
use super::disk::{Restart, Tear};
use super::driver::Cluster;
use super::foreign_node::ForeignNode;
use super::host::{Host, advance_keys};
use super::keeper::Keeper;
use super::process::Input;
use crate::sim::checkers::Invariant;

/// The hand that is laid on a machine.
pub(super) struct Machine<'a> {
    cluster: &'a mut Cluster,
    index: usize,
}

impl<'a> Machine<'a> {
    /// The machine of host `index`.
    pub(super) fn of(cluster: &'a mut Cluster, index: usize) -> Self {
        Self { cluster, index }
    }

    fn host(&mut self) -> &mut Host {
        &mut self.cluster.hosts[self.index]
    }

    /// A process starts, on what the disk holds after `restart`.
    pub(super) fn start(&mut self, restart: Restart) {
        let restart = if self.host().is_twin() {
            self.prepare_twin();
            Restart::WithDisk
        } else {
            restart
        };
        let Cluster { hosts, judges, agenda, disk_prng, prng, .. } = &mut *self.cluster;
        let host = &mut hosts[self.index];
        match host.start(agenda.now(), restart, disk_prng, prng) {
            Ok(ballot) => {
                if let Some(foreign_node) = host.foreign_node {
                    judges.coverage.count(foreign_node.name());
                }
                judges.starts(agenda.now(), host, ballot);
                self.cluster.take_effects(self.index, None);
            }
            Err(error) => {
                let sentence = format!("node {} does not start: {error}", host.id);
                self.cluster.broken(Invariant::Contract, sentence);
            }
        }
    }

    /// A second process of a voter is about to start.
    fn prepare_twin(&mut self) {
        self.cluster.judges.twin_starts();
        let hosts = &mut self.cluster.hosts;
        let (id, foreign_node) = (hosts[self.index].id, hosts[self.index].foreign_node);
        let original = hosts.iter().position(|host| host.id == id);
        let (before, after) = hosts.split_at_mut(self.index);
        let original = original.and_then(|original| before.get(original));
        match (foreign_node, original, after.first_mut()) {
            (Some(ForeignNode::TwinOnCopy), Some(original), Some(twin)) => {
                twin.disk.copy(&original.disk);
            }
            (_, _, twin) => twin.into_iter().for_each(|twin| twin.disk.wipe()),
        }
    }

    /// The process is killed.
    pub(super) fn crash(&mut self, tear: Tear) {
        self.cluster.lay_to_rest(self.index);
        let Cluster { hosts, disk_prng, .. } = &mut *self.cluster;
        hosts[self.index].disk.crash(tear, disk_prng);
        self.resume();
    }

    /// The machine loses power.
    pub(super) fn lose_power(&mut self, tear: Tear) {
        self.cluster.end_process(self.index);
        self.cluster.keep(self.index, Keeper::lose_power);
        let Cluster { hosts, disk_prng, .. } = &mut *self.cluster;
        hosts[self.index].disk.lose_power(tear, disk_prng);
        self.resume();
    }

    /// The machine is suspended.
    pub(super) fn suspend(&mut self) {
        let now = self.cluster.now();
        self.host().frozen = true;
        self.host().clocks.suspend(now);
        self.cluster.keep(self.index, |keeper, site| keeper.pause(site, true));
        self.cluster.observe_clocks(self.index);
    }

    /// Nothing stops what runs on the machine any more.
    fn resume(&mut self) {
        let now = self.cluster.now();
        self.host().frozen = false;
        if self.host().clocks.is_suspended() {
            self.host().clocks.resume(now);
            self.cluster.keep(self.index, |keeper, site| keeper.pause(site, false));
        }
    }

    /// The process goes on, and the machine, if it was suspended.
    pub(super) fn thaw(&mut self) {
        self.resume();
        let (index, epoch) = (self.index, self.host().epoch);
        if let Some(running) = &mut self.host().running {
            running.forget_alarm();
        }
        let cluster = &mut *self.cluster;
        cluster.catch_up(index, epoch);
        cluster.observe_clocks(index);
        // Whether the timer or the socket comes first is anybody's guess.
        if cluster.prng.coin() {
            cluster.attend(index, epoch);
            cluster.set_alarm(index);
        } else {
            cluster.set_alarm(index);
            let delay = cluster.prng.between(0, 2_500_000);
            cluster.agenda.after(delay, Happening::Attend { host: index, epoch });
        }
    }

    /// The keeper is killed.
    pub(super) fn kill_keeper(&mut self) {
        let in_peace = self.cluster.is_peaceful;
        let node_acts = self.host().running.is_some() && !self.host().frozen;
        let (ended, worked) =
            self.cluster.keep(self.index, |keeper, site| keeper.die(site, node_acts, in_peace));
        ended.iter().for_each(|ended| self.cluster.work_ended(self.index, ended));
        if worked {
            self.cluster.offer(self.index, Input::Leave);
        }
    }

    /// The node is told the next keys, at its next start or while it runs.
    pub(super) fn rotate_keys(&mut self) {
        // A process that sleeps is told nothing.
        let now = self.cluster.now();
        let sleeps = self.host().running.is_some() && !self.host().is_attentive(now);
        if sleeps || !advance_keys(&mut self.cluster.hosts, self.index) {
            return;
        }
        let host = self.host();
        if let (Some(running), Some(keys)) = (&mut host.running, host.setup.keys.clone()) {
            running.core.rotate_keys(keys);
            running.keys.clone_from(&host.setup.keys);
            self.cluster.take_effects(self.index, None);
        }
    }

    /// The machine moves to another address; what runs there is killed, and started again.
    pub(super) fn change_address(&mut self) {
        let ran = self.host().running.is_some();
        self.crash(Tear::Lost);
        let index = self.index;
        self.host().change_address(index);
        if ran {
            self.start(Restart::WithDisk);
        }
    }
}
