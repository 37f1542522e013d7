//! Faults at random, each with its end: what breaks is mended after a while, unless another
//! fault comes first.

use super::action::{Action, Restart, Settings};
use super::clocks::{DRIFT_MAX, SLEW_MAX, TRUE_RATE};
use super::disk::{DiskHealth, Tear};
use super::fault_kind::FaultKind;
use super::network::{Blackout, Delay};
use super::plan::Plan;
use super::prng::Prng;
use super::world::{Nemesis, World};
use crate::vocabulary::timing::Profile;

const MILLI: u64 = 1_000_000;

/// See the module.
#[derive(Clone, Debug)]
pub struct RandomFaults {
    kinds: Vec<FaultKind>,
    interval: u64,
    quick: bool,
    lease: u64,
    length_max: Option<u64>,
    /// Whether a failing disk may damage what is on it.
    damages: bool,
    voters: Vec<usize>,
    /// How many hosts are nodes; those after them are foreign nodes.
    nodes: usize,
}

impl RandomFaults {
    /// The faults of `plan`. Their lengths are drawn in proportion to `lease`.
    pub fn new(plan: &Plan, lease: u64) -> Self {
        Self {
            kinds: plan.kinds.clone(),
            interval: plan.fault_interval,
            // Where faults follow each other quickly, each is short, or nothing would ever run.
            quick: plan.fault_interval < lease / 2,
            lease,
            length_max: plan.length_max,
            damages: plan.damages,
            voters: plan.voters.clone(),
            nodes: plan.starts.len(),
        }
    }
}

impl Nemesis for RandomFaults {
    fn next_delay(&mut self, prng: &mut Prng) -> u64 {
        prng.between(self.interval / 10, self.interval * 2)
    }

    fn strike(&mut self, world: &mut World) {
        if self.kinds.is_empty() {
            return;
        }
        let kind = world.streams.nemesis.pick(&self.kinds);
        // The Goose is worth more attention than the others.
        let mut target = world.streams.nemesis.below(self.nodes);
        if world.streams.nemesis.coin()
            && let Some((goose, _)) = world.geese().first()
        {
            target = *goose;
        }
        let length = self.length(&mut world.streams.nemesis);
        match kind {
            FaultKind::Crash | FaultKind::TornWrite | FaultKind::LostRecord | FaultKind::Move => {
                self.kill(world, kind, target, length);
            }
            FaultKind::Freeze => pair(world, length, Action::Freeze(target), Action::Thaw(target)),
            FaultKind::Suspend => {
                pair(world, length, Action::Suspend(target), Action::Resume(target));
            }
            FaultKind::Starve => {
                let effort = world.streams.nemesis.pick(&[2 * MILLI, 20 * MILLI, self.lease / 4]);
                pair(world, length, Action::Starve(target, effort), Action::Starve(target, 0));
            }
            FaultKind::Leave
                if world.hosts[target].would_forget()
                    && !world.may_forget(target, &self.voters) => {}
            FaultKind::Leave => {
                world.act(&Action::Leave(target));
                world.plan(length * 2, Action::Start(target, Restart::WithDisk));
            }
            FaultKind::StepDown => world.act(&Action::StepDown(target)),
            FaultKind::WallJump => {
                let hours = world.streams.nemesis.pick(&[-3_600_000, -50, 50, 3_600_000]);
                world.act(&Action::JumpWall(target, hours));
            }
            FaultKind::Drift => self.drift(world, target),
            FaultKind::DiskFault | FaultKind::SlowDisk | FaultKind::HungDisk => {
                self.trouble_disk(world, kind, target, length);
            }
            FaultKind::Slew => {
                let rate =
                    world.streams.nemesis.pick(&[TRUE_RATE - SLEW_MAX, TRUE_RATE + SLEW_MAX]);
                world.act(&Action::Slew(target, rate));
            }
            FaultKind::FailingSends => {
                let share = world.streams.nemesis.pick(&[100, 500, 1000]);
                pair(world, length, Action::FailSends(target, share), Action::FailSends(target, 0));
            }
            FaultKind::Lag => {
                let most = world.streams.nemesis.pick(&[2 * MILLI, 30 * MILLI, self.lease]);
                pair(world, 2 * length, Action::Lag(target, most), Action::Lag(target, 0));
            }
            FaultKind::PowerLoss => self.black_out(world, target, length),
            FaultKind::Reconfigure => self.reconfigure(world, target, length),
            FaultKind::KeeperDies
                if world.hosts[target].would_forget()
                    && !world.may_forget(target, &self.voters) => {}
            FaultKind::KeeperDies => {
                world.act(&Action::KillKeeper(target));
                // Whoever has left for it is started again.
                world.plan(2 * length, Action::Start(target, Restart::WithDisk));
            }
            FaultKind::RotateKeys => world.act(&Action::RotateKeys(target)),
            // That is in the weather.
            FaultKind::FlippedBits => {}
            FaultKind::PipeEnds => world.act(&Action::EndPipe(target)),
            FaultKind::LeaveForGood if !self.voters.contains(&target) => {
                world.act(&Action::LeaveForGood(target));
            }
            FaultKind::ForeignNode if world.hosts.len() > self.nodes => {
                let foreign_nodes = world.hosts.len() - self.nodes;
                let foreign_node = self.nodes + world.streams.nemesis.below(foreign_nodes);
                let start = Action::Start(foreign_node, Restart::WithDisk);
                pair(world, 4 * length, start, Action::Crash(foreign_node, Tear::Kept));
            }
            _ => self.disconnect(world, kind, target, length),
        }
    }
}

