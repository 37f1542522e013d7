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
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp, Genesis, VoterSet};
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};
use crate::vocabulary::timing::Timing;
use crate::wire::datagram::Addressee;
use crate::wire::message::{Assurance, Join, Message, NakReason, Welcome};

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

/// What a cluster of these voters is founded with.
pub(super) fn genesis(voters: &VoterSet, timing: &Timing) -> Configuration {
    Configuration::genesis(Genesis::new(voters.clone(), false, timing, false))
}

/// An election of `me`, which knows this configuration.
pub(super) fn election(
    me: Process,
    configuration: Configuration,
    timing: &Timing,
    eligible: bool,
    past: VoterPast,
    now: Now,
) -> Election {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
    let timing = timing.clone();
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

/// A message that arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) from: Process,
    pub(super) to: Addressee,
    /// Under which configuration it was sent.
    pub(super) stamp: ConfigurationStamp,
    pub(super) message: &'a Message,
}

/// Hands a message over to `me`, as the envelope allows: to exactly this process, or, in a
/// Poll, to whichever process of the node lives. Returns what the node itself says to that: a
/// request for a grant that was meant for an earlier process is told so; and whoever meets a newer
/// configuration than its own asks for it.
pub(super) fn hand_over(
    election: &mut Election,
    me: Process,
    now: Now,
    arrival: Arrival<'_>,
) -> Option<Message> {
    let Arrival { from, to, stamp, message } = arrival;
    let is_meant = match (to.boot, message) {
        // What is asked of an address is answered by whoever is there.
        (_, Message::Join(_)) => return Some(welcome(election)),
        (Some(boot), Message::PollAck(_)) => {
            boot == me.boot || mutant::is(Mutant::EarlierBootsAnswersAccepted)
        }
        (Some(boot), _) => boot == me.boot,
        (None, _) => message.is_for_any_boot(),
    };
    if !is_meant {
        let refusal = message.refusal(NakReason::NewBoot { boot: me.boot });
        return refusal.filter(|_| to.boot.is_some()).map(Message::Nak);
    }
    if let Message::Welcome(welcome) = message {
        election.hear_configuration(now, &welcome.configuration);
        return None;
    }
    election.handle_message(now, from, stamp, message);
    let asks = election.is_newer(now, &stamp);
    asks.then(question)
}

/// Whoever meets a newer configuration than its own asks who votes.
pub(super) fn question() -> Message {
    Message::Join(Join { nonce: 0, padding: Vec::new(), ancestors: Vec::new() })
}

/// What a node answers that is asked who votes. Of the rest that a welcome says, nothing concerns
/// an election.
fn welcome(election: &Election) -> Message {
    let configuration = election.configuration().clone();
    let genesis = Genesis {
        voters: configuration.voters.clone(),
        preempt: configuration.preempt,
        lease_max: Duration::ZERO,
        ephemeral: false,
    };
    Message::Welcome(Box::new(Welcome {
        nonce: 0,
        member: Vec::new(),
        genesis,
        assurance: Assurance::Assumed,
        configuration,
        voters: Vec::new(),
        goose: None,
        ancestors: Vec::new(),
    }))
}
