//! One machine of the simulated world: its clocks, its disk, and the process on it, if any.

use std::net::SocketAddr;

use super::clocks::Clocks;
use super::disk::{Restart, SimulatedDisk};
use super::foreign_node::ForeignNode;
use super::keeper::Keeper;
use super::keys;
use super::lag::Lag;
use super::network::Network;
use super::process::{Input, Reception, Running};
use crate::node::setup::Setup;
use crate::node::{NodeCore, StartError};
use crate::sim::prng::Prng;
use crate::vocabulary::event::{DemotionReason, Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::{Profile, Timing};
use crate::wire::record::Disk;

/// The wall clock at true time zero, in milliseconds: some day in 2026.
const EPOCH: i64 = 1_780_000_000_000;

/// Settings that somebody changes between two starts of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// It asks for a lease of so many milliseconds.
    Lease(u64),
    /// It keeps to another profile.
    Profile(Profile),
    /// The voters are left out, for the record names them.
    VotersOmitted,
    /// The voters are given again.
    VotersGiven,
    /// The next keys.
    Keys,
}

/// See the module.
pub struct Host {
    /// Who lives here.
    pub id: NodeId,
    /// What every process here is started with, apart from its entropy.
    pub setup: Setup,
    /// What its first process was started with.
    pub(super) original: Setup,
    /// How much time passes from reading the clock until what was decided is done.
    pub(super) lag: Lag,
    /// The clocks.
    pub clocks: Clocks,
    /// The disk.
    pub disk: SimulatedDisk,
    /// The process, if one runs.
    pub running: Option<Running>,
    /// Who begins and ends work here, and speaks for a process that has died here.
    pub keeper: Keeper,
    /// Counts the processes that were started here.
    pub epoch: u32,
    /// Stopped, or suspended.
    pub frozen: bool,
    /// If not zero, every input takes up to so many nanoseconds to handle.
    pub starvation: u64,
    /// So many of a thousand datagrams cannot be sent.
    pub failing_sends: u32,
    /// How far its keys have come.
    pub(super) key_stage: u8,
    /// Somebody told it to hold back until this true time.
    pub held_until: u64,
    /// Counts the addresses it has had.
    pub address_version: u16,
    /// What does not belong about the processes here, if they do not.
    pub foreign_node: Option<ForeignNode>,
    /// Whether it has stopped voting because of another process of its id.
    pub silenced: bool,
    /// Whether the node has left for good.
    pub gone: bool,
    /// Whether it has ever lost its record.
    pub forgot: bool,
    /// Whether others have founded the cluster without it.
    pub left_out: bool,
    /// True time until which another voter must not lose its record as well.
    fragile_until: u64,
}

impl Host {
    /// The machine at place `index`, on which nothing runs yet.
    pub(super) fn new(index: usize, mut setup: Setup, prng: &mut Prng) -> Self {
        setup.address = Network::address(index, 0);
        let origin = prng.between(1, 1 << 50);
        Self {
            id: setup.id,
            original: setup.clone(),
            setup,
            lag: Lag::default(),
            clocks: Clocks::new(origin + prng.between(0, 1 << 40), origin, EPOCH),
            disk: SimulatedDisk::new(false),
            running: None,
            keeper: Keeper::default(),
            epoch: 0,
            frozen: false,
            starvation: 0,
            failing_sends: 0,
            key_stage: 0,
            held_until: 0,
            address_version: 0,
            foreign_node: None,
            silenced: false,
            gone: false,
            forgot: false,
            left_out: false,
            fragile_until: 0,
        }
    }

    /// Whether what its disk says belongs to a cluster of which another node's was rescued.
    pub(super) fn is_left_behind(&self, hosts: &[Self]) -> bool {
        let lineage = self.disk.durable().and_then(|record| record.lineage);
        let descends = |host: &Self, from| {
            host.disk.durable().is_some_and(|record| record.ancestors.contains(&from))
        };
        lineage.is_some_and(|from| hosts.iter().any(|host| descends(host, from)))
    }

