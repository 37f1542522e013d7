//! The partition demo: five nodes, every way to cut them apart, voters that come and go, and never
//! two Geese.
//!
//! ```text
//! cargo run --release --example chaos                        the script, in real time
//! cargo run --release --example chaos -- --simulated         the same in virtual time
//! cargo run --release --example chaos -- --svg run.svg       with a picture of the run
//! cargo run --release --example chaos -- --random --minutes 5 --seed 7
//! ```
//!
//! ```text
//!  acts ──▶ stage ──▶ world: real (threads, relay, state folders) or simulated
//!             │         │
//!             └──▶ recording ◀── sampler: who is Goose, every half millisecond
//!                       │
//!                       └──▶ terminal (live), verdict (numbers), picture (SVG)
//! ```

#[path = "chaos/acts.rs"]
mod acts;
#[path = "chaos/arguments.rs"]
mod arguments;
#[path = "chaos/links.rs"]
mod links;
#[path = "chaos/picture.rs"]
mod picture;
#[path = "chaos/real.rs"]
mod real;
#[path = "chaos/recording.rs"]
mod recording;
#[path = "chaos/relay.rs"]
mod relay;
#[path = "chaos/simulated.rs"]
mod simulated;
#[path = "chaos/stage.rs"]
mod stage;
#[path = "chaos/terminal.rs"]
mod terminal;
#[path = "chaos/timeline.rs"]
mod timeline;
#[path = "chaos/verdict.rs"]
mod verdict;
#[path = "chaos/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acts::{RANDOM, SCRIPT};
use arguments::{Arguments, HELP};
use gaggle::vocabulary::mutant;
use real::RealWorld;
use recording::{Recording, Shared, lock};
use simulated::SimulatedWorld;
use stage::Stage;
use terminal::{Style, View, log_lines, print};
use timeline::overview;
use verdict::Verdict;
use world::{Failure, World};

fn main() -> ExitCode {
    ExitCode::from(status(std::env::args().skip(1)))
}

/// Does what the words ask for, and returns the exit status.
fn status(words: impl IntoIterator<Item = String>) -> u8 {
    let arguments = match Arguments::parse(words) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("chaos: {problem}");
            return 2;
        }
    };
    if arguments.help {
        print(&[HELP.to_owned()]);
        return 0;
    }
    if arguments.list {
        let line = |act: &acts::Act| {
            let when = if act.is_long { " (With --simulated, or by its name.)" } else { "" };
            format!("{:<9} {}{when}", act.name, act.sentence)
        };
        print(&SCRIPT.iter().map(line).collect::<Vec<_>>());
        return 0;
    }
    match run(&arguments) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(failure) => {
            eprintln!("chaos: {failure}");
            2
        }
    }
}

/// Plays, then judges. Whether the promise was kept.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.seed.unwrap_or(u64::from(since_epoch.subsec_micros()));
    let style = Style::of_output();
    print(&[introduction(arguments, seed)]);
    let recording = Shared::default();
    let end = if arguments.simulated {
        mutant::set(arguments.mutant);
        let mut world = SimulatedWorld::new(Shared::clone(&recording), seed)?;
        let end = perform(arguments, seed, &mut world, &recording);
        mutant::set(None);
        let end = end?;
        print(&log_lines(&lock(&recording), 0, style));
        end
    } else {
        let origin = Instant::now();
        let acts = if arguments.random { None } else { Some(chosen(arguments).count()) };
        let view = View::start(Shared::clone(&recording), origin, style, acts)?;
        let mut world = RealWorld::new(Shared::clone(&recording), seed, origin)?;
        let outcome = perform(arguments, seed, &mut world, &recording);
        drop(world);
        drop(view);
        outcome?
    };
    conclude(arguments, seed, &lock(&recording), end)
}

fn introduction(arguments: &Arguments, seed: u64) -> String {
    let kind = if arguments.simulated { "virtual time" } else { "real time, real UDP" };
    let mut again = vec!["--seed".to_owned(), seed.to_string()];
    if arguments.random {
        again.insert(0, "--random".to_owned());
        again.push(format!("--minutes {}", arguments.minutes.unwrap_or(1)));
    }
    format!("Five nodes, three of them voters; {kind}. The same again: {}", again.join(" "))
}

fn chosen(arguments: &Arguments) -> impl Iterator<Item = &'static acts::Act> {
    let asked = |name: &str| arguments.acts.iter().any(|asked| asked == name);
    let by_itself =
        |act: &acts::Act| arguments.acts.is_empty() && (arguments.simulated || !act.is_long);
    SCRIPT.iter().filter(move |act| by_itself(act) || asked(act.name))
}

/// Plays all acts. When the last has ended.
fn perform(
    arguments: &Arguments,
    seed: u64,
    world: &mut dyn World,
    recording: &Shared,
) -> Result<Duration, Failure> {
    let mut stage =
        Stage::new(world, Shared::clone(recording), acts::prng(seed, 0), arguments.quick);
    // The founding is over when there is a Goose; an act without one says so.
    let _ = stage.goose()?;
    if arguments.random {
        let length = Duration::from_secs(60 * arguments.minutes.unwrap_or(1));
        let mut number = 1;
        while stage.now() < length {
            stage.prng = acts::prng(seed, number);
            stage.play(RANDOM.name, RANDOM.sentence, RANDOM.leaves_dead, RANDOM.play)?;
            number += 1;
        }
    } else {
        let mut acts = chosen(arguments).peekable();
        while let Some(act) = acts.next() {
            let position = SCRIPT.iter().position(|known| known.name == act.name).unwrap_or(0);
            stage.prng = acts::prng(seed, u64::try_from(position).unwrap_or(0) + 1);
            // Whoever was killed stays dead only for the act that brings it back.
            let leaves_dead =
                act.leaves_dead && acts.peek().is_some_and(|act| act.name == "rejoin");
            stage.play(act.name, act.sentence, leaves_dead, act.play)?;
        }
    }
    Ok(stage.now())
}

fn conclude(
    arguments: &Arguments,
    seed: u64,
    recording: &Recording,
    end: Duration,
) -> Result<bool, Failure> {
    let verdict = Verdict::of(recording, end);
    print(&[String::new()]);
    print(&overview(recording, end));
    print(&[String::new()]);
    print(&verdict.lines(recording));
    if let Some(path) = &arguments.svg {
        let kind = if arguments.simulated { "virtual time" } else { "real time" };
        let picture = picture::draw(recording, &verdict, &format!("{kind}, seed {seed}"));
        std::fs::write(path, picture)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        print(&[format!("Picture: {}", path.display())]);
    }
    Ok(verdict.is_kept())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(line: &str) -> u8 {
        status(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_broken_promise_is_exit_status_1_and_a_kept_one_0() {
        assert_eq!(status_of("--simulated --seed 7"), 0);
        for mutant in
            ["QuorumOfOne", "StaleVoterClock", "DeadContenderDeferredTo", "CandidatesIgnored"]
        {
            assert_eq!(
                status_of(&format!("--simulated --seed 7 --mutant {mutant}")),
                1,
                "{mutant}"
            );
        }
        assert_eq!(status_of("--simulated --seed 7"), 0, "no mutant stays");
        assert_eq!(status_of("--sed 7"), 2);
    }
}
