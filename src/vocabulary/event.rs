//! What happens in a node, in the words of its log and its history.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::configuration::Configuration;
use super::goose::Goose;
use super::identity::{NodeId, Process};
use super::lineage::{ForeignFounding, Lineage};
use super::reject::Reject;
use super::snapshot::{Lack, MemberState};
use super::timing::Profile;
use super::work::EndReason;

/// Something that people or other parts of the program may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first record is durable: the node takes part from here on.
    Started {
        /// This process.
        process: Process,
    },
    /// An earlier process of this node had a later start number, for the clock is behind and there
    /// is no record. It goes on as another process, with a number above that one.
    TookLaterStart {
        /// This process from here on.
        process: Process,
    },
    /// The node learned its cluster's voters, or gossip reached its first peer.
    Joined,
    /// This node became Goose.
    BecameGoose {
        /// Its term.
        term: u64,
        /// How it came to it.
        reason: ElectionReason,
    },
    /// This node is Goose no more.
    BecameDuck {
        /// The term that ended.
        term: u64,
        /// Why.
        reason: DemotionReason,
    },
    /// Work is done under the lease, and is asked to end so that an order can be carried out;
    /// the lease is renewed meanwhile.
    WorkAskedToEnd {
        /// The term.
        term: u64,
        /// Why.
        reason: EndReason,
        /// How long it is waited for, in milliseconds; none: without a limit.
        milliseconds: Option<u64>,
    },
    /// This node knows another Goose than before, or none.
    GooseChanged(Option<Goose>),
    /// The Goose that this node knew holds the lease no longer: it said so itself, or its
    /// last will does. Only voters and a nominee are told.
    Released {
        /// Which process.
        by: Process,
        /// Whom it named to follow.
        nominee: Option<NodeId>,
        /// Its process has died, and this is its last will.
        died: bool,
    },
    /// Gossip's opinion of a member changed.
    MemberChanged {
        /// Which member.
        id: NodeId,
        /// Its address.
        address: SocketAddr,
        /// The new opinion.
        state: MemberState,
    },
    /// A member is no longer known: an operator had it forgotten, or it was gone for a day.
    MemberForgotten {
        /// Which member.
        id: NodeId,
        /// Where it was.
        address: SocketAddr,
    },
    /// Others vote from here on, as far as this node knows.
    VotersChanged(Configuration),
    /// As a voter, this node was founded: it heard every voter start on an empty disk.
    Founded,
    /// As a voter, this node had no record, and votes again on the word of all other voters.
    RecordRegained,
    /// As a voter, this node waits out what it may have granted before.
    Quarantined {
        /// For how long, in milliseconds.
        milliseconds: u64,
    },
    /// Nobody finds this node unhealthy any more.
    Healthy,
    /// The disk has answered that [`Warning::StoreSlow`] spoke of, well or not.
    StoreAnswered {
        /// After so long, in milliseconds.
        milliseconds: u64,
    },
    /// Something that a person should look at.
    Warning(Warning),
}

/// How a node came to be Goose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionReason {
    /// It won an election.
    Elected,
    /// The last Goose handed over to it.
    HandedOver,
}

/// Why a node stopped being Goose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DemotionReason {
    /// Too few voters renewed the lease in time; these did not.
    LeaseLapsed {
        /// The voters whose grants had run out.
        silent: Vec<NodeId>,
    },
    /// This node was kept from running for longer than its lease lasted: no voter is to blame.
    Stalled {
        /// For how long, in milliseconds.
        milliseconds: u64,
    },
    /// The machine was suspended, so no grant can be trusted.
    Suspended,
    /// It was told to step down.
    SteppedDown,
    /// It is not healthy.
    Unhealthy,
    /// It is shutting down.
    Leaving,
    /// The cluster prefers a higher node, which has come to stay.
    Preempted {
        /// Who was handed the lease.
        by: NodeId,
    },
    /// Somebody has led under a later term meanwhile, so two were Goose at once: a voter was two
    /// processes, or forgot what it had promised.
    Overtaken {
        /// The later term.
        term: u64,
    },
}

