//! Everything that descends from this process, by what `/proc` says of parents. This process is
//! a subreaper: a descendant whose parent ends becomes its child, so nothing gets out of sight.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open};
use rustix::process::{WaitId, WaitIdOptions, pidfd_send_signal, wait, waitid};

/// While something is being killed, it is looked at this often.
pub(super) const KILL_INTERVAL: Duration = Duration::from_millis(1);

/// What `/proc` says of a process: its parent, and when it started, which tells it from a later
/// process with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    parent: i32,
    started: u64,
}

/// Ends whatever has ended already: no zombie is left of the children of this process. Returns
/// how `command` ended, if it was among them.
pub(super) fn reap(command: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == command {
            found = Some(status);
        }
    }
    found
}

/// Whether any descendant is left, zombies included: one that cannot be reaped yet may have
/// threads that still run.
pub(super) fn is_left() -> bool {
    // Children come first: without one there is nothing below, and nothing to list.
    let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, looking), Err(rustix::io::Errno::CHILD))
}

/// Sends `signal` to every descendant of this process.
pub(super) fn signal_all(signal: Signal) {
    let processes = processes();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut below = BTreeSet::from([own]);
    // Parents may have higher numbers than their children: until nothing is added.
    loop {
        let added: Vec<i32> = processes
            .iter()
            .filter(|(pid, entry)| below.contains(&entry.parent) && !below.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if added.is_empty() {
            break;
        }
        below.extend(added);
    }
    below.remove(&own);
    for number in below {
        let Some(pid) = Pid::from_raw(number) else { continue };
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // The number may have been given to a stranger since it was listed.
        if entry(number).map(|entry| entry.started) == processes.get(&number).map(|it| it.started) {
            // It may have ended meanwhile.
            let _ = pidfd_send_signal(process, signal);
        }
    }
}

/// Kills every descendant of this process, and returns when none is left.
pub(super) fn kill_all() {
    loop {
        reap(None);
        if !is_left() {
            return;
        }
        signal_all(Signal::KILL);
        std::thread::sleep(KILL_INTERVAL);
    }
}

fn processes() -> BTreeMap<i32, Entry> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|found| found.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(|number| Some((number, entry(number)?))).collect()
}

fn entry(number: i32) -> Option<Entry> {
    parse(&fs::read_to_string(format!("/proc/{number}/stat")).ok()?)
}

/// The name stands in brackets and may hold anything, so what follows the last one counts:
/// state, parent, and as the twentieth the start.
fn parse(stat: &str) -> Option<Entry> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Entry { parent, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_hides_nobody() {
        let stat = "12 (a) R 1 (b) S 7 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 9";
        assert_eq!(parse(stat), Some(Entry { parent: 7, started: 4711 }));
        assert_eq!(parse("12 (a"), None);
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(processes().contains_key(&own));
    }
}
