//! The kinds of faults that a run may meet.

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Kill and start again with the disk.
    Crash,
    /// Kill during a write, which may be torn.
    TornWrite,
    /// Kill and start on an empty or damaged disk.
    LostRecord,
    /// Stop and go on.
    Freeze,
    /// Suspend and resume the machine.
    Suspend,
    /// Too little processor time.
    Starve,
    /// Leave and come back.
    Leave,
    /// An order to step down.
    StepDown,
    /// The wall clock jumps.
    WallJump,
    /// The rates of the clocks change.
    Drift,
    /// The disk fails or is full.
    DiskFault,
    /// A one-way link is cut.
    OneWay,
    /// The nodes fall into groups.
    Partition,
    /// A link comes and goes quickly.
    Flapping,
    /// Everything, gossip or the election is lost everywhere.
    Blackout,
    /// Old datagrams come again.
    Replay,
    /// A node moves to another address.
    Move,
    /// A node loses all its links in one direction: it hears nobody, or nobody hears it.
    DeafOrMute,
    /// The disk takes much longer to write.
    SlowDisk,
    /// NTP slews the monotonic clock by 8 %, which no node leases on.
    Slew,
    /// The keeper's pipe ends while its node lives.
    PipeEnds,
    /// A node that does not vote leaves and never comes back.
    LeaveForGood,
    /// A process runs for a while that does not belong.
    ForeignNode,
    /// A few bits of a datagram are flipped on its way.
    FlippedBits,
    /// A link carries nothing longer than some size.
    LossBySize,
    /// The operating system refuses to send.
    FailingSends,
    /// A node gets the next keys, now or at its next start.
    RotateKeys,
    /// A keeper dies.
    KeeperDies,
    /// Machines lose power together.
    PowerLoss,
    /// A write does not return until the disk is mended.
    HungDisk,
    /// A node starts with other settings.
    Reconfigure,
    /// Time passes between reading the clock, deciding and sending.
    Lag,
}

/// Every kind of fault.
pub const FAULT_KINDS: [FaultKind; 32] = [
    FaultKind::Crash,
    FaultKind::TornWrite,
    FaultKind::LostRecord,
    FaultKind::Freeze,
    FaultKind::Suspend,
    FaultKind::Starve,
    FaultKind::Leave,
    FaultKind::StepDown,
    FaultKind::WallJump,
    FaultKind::Drift,
    FaultKind::DiskFault,
    FaultKind::OneWay,
    FaultKind::Partition,
    FaultKind::Flapping,
    FaultKind::Blackout,
    FaultKind::Replay,
    FaultKind::Move,
    FaultKind::DeafOrMute,
    FaultKind::SlowDisk,
    FaultKind::Slew,
    FaultKind::PipeEnds,
    FaultKind::LeaveForGood,
    FaultKind::ForeignNode,
    FaultKind::FlippedBits,
    FaultKind::LossBySize,
    FaultKind::FailingSends,
    FaultKind::RotateKeys,
    FaultKind::KeeperDies,
    FaultKind::PowerLoss,
    FaultKind::HungDisk,
    FaultKind::Reconfigure,
    FaultKind::Lag,
];
