//! The same with real sockets on this machine: sixty processes, two hundred nodes in one
//! process, and ten processes beside ten agents of serf, where that is installed.
//!
//! These times depend on the machine, which all nodes share with whoever watches them: they are
//! seen through HTTP (of serf: through its own command), so they are never flattered.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gaggle::{Config, Node, State};
use serde_json::{Value, json};

use crate::harness::http::Client;
use crate::harness::process::free_port;
use crate::harness::watch::{Status, Watch};
use crate::harness::{Cluster, poll_until};
use crate::report::{Table, Values};

/// Whatever takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many vote; the lowest.
const VOTERS: usize = 3;
/// How often the Goose of a cluster is killed.
const KILLS: usize = 9;
/// A node that came back grants nothing for a lease; a cluster that was just disturbed rests.
const REST: Duration = Duration::from_secs(2);

/// What was measured, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rows: BTreeMap<(usize, String), Values>,
    pub(crate) failures: Vec<String>,
}

impl Figures {
    fn add(&mut self, nodes: usize, what: &str, took: Duration) {
        let values = self.rows.entry((nodes, what.to_owned())).or_default();
        values.add(took.as_secs_f64() * 1000.0);
    }

    /// One row a figure: median and worst.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new(&[
            ("real sockets, milliseconds", 52),
            ("nodes", 8),
            ("times", 8),
            ("median", 11),
            ("worst", 11),
        ]);
        for ((nodes, what), values) in &self.rows {
            let counts = [nodes, &values.all().len()].map(ToString::to_string);
            let figures = [values.median(), values.largest()].map(|it| format!("{it:.1}"));
            table.row([what.clone()].into_iter().chain(counts).chain(figures));
        }
        table.to_string()
    }

    pub(crate) fn json(&self) -> Value {
        let row = |((nodes, what), values): (&(usize, String), &Values)| json!({ "measure": what, "nodes": nodes, "unit": "ms", "values": values.all() });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "figures": self.rows.iter().map(row).collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }
}

type Trial = fn(&mut Figures) -> Result<(), String>;

/// Measures all of it; what went wrong is in the figures.
pub(crate) fn measure(progress: impl Fn(&str)) -> Figures {
    let mut figures = Figures::default();
    let trials: [(&str, Trial); 6] = [
        ("5 processes", |figures| processes(5, figures)),
        // All that take part in a succession are there: three voters and three standbys.
        ("8 processes", |figures| processes(8, figures)),
        ("60 processes", |figures| processes(60, figures)),
        ("200 nodes in one process", embedded),
        ("10 processes", ten_processes),
        ("10 agents of serf", ten_serfs),
    ];
    for (name, trial) in trials {
        progress(name);
        if let Err(reason) = trial(&mut figures) {
            figures.failures.push(format!("{name}: {reason}"));
        }
    }
    figures
}

/// A cluster that is asked seldom: many are asked, and all share the machine.
fn cluster(nodes: u64) -> Cluster {
    let ids: Vec<u64> = (1..=nodes).collect();
    Cluster::new(&ids, &ids[..VOTERS], Watch::new(Duration::from_millis(20), false))
}

/// Starts all; says when the last had been started.
fn start_all(cluster: &mut Cluster) -> Instant {
    for id in cluster.ids() {
        cluster.start(id);
    }
    Instant::now()
}