    /// A process starts on what the disk holds after `restart`. Returns the highest ballot that is
    /// durable; none if the process finds no sound record.
    ///
    /// # Errors
    /// As the node says. Nothing runs then.
    pub(super) fn start(
        &mut self,
        now: u64,
        restart: Restart,
        disk_prng: &mut Prng,
        prng: &mut Prng,
    ) -> Result<Option<u64>, StartError> {
        match restart {
            Restart::WithDisk => {}
            Restart::Wiped | Restart::EntryLost => self.disk.wipe(),
            Restart::Damaged => self.disk.damage(true, disk_prng),
            Restart::OlderDamaged => self.disk.damage(false, disk_prng),
        }
        let disk = self.disk.load();
        // What it reads may be more than what is durable.
        let durable = self.disk.durable().and_then(|record| record.vote.as_ref());
        let durable = durable.map_or(0, |vote| vote.max_ballot);
        let kept = matches!(disk, Disk::Sound(_)).then_some(durable);
        self.epoch += 1;
        self.keeper.starts();
        self.silenced = false;
        self.setup.entropy = prng.bytes();
        if kept.is_none() && self.epoch > 1 {
            self.forget(now);
        }
        let core = NodeCore::new(self.setup.clone(), disk, self.clocks.now(now))?;
        self.running = Some(Running::new(core, self.setup.keys.clone(), now));
        Ok(kept)
    }

    /// An input for the process, if one runs.
    pub(super) fn receive(&mut self, now: u64, input: Input) -> Reception {
        let is_frozen = self.frozen;
        let running = self.running.as_mut();
        running.map_or(Reception::Waits, |running| running.receive(now, is_frozen, input))
    }

    /// The true time at which the next timer of the process is due by its own clock, if nobody
    /// wakes it that early.
    pub(super) fn missing_alarm(&self, now: u64) -> Option<u64> {
        let running = self.running.as_ref().filter(|_| !self.frozen)?;
        let clock = self.clocks.now(now);
        let left = running.core.poll_timeout(clock)?;
        let due = self.clocks.holder_shows(clock.holder.plus(left)).max(now + 1000);
        running.lacks_alarm(due).then_some(due)
    }

    /// Whether a process runs and may handle something at `now`.
    pub fn is_attentive(&self, now: u64) -> bool {
        !self.frozen && self.running.as_ref().is_some_and(|running| running.is_free(now))
    }

    /// The process here has told of something that was ordered, or that it fell silent.
    pub(super) fn hears(&mut self, now: u64, event: &Event) {
        let is_held = match event {
            Event::BecameDuck { reason, .. } => !matches!(
                reason,
                DemotionReason::LeaseLapsed { .. }
                    | DemotionReason::Stalled { .. }
                    | DemotionReason::Suspended
                    | DemotionReason::Overtaken { .. }
            ),
            Event::Warning(Warning::DuplicateId { .. }) => true,
            _ => false,
        };
        if is_held {
            // Four leases after an order, five seconds after it met a namesake.
            let hold = 4 * nanoseconds(self.setup.timing.lease) + 1_000_000_000;
            self.held_until = now + hold.max(6_000_000_000);
        }
        if matches!(event, Event::Warning(Warning::TwinVoter { .. })) {
            self.silenced = true;
        }
    }

    /// Somebody changes the settings of the node, which does not run.
    pub(super) fn reconfigure(&mut self, settings: Settings) {
        let longest = self.setup.timing.lease_max;
        match settings {
            Settings::Lease(milliseconds) => {
                let lease = std::time::Duration::from_millis(milliseconds);
                self.setup.timing = self.original.timing.clone().with_lease(lease);
                self.setup.timing.lease_max = lease.max(longest);
            }
            Settings::Profile(profile) => {
                self.setup.timing = Timing::of(profile);
                let own = self.setup.timing.lease_max;
                self.setup.timing.lease_max = own.max(longest);
            }
            // Only a record can name them then.
            Settings::VotersOmitted if !self.disk.is_ephemeral() && self.epoch > 0 => {
                self.setup.voters = None;
                self.setup.voter_addresses.clear();
                self.setup.preempt = None;
            }
            // As they were given first: what was said of the cluster must not change.
            Settings::VotersGiven => {
                self.setup.voters.clone_from(&self.original.voters);
                self.setup.voter_addresses.clone_from(&self.original.voter_addresses);
                self.setup.preempt = self.original.preempt;
            }
            Settings::VotersOmitted | Settings::Keys => {}
        }
    }

