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

use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StandardSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::links::{Links, NODES, Prng, Traffic};
use super::world::Failure;

/// More than any datagram.
const DATAGRAM_SIZE: usize = 4096;

struct Wiring {
    links: Links,
    prng: Prng,
    traffic: Traffic,
    /// Where each node is bound, while it lives.
    bound: [Option<SocketAddr>; NODES],
}

/// A running relay; it ends when this is dropped.
pub(crate) struct Relay {
    addresses: Vec<SocketAddr>,
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
        let mut addresses = Vec::new();
        for _ in 0..NODES {
            let socket = StandardSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            addresses.push(socket.local_addr()?);
            sockets.push(socket);
        }
        let wiring = Arc::new(Mutex::new(Wiring {
            links: Links::default(),
            prng: Prng::new(seed),
            traffic: Traffic::default(),
            bound: [None; NODES],
        }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&wiring);
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let opened: Result<Vec<_>, _> =
                    sockets.into_iter().map(UdpSocket::from_std).collect();
                let Ok(opened) = opened else { return };
                let sockets = Arc::new(opened);
                for receiver in 1..=NODES {
                    tokio::spawn(forward(Arc::clone(&sockets), Arc::clone(&shared), receiver));
                }
                // Either way it is the end.
                let _ = ended.await;
            });
        })?;
        Ok(Self { addresses, wiring, end: Some(end), thread: Some(thread) })
    }

    /// What the nodes advertise.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where a node is bound from now on.
    pub(crate) fn connect(&self, node: usize, bound: Option<SocketAddr>) {
        lock(&self.wiring).bound[node - 1] = bound;
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
async fn forward(sockets: Arc<Vec<UdpSocket>>, wiring: Arc<Mutex<Wiring>>, receiver: usize) {
    let mut buffer = vec![0; DATAGRAM_SIZE];
    loop {
        // What the kernel reports about earlier sends says nothing about this socket.
        let Ok((length, source)) = sockets[receiver - 1].recv_from(&mut buffer).await else {
            continue;
        };
        let (sender, to, holds) = {
            let mut wiring = lock(&wiring);
            let sender = wiring.bound.iter().position(|bound| *bound == Some(source));
            let (Some(index), Some(to)) = (sender, wiring.bound[receiver - 1]) else { continue };
            let Wiring { links, prng, traffic, .. } = &mut *wiring;
            (index, to, links.of(index + 1, receiver).fate(prng, traffic))
        };
        for hold in holds {
            if hold.is_zero() {
                // A full buffer loses datagrams, as networks do.
                let _ = sockets[sender].try_send_to(&buffer[..length], to);
            } else {
                let (sockets, datagram) = (Arc::clone(&sockets), buffer[..length].to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep(hold).await;
                    let _ = sockets[sender].try_send_to(&datagram, to);
                });
            }
        }
    }
}
