//! Who is who: node ids, boots, and the pair of both that a lease is granted to.
//!
//! A [`NodeId`] names a place in the cluster and survives restarts. A [`Boot`] names one
//! process start. Exclusivity is always per [`Process`], the pair: two processes that were
//! given one id by mistake still cannot both be Goose.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hash::stable_hash;

/// The number by which "highest id" is judged: 1 to 2^53 − 1, so that it is exact in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct NodeId(u64);

/// Why a number or a text is no [`NodeId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeIdError {
    /// Outside 1 to 2^53 − 1.
    #[error("{0} is not a node id: ids run from 1 to {max}{hint}", max = NodeId::MAX, hint = hint(*.0))]
    OutOfRange(u64),
    /// Neither a number nor an address.
    #[error("\"{0}\" is neither a node id (a whole number) nor an address like 10.0.0.1:8000")]
    Malformed(String),
    /// An address that names no single machine.
    #[error("{0} names no single machine or has port 0, so no id can be derived from it")]
    Unspecified(SocketAddr),
}

/// What usually counts from 0.
fn hint(number: u64) -> &'static str {
    if number > 0 { "" } else { ". For the ordinal N of a StatefulSet give N + 1" }
}

impl NodeId {
    /// The largest id, 2^53 − 1.
    pub const MAX: u64 = (1 << 53) - 1;

    /// The id `number`.
    ///
    /// # Errors
    /// [`NodeIdError::OutOfRange`] outside 1 to [`NodeId::MAX`].
    pub fn new(number: u64) -> Result<Self, NodeIdError> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(NodeIdError::OutOfRange(number))
        }
    }

    /// The id of a node that was given only an address: an IPv4 address and port read as one
    /// number, a fixed-key hash of an IPv6 one.
    ///
    /// # Errors
    /// [`NodeIdError::Unspecified`] for an unspecified address or port 0.
    pub fn of_address(address: SocketAddr) -> Result<Self, NodeIdError> {
        if address.ip().is_unspecified() || address.port() == 0 {
            return Err(NodeIdError::Unspecified(address));
        }
        let number = match address.ip() {
            IpAddr::V4(ip) => u64::from(u32::from(ip)) << 16 | u64::from(address.port()),
            IpAddr::V6(ip) => {
                let mut bytes = ip.octets().to_vec();
                bytes.extend_from_slice(&address.port().to_be_bytes());
                (stable_hash(b"ipv6 node id", &bytes) & Self::MAX).max(1)
            }
        };
        Self::new(number)
    }

    /// The IPv4 address that this id was made of, if it can have been: small numbers are what
    /// people give.
    pub fn address(self) -> Option<SocketAddr> {
        let ip = u32::try_from(self.0 >> 16).ok().map(Ipv4Addr::from);
        let ip = ip.filter(|ip| ip.octets()[0] != 0)?;
        let port = u16::try_from(self.0 & 0xffff).ok().filter(|port| *port != 0)?;
        Some(SocketAddr::from((ip, port)))
    }

    /// The number itself.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for NodeId {
    type Error = NodeIdError;
    fn try_from(number: u64) -> Result<Self, NodeIdError> {
        Self::new(number)
    }
}

impl From<NodeId> for u64 {
    fn from(id: NodeId) -> u64 {
        id.0
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;
    /// A whole number, or an address, which means the id derived from it.
    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        if let Ok(number) = text.parse::<u64>() {
            return Self::new(number);
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => Self::of_address(address),
            Err(_) => Err(NodeIdError::Malformed(text.to_owned())),
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One start of a process. `start` only rises from one start of a node to the next and
/// orders membership; the election compares the whole for equality, and looks at the order only
/// to say whether two processes of one node can be one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Boot {
    /// max(last start + 1, wall clock in milliseconds).
    pub start: u64,
    /// Drawn at random, so that two processes with one id differ.
    pub nonce: u64,
}

impl fmt::Display for Boot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{:016x}", self.start, self.nonce)
    }
}

/// One process of one node: what a lease is granted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Which node.
    pub id: NodeId,
    /// Which start of it.
    pub boot: Boot,
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.id, self.boot)
    }
}

/// The same address without the IPv6 scope and flow label, which do not travel on the wire
/// and would make equal addresses unequal; an IPv4 address wrapped in IPv6 is unwrapped.
#[must_use]
pub fn normalised(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(six) => match six.ip().to_ipv4_mapped() {
            Some(four) => SocketAddr::new(IpAddr::V4(four), six.port()),
            None => SocketAddr::V6(SocketAddrV6::new(*six.ip(), six.port(), 0, 0)),
        },
    }
}
