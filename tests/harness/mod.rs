//! Clusters of real `gaggle run` processes on loopback, for the tests and the benchmark.
//!
//! ```text
//! test ---- signals, starts ----> processes (state folders and logs in a temporary folder)
//!   ^                                 ^
//!   |  conditions, never times        | GET /v1/status, /goose: one thread per node, always
//!   +---------- Watch <---------------+
//! ```
//!
//! Nothing of the library is used to judge: the product is judged by what it shows to
//! everybody. Only the flood is made with it, for a good forgery needs the real envelope.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::http::{Answer, Client};
use self::process::{NodeProcess, Settings, free_port};
use self::relay::Relay;
use self::watch::{Leadership, Status, Watch};

pub(crate) mod claims;
pub(crate) mod flood;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod relay;
pub(crate) mod watch;
pub(crate) mod work;

/// How long a condition may take before a test fails: far longer than it ever should, since
/// the machine may be busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Lines of each node's log that are shown when a test fails.
const LOG_LINES: usize = 40;

/// Looks at `condition` until it gives something, for `limit` at most.
pub(crate) fn poll_until<T>(
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// A cluster. Dropping it ends all its processes, stopped ones too.
#[derive(Debug)]
pub(crate) struct Cluster {
    watch: Watch,
    nodes: BTreeMap<u64, NodeProcess>,
    voters: Vec<u64>,
    relay: Option<Relay>,
    folder: PathBuf,
    /// Removes the folder; given up when a test fails, so that the logs stay.
    temporary: Option<tempfile::TempDir>,
}

impl Cluster {
    /// The nodes `ids`, of which `voters` vote. No process is started yet. Voters are told the
    /// voters, all others their addresses as seeds.
    pub(crate) fn new(ids: &[u64], voters: &[u64], watch: Watch) -> Self {
        let bound = ids.iter().map(|id| (*id, loopback(free_port()))).collect();
        Self::wired(bound, voters, watch, None)
    }

    /// The same, with a network between the nodes that can be cut.
    pub(crate) fn relayed(ids: &[u64], voters: &[u64], watch: Watch) -> Self {
        let bound: BTreeMap<u64, SocketAddr> =
            ids.iter().map(|id| (*id, loopback(free_port()))).collect();
        let relay = Relay::start(bound.clone());
        Self::wired(bound, voters, watch, Some(relay))
    }

    fn wired(
        bound: BTreeMap<u64, SocketAddr>,
        voters: &[u64],
        watch: Watch,
        relay: Option<Relay>,
    ) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = temporary.path().to_owned();
        let advertised = |id: u64| match &relay {
            Some(relay) => relay.address(id),
            None => bound[&id],
        };
        let of_voters: Vec<(u64, SocketAddr)> =
            voters.iter().map(|id| (*id, advertised(*id))).collect();
        let list: Vec<String> =
            of_voters.iter().map(|(id, address)| format!("{id}={address}")).collect();
        let mut arguments = BTreeMap::new();
        for id in bound.keys() {
            let mut own = if voters.contains(id) {
                vec!["--voters".to_owned(), list.join(",")]
            } else {
                let seed = |(_, seed): &(_, SocketAddr)| ["--seed".to_owned(), seed.to_string()];
                of_voters.iter().flat_map(seed).collect()
            };
            if relay.is_some() {
                own.extend(["--advertise".to_owned(), advertised(*id).to_string()]);
            }
            arguments.insert(*id, own);
        }
        let mut cluster = Self {
            watch,
            nodes: BTreeMap::new(),
            voters: voters.to_vec(),
            relay,
            folder,
            temporary: Some(temporary),
        };
        for (id, own) in arguments {
            cluster.add(id, bound[&id], own);
        }
        cluster
    }

    /// The network between the nodes, if it was made to be cut.
    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("a cluster with a relay")
    }

    /// One more node that knows nothing but the address of `seed`. Not started yet.
    pub(crate) fn add_by_seed(&mut self, id: u64, seed: u64) {
        let seed = self.node(seed).settings.address.to_string();
        self.add(id, loopback(free_port()), vec!["--seed".to_owned(), seed]);
    }

    fn add(&mut self, id: u64, address: SocketAddr, arguments: Vec<String>) {
        let http = loopback(http_port(address.port()));
        self.watch.add(id, http);
        let settings = Settings { id, address, http, arguments };
        self.nodes.insert(id, NodeProcess::new(settings, &self.folder));
    }

    /// Every node is started with these, too, from its next start on.
    pub(crate) fn give_all(&mut self, arguments: &[&str]) {
        for node in self.nodes.values_mut() {
            node.settings.arguments.extend(arguments.iter().map(ToString::to_string));
        }
    }

    /// One node is started with these, too.
    pub(crate) fn give(&mut self, id: u64, arguments: &[&str]) {
        self.node_mut(id).settings.arguments.extend(arguments.iter().map(ToString::to_string));
    }

    /// Every node is started with the same key from its next start on.
    pub(crate) fn give_key(&mut self) {
        let file = self.folder.join("key");
        write_keys(&file, &[1]);
        self.give_all(&["--key-file", &file.display().to_string()]);
    }

    /// Where nodes keep their things, and where a test may keep files for them.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn node(&self, id: u64) -> &NodeProcess {
        self.nodes.get(&id).expect("a node of the cluster")
    }

    fn node_mut(&mut self, id: u64) -> &mut NodeProcess {
        self.nodes.get_mut(&id).expect("a node of the cluster")
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(crate) fn voters(&self) -> &[u64] {
        &self.voters
    }

    /// All nodes, whether they run or not.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// The nodes whose processes live, stopped ones too.
    pub(crate) fn running(&self) -> Vec<u64> {
        let running = self.nodes.iter().filter(|(_, node)| node.is_running());
        running.map(|(id, _)| *id).collect()
    }

    /// The running nodes without `left_out`.
    pub(crate) fn others(&self, left_out: &[u64]) -> Vec<u64> {
        self.running().into_iter().filter(|id| !left_out.contains(id)).collect()
    }

    /// Starts a node, on the state folder that it had before.
    pub(crate) fn start(&mut self, id: u64) {
        self.node_mut(id).start();
    }

    /// The same, with its log going there.
    pub(crate) fn start_saying(&mut self, id: u64, log: Stdio) {
        self.node_mut(id).start_saying(log);
    }

    /// Starts a node that has ended, on an empty state folder and told nothing but this.
    pub(crate) fn start_anew(&mut self, id: u64, arguments: &[&str]) {
        let state = self.folder.join(id.to_string()).join("state");
        std::fs::remove_dir_all(state).expect("its state folder");
        let node = self.node_mut(id);
        node.settings.arguments = arguments.iter().map(ToString::to_string).collect();
        node.start();
    }

    /// Starts all nodes that do not run, the highest first, each as soon as the one before
    /// answers: the highest is there when the cluster is founded.
    pub(crate) fn start_highest_first(&mut self) {
        for id in self.ids().into_iter().rev() {
            if !self.node(id).is_running() {
                self.start(id);
                self.wait_until(&format!("node {id} answers"), |cluster| cluster.status(id));
            }
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, id: u64) {
        self.signal(id, Signal::KILL);
        self.node_mut(id).wait();
    }

    /// SIGTERM, and the wait for the end that must follow.
    pub(crate) fn terminate(&mut self, id: u64) -> ExitStatus {
        self.signal(id, Signal::TERM);
        self.wait_for_end(id)
    }

    /// SIGSTOP: frozen, while its kernel goes on accepting connections for it.
    pub(crate) fn freeze(&self, id: u64) {
        self.signal(id, Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self, id: u64) {
        self.signal(id, Signal::CONT);
    }

    /// Sends a signal and returns at once.
    pub(crate) fn signal(&self, id: u64, signal: Signal) {
        self.node(id).signal(signal);
    }

    /// Waits for the end of a node that was told to go; fails if it does not come.
    pub(crate) fn wait_for_end(&mut self, id: u64) -> ExitStatus {
        let ended = poll_until(PATIENCE, || self.node_mut(id).try_wait());
        ended.unwrap_or_else(|| panic!("node {id} did not end\n{}", self.logs()))
    }

    /// Waits for the end of a node that was sent a signal.
    pub(crate) fn wait(&mut self, id: u64) -> ExitStatus {
        self.node_mut(id).wait()
    }

    /// What a node says of itself now.
    pub(crate) fn status(&self, id: u64) -> Option<Status> {
        self.get(id, "/v1/status").as_ref().and_then(Status::parse)
    }

    pub(crate) fn get(&self, id: u64, path: &str) -> Option<Answer> {
        Client::new(self.node(id).settings.http).get(path)
    }

    /// Gives an order to a node and waits for it to be carried out.
    pub(crate) fn order(&self, id: u64, path: &str) -> Option<Answer> {
        self.order_with(id, path, "")
    }

    /// The same, with a body.
    pub(crate) fn order_with(&self, id: u64, path: &str, body: &str) -> Option<Answer> {
        http::order(&self.node(id).socket(), path, body, PATIENCE)
    }

    /// Waits for `condition`, and fails with the logs of all nodes if it takes too long.
    pub(crate) fn wait_until<T>(
        &self,
        what: &str,
        mut condition: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        poll_until(PATIENCE, || condition(self))
            .unwrap_or_else(|| panic!("not within {PATIENCE:?}: {what}\n{}", self.logs()))
    }

    /// Waits until all of `nodes` agree, from now on, on a Goose with a term above `term`.
    pub(crate) fn wait_for_agreement(&self, nodes: &[u64], term: u64) -> Leadership {
        let since = Instant::now();
        self.wait_until(&format!("{nodes:?} agree on a Goose above term {term}"), |cluster| {
            let leadership = cluster.watch.agreement(nodes, since)?;
            (leadership.term > term).then_some(leadership)
        })
    }

    /// A node that does not run is started at this address from here on.
    pub(crate) fn relocate(&mut self, id: u64, address: SocketAddr) {
        let settings = &mut self.node_mut(id).settings;
        let (old, new) = (settings.address.to_string(), address.to_string());
        settings.address = address;
        for argument in &mut settings.arguments {
            *argument = argument.replace(&old, &new);
        }
    }

    /// Fails if two nodes were ever seen to be Goose at once.
    pub(crate) fn assert_one_goose_at_a_time(&self) {
        let faults = self.watch.faults();
        assert!(faults.is_empty(), "two Geese at once: {faults:#?}\n{}", self.logs());
    }

    /// The last lines of every node's log.
    pub(crate) fn logs(&self) -> String {
        let mut logs = format!("logs and state: {}\n", self.folder.display());
        for (id, node) in &self.nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            logs.push_str(&format!("---- node {id}\n{}\n", last.join("\n")));
        }
        logs
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(temporary) = self.temporary.take()
        {
            let _ = temporary.keep();
        }
    }
}

/// A key file with these keys, each of one byte over and over, readable for its owner only.
pub(crate) fn write_keys(file: &Path, keys: &[u8]) {
    let lines = keys.iter().map(|key| format!("{}\n", format!("{key:02x}").repeat(32)));
    std::fs::write(file, lines.collect::<String>()).expect("a key file");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(file, mode).expect("a key file of its owner");
}

/// Where a node serves HTTP: at its port + 1000, as is the default, if that is free.
fn http_port(gossip: u16) -> u16 {
    let usual = gossip + 1000;
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, usual)).is_ok();
    if free { usual } else { free_port() }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
