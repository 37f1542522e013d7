//! Tells the neighbours that an address is here now: whoever has another machine in mind for it changes
//! that at once, instead of when its memory of it runs out.
//!
//! For IPv4 an ARP request and an ARP reply that nobody asked for (RFC 5227), as some listen to the one
//! and some to the other; for IPv6 an unsolicited neighbour advertisement (RFC 4861, 7.2.6). They are
//! frames of the link, sent to all of it. On a link that is no Ethernet there are none, which is said as
//! the kernel would say it of a device that cannot do what is asked for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};

use super::{Address, Addresses};

/// As ARP calls Ethernet.
const ETHERNET: u16 = 1;
/// What a frame holds.
const ARP: [u8; 2] = [0x08, 0x06];
const IP_SIX: [u8; 2] = [0x86, 0xdd];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const BROADCAST: Hardware = [0xff; 6];
/// All nodes of the link, by both kinds of address.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_HARDWARE: Hardware = [0x33, 0x33, 0, 0, 0, 1];
const ICMP_SIX: u8 = 58;
const ADVERTISEMENT: u8 = 136;
/// What was known before does not count.
const OVERRIDE: u8 = 0x20;
const OPTION_HARDWARE: u8 = 2;
/// It has passed no router.
const HOPS: u8 = 255;

/// An address of Ethernet.
type Hardware = [u8; 6];

/// A device of this machine.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number.
    pub number: u32,
    address: LinkAddr,
    /// It is on, and what it leads to is there.
    is_up: bool,
}

impl Link {
    /// The device of this name, if there is one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn of(name: &str) -> io::Result<Option<Self>> {
        for device in getifaddrs()?.filter(|device| device.interface_name == name) {
            let address = device.address.as_ref().and_then(|address| address.as_link_addr());
            if let Some(address) = address
                && let Ok(number) = u32::try_from(address.ifindex())
            {
                let wanted = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
                let is_up = device.flags.contains(wanted);
                return Ok(Some(Self { number, address: *address, is_up }));
            }
        }
        Ok(None)
    }

    /// What a device is called, if it is there still.
    pub fn name_of(number: u32) -> Option<String> {
        let mut devices = getifaddrs().ok()?;
        let found = devices.find(|device| {
            let address = device.address.as_ref().and_then(|address| address.as_link_addr());
            address.is_some_and(|address| u32::try_from(address.ifindex()) == Ok(number))
        });
        found.map(|device| device.interface_name)
    }

    /// Whether it is on, and what it leads to is there.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    fn hardware(&self) -> Option<Hardware> {
        let is_ethernet = self.address.hatype() == ETHERNET && self.address.halen() == 6;
        self.address.addr().filter(|_| is_ethernet)
    }
}

/// Whether this process may announce anything.
///
/// # Errors
/// Why not.
pub fn permitted() -> io::Result<()> {
    open().map(drop)
}

/// A socket for frames as they are. It receives none.
fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Packet, SockType::Raw, flags, None)?)
}

/// Announces some addresses on one device.
#[derive(Debug)]
pub struct Announcer {
    socket: OwnedFd,
    device: String,
    link: LinkAddr,
    frames: Vec<Vec<u8>>,
}

impl Announcer {
    /// Prepares all that is to be said.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(link: &Link, addresses: &Addresses) -> io::Result<Self> {
        let hardware = link.hardware();
        let of_list = |own| addresses.list.iter().flat_map(move |address| frames(own, *address));
        let frames = hardware.into_iter().flat_map(of_list).collect();
        let device = addresses.device.clone();
        Ok(Self { socket: open()?, device, link: link.address, frames })
    }

    /// Says it once. What has been sent may be lost, as any frame may be.
    ///
    /// # Errors
    /// Why nobody can have heard some of it: what the kernel says, or would say of such a link. It takes
    /// frames for a link that leads nowhere, and drops them.
    pub fn announce(&self) -> io::Result<()> {
        let link = Link::of(&self.device)?.ok_or(Errno::ENODEV)?;
        if !link.is_up {
            return Err(Errno::ENETDOWN.into());
        }
        if self.frames.is_empty() {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let to: &dyn SockaddrLike = &self.link;
        let mut outcome = Ok(());
        for frame in &self.frames {
            // Each is tried, whatever became of the others.
            let sent = sendto(self.socket.as_raw_fd(), frame, to, MsgFlags::MSG_DONTWAIT);
            outcome = outcome.and(sent.map(drop));
        }
        Ok(outcome?)
    }
}

