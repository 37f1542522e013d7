//! Everything that descends from one process, and signals to all of it.
//!
//! ```text
//! keeper ── children ──▶ command ── children ──▶ ...      one file per thread, by the kernel:
//!    └───── children ──▶ a daemon that left the command   /proc/PID/task/TID/children
//! ```
//!
//! Only descendants are walked, so the cost is theirs and not that of the machine. A kernel
//! without those files (CONFIG_PROC_CHILDREN) is asked for all processes instead. The caller's
//! clock is looked at between any two processes, and its word ends the walk.
//!
//! Whoever walks is a child subreaper: a descendant whose parent has ended becomes its child. So
//! whatever one walk misses (too deep, too many, just born) the next one finds higher up once
//! its parents are dead.
//!
//! A number may be given to a stranger as soon as its process was waited for. A child of the
//! walker's own is waited for by nobody else, and not during a walk. Any other is opened first
//! (a folder of `/proc` stays with its process for ever) and must then still name its parent,
//! which must still be there.
//!
//! A walk allocates nothing.

use std::io::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use rustix::process::{getpid, kill_process, pidfd_send_signal, wait, waitid};

/// Processes whose turn in a walk is yet to come.
const WAITING_MAX: usize = 16 * 1024;
/// Generations in one walk.
const DEPTH_MAX: usize = 64;
/// Processes out of reach that are told of one by one.
const UNREACHED_MAX: usize = 16;
/// Descendants found by a list of all processes whose descriptors are kept for the next signal.
const KEPT_MAX: usize = 256;
/// A `stat` is shorter, and so is the part of a `status` that matters.
const TEXT_SIZE: usize = 4096;
/// Room for names of a folder.
const NAMES_SIZE: usize = 16 * 1024;
/// Processes that are waited for in one go.
const REAPED_MAX: usize = 1024;

/// A process that may not be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Its number.
    pub process: i32,
    /// The user that it runs as.
    pub user: u32,
    /// What the operating system said.
    pub reason: i32,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    Whole,
    /// The caller had something more urgent to do.
    Interrupted,
}

/// The descendants of this process.
pub(super) struct ProcessTree {
    root: Pid,
    /// The kernel lists the children of each thread.
    children_listed: bool,
    waiting: Vec<Pid>,
    branches: Vec<Branch>,
    unreached: Vec<Unreached>,
    /// Without lists of children: who was found to descend, in the order of the numbers.
    found: Vec<i32>,
    kept: Vec<OwnedFd>,
    text: Box<[u8; TEXT_SIZE]>,
    names: Box<[MaybeUninit<u8>]>,
}

/// A process whose children are being walked.
struct Branch {
    number: Pid,
    folder: OwnedFd,
    /// Those of them that still wait begin here.
    first: usize,
}

/// What is asked of each process.
#[derive(Clone, Copy)]
struct Request {
    signals: &'static [Signal],
    /// Its members have them already.
    spared: Option<Pid>,
}

/// What `/proc` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    state: u8,
    parent: i32,
    group: i32,
}

impl ProcessTree {
    /// That of this process.
    pub(super) fn own() -> Self {
        Self::below(getpid())
    }

    fn below(root: Pid) -> Self {
        let mut tree = Self {
            root,
            children_listed: true,
            waiting: Vec::with_capacity(WAITING_MAX),
            branches: Vec::with_capacity(DEPTH_MAX),
            unreached: Vec::with_capacity(UNREACHED_MAX),
            found: Vec::new(),
            kept: Vec::new(),
            text: Box::new([0; TEXT_SIZE]),
            names: Box::new([MaybeUninit::uninit(); NAMES_SIZE]),
        };
        let own = getpid().as_raw_nonzero();
        let path = path(format_args!("/proc/{own}/task/{own}/children"));
        if path.is_none_or(|path| open(CWD, &path, OFlags::empty()).is_err()) {
            tree.list_all_processes();
        }
        tree
    }

    fn list_all_processes(&mut self) {
        self.children_listed = false;
        self.found.reserve_exact(WAITING_MAX);
        self.kept.reserve_exact(KEPT_MAX);
    }

    /// Sends `signals` to every descendant that is not in the process group `spared`, until
    /// `is_urgent` says so.
    pub(super) fn signal(
        &mut self,
        signals: &'static [Signal],
        spared: Option<Pid>,
        is_urgent: impl FnMut() -> bool,
    ) -> Walk {
        self.unreached.clear();
        let request = Request { signals, spared };
        if self.children_listed {
            return self.walk(request, is_urgent);
        }
        for process in &self.kept {
            for signal in signals {
                // It may have ended.
                let _ = pidfd_send_signal(process, *signal);
            }
        }
        self.search(request, is_urgent)
    }

