//! Preemption: a cluster that was founded with it prefers its highest node even to a sitting
//! Goose.
//!
//! Only the Goose acts, by an ordinary hand-over, so nothing here can make two. What there is to
//! decide is when a higher node has come to stay: when a majority of the voters say that they
//! have heard it reach a majority, without a break, for [`PATIENCE`]. A node that comes and goes
//! would cost the cluster two changes each time, so every hand-over to it doubles what is asked of
//! it next time, up to [`PATIENCE_MAX`].
//!
//! What was tried is remembered by the process that tried it. Another Goose starts afresh, but
//! the Goose between two visits of the highest node is the second highest each time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// A higher node must have reached a majority for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// However often a hand-over to it was tried, so long is enough.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_secs(300);
/// Whoever was not tried for so long is judged afresh.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// The most nodes remembered. There are never more warm standbys than voters and a few.
const TRIED_MAX: usize = 16;

/// Whom this process handed over to, how often, and when last.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Preemption {
    tried: BTreeMap<NodeId, (u32, HolderTime)>,
    /// Nobody is handed the lease of this term for being higher before then.
    paused: Option<(u64, HolderTime)>,
}

impl Preemption {
    /// How long `id` must have reached a majority before it is handed the lease.
    pub(crate) fn patience(&self, id: NodeId, now: HolderTime) -> Duration {
        let recent = |(_, last): &&(u32, HolderTime)| now.since(*last) < FORGOTTEN_AFTER;
        let times = self.tried.get(&id).filter(recent).map_or(0, |(times, _)| *times);
        PATIENCE.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(PATIENCE_MAX)
    }

    /// Nobody is handed the lease of this term for being higher before then; a time that is over
    /// ends that.
    pub(crate) fn pause(&mut self, term: u64, until: HolderTime) {
        self.paused = Some((term, until));
    }

    /// Whether that is so under this term.
    pub(crate) fn is_paused(&self, term: u64, now: HolderTime) -> bool {
        self.paused.is_some_and(|(of, until)| of == term && now < until)
    }

    /// Notes a hand-over to `id`.
    pub(crate) fn note(&mut self, id: NodeId, now: HolderTime) {
        self.tried.retain(|_, (_, last)| now.since(*last) < FORGOTTEN_AFTER);
        let entry = self.tried.entry(id).or_insert((0, now));
        *entry = (entry.0.saturating_add(1), now);
        if self.tried.len() > TRIED_MAX {
            let oldest = self.tried.iter().min_by_key(|(_, (_, last))| *last).map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                self.tried.remove(&oldest);
            }
        }
    }

    /// The highest node above `me` of which `majority` voters say that it has come to stay.
    /// `said`: of each voter that grants, the best standby it knows, and for how long.
    pub(crate) fn successor(
        &self,
        me: NodeId,
        majority: usize,
        said: &[(Process, Duration)],
        now: HolderTime,
    ) -> Option<Process> {
        let best = said.iter().map(|(process, _)| *process).filter(|it| it.id > me).max()?;
        let hasty = mutant::is(Mutant::PreemptionWithoutPatience);
        let patience = if hasty { Duration::ZERO } else { self.patience(best.id, now) };
        let agree = said.iter().filter(|(process, span)| *process == best && *span >= patience);
        (agree.count() >= majority).then_some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::Boot;

    fn node(number: u64) -> Process {
        Process { id: NodeId::new(number).unwrap(), boot: Boot { start: 1, nonce: number } }
    }

    fn at(seconds: u64) -> HolderTime {
        HolderTime(seconds * 1_000_000_000)
    }

    fn said(number: u64, seconds: [u64; 3]) -> Vec<(Process, Duration)> {
        seconds.map(|seconds| (node(number), Duration::from_secs(seconds))).to_vec()
    }

    #[test]
    fn a_majority_must_have_seen_the_higher_node_stay() {
        let preemption = Preemption::default();
        let successor =
            |said: &[(Process, Duration)]| preemption.successor(node(4).id, 2, said, at(100));
        assert_eq!(successor(&said(5, [5, 6, 0])), Some(node(5)));
        assert_eq!(successor(&said(5, [6, 4, 4])), None, "only one voter has seen it for long");
        assert_eq!(successor(&said(3, [9, 9, 9])), None, "a lower node");
        assert_eq!(successor(&[]), None);
    }

    #[test]
    fn another_process_of_the_same_node_is_judged_by_itself() {
        let restarted = Process { boot: Boot { start: 2, nonce: 1 }, ..node(5) };
        let long = Duration::from_secs(60);
        let said = [(node(5), long), (restarted, Duration::ZERO), (restarted, Duration::ZERO)];
        assert_eq!(Preemption::default().successor(node(4).id, 2, &said, at(100)), None);
    }

    #[test]
    fn every_try_doubles_what_is_asked_until_it_is_forgotten() {
        let mut preemption = Preemption::default();
        let id = node(5).id;
        let mut asked = Vec::new();
        for _ in 0..8 {
            asked.push(preemption.patience(id, at(100)).as_secs());
            preemption.note(id, at(100));
        }
        assert_eq!(asked, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(preemption.patience(node(6).id, at(100)), PATIENCE);
        assert_eq!(preemption.patience(id, at(700)), PATIENCE);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut preemption = Preemption::default();
        for number in 1..100 {
            preemption.note(node(number).id, at(number));
        }
        assert_eq!(preemption.tried.len(), TRIED_MAX);
        assert!(preemption.tried.contains_key(&node(99).id));
    }
}
