//! Letters that a script has an eye on: some are told in its story, some are lost, held back or
//! copied, each kind on each link for itself.
//!
//! Chance meets every order of letters sooner or later. A story about *one* late letter must
//! name it. Without rules, nothing here costs or changes anything.

use std::net::SocketAddr;
use std::rc::Rc;

use super::network::Packet;
use super::world::{Happening, Tale, World};
use crate::vocabulary::message::{AcquireKind, Message};

/// What a letter is for.
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
    Details,
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
            Message::DetailsQuery(_) | Message::DetailsReply(_) => Self::Details,
            _ => Self::Other,
        }
    }
}

/// What is done to a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It never arrives.
    Lose,
    /// It is kept until the script delivers it.
    Hold,
    /// It arrives, and a copy is kept.
    Copy,
}

/// What is to be done to which letters. Nodes are named by index; none means any.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Of this kind.
    pub kind: Kind,
    /// Of this node.
    pub from: Option<usize>,
    /// To this node.
    pub to: Option<usize>,
    /// What is done.
    pub deed: Deed,
}

/// A letter that is kept.
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
pub struct Postman {
    /// The first that fits counts.
    pub rules: Vec<Rule>,
    /// Letters of these kinds are told in the story.
    pub told: Vec<Kind>,
    /// What was held back or copied, oldest first.
    pub kept: Vec<Kept>,
}

impl Postman {
    /// What is to be done to a letter.
    fn deed(&self, from: usize, to: usize, packet: &Packet) -> Option<Deed> {
        if self.rules.is_empty() {
            return None;
        }
        let kind = Kind::of(packet.message()?);
        let fits = |rule: &&Rule| {
            let either = |named: Option<usize>, index| named.is_none_or(|named| named == index);
            rule.kind == kind && either(rule.from, from) && either(rule.to, to)
        };
        self.rules.iter().find(fits).map(|rule| rule.deed)
    }

    fn tells(&self, packet: &Packet) -> bool {
        !self.told.is_empty()
            && packet.message().is_some_and(|message| self.told.contains(&Kind::of(message)))
    }
}

impl World {
    /// Applies the script's rules to a letter of `from`. Returns whether it goes no further.
    pub(super) fn intercept(&mut self, from: usize, letter: &Kept) -> bool {
        let deed = self.postman.deed(from, letter.to, &letter.packet);
        if matches!(deed, Some(Deed::Hold | Deed::Copy)) {
            self.postman.kept.push(letter.clone());
        }
        let stays = matches!(deed, Some(Deed::Lose | Deed::Hold));
        if self.postman.tells(&letter.packet) {
            let (to, packet) = (letter.to, Rc::clone(&letter.packet));
            let fate = if self.network.is_cut(from, to) { Some(Deed::Lose) } else { deed };
            self.tell(Some(from), Tale::Letter { to, packet, fate });
        }
        stays
    }

    /// One kept letter arrives after `delay` nanoseconds, whatever the links are like.
    pub fn deliver_kept(&mut self, letter: &Kept, delay: u64) {
        let Kept { to, address, source, packet } = letter.clone();
        let arrival = Happening::Arrive { to, address, from: source, packet };
        self.schedule(self.now + delay, arrival);
    }
}