    /// The first of those that the last signal could not be sent to.
    pub(super) fn unreached(&self) -> &[Unreached] {
        &self.unreached
    }

    /// Nothing is left: what was remembered of it is no more.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.unreached.clear();
    }

    /// Depth first, parents before their children.
    fn walk(&mut self, request: Request, mut is_urgent: impl FnMut() -> bool) -> Walk {
        self.waiting.clear();
        self.branches.clear();
        let Ok(folder) = open_process(self.root) else { return Walk::Whole };
        self.list_children(folder.as_fd());
        self.branches.push(Branch { number: self.root, folder, first: 0 });
        while let Some(branch) = self.branches.last() {
            if is_urgent() {
                self.branches.clear();
                return Walk::Interrupted;
            }
            let first = branch.first;
            // What stands before belongs to branches higher up.
            let next = if self.waiting.len() > first { self.waiting.pop() } else { None };
            match next {
                Some(number) => self.visit(number, request),
                None => {
                    self.branches.pop();
                }
            }
        }
        Walk::Whole
    }

    /// Signals one process of the last branch, and makes a branch of it if it has children.
    fn visit(&mut self, number: Pid, request: Request) {
        let Some(branch) = self.branches.last() else { return };
        let own_child = branch.number == self.root;
        let Ok(folder) = open_process(number) else {
            if own_child {
                // It may be hidden from this process, and is its child all the same.
                let sent = each(request.signals, |signal| kill_process(number, signal));
                self.note(number, None, 0, sent);
            }
            return;
        };
        let entry = entry(folder.as_fd(), &mut self.text);
        if !own_child {
            let parent = entry.map(|entry| entry.parent);
            // Its parent has ended meanwhile, of the same signal perhaps: it has come to the root.
            let adopted = parent == Some(self.root.as_raw_nonzero().get());
            let is_child = parent == Some(branch.number.as_raw_nonzero().get());
            let is_certain =
                is_child && self::entry(branch.folder.as_fd(), &mut self.text).is_some();
            if !adopted && !is_certain {
                return;
            }
        }
        let first = self.waiting.len();
        // Before the signal: a dead process has no children.
        self.list_children(folder.as_fd());
        self.send(number, own_child, entry, folder.as_fd(), request);
        if self.waiting.len() > first {
            if self.branches.len() < DEPTH_MAX {
                self.branches.push(Branch { number, folder, first });
            } else {
                self.waiting.truncate(first);
            }
        }
    }

    fn send(
        &mut self,
        number: Pid,
        own_child: bool,
        entry: Option<Entry>,
        folder: BorrowedFd<'_>,
        request: Request,
    ) {
        let group = request.spared.map(|group| group.as_raw_nonzero().get());
        if entry.is_some_and(|entry| Some(entry.group) == group) {
            return;
        }
        let sent = each(request.signals, |signal| {
            if own_child { kill_process(number, signal) } else { pidfd_send_signal(folder, signal) }
        });
        self.note(number, Some(folder), entry.map_or(0, |entry| entry.state), sent);
    }

    /// Notes whom a signal did not reach. A zombie needs none.
    fn note(
        &mut self,
        number: Pid,
        folder: Option<BorrowedFd<'_>>,
        state: u8,
        sent: rustix::io::Result<()>,
    ) {
        let Err(reason) = sent else { return };
        let dead = matches!(state, b'Z' | b'X') || reason == Errno::SRCH;
        if dead || self.unreached.len() == UNREACHED_MAX {
            return;
        }
        let user = folder.and_then(|folder| user(folder, &mut self.text)).unwrap_or(u32::MAX);
        let process = number.as_raw_nonzero().get();
        self.unreached.push(Unreached { process, user, reason: reason.raw_os_error() });
    }

    /// Appends the children of all threads of a process to those that wait.
    fn list_children(&mut self, process: BorrowedFd<'_>) {
        let Self { waiting, text, names, .. } = self;
        let Ok(threads) = open(process, c"task", OFlags::DIRECTORY) else { return };
        let mut names = RawDir::new(threads.as_fd(), &mut names[..]);
        while let Some(Ok(thread)) = names.next() {
            let Some(thread) = number(thread.file_name().to_bytes()) else { continue };
            let Some(path) = path(format_args!("{thread}/children")) else { continue };
            if let Ok(list) = open(threads.as_fd(), &path, OFlags::empty()) {
                read_numbers(list.as_fd(), text, waiting);
            }
        }
    }

    /// Looks for descendants among all processes. One whose parent has a higher number than
    /// itself may be missed, until its parent is dead.
    fn search(&mut self, request: Request, mut is_urgent: impl FnMut() -> bool) -> Walk {
        self.found.clear();
        self.kept.clear();
        let Ok(all) = open(CWD, c"/proc", OFlags::DIRECTORY) else { return Walk::Whole };
        // Out of `self` for as long as the listing borrows it.
        let mut names = std::mem::replace(&mut self.names, Box::new([]));
        let mut listing = RawDir::new(all.as_fd(), &mut names[..]);
        let mut outcome = Walk::Whole;
        while let Some(Ok(entry)) = listing.next() {
            if is_urgent() {
                outcome = Walk::Interrupted;
                break;
            }
            if let Some(number) = number(entry.file_name().to_bytes()) {
                self.look_at(number, request);
            }
        }
        self.names = names;
        outcome
    }

    fn look_at(&mut self, number: Pid, request: Request) {
        let Ok(folder) = open_process(number) else { return };
        let Some(entry) = entry(folder.as_fd(), &mut self.text) else { return };
        let Some(parent) = Pid::from_raw(entry.parent) else { return };
        let own_child = parent == self.root;
        if !own_child && self.found.binary_search(&entry.parent).is_err() {
            return;
        }
        let raw = number.as_raw_nonzero().get();
        if let Err(place) = self.found.binary_search(&raw)
            && self.found.len() < WAITING_MAX
        {
            self.found.insert(place, raw);
        }
        self.send(number, own_child, Some(entry), folder.as_fd(), request);
        if self.kept.len() < KEPT_MAX {
            self.kept.push(folder);
        }
    }
}

