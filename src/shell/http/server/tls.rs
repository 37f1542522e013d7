//! A connection over TLS, from its first byte to where HTTP begins.
//!
//! ```text
//! accepted ──▶ first byte: of a handshake? ── yes ──▶ handshake ──▶ HTTP, as over plain TCP
//!                    └── no ──▶ a plain answer that says so, and the end
//! ```
//!
//! A handshake happens in the connection's own task and has a place in the table like any other:
//! whoever does not go on with it counts as idle, is the first to make room, and is dropped when the
//! time for a request's head is over.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::connection::Connection;
use super::node_view::NodeView;
use crate::shell::http::api::problem::Kind;

/// How a record begins that belongs to a handshake.
const HANDSHAKE: u8 = 22;

/// Serves `stream` to its end.
pub(super) async fn serve<V: NodeView>(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    connection: Connection<V>,
) {
    let mut closing = connection.closing.clone();
    let limit = connection.options.header_timeout;
    let begun = async {
        if first_byte(&stream).await? == HANDSHAKE {
            TlsAcceptor::from(tls).accept(stream).await.map(|it| Begun::Tls(Box::new(it)))
        } else {
            Ok(Begun::Plain(stream))
        }
    };
    let begun = tokio::select! {
        begun = timeout(limit, begun) => begun,
        // Nothing has been asked yet.
        _ = closing.wait_for(|closing| *closing) => return,
    };
    match begun {
        Ok(Ok(Begun::Tls(stream))) => connection.run(stream).await,
        Ok(Ok(Begun::Plain(stream))) => {
            let detail = "this port speaks TLS: ask it by https:// in the place of http://";
            connection.refuse(stream, &Kind::TlsNeeded.with(detail)).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake has failed"),
        Err(_) => tracing::debug!("a TLS handshake was not over within {limit:?}"),
    }
}

/// What has begun on a connection.
enum Begun {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

/// The first byte, left where it is.
async fn first_byte(stream: &TcpStream) -> std::io::Result<u8> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0]),
    }
}
