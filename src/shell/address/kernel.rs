//! The addresses of this machine, as the kernel keeps them: over a netlink socket, by messages of a few
//! dozen bytes.
//!
//! No program is started for it: a keeper must be able to remove an address on a machine that can start
//! nothing any more. And of the library that knows all of netlink this takes three messages and four
//! attributes, whose layout the kernel has promised never to change.
//!
//! Numbers are in the order of this machine's bytes. What follows a header begins at the next
//! multiple of four.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

use super::Address;

/// Kinds of messages.
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const OUTCOME: u16 = 2;
const DONE: u16 = 3;
/// Marks of a message.
const REQUEST: u16 = 0x1;
const ANSWER: u16 = 0x4;
const REPLACE: u16 = 0x100;
const CREATE: u16 = 0x400;
const ALL: u16 = 0x300;
/// Attributes of an address.
const OF_PEER: u16 = 1;
const LOCAL: u16 = 2;
const LIFETIMES: u16 = 6;
const MARKS: u16 = 8;
/// Marks of an address: nobody else is asked whether they have it, for the lease says so; it has no end.
const UNASKED: u32 = 0x2;
const PERMANENT: u8 = 0x80;
/// As a lifetime: none.
const FOR_GOOD: u32 = u32::MAX;
/// Families of addresses.
const FOUR: u8 = 2;
const SIX: u8 = 10;

/// Before a message, and before what it says of an address.
const HEAD_SIZE: usize = 16;
const ADDRESS_HEAD_SIZE: usize = 8;
/// The largest answer: what the kernel sends at once.
const ANSWER_SIZE_MAX: usize = 32 * 1024;
/// The kernel has answered when a request has been sent.
const PATIENCE: Duration = Duration::from_millis(100);
/// All requests of a socket, one after the other, may have the same.
const SEQUENCE: u32 = 1;

/// A line to the kernel.
#[derive(Debug)]
pub struct Kernel {
    socket: OwnedFd,
}

/// An address that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The number of its device.
    pub device: u32,
    /// How many bits name its network.
    pub prefix: u8,
    /// For how many seconds it will be there yet; none: for good.
    pub left: Option<u32>,
}

