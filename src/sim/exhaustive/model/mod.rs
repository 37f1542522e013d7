//! The real election code as a finite state machine, for a model checker to go through.
//!
//! A [`State`] is up to five nodes, each a real [`Election`](crate::election::Election) on
//! a disk of its own, and the messages between them. An [`Action`] is one thing that may happen
//! next: a message arrives, or is lost, or arrives and stays under way; one node's next timer
//! comes; a write ends, well or badly; a process crashes and starts again on what its disk
//! remembers, or on an empty one; a Goose steps down, or is told who is to vote. The checker tries
//! all of them in every order. This module knows no checker: it says what may happen, does it, and
//! judges.
//!
//! # What is modelled
//!
//! * Any order, delay and loss of messages, and repeats within [`Bounds`]. No message is lost
//!   that would not also be free to stay under way for ever, which is the same thing.
//! * Stalls: any node's timer may be the next to come, however overdue the others' are.
//! * Clocks at their bound, always: every holder's runs 0.5 % slow and every voter's 0.5 %
//!   fast, which is the worst case for a lease.
//! * Disks: a write ends whenever the checker likes; a crash meanwhile leaves the old record
//!   or the new one. Newer changes replace what still waits to be written.
//! * Founding from empty disks, restarts in the midst of it, and emptied disks.
//! * Handing over, with the certificate that the nominee attaches to its claim, and claims that
//!   come late with it. `tests/core/model.rs` puts mutants into the certificates and sees them
//!   found: one that ends a newer grant, one that ends another's, one whose issuer goes on acting.
//! * Voters that change ([`Bounds::goals`]): nodes that are to vote and learn, voters that go and
//!   come back, a Goose that is cut off the moment it makes a configuration, claimants under an older
//!   one. Whoever meets a newer configuration than its own asks its sender, and that takes messages
//!   like all others. A record keeps the configuration beside the vote, and both reach the disk at
//!   once or not at all.
//!
//! # What is not
//!
//! * Time moves only from timer to timer, so a message arrives at the instant of some timer of
//!   some node and not between. The margin of a lease is 20 ms and all spans of the model's
//!   timing are multiples of 50 ms, so what is missed lies well inside.
//! * More than the given number of messages under way (the newest is lost then), of repeats,
//!   crashes, and steps of time. Announcements are always lost, which are advice only, and so
//!   are polls of founded never-goose nodes.
//! * In stories of exchanges ([`state`]): orders within one exchange, messages of the others to
//!   each other meanwhile, and late messages beyond [`Bounds::holds`].
//! * Membership (everybody sees everybody; gossip tells nobody who votes), the checks that an order
//!   goes through before the election hears of it, suspend, wall clocks that jump, and twins.
//! * Luck: the backoff after a failed claim is drawn from a stream that the boot names.
//!
//! States are told apart by [`fingerprint()`]: clock readings count relative to now, so
//! what happens later is the same state, and numbers that are only compared count by their
//! rank. Ballots count as they are: a claim adds one to the highest, so that gaps matter.
//!
//! # What must hold
//!
//! [`Broken`] lists it, in every state: I1, I2, I3, I5, I6 and I13 are judged from outside, in true
//! time and by what is on the disk; I4, I5 and I8 are assertions of the code itself, and one
//! that fails is a finding like any other.
//!
//! # Bounds
//!
//! There is no limit of depth: waits, crashes and all the rest are counted, part of the state,
//! and limited, and that makes the space finite. `tests/core/checker/plays.rs` names the plays with
//! their bounds; `examples/model.rs` runs them and others.

pub mod action;
pub mod breaks;
pub mod broken;
mod choices;
mod fingerprint;
mod judge;
mod node;
pub mod openings;
pub mod state;

pub use action::Action;
pub use breaks::Break;
pub use broken::Broken;
pub use choices::{actions, tell};
pub use fingerprint::fingerprint;
pub use openings::{Opening, open};
pub use state::State;

use std::time::Duration;

use crate::vocabulary::timing::Timing;

