//! Five real nodes: real time, real UDP, real state folders. Each has a thread and a runtime of
//! its own, so that a freeze stops everything of it at once and a kill leaves nothing behind.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as standard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gaggle::node::VoterOrder;
use gaggle::node::setup::Setup;
use gaggle::shell::handle::Handle;
use gaggle::shell::history::History;
use gaggle::shell::socket;
use gaggle::shell::start::{StartOptions, start};
use gaggle::shell::store::{StateFolder, StoreError};
use gaggle::vocabulary::event::Event;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, watch};

use super::links::{Links, NODES, Prng, Traffic, place};
use super::recording::{Shared, lock};
use super::relay::Relay;
use super::world::{Failure, World, setup};

/// The nodes are looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_micros(500);
/// A Goose that has not answered an order within this is frozen or gone.
const ORDER_PATIENCE: Duration = Duration::from_secs(1);
/// A killed node's lock on its folder is gone within this.
const UNLOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What a node's own thread is told.
enum Command {
    /// Block, runtime and all, until told otherwise.
    Freeze(standard::Receiver<Wake>),
    Kill,
}

/// What a frozen thread is told.
enum Wake {
    Thaw,
    Kill,
}

struct NodeThread {
    commands: mpsc::UnboundedSender<Command>,
    ice: Option<standard::Sender<Wake>>,
    thread: JoinHandle<()>,
}

/// What the sampler looks at.
struct Watched {
    node: usize,
    handle: Handle,
    events: broadcast::Receiver<Event>,
    history: watch::Receiver<Arc<History>>,
}

type Watch = Arc<Mutex<[Option<Watched>; NODES]>>;

fn watched(watch: &Watch) -> MutexGuard<'_, [Option<Watched>; NODES]> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Five nodes, their network and the sampler.
pub(crate) struct RealWorld {
    origin: Instant,
    /// By place, as are those that are watched.
    nodes: [Option<NodeThread>; NODES],
    /// Where orders are given and waited for.
    orders: Runtime,
    relay: Relay,
    watch: Watch,
    sampler: Option<JoinHandle<()>>,
    end: Arc<AtomicBool>,
    prng: Prng,
    folder: tempfile::TempDir,
}

impl RealWorld {
    /// Starts everything. `seed` decides what the relay does to datagrams.
    pub(crate) fn new(recording: Shared, seed: u64, origin: Instant) -> Result<Self, Failure> {
        let entropy =
            seed ^ u64::from(std::process::id()) ^ u64::from(origin.elapsed().subsec_nanos());
        let mut world = Self {
            origin,
            nodes: Default::default(),
            orders: tokio::runtime::Builder::new_current_thread().enable_time().build()?,
            relay: Relay::start(seed)?,
            watch: Watch::default(),
            sampler: None,
            end: Arc::default(),
            prng: Prng::new(entropy),
            folder: tempfile::Builder::new().prefix("gaggle-chaos-").tempdir()?,
        };
        let founders: Vec<usize> = (1..=NODES).collect();
        for node in &founders {
            world.start(*node, &founders)?;
        }
        let (watch, end) = (Arc::clone(&world.watch), Arc::clone(&world.end));
        let sampler = thread::Builder::new().name("sampler".to_owned());
        world.sampler = Some(sampler.spawn(move || sample(&watch, &recording, origin, &end))?);
        Ok(world)
    }
}

impl World for RealWorld {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn pass(&mut self, span: Duration) -> Result<(), Failure> {
        thread::sleep(span);
        // Nothing looks at the nodes any more, so nothing that was seen can be trusted.
        let ended = self.sampler.as_ref().is_none_or(JoinHandle::is_finished);
        if ended { Err("the sampler has ended".into()) } else { Ok(()) }
    }

    fn kill(&mut self, node: usize) -> Result<(), Failure> {
        if let Some(NodeThread { commands, ice, thread }) = self.nodes[place(node) - 1].take() {
            // A thread that is gone already needs no telling.
            let _ = commands.send(Command::Kill);
            if let Some(ice) = ice {
                let _ = ice.send(Wake::Kill);
            }
            thread.join().map_err(|_| format!("node {node} panicked"))?;
        }
        watched(&self.watch)[place(node) - 1] = None;
        self.relay.connect(node, None);
        Ok(())
    }

    fn start(&mut self, node: usize, here: &[usize]) -> Result<(), Failure> {
        let relay = &self.relay;
        let setup = setup(node, here, |node| relay.address(node), self.prng.bytes())?;
        let folder = self.folder.path().join(format!("node-{node}"));
        let (commands, orders) = mpsc::unbounded_channel();
        let (ready, started) = standard::channel();
        let name = thread::Builder::new().name(format!("node-{node}"));
        let thread = name.spawn(move || live(setup, folder, &ready, orders))?;
        let (handle, bound) = started.recv().map_err(|_| format!("node {node} ended"))??;
        self.relay.connect(node, Some(bound));
        let (events, mut history) = (handle.events(), handle.history());
        history.mark_changed();
        watched(&self.watch)[place(node) - 1] = Some(Watched { node, handle, events, history });
        self.nodes[place(node) - 1] = Some(NodeThread { commands, ice: None, thread });
        Ok(())
    }

