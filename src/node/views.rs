//! What a node shows of itself: to people, to its own shell, and to checkers. Reads, and changes
//! nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::NodeCore;
use super::addresses::Directory;
use crate::election::Election;
use crate::vocabulary::configuration::Configuration;
use crate::vocabulary::identity::{NodeId, Process, normalised};
use crate::vocabulary::inspection::{Inspection, TableSize};
use crate::vocabulary::lineage::{ForeignFounding, LineageClaim};
use crate::vocabulary::snapshot::{
    Counters, Lease, MemberState, MemberView, Phase, Snapshot, VotersView,
};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::work::EndOfWork;

/// What others may ask it at any time.
impl NodeCore {
    /// This process.
    pub fn process(&self) -> Process {
        self.me
    }

    /// Where others reach it, as it says itself.
    pub fn address(&self) -> SocketAddr {
        self.setup.address
    }

    /// Who votes, as far as this node knows.
    pub fn configuration(&self) -> Option<&Configuration> {
        self.election.as_ref().map(Election::configuration)
    }

    /// The lease this node counts on, if any; it is Goose while that is valid.
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
        self.outputs.counters()
    }

    /// Rises with every change of role, Goose, voters or members.
    pub fn index(&self) -> u64 {
        self.outputs.index()
    }

    /// What this node shows of itself.
    pub fn snapshot(&self) -> Snapshot {
        snapshot(self)
    }

    /// Every table whose entries come from others, with its bound.
    pub fn tables(&self) -> Vec<TableSize> {
        tables(self)
    }

    /// The insides, for checkers.
    pub fn inspect(&self) -> Inspection {
        self.election.as_ref().map(Election::inspect).unwrap_or_default()
    }

    /// What it says of its lineage, for checkers.
    pub fn lineage_claim(&self) -> Option<LineageClaim> {
        self.election.as_ref().and_then(Election::lineage_claim)
    }

    /// The end of the term that somebody has asked for, while its work is alive.
    pub fn ending(&self) -> Option<EndOfWork> {
        self.drain.asked()
    }

    /// Whether it leaves, or has left, without having released its lease: the work under it had
    /// not ended in time.
    pub fn leaves_without_release(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| !leaving.releases())
    }

    /// Where its seeds led, if it leaves because that is another founding than that of its record.
    pub fn misled(&self) -> Option<ForeignFounding> {
        self.joining.misled()
    }
}

/// See [`NodeCore::snapshot`].
pub(super) fn snapshot(node: &NodeCore) -> Snapshot {
    Snapshot {
        cluster: node.setup.cluster.clone(),
        process: node.me,
        address: node.setup.address,
        http: node.setup.http,
        tags: node.setup.tags.clone(),
        name: node.setup.name.clone(),
        lineage: node.election.as_ref().and_then(Election::lineage),
        index: node.index(),
        phase: phase(node),
        lease: node.lease(),
        term: node.term(),
        goose: node.election.as_ref().and_then(Election::goose),
        voters: voters(node),
        members: node.membership.members(),
        speaks_from: speaks_from(node),
        counters: node.counters().clone(),
        started: node.started,
        holds_back_until: node.election.as_ref().map(Election::holds_back_until),
        voter_change: node.election.as_ref().and_then(Election::voter_change).cloned(),
        paused_until: node.pause.until(node.lease()),
        is_drained: node.persistence.is_drained(),
        unhealthy: node.health.complaint(),
        store_lost: node.persistence.is_lost(),
        store_slow: node.persistence.slow_since(),
        ending: node.ending(),
    }
}

/// Whoever does not answer where it says that it is, and is heard from elsewhere. It may be followed
/// there, and so be alive; but newcomers cannot find it.
fn speaks_from(node: &NodeCore) -> BTreeMap<NodeId, (SocketAddr, HolderTime)> {
    let members = node.membership.members();
    let silent = |member: &&MemberView| {
        matches!(member.state, MemberState::Suspect | MemberState::Down)
            || !node.addresses.is_sound_at(member.id, member.address)
    };
    let elsewhere = |member: &MemberView| {
        let process = Process { id: member.id, boot: member.boot };
        let (source, at) = node.addresses.heard_from(process)?;
        let source = normalised(source);
        (source != member.address).then_some((member.id, (source, at)))
    };
    members.iter().filter(silent).filter_map(elsewhere).collect()
}

fn phase(node: &NodeCore) -> Phase {
    if !node.persistence.is_started() {
        Phase::Starting
    } else if node.leaving.is_some() || node.parting.is_under_way() {
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
        node.joining.table(),
        node.proofs.table(),
        node.sealing.table(),
        node.starts.table(),
    ];
    tables.extend(node.membership.tables());
    tables.extend(node.election.iter().flat_map(Election::tables));
    tables
}
