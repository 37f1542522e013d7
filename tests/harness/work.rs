//! Nodes that do work, as `gaggle exec` processes on loopback, and the judge of that work.
//!
//! ```text
//! worker ── at first, and every millisecond: the time on the boot clock ──▶ file NODE-TERM-PROCESS
//! judge ◀── of each file the two times: when that worker was alive ──┘
//! ```
//!
//! All processes of a machine share that clock. A worker that was killed lived for at most a
//! millisecond longer than its file says, if the machine gave it its turn. The last time is
//! written over the one before: a file that grows would make the worker wait for the disk.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use super::http::{Answer, Client};
use super::process::{GAGGLE, free_port};
use super::relay::Relay;
use super::{PATIENCE, poll_until};

/// Tells a program to be a worker, and where to write.
const FOLDER: &str = "WORK_FOLDER";
/// Which node's worker it is.
const NODE: &str = "WORK_NODE";

/// Works until it is killed, if this process was told to be a worker. Returns otherwise.
pub(crate) fn work() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let variable = |name: &str| std::env::var(name).expect("the worker is told");
    let name = format!("{}-{}-{}", variable(NODE), variable("GAGGLE_TERM"), std::process::id());
    let mut file = OpenOptions::new();
    let file = file.create(true).write(true).truncate(false).open(folder.join(name));
    let file = file.expect("a file to write into");
    let write = |at: u64| {
        let time = clock_gettime(ClockId::Boottime);
        let now = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        file.write_all_at(&now.to_le_bytes(), at).expect("it can be written");
    };
    write(0);
    loop {
        write(TIME_SIZE as u64);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A time in a worker's file.
const TIME_SIZE: usize = size_of::<i128>();

/// The life of one worker, in nanoseconds of the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) first: i128,
    pub(crate) last: i128,
    pub(crate) term: u64,
    pub(crate) node: u64,
}

/// What the workers in `folder` wrote, the earliest first.
pub(crate) fn lives(folder: &Path) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (node, term) = named(&entry.path()).expect("a worker's file");
        let bytes = fs::read(entry.path()).expect("what a worker wrote");
        let (times, _) = bytes.as_chunks::<TIME_SIZE>();
        let mut times = times.iter().map(|time| i128::from_le_bytes(*time));
        // None: it was killed before it could write.
        let Some(first) = times.next() else { continue };
        let last = times.next().unwrap_or(first);
        lives.push(Life { first, last, term, node });
    }
    lives.sort_by_key(|life| life.first);
    lives
}

