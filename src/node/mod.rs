//! One node, whole, without any input or output: where membership and election meet.
//!
//! The run loop, for whoever drives it: hand in one input with the clocks read at its
//! arrival, then drain [`NodeCore::poll_output`] until it is empty, then ask
//! [`NodeCore::poll_timeout`] how long to sleep at most. Inputs never fail: what is wrong
//! with them is counted or told as an event.
//!
//! ```text
//!              handle_datagram            ┌────────────┐
//!   socket ──▶ (receive.rs: envelope) ──▶ │ membership │──┐
//!                        │                └────────────┘  │ sight: who is around
//!                        │                ┌────────────┐◀─┘
//!                        └──────────────▶ │  election  │──▶ outputs: transmit, store, event
//!                                         └────────────┘
//! ```
//!
//! Membership and election do not know each other. What passes between them passes here:
//! membership's hints of who is around, and the voters' addresses.

mod addresses;
mod awaited;
mod drain;
mod flow;
mod join;
mod last_will;
mod orders;
mod persistence;
mod proof;
mod receive;
mod sealing;
mod start;
mod starts;
mod tables;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::election::Election;
pub use crate::membership::ForgetError;
use crate::membership::Membership;
use crate::membership::seeding::Seeding;
use crate::vocabulary::configuration::{Genesis, VoterSet};
use crate::vocabulary::datagram::LeaderFreshness;
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::Inspection;
use crate::vocabulary::message::Assurance;
use crate::vocabulary::record::Record;
use crate::vocabulary::setup::Setup;
use crate::vocabulary::snapshot::{Counters, Lease, Phase, Snapshot, VotersView};
use crate::vocabulary::time::{HolderTime, Now};
use crate::vocabulary::work::EndOfWork;
use addresses::Addresses;
use awaited::Awaited;
use drain::Drain;
use join::Joining;
use last_will::LastWill;
pub use last_will::LastWillDatagram;
use orders::Leaving;
pub use orders::{StepDownError, SteppedDown};
use persistence::Persistence;
use proof::Proofs;
use receive::Admission;
use sealing::Sealing;
pub use start::check_record;
use starts::Starts;

/// A suspend is noticed when the holder clock gains this much on the voter clock.
const SUSPEND_NOTICED: Duration = Duration::from_millis(5);
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
    /// The record says otherwise of preemption.
    #[error(
        "the record on disk says that this cluster runs {} --preempt, which was settled when it \
         was founded: say --preempt={recorded} or leave it out, or start with an empty \
         --state-dir to found another cluster",
        if *recorded { "with" } else { "without" }
    )]
    PreemptDiffers {
        /// On disk.
        recorded: bool,
    },
    /// The record belongs to another node or another cluster.
    #[error(
        "the record on disk belongs to node {id} of cluster \"{cluster}\", but this is node {own} \
         of cluster \"{own_cluster}\": give each node its own --state-dir, or correct --id or \
         --cluster"
    )]
    NotOurs {
        /// The recorded cluster's name.
        cluster: String,
        /// The recorded id.
        id: NodeId,
        /// This cluster's name.
        own_cluster: String,
        /// This node.
        own: NodeId,
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
    /// Tell whoever works under the lease that it is to end; [`NodeCore::end_work`] says that it
    /// has.
    EndWork(EndOfWork),
    /// The answer to every order to step down that was accepted since the last such answer.
    SteppedDown(Result<SteppedDown, StepDownError>),
}

/// One node's whole state.
pub struct NodeCore {
    setup: Setup,
    me: Process,
    cluster_digest: u64,
    genesis: Option<Genesis>,
    /// How sure this node is of that while it does not vote.
    assurance: Assurance,
    /// Whether it keeps no record.
    ephemeral: bool,
    awaited: Awaited,
    starts: Starts,
    /// None until the voter set is known.
    election: Option<Election>,
    membership: Membership,
    seeding: Seeding,
    joining: Joining,
    addresses: Addresses,
    persistence: Persistence,
    admission: Admission,
    sealing: Sealing,
    proofs: Proofs,
    /// What gossip is sent with.
    leader_freshness: Option<LeaderFreshness>,
    outputs: VecDeque<Output>,
    counters: Counters,
    index: u64,
    started: HolderTime,
    clock_offset: Option<u64>,
    drain: Drain,
    leaving: Option<Leaving>,
    last_will: LastWill,
}