/// Something that is wrong, and that people have to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// This machine does not have the address any more on which the node listens.
    AddressGone {
        /// Which address.
        address: IpAddr,
    },
    /// The record could not be written: nothing was granted.
    StoreFailed {
        /// What the store said.
        error: String,
    },
    /// A write of the record has not been confirmed yet. Until it is, this node grants nothing
    /// new as a voter; what it has granted, it renews.
    StoreSlow {
        /// For so long, in milliseconds.
        milliseconds: u64,
    },
    /// The thread that writes records has died: as a voter, this node has stopped voting.
    StoreLost,
    /// What was found on disk could not be read; the node goes on as if it had lost it.
    RecordDamaged,
    /// The record of the only voter is lost, and nobody else knows what it said: the clock has to
    /// do, which is the weaker promise.
    ResumesByClock,
    /// As a voter, this node has no record: it grants nothing until these have told it what it may
    /// have forgotten, or until all are found to be as new as it is.
    AwaitsVoters {
        /// Each with what is wrong with it.
        lacks: Vec<(NodeId, Lack)>,
    },
    /// A majority of the voters, all on empty disks, has founded the cluster without the rest: its
    /// terms begin above the clock, for the rest may remember a cluster.
    FoundedWithout {
        /// The voters that were not heard.
        silent: Vec<NodeId>,
    },
    /// The cluster keeps records and this node keeps none, or the other way round.
    EphemeralDiffers {
        /// Whether the cluster was founded to keep none.
        cluster: bool,
        /// Whether this node goes by what the cluster was founded with; if not, the two do not
        /// understand each other.
        follows: bool,
    },
    /// This node asks for longer leases than its cluster grants.
    LeaseAboveCluster {
        /// L.
        lease: Duration,
        /// What is granted at most.
        granted: Duration,
    },
    /// The cluster was founded with another longest lease than this node would found it with, and
    /// so the two do not understand each other.
    LeaseMaxDiffers {
        /// What the cluster grants at most.
        cluster: Duration,
        /// What this node was founded with.
        own: Duration,
    },
    /// Somebody named a ballot so high that it was not believed.
    BallotRefused {
        /// Which node.
        by: NodeId,
        /// The ballot.
        ballot: u64,
    },
    /// There is no higher ballot any more, so nobody can be elected.
    BallotsExhausted,
    /// Another live process uses this node's id.
    DuplicateId {
        /// Where it was heard, if a datagram showed it.
        address: Option<SocketAddr>,
    },
    /// Another live process votes under this node's id. This node has stopped voting.
    TwinVoter {
        /// Where it was heard.
        address: SocketAddr,
    },
    /// Another cluster, or the same name with other voters, talks to this node.
    Foreign {
        /// In which way.
        reason: Reject,
        /// From where.
        address: SocketAddr,
    },
    /// Another founding of a cluster of this name, with the same voters, talks to this node.
    ForeignLineage(ForeignFounding),
    /// This node's voters stand by another founding than this node, so it does not lead them.
    MistakenLineage {
        /// What they stand by.
        voters: Lineage,
    },
    /// Datagrams are not sealed as this node seals its own, so it and their sender cannot
    /// understand each other.
    Sealing {
        /// In which way.
        reason: Reject,
        /// From where.
        address: SocketAddr,
    },
    /// The cluster was founded otherwise than this node was told of preemption. What the cluster
    /// was founded with holds.
    PreemptDiffers {
        /// Whether the cluster preempts.
        cluster: bool,
    },
    /// Work that was asked to end has not ended within the limit.
    WorkGoesOn {
        /// Its term.
        term: u64,
        /// The node leaves all the same, and releases nothing. Otherwise it keeps the lease.
        leaves: bool,
    },
    /// The lease is over and work under it is still alive. Nothing is released, and this node
    /// does not contend before that work has ended.
    WorkOutlivesLease {
        /// Its term.
        term: u64,
    },
    /// No seed has answered yet; the node keeps trying.
    SeedsSilent {
        /// Who was asked.
        seeds: Vec<String>,
    },
    /// This node and another one wait to be told of a cluster, and ask each other.
    NobodyFounded {
        /// The other one.
        other: NodeId,
        /// Where it is.
        address: SocketAddr,
    },
    /// A majority of the voters is too far away for these timings: claims run out on their way.
    TooSlow {
        /// There and back to the nearest majority.
        round_trip: Duration,
        /// What these timings allow for.
        limit: Duration,
        /// The voters that are further away than that.
        voters: Vec<NodeId>,
        /// What the timings were made for.
        profile: Profile,
    },
    /// This node founds a cluster of its own: nobody leads if it dies.
    SingleVoter,
    /// This node starts drained: somebody told it before to hold back until told otherwise.
    Drained,
    /// This node is not healthy, so it does not lead.
    Unhealthy {
        /// Why.
        reason: String,
        /// It leads all the same, or may: no other node that may lead is healthy.
        leads_anyway: bool,
    },
    /// The membership layer reported an error. It is logged and survived.
    Membership(String),
}