    fn order(&mut self, node: usize, order: &VoterOrder) -> Result<Option<String>, Failure> {
        let known = watched(&self.watch)[place(node) - 1].as_ref().map(|it| it.handle.clone());
        let Some(handle) = known else { return Ok(Some("the Goose is gone".to_owned())) };
        let answer = self.orders.block_on(async {
            tokio::time::timeout(ORDER_PATIENCE, handle.change_voters(order.clone())).await
        });
        Ok(match answer {
            Ok(Ok(ordered)) => ordered.hold.map(|hold| format!("waits for {}", hold.words())),
            Ok(Err(refused)) => Some(refused.to_string()),
            Err(_) => Some("the Goose does not answer".to_owned()),
        })
    }

    fn freeze(&mut self, node: usize) {
        if let Some(running) = &mut self.nodes[place(node) - 1] {
            let (ice, melted) = standard::channel();
            running.ice = Some(ice);
            // A thread that is gone is as still as can be.
            let _ = running.commands.send(Command::Freeze(melted));
        }
    }

    fn thaw(&mut self, node: usize) {
        let ice = self.nodes[place(node) - 1].as_mut().and_then(|running| running.ice.take());
        if let Some(ice) = ice {
            let _ = ice.send(Wake::Thaw);
        }
    }

    fn set_links(&mut self, links: &Links) {
        self.relay.set_links(links);
    }

    fn traffic(&self) -> Traffic {
        self.relay.traffic()
    }
}

impl Drop for RealWorld {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(sampler) = self.sampler.take() {
            // Its panic has been reported by `pass`.
            let _ = sampler.join();
        }
        for node in 1..=NODES {
            let _ = self.kill(node);
        }
    }
}

type Ready = standard::Sender<Result<(Handle, SocketAddr), Failure>>;

/// One node's life, on its own thread.
fn live(
    setup: Setup,
    folder: PathBuf,
    ready: &Ready,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    // Returning drops the runtime, and with it the node in mid-sentence.
    runtime.block_on(async {
        let started = begin(setup, folder);
        let running = started.is_ok();
        if ready.send(started).is_err() || !running {
            return;
        }
        while let Some(command) = commands.recv().await {
            match command {
                Command::Kill => return,
                Command::Freeze(melted) => match melted.recv() {
                    Ok(Wake::Thaw) => {}
                    Ok(Wake::Kill) | Err(_) => return,
                },
            }
        }
    });
}

fn begin(setup: Setup, folder: PathBuf) -> Result<(Handle, SocketAddr), Failure> {
    let began = Instant::now();
    let (store, disk) = loop {
        match StateFolder::open(&folder) {
            // The killed process' writing thread is about to let go of it.
            Err(StoreError::Locked { .. }) if began.elapsed() < UNLOCK_PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            other => break other?,
        }
    };
    let socket = socket::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let bound = socket.local_addr()?;
    let options =
        StartOptions { setup, socket, disk, store: Box::new(store), last_will_sender: None };
    Ok((start(options)?, bound))
}

/// Looks at all nodes again and again, the frozen ones too: their lease is a deadline, and
/// whoever asks compares it with the clock.
fn sample(watch: &Watch, recording: &Shared, origin: Instant, end: &AtomicBool) {
    let mut last = origin.elapsed();
    while !end.load(Ordering::Relaxed) {
        let mut seen = Vec::with_capacity(NODES);
        let (mut heard, mut told, mut configurations) = (Vec::new(), Vec::new(), Vec::new());
        // Held until all is recorded: nothing of a node is recorded once it was killed.
        let mut nodes = watched(watch);
        for Watched { node, handle, events, history } in nodes.iter_mut().flatten() {
            let node = *node;
            let before = origin.elapsed();
            let leads = handle.is_goose();
            let after = origin.elapsed();
            let snapshot = leads.then(|| handle.snapshot());
            let lease = snapshot.as_ref().and_then(|snapshot| snapshot.lease);
            if let Some(voters) = snapshot.as_ref().and_then(|it| it.voters.as_ref()) {
                // Compared in the recording: most of the time nothing has changed.
                configurations.push(voters.configuration.clone());
            }
            // The term is published a moment after the lease: then the next look tells.
            if leads == lease.is_some() {
                seen.push((node, lease.map(|lease| lease.term), before, after));
            }
            if history.has_changed().unwrap_or(false) {
                told.push((handle.snapshot().process, Arc::clone(&history.borrow_and_update())));
            }
            while let Ok(event) = events.try_recv() {
                heard.push((node, event));
            }
        }
        let now = origin.elapsed();
        {
            let mut recording = lock(recording);
            for (node, term, before, after) in seen {
                recording.observe(node, term, before, after);
            }
            for configuration in &configurations {
                recording.observe_voters(now, configuration);
            }
            for (own, history) in told {
                recording.testify(own, &history);
            }
            for (node, event) in heard {
                recording.hear(now, node, &event);
            }
            recording.longest_blink = recording.longest_blink.max(now.saturating_sub(last));
        }
        drop(nodes);
        last = now;
        thread::sleep(LOOK_INTERVAL);
    }
}
