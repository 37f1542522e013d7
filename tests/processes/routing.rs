//! HAProxy in front of three nodes, twice: by `/goose` alone, and with the agent-check as well. Skipped,
//! with a message, where HAProxy is not installed.
//!
//! ```text
//! GAGGLE_FAILOVERS=20 cargo test --test processes routing:: -- --nocapture    the figures
//! ```

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::tools::{Running, example, is_here, serve_name, who_serves};
use crate::harness::process::free_port;
use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE, poll_until};

const IDS: [u64; 3] = [1, 2, 3];
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// An example of a configuration, as a section with the ports of this test in it: where the proxy
/// listens, and the ports of services, HTTP and agent-checks in the order of ids.
fn section(file: &str, name: &str, front: SocketAddr, ports: &[(SocketAddr, u16, u16)]) -> String {
    let text = std::fs::read_to_string(example(file)).unwrap();
    let section = text.split("listen service\n").nth(1).unwrap();
    let mut section = section.replace("127.0.0.1:5000", &front.to_string());
    for ((id, service), (own, http, agent)) in (0..).zip(5001_u16..).zip(ports) {
        for (from, to) in [
            (format!("127.0.0.1:{service} port {}", 9000 + id), format!("{own} port {http}")),
            (format!("agent-port {}", 9100 + id), format!("agent-port {agent}")),
        ] {
            assert!(section.contains(&from) || from.starts_with("agent"), "{from}: {section}");
            section = section.replace(&from, &to);
        }
    }
    format!("listen {name}\n{section}\n")
}

/// What a client met with: when, and who served it.
type Met = (Instant, Option<u64>);

/// A client that asks over and over, each time over a connection of its own.
struct Asker {
    met: Arc<Mutex<Vec<Met>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Asker {
    fn start(front: SocketAddr) -> Self {
        let (met, stop) = (Arc::<Mutex<Vec<Met>>>::default(), Arc::<AtomicBool>::default());
        let (own, stopped) = (Arc::clone(&met), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let who = who_serves(front);
                own.lock().unwrap().push((Instant::now(), who));
                std::thread::sleep(PAUSE);
            }
        });
        Self { met, stop, thread }
    }

    fn stop(self) -> Vec<Met> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut self.met.lock().unwrap())
    }
}

/// How a Goose goes.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Killed,
    SteppedDown,
    Frozen,
}

const FATES: [Fate; 3] = [Fate::Killed, Fate::SteppedDown, Fate::Frozen];

/// A Goose that was followed by another.
struct Change {
    old: u64,
    began: Instant,
    /// When the next one was seen to lead, and when everything led there.
    elected: Instant,
    followed: Instant,
}

/// One Goose goes and the next one comes; returns when the old one is back as a Duck, with the term
/// above which the next Goose will lead.
fn fail_over(cluster: &mut Cluster, fate: Fate, term: u64, fronts: &[SocketAddr]) -> (u64, Change) {
    let first = cluster.wait_for_agreement(&IDS, term);
    let goose = first.goose;
    let began = Instant::now();
    match fate {
        Fate::Killed => cluster.kill(goose),
        Fate::SteppedDown => {
            // Refused while nobody could take over.
            cluster.wait_until("the Goose steps down", |cluster| {
                cluster.order(goose, "/v1/step-down").filter(|answer| answer.code == 200)
            });
        }
        Fate::Frozen => cluster.freeze(goose),
    }
    let others: Vec<u64> = IDS.into_iter().filter(|id| *id != goose).collect();
    let second = cluster.wait_for_agreement(&others, first.term);
    let elected = Instant::now();
    for front in fronts {
        poll_until(PATIENCE, || (who_serves(*front) == Some(second.goose)).then_some(()))
            .unwrap_or_else(|| panic!("haproxy does not lead to {}", second.goose));
    }
    let change = Change { old: goose, began, elected, followed: Instant::now() };
    match fate {
        Fate::Killed => cluster.start(goose),
        Fate::SteppedDown => {}
        Fate::Frozen => cluster.thaw(goose),
    }
    let is_back = cluster.wait_for_agreement(&IDS, first.term);
    (is_back.term - 1, change)
}

