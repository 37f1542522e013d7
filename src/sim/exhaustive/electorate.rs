//! Elections as bare values: what the node puts around them, and no more.
//!
//! For the checks that go through *every* case of something and so cannot afford whole nodes.
//! There is no membership here (who is in sight is told by hand), no bytes and no addresses:
//! a message is handed over as a value, under the one rule of the envelope that the election
//! relies on, which is for whom it is meant.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::election::voter::{Memory, VoterPast};
use crate::election::{Election, ElectionSetup, Known};
use crate::vocabulary::configuration::{Configuration, Genesis, VoterSet};
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};
use crate::vocabulary::timing::Timing;
use crate::wire::datagram::Addressee;
use crate::wire::message::{Message, Nak, NakReason, PROBE_BALLOT};

/// All clocks of a world whose true time is `nanoseconds`, with a wall clock that began at
/// `wall` milliseconds.
pub(super) fn clocks(nanoseconds: u64, wall: u64) -> Now {
    Now {
        holder: HolderTime(nanoseconds),
        voter: VoterTime(nanoseconds),
        wall: WallTime(wall + nanoseconds / 1_000_000),
    }
}

/// The `start`-th process of node `id`.
pub(super) fn process(id: NodeId, start: u64) -> Process {
    Process { id, boot: Boot { start, nonce: id.number() * 1000 + start } }
}

/// An election of `me`, by the genesis configuration of `voters`.
pub(super) fn election(
    me: Process,
    voters: &VoterSet,
    timing: &Timing,
    eligible: bool,
    past: VoterPast,
    now: Now,
) -> Election {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
    let genesis = Genesis::new(voters.clone(), false, timing, false);
    let (configuration, timing) = (Configuration::genesis(genesis), timing.clone());
    let setup = ElectionSetup {
        me,
        address,
        http: None,
        configuration,
        // What is waited out need be no longer than what is granted here.
        lease_max: timing.lease_max,
        memory: Memory::Kept,
        // Which founding it is concerns no rule that is explored here.
        lineage: Known { settled: None, is_nameless: true },
        timing,
        first_term: 1,
        eligible,
        past,
        damaged: false,
        asks_first: Duration::ZERO,
        first_sequence: 0,
    };
    Election::new(setup, now)
}

/// Hands a message over to `me`, as the envelope allows: to exactly this process, or, in a
/// Poll, to whichever process of the node lives. Returns the answer that the envelope itself
/// gives: a request for a grant that was meant for an earlier process is told so.
pub(super) fn hand_over(
    election: &mut Election,
    me: Process,
    now: Now,
    from: Process,
    to: Addressee,
    message: &Message,
) -> Option<Message> {
    match to.boot {
        Some(boot) if boot == me.boot => {}
        None if matches!(message, Message::Poll(_)) => {}
        Some(_)
            if mutant::is(Mutant::EarlierBootsAnswersAccepted)
                && matches!(message, Message::PollAck(_)) => {}
        Some(_) => {
            let asked = match message {
                Message::Acquire(acquire) => Some((acquire.sequence, acquire.ballot)),
                Message::Probe { sequence } => Some((*sequence, PROBE_BALLOT)),
                _ => None,
            };
            let reason = NakReason::NewBoot { boot: me.boot };
            return asked.map(|(sequence, ballot)| Message::Nak(Nak { sequence, ballot, reason }));
        }
        None => return None,
    }
    // Nobody changes who votes here, so all act under one configuration.
    let stamp = election.configuration().stamp();
    election.handle_message(now, from, stamp, message);
    None
}
