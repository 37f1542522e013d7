//! Watches the nodes of a cluster from outside: one thread per node asks it over and over, and
//! keeps what changed and when.
//!
//! The threads never stop while the cluster lives, whatever happens to the nodes, so that two
//! Geese at once are seen whenever they show themselves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::claims::Claims;
use super::http::{Answer, Client};

/// What `/v1/status` says, as far as it matters here.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) node: StatusNode,
    pub(crate) role: String,
    pub(crate) term: u64,
    pub(crate) goose: Option<StatusGoose>,
    pub(crate) voters: Option<StatusVoters>,
    pub(crate) members: StatusMembers,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct StatusNode {
    pub(crate) id: u64,
    pub(crate) boot: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct StatusGoose {
    pub(crate) id: u64,
    pub(crate) term: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct StatusVoters {
    pub(crate) ids: Vec<u64>,
    pub(crate) reachable: Vec<u64>,
    pub(crate) is_voter: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct StatusMembers {
    pub(crate) alive: usize,
    pub(crate) down: usize,
}

impl Status {
    pub(crate) fn parse(answer: &Answer) -> Option<Self> {
        if answer.code == 200 { serde_json::from_slice(&answer.body).ok() } else { None }
    }

    pub(crate) fn is_goose(&self) -> bool {
        self.role == "goose"
    }

    /// The Goose and the term that this node knows, its own if it leads.
    pub(crate) fn leadership(&self) -> Option<Leadership> {
        self.goose.as_ref().map(|goose| Leadership { goose: goose.id, term: goose.term })
    }
}

/// Who leads, and by which term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) goose: u64,
    pub(crate) term: u64,
}

/// A status that differs from the one before it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// When the first answer of this kind had come in.
    pub(crate) received: Instant,
    pub(crate) status: Status,
}

/// What is known of one node.
#[derive(Debug, Default)]
struct Observed {
    /// The sending of the last request that was answered, and the answer. Nothing if the last
    /// request was not.
    latest: Option<(Instant, Status)>,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Shared {
    /// Between two samples of one node, in microseconds.
    interval: AtomicU64,
    paused: AtomicBool,
    ending: AtomicBool,
    /// Whether `/goose` is asked too.
    asks_goose: bool,
    claims: Mutex<Claims>,
}

/// The threads and what they have seen.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    observed: BTreeMap<u64, Arc<Mutex<Observed>>>,
    threads: Vec<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What was seen before a panic elsewhere is still true.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Asks every node once per `interval`, and for `/goose` too if `asks_goose`.
    pub(crate) fn new(interval: Duration, asks_goose: bool) -> Self {
        let watch = Self {
            shared: Arc::new(Shared {
                interval: AtomicU64::new(0),
                paused: AtomicBool::new(false),
                ending: AtomicBool::new(false),
                asks_goose,
                claims: Mutex::default(),
            }),
            observed: BTreeMap::new(),
            threads: Vec::new(),
        };
        watch.set_interval(interval);
        watch
    }

    /// Watches one more node.
    pub(crate) fn add(&mut self, node: u64, http: SocketAddr) {
        let observed = Arc::<Mutex<Observed>>::default();
        self.observed.insert(node, Arc::clone(&observed));
        let shared = Arc::clone(&self.shared);
        self.threads.push(std::thread::spawn(move || shared.observe(node, http, &observed)));
    }

    pub(crate) fn set_interval(&self, interval: Duration) {
        let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        self.shared.interval.store(micros, Ordering::Relaxed);
    }

    /// What `node` answered to the last request, if that was sent after `since`.
    pub(crate) fn latest(&self, node: u64, since: Instant) -> Option<Status> {
        let observed = lock(self.observed.get(&node)?);
        observed
            .latest
            .as_ref()
            .filter(|(sent, _)| *sent >= since)
            .map(|(_, status)| status.clone())
    }

    /// The leadership on which all of `nodes` agree, its Goose among them, by answers to
    /// requests sent after `since`.
    pub(crate) fn agreement(&self, nodes: &[u64], since: Instant) -> Option<Leadership> {
        let mut common = None;
        for node in nodes {
            let status = self.latest(*node, since)?;
            let leadership = status.leadership()?;
            if *common.get_or_insert(leadership) != leadership
                || status.is_goose() != (leadership.goose == *node)
            {
                return None;
            }
        }
        common.filter(|leadership| nodes.contains(&leadership.goose))
    }

    /// When the first claim of a term above `term` had come in, and whose it was.
    pub(crate) fn first_claim_above(&self, term: u64) -> Option<(Instant, u64)> {
        let first = |observed: &Mutex<Observed>| {
            let observed = lock(observed);
            let mut changes = observed.changes.iter();
            changes.find(|change| change.status.is_goose() && change.status.term > term).cloned()
        };
        let claims = self
            .observed
            .iter()
            .filter_map(|(node, observed)| first(observed).map(|change| (change.received, *node)));
        claims.min()
    }

    /// Every proof of two Geese at once; see [`Claims`].
    pub(crate) fn faults(&self) -> Vec<String> {
        lock(&self.shared.claims).faults()
    }
}

#[allow(dead_code, reason = "for the benchmarks, which take times")]
impl Watch {
    /// Leaves the nodes alone, or no longer.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Relaxed);
    }

    /// Since when `node` has known `leadership` without a break, as far as was seen.
    pub(crate) fn known_since(&self, node: u64, leadership: Leadership) -> Option<Instant> {
        let observed = lock(self.observed.get(&node)?);
        let knows = |change: &&Change| change.status.leadership() == Some(leadership);
        observed.changes.iter().rev().take_while(knows).last().map(|change| change.received)
    }

    /// Forgets the history, but no claim.
    pub(crate) fn forget_changes(&self) {
        for observed in self.observed.values() {
            lock(observed).changes.clear();
        }
    }

    /// How many terms were seen.
    pub(crate) fn term_count(&self) -> usize {
        lock(&self.shared.claims).terms.len()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of a watching thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The life of one thread.
    fn observe(&self, node: u64, http: SocketAddr, observed: &Mutex<Observed>) {
        let mut client = Client::new(http);
        while !self.ending.load(Ordering::Relaxed) {
            let began = Instant::now();
            if !self.paused.load(Ordering::Relaxed) {
                self.sample(node, &mut client, observed);
            }
            let interval = Duration::from_micros(self.interval.load(Ordering::Relaxed));
            std::thread::sleep(interval.saturating_sub(began.elapsed()));
        }
    }

    fn sample(&self, node: u64, client: &mut Client, observed: &Mutex<Observed>) {
        let answer = client.get("/v1/status");
        let known = answer.and_then(|answer| {
            let status = Status::parse(&answer)?;
            Some((answer.sent, answer.received, status))
        });
        let Some((sent, received, status)) = known else {
            lock(observed).latest = None;
            return;
        };
        if status.is_goose() {
            let boot = &status.node.boot;
            lock(&self.claims).claimed(node, boot, status.term, (sent, received));
        }
        let mut guard = lock(observed);
        let same = |(_, before): &(Instant, Status)| *before == status;
        if guard.changes.is_empty() || !guard.latest.as_ref().is_some_and(same) {
            guard.changes.push(Change { received, status: status.clone() });
        }
        guard.latest = Some((sent, status));
        drop(guard);
        if self.asks_goose
            && let Some(answer) = client.get("/goose")
            && answer.code == 200
        {
            lock(&self.claims).said_yes(node, (answer.sent, answer.received));
        }
    }
}
