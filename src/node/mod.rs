//! One node, whole, without any input or output: where membership and election meet.
//!
//! The run loop, for whoever drives it: hand in one input with the clocks read at its
//! arrival, then drain [`NodeCore::poll_output`] until it is empty, then ask
//! [`NodeCore::poll_timeout`] how long to sleep at most. Inputs never fail: what is wrong
//! with them is counted or told as an event.

use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::record::{Disk, Record};
use crate::vocabulary::setup::Setup;
use crate::vocabulary::snapshot::Snapshot;
use crate::vocabulary::time::Now;

/// Why a node cannot be started on what was found on its disk. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The record names another voter set than the one given.
    #[error(
        "the record on disk was founded with voters {recorded}, but --voters says {given}: leave \
         --voters out to go on with the recorded set, or start with an empty --state-dir to found \
         another cluster"
    )]
    VotersDiffer {
        /// On disk.
        recorded: VoterSet,
        /// Given.
        given: VoterSet,
    },
    /// The record belongs to another node or another cluster.
    #[error("the record on disk belongs to node {id} of cluster \"{cluster}\": give its own --state-dir to each node")]
    NotOurs {
        /// The recorded cluster's name.
        cluster: String,
        /// The recorded id.
        id: NodeId,
    },
}

/// What a node wants done. Order matters: outputs are carried out in the order given.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram. If that fails, say so with [`NodeCore::handle_send_failure`].
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// What.
        datagram: Vec<u8>,
    },
    /// Make a record durable, without blocking, and answer with [`NodeCore::handle_stored`].
    /// At most one is under way at any time.
    Store {
        /// To be given back.
        ticket: u64,
        /// What.
        record: Box<Record>,
    },
    /// Look up host names, without blocking, and answer with [`NodeCore::handle_resolved`].
    Resolve(Vec<String>),
    /// Something happened.
    Event(Event),
}

/// What became of an order to step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteppedDown {
    /// The term that ended.
    pub term: u64,
    /// Who was asked to take over, if anybody was at hand.
    pub nominee: Option<NodeId>,
}

/// Why a node did not step down. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepDownError {
    /// It is not Goose.
    #[error("this node is not the Goose")]
    NotGoose,
    /// The successor asked for is not known as a standby.
    #[error("node {0} is no standby: it has not polled the voters lately, or may not be Goose")]
    UnknownNominee(NodeId),
}

/// One node's whole state.
pub struct NodeCore {}

#[expect(unused_variables, clippy::todo, missing_docs)]
impl NodeCore {
    /// A node on what `disk` remembers. It says nothing until its first record is stored.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub fn new(setup: Setup, disk: Disk, now: Now) -> Result<Self, StartError> {
        todo!()
    }
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        todo!()
    }
    /// Applies everything that is due at `now`; harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        todo!()
    }
    pub fn handle_stored(&mut self, now: Now, ticket: u64, outcome: Result<(), String>) {
        todo!()
    }
    pub fn handle_resolved(&mut self, now: Now, addresses: &[SocketAddr]) {
        todo!()
    }
    pub fn handle_send_failure(&mut self) {
        todo!()
    }
    /// Steps down, hands over, and holds back from contending for `hold` (default: a few leases).
    pub fn step_down(
        &mut self,
        now: Now,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, StepDownError> {
        todo!()
    }
    /// Steps down if it is Goose, says goodbye, and is gone once [`NodeCore::has_left`].
    pub fn leave(&mut self, now: Now) {
        todo!()
    }
    pub fn has_left(&self) -> bool {
        todo!()
    }
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }
    /// The longest time until [`NodeCore::handle_timeout`] is to be called; zero if it is due.
    /// None: nothing is scheduled. The clock decides what is due, not the sleep.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        todo!()
    }
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }
}
