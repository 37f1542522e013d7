//! The network between the nodes: real UDP sockets on loopback with a saboteur in the middle.
//!
//! Each node advertises the address of *its* relay socket and is bound elsewhere:
//!
//! ```text
//!  node 1 ──▶ relay socket of 2 ─ ─ fate of 1→2 ─ ─▶ relay socket of 1 ──▶ node 2
//! ```
//!
//! The relay knows the sender by the datagram's source, and passes it on from the relay socket
//! that stands for the sender; so an answer takes the same way back, through the other
//! direction of the link.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StandardSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::links::{Links, Prng, Traffic, machines};
use super::world::Failure;

/// More than any datagram.
const DATAGRAM_SIZE: usize = 4096;

struct Wiring {
    links: Links,
    prng: Prng,
    traffic: Traffic,
    /// Where each node is bound, while it lives.
    bound: BTreeMap<usize, SocketAddr>,
}

/// A running relay; it ends when this is dropped.
pub(crate) struct Relay {
    addresses: BTreeMap<usize, SocketAddr>,
    wiring: Arc<Mutex<Wiring>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn lock(wiring: &Mutex<Wiring>) -> MutexGuard<'_, Wiring> {
    wiring.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// Opens the relay's sockets and starts its thread.
    pub(crate) fn start(seed: u64) -> Result<Self, Failure> {
        let mut sockets = Vec::new();
        let mut addresses = BTreeMap::new();
        for node in machines() {
            let socket = StandardSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            addresses.insert(node, socket.local_addr()?);
            sockets.push((node, socket));
        }
        let wiring = Arc::new(Mutex::new(Wiring {
            links: Links::default(),
            prng: Prng::new(seed),
            traffic: Traffic::default(),
            bound: BTreeMap::new(),
        }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&wiring);
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let open = |(node, socket)| UdpSocket::from_std(socket).map(|it| (node, it));
                let opened: Result<BTreeMap<usize, UdpSocket>, _> =
                    sockets.into_iter().map(open).collect();
                let Ok(opened) = opened else { return };
                let sockets = Arc::new(opened);
                for receiver in machines() {
                    tokio::spawn(forward(Arc::clone(&sockets), Arc::clone(&shared), receiver));
                }
                // Either way it is the end.
                let _ = ended.await;
            });
        })?;
        Ok(Self { addresses, wiring, end: Some(end), thread: Some(thread) })
    }

    /// What a node advertises.
    pub(crate) fn address(&self, node: usize) -> SocketAddr {
        self.addresses[&node]
    }

    /// Where a node is bound from now on.
    pub(crate) fn connect(&self, node: usize, bound: Option<SocketAddr>) {
        let wiring = &mut lock(&self.wiring).bound;
        match bound {
            Some(bound) => wiring.insert(node, bound),
            None => wiring.remove(&node),
        };
    }

    pub(crate) fn set_links(&self, links: &Links) {
        lock(&self.wiring).links = links.clone();
    }

    pub(crate) fn traffic(&self) -> Traffic {
        lock(&self.wiring).traffic
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A relay that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Passes on everything that is sent to one node.
async fn forward(
    sockets: Arc<BTreeMap<usize, UdpSocket>>,
    wiring: Arc<Mutex<Wiring>>,
    receiver: usize,
) {
    let mut buffer = vec![0; DATAGRAM_SIZE];
    loop {
        // What the kernel reports about earlier sends says nothing about this socket.
        let Ok((length, source)) = sockets[&receiver].recv_from(&mut buffer).await else {
            continue;
        };
        let (sender, to, holds) = {
            let mut wiring = lock(&wiring);
            let sender = wiring.bound.iter().find(|(_, bound)| **bound == source);
            let sender = sender.map(|(node, _)| *node);
            let to = wiring.bound.get(&receiver).copied();
            let (Some(sender), Some(to)) = (sender, to) else { continue };
            let Wiring { links, prng, traffic, .. } = &mut *wiring;
            (sender, to, links.of(sender, receiver).fate(prng, traffic))
        };
        for hold in holds {
            if hold.is_zero() {
                // A full buffer loses datagrams, as networks do.
                let _ = sockets[&sender].try_send_to(&buffer[..length], to);
            } else {
                let (sockets, datagram) = (Arc::clone(&sockets), buffer[..length].to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep(hold).await;
                    let _ = sockets[&sender].try_send_to(&datagram, to);
                });
            }
        }
    }
}
