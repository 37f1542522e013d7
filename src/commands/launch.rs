//! From checked settings to a running node: the state folder first, and whether its record goes
//! with the settings; then the ports, then the node, then HTTP. What was opened is closed again
//! when a later step fails.

use std::net::TcpListener;
use std::path::PathBuf;

use super::log;
use super::settings::{RunSettings, Storage};
use crate::node;
use crate::shell::control_socket::ControlSocket;
use crate::shell::control_socket::places::Places;
use crate::shell::handle::Handle;
use crate::shell::hooks;
use crate::shell::http::{self, Listeners, ServeError, ServerThread};
use crate::shell::last_will_sender::LastWillSender;
use crate::shell::socket::{self, BindError, Purpose};
use crate::shell::start::{StartError, StartOptions, start};
use crate::shell::store::{NoStore, StateFolder, Store, StoreError};
use crate::vocabulary::identity::NodeId;
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
///
/// A thread of its own opens the state folder: its file system may hang. Whoever is told to end
/// meanwhile drops this, and nothing of the node is there then.
pub(super) async fn launch(
    settings: RunSettings,
    last_will_sender: Option<Box<dyn LastWillSender>>,
) -> Result<Launched, LaunchError> {
    let RunSettings { setup, listen, http, storage, admin_token, hooks, warnings: _ } = settings;
    let (disk, store): (Disk, Box<dyn Store>) = match &storage {
        Storage::Folder(path) => {
            let folder = path.clone();
            let opened = tokio::task::spawn_blocking(move || StateFolder::open(&folder)).await;
            let lost = |error| StartError::System(std::io::Error::other(error));
            let (folder, disk) = opened.map_err(lost)??;
            node::check_record(&setup, &disk)
                .map_err(|reason| LaunchError::Record { folder: path.clone(), reason })?;
            (disk, Box::new(folder))
        }
        Storage::Ephemeral => (Disk::Ephemeral, Box::new(NoStore)),
    };
    let socket = socket::bind(listen)?;
    let tcp = TcpListener::bind(http).map_err(|error| BindError::of(Purpose::Http, http, error))?;
    let control = control_socket(&storage, setup.id).await;
    let mut options = http::Options::new(setup.timing.standby_interval);
    options.admin_token = admin_token;
    options.log_lines_dropped = log::dropped_lines();
    make_room(&mut options);
    let handle = start(StartOptions { setup, socket, disk, store, last_will_sender })?;
    if !(hooks.on_goose.is_empty() && hooks.on_duck.is_empty()) {
        tokio::spawn(hooks::keep(hooks, handle.clone()));
    }
    let http = http::spawn_thread(Listeners { tcp, control }, handle.clone(), options)?;
    Ok(Launched { handle, http })
}

/// The socket for orders, in the state folder, whose lock is held: so what a dead process left
/// there may be replaced. Not on this thread, for a disk may hang.
async fn control_socket(storage: &Storage, id: NodeId) -> Option<ControlSocket> {
    let folder = match storage {
        Storage::Folder(path) => Some(path.clone()),
        Storage::Ephemeral => None,
    };
    let open = move || ControlSocket::open(folder.as_deref(), id, &Places::of_process());
    let opened = tokio::task::spawn_blocking(open).await.ok()?;
    opened.inspect_err(|error| tracing::warn!("{error}")).ok()
}

/// Files that a node would like to be able to open: a connection is one.
const FILES_WANTED: u64 = 4096;

/// Raises this process's limit of open files as far as it may, and gives half of them to HTTP.
/// The keeper runs already, and what it starts keeps the limit that it was given.
fn make_room(options: &mut http::Options) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES_WANTED, |maximum| maximum.min(FILES_WANTED));
    if limit.current.is_some_and(|current| current < wanted) {
        // If that is refused, the limit below is the old one.
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(FILES_WANTED).min(FILES_WANTED);
    let connections = usize::try_from(files / 2).unwrap_or(usize::MAX);
    options.connections_max = options.connections_max.max(connections);
    options.readers_max = options.connections_max / 4 * 3;
}
