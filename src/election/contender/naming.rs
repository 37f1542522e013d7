//! Which founding the cluster is: how a Goose has that settled.
//!
//! ```text
//!            won: the newest that its       a majority stands by it
//!   unknown ──────────────────────▶ proposed ───────────────────────▶ settled
//!            voters stand by, or drawn         durably
//! ```
//!
//! A lineage that a majority once stood by is met by every later claim, for any two majorities
//! share a voter, and so is proposed again: two can never be settled. See
//! [`crate::vocabulary::lineage`].

use super::tracker::ProgressTracker;
use crate::vocabulary::identity::Process;
use crate::vocabulary::lineage::{Lineage, Proposal};
use crate::vocabulary::mutant::{self, Mutant};

/// What an election knows of its lineage when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// The lineage, if it is settled.
    pub settled: Option<Lineage>,
    /// Whether the cluster has none, for its voters keep no records.
    pub is_nameless: bool,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Naming {
    known: Known,
    /// What this process proposes, and from which term on a voter stands by that.
    proposed: Option<Proposal>,
}

impl Naming {
    pub(super) fn new(known: Known) -> Self {
        Self { known, proposed: None }
    }

    /// The lineage, once it is settled.
    pub(crate) fn settled(&self) -> Option<Lineage> {
        self.known.settled
    }

    /// It is settled, as somebody says who knows.
    pub(crate) fn settle(&mut self, lineage: Lineage) {
        self.known.settled.get_or_insert(lineage);
        self.proposed = None;
    }

    /// The node belongs to another founding from here on, and is yet to be told which.
    pub(crate) fn unsettle(&mut self) {
        self.known.settled = None;
        self.withdraw();
    }

    /// What the voters that grant stand by, if that is another founding than this node's: somebody
    /// told it wrong, and it must not lead them.
    pub(super) fn contradicted(&self, tracker: &ProgressTracker) -> Option<Lineage> {
        let newest = Proposal::newest(stood_by(tracker)).map(|newest| newest.lineage);
        newest.filter(|newest| self.known.settled.is_some_and(|own| own != *newest))
    }

    /// A majority has granted the claim of `term`: what they stand by goes on, and is settled if
    /// all of them stand by the same proposal.
    pub(super) fn propose(&mut self, me: Process, term: u64, tracker: &ProgressTracker) {
        let Known { settled: None, is_nameless: false } = self.known else { return };
        let newest = Proposal::newest(stood_by(tracker))
            .filter(|_| !mutant::is(Mutant::LineageDrawnByEachGoose));
        // So it is at the first election of voters that have all heard each other.
        if let Some(newest) = newest
            && stood_by(tracker).filter(|it| *it == newest).count() >= tracker.majority()
        {
            return self.settle(newest.lineage);
        }
        let lineage = newest.map_or_else(|| Lineage::drawn(me, term), |newest| newest.lineage);
        self.proposed = Some(Proposal { lineage, ballot: term });
    }

    /// What a renewal proposes.
    pub(super) fn proposed(&self) -> Option<Lineage> {
        self.proposed.map(|proposed| proposed.lineage)
    }

    /// The tenure is over.
    pub(super) fn withdraw(&mut self) {
        self.proposed = None;
    }

    /// A voter has granted: perhaps a majority stands by the proposal now.
    pub(super) fn count(&mut self, tracker: &ProgressTracker) {
        let Some(Proposal { lineage, ballot: term }) = self.proposed else { return };
        let stands = |proposal: Proposal| proposal.lineage == lineage && proposal.ballot >= term;
        let needed = if mutant::is(Mutant::LineageSettledByOne) { 1 } else { tracker.majority() };
        if stood_by(tracker).filter(|proposal| stands(*proposal)).count() >= needed {
            self.settle(lineage);
        }
    }
}

