//! Which founding of a cluster this is.
//!
//! A name and a list of ids are copied from machine to machine, so two clusters may be called and
//! numbered alike. Every founding is unique all the same, and its lineage is the number that says
//! so: whoever belongs to another lineage belongs to another cluster, whatever it is called.
//!
//! The first Goose proposes the lineage, and a majority of the voters settles it, as a value is
//! chosen by single-decree Paxos (Lamport, "Paxos Made Simple", 2001, section 2.2) under the
//! ballots that the election has anyway: the grants of a claim name what each voter stands by, the
//! new Goose proposes the one of the highest ballot among them, and it is settled once a majority
//! stands by it. Voters that heard each other founding stand by the same one from the start, at
//! ballot 0: it is made from the nonces of all of them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::hash::stable_hash;
use super::identity::{NodeId, Process};

/// A cluster remembers so many of the lineages that it was rescued from, the newest of them.
pub const ANCESTORS_MAX: usize = 8;

/// The number of one founding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lineage(NonZeroU64);

impl Lineage {
    /// Of voters that founded with each other, from the nonce of each.
    pub fn of_nonces(nonces: &[(NodeId, u64)]) -> Self {
        let mut sorted = nonces.to_vec();
        sorted.sort_unstable();
        let numbers = sorted.iter().flat_map(|(id, nonce)| [id.number(), *nonce]);
        Self::of_bytes(&numbers.flat_map(u64::to_be_bytes).collect::<Vec<_>>())
    }

    /// As this process proposes in this term, where nobody stands by another one. Its nonce is a
    /// number that nobody else draws.
    pub fn drawn(by: Process, term: u64) -> Self {
        let numbers = [by.id.number(), by.boot.start, by.boot.nonce, term];
        Self::of_bytes(&numbers.into_iter().flat_map(u64::to_be_bytes).collect::<Vec<_>>())
    }

    /// Of what is left of this lineage's cluster after these voters are lost for ever, as a person
    /// says, and `left` vote from then on. All survivors who are told the same, and know of the same
    /// voters, come to the same; any others refuse each other.
    #[must_use]
    pub fn without(self, lost: &[NodeId], left: &[NodeId]) -> Self {
        let sorted = |ids: &[NodeId]| ids.iter().map(|id| id.number()).collect::<BTreeSet<u64>>();
        // No id is 0, which stands between the two.
        let numbers = [self.number()].into_iter().chain(sorted(lost)).chain([0]);
        let numbers = numbers.chain(sorted(left));
        Self::of_bytes(&numbers.flat_map(u64::to_be_bytes).collect::<Vec<_>>())
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        Self(NonZeroU64::new(stable_hash(b"lineage", bytes)).unwrap_or(NonZeroU64::MIN))
    }

    /// The number itself.
    pub fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What a voter stands by, until it hears that something is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proposal {
    /// The lineage.
    pub lineage: Lineage,
    /// The ballot of the Goose that proposed it; 0 for that of the founding.
    pub ballot: u64,
}

impl Proposal {
    /// That of voters that founded with each other.
    pub fn of_founding(nonces: &[(NodeId, u64)]) -> Self {
        Self { lineage: Lineage::of_nonces(nonces), ballot: 0 }
    }

    /// The one that a Goose has to propose again, of all that its voters stand by.
    pub fn newest(proposals: impl Iterator<Item = Self>) -> Option<Self> {
        proposals.max_by_key(|proposal| proposal.ballot)
    }
}

/// What a node says of its lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineageClaim {
    /// The lineage.
    pub lineage: Lineage,
    /// How certain the sender is of that.
    pub certainty: Certainty,
}

/// How certain a lineage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Certainty {
    /// The sender is a voter that stands by what a Goose proposed.
    Proposed,
    /// The sender is a voter that founded with all others, and no Goose has led them yet as far as it
    /// knows.
    Founded,
    /// It is settled.
    Settled,
}

impl LineageClaim {
    /// The lineage, if it is certain.
    pub fn settled(self) -> Option<Lineage> {
        (self.certainty == Certainty::Settled).then_some(self.lineage)
    }

    /// Whether the two cannot be of one founding, or are not to be taken for it. While neither is settled,
    /// two nodes may yet agree. Two processes under one id that both founded with all others did not
    /// found together, for each founding has one nonce of that id; what a Goose proposed tells nothing of
    /// them.
    ///
    /// A voter that founded with all others, and heard nothing since, does not go over to a lineage that
    /// was settled elsewhere: as far as it can tell, that is a cluster which is called and numbered alike,
    /// and its vote would be a second one under its id there. The price: if it fell at once, and the
    /// others founded without it, a person has to empty its state folder.
    pub fn contradicts(self, other: Self, have_one_id: bool) -> bool {
        let founded = |claim: Self| claim.certainty as u8 >= Certainty::Founded as u8;
        let is_any_settled = self.settled().or(other.settled()).is_some();
        let both = founded(self) && founded(other);
        self.lineage != other.lineage && both && (have_one_id || is_any_settled)
    }
}

