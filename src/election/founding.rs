//! How a new cluster starts without a wait, and without ever mistaking an old one for new.
//!
//! A voter on an empty disk cannot know whether it is new or lost its memory. If *every* voter
//! says "my disk was empty" at the same time, nobody can hold a lease, so the first election
//! need not wait one out. Each empty disk is named by a nonce; a voter whose disk was wiped
//! after the founding draws another one, does not find it in the others' maps, and waits.

use std::collections::BTreeMap;

use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::identity::{Boot, NodeId};
use crate::vocabulary::message::Founding;
use crate::vocabulary::plant::{self, Plant};

/// What a virgin voter has heard of the others, in answers to polls of its own boot.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Roll {
    heard: BTreeMap<NodeId, Heard>,
}

#[derive(Clone, Debug, Hash)]
struct Heard {
    boot: Boot,
    status_sequence: u64,
    founding: Founding,
}

impl Roll {
    pub(crate) fn len(&self) -> usize {
        self.heard.len()
    }

    /// Notes what voter `id` says. Older answers of the same process, and answers of earlier
    /// processes, are ignored. Bounded: callers pass voters only.
    pub(crate) fn hear(
        &mut self,
        id: NodeId,
        boot: Boot,
        status_sequence: u64,
        founding: Founding,
    ) {
        if let Some(known) = self.heard.get(&id) {
            let older = boot.start < known.boot.start
                || boot == known.boot && status_sequence <= known.status_sequence;
            if older && !plant::is(Plant::EarlierBootsAnswersAccepted) {
                return;
            }
        }
        self.heard.insert(id, Heard { boot, status_sequence, founding });
    }

    /// The founding map, once every other voter is known to be as new as `me`: each is virgin,
    /// or founded with a map that names `nonce` as mine. None while anyone is missing, has
    /// waited, or contradicts.
    pub(crate) fn map(
        &self,
        me: NodeId,
        nonce: u64,
        voters: &VoterSet,
    ) -> Option<Vec<(NodeId, u64)>> {
        let mut map = BTreeMap::from([(me, nonce)]);
        let mut agrees = |id: NodeId, nonce: u64| {
            *map.entry(id).or_insert(nonce) == nonce || plant::is(Plant::MapWithoutNonces)
        };
        for id in voters.ids().iter().filter(|id| **id != me) {
            let Some(heard) = self.heard.get(id) else {
                if plant::is(Plant::FoundedOnMajority) && self.heard.len() + 1 >= voters.majority()
                {
                    continue;
                }
                return None;
            };
            let consistent = match &heard.founding {
                Founding::Virgin { nonce } => agrees(*id, *nonce),
                Founding::Founded(theirs) => {
                    let complete = theirs.len() == voters.len();
                    complete
                        && theirs
                            .iter()
                            .all(|(id, nonce)| voters.contains(*id) && agrees(*id, *nonce))
                }
                Founding::Waited => false,
            };
            if !consistent {
                return None;
            }
        }
        let complete = map.len() == voters.len() || plant::is(Plant::FoundedOnMajority);
        complete.then(|| map.into_iter().collect())
    }
}

#[cfg(feature = "simulation")]
impl Roll {
    /// See [`super::Election::numbers`].
    pub(crate) fn numbers(&mut self, visit: &mut super::fingerprint::Visitor<'_>) {
        for (id, heard) in &mut self.heard {
            let voter = crate::vocabulary::identity::Process { id: *id, boot: heard.boot };
            let counter = super::fingerprint::Counter::Statuses(voter);
            visit(counter, &mut heard.status_sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn boot(start: u64) -> Boot {
        Boot { start, nonce: start * 7 }
    }

    fn voters() -> VoterSet {
        VoterSet::new(vec![id(1), id(2), id(3)]).unwrap()
    }

    #[test]
    fn everybody_virgin_founds() {
        let mut roll = Roll::default();
        roll.hear(id(2), boot(1), 1, Founding::Virgin { nonce: 22 });
        assert_eq!(roll.map(id(1), 11, &voters()), None, "one is missing");
        roll.hear(id(3), boot(1), 1, Founding::Virgin { nonce: 33 });
        let map = vec![(id(1), 11), (id(2), 22), (id(3), 33)];
        assert_eq!(roll.map(id(1), 11, &voters()), Some(map));
    }

    #[test]
    fn a_map_that_names_another_nonce_of_mine_does_not_found() {
        let mut roll = Roll::default();
        let old = vec![(id(1), 99), (id(2), 22), (id(3), 33)];
        roll.hear(id(2), boot(1), 1, Founding::Founded(old));
        roll.hear(id(3), boot(1), 1, Founding::Virgin { nonce: 33 });
        assert_eq!(roll.map(id(1), 11, &voters()), None);
    }

    #[test]
    fn contradicting_nonces_do_not_found() {
        let mut roll = Roll::default();
        let map = vec![(id(1), 11), (id(2), 22), (id(3), 33)];
        roll.hear(id(2), boot(1), 1, Founding::Founded(map));
        roll.hear(id(3), boot(1), 1, Founding::Virgin { nonce: 34 });
        assert_eq!(roll.map(id(1), 11, &voters()), None);
    }

    #[test]
    fn a_late_answer_of_an_earlier_process_is_ignored() {
        let mut roll = Roll::default();
        roll.hear(id(2), boot(2), 1, Founding::Waited);
        roll.hear(id(2), boot(1), 9, Founding::Virgin { nonce: 22 });
        roll.hear(id(3), boot(1), 1, Founding::Virgin { nonce: 33 });
        assert_eq!(roll.map(id(1), 11, &voters()), None);
    }
}
