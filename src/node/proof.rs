//! Who receives at the address that its datagrams claim to come from.
//!
//! Source addresses are forged easily, and a node that answers a short question at length is
//! a weapon against whoever is named as its source. So, as in QUIC (RFC 9000, 8.1): every
//! datagram carries a token that depends on its destination, its receiver echoes the token of
//! the last one, and whoever echoes no valid token gets at most three times as many bytes as
//! it sent. Whoever knows no token yet pads what it sends, so that nothing honest is lost.
//!
//! Nothing is kept of strangers: a token is recomputed from a secret of this boot.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::node::setup::Setup;
use crate::vocabulary::hash::keyed_hash;
use crate::vocabulary::identity::{Boot, NodeId};
use crate::vocabulary::inspection::TableSize;
use crate::wire::datagram::{Addressee, Header};

/// An answer to an unproven source is at most this many times as large as its question.
const AMPLIFICATION_MAX: usize = 3;
/// What is sent to a stranger is padded to this many bytes, before it is sealed: a third of
/// the largest answer that gossip gives.
const QUESTION_SIZE: usize = 450;
/// The most nodes whose tokens are kept.
const TOKENS_MAX: usize = 8192;

/// Tokens given and taken.
#[derive(Debug)]
pub(super) struct Proofs {
    secret: [u8; 16],
    heard: BTreeMap<NodeId, (Boot, u32)>,
    /// The unproven source whose datagram is being handled, and how many bytes it may get yet.
    allowance: Option<(SocketAddr, usize)>,
}

impl Proofs {
    pub(super) fn new(setup: &Setup) -> Self {
        let key = |half: u8| {
            let mut text = setup.entropy.to_vec();
            text.push(half);
            keyed_hash(b"secret of tokens", &text).to_le_bytes()
        };
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&key(0));
        secret[8..].copy_from_slice(&key(1));
        Self { secret, heard: BTreeMap::new(), allowance: None }
    }

    pub(super) fn table(&self) -> TableSize {
        TableSize { name: "tokens", size: self.heard.len(), size_max: TOKENS_MAX }
    }

    /// What to send to this address for it to echo. Never 0.
    pub(super) fn token(&self, address: SocketAddr) -> u32 {
        let mut bytes = [0; 18];
        match address.ip() {
            IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes[..16].copy_from_slice(&ip.octets()),
        }
        bytes[16..].copy_from_slice(&address.port().to_le_bytes());
        let hash = keyed_hash(&self.secret, &bytes).to_le_bytes();
        u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]).max(1)
    }

    /// The last token of whom this is for; 0 if none is known.
    pub(super) fn echo(&self, to: Addressee) -> u32 {
        let heard = to.id.and_then(|id| self.heard.get(&id));
        let heard = heard.filter(|(boot, _)| to.boot.is_none_or(|meant| meant == *boot));
        heard.map_or(0, |(_, token)| *token)
    }

    /// Notes what a datagram of `size` bytes shows of its sender.
    pub(super) fn meet(&mut self, header: &Header, from: SocketAddr, size: usize) {
        let proven = header.echo == self.token(from);
        self.allowance = (!proven).then_some((from, size * AMPLIFICATION_MAX));
        if header.token != 0 {
            if self.heard.len() >= TOKENS_MAX {
                // Whoever still speaks says its token again.
                self.heard.clear();
            }
            self.heard.insert(header.sender.id, (header.sender.boot, header.token));
        }
    }

    /// Whether the sender of this has received something of this boot, at one of these places.
    pub(super) fn is_fresh(
        &self,
        header: &Header,
        mut places: impl Iterator<Item = SocketAddr>,
    ) -> bool {
        places.any(|address| self.token(address) == header.echo)
    }

    /// The datagram is handled, with all that followed from it.
    pub(super) fn part(&mut self) {
        self.allowance = None;
    }

    /// Whether the addressee may not believe us yet, and is not the one that is being answered.
    pub(super) fn is_unknown(&self, to: Addressee, address: SocketAddr) -> bool {
        let is_answering = self.allowance.is_some_and(|(source, _)| source == address);
        self.echo(to) == 0 && !is_answering
    }

    /// The source of a datagram of `size` bytes that could not be read has proved nothing.
    pub(super) fn meet_unread(&mut self, from: SocketAddr, size: usize) {
        self.allowance = Some((from, size * AMPLIFICATION_MAX));
    }

    /// Whether so many bytes could be sent there now.
    pub(super) fn admits(&self, address: SocketAddr, size: usize) -> bool {
        let bound = self.allowance.filter(|(source, _)| *source == address);
        bound.is_none_or(|(_, left)| size <= left)
    }

    /// Whether so many bytes may be sent there; they count.
    pub(super) fn allows(&mut self, address: SocketAddr, size: usize) -> bool {
        match &mut self.allowance {
            Some((source, left)) if *source == address => match left.checked_sub(size) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
            _ => true,
        }
    }
}

/// Lengthens a datagram to what earns the largest answer.
pub(super) fn pad(datagram: &mut Vec<u8>) {
    if datagram.len() < QUESTION_SIZE {
        datagram.resize(QUESTION_SIZE, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs() -> Proofs {
        Proofs { secret: [7; 16], heard: BTreeMap::new(), allowance: None }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_belongs_to_one_address_and_one_boot() {
        let (here, there) = (address("10.0.0.1:8000"), address("10.0.0.1:8001"));
        assert_eq!(proofs().token(here), proofs().token(here));
        assert_ne!(proofs().token(here), proofs().token(there));
        let later = Proofs { secret: [8; 16], ..proofs() };
        assert_ne!(proofs().token(here), later.token(here));
    }

    #[test]
    fn an_allowance_is_used_up_and_concerns_one_address() {
        let (asker, other) = (address("10.0.0.1:8000"), address("10.0.0.2:8000"));
        let mut proofs = Proofs { allowance: Some((asker, 300)), ..proofs() };
        assert!(proofs.allows(other, 1232));
        assert!(!proofs.allows(asker, 301));
        assert!(proofs.allows(asker, 200) && proofs.allows(asker, 100));
        assert!(!proofs.allows(asker, 1));
        proofs.part();
        assert!(proofs.allows(asker, 1232));
    }
}
