//! Processes that do not belong: a second one of some node's id, and nodes that were told
//! something else about the cluster. They come and go, and must change nothing.
//!
//! A second process with the id of a *voter* is the worst of them: one live process per voter is a
//! condition of the promise. While one runs, and for a few leases after it, two may lead; what is
//! asked for then is that the nodes notice it, and that all is well once the twin is gone and
//! whoever stopped voting for it was started again.

use crate::node::setup::Setup;
use crate::sim::cluster::foreign_node::ForeignNode;
use crate::sim::cluster::network::Network;
use crate::sim::prng::Prng;
use crate::vocabulary::configuration::{ClusterName, VoterSet};
use crate::vocabulary::identity::NodeId;

/// Draws a few foreign nodes to the nodes of `setups`, of which those at `voters` vote. None of
/// them misleads a node that was not told the voters (see [`forewarn`]).
pub(super) fn draw(
    setups: &[Setup],
    voters: &[usize],
    prng: &mut Prng,
) -> (Vec<ForeignNode>, Vec<Setup>) {
    let count = 1 + prng.below(3);
    let forewarned = setups.iter().all(|setup| setup.voters.is_some());
    let idle: Vec<usize> = (0..setups.len()).filter(|index| !voters.contains(index)).collect();
    let foreign_nodes = (0..count).filter_map(|number| {
        let kind = prng.pick(&[
            ForeignNode::Duplicate,
            ForeignNode::Duplicate,
            ForeignNode::OtherVoters,
            ForeignNode::OtherPreemption,
            ForeignNode::OtherCluster,
            ForeignNode::TwinOnCopy,
            ForeignNode::TwinOnEmpty,
        ]);
        let misleading = matches!(kind, ForeignNode::OtherVoters | ForeignNode::OtherPreemption);
        let setup = match kind {
            _ if misleading && !forewarned => return None,
            ForeignNode::Duplicate if idle.is_empty() => return None,
            ForeignNode::Duplicate => setups[prng.pick(&idle)].clone(),
            // Of one voter it would be all of them.
            _ if kind.is_twin() && voters.len() == 1 => return None,
            ForeignNode::TwinOnCopy | ForeignNode::TwinOnEmpty => setups[prng.pick(voters)].clone(),
            _ => foreigner(kind, &setups[voters[0]], setups.len() + number)?,
        };
        Some((kind, setup))
    });
    foreign_nodes.unzip()
}

/// Tells every node the voters. One that knows only a seed believes whoever answers first, and
/// a node with the right name and the wrong voters may be that one.
pub(super) fn forewarn(setups: &mut [Setup], voters: &[usize]) {
    let model = setups[voters[0]].clone();
    for setup in setups.iter_mut().filter(|setup| setup.voters.is_none()) {
        setup.voters = model.voters.clone();
        setup.voter_addresses = model.voter_addresses.clone();
        setup.preempt = model.preempt;
    }
}

/// A node like the voter of `model`, under an id of its own, that was told something else.
fn foreigner(kind: ForeignNode, model: &Setup, index: usize) -> Option<Setup> {
    let mut setup = model.clone();
    setup.id = NodeId::new(index as u64 + 1).ok()?;
    setup.seeds.push(format!("node-{}:7000", model.id));
    match kind {
        ForeignNode::OtherVoters => {
            // It cannot reach a majority of these by itself.
            let theirs = model.voters.as_ref()?.ids().iter().copied().take(2);
            let ids: Vec<NodeId> = theirs.chain([setup.id]).collect();
            setup.voters =
                Some(VoterSet::new(if ids.len() == 3 { ids } else { return None }).ok()?);
            setup.voter_addresses.push((setup.id, Network::address(index, 0)));
        }
        ForeignNode::OtherPreemption => setup.preempt = Some(setup.preempt != Some(true)),
        ForeignNode::OtherCluster => setup.cluster = ClusterName::new("another").ok()?,
        ForeignNode::Duplicate | ForeignNode::TwinOnCopy | ForeignNode::TwinOnEmpty => {}
    }
    Some(setup)
}
