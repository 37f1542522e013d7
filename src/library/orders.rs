//! What a program orders a node to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Node;
use super::error::{EndError, Error};
use crate::node::{VoterOrder, VotersOrdered};
use crate::vocabulary::configuration::{VOTERS_MAX, VoterSet};
use crate::vocabulary::health::Complainant;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::voter_change::ChangeHold;

/// The longest pause: one that is forgotten ends by itself.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What an order to change who votes comes to. It goes on by itself while this node leads; given
/// again, the same order says how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VoterChange {
    /// Who is to vote, lowest id first.
    pub voters: Vec<NodeId>,
    /// How many the Goose keeps by itself; None: they change by order only.
    pub automatic: Option<u8>,
    /// What it waits for, in words for people; None: it is in force.
    pub waits_for: Option<String>,
}

impl From<VotersOrdered> for VoterChange {
    fn from(ordered: VotersOrdered) -> Self {
        Self {
            voters: ordered.goal.ids().to_vec(),
            automatic: ordered.automatic,
            waits_for: ordered.hold.as_ref().map(ChangeHold::words),
        }
    }
}

impl Node {
    /// Asks the work under the lease to end, steps down once it has, hands over to the best standby,
    /// and holds back from contending for four leases. Returns the term that ended. An order that is
    /// refused asks no work to end; one that comes while another waits joins it.
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
    /// the work under its lease is asked to end, and it hands over. Returns whether that changed
    /// anything.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn drain(&self, is_drained: bool) -> Result<bool, Error> {
        Ok(self.inner.handle.drain(is_drained).await?.is_news)
    }

    /// As Goose, makes way for nobody by choice for so long, a day at most (what is longer is cut): no
    /// higher node takes over, and the Goose changes no voters by itself. It ends with the term, and a
    /// vacancy is filled as ever. Returns the term that it holds for.
    ///
    /// # Errors
    /// [`Error::NotGoose`] and [`Error::Unavailable`]; nothing changed then.
    pub async fn pause(&self, lasts: Duration) -> Result<u64, Error> {
        Ok(self.inner.handle.pause(Some(lasts.min(PAUSE_MAX))).await?.term)
    }

    /// Ends a pause. Returns whether there was one.
    ///
    /// # Errors
    /// [`Error::NotGoose`] and [`Error::Unavailable`]; nothing changed then.
    pub async fn resume(&self) -> Result<bool, Error> {
        Ok(self.inner.handle.pause(None).await?.was_paused)
    }

    /// As Goose, has this node vote, too. Returns at once; see [`VoterChange`].
    ///
    /// # Errors
    /// [`Error::NotGoose`], [`Error::UnknownMember`], [`Error::VotersKept`] with the reason, and
    /// [`Error::Unavailable`]; nothing changed then. So with the orders below.
    pub async fn add_voter(&self, id: NodeId) -> Result<VoterChange, Error> {
        self.change_voters(VoterOrder::Add(id)).await
    }

    /// As Goose, has this node vote no more. It is refused if those who are left would be too few that
    /// answer.
    ///
    /// # Errors
    /// As [`Node::add_voter`].
    pub async fn remove_voter(&self, id: NodeId) -> Result<VoterChange, Error> {
        self.change_voters(VoterOrder::Remove(id)).await
    }

    /// As Goose, has the node `new` vote in the place of `old`.
    ///
    /// # Errors
    /// As [`Node::add_voter`].
    pub async fn replace_voter(&self, old: NodeId, new: NodeId) -> Result<VoterChange, Error> {
        self.change_voters(VoterOrder::Replace { old, new }).await
    }

    /// As Goose, has these nodes vote, and nobody else: 1 to 15 of them.
    ///
    /// # Errors
    /// As [`Node::add_voter`].
    pub async fn set_voters(
        &self,
        ids: impl IntoIterator<Item = NodeId>,
    ) -> Result<VoterChange, Error> {
        let set = VoterSet::new(ids.into_iter().collect());
        let set = set.map_err(|error| Error::VotersKept { reason: error.to_string() })?;
        self.change_voters(VoterOrder::Set(set)).await
    }

    /// As Goose, sees to it from here on that so many nodes vote, 1 to 15: whoever succeeds it does so,
    /// too. With None, voters change by order only.
    ///
    /// # Errors
    /// As [`Node::add_voter`].
    pub async fn keep_voters(&self, number: Option<u8>) -> Result<VoterChange, Error> {
        let fits = |number: u8| (1..=VOTERS_MAX).contains(&usize::from(number));
        if let Some(number) = number.filter(|number| !fits(*number)) {
            let reason =
                format!("{number} voters cannot be kept: name a number from 1 to {VOTERS_MAX}");
            return Err(Error::VotersKept { reason });
        }
        self.change_voters(VoterOrder::Keep(number)).await
    }

    async fn change_voters(&self, order: VoterOrder) -> Result<VoterChange, Error> {
        Ok(self.inner.handle.change_voters(order).await?.into())
    }

    /// Says whether this node could do the work that it would lead for, and if not, why: one line of up
    /// to 200 bytes, shown wherever people look; what is longer is cut. A node that is not healthy votes,
    /// but does not contend and takes no hand-over. If it is Goose, the work under its lease is asked to
    /// end, and it hands over. It stands until said otherwise or until the process ends; see
    /// [`Config::unhealthy_at_start`](crate::Config::unhealthy_at_start), and
    /// [`Config::lead_anyway`](crate::Config::lead_anyway) for what happens if no node is healthy.
    ///
    /// Takes effect at once and waits for nothing. On a node that has ended it does nothing. There is one
    /// word for the whole program, and the last one counts: if two of its parts may complain, let one
    /// place ask both and say the outcome.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(config: gaggle::Config) -> Result<(), gaggle::StartError> {
    /// let node = gaggle::Node::start(config.unhealthy_at_start()).await?;
    /// loop {
    ///     match tokio::time::timeout(Duration::from_secs(1), ask_the_database()).await {
    ///         Ok(Ok(())) => node.set_healthy(true, ""),
    ///         Ok(Err(error)) => node.set_healthy(false, &format!("the database says: {error}")),
    ///         Err(_) => node.set_healthy(false, "the database does not answer"),
    ///     }
    ///     tokio::time::sleep(Duration::from_secs(1)).await;
    /// }
    /// # }
    /// # async fn ask_the_database() -> std::io::Result<()> { Ok(()) }
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

    /// Asks the work under the lease to end, hands over once it has if this node is Goose, says
    /// goodbye, and returns once the node has ended. It cannot be refused, and may be called
    /// again. [`Node::until_goose`] fails from here on, and clones of the node are of no more use.
    ///
    /// Another node leads within milliseconds of the end of the work. This returns some tenths of a
    /// second later, once the goodbye has gone round.
    ///
    /// # Errors
    /// [`EndError`]; the node has ended then, too.
    pub async fn shutdown(&self) -> Result<(), EndError> {
        self.inner.handle.dismiss();
        self.ended().await
    }

    /// Returns once the node has ended, by [`Node::shutdown`] or by itself. So a node whose task has
    /// failed, or whose runtime is gone, is seen: wait for this beside your own work.
    ///
    /// # Errors
    /// [`EndError`] if not in good order.
    pub async fn ended(&self) -> Result<(), EndError> {
        EndError::judge(self.inner.handle.ended().await)
    }
}