/// What the checker goes through: where it begins and how often each fault may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many nodes do not vote at the founding: the lowest, with ids from 1.
    pub newcomers: u64,
    /// How many found the cluster, with the ids above.
    pub voters: u64,
    /// How many of all nodes, the highest, may become Goose; the others are never-goose.
    pub contenders: u64,
    /// Where it begins.
    pub opening: Opening,
    /// The most messages under way at once; what is sent beyond is lost.
    pub envelopes: usize,
    /// How often a message arrives and stays under way.
    pub repeats: u32,
    /// How often time moves on to some node's next timer.
    pub waits: u32,
    /// How often a process crashes and starts again.
    pub crashes: u32,
    /// How often it finds its disk emptied then.
    pub wipes: u32,
    /// How often a write fails.
    pub failures: u32,
    /// How often a Goose steps down in favour of another node, leaves, or just steps down.
    pub step_downs: u32,
    /// Whether writes take time. If not, they are done at once.
    pub slow_disks: bool,
    /// Whether notices of vacancy arrive at all. If not, contenders learn from polls alone.
    pub notices: bool,
    /// Whether polls, probes and releases are answered before anything else happens, or never
    /// arrive. If not, they and their answers are under way like all other messages.
    pub brisk: bool,
    /// Whether what follows from a step happens at once, over whichever links are up, so that a
    /// step is a whole exchange. If not, every message is a step of its own.
    pub bursts: bool,
    /// How often messages stay under way in a burst instead of being lost.
    pub holds: u32,
    /// Whether a link may carry messages one way only, in a burst.
    pub one_way: bool,
    /// Whom a Goose may be told to lead to, by their ids.
    pub goals: &'static [&'static [u64]],
    /// How often a Goose is told to, in bursts.
    pub orders: u32,
    /// Whether all but the highest node run on a shorter lease, and so record less by themselves.
    pub mixed: bool,
    /// A rule that the world breaks, to see whether the judges find it.
    pub broken: Break,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            newcomers: 0,
            voters: 3,
            contenders: 2,
            opening: Opening::Founded,
            envelopes: 6,
            repeats: 0,
            waits: 3,
            crashes: 0,
            wipes: 0,
            failures: 0,
            step_downs: 0,
            slow_disks: false,
            notices: false,
            brisk: true,
            bursts: false,
            holds: 0,
            one_way: true,
            goals: &[],
            orders: 0,
            mixed: false,
            broken: Break::None,
        }
    }
}

impl Bounds {
    /// In one line, for reports.
    pub fn describe(&self) -> String {
        let Self { voters, contenders, opening, envelopes, repeats, waits, crashes, .. } = self;
        let opening = match opening {
            Opening::Founding => "empty disks",
            Opening::Founded => "founded, nobody leads",
            Opening::Reign => "somebody leads",
            Opening::Orphaned => "the Goose is gone",
            Opening::Replaced => "somebody leads other voters, one was away",
        };
        let Self { wipes, failures, step_downs, slow_disks, notices, holds, orders, .. } = self;
        let changes = match (self.newcomers, orders) {
            (0, 0) => String::new(),
            (newcomers, orders) => {
                format!("{newcomers} newcomers, {orders} orders of {:?}, ", self.goals)
            }
        };
        let disks = if *slow_disks { "slow" } else { "instant" };
        let heard = if *notices { "heard" } else { "lost" };
        let steps = match (self.bursts, self.brisk) {
            (true, _) => format!("whole exchanges, {holds} of them held back"),
            (false, true) => "messages, but polls answered at once".to_owned(),
            (false, false) => "messages".to_owned(),
        };
        format!(
            "{voters} voters, {contenders} contenders, {changes}{opening}, at most {envelopes} messages, \
             {waits} waits, {repeats} repeats, {crashes} crashes, {wipes} wipes, \
             {failures} failed writes, {step_downs} step-downs, {disks} disks, notices {heard}; \
             steps are {steps}"
        )
    }
}

/// The timing of the model: few points in time, and all that the rules need between them.
pub fn timing() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        lease: millis(300),
        claim_lease: millis(200),
        renew_interval: millis(100),
        standby_interval: millis(100),
        deference: millis(50),
        retransmit: millis(100),
        lease_max: millis(300),
        probe_period: millis(200),
        probe_round_trip: millis(80),
    }
}

/// The same with a shorter lease of one's own; longer ones are granted all the same.
pub(super) fn short_timing() -> Timing {
    Timing { lease: Duration::from_millis(200), ..timing() }
}
