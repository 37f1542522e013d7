//! What can be done to the world, by chance or by a script: what it is called, when it is
//! possible, what it does, and what ends it.

use std::fmt;
use std::time::Duration;

use super::delay::Delay;
use super::disk::DiskHealth;
pub use super::disk::{Restart, Tear};
use super::driver::Cluster;
pub use super::host::Settings;
use super::host::advance_keys;
use super::keeper::Keeper;
use super::machine::Machine;
use super::network::{Blackout, Weather};
use super::process::Input;
use crate::node::VoterOrder;
use crate::vocabulary::health::Complainant;

/// One thing that is done to the world. Nodes are named by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process is killed, and a write under way is cut short.
    Crash(usize, Tear),
    /// A process is started, unless one runs.
    Start(usize, Restart),
    /// The process stops handling anything.
    Freeze(usize),
    /// It goes on.
    Thaw(usize),
    /// The machine is suspended: frozen, and its voter clock stands still.
    Suspend(usize),
    /// It resumes.
    Resume(usize),
    /// Everything the process does takes up to so many nanoseconds; zero ends that.
    Starve(usize, u64),
    /// The process is told to leave.
    Leave(usize),
    /// The process is told to step down.
    StepDown(usize),
    /// The node is told to hold back until told otherwise, or to do so no more.
    Drain(usize, bool),
    /// Somebody complains of the node's health, or does no more.
    Health(usize, Complainant, Option<&'static str>),
    /// The Goose is told to make way for nobody by choice for so long, or to do so again.
    Pause(usize, Option<Duration>),
    /// The node is told who is to vote.
    ChangeVoters(usize, VoterOrder),
    /// The wall clock jumps by milliseconds.
    JumpWall(usize, i64),
    /// The holder and voter clocks change their rates, in millionths.
    SetRates(usize, u64, u64),
    /// The disk behaves differently.
    SetDisk(usize, DiskHealth),
    /// A one-way link carries nothing.
    Cut(usize, usize),
    /// A one-way link carries again.
    Mend(usize, usize),
    /// Only nodes of one group reach each other.
    Partition(Vec<usize>),
    /// All links carry again.
    MendAll,
    /// The links behave differently.
    SetWeather(Weather),
    /// Some or all datagrams are lost everywhere.
    SetBlackout(Blackout),
    /// Recorded datagrams are sent again: so many.
    Replay(usize),
    /// The process is killed and started at another address.
    Move(usize),
    /// A write takes so long, or as long as usual again.
    SlowDisk(usize, Option<Delay>),
    /// NTP makes the monotonic clock run at this rate, in millionths.
    Slew(usize, u64),
    /// The pipe to the keeper ends though the process lives: somebody closed a descriptor.
    EndPipe(usize),
    /// The node is told to leave and is not started again.
    LeaveForGood(usize),
    /// A one-way link carries nothing longer than so many bytes, or everything again: a tunnel
    /// on the way takes less than it says, and the answer that would say so is filtered out.
    Narrow(usize, usize, Option<usize>),
    /// So many of a thousand datagrams cannot even be sent: no buffer, or a firewall's rule.
    FailSends(usize, u32),
    /// The node gets the next keys that its cluster is moving to, without a restart.
    RotateKeys(usize),
    /// The keeper is killed, with whatever is left to nobody else.
    KillKeeper(usize),
    /// The machine loses power: everything on it is gone at once, and what was not synced, too.
    LosePower(usize, Tear),
    /// The settings of the node are others when it starts next.
    Reconfigure(usize, Settings),
    /// From reading the clock until what was decided is sent, up to so many nanoseconds pass.
    Lag(usize, u64),
}

impl Action {
    /// Whether other nodes may hear each other afterwards than before.
    pub fn changes_reach(&self) -> bool {
        matches!(
            self,
            Self::Cut(..)
                | Self::Mend(..)
                | Self::Partition(_)
                | Self::MendAll
                | Self::SetBlackout(_)
        )
    }

