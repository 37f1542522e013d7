//! A pause: for a while, as Goose, the node makes way for nobody by choice.
//!
//! It is the Goose's alone and ends with its term: the next Goose knows nothing of it, nor does
//! this node after a restart. A vacancy is filled as ever, and an order to hand over is obeyed.

use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Lease;
use crate::vocabulary::time::HolderTime;

/// What became of an order to pause, or to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused {
    /// The term that it holds for.
    pub term: u64,
    /// For how long the pause lasts from here on; none: there is none any more.
    pub lasts: Option<Duration>,
    /// Whether there was a pause before.
    pub was_paused: bool,
}

/// The node does not lead, so there was nothing to pause. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node is not the Goose, and only the Goose pauses: {}", whom(goose.as_ref()))]
pub struct NotLeading {
    /// Who does, as far as this node knows, and where.
    pub goose: Option<(NodeId, SocketAddr)>,
}

pub(super) fn whom(goose: Option<&(NodeId, SocketAddr)>) -> String {
    match goose {
        Some((id, address)) => format!("ask node {id} at {}", address.ip()),
        None => "it knows of none".to_owned(),
    }
}

/// The pause of the term that is led, if there is one.
#[derive(Debug, Default)]
pub(super) struct Pause(Option<(u64, HolderTime)>);

impl Pause {
    /// Under this term it lasts until then, or ends. Returns whether there was one at `now`.
    pub(super) fn set(&mut self, term: u64, until: Option<HolderTime>, now: HolderTime) -> bool {
        let before = self.0.filter(|(of, until)| *of == term && now < *until);
        self.0 = until.map(|until| (term, until));
        before.is_some()
    }

    /// Until when it lasts under this lease; that may be over.
    pub(super) fn until(&self, lease: Option<Lease>) -> Option<HolderTime> {
        let (of, until) = self.0?;
        lease.filter(|lease| lease.term == of).map(|_| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_its_time_and_with_its_term() {
        let at = |seconds: u64| HolderTime(seconds * 1_000_000_000);
        let lease = |term| {
            let (deadline, duration, since) = (at(9), Duration::from_secs(1), at(0));
            Some(Lease { term, deadline, duration, since })
        };
        let mut pause = Pause::default();
        assert!(!pause.set(7, Some(at(5)), at(1)));
        assert_eq!(pause.until(lease(7)), Some(at(5)));
        assert_eq!((pause.until(lease(8)), pause.until(None)), (None, None));
        assert!(!pause.set(7, Some(at(9)), at(5)), "it was over");
        assert!(pause.set(7, None, at(6)));
        assert_eq!(pause.until(lease(7)), None);
    }
}
