//! One machine of the simulated world: its clocks, its disk, and the process on it, if any.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::clocks::Clocks;
use super::disk::SimulatedDisk;
use super::foreign_nodes::ForeignNode;
use super::job::{Employment, Labour, Working};
use super::network::{Delay, Packet};
use crate::node::{LastWillDatagram, NodeCore};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::Inspection;
use crate::vocabulary::seal::KeyRing;
use crate::vocabulary::setup::Setup;
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::time::{Now, nanoseconds};

/// So many datagrams wait in the socket of a process that does not read.
pub const SOCKET_BUFFER: usize = 256;

/// Something that waits to be handled by a process.
#[derive(Clone, Debug)]
pub enum Input {
    /// A datagram came.
    Datagram {
        /// From where.
        from: SocketAddr,
        /// What.
        packet: Rc<Packet>,
    },
    /// A write has completed.
    Stored {
        /// Which.
        ticket: u64,
        /// With what outcome.
        outcome: Result<(), String>,
    },
    /// Names were looked up.
    Resolved(Vec<SocketAddr>),
    /// Somebody orders it to step down.
    StepDown {
        /// In whose favour.
        to: Option<NodeId>,
        /// For how long it holds back.
        hold: Option<Duration>,
    },
    /// Somebody orders it to leave.
    Leave,
    /// Nothing is left of work that it let begin.
    WorkEnded,
    /// Whoever led under this term has given it up.
    Abdicate {
        /// Which term.
        term: u64,
    },
}

/// A process while it runs.
pub struct Running {
    /// The node.
    pub core: NodeCore,
    /// Which process it is.
    pub process: Process,
    /// True time at which it started.
    pub born: u64,
    /// What waits.
    pub inbox: VecDeque<Input>,
    /// It handles nothing before this.
    pub busy_until: u64,
    /// When it is to be woken; never, if nothing is due.
    pub wake_at: u64,
    /// How often in a row a timer was due again at once.
    pub restless: u32,
    /// The lease it last showed.
    pub lease: Option<Lease>,
    /// The term it last showed.
    pub term: u64,
    /// Its insides when last looked at.
    pub inspection: Inspection,
    /// The last will that its keeper has, if it has a keeper and that was given one.
    pub will: Option<Rc<Vec<LastWillDatagram>>>,
    /// What its clocks showed when it decided what it does only now, or has not done yet.
    pub decided: Option<Now>,
    /// The keys that it seals with.
    pub keys: Option<KeyRing>,
    /// What is done under its lease.
    pub work: Working,
}

/// See the module.
pub struct Host {
    /// Who lives here.
    pub id: NodeId,
    /// What every process here is started with, apart from its entropy.
    pub setup: Setup,
    /// What its first process was started with.
    pub original: Setup,
    /// From reading the clock until what was decided is done, up to so many nanoseconds pass.
    pub lag: u64,
    /// The clocks.
    pub clocks: Clocks,
    /// The disk.
    pub disk: SimulatedDisk,
    /// How long a write takes.
    pub disk_delay: Delay,
    /// How long it takes at the moment, if not that long.
    pub slow_disk: Option<Delay>,
    /// The process, if one runs.
    pub running: Option<Running>,
    /// Counts the processes that were started here.
    pub epoch: u32,
    /// Stopped, or suspended.
    pub frozen: bool,
    /// If not zero, every input takes up to so many nanoseconds to handle.
    pub starvation: u64,
    /// So many of a thousand datagrams cannot be sent.
    pub failing_sends: u32,
    /// How far its keys have come.
    pub key_stage: u8,
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
    /// Whether somebody speaks for a process that has died here.
    pub keeper: bool,
    /// Whether the keeper of the process that runs here was killed.
    pub keeper_dead: bool,
    /// How work is done here, if it is.
    pub employment: Option<Employment>,
    /// What is done here, by processes that have died, too.
    pub(super) labours: Vec<Labour>,
    /// Nothing new is begun before this true time.
    pub idle_until: u64,
    /// Whether it has ever lost its record.
    pub forgot: bool,
    /// Whether others have founded the cluster without it.
    pub left_out: bool,
    /// True time until which another voter must not lose its record as well.
    pub fragile_until: u64,
}

impl Host {
    /// Whether a process runs and may handle something at `now`.
    pub fn is_attentive(&self, now: u64) -> bool {
        !self.frozen && self.running.as_ref().is_some_and(|running| running.busy_until <= now)
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
