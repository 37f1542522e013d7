//! Whether a Goose keeps its place while the machine is busy with something else: three real
//! nodes, and twice as many busy loops as there are cores.
//!
//! ```text
//! cargo bench --bench calm -- --minutes 10
//! cargo bench --bench calm -- --minutes 1 --loops 8 --profile fast
//! ```
//!
//! Every node is asked for its status a few times a second, and tells its events in its log;
//! the loops are threads of this process and have the nodes' own priority. Ends with 1 if the
//! term changed, or if two nodes were ever seen to be Goose at once.

// The tests use the rest.
#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::Cluster;
use harness::watch::Watch;

const USAGE: &str = "usage: calm [--minutes N] [--loops N] [--profile lan|fast|wan]";

/// The nodes are asked this often: not so often that the asking is the load.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

struct Options {
    minutes: u64,
    loops: usize,
    profile: String,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut options = Self { minutes: 1, loops: 2 * cores, profile: "lan".to_owned() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let number =
                |text: String| text.parse::<u64>().map_err(|_| format!("{text}: no number"));
            match argument.as_str() {
                "--minutes" => options.minutes = number(value()?)?.max(1),
                "--loops" => options.loops = usize::try_from(number(value()?)?).unwrap_or(0),
                "--profile" => options.profile = value()?,
                // Cargo says this to every benchmark.
                "--bench" => {}
                _ => return Err(format!("{argument} is not understood")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("calm: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, Watch::new(SAMPLE_INTERVAL, false));
    cluster.add_arguments(&["--profile", &options.profile]);
    for id in ids {
        cluster.start(id);
    }
    let first = cluster.wait_for_agreement(&ids, 0);
    let Options { minutes, loops, profile } = &options;
    eprintln!("node {} leads term {}; {loops} busy loops begin", first.goose, first.term);

    let ending = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..*loops)
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
