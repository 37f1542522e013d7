//! Faults at random, each with its end: what breaks is mended after a while, unless another
//! fault comes first.
//!
//! A kind of fault is a row of the table below, and an arm of `RandomFaults::begin` that says
//! how it begins and ends. What it does to the cluster is an [`Action`].

use crate::node::VoterOrder;
use crate::sim::cluster::action::{Action, Restart, Settings, Tear};
use crate::sim::cluster::clocks::{DRIFT_MAX, SLEW_MAX, TRUE_RATE};
use crate::sim::cluster::delay::Delay;
use crate::sim::cluster::disk::DiskHealth;
use crate::sim::cluster::network::Blackout;
use crate::sim::cluster::world::{Nemesis, World};
use crate::sim::prng::Prng;
use crate::vocabulary::timing::Profile;

const MILLI: u64 = 1_000_000;

/// Each kind of fault, with what is counted when a run meets it.
macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $kind:ident: [$($row:literal),*],)*) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind { $($(#[$doc])* $kind,)* }

        impl FaultKind {
            /// Every kind of fault.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// What is counted: among a thousand runs some must have met each of these.
            pub fn rows(self) -> &'static [&'static str] {
                match self { $(Self::$kind => &[$($row),*],)* }
            }
        }
    };
}

fault_kinds! {
    /// Kill and start again with the disk.
    Crash: ["crash"],
    /// Kill during a write, which may be torn.
    TornWrite: ["crash with a torn write"],
    /// Kill and start on an empty or damaged disk.
    LostRecord: ["start on a wiped disk", "start on a damaged disk", "start on a rotten older slot"],
    /// Stop and go on.
    Freeze: ["freeze"],
    /// Suspend and resume the machine.
    Suspend: ["suspend"],
    /// Too little processor time.
    Starve: ["starve"],
    /// Leave and come back.
    Leave: ["leave"],
    /// An order to step down.
    StepDown: ["stepped down"],
    /// The wall clock jumps.
    WallJump: ["wall clock jump"],
    /// The rates of the clocks change.
    Drift: ["clock rates"],
    /// The disk fails or is full.
    DiskFault: ["full disk", "failing disk", "disk with short writes", "failed write"],
    /// A one-way link is cut.
    OneWay: ["one-way cut"],
    /// The nodes fall into groups.
    Partition: ["partition"],
    /// A link comes and goes quickly.
    Flapping: ["one-way cut", "mend"],
    /// Everything, gossip or the election is lost everywhere.
    Blackout: ["blackout of gossip", "blackout of the election", "total blackout"],
    /// Old datagrams come again.
    Replay: ["replay", "repeated datagram"],
    /// A node moves to another address.
    Move: ["address change"],
    /// A node loses all its links in one direction: it hears nobody, or nobody hears it.
    DeafOrMute: ["one-way cut"],
    /// The disk takes much longer to write.
    SlowDisk: ["slow disk"],
    /// NTP slews the monotonic clock by 8 %, which no node leases on.
    Slew: ["slewed clock"],
    /// The keeper's pipe ends while its node lives.
    PipeEnds: ["end of a living node's pipe"],
    /// A node that does not vote leaves and never comes back.
    LeaveForGood: ["leave for good"],
    /// A process runs for a while that does not belong.
    ForeignNode: ["twin voter told"],
    /// A few bits of a datagram are flipped on its way.
    FlippedBits: ["flipped bits"],
    /// A link carries nothing longer than some size.
    LossBySize: ["loss by size"],
    /// The operating system refuses to send.
    FailingSends: ["send that failed"],
    /// A node gets the next keys, now or at its next start.
    RotateKeys: ["keys rotated"],
    /// A keeper dies.
    KeeperDies: ["keeper killed"],
    /// Machines lose power together.
    PowerLoss: ["power loss", "start on a lost directory entry"],
    /// A write does not return until the disk is mended.
    HungDisk: ["hung disk"],
    /// A node starts with other settings.
    Reconfigure: ["another lease", "another profile", "voters omitted", "voters given", "other keys at a start"],
    /// Time passes between reading the clock, deciding and sending.
    Lag: ["lag"],
    /// Others are to vote.
    ChangeVoters: ["change of voters", "refused change of voters"],
}

impl FaultKind {
    /// Those that leave the voters what they were at the founding.
    pub const OF_FIXED_VOTERS: &[Self] = Self::ALL.split_at(Self::ALL.len() - 1).0;
}

