//! Which process of a node is the later one.
//!
//! Gossip orders the processes of a node by their start numbers, and the numbers of a node
//! without a record come from its clock. Where that is behind, its process would be taken for an
//! earlier one for as long as the clock is behind. So whoever hears of a process that is older by
//! its number than the one it knows says so, to exactly that process, and to where it came from.
//! Only a living process is reached so. If it has promised nothing yet that it would have to stand
//! by, it takes a number above the one it is told, and begins anew under that name.
//!
//! Two living processes of one id would go on overtaking each other: each does so a few times only,
//! and none that leads, claims, or has its vote given away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::NodeCore;
use crate::membership::Membership;
use crate::membership::identity::MemberIdentity;
use crate::vocabulary::datagram::{Addressee, Header};
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::message::Message;
use crate::vocabulary::metadata::Metadata;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{HolderTime, Now};

/// A process is told of a later start this often at most.
const TOLD_INTERVAL: Duration = Duration::from_millis(100);
/// The most nodes whose last telling is remembered.
const TOLD_MAX: usize = 1024;
/// A process takes a later start this often at most.
const ADVANCES_MAX: u32 = 3;
/// No clock shows as many milliseconds: a start from there on is not believed.
const START_MAX: u64 = 1 << 53;

/// Whom this node told, and how often it was told itself.
#[derive(Debug, Default)]
pub(super) struct Starts {
    told: BTreeMap<NodeId, HolderTime>,
    advances: u32,
}

impl Starts {
    pub(super) fn table(&self) -> TableSize {
        TableSize { name: "told of later starts", size: self.told.len(), size_max: TOLD_MAX }
    }

    fn may_tell(&mut self, id: NodeId, now: HolderTime) -> bool {
        if self.told.get(&id).is_some_and(|told| now.since(*told) < TOLD_INTERVAL) {
            return false;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(id, now);
        true
    }
}

impl NodeCore {
    /// Tells whoever sent this if its node is known to have had a later start.
    pub(super) fn tell_later_start(&mut self, now: Now, from: SocketAddr, sender: Process) {
        let known = self.known_boot(sender.id);
        let Some(known) = known.filter(|known| *known != sender.boot) else { return };
        if known.start < sender.boot.start || mutant::is(Mutant::StartsOrderedByClock) {
            return;
        }
        if self.starts.may_tell(sender.id, now.holder) {
            let message = Message::LaterStart { start: known.start };
            self.transmit(Addressee::process(sender), from, &message);
        }
    }

    /// The process of a node with the latest start that is known.
    fn known_boot(&self, id: NodeId) -> Option<Boot> {
        let gossip = self.membership.address_of(id).map(|(process, _)| process.boot);
        let voters = self.election.iter().flat_map(|election| election.voter_processes());
        let voter = voters.filter(|process| process.id == id).map(|process| process.boot);
        gossip.into_iter().chain(voter).max()
    }

    /// Somebody knows an earlier process of this node with a later start.
    pub(super) fn hear_later_start(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        start: u64,
    ) {
        // Whoever sent this must have received something of this process.
        let is_proven = header.echo == self.proofs.token(from);
        let is_later = (self.me.boot.start..START_MAX).contains(&start);
        let may_advance = self.starts.advances < ADVANCES_MAX && self.leaving.is_none();
        let is_idle = self.election.as_ref().is_none_or(|election| election.is_idle());
        if !(is_proven && is_later && may_advance && is_idle) {
            return;
        }
        self.starts.advances += 1;
        self.me.boot.start = start + 1;
        self.persistence.note_start(self.me.boot.start);
        let identity = MemberIdentity::new(self.me, self.setup.address, self.setup.eligible);
        self.membership = Membership::new(identity, &self.setup.timing, self.joining.entropy());
        self.membership.describe(Metadata { http: self.setup.http, tags: self.setup.tags.clone() });
        self.begin_election_anew(now);
        self.event(Event::TookLaterStart { process: self.me });
        let nonce = self.seeding.question();
        self.ask(from, nonce);
    }
}
