//! Orders to change who votes. They are the Goose's to carry out, and are repeated without harm: what
//! is so already is answered with that.

use std::net::SocketAddr;

use super::automation::{self, Automation, View};
use super::cluster::Cluster;
use super::pause::{Pause, whom};
use crate::election::Election;
use crate::membership::Membership;
use crate::vocabulary::configuration::{VoterSet, VoterSetError, kept};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::Now;
use crate::vocabulary::timing::Timing;
use crate::vocabulary::voter_change::{ChangeHold, VoterGoal};

/// Who is to vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoterOrder {
    /// This node, too.
    Add(NodeId),
    /// This node no more.
    Remove(NodeId),
    /// One in place of another.
    Replace {
        /// Votes no more.
        old: NodeId,
        /// Votes.
        new: NodeId,
    },
    /// These, and nobody else.
    Set(VoterSet),
    /// As many as that, as the Goose sees to by itself from here on; none: as they are now.
    Keep(Option<u8>),
}

/// What an order comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotersOrdered {
    /// Who is to vote.
    pub goal: VoterSet,
    /// See [`crate::vocabulary::configuration::Configuration::automatic`].
    pub automatic: Option<u8>,
    /// What it waits for; none: it is in force.
    pub hold: Option<ChangeHold>,
}

/// Why nothing is changed. Nothing has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoterOrderError {
    /// Only the Goose changes voters.
    #[error("this node is not the Goose, and only the Goose changes voters: {}", whom(goose.as_ref()))]
    NotGoose {
        /// Who leads, as far as this node knows, and where.
        goose: Option<(NodeId, SocketAddr)>,
    },
    /// A voter that keeps no record would forget who votes.
    #[error(
        "this cluster was founded with --ephemeral: its voters keep no records, and would forget who \
         votes"
    )]
    Ephemeral,
    /// Two voters, one of which was lost, could not be told from one that led alone since.
    #[error(
        "this cluster was founded with two voters, which cannot vouch for each other after a change: \
         found it with one or three"
    )]
    FoundedByTwo,
    /// Nobody knows a node of that id.
    #[error("node {0} is not known here: start it with a --seed of this cluster first")]
    Unknown(NodeId),
    /// It is not there.
    #[error("node {0} is {1}: bring it back first, or name another")]
    Absent(NodeId, &'static str),
    /// The Goose would undo it.
    #[error(
        "the Goose keeps {number} voters by itself: name another number with `gaggle voters auto`, \
         replace one by another, or say `gaggle voters fixed` first"
    )]
    Automatic {
        /// How many.
        number: u8,
    },
    /// It did not vote, and so is replaced by nobody.
    #[error("node {0} does not vote: name a voter to be replaced")]
    NoVoter(NodeId),
    /// The set would be none.
    #[error(transparent)]
    Set(#[from] VoterSetError),
    /// Those who are left would be too few that answer.
    #[error(
        "without node {removed} only {granting} of {left} voters would answer, and {majority} are \
         needed to lead: bring others back or replace the silent ones first"
    )]
    Unsafe {
        /// Who would vote no more.
        removed: NodeId,
        /// How many of those who are left hold the lease of this Goose.
        granting: usize,
        /// How many are left.
        left: usize,
        /// How many of them are a majority.
        majority: usize,
    },
}

/// Changing who votes, and what it may touch.
pub(super) struct Electorate<'a> {
    pub(super) automation: &'a mut Automation,
    pub(super) pause: &'a Pause,
    pub(super) membership: &'a Membership,
    pub(super) election: &'a mut Option<Election>,
    pub(super) me: NodeId,
    pub(super) timing: &'a Timing,
    pub(super) cluster: &'a Cluster,
}

