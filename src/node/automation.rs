//! The Goose sees to the number of voters by itself, in a cluster that wants that.
//!
//! It only ever gives the orders that a person could give ([`super::electorate`]), and follows these
//! rules: never more than one change at a time; never at rest with an even number, which would
//! survive no more losses than one voter less; whoever is to vote has been here for ten seconds; a
//! voter is replaced when it has left, or has not answered the Goose itself for a minute (gossip
//! names candidates, and decides nothing); it is replaced by somebody, and never just removed, but
//! for this: if a voter is about to leave, and those who stay would be no majority, they alone vote
//! from then on, for otherwise nobody could lead.
//!
//! A candidate that does not come to vote in ten seconds is passed over for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::vocabulary::configuration::{Configuration, VoterSet, kept};
use crate::vocabulary::identity::{Boot, NodeId};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::snapshot::{MemberState, MemberView, VoterView};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::voter_change::{ChangeHold, VoterChange};

/// Whoever is to vote has been a member for so long.
const CANDIDATE_AFTER: Duration = Duration::from_secs(10);
/// A voter that has not answered for so long is replaced.
const SILENT_AFTER: Duration = Duration::from_secs(60);
/// A candidate that has not come to vote after so long is passed over.
const LEARNS_WITHIN: Duration = Duration::from_secs(10);
/// For so long, the first time; twice as long each further time.
const PASSED_OVER: Duration = Duration::from_secs(60);
/// The longest time for which one is passed over.
const PASSED_OVER_MAX: Duration = Duration::from_secs(60 * 60);
/// It looks this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// The most nodes that it keeps count of.
const CANDIDATES_MAX: usize = 64;
/// A voter that answered within this time, and within the last renewals, still votes;
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// and one that a new Goose has not heard yet has so long to answer it.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Automation {
    /// The term that is led, and since when.
    term: Option<(u64, HolderTime)>,
    next: Option<HolderTime>,
    /// Since when each process has been here.
    here_since: BTreeMap<NodeId, (Boot, HolderTime)>,
    /// Until when a candidate is passed over, and for how long it was the last time.
    passed_over: BTreeMap<NodeId, (HolderTime, Duration)>,
    /// The change that it has ordered, and when.
    ordered: Option<HolderTime>,
    /// Those who were to vote alone, as voters were about to leave.
    staying: Option<VoterSet>,
}

/// What the Goose sees.
pub(super) struct View<'a> {
    pub(super) me: NodeId,
    /// Since when it leads.
    pub(super) since: HolderTime,
    /// A voter that has answered since then still votes, unless it is about to leave.
    pub(super) fresh: HolderTime,
    pub(super) configuration: &'a Configuration,
    pub(super) voters: &'a [VoterView],
    pub(super) members: &'a [MemberView],
    pub(super) change: Option<&'a VoterChange>,
}

impl Automation {
    /// When it has something to do; never, if this node does not lead such a cluster.
    pub(super) fn next(&self) -> Option<HolderTime> {
        self.next
    }

    /// This node leads no cluster that wants this, or leads under another term now.
    pub(super) fn rest(&mut self) {
        if self.term.is_some() {
            *self = Self::default();
        }
    }

    /// Since when this node leads.
    pub(super) fn since(&self, now: HolderTime) -> HolderTime {
        self.term.map_or(now, |(_, since)| since)
    }

    /// Whether it is time to look, as Goose of `term`; asking sets the next time. `hurries`: somebody
    /// waits for it.
    pub(super) fn is_due(&mut self, term: u64, hurries: bool, now: HolderTime) -> bool {
        if self.term.is_none_or(|(known, _)| known != term) {
            *self = Self { term: Some((term, now)), ..Self::default() };
        }
        if self.next.is_some_and(|at| now < at) && !hurries {
            return false;
        }
        self.next = Some(now.plus(INTERVAL));
        true
    }