/// By what each voter stands whose grant says so.
fn stood_by(tracker: &ProgressTracker) -> impl Iterator<Item = Proposal> {
    tracker.voters().filter_map(|(_, progress)| progress.proposal())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::vocabulary::configuration::{Configuration, ConfigurationStamp, VoterSet};
    use crate::vocabulary::identity::{Boot, NodeId};
    use crate::vocabulary::time::HolderTime;
    use crate::wire::message::Grant;

    const TERM: u64 = 5;

    fn process(number: u64) -> Process {
        let id = NodeId::new(number).unwrap();
        Process { id, boot: Boot { start: 1, nonce: number } }
    }

    fn lineage(number: u64) -> Lineage {
        Lineage::drawn(process(number), 1)
    }

    /// Voter `from` grants, and says by what it stands.
    fn grant(tracker: &mut ProgressTracker, from: u64, lineage: Option<Proposal>) {
        let (now, lease) = (HolderTime(1), Duration::from_millis(600));
        let progress = tracker.voter_mut(process(from).id).unwrap();
        progress.sent(1, now, Some(TERM));
        let grant = Grant {
            sequence: 1,
            ballot: TERM,
            granted: lease,
            standby: None,
            lineage,
            leaves: false,
        };
        assert!(progress.granted(&grant, lease, ConfigurationStamp::default(), now));
    }

    fn tracker() -> ProgressTracker {
        let voters = VoterSet::new((1..=3).map(|id| process(id).id).collect()).unwrap();
        let configuration =
            Configuration { ballot: 0, version: 1, voters, preempt: false, automatic: None };
        ProgressTracker::new(process(1), configuration, 0)
    }

    /// What the Goose 1 proposes after voters 1 and 2 have granted its claim.
    fn proposed(stood_by: [Option<Proposal>; 2]) -> (Naming, ProgressTracker) {
        let (mut naming, mut tracker) = (Naming::new(Known::default()), tracker());
        grant(&mut tracker, 1, stood_by[0]);
        grant(&mut tracker, 2, stood_by[1]);
        naming.propose(process(1), TERM, &tracker);
        (naming, tracker)
    }

    #[test]
    fn the_newest_that_a_majority_stands_by_is_proposed_again() {
        let of = |number, ballot| Some(Proposal { lineage: lineage(number), ballot });
        assert_eq!(proposed([of(7, 0), of(8, 3)]).0.proposed(), Some(lineage(8)));
        assert_eq!(proposed([None, of(7, 0)]).0.proposed(), Some(lineage(7)));
        let drawn = Lineage::drawn(process(1), TERM);
        assert_eq!(proposed([None, None]).0.proposed(), Some(drawn));
        let agreed = proposed([of(7, 0), of(7, 0)]).0;
        assert_eq!((agreed.settled(), agreed.proposed()), (Some(lineage(7)), None));
        assert_eq!(proposed([of(7, 0), of(7, 3)]).0.settled(), None, "of different Geese");
        let nameless = Known { settled: None, is_nameless: true };
        let mut naming = Naming::new(nameless);
        naming.propose(process(1), TERM, &tracker());
        assert_eq!(naming.proposed(), None);
    }

    #[test]
    fn whoever_was_told_another_lineage_is_contradicted() {
        let (mut naming, mut tracker) = (Naming::new(Known::default()), tracker());
        naming.settle(lineage(9));
        grant(&mut tracker, 1, None);
        assert_eq!(naming.contradicted(&tracker), None, "nobody says anything else");
        grant(&mut tracker, 2, Some(Proposal { lineage: lineage(9), ballot: 3 }));
        grant(&mut tracker, 3, Some(Proposal { lineage: lineage(8), ballot: 2 }));
        assert_eq!(naming.contradicted(&tracker), None, "what was not settled");
        grant(&mut tracker, 3, Some(Proposal { lineage: lineage(8), ballot: 4 }));
        assert_eq!(naming.contradicted(&tracker), Some(lineage(8)));
    }

    /// Whether it is settled once one voter stands by it, and once two do.
    fn settled_by() -> [bool; 2] {
        let (mut naming, mut tracker) = proposed([None, None]);
        let ours = Proposal { lineage: Lineage::drawn(process(1), TERM), ballot: TERM };
        // What was stood by before this term is no answer to this proposal.
        grant(&mut tracker, 2, Some(Proposal { ballot: 0, ..ours }));
        naming.count(&tracker);
        assert_eq!(naming.settled(), None);
        [1, 2].map(|voter| {
            grant(&mut tracker, voter, Some(ours));
            naming.count(&tracker);
            naming.settled().is_some()
        })
    }

    #[test]
    fn it_is_settled_once_a_majority_stands_by_it() {
        assert_eq!(settled_by(), [false, true]);
        mutant::set(Some(Mutant::LineageSettledByOne));
        let by_one = settled_by();
        mutant::set(None);
        assert_eq!(by_one, [true, true], "the mutant is seen");
    }
}
