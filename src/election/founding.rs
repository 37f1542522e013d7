//! How voters without a record come to vote: by founding a cluster, or on the word of all others.
//!
//! A voter on an empty disk cannot know whether it is new or lost its memory. If *every* voter
//! says "I have no record" at the same time, nobody can hold a lease, so they found a cluster and
//! its first election need not wait one out. Each emptiness is named by a nonce, and what is
//! founded is the map of all nonces. Whoever finds its own nonce in such a map knows that nothing
//! of its own was lost since the founding.
//!
//! A voter that finds its nonce in no map has lost the highest ballot and the configuration. All
//! others together know both: every earlier majority includes at least one of them (the only voter
//! is a case of its own). So it asks each of them, after whatever it may have granted has run out,
//! and takes what they name. All but one do not suffice: the missing one may be the only voter left
//! that remembers a term.
//!
//! A voter that never comes must not keep the others from founding. After ten seconds, which is
//! longer than any lease, a majority founds without those that are silent, if every voter that it
//! has heard is on an empty disk. It cannot know whether the silent ones remember a cluster, so
//! its terms begin above the clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::vocabulary::configuration::{Configuration, VoterSet};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::Proposal;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::Lack;
use crate::wire::message::{Founding, RecordReport};

/// What a voter without a record has heard of the others, in answers to polls of its own boot.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Roll {
    heard: BTreeMap<NodeId, Heard>,
}

/// One voter's newest word.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Heard {
    pub(crate) report: RecordReport,
    /// The highest ballot that it durably knows.
    pub(crate) max_ballot: u64,
    /// Whether it was asked after all that the asker may have granted had run out.
    pub(crate) is_late_enough: bool,
}

/// Which voter asks, and what it knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) me: NodeId,
    /// What it goes by: of the founding, or newer.
    pub(crate) configuration: &'a Configuration,
}

impl Asker<'_> {
    /// The nonce of its own emptiness, if a founding is what it may have missed. Where voters have
    /// changed since, nothing is founded any more.
    fn founder_nonce(&self, own: &Founding) -> Option<u64> {
        own.blank_nonce().filter(|_| self.configuration.is_genesis())
    }

    fn others(&self) -> impl Iterator<Item = NodeId> {
        self.configuration.voters.ids().iter().copied().filter(|id| *id != self.me)
    }
}

impl Roll {
    pub(crate) fn len(&self) -> usize {
        self.heard.len()
    }

    /// Others vote from here on: what the rest said counts no more.
    pub(crate) fn retain(&mut self, voters: &VoterSet) {
        self.heard.retain(|id, _| voters.contains(*id));
    }

    /// Notes what voter `id` says. Bounded: callers pass voters only.
    pub(crate) fn hear(&mut self, id: NodeId, heard: Heard) {
        self.heard.insert(id, heard);
    }

    /// The founding map, once every other voter is known to be as new as `own`: each has no record
    /// either, or is founded with a map that names exactly these nonces. None while anyone is
    /// missing, has another record, or contradicts: what one voter has heard of another may be old,
    /// so a map alone does not show that nobody has led since.
    pub(crate) fn map(&self, asker: Asker<'_>, own: &Founding) -> Option<Vec<(NodeId, u64)>> {
        let nonce = asker.founder_nonce(own)?;
        let mut map = BTreeMap::from([(asker.me, nonce)]);
        let mut agrees = |id: NodeId, nonce: u64| {
            *map.entry(id).or_insert(nonce) == nonce || mutant::is(Mutant::MapWithoutNonces)
        };
        let mut fleeting = usize::from(matches!(own, Founding::Fleeting { .. }));
        for id in asker.others() {
            let Some(heard) = self.heard.get(&id) else {
                let enough = self.heard.len() + 1 >= asker.configuration.voters.majority();
                if enough && mutant::is(Mutant::FoundedOnMajority) {
                    continue;
                }
                return None;
            };
            let founding = &heard.report.founding;
            let is_consistent = match founding {
                Founding::Founded(theirs) => {
                    is_complete(theirs, &asker.configuration.voters)
                        && theirs.iter().all(|(id, nonce)| agrees(*id, *nonce))
                }
                blank => agrees(id, blank.blank_nonce()?),
            };
            if !is_consistent {
                return None;
            }
            fleeting += usize::from(matches!(founding, Founding::Fleeting { .. }));
        }
        // Every majority must have a voter that still knows of the founding after all have
        // restarted.
        (fleeting <= fleeting_max(&asker.configuration.voters)).then(|| map.into_iter().collect())
    }

