//! The state folder: one small record in two slots, and a lock that keeps others out.
//!
//! A write goes to the slot that does not hold the newest sound record, in place, followed by
//! `fdatasync`; so a crash or a failed write never damages what was promised before. Writes
//! are made by a thread of their own: the driver never waits for a disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc as standard;
use std::thread;

use rustix::fs::{FlockOperation, flock};
use tokio::sync::mpsc;

use crate::wire::record::{self, Disk, Record, SLOT_SIZE};

/// The record's file in the state folder.
const RECORD_FILE: &str = "record";
/// What a rescue leaves of the record that it replaces, in case it is cut short.
const RECORD_BEFORE_RESCUE: &str = "record.before-rescue";
/// The lock's file in the state folder.
const LOCK_FILE: &str = "lock";

/// Why a state folder cannot be used. Nothing was changed in it, but the folder itself and an
/// empty record file may have been created.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "the state folder {folder} is in use by another process: is this node running already? \
         Give each node its own --state-dir"
    )]
    Locked {
        /// Which folder.
        folder: PathBuf,
    },
    /// This program cannot read what is there, and would forget what it promised.
    #[error(
        "the record in the state folder {folder} was written by a later version of gaggle: start that \
         version again, or empty the folder, and this node counts as one that has lost its record"
    )]
    Later {
        /// Which folder.
        folder: PathBuf,
    },
    /// It cannot be created, opened, read or written.
    #[error("cannot {action} {path}: {source}. {advice}")]
    Unusable {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
}

impl StoreError {
    fn unusable(action: &'static str, path: &Path, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "Run as the folder's owner, or give a --state-dir you own"
            }
            io::ErrorKind::ReadOnlyFilesystem => "Give a --state-dir on a writable file system",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free some space there",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "Something that is no folder is in the way: give another --state-dir"
            }
            _ => "Give another --state-dir, or --ephemeral to keep no state",
        };
        Self::Unusable { action, path: path.to_owned(), source, advice }
    }
}

/// Where records go. A trait, so that tests can put a failing disk in its place.
pub trait Store: Send {
    /// Makes `record` durable. It returns only when a crash cannot lose it any more.
    ///
    /// # Errors
    /// What went wrong, in words. The last record that was stored without an error is intact.
    fn store(&mut self, record: &Record) -> Result<(), String>;
}

/// A locked state folder. The lock is held until this is dropped or the process ends.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    file: File,
    generation: u64,
    _lock: File,
}

impl StateFolder {
    /// Whether a node has been started in this folder. It opens and locks nothing.
    pub fn was_used(path: &Path) -> bool {
        fs::metadata(path.join(RECORD_FILE)).is_ok_and(|record| record.len() > 0)
    }

    /// Where [`StateFolder::copy_before_rescue`] puts its copy, if there is one.
    pub fn copied_before_rescue(path: &Path) -> Option<PathBuf> {
        Some(path.join(RECORD_BEFORE_RESCUE)).filter(|copy| copy.exists())
    }

    /// Copies the record as it is, durably: a rescue that is cut short may leave it torn.
    ///
    /// # Errors
    /// As the operating system says. The record is as it was.
    pub fn copy_before_rescue(&self) -> io::Result<()> {
        let copy = self.path.with_file_name(RECORD_BEFORE_RESCUE);
        fs::copy(&self.path, &copy)?;
        File::open(&copy)?.sync_all()?;
        copy.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Opens a state folder, creating it if need be, and reads what it remembers.
    ///
    /// # Errors
    /// As [`StoreError`] says; a lock that another process holds is an error, never a wait.
    pub fn open(path: &Path) -> Result<(Self, Disk), StoreError> {
        fs::create_dir_all(path)
            .map_err(|error| StoreError::unusable("create the state folder", path, error))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| StoreError::unusable("open the lock", &lock_path, error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked { folder: path.to_owned() });
            }
            Err(error) => return Err(StoreError::unusable("lock", &lock_path, error.into())),
        }
        let record_path = path.join(RECORD_FILE);
        let (file, slots) = open_record(path, &record_path)
            .map_err(|error| StoreError::unusable("open the record", &record_path, error))?;
        let slots = [&slots[..SLOT_SIZE], &slots[SLOT_SIZE..]];
        if record::is_of_later_version(slots) {
            return Err(StoreError::Later { folder: path.to_owned() });
        }
        let (disk, generation) = Disk::of_slots(slots);
        Ok((Self { path: record_path, file, generation, _lock: lock }, disk))
    }
}