/// Waits for those that have ended already: no zombie is left of the children of this process.
/// Returns how `command` ended, if it was among them.
pub(super) fn reap(command: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    // What multiplies faster than this is for the next time: the clock is to be looked at.
    for _ in 0..REAPED_MAX {
        let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) else { break };
        if Some(process) == command {
            found = Some(status);
        }
    }
    found
}

/// Whether any descendant is left, zombies included: one that cannot be waited for yet may have
/// threads that still run.
pub(super) fn is_left() -> bool {
    // Children come first: without one there is nothing below, and nothing to list.
    let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, looking), Err(Errno::CHILD))
}

fn each(
    signals: &[Signal],
    mut send: impl FnMut(Signal) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    signals.iter().try_for_each(|signal| send(*signal))
}

/// A path that ends in a zero, in a few bytes of its own.
struct ShortPath([u8; 48]);

impl std::ops::Deref for ShortPath {
    type Target = std::ffi::CStr;

    fn deref(&self) -> &Self::Target {
        // It was written with a zero at its end.
        std::ffi::CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

fn path(words: std::fmt::Arguments<'_>) -> Option<ShortPath> {
    let mut bytes = [0; 48];
    // The last byte stays zero.
    (&mut bytes[..47]).write_fmt(words).ok()?;
    Some(ShortPath(bytes))
}

fn open(folder: impl AsFd, path: &std::ffi::CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty())
}

/// The folder of a process. It serves as a pidfd, too.
fn open_process(number: Pid) -> rustix::io::Result<OwnedFd> {
    let path = path(format_args!("/proc/{}", number.as_raw_nonzero())).ok_or(Errno::NAMETOOLONG)?;
    open(CWD, &path, OFlags::DIRECTORY)
}

fn number(text: &[u8]) -> Option<Pid> {
    Pid::from_raw(std::str::from_utf8(text).ok()?.parse().ok()?)
}

/// Reads numbers that are separated by spaces, and appends as many as there is room for.
fn read_numbers(list: BorrowedFd<'_>, text: &mut [u8; TEXT_SIZE], into: &mut Vec<Pid>) {
    let mut kept = 0;
    while let Ok(count @ 1..) = rustix::io::read(list, &mut text[kept..]) {
        let filled = kept + count;
        // The last one may go on.
        let whole = text[..filled].iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
        for number in text[..whole].split(|byte| *byte == b' ').filter_map(number) {
            if into.len() < into.capacity() {
                into.push(number);
            }
        }
        text.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
    if let Some(number) = number(&text[..kept])
        && into.len() < into.capacity()
    {
        into.push(number);
    }
}

fn entry(process: BorrowedFd<'_>, text: &mut [u8; TEXT_SIZE]) -> Option<Entry> {
    parse(read_text(process, c"stat", text)?)
}

fn read_text<'text>(
    process: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    text: &'text mut [u8; TEXT_SIZE],
) -> Option<&'text [u8]> {
    let file = open(process, name, OFlags::empty()).ok()?;
    let count = rustix::io::read(&file, &mut text[..]).ok()?;
    Some(&text[..count])
}