    /// A map in which `own` is named, and the ballot above which it may vote by it once its own
    /// wait is over. Nothing of its own was lost since that founding. What went on without it is
    /// known once all others were heard after the wait; but where a majority founded without the
    /// rest, whoever did so began above the clock.
    pub(crate) fn map_with(
        &self,
        asker: Asker<'_>,
        own: &Founding,
    ) -> Option<(Vec<(NodeId, u64)>, u64)> {
        let nonce = asker.founder_nonce(own)?;
        let late = |id: NodeId| self.heard.get(&id).is_some_and(|heard| heard.is_late_enough);
        let all_heard = asker.others().all(late);
        let ballot = self.heard.values().map(|heard| heard.max_ballot).max()?;
        self.heard.values().find_map(|heard| match &heard.report.founding {
            Founding::Founded(map) => {
                let names_me = map.contains(&(asker.me, nonce));
                let counts = all_heard || !is_complete(map, &asker.configuration.voters);
                let may_join =
                    names_me && counts && is_of_majority(map, &asker.configuration.voters);
                may_join.then(|| (map.clone(), ballot))
            }
            _ => None,
        })
    }

    /// The map of all that were heard, once they and `own` are a majority and every one of them
    /// is on an empty disk. None if anybody has a record, or has lost or never keeps one.
    pub(crate) fn map_of_majority(
        &self,
        asker: Asker<'_>,
        own: &Founding,
    ) -> Option<Vec<(NodeId, u64)>> {
        let empty = |word: &Founding| match word {
            Founding::Blank { nonce } => Some(*nonce),
            _ => None,
        };
        asker.founder_nonce(own)?;
        let mut map = BTreeMap::from([(asker.me, empty(own)?)]);
        for (id, heard) in &self.heard {
            map.insert(*id, empty(&heard.report.founding)?);
        }
        let map: Vec<_> = map.into_iter().collect();
        is_of_majority(&map, &asker.configuration.voters).then_some(map)
    }

    /// Whether `own` keeps no record and *all* others have said, late enough, that they keep none
    /// either. Then nobody has anything to lose or to tell, whatever the settings say.
    pub(crate) fn is_without_records(&self, asker: Asker<'_>, own: &Founding) -> bool {
        let keeps_none = |word: &Founding| matches!(word, Founding::Fleeting { .. });
        let says_so = |id: NodeId| {
            self.heard
                .get(&id)
                .is_some_and(|heard| heard.is_late_enough && keeps_none(&heard.report.founding))
        };
        keeps_none(own) && asker.others().all(says_so)
    }

    /// The highest ballot that the others know, once *all* of them have said, late enough, that
    /// they have a record and vote under exactly this configuration.
    pub(crate) fn highest_ballot(&self, asker: Asker<'_>) -> Option<u64> {
        // The only one that is left of others: nobody can say.
        asker.others().next()?;
        let missing = asker.others().filter(|id| self.lack_of(asker, *id).is_some()).count();
        let allowed = usize::from(mutant::is(Mutant::OneVoterLessThanAll));
        let highest = self.heard.values().map(|heard| heard.max_ballot).max();
        (missing <= allowed).then(|| highest.unwrap_or(0))
    }

    /// What the others stand by, the newest first.
    pub(crate) fn lineage(&self) -> Option<Proposal> {
        Proposal::newest(self.heard.values().filter_map(|heard| heard.report.lineage))
    }

