//! What a Goose makes of the voters, one configuration after the other, as it tells them.
//!
//! Each differs from the one before by one voter at most; and where the Goose sees to their number by
//! itself, they never become fewer than are wanted, unless they were as few before in its term (a
//! person may replace the only voter, which makes two of one, and then one again), or one of them has
//! said that it is about to leave.

use std::collections::BTreeMap;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::configuration::{Configuration, kept};
use crate::vocabulary::identity::Process;

/// See the module.
#[derive(Debug, Default)]
pub struct Steps {
    /// What each process told last, and since when, and how few voters it has told of at least, in its present
    /// term. What only its own voter was told of, nobody sees.
    told: BTreeMap<Process, (Configuration, u64, usize)>,
    /// When a voter said last that it is about to leave.
    parts: Option<u64>,
}

/// So long before a configuration is told, one of its voters may have said that it is about to leave:
/// it stays for five seconds, and the Goose may see later that it is missed. In nanoseconds.
const MISSED: u64 = 10_000_000_000;

impl Steps {
    /// A process is gone.
    pub fn ended(&mut self, process: Process) {
        self.told.remove(&process);
    }

    /// A voter says that it is about to leave.
    pub fn parts(&mut self, at: u64) {
        self.parts = Some(at);
    }

    /// A Goose tells a voter who votes.
    ///
    /// # Errors
    /// If that is no step from what it told before.
    pub fn tells(&mut self, at: u64, goose: Process, configuration: &Configuration) -> Verdict {
        let known = self.told.remove(&goose);
        let known = known.filter(|(last, ..)| last.ballot == configuration.ballot);
        let number = configuration.voters.len();
        let least = known.as_ref().map_or(number, |(.., least)| *least);
        let same = known.as_ref().filter(|(last, ..)| last == configuration);
        let since = same.map_or(at, |(_, since, _)| *since);
        self.told.insert(goose, (configuration.clone(), since, least.min(number)));
        let Some((last, told_at, _)) = known else { return Ok(()) };
        let (before, after) = (&last.voters, &configuration.voters);
        let ids = before.ids().iter().chain(after.ids());
        let changed = ids.filter(|id| before.contains(**id) != after.contains(**id)).count();
        let versions = configuration.version.abs_diff(last.version);
        let wanted = configuration.automatic.map_or(0, |number| usize::from(kept(number)));
        let is_missed = self.parts.is_some_and(|said| told_at < said + MISSED);
        let are_few = number < least && number < wanted;
        let is_loss = are_few && !is_missed;
        if u64::try_from(changed).unwrap_or(u64::MAX) > versions {
            let sentence = format!("{goose} makes {after} of voters {before} in one step");
            return Err(Violation::new(at, Invariant::QuorumsIntersect, sentence));
        }
        if is_loss {
            let sentence = format!("{goose} makes {after} of voters {before}, and keeps {wanted}");
            return Err(Violation::new(at, Invariant::VotersKept, sentence));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::checkers::process;
    use crate::vocabulary::configuration::VoterSet;
    use crate::vocabulary::identity::NodeId;

    fn configuration(version: u64, ids: &[u64]) -> Configuration {
        let ids = ids.iter().map(|id| NodeId::new(*id).unwrap()).collect();
        let voters = VoterSet::new(ids).unwrap();
        Configuration { ballot: 7, version, voters, preempt: false, automatic: Some(3) }
    }

    #[test]
    fn a_step_is_one_voter_and_none_below_what_is_wanted() {
        let tell = |one: &[u64], version, other: &[u64]| {
            let mut steps = Steps::default();
            steps.tells(1, process(1, 1), &configuration(1, one)).unwrap();
            let verdict = steps.tells(2, process(1, 1), &configuration(version, other));
            verdict.map_err(|violation| violation.invariant)
        };
        assert_eq!(tell(&[1], 2, &[1, 2]), Ok(()));
        assert_eq!(tell(&[1, 2, 3, 4], 2, &[2, 3, 4]), Ok(()));
        assert_eq!(tell(&[1, 2, 3], 2, &[2, 3]), Err(Invariant::VotersKept));
        assert_eq!(tell(&[1, 2, 3], 2, &[1, 2, 4]), Err(Invariant::QuorumsIntersect));
        assert_eq!(tell(&[1, 2, 3], 3, &[1, 2, 4]), Ok(()), "it told nobody of the one between");
        let mut steps = Steps::default();
        for (version, ids) in [(1, &[1][..]), (2, &[1, 2]), (3, &[2])] {
            let verdict = steps.tells(1, process(1, 1), &configuration(version, ids));
            assert!(verdict.is_ok(), "the only voter is replaced");
        }
        let mut steps = Steps::default();
        steps.tells(1, process(1, 1), &configuration(1, &[1, 2, 3])).unwrap();
        let another = Configuration { ballot: 8, ..configuration(1, &[1, 2]) };
        assert!(steps.tells(2, process(1, 1), &another).is_ok(), "another term");
        steps.parts(3);
        let fewer = Configuration { ballot: 8, ..configuration(2, &[1]) };
        assert!(steps.tells(4, process(1, 1), &fewer).is_ok(), "one is about to leave");
    }
}
