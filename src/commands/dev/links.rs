//! The links between the nodes, so that one can be cut off without a firewall's help.
//!
//! Each node advertises an address that is held here, and listens elsewhere:
//!
//! ```text
//!  node 1 ──▶ the address of 2, held here ── unless 1 or 2 is cut off ──▶ node 2
//! ```
//!
//! Who sends is known by where a datagram comes from; it goes on from the address that stands for its
//! sender, so that the answer takes the same way back. HTTP does not come through here: a node that is
//! cut off still answers what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;

use super::plan::PlannedNode;
use crate::wire::datagram::DATAGRAM_SIZE_MAX;

/// The links of a whole cluster. They end with the runtime.
pub(super) struct Links {
    cut: Arc<Mutex<BTreeSet<u16>>>,
}

struct Wiring {
    sockets: BTreeMap<u16, UdpSocket>,
    /// Who listens where.
    nodes: BTreeMap<SocketAddr, u16>,
    listens: BTreeMap<u16, SocketAddr>,
    /// For what comes from elsewhere: the word of a keeper whose node was killed.
    other: UdpSocket,
    cut: Arc<Mutex<BTreeSet<u16>>>,
}

impl Links {
    /// Opens the addresses that `nodes` advertise.
    ///
    /// # Errors
    /// What the operating system says of the first that cannot be opened.
    pub(super) async fn open(nodes: &[PlannedNode]) -> std::io::Result<Self> {
        let mut sockets = BTreeMap::new();
        for node in nodes {
            sockets.insert(node.id, UdpSocket::bind(node.address).await?);
        }
        let cut = Arc::new(Mutex::new(BTreeSet::new()));
        let wiring = Arc::new(Wiring {
            sockets,
            nodes: nodes.iter().map(|node| (node.listen, node.id)).collect(),
            listens: nodes.iter().map(|node| (node.id, node.listen)).collect(),
            other: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            cut: Arc::clone(&cut),
        });
        for node in nodes {
            tokio::spawn(forward(Arc::clone(&wiring), node.id));
        }
        Ok(Self { cut })
    }

    /// Cuts a node off from all others, or mends that.
    pub(super) fn cut(&self, id: u16, is_cut: bool) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if is_cut {
            cut.insert(id);
        } else {
            cut.remove(&id);
        }
    }
}

impl Wiring {
    fn passes(&self, sender: Option<u16>, receiver: u16) -> bool {
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        !cut.contains(&receiver) && !sender.is_some_and(|sender| cut.contains(&sender))
    }
}

/// Passes on what is sent to one node.
async fn forward(wiring: Arc<Wiring>, receiver: u16) {
    let (Some(socket), Some(listen)) =
        (wiring.sockets.get(&receiver), wiring.listens.get(&receiver))
    else {
        return;
    };
    let mut buffer = [0; DATAGRAM_SIZE_MAX + 1];
    loop {
        // An error is the kernel's word of an earlier datagram, to a node that does not run.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let sender = wiring.nodes.get(&from).copied();
        if !wiring.passes(sender, receiver) {
            continue;
        }
        let through = sender.and_then(|id| wiring.sockets.get(&id)).unwrap_or(&wiring.other);
        // What the kernel has no room for is lost, as anywhere.
        let _ = through.try_send_to(&buffer[..length], *listen);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_node_that_is_cut_off_neither_sends_nor_receives() {
        let nodes = [
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        ];
        let mut planned = Vec::new();
        for (id, node) in [1, 2].into_iter().zip(&nodes) {
            let address = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            planned.push(PlannedNode {
                id,
                address,
                listen: node.local_addr().unwrap(),
                http: address,
                log: "/tmp/x".into(),
                arguments: Vec::new(),
            });
        }
        let links = Links::open(&planned).await.unwrap();
        let arrives = |from: usize, text: &'static str| {
            let (sender, receiver) = (&nodes[from], &nodes[1 - from]);
            let (to, back) = (planned[1 - from].address, planned[from].address);
            async move {
                sender.send_to(text.as_bytes(), to).await.unwrap();
                let mut buffer = [0; 64];
                let limit = Duration::from_millis(300);
                let heard = tokio::time::timeout(limit, receiver.recv_from(&mut buffer)).await;
                let (length, source) = heard.ok()?.unwrap();
                assert_eq!(source, back, "an answer finds its way back");
                Some(buffer[..length] == *text.as_bytes())
            }
        };
        assert_eq!(arrives(0, "one").await, Some(true));
        links.cut(2, true);
        assert_eq!((arrives(0, "two").await, arrives(1, "three").await), (None, None));
        links.cut(2, false);
        assert_eq!(arrives(1, "four").await, Some(true));
    }
}
