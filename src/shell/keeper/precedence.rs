//! What lets the keeper run when nothing else on the machine does: its memory is locked, so that
//! no page of it must be read from a busy disk; its priority is raised; and the kernel that is
//! out of memory picks others first.
//!
//! Each of them is taken where it is permitted and gone without where not. The command has none
//! of them: memory is not locked across an exec, and the rest is given back before it is born.

use std::fs;

use rustix::mm::{MlockAllFlags, mlockall, munlockall};
use rustix::process::{Resource, getpriority_process, getrlimit, setpriority_process};

/// The best there is, in steps of nice(1).
const NICE_BEST: i32 = -20;
/// The kernel takes any other process first.
const OUT_OF_MEMORY_LAST: &str = "-1000";
const OUT_OF_MEMORY_FILE: &str = "/proc/self/oom_score_adj";
/// What must be left of the limit for locked memory, for a stack that grows: it is locked, and
/// a process whose stack cannot grow is ended.
const LOCKED_SPARE: u64 = 1024 * 1024;

/// What the keeper has of it, and what was before.
#[derive(Debug)]
pub(super) struct Precedence {
    locked: bool,
    /// The priority before, if it was raised.
    nice: Option<i32>,
    /// The preference before, if it was changed.
    out_of_memory: Option<String>,
}

impl Precedence {
    /// Takes what is permitted.
    pub(super) fn take() -> Self {
        let nice = getpriority_process(None).ok().filter(|_| set_nice(NICE_BEST));
        let before = fs::read_to_string(OUT_OF_MEMORY_FILE).ok();
        let out_of_memory = before.filter(|_| prefer(OUT_OF_MEMORY_LAST));
        Self { locked: lock_memory(), nice, out_of_memory }
    }

    /// Which of the three there are, as bits: memory, priority, preference.
    pub(super) fn as_bits(&self) -> i32 {
        let bits = [self.locked, self.nice.is_some(), self.out_of_memory.is_some()];
        bits.into_iter().rev().fold(0, |all, bit| all << 1 | i32::from(bit))
    }

    /// Does `work` without it: what is born meanwhile has none.
    pub(super) fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        if let Some(nice) = self.nice {
            set_nice(nice);
        }
        if let Some(before) = &self.out_of_memory {
            prefer(before);
        }
        let done = work();
        if self.nice.is_some() {
            set_nice(NICE_BEST);
        }
        if self.out_of_memory.is_some() {
            prefer(OUT_OF_MEMORY_LAST);
        }
        done
    }
}

/// What of the three is missing, for people; none if nothing is.
pub(super) fn missing(bits: i32) -> Option<String> {
    const NAMES: [&str; 3] = ["locked memory", "a raised priority", "protection from oom"];
    let missing: Vec<&str> =
        (0..3).filter(|bit| bits & 1 << bit == 0).map(|bit| NAMES[bit]).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

fn set_nice(nice: i32) -> bool {
    setpriority_process(None, nice).is_ok()
}

fn prefer(value: &str) -> bool {
    fs::write(OUT_OF_MEMORY_FILE, value).is_ok()
}

/// Where there is a limit, what is mapped later stays unlocked, for a mapping that would exceed
/// the limit would fail.
fn lock_memory() -> bool {
    let limit = getrlimit(Resource::Memlock).current;
    let both = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    if limit.is_none() || may_lock_all() {
        return mlockall(both).is_ok();
    }
    if mlockall(MlockAllFlags::CURRENT).is_err() {
        return false;
    }
    let spare = locked().zip(limit).is_some_and(|(locked, limit)| locked + LOCKED_SPARE <= limit);
    if !spare {
        // It was allowed a moment ago.
        let _ = munlockall();
    }
    spare
}

/// Whether no limit holds for locked memory. The kernel asks for the capability in the first user
/// namespace: root of another one, as in a container without privileges, has it in name only.
fn may_lock_all() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    maps_everybody(&map)
        && capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

/// Whether a map of users is that of the first user namespace: everybody is who they are.
fn maps_everybody(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Bytes of memory that this process has locked.
fn locked() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let some = Precedence { locked: true, nice: None, out_of_memory: Some(String::new()) };
        assert_eq!(missing(some.as_bits()).as_deref(), Some("a raised priority"));
        assert_eq!(missing(7), None);
    }

    #[test]
    fn root_of_a_container_is_told_from_root() {
        assert!(maps_everybody("         0          0 4294967295\n"));
        assert!(!maps_everybody("         0     100000      65536\n"));
        assert!(!maps_everybody(
            "         0          0      65536\n     65536     200000      65536\n"
        ));
        assert!(!maps_everybody(""));
    }
}
