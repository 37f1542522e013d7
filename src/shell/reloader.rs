//! The order to read the settings again, on its way from the HTTP server to whoever knows where they
//! come from. A node that a program has started has nobody like that.

use tokio::sync::{mpsc, oneshot};

/// Orders that may wait at once.
const ORDERS_MAX: usize = 16;

/// What became of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// These are in force.
    pub changed: Vec<&'static str>,
    /// These have changed, too, and wait for a restart.
    pub later: Vec<&'static str>,
}

/// The same; or why they are as they were.
pub type Outcome = Result<Reloaded, String>;

/// Where the outcome goes.
pub type Reply = oneshot::Sender<Outcome>;

/// The server's end.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<Reply>);

impl Reloader {
    /// One, and the other end.
    pub fn new() -> (Self, mpsc::Receiver<Reply>) {
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        (Self(orders), ordered)
    }

    /// Has the settings read again. None: nobody reads them now, for the node is stopping or too many
    /// have ordered it.
    pub(super) async fn reload(&self) -> Option<Outcome> {
        let (reply, outcome) = oneshot::channel();
        self.0.try_send(reply).ok()?;
        outcome.await.ok()
    }
}
