//! A process while it runs: the node, what waits for it, and what it was last seen to be.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::network::Packet;
use super::work::OwnWork;
use crate::node::{NodeCore, VoterOrder};
use crate::vocabulary::health::Complainant;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::Inspection;
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::time::Now;
use crate::wire::seal::KeyRing;

/// So many datagrams wait in the socket of a process that does not read.
const SOCKET_BUFFER: usize = 256;

/// A timer that is due again at once so often in a row never lets go.
const RESTLESS_MAX: u32 = 2000;

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
    Resolved(Vec<(String, Vec<SocketAddr>)>),
    /// Somebody orders it to step down.
    StepDown {
        /// In whose favour.
        to: Option<NodeId>,
        /// For how long it holds back.
        hold: Option<Duration>,
    },
    /// Somebody orders it to hold back until told otherwise, or to do so no more.
    Drain(bool),
    /// Somebody complains of its health, or does no more.
    Health(Complainant, Option<&'static str>),
    /// Somebody orders it to make way for nobody by choice for so long, or to do so again.
    Pause(Option<Duration>),
    /// Somebody tells it who is to vote.
    ChangeVoters(VoterOrder),
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

/// What becomes of an input.
pub(super) enum Reception {
    /// It is handled at once.
    Handled(Input),
    /// It waits, and is attended to at this true time.
    Attended(u64),
    /// It waits behind others, or for the process to go on.
    Waits,
    /// The socket is full.
    Lost,
}

/// Whose turn it is.
pub(super) enum Turn {
    /// This input's.
    Input(Input),
    /// The process is busy until this true time.
    Busy(u64),
    /// Nobody's.
    Nobody,
}

/// See the module.
pub struct Running {
    /// The node.
    pub core: NodeCore,
    /// Which process it is.
    pub process: Process,
    /// True time at which it started.
    pub born: u64,
    /// The lease it last showed.
    pub lease: Option<Lease>,
    /// Its insides when last looked at.
    pub inspection: Inspection,
    /// What its clocks showed when it decided what it does only now, or has not done yet.
    pub decided: Option<Now>,
    /// The keys that it seals with.
    pub keys: Option<KeyRing>,
    /// What is done under its lease.
    pub work: OwnWork,
    /// The term it last showed.
    term: u64,
    inbox: VecDeque<Input>,
    /// It handles nothing before this.
    busy_until: u64,
    /// When it is to be woken; never, if nothing is due.
    wake_at: u64,
    /// How often in a row a timer was due again at once.
    restless: u32,
}

impl Running {
    pub(super) fn new(core: NodeCore, keys: Option<KeyRing>, now: u64) -> Self {
        Self {
            process: core.process(),
            core,
            born: now,
            lease: None,
            inspection: Inspection::default(),
            decided: None,
            keys,
            work: OwnWork::default(),
            term: 0,
            inbox: VecDeque::new(),
            busy_until: now,
            wake_at: u64::MAX,
            restless: 0,
        }
    }

    /// Whether it may handle something, if it is not stopped.
    pub(super) fn is_free(&self, now: u64) -> bool {
        self.busy_until <= now
    }

    /// It handles nothing before true time `until`.
    pub(super) fn tire(&mut self, until: u64) {
        self.busy_until = until;
    }

    /// What it has decided by `clock` is done at true time `at` only.
    pub(super) fn decide_late(&mut self, clock: Now, at: u64) {
        self.decided = Some(clock);
        self.busy_until = self.busy_until.max(at);
    }

    /// An input comes.
    pub(super) fn receive(&mut self, now: u64, is_frozen: bool, input: Input) -> Reception {
        if !is_frozen && self.is_free(now) && self.inbox.is_empty() {
            return Reception::Handled(input);
        }
        if self.inbox.len() >= SOCKET_BUFFER && matches!(input, Input::Datagram { .. }) {
            return Reception::Lost;
        }
        self.inbox.push_back(input);
        if self.inbox.len() == 1 && !is_frozen {
            return Reception::Attended(self.busy_until.max(now));
        }
        Reception::Waits
    }

    /// It turns to what waits.
    pub(super) fn turn(&mut self, now: u64) -> Turn {
        if self.inbox.is_empty() {
            Turn::Nobody
        } else if self.busy_until > now {
            Turn::Busy(self.busy_until)
        } else {
            self.inbox.pop_front().map_or(Turn::Nobody, Turn::Input)
        }
    }

    /// Nobody wakes it any more.
    pub(super) fn forget_alarm(&mut self) {
        self.wake_at = u64::MAX;
    }

    /// Sets its alarm to true time `at`, or to when it has time, if that is later.
    pub(super) fn set_alarm(&mut self, at: u64) {
        self.wake_at = at;
    }

    /// Whether an alarm at `at` would be earlier than what is set.
    pub(super) fn lacks_alarm(&self, at: u64) -> bool {
        at != u64::MAX && at < self.wake_at
    }

    /// Its alarm rings. Returns whether it is the one that is set, and if it is busy, until when.
    pub(super) fn alarm_rings(&mut self, now: u64) -> (bool, Option<u64>) {
        if self.wake_at != now {
            return (false, None);
        }
        if self.busy_until > now {
            self.wake_at = self.busy_until;
            return (true, Some(self.busy_until));
        }
        (true, None)
    }

    /// Whether a timer is due.
    pub(super) fn is_due(&self, clock: Now) -> bool {
        self.core.poll_timeout(clock).is_some_and(|left| left.is_zero())
    }

    /// Handles a timer that is due. Returns whether it has been due too often in a row.
    pub(super) fn handle_timeout(&mut self, clock: Now) -> bool {
        self.core.handle_timeout(clock);
        self.restless = if self.is_due(clock) { self.restless + 1 } else { 0 };
        self.restless > RESTLESS_MAX
    }

    /// The process that it was until now, if it goes on under a later start, as another process
    /// that has promised nothing.
    pub(super) fn renamed(&mut self) -> Option<Process> {
        let process = self.core.process();
        if process == self.process {
            return None;
        }
        self.term = 0;
        Some(std::mem::replace(&mut self.process, process))
    }

    /// The term that it shows, if it is a new one.
    pub(super) fn new_term(&mut self) -> Option<u64> {
        let term = self.core.term();
        (std::mem::replace(&mut self.term, term) != term).then_some(term)
    }

    /// The lease that it showed until now, if it shows another one or none.
    pub(super) fn lease_before(&mut self) -> Option<Option<Lease>> {
        let lease = self.core.lease();
        (lease != self.lease).then(|| std::mem::replace(&mut self.lease, lease))
    }

    /// Its insides until now, if they have changed.
    pub(super) fn inspection_before(&mut self) -> Option<Inspection> {
        let inspection = self.core.inspect();
        (inspection != self.inspection).then(|| std::mem::replace(&mut self.inspection, inspection))
    }
}