    /// What this voter still lacks for a word that counts.
    fn lack_of(&self, asker: Asker<'_>, id: NodeId) -> Option<Lack> {
        let heard = self
            .heard
            .get(&id)
            .filter(|heard| heard.is_late_enough || mutant::is(Mutant::EarlyAnswersCounted));
        let Some(heard) = heard else { return Some(Lack::Silent) };
        // One of two may have been alone, and have led alone, before it lost its record.
        if asker.configuration.voters.len() < 3 && !asker.configuration.is_genesis() {
            return Some(Lack::TooFewToVouch);
        }
        let RecordReport { founding, configuration, .. } = &heard.report;
        if !founding.is_sound() && !mutant::is(Mutant::BlankCountedAsSound) {
            return Some(match founding {
                Founding::Fleeting { .. } => Lack::KeepsNone,
                _ => Lack::NoRecord,
            });
        }
        // Nobody can be of two foundings; before one is settled, the newest proposal counts.
        let named = heard.report.lineage.map(|named| named.lineage);
        if named.is_some() && named != self.lineage().map(|newest| newest.lineage) {
            return Some(Lack::OtherFounding);
        }
        let differs = *configuration != asker.configuration.stamp()
            && !mutant::is(Mutant::BallotWithoutConfiguration);
        differs.then_some(Lack::OtherConfiguration)
    }

    /// Whose word is still missing, and why.
    pub(crate) fn lacks(&self, asker: Asker<'_>) -> Vec<(NodeId, Lack)> {
        // The only voter that is left of others: nobody can say what it has forgotten.
        if asker.others().next().is_none() {
            if asker.configuration.is_genesis() {
                return Vec::new();
            }
            return vec![(asker.me, Lack::TooFewToVouch)];
        }
        asker.others().filter_map(|id| Some((id, self.lack_of(asker, id)?))).collect()
    }
}

/// Whether `map` names a majority of the voters, and nobody else.
fn is_of_majority(map: &[(NodeId, u64)], voters: &VoterSet) -> bool {
    let ids: BTreeSet<NodeId> = map.iter().map(|(id, _)| *id).collect();
    ids.len() == map.len()
        && ids.len() >= voters.majority()
        && ids.iter().all(|id| voters.contains(*id))
}

/// Whether `map` names every voter, and nobody else.
fn is_complete(map: &[(NodeId, u64)], voters: &VoterSet) -> bool {
    map.len() == voters.len() && is_of_majority(map, voters)
}

