//! Nodes on links, in true time.

use std::collections::BTreeMap;

use super::links::{NEWCOMER, Topology, voter};
use crate::election::outbox::Outgoing;
use crate::election::voter::VoterPast;
use crate::election::{Election, Sight};
use crate::sim::checkers::electorate as quorums;
use crate::sim::exhaustive::electorate;
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp, VoterSet};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::{HolderTime, Now, nanoseconds};
use crate::vocabulary::timing::Timing;
use crate::vocabulary::voter_change::VoterGoal;
use crate::wire::datagram::Addressee;
use crate::wire::message::Message;

/// Every message takes this long.
const DELAY: u64 = 500_000;
/// Every write to a disk takes this long.
const DISK: u64 = 100_000;
/// Gossip tells of a newer configuration this often.
const GOSSIP: u64 = 200_000_000;

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
    /// Two configurations that may both elect somebody have majorities that do not meet.
    pub quorums_apart: bool,
    /// Voters change.
    pub changes: bool,
    /// From the vacancy to the last Goose that began, in milliseconds.
    pub took: Option<u64>,
}

impl Outcome {
    /// Whether all was as it must be.
    pub fn is_right(&self) -> bool {
        let other_winner = self.wrong_winner && !self.changes;
        !(self.two_geese || self.no_goose || other_winner || self.unrest || self.quorums_apart)
    }
}

/// Something that comes to a node.
#[derive(Clone)]
enum Arrival {
    Message {
        from: Process,
        to: Addressee,
        stamp: ConfigurationStamp,
        message: Box<Message>,
    },
    Stored {
        revision: u64,
    },
    /// Gossip of somebody who knows a newer configuration.
    Gossip {
        from: Process,
    },
}

/// All nodes, what is under way between them, and what came of it so far.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) topology: Topology,
    pub(super) now: u64,
    order: u64,
    pub(super) nodes: BTreeMap<u64, (Process, Election)>,
    timers: BTreeMap<u64, u64>,
    queue: BTreeMap<(u64, u64), (u64, Arrival)>,
    terms: BTreeMap<u64, u64>,
    /// When gossip tells next of newer configurations, if there may be any.
    gossip: u64,
    pub(super) outcome: Outcome,
    pub(super) story: Option<Vec<String>>,
}

pub(super) fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap_or_else(|_| unreachable!("ids here are small and positive"))
}

impl Field {
    fn clocks(&self) -> Now {
        electorate::clocks(self.now, 1_700_000_000_000)
    }

    /// A field on which nobody is yet. `changes`: voters are to change.
    pub(super) fn new(topology: Topology, changes: bool, story: Option<Vec<String>>) -> Self {
        Self {
            topology,
            now: 1_000_000_000,
            order: 0,
            nodes: BTreeMap::new(),
            timers: BTreeMap::new(),
            queue: BTreeMap::new(),
            terms: BTreeMap::new(),
            gossip: if changes { GOSSIP } else { u64::MAX },
            outcome: Outcome { changes, ..Outcome::default() },
            story,
        }
    }

    /// The same field, whose links are these from here on.
    pub(super) fn on(&self, topology: Topology, story: Option<Vec<String>>) -> Self {
        Self { topology, story, ..self.clone() }
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }

    /// A node starts on an empty disk.
    pub(super) fn start(&mut self, number: u64, voters: &VoterSet, timing: &Timing) {
        let me = electorate::process(id(number), 1);
        let now = self.clocks();
        let past = VoterPast::Blank { nonce: number };
        let eligible = voter(number).is_none();
        let election = electorate::election(
            me,
            electorate::genesis(voters, timing),
            timing,
            eligible,
            past,
            now,
        );
        let revision = election.vote().map(|(_, revision)| revision);
        self.nodes.insert(number, (me, election));
        if let Some(revision) = revision {
            self.schedule(DISK, number, Arrival::Stored { revision });
        }
    }

    /// A node is no more.
    pub(super) fn die(&mut self, number: u64) {
        self.nodes.remove(&number);
        self.timers.remove(&number);
    }

    /// A Goose is told who is to vote.
    pub(super) fn change_voters(&mut self, number: u64, voters: VoterSet) {
        let now = self.clocks();
        if let Some((_, election)) = self.nodes.get_mut(&number) {
            let newcomer = electorate::process(id(NEWCOMER), 1);
            election.change_voters(now, VoterGoal { voters, automatic: None }, &[newcomer]);
        }
        self.collect(number);
    }

