//! The record file: two slots of any bytes, as a crash, a bad disk or a bad copy leaves them.
//! What is read of them starts a node, which then lives for a while.
//!
//! An input is a recipe for each slot: nothing, mere bytes, or a sealed record with places
//! spoilt, and then perhaps a checksum that is right again.

use std::time::Duration;

use super::bytes::{Reader, spoil};
use super::{Tally, Target, ensure};
use gaggle::node::setup::Setup;
use gaggle::node::{NodeCore, Output, StartError};
use gaggle::sim::postbox::{self, address};
use gaggle::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
use gaggle::vocabulary::hash::stable_hash;
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::lineage::{Lineage, Proposal};
use gaggle::vocabulary::time::{HolderTime, Now, VoterTime, WallTime, nanoseconds};
use gaggle::vocabulary::timing::{Profile, Timing};
use gaggle::wire::message::Founding;
use gaggle::wire::record::{self, Disk, Record, SLOT_SIZE, Vote};

/// A node that starts on what was found is watched for so long.
const LIFE: Duration = Duration::from_secs(3);
/// In which it wakes up this often at most.
const WAKES_MAX: u32 = 3000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Records;

impl Target for Records {
    fn take(&mut self, input: &[u8], tally: &mut Tally) -> Result<(), String> {
        tally.unit();
        let mut reader = Reader::new(input);
        let slots = [slot(&mut reader), slot(&mut reader)];
        let (disk, generation) = Disk::of_slots([&slots[0], &slots[1]]);
        let (name, found) = match &disk {
            Disk::Empty => ("empty", None),
            Disk::Sound(record) => ("sound", Some(record)),
            Disk::Damaged(Some(record)) => ("damaged, one slot sound", Some(record)),
            Disk::Damaged(None) => ("damaged", None),
            Disk::Ephemeral => return Err("a disk of two slots is no missing one".to_owned()),
        };
        tally.passed(name);
        tally.met(name, 0);
        if let Some(found) = found {
            rewrite(slots, generation, found, tally)?;
        } else {
            ensure(generation == 0, || format!("generation {generation} of no record"))?;
        }
        start(disk, reader.byte(), tally)
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let recipe = |first: u8, second: u8| {
            let mut bytes = vec![first];
            bytes.extend((0..48_u8).map(|at| at.wrapping_mul(29)));
            bytes.push(second);
            bytes.extend((0..48_u8).map(|at| at.wrapping_mul(31)));
            bytes
        };
        (0..16).map(|kind| recipe(kind, kind.wrapping_mul(5))).collect()
    }

    fn size_max(&self) -> usize {
        512
    }
}

fn slot(reader: &mut Reader<'_>) -> Vec<u8> {
    let recipe = reader.byte();
    let mut bytes = match recipe & 7 {
        0 => vec![0; SLOT_SIZE],
        1 => {
            let length = usize::from(reader.byte());
            let mut bytes = reader.take(length).to_vec();
            if recipe & 8 > 0 {
                bytes.splice(0..0, *b"GAGGLE02");
            }
            bytes
        }
        _ => {
            let generation = reader.number(1);
            record::seal(&record(reader), generation).unwrap_or_default()
        }
    };
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    for _ in 0..recipe >> 4 & 3 {
        // Magic, generation and length are spoilt now and then only.
        let front = if reader.byte() & 3 == 0 { 0 } else { 24 };
        spoil(reader, &mut bytes, front, &[]);
    }
    if recipe & 64 > 0 {
        checksum(&mut bytes);
    }
    if recipe & 128 == 0 {
        bytes.resize(SLOT_SIZE, 0);
    }
    bytes.truncate(SLOT_SIZE);
    bytes
}

