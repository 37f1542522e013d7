//! A small real cluster in one process.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::super::Node;
use super::super::config::Config;
use super::super::standing::Role;
use super::super::start_error::StartError;
use crate::shell::open::Memory;
use crate::shell::store::Store;
use crate::wire::record::{Disk, Record};

/// A node is gone within a moment; one that hangs is left behind.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Nodes that all vote, on ports of loopback that the system chooses, each on a thread of its own. They
/// elect as anywhere else, in real time: the first Goose is there within some milliseconds, and so is
/// the next one after [`Node::step_down`]. Their records are kept in memory, over a
/// [`kill`](Self::kill), too, and nothing is written to disk. Dropping it kills all of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = gaggle::testing::Cluster::start(3).await?;
/// let first = cluster.goose().await;
/// cluster.kill(first); // as kill -9 does: its lease runs out
/// let second = cluster.goose().await;
/// assert_ne!(first, second);
/// cluster.restart(first).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cluster {
    seats: Vec<Seat>,
    voters: Vec<String>,
    extra: Extra,
}

/// What a test says of every node besides.
struct Extra(Box<dyn Fn(Config) -> Config + Send + Sync>);

impl std::fmt::Debug for Extra {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Extra")
    }
}

/// The place of one node, which stays when it is killed.
#[derive(Debug)]
struct Seat {
    socket: UdpSocket,
    record: Arc<Mutex<Option<Record>>>,
    /// None while it is killed.
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    node: Node,
    runtime: Option<Runtime>,
}

impl Drop for Life {
    fn drop(&mut self) {
        // Without a goodbye: what runs on it is dropped where it stands. Only then is the node let go,
        // which would tell it to leave. On a thread, for whoever is async must not wait for a runtime.
        if let Some(runtime) = self.runtime.take() {
            let end = move || runtime.shutdown_timeout(END_PATIENCE);
            // If there is no thread, the runtime went with it, in the background.
            let _ = std::thread::Builder::new().spawn(end).map(std::thread::JoinHandle::join);
        }
    }
}

/// The last record that was stored.
struct Kept(Arc<Mutex<Option<Record>>>);

impl Store for Kept {
    fn store(&mut self, record: &Record) -> Result<(), String> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.clone());
        Ok(())
    }
}

impl Cluster {
    /// `count` nodes, from 1 to 15, with the usual settings.
    ///
    /// # Errors
    /// As [`StartError`] says; nothing is left running then.
    pub async fn start(count: usize) -> Result<Self, StartError> {
        Self::start_with(count, |config| config).await
    }

    /// The same, with other settings, which each node is given when it is started.
    ///
    /// # Errors
    /// As [`StartError`] says; nothing is left running then.
    pub async fn start_with(
        count: usize,
        settings: impl Fn(Config) -> Config + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let socket = |_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let sockets: Vec<UdpSocket> = (0..count).map(socket).collect::<Result<_, _>>()?;
        let voter = |socket: &UdpSocket| Ok(socket.local_addr()?.to_string());
        let voters = sockets.iter().map(voter).collect::<std::io::Result<Vec<String>>>()?;
        let seat = |socket| Seat { socket, record: Arc::default(), life: None };
        let seats = sockets.into_iter().map(seat).collect();
        let mut cluster = Self { seats, voters, extra: Extra(Box::new(settings)) };
        for index in 0..count {
            cluster.restart(index).await?;
        }
        Ok(cluster)
    }

    /// The node at `index`, from 0 on, if it runs.
    #[must_use]
    pub fn node(&self, index: usize) -> Option<Node> {
        Some(self.seats.get(index)?.life.as_ref()?.node.clone())
    }

    /// All nodes that run.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        (0..self.seats.len()).filter_map(|index| self.node(index)).collect()
    }

    /// Waits until one of the nodes that run is Goose, for as long as it takes; which one.
    pub async fn goose(&self) -> usize {
        let mut waiting = JoinSet::new();
        for (index, node) in (0..self.seats.len()).filter_map(|it| Some((it, self.node(it)?))) {
            waiting.spawn(async move {
                let mut standing = node.watch();
                while standing.wait_for(|it| it.role == Role::Goose).await.is_ok() {
                    // What was said a moment ago may be over.
                    if node.is_goose() {
                        return Some(index);
                    }
                    standing.changed().await.ok()?;
                }
                None
            });
        }
        while let Some(outcome) = waiting.join_next().await {
            if let Ok(Some(index)) = outcome {
                return index;
            }
        }
        // None runs, so none ever leads.
        std::future::pending().await
    }

    /// Ends the node at `index` as `kill -9` ends a process without a keeper: it says nothing, and its
    /// lease runs out at the voters. What was stored is kept.
    pub fn kill(&mut self, index: usize) {
        if let Some(seat) = self.seats.get_mut(index) {
            seat.life = None;
        }
    }

    /// Starts the node at `index` again, on what it has stored; kills it before, if it runs.
    ///
    /// # Errors
    /// As [`StartError`] says; the node does not run then.
    pub async fn restart(&mut self, index: usize) -> Result<(), StartError> {
        self.kill(index);
        let Some(seat) = self.seats.get_mut(index) else { return Ok(()) };
        let record = seat.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let disk = record.map_or(Disk::Empty, Disk::Sound);
        let store = Box::new(Kept(Arc::clone(&seat.record)));
        let config = Config::on_socket(seat.socket.try_clone()?)?.voters(&self.voters);
        let config = (self.extra.0)(config).memory(Memory { disk, store });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("gaggle-node")
            .enable_all()
            .build()?;
        let started = runtime.spawn(Node::start(config)).await;
        let started = started.map_err(std::io::Error::other).map_err(StartError::System);
        match started.and_then(|started| started) {
            Ok(node) => seat.life = Some(Life { node, runtime: Some(runtime) }),
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        }
        Ok(())
    }
}
