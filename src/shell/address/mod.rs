//! Addresses that a machine has while, and only while, its node is the Goose.
//!
//! ```text
//! node ── Start, Deadline, End ──▶ keeper ── put, put again, remove ──▶ kernel
//!                                    └────── "it is here now" ────────▶ neighbours
//! ```
//!
//! The keeper holds them (see `shell::keeper`), for it knows the deadline and outlives the node. It
//! removes them before the lease ends. Should it be killed or frozen, too, they go by themselves: each is
//! put with a lifetime ([`lifetime`]) that is renewed with the lease, and the kernel removes it then.
//!
//! The kernel counts lifetimes in whole seconds, and looks at them up to a quarter of a second late:
//! an address goes [`SPAN`] after it was put at the latest. A lease that counts for less than that ends
//! sooner than a frozen machine's address, so a Goose that was not handed the lease waits for what is
//! missing ([`takeover_delay`]) before it takes the address.
//!
//! Assumptions: the kernel of a machine runs where its processes do not. A virtual machine that is
//! paused from outside has its kernel paused, too; when it goes on, its kernel answers until the
//! keeper has run, which takes a moment. Nothing on that machine can do better.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

pub mod announce;
pub mod kernel;

use self::announce::Link;
use self::kernel::{Found, Kernel};
use crate::vocabulary::timing::{LEASE_CEILING, Timing, counted};

/// The most addresses of one node.
pub const ADDRESSES_MAX: usize = 16;
/// The shortest lifetime that the kernel knows.
const LIFETIME_LEAST: Duration = Duration::from_secs(1);
/// The kernel looks at lifetimes so late: a quarter of a second by its source, and a little for a
/// machine that has other things to do.
const LATE: Duration = Duration::from_millis(300);
/// An address with the shortest lifetime is gone after this.
pub const SPAN: Duration = Duration::from_millis(1_300);
/// Of a short lease, so much may have passed when it is heard that it was renewed.
const HEARD_WITHIN: Duration = Duration::from_millis(100);

/// A Goose with a lease of so much takes an address at once: see [`takeover_delay`].
pub const DELAYLESS: Duration = SPAN.saturating_add(HEARD_WITHIN);

/// An address, and how many of its bits name its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Of one machine.
    pub ip: IpAddr,
    /// Of a network that has it: up to 32 or 128.
    pub prefix: u8,
}

/// That something is no address to be held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no address of a machine")]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    /// `10.0.0.100/24`; without a slash it is a network of its own.
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, it)| (ip, Some(it)));
        let ip: IpAddr = ip.parse().map_err(|_| NoAddress)?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| NoAddress)?;
        let names_a_machine = !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback());
        // ::ffff:10.0.0.1 stands for an IPv4 address within a program, and never on a network.
        let names_a_machine = names_a_machine && ip.to_canonical() == ip;
        let is_sound = names_a_machine && (1..=most).contains(&prefix);
        is_sound.then_some(Self { ip, prefix }).ok_or(NoAddress)
    }
}

impl Address {
    /// What it names if that is no machine of its network. A network of one or two machines has no such
    /// addresses (RFC 3021), nor has IPv6.
    fn of_network(&self) -> Option<&'static str> {
        let IpAddr::V4(ip) = self.ip else { return None };
        let of_machine = u32::MAX.checked_shr(self.prefix.into()).filter(|_| self.prefix < 31)?;
        match ip.to_bits() & of_machine {
            0 => Some("network"),
            bits if bits == of_machine => Some("broadcast"),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.ip, self.prefix)
    }
}

/// What is held: some addresses on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The name of the device.
    pub device: String,
    /// At least one.
    pub list: Vec<Address>,
}

impl fmt::Display for Addresses {
    /// Like `10.0.0.100/24 on eth0`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.list.iter().map(ToString::to_string).collect();
        write!(formatter, "{} on {}", texts.join(", "), self.device)
    }
}