/// How many voters may keep no record in a cluster that keeps them.
fn fleeting_max(voters: &VoterSet) -> usize {
    voters.majority() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::configuration::ConfigurationStamp;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    /// Of three voters; version 1 is that of the founding.
    fn voters() -> Configuration {
        configuration(1)
    }

    fn configuration(version: u64) -> Configuration {
        let voters = VoterSet::new(vec![id(1), id(2), id(3)]).unwrap();
        Configuration { ballot: 0, version, voters, preempt: false, automatic: None }
    }

    fn stamp(version: u64) -> ConfigurationStamp {
        configuration(version).stamp()
    }

    fn asker(configuration: &Configuration) -> Asker<'_> {
        Asker { me: id(1), configuration }
    }

    fn blank(nonce: u64) -> Founding {
        Founding::Blank { nonce }
    }

    fn say(roll: &mut Roll, from: u64, founding: Founding, max_ballot: u64) {
        let report = RecordReport { founding, configuration: stamp(1), lineage: None };
        roll.hear(id(from), Heard { report, max_ballot, is_late_enough: true });
    }

    #[test]
    fn only_if_every_voter_keeps_no_record_nobody_waits_for_any() {
        let voters = voters();
        let none = |nonce| Founding::Fleeting { nonce };
        let mut roll = Roll::default();
        say(&mut roll, 2, none(22), 0);
        assert!(!roll.is_without_records(asker(&voters), &none(11)), "one is missing");
        let report = RecordReport { founding: none(33), configuration: stamp(1), lineage: None };
        roll.hear(id(3), Heard { report, max_ballot: 0, is_late_enough: false });
        assert!(!roll.is_without_records(asker(&voters), &none(11)), "asked too early");
        say(&mut roll, 3, blank(33), 0);
        assert!(!roll.is_without_records(asker(&voters), &none(11)), "one keeps records");
        say(&mut roll, 3, none(33), 0);
        assert!(roll.is_without_records(asker(&voters), &none(11)));
        assert!(!roll.is_without_records(asker(&voters), &blank(11)), "it keeps records itself");
    }

    #[test]
    fn everybody_without_a_record_founds() {
        let (mut roll, voters) = (Roll::default(), voters());
        say(&mut roll, 2, blank(22), 0);
        assert_eq!(roll.map(asker(&voters), &blank(11)), None, "one is missing");
        say(&mut roll, 3, Founding::Lost { nonce: 33 }, 0);
        let map = vec![(id(1), 11), (id(2), 22), (id(3), 33)];
        assert_eq!(roll.map(asker(&voters), &blank(11)), Some(map));
        assert_eq!(roll.highest_ballot(asker(&voters)), None);
    }

    #[test]
    fn whoever_is_named_in_a_map_is_founded_with_it_at_once_only_if_all_agree() {
        let (mut roll, voters) = (Roll::default(), voters());
        let map = vec![(id(1), 11), (id(2), 22), (id(3), 33)];
        say(&mut roll, 2, Founding::Founded(map.clone()), 7);
        assert_eq!(roll.map(asker(&voters), &blank(11)), None, "what 2 heard of 3 may be old");
        assert_eq!(roll.map_with(asker(&voters), &blank(11)), None);
        say(&mut roll, 3, blank(33), 0);
        assert_eq!(roll.map(asker(&voters), &blank(11)), Some(map.clone()));
        assert_eq!(roll.map(asker(&voters), &blank(99)), None, "another emptiness");
        say(&mut roll, 3, blank(34), 9);
        assert_eq!(roll.map(asker(&voters), &blank(11)), None, "3 has lost its record since");
        assert_eq!(roll.map_with(asker(&voters), &blank(11)), Some((map, 9)));
        assert_eq!(roll.map_with(asker(&voters), &blank(99)), None);
    }

    #[test]
    fn a_map_of_other_voters_founds_nobody() {
        let (mut roll, voters) = (Roll::default(), voters());
        say(&mut roll, 2, Founding::Founded(vec![(id(1), 11), (id(2), 22)]), 0);
        assert_eq!(roll.map(asker(&voters), &blank(11)), None);
        say(&mut roll, 2, Founding::Founded(vec![(id(1), 11), (id(2), 22), (id(4), 1)]), 0);
        assert_eq!(roll.map(asker(&voters), &blank(11)), None);
    }

    #[test]
    fn a_majority_on_empty_disks_may_found_without_the_rest() {
        let (mut roll, voters) = (Roll::default(), voters());
        assert_eq!(roll.map_of_majority(asker(&voters), &blank(11)), None, "alone");
        say(&mut roll, 2, blank(22), 0);
        let map = vec![(id(1), 11), (id(2), 22)];
        assert_eq!(roll.map_of_majority(asker(&voters), &blank(11)), Some(map.clone()));
        let lost = Founding::Lost { nonce: 11 };
        assert_eq!(roll.map_of_majority(asker(&voters), &lost), None, "it had a record");
        say(&mut roll, 3, Founding::Waited, 4);
        assert_eq!(roll.map_of_majority(asker(&voters), &blank(11)), None, "a cluster exists");

        say(&mut roll, 2, Founding::Founded(map.clone()), 9);
        assert_eq!(roll.map_with(asker(&voters), &blank(11)), Some((map, 9)));
        assert_eq!(roll.map_with(asker(&voters), &blank(12)), None, "another emptiness");
        for map in
            [vec![(id(1), 11)], vec![(id(1), 11), (id(1), 12)], vec![(id(1), 11), (id(9), 2)]]
        {
            say(&mut roll, 2, Founding::Founded(map), 9);
            assert_eq!(roll.map_with(asker(&voters), &blank(11)), None);
        }
    }

    #[test]
    fn of_three_one_may_keep_no_record() {
        let (mut roll, voters) = (Roll::default(), voters());
        say(&mut roll, 2, blank(22), 0);
        say(&mut roll, 3, Founding::Fleeting { nonce: 33 }, 0);
        assert!(roll.map(asker(&voters), &blank(11)).is_some());
        assert_eq!(roll.map(asker(&voters), &Founding::Fleeting { nonce: 11 }), None);
    }

    #[test]
    fn all_others_must_have_a_record_and_the_same_configuration() {
        let (mut roll, voters) = (Roll::default(), voters());
        assert_eq!(roll.lacks(asker(&voters)), [(id(2), Lack::Silent), (id(3), Lack::Silent)]);
        say(&mut roll, 2, Founding::Waited, 7);
        assert_eq!(roll.lacks(asker(&voters)), [(id(3), Lack::Silent)]);
        assert_eq!(roll.highest_ballot(asker(&voters)), None);
        say(&mut roll, 3, Founding::Lost { nonce: 5 }, 9);
        assert_eq!(roll.lacks(asker(&voters)), [(id(3), Lack::NoRecord)]);
        assert_eq!(roll.highest_ballot(asker(&voters)), None);
        say(&mut roll, 3, Founding::Waited, 3);
        assert_eq!(roll.highest_ballot(asker(&voters)), Some(7));
        let report =
            RecordReport { founding: Founding::Waited, configuration: stamp(2), lineage: None };
        roll.hear(id(3), Heard { report, max_ballot: 3, is_late_enough: true });
        assert_eq!(roll.lacks(asker(&voters)), [(id(3), Lack::OtherConfiguration)]);
        assert_eq!(roll.highest_ballot(asker(&voters)), None);
    }

    #[test]
    fn a_ballot_without_its_configuration_is_found() {
        let (mut roll, voters) = (Roll::default(), voters());
        say(&mut roll, 2, Founding::Waited, 7);
        let report =
            RecordReport { founding: Founding::Waited, configuration: stamp(2), lineage: None };
        roll.hear(id(3), Heard { report, max_ballot: 3, is_late_enough: true });
        let ballot = || roll.highest_ballot(asker(&voters));
        assert_eq!(ballot(), None);
        mutant::set(Some(Mutant::BallotWithoutConfiguration));
        let mutated = ballot();
        mutant::set(None);
        assert_eq!(mutated, Some(7));
    }

    #[test]
    fn what_was_asked_too_early_founds_but_makes_up_for_nothing() {
        let (mut roll, voters) = (Roll::default(), voters());
        for from in [2, 3] {
            let report =
                RecordReport { founding: Founding::Waited, configuration: stamp(1), lineage: None };
            roll.hear(id(from), Heard { report, max_ballot: 3, is_late_enough: false });
        }
        assert_eq!(roll.highest_ballot(asker(&voters)), None);
        for from in [2, 3] {
            let report =
                RecordReport { founding: blank(from), configuration: stamp(1), lineage: None };
            roll.hear(id(from), Heard { report, max_ballot: 0, is_late_enough: false });
        }
        assert!(roll.map(asker(&voters), &blank(1)).is_some());
    }

    /// Two that are left of more cannot vouch for each other: one may have led alone since.
    #[test]
    fn where_voters_have_changed_only_three_or_more_vouch_and_nobody_founds() {
        let mut changed = configuration(2);
        let mut roll = Roll::default();
        let say = |roll: &mut Roll, from: u64, founding: Founding, of: &Configuration| {
            let report = RecordReport { founding, configuration: of.stamp(), lineage: None };
            roll.hear(id(from), Heard { report, max_ballot: 7, is_late_enough: true });
        };
        say(&mut roll, 2, Founding::Waited, &changed);
        say(&mut roll, 3, Founding::Waited, &changed);
        assert_eq!(roll.highest_ballot(asker(&changed)), Some(7));
        let alone =
            Configuration { voters: VoterSet::new(vec![id(1)]).unwrap(), ..changed.clone() };
        assert_eq!(Roll::default().lacks(asker(&alone)), [(id(1), Lack::TooFewToVouch)]);
        changed.voters = changed.voters.without(id(3)).unwrap();
        say(&mut roll, 2, Founding::Waited, &changed);
        assert_eq!(roll.highest_ballot(asker(&changed)), None);
        assert_eq!(roll.lacks(asker(&changed)), [(id(2), Lack::TooFewToVouch)]);
        let mut roll = Roll::default();
        say(&mut roll, 2, blank(22), &changed);
        assert_eq!(roll.map(asker(&changed), &blank(11)), None);
        assert_eq!(roll.map_of_majority(asker(&changed), &blank(11)), None);
    }
}
