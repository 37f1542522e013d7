//! The accept loop: who gets a connection.
//!
//! One loop, a bounded table of connections, and a task for each. When the table is full the
//! oldest idle connection makes room, so that somebody who opens connections and says nothing
//! cannot lock out a health check.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

#[cfg(feature = "simulation")]
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::ServeError;
use super::agent_listener::{self, AgentCheck, taken};
use super::connection::Connection;
use super::connection_table::ConnectionTable;
use super::control_listener::ControlListener;
use super::node_view::NodeView;
use super::options::Options;
use super::status_cache::RecentStatus;
#[cfg(feature = "tls")]
use super::tls;
#[cfg(feature = "tls")]
use crate::config::http_tls::HttpTls;
use crate::shell::control_socket::ControlSocket;
use crate::shell::history::History;
use crate::shell::http::api::guard::Peer;

/// At most so many connections over the control socket, and of them so many that wait or read
/// events: more than a person and a few scripts need.
const OPERATORS_MAX: usize = 64;
const OPERATORS_WAITING_MAX: usize = 48;
/// After a failed accept (too many open files, mostly) the loop rests for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Where a server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody, if it serves everybody.
    pub tcp: Option<TcpListener>,
    /// For operators, if there is such a socket.
    pub control: Option<ControlSocket>,
    /// For HAProxy's agent-check, if that is answered.
    pub agent_check: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp: Some(tcp), control: None, agent_check: None }
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
    let Listeners { tcp, control, agent_check } = listeners;
    let listener = tcp.map(taken).transpose()?;
    let mut control = ControlListener::new(control)?;
    let (closing, closed) = watch::channel(false);
    let farewell = options.farewell;
    let strangers = Surroundings::new(&view, options, closed);
    // Places of their own: no crowd of strangers keeps an operator out.
    let operators = strangers.with_limits(OPERATORS_MAX, OPERATORS_WAITING_MAX);
    // Ends with this function.
    let _agent_check = agent_listener::spawn(agent_check, strangers.agent_check(&view))?;
    let (mut table, mut operator_table) = (ConnectionTable::default(), ConnectionTable::default());
    let ended = view.ended();
    tokio::pin!(stop, ended);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = &mut ended, if control.is_open() => control.close(),
            Some(()) = table.ended() => {}
            Some(()) = operator_table.ended() => {}
            accepted = control.accept() => match accepted {
                Ok((stream, peer)) => {
                    let connection = operators.connection(&view, peer);
                    operator_table.add(connection, |connection| connection.run(stream));
                }
                Err(error) => {
                    // Strangers make room first, whatever they are doing.
                    let made = table.drop_oldest_idle() || table.drop_oldest();
                    let _ = made || operator_table.drop_oldest_idle();
                    pause(&error).await;
                }
            },
            accepted = accept(listener.as_ref()) => match accepted {
                Ok((stream, peer)) => {
                    // Answers are small and complete: waiting to send them together gains nothing.
                    let _ = stream.set_nodelay(true);
                    strangers.take_in(stream, peer.ip(), &view, &mut table);
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
        while table.ended().await.is_some() {}
        while operator_table.ended().await.is_some() {}
    };
    let _ = tokio::time::timeout(farewell, goodbye).await;
    control.removed();
    Ok(())
}

/// The next connection; of no listener nothing ever comes.
async fn accept(listener: Option<&tokio::net::TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// After a failed accept, most likely for want of open files.
async fn pause(error: &io::Error) {
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

    fn agent_check<V: NodeView>(&self, view: &V) -> AgentCheck<V> {
        AgentCheck {
            view: view.clone(),
            history: self.history.clone(),
            options: Arc::clone(&self.options),
        }
    }

    /// Serves `stream`, which came over TCP from this address, if there is room for it.
    fn take_in<V: NodeView>(
        &self,
        stream: TcpStream,
        address: IpAddr,
        view: &V,
        table: &mut ConnectionTable,
    ) {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.options.tls.as_ref().map(HttpTls::server) {
            let connection = self.connection(view, Peer::Tls(address));
            return table.add(connection, |connection| tls::serve(stream, tls, connection));
        }
        let connection = self.connection(view, Peer::Tcp(address));
        table.add(connection, |connection| connection.run(stream));
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
