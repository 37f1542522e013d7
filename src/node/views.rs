//! What a node shows of itself: to people, to its own shell, and to checkers. Reads, and changes
//! nothing.

use super::NodeCore;
use super::addresses::Directory;
use crate::election::Election;
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::snapshot::{Phase, Snapshot, VotersView};

/// See [`NodeCore::snapshot`].
pub(super) fn snapshot(node: &NodeCore) -> Snapshot {
    Snapshot {
        cluster: node.setup.cluster.clone(),
        process: node.me,
        address: node.setup.address,
        http: node.setup.http,
        tags: node.setup.tags.clone(),
        index: node.index(),
        phase: phase(node),
        lease: node.lease(),
        term: node.term(),
        goose: node.election.as_ref().and_then(Election::goose),
        voters: voters(node),
        members: node.membership.members(),
        counters: node.counters().clone(),
        started: node.started,
        holds_back_until: node.election.as_ref().map(Election::holds_back_until),
        paused_until: node.pause.until(node.lease()),
        is_drained: node.persistence.is_drained(),
        store_lost: node.persistence.is_lost(),
        store_slow: node.persistence.slow_since(),
        ending: node.ending(),
    }
}

fn phase(node: &NodeCore) -> Phase {
    if !node.persistence.is_started() {
        Phase::Starting
    } else if node.leaving.is_some() {
        Phase::Leaving
    } else if node.joining.has_joined() {
        Phase::Serving
    } else {
        Phase::Joining
    }
}

fn voters(node: &NodeCore) -> Option<VotersView> {
    let election = node.election.as_ref()?;
    let directory = Directory {
        me: node.me.id,
        own: node.setup.address,
        addresses: &node.addresses,
        membership: &node.membership,
    };
    let mut voters = election.voter_views();
    for voter in &mut voters {
        voter.address = directory.address_of(voter.id);
    }
    let (configuration, awaited) = (election.configuration().clone(), election.awaits());
    Some(VotersView { configuration, voters, awaited })
}

/// See [`NodeCore::tables`].
pub(super) fn tables(node: &NodeCore) -> Vec<TableSize> {
    let mut tables = vec![
        node.outputs.table(),
        node.addresses.table(),
        node.proofs.table(),
        node.sealing.table(),
        node.starts.table(),
    ];
    tables.extend(node.membership.tables());
    tables.extend(node.election.iter().flat_map(Election::tables));
    tables
}
