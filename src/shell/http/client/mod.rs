//! The small client behind the commands: one request, one answer, one connection, one time
//! limit over all of it.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use self::node_url::Place;
#[cfg(feature = "tls")]
use self::node_url::in_url;
#[cfg(feature = "tls")]
use self::tls::Trust;
use super::api::problem::Problem;
use crate::config::token::Token;

mod error;
pub mod events;
mod node_url;
#[cfg(feature = "tls")]
mod tls;

pub use error::ClientError;
pub use node_url::{NodeUrl, NodeUrlError, PORT_DEFAULT};
#[cfg(feature = "tls")]
pub use tls::{CaFileError, TlsFault};

/// The largest answer that is read, in bytes.
const ANSWER_SIZE_MAX: usize = 4 * 1024 * 1024;

/// A node's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The last part of a problem's type, such as `no-goose`; none if this is no problem of
    /// ours.
    pub fn problem_kind(&self) -> Option<String> {
        let problem: Problem = serde_json::from_slice(&self.body).ok()?;
        problem.kind.strip_prefix("urn:gaggle:problem:").map(str::to_owned)
    }

    /// What a person should read of an answer that is not a success.
    pub fn complaint(&self) -> String {
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => problem.detail,
            Err(_) => format!("the answer was {}", self.status),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Question<'a> {
    /// `GET` of a path.
    Get(&'a str),
    /// A JSON body to a path, as an operator.
    Order {
        /// POST, PUT or DELETE.
        method: Method,
        /// The path.
        path: &'a str,
        /// The body.
        body: String,
        /// The admin token, if one is to be sent.
        token: Option<&'a Token>,
    },
}

/// Whoever asks nodes: over TLS it trusts some authorities and no others.
#[derive(Clone, Debug, Default)]
pub struct Client {
    #[cfg(feature = "tls")]
    trust: Trust,
}

impl Client {
    /// One that trusts the authorities whose certificates are in this PEM file, or else those that
    /// the operating system trusts.
    ///
    /// # Errors
    /// As [`CaFileError`] says.
    #[cfg(feature = "tls")]
    pub fn trusting(file: Option<&Path>) -> Result<Self, CaFileError> {
        Ok(Self { trust: Trust::of(file)? })
    }

    /// Asks the node at `node` and waits for the whole answer for `limit` at most.
    ///
    /// # Errors
    /// As [`ClientError`] says; an answer with an error status is an answer.
    pub async fn ask(
        &self,
        node: &NodeUrl,
        question: Question<'_>,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        match tokio::time::timeout(limit, exchange(self, node, question)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::TimedOut { node: node.clone(), limit }),
        }
    }

    pub(super) async fn connect(
        &self,
        node: &NodeUrl,
    ) -> Result<(Box<dyn Connection>, Peer), ClientError> {
        match &node.0 {
            Place::Tcp { is_tls, host, port } => {
                let (stream, address) = connect_tcp(node, host, *port).await?;
                #[cfg(feature = "tls")]
                if *is_tls {
                    let secured = self.trust.handshake(host, stream).await;
                    let failure = |fault| ClientError::Tls { node: node.clone(), fault };
                    let name = format!("{}:{port}", in_url(host));
                    return Ok((Box::new(secured.map_err(failure)?), Peer::Named(name)));
                }
                debug_assert!(!is_tls, "no URL is read like that");
                Ok((Box::new(stream), Peer::Address(address)))
            }
            Place::Socket(path) => Ok((Box::new(connect_socket(node, path).await?), Peer::Socket)),
        }
    }
}

/// Asks as [`Client::ask`] does, who is asked over plain TCP or a socket.
///
/// # Errors
/// As there.
pub async fn ask(
    node: &NodeUrl,
    question: Question<'_>,
    limit: Duration,
) -> Result<Answer, ClientError> {
    Client::default().ask(node, question, limit).await
}

async fn exchange(
    client: &Client,
    node: &NodeUrl,
    question: Question<'_>,
) -> Result<Answer, ClientError> {
    let garbled = |error: &dyn fmt::Display| ClientError::Garbled {
        node: node.clone(),
        reason: error.to_string(),
    };
    let (stream, host) = client.connect(node).await?;
    if let Question::Order { token: Some(_), .. } = &question
        && let Peer::Address(address) = &host
        && !address.ip().to_canonical().is_loopback()
    {
        return Err(ClientError::Exposed { node: node.clone() });
    }
    let request = request(question, &host).map_err(|error| garbled(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| garbled(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| garbled(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_SIZE_MAX).collect().await;
        let body = body.map_err(|error| garbled(&error))?.to_bytes();
        Ok(Answer { status, body })
    };
    tokio::pin!(answer);
    let connection = async {
        // Its errors come out of the request as well.
        let _ = connection.await;
    };
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        () = connection => answer.await,
    }
}

/// A connection to a node.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

/// What a connection leads to, as a Host header says it.
pub(super) enum Peer {
    /// In the clear.
    Address(SocketAddr),
    /// By TLS, to whoever has shown that this is its name.
    #[cfg(feature = "tls")]
    Named(String),
    Socket,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address}"),
            #[cfg(feature = "tls")]
            Self::Named(name) => formatter.write_str(name),
            Self::Socket => formatter.write_str("localhost"),
        }
    }
}

async fn connect_socket(node: &NodeUrl, path: &Path) -> Result<UnixStream, ClientError> {
    UnixStream::connect(path).await.map_err(|source| match source.kind() {
        ErrorKind::PermissionDenied => ClientError::NotPermitted { node: node.clone() },
        _ => ClientError::Unreachable { node: node.clone(), source },
    })
}

async fn connect_tcp(
    node: &NodeUrl,
    host: &str,
    port: u16,
) -> Result<(TcpStream, SocketAddr), ClientError> {
    let lookup = |source| ClientError::Lookup { node: node.clone(), source };
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(lookup)?;
    let mut failure = std::io::Error::from(ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => failure = error,
        }
    }
    Err(ClientError::Unreachable { node: node.clone(), source: failure })
}

fn request(
    question: Question<'_>,
    peer: &Peer,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let builder = Request::builder().header(HOST, peer.to_string());
    match question {
        Question::Get(path) => builder.method(Method::GET).uri(path).body(Full::default()),
        Question::Order { method, path, body, token } => {
            let mut builder =
                builder.method(method).uri(path).header(CONTENT_TYPE, "application/json");
            if let Some(token) = token {
                builder = builder.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
            }
            builder.body(Full::new(Bytes::from(body)))
        }
    }
}