fn named(path: &Path) -> Option<(u64, u64)> {
    let mut parts = path.file_name()?.to_str()?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Pairs of workers of two terms, or of two nodes, that were alive at once.
pub(crate) fn overlaps(lives: &[Life]) -> Vec<(Life, Life)> {
    let mut found = Vec::new();
    for (at, one) in lives.iter().enumerate() {
        for other in &lives[at + 1..] {
            let same = (one.term, one.node) == (other.term, other.node);
            if !same && other.first <= one.last && one.first <= other.last {
                found.push((*one, *other));
            }
        }
    }
    found
}

/// Nodes that vote and that each run the same shell line while they are Goose.
pub(crate) struct Workers {
    nodes: BTreeMap<u64, Child>,
    bound: BTreeMap<u64, SocketAddr>,
    http: BTreeMap<u64, SocketAddr>,
    relay: Relay,
    folder: tempfile::TempDir,
    worker: String,
    line: String,
    arguments: Vec<String>,
}

impl Workers {
    /// `count` nodes; `line` is what each runs, with `$WORKER` for a worker, which `worker`
    /// starts: a command line of a program that calls [`work`].
    pub(crate) fn start(count: u64, worker: &str, line: &str, arguments: &[&str]) -> Self {
        let address = |id: u64| (id, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let bound: BTreeMap<u64, SocketAddr> = (1..=count).map(address).collect();
        let http = (1..=count).map(address).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("work")).expect("a folder");
        let mut workers = Self {
            nodes: BTreeMap::new(),
            relay: Relay::start(bound.clone()),
            bound,
            http,
            folder,
            worker: worker.to_owned(),
            line: line.to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        for id in 1..=count {
            workers.launch(id);
        }
        workers
    }

    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Where the workers write.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn log(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("log-{id}"))
    }

    /// Starts a node that does not run.
    pub(crate) fn launch(&mut self, id: u64) {
        let voter = |id: &u64| format!("{id}={}", self.relay.address(*id));
        let voters: Vec<String> = self.bound.keys().map(voter).collect();
        let log = OpenOptions::new().create(true).append(true).open(self.log(id));
        let child = Command::new(GAGGLE)
            .args(["exec", &self.bound[&id].to_string(), "--id", &id.to_string()])
            .args(["--advertise", &self.relay.address(id).to_string()])
            .args(["--voters", &voters.join(",")])
            .args(["--http", &self.http[&id].to_string()])
            .arg("--state-dir")
            .arg(self.folder.path().join(format!("state-{id}")))
            .args(&self.arguments)
            .args(["--", "sh", "-c", &self.line])
            .env("WORKER", &self.worker)
            .env(FOLDER, self.files())
            .env(NODE, id.to_string())
            .stdin(Stdio::null())
            // Nobody reads it: whoever writes much is stuck.
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("the binary can be started");
        self.nodes.insert(id, child);
    }

    pub(crate) fn process(&self, id: u64) -> Pid {
        Pid::from_child(&self.nodes[&id])
    }

    pub(crate) fn signal(&self, id: u64, signal: Signal) {
        kill_process(self.process(id), signal).expect("the signal can be sent");
    }

    /// Waits for the end of a node that was told to end: its exit code, if it has one.
    pub(crate) fn wait(&mut self, id: u64) -> Option<i32> {
        let child = self.nodes.get_mut(&id).expect("a node");
        let ended = poll_until(PATIENCE, || child.try_wait().expect("a child"));
        let ended = ended.unwrap_or_else(|| panic!("node {id} did not end\n{}", self.logs()));
        self.nodes.remove(&id);
        ended.code()
    }

    /// Waits until somebody works in a term above `above`: that term, and the node.
    pub(crate) fn next(&self, above: u64) -> (u64, u64) {
        let found = poll_until(PATIENCE, || {
            let files = fs::read_dir(self.files()).expect("a folder").flatten();
            // A worker that is killed before its first line has not worked.
            let written = files.filter(|entry| entry.metadata().is_ok_and(|it| it.len() > 0));
            let named = written.filter_map(|entry| named(&entry.path()));
            named.filter(|(_, term)| *term > above).map(|(node, term)| (term, node)).max()
        });
        found.unwrap_or_else(|| panic!("nobody works\n{}", self.logs()))
    }

    /// What a node answers.
    pub(crate) fn get(&self, id: u64, path: &str) -> Option<Vec<u8>> {
        Client::new(self.http[&id]).get(path).map(|answer| answer.body)
    }

    /// Gives an order to a node and waits until it is carried out.
    pub(crate) fn order(&self, id: u64, path: &str) -> Option<Answer> {
        let socket = self.folder.path().join(format!("state-{id}/gaggle.sock"));
        super::http::order(&socket, path, "", PATIENCE * 3)
    }

    /// Waits until a node takes part.
    pub(crate) fn wait_until_ready(&self, id: u64) {
        let mut client = Client::new(self.http[&id]);
        let ready =
            poll_until(PATIENCE, || client.get("/readyz").filter(|it| it.code == 200).map(|_| ()));
        assert!(ready.is_some(), "node {id} is not ready\n{}", self.logs());
    }

    /// What the nodes logged.
    pub(crate) fn logs(&self) -> String {
        let logs = self.bound.keys().map(|id| {
            let log = fs::read_to_string(self.log(*id)).unwrap_or_default();
            format!("-- node {id}\n{log}")
        });
        logs.collect()
    }

    /// Ends all nodes, waits until nothing of their work is left, and reads what it wrote.
    pub(crate) fn finish(mut self) -> Vec<Life> {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            if self.nodes.get_mut(&id).expect("a node").try_wait().expect("a child").is_none() {
                self.signal(id, Signal::CONT);
                self.signal(id, Signal::TERM);
            }
            self.wait(id);
        }
        let gone = poll_until(PATIENCE, || self.left_behind().is_empty().then_some(()));
        assert!(gone.is_some(), "left behind: {:?}\n{}", self.left_behind(), self.logs());
        lives(&self.files())
    }

    /// Processes that still have these workers' folder in their environment.
    fn left_behind(&self) -> Vec<String> {
        let mark = format!("{FOLDER}={}", self.files().display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("a list of processes").flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes()) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in self.nodes.values_mut() {
            // The keepers end the work.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
