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
//! **While voters change.** A Goose that everybody reaches is told to add a fourth voter, which is
//! where the third one is, or to remove the third. In the midst of that it dies, or the links become
//! as the topology says. When, is drawn by the number of the topology out of all moments, a quarter
//! of a millisecond apart, at which something of the change is under way. Then Geese are possible by
//! the newest configuration that anybody alive knows of. Besides, any two configurations that may
//! elect somebody have majorities that meet (I13), at every instant. Whoever came to lead by the
//! configuration before stays; so another winner than the highest is counted, and not wrong.
//!
//! Not modelled here: loss, clock errors, restarts, gossip that is wrong (every voter and contender
//! has all contenders in sight, and hears of newer configurations every fifth of a second), and
//! topologies that change more than once.

mod field;
mod links;

pub use field::Outcome;
pub use links::{TOPOLOGIES, Topology};

use std::time::Duration;

use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::{Profile, Timing};
use field::{Field, id};
use links::{CONTENDERS, NEWCOMER, VOTERS};

/// From the vacancy to a Goose, at most: the lease of the last one and as much again.
pub const BOUND: Duration = Duration::from_millis(1200);

/// For this long after the bound nothing may change any more.
const CALM: Duration = Duration::from_millis(800);
/// For this long there is a Goose that everybody reaches, if there is one.
const REIGN: Duration = Duration::from_millis(900);
/// The moments of a change are so many nanoseconds apart.
const MOMENT: u64 = 250_000;
/// A change that nothing disturbs takes less than this many of them.
const MOMENTS_MAX: u64 = 8_000;

/// It is none of the contenders.
const FORMER: u64 = 20;

/// How the vacancy comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// All start together on empty disks: founding and the first election.
    Founding,
    /// A Goose that all voters reach dies, after the contenders have stood by for a while.
    Succession,
    /// The same, but it dies while it leads to other voters.
    DiesChanging(Change),
    /// The highest contender leads to other voters, and meanwhile the links become so.
    CutChanging(Change),
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A fourth voter comes.
    Adding,
    /// The third voter goes.
    Removing,
}

impl Opening {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Founding,
        Self::Succession,
        Self::DiesChanging(Change::Adding),
        Self::DiesChanging(Change::Removing),
        Self::CutChanging(Change::Adding),
        Self::CutChanging(Change::Removing),
    ];

    /// The word for it on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Founding => "founding",
            Self::Succession => "succession",
            Self::DiesChanging(Change::Adding) => "dies-adding",
            Self::DiesChanging(Change::Removing) => "dies-removing",
            Self::CutChanging(Change::Adding) => "cut-adding",
            Self::CutChanging(Change::Removing) => "cut-removing",
        }
    }

    fn change(self) -> Option<Change> {
        match self {
            Self::Founding | Self::Succession => None,
            Self::DiesChanging(change) | Self::CutChanging(change) => Some(change),
        }
    }

    /// Whether there is a Goose that dies.
    fn has_former(self) -> bool {
        matches!(self, Self::Succession | Self::DiesChanging(_))
    }

    /// Everybody starts on an empty disk.
    fn begin(self, topology: Topology, story: Option<Vec<String>>) -> Field {
        let (timing, voters) = (Timing::of(Profile::Lan), voter_set(&VOTERS));
        let mut field = Field::new(topology, self.change().is_some(), story);
        for number in VOTERS.into_iter().chain(CONTENDERS) {
            field.start(number, &voters, &timing);
        }
        if self.change() == Some(Change::Adding) {
            field.start(NEWCOMER, &voters, &timing);
        }
        let mut in_sight = vec![13, 12, 11];
        if self.has_former() {
            field.start(FORMER, &voters, &timing);
            in_sight.insert(0, FORMER);
        }
        field.tell(&in_sight);
        field
    }
}

/// An opening, played once as far as it is the same for all topologies.
pub struct Stage {
    opening: Opening,
    /// At which a change may be disturbed; none if nothing is changed.
    moments: Vec<Field>,
}

