//! A Goose that a test makes and unmakes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use super::super::guards::Guards;
use super::super::{Inner, Node};
use crate::node::setup::Setup;
use crate::shell::stand_in::{Other, StandIn, other_process};
use crate::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
use crate::vocabulary::identity::NodeId;

/// A [`Node`] that is Goose when a test says so, and for as long as it says. It speaks with nobody and
/// keeps nothing. It begins as a Duck that knows no Goose.
///
/// It lives on the clock of the tokio runtime. With `#[tokio::test(start_paused = true)]` a lease of
/// 600 ms that is not renewed is over in no time, and exactly so.
///
/// Of the cluster it knows this: it is node 1 of the cluster `fake` on 127.0.0.1:8001, node 2 on
/// 127.0.0.1:8002 is there to take over, and nodes 1 to 3 vote. Orders to step down, to drain, to pause
/// and to shut down are carried out as by a node; those about voters and members are answered with
/// [`Error::Unavailable`](crate::Error::Unavailable).
///
/// * When its last [`Campaign`](crate::Campaign) is dropped, its term is over once its work has ended, and
///   nobody leads until the next [`grant`](Self::grant).
/// * [`Node::set_healthy`] with `false` while it leads hands over to node 2 once its work has ended.
/// * [`grant`](Self::grant) asks for nothing: a node that is unhealthy or drained becomes Goose, too.
#[derive(Clone, Debug)]
pub struct FakeGoose {
    stand_in: StandIn,
    node: Node,
}

impl FakeGoose {
    /// A Duck, on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it needs a runtime")]
    pub fn new() -> Self {
        let id = |number| NodeId::new(number).ok();
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ids: Vec<NodeId> = (1..=3).filter_map(id).collect();
        let made = || {
            let setup = Setup::new(ClusterName::new("fake").ok()?, id(1)?, at(8001));
            let voters = VoterSet::new(ids).ok()?;
            let voters = Configuration::genesis(Genesis::new(voters, false, &setup.timing, false));
            let other = Other { process: other_process(id(2)?), address: at(8002) };
            let claim_lease = setup.timing.claim_lease;
            Some((StandIn::start(setup, other, voters).ok()?, claim_lease))
        };
        let Some(((stand_in, handle), claim_lease)) = made() else {
            unreachable!("nothing that is given here is refused")
        };
        let inner = Inner {
            handle,
            guards: Guards::new(),
            runtime: tokio::runtime::Handle::current(),
            standing: OnceLock::new(),
            claim_lease,
            #[cfg(feature = "http")]
            _http: None,
        };
        Self { stand_in, node: Node { inner: Arc::new(inner) } }
    }

    /// What the code under test is given.
    #[must_use]
    pub fn node(&self) -> Node {
        self.node.clone()
    }

    /// The node is Goose from here on, and renews its lease of 600 ms, until something else is said.
    /// Returns its term, which is above all terms before. A node that is Goose stays so, of its term.
    pub fn grant(&self) -> u64 {
        self.stand_in.grant()
    }

    /// From here on nothing is renewed, as if the process were frozen or cut off: the lease runs out by
    /// itself, 574 ms after the last renewal.
    pub fn freeze(&self) {
        self.stand_in.set_frozen(true);
    }

    /// The lease is renewed again. If it has run out meanwhile, the node is a Duck until the next
    /// [`grant`](Self::grant).
    pub fn thaw(&self) {
        self.stand_in.set_frozen(false);
    }

    /// The lease is over at this moment, and nobody was asked: as after a machine's suspend. What
    /// [`Leadership::run`](crate::Leadership::run) works on is dropped late, and so must be fenced by
    /// its term.
    pub fn revoke(&self) {
        self.stand_in.revoke();
    }

    /// Hands over in good order: the work is asked to end and waited for, and then node 2 is Goose.
    /// Returns the term that ended.
    ///
    /// # Errors
    /// [`Error::NotGoose`](crate::Error::NotGoose), and
    /// [`Error::WorkGoesOn`](crate::Error::WorkGoesOn) if the work has not ended within 30 s.
    pub async fn hand_over(&self) -> Result<u64, crate::Error> {
        self.node.step_down().await
    }

    /// Node 2 is Goose from here on; a lease of this node is over at this moment. Returns its term.
    pub fn elect_other(&self) -> u64 {
        self.stand_in.elect_other()
    }

    /// Nobody is known to lead, unless this node does.
    pub fn forget_goose(&self) {
        self.stand_in.forget_goose();
    }

    /// The node fails, as by a bug of its own: [`Node::ended`] says so, and its lease runs out by
    /// itself.
    pub fn fail(&self) {
        self.stand_in.fail();
    }
}
