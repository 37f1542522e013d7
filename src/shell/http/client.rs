//! The small client behind the commands: one request, one answer, one connection, one time
//! limit over all of it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::admin::{ADMIN_HEADER, Token};
use super::problem::Problem;

/// The port that is meant when a node's URL names none.
pub const PORT_DEFAULT: u16 = 9000;

/// The largest answer that is read, in bytes.
const ANSWER_SIZE_MAX: usize = 4 * 1024 * 1024;

/// Where a node's HTTP server is: `http://HOST:PORT`, or just `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUrl {
    host: String,
    port: u16,
}

/// Why a text is no [`NodeUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no node's URL: write http://HOST:PORT, for example http://127.0.0.1:9000")]
pub struct NodeUrlError(String);

impl std::str::FromStr for NodeUrl {
    type Err = NodeUrlError;
    fn from_str(text: &str) -> Result<Self, NodeUrlError> {
        let error = || NodeUrlError(text.to_owned());
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
        Ok(Self { host: host.to_owned(), port: authority.port_u16().unwrap_or(PORT_DEFAULT) })
    }
}

impl From<SocketAddr> for NodeUrl {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "http://{}:{}", self.host, self.port)
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
        /// The admin token, if one is at hand.
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
    let stream = connect(node).await?;
    let peer = stream.peer_addr().map_err(|error| garbled(&error))?;
    let request = request(question, peer).map_err(|error| garbled(&error))?;
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

pub(super) async fn connect(node: &NodeUrl) -> Result<TcpStream, ClientError> {
    let lookup = |source| ClientError::Lookup { node: node.clone(), source };
    let addresses = tokio::net::lookup_host((node.host.as_str(), node.port));
    let mut failure = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in addresses.await.map_err(lookup)? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(ClientError::Unreachable { node: node.clone(), source: failure })
}

fn request(
    question: Question<'_>,
    peer: SocketAddr,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    // The address and not the name: a node takes no order on the same machine that comes by
    // a name, because names can be pointed at it from elsewhere.
    let builder = Request::builder().header(HOST, peer.to_string());
    match question {
        Question::Get(path) => builder.method(Method::GET).uri(path).body(Full::default()),
        Question::Post { path, body, token } => {
            let mut builder = builder
                .method(Method::POST)
                .uri(path)
                .header(ADMIN_HEADER, "1")
                .header(CONTENT_TYPE, "application/json");
            if let Some(token) = token {
                builder = builder.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
            }
            builder.body(Full::new(Bytes::from(body)))
        }
    }
}
