//! What is to be sent once this process is dead: a release of everything it ever held.
//!
//! Whoever keeps a last will must be certain of the death. Then the voters may be told at once,
//! and nobody waits for a lease to run out. It names this very process, so a late copy releases
//! nothing of a later one.

use std::net::SocketAddr;

use super::send::Sending;
use crate::vocabulary::identity::Process;
use crate::wire::datagram::Addressee;
use crate::wire::message::{Message, Release};

/// The number of a release that nobody waits to hear acknowledged. No living process uses it: its
/// numbers begin above a random one.
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

impl LastWill {
    /// Whether the voters differ from those for whom it was written last: they came, moved or
    /// restarted. Remembers these.
    pub(super) fn turns(&mut self, voters: &[(Process, SocketAddr)]) -> bool {
        let differs = voters != self.voters;
        if differs {
            self.voters = voters.to_vec();
        }
        differs
    }

    /// An empty one, once: nothing is left to release.
    pub(super) fn withdraw(&mut self) -> Option<Vec<LastWillDatagram>> {
        let first = !std::mem::replace(&mut self.withdrawn, true);
        first.then(Vec::new)
    }

    /// It is to be written anew: the keys changed.
    pub(super) fn revoke(&mut self) {
        self.voters.clear();
    }
}

/// One datagram for each of these voters.
pub(super) fn write(
    voters: &[(Process, SocketAddr)],
    sending: &mut Sending<'_>,
) -> Vec<LastWillDatagram> {
    let release = Release { holder: sending.me, ballot: 0, all: true, nominee: None };
    let message = Message::Release { sequence: LAST_WILL_SEQUENCE, release };
    let datagram = |(voter, address): &(Process, SocketAddr)| {
        let datagram = sending.envelope(Addressee::process(*voter), *address, &message)?;
        Some(LastWillDatagram { to: *address, datagram })
    };
    voters.iter().filter_map(datagram).collect()
}