/// Opens the file with room for both slots. What is shorter was never written whole.
fn open_record(folder: &Path, path: &Path) -> io::Result<(File, Vec<u8>)> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut slots = vec![0; 2 * SLOT_SIZE];
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length >= slots.len() {
        file.read_exact_at(&mut slots, 0)?;
    } else {
        file.read_exact_at(&mut slots[..length], 0)?;
        // Written, not only reserved, so that a later write cannot run out of space.
        file.write_all_at(&slots, 0)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
    }
    Ok((file, slots))
}

impl Store for StateFolder {
    fn store(&mut self, record: &Record) -> Result<(), String> {
        let explain = |error: &dyn std::fmt::Display| {
            format!("cannot write {}: {error}", self.path.display())
        };
        let generation = record::next_generation(self.generation)
            .ok_or_else(|| explain(&"its generation is the last: it was not written by a node"))?;
        let slot = record::seal(record, generation).map_err(|error| explain(&error))?;
        let offset = if generation.is_multiple_of(2) { 0 } else { SLOT_SIZE as u64 };
        self.file.write_all_at(&slot, offset).map_err(|error| explain(&error))?;
        self.file.sync_data().map_err(|error| explain(&error))?;
        // Only now: after a failure the same slot is written again, never the sound one.
        self.generation = generation;
        Ok(())
    }
}

/// A store for nodes that keep no state.
#[derive(Debug)]
pub struct NoStore;

impl Store for NoStore {
    fn store(&mut self, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}

/// The thread that writes records is gone, which is a bug of its store: nothing can be made
/// durable any more.
#[derive(Debug)]
pub(super) struct StoreLost;

/// What became of one write.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) ticket: u64,
    pub(super) outcome: Result<(), String>,
}

