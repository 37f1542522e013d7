//! The thread that the server runs on, and its runtime.

use std::net::{SocketAddr, TcpListener};

use tokio::sync::oneshot;

use super::ServeError;
use super::accept::{Listeners, serve};
use super::node_view::NodeView;
use super::options::Options;

/// The server on its own thread. Dropping it stops the server.
#[derive(Debug)]
pub struct ServerThread {
    address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ServerThread {
    /// Where it listens for everybody, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Accepts nothing more, sends every event stream its last event, and lets answers under
    /// way be written; returns when the thread has ended. That is at once where the others
    /// read what they are sent, and after [`Options::farewell`] where one does not.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // The thread is gone already if nobody receives this.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves HTTP on a thread and a runtime of its own, so that nothing that is done to the
/// server can delay the election.
///
/// # Errors
/// If the thread or its runtime cannot be made; nothing was accepted then.
pub fn spawn_thread<V: NodeView>(
    listeners: impl Into<Listeners>,
    view: V,
    options: Options,
) -> Result<ServerThread, ServeError> {
    let listeners = listeners.into();
    let address = listeners.tcp.as_ref().map(TcpListener::local_addr).transpose();
    let address = address
        .map_err(|source| ServeError::Listener { address: "its address".to_owned(), source })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Thread)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let span = tracing::Span::current();
    let work = move || {
        let _logs_within = span.entered();
        let stopped = async move {
            let _ = stopped.await;
        };
        if let Err(error) = runtime.block_on(serve(listeners, view, options, stopped)) {
            tracing::error!(%error, "the HTTP server has ended");
        }
    };
    let thread = std::thread::Builder::new()
        .name("gaggle-http".to_owned())
        .spawn(work)
        .map_err(ServeError::Thread)?;
    Ok(ServerThread { address, stop: Some(stop), thread: Some(thread) })
}
