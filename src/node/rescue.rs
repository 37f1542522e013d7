//! What is left of a cluster whose majority of voters is gone for ever.
//!
//! No rule can tell that from a partition, so a person says it, and swears that the lost voters never
//! lead again. What is left goes on as a cluster of its own: under a new lineage that names its
//! ancestor, so that nodes of the old one are refused and can be told why; with the voters that are
//! left; with terms above all that this record knows and above the wall clock, for the lost voters
//! may have led in terms that nobody left has heard of; and after the longest lease that any of them
//! may have granted.
//!
//! Every survivor who is told of the same losses, and knows of the same voters, comes to the same
//! lineage. So it is done on each of them, and no order of doing it matters: where several are left,
//! none leads before a majority of *them* was rescued. Those who know of other voters come to another
//! lineage and refuse each other, instead of leading one cluster side by side.

use crate::election::BALLOT_MAX;
use crate::vocabulary::configuration::{Configuration, VoterSet};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::{ANCESTORS_MAX, Lineage, Proposal};
use crate::vocabulary::time::WallTime;
use crate::wire::message::Founding;
use crate::wire::record::{Record, Vote};

/// Why nothing is rescued. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RescueError {
    /// No founding is known.
    #[error(
        "the record knows of no cluster that was ever led: empty the state folder and start over"
    )]
    NeverLed,
    /// Nobody needs to be rescued who keeps nothing.
    #[error(
        "the cluster was founded with --ephemeral: restart its voters, and it goes on by the clock"
    )]
    Ephemeral,
    /// The survivor is lost itself.
    #[error("node {0} is this node: --lost names those that are gone for ever")]
    LostItself(NodeId),
    /// No voter, so its loss costs nothing.
    #[error("node {id} does not vote by this record, whose voters are {voters}: name voters only")]
    NoVoter {
        /// Who.
        id: NodeId,
        /// Who votes.
        voters: VoterSet,
    },
    /// The cluster can go on by itself.
    #[error(
        "{left} of {count} voters are left, which is a majority: no rescue is needed. Start them, and \
         replace the lost ones with `gaggle voters replace`"
    )]
    MajorityLeft {
        /// How many voters are not lost.
        left: usize,
        /// How many there are.
        count: usize,
    },
    /// It has forgotten what it promised.
    #[error(
        "this voter has no sound record itself: rescue a survivor that has one, and start this node \
         with an empty state folder"
    )]
    NoRecord,
    /// The rescue is for those who vote.
    #[error(
        "node {0} votes and is not lost: rescue the cluster there. This node follows by itself"
    )]
    NotHere(NodeId),
    /// There is no number above.
    #[error("no term is left above what the record knows: empty the state folders and start over")]
    TermsExhausted,
}

/// What is left, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescue {
    /// What is to be in the state folder from here on.
    pub record: Record,
    /// Which lineage it was.
    pub ancestor: Lineage,
    /// Which it is.
    pub lineage: Lineage,
    /// Under what the cluster stood, as far as this record knows.
    pub before: Configuration,
    /// Under what it stands.
    pub after: Configuration,
}

