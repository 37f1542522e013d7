//! What a person should look at and may still have to: the last warning of each kind, for as long as
//! it is taken to hold.

use std::mem::discriminant;
use std::time::Duration;

use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::time::{HolderTime, Now, WallTime};

/// A warning holds for so long: what goes on being wrong is said again once a minute.
const HOLDS_FOR: Duration = Duration::from_secs(90);

/// One warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    warning: Warning,
    /// When it was given last, by the wall clock of this machine.
    pub wall: WallTime,
    /// The same on the holder clock.
    pub at: HolderTime,
    /// In words.
    pub words: String,
}

impl Complaint {
    /// Whether something does not work, or not for long.
    pub fn is_severe(&self) -> bool {
        matches!(
            self.warning,
            Warning::AddressGone { .. }
                | Warning::TwinVoter { .. }
                | Warning::DuplicateId { .. }
                | Warning::NobodyFounded { .. }
                | Warning::TooSlow { .. }
                | Warning::StoreFailed { .. }
                | Warning::StoreLost
                | Warning::BallotsExhausted
                | Warning::WorkOutlivesLease { .. }
        )
    }

    /// Whether it holds while the node is drained only: an order ends that without a word here.
    pub fn is_of_drained(&self) -> bool {
        matches!(self.warning, Warning::Drained)
    }

    /// Whether it holds until the node has joined, however long that takes: it is said once.
    fn holds_until_joined(&self) -> bool {
        matches!(self.warning, Warning::NobodyFounded { .. } | Warning::SeedsSilent { .. })
    }

    /// Whether it holds until the node is healthy.
    fn holds_until_healthy(&self) -> bool {
        matches!(self.warning, Warning::Unhealthy { .. })
    }
}

/// The last warning of each kind, oldest first: there are no more than kinds.
#[derive(Clone, Debug, Default)]
pub struct Complaints(Vec<Complaint>);

impl Complaints {
    /// What `event`, which reads as `words` and happened `now`, says of what is wrong.
    pub(super) fn note(&mut self, event: &Event, words: &str, now: Now) {
        match event {
            Event::Warning(warning) => {
                let kind = discriminant(warning);
                self.0.retain(|known| discriminant(&known.warning) != kind);
                let (warning, words) = (warning.clone(), words.to_owned());
                self.0.push(Complaint { warning, wall: now.wall, at: now.holder, words });
            }
            Event::Joined => self.0.retain(|known| !known.holds_until_joined()),
            Event::Healthy => self.0.retain(|known| !known.holds_until_healthy()),
            _ => {}
        }
    }

    /// What is taken to hold at `now`.
    pub fn at(&self, now: HolderTime) -> impl Iterator<Item = &Complaint> {
        let holds = move |known: &&Complaint| {
            known.holds_until_joined()
                || known.holds_until_healthy()
                || now.since(known.at) < HOLDS_FOR
        };
        self.0.iter().filter(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_holds_for_a_while_and_one_of_the_way_in_until_the_node_is_in() {
        let at =
            |seconds: u64| Now { holder: HolderTime(seconds * 1_000_000_000), ..Now::default() };
        let silent = Warning::SeedsSilent { seeds: Vec::new() };
        let mut complaints = Complaints::default();
        complaints.note(&Event::Warning(silent), "silent", at(1));
        for seconds in [2, 3] {
            complaints.note(&Event::Warning(Warning::StoreLost), "lost", at(seconds));
        }
        let words = |complaints: &Complaints, seconds| {
            let holding = complaints.at(at(seconds).holder);
            holding.map(|known| (known.words.clone(), known.is_severe())).collect::<Vec<_>>()
        };
        let (silent, lost) = (("silent".to_owned(), false), ("lost".to_owned(), true));
        assert_eq!(words(&complaints, 92), [silent.clone(), lost.clone()]);
        assert_eq!(words(&complaints, 94), [silent]);
        complaints.note(&Event::Joined, "joined", at(10));
        assert_eq!(words(&complaints, 11), [lost]);
    }
}
