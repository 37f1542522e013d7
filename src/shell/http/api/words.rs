//! What a node is and how gossip sees it, in the words of JSON and of people.

use serde::{Deserialize, Serialize};

use crate::vocabulary::snapshot::{MemberState, Snapshot};
use crate::vocabulary::time::HolderTime;

/// How the URL of a node's HTTP begins.
pub fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https" } else { "http" }
}

/// A role, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The one.
    Goose,
    /// Every other.
    Duck,
}

impl Role {
    /// The role of the snapshot's own node at `now`.
    pub fn of(snapshot: &Snapshot, now: HolderTime) -> Self {
        if snapshot.lease_at(now).is_some() { Self::Goose } else { Self::Duck }
    }

    /// The word that people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Goose => "Goose",
            Self::Duck => "Duck",
        }
    }
}

/// What gossip says of a member, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Answers probes.
    Alive,
    /// Did not answer lately.
    Suspect,
    /// Declared down.
    Down,
    /// Said goodbye.
    Left,
}

impl From<MemberState> for State {
    fn from(state: MemberState) -> Self {
        match state {
            MemberState::Alive => Self::Alive,
            MemberState::Suspect => Self::Suspect,
            MemberState::Down => Self::Down,
            MemberState::Left => Self::Left,
        }
    }
}

impl State {
    /// The word that people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Left => "left",
        }
    }
}
