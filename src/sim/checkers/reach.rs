//! I10: a Goose that reaches no majority of its voters is a Duck within D.
//!
//! Who reaches whom is what the network was told: a request that is sent into a cut wins
//! nothing, so nobody leads for longer than D after it could last send to a majority. Loss,
//! delay and answers that get lost are not looked at, so this judge is a lenient one; what a
//! lease is worth at every instant is for I3 and for the rules of counting.

use std::collections::BTreeMap;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::MARGIN;

/// Allowed for the rounding of nanoseconds on the way from one clock to another.
const ROUNDING: u64 = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Reach {
    /// Since when what one host sends to another is lost.
    closed: BTreeMap<(usize, usize), u64>,
}

/// The longest true span for which a lease of so many nanoseconds may be counted: D, by the
/// slowest clock that is allowed.
fn acting_span(lease: u64) -> u64 {
    let true_span = u64::try_from(u128::from(lease) * 1000 / 1005).unwrap_or(u64::MAX);
    true_span.saturating_sub(nanoseconds(MARGIN))
}

impl Reach {
    /// The network has changed: whether host `from` may send to host `to` now.
    pub fn note(&mut self, at: u64, from: usize, to: usize, open: bool) {
        if open {
            self.closed.remove(&(from, to));
        } else {
            self.closed.entry((from, to)).or_insert(at);
        }
    }

    /// The process on host `index` leads until `end`, in true time, under leases of `lease`
    /// nanoseconds. `voters`: the hosts on which each voter may be.
    ///
    /// # Errors
    /// If it could send to no majority for too long to lead so long.
    pub fn leads(
        &self,
        at: u64,
        (index, process): (usize, Process),
        end: u64,
        lease: u64,
        voters: &[Vec<usize>],
    ) -> Verdict {
        let last_open = |host: &usize| self.closed.get(&(index, *host)).copied().unwrap_or(at);
        let mut reached: Vec<u64> =
            voters.iter().map(|hosts| hosts.iter().map(last_open).max().unwrap_or(0)).collect();
        reached.sort_unstable_by(|one, other| other.cmp(one));
        let Some(since) = reached.get(voters.len() / 2).filter(|since| **since < at) else {
            return Ok(());
        };
        if end <= since + acting_span(lease) + ROUNDING {
            return Ok(());
        }
        let sentence =
            format!("{process} reaches no majority since {since} and means to lead until {end}");
        Err(Violation::new(at, Invariant::MinorityYields, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn a_goose_without_a_majority_leads_for_what_was_granted_before_and_no_longer() {
        let mut reach = Reach::default();
        let (lease, goose) = (600 * MILLI, (2, process(3, 1)));
        let voters = [vec![0], vec![1], vec![2]];
        let leads = |reach: &Reach, end| reach.leads(2500 * MILLI, goose, end, lease, &voters);
        reach.note(2000 * MILLI, 2, 0, false);
        assert!(leads(&reach, 9000 * MILLI).is_ok(), "itself and another are a majority");
        reach.note(2100 * MILLI, 2, 1, false);
        reach.note(2200 * MILLI, 2, 1, false);
        let end = 2100 * MILLI + acting_span(lease);
        assert!(leads(&reach, end).is_ok());
        let broken = leads(&reach, end + MILLI).unwrap_err();
        assert_eq!(broken.invariant, Invariant::MinorityYields);
        reach.note(2400 * MILLI, 2, 0, true);
        assert!(leads(&reach, 9000 * MILLI).is_ok());
        assert_eq!(acting_span(lease) / MILLI, 577);
    }
}