/// Why addresses cannot be held. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not an address of a machine.
    #[error(
        "\"{0}\" is no address that a machine can have: write it like 10.0.0.100/24 or fd00::100/64"
    )]
    Malformed(String),
    /// It names a whole network, or all of its machines.
    #[error(
        "{address} is the {what} address of its network, which no machine can have: give one of its \
         machines' addresses"
    )]
    OfNetwork {
        /// Which one.
        address: Address,
        /// "network" or "broadcast".
        what: &'static str,
    },
    /// One of them is another one again.
    #[error("{0} is given twice: leave one of them out")]
    Twice(IpAddr),
    /// More than anybody needs.
    #[error("{0} addresses are too many: give {ADDRESSES_MAX} at most")]
    TooMany(usize),
    /// There is no such device.
    #[error("there is no device {0} on this machine: `ip link` lists them")]
    NoDevice(String),
    /// The kernel refuses every address of IPv6 there.
    #[error(
        "IPv6 is switched off on {0}, so it cannot have {1}: `sysctl net.ipv6.conf.{0}.disable_ipv6=0` \
         switches it on"
    )]
    WithoutSix(String, Address),
    /// The machine has it for good, so it would have it as a Duck, too.
    #[error(
        "{address} is on {device} for good, whoever leads: remove it from this machine's settings, so \
         that it comes and goes with the lease"
    )]
    Permanent {
        /// Which one.
        address: Address,
        /// Where it is.
        device: String,
    },
    /// It is there as this program never puts it, so it is not what an earlier life has left.
    #[error(
        "{address} is on {device} already, {why}, so it is not of an earlier life of this node: find out \
         who has put it there, or remove it with `ip address del {address} dev {device}`"
    )]
    OfOthers {
        /// Which one, as it is there.
        address: Address,
        /// Where it is.
        device: String,
        /// What shows it.
        why: String,
    },
    /// The kernel does not let this process change addresses.
    #[error(
        "this user may not change addresses of this machine ({0}): run it as root, or with the \
         capabilities NET_ADMIN and NET_RAW"
    )]
    Forbidden(io::Error),
    /// Something else.
    #[error("the kernel does not tell of this machine's addresses: {0}")]
    System(#[source] io::Error),
}

impl AddressError {
    /// Whether what was asked for makes no sense here.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Forbidden(_) | Self::System(_))
    }
}

impl Addresses {
    /// The addresses of a list with commas, on a device that there may be.
    ///
    /// # Errors
    /// [`AddressError`] names the first that no machine can have or that is given twice, or says that
    /// there are too many.
    pub fn parse(device: &str, list: &str) -> Result<Self, AddressError> {
        let parse = |text: &str| text.parse().map_err(|_| AddressError::Malformed(text.to_owned()));
        let list = list.split(',').map(parse).collect::<Result<Vec<Address>, _>>()?;
        if list.len() > ADDRESSES_MAX {
            return Err(AddressError::TooMany(list.len()));
        }
        for (position, address) in list.iter().enumerate() {
            if let Some(what) = address.of_network() {
                return Err(AddressError::OfNetwork { address: *address, what });
            }
            if list[..position].iter().any(|earlier| earlier.ip == address.ip) {
                return Err(AddressError::Twice(address.ip));
            }
        }
        Ok(Self { device: device.to_owned(), list })
    }

    /// Whether they can be held here. What an earlier life has left does not matter: see
    /// [`Found::is_leftover`].
    ///
    /// # Errors
    /// As [`AddressError`] says.
    pub fn check(&self) -> Result<(), AddressError> {
        let kernel = Kernel::open().map_err(AddressError::System)?;
        let link = Link::of(&self.device).map_err(AddressError::System)?;
        link.ok_or_else(|| AddressError::NoDevice(self.device.clone()))?;
        for address in &self.list {
            if address.ip.is_ipv6() && is_without_six(&self.device) {
                return Err(AddressError::WithoutSix(self.device.clone(), *address));
            }
            let found = kernel.find(address.ip).map_err(AddressError::System)?;
            if let Some(found) = found.iter().find(|found| !found.is_leftover(address.prefix)) {
                return Err(refused(*address, found));
            }
        }
        announce::permitted().map_err(AddressError::Forbidden)?;
        // No device has this number: what is refused is the attempt.
        match kernel.remove(0, self.list[0]) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(AddressError::Forbidden(error))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with the device, if nobody could reach an address on it.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let device = &self.device;
        match Link::of(device) {
            Ok(Some(link)) if link.is_up() => None,
            Ok(Some(_)) => Some(format!(
                "{device} is down, or nothing is connected to it: `ip link show {device}` says which"
            )),
            Ok(None) => Some(AddressError::NoDevice(device.clone()).to_string()),
            // The kernel says nothing of it now. Whether it puts an address there decides.
            Err(_) => None,
        }
    }

