//! What a program holds of a node of its own: [`Node`], [`Config`], [`Leadership`].
//!
//! ```text
//! Config ──start──▶ Node ──until_goose──▶ Campaign ──run(work)      dropped: steps down
//!                    │                        └─ is a ─┐
//!                    ├──── leadership() ──────▶ Leadership ──begin──▶ Work
//!                    └── watch, events, status            dropped: nothing happens
//! ```
//!
//! It is a thin layer: settings are checked and opened here, everything else is the shell's.
//! Assumption: a tokio runtime with its time and network drivers on, for as long as the node
//! lives. Nothing here is global, so any number of nodes live in one process. No process is started
//! unless a program asks for a keeper: without one, the voters of a *killed* program wait for its lease
//! to run out.

mod campaign;
mod config;
mod error;
mod events;
mod guards;
#[cfg(feature = "keeper")]
pub mod keeper;
mod leadership;
mod lost;
mod orders;
mod standing;
mod start_error;
mod state;
mod status;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

pub use campaign::Campaign;
pub use config::Config;
pub use error::{EndError, Error, NodeEnded};
pub use events::{Event, Events};
use guards::Guards;
pub use leadership::{Leadership, Work};
pub use lost::{LeadershipLost, LostReason};
pub use orders::VoterChange;
pub use standing::{Goose, Role, Standing};
pub use start_error::{StartError, StartFailure};
pub use state::State;
pub use status::{Member, MemberState, Status, Voters};

use crate::shell::handle::Handle;
use crate::vocabulary::snapshot::{Lease, Snapshot};

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
    /// On which the node lives.
    runtime: tokio::runtime::Handle,
    /// How it stands, once somebody watches.
    standing: OnceLock<watch::Receiver<Standing>>,
    /// What a term begins with: see [`Inner::is_full`].
    claim_lease: Duration,
    /// Stops serving when it is dropped.
    #[cfg(feature = "http")]
    _http: Option<crate::shell::http::ServerThread>,
}

impl Inner {
    /// Whether a lease has been renewed since its term was won. A term begins on the short lease of its
    /// claim, and the first renewal follows within a round trip.
    fn is_full(&self, lease: &Lease) -> bool {
        // What a claim was granted counts from before the term was won.
        lease.deadline > lease.since.plus(self.claim_lease)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.handle.dismiss();
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
                runtime: tokio::runtime::Handle::current(),
                standing: OnceLock::new(),
                claim_lease: started.claim_lease,
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

    /// The leadership of this node at this moment; None while it is a Duck. A look: it may be made for
    /// every request, and dropping it steps nobody down.
    ///
    /// ```no_run
    /// # async fn example(node: &gaggle::Node) -> String {
    /// match node.leadership() {
    ///     Some(leadership) => match leadership.run(answer()).await {
    ///         Ok(answer) => answer,
    ///         Err(lost) => lost.to_string(), // in the middle of it: ask again
    ///     },
    ///     None => match node.status().goose {
    ///         Some(goose) => format!("ask {}", goose.address),
    ///         None => "nobody leads just now: ask again".to_owned(),
    ///     },
    /// }
    /// # }
    /// # async fn answer() -> String { String::new() }
    /// ```
    pub fn leadership(&self) -> Option<Leadership> {
        let handle = &self.inner.handle;
        let lease = handle.snapshot().lease_at(handle.holder_now())?;
        // The snapshot may be a moment older than what the driver has published.
        let leadership = Leadership::new(&lease, self.clone());
        leadership.is_valid().then_some(leadership)
    }

    /// Waits until this node is Goose and work may begin, for as long as it takes: its lease has been
    /// renewed once, which follows the election within a round trip, and nobody has asked to end the
    /// term. When you come to act the term may be over all the same: the campaign knows.
    ///
    /// For the loop that does the Goose's work, and not for a request handler: **dropping the last
    /// [`Campaign`] of a term steps down**. To look whether this node leads, there is
    /// [`Node::leadership`].
    ///
    /// # Errors
    /// [`NodeEnded`], as soon as the node has been told to shut down.
    pub async fn until_goose(&self) -> Result<Campaign, NodeEnded> {
        let look = |snapshot: &Snapshot| {
            let margin =
                snapshot.lease.map_or(Duration::ZERO, |it| leadership::margin(it.duration));
            let now = self.inner.handle.holder_now();
            let lease = snapshot.open_lease_at(now.plus(margin))?;
            // Work that began on the lease of a claim would be told of an end that is none.
            if !self.inner.is_full(&lease) {
                return None;
            }
            let enters = self.inner.guards.enter(lease.term);
            enters.then(|| Campaign::new(Leadership::new(&lease, self.clone())))
        };
        self.found(look).await
    }

    /// Waits until `look` finds in a snapshot what is wanted.
    async fn found<T>(&self, look: impl Fn(&Snapshot) -> Option<T>) -> Result<T, NodeEnded> {
        let handle = &self.inner.handle;
        let (mut snapshots, mut dismissed) = (handle.snapshots(), handle.dismissed());
        loop {
            if *dismissed.borrow() || handle.pulse().ended {
                return Err(NodeEnded);
            }
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            if let Some(found) = look(&snapshot) {
                return Ok(found);
            }
            tokio::select! {
                changed = snapshots.changed() => changed.map_err(|_| NodeEnded)?,
                changed = dismissed.changed() => changed.map_err(|_| NodeEnded)?,
                _ = handle.ended() => return Err(NodeEnded),
            }
        }
    }

    /// Waits until this node knows a Goose, itself included, for as long as it takes. Advice: only the
    /// Goose itself knows whether it still is.
    ///
    /// # Errors
    /// [`NodeEnded`], as soon as the node has been told to shut down.
    pub async fn wait_for_goose(&self) -> Result<Goose, NodeEnded> {
        let now = || self.inner.handle.holder_now();
        self.found(|snapshot| Standing::of(snapshot, now()).0.goose).await
    }

    /// How this node stands, from here on: its role, its term, and the Goose it knows. It is told when
    /// a lease runs out by itself, too. Once the node has ended, the receiver says that it is a Duck,
    /// and that nothing will change any more.
    ///
    /// ```no_run
    /// # async fn example(node: gaggle::Node) {
    /// let mut standing = node.watch();
    /// loop {
    ///     println!("{:?}", *standing.borrow_and_update());
    ///     if standing.changed().await.is_err() {
    ///         break; // the node has ended
    ///     }
    /// }
    /// # }
    /// ```
    pub fn watch(&self) -> watch::Receiver<Standing> {
        let Inner { handle, runtime, standing, .. } = &*self.inner;
        standing.get_or_init(|| standing::watch(handle.clone(), runtime)).clone()
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

    /// Whether the node's task has come round within the last three seconds: not if it has ended, has
    /// failed, or is kept from running by whoever blocks its runtime. For a liveness probe that runs
    /// on another runtime or thread; [`Node::ended`] waits for the end.
    pub fn is_alive(&self) -> bool {
        let handle = &self.inner.handle;
        handle.pulse().is_felt(handle.holder_now())
    }
}
