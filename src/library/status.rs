//! How a node stands, as a program sees it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::goose;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::{self, KnownGoose, MemberView, Snapshot};
use crate::vocabulary::time::HolderTime;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Goose,
    /// It does not.
    Duck,
}

/// How a node stood at the moment it was asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// This node.
    pub id: NodeId,
    /// Where others reach it.
    pub address: SocketAddr,
    /// What it was at that moment.
    pub role: Role,
    /// Its own term while it is Goose, else the highest it knows.
    pub term: u64,
    /// How much of the lease was left; None for a Duck.
    pub remaining: Option<Duration>,
    /// The Goose this node knows, itself included.
    pub goose: Option<Goose>,
    /// Who votes; None until the cluster is found.
    pub voters: Option<Voters>,
    /// Why it is not healthy, as [`Node::set_healthy`](crate::Node::set_healthy) was told; None if it is.
    pub unhealthy: Option<String>,
    /// Whether it has found its cluster and takes part.
    pub has_joined: bool,
}

/// A Goose that a node knows of. Advice: only the Goose itself knows whether it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Goose {
    /// Which node.
    pub id: NodeId,
    /// Its term.
    pub term: u64,
    /// Its gossip and election address.
    pub address: SocketAddr,
    /// Its HTTP address, if it serves HTTP.
    pub http: Option<SocketAddr>,
}

impl Goose {
    pub(super) fn of(goose: &goose::Goose) -> Self {
        let goose::Goose { term, process, address, http } = goose;
        Self { id: process.id, term: *term, address: *address, http: *http }
    }
}

/// Who votes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Voters {
    /// Their ids, lowest first.
    pub ids: Vec<NodeId>,
    /// How many must agree.
    pub majority: usize,
}

/// A member of the cluster, as gossip sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Which node.
    pub id: NodeId,
    /// Its gossip and election address.
    pub address: SocketAddr,
    /// Whether it may become Goose.
    pub eligible: bool,
    /// What gossip says of it.
    pub state: MemberState,
    /// Where it serves HTTP, if it does and this node has learnt that.
    pub http: Option<SocketAddr>,
    /// What people call it, if this node has learnt that.
    pub name: Option<String>,
    /// Its tags, as far as this node has learnt them.
    pub tags: BTreeMap<String, String>,
}

impl Member {
    pub(super) fn of(view: &MemberView) -> Self {
        let MemberView { id, address, eligible, state, metadata, .. } = view;
        let (id, address, eligible) = (*id, *address, *eligible);
        let http = metadata.as_ref().and_then(|metadata| metadata.http);
        let tags =
            metadata.as_ref().map(|metadata| metadata.tags.clone().into()).unwrap_or_default();
        let name = metadata.as_ref().and_then(|metadata| metadata.name.clone()).map(String::from);
        Self { id, address, eligible, state: MemberState::of(*state), http, name, tags }
    }
}

/// What gossip says of a member. A hint: the election never relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    pub(super) fn of(state: snapshot::MemberState) -> Self {
        match state {
            snapshot::MemberState::Alive => Self::Alive,
            snapshot::MemberState::Suspect => Self::Suspect,
            snapshot::MemberState::Down => Self::Down,
            snapshot::MemberState::Left => Self::Left,
        }
    }
}

impl Status {
    pub(super) fn of(snapshot: &Snapshot, now: HolderTime) -> Self {
        let lease = snapshot.lease_at(now);
        let voters = snapshot.voters.as_ref().map(|view| {
            let set = &view.configuration.voters;
            Voters { ids: set.ids().to_vec(), majority: set.majority() }
        });
        // Its own leadership by its lease, any other by evidence that has not run out.
        let lasts = |known: &&KnownGoose| {
            let own = known.goose.process == snapshot.process;
            if own { lease.is_some() } else { known.is_valid_at(now) }
        };
        Self {
            cluster: snapshot.cluster.as_str().to_owned(),
            id: snapshot.process.id,
            address: snapshot.address,
            role: if lease.is_some() { Role::Goose } else { Role::Duck },
            term: lease.map_or(snapshot.term, |lease| lease.term),
            remaining: lease.map(|lease| lease.deadline.since(now)),
            goose: snapshot.goose.as_ref().filter(lasts).map(|known| Goose::of(&known.goose)),
            voters,
            unhealthy: snapshot.unhealthy.clone(),
            has_joined: snapshot.phase == snapshot::Phase::Serving,
        }
    }
}