    /// Removes what an earlier life may have left, and nothing else, and says what there was.
    ///
    /// # Errors
    /// What the kernel says; some may be left then, and go by themselves within [`SPAN`] or so.
    pub fn clean_up(&self) -> io::Result<Vec<Address>> {
        let kernel = Kernel::open()?;
        let mut removed = Vec::new();
        for address in &self.list {
            let found = kernel.find(address.ip)?;
            for found in found.iter().filter(|found| found.is_leftover(address.prefix)) {
                if kernel.remove(found.device, *address)? {
                    removed.push(*address);
                }
            }
        }
        Ok(removed)
    }
}

impl Found {
    /// Whether an earlier life of a node that holds this address, with a prefix like this, may have put it
    /// there: with any lease that there may be. Whatever is there for longer is somebody else's.
    fn is_leftover(&self, prefix: u8) -> bool {
        self.prefix == prefix && self.left.is_some_and(|left| left <= lifetime(LEASE_CEILING))
    }
}

/// Whether the kernel has been told to have no address of IPv6 on this device. A kernel that knows nothing
/// of IPv6 says so when it is to put one.
fn is_without_six(device: &str) -> bool {
    let setting = format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6");
    std::fs::read_to_string(setting).is_ok_and(|text| text.trim() != "0")
}

/// Why `wanted` cannot be held while it is there as `found`.
fn refused(wanted: Address, found: &Found) -> AddressError {
    let address = Address { ip: wanted.ip, prefix: found.prefix };
    let device = Link::name_of(found.device).unwrap_or_else(|| "a device".to_owned());
    let why = match found.left {
        None => return AddressError::Permanent { address, device },
        Some(_) if found.prefix != wanted.prefix => {
            format!("with another prefix than /{}", wanted.prefix)
        }
        Some(left) => format!("for another {left} s, which is longer than any lease"),
    };
    AddressError::OfOthers { address, device, why }
}

