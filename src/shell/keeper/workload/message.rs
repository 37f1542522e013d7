//! What node and keeper say to each other. The line keeps messages apart and whole, so there is
//! no framing: one message, one packet.

use crate::node::Testament;
use crate::vocabulary::time::HolderTime;

/// From the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// What to send once the node is dead and the work gone.
    Testament(Vec<Testament>),
    /// Start the command under a lease.
    Start {
        /// Its term.
        term: u64,
        /// Its deadline.
        deadline: HolderTime,
        /// Variables to add to the environment.
        environment: Vec<(String, String)>,
    },
    /// The lease of `term` was renewed, or is over (0).
    Deadline {
        /// Which lease.
        term: u64,
        /// Its new deadline.
        deadline: HolderTime,
    },
    /// End the command.
    End,
    /// Pass a signal on to the command.
    Signal(i32),
}

/// From the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
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
    /// Nothing of the work is left.
    Gone,
}

impl Order {
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let numbers = |kind: u8, term: u64, deadline: HolderTime| {
            let mut bytes = vec![kind];
            bytes.extend_from_slice(&term.to_be_bytes());
            bytes.extend_from_slice(&deadline.0.to_be_bytes());
            bytes
        };
        Some(match self {
            Self::Testament(testament) => {
                let mut bytes = vec![b'T'];
                bytes.extend(super::super::encode(testament)?);
                bytes
            }
            Self::Start { term, deadline, environment } => {
                let mut bytes = numbers(b'S', *term, *deadline);
                for (name, value) in environment {
                    bytes.extend_from_slice(name.as_bytes());
                    bytes.push(b'=');
                    bytes.extend_from_slice(value.as_bytes());
                    bytes.push(0);
                }
                bytes
            }
            Self::Deadline { term, deadline } => numbers(b'D', *term, *deadline),
            Self::End => vec![b'E'],
            Self::Signal(number) => {
                let mut bytes = vec![b'N'];
                bytes.extend_from_slice(&number.to_be_bytes());
                bytes
            }
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let numbers = || {
            let (term, rest) = rest.split_first_chunk::<8>()?;
            let (deadline, rest) = rest.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*term), HolderTime(u64::from_be_bytes(*deadline)), rest))
        };
        Some(match kind {
            b'T' => Self::Testament(super::super::decode(rest)?.0),
            b'S' => {
                let (term, deadline, rest) = numbers()?;
                let mut environment = Vec::new();
                for pair in rest.split(|byte| *byte == 0).filter(|pair| !pair.is_empty()) {
                    let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
                    environment.push((name.to_owned(), value.to_owned()));
                }
                Self::Start { term, deadline, environment }
            }
            b'D' => {
                let (term, deadline, _) = numbers()?;
                Self::Deadline { term, deadline }
            }
            b'E' => Self::End,
            b'N' => Self::Signal(i32::from_be_bytes(rest.try_into().ok()?)),
            _ => return None,
        })
    }
}

impl Report {
    pub(super) fn encode(self) -> [u8; 5] {
        let (kind, number) = match self {
            Self::Started { grouped } => (b'P', i32::from(grouped)),
            Self::Failed(reason) => (b'F', reason),
            Self::Exited(status) => (b'X', status),
            Self::Ended(status) => (b'Y', status),
            Self::Gone => (b'G', 0),
        };
        let [a, b, c, d] = number.to_be_bytes();
        [kind, a, b, c, d]
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, number) = bytes.split_first()?;
        let number = i32::from_be_bytes(number.try_into().ok()?);
        Some(match kind {
            b'P' => Self::Started { grouped: number != 0 },
            b'F' => Self::Failed(number),
            b'X' => Self::Exited(number),
            b'Y' => Self::Ended(number),
            b'G' => Self::Gone,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_nothing_else_is() {
        let orders = [
            Order::Testament(vec![Testament {
                to: "10.0.0.1:8000".parse().unwrap(),
                datagram: vec![7; 130],
            }]),
            Order::Start {
                term: 3,
                deadline: HolderTime(9),
                environment: vec![("GAGGLE_TERM".to_owned(), "3".to_owned())],
            },
            Order::Deadline { term: 3, deadline: HolderTime(11) },
            Order::End,
            Order::Signal(1),
        ];
        for order in orders {
            assert_eq!(Order::decode(&order.encode().unwrap()), Some(order));
        }
        for report in [
            Report::Started { grouped: true },
            Report::Failed(2),
            Report::Exited(256),
            Report::Gone,
        ] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        assert_eq!(Order::decode(b""), None);
        assert_eq!(Order::decode(b"Dshort"), None);
        assert_eq!(Report::decode(b"G"), None);
    }
}
