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
mod leadership;
mod status;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

pub use config::{Config, StartError};
pub use events::{Event, Events};
use leadership::Tenure;
pub use leadership::{Leadership, LeadershipLost};
pub use status::{Goose, Member, MemberState, Role, Status, Voters};

use crate::shell::handle::{Handle, OrderError};
use crate::vocabulary::identity::NodeId;

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
    /// The leadership that is held now, shared by all its guards.
    tenure: Mutex<Weak<Tenure>>,
    /// Stops serving when it is dropped.
    #[cfg(feature = "http")]
    _http: Option<crate::shell::http::ServerThread>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.handle.dismiss();
    }
}

/// The node has ended, so what was asked of it will never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended: start another one")]
pub struct NodeEnded;

/// Why an order was not carried out. The node is as it was.
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
    /// The work under the lease was asked to end and has not within 30 s; the lease is kept.
    #[error("the work under the lease has not ended: the lease is kept until it has")]
    WorkGoesOn,
    /// The node has ended, or too many orders wait.
    #[error("the node takes no orders: it has ended or is overloaded")]
    Unavailable,
}

impl From<OrderError> for Error {
    fn from(error: OrderError) -> Self {
        use crate::node::{ForgetError, StepDownError};
        match error {
            OrderError::Refused(StepDownError::NotGoose) => Self::NotGoose,
            OrderError::Refused(StepDownError::UnknownNominee(id)) => Self::UnknownSuccessor(id),
            OrderError::Refused(StepDownError::NoStandby) => Self::NoStandby,
            OrderError::NotForgotten(ForgetError::Unknown(id)) => Self::UnknownMember(id),
            OrderError::NotForgotten(ForgetError::Own(id) | ForgetError::Present(id)) => {
                Self::MemberPresent(id)
            }
            OrderError::WorkGoesOn => Self::WorkGoesOn,
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
                tenure: Mutex::default(),
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

    /// Waits until this node is Goose, for as long as it takes. It may be Goose no more when you
    /// come to act: the guard knows.
    ///
    /// # Errors
    /// [`NodeEnded`].
    pub async fn until_goose(&self) -> Result<Leadership, NodeEnded> {
        let handle = &self.inner.handle;
        let mut snapshots = handle.snapshots();
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            if let Some(lease) = snapshot.lease_at(handle.holder_now()) {
                let tenure = self.tenure(lease.term, lease.duration);
                return Ok(Leadership::new(tenure, handle.clone()));
            }
            tokio::select! {
                changed = snapshots.changed() => changed.map_err(|_| NodeEnded)?,
                _ = handle.ended() => return Err(NodeEnded),
            }
        }
    }

    fn tenure(&self, term: u64, lease: Duration) -> Arc<Tenure> {
        // A panic elsewhere cannot have left it half written.
        let mut known = self.inner.tenure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenure) = known.upgrade().filter(|tenure| tenure.term == term) {
            return tenure;
        }
        let tenure = Arc::new(Tenure { term, lease, node: self.clone() });
        *known = Arc::downgrade(&tenure);
        tenure
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

    /// Ends the work in [`Leadership::run`], steps down, hands over to the best standby, and
    /// holds back from contending for four leases. Returns the term that ended.
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

    /// Makes the cluster forget a member that is down or has left. After a day it does so by
    /// itself. A voter stays a voter, and whoever comes back is welcome at once.
    ///
    /// # Errors
    /// [`Error::MemberPresent`], [`Error::UnknownMember`] and [`Error::Unavailable`].
    pub async fn forget(&self, id: NodeId) -> Result<(), Error> {
        Ok(self.inner.handle.forget(id).await?)
    }

    /// Ends the work in [`Leadership::run`], hands over if this node is Goose, says goodbye, and
    /// returns once the node has ended. Clones of it are then of no more use.
    ///
    /// # Errors
    /// [`Error::WorkGoesOn`] and [`Error::Unavailable`]; the node runs on then.
    pub async fn shutdown(&self) -> Result<(), Error> {
        Ok(self.inner.handle.leave().await?)
    }
}
