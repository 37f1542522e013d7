//! How a node starts from what its disk remembers.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use std::collections::VecDeque;

use super::addresses::Addresses;
use super::awaited::Awaited;
use super::drain::Drain;
use super::join::Joining;
use super::last_will::LastWill;
use super::persistence::Persistence;
use super::proof::Proofs;
use super::receive::Admission;
use super::sealing::Sealing;
use super::starts::Starts;
use super::{NodeCore, StartError};
use crate::election::voter::{Memory, VoterPast};
use crate::election::{Election, ElectionSetup};
use crate::membership::Membership;
use crate::membership::identity::MemberIdentity;
use crate::membership::seeding::Seeding;
use crate::vocabulary::configuration::{Configuration, Genesis, VoterSet};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{Boot, Process};
use crate::vocabulary::message::Assurance;
use crate::vocabulary::metadata::Metadata;
use crate::vocabulary::record::{Disk, Record, Vote};
use crate::vocabulary::setup::Setup;
use crate::vocabulary::snapshot::Counters;
use crate::vocabulary::time::Now;

impl NodeCore {
    /// A node on what `disk` remembers. It says nothing until its first record is stored.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub fn new(setup: Setup, disk: Disk, now: Now) -> Result<Self, StartError> {
        check_record(&setup, &disk)?;
        let record = recorded(&disk);
        let mut random = ChaCha8Rng::from_seed(setup.entropy);
        let last_start = record.map_or(0, |record| record.last_start);
        let start = last_start.saturating_add(1).max(now.wall.0);
        let me = Process { id: setup.id, boot: Boot { start, nonce: random.next_u64() } };

        let mut warnings = Vec::new();
        let genesis = match record.and_then(|record| record.genesis.clone()) {
            Some(recorded) => Some(recorded),
            None => found(&setup, disk == Disk::Ephemeral, &mut warnings),
        };
        let configuration = record
            .and_then(|record| record.configuration.clone())
            .or_else(|| genesis.clone().map(Configuration::genesis));

        let identity = MemberIdentity::new(me, setup.address, setup.eligible);
        let mut membership = Membership::new(identity, &setup.timing, entropy(&mut random));
        membership.describe(Metadata { http: setup.http, tags: setup.tags.clone() });
        let seeding = Seeding::new(&setup.seeds, setup.address, entropy(&mut random));
        let mut addresses = Addresses::default();
        let remembered = record.map(|record| record.addresses.as_slice()).unwrap_or_default();
        for (id, address) in remembered.iter().chain(&setup.voter_addresses) {
            addresses.advertise(*id, *address);
        }
        // Said even while the voters are not known: a loss must not look like no vote ever given.
        let nonce = random.next_u64();
        let vote = matches!(disk, Disk::Damaged(_))
            .then(|| Vote::lost(nonce, left_ballot(&disk), setup.timing.lease_max));
        let stored = Record {
            cluster: setup.cluster.clone(),
            id: setup.id,
            last_start: start,
            genesis: genesis.clone(),
            configuration: configuration.clone(),
            addresses: remembered.to_vec(),
            vote,
        };
        let ephemeral = disk == Disk::Ephemeral;
        let mut node = Self {
            cluster_digest: setup.cluster.digest(),
            me,
            genesis: None,
            assurance: Assurance::Assumed,
            ephemeral,
            awaited: Awaited::new(now.holder),
            starts: Starts::default(),
            election: None,
            membership,
            seeding,
            joining: Joining::new(now.holder, &setup),
            addresses,
            persistence: Persistence::new(stored, ephemeral),
            admission: Admission::default(),
            sealing: Sealing::new(&setup),
            proofs: Proofs::new(&setup),
            leader_freshness: None,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            index: 1,
            started: now.holder,
            clock_offset: None,
            drain: Drain::new(setup.drain_timeout),
            leaving: None,
            last_will: LastWill::default(),
            setup,
        };
        node.past_and_election(genesis, configuration, disk, (nonce, random.next_u32()), now);
        for warning in warnings {
            node.event(Event::Warning(warning));
        }
        node.settle(now);
        Ok(node)
    }

    fn past_and_election(
        &mut self,
        genesis: Option<Genesis>,
        configuration: Option<Configuration>,
        disk: Disk,
        (nonce, first_sequence): (u64, u32),
        now: Now,
    ) {
        let blank = VoterPast::Blank { nonce };
        let lost = VoterPast::Lost { nonce, max_ballot: left_ballot(&disk) };
        let damaged = matches!(disk, Disk::Damaged(_));
        let returns = recorded(&disk).is_some_and(|record| record.genesis.is_some());
        let past = match disk {
            Disk::Empty => blank,
            Disk::Sound(record) => record.vote.map_or(blank, VoterPast::Remembered),
            Disk::Damaged(_) | Disk::Ephemeral => lost,
        };
        self.persistence.remember_past(past, damaged, first_sequence);
        if let (Some(genesis), Some(configuration)) = (genesis, configuration) {
            self.begin_election(genesis, configuration, now);
        }
        if let Some(election) = self.election.as_mut().filter(|_| returns) {
            election.come_late(now.holder);
        }
    }

    /// The voter set is known: the election begins.
    pub(super) fn begin_election(
        &mut self,
        genesis: Genesis,
        configuration: Configuration,
        now: Now,
    ) {
        let (past, damaged, first_sequence) = self.persistence.past();
        let lease = self.setup.timing.lease;
        if lease > genesis.lease_max {
            let granted = genesis.lease_max;
            self.event(Event::Warning(Warning::LeaseAboveCluster { lease, granted }));
        }
        let setup = ElectionSetup {
            me: self.me,
            address: self.setup.address,
            http: self.setup.http,
            configuration: configuration.clone(),
            lease_max: genesis.lease_max,
            memory: match (genesis.ephemeral, self.ephemeral) {
                (true, _) => Memory::Clock,
                (false, true) => Memory::Fleeting,
                (false, false) => Memory::Kept,
            },
            timing: self.setup.timing.clone(),
            eligible: self.setup.eligible,
            past,
            damaged,
            first_sequence,
        };
        self.election = Some(Election::new(setup, now));
        self.persistence.found(genesis.clone(), configuration);
        self.genesis = Some(genesis);
        self.index += 1;
        self.report_memory();
    }

    /// The election begins once more, as if this process had restarted.
    pub(super) fn begin_election_anew(&mut self, now: Now) {
        let Some(election) = self.election.take() else { return };
        let mut configuration = election.configuration().clone();
        if let Some(genesis) =
            self.genesis.as_ref().filter(|it| it.preempt != configuration.preempt)
        {
            configuration = Configuration::genesis(genesis.clone());
        }
        if let Some(past) = election.past() {
            let (_, _, first_sequence) = self.persistence.past();
            self.persistence.remember_past(past, false, first_sequence);
        } else {
            self.persistence.raise_past(election.known_ballot());
        }
        self.persistence.disown_write();
        if let Some(genesis) = self.genesis.clone() {
            self.begin_election(genesis, configuration, now);
        }
    }

    /// How sure this node is of what its cluster was founded with.
    pub(super) fn assurance(&self) -> Assurance {
        match &self.election {
            // Whoever knows a term knows that somebody has led in it.
            Some(election) if election.vouches() || self.term() > 0 => Assurance::Founded,
            Some(election) if election.votes() => Assurance::Told,
            _ => self.assurance,
        }
    }
}

