//! A store that refuses writes with an older term, and a writer that was frozen and is refused.
//!
//! ```text
//! cargo run --example fenced_writer [-- FREEZES]      (default: 5)
//! ```
//!
//! Three processes embed a node each and write to one SQLite file. Whoever is Goose asks its
//! guard, thinks for a moment, and writes. Just then it is frozen with SIGSTOP until another
//! Goose has written. No lease can help here: when it wakes it has asked already, and goes on
//! writing. What helps is the term: the store remembers the highest and refuses any lower one,
//! in the same transaction as the write.
//!
//! ```text
//! froze node 2, term 1: node 1 writes under term 2
//!   node 2 wakes, and its write is refused: the store has seen term 2
//! ```
//!
//! The exit code is 1 if a stale write went through.

// The other example uses the rest.
#[allow(dead_code)]
mod processes;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gaggle::{Config, Node};
use processes::Processes;
use rusqlite::{Connection, TransactionBehavior, params};
use rustix::process::Signal;

/// Between the question to the guard and the write. In a real program this is where the garbage
/// collector, the disk or the scheduler strikes.
const THOUGHT: Duration = Duration::from_millis(100);
/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some((number, config, folder)) = processes::child() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(number, config, &folder.join("store.sqlite")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let freezes = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let processes = Processes::start()?;
    let (mut writer, mut term) = written(&processes, 0).ok_or("nobody writes")?;
    println!("node {writer} writes under term {term}");
    let mut refused = 0;
    for _ in 0..freezes {
        thinking(&processes, writer).ok_or("the writer is silent")?;
        processes.signal(writer, Signal::STOP)?;
        let (next, next_term) = written(&processes, term).ok_or("nobody takes over")?;
        println!("froze node {writer}, term {term}: node {next} writes under term {next_term}");
        processes.signal(writer, Signal::CONT)?;
        let seen = refusal(&processes, writer).ok_or("the stale writer was not refused")?;
        println!("  node {writer} wakes, and its write is refused: the store has seen term {seen}");
        refused += 1;
        (writer, term) = (next, next_term);
    }
    let store = Connection::open(processes.folder().join("store.sqlite"))?;
    // In the order of writing, no term may follow a higher one.
    let stale: i64 = store.query_row(
        "SELECT count(*) FROM entry a JOIN entry b ON b.id = a.id + 1 WHERE b.term < a.term",
        [],
        |row| row.get(0),
    )?;
    let count: i64 = store.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))?;
    println!("{count} writes, {refused} refused, {stale} stale ones in the store");
    Ok(if stale == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A child: writes while it is Goose, for ever.
async fn serve(number: usize, config: Config, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut store = open(path)?;
    let node = Node::start(config).await?;
    loop {
        let campaign = node.until_goose().await?;
        while campaign.is_valid() {
            let term = campaign.term();
            // On a thread of its own: the node lives on this one.
            let written = tokio::task::spawn_blocking(move || {
                println!("thinking {term}");
                std::thread::sleep(THOUGHT);
                let outcome = write(&mut store, term, number);
                (store, outcome)
            });
            let outcome;
            (store, outcome) = written.await?;
            match outcome? {
                Ok(()) => println!("wrote {term}"),
                Err(seen) => println!("refused {seen}"),
            }
        }
    }
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let store = Connection::open(path)?;
    store.busy_timeout(PATIENCE)?;
    store.execute_batch(
        "CREATE TABLE IF NOT EXISTS fence (one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL);
         INSERT OR IGNORE INTO fence VALUES (1, 0);
         CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, term INTEGER NOT NULL, node INTEGER NOT NULL);",
    )?;
    Ok(store)
}

/// Writes, unless the store has seen a higher term, which is the inner error.
fn write(
    store: &mut Connection,
    term: u64,
    node: usize,
) -> Result<Result<(), i64>, rusqlite::Error> {
    // Terms stay far below 2^53.
    let term = i64::try_from(term).unwrap_or(i64::MAX);
    let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let raised = transaction.execute("UPDATE fence SET term = ?1 WHERE term <= ?1", [term])?;
    if raised == 0 {
        return Ok(Err(transaction.query_row("SELECT term FROM fence", [], |row| row.get(0))?));
    }
    let node = i64::try_from(node).unwrap_or(i64::MAX);
    transaction.execute("INSERT INTO entry (term, node) VALUES (?1, ?2)", params![term, node])?;
    transaction.commit()?;
    Ok(Ok(()))
}

/// Waits until `writer` thinks: its guard has said yes, and it has not written yet.
fn thinking(processes: &Processes, writer: usize) -> Option<()> {
    // What it said earlier is over.
    while processes.next(Duration::ZERO).is_some() {}
    said(processes, |node, line| (node == writer && line.starts_with("thinking ")).then_some(()))
}

/// The next node that says it wrote under a term above `above`.
fn written(processes: &Processes, above: u64) -> Option<(usize, u64)> {
    said(processes, |node, line| {
        let term = line.strip_prefix("wrote ")?.parse().ok()?;
        (term > above).then_some((node, term))
    })
}

/// The term that the store had seen when it refused `writer`.
fn refusal(processes: &Processes, writer: usize) -> Option<u64> {
    said(processes, |node, line| {
        line.strip_prefix("refused ").filter(|_| node == writer)?.parse().ok()
    })
}

/// Listens until `wanted` gives something.
fn said<T>(processes: &Processes, wanted: impl Fn(usize, &str) -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let (node, line) = processes.next(PATIENCE)?;
        if let Some(found) = wanted(node, &line) {
            return Some(found);
        }
    }
    None
}
