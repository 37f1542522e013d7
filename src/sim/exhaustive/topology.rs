//! Every way in which three contenders can reach three voters, and who leads then.
//!
//! The three voters (1, 2, 3) and the three contenders (11, 12, 13) are six different nodes:
//! the voters are never-goose, so that no contender has a vote of its own that it always
//! reaches. Each of the nine pairs has two links, one for each direction, so a topology is 18
//! bits. Voters reach each other, and so do contenders; in a succession, so did the Goose that
//! died. The election is the real one; delays are constant (0.5 ms one way, 0.1 ms for a
//! write), nothing is lost but on cut links, and every clock is right.
//!
//! A Goose is **possible** if some contender has two-way links to a majority of the voters,
//! which is to 2 of the 3. The **right winner** is the highest such contender. What must be:
//!
//! * never two Geese, at any instant of the whole run, and no term for two of them;
//! * if a Goose is possible, one at every instant from [`BOUND`] after the vacancy on (a
//!   *missing* Goose otherwise); if none is possible, none ever after;
//! * the right winner, and nobody else. At zero loss deference is no mere best effort: whoever
//!   reaches a majority has shown it by then, and is waited for. A higher contender whose links
//!   are too few or one-way must not stand in the way;
//! * always in the same term (*unrest* otherwise).
//!
//! Not modelled here: loss, clock errors, restarts, gossip that is wrong or late (every voter
//! and contender has all contenders in sight), and topologies that change on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::electorate;
use crate::election::outbox::Outgoing;
use crate::election::voter::VoterPast;
use crate::election::{Election, Sight};
use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::{HolderTime, Now, nanoseconds};
use crate::vocabulary::timing::{Profile, Timing};
use crate::wire::datagram::Addressee;
use crate::wire::message::Message;

/// How many topologies there are.
pub const TOPOLOGIES: u32 = 1 << 18;

/// From the vacancy to a Goose, at most: the lease of the last one and as much again.
pub const BOUND: Duration = Duration::from_millis(1200);

/// For this long after the bound nothing may change any more.
const CALM: Duration = Duration::from_millis(800);
/// For this long there is a Goose that everybody reaches, if there is one.
const REIGN: Duration = Duration::from_millis(900);
/// Every message takes this long.
const DELAY: u64 = 500_000;
/// Every write to a disk takes this long.
const DISK: u64 = 100_000;

const VOTERS: [u64; 3] = [1, 2, 3];
const CONTENDERS: [u64; 3] = [11, 12, 13];
const FORMER: u64 = 20;

/// How the vacancy comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// All start together on empty disks: founding and the first election.
    Founding,
    /// A Goose that all voters reach dies, after the contenders have stood by for a while.
    Succession,
}

/// What came of one topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Two Geese at one instant, or one term for two of them.
    pub two_geese: bool,
    /// At some instant after the bound nobody led, though somebody could.
    pub no_goose: bool,
    /// At some instant after the bound another one led than the highest that could.
    pub wrong_winner: bool,
    /// After the bound one tenure ended and another began.
    pub unrest: bool,
    /// From the vacancy to the last Goose that began, in milliseconds.
    pub took: Option<u64>,
}

impl Outcome {
    /// Whether all was as it must be.
    pub fn is_right(&self) -> bool {
        !(self.two_geese || self.no_goose || self.wrong_winner || self.unrest)
    }
}

/// One topology: bit 2·(3·contender + voter) lets the contender reach the voter, the next one
/// the voter the contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology(pub u32);

impl Topology {
    fn bit(self, contender: usize, voter: usize, back: bool) -> bool {
        self.0 >> (2 * (3 * contender + voter) + usize::from(back)) & 1 == 1
    }

    /// Whether every link has its opposite.
    pub fn is_symmetric(self) -> bool {
        (self.0 ^ self.0 >> 1) & 0x15555 == 0
    }

    /// Whether `from` reaches `to`. Contenders reach each other, and so do voters.
    fn reaches(self, from: u64, to: u64) -> bool {
        let position = |ids: [u64; 3], id| ids.iter().position(|other| *other == id);
        let forth = (position(CONTENDERS, from), position(VOTERS, to));
        let back = (position(CONTENDERS, to), position(VOTERS, from));
        match (forth, back) {
            ((Some(contender), Some(voter)), _) => self.bit(contender, voter, false),
            (_, (Some(contender), Some(voter))) => self.bit(contender, voter, true),
            _ => true,
        }
    }