/// Which faults, and how often.
#[derive(Clone, Debug)]
pub struct RandomFaults {
    /// The kinds that are met.
    pub kinds: Vec<FaultKind>,
    /// The mean time between two, in nanoseconds.
    pub interval: u64,
    /// Their lengths are drawn in proportion to this, in nanoseconds.
    pub lease: u64,
    /// The longest that one lasts, if there is a bound.
    pub length_max: Option<u64>,
    /// Whether a failing disk may damage what is on it.
    pub damages: bool,
    /// Which hosts vote.
    pub voters: Vec<usize>,
    /// Whether others may come to vote: then one node at a time is without its record, whoever votes.
    pub elastic: bool,
    /// How many hosts are nodes; those after them are foreign nodes.
    pub nodes: usize,
    /// Where chance comes from.
    pub prng: Prng,
}

impl Nemesis for RandomFaults {
    fn next_delay(&mut self) -> u64 {
        self.prng.between(self.interval / 10, self.interval * 2)
    }

    fn strike(&mut self, world: &mut World) {
        if self.kinds.is_empty() {
            return;
        }
        let kind = self.prng.pick(&self.kinds);
        // The Goose is worth more attention than the others.
        let mut target = self.prng.below(self.nodes);
        if self.prng.coin()
            && let Some((goose, _)) = world.geese().first()
        {
            target = *goose;
        }
        let length = self.length();
        self.begin(world, kind, target, length);
    }
}

impl RandomFaults {
    fn length(&mut self) -> u64 {
        let times = self.prng.pick(&[(1, 4), (1, 1), (1, 1), (2, 1), (5, 1)]);
        // Where faults follow each other quickly, each is short, or nothing would ever run.
        let is_quick = self.interval < self.lease / 2;
        let most = if is_quick { self.lease / 2 } else { 2 * self.lease * times.0 / times.1 };
        self.prng.between(MILLI, self.length_max.map_or(most, |longest| longest.min(most)))
    }

    /// Whether `target` may lose its record now.
    fn may_forget(&self, world: &World, target: usize) -> bool {
        if !self.elastic {
            return world.may_forget(target, &self.voters);
        }
        let hosts = world.cluster.hosts.iter().enumerate();
        let others = hosts.filter(|(index, _)| *index != target);
        others.filter(|(_, host)| host.is_fragile(world.now())).count() == 0
    }

    /// Others are to vote from here on, if anybody leads.
    fn change_voters(&mut self, world: &mut World) {
        let Some((goose, _)) = world.geese().first().copied() else { return };
        let id = |index: usize| world.cluster.hosts[index].id;
        let core = world.cluster.hosts[goose].running.as_ref().map(|running| &running.core);
        let Some(present) = core.and_then(|core| core.configuration()) else { return };
        // What is under way already counts as done.
        let under_way = core.and_then(|core| core.snapshot().voter_change);
        let goal = under_way.map_or_else(|| present.voters.clone(), |change| change.goal.voters);
        let ids = goal.ids();
        let (some, old) = (id(self.prng.below(self.nodes)), self.prng.pick(ids));
        // Two or one could not vouch for another, so a lost record would need a person.
        let order = match self.prng.below(3) {
            0 => VoterOrder::Add(some),
            1 if ids.len() > 3 => VoterOrder::Remove(old),
            _ if ids.contains(&some) => return,
            _ => VoterOrder::Replace { old, new: some },
        };
        world.act(&Action::ChangeVoters(goose, order));
    }

    /// Whether a process of `target` may not end now: the cluster would forget too much.
    fn is_needed(&self, world: &World, target: usize) -> bool {
        world.cluster.hosts[target].would_forget() && !self.may_forget(world, target)
    }