/// The highest ballot that is still readable on a damaged disk.
fn left_ballot(disk: &Disk) -> u64 {
    match disk {
        Disk::Damaged(Some(record)) => record.vote.as_ref().map_or(0, |vote| vote.max_ballot),
        _ => 0,
    }
}

/// The cluster that the settings alone found. Only a voter has a say in whether it keeps records.
fn found(setup: &Setup, ephemeral: bool, warnings: &mut Vec<Warning>) -> Option<Genesis> {
    let voters = if setup.voters.is_some() {
        setup.voters.clone()
    } else if setup.seeds.is_empty() {
        warnings.push(Warning::SingleVoter);
        VoterSet::new(vec![setup.id]).ok()
    } else {
        None
    };
    voters.map(|voters| {
        let ephemeral = ephemeral && voters.contains(setup.id);
        Genesis::new(voters, setup.preempt.unwrap_or(false), &setup.timing, ephemeral)
    })
}

fn recorded(disk: &Disk) -> Option<&Record> {
    match disk {
        Disk::Sound(record) | Disk::Damaged(Some(record)) => Some(record),
        _ => None,
    }
}

/// Whether a node may be started on what `disk` remembers. [`NodeCore::new`] asks the same;
/// whoever asks before can refuse before a port is opened.
///
/// # Errors
/// As [`StartError`] says.
pub fn check_record(setup: &Setup, disk: &Disk) -> Result<(), StartError> {
    let Some(record) = recorded(disk) else { return Ok(()) };
    if record.cluster != setup.cluster || record.id != setup.id {
        let (cluster, own_cluster) = (record.cluster.to_string(), setup.cluster.to_string());
        return Err(StartError::NotOurs { cluster, id: record.id, own_cluster, own: setup.id });
    }
    let recorded = record.configuration.as_ref().map(|configuration| &configuration.voters);
    let founded = record.genesis.as_ref().map(|genesis| &genesis.voters);
    if let (Some(given), Some(newest)) = (&setup.voters, recorded.or(founded))
        && ![founded, recorded].contains(&Some(given))
    {
        let (recorded, given) = (newest.clone(), given.clone());
        return Err(StartError::VotersDiffer { recorded, given });
    }
    match (setup.preempt, &record.configuration) {
        (Some(given), Some(Configuration { preempt: recorded, .. })) if given != *recorded => {
            Err(StartError::PreemptDiffers { recorded: *recorded })
        }
        _ => Ok(()),
    }
}

fn entropy(random: &mut ChaCha8Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    bytes
}
