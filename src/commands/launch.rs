//! From checked settings to a running node: the state folder first, and whether its record goes
//! with the settings; then the ports, then the node, then HTTP. What was opened is closed again
//! when a later step fails.

use std::net::TcpListener;
use std::path::PathBuf;

use super::settings::{RunSettings, Storage};
use crate::node;
use crate::shell::handle::Handle;
use crate::shell::http::{self, ServeError, ServerThread};
use crate::shell::socket::{self, BindError, Purpose};
use crate::shell::start::{Confidant, StartError, StartOptions, start};
use crate::shell::store::{NoStore, StateFolder, Store, StoreError};
use crate::vocabulary::record::Disk;

/// A node with all that belongs to it.
pub(super) struct Launched {
    /// To ask it and to order it.
    pub(super) handle: Handle,
    /// Its HTTP server.
    pub(super) http: ServerThread,
}

/// Why a node was not launched. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port is taken or not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The record on disk does not go with the settings. No port was opened.
    #[error("the state folder {}: {reason}", folder.display())]
    Record { folder: PathBuf, reason: node::StartError },
    /// The operating system refused something.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No HTTP.
    #[error(transparent)]
    Http(#[from] ServeError),
}

impl LaunchError {
    /// Whether the settings are to blame.
    pub(super) fn is_configuration(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}

/// Launches the node that `settings` describe on the current runtime, and its HTTP server on
/// a thread of its own.
pub(super) fn launch(
    settings: RunSettings,
    confidant: Option<Box<dyn Confidant>>,
) -> Result<Launched, LaunchError> {
    let RunSettings { setup, listen, http, storage, admin_token, warnings: _ } = settings;
    let (disk, store): (Disk, Box<dyn Store>) = match storage {
        Storage::Folder(path) => {
            let (folder, disk) = StateFolder::open(&path)?;
            node::check_record(&setup, &disk)
                .map_err(|reason| LaunchError::Record { folder: path, reason })?;
            (disk, Box::new(folder))
        }
        Storage::Ephemeral => (Disk::Ephemeral, Box::new(NoStore)),
    };
    let socket = socket::bind(listen)?;
    let listener =
        TcpListener::bind(http).map_err(|error| BindError::of(Purpose::Http, http, error))?;
    let mut options = http::Options::new(setup.timing.standby_interval);
    options.admin_token = admin_token;
    let handle = start(StartOptions { setup, socket, disk, store, confidant })?;
    let http = http::spawn_thread(listener, handle.clone(), options)?;
    Ok(Launched { handle, http })
}
