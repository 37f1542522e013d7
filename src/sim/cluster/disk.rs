//! One node's disk: two slots of real bytes, written in turn, slowly, and not always.
//!
//! A record counts only once its write has completed. A crash in between leaves nothing of it,
//! all of it, or a torn slot: the front of the new bytes over the rest of the old.
//!
//! What a process reads is not always what is durable: if a sync fails, what was written can be
//! read until the machine loses power, and may then be gone.

use super::delay::Delay;
use crate::node::rescue::{Rescue, RescueError, rescue};
use crate::sim::prng::Prng;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::time::WallTime;
use crate::wire::record::{Disk, Record, SLOT_SIZE, seal};

/// How the disk behaves at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskHealth {
    /// Writes succeed.
    Sound,
    /// Writes fail and leave nothing behind.
    Full,
    /// Writes are reported as failed, and every other one is durable nevertheless.
    Doubtful,
    /// Writes fail half-way: the front of the new bytes is over the old ones.
    Short,
    /// Writes do not return.
    Hung,
}

impl DiskHealth {
    /// What is said of such a disk in a story.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Sound => "is mended",
            Self::Full => "is full",
            Self::Doubtful => "fails to sync",
            Self::Short => "cuts writes short",
            Self::Hung => "hangs",
        }
    }
}

/// What a crash does to a write under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Nothing of it arrives.
    Lost,
    /// All of it arrives.
    Kept,
    /// Some of it arrives.
    Torn,
}

/// What happens to the disk of a node that is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is kept.
    WithDisk,
    /// It is emptied.
    Wiped,
    /// Its newest slot has rotted.
    Damaged,
    /// Its older slot has rotted.
    OlderDamaged,
    /// The folder does not name the file any more, which was not synced with it.
    EntryLost,
}

#[derive(Debug)]
struct Write {
    ticket: u64,
    slot: usize,
    generation: u64,
    bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub struct SimulatedDisk {
    /// What is durable.
    slots: [Vec<u8>; 2],
    /// What a read returns.
    cached: [Vec<u8>; 2],
    generation: u64,
    under_way: Option<Write>,
    ephemeral: bool,
    /// How it behaves at the moment.
    pub health: DiskHealth,
    /// How long a write takes.
    pub delay: Delay,
    /// How long it takes at the moment, if not that long.
    pub(super) slowed_to: Option<Delay>,
    durable: Option<Record>,
}

impl SimulatedDisk {
    /// An empty disk, or none at all.
    pub fn new(ephemeral: bool) -> Self {
        Self {
            slots: [vec![0; SLOT_SIZE], vec![0; SLOT_SIZE]],
            cached: [vec![0; SLOT_SIZE], vec![0; SLOT_SIZE]],
            generation: 0,
            under_way: None,
            ephemeral,
            health: DiskHealth::Sound,
            delay: Delay::Constant(80_000),
            slowed_to: None,
            durable: None,
        }
    }

    /// Whether the node keeps no disk.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// What a node that starts now finds.
    pub fn load(&mut self) -> Disk {
        if self.ephemeral {
            return Disk::Ephemeral;
        }
        let (disk, generation) = Disk::of_slots([&self.cached[0], &self.cached[1]]);
        self.generation = generation;
        self.under_way = None;
        disk
    }

    /// Whether whoever starts now finds part of it unreadable.
    pub fn is_damaged(&self) -> bool {
        matches!(Disk::of_slots([&self.cached[0], &self.cached[1]]).0, Disk::Damaged(_))
    }

    /// The newest record that a crash at this moment would leave.
    pub fn durable(&self) -> Option<&Record> {
        self.durable.as_ref()
    }

    /// Whether a write is under way.
    pub fn is_writing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Draws how long the next write takes, in nanoseconds.
    pub(super) fn draw_delay(&self, prng: &mut Prng) -> u64 {
        self.slowed_to.unwrap_or(self.delay).draw(prng)
    }

    /// Starts a write; the caller decides when it completes.
    ///
    /// # Errors
    /// If a write is under way already or the record does not fit.
    pub fn begin(&mut self, ticket: u64, record: &Record) -> Result<(), String> {
        if self.under_way.is_some() {
            return Err("a second write was started before the first was answered".to_owned());
        }
        let generation = self.generation + 1;
        let slot = usize::from(generation % 2 == 1);
        let bytes = seal(record, generation).map_err(|error| error.to_string())?;
        self.under_way = Some(Write { ticket, slot, generation, bytes });
        Ok(())
    }

