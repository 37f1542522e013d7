//! Whether this machine still has the address on which the node listens. If it does not, the kernel
//! refuses whatever is sent, and all that a person would see is that everybody else is gone.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use crate::vocabulary::event::Warning;
use crate::vocabulary::time::HolderTime;

/// While something cannot be sent, the machine's addresses are looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// That the address is gone is said again after this.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// The address, and when to look for it.
#[derive(Debug)]
pub(super) struct OwnAddress {
    /// None if the node listens on whatever addresses there are.
    address: Option<IpAddr>,
    next_look: HolderTime,
}

impl OwnAddress {
    /// That of the node's socket.
    pub(super) fn of(socket: &UdpSocket) -> Self {
        let address = socket.local_addr().ok().map(|address| address.ip());
        let address = address.filter(|address| !address.is_unspecified());
        Self { address, next_look: HolderTime(0) }
    }

    /// Something could not be sent. What there is to say of the address, if that is why.
    pub(super) fn gone(&mut self, now: HolderTime) -> Option<Warning> {
        let address = self.address.filter(|_| now >= self.next_look)?;
        let is_gone = UdpSocket::bind((address, 0))
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable);
        self.next_look = now.plus(if is_gone { SAID_AGAIN } else { LOOK_INTERVAL });
        is_gone.then_some(Warning::AddressGone { address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_here_is_not_gone_and_what_is_gone_is_said_once_a_minute() {
        let at = |seconds: u64| HolderTime(seconds * 1_000_000_000);
        let mut here = OwnAddress::of(&UdpSocket::bind("127.0.0.1:0").unwrap());
        assert_eq!(here.gone(at(1)), None);
        let mut everywhere = OwnAddress::of(&UdpSocket::bind("0.0.0.0:0").unwrap());
        assert_eq!(everywhere.gone(at(1)), None);
        // An address for documentation, which no machine has (RFC 5737).
        let address = IpAddr::from([203, 0, 113, 7]);
        let mut gone = OwnAddress { address: Some(address), next_look: HolderTime(0) };
        assert_eq!(gone.gone(at(1)), Some(Warning::AddressGone { address }));
        assert_eq!(gone.gone(at(60)), None);
        assert_eq!(gone.gone(at(61)), Some(Warning::AddressGone { address }));
    }
}
