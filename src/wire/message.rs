//! What nodes say to each other, apart from what SWIM says.
//!
//! Everything is unicast over the same UDP socket as gossip. No message carries a point in
//! time, only spans: clocks are never compared between nodes.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::vocabulary::configuration::{Configuration, ConfigurationStamp, Genesis};
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::lineage::{Lineage, Proposal};
use crate::vocabulary::metadata::{MetadataQuery, MetadataReply};

pub use super::kind::{Kind, Layer};

/// One datagram's content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// A packet of the membership layer, opaque here.
    Gossip(Vec<u8>),
    /// "Which cluster is this?" The only message that a node may send before it knows the
    /// voter set.
    Join(Join),
    /// The answer to a [`Message::Join`].
    Welcome(Box<Welcome>),
    /// A contender, or a voter that is founding, asks a voter how it stands.
    Poll(Poll),
    /// The answer to a [`Message::Poll`].
    PollAck(PollAck),
    /// A contender claims, or the Goose renews.
    Acquire(Acquire),
    /// The voter grants.
    Grant(Grant),
    /// The voter does not grant.
    Nak(Nak),
    /// The Goose asks whether it is heard, without extending anything.
    Probe {
        /// The Goose's request number.
        sequence: u64,
    },
    /// The answer to a [`Message::Probe`].
    ProbeAck {
        /// The number of the probe.
        sequence: u64,
    },
    /// A holder gives up its grant.
    Release {
        /// To match the acknowledgement.
        sequence: u64,
        /// What is released, by whom, in whose favour.
        release: Release,
    },
    /// The release is applied and durable.
    ReleaseAck {
        /// The number of the release.
        sequence: u64,
    },
    /// The Goose that stepped down tells its nominee, who attaches the release to its claim.
    Handover(Release),
    /// A voter tells a contender that its grant ended.
    Vacant(VoterStatus),
    /// The Goose says that it is.
    Announce(Goose),
    /// To a process whose start is below that of an earlier process of its node: the highest
    /// start that the sender knows of that node.
    LaterStart {
        /// See [`Boot::start`].
        start: u64,
    },
    /// A member asks for what people want to know of others.
    MetadataQuery(MetadataQuery),
    /// The answer to a [`Message::MetadataQuery`].
    MetadataReply(MetadataReply),
}

