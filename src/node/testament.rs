//! What is to be sent once this process is dead: a release of everything it ever held.
//!
//! Whoever keeps a testament must be certain of the death. Then the voters may be told at once,
//! and nobody waits for a lease to run out. It names this very process, so a late copy releases
//! nothing of a later one.

use std::net::SocketAddr;

use super::NodeCore;
use crate::vocabulary::datagram::Addressee;
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::{Message, Release};

/// The number of a release that nobody waits to hear acknowledged. A living process counts its
/// requests from 1.
pub(super) const TESTAMENT_SEQUENCE: u64 = 0;

/// One datagram of a testament, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testament {
    /// The voter's address.
    pub to: SocketAddr,
    /// What to send there.
    pub datagram: Vec<u8>,
}

/// For whom the last testament was written.
#[derive(Debug, Default)]
pub(super) struct Heirs {
    voters: Vec<(Process, SocketAddr)>,
    withdrawn: bool,
}

impl NodeCore {
    /// The testament, whenever it differs from the last one: voters came, moved or restarted.
    /// An empty one means that nothing is left to release: the node has left by itself.
    pub fn poll_testament(&mut self) -> Option<Vec<Testament>> {
        if let Some(leaving) = &self.leaving {
            if !leaving.releases() {
                // What this process held, it still holds: whoever is certain of its death says so.
                return None;
            }
            let first = !self.heirs.withdrawn && !self.is_saying_farewell();
            self.heirs.withdrawn |= first;
            return first.then(Vec::new);
        }
        let voters: Vec<(Process, SocketAddr)> = self.other_voters();
        if voters == self.heirs.voters {
            return None;
        }
        let release = Release { holder: self.me, ballot: 0, all: true, nominee: None };
        let mut testament = Vec::with_capacity(voters.len());
        for (voter, address) in &voters {
            let message =
                Message::Release { sequence: TESTAMENT_SEQUENCE, release: release.clone() };
            let datagram = self.envelope(Addressee::process(*voter), *address, &message);
            testament.extend(datagram.map(|datagram| Testament { to: *address, datagram }));
        }
        self.heirs.voters = voters;
        Some(testament)
    }

    /// The testament is to be written anew: the keys changed.
    pub(super) fn revoke_testament(&mut self) {
        self.heirs.voters.clear();
    }

    fn other_voters(&self) -> Vec<(Process, SocketAddr)> {
        let Some(election) = &self.election else { return Vec::new() };
        let others = election.voter_processes().filter(|process| process.id != self.me.id);
        others
            .filter_map(|process| {
                let gossip = self.membership.address_of(process.id);
                let address = self.addresses.for_push(process.id, Some(process.boot), gossip)?;
                Some((process, address))
            })
            .collect()
    }

    fn is_saying_farewell(&self) -> bool {
        self.election.as_ref().is_some_and(crate::election::Election::is_saying_farewell)
    }
}