impl Kernel {
    /// Opens a line.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open() -> io::Result<Self> {
        // The protocol that is meant if none is named is the one of routes, links and addresses.
        let family = AddressFamily::NETLINK;
        let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket })
    }

    /// The device has this address from here on, for so many seconds. If it had it before, they are
    /// counted anew.
    ///
    /// # Errors
    /// What the kernel says. It is as it was before.
    pub fn put(&self, device: u32, address: Address, seconds: u32) -> io::Result<()> {
        // One that is not preferred is answered for, and not chosen for what this machine sends by
        // itself. In the older protocol there is no such choice.
        let preferred = if address.ip.is_ipv4() { seconds } else { 0 };
        let lifetimes: Vec<u8> =
            [preferred, seconds, 0, 0].iter().flat_map(|number| number.to_ne_bytes()).collect();
        let mut message = of_address(NEW_ADDRESS, REPLACE | CREATE, device, address);
        push(&mut message, LIFETIMES, &lifetimes);
        if address.ip.is_ipv6() {
            push(&mut message, MARKS, &UNASKED.to_ne_bytes());
        }
        self.ask(message)
    }

    /// The device has this address no more. Whether it had it.
    ///
    /// # Errors
    /// What the kernel says. It is as it was before.
    pub fn remove(&self, device: u32, address: Address) -> io::Result<bool> {
        match self.ask(of_address(DELETE_ADDRESS, 0, device, address)) {
            Ok(()) => Ok(true),
            Err(error) => match Errno::from_io_error(&error) {
                // With the device it is gone, too.
                Some(Errno::ADDRNOTAVAIL | Errno::NODEV) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Where this machine has an address.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn find(&self, wanted: IpAddr) -> io::Result<Vec<Found>> {
        let mut message = head(GET_ADDRESS, REQUEST | ALL);
        message.extend([family(wanted), 0, 0, 0, 0, 0, 0, 0]);
        self.send(message)?;
        let mut found = Vec::new();
        let mut answer = vec![0; ANSWER_SIZE_MAX];
        loop {
            let (count, _) = recv(&self.socket, &mut answer[..], RecvFlags::empty())?;
            for (kind, body) in messages(&answer[..count]) {
                match kind {
                    DONE => return Ok(found),
                    OUTCOME => outcome(body)?,
                    NEW_ADDRESS => found.extend(address_of(body, wanted)),
                    _ => {}
                }
            }
        }
    }

    /// Has something done.
    fn ask(&self, message: Vec<u8>) -> io::Result<()> {
        self.send(message)?;
        let mut answer = [0; 1024];
        loop {
            let (count, _) = recv(&self.socket, &mut answer[..], RecvFlags::empty())?;
            for (kind, body) in messages(&answer[..count]) {
                if kind == OUTCOME {
                    return outcome(body);
                }
            }
        }
    }

    fn send(&self, mut message: Vec<u8>) -> io::Result<()> {
        let size = u32::try_from(message.len()).unwrap_or(0);
        message[..4].copy_from_slice(&size.to_ne_bytes());
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.socket, &message, SendFlags::empty(), &kernel)?;
        Ok(())
    }
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { FOUR } else { SIX }
}

/// The head of a message whose size is written last.
fn head(kind: u16, marks: u16) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(marks.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// A message that is about an address of a device.
fn of_address(kind: u16, marks: u16, device: u32, address: Address) -> Vec<u8> {
    let mut bytes = head(kind, REQUEST | ANSWER | marks);
    bytes.extend([family(address.ip), address.prefix, 0, 0]);
    bytes.extend(device.to_ne_bytes());
    let octets = match address.ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    push(&mut bytes, LOCAL, &octets);
    push(&mut bytes, OF_PEER, &octets);
    bytes
}

/// One more attribute.
fn push(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(u16::try_from(4 + value.len()).unwrap_or(4).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Kind and body of each message.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let size = usize::try_from(number(bytes, 0)?).ok()?;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk::<2>()?);
        let body = bytes.get(HEAD_SIZE..size)?;
        bytes = bytes.get(size.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

/// What became of a request.
fn outcome(body: &[u8]) -> io::Result<()> {
    let code = number(body, 0).unwrap_or(0).cast_signed();
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.saturating_neg())) }
}

/// What a message says, if it is about the wanted address.
fn address_of(body: &[u8], wanted: IpAddr) -> Option<Found> {
    let [family, prefix, marks, _] = *body.first_chunk::<4>()?;
    let device = number(body, 4)?;
    let (mut local, mut of_peer, mut left) = (None, None, None);
    let mut rest = body.get(ADDRESS_HEAD_SIZE..)?;
    while let Some(size) = rest.first_chunk::<2>() {
        let size = usize::from(u16::from_ne_bytes(*size));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk::<2>()?);
        let value = rest.get(4..size)?;
        match kind {
            LOCAL => local = ip(family, value),
            OF_PEER => of_peer = ip(family, value),
            // For how long it is preferred, and then for how long it is there.
            LIFETIMES => left = number(value, 4),
            _ => {}
        }
        rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
    }
    let left = left.filter(|left| marks & PERMANENT == 0 && *left != FOR_GOOD);
    (local.or(of_peer)? == wanted).then_some(Found { device, prefix, left })
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        FOUR => Some(Ipv4Addr::from(*value.first_chunk::<4>()?).into()),
        SIX => Some(Ipv6Addr::from(*value.first_chunk::<16>()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_and_is_there_for_good() {
        let kernel = Kernel::open().unwrap();
        let found = kernel.find(Ipv4Addr::LOCALHOST.into()).unwrap();
        // Without the device there is no such address; what there is is told in full.
        for one in found {
            assert_eq!((one.prefix, one.left), (8, None));
        }
        assert_eq!(kernel.find(Ipv4Addr::new(192, 0, 2, 77).into()).unwrap(), []);
        assert_eq!(kernel.find(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into()).unwrap(), []);
        // No device has the number 0, whoever asks.
        let address = "192.0.2.77/32".parse().unwrap();
        let removed = kernel.remove(0, address);
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        assert!(removed.as_ref().map_or_else(is_refused, |was_there| !was_there), "{removed:?}");
    }

    #[test]
    fn nonsense_of_any_length_is_nothing() {
        let mut message = of_address(NEW_ADDRESS, 0, 7, "10.0.0.1/24".parse().unwrap());
        let lifetimes = [3_u32, 5, 0, 0].map(u32::to_ne_bytes).concat();
        push(&mut message, LIFETIMES, &lifetimes);
        let size = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&size.to_ne_bytes());
        let wanted = "10.0.0.1".parse().unwrap();
        let read = |bytes: &[u8]| -> Vec<Found> {
            messages(bytes).filter_map(|(_, body)| address_of(body, wanted)).collect()
        };
        assert_eq!(read(&message), [Found { device: 7, prefix: 24, left: Some(5) }]);
        for length in 0..message.len() {
            assert_eq!(read(&message[..length]), [], "{length}");
        }
        // A size of nothing must not be read for ever.
        message[24..26].copy_from_slice(&0_u16.to_ne_bytes());
        assert_eq!(read(&message), []);
        assert_eq!(messages(&[0; 64]).count(), 0);
    }
}
