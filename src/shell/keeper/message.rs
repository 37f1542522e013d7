//! What node and keeper say to each other. The line keeps messages apart and whole, so there is
//! no framing: one message, one packet. What is read refers to the packet, so that the keeper
//! allocates nothing for it.

use std::time::Duration;

use super::process_tree::Unreached;
use crate::node::LastWillDatagram;
use crate::vocabulary::time::{HolderTime, milliseconds};

/// No order is larger.
pub(super) const ORDER_SIZE_MAX: usize = 16 * 1024;
/// No report is larger.
pub(super) const REPORT_SIZE_MAX: usize = 16;

/// From the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order<'a> {
    /// What to send once the node is dead and its work gone: see [`encode_last_will`].
    LastWillDatagram(&'a [u8]),
    /// Start the command under a lease.
    Start {
        /// Its term.
        term: u64,
        /// Its deadline.
        deadline: HolderTime,
        /// Variables to add to the environment: see [`encode_environment`].
        environment: &'a [u8],
    },
    /// The lease of `term` was renewed, or is over (0).
    Deadline {
        /// Which lease.
        term: u64,
        /// Its new deadline.
        deadline: HolderTime,
    },
    /// End the command. It may take so long, as long as the lease is renewed.
    End(Duration),
    /// Pass a signal on to the command.
    Signal(i32),
    /// What the hook on-duck is to be run with if the node dies: see [`encode_environment`]. Empty: it
    /// is not to be run.
    Hook(&'a [u8]),
}

/// From the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It keeps, with this precedence over other processes: see `precedence.rs`.
    Keeping(i32),
    /// The command runs.
    Started {
        /// It has a cgroup of its own.
        grouped: bool,
    },
    /// The command could not be started, for this reason of the operating system's.
    Failed(i32),
    /// The command has ended by itself, with this wait status. What it left is being ended.
    Exited(i32),
    /// The command has ended because it was told to, with this wait status.
    Ended(i32),
    /// What was left was sent SIGKILL, so long after SIGTERM.
    Killed(Cause, Duration),
    /// A process of the work's that no signal reaches.
    Unreached(Unreached),
    /// The neighbours cannot be told of the addresses, for this reason of the operating system's; 0: they
    /// are told again.
    Unannounced(i32),
    /// Nothing of the work is left.
    Gone,
}

/// Why work is ended, or has no more time to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The node ordered it.
    Ordered,
    /// The command has ended by itself: this is what it left.
    CommandEnded,
    /// The lease is not renewed.
    LeaseRunsOut,
    /// The node is dead.
    NodeDead,
}

impl Cause {
    const ALL: [Self; 4] = [Self::Ordered, Self::CommandEnded, Self::LeaseRunsOut, Self::NodeDead];
}

impl<'a> Order<'a> {
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let numbers = |kind: u8, term: u64, deadline: HolderTime| {
            let mut bytes = vec![kind];
            bytes.extend_from_slice(&term.to_be_bytes());
            bytes.extend_from_slice(&deadline.0.to_be_bytes());
            bytes
        };
        let with = |kind: u8, rest: &[u8]| [&[kind], rest].concat();
        let bytes = match *self {
            Self::LastWillDatagram(datagrams) => with(b'L', datagrams),
            Self::Start { term, deadline, environment } => {
                [numbers(b'S', term, deadline).as_slice(), environment].concat()
            }
            Self::Deadline { term, deadline } => numbers(b'D', term, deadline),
            Self::End(limit) => with(b'E', &milliseconds(limit).to_be_bytes()),
            Self::Signal(number) => with(b'N', &number.to_be_bytes()),
            Self::Hook(environment) => with(b'H', environment),
        };
        (bytes.len() <= ORDER_SIZE_MAX).then_some(bytes)
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let numbers = || {
            let (term, rest) = rest.split_first_chunk::<8>()?;
            let (deadline, rest) = rest.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*term), HolderTime(u64::from_be_bytes(*deadline)), rest))
        };
        Some(match kind {
            b'L' => Self::LastWillDatagram(rest),
            b'H' => Self::Hook(rest),
            b'S' => {
                let (term, deadline, environment) = numbers()?;
                Self::Start { term, deadline, environment }
            }
            b'D' => {
                let (term, deadline, _) = numbers()?;
                Self::Deadline { term, deadline }
            }
            b'E' => Self::End(Duration::from_millis(u64::from_be_bytes(rest.try_into().ok()?))),
            b'N' => Self::Signal(i32::from_be_bytes(rest.try_into().ok()?)),
            _ => return None,
        })
    }
}

impl Report {
    /// A kind and three numbers.
    pub(super) fn encode(self) -> [u8; REPORT_SIZE_MAX] {
        let (kind, numbers) = match self {
            Self::Keeping(precedence) => (b'K', [precedence, 0, 0]),
            Self::Started { grouped } => (b'P', [i32::from(grouped), 0, 0]),
            Self::Failed(reason) => (b'F', [reason, 0, 0]),
            Self::Exited(status) => (b'X', [status, 0, 0]),
            Self::Ended(status) => (b'Y', [status, 0, 0]),
            Self::Killed(cause, after) => {
                let after = i32::try_from(milliseconds(after)).unwrap_or(i32::MAX);
                (b'Z', [cause as i32, after, 0])
            }
            Self::Unreached(Unreached { process, user, reason }) => {
                (b'U', [process, user.cast_signed(), reason])
            }
            Self::Unannounced(reason) => (b'A', [reason, 0, 0]),
            Self::Gone => (b'G', [0; 3]),
        };
        let mut bytes = [0; REPORT_SIZE_MAX];
        bytes[0] = kind;
        for (place, number) in bytes[4..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; REPORT_SIZE_MAX] = bytes.try_into().ok()?;
        let number = |at: usize| {
            let place = bytes[4 + 4 * at..].first_chunk::<4>();
            place.map_or(0, |place| i32::from_be_bytes(*place))
        };
        Some(match bytes[0] {
            b'K' => Self::Keeping(number(0)),
            b'P' => Self::Started { grouped: number(0) != 0 },
            b'F' => Self::Failed(number(0)),
            b'X' => Self::Exited(number(0)),
            b'Y' => Self::Ended(number(0)),
            b'Z' => {
                let cause = Cause::ALL.into_iter().find(|cause| *cause as i32 == number(0))?;
                Self::Killed(cause, Duration::from_millis(u64::try_from(number(1)).ok()?))
            }
            b'U' => Self::Unreached(Unreached {
                process: number(0),
                user: number(1).cast_unsigned(),
                reason: number(2),
            }),
            b'A' => Self::Unannounced(number(0)),
            b'G' => Self::Gone,
            _ => return None,
        })
    }
}

