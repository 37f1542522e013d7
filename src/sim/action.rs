//! What can be done to the world, by chance or by a script.

use std::fmt;

use super::disk::{DiskHealth, Tear};
use super::network::{Blackout, Delay, Weather};
use crate::vocabulary::timing::Profile;

/// What happens to the disk of a node that is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is kept.
    WithDisk,
    /// It is emptied.
    Wiped,
    /// Its newest slot has rotted.
    Damaged,
    /// Its older slot has rotted.
    OlderDamaged,
    /// The folder does not name the file any more, which was not synced with it.
    EntryLost,
}

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
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}
