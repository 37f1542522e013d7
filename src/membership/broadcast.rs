//! What gossip carries besides members: who is Goose, and which dead members to forget.
//!
//! It rides on packets that are sent anyway, each piece a bounded number of times, and a node that
//! joins later hears nothing of it. So all of it is a hint, or is told again to a node that shows
//! that it has missed it.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use foca::{BroadcastHandler, Invalidates};
use serde::{Deserialize, Serialize};

use super::identity::MemberIdentity;
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::Process;
use crate::wire::codec::{self as wire, CodecError};

/// So many tombstones are kept at most: the oldest makes way.
pub(super) const TOMBSTONES_MAX: usize = 1024;

/// The name of a forgotten member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tombstone {
    /// Which process it was.
    pub(super) process: Process,
    /// How often it had renamed itself.
    pub(super) renewal: u32,
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Broadcast {
    /// There is a new Goose.
    Goose(Goose),
    /// An operator had a dead member forgotten.
    Forgotten(Tombstone),
}

impl Broadcast {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A few numbers and addresses: they cannot exceed the codec's limit.
        let _ = wire::encode_into(self, &mut bytes);
        bytes
    }
}

/// What a piece of news is about: a later one makes an earlier one pointless.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    Term(u64),
    Forgotten(Tombstone),
}

impl Invalidates for Subject {
    fn invalidates(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Term(term), Self::Term(earlier)) => term >= earlier,
            (Self::Forgotten(one), Self::Forgotten(another)) => one == another,
            _ => false,
        }
    }
}

/// Takes news out of gossip and passes each piece on once.
#[derive(Debug)]
pub(super) struct Listener {
    highest: Option<u64>,
    /// Whom it was told to forget lately, longest ago first.
    forgotten: VecDeque<Tombstone>,
    heard: Sender<Broadcast>,
}

impl Listener {
    pub(super) fn new(heard: Sender<Broadcast>) -> Self {
        Self { highest: None, forgotten: VecDeque::new(), heard }
    }

    fn is_known(&mut self, subject: Subject, is_own: bool) -> bool {
        match subject {
            Subject::Term(term) => {
                let known = self.highest.is_some_and(|highest| term <= highest);
                self.highest = self.highest.max(Some(term));
                known
            }
            // An operator may say it again.
            Subject::Forgotten(tombstone) if self.forgotten.contains(&tombstone) => !is_own,
            Subject::Forgotten(tombstone) => {
                if self.forgotten.len() >= TOMBSTONES_MAX {
                    self.forgotten.pop_front();
                }
                self.forgotten.push_back(tombstone);
                false
            }
        }
    }
}

impl BroadcastHandler<MemberIdentity> for Listener {
    type Key = Subject;
    type Error = CodecError;

    fn receive_item(
        &mut self,
        data: &[u8],
        sender: Option<&MemberIdentity>,
    ) -> Result<Option<Subject>, CodecError> {
        let news: Broadcast = wire::decode_whole(data)?;
        let subject = match &news {
            Broadcast::Goose(goose) => Subject::Term(goose.term),
            Broadcast::Forgotten(tombstone) => Subject::Forgotten(*tombstone),
        };
        let is_own = sender.is_none();
        if self.is_known(subject, is_own) {
            return Ok(None);
        }
        // What this node says itself is no news to it.
        if !is_own {
            // The receiver lives as long as this handler does.
            let _ = self.heard.send(news);
        }
        Ok(Some(subject))
    }
}