    /// Tells everybody who could lead.
    pub(super) fn tell(&mut self, eligible: &[u64]) {
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

    /// Sends over the links that there are.
    fn send(&mut self, from: u64, to: Addressee, stamp: ConfigurationStamp, message: Message) {
        let to_number = to.id.map_or(0, NodeId::number);
        let reaches = self.topology.reaches(from, to_number);
        let arrow = if reaches { "─▶" } else { "─✗" };
        self.note(|| format!("{from} {arrow} {to_number}  {message:?}"));
        let sender = self.nodes.get(&from).map(|(me, _)| *me);
        if let Some(from) = sender.filter(|_| reaches) {
            let arrival = Arrival::Message { from, to, stamp, message: Box::new(message) };
            self.schedule(DELAY, to_number, arrival);
        }
    }

    /// Takes what a node wants done, and notes its next timer and its role.
    fn collect(&mut self, number: u64) {
        let now = self.clocks();
        while let Some((_, election)) = self.nodes.get_mut(&number) {
            match election.poll_outgoing() {
                Some(Outgoing::Send { to, message }) => {
                    let stamp = election.stamp_for(&message);
                    self.send(number, to, stamp, message);
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
    pub(super) fn geese(&self) -> impl Iterator<Item = (u64, u64)> {
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
        if self.outcome.changes {
            self.judge_quorums();
        }
    }

    /// I13, by what the living know and what the voters stand by.
    fn judge_quorums(&mut self) {
        let elections = || self.nodes.values().map(|(me, election)| (me.id, election));
        let known = elections().map(|(_, election)| election.configuration());
        let installed = elections().filter_map(|(_, election)| election.installed());
        let mut known: Vec<&Configuration> = known.chain(installed).collect();
        known.sort_by_key(|it| (it.ballot, it.version));
        known.dedup();
        if known.len() < 2 {
            return;
        }
        let stands =
            |election: &Election| election.vote().is_some_and(|(vote, _)| vote.founding.is_sound());
        let word = Message::ProbeAck { sequence: 0 };
        let stances: quorums::Stances = elections()
            .filter(|(_, election)| stands(election))
            .map(|(id, election)| (id, election.stamp_for(&word)))
            .collect();
        self.outcome.quorums_apart |= quorums::judge(self.now, &known, &stances).is_err();
    }

    /// The newest configuration that anybody alive knows of.
    pub(super) fn newest(&self) -> Option<&Configuration> {
        let known = self.nodes.values().map(|(_, election)| election.configuration());
        known.max_by_key(|it| (it.ballot, it.version))
    }

    /// Everybody's gossip names the configuration that it knows.
    fn gossip(&mut self) {
        self.gossip = self.now + GOSSIP;
        let numbers: Vec<u64> = self.nodes.keys().copied().collect();
        let now = self.clocks();
        for (from, to) in numbers.iter().flat_map(|from| numbers.iter().map(move |to| (from, to))) {
            let (sender, stamp) = (self.nodes[from].0, self.nodes[from].1.configuration().stamp());
            let is_news = self.nodes[to].1.is_newer(now, &stamp);
            if is_news && self.topology.reaches(*from, *to) {
                self.schedule(DELAY, *to, Arrival::Gossip { from: sender });
            }
        }
    }

    /// Goes on until then. `watch` sees everything that happens.
    pub(super) fn run_until(&mut self, end: u64, mut watch: impl FnMut(&mut Self)) {
        loop {
            let timer = self.timers.iter().map(|(number, due)| (*due, *number)).min();
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let due = timer.map_or(u64::MAX, |(at, _)| at).min(arrival.unwrap_or(u64::MAX));
            let due = due.min(self.gossip);
            if due > end {
                self.now = end;
                watch(self);
                return;
            }
            self.now = self.now.max(due);
            if self.gossip <= self.now {
                self.gossip();
            } else if arrival.is_some_and(|at| at <= self.now) {
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
        let answer = match arrival {
            Arrival::Stored { revision } => {
                election.handle_stored(now, revision, true);
                None
            }
            Arrival::Message { from, to, stamp, message } => {
                let arrival = electorate::Arrival { from, to, stamp, message: &message };
                Some(from).zip(electorate::hand_over(election, *me, now, arrival))
            }
            Arrival::Gossip { from } => Some((from, electorate::question())),
        };
        let answer = answer.map(|(to, message)| (to, election.stamp_for(&message), message));
        self.collect(number);
        if let Some((to, stamp, message)) = answer {
            self.send(number, Addressee::process(to), stamp, message);
        }
    }
}
