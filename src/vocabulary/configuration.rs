//! Which nodes vote, and which cluster a datagram belongs to.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hash::stable_hash;
use super::identity::NodeId;
use super::time::nanoseconds;
use super::timing::{LEASE_CEILING, LEASE_MAX_LEAST, Timing};

/// The most voters a cluster may have. More would buy no availability worth the traffic,
/// and the founding map must fit a datagram.
pub const VOTERS_MAX: usize = 15;

/// As many voters a cluster that sees to their number by itself keeps, if nothing is said.
pub const VOTERS_KEPT: u8 = 3;

/// The longest cluster name, in bytes.
pub const CLUSTER_NAME_MAX: usize = 64;

/// The number of voters that is kept if `number` is asked for: an even one survives no more losses than
/// one less, so it is one more. From 1 to [`VOTERS_MAX`].
pub fn kept(number: u8) -> u8 {
    let most = u8::try_from(VOTERS_MAX).unwrap_or(u8::MAX);
    (number.clamp(1, most) | 1).min(most)
}

/// A sorted, non-empty set of at most [`VOTERS_MAX`] voters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct VoterSet(Vec<NodeId>);

/// Why a list of ids is no voter set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoterSetError {
    /// Nobody.
    #[error("the voter list is empty: name at least one voter")]
    Empty,
    /// The same voter twice.
    #[error("voter {0} is listed twice: name each voter once")]
    Duplicate(NodeId),
    /// More than [`VOTERS_MAX`].
    #[error("{0} voters are too many: name {VOTERS_MAX} at most; other nodes join without a vote")]
    TooMany(usize),
}

impl VoterSet {
    /// The set of `ids`, in any order.
    ///
    /// # Errors
    /// As [`VoterSetError`] says.
    pub fn new(mut ids: Vec<NodeId>) -> Result<Self, VoterSetError> {
        ids.sort_unstable();
        if ids.is_empty() {
            return Err(VoterSetError::Empty);
        }
        if ids.len() > VOTERS_MAX {
            return Err(VoterSetError::TooMany(ids.len()));
        }
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(VoterSetError::Duplicate(pair[0]));
        }
        Ok(Self(ids))
    }

    /// The voters, lowest id first.
    pub fn ids(&self) -> &[NodeId] {
        &self.0
    }

    /// Whether `id` votes.
    pub fn contains(&self, id: NodeId) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    /// How many voters make a majority.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// The set with one voter more.
    ///
    /// # Errors
    /// [`VoterSetError::Duplicate`] if it votes already, [`VoterSetError::TooMany`].
    pub fn with(&self, id: NodeId) -> Result<Self, VoterSetError> {
        Self::new(self.0.iter().copied().chain([id]).collect())
    }

    /// The set with one voter less.
    ///
    /// # Errors
    /// [`VoterSetError::Empty`] if it was the last.
    pub fn without(&self, id: NodeId) -> Result<Self, VoterSetError> {
        Self::new(self.0.iter().copied().filter(|voter| *voter != id).collect())
    }

    /// How many voters there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a voter set is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl TryFrom<Vec<NodeId>> for VoterSet {
    type Error = VoterSetError;
    fn try_from(ids: Vec<NodeId>) -> Result<Self, VoterSetError> {
        Self::new(ids)
    }
}

impl From<VoterSet> for Vec<NodeId> {
    fn from(set: VoterSet) -> Self {
        set.0
    }
}

impl fmt::Display for VoterSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, id) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(formatter, "{comma}{id}")?;
        }
        Ok(())
    }
}

/// What a cluster is founded with. Two clusters of one name that were founded differently never
/// mix: every datagram names the digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Genesis {
    /// Who votes.
    pub voters: VoterSet,
    /// Whether the Goose hands over to a higher node that has come to stay.
    pub preempt: bool,
    /// No voter of this cluster ever grants a longer lease. So whoever has lost its record knows
    /// how long to wait, whatever its own settings are today.
    pub lease_max: Duration,
    /// Whether the voters keep no records. Then the clock stands in for what they forget, and the
    /// promise is the weaker one.
    pub ephemeral: bool,
}

impl Genesis {
    /// What a cluster is founded with by nodes that run on `timing`.
    pub fn new(voters: VoterSet, preempt: bool, timing: &Timing, ephemeral: bool) -> Self {
        // Who remembers nothing cannot remember a longer lease either.
        let longest = if ephemeral { LEASE_MAX_LEAST } else { timing.lease.max(timing.lease_max) };
        let lease_max = longest.clamp(LEASE_MAX_LEAST, LEASE_CEILING);
        Self { voters, preempt, lease_max, ephemeral }
    }

    /// A stable digest; never 0, which means "not known yet" on the wire.
    pub fn digest(&self) -> u64 {
        let mut bytes = digest(&self.voters, self.preempt).to_be_bytes().to_vec();
        bytes.extend_from_slice(&nanoseconds(self.lease_max).to_be_bytes());
        bytes.push(u8::from(self.ephemeral));
        stable_hash(b"genesis", &bytes).max(1)
    }