/// For how many seconds an address is put while so much is left of the lease: no longer than that, if
/// the kernel can count so little.
#[must_use]
pub fn lifetime(left: Duration) -> u32 {
    let seconds = left.saturating_sub(LATE).max(LIFETIME_LEAST).as_secs();
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// How long a Goose that was not handed the lease waits before it takes an address, so that the kernel
/// of a frozen machine has dropped it: what a lifetime lasts longer than a lease.
///
/// The new lease begins once a majority's grants to the last holder have run out, so no sooner than a
/// whole lease after the last holder asked for them. And what is asked for so much earlier counts for
/// less than [`least_left`] when it is heard, so that no address is put for it.
#[must_use]
pub fn takeover_delay(timing: &Timing) -> Duration {
    DELAYLESS.saturating_sub(timing.lease)
}

/// An address is put only while more than this is left of the lease. So a claim, whose lease is
/// shorter, puts none.
#[must_use]
pub fn least_left(timing: &Timing) -> Duration {
    let beyond = timing.lease + takeover_delay(timing);
    (counted(timing.lease) + SPAN).saturating_sub(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::timing::Profile;

    #[test]
    fn addresses_are_read_or_refused() {
        for (text, shown) in [
            ("10.0.0.100/24", "10.0.0.100/24"),
            ("10.0.0.100", "10.0.0.100/32"),
            ("fd00::100/64", "fd00::100/64"),
            ("fd00::100", "fd00::100/128"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "eth0",
            "10.0.0.1/33",
            "10.0.0.1/0",
            "10.0.0.1/",
            "0.0.0.0/8",
            "224.0.0.1",
            "::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text}");
        }
    }

    #[test]
    fn what_no_machine_can_have_and_what_is_given_twice_is_refused() {
        let parsed = |list| Addresses::parse("eth0", list).map_err(|error| error.to_string());
        let whole = |address, what| {
            let refusal = format!(
                "{address} is the {what} address of its network, which no machine can have: give one of \
                 its machines' addresses"
            );
            assert_eq!(parsed(address), Err(refusal));
        };
        whole("10.0.0.0/24", "network");
        whole("10.0.0.255/24", "broadcast");
        whole("10.0.0.128/25", "network");
        whole("10.0.0.103/30", "broadcast");
        whole("63.255.255.255/2", "broadcast");
        for fine in ["10.0.0.255/16", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.0", "fd00::/64"] {
            assert!(parsed(fine).is_ok(), "{fine}");
        }
        let twice = "10.0.0.7 is given twice: leave one of them out".to_owned();
        assert_eq!(parsed("10.0.0.7/24,10.0.0.8/24,10.0.0.7/32"), Err(twice));
    }

    #[test]
    fn only_what_this_program_may_have_put_is_a_leftover() {
        let found = |prefix, left| Found { device: 1, prefix, left };
        let is_leftover = |prefix, left| found(prefix, left).is_leftover(24);
        assert!(is_leftover(24, Some(0)) && is_leftover(24, Some(1)) && is_leftover(24, Some(9)));
        assert!(!is_leftover(24, Some(10)) && !is_leftover(24, None) && !is_leftover(32, Some(1)));
        let refusal = |prefix, left| {
            refused("192.0.2.7/24".parse().unwrap(), &found(prefix, left)).to_string()
        };
        assert!(refusal(24, None).contains(" for good, whoever leads: remove it"));
        assert!(refusal(32, Some(1)).starts_with("192.0.2.7/32 is on "));
        assert!(refusal(32, Some(1)).contains("with another prefix than /24"));
        assert!(refusal(24, Some(60)).contains("for another 60 s"));
    }

    #[test]
    fn a_lifetime_ends_with_the_lease_where_the_kernel_can_count_so_little() {
        let of = |milliseconds| lifetime(Duration::from_millis(milliseconds));
        assert_eq!([of(0), of(574), of(1_300), of(2_299)], [1, 1, 1, 1]);
        assert_eq!([of(2_300), of(5_000), of(9_900)], [2, 4, 9]);
        for left in (1_300..10_000).map(Duration::from_millis) {
            assert!(Duration::from_secs(lifetime(left).into()) + LATE <= left, "{left:?}");
        }
        assert_eq!(SPAN, LIFETIME_LEAST + LATE);
    }

    #[test]
    fn what_a_frozen_machine_holds_is_gone_before_the_next_goose_takes_it() {
        for lease in (150..10_000).step_by(50).map(Duration::from_millis) {
            let timing = Timing::of(Profile::Lan).with_lease(lease);
            let (least, counts) = (least_left(&timing), counted(timing.lease));
            assert!(least < counts, "{lease:?}: it is never put");
            // It was asked for at 0, heard as late as it may be, and put for as long as then.
            for left in [least, least.max(SPAN).min(counts), counts] {
                let put = counts - left;
                let gone = put + Duration::from_secs(lifetime(left).into()) + LATE;
                let taken = timing.lease + takeover_delay(&timing);
                assert!(gone <= taken, "{lease:?}, {left:?}: {gone:?} and {taken:?}");
            }
        }
        let delay = |lease| {
            let timing = Timing::of(Profile::Lan).with_lease(Duration::from_millis(lease));
            takeover_delay(&timing).as_millis()
        };
        assert_eq!([delay(600), delay(1_400), delay(5_000)], [800, 0, 0]);
    }
}