/// Start to agreement, start to a complete view, and the Goose killed again and again.
fn processes(nodes: u64, figures: &mut Figures) -> Result<(), String> {
    let mut cluster = cluster(nodes);
    let size = cluster.ids().len();
    let last = start_all(&mut cluster);
    let all = cluster.ids();
    let agree = |cluster: &Cluster| cluster.watch().agreement(&all, last).map(|_| Instant::now());
    let agreed = poll_until(PATIENCE, || agree(&cluster)).ok_or("no agreement")?;
    figures.add(size, "last start → all agree on the Goose", agreed - last);
    let whole = poll_until(PATIENCE, || all_count(&cluster, &all, last, size));
    figures.add(size, "last start → all know all", whole.ok_or("not all know all")? - last);
    for _ in 0..KILLS {
        cluster.watch().set_paused(true);
        std::thread::sleep(REST);
        cluster.watch().set_paused(false);
        let since = Instant::now();
        let before = poll_until(PATIENCE, || cluster.watch().agreement(&all, since));
        let before = before.ok_or("no agreement before a kill")?;
        // Only those that may follow are watched now, and closely.
        cluster.watch().set_paused(true);
        std::thread::sleep(Duration::from_millis(100));
        let mut heirs: Vec<Client> = all
            .iter()
            .rev()
            .filter(|id| **id != before.goose)
            .take(3)
            .map(|id| Client::new(cluster.node(*id).settings.http))
            .collect();
        heirs.iter_mut().for_each(|heir| drop(heir.get("/goose")));
        let killed = Instant::now();
        cluster.kill(before.goose);
        let claimed = poll_closely(|| {
            let answers = heirs.iter_mut().filter_map(|heir| heir.get("/goose"));
            answers.filter(|answer| answer.code == 200).map(|answer| answer.received).min()
        });
        figures.add(size, "kill -9 → next Goose", claimed.ok_or("no next Goose")? - killed);
        cluster.watch().set_paused(false);
        let since = Instant::now();
        let others = cluster.others(&[before.goose]);
        let agreed = poll_until(PATIENCE, || cluster.watch().agreement(&others, since));
        agreed.ok_or("no agreement after a kill")?;
        cluster.start(before.goose);
        let since = Instant::now();
        poll_until(PATIENCE, || all_count(&cluster, &all, since, size)).ok_or("no rejoin")?;
    }
    let faults = cluster.watch().faults();
    if faults.is_empty() { Ok(()) } else { Err(format!("two Geese at once: {faults:?}")) }
}

/// Looks without a pause: what is waited for takes two milliseconds.
fn poll_closely<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Now, if each of `nodes`, asked after `since`, counts `size` that are alive.
fn all_count(cluster: &Cluster, nodes: &[u64], since: Instant, size: usize) -> Option<Instant> {
    let alive = |id: &u64| cluster.watch().latest(*id, since).map(|status| status.members.alive);
    nodes.iter().all(|id| alive(id) == Some(size)).then(Instant::now)
}

/// Two hundred nodes of the library on one runtime, told one seed.
fn embedded(figures: &mut Figures) -> Result<(), String> {
    const NODES: usize = 200;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut nodes: Vec<Node> = Vec::new();
        let mut seed = None;
        let begun = Instant::now();
        for number in 1..=NODES {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
            let address = socket.local_addr().map_err(|error| error.to_string())?;
            let config = Config::on_socket(socket).map_err(|error| error.to_string())?;
            let config = config.state(State::ephemeral());
            let id = u64::try_from(number).unwrap_or(u64::MAX);
            let config = match &seed {
                None => config.id(id),
                Some(seed) => config.id(id).seed(seed),
            };
            seed.get_or_insert(address.to_string());
            nodes.push(Node::start(config).await.map_err(|error| error.to_string())?);
        }
        let last = Instant::now();
        figures.add(NODES, "one process: first start → last start", last - begun);
        let one_goose = || {
            let known = |node: &Node| node.status().goose.map(|goose| (goose.id, goose.term));
            let first = known(nodes.first()?)?;
            nodes.iter().all(|node| known(node) == Some(first)).then(Instant::now)
        };
        let agreed = until(one_goose).await.ok_or("no agreement")?;
        figures.add(NODES, "one process: last start → all agree", agreed.max(last) - last);
        let all = || nodes.iter().all(|node| node.members().len() == NODES).then(Instant::now);
        let whole = until(all).await.ok_or("not all know all")?;
        figures.add(NODES, "one process: last start → all know all", whole.max(last) - last);
        Ok(())
    })
}