    /// Who is to vote, if others are to than do now.
    pub(super) fn target(&mut self, view: &View<'_>, now: HolderTime) -> Option<VoterSet> {
        self.note_members(view.members, now);
        let wanted = usize::from(kept(view.configuration.automatic?));
        if let Some(left) = left_behind(view, now) {
            self.ordered = Some(now);
            self.staying = Some(left.clone());
            return Some(left);
        }
        if self.turns_back(view, now) {
            return Some(view.configuration.voters.clone());
        }
        if let Some(change) = view.change {
            let ordered = *self.ordered.get_or_insert(now);
            // A set that no majority of stands by may need another one: a voter may be gone meanwhile.
            let late: &[NodeId] = match &change.hold {
                ChangeHold::Learning(late) => late,
                ChangeHold::Majority => &[],
                ChangeHold::Commit => return None,
            };
            if now.since(ordered) < LEARNS_WITHIN {
                return None;
            }
            late.iter().for_each(|id| self.pass_over(*id, now));
            self.ordered = Some(now);
            // Where nobody else could come to vote, the change is given up.
            let present = || view.configuration.voters.clone();
            let target = self.draw(view, wanted, now).unwrap_or_else(present);
            return (target != change.goal.voters).then_some(target);
        }
        self.ordered = None;
        let target = self.draw(view, wanted, now)?;
        self.ordered = Some(now);
        Some(target)
    }

    /// Whether the change under way was for voters that were about to leave, and a majority stays after
    /// all: then it is given up.
    fn turns_back(&mut self, view: &View<'_>, now: HolderTime) -> bool {
        let Some(staying) = self.staying.take() else { return false };
        let goes_on = view.change.is_some_and(|change| change.goal.voters == staying);
        let is_due = goes_on && !is_short(view, now);
        if goes_on && !is_due {
            self.staying = Some(staying);
        }
        is_due
    }

    fn draw(&self, view: &View<'_>, wanted: usize, now: HolderTime) -> Option<VoterSet> {
        let voters = &view.configuration.voters;
        let (gone, mut kept): (Vec<NodeId>, Vec<NodeId>) =
            voters.ids().iter().copied().partition(|id| self.is_gone(*id, view, now));
        let mut candidates = self.candidates(view, now);
        let mut take = |kept: &mut Vec<NodeId>, most: usize| {
            while kept.len() < most {
                let zones: Vec<_> = kept.iter().filter_map(|id| zone(view, *id)).collect();
                let elsewhere =
                    |id: &NodeId| zone(view, *id).is_some_and(|it| !zones.contains(&it));
                let place = candidates.iter().position(elsewhere);
                let Some(next) = place.or((!candidates.is_empty()).then_some(0)) else { break };
                kept.push(candidates.remove(next));
            }
        };
        // Whoever is gone is replaced first, so that nothing is lost by growing; of more than are
        // wanted, it is just removed. (So many are left where a Goose died in the midst of a change.)
        let held = voters.len().min(wanted);
        take(&mut kept, held);
        let missing = held.saturating_sub(kept.len());
        kept.extend(gone.iter().take(missing));
        if missing == 0 && kept.len() < wanted {
            let before = kept.len();
            take(&mut kept, wanted);
            if kept.len() % 2 == 0 && kept.len() > before {
                kept.pop();
            }
        }
        while kept.len() > wanted {
            // Those that came last to vote are as good as the first: whoever is silent goes, and then
            // the lowest.
            let answers = |id: NodeId| {
                let voter = view.voters.iter().find(|voter| voter.id == id);
                voter.and_then(|voter| voter.answered).is_some_and(|at| at >= view.fresh)
            };
            let next = kept.iter().copied().min_by_key(|id| (answers(*id), *id))?;
            kept.retain(|id| *id != next);
        }
        let target = VoterSet::new(kept).ok()?;
        (target != *voters).then_some(target)
    }

    /// A voter that has left, or has not answered this Goose for long.
    fn is_gone(&self, id: NodeId, view: &View<'_>, now: HolderTime) -> bool {
        let member = view.members.iter().find(|member| member.id == id);
        if member.is_some_and(|member| member.state == MemberState::Left) {
            return true;
        }
        let answered = view.voters.iter().find(|voter| voter.id == id).and_then(|it| it.answered);
        let since = self.since(now);
        now.since(answered.unwrap_or(since).max(since)) >= SILENT_AFTER
    }

    /// Who could come to vote, the best first: whoever may lead, and then the highest.
    fn candidates(&self, view: &View<'_>, now: HolderTime) -> Vec<NodeId> {
        if mutant::is(Mutant::CandidatesIgnored) {
            return Vec::new();
        }
        let stayed = |member: &&MemberView| {
            self.here_since
                .get(&member.id)
                .is_some_and(|(_, since)| now.since(*since) >= CANDIDATE_AFTER)
        };
        let open = |member: &&MemberView| {
            let until = self.passed_over.get(&member.id).map(|(until, _)| *until);
            until.is_none_or(|until| until <= now)
        };
        let voters = &view.configuration.voters;
        let members = view.members.iter().filter(|member| !voters.contains(member.id));
        let mut found: Vec<&MemberView> = members.filter(stayed).filter(open).collect();
        found.sort_by_key(|member| std::cmp::Reverse((member.eligible, member.id)));
        found.into_iter().map(|member| member.id).collect()
    }

