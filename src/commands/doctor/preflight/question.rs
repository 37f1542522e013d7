//! The question that a preflight asks over UDP, and what comes back.
//!
//! It is the question of every joiner ([`Message::Join`]), from the node's own id, of a process that
//! counts as older than any that ever ran: nobody takes it for a start of the node. It changes nothing
//! where it is answered. The envelope carries a token, and echoes the one that came: whoever sends back
//! this one's token has received it.

use std::net::SocketAddr;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use crate::config::checked::Checked;
use crate::vocabulary::configuration::ConfigurationStamp;
use crate::vocabulary::identity::{Boot, Process};
use crate::vocabulary::reject::Reject;
use crate::wire::datagram::{self, Addressee, DATAGRAM_SIZE_MAX, Header};
use crate::wire::message::{Join, Message, Welcome};
use crate::wire::seal::{self, KeyRing, NONCE_SIZE, SEAL_SIZE};

/// Below every start that a node draws.
const START: u64 = 1;
/// As long as a joiner's question is.
const PADDING: usize = 400;

/// What a datagram from a peer says to whoever only asks.
#[derive(Debug)]
pub(super) enum Heard {
    /// A running node answers this question.
    Welcome {
        /// What it says.
        welcome: Box<Welcome>,
        /// Who it is.
        sender: Process,
        /// Whether it answers the one of full size.
        is_full_size: bool,
    },
    /// Somebody who knows no cluster asks the same, of this cluster or of another one.
    Question {
        /// Whether it has received what was sent from here.
        echoes: bool,
        /// Whether it is of this cluster.
        is_akin: bool,
        /// To be echoed.
        token: u32,
    },
    /// It cannot be understood.
    Refused(Reject),
    /// Something else of this protocol.
    Other,
}

/// Makes the questions of one preflight, and understands the answers.
pub(super) struct Questions {
    random: ChaCha8Rng,
    keys: Option<KeyRing>,
    header: Header,
    nonce: u64,
    number: u64,
}

impl Questions {
    pub(super) fn new(checked: &Checked, entropy: [u8; 32]) -> Self {
        let mut random = ChaCha8Rng::from_seed(entropy);
        let boot = Boot { start: START, nonce: random.next_u64() };
        let header = Header {
            cluster: checked.setup.cluster.digest(),
            genesis: 0,
            lineage: None,
            sender: Process { id: checked.setup.id, boot },
            addressee: Addressee { id: None, boot: None },
            configuration: ConfigurationStamp::default(),
            token: random.next_u32().max(1),
            echo: 0,
            leader_freshness: None,
        };
        // The two questions have numbers that follow each other.
        let nonce = random.next_u64() & !1;
        Self { random, keys: checked.setup.keys.clone(), header, nonce, number: 0 }
    }

    /// A question to whoever lives at an address, as long as a joiner's or as long as a datagram may be;
    /// `echo` is what came from there.
    pub(super) fn ask(&mut self, is_full_size: bool, echo: u32) -> Option<Vec<u8>> {
        let header = Header { echo, ..self.header.clone() };
        let join = |padding| {
            let nonce = self.nonce | u64::from(is_full_size);
            Message::Join(Join { nonce, padding: vec![0; padding], ancestors: Vec::new() })
        };
        let seal = if self.keys.is_some() { SEAL_SIZE } else { 0 };
        let usual = datagram::encode(&header, &join(PADDING)).ok()?;
        let plain = if is_full_size {
            let more = (DATAGRAM_SIZE_MAX - seal).checked_sub(usual.len())?;
            datagram::encode(&header, &join(PADDING + more)).ok()?
        } else {
            usual
        };
        let Some(keys) = &self.keys else { return Some(plain) };
        self.number += 1;
        let nonce: [u8; NONCE_SIZE] = self.random.random();
        keys.seal(nonce, self.number, &plain).ok()
    }

    /// What came from a peer.
    pub(super) fn understand(&self, datagram: &[u8]) -> Heard {
        let opened = match seal::open(self.keys.as_ref(), datagram) {
            Ok(opened) => opened,
            Err(reject) => return Heard::Refused(reject),
        };
        let plain = opened.as_ref().map_or(datagram, |opened| opened.plain());
        match datagram::decode(plain) {
            Err(reject) => Heard::Refused(reject),
            Ok((header, Message::Welcome(welcome))) if welcome.nonce | 1 == self.nonce | 1 => {
                let is_full_size = welcome.nonce != self.nonce;
                Heard::Welcome { welcome, sender: header.sender, is_full_size }
            }
            Ok((header, Message::Join(_))) => Heard::Question {
                echoes: header.echo == self.header.token,
                is_akin: header.cluster == self.header.cluster,
                token: header.token,
            },
            Ok(_) => Heard::Other,
        }
    }
}

/// Whether an answer can come from `address`: a socket of one family hears nothing of the other.
pub(super) fn is_within_reach(own: SocketAddr, address: SocketAddr) -> bool {
    own.is_ipv4() == address.is_ipv4()
}