async fn until<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(value) = condition() {
            return Some(value);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

const TEN: u64 = 10;

/// Ten of ours: from the first start until all see all, and from a kill until nobody counts the
/// dead one any more.
fn ten_processes(figures: &mut Figures) -> Result<(), String> {
    for _ in 0..3 {
        let mut cluster = cluster(TEN);
        let all = cluster.ids();
        let begun = Instant::now();
        start_all(&mut cluster);
        let whole = poll_until(PATIENCE, || all_count(&cluster, &all, begun, all.len()));
        figures.add(all.len(), "first start → all know all", whole.ok_or("not all")? - begun);
        std::thread::sleep(REST);
        let victim = all.len() as u64 / 2;
        let killed = Instant::now();
        cluster.kill(victim);
        let others = cluster.others(&[victim]);
        let down = poll_until(PATIENCE, || {
            let down = |status: &Status| status.members.down == 1;
            let latest = |id: &u64| cluster.watch().latest(*id, killed);
            others.iter().all(|id| latest(id).as_ref().is_some_and(down)).then(Instant::now)
        });
        figures.add(all.len(), "kill -9 of a Duck → down at all", down.ok_or("not down")? - killed);
    }
    Ok(())
}

/// Agents of serf, with the settings that it comes with. They end with this.
struct Serfs(Vec<(Child, u16)>);

impl Drop for Serfs {
    fn drop(&mut self) {
        for (agent, _) in &mut self.0 {
            // It may have ended already.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

impl Serfs {
    fn start(count: u64) -> Result<Self, String> {
        let mut serfs = Self(Vec::new());
        let mut first = None;
        for number in 1..=count {
            let (gossip, orders) = (free_port(), free_port());
            let mut command = Command::new("serf");
            command.args(["agent", &format!("-node=n{number}")]);
            command.args([format!("-bind=127.0.0.1:{gossip}")]);
            command.args([format!("-rpc-addr=127.0.0.1:{orders}")]);
            if let Some(first) = first {
                // The first may not listen yet, and whoever is to join once and cannot, ends.
                command.arg(format!("-retry-join=127.0.0.1:{first}"));
                command.arg("-retry-interval=50ms");
            }
            first.get_or_insert(gossip);
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let agent = quiet.spawn().map_err(|error| format!("serf: {error}"))?;
            serfs.0.push((agent, orders));
        }
        Ok(serfs)
    }

    /// Whether each agent but `left_out` counts so many members in `state`.
    fn all_see(&self, left_out: usize, state: &str, count: usize) -> bool {
        let agents = self.0.iter().enumerate().filter(|(index, _)| *index != left_out);
        agents.map(|(_, (_, orders))| orders).all(|orders| {
            let mut command = Command::new("serf");
            command.args(["members", &format!("-rpc-addr=127.0.0.1:{orders}")]);
            let output = command.output().map(|output| output.stdout).unwrap_or_default();
            let text = String::from_utf8_lossy(&output);
            text.lines().filter(|line| line.split_whitespace().nth(2) == Some(state)).count()
                == count
        })
    }
}

/// The same ten of serf.
fn ten_serfs(figures: &mut Figures) -> Result<(), String> {
    if Command::new("serf").arg("version").output().is_err() {
        println!("serf is missing: nothing was measured beside it");
        return Ok(());
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let mut serfs = Serfs::start(TEN)?;
        let size = serfs.0.len();
        let all = || serfs.all_see(usize::MAX, "alive", size).then(Instant::now);
        let whole = poll_until(PATIENCE, all).ok_or("serf: not all know all")?;
        figures.add(size, "serf: first start → all know all", whole - begun);
        std::thread::sleep(REST);
        let victim = size / 2;
        let killed = Instant::now();
        let (agent, _) = &mut serfs.0[victim];
        agent.kill().and_then(|()| agent.wait()).map_err(|error| error.to_string())?;
        let down = poll_until(PATIENCE, || serfs.all_see(victim, "failed", 1).then(Instant::now));
        figures.add(size, "serf: kill -9 → failed at all", down.ok_or("serf: no")? - killed);
    }
    Ok(())
}
