//! The loop of the front page (`until_goose`, `run`, drop) on several threads, while nodes are told
//! to step down, abdicate, make way, lapse and shut down at random. One clock sees when work began
//! and ended everywhere: work of two nodes never overlaps, no loop spins, and no shutdown is
//! refused.
//!
//! `cargo test` runs a few rounds. `GAGGLE_GUARD_ROUNDS=10000 cargo test --test library guard_loop --
//! --nocapture` runs as many as asked for and prints what it met.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gaggle::{Campaign, Config, EndError, Error, Node, Profile};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const NODES: usize = 3;
/// Rounds within `cargo test`.
const ROUNDS: u64 = 12;
/// In so many rounds nothing is disturbed once, so that the highest node is made way for.
const REST_EVERY: u64 = 200;
/// Far longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A loop that goes round more often within a second than this has nothing to wait for. One round
/// costs a change of terms or a piece of work, and each takes milliseconds.
const SPIN: u64 = 2000;

/// Voters keep a lease for longer than its holder counts on it: by some 22 ms at a lease of 250.
/// Whoever begins while work under the lease before is alive, begins no earlier than that.
const KEPT: Duration = Duration::from_millis(15);

/// What everybody writes to: one clock, and who works.
struct Record {
    start: Instant,
    alive: Mutex<Vec<Arc<Piece>>>,
    overlaps: Mutex<Vec<String>>,
    /// The highest term under which work was seen to be valid, since when, and whose.
    newest: Mutex<(u64, Duration, usize)>,
    /// Loops only wait and are asked to end: nobody abdicates.
    calm: AtomicBool,
    over: AtomicBool,
    pieces: AtomicU64,
    lost: AtomicU64,
    turns: AtomicU64,
    spins: AtomicU64,
    refused: AtomicU64,
}

/// A piece of work, from its first poll until it is dropped.
struct Piece {
    node: usize,
    guard: Arc<Campaign>,
    /// Until then its lease lasts at least, by what was seen last, in nanoseconds.
    lasts: AtomicU64,
}

impl Record {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            alive: Mutex::default(),
            overlaps: Mutex::default(),
            newest: Mutex::default(),
            calm: AtomicBool::new(false),
            over: AtomicBool::new(false),
            pieces: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            spins: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    fn complain(&self, sentence: String) {
        self.overlaps.lock().unwrap().push(sentence);
    }

    /// Work of `node` begins. What is returned is dropped with it.
    fn begin(self: &Arc<Self>, node: usize, guard: &Arc<Campaign>) -> Working {
        let lasts = AtomicU64::new(0);
        let piece = Arc::new(Piece { node, guard: Arc::clone(guard), lasts });
        let mut alive = self.alive.lock().unwrap();
        if guard.is_valid() {
            let now = self.start.elapsed();
            for other in alive.iter().filter(|other| other.guard.term() != guard.term()) {
                let kept = Duration::from_nanos(other.lasts.load(Ordering::Relaxed)) + KEPT;
                if now < kept || other.node == node {
                    self.complain(format!(
                        "node {node} began under term {} at {now:?}; node {} works under term {}, \
                         and the voters keep its lease until {kept:?}",
                        guard.term(),
                        other.node,
                        other.guard.term()
                    ));
                }
            }
        }
        alive.push(Arc::clone(&piece));
        drop(alive);
        self.pieces.fetch_add(1, Ordering::Relaxed);
        let working = Working { record: Arc::clone(self), piece };
        working.acts();
        working
    }

