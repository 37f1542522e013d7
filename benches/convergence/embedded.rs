//! Nodes in programs of their own, each with a keeper: from `kill -9` of the one that is Goose to the
//! next Goose.
//!
//! ```text
//! kill -9 of the Goose -> next Goose -> the killed one is started again -> pause -> kill -9 ...
//! ```
//!
//! What a voter that has just come back knows of the others is new, so the pauses are spread evenly over
//! the time in which it comes to vote and is granted its first leases again.

use std::convert::Infallible;
use std::error::Error;
use std::time::{Duration, Instant};

use gaggle::{Config, Node};

use super::figures::{Measure, Report};
use super::rounds::{GOLDEN_RATIO, VOTERS};
use super::{milliseconds, processes};
use processes::Processes;

/// A voter that is started again grants nothing before this.
const PAUSE_LEAST: Duration = Duration::from_millis(600);
/// Some renewals later it is a voter like any other.
const PAUSE_SPREAD: Duration = Duration::from_millis(600);
/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// In a child: a node that says when it leads, for as long as it lives.
pub(crate) fn live(config: Config) -> Result<Infallible, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = Node::start(config.keeper(true)).await?;
        loop {
            let campaign = node.until_goose().await?;
            println!("{}", campaign.term());
            // Why it was lost is of no interest: it is killed.
            let _ = campaign.run(std::future::pending::<()>()).await;
        }
    })
}

/// Kills so many Geese, one after the other.
pub(crate) fn measure(runs: u64, report: &mut Report) -> Result<(), String> {
    let mut processes = Processes::start().map_err(|error| error.to_string())?;
    let (mut goose, mut term) = next_goose(&processes)?;
    // Whoever is first may hand over to a higher one.
    while let Some((node, line)) = processes.next(PAUSE_LEAST * 2) {
        (goose, term) = (node, read(&line)?);
    }
    for run in 0..runs {
        let part = (run as f64 * GOLDEN_RATIO).fract();
        std::thread::sleep(PAUSE_LEAST + PAUSE_SPREAD.mul_f64(part));
        let began = Instant::now();
        processes.kill(goose).map_err(|error| error.to_string())?;
        let (next, later) = next_goose(&processes)?;
        report.record(VOTERS as u64, Measure::EmbeddedKillToGoose, milliseconds(began.elapsed()));
        if later <= term {
            report.faults.push(format!("embedded: term {later} came after term {term}"));
        }
        processes.spawn(goose).map_err(|error| error.to_string())?;
        (goose, term) = (next, later);
    }
    Ok(())
}

fn next_goose(processes: &Processes) -> Result<(usize, u64), String> {
    let (node, line) = processes.next(PATIENCE).ok_or("embedded: nobody leads")?;
    Ok((node, read(&line)?))
}

fn read(line: &str) -> Result<u64, String> {
    line.parse().map_err(|_| format!("embedded: a node says {line:?}"))
}
