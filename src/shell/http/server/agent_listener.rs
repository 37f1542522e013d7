//! Answers HAProxy's agent-check: whoever connects is sent one line and let go.
//!
//! Nothing that is sent here is needed: HAProxy may send a text of its own (`agent-send`), which is
//! read and thrown away, for a connection that is closed with something unread is reset, and a reset
//! may take the answer along. Whoever goes on sending, or does not close, is dropped after a moment,
//! and the oldest one as soon as there are too many: it has its answer.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ServeError;
use super::node_view::{NodeView, at_this_moment};
use super::options::Options;
use crate::shell::history::History;
use crate::shell::http::api::agent_check::line;

/// At most so many connections at once: far more balancers than make sense.
const CONNECTIONS_MAX: usize = 64;
/// A connection lasts no longer than this.
const LIFE_MAX: Duration = Duration::from_secs(1);
/// So much is read of one at most, in bytes.
const READ_MAX: usize = 1024;
/// After a failed accept (too many open files, mostly) the loop rests for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What an answer is made from.
pub(super) struct AgentCheck<V> {
    pub(super) view: V,
    pub(super) history: watch::Receiver<Arc<History>>,
    pub(super) options: Arc<Options>,
}

/// Answers on `listener`, if there is one, until what is returned is dropped.
///
/// # Errors
/// If the listener cannot be taken over by the runtime.
pub(super) fn spawn<V: NodeView>(
    listener: Option<std::net::TcpListener>,
    check: AgentCheck<V>,
) -> Result<JoinSet<()>, ServeError> {
    let mut task = JoinSet::new();
    let Some(listener) = listener else { return Ok(task) };
    task.spawn(serve(taken(listener)?, check));
    Ok(task)
}

/// The listener on the runtime.
///
/// # Errors
/// If the runtime cannot take it over.
pub(super) fn taken(listener: std::net::TcpListener) -> Result<TcpListener, ServeError> {
    let address = listener.local_addr();
    let taken = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    taken.map_err(|source| {
        let address = address.map_or_else(|_| "its address".to_owned(), |it| it.to_string());
        ServeError::Listener { address, source }
    })
}

async fn serve<V: NodeView>(listener: TcpListener, check: AgentCheck<V>) {
    let mut tasks = JoinSet::new();
    let mut oldest_first = VecDeque::new();
    loop {
        let stream = tokio::select! {
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "an agent-check could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // A connection that is new has room for a line, so nobody can make this wait. Whoever has
        // gone already wants no answer.
        let Ok(stream) = check.answer(stream).await else { continue };
        oldest_first.push_back(tasks.spawn(async move {
            let _ = timeout(LIFE_MAX, part_with(stream)).await;
        }));
        if oldest_first.len() > CONNECTIONS_MAX
            && let Some(oldest) = oldest_first.pop_front()
        {
            // Most likely it has ended by itself.
            oldest.abort();
        }
    }
}

impl<V: NodeView> AgentCheck<V> {
    async fn answer(&self, mut stream: TcpStream) -> io::Result<TcpStream> {
        let line =
            at_this_moment(&self.view, &self.history, &self.options, |_, moment| line(moment));
        stream.write_all(line.as_bytes()).await?;
        stream.shutdown().await?;
        Ok(stream)
    }
}

/// Reads what else is sent, until the other side closes.
async fn part_with(mut stream: TcpStream) -> io::Result<()> {
    let mut ignored = [0; 128];
    let mut read = 0;
    while read < READ_MAX {
        match stream.read(&mut ignored).await? {
            0 => break,
            count => read += count,
        }
    }
    Ok(())
}
