//! A periodic job that runs on exactly one of three processes, through kills.
//!
//! ```text
//! cargo run --example singleton_job [-- KILLS]      (default: 5)
//! ```
//!
//! Three processes embed a node each. Whoever is Goose runs the job every 50 ms; each run writes
//! its start and its end, on the clock that all processes of a machine share. Whoever runs the
//! job is killed with `kill -9` and started again. At the end the log is read: if two runs ever
//! overlapped, or a term came back, the exit code is 1.
//!
//! ```text
//! killed node 2 in term 1: the job runs on node 0, term 2, after 2.3 ms
//! ```

// The other example uses the rest.
#[allow(dead_code)]
mod processes;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gaggle::{Config, Node};
use processes::Processes;
use rustix::time::{ClockId, clock_gettime};

/// The job is run so often.
const PERIOD: Duration = Duration::from_millis(50);
/// A run takes so long.
const RUN: Duration = Duration::from_millis(20);
/// From one kill to the next: whoever was started again has waited out its lease by then, and votes.
const CALM: Duration = Duration::from_millis(800);
/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // A keeper beside each child tells the voters of a kill: it is this program, executed again.
    gaggle::keeper::run_if_asked();
    if let Some((_, config, folder)) = processes::child() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(config, &folder.join("log")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let kills = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let mut processes = Processes::start()?;
    let mut killed = None;
    for round in 0..=kills {
        let (goose, term) = next_goose(&processes).ok_or("nobody runs the job")?;
        match killed.take() {
            None => println!("the job runs on node {goose}, term {term}"),
            Some((node, at, before)) => {
                let at: Instant = at;
                let gap = at.elapsed().as_secs_f64() * 1000.0;
                println!(
                    "killed node {node} in term {before}: \
                     the job runs on node {goose}, term {term}, after {gap:.1} ms"
                );
                processes.spawn(node)?;
            }
        }
        if round < kills {
            std::thread::sleep(CALM);
            processes.kill(goose)?;
            killed = Some((goose, Instant::now(), term));
        }
    }
    let log = std::fs::read_to_string(processes.folder().join("log"))?;
    let runs = judge(&log)?;
    println!("{runs} runs, and never two at once");
    Ok(ExitCode::SUCCESS)
}

/// A child: the job while it is Goose, and nothing else, for ever.
async fn serve(config: Config, log: &Path) -> Result<(), Box<dyn Error>> {
    let node = Node::start(config.keeper(true)).await?;
    loop {
        let campaign = node.until_goose().await?;
        let term = campaign.term();
        println!("goose {term}");
        // Dropped in time if the lease is lost; the next round waits for the next term.
        if let Err(lost) = campaign.run(job(term, log)).await {
            eprintln!("{lost}");
        }
    }
}

async fn job(term: u64, log: &Path) -> Result<(), std::io::Error> {
    let mut log = OpenOptions::new().create(true).append(true).open(log)?;
    loop {
        // One write each, so that lines of different processes never mix.
        log.write_all(format!("start {term} {}\n", now()).as_bytes())?;
        tokio::time::sleep(RUN).await;
        log.write_all(format!("end {term} {}\n", now()).as_bytes())?;
        tokio::time::sleep(PERIOD - RUN).await;
    }
}

/// Nanoseconds on the clock that all processes of this machine share.
fn now() -> i128 {
    let time = clock_gettime(ClockId::Boottime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn next_goose(processes: &Processes) -> Option<(usize, u64)> {
    let (node, line) = processes.next(PATIENCE)?;
    Some((node, line.strip_prefix("goose ")?.parse().ok()?))
}

/// How many runs there were; an error if two overlapped or a term came back. A run without an
/// end was killed: it ended before its killer went on.
fn judge(log: &str) -> Result<usize, Box<dyn Error>> {
    let (mut runs, mut last_term, mut last) = (0, 0, 0_i128);
    for line in log.lines() {
        let mut words = line.split(' ');
        let (what, term, at) = (words.next(), words.next(), words.next());
        let term: u64 = term.ok_or("no term")?.parse()?;
        let at: i128 = at.ok_or("no time")?.parse()?;
        if term < last_term || at < last {
            return Err(format!("out of order: {line}, after {last} of term {last_term}").into());
        }
        (last_term, last) = (term, at);
        runs += usize::from(what == Some("start"));
    }
    Ok(runs)
}
