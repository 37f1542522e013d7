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

use crate::election::Election;
use crate::membership::Membership;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::wire::message::Message;

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

    /// What `sender` is to be told if its node is known to have had a later start, as `known`.
    pub(super) fn news_for(
        &mut self,
        sender: Process,
        known: Option<Boot>,
        now: HolderTime,
    ) -> Option<Message> {
        let known = known.filter(|known| *known != sender.boot)?;
        if known.start < sender.boot.start || mutant::is(Mutant::StartsOrderedByClock) {
            return None;
        }
        if self.told.get(&sender.id).is_some_and(|told| now.since(*told) < TOLD_INTERVAL) {
            return None;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(sender.id, now);
        Some(Message::LaterStart { start: known.start })
    }

    /// Somebody knows an earlier process of `me` with the start `told`. Returns the start that
    /// this process is to take, if it does: it must not have promised anything that it would have
    /// to stand by.
    pub(super) fn later(&mut self, me: Process, told: u64, is_idle: bool) -> Option<u64> {
        let is_later = (me.boot.start..START_MAX).contains(&told);
        if !is_later || !is_idle || self.advances >= ADVANCES_MAX {
            return None;
        }
        self.advances += 1;
        Some(told + 1)
    }
}

/// The latest start that is known of a process of this node, or of another node at the address from
/// which this one speaks: gossip holds one process at each address, the later one.
pub(super) fn known_boot(
    id: NodeId,
    from: SocketAddr,
    membership: &Membership,
    election: Option<&Election>,
) -> Option<Boot> {
    let gossip = membership.address_of(id).map(|(process, _)| process.boot);
    let before = membership.process_at(from).map(|process| process.boot);
    let voters = election.into_iter().flat_map(Election::voter_processes);
    let voter = voters.filter(|process| process.id == id).map(|process| process.boot);
    gossip.into_iter().chain(before).chain(voter).max()
}
