//! From checked settings to what a node is started with: the state folder first, and whether its
//! record goes with the settings; then the ports. What was opened is closed again when a later step
//! fails, and when this is dropped.
//!
//! It blocks for as long as a file system does.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

#[cfg(feature = "http")]
use std::net::TcpListener;

#[cfg(feature = "http")]
use super::control_socket::{ControlSocket, places::Places};
#[cfg(feature = "http")]
use super::http::Listeners;
#[cfg(feature = "http")]
use super::socket::Purpose;
use super::socket::{self, BindError};
use super::store::{NoStore, StateFolder, Store, StoreError};
use crate::config::checked::{Checked, Storage};
use crate::node;
use crate::node::setup::Setup;
use crate::vocabulary::identity::NodeId;
use crate::wire::record::Disk;

/// What is open already before settings are judged, because somebody else has opened it.
#[derive(Debug, Default)]
pub struct Handed {
    /// The socket for gossip and election.
    pub socket: Option<UdpSocket>,
    /// The listener for HTTP.
    #[cfg(feature = "http")]
    pub http: Option<TcpListener>,
    /// What the node remembers, and where records go, in the place of a folder.
    pub memory: Option<Memory>,
}

/// A store that is no folder.
pub struct Memory {
    /// What it remembers.
    pub disk: Disk,
    /// Where records go.
    pub store: Box<dyn Store>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Memory").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// A node that can be started, with everything it needs.
pub struct Opened {
    /// The checked configuration.
    pub setup: Setup,
    /// The bound socket for gossip and election.
    pub socket: UdpSocket,
    /// What the store remembers.
    pub disk: Disk,
    /// Where records go; it holds the lock of the state folder.
    pub store: Box<dyn Store>,
    /// Where HTTP is served, if it is: the listener, and the socket for orders.
    #[cfg(feature = "http")]
    pub listeners: Option<Listeners>,
}

/// Why something cannot be opened. Nothing is left open, and no record was written; the state
/// folder and an empty record file may have been created.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state folder cannot be used. No port was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record on disk does not go with the settings. No port was opened.
    #[error("the state folder {}: {reason}", folder.display())]
    Record {
        /// Which folder.
        folder: PathBuf,
        /// What does not go together.
        reason: node::StartError,
    },
    /// A port is taken or not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl Opened {
    /// Opens what `checked` asks for and `handed` does not bring along.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn of(checked: &Checked, handed: Handed) -> Result<Self, OpenError> {
        let setup = checked.setup.clone();
        let (disk, store): (Disk, Box<dyn Store>) = match (&checked.storage, handed.memory) {
            (_, Some(Memory { disk, store })) => (disk, store),
            (Storage::Folder(path), None) => {
                let (folder, disk) = StateFolder::open(path)?;
                node::check_record(&setup, &disk)
                    .map_err(|reason| OpenError::Record { folder: path.clone(), reason })?;
                if let Some(warning) = moved_voter(&setup, &disk, path) {
                    tracing::warn!("{warning}");
                }
                (disk, Box::new(folder))
            }
            (Storage::Ephemeral, None) => (Disk::Ephemeral, Box::new(NoStore)),
        };
        let socket = match handed.socket {
            Some(socket) => socket,
            None => socket::bind(checked.listen)?,
        };
        Ok(Self {
            #[cfg(feature = "http")]
            listeners: listeners(checked, handed.http)?,
            setup,
            socket,
            disk,
            store,
        })
    }
}

/// A warning, if a voter has left its folder beside the empty one of this node, and its id was made
/// of an address that this machine has no more: it was probably this node.
fn moved_voter(setup: &Setup, disk: &Disk, path: &Path) -> Option<String> {
    let (own, now) = (setup.id, setup.address);
    let voters = setup.voters.as_ref().filter(|voters| !voters.contains(own))?;
    if *disk != Disk::Empty || NodeId::of_address(now) != Ok(own) {
        return None;
    }
    let is_gone = |was: &SocketAddr| UdpSocket::bind((was.ip(), 0)).is_err();
    voters.ids().iter().find_map(|voter| {
        let folder = path.parent()?.join(voter.to_string());
        let was = voter.address().filter(|was| folder.is_dir() && is_gone(was))?;
        Some(format!(
            "this node's id is made of its address {now}, so it is node {own} and does not vote. \
             But {} is the folder of voter {voter}, whose id was made of {was}, and this machine \
             has that address no more: if it got another one, keep the voter's id with --id \
             {voter}, and write {voter}={now} in place of {was} wherever --voters names it",
            folder.display()
        ))
    })
}

/// The listeners for HTTP and for agent-checks, and the socket for orders, in the state folder, whose
/// lock is held: so what a dead process left there may be replaced. None if nobody is served.
#[cfg(feature = "http")]
fn listeners(
    checked: &Checked,
    handed: Option<TcpListener>,
) -> Result<Option<Listeners>, BindError> {
    let bind = |purpose, address: SocketAddr| {
        TcpListener::bind(address).map_err(|error| BindError::of(purpose, address, error))
    };
    let tcp = match handed {
        Some(listener) => Some(listener),
        None => checked.http.map(|address| bind(Purpose::Http, address)).transpose()?,
    };
    let agent_check = checked.agent_check;
    let agent_check = agent_check.map(|address| bind(Purpose::AgentCheck, address)).transpose()?;
    let folder = match &checked.storage {
        Storage::Folder(path) => Some(path.as_path()),
        Storage::Ephemeral => None,
    };
    let control = checked
        .has_control_socket
        .then(|| ControlSocket::open(folder, checked.setup.id, &Places::of_process()));
    let control = control.transpose();
    let control = control.inspect_err(|error| tracing::warn!("{error}")).ok().flatten();
    let is_served = tcp.is_some() || agent_check.is_some() || control.is_some();
    Ok(is_served.then_some(Listeners { tcp, control, agent_check }))
}