    /// Completes the write of `ticket` and says what the node is to be told; none if no such
    /// write is under way (the process that started it is gone).
    pub fn complete(&mut self, ticket: u64, prng: &mut Prng) -> Option<Result<(), String>> {
        if self.under_way.as_ref()?.ticket != ticket {
            return None;
        }
        let write = self.under_way.take()?;
        match self.health {
            DiskHealth::Full => return Some(Err("no space left on device".to_owned())),
            DiskHealth::Short => {
                let kept = 8 + prng.below(64);
                for slots in [&mut self.slots, &mut self.cached] {
                    slots[write.slot][..kept].copy_from_slice(&write.bytes[..kept]);
                }
                self.refresh();
                return Some(Err("short write".to_owned()));
            }
            DiskHealth::Doubtful => {
                self.cached[write.slot].clone_from(&write.bytes);
                if prng.coin() {
                    self.slots[write.slot] = write.bytes;
                    self.refresh();
                }
                return Some(Err("input/output error".to_owned()));
            }
            DiskHealth::Sound | DiskHealth::Hung => {}
        }
        self.cached[write.slot].clone_from(&write.bytes);
        self.slots[write.slot] = write.bytes;
        self.generation = write.generation;
        self.refresh();
        Some(Ok(()))
    }

    /// The machine loses power: what was not synced is gone, but for what `tear` leaves.
    pub fn lose_power(&mut self, tear: Tear, prng: &mut Prng) {
        self.crash(tear, prng);
        self.cached.clone_from(&self.slots);
    }

    /// The process dies.
    pub fn crash(&mut self, tear: Tear, prng: &mut Prng) {
        let Some(write) = self.under_way.take() else { return };
        let kept = match tear {
            Tear::Lost => 0,
            Tear::Kept => SLOT_SIZE,
            // Records are much shorter than a slot: tear within what is not zeros.
            Tear::Torn => {
                let used = write.bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                prng.below(used.max(1)) + 1
            }
        };
        for slots in [&mut self.slots, &mut self.cached] {
            slots[write.slot][..kept].copy_from_slice(&write.bytes[..kept]);
        }
        self.refresh();
    }

    /// Everything on it is gone, or the folder no longer names the file.
    pub fn wipe(&mut self) {
        self.slots = [vec![0; SLOT_SIZE], vec![0; SLOT_SIZE]];
        self.cached.clone_from(&self.slots);
        self.generation = 0;
        self.under_way = None;
        self.durable = None;
    }

    /// Damages the newest slot, or the older one, as a bad sector does.
    pub fn damage(&mut self, newest: bool, prng: &mut Prng) {
        let slot = usize::from((self.generation % 2 == 1) == newest);
        // Within what the checksum is over, however short the record is.
        let place = 8 + prng.below(16);
        for slots in [&mut self.slots, &mut self.cached] {
            slots[slot][place] ^= 0x5a;
        }
        self.refresh();
    }

    /// Takes over what is on another disk: somebody copied it.
    pub fn copy(&mut self, other: &Self) {
        self.slots.clone_from(&other.slots);
        self.cached.clone_from(&other.cached);
        self.generation = other.generation;
        self.refresh();
    }

    /// A person rescues what is left without the voters `lost`, while no process runs here.
    ///
    /// # Errors
    /// As [`RescueError`] says; nothing changed then.
    ///
    /// # Panics
    /// If the disk is full of records, which no simulation lives to see.
    pub fn rescue(&mut self, lost: &[NodeId], wall: WallTime) -> Result<Rescue, RescueError> {
        let Disk::Sound(record) = self.load() else { return Err(RescueError::NoRecord) };
        let done = rescue(&record, lost, wall)?;
        for generation in self.generation + 1..=self.generation + 2 {
            let bytes = seal(&done.record, generation).expect("a record fits into a slot");
            for slots in [&mut self.slots, &mut self.cached] {
                slots[usize::from(generation % 2 == 1)].clone_from(&bytes);
            }
        }
        self.generation += 2;
        self.refresh();
        Ok(done)
    }

