//! What a node must not forget: one small record, kept in two alternating slots.
//!
//! A voter may answer only what it could still stand by after a crash. So the highest ballot,
//! its holder, the longest lease that may be in force, the voter configuration and the state of
//! founding are durable *before* any answer that relies on them. The core hands a [`Record`]
//! out to be stored and waits to be told; where it is stored is the shell's business.
//!
//! Two slots are written in turn, in place, so that a write which is cut short damages only
//! the slot that nothing relies on yet. A damaged slot cannot be told from one that held the
//! newest record and rotted, so [`Disk::of_slots`] treats it as a loss: a voter then asks all the
//! others instead of guessing.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::codec;
use super::message::Founding;
use crate::vocabulary::configuration::{ClusterName, Configuration, Genesis};
use crate::vocabulary::hash::stable_hash;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::lineage::{Lineage, Proposal};

/// The size of one slot in bytes; a record is always smaller.
pub const SLOT_SIZE: usize = 4096;

/// What every slot begins with, and the version of the record in two digits.
const NAME: &[u8] = b"GAGGLE";
const VERSION: &[u8] = b"07";

/// Everything durable about a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which cluster.
    pub cluster: ClusterName,
    /// Which node of it.
    pub id: NodeId,
    /// The start number of the newest boot.
    pub last_start: u64,
    /// What the cluster was founded with, once known.
    pub genesis: Option<Genesis>,
    /// What is in force, as far as this node knows; for one that votes: what it stands by.
    pub configuration: Option<Configuration>,
    /// Which founding it is, once that is settled.
    pub lineage: Option<Lineage>,
    /// The lineages that a person has rescued this one from, the newest last.
    pub ancestors: Vec<Lineage>,
    /// Whether a person has told this node to hold back until told otherwise.
    pub is_drained: bool,
    /// Until when it holds back because a person has said so for a while: by the wall clock, in
    /// milliseconds since 1970.
    pub held_until: Option<u64>,
    /// Where the voters were last seen: a restart needs no seed.
    pub addresses: Vec<(NodeId, SocketAddr)>,
    /// What it owes as a voter, once it is one.
    pub vote: Option<Vote>,
}

/// What a voter must not forget.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// The highest ballot granted, released or learned. Never falls.
    pub max_ballot: u64,
    /// Who holds `max_ballot`, unless it was released.
    pub max_holder: Option<Process>,
    /// The longest lease that any grant still in force may have had.
    pub max_lease_in_force: Duration,
    /// How it stands with founding.
    pub founding: Founding,
    /// By which lineage it stands: it may be settled already, and must not be forgotten.
    pub lineage: Option<Proposal>,
}

impl Vote {
    /// What is left of a vote that was lost: nothing is known but that it was for `max_ballot` or
    /// more, and for `lease_max` or less.
    pub fn lost(nonce: u64, max_ballot: u64, lease_max: Duration) -> Self {
        Self {
            max_ballot,
            max_holder: None,
            max_lease_in_force: lease_max,
            founding: Founding::Lost { nonce },
            lineage: None,
        }
    }
}

/// What a starting node finds of its past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Nothing: never started here.
    Empty,
    /// A sound record.
    Sound(Record),
    /// Something was there, and at least part of it is unreadable. What one sound slot still
    /// says is kept for its start number and voter set, and not believed for votes.
    Damaged(Option<Record>),
    /// No disk is kept at all: every start is a loss.
    Ephemeral,
}

