//! What the tests of this module begin with: one voter of a small cluster.

use std::net::SocketAddr;
use std::time::Duration;

use super::voter::{Memory, VoterPast};
use super::{Election, ElectionSetup, Known};
use crate::vocabulary::configuration::{Configuration, Genesis, VoterSet};
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};
use crate::vocabulary::timing::{Profile, Timing};
use crate::wire::message::Founding;
use crate::wire::record::Vote;

pub(super) const WALL: u64 = 1000;

pub(super) fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

pub(super) fn process(id: NodeId, nonce: u64) -> Process {
    Process { id, boot: Boot { start: 1, nonce } }
}

pub(super) fn clocks(nanoseconds: u64, wall: u64) -> Now {
    let (holder, voter) = (HolderTime(nanoseconds), VoterTime(nanoseconds));
    Now { holder, voter, wall: WallTime(wall) }
}

/// A sound record that names `max_ballot`.
pub(super) fn remembered(max_ballot: u64) -> VoterPast {
    VoterPast::Remembered(Vote {
        max_ballot,
        max_holder: None,
        max_lease_in_force: Duration::ZERO,
        founding: Founding::Waited,
        lineage: None,
    })
}

/// Voter 1 of so many.
pub(super) fn voter_one(voters: u64, past: VoterPast) -> Election {
    let set = VoterSet::new((1..=voters).map(id).collect()).unwrap();
    let timing = Timing::of(Profile::Lan);
    let genesis = Genesis::new(set, false, &timing, false);
    let setup = ElectionSetup {
        me: process(id(1), 1),
        address: SocketAddr::from(([127, 0, 0, 1], 8000)),
        http: None,
        lease_max: genesis.lease_max,
        configuration: Configuration::genesis(genesis),
        memory: Memory::Kept,
        lineage: Known::default(),
        timing,
        first_term: 1,
        eligible: true,
        past,
        damaged: false,
        asks_first: Duration::ZERO,
        first_sequence: 0,
    };
    Election::new(setup, clocks(0, WALL))
}