    fn refresh(&mut self) {
        self.durable = match Disk::of_slots([&self.slots[0], &self.slots[1]]).0 {
            Disk::Sound(record) | Disk::Damaged(Some(record)) => Some(record),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::configuration::ClusterName;

    fn record(last_start: u64) -> Record {
        Record {
            cluster: ClusterName::new("disk").unwrap(),
            id: NodeId::new(1).unwrap(),
            last_start,
            genesis: None,
            lineage: None,
            ancestors: Vec::new(),
            is_drained: false,
            held_until: None,
            configuration: None,
            addresses: Vec::new(),
            vote: None,
        }
    }

    fn store(disk: &mut SimulatedDisk, start: u64) -> Option<Result<(), String>> {
        disk.begin(start, &record(start)).unwrap();
        disk.complete(start, &mut Prng::new(start, "disk"))
    }

    #[test]
    fn a_record_is_durable_on_completion_and_not_before() {
        let mut disk = SimulatedDisk::new(false);
        disk.begin(1, &record(5)).unwrap();
        assert!(disk.durable().is_none());
        assert!(disk.begin(2, &record(6)).is_err());
        assert_eq!(disk.complete(1, &mut Prng::new(0, "")), Some(Ok(())));
        assert_eq!(disk.load(), Disk::Sound(record(5)));
        assert_eq!(disk.complete(1, &mut Prng::new(0, "")), None);
    }

    #[test]
    fn a_crash_leaves_the_old_the_new_or_a_torn_slot() {
        let mut prng = Prng::new(3, "crash");
        let mut outcome = |tear| {
            let mut disk = SimulatedDisk::new(false);
            store(&mut disk, 1).unwrap().unwrap();
            store(&mut disk, 2).unwrap().unwrap();
            disk.begin(3, &record(3)).unwrap();
            disk.crash(tear, &mut prng);
            disk.load()
        };
        assert_eq!(outcome(Tear::Lost), Disk::Sound(record(2)));
        assert_eq!(outcome(Tear::Kept), Disk::Sound(record(3)));
        // A tear within bytes that are the same in both records leaves one of them.
        let torn: Vec<Disk> = (0..50).map(|_| outcome(Tear::Torn)).collect();
        let damaged = Disk::Damaged(Some(record(2)));
        assert!(torn.contains(&damaged));
        let whole = [Disk::Sound(record(2)), Disk::Sound(record(3))];
        assert!(torn.iter().all(|disk| *disk == damaged || whole.contains(disk)));
    }

    #[test]
    fn what_was_not_synced_can_be_read_until_the_power_goes() {
        let mut found = Vec::new();
        for seed in 0..20 {
            let mut disk = SimulatedDisk::new(false);
            store(&mut disk, 1).unwrap().unwrap();
            disk.health = DiskHealth::Doubtful;
            let mut prng = Prng::new(seed, "disk");
            disk.begin(2, &record(2)).unwrap();
            assert!(disk.complete(2, &mut prng).unwrap().is_err());
            disk.crash(Tear::Lost, &mut prng);
            assert_eq!(disk.load(), Disk::Sound(record(2)));
            disk.lose_power(Tear::Lost, &mut prng);
            found.push(disk.load() == Disk::Sound(record(1)));
        }
        assert!(found.contains(&true) && found.contains(&false));
    }

    #[test]
    fn a_rotten_slot_is_a_loss_whichever_it_is() {
        for newest in [true, false] {
            let mut disk = SimulatedDisk::new(false);
            store(&mut disk, 1).unwrap().unwrap();
            store(&mut disk, 2).unwrap().unwrap();
            disk.damage(newest, &mut Prng::new(1, "rot"));
            let left = if newest { 1 } else { 2 };
            assert_eq!(disk.load(), Disk::Damaged(Some(record(left))));
        }
    }

    #[test]
    fn a_full_disk_keeps_nothing_and_a_doubtful_one_lies() {
        let mut disk = SimulatedDisk::new(false);
        store(&mut disk, 1).unwrap().unwrap();
        disk.health = DiskHealth::Full;
        assert!(store(&mut disk, 2).unwrap().is_err());
        assert_eq!(disk.durable(), Some(&record(1)));
        disk.health = DiskHealth::Doubtful;
        let outcomes: Vec<_> = (3..20)
            .map(|start| {
                assert!(store(&mut disk, start).unwrap().is_err());
                disk.durable().unwrap().last_start == start
            })
            .collect();
        assert!(outcomes.contains(&true) && outcomes.contains(&false));
        disk.wipe();
        assert_eq!(disk.load(), Disk::Empty);
    }
}
