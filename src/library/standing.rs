//! What a node is and whom it follows, and how a program is told when that changes.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::shell::handle::Handle;
use crate::vocabulary::goose;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::{KnownGoose, Snapshot};
use crate::vocabulary::time::HolderTime;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It leads.
    Goose,
    /// It does not.
    Duck,
}

/// A Goose that a node knows of. Advice: only the Goose itself knows whether it still is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Goose {
    /// Which node.
    pub id: NodeId,
    /// Its term.
    pub term: u64,
    /// Its gossip and election address.
    pub address: SocketAddr,
    /// Its HTTP address, if it serves HTTP.
    pub http: Option<SocketAddr>,
}

impl Goose {
    pub(super) fn of(goose: &goose::Goose) -> Self {
        let goose::Goose { term, process, address, http } = goose;
        Self { id: process.id, term: *term, address: *address, http: *http }
    }
}

/// What a node is, and which Goose it knows. See [`Node::watch`](crate::Node::watch).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Standing {
    /// What the node was when this was said. It is news, and no permission to act: for that ask
    /// [`Node::leadership`](crate::Node::leadership) at the moment of acting.
    pub role: Role,
    /// Its own term while it is Goose, else the highest it knows.
    pub term: u64,
    /// The Goose it knows, itself included.
    pub goose: Option<Goose>,
}

impl Standing {
    /// As of `now`, and until when that lasts if nothing new comes.
    pub(super) fn of(snapshot: &Snapshot, now: HolderTime) -> (Self, HolderTime) {
        let lease = snapshot.lease_at(now);
        // Its own leadership by its lease, any other by evidence that has not run out.
        let lasts = |known: &&KnownGoose| {
            let own = known.goose.process == snapshot.process;
            if own { lease.is_some() } else { known.is_valid_at(now) }
        };
        let known = snapshot.goose.as_ref().filter(lasts);
        let foreign = known.filter(|known| known.goose.process != snapshot.process);
        let deadline = lease.map(|lease| lease.deadline);
        let ends = deadline.into_iter().chain(foreign.map(|known| known.expires));
        let standing = Self {
            role: if lease.is_some() { Role::Goose } else { Role::Duck },
            term: lease.map_or(snapshot.term, |lease| lease.term),
            goose: known.map(|known| Goose::of(&known.goose)),
        };
        (standing, ends.min().unwrap_or(HolderTime::NEVER))
    }

    /// Of a node that has ended.
    fn over(self) -> Self {
        Self { role: Role::Duck, goose: None, ..self }
    }
}

/// How the node behind `handle` stands, from here on.
pub(super) fn watch(handle: Handle, runtime: &tokio::runtime::Handle) -> watch::Receiver<Standing> {
    let (first, _) = Standing::of(&handle.snapshot(), handle.holder_now());
    let (sender, receiver) = watch::channel(first);
    runtime.spawn(tell(handle, sender));
    receiver
}

/// Tells what changes until the node has ended. The clock changes things, too: a lease that nobody
/// renews ends by itself.
async fn tell(handle: Handle, sender: watch::Sender<Standing>) {
    let mut snapshots = handle.snapshots();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let now = handle.holder_now();
        let (standing, until) = Standing::of(&snapshot, now);
        say(&sender, standing);
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { break },
            () = passed(until.since(now), until) => {}
            _ = handle.ended() => break,
        }
    }
    let last = sender.borrow().clone();
    say(&sender, last.over());
}

async fn passed(left: Duration, until: HolderTime) {
    if until == HolderTime::NEVER {
        pending::<()>().await;
    }
    tokio::time::sleep(left).await;
}

fn say(sender: &watch::Sender<Standing>, standing: Standing) {
    sender.send_if_modified(|said| {
        let is_news = *said != standing;
        *said = standing;
        is_news
    });
}