    /// The word under which it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash(_, Tear::Torn) => "crash with a torn write",
            Self::Crash(..) => "crash",
            Self::Start(_, Restart::WithDisk) => "start",
            Self::Start(_, Restart::Wiped) => "start on a wiped disk",
            Self::Start(_, Restart::Damaged) => "start on a damaged disk",
            Self::Start(_, Restart::OlderDamaged) => "start on a rotten older slot",
            Self::Start(_, Restart::EntryLost) => "start on a lost directory entry",
            Self::Freeze(_) => "freeze",
            Self::Thaw(_) => "thaw",
            Self::Suspend(_) => "suspend",
            Self::Resume(_) => "resume",
            Self::Starve(_, 0) => "fed",
            Self::Starve(..) => "starve",
            Self::Leave(_) => "leave",
            Self::StepDown(_) => "step down",
            Self::Pause(_, Some(_)) => "pause of choices",
            Self::Pause(_, None) => "choices again",
            Self::ChangeVoters(..) => "order to change voters",
            Self::Health(_, _, Some(_)) => "sick",
            Self::Health(_, _, None) => "well again",
            Self::Drain(_, true) => "drain",
            Self::Drain(_, false) => "drained no more",
            Self::JumpWall(..) => "wall clock jump",
            Self::SetRates(..) => "clock rates",
            Self::SetDisk(_, DiskHealth::Sound) => "disk mended",
            Self::SetDisk(_, DiskHealth::Full) => "full disk",
            Self::SetDisk(_, DiskHealth::Doubtful) => "failing disk",
            Self::SetDisk(_, DiskHealth::Hung) => "hung disk",
            Self::SetDisk(_, DiskHealth::Short) => "disk with short writes",
            Self::Cut(..) => "one-way cut",
            Self::Mend(..) => "mend",
            Self::Partition(_) => "partition",
            Self::MendAll => "mend all",
            Self::SetWeather(_) => "weather",
            Self::SetBlackout(Blackout::None) => "blackout over",
            Self::SetBlackout(Blackout::Gossip) => "blackout of gossip",
            Self::SetBlackout(Blackout::Election) => "blackout of the election",
            Self::SetBlackout(Blackout::Total) => "total blackout",
            Self::Replay(_) => "replay",
            Self::Move(_) => "address change",
            Self::SlowDisk(_, Some(_)) => "slow disk",
            Self::SlowDisk(_, None) => "disk fast again",
            Self::Slew(..) => "slewed clock",
            Self::EndPipe(_) => "end of a living node's pipe",
            Self::LeaveForGood(_) => "leave for good",
            Self::Narrow(_, _, Some(_)) => "loss by size",
            Self::Narrow(_, _, None) => "every size again",
            Self::FailSends(_, 0) => "sends work again",
            Self::FailSends(..) => "failing sends",
            Self::RotateKeys(_) => "keys rotated",
            Self::KillKeeper(_) => "keeper killed",
            Self::LosePower(..) => "power loss",
            Self::Reconfigure(_, Settings::Lease(_)) => "another lease",
            Self::Reconfigure(_, Settings::Profile(_)) => "another profile",
            Self::Reconfigure(_, Settings::VotersOmitted) => "voters omitted",
            Self::Reconfigure(_, Settings::VotersGiven) => "voters given",
            Self::Reconfigure(_, Settings::Keys) => "other keys at a start",
            Self::Lag(_, 0) => "no lag",
            Self::Lag(..) => "lag between clock and sending",
        }
    }

    /// What is said of it in a story. `name` names the node at a place.
    pub(super) fn words(&self, name: &dyn Fn(usize) -> String) -> String {
        match self {
            Self::Crash(node, Tear::Torn) => {
                format!("{} is killed in the midst of a write", name(*node))
            }
            Self::Crash(node, _) => format!("{} is killed", name(*node)),
            Self::Start(node, Restart::WithDisk) => format!("{} starts", name(*node)),
            Self::Start(node, Restart::Wiped) => format!("{} starts on an empty disk", name(*node)),
            Self::Start(node, _) => format!("{} starts on a damaged disk", name(*node)),
            Self::Freeze(node) => format!("{} is stopped", name(*node)),
            Self::Thaw(node) => format!("{} goes on", name(*node)),
            Self::Suspend(node) => format!("the machine of {} is suspended", name(*node)),
            Self::Resume(node) => format!("the machine of {} resumes", name(*node)),
            Self::Starve(node, 0) => format!("{} has all the processor time it needs", name(*node)),
            Self::Starve(node, effort) => {
                let most = effort / 1_000_000;
                format!("{} is starved: everything takes it up to {most} ms", name(*node))
            }
            Self::Leave(node) => format!("{} is told to leave", name(*node)),
            Self::StepDown(node) => format!("{} is told to step down", name(*node)),
            Self::Pause(node, Some(_)) => format!("{} is told to make way for nobody", name(*node)),
            Self::Pause(node, None) => format!("{} may make way again", name(*node)),
            Self::ChangeVoters(node, order) => format!("{}: {order:?}", name(*node)),
            Self::Health(node, by, what) => format!("{by:?} of {}: {what:?}", name(*node)),
            Self::Drain(node, true) => format!("{} is drained", name(*node)),
            Self::Drain(node, false) => format!("{} is drained no more", name(*node)),
            Self::JumpWall(node, by) => {
                format!("the wall clock of {} jumps by {by} ms", name(*node))
            }
            Self::SetRates(node, holder, voter) => {
                format!("the clocks of {} run at {holder} and {voter} millionths", name(*node))
            }
            Self::SetDisk(node, health) => {
                format!("the disk of {} {}", name(*node), health.words())
            }
            Self::Cut(from, to) => format!("{} no longer reaches {}", name(*from), name(*to)),
            Self::Mend(from, to) => format!("{} reaches {} again", name(*from), name(*to)),
            Self::Partition(sides) => format!("the network falls apart: {}", parts(sides, name)),
            Self::MendAll => "all links are whole".to_owned(),
            Self::SetWeather(weather) => weather.words(),
            Self::SetBlackout(blackout) => blackout.words().to_owned(),
            Self::Replay(count) => format!("{count} recorded datagrams are sent again"),
            Self::Move(node) => format!("{} moves to another address", name(*node)),
            Self::SlowDisk(node, Some(_)) => format!("the disk of {} is slow", name(*node)),
            Self::SlowDisk(node, None) => format!("the disk of {} is fast again", name(*node)),
            Self::Slew(node, rate) => {
                format!("the monotonic clock of {} is slewed to {rate} millionths", name(*node))
            }
            Self::EndPipe(node) => format!("the keeper's pipe from {} ends early", name(*node)),
            Self::LeaveForGood(node) => format!("{} is told to leave for good", name(*node)),
            Self::Narrow(from, to, Some(size)) => {
                format!("only up to {size} bytes get from {} to {}", name(*from), name(*to))
            }
            Self::Narrow(from, to, None) => {
                format!("all sizes get from {} to {} again", name(*from), name(*to))
            }
            Self::FailSends(node, share) => {
                format!("of 1000 sends of {} {share} fail", name(*node))
            }
            Self::LosePower(node, _) => format!("the machine of {} loses power", name(*node)),
            Self::Reconfigure(node, settings) => {
                format!("{} is to start with {settings:?}", name(*node))
            }
            Self::Lag(node, 0) => format!("{} does at once what it decides", name(*node)),
            Self::Lag(node, most) => {
                format!(
                    "up to {} ms pass until {} does what it decides",
                    most / 1_000_000,
                    name(*node)
                )
            }
            Self::KillKeeper(node) => format!("the keeper of {} is killed", name(*node)),
            Self::RotateKeys(node) => format!("{} gets the next keys", name(*node)),
        }
    }

    /// Whether there is anything for it to act on.
    pub(super) fn is_possible(&self, cluster: &Cluster) -> bool {
        let host = |index: &usize| &cluster.hosts[*index];
        let runs = |index: &usize| host(index).running.is_some();
        match self {
            Self::Start(index, _) => {
                let is_away =
                    if cluster.is_peaceful { host(index).is_away() } else { host(index).gone };
                !runs(index) && !is_away
            }
            Self::Crash(index, _)
            | Self::Leave(index)
            | Self::StepDown(index)
            | Self::Drain(index, _)
            | Self::Health(index, ..)
            | Self::Pause(index, _)
            | Self::ChangeVoters(index, _)
            | Self::EndPipe(index)
            | Self::LeaveForGood(index) => runs(index),
            // Whoever runs keeps the settings that it has.
            Self::Reconfigure(index, _) => !runs(index),
            Self::KillKeeper(index) => host(index).keeper.is_alive(),
            Self::Freeze(index) | Self::Suspend(index) => !host(index).frozen,
            Self::Thaw(index) => host(index).frozen && !host(index).clocks.is_suspended(),
            Self::Resume(index) => host(index).clocks.is_suspended(),
            _ => true,
        }
    }

    /// Does it.
    pub(super) fn apply(&self, cluster: &mut Cluster) {
        let now = cluster.now();
        match self {
            Self::Crash(index, tear) => Machine::of(cluster, *index).crash(*tear),
            Self::Start(index, restart) => Machine::of(cluster, *index).start(*restart),
            Self::Freeze(index) => cluster.hosts[*index].frozen = true,
            Self::Thaw(index) | Self::Resume(index) => Machine::of(cluster, *index).thaw(),
            Self::Suspend(index) => Machine::of(cluster, *index).suspend(),
            Self::Starve(index, effort) => cluster.hosts[*index].starvation = *effort,
            Self::Leave(index) => cluster.offer(*index, Input::Leave),
            Self::StepDown(index) => {
                cluster.offer(*index, Input::StepDown { to: None, hold: None });
            }
            Self::Pause(index, lasts) => cluster.offer(*index, Input::Pause(*lasts)),
            Self::ChangeVoters(index, order) => {
                cluster.offer(*index, Input::ChangeVoters(order.clone()));
            }
            Self::Health(index, by, complaint) => {
                cluster.offer(*index, Input::Health(*by, *complaint));
            }
            Self::Drain(index, is_drained) => cluster.offer(*index, Input::Drain(*is_drained)),
            Self::JumpWall(index, by) => cluster.hosts[*index].clocks.jump_wall(*by),
            Self::SetRates(index, holder, voter) => {
                cluster.hosts[*index].clocks.set_rates(now, *holder, *voter);
                cluster.observe_clocks(*index);
            }
            Self::SetDisk(index, health) => cluster.hosts[*index].disk.health = *health,
            Self::Cut(from, to) => cluster.delivery.network.cut(*from, *to),
            Self::Mend(from, to) => cluster.delivery.network.mend(*from, *to),
            Self::Partition(groups) => cluster.delivery.network.partition(groups),
            Self::MendAll => cluster.delivery.network.mend_all(),
            Self::SetWeather(weather) => cluster.delivery.network.weather = *weather,
            Self::SetBlackout(blackout) => cluster.delivery.network.blackout = *blackout,
            Self::Replay(count) => {
                let Cluster { delivery, hosts, agenda, .. } = cluster;
                delivery.replay(*count, |to| hosts[to].setup.address, agenda);
            }
            Self::Move(index) => Machine::of(cluster, *index).change_address(),
            Self::SlowDisk(index, delay) => cluster.hosts[*index].disk.slowed_to = *delay,
            Self::Slew(index, rate) => cluster.hosts[*index].clocks.slew(now, *rate),
            Self::EndPipe(index) => cluster.keep(*index, Keeper::lose_pipe),
            Self::Narrow(from, to, longest) => {
                cluster.delivery.network.narrow(*from, *to, *longest);
            }
            Self::FailSends(index, share) => cluster.hosts[*index].failing_sends = *share,
            Self::KillKeeper(index) => Machine::of(cluster, *index).kill_keeper(),
            Self::LosePower(index, tear) => Machine::of(cluster, *index).lose_power(*tear),
            Self::Reconfigure(index, Settings::Keys) => {
                advance_keys(&mut cluster.hosts, *index);
            }
            Self::Reconfigure(index, settings) => cluster.hosts[*index].reconfigure(*settings),
            Self::Lag(index, most) => cluster.hosts[*index].lag.set(*most),
            Self::RotateKeys(index) => Machine::of(cluster, *index).rotate_keys(),
            Self::LeaveForGood(index) => {
                cluster.hosts[*index].gone = true;
                cluster.offer(*index, Input::Leave);
            }
        }
    }

    /// What ends every fault of one machine.
    pub(super) fn remedies(index: usize) -> [Self; 7] {
        [
            Self::Resume(index),
            Self::Thaw(index),
            Self::SetDisk(index, DiskHealth::Sound),
            Self::SlowDisk(index, None),
            Self::Starve(index, 0),
            Self::FailSends(index, 0),
            Self::Lag(index, 0),
        ]
    }
}

/// The groups of a partition: `nodes 1 2 | node 3`.
fn parts(sides: &[usize], name: &dyn Fn(usize) -> String) -> String {
    let mut groups: Vec<usize> = sides.to_vec();
    groups.sort_unstable();
    groups.dedup();
    let group = |side: &usize| {
        let members = (0..sides.len()).filter(|node| sides[*node] == *side);
        members.map(name).collect::<Vec<_>>().join(", ")
    };
    groups.iter().map(group).collect::<Vec<_>>().join(" | ")
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}