/// The writing thread. Its answers end when it does. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: standard::SyncSender<(u64, Box<Record>)>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system grants no thread.
    pub(super) fn start(
        mut store: Box<dyn Store>,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Stored>)> {
        // The core has one write under way at a time, so neither channel ever grows.
        let (jobs, queue) = standard::sync_channel::<(u64, Box<Record>)>(1);
        let (done, outcomes) = mpsc::unbounded_channel();
        thread::Builder::new().name("gaggle-store".to_owned()).stack_size(128 * 1024).spawn(
            move || {
                while let Ok((ticket, record)) = queue.recv() {
                    let outcome = store.store(&record);
                    if done.send(Stored { ticket, outcome }).is_err() {
                        break;
                    }
                }
                // In this order: the end of the answers says that the store is closed.
                drop(store);
                drop(done);
            },
        )?;
        Ok((Self { jobs }, outcomes))
    }

    /// Hands a record over.
    ///
    /// # Errors
    /// If the thread is gone: the answer would never come.
    pub(super) fn write(&self, ticket: u64, record: Box<Record>) -> Result<(), StoreLost> {
        self.jobs.try_send((ticket, record)).map_err(|_| StoreLost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::configuration::ClusterName;
    use crate::vocabulary::hash::stable_hash;
    use crate::vocabulary::identity::NodeId;

    fn record(last_start: u64) -> Record {
        Record {
            cluster: ClusterName::new("test").unwrap(),
            id: NodeId::new(7).unwrap(),
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

    /// Nobody goes back to an earlier version and forgets what it promised; a flipped bit in the name of
    /// the version is damage as ever.
    #[test]
    fn what_a_later_version_wrote_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = StateFolder::open(folder.path()).unwrap();
        store.store(&record(1)).unwrap();
        store.store(&record(2)).unwrap();
        drop(store);
        let path = folder.path().join(RECORD_FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[7] += 1;
        fs::write(&path, &bytes).unwrap();
        let (store, disk) = StateFolder::open(folder.path()).unwrap();
        assert!(matches!(disk, Disk::Damaged(_)), "{disk:?}");
        drop(store);
        // The frame is sound: magic, generation, length, record, checksum.
        let length =
            usize::try_from(u64::from_le_bytes(bytes[16..24].try_into().unwrap())).unwrap();
        let checksum = stable_hash(b"record slot", &bytes[..24 + length]);
        bytes[24 + length..32 + length].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let refused = StateFolder::open(folder.path());
        assert!(matches!(refused, Err(StoreError::Later { .. })), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was changed");
    }

    #[test]
    fn what_was_stored_last_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, disk) = StateFolder::open(folder.path()).unwrap();
        assert_eq!(disk, Disk::Empty);
        for start in 1..=5 {
            store.store(&record(start)).unwrap();
        }
        drop(store);
        let (_, disk) = StateFolder::open(folder.path()).unwrap();
        assert_eq!(disk, Disk::Sound(record(5)));
    }

    #[test]
    fn a_second_opener_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let held = StateFolder::open(folder.path()).unwrap();
        let refused = StateFolder::open(folder.path()).unwrap_err();
        assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
        drop(held);
        StateFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_torn_slot_counts_as_damage_and_a_short_file_as_well() {
        for (offset, length) in [(0, None), (SLOT_SIZE as u64, None), (0, Some(100))] {
            let folder = tempfile::tempdir().unwrap();
            let (mut store, _) = StateFolder::open(folder.path()).unwrap();
            store.store(&record(1)).unwrap();
            store.store(&record(2)).unwrap();
            drop(store);
            let file =
                OpenOptions::new().write(true).open(folder.path().join(RECORD_FILE)).unwrap();
            file.write_all_at(&[0xff; 16], offset + 40).unwrap();
            if let Some(length) = length {
                file.set_len(length).unwrap();
            }
            let (_, disk) = StateFolder::open(folder.path()).unwrap();
            assert!(matches!(disk, Disk::Damaged(_)), "{disk:?}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_named_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(&path, "in the way").unwrap();
        let error = StateFolder::open(&path).unwrap_err().to_string();
        assert!(error.contains("state") && error.contains("--state-dir"), "{error}");
    }

    #[test]
    fn a_slot_that_became_empty_counts_as_damage() {
        for wiped in [0, SLOT_SIZE as u64] {
            let folder = tempfile::tempdir().unwrap();
            let (mut store, _) = StateFolder::open(folder.path()).unwrap();
            for start in 1..=3 {
                store.store(&record(start)).unwrap();
            }
            drop(store);
            let path = folder.path().join(RECORD_FILE);
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&[0; SLOT_SIZE], wiped).unwrap();
            let (_, disk) = StateFolder::open(folder.path()).unwrap();
            assert!(matches!(disk, Disk::Damaged(Some(_))), "{disk:?}");
        }
    }

    #[test]
    fn a_failed_write_is_repeated_in_the_same_slot() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = StateFolder::open(folder.path()).unwrap();
        store.store(&record(1)).unwrap();
        store.store(&record(2)).unwrap();
        let path = folder.path().join(RECORD_FILE);
        let sound = fs::read(&path).unwrap()[..SLOT_SIZE].to_vec();
        let writable = std::mem::replace(&mut store.file, File::open(&path).unwrap());
        for _ in 0..3 {
            assert!(store.store(&record(3)).unwrap_err().contains("record"));
        }
        store.file = writable;
        store.store(&record(4)).unwrap();
        drop(store);
        assert_eq!(fs::read(&path).unwrap()[..SLOT_SIZE], sound);
        let (_, disk) = StateFolder::open(folder.path()).unwrap();
        assert_eq!(disk, Disk::Sound(record(4)));
    }

    #[test]
    fn the_end_of_the_answers_says_that_the_folder_is_unlocked() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let (store, _) = StateFolder::open(folder.path()).unwrap();
            let (writer, mut stored) = Writer::start(Box::new(store)).unwrap();
            drop(writer);
            assert!(stored.blocking_recv().is_none());
        }
    }
}
