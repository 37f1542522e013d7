//! From checked settings to a running node: everything is opened, then the node starts, then HTTP.
//! What was opened is closed again when a later step fails.

use super::log;
use crate::config::Checked;
use crate::shell::handle::Handle;
use crate::shell::health;
use crate::shell::hooks;
use crate::shell::http::{self, ServeError, ServerThread};
use crate::shell::last_will_sender::LastWillSender;
use crate::shell::open::{Handed, OpenError, Opened};
use crate::shell::reloader::Reloader;
use crate::shell::start::{StartError, StartOptions, start};

/// A node with all that belongs to it.
pub(super) struct Launched {
    /// To ask it and to order it.
    pub(super) handle: Handle,
    /// Its HTTP server, if it has one.
    pub(super) http: Option<ServerThread>,
}

/// Why a node was not launched. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// The state folder or a port cannot be had.
    #[error(transparent)]
    Open(#[from] OpenError),
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
        matches!(self, Self::Open(OpenError::Record { .. }))
    }
}

/// Launches the node that `checked` describes on the current runtime, and its HTTP server on
/// a thread of its own.
///
/// A thread of its own opens what is to be opened: a file system may hang. Whoever is told to end
/// meanwhile drops this, and nothing of the node is there then. `clean_up` removes what an earlier
/// life of the node may have left, when no other process of it can live any more.
pub(super) async fn launch(
    checked: Checked,
    last_will_sender: Option<Box<dyn LastWillSender>>,
    reloader: Reloader,
    clean_up: impl FnOnce(),
) -> Result<Launched, LaunchError> {
    let mut options = http::Options::new(checked.setup.timing.standby_interval);
    options.reloader = Some(reloader);
    options.tls = checked.http_tls.clone();
    options.admin_token = checked.admin_token.clone();
    options.log_lines_dropped = log::dropped_lines();
    make_room(&mut options);
    let (hooks, health) = (checked.hooks.clone(), checked.health.clone());
    let lost = |error| StartError::System(std::io::Error::other(error));
    let open = move || Opened::of(&checked, Handed::default());
    let opened = tokio::task::spawn_blocking(open).await.map_err(lost)??;
    let Opened { setup, socket, disk, store, listeners } = opened;
    // The state folder is locked and the ports are bound: no other process of this node lives.
    clean_up();
    hooks::clean_up(&hooks, &setup).await;
    let of_the_dead = last_will_sender.as_ref().and_then(|sender| sender.hook_runner());
    let handle = start(StartOptions { setup, socket, disk, store, last_will_sender })?;
    if !(hooks.on_goose.is_empty() && hooks.on_duck.is_empty()) {
        tokio::spawn(hooks::keep(hooks, handle.clone(), of_the_dead));
    }
    if let Some(check) = health {
        tokio::spawn(health::keep(check, handle.clone()));
    }
    let serve = |listeners| http::spawn_thread(listeners, handle.clone(), options);
    let http = listeners.map(serve).transpose()?;
    Ok(Launched { handle, http })
}

/// The last of a node that has said goodbye: its HTTP server has answered whoever ordered that, and ends.
pub(super) fn ended(http: Option<ServerThread>) {
    if let Some(http) = http {
        http.stop();
    }
    tracing::info!("the node has ended");
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
