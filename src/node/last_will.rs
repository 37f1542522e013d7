//! What is to be sent once this process is dead: a release of everything it ever held.
//!
//! Whoever keeps a last will must be certain of the death. Then the voters may be told at once,
//! and nobody waits for a lease to run out. It names this very process, so a late copy releases
//! nothing of a later one.

use std::net::SocketAddr;

use super::NodeCore;
use crate::vocabulary::datagram::Addressee;
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::{Message, Release};

/// The number of a release that nobody waits to hear acknowledged. A living process counts its
/// requests from 1.
pub(super) const LAST_WILL_SEQUENCE: u64 = 0;

/// One datagram of a last will, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWillDatagram {
    /// The voter's address.
    pub to: SocketAddr,
    /// What to send there.
    pub datagram: Vec<u8>,
}

/// For whom the newest one was written.
#[derive(Debug, Default)]
pub(super) struct LastWill {
    voters: Vec<(Process, SocketAddr)>,
    withdrawn: bool,
}

impl NodeCore {
    /// The last will, whenever it differs from the one before: voters came, moved or restarted.
    /// An empty one means that nothing is left to release: the node has left by itself.
    pub fn poll_last_will(&mut self) -> Option<Vec<LastWillDatagram>> {
        if let Some(leaving) = &self.leaving {
            if !leaving.releases() {
                // What this process held, it still holds: whoever is certain of its death says so.
                return None;
            }
            let first = !self.last_will.withdrawn && !self.is_saying_farewell();
            self.last_will.withdrawn |= first;
            return first.then(Vec::new);
        }
        let voters: Vec<(Process, SocketAddr)> = self.other_voters();
        if voters == self.last_will.voters {
            return None;
        }
        let release = Release { holder: self.me, ballot: 0, all: true, nominee: None };
        let mut last_will = Vec::with_capacity(voters.len());
        for (voter, address) in &voters {
            let message =
                Message::Release { sequence: LAST_WILL_SEQUENCE, release: release.clone() };
            let datagram = self.envelope(Addressee::process(*voter), *address, &message);
            last_will.extend(datagram.map(|datagram| LastWillDatagram { to: *address, datagram }));
        }
        self.last_will.voters = voters;
        Some(last_will)
    }

    /// The last will is to be written anew: the keys changed.
    pub(super) fn revoke_last_will(&mut self) {
        self.last_will.voters.clear();
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
