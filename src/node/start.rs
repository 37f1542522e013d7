//! How a node starts from what its disk remembers.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use super::NodeCore;
use super::addresses::Addresses;
use super::admission::Admission;
use super::automation::Automation;
use super::awaited::Awaited;
use super::cluster::Cluster;
use super::drain::Drain;
use super::drained::DrainOrder;
use super::health::Health;
use super::join::{Joining, SEEDS_PATIENCE};
use super::last_will::LastWill;
use super::outputs::Outputs;
use super::pace::Pace;
use super::parting::Parting;
use super::pause::Pause;
use super::persistence::Persistence;
use super::proof::Proofs;
use super::sealing::Sealing;
use super::stall::Stall;
use super::starts::Starts;
use crate::election::voter::{Memory, VoterPast};
use crate::election::{Election, ElectionSetup, Known};
use crate::membership::Membership;
use crate::membership::identity::MemberIdentity;
use crate::membership::seeding::Seeding;
use crate::node::setup::Setup;
use crate::vocabulary::configuration::{Configuration, Genesis, VoterSet};
use crate::vocabulary::event::Warning;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::metadata::Metadata;
use crate::vocabulary::time::Now;
use crate::wire::message::Welcome;
use crate::wire::record::{Disk, Record, Vote};

/// Why a node cannot be started on what was found on its disk. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The record names another voter set than the one given.
    #[error(
        "the record on disk was founded with voters {recorded}, but --voters says {given}: leave \
         --voters out to go on with the recorded set, or start with an empty --state-dir to found \
         another cluster"
    )]
    VotersDiffer {
        /// On disk.
        recorded: VoterSet,
        /// Given.
        given: VoterSet,
    },
    /// The record says otherwise of preemption.
    #[error(
        "the record on disk says that this cluster runs {} --preempt, which was settled when it \
         was founded: say --preempt={recorded} or leave it out, or start with an empty \
         --state-dir to found another cluster",
        if *recorded { "with" } else { "without" }
    )]
    PreemptDiffers {
        /// On disk.
        recorded: bool,
    },
    /// The record is of a node whose id was made of an address, and this node's is made of
    /// another.
    #[error(
        "the record on disk belongs to node {id}, whose id was made of the address {was}, but this \
         node's id is made of {now}, so it is node {own} and not that voter: if the machine got \
         another address, keep its id with --id {id}, and write {id}={now} in place of {was} \
         wherever --voters names it; if this is another node, give it its own --state-dir"
    )]
    AddressChanged {
        /// The recorded id.
        id: NodeId,
        /// What that was made of.
        was: SocketAddr,
        /// This node.
        own: NodeId,
        /// Where it is.
        now: SocketAddr,
    },
    /// The record belongs to another node or another cluster.
    #[error(
        "the record on disk belongs to node {id} of cluster \"{cluster}\", but this is node {own} \
         of cluster \"{own_cluster}\": give each node its own --state-dir, or correct --id or \
         --cluster"
    )]
    NotOurs {
        /// The recorded cluster's name.
        cluster: String,
        /// The recorded id.
        id: NodeId,
        /// This cluster's name.
        own_cluster: String,
        /// This node.
        own: NodeId,
    },
}

