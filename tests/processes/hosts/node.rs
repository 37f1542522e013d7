//! Nodes on hosts: started, killed, frozen, asked, and judged at the end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use gaggle::shell::history::judge::Reign;
use rustix::process::{Pid, Signal, kill_process};

use super::judge::{Verdict, told};
use super::network::{GOSSIP, HTTP, Network, address, gossip, http, within};
use crate::harness::http::{Answer, Client};
use crate::harness::poll_until;
use crate::harness::process::GAGGLE;
use crate::harness::watch::{Leadership, Status, Watch};
use crate::harness::work::lives;

/// How long a condition may take before a test fails: far longer than it ever should.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where nodes keep their things: in memory, gone with the sandbox.
const FOLDER: &str = "/run/nodes";

/// Between two questions to each node.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// Lines of each log that are shown when a test fails.
const LOG_LINES: usize = 40;

/// How the node of one host is started, and its process.
#[derive(Debug)]
pub(crate) struct Node {
    host: u8,
    /// Its id, the host's number unless told otherwise.
    pub(crate) id: u8,
    /// What stands before the program: `prlimit`, `setpriv` and so on.
    pub(crate) wrapper: Vec<String>,
    /// The program's own arguments, beside its address, its id and its folder.
    pub(crate) arguments: Vec<String>,
    /// What it runs while it is the Goose.
    pub(crate) command: Vec<String>,
    /// Addresses that its host has while it is the Goose, and the device.
    pub(crate) held: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Where it gossips and serves HTTP, if not on the bridge.
    pub(crate) address: Option<Ipv4Addr>,
    /// Its folder for state, if not the usual one.
    pub(crate) state: PathBuf,
    /// Where its log goes, if not into a file. Taken at the start.
    pub(crate) stderr: Option<Stdio>,
    /// What it reads, if anything. Taken at the start.
    pub(crate) stdin: Option<Stdio>,
    child: Option<Child>,
}

impl Node {
    fn new(host: u8) -> Self {
        let folder = Path::new(FOLDER).join(host.to_string());
        fs::create_dir_all(&folder).expect("a folder");
        Self {
            host,
            id: host,
            wrapper: Vec::new(),
            arguments: Vec::new(),
            command: Vec::new(),
            held: Vec::new(),
            environment: Vec::new(),
            address: None,
            state: folder.join("state"),
            stderr: None,
            stdin: None,
            child: None,
        }
    }

    /// Everything that the node is told, after the path of the program.
    pub(crate) fn words(&self) -> Vec<String> {
        let verb = if self.command.is_empty() { "run" } else { "exec" };
        let verb = if self.held.is_empty() { verb } else { "address" };
        let address = self.address.unwrap_or_else(|| address(self.host));
        let mut words = vec![verb.to_owned()];
        words.extend(self.held.iter().cloned());
        words.push(format!("{address}:{GOSSIP}"));
        words.extend(["--id".to_owned(), self.id.to_string()]);
        words.extend(["--http".to_owned(), format!("{address}:{HTTP}")]);
        words.extend(["--state-dir".to_owned(), self.state.display().to_string()]);
        words.extend(self.arguments.iter().cloned());
        if !self.command.is_empty() {
            words.push("--".to_owned());
            words.extend(self.command.iter().cloned());
        }
        words
    }

    fn start(&mut self) {
        assert!(self.child.is_none(), "node {} runs already", self.host);
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log");
        writeln!(&log, "-- start").expect("a log");
        let mut words = within(self.host);
        words.extend(self.wrapper.iter().cloned());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .arg(program())
            .args(self.words())
            .env("WORK_FOLDER", work_folder())
            .env("WORK_NODE", self.host.to_string())
            // Not settings of the program's.
            .env_remove("GAGGLE_HOSTS")
            .env_remove("GAGGLE_HOSTS_INSIDE")
            .env_remove("GAGGLE_BINARY")
            .envs(self.environment.iter().cloned())
            .stdin(self.stdin.take().unwrap_or_else(Stdio::null))
            .stdout(Stdio::null())
            .stderr(self.stderr.take().unwrap_or_else(|| log.into()))
            .spawn()
            .expect("nsenter can be started");
        self.child = Some(child);
    }

    /// The process that was started: the node itself, unless its wrapper stays.
    pub(crate) fn process(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("the node runs"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("the signal can be sent");
    }

    /// Its end, if it comes in time.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        let status = poll_until(patience, || child.try_wait().expect("a child"))?;
        self.child = None;
        Some(status)
    }

    fn log_path(&self) -> PathBuf {
        Path::new(FOLDER).join(self.host.to_string()).join("log")
    }

