//! What a contender is at the moment, and what it is on its way out of: plain state, which
//! [`super::contender`] and [`super::tenure`] change.

use std::collections::BTreeMap;

use crate::vocabulary::identity::NodeId;
use crate::vocabulary::message::Release;
use crate::vocabulary::time::HolderTime;

/// An attempt to win an election.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Claim {
    pub(crate) ballot: u64,
    pub(crate) deadline: HolderTime,
    pub(crate) patience: HolderTime,
    pub(crate) next_send: HolderTime,
    pub(crate) certificate: Option<Release>,
    /// Voters that refused in a way that will not change while this claim lasts.
    pub(crate) refused: Vec<NodeId>,
}

/// What a contender is at the moment.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Role {
    Standby,
    Claiming(Claim),
    Goose(Tenure),
}

/// A release on its way to the voters.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Farewell {
    pub(crate) release: Release,
    pub(crate) unacknowledged: BTreeMap<NodeId, u64>,
    pub(crate) sent: u32,
    pub(crate) next_send: HolderTime,
}

/// A tenure: from the grants of a majority to the lapse of the lease.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Tenure {
    /// The ballot that won. It names the tenure for ever.
    pub(crate) term: u64,
    /// The ballot that is renewed: the term, or higher, to satisfy a voter that has seen a
    /// higher one. Never published: another contender may already have used a ballot between.
    pub(crate) ballot: u64,
    pub(crate) since: HolderTime,
    pub(super) next_renewal: HolderTime,
    pub(super) next_announcement: HolderTime,
    pub(super) was_announced: bool,
    /// Whether a majority has granted the full lease yet.
    pub(super) established: bool,
    /// When the lease was last seen to move, which is when a majority was last heard.
    pub(super) confirmed: HolderTime,
}

impl Tenure {
    /// When something is to be done next, the lapse included.
    pub(crate) fn next_event(&self, deadline: HolderTime) -> HolderTime {
        self.next_renewal.min(self.next_announcement).min(deadline)
    }
}