/// What is true of a message of each kind. No kind hides behind "all others" here, so that a new
/// one is not forgotten.
impl Message {
    /// What it is for.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Gossip(_) => Kind::Gossip,
            Self::Join(_) => Kind::Join,
            Self::Welcome(_) => Kind::Welcome,
            Self::Poll(_) => Kind::Poll,
            Self::PollAck(_) => Kind::PollAck,
            Self::Acquire(Acquire { kind: AcquireKind::Claim, .. }) => Kind::Claim,
            Self::Acquire(Acquire { kind: AcquireKind::Renew | AcquireKind::Learn, .. }) => {
                Kind::Renewal
            }
            Self::Grant(_) => Kind::Grant,
            Self::Nak(_) => Kind::Refusal,
            Self::Probe { .. } => Kind::Probe,
            Self::ProbeAck { .. } => Kind::ProbeAck,
            Self::Release { .. } => Kind::Release,
            Self::ReleaseAck { .. } => Kind::ReleaseAck,
            Self::Handover(_) => Kind::Handover,
            Self::Vacant(_) => Kind::Vacancy,
            Self::Announce(_) => Kind::Announcement,
            Self::LaterStart { .. } => Kind::LaterStart,
            Self::MetadataQuery(_) => Kind::MetadataQuery,
            Self::MetadataReply(_) => Kind::MetadataReply,
        }
    }

    /// Whether it may be meant for whichever process its addressee is now: nothing relies on which
    /// one answers. (So may a Join, which names no node either.)
    pub fn is_for_any_boot(&self) -> bool {
        matches!(self, Self::Poll(_))
    }

    /// Whether its envelope says how lately the Goose was seen.
    pub fn carries_leader_freshness(&self) -> bool {
        matches!(self, Self::Gossip(_) | Self::Welcome(_))
    }

    /// Whether the same datagram may come twice. A last will was sealed long before it is sent, and
    /// applying it twice is applying it once.
    pub fn may_be_repeated(&self) -> bool {
        matches!(self, Self::Release { release, .. } if release.all)
    }

    /// What it releases, if it does, and the number of its acknowledgement, if it wants one.
    pub fn released(&self) -> Option<(&Release, Option<u64>)> {
        match self {
            Self::Release { sequence, release } => Some((release, Some(*sequence))),
            Self::Handover(release) => Some((release, None)),
            Self::Gossip(_)
            | Self::Join(_)
            | Self::Welcome(_)
            | Self::Poll(_)
            | Self::PollAck(_)
            | Self::Acquire(_)
            | Self::Grant(_)
            | Self::Nak(_)
            | Self::Probe { .. }
            | Self::ProbeAck { .. }
            | Self::ReleaseAck { .. }
            | Self::Vacant(_)
            | Self::Announce(_)
            | Self::LaterStart { .. }
            | Self::MetadataQuery(_)
            | Self::MetadataReply(_) => None,
        }
    }

    /// Its refusal for this reason; none if it is nothing to be refused.
    pub fn refusal(&self, reason: NakReason) -> Option<Nak> {
        match self {
            Self::Acquire(acquire) => Some(acquire.refusal(reason)),
            Self::Probe { sequence } => {
                Some(Nak { sequence: *sequence, ballot: PROBE_BALLOT, reason })
            }
            Self::Gossip(_)
            | Self::Join(_)
            | Self::Welcome(_)
            | Self::Poll(_)
            | Self::PollAck(_)
            | Self::Grant(_)
            | Self::Nak(_)
            | Self::ProbeAck { .. }
            | Self::Release { .. }
            | Self::ReleaseAck { .. }
            | Self::Handover(_)
            | Self::Vacant(_)
            | Self::Announce(_)
            | Self::LaterStart { .. }
            | Self::MetadataQuery(_)
            | Self::MetadataReply(_) => None,
        }
    }

    /// The number of the election's request that it is, or that it answers.
    pub fn number_mut(&mut self) -> Option<&mut u64> {
        match self {
            Self::Poll(poll) => Some(&mut poll.sequence),
            Self::PollAck(answer) => Some(&mut answer.sequence),
            Self::Acquire(acquire) => Some(&mut acquire.sequence),
            Self::Grant(grant) => Some(&mut grant.sequence),
            Self::Nak(nak) => Some(&mut nak.sequence),
            Self::Probe { sequence }
            | Self::ProbeAck { sequence }
            | Self::Release { sequence, .. }
            | Self::ReleaseAck { sequence } => Some(sequence),
            Self::Gossip(_)
            | Self::Join(_)
            | Self::Welcome(_)
            | Self::Handover(_)
            | Self::Vacant(_)
            | Self::Announce(_)
            | Self::LaterStart { .. }
            | Self::MetadataQuery(_)
            | Self::MetadataReply(_) => None,
        }
    }

    /// The largest ballot or term that it names; 0 if it names none.
    pub fn highest_ballot(&self) -> u64 {
        match self {
            Self::PollAck(answer) => answer.status.max_ballot,
            Self::Vacant(status) => status.max_ballot,
            Self::Acquire(acquire) => {
                let certificate = acquire.certificate.as_ref().map_or(0, |release| release.ballot);
                acquire.ballot.max(certificate)
            }
            Self::Grant(grant) => grant.ballot,
            Self::Nak(nak) => match nak.reason {
                NakReason::Stale { max_ballot } => max_ballot.max(nak.ballot),
                NakReason::Held { .. }
                | NakReason::Defer { .. }
                | NakReason::Quarantine { .. }
                | NakReason::Blank
                | NakReason::Persisting
                | NakReason::StoreFailed
                | NakReason::Configuration
                | NakReason::DuplicateId
                | NakReason::NewBoot { .. }
                | NakReason::Dead => nak.ballot,
            },
            Self::Release { release, .. } | Self::Handover(release) => release.ballot,
            Self::Announce(goose) => goose.term,
            // What a welcome says of the Goose is taken as its answer to one question.
            Self::Gossip(_)
            | Self::Join(_)
            | Self::Welcome(_)
            | Self::Poll(_)
            | Self::Probe { .. }
            | Self::ProbeAck { .. }
            | Self::ReleaseAck { .. }
            | Self::LaterStart { .. }
            | Self::MetadataQuery(_)
            | Self::MetadataReply(_) => 0,
        }
    }
}

