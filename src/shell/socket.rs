//! The one UDP socket: bound by the caller, read in batches, never a reason to stop.

use std::io;
use std::net::{SocketAddr, UdpSocket as StandardSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::descriptor::watch_input;
use crate::wire::datagram::DATAGRAM_SIZE_MAX;

/// Asked of the kernel for each direction: a burst of a thousand joiners fits.
pub const BUFFER_SIZE: usize = 4 * 1024 * 1024;

/// One more than the largest datagram, so that a larger one is seen to be too large.
pub(super) const RECEIVE_SIZE: usize = DATAGRAM_SIZE_MAX + 1;

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Gossip and election, over UDP.
    Gossip,
    /// HTTP, over TCP.
    Http,
    /// HAProxy's agent-check, over TCP.
    AgentCheck,
}

impl Purpose {
    fn setting(self) -> &'static str {
        match self {
            Self::Gossip => "ADDR:PORT",
            Self::Http => "--http ADDR:PORT",
            Self::AgentCheck => "--agent-check ADDR:PORT",
        }
    }
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Gossip => "gossip, over UDP",
            Self::Http => "HTTP, over TCP",
            Self::AgentCheck => "HAProxy's agent-check, over TCP",
        })
    }
}

/// Why the address cannot be used. No socket is left open.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has it.
    #[error(
        "{address} is in use ({purpose}): another node or program has it. Stop that one, or give \
         another {}",
        purpose.setting()
    )]
    InUse {
        /// Which address.
        address: SocketAddr,
        /// What for.
        purpose: Purpose,
    },
    /// It is no address of this machine.
    #[error(
        "{address} is no address of this machine ({purpose}): give an {} that is, and --advertise \
         the address that others see",
        purpose.setting()
    )]
    NotHere {
        /// Which address.
        address: SocketAddr,
        /// What for.
        purpose: Purpose,
    },
    /// It takes rights that this process lacks.
    #[error(
        "{address} may not be opened by this user ({purpose}): {source}. Give an {} with a port \
         from 1024 on, or the right to open lower ones",
        purpose.setting()
    )]
    Forbidden {
        /// Which address.
        address: SocketAddr,
        /// What for.
        purpose: Purpose,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something else.
    #[error("cannot open {address} ({purpose}): {source}. Give another {}", purpose.setting())]
    Other {
        /// Which address.
        address: SocketAddr,
        /// What for.
        purpose: Purpose,
        /// What the operating system said.
        source: io::Error,
    },
}

impl BindError {
    /// Sorts an operating-system error by what a person can do about it.
    pub fn of(purpose: Purpose, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, purpose },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { address, purpose },
            io::ErrorKind::PermissionDenied => Self::Forbidden { address, purpose, source },
            _ => Self::Other { address, purpose, source },
        }
    }

    /// What the operating system said.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::InUse { .. } => io::ErrorKind::AddrInUse,
            Self::NotHere { .. } => io::ErrorKind::AddrNotAvailable,
            Self::Forbidden { source, .. } | Self::Other { source, .. } => source.kind(),
        }
    }
}

/// Binds the socket for gossip and election.
///
/// # Errors
/// As [`BindError`] says.
pub fn bind(address: SocketAddr) -> Result<StandardSocket, BindError> {
    let open = || -> io::Result<StandardSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        // Best effort: the kernel may allow less, and that only costs packets in a burst.
        let _ = socket.set_recv_buffer_size(BUFFER_SIZE);
        let _ = socket.set_send_buffer_size(BUFFER_SIZE);
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|error| BindError::of(Purpose::Gossip, address, error))
}

/// The socket on the runtime. It is woken for what arrives only: the runtime's own socket is
/// woken by every datagram that has left, too.
#[derive(Debug)]
pub(super) struct Endpoint(AsyncFd<StandardSocket>);

impl Endpoint {
    /// Takes `socket` over.
    ///
    /// # Errors
    /// If the runtime cannot watch it.
    pub(super) fn new(socket: StandardSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(watch_input(socket)?))
    }

    /// Done when something may have arrived.
    pub(super) async fn readable(&self) {
        if self.0.readable().await.is_err() {
            // The runtime is going, and whoever waits with it.
            std::future::pending().await
        }
    }

    /// Receives one datagram if there is one. Errors that the kernel reports about earlier sends
    /// (a port that nobody listens on) are skipped: they say nothing about this socket.
    pub(super) fn try_receive(
        &self,
        buffer: &mut [u8; RECEIVE_SIZE],
    ) -> Option<(usize, SocketAddr)> {
        for _ in 0..16 {
            match self.0.try_io(Interest::READABLE, |socket| socket.recv_from(buffer)) {
                Ok((length, from)) => return Some((length, from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => {}
            }
        }
        None
    }

    /// Sends one datagram, or fails at once: what does not fit into the kernel's buffer is lost,
    /// as it may be anywhere on its way.
    pub(super) fn try_send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.get_ref().send_to(datagram, to).map(drop)
    }
}
