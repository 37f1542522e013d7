//! The election under a model checker: every order of everything that may happen, within
//! bounds.
//!
//! ```text
//! cargo run --release --example model                                the large plays
//! cargo run --release --example model -- --small                     those of the tests
//! cargo run --release --example model -- --seconds 60                at most a minute each
//! cargo run --release --example model -- --play wipe --bound waits=5 --bound crashes=2
//! cargo run --release --example model -- --play wipe --mutant NoFloorAfterWipe
//! cargo run --release --example model -- --play founding --walk 60   random walks, seconds
//! cargo run --release --example model -- --small --mutant ChangesAtOnce --shortest
//! ```
//!
//! Bounds: waits, repeats, crashes, wipes, failures, step-downs, holds, orders, messages. Without a limit
//! of time or states, everything within them is gone through. Progress goes to stderr.
//!
//! A play is a beginning and the faults that may happen (`tests/core/checker/plays.rs`). Exits with
//! 1 if a promise is broken; the steps that lead there are printed.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gaggle::sim::exhaustive::model::Break;
use gaggle::vocabulary::mutant::Mutant;
use stateright::report::{ReportData, ReportDiscovery, Reporter};
use stateright::{Checker, HasDiscoveries, Model, UniformChooser};

#[path = "../tests/core/checker/mod.rs"]
mod checker;
use checker::Electing;
use checker::plays::{Play, plays};

const USAGE: &str = "model [--small] [--play NAME] [--bound NAME=NUMBER]... [--mutant BUG] \
                     [--states MOST] [--seconds MOST] [--shortest] [--walk SECONDS [--seed SEED]]";

#[derive(Default)]
struct Arguments {
    play: Option<String>,
    states: Option<usize>,
    walk: Option<u64>,
    bounds: Vec<(String, u32)>,
    small: bool,
    /// In the order of their length, so that what is found is found by the fewest steps.
    shortest: bool,
    seconds: Option<u64>,
    mutant: Option<String>,
    seed: u64,
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--small" => arguments.small = true,
            "--shortest" => arguments.shortest = true,
            _ => {}
        }
        if ["--small", "--shortest"].contains(&word.as_str()) {
            continue;
        }
        let value = words.next()?;
        match word.as_str() {
            "--play" => arguments.play = Some(value),
            "--states" => arguments.states = Some(value.parse().ok()?),
            "--walk" => arguments.walk = Some(value.parse().ok()?),
            "--bound" => {
                let (name, number) = value.split_once('=')?;
                arguments.bounds.push((name.to_owned(), number.parse().ok()?));
            }
            "--seconds" => arguments.seconds = Some(value.parse().ok()?),
            "--mutant" => arguments.mutant = Some(value),
            "--seed" => arguments.seed = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(arguments)
}

fn check(play: &Play, arguments: &Arguments) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}: {}", play.name, play.bounds.describe());
    let started = Instant::now();
    if arguments.shortest {
        return shortest(play, started);
    }
    let builder = Electing(play.bounds.clone())
        .checker()
        .threads(cores)
        .finish_when(HasDiscoveries::AnyFailures);
    match arguments.walk {
        Some(seconds) => {
            let builder = builder.timeout(Duration::from_secs(seconds)).target_max_depth(200);
            report(&builder.spawn_simulation(arguments.seed, UniformChooser).join(), started)
        }
        None => {
            let builder = match arguments.states {
                Some(states) => builder.target_state_count(states),
                None => builder,
            };
            let builder = match arguments.seconds {
                Some(seconds) => builder.timeout(Duration::from_secs(seconds)),
                None => builder,
            };
            let checker = builder.spawn_dfs().join_and_report(&mut Progress);
            let out_of_time =
                arguments.seconds.is_some_and(|most| started.elapsed().as_secs() >= most);
            let enough = arguments.states.is_some_and(|most| checker.state_count() >= most);
            let exhausted = !out_of_time && !enough;
            println!(
                "  {}",
                if exhausted {
                    "gone through, but for what follows a broken promise"
                } else {
                    "NOT exhausted"
                }
            );
            report(&checker, started)
        }
    }
}

/// One step deeper each time, until a promise is broken or nothing is left: so it is broken by the
/// fewest steps.
fn shortest(play: &Play, started: Instant) -> bool {
    let (mut depth, mut states) = (1, 0);
    loop {
        let checker = Electing(play.bounds.clone()).checker().target_max_depth(depth);
        let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found = checker.discoveries();
        let promises = checker.model().properties();
        let is_broken = promises.iter().any(|promise| {
            promise.expectation == stateright::Expectation::Always
                && found.contains_key(promise.name)
        });
        if is_broken || checker.unique_state_count() == states {
            return report(&checker, started);
        }
        (depth, states) = (depth + 1, checker.unique_state_count());
    }
}

/// A line a second, so that a long run is seen to move.
struct Progress;

impl Reporter<Electing> for Progress {
    fn report_checking(&mut self, data: ReportData) {
        if !data.done {
            eprintln!(
                "  {:>6} s: {} states, {} of them different, {} steps deep",
                data.duration.as_secs(),
                data.total_states,
                data.unique_states,
                data.max_depth
            );
        }
    }

    fn report_discoveries(
        &mut self,
        _model: &Electing,
        _discoveries: BTreeMap<&'static str, ReportDiscovery<Electing>>,
    ) {
        // They are told in words afterwards.
    }

    fn delay(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn report(checker: &impl Checker<Electing>, started: Instant) -> bool {
    println!(
        "  {} states, {} of them different, {} steps deep, in {:.1?}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed(),
    );
    let mut kept = true;
    let discoveries = checker.discoveries();
    for property in checker.model().properties() {
        let found = discoveries.get(property.name);
        match (property.expectation, found) {
            (stateright::Expectation::Always, Some(path)) => {
                kept = false;
                println!("  BROKEN: {}", property.name);
                checker::tell(checker.model(), path.clone());
            }
            (stateright::Expectation::Sometimes, Some(path)) => {
                println!(
                    "  reached: {} after {} steps",
                    property.name,
                    path.clone().into_actions().len()
                );
            }
            (stateright::Expectation::Sometimes, None) => {
                println!("  not reached: {}", property.name);
            }
            _ => {}
        }
    }
    kept
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: {USAGE}");
        return ExitCode::from(2);
    };
    let chosen = |play: &Play| arguments.play.as_ref().is_none_or(|name| *name == play.name);
    let mut plays: Vec<Play> = plays().into_iter().filter(chosen).collect();
    if plays.is_empty() {
        eprintln!("no such play");
        return ExitCode::from(2);
    }
    for play in &mut plays {
        if arguments.small {
            play.bounds = play.small.clone();
        }
        for (name, number) in &arguments.bounds {
            if !play.set(name, *number) {
                eprintln!("no such bound: {name}");
                return ExitCode::from(2);
            }
        }
    }
    if let Some(name) = &arguments.mutant {
        let mutant = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == *name);
        let Some(mutant) = mutant else {
            eprintln!("no such mutant; there are {:?}", Mutant::ALL);
            return ExitCode::from(2);
        };
        // After the bounds are chosen, or the small ones would be sound.
        plays.iter_mut().for_each(|play| play.bounds.broken = Break::Mutant(mutant));
    }
    let kept: Vec<bool> = plays.iter().map(|play| check(play, &arguments)).collect();
    if kept.iter().all(|kept| *kept) { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