    /// Breaks something, and plans its end `length` nanoseconds later, or about that.
    fn begin(&mut self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        match kind {
            FaultKind::Crash
            | FaultKind::TornWrite
            | FaultKind::LostRecord
            | FaultKind::Move
            | FaultKind::PowerLoss
            | FaultKind::Leave
            | FaultKind::KeeperDies
            | FaultKind::Reconfigure => self.end_process(world, kind, target, length),
            FaultKind::Freeze
            | FaultKind::Suspend
            | FaultKind::Starve
            | FaultKind::FailingSends
            | FaultKind::Lag => self.hinder(world, kind, target, length),
            FaultKind::WallJump | FaultKind::Drift | FaultKind::Slew => {
                self.disturb_clock(world, kind, target);
            }
            FaultKind::DiskFault | FaultKind::SlowDisk | FaultKind::HungDisk => {
                self.trouble_disk(world, kind, target, length);
            }
            FaultKind::ChangeVoters => self.change_voters(world),
            FaultKind::StepDown => world.act(&Action::StepDown(target)),
            FaultKind::RotateKeys => world.act(&Action::RotateKeys(target)),
            FaultKind::PipeEnds => world.act(&Action::EndPipe(target)),
            FaultKind::LeaveForGood if !self.voters.contains(&target) => {
                world.act(&Action::LeaveForGood(target));
            }
            FaultKind::ForeignNode if world.cluster.hosts.len() > self.nodes => {
                let foreign_nodes = world.cluster.hosts.len() - self.nodes;
                let foreign_node = self.nodes + self.prng.below(foreign_nodes);
                let start = Action::Start(foreign_node, Restart::WithDisk);
                pair(world, 4 * length, start, Action::Crash(foreign_node, Tear::Kept));
            }
            // Set once for the whole run, in `plan.rs`.
            FaultKind::FlippedBits => {}
            FaultKind::OneWay
            | FaultKind::Partition
            | FaultKind::Flapping
            | FaultKind::Blackout
            | FaultKind::Replay
            | FaultKind::DeafOrMute
            | FaultKind::LossBySize
            | FaultKind::LeaveForGood
            | FaultKind::ForeignNode => self.disconnect(world, kind, target, length),
        }
    }

    /// A process ends, and another one starts in its place.
    fn end_process(&mut self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        let start = Action::Start(target, Restart::WithDisk);
        match kind {
            FaultKind::PowerLoss => self.black_out(world, target, length),
            FaultKind::LostRecord => self.lose_record(world, target, length),
            _ if self.is_needed(world, target) => {}
            FaultKind::Crash => {
                let tear = self.prng.pick(&[Tear::Lost, Tear::Kept]);
                pair(world, length, Action::Crash(target, tear), start);
            }
            FaultKind::TornWrite => {
                let hosts = &mut world.cluster.hosts;
                let writer = hosts.iter().position(|host| host.disk.is_writing());
                let target = writer.unwrap_or(target);
                if !self.may_forget(world, target) {
                    return;
                }
                let again = world.now() + length;
                world.cluster.hosts[target].forget(again);
                let start = Action::Start(target, Restart::WithDisk);
                pair(world, length, Action::Crash(target, Tear::Torn), start);
            }
            FaultKind::Leave => pair(world, length * 2, Action::Leave(target), start),
            // Whoever has left for it is started again.
            FaultKind::KeeperDies => pair(world, 2 * length, Action::KillKeeper(target), start),
            FaultKind::Reconfigure => {
                let settings = self.draw_settings();
                world.act(&Action::Crash(target, Tear::Kept));
                pair(world, length, Action::Reconfigure(target, settings), start);
            }
            _ => world.act(&Action::Move(target)),
        }
    }

    fn lose_record(&mut self, world: &mut World, target: usize, length: u64) {
        if !self.may_forget(world, target) {
            return;
        }
        let losses = [Restart::Wiped, Restart::Damaged, Restart::OlderDamaged];
        let loss = self.prng.pick(&losses);
        // Sometimes it dies again while it waits: what it owes must outlive that.
        let span = self.prng.clone().between(MILLI, self.lease);
        let again = self.prng.pick(&[None, None, Some(span)]);
        let last = world.now() + length + 2 * again.unwrap_or(0);
        world.cluster.hosts[target].forget(last);
        pair(world, length, Action::Crash(target, Tear::Lost), Action::Start(target, loss));
        if let Some(again) = again {
            world.plan(length + again, Action::Crash(target, Tear::Lost));
            world.plan(length + 2 * again, Action::Start(target, Restart::WithDisk));
        }
    }

    /// The machines of a rack lose power together, and come back one after the other.
    fn black_out(&mut self, world: &mut World, target: usize, length: u64) {
        let share = self.prng.pick(&[0, 500, 1000]);
        for host in 0..self.nodes {
            if host != target && !self.prng.chance(share) {
                continue;
            }
            let forgets = world.cluster.hosts[host].would_forget();
            let may_forget = self.may_forget(world, host);
            if forgets && !may_forget {
                continue;
            }
            let tears = [Tear::Lost, Tear::Kept, Tear::Torn];
            let torn = self.damages && may_forget;
            let tears = if torn { &tears[..] } else { &tears[..2] };
            let tear = self.prng.pick(tears);
            let entry_lost = torn && tear != Tear::Torn && self.prng.chance(200);
            let start = self.prng.between(MILLI, length.max(2 * MILLI));
            if tear == Tear::Torn || entry_lost || forgets {
                let again = world.now() + start;
                world.cluster.hosts[host].forget(again);
            }
            let restart = if entry_lost { Restart::EntryLost } else { Restart::WithDisk };
            pair(world, start, Action::LosePower(host, tear), Action::Start(host, restart));
        }
    }