impl RandomFaults {
    fn trouble_disk(&self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        let mended = Action::SetDisk(target, DiskHealth::Sound);
        match kind {
            FaultKind::DiskFault => {
                // A write that fails half-way is a lost record for whoever starts on it.
                let healths = [DiskHealth::Full, DiskHealth::Doubtful, DiskHealth::Short];
                let possible = if self.damages { &healths[..] } else { &healths[..2] };
                let health = world.streams.nemesis.pick(possible);
                pair(world, length, Action::SetDisk(target, health), mended);
            }
            FaultKind::SlowDisk => {
                let slow = Delay::Uniform(20 * MILLI, self.lease);
                let slow = Action::SlowDisk(target, Some(slow));
                pair(world, length, slow, Action::SlowDisk(target, None));
            }
            _ => pair(world, 2 * length, Action::SetDisk(target, DiskHealth::Hung), mended),
        }
    }

    fn length(&self, prng: &mut Prng) -> u64 {
        let times = prng.pick(&[(1, 4), (1, 1), (1, 1), (2, 1), (5, 1)]);
        let most = if self.quick { self.lease / 2 } else { 2 * self.lease * times.0 / times.1 };
        prng.between(MILLI, self.length_max.map_or(most, |longest| longest.min(most)))
    }

    fn kill(&self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        let forgets = kind == FaultKind::LostRecord || world.hosts[target].would_forget();
        if forgets && !world.may_forget(target, &self.voters) {
            return;
        }
        let prng = &mut world.streams.nemesis;
        match kind {
            FaultKind::Move => world.act(&Action::Move(target)),
            FaultKind::Crash => {
                let tear = prng.pick(&[Tear::Lost, Tear::Kept]);
                world.act(&Action::Crash(target, tear));
                world.plan(length, Action::Start(target, Restart::WithDisk));
            }
            FaultKind::TornWrite => {
                let writer =
                    (0..world.hosts.len()).find(|host| world.hosts[*host].disk.is_writing());
                let target = writer.unwrap_or(target);
                if !world.may_forget(target, &self.voters) {
                    return;
                }
                world.hosts[target].forget(world.now + length);
                world.act(&Action::Crash(target, Tear::Torn));
                world.plan(length, Action::Start(target, Restart::WithDisk));
            }
            _ => {
                let losses = [Restart::Wiped, Restart::Damaged, Restart::OlderDamaged];
                let loss = prng.pick(&losses);
                // Sometimes it dies again while it waits: what it owes must outlive that.
                let again = prng.pick(&[None, None, Some(prng.clone().between(MILLI, self.lease))]);
                world.hosts[target].forget(world.now + length + 2 * again.unwrap_or(0));
                world.act(&Action::Crash(target, Tear::Lost));
                world.plan(length, Action::Start(target, loss));
                if let Some(again) = again {
                    world.plan(length + again, Action::Crash(target, Tear::Lost));
                    world.plan(length + 2 * again, Action::Start(target, Restart::WithDisk));
                }
            }
        }
    }

