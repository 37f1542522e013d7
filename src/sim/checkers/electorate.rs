//! I13: whoever is elected by one configuration meets whoever is elected by another.
//!
//! A set of voters may elect somebody if a majority of it stands by that configuration or an older
//! one, for nobody votes under one that it knows to be over. So any two configurations that may both
//! elect somebody at this moment must be such that every two majorities of those who would vote share
//! a voter. Leases and ballots are not looked at: what they add is for I1 to I5.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp};
use crate::vocabulary::identity::NodeId;

/// What each voter durably stands by.
pub type Stances = BTreeMap<NodeId, ConfigurationStamp>;

/// Who would vote under a configuration.
fn electors<'a>(
    configuration: &'a Configuration,
    stances: &'a Stances,
) -> impl Iterator<Item = NodeId> + 'a {
    let stamp = configuration.stamp();
    let would = move |id: &NodeId| stances.get(id).is_some_and(|own| !stamp.is_older_than(own));
    configuration.voters.ids().iter().copied().filter(would)
}

/// All configurations that anybody knows, and what the voters stand by.
///
/// # Errors
/// If two of them may elect somebody by majorities that do not meet.
pub fn judge(at: u64, known: &[&Configuration], stances: &Stances) -> Verdict {
    let electable = |one: &&&Configuration| electors(one, stances).count() >= one.voters.majority();
    let known: Vec<&&Configuration> = known.iter().filter(electable).collect();
    for (place, one) in known.iter().enumerate() {
        for other in &known[place + 1..] {
            let all: BTreeSet<NodeId> =
                electors(one, stances).chain(electors(other, stances)).collect();
            if one.voters.majority() + other.voters.majority() <= all.len() {
                let sentence = format!(
                    "voters {} and voters {} may elect a Goose each: {one:?}, {other:?}, {stances:?}",
                    one.voters, other.voters
                );
                return Err(Violation::new(at, Invariant::QuorumsIntersect, sentence));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::configuration::VoterSet;

    fn configuration(ballot: u64, ids: &[u64]) -> Configuration {
        let ids = ids.iter().map(|id| NodeId::new(*id).unwrap()).collect();
        let voters = VoterSet::new(ids).unwrap();
        Configuration { ballot, version: 1, voters, preempt: false, automatic: None }
    }

    fn stances(of: &[(u64, &Configuration)]) -> Stances {
        of.iter().map(|(id, it)| (NodeId::new(*id).unwrap(), it.stamp())).collect()
    }

    #[test]
    fn two_sets_that_both_may_elect_must_meet() {
        let base = configuration(0, &[1, 2, 3, 4]);
        let (left, right) = (configuration(5, &[1, 2, 3]), configuration(6, &[2, 3, 4]));
        // One step from the same set each, and no majority stands by either.
        let apart = stances(&[(1, &left), (2, &left), (3, &right), (4, &right)]);
        let verdict = judge(1, &[&left, &right], &apart);
        assert_eq!(verdict.unwrap_err().invariant, Invariant::QuorumsIntersect);
        // Once a majority of the set before stands by a newer one, the left may elect nobody.
        let above = configuration(6, &[1, 2, 3, 4]);
        let later = stances(&[(1, &left), (2, &above), (3, &above), (4, &right)]);
        assert!(judge(1, &[&left, &right], &later).is_ok());
        let halves = [&configuration(5, &[1, 2]), &configuration(6, &[3, 4])];
        let verdict =
            judge(1, &halves, &stances(&[(1, &base), (2, &base), (3, &base), (4, &base)]));
        assert_eq!(verdict.unwrap_err().invariant, Invariant::QuorumsIntersect);
        // A majority that knows better elects nobody by the older one.
        let known = stances(&[(1, &right), (2, &right), (3, &right), (4, &right)]);
        assert!(judge(1, &[halves[0], &right], &known).is_ok());
    }
}