    /// The highest contender with two-way links to a majority of the voters.
    pub fn rightful(self) -> Option<u64> {
        let qualified = |contender: &usize| {
            let both = |voter: &usize| {
                self.bit(*contender, *voter, false) && self.bit(*contender, *voter, true)
            };
            (0..3).filter(both).count() >= 2
        };
        (0..3).rev().find(qualified).map(|contender| CONTENDERS[contender])
    }
}

enum Arrival {
    Message { from: Process, to: Addressee, message: Box<Message> },
    Stored { revision: u64 },
}

struct Field {
    topology: Topology,
    now: u64,
    order: u64,
    nodes: BTreeMap<u64, (Process, Election)>,
    timers: BTreeMap<u64, u64>,
    queue: BTreeMap<(u64, u64), (u64, Arrival)>,
    terms: BTreeMap<u64, u64>,
    outcome: Outcome,
    story: Option<Vec<String>>,
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap_or_else(|_| unreachable!("ids here are small and positive"))
}

impl Field {
    fn clocks(&self) -> Now {
        electorate::clocks(self.now, 1_700_000_000_000)
    }

    fn start(&mut self, number: u64, voters: &VoterSet, timing: &Timing) {
        let me = electorate::process(id(number), 1);
        let now = self.clocks();
        let past = VoterPast::Blank { nonce: number };
        let eligible = !VOTERS.contains(&number);
        let election = electorate::election(me, voters, timing, eligible, past, now);
        let revision = election.vote().map(|(_, revision)| revision);
        self.nodes.insert(number, (me, election));
        if let Some(revision) = revision {
            self.schedule(DISK, number, Arrival::Stored { revision });
        }
    }

    /// Tells everybody who could lead.
    fn tell(&mut self, eligible: &[u64]) {
        let now = self.clocks();
        let numbers: Vec<u64> = self.nodes.keys().copied().collect();
        for number in numbers {
            let higher = eligible.iter().filter(|other| **other > number).count();
            let processes = eligible.iter().map(|id| electorate::process(self::id(*id), 1));
            let sight =
                Sight { eligible: processes.collect(), neighbours: Vec::new(), rank: higher };
            if let Some((_, election)) = self.nodes.get_mut(&number) {
                election.handle_sight(now, sight);
            }
            self.collect(number);
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let microseconds = self.now / 1000 - 1_000_000;
            story.push(format!("{microseconds:>8} µs  {}", line()));
        }
    }

    fn schedule(&mut self, delay: u64, number: u64, arrival: Arrival) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), (number, arrival));
    }

    /// Takes what a node wants done, and notes its next timer and its role.
    fn collect(&mut self, number: u64) {
        let now = self.clocks();
        let topology = self.topology;
        while let Some((me, election)) = self.nodes.get_mut(&number) {
            let me = *me;
            match election.poll_outgoing() {
                Some(Outgoing::Send { to, message }) => {
                    let to_number = to.id.map_or(0, NodeId::number);
                    let reaches = topology.reaches(number, to_number);
                    let arrow = if reaches { "─▶" } else { "─✗" };
                    self.note(|| format!("{number} {arrow} {to_number}  {message:?}"));
                    if reaches {
                        self.schedule(
                            DELAY,
                            to_number,
                            Arrival::Message { from: me, to, message: Box::new(message) },
                        );
                    }
                }
                Some(Outgoing::Persist | Outgoing::NewVote | Outgoing::PersistSoon) => {
                    let revision = election.vote().map_or(0, |(_, revision)| revision);
                    self.schedule(DISK, number, Arrival::Stored { revision });
                }
                Some(Outgoing::Renewed(_) | Outgoing::MakeWay(_)) => {}
                Some(Outgoing::Event(event)) => self.note(|| format!("{number} {event:?}")),
                None => {
                    let due = election.poll_timeout(now).map(|span| self.now + nanoseconds(span));
                    self.timers.insert(number, due.unwrap_or(u64::MAX));
                    break;
                }
            }
        }
        self.judge();
    }

    /// The Geese of this instant and their terms.
    fn geese(&self) -> impl Iterator<Item = (u64, u64)> {
        let now = HolderTime(self.now);
        self.nodes.iter().filter_map(move |(number, (_, election))| {
            let lease = election.lease().filter(|lease| now < lease.deadline)?;
            Some((*number, lease.term))
        })
    }

    fn judge(&mut self) {
        let geese: Vec<(u64, u64)> = self.geese().collect();
        self.outcome.two_geese |= geese.len() > 1;
        for (number, term) in geese {
            let holder = *self.terms.entry(term).or_insert(number);
            self.outcome.two_geese |= holder != number;
        }
    }

    fn run_until(&mut self, end: u64, mut watch: impl FnMut(&mut Self)) {
        loop {
            let timer = self.timers.iter().map(|(number, due)| (*due, *number)).min();
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let due = timer.map_or(u64::MAX, |(at, _)| at).min(arrival.unwrap_or(u64::MAX));
            if due > end {
                self.now = end;
                watch(self);
                return;
            }
            self.now = self.now.max(due);
            if arrival.is_some_and(|at| at <= self.now) {
                if let Some((_, (number, arrival))) = self.queue.pop_first() {
                    self.arrive(number, arrival);
                }
            } else if let Some((_, number)) = timer {
                let now = self.clocks();
                if let Some((_, election)) = self.nodes.get_mut(&number) {
                    election.handle_timeout(now);
                }
                self.collect(number);
            }
            watch(self);
        }
    }

    fn arrive(&mut self, number: u64, arrival: Arrival) {
        let now = self.clocks();
        let Some((me, election)) = self.nodes.get_mut(&number) else { return };
        match arrival {
            Arrival::Stored { revision } => election.handle_stored(now, revision, true),
            Arrival::Message { from, to, message } => {
                // Nobody restarts here, so the envelope has no answer of its own.
                let _ = electorate::hand_over(election, *me, now, from, to, &message);
            }
        }
        self.collect(number);
    }
}