    fn draw_settings(&mut self) -> Settings {
        let lease = self.prng.pick(&[250, 600, 1000, 2000]);
        let profile = self.prng.pick(&[Profile::Lan, Profile::Fast, Profile::Wan]);
        self.prng.pick(&[
            Settings::Lease(lease),
            Settings::Lease(lease),
            Settings::Profile(profile),
            Settings::VotersOmitted,
            Settings::VotersGiven,
            Settings::Keys,
        ])
    }

    /// A process goes on, but not as it would like to.
    fn hinder(&mut self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        match kind {
            FaultKind::Freeze => pair(world, length, Action::Freeze(target), Action::Thaw(target)),
            FaultKind::Suspend => {
                pair(world, length, Action::Suspend(target), Action::Resume(target));
            }
            FaultKind::Starve => {
                let effort = self.prng.pick(&[2 * MILLI, 20 * MILLI, self.lease / 4]);
                pair(world, length, Action::Starve(target, effort), Action::Starve(target, 0));
            }
            FaultKind::FailingSends => {
                let share = self.prng.pick(&[100, 500, 1000]);
                pair(world, length, Action::FailSends(target, share), Action::FailSends(target, 0));
            }
            _ => {
                let most = self.prng.pick(&[2 * MILLI, 30 * MILLI, self.lease]);
                pair(world, 2 * length, Action::Lag(target, most), Action::Lag(target, 0));
            }
        }
    }

    /// Clocks are wrong until something else happens to them.
    fn disturb_clock(&mut self, world: &mut World, kind: FaultKind, target: usize) {
        let action = match kind {
            FaultKind::WallJump => {
                Action::JumpWall(target, self.prng.pick(&[-3_600_000, -50, 50, 3_600_000]))
            }
            FaultKind::Drift => {
                let (slow, fast) = (TRUE_RATE - DRIFT_MAX, TRUE_RATE + DRIFT_MAX);
                let some = self.prng.clone().between(slow, fast);
                let rate = self.prng.pick(&[slow, fast, some]);
                Action::SetRates(target, rate, rate)
            }
            _ => {
                let rates = [TRUE_RATE - SLEW_MAX, TRUE_RATE + SLEW_MAX];
                Action::Slew(target, self.prng.pick(&rates))
            }
        };
        world.act(&action);
    }

    fn trouble_disk(&mut self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        let mended = Action::SetDisk(target, DiskHealth::Sound);
        match kind {
            FaultKind::DiskFault => {
                // A write that fails half-way is a lost record for whoever starts on it.
                let healths = [DiskHealth::Full, DiskHealth::Doubtful, DiskHealth::Short];
                let possible = if self.damages { &healths[..] } else { &healths[..2] };
                let health = self.prng.pick(possible);
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

    fn disconnect(&mut self, world: &mut World, kind: FaultKind, target: usize, length: u64) {
        let size = world.cluster.hosts.len();
        let other = self.prng.below(size);
        match kind {
            FaultKind::OneWay if other != target => {
                pair(world, length, Action::Cut(target, other), Action::Mend(target, other));
            }
            FaultKind::Partition => {
                let groups = 2 + self.prng.below(2);
                let side = (0..size).map(|_| self.prng.below(groups)).collect();
                pair(world, length, Action::Partition(side), Action::MendAll);
            }
            FaultKind::Flapping if other != target => {
                let mut at = 0;
                for _ in 0..20 {
                    at += self.prng.between(10 * MILLI, 500 * MILLI);
                    world.plan(at, Action::Cut(target, other));
                    at += self.prng.between(10 * MILLI, 500 * MILLI);
                    world.plan(at, Action::Mend(target, other));
                }
            }
            FaultKind::Blackout => {
                let kinds = [Blackout::Gossip, Blackout::Election, Blackout::Total];
                let blackout = Action::SetBlackout(self.prng.pick(&kinds));
                pair(world, length, blackout, Action::SetBlackout(Blackout::None));
            }
            FaultKind::Replay => {
                let count = 1 + self.prng.below(200);
                world.act(&Action::Replay(count));
            }
            FaultKind::LossBySize if other != target => {
                let longest = self.prng.pick(&[150, 300, 548, 1000]);
                for (from, to) in [(target, other), (other, target)] {
                    let narrow = Action::Narrow(from, to, Some(longest));
                    pair(world, length, narrow, Action::Narrow(from, to, None));
                }
            }
            FaultKind::DeafOrMute => {
                let deaf = self.prng.coin();
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
