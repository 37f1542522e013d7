//! The accept loop: who gets a connection, and the thread it all runs on.
//!
//! One loop, a bounded table of connections, and a task for each. When the table is full the
//! oldest idle connection makes room, so that somebody who opens connections and says nothing
//! cannot lock out a health check.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::admin::Peer;
use super::connection::Connection;
use super::control::ControlListener;
use super::status_cache::RecentStatus;
use super::{NodeView, Options, ServeError};
use crate::shell::control_socket::ControlSocket;
use crate::shell::history::History;

/// At most so many connections over the control socket, and of them so many that wait or read
/// events: more than a person and a few scripts need.
const OPERATORS_MAX: usize = 64;
const OPERATORS_WAITING_MAX: usize = 48;
/// After a failed accept (too many open files, mostly) the loop rests for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Where a server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody.
    pub tcp: TcpListener,
    /// For operators, if there is such a socket.
    pub control: Option<ControlSocket>,
}

impl From<TcpListener> for Listeners {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, control: None }
    }
}

/// Serves HTTP on `listeners` until `stop` is done, then lets answers under way be written. The
/// control socket is gone as soon as the node has ended.
///
/// # Errors
/// If a listener cannot be taken over by the runtime; nothing was accepted then.
pub async fn serve<V: NodeView>(
    listeners: Listeners,
    view: V,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let Listeners { tcp: listener, control } = listeners;
    let address = listener.local_addr();
    let taken = listener.set_nonblocking(true);
    let listener = taken.and_then(|()| tokio::net::TcpListener::from_std(listener));
    let listener = listener.map_err(|source| {
        let address = address.map_or_else(|_| "its address".to_owned(), |a| a.to_string());
        ServeError::Listener { address, source }
    })?;
    let mut control = ControlListener::new(control)?;
    let (closing, closed) = watch::channel(false);
    let farewell = options.farewell;
    let strangers = Surroundings::new(&view, options, closed);
    // Places of their own: no crowd of strangers keeps an operator out.
    let operators = strangers.with_limits(OPERATORS_MAX, OPERATORS_WAITING_MAX);
    let (mut table, mut operator_table) = (Table::default(), Table::default());
    let ended = view.ended();
    tokio::pin!(stop, ended);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = &mut ended, if control.is_open() => control.close(),
            Some(ended) = table.tasks.join_next_with_id() => table.forget(ended),
            Some(ended) = operator_table.tasks.join_next_with_id() => operator_table.forget(ended),
            accepted = control.accept() => match accepted {
                Ok((stream, peer)) => operator_table.add(stream, &operators, &view, peer),
                Err(error) => {
                    // Strangers make room first, whatever they are doing.
                    let made = table.drop_oldest_idle() || table.drop_oldest();
                    let _ = made || operator_table.drop_oldest_idle();
                    pause(&error).await;
                }
            },
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Answers are small and complete: waiting to send them together gains nothing.
                    let _ = stream.set_nodelay(true);
                    table.add(stream, &strangers, &view, Peer::Tcp(peer.ip()));
                }
                Err(error) => {
                    table.drop_oldest_idle();
                    pause(&error).await;
                }
            },
        }
    }
    drop(listener);
    control.close();
    // Idle connections end at once; whoever holds the receiver is only waiting for this.
    let _ = closing.send(true);
    let goodbye = async {
        while table.tasks.join_next().await.is_some() {}
        while operator_table.tasks.join_next().await.is_some() {}
    };
    let _ = tokio::time::timeout(farewell, goodbye).await;
    control.removed();
    Ok(())
}

/// After a failed accept, most likely for want of open files.
async fn pause(error: &std::io::Error) {
    tracing::debug!(%error, "an HTTP connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// What all connections of one listener have in common.
struct Surroundings {
    options: Arc<Options>,
    status: Arc<RecentStatus>,
    history: watch::Receiver<Arc<History>>,
    readers: Arc<AtomicUsize>,
    closing: watch::Receiver<bool>,
}

impl Surroundings {
    fn new<V: NodeView>(view: &V, options: Options, closing: watch::Receiver<bool>) -> Self {
        let history = relay(view.history());
        Self {
            options: Arc::new(options),
            status: Arc::default(),
            history,
            readers: Arc::default(),
            closing,
        }
    }

    /// The same for another listener, with limits of its own.
    fn with_limits(&self, connections_max: usize, readers_max: usize) -> Self {
        let options = Options { connections_max, readers_max, ..Options::clone(&self.options) };
        Self {
            options: Arc::new(options),
            status: Arc::clone(&self.status),
            history: self.history.clone(),
            readers: Arc::default(),
            closing: self.closing.clone(),
        }
    }

    fn connection<V: NodeView>(&self, view: &V, peer: Peer) -> Connection<V> {
        Connection {
            view: view.clone(),
            options: Arc::clone(&self.options),
            status: Arc::clone(&self.status),
            peer,
            busy: Arc::default(),
            unread: AtomicBool::new(false),
            history: self.history.clone(),
            readers: Arc::clone(&self.readers),
            closing: self.closing.clone(),
            activity: Arc::default(),
            aged: watch::Sender::new(false),
        }
    }
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
pub async fn serve_connection<S, V>(stream: S, peer: Peer, view: V, options: Options)
where
    S: AsyncRead + AsyncWrite + Unpin,
    V: NodeView,
{
    // Nobody closes it from here: the limits in `options` do.
    let (_open, closing) = watch::channel(false);
    let surroundings = Surroundings {
        options: Arc::new(options),
        status: Arc::default(),
        history: view.history(),
        readers: Arc::default(),
        closing,
    };
    surroundings.connection(&view, peer).run(stream).await;
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
    /// Serves `stream`, if there is room for it.
    fn add<S, V>(&mut self, stream: S, around: &Surroundings, view: &V, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        V: NodeView,
    {
        if !self.make_room(around.options.connections_max) {
            return;
        }
        let connection = around.connection(view, peer);
        let number = self.next;
        self.next += 1;
        let busy = Arc::clone(&connection.busy);
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
        let number = idle.map(|(number, _)| *number);
        number.is_some_and(|number| self.drop_one(number))
    }

    fn drop_oldest(&mut self) -> bool {
        let number = self.entries.keys().next().copied();
        number.is_some_and(|number| self.drop_one(number))
    }

    fn drop_one(&mut self, number: u64) -> bool {
        let entry = self.entries.remove(&number);
        entry.is_some_and(|entry| {
            entry.abort.abort();
            true
        })
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
    listeners: impl Into<Listeners>,
    view: V,
    options: Options,
) -> Result<ServerThread, ServeError> {
    let listeners = listeners.into();
    let address = listeners.tcp.local_addr();
    let address = address
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