/// Runs one topology to its end.
pub fn run(topology: Topology, opening: Opening) -> Outcome {
    play(topology, opening, None).0
}

/// The same, and what happened, one line for each message and event.
pub fn tell(topology: Topology, opening: Opening) -> (Outcome, Vec<String>) {
    play(topology, opening, Some(Vec::new()))
}

fn play(
    topology: Topology,
    opening: Opening,
    story: Option<Vec<String>>,
) -> (Outcome, Vec<String>) {
    let timing = Timing::of(Profile::Lan);
    let voters = VoterSet::new(VOTERS.iter().map(|number| id(*number)).collect())
        .unwrap_or_else(|_| unreachable!("three different ids are a voter set"));
    let mut field = Field {
        topology,
        now: 1_000_000_000,
        order: 0,
        nodes: BTreeMap::new(),
        timers: BTreeMap::new(),
        queue: BTreeMap::new(),
        terms: BTreeMap::new(),
        outcome: Outcome::default(),
        story,
    };
    for number in VOTERS.into_iter().chain(CONTENDERS) {
        field.start(number, &voters, &timing);
    }
    let mut in_sight = vec![13, 12, 11];
    if opening == Opening::Succession {
        field.start(FORMER, &voters, &timing);
        in_sight.insert(0, FORMER);
    }
    field.tell(&in_sight);
    if opening == Opening::Succession {
        field.run_until(field.now + nanoseconds(REIGN), |_| {});
        let reigns = field.geese().map(|(number, _)| number).eq([FORMER]);
        field.outcome.unrest |= !reigns;
        field.nodes.remove(&FORMER);
        field.timers.remove(&FORMER);
    }
    let vacancy = field.now;
    field.run_until(vacancy + nanoseconds(BOUND), |_| {});
    settle(&mut field, vacancy);
    (field.outcome, field.story.unwrap_or_default())
}

/// From the bound on: the rightful Goose at every instant, in one term.
fn settle(field: &mut Field, vacancy: u64) {
    let rightful = field.topology.rightful();
    let settled: Option<(u64, u64)> = field.geese().next();
    let since = field.nodes.values().filter_map(|(_, election)| election.lease());
    let since = since.map(|lease| lease.since.0).max();
    field.outcome.took = since.map(|since| since.saturating_sub(vacancy) / 1_000_000);
    field.run_until(field.now + nanoseconds(CALM), |field| {
        let goose = field.geese().next();
        let outcome = &mut field.outcome;
        outcome.no_goose |= goose.is_none() && rightful.is_some();
        outcome.wrong_winner |= goose.is_some_and(|(number, _)| Some(number) != rightful);
        outcome.unrest |= goose != settled;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rightful_one_is_the_highest_with_a_majority_of_two_way_links() {
        assert_eq!(Topology(0).rightful(), None);
        assert_eq!(Topology(TOPOLOGIES - 1).rightful(), Some(13));
        // Two-way links of the lowest to voters 1 and 2 alone.
        assert_eq!(Topology(0b1111).rightful(), Some(11));
        // One way to the second voter only.
        assert_eq!(Topology(0b0111).rightful(), None);
        assert!(Topology(0b1111).is_symmetric());
        assert!(!Topology(0b0111).is_symmetric());
    }
}
