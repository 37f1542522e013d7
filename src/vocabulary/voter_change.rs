//! A change of voters, and what it waits for.

use super::configuration::VoterSet;
use super::identity::NodeId;

/// Who is to vote, and whether the Goose sees to their number by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoterGoal {
    /// Who is to vote.
    pub voters: VoterSet,
    /// See [`super::configuration::Configuration::automatic`].
    pub automatic: Option<u8>,
}

/// What keeps a change of voters from going on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChangeHold {
    /// A majority of the voters has yet to take the present configuration over.
    Commit,
    /// These nodes are to vote and do not grant yet.
    Learning(Vec<NodeId>),
    /// Too few of those who would vote then grant now.
    Majority,
}

impl ChangeHold {
    /// In words, after "waits for".
    pub fn words(&self) -> String {
        self.words_with(|id| id.to_string())
    }

    /// The same, where somebody knows what nodes are called.
    pub fn words_with(&self, called: impl Fn(NodeId) -> String) -> String {
        match self {
            Self::Commit => "a majority of the voters to take the present set over".to_owned(),
            Self::Learning(ids) => {
                let ids: Vec<String> = ids.iter().map(|id| called(*id)).collect();
                format!("node {} to answer and keep a record, as a voter must", ids.join(", "))
            }
            Self::Majority => "a majority of those who would vote then to answer".to_owned(),
        }
    }

    /// Who is to vote and does not grant yet, if that is what it waits for.
    pub fn learning(&self) -> &[NodeId] {
        match self {
            Self::Learning(ids) => ids,
            Self::Commit | Self::Majority => &[],
        }
    }
}

/// A change of voters that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoterChange {
    /// What it leads to.
    pub goal: VoterGoal,
    /// What it waits for.
    pub hold: ChangeHold,
}
