//! A network between the nodes that can be cut: each node advertises its socket here, and is
//! bound elsewhere.
//!
//! ```text
//!  node 1 ──▶ socket of 2 ─ ─ passed, dropped or held ─ ─▶ socket of 1 ──▶ node 2
//! ```
//!
//! The sender is known by the datagram's source, and is passed on from the socket that stands
//! for the sender; so an answer takes the same way back. One thread for each node.
//!
//! A keeper has a socket of its own, so what comes from elsewhere is passed on, too, unless the
//! receiver is cut off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A thread looks this often whether it is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// What is under way is delivered as late as this.
const TICK: Duration = Duration::from_millis(1);

/// Decides on one datagram: from whom, to whom, what. True: it is held back.
type Catch = Box<dyn Fn(u64, u64, &[u8]) -> bool + Send>;

/// One datagram on its way.
#[derive(Debug)]
struct Datagram {
    from: u64,
    to: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct State {
    isolated: BTreeSet<u64>,
    catch: Option<Catch>,
    held: Vec<Datagram>,
    /// How long everything is under way.
    delay: Duration,
    /// Whose datagrams are of the next version of the protocol, and to whom all others are of the one
    /// before.
    later: BTreeSet<u64>,
    /// What is under way, the first to arrive first.
    under_way: VecDeque<(Instant, Datagram)>,
    /// Bytes that each node has sent, whatever became of them.
    sent: BTreeMap<u64, u64>,
}

struct Shared {
    sockets: BTreeMap<u64, UdpSocket>,
    bound: BTreeMap<u64, SocketAddr>,
    state: Mutex<State>,
    ending: AtomicBool,
}

/// A running relay. Dropping it ends it.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Relay").finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay between nodes that are bound at these addresses.
    pub(crate) fn start(bound: BTreeMap<u64, SocketAddr>) -> Self {
        let open = |id: &u64| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.set_read_timeout(Some(LOOK_INTERVAL)).expect("a timeout");
            (*id, socket)
        };
        let sockets = bound.keys().map(open).collect();
        let state = Mutex::default();
        let shared = Arc::new(Shared { sockets, bound, state, ending: AtomicBool::new(false) });
        let forward = |id: &u64| {
            let (id, shared) = (*id, Arc::clone(&shared));
            std::thread::spawn(move || shared.forward_to(id))
        };
        let mut threads: Vec<_> = shared.bound.keys().map(forward).collect();
        let carrier = Arc::clone(&shared);
        threads.push(std::thread::spawn(move || carrier.carry()));
        Self { shared, threads }
    }

    /// What a node advertises.
    pub(crate) fn address(&self, id: u64) -> SocketAddr {
        self.shared.sockets[&id].local_addr().expect("an address")
    }

    /// How many bytes a node has sent.
    #[allow(dead_code, reason = "for the benchmarks")]
    pub(crate) fn sent_by(&self, id: u64) -> u64 {
        self.state().sent.get(&id).copied().unwrap_or(0)
    }

    /// From now on nothing reaches or leaves `id`.
    pub(crate) fn isolate(&self, id: u64) {
        self.state().isolated.insert(id);
    }

    /// From now on everything takes so long, one way.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// From now on everything reaches everybody.
    pub(crate) fn heal(&self) {
        self.state().isolated.clear();
    }

    /// From now on these nodes, and no others, speak the next version of the protocol, as far as can be
    /// told from outside.
    pub(crate) fn set_later(&self, ids: &[u64]) {
        self.state().later = ids.iter().copied().collect();
    }

    /// Holds back whatever `catch` says, until it is let go.
    pub(crate) fn hold(&self, catch: impl Fn(u64, u64, &[u8]) -> bool + Send + 'static) {
        self.state().catch = Some(Box::new(catch));
    }

    /// How many datagrams are held back.
    pub(crate) fn held(&self) -> usize {
        self.state().held.len()
    }

    /// Holds back nothing more, and delivers what was.
    pub(crate) fn let_go(&self) {
        let held = {
            let mut state = self.state();
            state.catch = None;
            std::mem::take(&mut state.held)
        };
        for datagram in held {
            self.shared.deliver(&datagram);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Raises or lowers the version of a plain datagram that goes from one version to another. The
    /// checksum is of what comes after.
    fn translate(&self, datagram: &mut Datagram) {
        let is_later = |id: u64| self.later.contains(&id);
        let Some(version) = datagram.bytes.get_mut(2) else { return };
        match (is_later(datagram.from), is_later(datagram.to)) {
            (true, false) => *version += 1,
            (false, true) => *version -= 1,
            _ => {}
        }
    }
}

impl Shared {
    fn forward_to(&self, to: u64) {
        let mut buffer = [0; 4096];
        while !self.ending.load(Ordering::Relaxed) {
            // What the kernel reports about earlier sends says nothing about this socket.
            let Ok((length, source)) = self.sockets[&to].recv_from(&mut buffer) else { continue };
            let sender = self.bound.iter().find(|(_, bound)| **bound == source);
            let Some((from, _)) = sender else {
                let cut = |state: MutexGuard<'_, State>| state.isolated.contains(&to);
                if !cut(self.state.lock().unwrap_or_else(PoisonError::into_inner)) {
                    let _ = self.sockets[&to].send_to(&buffer[..length], self.bound[&to]);
                }
                continue;
            };
            let mut datagram = Datagram { from: *from, to, bytes: buffer[..length].to_vec() };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.translate(&mut datagram);
            *state.sent.entry(datagram.from).or_default() += length as u64;
            if state.isolated.contains(&datagram.from) || state.isolated.contains(&to) {
                continue;
            }
            let caught =
                state.catch.as_ref().is_some_and(|catch| catch(datagram.from, to, &datagram.bytes));
            if caught {
                state.held.push(datagram);
            } else if !state.delay.is_zero() {
                let arrives = Instant::now() + state.delay;
                state.under_way.push_back((arrives, datagram));
            } else {
                drop(state);
                self.deliver(&datagram);
            }
        }
    }

    /// Delivers what was under way for long enough.
    fn carry(&self) {
        while !self.ending.load(Ordering::Relaxed) {
            let arrived = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let count = state.under_way.partition_point(|(arrives, _)| *arrives <= now);
                state.under_way.drain(..count).collect::<Vec<_>>()
            };
            for (_, datagram) in arrived {
                self.deliver(&datagram);
            }
            std::thread::sleep(TICK);
        }
    }

    fn deliver(&self, datagram: &Datagram) {
        // A full buffer loses datagrams, as networks do.
        let _ = self.sockets[&datagram.from].send_to(&datagram.bytes, self.bound[&datagram.to]);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of a thread has been printed already.
            let _ = thread.join();
        }
    }
}
