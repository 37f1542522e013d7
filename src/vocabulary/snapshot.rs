//! What a node shows of itself. A snapshot never says "I am Goose": it carries the lease
//! *deadline*, which whoever reads it compares with the holder clock at that moment. A stored
//! answer would lie as soon as the node is frozen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::configuration::{ClusterName, Configuration};
use super::goose::Goose;
use super::histogram::Histogram;
use super::identity::{Boot, NodeId, Process};
use super::lineage::Lineage;
use super::metadata::{Metadata, Tags};
use super::node_name::NodeName;
use super::reject::Reject;
use super::time::HolderTime;
use super::voter_change::VoterChange;
use super::work::EndOfWork;

/// One node's view of itself and of its cluster, taken after an input was handled.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The cluster's name.
    pub cluster: ClusterName,
    /// This process.
    pub process: Process,
    /// Where others reach it.
    pub address: SocketAddr,
    /// Where its HTTP server is reached.
    pub http: Option<SocketAddr>,
    /// What somebody wants to be known of it.
    pub tags: Tags,
    /// What people call it.
    pub name: Option<NodeName>,
    /// Which founding of the cluster it belongs to, once that is settled.
    pub lineage: Option<Lineage>,
    /// Rises with every change of role, Goose, voters or members.
    pub index: u64,
    /// How far the node has come.
    pub phase: Phase,
    /// The lease this node counts on; it is Goose while that is valid.
    pub lease: Option<Lease>,
    /// The highest term this node knows of.
    pub term: u64,
    /// The Goose this node knows, itself included.
    pub goose: Option<KnownGoose>,
    /// The voters, once known.
    pub voters: Option<VotersView>,
    /// Everybody, this node included, lowest id first. Shared: rebuilt only on a change.
    pub members: Arc<Vec<MemberView>>,
    /// Members that do not answer at their address: from where else a datagram of them came last,
    /// and when.
    pub speaks_from: BTreeMap<NodeId, (SocketAddr, HolderTime)>,
    /// What was counted since the start.
    pub counters: Counters,
    /// When this process started.
    pub started: HolderTime,
    /// Until when it holds back from contending, by an order or after a claim that failed; that
    /// may be over.
    pub holds_back_until: Option<HolderTime>,
    /// Until when, as Goose, it makes way for nobody by choice; that may be over.
    pub paused_until: Option<HolderTime>,
    /// The change of voters that this node leads, if it does.
    pub voter_change: Option<VoterChange>,
    /// It holds back until told otherwise.
    pub is_drained: bool,
    /// Why it is not healthy; none if it is.
    pub unhealthy: Option<String>,
    /// Nothing can be made durable any more: only a restart helps.
    pub store_lost: bool,
    /// Since when a write to disk has been under way that takes longer than a second.
    pub store_slow: Option<HolderTime>,
    /// Somebody has asked to end the term that is led, and its work has not ended yet: no other
    /// work begins under it.
    pub ending: Option<EndOfWork>,
}

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its first record is being written; it has said nothing yet.
    Starting,
    /// It does not know its cluster's voters yet, or nobody of the cluster has answered.
    Joining,
    /// It takes part.
    Serving,
    /// It has stepped down and is saying goodbye.
    Leaving,
}

/// A lease that a majority of the voters granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The term it was won for.
    pub term: u64,
    /// Until when it is valid, on the holder clock: see [`Lease::is_valid_at`].
    pub deadline: HolderTime,
    /// The lease asked for, L.
    pub duration: Duration,
    /// When the tenure began.
    pub since: HolderTime,
}

/// Whether what lasts until `deadline` is valid at `now`: a lease, so that its holder is Goose,
/// or the evidence of one. The rule is written here and nowhere else.
pub fn is_valid_at(deadline: HolderTime, now: HolderTime) -> bool {
    now < deadline
}

impl Lease {
    /// Whether the node is Goose at `now`.
    pub fn is_valid_at(&self, now: HolderTime) -> bool {
        is_valid_at(self.deadline, now)
    }
}

impl KnownGoose {
    /// Whether the evidence still counts at `now`.
    pub fn is_valid_at(&self, now: HolderTime) -> bool {
        is_valid_at(self.expires, now)
    }
}

impl Snapshot {
    /// The lease, if it is still valid at `now`. This is the only way to ask for the role.
    pub fn lease_at(&self, now: HolderTime) -> Option<Lease> {
        self.lease.filter(|lease| lease.is_valid_at(now))
    }

    /// What people call a node, as far as this one knows.
    pub fn name_of(&self, id: NodeId) -> Option<&NodeName> {
        if id == self.process.id {
            return self.name.as_ref();
        }
        name_of(&self.members, id)
    }

    /// Where a node is, as its tag says, as far as this one knows.
    pub fn zone_of(&self, id: NodeId) -> Option<&str> {
        if id == self.process.id {
            return zone(&self.tags);
        }
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        self.members[at].zone()
    }

