//! What the stage needs of the nodes, whether they run in real time or in virtual time.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use gaggle::node::VoterOrder;
use gaggle::node::setup::Setup;
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::identity::NodeId;

use super::links::{Links, Traffic, VOTERS};

/// Why the demonstration cannot go on: nothing to do with the election.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Five nodes and the network between them.
pub(crate) trait World {
    /// The time since the start.
    fn now(&self) -> Duration;
    /// Lets time pass.
    fn pass(&mut self, span: Duration) -> Result<(), Failure>;
    /// Ends a node at once; nobody is told.
    fn kill(&mut self, node: usize) -> Result<(), Failure>;
    /// Starts a node on what its disk remembers; the first time that is nothing. `here`: who else
    /// may be there.
    fn start(&mut self, node: usize, here: &[usize]) -> Result<(), Failure>;
    /// Has a node change who votes, as Goose. None if that is in force; else what it waits for, or
    /// why it was refused.
    fn order(&mut self, node: usize, order: &VoterOrder) -> Result<Option<String>, Failure>;
    /// Stops a node in its tracks.
    fn freeze(&mut self, node: usize);
    /// Lets a frozen node go on.
    fn thaw(&mut self, node: usize);
    /// Changes the network.
    fn set_links(&mut self, links: &Links);
    /// What became of the datagrams so far.
    fn traffic(&self) -> Traffic;
}

/// The id of node `node`.
pub(crate) fn id(node: usize) -> Result<NodeId, Failure> {
    Ok(NodeId::new(u64::try_from(node).unwrap_or(0))?)
}

/// What node `node` is started with, which asks some of those who may be `here`; `address_of` is
/// where others reach a node.
pub(crate) fn setup(
    node: usize,
    here: &[usize],
    address_of: impl Fn(usize) -> SocketAddr,
    entropy: [u8; 32],
) -> Result<Setup, Failure> {
    let voters: Vec<NodeId> = (1..=VOTERS).map(id).collect::<Result<_, _>>()?;
    let seeds = here.iter().filter(|seed| **seed != node).take(VOTERS);
    Ok(Setup {
        seeds: seeds.map(|seed| address_of(*seed).to_string()).collect(),
        voter_addresses: if node <= VOTERS {
            voters.iter().zip(1..).map(|(id, voter)| (*id, address_of(voter))).collect()
        } else {
            Vec::new()
        },
        // The others learn from a seed who votes.
        voters: if node <= VOTERS { Some(VoterSet::new(voters)?) } else { None },
        entropy,
        ..Setup::new(ClusterName::new("chaos")?, id(node)?, address_of(node))
    })
}
