//! Every one of the 2^18 directed topologies of three contenders and three voters, on all
//! cores, by the real election code.
//!
//! ```text
//! cargo run --release --example topologies                       all, all openings
//! cargo run --release --example topologies -- --opening dies-adding
//! cargo run --release --example topologies -- --one 0x236fb      one, told step by step
//! ```
//!
//! Openings: founding, succession; and while voters change: dies-adding, dies-removing (the Goose
//! dies), cut-adding, cut-removing (the links fail).
//!
//! Exits with 1 if any topology did not end as it must.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gaggle::sim::exhaustive::topology::{Opening, Outcome, Stage, TOPOLOGIES, Topology};

const USAGE: &str = "topologies [--opening NAME] [--one NUMBER]";
/// This many wrong topologies are listed; all are counted.
const LISTED: usize = 20;

#[derive(Default)]
struct Tally {
    two_geese: u32,
    no_goose: u32,
    wrong_winner: u32,
    unrest: u32,
    quorums_apart: u32,
    electable: u32,
    /// Of all that is counted, what must not be.
    wrong: u32,
    slowest: u64,
    listed: Vec<(Topology, Outcome)>,
}

impl Tally {
    fn add(&mut self, topology: Topology, outcome: Outcome) {
        self.electable += u32::from(topology.rightful().is_some());
        self.two_geese += u32::from(outcome.two_geese);
        self.no_goose += u32::from(outcome.no_goose);
        self.wrong_winner += u32::from(outcome.wrong_winner);
        self.unrest += u32::from(outcome.unrest);
        self.quorums_apart += u32::from(outcome.quorums_apart);
        self.wrong += u32::from(!outcome.is_right());
        self.slowest = self.slowest.max(outcome.took.unwrap_or(0));
        if !outcome.is_right() && self.listed.len() < LISTED {
            self.listed.push((topology, outcome));
        }
    }
}

fn progress(done: u32, started: Instant) {
    if std::io::stderr().is_terminal() {
        let share = 100.0 * f64::from(done) / f64::from(TOPOLOGIES);
        eprint!(
            "\r{done:>6} of {TOPOLOGIES} topologies ({share:5.1} %), {:?}  ",
            started.elapsed()
        );
        let _ = std::io::stderr().flush();
    }
}

fn all(opening: Opening) -> bool {
    let started = Instant::now();
    let stage = Stage::new(opening);
    let (next, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let tally = Mutex::new(Tally::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let topology = Topology(next.fetch_add(1, Ordering::Relaxed));
                    if topology.0 >= TOPOLOGIES {
                        return;
                    }
                    let outcome = stage.run(topology);
                    if let Ok(mut tally) = tally.lock() {
                        tally.add(topology, outcome);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while done.load(Ordering::Relaxed) < TOPOLOGIES {
            progress(done.load(Ordering::Relaxed), started);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (topology, outcome) in &tally.listed {
        println!("{:#07x}, rightful {:?}: {outcome:?}", topology.0, topology.rightful());
    }
    let moments = match stage.moments() {
        0 => String::new(),
        moments => format!(" at {moments} moments"),
    };
    println!(
        "{}: {TOPOLOGIES} topologies{moments}, founders electable in {}, in {:.1?}: two Geese {}, \
         majorities apart {}, no Goose though one was possible {}, another winner than the highest \
         {}, unrest {}; slowest election {} ms",
        opening.name(),
        tally.electable,
        started.elapsed(),
        tally.two_geese,
        tally.quorums_apart,
        tally.no_goose,
        tally.wrong_winner,
        tally.unrest,
        tally.slowest,
    );
    tally.wrong == 0
}

fn main() -> ExitCode {
    let mut openings = Opening::ALL.to_vec();
    let mut one = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (word.as_str(), words.next().as_deref()) {
            ("--opening", Some(name)) => openings.retain(|opening| opening.name() == name),
            ("--one", Some(number)) => {
                let digits = number.strip_prefix("0x");
                one = match digits {
                    Some(digits) => u32::from_str_radix(digits, 16).ok(),
                    None => number.parse().ok(),
                };
            }
            _ => {
                eprintln!("usage: {USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    if openings.is_empty() {
        eprintln!("no such opening");
        return ExitCode::from(2);
    }
    let mut right = true;
    for opening in openings {
        if let Some(number) = one {
            let (outcome, story) = Stage::new(opening).tell(Topology(number));
            println!("{opening:?}\n{}\n{outcome:?}", story.join("\n"));
            right &= outcome.is_right();
        } else {
            right &= all(opening);
        }
    }
    if right { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