/// For each datagram: address as text with its length (1 byte), datagram with its length (2
/// bytes). None: it is larger than an order may be.
pub(super) fn encode_last_will(last_will: &[LastWillDatagram]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for LastWillDatagram { to, datagram } in last_will {
        let address = to.to_string();
        bytes.push(u8::try_from(address.len()).ok()?);
        bytes.extend_from_slice(address.as_bytes());
        bytes.extend_from_slice(&u16::try_from(datagram.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(datagram);
    }
    (bytes.len() < ORDER_SIZE_MAX).then_some(bytes)
}

/// What [`encode_last_will`] made; as much of it as makes sense.
pub(super) fn decode_last_will(mut bytes: &[u8]) -> Vec<LastWillDatagram> {
    let mut last_will = Vec::new();
    while let Some((datagram, rest)) = decode_datagram(bytes) {
        last_will.push(datagram);
        bytes = rest;
    }
    last_will
}

fn decode_datagram(bytes: &[u8]) -> Option<(LastWillDatagram, &[u8])> {
    let (size, rest) = bytes.split_first()?;
    let (address, rest) = rest.split_at_checked(usize::from(*size))?;
    let (size, rest) = rest.split_first_chunk::<2>()?;
    let (datagram, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
    let to = std::str::from_utf8(address).ok()?.parse().ok()?;
    Some((LastWillDatagram { to, datagram: datagram.to_vec() }, rest))
}

/// NAME=VALUE, with a zero after each.
pub(super) fn encode_environment(variables: &[(String, String)]) -> Vec<u8> {
    let pairs = variables.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes());
    pairs.flatten().collect()
}

/// What [`encode_environment`] made.
pub(super) fn decode_environment(bytes: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let pairs = bytes.split(|byte| *byte == 0);
    pairs.filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
}

/// Tells the node.
pub(super) fn report(report: Report) {
    // A node that is dead or frozen does not listen: what was to be done was done.
    let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
    let _ = rustix::net::send(rustix::stdio::stdin(), &report.encode(), flags);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_nothing_else_is() {
        let orders = [
            Order::LastWillDatagram(b"whatever"),
            Order::Start { term: 3, deadline: HolderTime(9), environment: b"GAGGLE_TERM=3\0" },
            Order::Deadline { term: 3, deadline: HolderTime(11) },
            Order::End(Duration::from_secs(30)),
            Order::Signal(1),
            Order::Hook(b"GAGGLE_TERM=3\0"),
            Order::Hook(b""),
        ];
        for order in orders {
            assert_eq!(Order::decode(&order.encode().unwrap()), Some(order));
        }
        let unreached = Unreached { process: 4711, user: u32::MAX, reason: 1 };
        let killed = Cause::ALL.map(|cause| Report::Killed(cause, Duration::from_secs(30)));
        let reports = [
            Report::Keeping(5),
            Report::Started { grouped: true },
            Report::Failed(2),
            Report::Exited(256),
            Report::Ended(15),
            Report::Unreached(unreached),
            Report::Unannounced(100),
            Report::Gone,
        ];
        for report in reports.into_iter().chain(killed) {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        for nonsense in [&b""[..], b"Dshort", b"E", b"N123", b"?"] {
            assert_eq!(Order::decode(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(Report::decode(b"G"), None);
    }

    #[test]
    fn a_last_will_and_an_environment_survive_the_line() {
        let last_will = vec![
            LastWillDatagram { to: "10.0.0.1:8000".parse().unwrap(), datagram: vec![1; 130] },
            LastWillDatagram { to: "[::1]:8001".parse().unwrap(), datagram: vec![2; 200] },
        ];
        let bytes = encode_last_will(&last_will).unwrap();
        assert_eq!(decode_last_will(&bytes), last_will);
        assert_eq!(decode_last_will(&bytes[..bytes.len() - 1]), last_will[..1]);
        assert_eq!(decode_last_will(&[]), []);
        let variables = vec![("A".to_owned(), "1=2".to_owned()), ("B".to_owned(), String::new())];
        let bytes = encode_environment(&variables);
        let read: Vec<_> = decode_environment(&bytes).collect();
        assert_eq!(read, [("A", "1=2"), ("B", "")]);
    }

    #[test]
    fn fifteen_voters_fit_and_a_monster_is_refused() {
        let one = LastWillDatagram { to: "10.0.0.1:8000".parse().unwrap(), datagram: vec![1; 220] };
        assert!(encode_last_will(&vec![one.clone(); 15]).is_some());
        assert!(encode_last_will(&vec![one; 100]).is_none());
    }
}
