//! What a program holds of a node of its own: [`Node`], [`Config`], [`Leadership`].
//!
//! ```text
//! Config ──start──▶ Node ──until_goose──▶ Leadership ──run(work)
//!                    │                        │
//!                    └── events, status       └── dropped: steps down
//! ```
//!
//! It is a thin layer: settings are checked and opened here, everything else is the shell's.
//! Assumption: a tokio runtime with its time and network drivers on, for as long as the node
//! lives. Nothing here is global, so any number of nodes live in one process, and no process
//! is started: there is no keeper, so the voters of a *killed* program wait for its lease to run
//! out.

mod config;
mod events;
mod guards;
mod leadership;
mod status;
mod sync;

use std::sync::Arc;
use std::time::Duration;

pub use config::{Config, StartError};
pub use events::{Event, Events};
use guards::Guards;
pub use leadership::{Leadership, LeadershipLost};
pub use status::{Goose, Member, MemberState, Role, Status, Voters};

use crate::shell::handle::{Departure, Handle, OrderError};
use crate::vocabulary::health::Complainant;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::ForeignFounding;

/// A node that runs in this program. Clones are the same node; when the last one and the last
/// [`Leadership`] are dropped, the node steps down, says goodbye and ends in the background.
///
/// See the [crate's first page](crate) for how to use it.
#[derive(Clone, Debug)]
pub struct Node {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: Handle,
    /// The guards of the leadership that is held now.
    guards: Guards,
    /// Stops serving when it is dropped.
    #[cfg(feature = "http")]
    _http: Option<crate::shell::http::ServerThread>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.handle.dismiss();
    }
}

/// The node has ended or is shutting down, so what was asked of it will never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended or is shutting down: start another one")]
pub struct NodeEnded;

/// The node has ended, but not in good order. Whatever lease it held runs out by itself, so that
/// the others wait for it; and so it may take them up to a lease until somebody leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndError {
    /// Work in [`Leadership::run`] was asked to end and had not within the limit (see
    /// [`Config::drain_timeout`]), so nothing was released. That work may still be going on.
    #[error("the node has left, but its work had not ended in time: its lease runs out by itself")]
    WorkGoesOn,
    /// Its seeds belong to another founding of the cluster than the record in its state folder.
    #[error(
        "the record in the state folder belongs to another founding of the cluster (lineage {own}) than \
         the node at {address} (lineage {lineage}), or to what that was rescued from: start with an empty \
         state folder to join it, or with other seeds to go on with the recorded one",
        own = .0.own, address = .0.address, lineage = .0.lineage
    )]
    Misled(ForeignFounding),
    /// The node met a bug of its own.
    #[error("the node failed: please report what it logged")]
    Failed,
}

/// Why an order was not carried out. The node is as it was, where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This node is not the Goose.
    #[error("this node is not the Goose: ask the one that is")]
    NotGoose,
    /// The successor asked for is not at hand.
    #[error("node {0} is no standby: it has not polled the voters lately, or may not be Goose")]
    UnknownSuccessor(NodeId),
    /// Nobody could take over at this moment.
    #[error("nobody could take over now: try again in a while, or shut this node down")]
    NoStandby,
    /// The member is alive, or may be, so it was not forgotten.
    #[error("node {0} is not down and has not left: only such members can be forgotten")]
    MemberPresent(NodeId),
    /// Nobody is known under that id.
    #[error("node {0} is no member that this node knows")]
    UnknownMember(NodeId),
    /// The work under the lease was asked to end and has not within the limit (see
    /// [`Config::drain_timeout`]). The lease is kept, and other work may begin under it.
    #[error("the work under the lease has not ended: the lease is kept until it has")]
    WorkGoesOn,
    /// The node is drained, and the work under its lease was asked to end and has not within the
    /// limit. The node leads until the work ends, and hands over then.
    #[error("the node is drained, but its work has not ended: it leads until then")]
    DrainedUnderWork,
    /// Somebody ordered the opposite while this order was waiting.
    #[error("somebody has ordered the opposite meanwhile")]
    Overruled,
    /// The order holds, but the state folder takes no record any more: a restart forgets it.
    #[error("the order holds until the node ends and not beyond: its state folder is broken")]
    NotKept,
    /// The lease ran out while the order waited for the work to end: nothing was handed over.
    #[error("the lease of term {term} ran out before its work had ended: others may lead already")]
    Lapsed {
        /// The term that is over.
        term: u64,
    },
    /// The voters stay as they are.
    #[error("{reason}")]
    VotersKept {
        /// Why, and what to do.
        reason: String,
    },
    /// The node has ended.
    #[error("the node takes no orders: it has ended")]
    Unavailable,
}

