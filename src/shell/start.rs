//! Starting a node: everything it needs is opened by the caller, checked, and handed in.

use std::io;
use std::net::UdpSocket as StandardSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};

use super::alarm::Alarm;
use super::clock::Clock;
use super::driver::{Driver, Published};
use super::handle::{Handle, Shared};
use super::history::History;
use super::journal::Journal;
use super::socket::Endpoint;
use super::store::{Store, Writer};
use super::work::Work;
use crate::node::{NodeCore, Testament};
use crate::vocabulary::event::Event;
use crate::vocabulary::record::Disk;
use crate::vocabulary::setup::Setup;
use crate::vocabulary::time::HolderTime;

/// Orders that may wait at once.
const ORDERS_MAX: usize = 16;
/// Events that a slow reader may be behind.
const EVENTS_MAX: usize = 256;

/// What a node is started with.
pub struct StartOptions {
    /// The checked configuration.
    pub setup: Setup,
    /// The bound socket for gossip and election.
    pub socket: StandardSocket,
    /// What the store remembers.
    pub disk: Disk,
    /// Where records go.
    pub store: Box<dyn Store>,
    /// Who sends the testament when this process is dead, if anybody does.
    pub confidant: Option<Box<dyn Confidant>>,
}

/// Somebody outside this process who sends its testament once it is certainly dead.
pub trait Confidant: Send {
    /// A new testament, which replaces the one before. Never blocks.
    fn feed(&mut self, testament: &[Testament]);
    /// The lease of `term` now lasts until `deadline`; 0: it is over. Never blocks.
    fn renewed(&mut self, _term: u64, _deadline: HolderTime) {}
    /// Tries again what could not be handed over at once. Never blocks.
    fn flush(&mut self);
}

/// Why a node did not start. Nothing was sent and nothing written.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is on disk does not fit the settings.
    #[error(transparent)]
    Record(#[from] crate::node::StartError),
    /// The operating system refused something.
    #[error("cannot start the node: {0}")]
    System(#[from] io::Error),
}

/// Starts a node on the current tokio runtime. The state folder must have been locked and the
/// socket bound before: the wait after a restart counts from here.
///
/// # Errors
/// As [`StartError`] says.
pub fn start(options: StartOptions) -> Result<Handle, StartError> {
    let StartOptions { setup, socket, disk, store, confidant } = options;
    let (socket, alarm) = (Endpoint::new(socket)?, Alarm::new()?);
    let clock = Clock;
    let deference = setup.timing.deference;
    let core = NodeCore::new(setup, disk, clock.now())?;
    let (writer, stored) = Writer::start(store)?;
    let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
    let (end, ended) = watch::channel(false);
    let first = core.snapshot();
    let history = History::new(first.process, first.address, first.started);
    let shared = Arc::new(Shared {
        deadline: AtomicU64::new(0),
        led: AtomicU64::new(0),
        work: Work::new(),
        snapshots: watch::Sender::new(Arc::new(first)),
        events: broadcast::Sender::new(EVENTS_MAX),
        history: watch::Sender::new(Arc::new(history)),
    });
    let driver = Driver {
        core,
        socket,
        alarm,
        writer,
        stored,
        orders: order_queue,
        shared: Arc::clone(&shared),
        clock,
        resolved: mpsc::channel(4),
        journal: Journal::default(),
        published: Published::default(),
        confidant,
        store_lost: false,
    };
    tokio::spawn(async move {
        driver.run().await;
        // Nobody may be waiting.
        let _ = end.send(true);
    });
    let handle = Handle { shared, orders, ended, clock };
    tokio::spawn(make_way(handle.clone(), handle.events(), deference));
    Ok(handle)
}

/// Steps down for a higher node that the cluster prefers, once the work has ended.
async fn make_way(handle: Handle, mut events: broadcast::Receiver<Event>, deference: Duration) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = handle.ended() => return,
        };
        match event {
            Ok(Event::MakeWay { to }) => {
                // If it fails to take over, this node comes back soon.
                if let Err(error) = handle.step_down(Some(to), Some(2 * deference)).await {
                    tracing::warn!("could not make way for node {to}, which is higher: {error}");
                }
            }
            // What was missed comes again, after a while.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