impl Electorate<'_> {
    /// See [`super::NodeCore::change_voters`].
    pub(super) fn order(
        &mut self,
        now: Now,
        order: &VoterOrder,
    ) -> Result<VotersOrdered, VoterOrderError> {
        let known = self.election.as_ref().and_then(Election::goose).map(|known| known.goose);
        let goose = known.map(|goose| (goose.process.id, goose.address));
        let refused = VoterOrderError::NotGoose { goose: goose.filter(|(id, _)| *id != self.me) };
        let leads = |election: &&mut Election| election.lease_at(now.holder).is_some();
        let Some(election) = self.election.as_mut().filter(leads) else { return Err(refused) };
        let present = election.configuration().clone();
        let under_way = election.voter_change().map(|change| change.goal.clone());
        let is_under_way = under_way.is_some();
        let base = under_way
            .unwrap_or(VoterGoal { voters: present.voters.clone(), automatic: present.automatic });
        let goal = next_goal(&base, order)?;
        if goal == base && !is_under_way {
            return Ok(VotersOrdered { goal: goal.voters, automatic: goal.automatic, hold: None });
        }
        if self.cluster.is_ephemeral() {
            return Err(VoterOrderError::Ephemeral);
        }
        if self.cluster.is_founded_by_two() {
            return Err(VoterOrderError::FoundedByTwo);
        }
        let undone = match order {
            VoterOrder::Add(_) | VoterOrder::Remove(_) | VoterOrder::Set(_) => true,
            VoterOrder::Replace { .. } => goal.voters.len() != base.voters.len(),
            VoterOrder::Keep(_) => false,
        };
        if let Some(number) = base.automatic.filter(|_| undone) {
            return Err(VoterOrderError::Automatic { number });
        }
        self.lead_to(now, goal, removed(order))
    }

    /// Leads to `goal`. `removed`: who is to vote no more, if the order names somebody.
    fn lead_to(
        &mut self,
        now: Now,
        goal: VoterGoal,
        removed: Option<NodeId>,
    ) -> Result<VotersOrdered, VoterOrderError> {
        let refused = VoterOrderError::NotGoose { goose: None };
        let Some(election) = self.election.as_ref() else { return Err(refused) };
        let present = election.configuration().clone();
        let newcomers = goal.voters.ids().iter().filter(|id| !present.voters.contains(**id));
        let learners = newcomers.map(|id| self.learner(*id)).collect::<Result<Vec<_>, _>>()?;
        let Some(election) = self.election.as_mut() else { return Err(refused) };
        if let Some(removed) = removed.filter(|id| present.voters.contains(*id)) {
            let left = goal.voters.ids().iter().filter(|id| present.voters.contains(**id));
            let granting = left.filter(|id| election.holds_grant_of(**id, now)).count();
            let (left, majority) = (goal.voters.len(), goal.voters.majority());
            if granting + learners.len() < majority {
                return Err(VoterOrderError::Unsafe { removed, granting, left, majority });
            }
        }
        let leads = election.change_voters(now, goal.clone(), &learners);
        let hold = election.voter_change().map(|change| change.hold.clone());
        let is_reached = election.configuration().voters == goal.voters;
        // The term may have ended within this very order.
        if !leads || hold.is_none() && !is_reached {
            return Err(refused);
        }
        Ok(VotersOrdered { goal: goal.voters, automatic: goal.automatic, hold })
    }

    /// As Goose, sees to the number of voters, in a cluster that wants that.
    pub(super) fn automate(&mut self, now: Now) {
        let led = self.election.as_ref().and_then(|election| election.lease_at(now.holder));
        let paused = self.pause.until(led).is_some_and(|until| now.holder < until);
        let (Some(lease), Some(election)) = (led, self.election.as_ref()) else {
            return self.automation.rest();
        };
        let configuration = election.configuration();
        if configuration.automatic.is_none() || paused {
            return self.automation.rest();
        }
        let voters = election.voter_views();
        let hurries = voters.iter().any(|voter| voter.leaves && voter.grants(now.holder));
        if !self.automation.is_due(lease.term, hurries, now.holder) {
            return;
        }
        let members = self.membership.members();
        let (me, change) = (self.me, election.voter_change());
        let since = self.automation.since(now.holder);
        // With a long lease renewals are far apart.
        let spell = automation::ANSWERS_WITHIN.max(self.timing.renew_interval * 3 / 2);
        let fresh = now.holder.minus(spell);
        let view =
            View { me, since, fresh, configuration, voters: &voters, members: &members, change };
        let automatic = configuration.automatic;
        if let Some(voters) = self.automation.target(&view, now.holder) {
            // Whoever has gone meanwhile is seen the next time.
            let _ = self.lead_to(now, VoterGoal { voters, automatic }, None);
        }
    }

    /// The process of a node that is to vote.
    fn learner(&self, id: NodeId) -> Result<Process, VoterOrderError> {
        let members = self.membership.members();
        let member = members.iter().find(|member: &&MemberView| member.id == id);
        let member = member.ok_or(VoterOrderError::Unknown(id))?;
        match member.state {
            MemberState::Alive | MemberState::Suspect => Ok(Process { id, boot: member.boot }),
            MemberState::Down => Err(VoterOrderError::Absent(id, "down")),
            MemberState::Left => Err(VoterOrderError::Absent(id, "gone: it has left")),
        }
    }
}

