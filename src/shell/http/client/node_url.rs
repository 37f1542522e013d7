//! Where a node is asked: an address, or the path of its control socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use hyper::Uri;

use crate::shell::control_socket::places::STATE_SOCKET;
use crate::shell::http::api::views::scheme;

/// The port that is meant when a node's URL names none.
pub const PORT_DEFAULT: u16 = 9000;

/// Where a node's HTTP server is: `http://HOST:PORT`, `https://HOST:PORT`, just `HOST:PORT`, or the path of its
/// control socket or of the folder that this is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUrl(pub(super) Place);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { is_tls: bool, host: String, port: u16 },
    Socket(PathBuf),
}

/// Why a text is no [`NodeUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no node's URL: write http://HOST:PORT, for example http://127.0.0.1:9000, the same \
     with https, or the path of a node's socket"
)]
pub struct NodeUrlError(String);

/// What a socket's path may begin with to look like a URL.
const SOCKET_SCHEMES: [&str; 2] = ["unix://", "unix:"];

impl NodeUrl {
    /// The node whose control socket is at `path`.
    pub fn socket(path: PathBuf) -> Self {
        Self(Place::Socket(path))
    }

    /// The node whose HTTP is served at `address`, over TLS or not.
    pub fn at(address: SocketAddr, is_tls: bool) -> Self {
        Self(Place::Tcp { is_tls, host: address.ip().to_string(), port: address.port() })
    }

    /// Whether it is asked over TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Place::Tcp { is_tls: true, .. })
    }

    /// Whether it is asked over a control socket.
    pub fn is_socket(&self) -> bool {
        matches!(self.0, Place::Socket(_))
    }

    /// Whether it is asked over TCP, at loopback whichever of its addresses is taken.
    pub async fn is_loopback(&self) -> bool {
        let Place::Tcp { host, port, .. } = &self.0 else { return false };
        let Ok(mut addresses) = tokio::net::lookup_host((host.as_str(), *port)).await else {
            return false;
        };
        addresses.all(|address| address.ip().to_canonical().is_loopback())
    }
}

/// A host as a URL has it: an address of IPv6 stands in brackets.
pub(super) fn in_url(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
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
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            _ => return Err(error()),
        };
        let bare = matches!(uri.path(), "" | "/");
        let authority = uri.authority().filter(|name| !name.as_str().contains('@'));
        let (Some(authority), true, None) = (authority, bare, uri.query()) else {
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
        Ok(Self(Place::Tcp { is_tls, host: host.to_owned(), port }))
    }
}

impl From<SocketAddr> for NodeUrl {
    fn from(address: SocketAddr) -> Self {
        Self::at(address, false)
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp { is_tls, host, port } => {
                let (scheme, host) = (scheme(*is_tls), in_url(host));
                write!(formatter, "{scheme}://{host}:{port}")
            }
            Place::Socket(path) => write!(formatter, "{}", path.display()),
        }
    }
}