/// What is left of the cluster of `record` without the voters `lost`. `wall`: this machine's clock.
///
/// # Errors
/// As [`RescueError`] says.
pub fn rescue(record: &Record, lost: &[NodeId], wall: WallTime) -> Result<Rescue, RescueError> {
    let (Some(genesis), Some(before)) = (&record.genesis, &record.configuration) else {
        return Err(RescueError::NeverLed);
    };
    if genesis.ephemeral {
        return Err(RescueError::Ephemeral);
    }
    let stood_by = record.vote.as_ref().and_then(|vote| vote.lineage);
    let known = record.lineage.or(stood_by.map(|proposal| proposal.lineage));
    let ancestor = known.ok_or(RescueError::NeverLed)?;
    let voters = remaining(record, before, lost)?;
    let lineage = ancestor.without(lost, voters.ids());
    let promised = record.vote.as_ref().map_or(0, |vote| vote.max_ballot);
    let clock = wall.0.min(BALLOT_MAX / 2);
    // An earlier start counted by the clock, too: if that was put back since, it was right then.
    let floor = promised.max(before.ballot).max(clock).max(record.last_start.min(BALLOT_MAX / 2));
    let floor = floor.saturating_add(1);
    if floor >= BALLOT_MAX - 1 {
        return Err(RescueError::TermsExhausted);
    }
    let after = before.changed(floor, voters);
    let mut ancestors = record.ancestors.clone();
    ancestors.push(ancestor);
    ancestors.drain(..ancestors.len().saturating_sub(ANCESTORS_MAX));
    let vote = Vote {
        max_ballot: floor,
        max_holder: None,
        max_lease_in_force: genesis.lease_max,
        founding: Founding::Waited,
        lineage: Some(Proposal { lineage, ballot: floor }),
    };
    let addresses = record.addresses.iter().filter(|(id, _)| after.voters.contains(*id));
    let record = Record {
        configuration: Some(after.clone()),
        lineage: Some(lineage),
        ancestors,
        addresses: addresses.copied().collect(),
        vote: Some(vote),
        ..record.clone()
    };
    Ok(Rescue { record, ancestor, lineage, before: before.clone(), after })
}