/// What a client met with while the Goose changed: how many requests failed, how many the last Goose
/// served though the next one led, and the longest time without an answer at each change.
fn report(name: &str, met: &[Met], changes: &[Change]) {
    let failed = met.iter().filter(|(_, who)| who.is_none()).count();
    let is_late = |(at, who): &&Met| {
        let mut during = changes.iter().filter(|it| it.elected < *at && *at < it.followed);
        during.any(|it| *who == Some(it.old))
    };
    let late = met.iter().filter(is_late).count();
    let served: Vec<Instant> = met.iter().filter_map(|(at, who)| who.map(|_| *at)).collect();
    let gap = |change: &Change| {
        let gaps = served.windows(2).filter(|it| it[0] < change.followed && change.began < it[1]);
        gaps.map(|two| (two[1] - two[0]).as_millis()).max().unwrap_or(0)
    };
    let mut gaps: Vec<u128> = changes.iter().map(gap).collect();
    gaps.sort_unstable();
    println!(
        "{name}: {} requests, {failed} failed, {late} served by the last Goose; without an answer for \
         {} ms (median), {} ms at worst",
        met.len(),
        gaps[gaps.len() / 2],
        gaps[gaps.len() - 1],
    );
}

#[test]
fn haproxy_follows_the_goose_by_its_word_and_by_the_check() {
    if !is_here("haproxy") {
        return;
    }
    let watch = Watch::new(Duration::from_millis(20), false);
    let mut cluster = Cluster::new(&IDS, &IDS, watch);
    let mut ports = Vec::new();
    for id in IDS {
        let agent = free_port();
        cluster.give(id, &["--agent-check", &format!("127.0.0.1:{agent}")]);
        ports.push((serve_name(id), cluster.node(id).settings.http.port(), agent));
    }
    let [by_check, by_word]: [SocketAddr; 2] = [0, 1].map(|_| ([127, 0, 0, 1], free_port()).into());
    let head = std::fs::read_to_string(example("haproxy/haproxy.cfg")).unwrap();
    let head = head.split("listen service\n").next().unwrap().to_owned();
    let file = head
        + &section("haproxy/haproxy.cfg", "check", by_check, &ports)
        + &section("haproxy/agent-check.cfg", "word", by_word, &ports);
    let path = cluster.folder().join("haproxy.cfg");
    std::fs::write(&path, file).unwrap();
    // Before there is any node: a server that nobody has called ready is not used.
    let proxy = Command::new("haproxy").arg("-f").arg(&path).stdout(Stdio::null()).spawn().unwrap();
    let _proxy = Running(proxy);
    poll_until(PATIENCE, || std::net::TcpStream::connect(by_word).ok()).unwrap();
    assert_eq!(who_serves(by_word), None);
    cluster.start_highest_first();
    let leadership = cluster.wait_for_agreement(&IDS, 0);
    let fronts = [by_check, by_word];
    for front in fronts {
        poll_until(PATIENCE, || (who_serves(front) == Some(leadership.goose)).then_some(()))
            .expect("haproxy leads to the Goose");
    }

    let changes = std::env::var("GAGGLE_FAILOVERS").ok().and_then(|text| text.parse().ok());
    let changes: usize = changes.unwrap_or(FATES.len());
    let askers = fronts.map(Asker::start);
    let (mut term, mut seen) = (0, Vec::new());
    for fate in FATES.into_iter().cycle().take(changes) {
        let change;
        (term, change) = fail_over(&mut cluster, fate, term, &fronts);
        let took = (change.followed - change.elected).as_millis();
        println!("{fate:?}: both lead to the next Goose {took} ms after it was seen");
        seen.push(change);
    }
    let [check, word] = askers.map(Asker::stop);
    report("by /goose", &check, &seen);
    report("with the agent-check", &word, &seen);
    cluster.assert_one_goose_at_a_time();
}