impl Disk {
    /// Reads both slots. The second value is the generation of the newest sound record, 0 if
    /// none: the next write uses the slot `(generation + 1) % 2`.
    pub fn of_slots(slots: [&[u8]; 2]) -> (Self, u64) {
        let mut newest: Option<(u64, Record)> = None;
        let mut damaged = false;
        for slot in slots {
            match open(slot) {
                Slot::Empty => {}
                Slot::Damaged => damaged = true,
                Slot::Sound(generation, record) => {
                    if newest.as_ref().is_none_or(|(best, _)| generation > *best) {
                        newest = Some((generation, *record));
                    }
                }
            }
        }
        let generation = newest.as_ref().map_or(0, |(generation, _)| *generation);
        // From the second write on both slots are in use: an empty one was wiped or cut off,
        // and may have held the newest record. (A lone first record cannot be told from a lost
        // second one.)
        damaged |= generation >= 2 && slots.iter().any(|slot| matches!(open(slot), Slot::Empty));
        let record = newest.map(|(_, record)| record);
        let disk = match (damaged, record) {
            (true, record) => Self::Damaged(record),
            (false, Some(record)) => Self::Sound(record),
            (false, None) => Self::Empty,
        };
        (disk, generation)
    }
}

/// The generation of the write that follows `generation`; none after the last, which no disk
/// lives to see and only a made-up record names.
pub fn next_generation(generation: u64) -> Option<u64> {
    generation.checked_add(1)
}

enum Slot {
    Empty,
    Damaged,
    Sound(u64, Box<Record>),
}

/// The bytes of one slot: magic, generation, length, record, checksum, zeros.
///
/// # Errors
/// If the record does not fit into [`SLOT_SIZE`]; nothing is written then.
pub fn seal(record: &Record, generation: u64) -> Result<Vec<u8>, codec::CodecError> {
    let mut payload = Vec::with_capacity(512);
    codec::encode_into(record, &mut payload)?;
    let mut slot = Vec::with_capacity(SLOT_SIZE);
    slot.extend_from_slice(NAME);
    slot.extend_from_slice(VERSION);
    slot.extend_from_slice(&generation.to_le_bytes());
    slot.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    slot.extend_from_slice(&payload);
    let checksum = stable_hash(b"record slot", &slot);
    slot.extend_from_slice(&checksum.to_le_bytes());
    if slot.len() > SLOT_SIZE {
        return Err(codec::CodecError::Surplus(slot.len() - SLOT_SIZE));
    }
    slot.resize(SLOT_SIZE, 0);
    Ok(slot)
}

fn open(slot: &[u8]) -> Slot {
    if slot.iter().all(|byte| *byte == 0) {
        return Slot::Empty;
    }
    match open_written(slot) {
        Some((generation, record)) => Slot::Sound(generation, Box::new(record)),
        None => Slot::Damaged,
    }
}

/// The version of a sound slot in digits, its generation, and what it holds. All versions agree on
/// this frame.
fn frame(slot: &[u8]) -> Option<(&[u8], u64, &[u8])> {
    let number = |from: usize| -> Option<u64> {
        Some(u64::from_le_bytes(slot.get(from..from.checked_add(8)?)?.try_into().ok()?))
    };
    let version = slot.get(..8)?.strip_prefix(NAME)?;
    let generation = number(8)?;
    let end = usize::try_from(number(16)?).ok()?.checked_add(24)?;
    let checksum = number(end)?;
    if generation == 0 || stable_hash(b"record slot", slot.get(..end)?) != checksum {
        return None;
    }
    Some((version, generation, slot.get(24..end)?))
}

fn open_written(slot: &[u8]) -> Option<(u64, Record)> {
    let (version, generation, payload) = frame(slot)?;
    let record = match older::Version::of(version) {
        Some(older) => older.read(payload)?,
        None if version == VERSION => codec::decode_whole(payload).ok()?,
        None => return None,
    };
    Some((generation, record))
}

/// Whether a later program wrote either slot: what it says cannot be read here, and must not count as
/// lost.
pub fn is_of_later_version(slots: [&[u8]; 2]) -> bool {
    let is_later = |version: &[u8]| version.iter().all(u8::is_ascii_digit) && version > VERSION;
    slots.into_iter().filter_map(frame).any(|(version, ..)| is_later(version))
}