/// A node on what `disk` remembers.
pub(super) fn start(setup: Setup, disk: Disk, now: Now) -> Result<NodeCore, StartError> {
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
    let is_drained = record.is_some_and(|record| record.is_drained);
    if is_drained {
        warnings.push(Warning::Drained);
    }
    let health = Health::new(setup.is_checked, setup.if_none_healthy);
    let may_lead = setup.eligible && !is_drained && health.is_healthy();
    let membership = membership(me, &setup, may_lead, entropy(&mut random));
    let seeding = Seeding::new(&setup.seeds, setup.address, entropy(&mut random));
    let remembered = record.map(|record| record.addresses.as_slice()).unwrap_or_default();
    let addresses = Addresses::new(&setup, remembered);
    let nonce = random.next_u64();
    let stored = first_record(&setup, &disk, start, nonce, genesis.as_ref());
    let vote_lineage = record.and_then(|record| record.vote.as_ref()?.lineage);
    let returns = stored.lineage.is_some() || vote_lineage.is_some();
    let mut node = NodeCore {
        me,
        cluster: Cluster::new(&setup.cluster, &stored.ancestors),
        awaited: Awaited::new(now.holder),
        starts: Starts::default(),
        election: None,
        membership,
        joining: Joining::new(now.holder, &setup, seeding, returns),
        addresses,
        persistence: Persistence::new(stored, disk == Disk::Ephemeral),
        admission: Admission::default(),
        sealing: Sealing::new(&setup),
        proofs: Proofs::new(&setup),
        outputs: Outputs::new(),
        started: now.holder,
        clock_offset: None,
        stall: Stall::default(),
        pace: Pace::default(),
        drain: Drain::new(setup.drain_timeout),
        drain_order: DrainOrder::default(),
        health,
        pause: Pause::default(),
        automation: Automation::default(),
        parting: Parting::default(),
        leaving: None,
        last_will: LastWill::default(),
        setup,
    };
    let configuration = node.persistence.configuration();
    let past = PastAtStart { nonce, first_sequence: random.next_u32(), disk };
    node.exchange().opening().begin_first(genesis, configuration, past, now);
    if let (Some(until), Some(election)) = (node.joining.awaits_seeds_until(), &mut node.election)
        && election.configuration().voters.ids() == [node.me.id]
    {
        election.await_seeds(until);
    }
    for warning in warnings {
        node.outputs.warn(warning);
    }
    Ok(node)
}

/// What is to be durable before this process says anything.
fn first_record(
    setup: &Setup,
    disk: &Disk,
    start: u64,
    nonce: u64,
    genesis: Option<&Genesis>,
) -> Record {
    let record = recorded(disk);
    let founded = || genesis.cloned().map(|genesis| founding_configuration(setup, genesis));
    // Said even while the voters are not known: a loss must not look like no vote ever given. Nor
    // does a node forget its vote that has none by the present configuration.
    let vote = match disk {
        Disk::Damaged(_) => Some(Vote::lost(nonce, left_ballot(disk), setup.timing.lease_max)),
        _ => record.and_then(|record| record.vote.clone()),
    };
    Record {
        cluster: setup.cluster.clone(),
        id: setup.id,
        last_start: start,
        genesis: genesis.cloned(),
        configuration: record.and_then(|record| record.configuration.clone()).or_else(founded),
        lineage: record.and_then(|record| record.lineage),
        ancestors: record.map(|record| record.ancestors.clone()).unwrap_or_default(),
        is_drained: record.is_some_and(|record| record.is_drained),
        held_until: record.and_then(|record| record.held_until),
        addresses: record.map(|record| record.addresses.clone()).unwrap_or_default(),
        vote,
    }
}

/// A process that nobody knows yet, as it shows itself to others.
pub(super) fn membership(
    me: Process,
    setup: &Setup,
    may_lead: bool,
    entropy: [u8; 32],
) -> Membership {
    let identity = MemberIdentity::new(me, setup.address, may_lead);
    let mut membership = Membership::new(identity, &setup.timing, entropy);
    let (tags, name) = (setup.tags.clone(), setup.name.clone());
    membership.describe(Metadata { http: setup.http, tags, name });
    membership
}

/// What a voter may make use of at the start of its process.
pub(super) struct PastAtStart {
    nonce: u64,
    first_sequence: u32,
    disk: Disk,
}

/// The beginning of an election, and what it may touch.
pub(super) struct Opening<'a> {
    pub(super) setup: &'a Setup,
    pub(super) me: Process,
    pub(super) cluster: &'a mut Cluster,
    pub(super) persistence: &'a mut Persistence,
    pub(super) health: &'a Health,
    pub(super) election: &'a mut Option<Election>,
    pub(super) outputs: &'a mut Outputs,
}

