//! Hostile input to every way into a node, on all cores.
//!
//! ```text
//! cargo run --release --example fuzz -- datagrams --iterations 20000000 --seed 1
//! cargo run --release --example fuzz -- records   --input 0a1b2c     one input, as it was printed
//! cargo run --release --example fuzz -- http      --grow DIR         keeps what met something new
//! ```
//!
//! With `CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true` in front, sums that overflow are found
//! too. The targets are `datagrams`, `records`, `http` and `settings`; each starts from its
//! corpus in `tests/core/corpus`. Exits with 1 if an input broke a promise.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[path = "../tests/core/fuzz/targets/mod.rs"]
mod targets;

use targets::{Campaign, Failure, TARGETS, Tally, unhexed};

const USAGE: &str =
    "fuzz TARGET [--iterations N] [--seed S] [--threads N] [--input HEX] [--grow DIR]";
/// Inputs between two looks at the others' progress.
const ROUND: u64 = 32;

struct Arguments {
    target: String,
    options: BTreeMap<String, String>,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut words = std::env::args().skip(1);
        let target = words.next().ok_or(format!("usage: {USAGE}"))?;
        if !TARGETS.iter().any(|(name, _)| *name == target) {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            return Err(format!("no target {target}; there are: {}", names.join(", ")));
        }
        let mut options = BTreeMap::new();
        while let Some(word) = words.next() {
            let known = ["--iterations", "--seed", "--threads", "--input", "--grow"];
            if !known.contains(&word.as_str()) {
                return Err(format!("unknown argument {word}\nusage: {USAGE}"));
            }
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            options.insert(word, value);
        }
        Ok(Self { target, options })
    }

    fn number(&self, name: &str, otherwise: u64) -> Result<u64, String> {
        let parse = |text: &String| text.parse().map_err(|_| format!("{text} is no number"));
        self.options.get(name).map_or(Ok(otherwise), parse)
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/corpus").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

/// The most memory that this process has had, in MiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes / 1024)
}

#[derive(Default)]
struct Outcome {
    tally: Tally,
    found: Vec<Vec<u8>>,
    failure: Option<Failure>,
}

fn campaign(target: &str, seed: u64) -> Result<Campaign, String> {
    Campaign::new(target, seed, corpus(target)).ok_or(format!("{target} cannot be set up here"))
}

fn fire(arguments: &Arguments) -> Result<ExitCode, String> {
    let target = arguments.target.as_str();
    let iterations = arguments.number("--iterations", 1_000_000)?;
    let seed = arguments.number("--seed", 1)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads = arguments.number("--threads", cores)?.max(1);
    println!("{target}: {iterations} iterations, seed {seed}, {threads} threads");
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let outcome = Mutex::new(Outcome::default());
    let begun = Instant::now();
    let work = |thread: u64| -> Result<(), String> {
        let mut campaign = campaign(target, seed.wrapping_mul(1_000_003).wrapping_add(thread))?;
        let mut failure = campaign.replay().err();
        let mut reported = 0;
        while failure.is_none() && !stop.load(Ordering::Relaxed) {
            failure = (0..ROUND).try_for_each(|_| campaign.step()).err();
            let units = campaign.tally.units;
            if done.fetch_add(units - reported, Ordering::Relaxed) + units - reported >= iterations
            {
                stop.store(true, Ordering::Relaxed);
            }
            reported = units;
        }
        // Only what was made counts, not what a failure is reduced with.
        let tally = campaign.tally.clone();
        if let Some(found) = failure.take() {
            stop.store(true, Ordering::Relaxed);
            eprintln!("\nan input of {} bytes broke a promise: reducing it", found.input.len());
            failure = Some(campaign.reduce(found));
        }
        let mut outcome = outcome.lock().map_err(|error| error.to_string())?;
        outcome.tally.add(&tally);
        outcome.found.append(&mut campaign.found);
        outcome.failure = outcome.failure.take().or(failure);
        Ok(())
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        show_progress(&done, iterations, &|| workers.iter().all(|worker| worker.is_finished()));
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a thread died")?)
    })?;
    let outcome = outcome.into_inner().map_err(|error| error.to_string())?;
    summary(target, &outcome, begun.elapsed());
    if let Some(folder) = arguments.options.get("--grow") {
        keep(Path::new(folder), &outcome.found).map_err(|error| error.to_string())?;
    }
    match outcome.failure {
        None => Ok(ExitCode::SUCCESS),
        Some(failure) => {
            println!("{failure}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn show_progress(done: &AtomicU64, iterations: u64, finished: &dyn Fn() -> bool) {
    let terminal = std::io::stderr().is_terminal();
    while !finished() {
        std::thread::sleep(Duration::from_millis(100));
        if terminal {
            let done = done.load(Ordering::Relaxed).min(iterations);
            let share = usize::try_from(done * 40 / iterations.max(1)).unwrap_or(40);
            let bar = format!("{}{}", "=".repeat(share), " ".repeat(40 - share));
            eprint!("\r[{bar}] {done} of {iterations} ");
            let _ = std::io::stderr().flush();
        }
    }
    if terminal {
        eprintln!();
    }
}

fn summary(target: &str, outcome: &Outcome, took: Duration) {
    let units = outcome.tally.units;
    for (layer, count) in &outcome.tally.layers {
        println!("{count:>12}  {:>5.1} %  {layer}", *count as f64 * 100.0 / units.max(1) as f64);
    }
    let seconds = took.as_secs_f64();
    let memory = peak_memory().map_or("unknown".to_owned(), |peak| format!("{peak} MiB"));
    println!(
        "{units} {target} in {seconds:.1} s: {:.0} a second, peak memory {memory}, {} inputs met \
         something new",
        units as f64 / seconds,
        outcome.found.len()
    );
    println!("{} broke a promise", u32::from(outcome.failure.is_some()));
}

fn keep(folder: &Path, found: &[Vec<u8>]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for input in found {
        let digest = gaggle::vocabulary::hash::stable_hash(b"corpus", input);
        std::fs::write(folder.join(format!("{digest:016x}")), input)?;
    }
    Ok(())
}

fn one(target: &str, hex: &str) -> Result<ExitCode, String> {
    let input = unhexed(hex).ok_or("--input wants hexadecimal digits")?;
    let mut campaign = campaign(target, 0)?;
    let outcome = campaign.attempt(&input);
    for (layer, count) in &campaign.tally.layers {
        println!("{count:>6}  {layer}");
    }
    match outcome {
        Ok(_) => {
            println!("{} {target}: every promise was kept", campaign.tally.units);
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            println!("{failure}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn main() -> ExitCode {
    // A panic is reported as what it is: a failure with its input.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = Arguments::parse().and_then(|arguments| match arguments.options.get("--input") {
        Some(hex) => one(&arguments.target, hex),
        None => fire(&arguments),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}