impl NodeCore {
    /// Handles one datagram. `now` is read after it was received.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        self.enter(now);
        self.counters.datagrams_received += 1;
        if let Err(reject) = self.receive(now, from, datagram) {
            self.refuse(now, from, datagram.len(), reject);
        }
        self.settle(now);
        self.proofs.part();
    }

    /// Applies everything that is due at `now`; harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        self.enter(now);
        self.look_at_store(now.holder);
        if self.is_started() {
            self.membership.handle_timeout(now.holder);
            if let Some(election) = &mut self.election {
                election.handle_timeout(now);
            }
            self.seek(now);
            self.complain_of_awaited(now);
            self.say_goodbye(now);
        }
        self.settle(now);
    }

    /// A datagram could not be sent. It is counted; the protocol sends again by itself.
    pub fn handle_send_failure(&mut self) {
        self.counters.send_failures += 1;
    }

    /// Makes the cluster forget a member that is down or has left. One that votes stays a voter:
    /// that is configuration. Whoever comes back as a new process is welcome at once.
    ///
    /// # Errors
    /// As [`ForgetError`] says; nothing changed then.
    pub fn forget(&mut self, now: Now, id: NodeId) -> Result<(), ForgetError> {
        self.enter(now);
        let outcome = self.membership.forget(now.holder, id);
        self.settle(now);
        outcome
    }

    /// The next thing to be done, in order; none if all is.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The longest time until [`NodeCore::handle_timeout`] is to be called; zero if it is due.
    /// None: nothing is scheduled. The clock decides what is due, not the sleep.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let write = self.persistence.next_deadline().map(|at| at.since(now.holder));
        if !self.is_started() {
            return write;
        }
        let at = |deadline: HolderTime| {
            (deadline != HolderTime::NEVER).then(|| deadline.since(now.holder))
        };
        let membership = at(self.membership.next_deadline());
        let seeding = self.is_seeking().then(|| at(self.seeding.next_deadline())).flatten();
        let watch = self.joining.next_check().map(|at| at.since(now.holder));
        let election = self.election.as_ref().and_then(|election| election.poll_timeout(now));
        let goodbye = self.leaving.as_ref().map(|leaving| leaving.next_goodbye.since(now.holder));
        let drain = self.drain.deadline().map(|at| at.since(now.holder));
        let complaint = self.next_complaint().map(|at| at.since(now.holder));
        let all = [write, membership, seeding, watch, election, goodbye, drain, complaint];
        all.into_iter().flatten().min()
    }

    /// This process.
    pub fn process(&self) -> Process {
        self.me
    }

    /// Where others reach it, as it says itself.
    pub fn address(&self) -> SocketAddr {
        self.setup.address
    }

    /// The lease this node counts on, if any; it is Goose while the deadline is ahead.
    pub fn lease(&self) -> Option<Lease> {
        self.election.as_ref().and_then(Election::lease)
    }

    /// The highest term this node knows of.
    pub fn term(&self) -> u64 {
        self.election.as_ref().map_or(0, Election::term)
    }

    /// How many nodes are not down, as membership sees it, this one included.
    pub fn alive_count(&self) -> usize {
        self.membership.alive_count()
    }

    /// How often this process has had to take a new name in gossip, because others held it for
    /// dead.
    pub fn renewals(&self) -> u32 {
        self.membership.renewals()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Rises with every change of role, Goose, voters or members.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What this node shows of itself.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            cluster: self.setup.cluster.clone(),
            process: self.me,
            address: self.setup.address,
            http: self.setup.http,
            tags: self.setup.tags.clone(),
            index: self.index,
            phase: self.phase(),
            lease: self.lease(),
            term: self.term(),
            goose: self.election.as_ref().and_then(Election::goose),
            voters: self.voters_view(),
            members: self.membership.members(),
            counters: self.counters.clone(),
            started: self.started,
            store_lost: self.has_lost_store(),
            store_slow: self.persistence.slow_since(),
            ending: self.ending(),
        }
    }

    fn phase(&self) -> Phase {
        if !self.is_started() {
            Phase::Starting
        } else if self.leaving.is_some() {
            Phase::Leaving
        } else if self.joining.has_joined() {
            Phase::Serving
        } else {
            Phase::Joining
        }
    }

    fn voters_view(&self) -> Option<VotersView> {
        let election = self.election.as_ref()?;
        let mut voters = election.voter_views();
        for voter in &mut voters {
            voter.address = if voter.id == self.me.id {
                Some(self.setup.address)
            } else {
                self.addresses.best(voter.id, self.membership.address_of(voter.id))
            };
        }
        let (configuration, awaited) = (election.configuration().clone(), election.awaits());
        Some(VotersView { configuration, voters, awaited })
    }

    /// The insides, for checkers.
    pub fn inspect(&self) -> Inspection {
        self.election.as_ref().map(Election::inspect).unwrap_or_default()
    }

    /// Comes before every input: notices a suspend, which voids what was granted.
    fn enter(&mut self, now: Now) {
        let offset = now.holder.0.wrapping_sub(now.voter.0);
        let grown = self.clock_offset.map_or(0, |last| offset.wrapping_sub(last).cast_signed());
        if Duration::from_nanos(u64::try_from(grown).unwrap_or(0)) > SUSPEND_NOTICED
            && let Some(election) = &mut self.election
        {
            election.handle_suspend(now);
        }
        self.clock_offset = Some(offset);
    }
}
