//! Whether a Goose keeps its place while the machine is busy with something else: three real
//! nodes, and twice as many busy loops as there are cores.
//!
//! ```text
//! cargo bench --bench busy_machine -- --minutes 10
//! cargo bench --bench busy_machine -- --minutes 1 --loops 8 --profile fast
//! ```
//!
//! Every node is asked for its status a few times a second, and tells its events in its log;
//! the loops are threads of this process and have the nodes' own priority. Ends with 1 if the
//! term changed, or if two nodes were ever seen to be Goose at once.

#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../report/mod.rs"]
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use report::harness::Cluster;
use report::harness::watch::Watch;

/// The nodes are asked this often: not so often that the asking is the load.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Parser)]
struct Options {
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Busy threads; twice as many as there are cores, if nothing is said.
    #[arg(long)]
    loops: Option<usize>,
    #[arg(long, default_value = "lan", value_parser = ["lan", "fast", "wan"])]
    profile: String,
}

fn main() -> ExitCode {
    let Options { minutes, loops, profile } = report::arguments();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let loops = loops.unwrap_or(2 * cores);
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, Watch::new(SAMPLE_INTERVAL, false));
    cluster.give_all(&["--profile", &profile]);
    for id in ids {
        cluster.start(id);
    }
    let first = cluster.wait_for_agreement(&ids, 0);
    eprintln!("node {} leads term {}; {loops} busy loops begin", first.goose, first.term);

    let ending = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..loops)
        .map(|_| {
            let ending = Arc::clone(&ending);
            std::thread::spawn(move || {
                while !ending.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60 * minutes) {
        std::thread::sleep(Duration::from_secs(1));
    }
    ending.store(true, Ordering::Relaxed);
    for thread in busy {
        // It only spins.
        let _ = thread.join();
    }
    let last = cluster.wait_for_agreement(&ids, 0);
    let became = |id: &u64| cluster.node(*id).log().matches("became Goose").count();
    let changes = ids.iter().map(became).sum::<usize>() - 1;
    let faults = cluster.watch().faults();
    println!(
        "{minutes} min on the {profile} profile beside {loops} busy loops: {changes} changes of \
         term (first {}, last {}), two Geese at once: {}",
        first.term,
        last.term,
        faults.len()
    );
    if changes == 0 && first == last && faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("FAILED: {faults:#?}\n{}", cluster.logs());
    ExitCode::FAILURE
}
