//! A piece of work under the lease that nobody can drop.

use std::time::Duration;

use super::Leadership;
use crate::library::lost::{LeadershipLost, LostReason};
use crate::shell::work::Permit;

/// A piece of work that has begun under a leadership and that only its doer can end: a blocking call,
/// a thread, a task. Made by [`Leadership::begin`]. Move it to where the work is done, and drop it
/// when that has ended for certain: a planned hand-over waits for the drop, for as long as
/// [`Config::drain_timeout`](crate::Config::drain_timeout) says, and the lease is renewed meanwhile.
///
/// A lease that is not renewed waits for nobody. So look at [`Work::check`] before every step, or
/// listen to [`Work::ending`].
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example(campaign: gaggle::Campaign) -> Result<(), Box<dyn std::error::Error>> {
/// let work = campaign.begin().await?;
/// let done = tokio::task::spawn_blocking(move || {
///     for step in 0..1000 {
///         // A step takes 5 ms at most. Here it ends in time or does not begin.
///         work.check(Duration::from_millis(5))?;
///         write_something(step, work.term());
///     }
///     Ok::<_, gaggle::LeadershipLost>(())
/// });
/// done.await??;
/// # Ok(())
/// # }
/// # fn write_something(_: u32, _: u64) {}
/// ```
///
/// It cannot be cloned, for it ends once. Where one task does the work and another one tells it of the
/// end, both hold an `Arc` of it; the [guide](crate::guide::library) shows that.
#[derive(Debug)]
pub struct Work {
    leadership: Leadership,
    permit: Permit,
}

impl Work {
    pub(super) fn new(leadership: Leadership, permit: Permit) -> Self {
        Self { leadership, permit }
    }

    /// The leadership under which it is done.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Its term: the fencing token.
    pub fn term(&self) -> u64 {
        self.leadership.term()
    }

    /// Whether a step that takes up to `step` may begin at this moment: nobody has asked the work to
    /// end, and more than that is left of the lease, with a margin of its twentieth part (30 ms of the
    /// usual 600) for the way from this answer to the step's effect. Waits for nothing, so a thread may
    /// ask; it takes a lock that nobody holds for long.
    ///
    /// Once work has begun, a lease of 600 ms that is renewed in time always has 450 left. A step that
    /// takes longer than 420 is refused though nothing is wrong: split it, or ask for a longer
    /// [lease](crate::Config::lease).
    ///
    /// # Errors
    /// [`LeadershipLost`]: do not begin, and end.
    pub fn check(&self, step: Duration) -> Result<(), LeadershipLost> {
        let enough = self.leadership.remaining() > step.saturating_add(self.leadership.margin());
        if enough && self.permit.end().is_none() { Ok(()) } else { Err(self.lost()) }
    }

    /// Returns when the work is to end, and says why: when somebody has asked for that, or when the
    /// fifth part of the lease is left unrenewed (120 ms of the usual 600). After the first, the lease
    /// is renewed until this is dropped; after the second, that is all the time there is.
    ///
    /// After the second, the lease may yet be renewed. So if the leadership is still valid when your work
    /// has ended, begin again:
    ///
    /// ```no_run
    /// # async fn example(node: gaggle::Node) -> Result<(), gaggle::NodeEnded> {
    /// loop {
    ///     let campaign = node.until_goose().await?;
    ///     // It fails once the term is over, or is to end by order.
    ///     while let Ok(work) = campaign.begin().await {
    ///         let task = tokio::spawn(start_something(work.term()));
    ///         eprintln!("{}", work.ending().await);
    ///         task.abort();
    ///         let _ = task.await; // it has ended for certain
    ///         drop(work);
    ///         if !campaign.is_valid() {
    ///             break;
    ///         }
    ///     }
    /// }
    /// # }
    /// # async fn start_something(_: u64) {}
    /// ```
    pub async fn ending(&self) -> LeadershipLost {
        self.left_at_most(self.leadership.notice()).await;
        self.lost()
    }

    /// Returns when somebody has asked the work to end, or no more than `margin` of the lease is left.
    pub(super) async fn left_at_most(&self, margin: Duration) {
        tokio::select! {
            _ = self.permit.asked_to_end() => {}
            () = self.leadership.left_at_most(margin) => {}
        }
    }

    /// Why it is to end.
    pub(super) fn lost(&self) -> LeadershipLost {
        let reason = match self.permit.end() {
            Some(end) => LostReason::of(end),
            // What leads no more was not renewed, for nobody hands over what is worked under.
            None => match self.leadership.reason() {
                LostReason::Over => LostReason::NotRenewed,
                reason => reason,
            },
        };
        self.leadership.lost_for(reason)
    }
}