/// Another founding of a cluster of this name, with the same voters, and where it was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ForeignFounding {
    /// Who belongs to it.
    pub address: SocketAddr,
    /// Its lineage.
    pub lineage: Lineage,
    /// This node's.
    pub own: Lineage,
    /// What the one is to the other.
    pub kinship: Kinship,
    /// Whether this node's is settled. If not, it may have been gone while its own cluster was founded.
    pub is_settled: bool,
}

/// What another lineage is to this node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kinship {
    /// Nothing, as far as this node knows.
    Stranger,
    /// A person has rescued it from this node's.
    Rescued,
    /// A person has rescued this node's from it.
    Ancestor,
}

impl ForeignFounding {
    /// Somebody at this address says the one of its lineage, and this node says the other.
    pub fn met(
        address: SocketAddr,
        theirs: LineageClaim,
        own: LineageClaim,
        kinship: Kinship,
    ) -> Self {
        let is_settled = own.settled().is_some();
        Self { address, lineage: theirs.lineage, own: own.lineage, kinship, is_settled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::Boot;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    #[test]
    fn clusters_that_are_numbered_alike_differ_by_their_nonces() {
        let one = Lineage::of_nonces(&[(id(1), 11), (id(2), 22)]);
        assert_eq!(one, Lineage::of_nonces(&[(id(2), 22), (id(1), 11)]), "in any order");
        assert_ne!(one, Lineage::of_nonces(&[(id(1), 22), (id(2), 11)]));
        assert_ne!(one, Lineage::of_nonces(&[(id(1), 11), (id(2), 23)]));
    }

    #[test]
    fn what_is_drawn_differs_by_process_and_term() {
        let process = |nonce| Process { id: id(1), boot: Boot { start: 1, nonce } };
        let one = Lineage::drawn(process(1), 1);
        assert_eq!(one, Lineage::drawn(process(1), 1));
        assert_ne!(one, Lineage::drawn(process(2), 1));
        assert_ne!(one, Lineage::drawn(process(1), 2));
    }

    #[test]
    fn survivors_who_are_told_the_same_come_to_the_same_lineage() {
        let one = Lineage::of_nonces(&[(id(1), 11), (id(2), 22), (id(3), 33)]);
        let (lost, left) = ([id(2), id(3)], [id(1)]);
        let rescued = one.without(&lost, &left);
        assert_eq!(rescued, one.without(&[id(3), id(2), id(3)], &left));
        assert_ne!(rescued, one.without(&[id(1), id(3)], &left));
        assert_ne!(rescued, one.without(&lost, &[id(4)]), "who votes then is another");
        assert_ne!(rescued, one.without(&[id(2)], &[id(3), id(1)]));
        assert_ne!(rescued, one);
    }

    #[test]
    fn the_newest_proposal_goes_on() {
        let of = |ballot| Proposal { lineage: Lineage::of_nonces(&[(id(1), ballot)]), ballot };
        assert_eq!(Proposal::newest([of(0), of(3), of(2)].into_iter()), Some(of(3)));
        assert_eq!(Proposal::newest(std::iter::empty()), None);
    }

    #[test]
    fn what_is_not_certain_contradicts_what_is_settled_and_under_one_id() {
        use Certainty::{Founded, Proposed, Settled};
        let of = |nonce, certainty| LineageClaim {
            lineage: Lineage::of_nonces(&[(id(1), nonce)]),
            certainty,
        };
        for have_one_id in [false, true] {
            assert!(!of(1, Settled).contradicts(of(1, Settled), have_one_id));
            assert!(of(1, Settled).contradicts(of(2, Settled), have_one_id));
            assert!(of(1, Settled).contradicts(of(2, Founded), have_one_id));
            assert!(of(1, Founded).contradicts(of(2, Settled), have_one_id));
            assert_eq!(of(1, Founded).contradicts(of(2, Founded), have_one_id), have_one_id);
            assert!(!of(1, Settled).contradicts(of(2, Proposed), have_one_id), "a twin");
        }
    }

    #[test]
    fn it_is_written_with_sixteen_digits() {
        assert_eq!(Lineage::of_bytes(b"x").to_string().len(), 16);
    }
}