    /// Whether both name the same voters and preempt alike: then they differ at most in how long
    /// leases may be and in whether records are kept.
    pub fn is_akin(&self, other: &Self) -> bool {
        self.voters == other.voters && self.preempt == other.preempt
    }

    /// Which of two that are akin gives way while neither is in force yet: records are kept if
    /// anybody keeps one, and leases may be as long as anybody's.
    pub fn gives_way_to(&self, other: &Self) -> bool {
        let rank = |genesis: &Self| (!genesis.ephemeral, genesis.lease_max);
        self.is_akin(other) && rank(self) < rank(other)
    }
}

/// Not of what the Goose sees to by itself: one founder may have been told of that and another not,
/// and both found the same.
fn digest(voters: &VoterSet, preempt: bool) -> u64 {
    let mut bytes: Vec<u8> = voters.ids().iter().flat_map(|id| id.number().to_be_bytes()).collect();
    if preempt {
        bytes.push(1);
    }
    stable_hash(b"voter set", &bytes).max(1)
}

/// What is in force, ordered by (ballot, version). The genesis configuration is (0, 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Configuration {
    /// The ballot of the Goose that last rewrote it; 0 at genesis.
    pub ballot: u64,
    /// Counts the changes; 1 at genesis.
    pub version: u64,
    /// Who votes.
    pub voters: VoterSet,
    /// See [`Genesis::preempt`].
    pub preempt: bool,
    /// How many voters the Goose keeps by itself; none: they change by order only.
    pub automatic: Option<u8>,
}

impl Configuration {
    /// The configuration a cluster is founded with.
    pub fn genesis(genesis: Genesis) -> Self {
        let Genesis { voters, preempt, .. } = genesis;
        Self { ballot: 0, version: 1, voters, preempt, automatic: None }
    }

    /// Whether nothing has changed since the founding.
    pub fn is_genesis(&self) -> bool {
        (self.ballot, self.version) == (0, 1)
    }

    /// The same under the Goose of `term`: above whatever an earlier one may have left half done.
    #[must_use]
    pub fn rewritten(&self, term: u64) -> Self {
        Self { ballot: term, ..self.clone() }
    }

    /// The next one of the Goose of `term`, with these voters.
    #[must_use]
    pub fn changed(&self, term: u64, voters: VoterSet) -> Self {
        let version = self.version.saturating_add(1);
        Self { ballot: term, version, voters, ..self.clone() }
    }

    /// Whether it was in force before the other: see [`ConfigurationStamp::is_older_than`].
    pub fn is_older_than(&self, other: &Self) -> bool {
        (self.ballot, self.version) < (other.ballot, other.version)
    }

    /// The same of one that is known by its stamp; without a digest, which every datagram would cost.
    pub fn precedes(&self, stamp: &ConfigurationStamp) -> bool {
        (self.ballot, self.version) < (stamp.ballot, stamp.version)
    }

    /// What every datagram says of the sender's configuration.
    pub fn stamp(&self) -> ConfigurationStamp {
        ConfigurationStamp {
            ballot: self.ballot,
            version: self.version,
            digest: digest(&self.voters, self.preempt),
        }
    }
}

/// A configuration by name: its order and a digest of what it says. `digest` 0: none known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConfigurationStamp {
    /// See [`Configuration::ballot`].
    pub ballot: u64,
    /// See [`Configuration::version`].
    pub version: u64,
    /// Digest of the voters and of preemption; 0 when the sender knows no configuration yet.
    pub digest: u64,
}

impl ConfigurationStamp {
    /// Whether what it names was in force before the other. Only a Goose makes a configuration, and
    /// numbers those of its term; so the order is that of the log in Raft (Ongaro and Ousterhout,
    /// section 5.4.1).
    pub fn is_older_than(&self, other: &Self) -> bool {
        (self.ballot, self.version) < (other.ballot, other.version)
    }
}

/// A cluster's name: 1 to [`CLUSTER_NAME_MAX`] bytes of letters, digits, `-`, `_` and `.`,
/// not starting with a dot (it names a folder).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

/// Why a text is no cluster name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no cluster name: use 1 to {CLUSTER_NAME_MAX} letters, digits, '-', '_' or '.', \
     not starting with a dot"
)]
pub struct ClusterNameError(pub String);

impl ClusterName {
    /// The name `text`.
    ///
    /// # Errors
    /// [`ClusterNameError`] if it is empty, too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, ClusterNameError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let sound = !text.is_empty()
            && text.len() <= CLUSTER_NAME_MAX
            && !text.starts_with('.')
            && text.chars().all(legal);
        if sound { Ok(Self(text.to_owned())) } else { Err(ClusterNameError(text.to_owned())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A stable digest of the name; never 0.
    pub fn digest(&self) -> u64 {
        stable_hash(b"cluster name", self.0.as_bytes()).max(1)
    }
}

impl TryFrom<String> for ClusterName {
    type Error = ClusterNameError;
    fn try_from(text: String) -> Result<Self, ClusterNameError> {
        Self::new(&text)
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