    /// What somebody said of a process, as far as this one has learnt it.
    pub fn tags_of(&self, process: Process) -> Option<&Tags> {
        if process == self.process {
            return Some(&self.tags);
        }
        let at = self.members.binary_search_by_key(&process.id, |member| member.id).ok()?;
        let member = self.members.get(at).filter(|member| member.boot == process.boot)?;
        Some(&member.metadata.as_ref()?.tags)
    }

    /// The same as [`Self::lease_at`], if work may begin under it: nobody has asked to end its term.
    pub fn open_lease_at(&self, now: HolderTime) -> Option<Lease> {
        self.lease_at(now).filter(|_| self.ending.is_none())
    }
}

/// A Goose that this node knows of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownGoose {
    /// Who, and since which term.
    pub goose: Goose,
    /// When this was last confirmed: by the Goose itself or by a voter.
    pub confirmed: HolderTime,
    /// When the evidence runs out: with the lease, for whoever hears of it from the voters or the
    /// Goose itself; later for all others, who hear by gossip how lately it was seen.
    pub expires: HolderTime,
}

/// The voters as this node sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotersView {
    /// Who votes.
    pub configuration: Configuration,
    /// Each voter, lowest id first.
    pub voters: Vec<VoterView>,
    /// As a voter, this node has no record, and waits for these before it votes.
    pub awaited: Vec<(NodeId, Lack)>,
}

/// What is wrong with a voter whose word another one waits for that has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lack {
    /// It has not answered since it was first asked.
    Silent,
    /// It has no record itself.
    NoRecord,
    /// It keeps no record, and has not made up for that either.
    KeepsNone,
    /// It votes under another configuration.
    OtherConfiguration,
    /// It belongs to another founding.
    OtherFounding,
    /// The voters have changed, and less than three are left, so that one may have led alone.
    TooFewToVouch,
}

impl Lack {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::NoRecord => "itself without a record",
            Self::KeepsNone => "itself without a record (--ephemeral)",
            Self::OtherConfiguration => "under another configuration",
            Self::OtherFounding => "of another founding",
            Self::TooFewToVouch => "one of too few to vouch for another",
        }
    }
}

/// The tag by which voters are spread.
const ZONE: &str = "zone";

fn zone(tags: &Tags) -> Option<&str> {
    tags.iter().find(|(key, _)| *key == ZONE).map(|(_, value)| value)
}

impl MemberView {
    /// Where it is, as its tag says, if this node has learnt that.
    pub fn zone(&self) -> Option<&str> {
        zone(&self.metadata.as_ref()?.tags)
    }
}

/// What people call one of these members, which are sorted by id.
pub fn name_of(members: &[MemberView], id: NodeId) -> Option<&NodeName> {
    let at = members.binary_search_by_key(&id, |member| member.id).ok()?;
    members[at].metadata.as_ref()?.name.as_ref()
}

/// One voter as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterView {
    /// Which voter.
    pub id: NodeId,
    /// Where it was last reached or is said to be.
    pub address: Option<SocketAddr>,
    /// When its last answer came. None: never, or not asked.
    pub answered: Option<HolderTime>,
    /// How long its answers take, as of late. None: not known.
    pub round_trip: Option<Duration>,
    /// Until when its grant counts for this node, if it granted to this node.
    pub granted_until: Option<HolderTime>,
    /// Whether it is about to leave, as it told this node with its grant.
    pub leaves: bool,
}

impl VoterView {
    /// Whether its grant counts for this node now.
    pub fn grants(&self, now: HolderTime) -> bool {
        self.granted_until.is_some_and(|until| now < until)
    }
}

/// One member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Which node.
    pub id: NodeId,
    /// Its gossip and election address.
    pub address: SocketAddr,
    /// Which process of it.
    pub boot: Boot,
    /// Whether it may become Goose.
    pub eligible: bool,
    /// What gossip says of it.
    pub state: MemberState,
    /// What people want to know of it; none until this node has asked somebody who knows.
    pub metadata: Option<Arc<Metadata>>,
}

/// What gossip says of a member. A hint: the election never relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberState {
    /// Answers probes.
    Alive,
    /// Did not answer lately.
    Suspect,
    /// Declared down.
    Down,
    /// Said goodbye.
    Left,
}

impl MemberState {
    /// Whether it may still be there.
    pub fn is_present(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// Counts since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed in.
    pub datagrams_received: u64,
    /// Datagrams handed out.
    pub datagrams_sent: u64,
    /// Bytes handed out.
    pub bytes_sent: u64,
    /// Datagrams dropped, by reason, in the order of [`Reject::ALL`].
    pub rejected: [u64; Reject::ALL.len()],
    /// Answers kept back because they were more than three times as large as the question, and
    /// whoever asked has not shown that it receives at its address.
    pub answers_withheld: u64,
    /// Members that gossip named and that were not taken in, for too many are known.
    pub members_refused: u64,
    /// Datagrams that could not be encoded or that the operating system would not send.
    pub send_failures: u64,
    /// Records that could not be written.
    pub store_failures: u64,
    /// Writes of a record that took longer than a second.
    pub store_stalls: u64,
    /// How long other voters took to confirm this node's lease.
    pub renewals: Histogram,
    /// Of those confirmations, the ones that came after the next one had been asked for.
    pub renewals_late: u64,
}
