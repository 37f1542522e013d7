//! Starting a node: everything it needs is opened by the caller, checked, and handed in.

use std::io;
use std::net::UdpSocket as StandardSocket;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use tracing::{Instrument, Span};

use super::clock::Clock;
use super::driver::{Driver, Published};
use super::handle::{Handle, Shared};
use super::history::History;
use super::journal::Journal;
use super::last_will_sender::LastWillSender;
use super::own_address::OwnAddress;
use super::published_lease::PublishedLease;
use super::pulse::Stamp;
use super::socket::Endpoint;
use super::store::{Store, Writer};
use super::timer::Timer;
use super::work::Asked;
use crate::node::NodeCore;
use crate::node::setup::Setup;
use crate::wire::record::Disk;

/// Orders that may wait at once.
const ORDERS_MAX: usize = 16;
/// Events that a slow reader may be behind.
const EVENTS_MAX: usize = 256;

/// Look-ups whose answers may wait at once: the seeds, and each voter that is found nowhere.
const LOOK_UPS_MAX: usize = 16;

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
    /// Who sends the last will when this process is dead, if anybody does.
    pub last_will_sender: Option<Box<dyn LastWillSender>>,
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

/// Starts a node that a program embeds: as [`start`] does, but what it logs is logged within `span` and
/// names methods in the place of flags.
///
/// # Errors
/// As [`StartError`] says.
pub fn start_embedded(span: Span, options: StartOptions) -> Result<Handle, StartError> {
    start_as(span, Journal::of_program(), options)
}

/// Starts a node on the current tokio runtime. The state folder must have been locked and the
/// socket bound before: the wait after a restart counts from here.
///
/// # Errors
/// As [`StartError`] says.
pub fn start(options: StartOptions) -> Result<Handle, StartError> {
    start_as(Span::none(), Journal::default(), options)
}

fn start_as(span: Span, journal: Journal, options: StartOptions) -> Result<Handle, StartError> {
    let StartOptions { setup, socket, disk, store, last_will_sender } = options;
    let own_address = OwnAddress::of(&socket);
    let (socket, timer) = (Endpoint::new(socket)?, Timer::new()?);
    let clock = Clock::Machine;
    let core = NodeCore::new(setup, disk, clock.now())?;
    let (writer, stored) = Writer::start(store)?;
    let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
    let (words, said) = mpsc::unbounded_channel();
    let (end, ended) = watch::channel(None);
    let first = core.snapshot();
    let history = History::new(first.process, first.address, first.started);
    let shared = Arc::new(Shared {
        lease: PublishedLease::new(),
        dismissed: watch::Sender::new(false),
        stamp: Stamp::new(clock.holder()),
        snapshots: watch::Sender::new(Arc::new(first)),
        events: broadcast::Sender::new(EVENTS_MAX),
        history: watch::Sender::new(Arc::new(history)),
    });
    let driver = Driver {
        core,
        socket,
        timer,
        writer,
        stored,
        orders: order_queue,
        words: (words.clone(), said),
        asked: watch::Sender::new(Asked::default()),
        waiting: Vec::new(),
        draining: Vec::new(),
        obeyed: 0,
        shared: Arc::clone(&shared),
        clock,
        resolved: mpsc::channel(LOOK_UPS_MAX),
        journal,
        published: Published::default(),
        own_address,
        last_will_sender,
        store_lost: false,
    };
    let life = async move {
        let departure = driver.run().await;
        // Nobody may be waiting.
        let _ = end.send(Some(departure));
    };
    tokio::spawn(life.instrument(span));
    Ok(Handle { shared, orders, words, ended, clock })
}
