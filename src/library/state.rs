//! Whether a node remembers across restarts: a choice, and never an oversight.

use std::path::PathBuf;

/// Where a node keeps what must survive a restart: what it promised as a voter, whether it is drained,
/// who votes. Said by [`Config::state`](crate::Config::state).
///
/// If nothing is said, a node keeps it where the `gaggle` binary does: in
/// `gaggle/CLUSTER/NODE-ID` under the user's state directory (`XDG_STATE_HOME`, or `.local/state` in
/// `HOME`), and is refused if there is none. So nobody gives up the promise by saying nothing.
///
/// One node is left out: it has neither an [id](crate::Config::id) nor a port, because the system
/// chooses the port. It is another node at every start, nothing could be found again, and so nothing
/// is kept, as by [`State::ephemeral`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// None: nothing is kept.
    pub(super) folder: Option<PathBuf>,
}

impl State {
    /// In this folder, which is the node's own, and locked while it lives. It is made if it is not
    /// there; an empty one means a node that has never run.
    #[must_use]
    pub fn dir(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// Nowhere: the node forgets everything when it stops. For tests, and for nodes that never vote.
    ///
    /// What it costs a voter: after every start it waits until the longest lease that it may have
    /// granted has run out (three seconds) before it votes; it cannot take part in founding a cluster
    /// at once. What it costs the cluster: if *all* voters are started so and restart at once, only
    /// their clocks keep terms from coming back, so the promise that a term names one Goose for ever
    /// rests on clocks that were not set back; and the leases of such a cluster end after three seconds.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self { folder: None }
    }
}