    /// Looks at the leases of all who work, again and again.
    fn watch(&self) {
        while !self.over.load(Ordering::Relaxed) {
            for piece in &*self.alive.lock().unwrap() {
                piece.look(self);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Piece {
    fn look(&self, record: &Record) {
        let now = record.start.elapsed();
        let remaining = self.guard.remaining();
        if !remaining.is_zero() {
            let lasts = u64::try_from((now + remaining).as_nanos()).unwrap();
            self.lasts.fetch_max(lasts, Ordering::Relaxed);
        }
    }
}

struct Working {
    record: Arc<Record>,
    piece: Arc<Piece>,
}

impl Working {
    /// At this moment it acts. A thread may be stopped at any point of this, so what counts is the
    /// time before a look at the guard that says yes: at that time it was right to act, too.
    fn acts(&self) {
        let (guard, record) = (&self.piece.guard, &self.record);
        let before = record.start.elapsed();
        if !guard.is_valid() {
            return;
        }
        let after = record.start.elapsed();
        self.piece.look(record);
        let mut newest = record.newest.lock().unwrap();
        let (term, since, node) = *newest;
        if guard.term() > term {
            *newest = (guard.term(), after, self.piece.node);
        } else if guard.term() < term && before > since {
            record.complain(format!(
                "node {} acts under term {} at {before:?}; node {node} has done so under term \
                 {term} since {since:?}",
                self.piece.node,
                guard.term()
            ));
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut alive = self.record.alive.lock().unwrap();
        alive.retain(|piece| !Arc::ptr_eq(piece, &self.piece));
    }
}

/// How a piece of work passes its time.
#[derive(Clone, Copy)]
enum Manner {
    Short,
    UntilDropped,
    /// It holds a thread of the runtime for a while, and so is dropped late.
    Blocks,
}

/// The cluster, with the runtimes that nodes live on: one each, so that a node can be stopped.
struct Cluster {
    runtimes: Vec<Runtime>,
    nodes: Vec<Node>,
    sockets: Vec<UdpSocket>,
    folder: TempDir,
    voters: Vec<String>,
    record: Arc<Record>,
    loops: Vec<Vec<JoinHandle<()>>>,
}

impl Cluster {
    fn new(record: &Arc<Record>) -> Self {
        let sockets: Vec<UdpSocket> =
            (0..NODES).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let voters = sockets.iter().map(|it| it.local_addr().unwrap().to_string()).collect();
        let runtime = || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(4)
                .enable_all()
                .build()
                .unwrap()
        };
        let mut cluster = Self {
            runtimes: (0..NODES).map(|_| runtime()).collect(),
            nodes: Vec::new(),
            sockets,
            folder: tempfile::tempdir().unwrap(),
            voters,
            record: Arc::clone(record),
            loops: (0..NODES).map(|_| Vec::new()).collect(),
        };
        for index in 0..NODES {
            let node = cluster.start(index);
            cluster.nodes.push(node);
        }
        cluster
    }

    /// Starts a node, and the front page's loop on it.
    fn start(&mut self, index: usize) -> Node {
        let config = Config::on_socket(self.sockets[index].try_clone().unwrap())
            .unwrap()
            .voters(&self.voters)
            .profile(Profile::Fast)
            .preempt(true)
            .state_dir(self.folder.path().join(index.to_string()));
        let node = self.runtimes[index].block_on(Node::start(config)).unwrap();
        // Two loops: the guards of one term are shared.
        for loops in 0..2 {
            let (node, record) = (node.clone(), Arc::clone(&self.record));
            let front_page = front_page(node, record, index, loops);
            self.loops[index].push(self.runtimes[index].spawn(front_page));
        }
        node
    }

    fn goose(&self) -> Option<usize> {
        self.nodes.iter().position(Node::is_goose)
    }

    /// Nobody abdicates and nothing is ordered, until the highest node has been made way for.
    /// Returns whether that was needed.
    fn rest(&self) -> bool {
        let highest = (0..NODES).max_by_key(|index| self.nodes[*index].status().id).unwrap();
        self.record.calm.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let mut needed = false;
        while !self.nodes[highest].is_goose() && began.elapsed() < PATIENCE {
            needed |= began.elapsed() > Duration::from_secs(4);
            std::thread::sleep(Duration::from_millis(5));
        }
        self.record.calm.store(false, Ordering::Relaxed);
        assert!(began.elapsed() < PATIENCE, "nobody makes way for the highest node");
        needed
    }

    /// One disturbance.
    fn disturb(&mut self, chance: &mut ChaCha8Rng, met: &mut BTreeMap<&'static str, u64>) {
        let goose = self.goose();
        let deed = chance.random_range(0..10_u32);
        let name = match (deed, goose) {
            (0..=3, Some(goose)) => self.step_down(goose, chance),
            (4..=5, Some(goose)) => self.freeze(goose, chance),
            (6..=7, _) => self.shut_down(chance),
            // Abdications come from the loops themselves, and so does what preemption asks for.
            _ => "nothing",
        };
        *met.entry(name).or_default() += 1;
    }

    fn step_down(&self, goose: usize, chance: &mut ChaCha8Rng) -> &'static str {
        let node = self.nodes[goose].clone();
        let twice = chance.random_bool(0.3);
        let outcomes = self.runtimes[goose].block_on(async {
            let both = async {
                if twice {
                    tokio::join!(node.step_down(), node.step_down())
                } else {
                    let once = node.step_down().await;
                    (once.clone(), once)
                }
            };
            timeout(PATIENCE, both).await.unwrap()
        });
        match outcomes.0 {
            Ok(_) => "stepped down",
            Err(Error::NoStandby | Error::NotGoose) => "order refused",
            Err(Error::Lapsed { .. }) => "lapsed while it waited",
            Err(error) => panic!("{error}"),
        }
    }

    /// Every thread of a Goose's runtime is held until its lease is over.
    fn freeze(&self, goose: usize, chance: &mut ChaCha8Rng) -> &'static str {
        let node = self.nodes[goose].clone();
        let longer = Duration::from_millis(chance.random_range(0..20));
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..4 {
            let (node, over) = (node.clone(), Arc::clone(&over));
            self.runtimes[goose].spawn(async move {
                let limit = Instant::now() + Duration::from_millis(400);
                while node.is_goose() && Instant::now() < limit && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(longer);
                over.store(true, Ordering::Relaxed);
            });
        }
        "frozen until it lapses"
    }

    fn shut_down(&mut self, chance: &mut ChaCha8Rng) -> &'static str {
        let index = chance.random_range(0..NODES);
        let node = self.nodes[index].clone();
        let with_order = chance.random_bool(0.5);
        let began = Instant::now();
        let outcome = self.runtimes[index].block_on(async {
            let order = async {
                if with_order {
                    // Refused, carried out, or cut short: whatever is said, it is said.
                    let _ = node.step_down().await;
                }
            };
            timeout(PATIENCE, async { tokio::join!(node.shutdown(), order, node.shutdown()) }).await
        });
        match outcome {
            Ok((Ok(()), (), Ok(()))) => {}
            Ok((Err(EndError::WorkGoesOn), ..)) => panic!("work lasts {:?}", began.elapsed()),
            _ => _ = self.record.refused.fetch_add(1, Ordering::Relaxed),
        }
        // The loops have nothing to wait for any more.
        for one in self.loops[index].drain(..) {
            let ended = self.runtimes[index].block_on(async { timeout(PATIENCE, one).await });
            ended.unwrap().unwrap();
        }
        drop(node);
        self.nodes[index] = self.start(index);
        "shut down and started"
    }
}

/// The loop of the front page.
async fn front_page(node: Node, record: Arc<Record>, index: usize, loops: u64) {
    let started = record.start.elapsed().as_secs();
    let mut chance = ChaCha8Rng::seed_from_u64(started << 8 ^ (index as u64) << 4 ^ loops);
    let mut turns = 0_u64;
    let mut second = Instant::now();
    while let Ok(leadership) = node.until_goose().await {
        turns += 1;
        record.turns.fetch_add(1, Ordering::Relaxed);
        if second.elapsed() > Duration::from_secs(1) {
            (turns, second) = (0, Instant::now());
        }
        if turns == SPIN {
            record.spins.fetch_add(1, Ordering::Relaxed);
        }
        let calm = record.calm.load(Ordering::Relaxed);
        let manner = match chance.random_range(0..10_u32) {
            _ if calm => Manner::UntilDropped,
            0..=3 => Manner::Short,
            4..=8 => Manner::UntilDropped,
            _ => Manner::Blocks,
        };
        let leadership = Arc::new(leadership);
        let worked = piece(&leadership, &record, index, manner).await;
        record.lost.fetch_add(u64::from(!worked), Ordering::Relaxed);
        if chance.random_bool(0.2) {
            // Another thread drops the guard.
            tokio::task::spawn_blocking(move || drop(leadership));
        }
    }
}

/// Runs one piece of work; whether it came to its own end.
async fn piece(guard: &Arc<Campaign>, record: &Arc<Record>, index: usize, manner: Manner) -> bool {
    let work = async {
        let working = record.begin(index, guard);
        match manner {
            Manner::Short => sleep(Duration::from_millis(3)).await,
            Manner::UntilDropped => loop {
                sleep(Duration::from_millis(5)).await;
                working.acts();
            },
            Manner::Blocks => {
                std::thread::sleep(Duration::from_millis(2));
                sleep(Duration::from_millis(1)).await;
                working.acts();
                std::thread::sleep(Duration::from_millis(30));
            }
        }
        working.acts();
    };
    guard.run(work).await.is_ok()
}

#[test]
fn work_never_overlaps_whatever_is_ordered_and_nothing_spins_or_is_refused() {
    let rounds = std::env::var("GAGGLE_GUARD_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("GAGGLE_GUARD_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}, {rounds} rounds");
    let record = Arc::new(Record::new());
    let watcher = {
        let record = Arc::clone(&record);
        std::thread::spawn(move || record.watch())
    };
    let mut cluster = Cluster::new(&record);
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut met = BTreeMap::new();
    for round in 1..=rounds {
        let began = Instant::now();
        // Somebody works in every round, or nobody could be disturbed.
        while record.alive.lock().unwrap().is_empty() {
            let stands = || cluster.nodes.iter().map(Node::status).collect::<Vec<_>>();
            let late = began.elapsed() > PATIENCE;
            assert!(!late, "nobody works in round {round}: {:#?}", stands());
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(chance.random_range(0..15_000)));
        if round % REST_EVERY == 0 {
            *met.entry("made way").or_default() += u64::from(cluster.rest());
        } else {
            cluster.disturb(&mut chance, &mut met);
        }
        let overlaps = record.overlaps.lock().unwrap();
        assert!(overlaps.is_empty(), "round {round}: {overlaps:#?}");
    }
    record.over.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{rounds} rounds in {:.0?}, up to term {}: {} pieces of work, {} of them cut short or not \
         begun, {} turns of a loop; {met:?}",
        record.start.elapsed(),
        record.newest.lock().unwrap().0,
        read(&record.pieces),
        read(&record.lost),
        read(&record.turns)
    );
    let overlaps = record.overlaps.lock().unwrap().len();
    println!(
        "{overlaps} overlaps, {} spins, {} refused shutdowns",
        read(&record.spins),
        read(&record.refused)
    );
    assert_eq!((overlaps, read(&record.spins), read(&record.refused)), (0, 0, 0));
}
