//! The small client behind the commands: one request, one answer, one connection, one time
//! limit over all of it.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::admin::Token;
use super::problem::Problem;
use crate::shell::control_socket::places::STATE_SOCKET;

/// The port that is meant when a node's URL names none.
pub const PORT_DEFAULT: u16 = 9000;

/// The largest answer that is read, in bytes.
const ANSWER_SIZE_MAX: usize = 4 * 1024 * 1024;

/// Where a node's HTTP server is: `http://HOST:PORT`, just `HOST:PORT`, or the path of its
/// control socket or of the folder that this is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUrl(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp { host: String, port: u16 },
    Socket(PathBuf),
}

/// Why a text is no [`NodeUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no node's URL: write http://HOST:PORT, for example http://127.0.0.1:9000, or the \
     path of a node's socket"
)]
pub struct NodeUrlError(String);

/// What a socket's path may begin with to look like a URL.
const SOCKET_SCHEMES: [&str; 2] = ["unix://", "unix:"];

impl NodeUrl {
    /// The node whose control socket is at `path`.
    pub fn socket(path: PathBuf) -> Self {
        Self(Place::Socket(path))
    }

    /// Whether it is asked over a control socket.
    pub fn is_socket(&self) -> bool {
        matches!(self.0, Place::Socket(_))
    }

    /// Whether it is asked over TCP, at loopback whichever of its addresses is taken.
    pub async fn is_loopback(&self) -> bool {
        let Place::Tcp { host, port } = &self.0 else { return false };
        let Ok(mut addresses) = tokio::net::lookup_host((host.as_str(), *port)).await else {
            return false;
        };
        addresses.all(|address| address.ip().to_canonical().is_loopback())
    }
}

/// The path that `text` stands for, if it stands for one.
fn path_of(text: &str) -> Option<PathBuf> {
    let bare = SOCKET_SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
    let relative = !text.contains("://") && text.trim_end_matches('/').contains('/');
    if bare.is_none() && !relative && !text.starts_with(['/', '.']) {
        return None;
    }
    let path = PathBuf::from(bare.unwrap_or(text));
    Some(if path.is_dir() { path.join(STATE_SOCKET) } else { path })
}

impl std::str::FromStr for NodeUrl {
    type Err = NodeUrlError;
    fn from_str(text: &str) -> Result<Self, NodeUrlError> {
        let error = || NodeUrlError(text.to_owned());
        if let Some(path) = path_of(text) {
            return if path.as_os_str().is_empty() { Err(error()) } else { Ok(Self::socket(path)) };
        }
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = whole.parse().map_err(|_| error())?;
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        let authority = uri.authority().filter(|name| !name.as_str().contains('@'));
        let (Some(authority), true, None) = (authority, plain, uri.query()) else {
            return Err(error());
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let written_port = authority.as_str().rsplit_once(':').is_some_and(|(_, port)| {
            // A port that does not fit is no port at all to the parser of the authority.
            !port.ends_with(']') && port.parse::<u16>().is_err()
        });
        if host.is_empty() || written_port {
            return Err(error());
        }
        let port = authority.port_u16().unwrap_or(PORT_DEFAULT);
        Ok(Self(Place::Tcp { host: host.to_owned(), port }))
    }
}

impl From<SocketAddr> for NodeUrl {
    fn from(address: SocketAddr) -> Self {
        Self(Place::Tcp { host: address.ip().to_string(), port: address.port() })
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp { host, port } if host.contains(':') => {
                write!(formatter, "http://[{host}]:{port}")
            }
            Place::Tcp { host, port } => write!(formatter, "http://{host}:{port}"),
            Place::Socket(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// Why there is no answer. Whether an order arrived is unknown unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name means no address; nothing was sent.
    #[error("{node}: the host name cannot be looked up: {source}")]
    Lookup {
        /// Whom we asked.
        node: NodeUrl,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// Nobody accepts connections there; nothing was sent.
    #[error(
        "nobody listens at {node} ({source}): is the node running? Start one with `gaggle run`, \
         or name another with --node"
    )]
    Unreachable {
        /// Whom we asked.
        node: NodeUrl,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The socket is another user's; nothing was sent.
    #[error(
        "{node} is another user's: type the command as the user as whom the node runs, or as root"
    )]
    NotPermitted {
        /// Whom we asked.
        node: NodeUrl,
    },
    /// The token would have gone over a network for all to read; nothing was sent.
    #[error(
        "the token is not sent to {node}, where it would go over the network in the clear: type \
         the command on that machine, where it needs no token, for example by ssh"
    )]
    Exposed {
        /// Whom we asked.
        node: NodeUrl,
    },
    /// It took too long.
    #[error("{node} did not answer within {limit:?}")]
    TimedOut {
        /// Whom we asked.
        node: NodeUrl,
        /// The time limit.
        limit: Duration,
    },
    /// Something else than an HTTP answer came.
    #[error("{node} did not answer as a node does ({reason}): is it the node's HTTP address?")]
    Garbled {
        /// Whom we asked.
        node: NodeUrl,
        /// What was wrong.
        reason: String,
    },
}

impl ClientError {
    /// Whether the time limit was the reason.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether what was asked for cannot be done in this way.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Exposed { .. })
    }
}

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
    /// `POST` of a JSON body to a path, as an operator.
    Post {
        /// The path.
        path: &'a str,
        /// The body.
        body: String,
        /// The admin token, if one is to be sent.
        token: Option<&'a Token>,
    },
}

/// Asks the node at `node` and waits for the whole answer for `limit` at most.
///
/// # Errors
/// As [`ClientError`] says; an answer with an error status is an answer.
pub async fn ask(
    node: &NodeUrl,
    question: Question<'_>,
    limit: Duration,
) -> Result<Answer, ClientError> {
    match tokio::time::timeout(limit, exchange(node, question)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ClientError::TimedOut { node: node.clone(), limit }),
    }
}

async fn exchange(node: &NodeUrl, question: Question<'_>) -> Result<Answer, ClientError> {
    let garbled = |error: &dyn fmt::Display| ClientError::Garbled {
        node: node.clone(),
        reason: error.to_string(),
    };
    let (stream, host) = connect(node).await?;
    if let Question::Post { token: Some(_), .. } = &question
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

impl Connection for TcpStream {}
impl Connection for UnixStream {}

/// What a connection leads to, as a Host header says it.
pub(super) enum Peer {
    Address(SocketAddr),
    Socket,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address}"),
            Self::Socket => formatter.write_str("localhost"),
        }
    }
}

pub(super) async fn connect(node: &NodeUrl) -> Result<(Box<dyn Connection>, Peer), ClientError> {
    match &node.0 {
        Place::Tcp { host, port } => {
            let (stream, address) = connect_tcp(node, host, *port).await?;
            Ok((Box::new(stream), Peer::Address(address)))
        }
        Place::Socket(path) => Ok((Box::new(connect_socket(node, path).await?), Peer::Socket)),
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
        Question::Post { path, body, token } => {
            let mut builder =
                builder.method(Method::POST).uri(path).header(CONTENT_TYPE, "application/json");
            if let Some(token) = token {
                builder = builder.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
            }
            builder.body(Full::new(Bytes::from(body)))
        }
    }
}