    /// The machines of a rack lose power together, and come back one after the other.
    fn black_out(&self, world: &mut World, target: usize, length: u64) {
        let share = world.streams.nemesis.pick(&[0, 500, 1000]);
        for host in 0..self.nodes {
            if host != target && !world.streams.nemesis.chance(share) {
                continue;
            }
            let forgets = world.hosts[host].would_forget();
            let may_forget = world.may_forget(host, &self.voters);
            if forgets && !may_forget {
                continue;
            }
            let tears = [Tear::Lost, Tear::Kept, Tear::Torn];
            let torn = self.damages && may_forget;
            let tears = if torn { &tears[..] } else { &tears[..2] };
            let tear = world.streams.nemesis.pick(tears);
            let entry_lost = torn && tear != Tear::Torn && world.streams.nemesis.chance(200);
            let start = world.streams.nemesis.between(MILLI, length.max(2 * MILLI));
            if tear == Tear::Torn || entry_lost || forgets {
                world.hosts[host].forget(world.now + start);
            }
            let restart = if entry_lost { Restart::EntryLost } else { Restart::WithDisk };
            world.act(&Action::LosePower(host, tear));
            world.plan(start, Action::Start(host, restart));
        }
    }

    /// A node is restarted with other settings.
    fn reconfigure(&self, world: &mut World, target: usize, length: u64) {
        if world.hosts[target].would_forget() && !world.may_forget(target, &self.voters) {
            return;
        }
        let prng = &mut world.streams.nemesis;
        let lease = prng.pick(&[250, 600, 1000, 2000]);
        let profile = prng.pick(&[Profile::Lan, Profile::Fast, Profile::Wan]);
        let settings = prng.pick(&[
            Settings::Lease(lease),
            Settings::Lease(lease),
            Settings::Profile(profile),
            Settings::VotersOmitted,
            Settings::VotersGiven,
            Settings::Keys,
        ]);
        world.act(&Action::Crash(target, Tear::Kept));
        world.act(&Action::Reconfigure(target, settings));
        world.plan(length, Action::Start(target, Restart::WithDisk));
    }

    fn drift(&self, world: &mut World, target: usize) {
        let prng = &mut world.streams.nemesis;
        let rate = prng.pick(&[
            TRUE_RATE - DRIFT_MAX,
            TRUE_RATE + DRIFT_MAX,
            prng.clone().between(TRUE_RATE - DRIFT_MAX, TRUE_RATE + DRIFT_MAX),
        ]);
        world.act(&Action::SetRates(target, rate, rate));
    }

    fn disconnect(&self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        let size = world.hosts.len();
        let other = world.streams.nemesis.below(size);
        match kind {
            FaultKind::OneWay if other != target => {
                pair(world, length, Action::Cut(target, other), Action::Mend(target, other));
            }
            FaultKind::Partition => {
                let groups = 2 + world.streams.nemesis.below(2);
                let side = (0..size).map(|_| world.streams.nemesis.below(groups)).collect();
                pair(world, length, Action::Partition(side), Action::MendAll);
            }
            FaultKind::Flapping if other != target => {
                let mut at = 0;
                for _ in 0..20 {
                    at += world.streams.nemesis.between(10 * MILLI, 500 * MILLI);
                    world.plan(at, Action::Cut(target, other));
                    at += world.streams.nemesis.between(10 * MILLI, 500 * MILLI);
                    world.plan(at, Action::Mend(target, other));
                }
            }
            FaultKind::Blackout => {
                let kinds = [Blackout::Gossip, Blackout::Election, Blackout::Total];
                let blackout = Action::SetBlackout(world.streams.nemesis.pick(&kinds));
                pair(world, length, blackout, Action::SetBlackout(Blackout::None));
            }
            FaultKind::Replay => {
                let count = 1 + world.streams.nemesis.below(200);
                world.act(&Action::Replay(count));
            }
            FaultKind::LossBySize if other != target => {
                let longest = world.streams.nemesis.pick(&[150, 300, 548, 1000]);
                for (from, to) in [(target, other), (other, target)] {
                    let narrow = Action::Narrow(from, to, Some(longest));
                    pair(world, length, narrow, Action::Narrow(from, to, None));
                }
            }
            FaultKind::DeafOrMute => {
                let deaf = world.streams.nemesis.coin();
                for other in (0..size).filter(|other| *other != target) {
                    let (from, to) = if deaf { (other, target) } else { (target, other) };
                    pair(world, length, Action::Cut(from, to), Action::Mend(from, to));
                }
            }
            _ => {}
        }
    }
}

/// A fault now, and its end after a while.
fn pair(world: &mut World, length: u64, fault: Action, end: Action) {
    world.act(&fault);
    world.plan(length, end);
}