/// What a person can do about it that nobody hears of an address on this device.
pub fn remedy(reason: &io::Error, device: &str) -> String {
    match reason.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENETDOWN | Errno::ENETUNREACH) => {
            format!("look at it with `ip link show {device}`, and bring it up")
        }
        Some(Errno::EPERM | Errno::EACCES) => "give this process the capability NET_RAW".to_owned(),
        Some(Errno::EOPNOTSUPP) => {
            format!("{device} is no Ethernet: have a route lead to this machine some other way")
        }
        _ => format!("look at {device} with `ip -s link show {device}`"),
    }
}

/// What is said of one address by whoever has that hardware address.
fn frames(own: Hardware, address: Address) -> Vec<Vec<u8>> {
    match address.ip {
        IpAddr::V4(ip) => vec![arp(own, ip, REQUEST, [0; 6]), arp(own, ip, REPLY, BROADCAST)],
        IpAddr::V6(ip) => vec![advertisement(own, ip)],
    }
}

fn frame(to: Hardware, own: Hardware, kind: [u8; 2]) -> Vec<u8> {
    [&to[..], &own[..], &kind[..]].concat()
}

fn arp(own: Hardware, ip: Ipv4Addr, what: u8, target: Hardware) -> Vec<u8> {
    let mut bytes = frame(BROADCAST, own, ARP);
    // Of Ethernet, for IPv4, with addresses of 6 and 4 bytes.
    bytes.extend([0, 1, 8, 0, 6, 4, 0, what]);
    bytes.extend(own);
    bytes.extend(ip.octets());
    bytes.extend(target);
    bytes.extend(ip.octets());
    bytes
}

fn advertisement(own: Hardware, ip: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(ip.octets());
    message.extend([OPTION_HARDWARE, 1]);
    message.extend(own);
    let size = u8::try_from(message.len()).unwrap_or(0);
    let sum = checksum(ip, size, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = frame(ALL_NODES_HARDWARE, own, IP_SIX);
    bytes.extend([0x60, 0, 0, 0, 0, size, ICMP_SIX, HOPS]);
    bytes.extend(ip.octets());
    bytes.extend(ALL_NODES.octets());
    bytes.extend(message);
    bytes
}

/// Over what stands in the head of the packet as well (RFC 8200, 8.1). All of even length.
fn checksum(source: Ipv6Addr, size: u8, message: &[u8]) -> u16 {
    let (source, all) = (source.octets(), ALL_NODES.octets());
    let head = [&source[..], &all[..], &[0, 0, 0, size, 0, 0, 0, ICMP_SIX], message].concat();
    let words = head.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(!sum & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Hardware = [2, 0, 0, 0, 0, 9];

    #[test]
    fn an_address_of_ipv4_is_announced_by_a_request_and_a_reply_to_all() {
        let [request, reply] = &frames(OWN, "10.0.0.100/24".parse().unwrap())[..] else {
            panic!("two frames")
        };
        assert_eq!((request.len(), reply.len()), (42, 42));
        assert_eq!(request[..14], [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 6]);
        assert_eq!(request[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(request[22..32], [2, 0, 0, 0, 0, 9, 10, 0, 0, 100]);
        // It asks for its own address, and nobody else is to have it.
        assert_eq!(request[32..], [0, 0, 0, 0, 0, 0, 10, 0, 0, 100]);
        assert_eq!(reply[20..22], [0, 2]);
        assert_eq!(reply[32..], [255, 255, 255, 255, 255, 255, 10, 0, 0, 100]);
    }

    #[test]
    fn an_address_of_ipv6_is_announced_by_an_advertisement_whose_sum_is_right() {
        let [frame] = &frames(OWN, "fd00::100/64".parse().unwrap())[..] else {
            panic!("one frame")
        };
        assert_eq!(frame.len(), 86);
        assert_eq!(frame[..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd]);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        let (source, message) = (&frame[22..38], &frame[54..]);
        assert_eq!(message[..2], [136, 0]);
        assert_eq!((message[4], &message[8..24]), (0x20, source));
        assert_eq!(message[24..], [2, 1, 2, 0, 0, 0, 0, 9]);
        // Summed up with its sum it comes out as nothing.
        assert_eq!(checksum("fd00::100".parse().unwrap(), 32, message), 0);
    }

    #[test]
    fn devices_are_found_by_name_and_by_number() {
        assert!(Link::of("no-such-device").unwrap().is_none());
        if let Some(loopback) = Link::of("lo").unwrap() {
            assert_eq!(Link::name_of(loopback.number).as_deref(), Some("lo"));
            assert_eq!(loopback.hardware(), None, "no Ethernet");
        }
    }
}
