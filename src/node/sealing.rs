//! The node's side of sealing: its keys, its nonces, and what it has taken in before.
//!
//! A captured datagram that is sent again must change nothing. Three things see to that:
//! almost every datagram is addressed to one boot, so what an earlier process received is
//! refused by a later one; of what is addressed to this boot, each number of each sender is
//! taken in once; and of what is addressed to whoever the node is now, a Join is only
//! answered, and a Poll counts as one of a contender only if it echoes a token of this boot
//! (see [`super::proof`]).

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use crate::node::setup::Setup;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::reject::Reject;
use crate::wire::datagram::{DATAGRAM_SIZE_MAX, Header};
use crate::wire::message::{Message, Poll};
use crate::wire::seal::{KeyRing, NONCE_SIZE, Opened, Windows};

/// Keys and what goes with them.
#[derive(Debug)]
pub(super) struct Sealing {
    keys: Option<KeyRing>,
    random: ChaCha8Rng,
    last_number: u64,
    windows: Windows,
}

impl Sealing {
    pub(super) fn new(setup: &Setup) -> Self {
        let mut seed = setup.entropy;
        // Another stream than those that draw the boot and the questions.
        seed[0] ^= 0x5e;
        Self {
            keys: setup.keys.clone(),
            random: ChaCha8Rng::from_seed(seed),
            last_number: 0,
            windows: Windows::default(),
        }
    }

    pub(super) fn keys(&self) -> Option<&KeyRing> {
        self.keys.as_ref()
    }

    pub(super) fn table(&self) -> TableSize {
        self.windows.table()
    }

    /// What goes out in place of `plain`; none if it would be too long.
    pub(super) fn seal(&mut self, plain: Vec<u8>) -> Option<Vec<u8>> {
        let Some(keys) = &self.keys else {
            return Some(plain).filter(|plain| plain.len() <= DATAGRAM_SIZE_MAX);
        };
        let mut nonce = [0; NONCE_SIZE];
        self.random.fill_bytes(&mut nonce);
        self.last_number += 1;
        keys.seal(nonce, self.last_number, &plain).ok()
    }

    /// From here on the first of `keys` seals and all of them open; those of before are
    /// forgotten.
    pub(super) fn rotate(&mut self, keys: KeyRing) {
        self.keys = Some(keys);
    }

    /// Refuses what was taken in before. Only what is meant for `me` uses up its number:
    /// otherwise datagrams to others, sent here by a stranger, could.
    pub(super) fn refuse_repeated(
        &mut self,
        me: NodeId,
        header: &Header,
        message: &Message,
        opened: Option<&Opened>,
    ) -> Result<(), Reject> {
        let is_meant = header.addressee.id.is_none_or(|id| id == me);
        let Some(opened) = opened.filter(|_| is_meant && !message.may_be_repeated()) else {
            return Ok(());
        };
        if self.windows.admit(header.sender, opened.number) {
            Ok(())
        } else {
            Err(Reject::Replayed)
        }
    }

    /// A sealed Poll that was perhaps made for an earlier boot of this node is answered, but
    /// makes nobody a contender: its sender may be long dead. The next one of a living sender
    /// echoes the token that comes with the answer. `is_fresh`: whether its sender has received
    /// something of this boot.
    pub(super) fn disarmed(&self, message: Message, is_fresh: impl FnOnce() -> bool) -> Message {
        match message {
            Message::Poll(poll) if self.keys.is_some() && !is_fresh() => {
                Message::Poll(Poll { quorum_connected: false, eligible: false, ..poll })
            }
            other => other,
        }
    }
}