    fn note_members(&mut self, members: &[MemberView], now: HolderTime) {
        // The highest are preferred, and come last.
        let here = members.iter().rev().filter(|member| member.state == MemberState::Alive);
        let here: BTreeMap<NodeId, Boot> =
            here.take(CANDIDATES_MAX).map(|member| (member.id, member.boot)).collect();
        self.here_since.retain(|id, (boot, _)| here.get(id) == Some(boot));
        for (id, boot) in here {
            self.here_since.entry(id).or_insert((boot, now));
        }
        self.passed_over.retain(|id, _| members.iter().any(|member| member.id == *id));
    }

    fn pass_over(&mut self, id: NodeId, now: HolderTime) {
        let known = self.passed_over.get(&id);
        if known.is_some_and(|(until, _)| now < *until) {
            return;
        }
        let span = known.map_or(PASSED_OVER, |(_, last)| *last * 2).min(PASSED_OVER_MAX);
        self.passed_over.insert(id, (now.plus(span), span));
    }
}

/// The voters that answer this Goose and are not about to leave.
fn staying(view: &View<'_>, now: HolderTime) -> Vec<NodeId> {
    let state = |id: NodeId| view.members.iter().find(|member| member.id == id).map(|it| it.state);
    let stays = |voter: &&VoterView| {
        let lately = voter.answered.is_some_and(|at| at >= view.fresh);
        let is_new = now.since(view.since) < HEARD_WITHIN;
        let is_unheard = is_new && voter.answered.is_none_or(|at| at < view.since);
        (lately || is_unheard) && !voter.leaves && state(voter.id) != Some(MemberState::Left)
    };
    view.voters.iter().filter(stays).map(|voter| voter.id).collect()
}

/// Whether those who stay are no majority.
fn is_short(view: &View<'_>, now: HolderTime) -> bool {
    staying(view, now).len() < view.configuration.voters.majority()
}

/// Who is to vote alone, if a voter is about to leave and the others that answer are no majority: an
/// odd number of them, the Goose and the highest first; if none is left, another node takes their
/// place, the Goose before others. None if all is well, or nothing can be done, or it is on its way.
fn left_behind(view: &View<'_>, now: HolderTime) -> Option<VoterSet> {
    let leaves = view.voters.iter().any(|voter| voter.leaves && voter.grants(now));
    if !leaves || !is_short(view, now) {
        return None;
    }
    let voters = &view.configuration.voters;
    let mut ids = staying(view, now);
    let is_empty = ids.is_empty();
    if is_empty {
        let here = view.members.iter().filter(|member| member.state == MemberState::Alive);
        ids.extend(here.map(|member| member.id).filter(|id| !voters.contains(*id)));
    }
    ids.sort_by_key(|id| std::cmp::Reverse((*id == view.me, *id)));
    let number = if is_empty { 1 } else { ids.len() - (ids.len() + 1) % 2 };
    ids.truncate(number);
    let target = VoterSet::new(ids).ok()?;
    let under_way = view.change.is_some_and(|change| change.goal.voters == target);
    (!under_way && target != *voters).then_some(target)
}

