//! What membership wants done or has to tell, in order, until the node takes it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::snapshot::MemberState;
use crate::vocabulary::time::HolderTime;
use crate::wire::message::Message;

/// Errors are reported this often at most: a stranger may cause one with every packet.
const ERROR_INTERVAL: Duration = Duration::from_secs(10);

/// What membership wants done, or has to tell.
#[derive(Clone, Debug)]
pub enum MembershipOutput {
    /// Send a packet.
    Send {
        /// To which process.
        to: Process,
        /// Where it is.
        address: SocketAddr,
        /// What.
        packet: Vec<u8>,
    },
    /// Send something else.
    Tell {
        /// To which process.
        to: Process,
        /// Where it is.
        address: SocketAddr,
        /// What. Boxed, for it is many times as large as all else.
        message: Box<Message>,
    },
    /// More metadata of members is known.
    DetailsChanged,
    /// The opinion of a member changed.
    MemberChanged {
        /// Which node.
        id: NodeId,
        /// Where it is.
        address: SocketAddr,
        /// What is thought of it now.
        state: MemberState,
    },
    /// A member is no longer known: an operator had it forgotten, or it was gone for a day.
    MemberForgotten {
        /// Which node.
        id: NodeId,
        /// Where it was.
        address: SocketAddr,
    },
    /// A process is gone: declared down, or replaced by a newer one of its node.
    Departed(Process),
    /// Another node knows this one.
    Connected,
    /// No other node does any more.
    Disconnected,
    /// Gossip names a Goose. A hint.
    GooseHint(Goose),
    /// SWIM reported an error; it was survived.
    Error(String),
}

/// The outputs that wait to be taken.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    waiting: VecDeque<MembershipOutput>,
    next_error: HolderTime,
}

impl Outputs {
    pub(super) fn push(&mut self, output: MembershipOutput) {
        self.waiting.push_back(output);
    }

    pub(super) fn send(&mut self, (to, address): (Process, SocketAddr), packet: Vec<u8>) {
        self.push(MembershipOutput::Send { to, address, packet });
    }

    /// Tells of an error, if there is one and none was told of lately.
    pub(super) fn report<E: Display>(&mut self, now: HolderTime, outcome: Result<(), E>) {
        if let Err(error) = outcome
            && now >= self.next_error
        {
            self.next_error = now.plus(ERROR_INTERVAL);
            self.push(MembershipOutput::Error(error.to_string()));
        }
    }

    pub(super) fn pop(&mut self) -> Option<MembershipOutput> {
        self.waiting.pop_front()
    }
}
