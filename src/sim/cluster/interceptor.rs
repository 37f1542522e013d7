//! Messages that a script has an eye on: some are told in its story, some are lost, held back or
//! copied, each kind on each link for itself.
//!
//! Chance meets every order of messages sooner or later. A story about *one* late message must
//! name it. Without rules, nothing here costs or changes anything.

use std::net::SocketAddr;
use std::rc::Rc;

use super::network::Packet;
use crate::vocabulary::message::{AcquireKind, Message};

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A contender asks how a voter stands.
    Poll,
    /// The answer.
    PollAck,
    /// A contender asks for a first grant.
    Claim,
    /// A holder asks for more.
    Renewal,
    /// A voter grants.
    Grant,
    /// A voter refuses.
    Refusal,
    /// A holder gives up, or somebody says so for the dead.
    Release,
    /// A Goose tells its nominee.
    Handover,
    /// A voter says that its vote is free.
    Vacancy,
    /// A member asks for details of others, or answers.
    Metadata,
    /// All others.
    Other,
}

impl Kind {
    /// The kind of a message.
    pub fn of(message: &Message) -> Self {
        match message {
            Message::Poll(_) => Self::Poll,
            Message::PollAck(_) => Self::PollAck,
            Message::Acquire(acquire) if acquire.kind == AcquireKind::Claim => Self::Claim,
            Message::Acquire(_) => Self::Renewal,
            Message::Grant(_) => Self::Grant,
            Message::Nak(_) => Self::Refusal,
            Message::Release { .. } => Self::Release,
            Message::Handover(_) => Self::Handover,
            Message::Vacant(_) => Self::Vacancy,
            Message::MetadataQuery(_) | Message::MetadataReply(_) => Self::Metadata,
            Message::Gossip(_)
            | Message::Join(_)
            | Message::Welcome(_)
            | Message::Probe { .. }
            | Message::ProbeAck { .. }
            | Message::ReleaseAck { .. }
            | Message::Announce(_)
            | Message::LaterStart { .. } => Self::Other,
        }
    }
}

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interception {
    /// It never arrives.
    Lose,
    /// It is kept until the script delivers it.
    Hold,
    /// It arrives, and a copy is kept.
    Copy,
}

/// What is to be done to which messages. Nodes are named by index; none means any.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Of this kind.
    pub kind: Kind,
    /// Of this node.
    pub from: Option<usize>,
    /// To this node.
    pub to: Option<usize>,
    /// What is done.
    pub interception: Interception,
}

/// A message that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// To which node.
    pub to: usize,
    /// At which address.
    pub address: SocketAddr,
    /// From which address.
    pub source: SocketAddr,
    /// What.
    pub packet: Rc<Packet>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Interceptor {
    /// The first that fits counts.
    pub rules: Vec<Rule>,
    /// Messages of these kinds are told in the story.
    pub told: Vec<Kind>,
    /// What was held back or copied, oldest first.
    pub kept: Vec<Kept>,
}

impl Interceptor {
    /// What is to be done to a message.
    pub(super) fn interception(
        &self,
        from: usize,
        to: usize,
        packet: &Packet,
    ) -> Option<Interception> {
        if self.rules.is_empty() {
            return None;
        }
        let kind = Kind::of(packet.message()?);
        let fits = |rule: &&Rule| {
            let either = |named: Option<usize>, index| named.is_none_or(|named| named == index);
            rule.kind == kind && either(rule.from, from) && either(rule.to, to)
        };
        self.rules.iter().find(fits).map(|rule| rule.interception)
    }

    pub(super) fn tells(&self, packet: &Packet) -> bool {
        !self.told.is_empty()
            && packet.message().is_some_and(|message| self.told.contains(&Kind::of(message)))
    }
}