/// The name stands in brackets and may hold anything, so what follows the last one counts:
/// state, parent, group.
fn parse(stat: &[u8]) -> Option<Entry> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Entry { state, parent, group: fields.next()?.parse().ok()? })
}

/// The user that a process runs as: the second of four.
fn user(process: BorrowedFd<'_>, text: &mut [u8; TEXT_SIZE]) -> Option<u32> {
    const LABEL: &[u8] = b"\nUid:";
    let text = read_text(process, c"status", text)?;
    // The name above it may hold anything but the end of a line.
    let start = text.windows(LABEL.len()).position(|part| part == LABEL)? + LABEL.len();
    let mut numbers = text[start..].split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
    std::str::from_utf8(numbers.nth(1)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_hostile_name_hides_nobody() {
        let stat = b"12 (a) R 1 (b) S 7 12 12 0 -1 4194560 1 0";
        assert_eq!(parse(stat), Some(Entry { state: b'S', parent: 7, group: 12 }));
        assert_eq!(parse(b"12 (a"), None);
    }

    /// A shell with seven descendants, some in sessions of their own.
    const FAMILY: &str = "sleep 1000 & setsid sleep 1000 & (sleep 1000 & sleep 1000; :) & \
                          setsid sh -c 'sleep 1000 & wait' & wait";
    const DESCENDANTS: usize = 7;

    /// The states of processes with this in their environment.
    fn marked(mark: &str) -> Vec<(Pid, u8)> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|one| number(one.file_name().as_encoded_bytes()));
        let is_marked = |number: &Pid| {
            let path = format!("/proc/{}/environ", number.as_raw_nonzero());
            let environment = std::fs::read(path).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes())
        };
        let marked = numbers.filter(is_marked);
        let mut text = [0; TEXT_SIZE];
        let mut state = |it: Pid| Some(entry(open_process(it).ok()?.as_fd(), &mut text)?.state);
        marked.filter_map(|it| Some((it, state(it)?))).collect()
    }

    /// Stops them all, for nobody here adopts whoever loses its parent.
    fn all_of_it_is_reached(name: &str, prepare: impl Fn(&mut ProcessTree)) {
        let mark = format!("FAMILY={name}-{}", std::process::id());
        let (variable, value) = mark.split_once('=').unwrap();
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", FAMILY]).env(variable, value).stdout(Stdio::null()).spawn();
        let mut shell = shell.unwrap();
        let root = Pid::from_child(&shell);
        let mut tree = ProcessTree::below(root);
        prepare(&mut tree);
        // A process that has yet to become what it is to be does not count.
        let others = |family: &[(Pid, u8)], state: Option<u8>| {
            let others = family.iter().filter(|(one, _)| *one != root);
            others.filter(|(_, its)| state.is_none_or(|state| *its == state)).count()
        };
        while others(&marked(&mark), None) < DESCENDANTS {
            std::thread::yield_now();
        }
        assert_eq!(tree.signal(&[Signal::STOP], None, || true), Walk::Interrupted);
        while others(&marked(&mark), Some(b'T')) < DESCENDANTS {
            assert_eq!(tree.signal(&[Signal::STOP], None, || false), Walk::Whole);
            assert_eq!(tree.unreached(), []);
        }
        let family = marked(&mark);
        assert!(family.iter().all(|(one, state)| (*one == root) == (*state != b'T')), "{family:?}");
        for (one, _) in family {
            kill_process(one, Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
    }

    #[test]
    fn all_that_descends_is_reached_by_the_lists_of_children() {
        all_of_it_is_reached("lists", |_| {});
    }

    #[test]
    fn all_that_descends_is_reached_by_the_list_of_all_processes() {
        all_of_it_is_reached("search", ProcessTree::list_all_processes);
    }
}