    /// The log of all its starts.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The process of the node of `host`, whatever was started before it and stays.
pub(crate) fn find(host: u8) -> Option<Pid> {
    let program = program().display().to_string();
    let own = ["--id".to_owned(), host.to_string()];
    let is_node = |words: &[String]| {
        words.first() == Some(&program) && words.windows(2).any(|two| two == own)
    };
    let mut processes = fs::read_dir("/proc").expect("a list of processes").flatten();
    let found = processes.find(|entry| {
        let bytes = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = bytes.split(|byte| *byte == 0);
        let words: Vec<String> =
            words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        is_node(&words)
    })?;
    Pid::from_raw(found.file_name().to_str()?.parse().ok()?)
}

/// The others of three hosts.
pub(crate) fn without(host: u8) -> Vec<u8> {
    [1, 2, 3].into_iter().filter(|other| *other != host).collect()
}

/// The binary under test.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("GAGGLE_BINARY").map_or_else(|| GAGGLE.into(), PathBuf::from)
}

/// Where workers write.
fn work_folder() -> PathBuf {
    Path::new(FOLDER).join("work")
}

/// A command line that is a worker: see `harness::work`.
pub(crate) fn worker() -> Vec<String> {
    let own = std::env::current_exe().expect("the path of this program");
    let rest = ["--exact", "hosts::worker", "--nocapture"].map(str::to_owned);
    [vec![own.display().to_string()], rest.to_vec()].concat()
}

/// The nodes of one sandbox, and the network between them.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) network: Network,
    nodes: BTreeMap<u8, Node>,
    watch: Watch,
    reigns: Vec<Reign>,
    /// Whose each term was, by anybody's history.
    heard: Vec<(u64, u64)>,
}

impl Cluster {
    /// A voter on each of `count` hosts. None is started yet.
    pub(crate) fn voters(count: u8) -> Self {
        let mut cluster = Self::empty(Network::new(count));
        let list: Vec<String> = (1..=count).map(|id| format!("{id}={}", gossip(id))).collect();
        for host in 1..=count {
            cluster.add(host, &["--voters", &list.join(",")]);
        }
        cluster
    }

    /// The same, with workers.
    pub(crate) fn workers(count: u8) -> Self {
        let mut cluster = Self::voters(count);
        cluster.nodes.values_mut().for_each(|node| node.command = worker());
        cluster
    }

    /// No node at all.
    pub(crate) fn empty(network: Network) -> Self {
        fs::create_dir_all(work_folder()).expect("a folder");
        let watch = Watch::new(SAMPLE_INTERVAL, true);
        Self { network, nodes: BTreeMap::new(), watch, reigns: Vec::new(), heard: Vec::new() }
    }

    /// A node on a host that there is.
    pub(crate) fn add(&mut self, host: u8, arguments: &[&str]) -> &mut Node {
        let mut node = Node::new(host);
        node.arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        self.watch.add(u64::from(host), http(host));
        self.nodes.entry(host).or_insert(node)
    }

    pub(crate) fn node(&mut self, host: u8) -> &mut Node {
        self.nodes.get_mut(&host).expect("a node")
    }

    pub(crate) fn start(&mut self, host: u8) {
        self.node(host).start();
    }

    /// Starts all nodes, the highest first; waits until all agree on a Goose.
    pub(crate) fn start_all(&mut self) -> Leadership {
        let hosts: Vec<u8> = self.nodes.keys().rev().copied().collect();
        hosts.iter().for_each(|host| self.start(*host));
        self.agree(&hosts, 0)
    }

    /// SIGKILL. What the node wrote before is kept.
    pub(crate) fn kill(&mut self, host: u8) {
        self.remember(host);
        self.node(host).signal(Signal::KILL);
        self.node(host).wait(PATIENCE).expect("a killed process ends");
    }

    /// SIGTERM, and the end that must follow.
    pub(crate) fn terminate(&mut self, host: u8) -> ExitStatus {
        self.remember(host);
        self.node(host).signal(Signal::TERM);
        let ended = self.node(host).wait(PATIENCE);
        ended.unwrap_or_else(|| panic!("node {host} did not end\n{}", self.logs()))
    }

    pub(crate) fn get(&self, host: u8, path: &str) -> Option<Answer> {
        Client::new(http(host)).get(path)
    }

    pub(crate) fn status(&self, host: u8) -> Option<Status> {
        self.get(host, "/v1/status").as_ref().and_then(Status::parse)
    }

