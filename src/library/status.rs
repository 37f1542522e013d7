//! How a node stands, as a program sees it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::standing::{Goose, Role, Standing};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::{self, MemberView, Snapshot};
use crate::vocabulary::time::HolderTime;

/// How a node stood at the moment it was asked. Its role as of now is
/// [`Node::is_goose`](crate::Node::is_goose).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether it holds back until told otherwise, as [`Node::drain`](crate::Node::drain) has it.
    pub drained: bool,
    /// For how long, as Goose, it still makes way for nobody by choice, as
    /// [`Node::pause`](crate::Node::pause) has it; None if it does not pause.
    pub paused: Option<Duration>,
    /// The change of voters that it leads, in words: what it waits for; None if there is none.
    pub voter_change: Option<String>,
    /// Whether it has found its cluster and takes part.
    pub has_joined: bool,
}

/// Who votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Voters {
    /// Their ids, lowest first.
    pub ids: Vec<NodeId>,
    /// How many must agree.
    pub majority: usize,
    /// How many the Goose keeps by itself; None: they change by order only.
    pub automatic: Option<u8>,
}

/// A member of the cluster, as gossip sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
        let (Standing { role, term, goose }, _) = Standing::of(snapshot, now);
        let voters = snapshot.voters.as_ref().map(|view| {
            let set = &view.configuration.voters;
            let automatic = view.configuration.automatic;
            Voters { ids: set.ids().to_vec(), majority: set.majority(), automatic }
        });
        let paused = snapshot.paused_until.map(|until| until.since(now));
        Self {
            cluster: snapshot.cluster.as_str().to_owned(),
            id: snapshot.process.id,
            address: snapshot.address,
            role,
            term,
            remaining: lease.map(|lease| lease.deadline.since(now)),
            goose,
            voters,
            unhealthy: snapshot.unhealthy.clone(),
            drained: snapshot.is_drained,
            paused: paused.filter(|left| lease.is_some() && !left.is_zero()),
            voter_change: snapshot.voter_change.as_ref().map(|change| change.hold.words()),
            has_joined: snapshot.phase == snapshot::Phase::Serving,
        }
    }
}