/// Records that earlier versions of this program wrote: a node is never updated into having lost
/// its record. Each version has its own types, with the fields that it had, and says what stands
/// for what it did not know. What the fields themselves consist of has not changed since.
mod older {
    use std::net::SocketAddr;
    use std::time::Duration;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::{Record, Vote};
    use crate::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
    use crate::vocabulary::identity::{NodeId, Process};
    use crate::vocabulary::lineage::{Lineage, Proposal};
    use crate::vocabulary::timing::LEASE_CEILING;
    use crate::wire::codec;
    use crate::wire::message::Founding;

    /// A version that is no longer written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Version {
        /// Founded with voters and a preference only.
        Second,
        /// Without a lineage.
        Third,
        /// With voters that never changed.
        Fourth,
        /// Never rescued.
        Fifth,
        /// Held back for no while.
        Sixth,
    }

    impl Version {
        /// The version of these digits.
        pub(super) fn of(digits: &[u8]) -> Option<Self> {
            match digits {
                b"02" => Some(Self::Second),
                b"03" => Some(Self::Third),
                b"04" => Some(Self::Fourth),
                b"05" => Some(Self::Fifth),
                b"06" => Some(Self::Sixth),
                _ => None,
            }
        }

        /// The record in a slot of this version.
        pub(super) fn read(self, payload: &[u8]) -> Option<Record> {
            match self {
                Self::Second => {
                    whole::<OlderRecord<SecondGenesis>>(payload).map(OlderRecord::of_second)
                }
                Self::Third => whole::<OlderRecord<Genesis>>(payload).map(OlderRecord::now),
                Self::Fourth => whole::<LaterRecord<FixedConfiguration>>(payload)
                    .map(|record| record.now(FixedConfiguration::now)),
                Self::Fifth => whole::<LaterRecord<Configuration>>(payload)
                    .map(|record| record.now(|configuration| configuration)),
                Self::Sixth => whole::<SixthRecord>(payload).map(SixthRecord::now),
            }
        }
    }

    fn whole<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
        codec::decode_whole(payload).ok()
    }

    /// What was in force while voters never changed.
    #[derive(Deserialize)]
    struct FixedConfiguration {
        ballot: u64,
        version: u64,
        voters: VoterSet,
        preempt: bool,
    }

    impl FixedConfiguration {
        fn now(self) -> Configuration {
            let Self { ballot, version, voters, preempt } = self;
            Configuration { ballot, version, voters, preempt, automatic: None }
        }
    }

    #[derive(Deserialize)]
    struct SixthRecord {
        cluster: ClusterName,
        id: NodeId,
        last_start: u64,
        genesis: Option<Genesis>,
        configuration: Option<Configuration>,
        lineage: Option<Lineage>,
        ancestors: Vec<Lineage>,
        is_drained: bool,
        addresses: Vec<(NodeId, SocketAddr)>,
        vote: Option<Vote>,
    }

    impl SixthRecord {
        fn now(self) -> Record {
            let Self { cluster, id, last_start, genesis, configuration, lineage, .. } = self;
            Record {
                cluster,
                id,
                last_start,
                genesis,
                configuration,
                lineage,
                ancestors: self.ancestors,
                is_drained: self.is_drained,
                held_until: None,
                addresses: self.addresses,
                vote: self.vote,
            }
        }
    }

    #[derive(Deserialize)]
    struct LaterRecord<C> {
        cluster: ClusterName,
        id: NodeId,
        last_start: u64,
        genesis: Option<Genesis>,
        configuration: Option<C>,
        lineage: Option<Lineage>,
        is_drained: bool,
        addresses: Vec<(NodeId, SocketAddr)>,
        vote: Option<Vote>,
    }

    impl<C> LaterRecord<C> {
        /// `configuration`: what was in force, in today's words.
        fn now(self, configuration: impl FnOnce(C) -> Configuration) -> Record {
            let Self { cluster, id, last_start, genesis, lineage, is_drained, addresses, .. } =
                self;
            Record {
                cluster,
                id,
                last_start,
                genesis,
                configuration: self.configuration.map(configuration),
                lineage,
                ancestors: Vec::new(),
                is_drained,
                held_until: None,
                addresses,
                vote: self.vote,
            }
        }
    }

    #[derive(Deserialize)]
    struct OlderRecord<G> {
        cluster: ClusterName,
        id: NodeId,
        last_start: u64,
        genesis: Option<G>,
        configuration: Option<FixedConfiguration>,
        addresses: Vec<(NodeId, SocketAddr)>,
        vote: Option<OlderVote>,
    }

    #[derive(Deserialize)]
    struct OlderVote {
        max_ballot: u64,
        max_holder: Option<Process>,
        max_lease_in_force: Duration,
        founding: Founding,
    }

    impl OlderVote {
        /// All voters of one founding stand by the same lineage, as if they had founded today.
        fn now(self) -> Vote {
            let Self { max_ballot, max_holder, max_lease_in_force, founding } = self;
            Vote { max_ballot, max_holder, max_lease_in_force, founding, lineage: None }
        }
    }

    impl OlderRecord<Genesis> {
        fn now(self) -> Record {
            let Self { cluster, id, last_start, genesis, configuration, addresses, vote } = self;
            let mut vote = vote.map(OlderVote::now);
            if let (Some(genesis), Some(vote)) = (&genesis, &mut vote)
                && let Founding::Founded(nonces) = &vote.founding
                && nonces.len() == genesis.voters.len()
            {
                vote.lineage = Some(Proposal::of_founding(nonces));
            }
            Record {
                cluster,
                id,
                last_start,
                genesis,
                configuration: configuration.map(FixedConfiguration::now),
                lineage: None,
                ancestors: Vec::new(),
                is_drained: false,
                held_until: None,
                addresses,
                vote,
            }
        }
    }

    #[derive(Deserialize)]
    struct SecondGenesis {
        voters: VoterSet,
        preempt: bool,
    }

    impl OlderRecord<SecondGenesis> {
        /// Every voter of a cluster reads the same out of it: nobody knows what lease was the longest
        /// there, so it was the longest that there is.
        fn of_second(self) -> Record {
            let Self { cluster, id, last_start, genesis, configuration, addresses, mut vote } =
                self;
            let genesis = genesis.map(|SecondGenesis { voters, preempt }| Genesis {
                voters,
                preempt,
                lease_max: LEASE_CEILING,
                ephemeral: false,
            });
            if let Some(vote) = &mut vote
                && vote.founding == Founding::Waited
                && vote.max_ballot == 0
            {
                // So that version said that a record was lost.
                vote.founding = Founding::Lost { nonce: last_start };
            }
            OlderRecord { cluster, id, last_start, genesis, configuration, addresses, vote }.now()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::configuration::VoterSet;
    use crate::vocabulary::timing::{LEASE_CEILING, Profile, Timing};

    fn voters() -> VoterSet {
        VoterSet::new([1, 2, 3].map(|id| NodeId::new(id).unwrap()).to_vec()).unwrap()
    }

    fn vote(max_ballot: u64, founding: Founding) -> Vote {
        Vote {
            max_ballot,
            max_holder: None,
            max_lease_in_force: Duration::from_millis(600),
            founding,
            lineage: None,
        }
    }

    /// A slot as the second version wrote it: the same frame, another magic, and a genesis of
    /// voters and preference alone.
    fn second_slot(generation: u64, vote: &Vote) -> Vec<u8> {
        older_slot(*b"GAGGLE02", generation, (voters(), true), vote)
    }

    fn older_slot(
        magic: [u8; 8],
        generation: u64,
        founded: impl Serialize,
        vote: &Vote,
    ) -> Vec<u8> {
        let genesis = Genesis::new(voters(), true, &Timing::of(Profile::Lan), false);
        let Vote { max_ballot, max_holder, max_lease_in_force, founding, .. } = vote;
        let record = (
            ClusterName::new("gaggle").unwrap(),
            NodeId::new(2).unwrap(),
            77_u64,
            Some(founded),
            Some((0_u64, 1_u64, voters(), genesis.preempt)),
            vec![(NodeId::new(1).unwrap(), SocketAddr::from(([10, 0, 0, 1], 8000)))],
            Some((max_ballot, max_holder, max_lease_in_force, founding)),
        );
        let mut payload = Vec::new();
        codec::encode_into(&record, &mut payload).unwrap();
        let mut slot = magic.to_vec();
        slot.extend(generation.to_le_bytes());
        slot.extend((payload.len() as u64).to_le_bytes());
        slot.extend(payload);
        let checksum = stable_hash(b"record slot", &slot);
        slot.extend(checksum.to_le_bytes());
        slot.resize(SLOT_SIZE, 0);
        slot
    }

    fn sound(slots: [&[u8]; 2]) -> (Record, u64) {
        match Disk::of_slots(slots) {
            (Disk::Sound(record), generation) => (record, generation),
            (other, _) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_of_the_second_version_is_a_record() {
        let old = second_slot(1, &vote(9, Founding::Waited));
        let (record, generation) = sound([&old, &vec![0; SLOT_SIZE]]);
        assert_eq!((generation, record.id.number(), record.last_start), (1, 2, 77));
        assert_eq!(record.vote, Some(vote(9, Founding::Waited)), "a promise outlives an update");
        let genesis = record.genesis.clone().unwrap();
        assert_eq!((genesis.voters, genesis.preempt), (voters(), true));
        assert_eq!((genesis.lease_max, genesis.ephemeral), (LEASE_CEILING, false));
        // The first write after the update goes beside it, and counts from then on.
        let mut newer = record;
        newer.last_start = 78;
        let written = seal(&newer, next_generation(generation).unwrap()).unwrap();
        assert_eq!(sound([&old, &written]), (newer, 2));
    }

    /// All of one founding make the same lineage out of it, if each was there.
    #[test]
    fn a_record_of_the_third_version_stands_by_what_its_founding_makes() {
        let genesis = Genesis::new(voters(), true, &Timing::of(Profile::Lan), true);
        let nonces: Vec<_> = (1..=3).map(|id| (NodeId::new(id).unwrap(), id * 11)).collect();
        let lineage = |nonces: &[(NodeId, u64)]| {
            let vote = vote(9, Founding::Founded(nonces.to_vec()));
            let old = older_slot(*b"GAGGLE03", 1, genesis.clone(), &vote);
            let (record, _) = sound([&old, &vec![0; SLOT_SIZE]]);
            assert_eq!(record.genesis.as_ref(), Some(&genesis));
            assert_eq!((record.lineage, record.is_drained), (None, false));
            record.vote.unwrap().lineage
        };
        assert_eq!(lineage(&nonces), Some(Proposal::of_founding(&nonces)));
        assert_eq!(lineage(&nonces[..2]), None, "a majority founded: others may have heard others");
    }

    /// It said so by a vote that had waited and knew no ballot.
    #[test]
    fn a_loss_that_the_second_version_noted_is_still_a_loss() {
        let old = second_slot(1, &vote(0, Founding::Waited));
        let (record, _) = sound([&vec![0; SLOT_SIZE], &old]);
        assert_eq!(record.vote.map(|vote| vote.founding), Some(Founding::Lost { nonce: 77 }));
    }

    #[test]
    fn a_version_that_is_not_known_is_no_record() {
        let mut old = second_slot(1, &vote(9, Founding::Waited));
        old[7] = b'1';
        let empty = vec![0; SLOT_SIZE];
        assert!(matches!(Disk::of_slots([&old, &empty]).0, Disk::Damaged(None)));
    }
}