impl From<OrderError> for Error {
    fn from(error: OrderError) -> Self {
        use crate::node::{DrainError, ForgetError, StepDownError};
        match error {
            OrderError::Refused(StepDownError::NotGoose) => Self::NotGoose,
            OrderError::Refused(StepDownError::UnknownNominee(id)) => Self::UnknownSuccessor(id),
            OrderError::Refused(StepDownError::NoStandby)
            | OrderError::NotDrained(DrainError::NoStandby) => Self::NoStandby,
            OrderError::NotDrained(DrainError::WorkGoesOn) => Self::DrainedUnderWork,
            OrderError::NotDrained(DrainError::Overruled) => Self::Overruled,
            OrderError::NotDrained(DrainError::NotKept) => Self::NotKept,
            OrderError::NotForgotten(ForgetError::Unknown(id)) => Self::UnknownMember(id),
            OrderError::NotForgotten(ForgetError::Own(id) | ForgetError::Present(id)) => {
                Self::MemberPresent(id)
            }
            OrderError::Refused(StepDownError::WorkGoesOn) => Self::WorkGoesOn,
            OrderError::Refused(StepDownError::Lapsed { term }) => Self::Lapsed { term },
            // No order of this interface: it does not come about.
            OrderError::NotPaused(_) => Self::NotGoose,
            OrderError::VotersKept(error) => Self::VotersKept { reason: error.to_string() },
            OrderError::Unavailable => Self::Unavailable,
        }
    }
}