/// Puts the length and the checksum right.
fn checksum(bytes: &mut Vec<u8>) {
    if bytes.len() < 32 {
        return;
    }
    bytes.truncate(bytes.len() - 8);
    let length = (bytes.len() - 24) as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let sum = stable_hash(b"record slot", bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
}

fn id(number: u64) -> NodeId {
    // Out of range: some other id will do.
    NodeId::new(number).or_else(|_| NodeId::new(1)).unwrap_or_else(|_| unreachable!("one is an id"))
}

fn record(reader: &mut Reader<'_>) -> Record {
    let flags = reader.byte();
    let voters = if flags & 1 > 0 { vec![id(1)] } else { vec![id(1), id(2), id(3)] };
    let voters = VoterSet::new(voters).ok().filter(|_| flags & 2 == 0);
    let genesis =
        voters.map(|voters| Genesis::new(voters, flags & 64 > 0, &Timing::of(Profile::Lan), false));
    let configuration = genesis.clone().map(Configuration::genesis).map(|mut configuration| {
        configuration.version = reader.number(1);
        configuration.ballot = reader.number(0);
        configuration
    });
    let process = Process {
        id: id(reader.number(1)),
        boot: Boot { start: reader.number(1), nonce: reader.number(1) },
    };
    let founding = match reader.byte() % 4 {
        3 => Founding::Lost { nonce: reader.number(1) },
        0 => Founding::Blank { nonce: reader.number(1) },
        1 => Founding::Founded(vec![(id(1), reader.number(1)), (id(2), 2)]),
        _ => Founding::Waited,
    };
    let lease = Duration::from_nanos(reader.number(600_000_000));
    let vote = Vote {
        max_ballot: reader.number(7),
        max_holder: (flags & 4 > 0).then_some(process),
        max_lease_in_force: if flags & 8 > 0 { Duration::MAX } else { lease },
        founding,
        lineage: (flags & 32 > 0).then(|| Proposal::of_founding(&[(id(1), reader.number(1))])),
    };
    let cluster = if flags & 16 > 0 { "other" } else { "pond" };
    Record {
        cluster: ClusterName::new(cluster).unwrap_or_else(|_| unreachable!("a name")),
        id: id(1),
        last_start: reader.number(1_780_000_000_000),
        genesis,
        configuration,
        lineage: (flags & 64 > 0).then(|| Lineage::of_nonces(&[(id(1), reader.number(1))])),
        ancestors: Vec::new(),
        is_drained: flags & 2 > 0,
        held_until: (flags & 32 > 0).then_some(1_800_000_000_000),
        addresses: vec![(id(2), address(2)); usize::from(flags >> 5 & 3)],
        vote: (flags & 128 == 0).then_some(vote),
    }
}

/// What was found can be written again, and the slot it was found in is left alone.
fn rewrite(
    slots: [Vec<u8>; 2],
    generation: u64,
    found: &Record,
    tally: &mut Tally,
) -> Result<(), String> {
    let Some(next) = record::next_generation(generation) else {
        tally.passed("no generation is left");
        return Ok(());
    };
    // A record that came from a slot may have been filled up to its end.
    let Ok(sealed) = record::seal(found, next) else {
        return Err("a record that was read cannot be written".to_owned());
    };
    let mut written = slots;
    written[usize::from(!next.is_multiple_of(2))] = sealed;
    let (disk, now) = Disk::of_slots([&written[0], &written[1]]);
    tally.passed("written again");
    let same = match &disk {
        Disk::Sound(record) | Disk::Damaged(Some(record)) => record == found,
        _ => false,
    };
    ensure(same && now == next, || {
        format!("written as {next}, found as {now}: {disk:?} instead of {found:?}")
    })
}

fn start(disk: Disk, mode: u8, tally: &mut Tally) -> Result<(), String> {
    let seeds = if mode & 1 > 0 { vec![address(2).to_string()] } else { Vec::new() };
    let (eligible, entropy) = (mode & 2 == 0, [mode; 32]);
    let setup = Setup { seeds, eligible, entropy, ..postbox::setup("pond", 1, &[]) };
    let promised = match &disk {
        Disk::Sound(record) => record.vote.clone(),
        _ => None,
    };
    let mut now = Now {
        holder: HolderTime(1_000_000_000),
        voter: VoterTime(1_000_000_000),
        wall: WallTime(1_780_000_000_000),
    };
    let mut node = match NodeCore::new(setup, disk, now) {
        Ok(node) => node,
        Err(
            StartError::AddressChanged { .. }
            | StartError::NotOurs { .. }
            | StartError::VotersDiffer { .. }
            | StartError::PreemptDiffers { .. },
        ) => {
            tally.passed("refused at the start");
            return Ok(());
        }
    };
    tally.passed("started");
    let end = now.holder.plus(LIFE);
    let mut wakes = 0;
    while now.holder < end {
        while let Some(output) = node.poll_output() {
            if let Output::Store { ticket, record } = output {
                record::seal(&record, 1).map_err(|error| format!("cannot be kept: {error}"))?;
                node.handle_stored(now, ticket, Ok(()));
            }
        }
        let floor = promised.as_ref().map_or(0, |vote| vote.max_ballot);
        if let Some(lease) = node.lease() {
            tally.passed("became Goose");
            return ensure(lease.term > floor, || format!("I2: term {lease:?} after {floor}"));
        }
        let pause = node.poll_timeout(now).unwrap_or(LIFE).min(LIFE);
        now.holder = now.holder.plus(pause);
        now.voter = now.voter.plus(pause);
        now.wall.0 += nanoseconds(pause) / 1_000_000;
        node.handle_timeout(now);
        wakes += 1;
        ensure(wakes < WAKES_MAX, || "a timer stays due".to_owned())?;
    }
    Ok(())
}
