//! What this process uses of its machine: processor time, memory, descriptors. For the metrics.
//!
//! Read when somebody asks, and only then: each reading is a few system calls. Assumption: `/proc`
//! shows the process itself, as it does with `ProcSubset=pid`, too. Where it does not, as on other
//! systems than Linux, what would stand there is left out, and never shown as 0.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What a process uses, as far as it can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// Processor time of all threads, in user and kernel mode.
    pub processor: Duration,
    /// Descriptors it may have open at once; none: as many as it likes.
    pub open_files_max: Option<u64>,
    /// Descriptors it has open.
    pub open_files: Option<u64>,
    /// Its memory and its beginning.
    pub stat: Option<Stat>,
}

/// What `/proc/self/stat` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stat {
    /// Memory that is present, in bytes.
    pub resident_memory: u64,
    /// Memory that is mapped, in bytes.
    pub virtual_memory: u64,
    /// When the process began, since 1970.
    pub started: Duration,
}

impl ProcessUsage {
    /// Of this process, now.
    pub fn read() -> Self {
        let listed = std::fs::read_dir("/proc/self/fd").ok();
        Self {
            processor: read_clock(ClockId::ProcessCPUTime),
            open_files_max: getrlimit(Resource::Nofile).current,
            // The listing has a descriptor itself while it is read, and that is none of ours.
            open_files: listed.map(|entries| (entries.count() as u64).saturating_sub(1)),
            stat: read_stat(),
        }
    }
}

fn read_clock(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(target_os = "linux")]
fn read_stat() -> Option<Stat> {
    let text = std::fs::read("/proc/self/stat").ok()?;
    let counted = Counted::parse(&String::from_utf8_lossy(&text))?;
    let page_size = rustix::param::page_size() as u64;
    Some(Stat {
        resident_memory: counted.resident_pages.saturating_mul(page_size),
        virtual_memory: counted.virtual_memory,
        started: began(counted.start_ticks),
    })
}

#[cfg(not(target_os = "linux"))]
fn read_stat() -> Option<Stat> {
    None
}

/// When the process began, by the wall clock as it went at the first reading: a moment that moved
/// with every step of that clock would look like a restart.
#[cfg(target_os = "linux")]
fn began(start_ticks: u64) -> Duration {
    use std::time::{SystemTime, UNIX_EPOCH};

    static BEGAN: std::sync::OnceLock<Duration> = std::sync::OnceLock::new();
    *BEGAN.get_or_init(|| {
        let hertz = rustix::param::clock_ticks_per_second().max(1);
        let since_boot = Duration::from_millis(start_ticks.saturating_mul(1000) / hertz);
        let age = read_clock(ClockId::Boottime).saturating_sub(since_boot);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(age)
    })
}

/// What the kernel counts, in its own units.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq)]
struct Counted {
    start_ticks: u64,
    virtual_memory: u64,
    resident_pages: u64,
}

#[cfg(target_os = "linux")]
impl Counted {
    /// Of the one line of a `stat` file. The name, the second field, may hold anything, brackets and
    /// spaces included; after the last bracket there are numbers only.
    fn parse(line: &str) -> Option<Self> {
        // The first field after the name is the third of proc(5), so the 22nd stands at 19.
        const START: usize = 22 - 3;
        let (_, after_name) = line.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace().skip(START);
        let mut number = || fields.next()?.parse().ok();
        Some(Self { start_ticks: number()?, virtual_memory: number()?, resident_pages: number()? })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let rest =
            "S 1 7 7 0 -1 4194560 1 0 0 0 5 3 0 0 20 0 4 0 8814 12300288 2345 18446744073709551615";
        let counted =
            Some(Counted { start_ticks: 8814, virtual_memory: 12_300_288, resident_pages: 2345 });
        for name in ["(gaggle)", "(a) b ) (c)", "()"] {
            assert_eq!(Counted::parse(&format!("7 {name} {rest}")), counted, "{name}");
        }
        for wrong in
            ["", "7 (gaggle) S 1", "7 gaggle S", &format!("7 (gaggle) {rest}").replace("8814", "-")]
        {
            assert_eq!(Counted::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_process_uses_something() {
        let usage = ProcessUsage::read();
        let stat = usage.stat.unwrap();
        assert!(usage.processor > Duration::ZERO, "{usage:?}");
        assert!(stat.resident_memory > 100_000, "{stat:?}");
        assert!(stat.virtual_memory >= stat.resident_memory, "{stat:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(
            stat.started <= now && now - stat.started < Duration::from_secs(24 * 3600),
            "{stat:?}"
        );
        assert_eq!(ProcessUsage::read().stat.unwrap().started, stat.started, "it began once");
        // The standard streams, at least. Other tests open and close files meanwhile.
        assert!(usage.open_files.unwrap() >= 3, "{usage:?}");
    }
}