/// See [`Message::Join`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Join {
    /// Echoed by the answer, so that a forged answer does not count.
    pub nonce: u64,
    /// Zeros, so that the answer is no larger than a small multiple of the question and the
    /// exchange cannot be used to amplify an attack on somebody else.
    pub padding: Vec<u8>,
    /// The lineages that a person has rescued the asker's from: whoever belongs to one asks in turn.
    pub ancestors: Vec<Lineage>,
}

/// See [`Message::Welcome`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Welcome {
    /// Of the [`Join`] that this answers.
    pub nonce: u64,
    /// The identity under which the answering node gossips, encoded by the membership layer.
    pub member: Vec<u8>,
    /// What the cluster was founded with.
    pub genesis: Genesis,
    /// How sure the answering node is of that.
    pub assurance: Assurance,
    /// What is in force now.
    pub configuration: Configuration,
    /// Where the voters are, as far as the answering node knows.
    pub voters: Vec<(NodeId, SocketAddr)>,
    /// The Goose, if the answering node knows one.
    pub goose: Option<Goose>,
    /// The lineages that a person has rescued the answering node's from.
    pub ancestors: Vec<Lineage>,
}

/// How sure a node is of what its cluster was founded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Assurance {
    /// It only takes it to be so, and does not vote.
    Assumed,
    /// It is to vote, and was told so; but nothing is founded yet as far as it knows.
    Told,
    /// A voter stands by it.
    Founded,
}

/// See [`Message::Poll`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Poll {
    /// The poller's request number; only rises within a boot.
    pub sequence: u64,
    /// The poller's last rounds were answered by a majority of the voters.
    pub quorum_connected: bool,
    /// The poller may become Goose.
    pub eligible: bool,
    /// The poller is a voter without a record: it also wants to hear how it stands with the
    /// voter's record.
    pub founding: bool,
}

/// See [`Message::PollAck`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PollAck {
    /// Of the [`Poll`] that this answers.
    pub sequence: u64,
    /// How the voter stands.
    pub status: VoterStatus,
    /// How it stands with its record, if it was asked.
    pub record: Option<RecordReport>,
}

/// A voter's word on its record, for another one that has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordReport {
    /// Whether it has one, and since when.
    pub founding: Founding,
    /// Under which configuration it votes.
    pub configuration: ConfigurationStamp,
    /// By which lineage it stands, durably.
    pub lineage: Option<Proposal>,
}

/// A voter's word on itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VoterStatus {
    /// Rises with every status this boot of the voter says; receivers ignore an older one, or
    /// a late answer would erase a newer notice of vacancy.
    pub sequence: u64,
    /// Whether its vote is free.
    pub standing: Standing,
    /// The highest ballot it durably knows.
    pub max_ballot: u64,
    /// The contender it would rather grant to than to a lower one, at this moment.
    pub top_contender: Option<NodeId>,
    /// The Goose it last heard of. Advice only.
    pub goose: Option<Goose>,
}

/// Whether a voter's vote is free. All but `Vacant` count as taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// It has no record, or has never been founded, and grants nothing yet.
    Blank,
    /// It restarted; a grant from before may still be counted. Only `holder` may renew.
    Quarantined {
        /// How long it lasts yet.
        remaining: Duration,
        /// Who held the last grant it remembers.
        holder: Option<Process>,
    },
    /// It granted.
    Held {
        /// To whom.
        holder: Process,
        /// For which ballot.
        ballot: u64,
        /// For how long yet.
        remaining: Duration,
    },
    /// A grant is being written to disk.
    Persisting,
    /// Free.
    Vacant,
}

/// How a voter stands with the founding of its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Founding {
    /// It started on an empty disk and has not heard every other voter yet.
    Blank {
        /// Drawn for this empty disk and made durable before it is said.
        nonce: u64,
    },
    /// It heard every voter blank: this is the nonce of each.
    Founded(Vec<(NodeId, u64)>),
    /// Its record was lost, and it has made up for that: by the word of all other voters, or by
    /// the clock where nothing better is to be had.
    Waited,
    /// Its record is lost, and it has not made up for that yet.
    Lost {
        /// Drawn when the loss was noticed.
        nonce: u64,
    },
    /// It keeps no record in a cluster that does, so that every start is a loss.
    Fleeting {
        /// Drawn for this start.
        nonce: u64,
    },
}

