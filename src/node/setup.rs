//! What a node is started with, already checked: the values, not where they came from.

use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::configuration::{ClusterName, VoterSet};
use crate::vocabulary::health::IfNoneHealthy;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::metadata::Tags;
use crate::vocabulary::node_name::NodeName;
use crate::vocabulary::timing::{Profile, Timing};
use crate::wire::seal::KeyRing;

/// The most seeds a node keeps.
pub const SEEDS_MAX: usize = 64;

/// So long an order waits for the work under the lease to end, unless something else is said.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything the core needs to know of its configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The cluster to belong to.
    pub cluster: ClusterName,
    /// This node.
    pub id: NodeId,
    /// Where others reach it: never an unspecified address.
    pub address: SocketAddr,
    /// Where its HTTP server is reached, if there is one.
    pub http: Option<SocketAddr>,
    /// What somebody wants to be known of it.
    pub tags: Tags,
    /// What people call it.
    pub name: Option<NodeName>,
    /// Host names or addresses with ports, looked up again at every attempt to join.
    pub seeds: Vec<String>,
    /// The voter set to found the cluster with. None: learn it from a seed, or, without a
    /// seed, found a cluster of this node alone.
    pub voters: Option<VoterSet>,
    /// How many voters the Goose sees to by itself, in a cluster that this node founds alone without
    /// a voter set; none: they change by order only.
    pub automatic: Option<u8>,
    /// Whether the Goose of this cluster hands over to a higher node that has come to stay. None:
    /// not said, so what the cluster was founded with holds.
    pub preempt: Option<bool>,
    /// Addresses of voters that were given by address.
    pub voter_addresses: Vec<(NodeId, SocketAddr)>,
    /// Host names with ports of voters that were given by name: looked up again while such a voter
    /// is found nowhere.
    pub voter_names: Vec<(NodeId, String)>,
    /// The lowest term that this node leads under; 1 is no bound.
    pub first_term: u64,
    /// Whether this node may become Goose.
    pub eligible: bool,
    /// Whether a health check decides about it: until that has passed, the node is not healthy.
    pub is_checked: bool,
    /// Whether somebody leads when no node that may lead is healthy.
    pub if_none_healthy: IfNoneHealthy,
    /// The spans of the protocol.
    pub timing: Timing,
    /// How long an order waits for the work under the lease to end.
    pub drain_timeout: Duration,
    /// The keys with which every datagram is sealed and opened. None: all is plain.
    pub keys: Option<KeyRing>,
    /// Where all randomness of the node comes from.
    pub entropy: [u8; 32],
}

impl Setup {
    /// A node that was told nothing but who and where it is: it founds a cluster of itself alone,
    /// on the timings of a local network, sealed by no key. Its randomness is the same at every
    /// start until [`Setup::entropy`] is given.
    #[must_use]
    pub fn new(cluster: ClusterName, id: NodeId, address: SocketAddr) -> Self {
        Self {
            cluster,
            id,
            address,
            http: None,
            tags: Tags::default(),
            name: None,
            seeds: Vec::new(),
            voters: None,
            automatic: None,
            preempt: None,
            voter_addresses: Vec::new(),
            voter_names: Vec::new(),
            first_term: 1,
            eligible: true,
            is_checked: false,
            if_none_healthy: IfNoneHealthy::default(),
            timing: Timing::of(Profile::default()),
            drain_timeout: DRAIN_TIMEOUT,
            keys: None,
            entropy: [0; 32],
        }
    }
}