    /// What the doctor says on a host of the node there, and the exit code.
    pub(crate) fn doctor(&mut self, host: u8) -> (Option<i32>, String) {
        let address = self.node(host).address.unwrap_or_else(|| address(host));
        let words = [within(host), vec![program().display().to_string()]].concat();
        let node = format!("{address}:{HTTP}");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["doctor", "--node", &node]);
        let output = command.output().expect("the doctor can be asked");
        let words = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&words).into_owned())
    }

    /// Asks the doctor of a host until it says all of `lines`, with this exit code.
    #[track_caller]
    pub(crate) fn diagnose(&mut self, host: u8, code: i32, lines: &[&str]) -> String {
        let mut last = String::new();
        let came = poll_until(PATIENCE, || {
            let (ended, report) = self.doctor(host);
            last.clone_from(&report);
            let whole = lines.iter().all(|line| report.contains(line));
            (whole && ended == Some(code)).then_some(report)
        });
        let report = came.unwrap_or_else(|| {
            panic!("the doctor of node {host} does not say {lines:?}:\n{last}\n{}", self.logs())
        });
        println!("the doctor of host {host}:\n{report}");
        report
    }

    /// Waits for `condition`; fails with all logs if it takes too long.
    #[track_caller]
    pub(crate) fn wait_until<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let came = poll_until(PATIENCE, || condition(self));
        came.unwrap_or_else(|| panic!("not within {PATIENCE:?}: {what}\n{}", self.logs()))
    }

    /// Waits until all of `hosts` agree, from now on, on a Goose with a term above `term`.
    #[track_caller]
    pub(crate) fn agree(&mut self, hosts: &[u8], term: u64) -> Leadership {
        let ids: Vec<u64> = hosts.iter().map(|host| u64::from(*host)).collect();
        let since = Instant::now();
        self.wait_until(&format!("{hosts:?} agree on a Goose above term {term}"), |cluster| {
            let leadership = cluster.watch.agreement(&ids, since)?;
            (leadership.term > term).then_some(leadership)
        })
    }

    /// Whoever leads, by its host.
    #[track_caller]
    pub(crate) fn lead(&mut self, hosts: &[u8], term: u64) -> (u8, u64) {
        let leadership = self.agree(hosts, term);
        (u8::try_from(leadership.goose).expect("a host"), leadership.term)
    }

    /// On whom `hosts` agree, the Goose itself not being asked.
    #[track_caller]
    pub(crate) fn agree_on(&mut self, hosts: &[u8]) -> (u8, u64) {
        self.wait_until(&format!("{hosts:?} know one Goose"), |cluster| {
            let known = hosts.iter().map(|host| cluster.status(*host)?.leadership());
            let known: Option<Vec<Leadership>> = known.collect();
            let first = *known.as_ref()?.first()?;
            let agreed = known?.iter().all(|leadership| *leadership == first);
            agreed.then(|| (u8::try_from(first.goose).expect("a host"), first.term))
        })
    }

    /// Makes the node of `host` the Goose, by ending those that lead before it.
    pub(crate) fn crown(&mut self, host: u8) -> u64 {
        let hosts: Vec<u8> = self.nodes.keys().copied().collect();
        let (mut goose, mut term) = self.lead(&hosts, 0);
        while goose != host {
            let rest: Vec<u8> = hosts.iter().copied().filter(|other| *other != goose).collect();
            self.terminate(goose);
            let next = self.lead(&rest, term);
            self.start(goose);
            (goose, term) = (next.0, next.1);
            self.agree(&hosts, term - 1);
        }
        term
    }

    /// Keeps what a node knows of its own reigns, for it is about to lose it.
    pub(crate) fn remember(&mut self, host: u8) {
        if let Some(page) = self.get(host, "/v1/history") {
            let (reigns, heard) = told(u64::from(host), &page.body);
            self.reigns.extend(reigns);
            self.heard.extend(heard);
        }
    }

    /// All that the nodes and the workers wrote, judged: nobody is to have led, or worked, beside
    /// another. Ends the nodes first, so that the workers' last words are read.
    #[track_caller]
    pub(crate) fn judge(self) -> Verdict {
        self.judged(true)
    }

    /// The same where wall clocks are wrong, so that the times of histories are no evidence.
    #[track_caller]
    pub(crate) fn judge_without_histories(self) -> Verdict {
        self.judged(false)
    }

    #[track_caller]
    fn judged(mut self, by_histories: bool) -> Verdict {
        let hosts: Vec<u8> = self.nodes.keys().copied().collect();
        for host in &hosts {
            if self.node(*host).child.is_some() {
                self.remember(*host);
            }
        }
        let faults = self.watch.faults();
        for node in self.nodes.values_mut().filter(|node| node.child.is_some()) {
            node.signal(Signal::CONT);
            node.signal(Signal::TERM);
        }
        for host in &hosts {
            if self.node(*host).child.is_some() && self.node(*host).wait(PATIENCE).is_none() {
                panic!("node {host} does not end\n{}", self.logs());
            }
        }
        let logs: Vec<(u64, String)> =
            self.nodes.values().map(|node| (u64::from(node.host), node.log())).collect();
        if !by_histories {
            self.reigns.clear();
        }
        let verdict = Verdict::new(&self.reigns, &self.heard, &logs, &work_folder());
        let faults = [faults, verdict.faults.clone()].concat();
        assert!(faults.is_empty(), "{faults:#?}\n{}", self.logs());
        verdict
    }

    /// Whether a worker of the node of `host` is alive: it writes the time every millisecond.
    pub(crate) fn works(&self, host: u8) -> Option<()> {
        let before = self.last_sign(host);
        std::thread::sleep(Duration::from_millis(20));
        (self.last_sign(host) > before).then_some(())
    }

    /// The last sign of life of the workers of the node of `host`, in nanoseconds.
    pub(crate) fn last_sign(&self, host: u8) -> Option<i128> {
        let own = lives(&work_folder()).into_iter().filter(|life| life.node == u64::from(host));
        own.map(|life| life.last).max()
    }

    /// The last lines of every log.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for (host, node) in &self.nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            text.push_str(&format!("---- node {host}\n{}\n", last.join("\n")));
        }
        text
    }
}