    /// The machine gets another address.
    pub(super) fn change_address(&mut self, index: usize) {
        self.address_version += 1;
        self.setup.address = Network::address(index, self.address_version);
    }

    /// Its record is lost; the process that starts at `start` finds nothing sound.
    pub fn forget(&mut self, start: u64) {
        self.forgot = true;
        // An earlier loss may be still to come: something else has started the host meanwhile.
        let until = start + 3 * nanoseconds(self.setup.timing.lease_max);
        self.fragile_until = self.fragile_until.max(until);
    }

    /// Whether a process that ends now leaves no sound record.
    pub fn would_forget(&self) -> bool {
        self.disk.is_ephemeral() || self.disk.is_damaged()
    }

    /// Whether it may not yet have made up for a loss of its record.
    pub fn is_fragile(&self, now: u64) -> bool {
        self.fragile_until > now || self.forgot && !self.may_grant()
    }

    /// Whether a process runs here that may grant to anybody.
    pub fn may_grant(&self) -> bool {
        let voter = self.running.as_ref().and_then(|running| running.inspection.voter.as_ref());
        voter.is_some_and(|voter| voter.may_grant)
    }

    /// Whether nothing is to be started here any more once there is peace.
    pub fn is_away(&self) -> bool {
        self.gone || self.foreign_node.is_some()
    }

    /// Whether the process that runs here was told to leave for good, and has not ended yet.
    pub fn is_leaving(&self) -> bool {
        self.gone && self.running.is_some()
    }

    /// Whether a second process of a voter's id lives here, now and then.
    pub(super) fn is_twin(&self) -> bool {
        self.foreign_node.is_some_and(ForeignNode::is_twin)
    }

    /// The process that runs here.
    pub fn process(&self) -> Option<Process> {
        self.running.as_ref().map(|running| running.process)
    }

    /// The lease it shows, if its own clock says that it still runs at `now`.
    pub fn lease_at(&self, now: u64) -> Option<Lease> {
        let lease = self.running.as_ref()?.core.lease()?;
        (self.clocks.now(now).holder < lease.deadline).then_some(lease)
    }
}

/// Moves the keys of host `index` one stage on, if all others are as far as it is. What runs there
/// goes on with the keys that it has. Returns whether it did.
pub(super) fn advance_keys(hosts: &mut [Host], index: usize) -> bool {
    let stage = hosts[index].key_stage;
    let last = hosts.iter().any(|host| host.key_stage < stage);
    let host = &mut hosts[index];
    if last || host.setup.keys.is_none() || stage == u8::MAX / 2 {
        return false;
    }
    host.key_stage += 1;
    host.setup.keys = keys::ring(host.key_stage);
    true
}

/// The address that a seed's name stands for.
pub(super) fn lookup(hosts: &[Host], name: &str) -> Option<SocketAddr> {
    let by_number = || {
        let (node, _) = name.split_once(':')?;
        let number: u64 = node.strip_prefix("node-")?.parse().ok()?;
        let host = hosts.iter().find(|host| host.id.number() == number)?;
        Some(host.setup.address)
    };
    name.parse().ok().or_else(by_number)
}

/// What a node is called in a story: a second one with an id that is taken is the other one.
pub(in crate::sim) fn name(hosts: &[Host], index: usize) -> String {
    let id = hosts[index].id;
    let is_taken = hosts[..index].iter().any(|host| host.id == id);
    if is_taken { format!("the other node {id}") } else { format!("node {id}") }
}