impl Opening<'_> {
    fn begin_first(
        &mut self,
        genesis: Option<Genesis>,
        configuration: Option<Configuration>,
        PastAtStart { nonce, first_sequence, disk }: PastAtStart,
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
            self.begin(genesis, configuration, now);
        }
        if let Some(election) = self.election.as_mut().filter(|_| returns) {
            election.come_late(now.holder);
        }
    }

    /// The voter set is known: the election begins.
    pub(super) fn begin(&mut self, genesis: Genesis, configuration: Configuration, now: Now) {
        let (past, damaged, first_sequence) = self.persistence.past();
        let lease = self.setup.timing.lease;
        if lease > genesis.lease_max {
            let granted = genesis.lease_max;
            self.outputs.warn(Warning::LeaseAboveCluster { lease, granted });
        }
        let setup = ElectionSetup {
            me: self.me,
            address: self.setup.address,
            http: self.setup.http,
            configuration: configuration.clone(),
            lease_max: genesis.lease_max,
            memory: match (genesis.ephemeral, self.persistence.is_ephemeral()) {
                (true, _) => Memory::Clock,
                (false, true) => Memory::Fleeting,
                (false, false) => Memory::Kept,
            },
            timing: self.setup.timing.clone(),
            first_term: self.setup.first_term,
            eligible: self.setup.eligible
                && !self.persistence.is_drained()
                && self.health.lets_lead(),
            lineage: Known { settled: self.persistence.lineage(), is_nameless: genesis.ephemeral },
            past,
            damaged,
            first_sequence,
            asks_first: if self.setup.seeds.is_empty() { Duration::ZERO } else { SEEDS_PATIENCE },
        };
        let election = self.election.insert(Election::new(setup, now));
        if let Some(hold) = self.persistence.hold(now.wall) {
            election.hold_back(now.holder.plus(hold));
        }
        let votes = election.votes();
        self.persistence.found(genesis.clone(), configuration);
        let cluster = genesis.ephemeral;
        self.cluster.settle(genesis);
        self.outputs.note_change();
        // A voter that keeps records in a cluster that does not, or the other way round, says so.
        if votes && cluster != self.persistence.is_ephemeral() {
            self.outputs.warn(Warning::EphemeralDiffers { cluster, follows: true });
        }
    }

    /// The cluster that a welcome tells of is the one to belong to.
    pub(super) fn follow(&mut self, welcome: &Welcome, now: Now) {
        let configuration = welcome.configuration.clone();
        let cluster = configuration.preempt;
        if self.setup.preempt.is_some_and(|told| told != cluster) {
            self.outputs.warn(Warning::PreemptDiffers { cluster });
        }
        self.begin(welcome.genesis.clone(), configuration, now);
    }

    /// The election begins once more, as if this process had restarted. `genesis`: what the
    /// cluster was founded with, if that is another now.
    pub(super) fn begin_anew(&mut self, genesis: Option<Genesis>, now: Now) {
        let Some(election) = self.election.take() else { return };
        let mut configuration = election.lasting_configuration().clone();
        if let Some(other) = genesis.as_ref().filter(|it| it.preempt != configuration.preempt) {
            configuration = Configuration::genesis(other.clone());
        }
        if let Some(past) = election.past() {
            let (_, _, first_sequence) = self.persistence.past();
            self.persistence.remember_past(past, false, first_sequence);
        } else if let Some(vote) = election.known_vote() {
            self.persistence.raise_past(vote);
        }
        self.persistence.disown_write();
        if genesis.is_some() {
            self.persistence.note_lineage(None);
        }
        if let Some(genesis) = genesis.or_else(|| self.cluster.genesis().cloned()) {
            self.begin(genesis, configuration, now);
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

/// What is in force when a cluster is founded. Whoever founds it alone, and was told of no voters,
/// leaves their number to the Goose.
fn founding_configuration(setup: &Setup, genesis: Genesis) -> Configuration {
    let automatic = setup.automatic.filter(|_| setup.voters.is_none() && !genesis.ephemeral);
    Configuration { automatic, ..Configuration::genesis(genesis) }
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
    let (own, now) = (setup.id, setup.address);
    let made_of_address = NodeId::of_address(now) == Ok(own);
    if record.cluster == setup.cluster
        && record.id != own
        && let Some(was) = record.id.address().filter(|_| made_of_address)
    {
        return Err(StartError::AddressChanged { id: record.id, was, own, now });
    }
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