impl Node {
    /// Starts a node on the current tokio runtime. It joins by itself and retries for as long as
    /// it takes: this returns as soon as it runs, not when it has joined.
    ///
    /// # Errors
    /// As [`StartError`] says; nothing is left open or running then.
    #[expect(clippy::unused_async, reason = "joining the runtime may need to wait one day")]
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let started = config.start()?;
        Ok(Self {
            inner: Arc::new(Inner {
                handle: started.handle,
                guards: Guards::new(),
                #[cfg(feature = "http")]
                _http: started.http,
            }),
        })
    }

    /// Whether this node is Goose at this moment: its lease deadline against the clock. Takes no
    /// lock. The answer is true when it is given and lends nobody the lease; see
    /// [`Leadership::run`] for work that must end in time.
    pub fn is_goose(&self) -> bool {
        self.inner.handle.is_goose()
    }

    /// Waits until this node is Goose, for as long as it takes: of a term that nobody has asked to
    /// end, and with enough of its lease left for [`Leadership::run`] to begin. It may be Goose no
    /// more when you come to act: the guard knows.
    ///
    /// # Errors
    /// [`NodeEnded`], as soon as the node has been told to shut down.
    pub async fn until_goose(&self) -> Result<Leadership, NodeEnded> {
        let handle = &self.inner.handle;
        let (mut snapshots, mut dismissed) = (handle.snapshots(), handle.dismissed());
        loop {
            if *dismissed.borrow() {
                return Err(NodeEnded);
            }
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let margin =
                snapshot.lease.map_or(Duration::ZERO, |it| leadership::margin(it.duration));
            if let Some(lease) = snapshot.open_lease_at(handle.holder_now().plus(margin))
                && self.inner.guards.enter(lease.term)
            {
                return Ok(Leadership::new(lease.term, margin, self.clone()));
            }
            tokio::select! {
                changed = snapshots.changed() => changed.map_err(|_| NodeEnded)?,
                changed = dismissed.changed() => changed.map_err(|_| NodeEnded)?,
                _ = handle.ended() => return Err(NodeEnded),
            }
        }
    }

    /// What happens from here on. A reader that falls 256 events behind is told how many it
    /// missed.
    pub fn events(&self) -> Events {
        Events::new(self.inner.handle.clone())
    }

    /// How this node stands at this moment.
    pub fn status(&self) -> Status {
        Status::of(&self.inner.handle.snapshot(), self.inner.handle.holder_now())
    }

    /// Everybody this node knows, itself included, lowest id first.
    pub fn members(&self) -> Vec<Member> {
        self.inner.handle.snapshot().members.iter().map(Member::of).collect()
    }

    /// Asks the work in [`Leadership::run`] to end, steps down once it has, hands over to the best
    /// standby, and holds back from contending for four leases. Returns the term that ended. An
    /// order that is refused asks no work to end; one that comes while another waits joins it.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn step_down(&self) -> Result<u64, Error> {
        Ok(self.inner.handle.step_down(None, None).await?.term)
    }

    /// The same, with a successor by id, and how long this node holds back.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn step_down_to(&self, to: NodeId, hold: Option<Duration>) -> Result<u64, Error> {
        Ok(self.inner.handle.step_down(Some(to), hold).await?.term)
    }

    /// Has this node hold back until told otherwise, also after a restart (without a state folder
    /// only until then); `false` ends that. A drained node votes and does not lead. If it is Goose,
    /// the work in [`Leadership::run`] is asked to end, and it hands over. Returns whether that
    /// changed anything.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn drain(&self, is_drained: bool) -> Result<bool, Error> {
        Ok(self.inner.handle.drain(is_drained).await?.is_news)
    }

    /// Says whether this node could do the work that it would lead for, and if not, why: one line of up
    /// to 200 bytes, shown wherever people look; what is longer is cut. A node that is not healthy votes,
    /// but does not contend and takes no hand-over. If it is Goose, the work in [`Leadership::run`] is
    /// asked to end, and it hands over. It stands until said otherwise or until the process ends; see
    /// [`Config::unhealthy_at_start`], and [`Config::lead_anyway`] for what happens if no node is
    /// healthy.
    ///
    /// Takes effect at once and waits for nothing. On a node that has ended it does nothing.
    ///
    /// ```no_run
    /// # fn example(node: &gaggle::Node) {
    /// node.set_healthy(false, "the database does not answer");
    /// node.set_healthy(true, "");
    /// # }
    /// ```
    pub fn set_healthy(&self, is_healthy: bool, reason: &str) {
        let complaint = (!is_healthy).then(|| reason.to_owned());
        self.inner.handle.set_health(Complainant::Check, complaint);
    }

    /// Makes the cluster forget a member that is down or has left. After a day it does so by
    /// itself. A voter stays a voter, and whoever comes back is welcome at once.
    ///
    /// # Errors
    /// [`Error::MemberPresent`], [`Error::UnknownMember`] and [`Error::Unavailable`].
    pub async fn forget(&self, id: NodeId) -> Result<(), Error> {
        Ok(self.inner.handle.forget(id).await?)
    }

    /// Asks the work in [`Leadership::run`] to end, hands over once it has if this node is Goose,
    /// says goodbye, and returns once the node has ended. It cannot be refused, and may be called
    /// again. [`Node::until_goose`] fails from here on, and clones of the node are of no more use.
    ///
    /// # Errors
    /// [`EndError`]; the node has ended then, too.
    pub async fn shutdown(&self) -> Result<(), EndError> {
        self.inner.handle.dismiss();
        self.ended().await
    }

    /// Returns once the node has ended, by [`Node::shutdown`] or by itself.
    ///
    /// # Errors
    /// [`EndError`] if not in good order.
    pub async fn ended(&self) -> Result<(), EndError> {
        match self.inner.handle.ended().await {
            Ok(Departure::Released) => Ok(()),
            Ok(Departure::WorkGoesOn) => Err(EndError::WorkGoesOn),
            Ok(Departure::Misled(foreign)) => Err(EndError::Misled(foreign)),
            Err(_) => Err(EndError::Failed),
        }
    }
}
