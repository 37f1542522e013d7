//! Messages that a script has an eye on: some are told in its story, some are lost, held back or
//! copied, each kind on each link for itself.
//!
//! Chance meets every order of messages sooner or later. A story about *one* late message must
//! name it. Without rules, nothing here costs or changes anything.

use std::net::SocketAddr;
use std::rc::Rc;

use super::network::Packet;
pub use crate::wire::message::Kind;

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
        let kind = packet.message()?.kind();
        let fits = |rule: &&Rule| {
            let either = |named: Option<usize>, index| named.is_none_or(|named| named == index);
            rule.kind == kind && either(rule.from, from) && either(rule.to, to)
        };
        self.rules.iter().find(fits).map(|rule| rule.interception)
    }

    pub(super) fn tells(&self, packet: &Packet) -> bool {
        !self.told.is_empty()
            && packet.message().is_some_and(|message| self.told.contains(&message.kind()))
    }
}
