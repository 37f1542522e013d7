//! The accept loop: who gets a connection, and the thread it all runs on.
//!
//! One loop, a bounded table of connections, and a task for each. When the table is full the
//! oldest idle connection makes room, so that somebody who opens connections and says nothing
//! cannot lock out a health check.

use std::collections::BTreeMap;
#[cfg(feature = "simulation")]
use std::net::IpAddr;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(feature = "simulation")]
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::connection::Connection;
use super::{NodeView, Options, ServeError};
use crate::shell::history::History;

/// After a failed accept (too many open files, mostly) the loop rests for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves HTTP on `listener` until `stop` is done, then lets answers under way be written.
///
/// # Errors
/// If the listener cannot be taken over by the runtime; nothing was accepted then.
pub async fn serve<V: NodeView>(
    listener: TcpListener,
    view: V,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    if let Err(source) = listener.set_nonblocking(true) {
        return Err(ServeError::listener(&listener, source));
    }
    let address = listener.local_addr();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| {
        let address = address.map_or_else(|_| "its address".to_owned(), |a| a.to_string());
        ServeError::Listener { address, source }
    })?;
    let (closing, closed) = watch::channel(false);
    let (history, readers) = (relay(view.history()), Arc::default());
    let status = Arc::default();
    let mut table = Table::default();
    let options = Arc::new(options);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = table.tasks.join_next_with_id() => table.forget(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if table.make_room(options.connections_max) {
                        table.add(stream, Connection {
                            view: view.clone(),
                            options: Arc::clone(&options),
                            status: Arc::clone(&status),
                            peer: peer.ip(),
                            busy: Arc::default(),
                            unread: AtomicBool::new(false),
                            history: history.clone(),
                            readers: Arc::clone(&readers),
                            closing: closed.clone(),
                            activity: Arc::default(),
                            aged: watch::Sender::new(false),
                        });
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "an HTTP connection could not be accepted");
                    table.drop_oldest_idle();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // Idle connections end at once; whoever holds the receiver is only waiting for this.
    let _ = closing.send(true);
    let farewell = async { while table.tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(options.farewell, farewell).await;
    Ok(())
}

/// A copy of the node's history that readers wait on. The node wakes this task alone, however
/// many readers there are.
fn relay(mut source: watch::Receiver<Arc<History>>) -> watch::Receiver<Arc<History>> {
    let first = Arc::clone(&source.borrow_and_update());
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        while source.changed().await.is_ok() {
            let newest = Arc::clone(&source.borrow_and_update());
            sender.send_replace(newest);
        }
    });
    receiver
}

/// Serves one connection that was accepted elsewhere, to its end: a fuzzer's.
#[cfg(feature = "simulation")]
pub async fn serve_connection<S, V>(stream: S, peer: IpAddr, view: V, options: Arc<Options>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    V: NodeView,
{
    // Nobody closes it from here: the limits in `options` do.
    let (_open, closing) = watch::channel(false);
    let history = view.history();
    let connection = Connection {
        view,
        options,
        status: Arc::default(),
        peer,
        busy: Arc::default(),
        unread: AtomicBool::new(false),
        history,
        readers: Arc::default(),
        closing,
        activity: Arc::default(),
        aged: watch::Sender::new(false),
    };
    connection.run(stream).await;
}

/// The connections there are, oldest first.
#[derive(Default)]
struct Table {
    tasks: JoinSet<u64>,
    entries: BTreeMap<u64, Entry>,
    by_task: BTreeMap<tokio::task::Id, u64>,
    next: u64,
}

struct Entry {
    abort: AbortHandle,
    busy: Arc<AtomicBool>,
}

impl Table {
    fn add<V: NodeView>(&mut self, stream: TcpStream, connection: Connection<V>) {
        let number = self.next;
        self.next += 1;
        let busy = Arc::clone(&connection.busy);
        // Answers are small and complete: waiting to send them together gains nothing.
        let _ = stream.set_nodelay(true);
        let abort = self.tasks.spawn(async move {
            connection.run(stream).await;
            number
        });
        self.by_task.insert(abort.id(), number);
        self.entries.insert(number, Entry { abort, busy });
    }

    /// Whether there is room for one more; an idle connection may have been dropped for it.
    fn make_room(&mut self, connections_max: usize) -> bool {
        self.entries.len() < connections_max || self.drop_oldest_idle()
    }

    fn drop_oldest_idle(&mut self) -> bool {
        let idle = self.entries.iter().find(|(_, entry)| !entry.busy.load(Ordering::Relaxed));
        let Some(number) = idle.map(|(number, _)| *number) else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&number) {
            entry.abort.abort();
        }
        true
    }

    fn forget(&mut self, ended: Result<(tokio::task::Id, u64), tokio::task::JoinError>) {
        let task = match ended {
            Ok((task, _)) => task,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "an HTTP connection ended in a panic");
                }
                error.id()
            }
        };
        if let Some(number) = self.by_task.remove(&task) {
            self.entries.remove(&number);
        }
    }
}

/// The server on its own thread. Dropping it stops the server.
#[derive(Debug)]
pub struct ServerThread {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ServerThread {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
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
    listener: TcpListener,
    view: V,
    options: Options,
) -> Result<ServerThread, ServeError> {
    let address = listener
        .local_addr()
        .map_err(|source| ServeError::Listener { address: "its address".to_owned(), source })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Thread)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let work = move || {
        let stopped = async move {
            let _ = stopped.await;
        };
        if let Err(error) = runtime.block_on(serve(listener, view, options, stopped)) {
            tracing::error!(%error, "the HTTP server has ended");
        }
    };
    let thread = std::thread::Builder::new()
        .name("gaggle-http".to_owned())
        .spawn(work)
        .map_err(ServeError::Thread)?;
    Ok(ServerThread { address, stop: Some(stop), thread: Some(thread) })
}
