//! From checked settings to a running node: the state folder first, then the ports, then the
//! node, then HTTP. What was opened is closed again when a later step fails.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;

use super::settings::{RunSettings, Storage};
use crate::node::StartError;
use crate::shell::handle::Handle;
use crate::shell::http::{self, ServeError, ServerThread};
use crate::vocabulary::setup::Setup;

/// A node with all that belongs to it.
pub(super) struct Launched {
    /// To ask it and to order it.
    pub(super) handle: Handle,
    /// Its HTTP server.
    pub(super) http: ServerThread,
    /// See [`Ended`].
    pub(super) ended: Ended,
}

/// Done when the node has ended: well, or with what went wrong.
pub(super) type Ended = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Why a node was not launched. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// A port is taken or not ours.
    #[error("cannot listen on {address} ({protocol}): {source}; {hint}", hint = hint(source))]
    Bind {
        /// Where.
        address: SocketAddr,
        /// UDP or TCP.
        protocol: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The record on disk does not go with the settings.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No HTTP.
    #[error(transparent)]
    Http(#[from] ServeError),
}

impl LaunchError {
    /// Whether the settings are to blame.
    pub(super) fn is_configuration(&self) -> bool {
        matches!(self, Self::Start(_))
    }
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => "is another node running there? Choose another port",
        std::io::ErrorKind::AddrNotAvailable => "it is not an address of this machine",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need a permission",
        _ => "choose another address",
    }
}

/// Launches the node that `settings` describe on the current runtime, and its HTTP server on
/// a thread of its own.
pub(super) async fn launch(settings: RunSettings) -> Result<Launched, LaunchError> {
    let RunSettings { setup, listen, http, storage, admin_token, warnings: _ } = settings;
    let ground = prepare(listen, storage)?;
    let listener = TcpListener::bind(http).map_err(|source| LaunchError::Bind {
        address: http,
        protocol: "TCP",
        source,
    })?;
    let mut options = http::Options::new(setup.timing.standby_interval);
    options.admin_token = admin_token;
    let (handle, ended) = start(setup, ground).await?;
    let http = http::spawn_thread(listener, handle.clone(), options)?;
    Ok(Launched { handle, http, ended })
}

/// What a node stands on: its locked state folder with what was found in it, and its socket.
struct Ground {}

/// Locks and reads the state folder, then binds the UDP socket.
#[expect(clippy::todo, unused_variables)]
fn prepare(listen: SocketAddr, storage: Storage) -> Result<Ground, LaunchError> {
    todo!("the state folder and the UDP socket")
}

/// Starts the node on its ground.
#[expect(clippy::todo, clippy::unused_async, unused_variables)]
async fn start(setup: Setup, ground: Ground) -> Result<(Handle, Ended), LaunchError> {
    todo!("the start of the node")
}