fn removed(order: &VoterOrder) -> Option<NodeId> {
    match order {
        VoterOrder::Remove(id) | VoterOrder::Replace { old: id, .. } => Some(*id),
        VoterOrder::Add(_) | VoterOrder::Set(_) | VoterOrder::Keep(_) => None,
    }
}

/// What an order makes of what is so, or is on its way.
fn next_goal(base: &VoterGoal, order: &VoterOrder) -> Result<VoterGoal, VoterOrderError> {
    let VoterGoal { voters, automatic } = base.clone();
    let voters = match *order {
        VoterOrder::Set(ref set) => set.clone(),
        VoterOrder::Add(id) if voters.contains(id) => voters,
        VoterOrder::Add(id) => voters.with(id)?,
        VoterOrder::Remove(id) => voters.without(id)?,
        VoterOrder::Replace { old, new } if voters.contains(new) && !voters.contains(old) => voters,
        VoterOrder::Replace { old, .. } if !voters.contains(old) => {
            return Err(VoterOrderError::NoVoter(old));
        }
        VoterOrder::Replace { old, new } if voters.contains(new) || voters.len() == 1 => {
            let more = if voters.contains(new) { voters } else { voters.with(new)? };
            more.without(old)?
        }
        VoterOrder::Replace { old, new } => voters.without(old)?.with(new)?,
        VoterOrder::Keep(number) => {
            return Ok(VoterGoal { voters, automatic: number.map(kept) });
        }
    };
    Ok(VoterGoal { voters, automatic })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn goal(ids: &[u64]) -> VoterGoal {
        let voters = VoterSet::new(ids.iter().copied().map(id).collect()).unwrap();
        VoterGoal { voters, automatic: None }
    }

    #[test]
    fn what_is_so_already_is_the_goal_again() {
        let base = goal(&[1, 2, 4]);
        let replaced = VoterOrder::Replace { old: id(3), new: id(4) };
        for order in [VoterOrder::Add(id(4)), VoterOrder::Remove(id(3)), replaced] {
            assert_eq!(next_goal(&base, &order), Ok(base.clone()), "{order:?}");
        }
    }

    #[test]
    fn an_order_adds_removes_or_replaces() {
        let base = goal(&[1, 2, 3]);
        assert_eq!(next_goal(&base, &VoterOrder::Add(id(4))), Ok(goal(&[1, 2, 3, 4])));
        assert_eq!(next_goal(&base, &VoterOrder::Remove(id(1))), Ok(goal(&[2, 3])));
        let replace = |old, new| VoterOrder::Replace { old: id(old), new: id(new) };
        assert_eq!(next_goal(&base, &replace(1, 4)), Ok(goal(&[2, 3, 4])));
        assert_eq!(next_goal(&base, &replace(1, 2)), Ok(goal(&[2, 3])));
        assert_eq!(next_goal(&goal(&[1]), &replace(1, 4)), Ok(goal(&[4])));
        assert_eq!(next_goal(&base, &replace(7, 4)), Err(VoterOrderError::NoVoter(id(7))));
        let last = next_goal(&goal(&[1]), &VoterOrder::Remove(id(1)));
        assert_eq!(last, Err(VoterOrderError::Set(VoterSetError::Empty)));
    }
}
