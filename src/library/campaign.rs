//! A leadership that a program has waited for, and that it may give up.

use std::ops::Deref;

use super::Inner;
use super::leadership::Leadership;

/// What [`Node::until_goose`](crate::Node::until_goose) returns: the [`Leadership`] that was waited
/// for, as a guard. When the last campaign of a term is dropped, the node gives the term up: it steps
/// down and hands over once the work under it has ended. If nobody is at hand who could take over, it
/// may become Goose again, of another term.
///
/// Hold it for as long as your program means to lead, in one place: the loop that does the Goose's
/// work. Whoever only wants to know whether this node leads, a request handler above all, asks
/// [`Node::leadership`](crate::Node::leadership), which steps nobody down.
///
/// ```no_run
/// # async fn example(node: gaggle::Node) -> Result<(), gaggle::NodeEnded> {
/// loop {
///     let campaign = node.until_goose().await?;
///     if let Err(lost) = campaign.run(work(campaign.term())).await {
///         eprintln!("{lost}");
///     }
/// }
/// # }
/// # async fn work(_: u64) {}
/// ```
#[derive(Debug)]
#[must_use = "dropping the last campaign of a term steps down"]
pub struct Campaign {
    leadership: Leadership,
    /// Its drop counts.
    is_guard: bool,
}

impl Campaign {
    /// One that the node's guards have counted.
    pub(super) fn new(leadership: Leadership) -> Self {
        Self { leadership, is_guard: true }
    }

    /// The leadership, without the say in how long it lasts.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Leads on without a guard: from here on no drop gives this term up, not even that of another
    /// campaign. It ends by [`Node::step_down`](crate::Node::step_down), by
    /// [`Node::shutdown`](crate::Node::shutdown), or as the cluster has it.
    #[must_use]
    pub fn into_leadership(mut self) -> Leadership {
        self.is_guard = false;
        self.leadership.clone()
    }
}

impl Deref for Campaign {
    type Target = Leadership;

    fn deref(&self) -> &Leadership {
        &self.leadership
    }
}

impl Drop for Campaign {
    fn drop(&mut self) {
        if self.is_guard {
            let Inner { guards, handle, .. } = &*self.leadership.node().inner;
            let term = self.leadership.term();
            guards.leave(term, || handle.abdicate(term));
        }
    }
}
