//! What does not belong about a process.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignNode {
    /// It has the id of a node that does not vote.
    Duplicate,
    /// It has the id of a voter, and a copy of its record.
    TwinOnCopy,
    /// It has the id of a voter, and an empty disk.
    TwinOnEmpty,
    /// Its cluster has the same name and other voters.
    OtherVoters,
    /// Its cluster has the same voters and preempts where the others do not, or not where
    /// they do.
    OtherPreemption,
    /// Its cluster has another name.
    OtherCluster,
}

impl ForeignNode {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Duplicate,
        Self::TwinOnCopy,
        Self::TwinOnEmpty,
        Self::OtherVoters,
        Self::OtherPreemption,
        Self::OtherCluster,
    ];

    /// Whether it votes under another's id.
    pub fn is_twin(self) -> bool {
        matches!(self, Self::TwinOnCopy | Self::TwinOnEmpty)
    }

    /// What starting it is counted as.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate id",
            Self::TwinOnCopy => "twin of a voter on its copied record",
            Self::TwinOnEmpty => "twin of a voter on an empty disk",
            Self::OtherVoters => "node with other voters",
            Self::OtherPreemption => "node with other preemption",
            Self::OtherCluster => "node of another cluster",
        }
    }
}