/// Who votes from here on: the voters that are left, or this node, if none is.
fn remaining(
    record: &Record,
    before: &Configuration,
    lost: &[NodeId],
) -> Result<VoterSet, RescueError> {
    if lost.contains(&record.id) {
        return Err(RescueError::LostItself(record.id));
    }
    let voters = &before.voters;
    if let Some(id) = lost.iter().find(|id| !voters.contains(**id)) {
        return Err(RescueError::NoVoter { id: *id, voters: voters.clone() });
    }
    let left: Vec<NodeId> = voters.ids().iter().copied().filter(|id| !lost.contains(id)).collect();
    if left.len() >= voters.majority() {
        return Err(RescueError::MajorityLeft { left: left.len(), count: voters.len() });
    }
    if let Some(other) = left.first().filter(|_| !voters.contains(record.id)) {
        return Err(RescueError::NotHere(*other));
    }
    let is_sound = record.vote.as_ref().is_none_or(|vote| vote.founding.is_sound());
    if voters.contains(record.id) && (record.vote.is_none() || !is_sound) {
        return Err(RescueError::NoRecord);
    }
    // Nobody is left that votes: this node takes their place.
    VoterSet::new(left)
        .or_else(|_| VoterSet::new(vec![record.id]))
        .map_err(|_| RescueError::NeverLed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::vocabulary::configuration::{ClusterName, Genesis};
    use crate::vocabulary::timing::{Profile, Timing};

    const WALL: WallTime = WallTime(1_795_000_000_000);

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn ids(numbers: &[u64]) -> Vec<NodeId> {
        numbers.iter().copied().map(id).collect()
    }

    fn record(own: u64, voters: &[u64], max_ballot: u64) -> Record {
        let voters = VoterSet::new(ids(voters)).unwrap();
        let genesis = Genesis::new(voters, false, &Timing::of(Profile::Lan), false);
        let nonces: Vec<_> = genesis.voters.ids().iter().map(|id| (*id, id.number())).collect();
        let lineage = Lineage::of_nonces(&nonces);
        let vote = Vote {
            max_ballot,
            max_holder: None,
            max_lease_in_force: Duration::ZERO,
            founding: Founding::Founded(nonces),
            lineage: Some(Proposal { lineage, ballot: 0 }),
        };
        let is_voter = genesis.voters.contains(id(own));
        Record {
            cluster: ClusterName::new("test").unwrap(),
            id: id(own),
            last_start: 7,
            configuration: Some(Configuration::genesis(genesis.clone())),
            genesis: Some(genesis),
            lineage: Some(lineage),
            ancestors: Vec::new(),
            is_drained: false,
            held_until: None,
            addresses: Vec::new(),
            vote: Some(vote).filter(|_| is_voter),
        }
    }

    #[test]
    fn what_is_left_votes_above_the_clock_and_waits_for_the_longest_lease() {
        let before = record(3, &[1, 2, 3], 12);
        let done = rescue(&before, &ids(&[1, 2]), WALL).unwrap();
        let vote = done.record.vote.clone().unwrap();
        assert_eq!(done.after.voters.ids(), ids(&[3]));
        assert!(done.before.is_older_than(&done.after));
        assert_eq!(vote.max_ballot, WALL.0 + 1);
        assert_eq!(vote.max_lease_in_force, before.genesis.clone().unwrap().lease_max);
        assert_ne!(Some(done.lineage), before.lineage);
        assert_eq!(done.record.ancestors, [done.ancestor]);
        assert_eq!(vote.lineage.map(|it| it.lineage), Some(done.lineage));
        // A clock far behind lowers nothing.
        let late = record(3, &[1, 2, 3], 1 << 50);
        let vote = rescue(&late, &ids(&[1, 2]), WallTime(5)).unwrap().record.vote.unwrap();
        assert_eq!(vote.max_ballot, (1 << 50) + 1);
    }

    #[test]
    fn survivors_who_are_told_the_same_go_on_together() {
        let lost = ids(&[1, 2, 3]);
        let [one, other] = [4, 5]
            .map(|own| rescue(&record(own, &[1, 2, 3, 4, 5], own), &lost, WallTime(own)).unwrap());
        assert_eq!((one.lineage, &one.after.voters), (other.lineage, &other.after.voters));
        assert_eq!(one.after.voters.ids(), ids(&[4, 5]));
    }

    #[test]
    fn a_node_without_a_vote_takes_the_place_of_voters_that_are_all_lost() {
        let duck = record(9, &[1, 2, 3], 0);
        assert_eq!(rescue(&duck, &ids(&[1, 2]), WALL), Err(RescueError::NotHere(id(3))));
        let done = rescue(&duck, &ids(&[1, 2, 3]), WALL).unwrap();
        assert_eq!(done.after.voters.ids(), ids(&[9]));
        assert!(done.record.vote.is_some_and(|vote| vote.founding.is_sound()));
    }

    #[test]
    fn what_needs_no_rescue_or_cannot_be_rescued_is_refused() {
        let of = |own, lost: &[u64]| rescue(&record(own, &[1, 2, 3], 4), &ids(lost), WALL);
        assert_eq!(of(3, &[1, 3]), Err(RescueError::LostItself(id(3))));
        assert_eq!(of(3, &[1]), Err(RescueError::MajorityLeft { left: 2, count: 3 }));
        assert!(matches!(of(3, &[1, 2, 8]), Err(RescueError::NoVoter { .. })));
        let mut wiped = record(3, &[1, 2, 3], 4);
        wiped.vote = Some(Vote::lost(1, 4, Duration::from_secs(3)));
        assert_eq!(rescue(&wiped, &ids(&[1, 2]), WALL), Err(RescueError::NoRecord));
        let mut never_led = record(3, &[1, 2, 3], 4);
        (never_led.lineage, never_led.vote.as_mut().unwrap().lineage) = (None, None);
        assert_eq!(rescue(&never_led, &ids(&[1, 2]), WALL), Err(RescueError::NeverLed));
        let last = record(3, &[1, 2, 3], BALLOT_MAX - 2);
        assert_eq!(rescue(&last, &ids(&[1, 2]), WALL), Err(RescueError::TermsExhausted));
    }

    #[test]
    fn so_many_ancestors_are_remembered_and_no_more() {
        let mut record = record(3, &[1, 2, 3], 4);
        for rescued in 0..20 {
            record = rescue(&record, &ids(&[1, 2]), WALL).map(|done| done.record).unwrap();
            assert_eq!(record.ancestors.len(), (rescued + 1).min(ANCESTORS_MAX));
            record.configuration = Some(Configuration {
                voters: VoterSet::new(ids(&[1, 2, 3])).unwrap(),
                ..record.configuration.clone().unwrap()
            });
        }
    }
}