/// Where a node is, as its tag says.
fn zone<'a>(view: &View<'a>, id: NodeId) -> Option<&'a str> {
    view.members.iter().find(|member| member.id == id)?.zone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::voter_change::VoterGoal;
    use std::net::SocketAddr;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn at(seconds: u64) -> HolderTime {
        HolderTime(seconds * 1_000_000_000)
    }

    fn member(number: u64, state: MemberState) -> MemberView {
        MemberView {
            id: id(number),
            address: SocketAddr::from(([10, 0, 0, 1], 8000)),
            boot: Boot { start: 1, nonce: number },
            eligible: true,
            state,
            metadata: None,
        }
    }

    fn here(numbers: &[u64]) -> Vec<MemberView> {
        numbers.iter().map(|number| member(*number, MemberState::Alive)).collect()
    }

    fn voter(number: u64, answered: u64) -> VoterView {
        let answered = Some(at(answered));
        VoterView {
            id: id(number),
            address: None,
            answered,
            round_trip: None,
            granted_until: None,
            leaves: false,
        }
    }

    fn configuration(ids: &[u64], wanted: u8) -> Configuration {
        let voters = VoterSet::new(ids.iter().copied().map(id).collect()).unwrap();
        let automatic = Some(wanted);
        Configuration { ballot: 1, version: 1, voters, preempt: false, automatic }
    }

    /// Whom a Goose of a minute's standing wants, which has seen these members for so long.
    fn wants(
        configuration: &Configuration,
        members: &[MemberView],
        silent: &[u64],
    ) -> Option<Vec<u64>> {
        let mut automation = Automation::default();
        assert!(automation.is_due(7, false, at(100)));
        automation.note_members(members, at(100));
        let voters: Vec<VoterView> = configuration
            .voters
            .ids()
            .iter()
            .map(|id| {
                let answered = if silent.contains(&id.number()) { 100 } else { 200 };
                voter(id.number(), answered)
            })
            .collect();
        let (me, since, fresh) = (id(1), at(100), at(199));
        let view = View { me, since, fresh, configuration, voters: &voters, members, change: None };
        let target = automation.target(&view, at(200))?;
        Some(target.ids().iter().map(|id| id.number()).collect())
    }

    #[test]
    fn it_grows_to_an_odd_number_and_no_further_than_is_wanted() {
        let one = configuration(&[1], 3);
        assert_eq!(wants(&one, &here(&[1, 2]), &[]), None, "two survive no more than one");
        assert_eq!(wants(&one, &here(&[1, 2, 3, 4]), &[]), Some(vec![1, 3, 4]));
        let five = configuration(&[1, 2, 3], 5);
        assert_eq!(wants(&five, &here(&[1, 2, 3, 4]), &[]), None);
        assert_eq!(wants(&five, &here(&[1, 2, 3, 4, 5, 6]), &[]), Some(vec![1, 2, 3, 5, 6]));
        assert_eq!(
            wants(&configuration(&[1, 2, 3, 4, 5], 3), &here(&[1]), &[]),
            Some(vec![3, 4, 5])
        );
    }

    #[test]
    fn whoever_is_gone_is_replaced_and_never_just_removed() {
        let three = configuration(&[1, 2, 3], 3);
        assert_eq!(wants(&three, &here(&[1, 2, 3, 4]), &[]), None);
        assert_eq!(wants(&three, &here(&[2, 3]), &[1]), None, "nobody is there");
        assert_eq!(wants(&three, &here(&[2, 3, 4]), &[1]), Some(vec![2, 3, 4]));
        let mut members = here(&[2, 3, 4]);
        members.push(member(1, MemberState::Left));
        assert_eq!(wants(&three, &members, &[]), Some(vec![2, 3, 4]));
        // An earlier Goose died before it had removed the one that was replaced.
        let four = configuration(&[1, 2, 3, 4], 3);
        assert_eq!(wants(&four, &here(&[1, 3, 4]), &[2]), Some(vec![1, 3, 4]));
        // It returned in time.
        assert_eq!(wants(&three, &here(&[1, 2, 3, 4]), &[]), None);
    }

    /// Who is to vote, as Goose 2 sees it, if these answer and those of them are about to leave.
    fn left(configuration: &Configuration, answer: &[u64], leaving: &[u64]) -> Option<Vec<u64>> {
        let view = |id: &NodeId| {
            let answers = answer.contains(&id.number());
            VoterView {
                granted_until: answers.then(|| at(300)),
                leaves: leaving.contains(&id.number()),
                ..voter(id.number(), if answers { 200 } else { 100 })
            }
        };
        let voters: Vec<VoterView> = configuration.voters.ids().iter().map(view).collect();
        let (me, members, now, fresh) = (id(2), &here(&[1, 2, 6, 7]), at(200), at(199));
        let (voters, change) = (&voters, None);
        let view = |since| View { me, since, fresh, configuration, voters, members, change };
        // A Goose that has just begun to lead gives those a moment whom it has not heard yet.
        let all_answer = answer.len() == configuration.voters.len();
        assert!(all_answer || left_behind(&view(at(199)), now).is_none());
        let target = left_behind(&view(at(150)), now)?;
        Some(target.ids().iter().map(|id| id.number()).collect())
    }

    #[test]
    fn those_who_stay_vote_alone_if_they_would_be_no_majority() {
        let three = configuration(&[1, 2, 3], 3);
        assert_eq!(left(&three, &[1, 2, 3], &[1]), None, "two of three stay");
        assert_eq!(left(&three, &[1, 2], &[]), None, "nobody leaves");
        assert_eq!(left(&three, &[1, 2], &[1]), Some(vec![2]));
        assert_eq!(left(&three, &[1, 2, 3], &[1, 3]), Some(vec![2]));
        let five = configuration(&[1, 2, 3, 4, 5], 5);
        assert_eq!(left(&five, &[1, 2, 5], &[1]), Some(vec![2]), "the Goose before the highest");
        assert_eq!(left(&five, &[1, 2, 4, 5], &[1]), None);
        assert_eq!(
            left(&configuration(&[1, 3, 4], 3), &[1, 3], &[3]),
            Some(vec![1]),
            "the Goose has no vote"
        );
        // Nobody is left that votes.
        assert_eq!(left(&configuration(&[3], 3), &[3], &[3]), Some(vec![2]), "the Goose");
        assert_eq!(left(&configuration(&[2], 3), &[2], &[2]), Some(vec![7]), "the highest");
    }

    /// Of five voters two are silent, and three are wanted from then on.
    #[test]
    fn a_change_that_waits_for_a_majority_is_planned_again() {
        let five = configuration(&[1, 2, 3, 4, 5], 3);
        let members = here(&[1, 2, 3, 4, 5]);
        let mut automation = Automation::default();
        automation.is_due(7, false, at(100));
        let mut look = |change: Option<&VoterChange>, seconds: u64| {
            let voters: Vec<VoterView> =
                (1..=5).map(|id| voter(id, if id > 3 { 110 } else { seconds })).collect();
            let (me, since, fresh) = (id(1), at(100), at(seconds - 1));
            let (configuration, voters, members) = (&five, &voters, &members);
            let view = View { me, since, fresh, configuration, voters, members, change };
            automation.target(&view, at(seconds))
        };
        let goal = look(None, 130).unwrap();
        assert_eq!(goal.ids(), [id(1), id(2), id(3)], "the silent ones go first");
        // A person has said otherwise.
        let voters = VoterSet::new([3, 4, 5].map(id).to_vec()).unwrap();
        let goal = VoterGoal { voters, automatic: Some(3) };
        let change = VoterChange { goal, hold: ChangeHold::Majority };
        assert_eq!(look(Some(&change), 132), None);
        assert_eq!(look(Some(&change), 145).unwrap().ids(), [id(1), id(2), id(3)]);
        let change = VoterChange { hold: ChangeHold::Commit, ..change };
        assert_eq!(look(Some(&change), 180), None);
    }

    #[test]
    fn a_candidate_that_does_not_come_to_vote_is_passed_over() {
        let (one, members) = (configuration(&[1], 3), here(&[1, 2, 3, 4]));
        let mut automation = Automation::default();
        automation.is_due(7, false, at(100));
        automation.note_members(&members, at(100));
        let voters = [voter(1, 500)];
        let mut look = |change: Option<&VoterChange>, seconds| {
            let (me, since, fresh) = (id(1), at(100), at(seconds - 1));
            let members = &members;
            let view =
                View { me, since, fresh, configuration: &one, voters: &voters, members, change };
            automation.target(&view, at(seconds))
        };
        assert_eq!(look(None, 105), None, "not here for long enough");
        let goal = look(None, 111).unwrap();
        assert_eq!(goal.ids(), [id(1), id(3), id(4)]);
        let goal = VoterGoal { voters: goal, automatic: Some(3) };
        let change = VoterChange { goal, hold: ChangeHold::Learning(vec![id(4)]) };
        assert_eq!(look(Some(&change), 115), None);
        assert_eq!(look(Some(&change), 122).unwrap().ids(), [id(1), id(2), id(3)]);
        // Nobody is left, so it goes back.
        let (goal, hold) = (change.goal.clone(), ChangeHold::Learning(vec![id(2), id(3)]));
        let change = VoterChange { goal, hold };
        assert_eq!(look(Some(&change), 123), None);
        assert_eq!(look(Some(&change), 140).unwrap().ids(), [id(1)]);
    }

    #[test]
    fn voters_are_spread_over_zones() {
        use crate::vocabulary::metadata::{Metadata, Tags};
        use std::sync::Arc;
        let zoned = |number: u64, zone: &str| {
            let tags = Tags::new([("zone", zone)]).unwrap();
            let metadata = Metadata { http: None, tags, name: None };
            MemberView { metadata: Some(Arc::new(metadata)), ..member(number, MemberState::Alive) }
        };
        let members = [
            zoned(1, "a"),
            zoned(2, "b"),
            zoned(3, "c"),
            zoned(4, "a"),
            zoned(5, "a"),
            zoned(6, "b"),
        ];
        assert_eq!(wants(&configuration(&[1], 3), &members, &[]), Some(vec![1, 3, 6]));
    }
}
