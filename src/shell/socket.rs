//! The one UDP socket: bound by the caller, read in batches, never a reason to stop.

use std::io;
use std::net::{SocketAddr, UdpSocket as StandardSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::vocabulary::datagram::DATAGRAM_SIZE_MAX;

/// Asked of the kernel for each direction: a burst of a thousand joiners fits.
const BUFFER_SIZE: usize = 4 * 1024 * 1024;

/// One more than the largest datagram, so that a larger one is seen to be too large.
pub(super) const RECEIVE_SIZE: usize = DATAGRAM_SIZE_MAX + 1;

/// Why the address cannot be used. No socket is left open.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has it.
    #[error(
        "{0} is in use: another node may be running there. Give another address, or stop that node"
    )]
    InUse(SocketAddr),
    /// It is no address of this machine.
    #[error(
        "{0} is no address of this machine: give one that is, and --advertise the address others see"
    )]
    NotHere(SocketAddr),
    /// Something else.
    #[error("cannot open {address}: {source}")]
    Other {
        /// Which address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

impl BindError {
    /// Sorts an operating-system error by what a person can do about it.
    pub fn of(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(address),
            _ => Self::Other { address, source },
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
    open().map_err(|error| BindError::of(address, error))
}

/// Receives one datagram if there is one. Errors that the kernel reports about earlier sends
/// (a port that nobody listens on) are skipped: they say nothing about this socket.
pub(super) fn try_receive(
    socket: &UdpSocket,
    buffer: &mut [u8; RECEIVE_SIZE],
) -> Option<(usize, SocketAddr)> {
    for _ in 0..16 {
        match socket.try_recv_from(buffer) {
            Ok((length, from)) => return Some((length, from)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
    None
}