impl Founding {
    /// The nonce of a voter that has no record to stand by, and may be founded with the others.
    pub fn blank_nonce(&self) -> Option<u64> {
        match self {
            Self::Blank { nonce } | Self::Lost { nonce } | Self::Fleeting { nonce } => Some(*nonce),
            Self::Founded(_) | Self::Waited => None,
        }
    }

    /// Whether this voter stands by what it promised earlier.
    pub fn is_sound(&self) -> bool {
        matches!(self, Self::Founded(_) | Self::Waited)
    }
}

/// Whether an [`Acquire`] opens a tenure or extends one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AcquireKind {
    /// A contender claims.
    Claim,
    /// A holder extends.
    Renew,
    /// A holder extends with a node that does not vote in its configuration, and may come to: its
    /// grant counts for nothing yet.
    Learn,
}

/// See [`Message::Acquire`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acquire {
    /// Claim or renewal.
    pub kind: AcquireKind,
    /// The ballot: fresh for a claim; of this tenure, perhaps raised, for a renewal.
    pub ballot: u64,
    /// The sender's request number; only rises within a boot.
    pub sequence: u64,
    /// The lease asked for.
    pub lease: Duration,
    /// The release of the last holder, handed to this claimant.
    pub certificate: Option<Release>,
    /// The lineage that the Goose proposes while none is settled.
    pub lineage: Option<Lineage>,
    /// The configuration that the envelope names, for a voter that is not known to stand by it:
    /// it takes it over together with the grant, or neither.
    pub configuration: Option<Box<Configuration>>,
}

impl Acquire {
    /// Its refusal for this reason.
    pub fn refusal(&self, reason: NakReason) -> Nak {
        Nak { sequence: self.sequence, ballot: self.ballot, reason }
    }
}

/// See [`Message::Grant`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// Of the [`Acquire`] that this answers.
    pub sequence: u64,
    /// Of the [`Acquire`] that this answers.
    pub ballot: u64,
    /// What was granted: what was asked for or less.
    pub granted: Duration,
    /// The best contender this voter knows, and for how long it has been quorum-connected.
    pub standby: Option<(Process, Duration)>,
    /// By which lineage this voter stands, durably: in the grant of a claim, and of a renewal that
    /// proposes one.
    pub lineage: Option<Proposal>,
    /// Whether this voter is about to leave, and would rather vote no more before it does.
    pub leaves: bool,
}

/// In the refusal of a probe, which asks for no ballot. No claim has it.
pub const PROBE_BALLOT: u64 = 0;

/// See [`Message::Nak`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nak {
    /// Of the [`Acquire`] that this answers.
    pub sequence: u64,
    /// Of the [`Acquire`] that this answers.
    pub ballot: u64,
    /// Why.
    pub reason: NakReason,
}

/// Why a voter does not grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NakReason {
    /// Another process holds a live grant.
    Held {
        /// For how long yet.
        remaining: Duration,
    },
    /// The ballot is too low, or another's.
    Stale {
        /// The highest ballot this voter knows.
        max_ballot: u64,
    },
    /// A higher contender comes first.
    Defer {
        /// That one.
        to: NodeId,
    },
    /// The voter restarted and waits out what it may have granted before.
    Quarantine {
        /// For how long yet.
        remaining: Duration,
    },
    /// The voter has no record, or has not been founded.
    Blank,
    /// The voter is writing another grant to disk.
    Persisting,
    /// The voter could not make the grant durable.
    StoreFailed,
    /// The sender's voter configuration is older than the voter's, or the voter was not told
    /// what it says.
    Configuration,
    /// A later process with the sender's id holds a live grant.
    DuplicateId,
    /// The request was addressed to an earlier process of this voter.
    NewBoot {
        /// The process now.
        boot: Boot,
    },
    /// The sender's boot has released everything for good.
    Dead,
}

/// A holder's word that it acts no more: a voter that knows this may grant to another at
/// once. It names the exact process and ballot, so that a late copy releases nothing newer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Release {
    /// Whose grants.
    pub holder: Process,
    /// Up to which ballot.
    pub ballot: u64,
    /// The process ends: everything it ever held or asks for later is void.
    pub all: bool,
    /// Who should come next.
    pub nominee: Option<NodeId>,
}