impl Stage {
    /// The stage for this opening.
    pub fn new(opening: Opening) -> Self {
        let moments = opening.change().map_or_else(Vec::new, |change| moments(opening, change));
        Self { opening, moments }
    }

    /// At how many moments a change may be disturbed; 0 if nothing is changed.
    pub fn moments(&self) -> usize {
        self.moments.len()
    }

    /// Runs one topology to its end.
    pub fn run(&self, topology: Topology) -> Outcome {
        self.play(topology, None).0
    }

    /// The same, and what happened, one line for each message and event.
    pub fn tell(&self, topology: Topology) -> (Outcome, Vec<String>) {
        self.play(topology, Some(Vec::new()))
    }

    fn play(&self, topology: Topology, story: Option<Vec<String>>) -> (Outcome, Vec<String>) {
        let mut field = match self.moments.len() {
            0 => self.opening.begin(topology, story),
            moments => {
                // Neighbours differ in one link, and are to differ in the moment as well.
                let drawn = topology.0.wrapping_mul(0x9e37_79b1) >> 12;
                self.moments[drawn as usize % moments].on(topology, story)
            }
        };
        if self.opening == Opening::Succession {
            field.run_until(field.now + nanoseconds(REIGN), |_| {});
            let reigns = field.geese().map(|(number, _)| number).eq([FORMER]);
            field.outcome.unrest |= !reigns;
        }
        if self.opening.has_former() {
            field.die(FORMER);
        }
        let vacancy = field.now;
        field.run_until(vacancy + nanoseconds(BOUND), |_| {});
        settle(&mut field, vacancy);
        (field.outcome, field.story.unwrap_or_default())
    }
}

/// All moments of a change that nothing disturbs at which something is under way.
fn moments(opening: Opening, change: Change) -> Vec<Field> {
    let mut field = opening.begin(Topology(TOPOLOGIES - 1), None);
    field.run_until(field.now + nanoseconds(REIGN), |_| {});
    let Some((goose, _)) = field.geese().next() else { return Vec::new() };
    let voters = match change {
        Change::Adding => [&VOTERS[..], &[NEWCOMER]].concat(),
        Change::Removing => VOTERS[..2].to_vec(),
    };
    field.change_voters(goose, voter_set(&voters));
    let mut moments = vec![field.clone()];
    for _ in 0..MOMENTS_MAX {
        let is_known = |(_, (_, it)): (&u64, &(_, crate::election::Election))| {
            Some(it.configuration()) == field.newest()
        };
        if field.nodes[&goose].1.voter_change().is_none() && field.nodes.iter().all(is_known) {
            break;
        }
        let was_quiet = field.is_quiet();
        field.run_until(field.now + MOMENT, |_| {});
        if !(was_quiet && field.is_quiet()) {
            moments.push(field.clone());
        }
    }
    moments
}

/// These voters.
fn voter_set(ids: &[u64]) -> VoterSet {
    VoterSet::new(ids.iter().map(|number| id(*number)).collect())
        .unwrap_or_else(|_| unreachable!("different ids are a voter set"))
}

/// From the bound on: the rightful Goose at every instant, in one term.
fn settle(field: &mut Field, vacancy: u64) {
    let settled: Option<(u64, u64)> = field.geese().next();
    let since = field.nodes.values().filter_map(|(_, election)| election.lease());
    let since = since.map(|lease| lease.since.0).max();
    field.outcome.took = since.map(|since| since.saturating_sub(vacancy) / 1_000_000);
    field.run_until(field.now + nanoseconds(CALM), |field| {
        let goose = field.geese().next();
        let voters = field.newest().map_or(&[][..], |newest| newest.voters.ids());
        let voters: Vec<u64> = voters.iter().map(|id| id.number()).collect();
        let rightful = field.topology.rightful_of(&voters);
        let outcome = &mut field.outcome;
        outcome.no_goose |= goose.is_none() && rightful.is_some();
        outcome.wrong_winner |= goose.is_some_and(|(number, _)| Some(number) != rightful);
        outcome.unrest |= goose != settled;
    });
}
