//! A cgroup of the command's own, where this process may make one.
//!
//! Whatever the command starts is born in it, and one write kills all of it at once, whatever
//! user it has become. This is an addition: a process that may not make one (most that are not
//! root's and have nothing delegated to them) kills by the tree of processes alone.
//!
//! ```text
//! idle: keeper inside ── the command is born inside ──▶ keeper leaves ── gone ──▶ keeper returns
//! ```
//!
//! Moving a process in costs the kernel some 10 ms (a grace period of RCU), in which nobody would
//! work. So the keeper is inside before the command is to be started, and a thread of a moment
//! moves it out: the keeper itself waits for nothing. Until it is out the group is not killed as
//! one.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A cgroup that was made for the command. Removed when it is dropped, if it is empty.
#[derive(Debug)]
pub(super) struct Cgroup {
    folder: PathBuf,
    /// To move this process in.
    inside: File,
    /// To move it out again.
    outside: Arc<File>,
    kill: File,
    /// This process is in it, or on the way out.
    occupied: Arc<AtomicBool>,
    leaving: Option<JoinHandle<()>>,
}

impl Cgroup {
    /// A new one below the group of this process, with this process inside. None: the system has
    /// none to give.
    pub(super) fn create() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let home = home(&mounts, &own)?;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let folder = home.join(name(&namespace, std::process::id()));
        // An earlier process with this number may have left one, empty.
        let _ = fs::remove_dir(&folder);
        let outside = Arc::new(open_to_write(&home.join("cgroup.procs"))?);
        fs::create_dir(&folder).ok()?;
        let cgroup = Self::open(&folder, outside);
        // Moving may be forbidden in either direction.
        let of_use = cgroup.filter(|cgroup| {
            move_to(&cgroup.inside) && move_to(&cgroup.outside) && move_to(&cgroup.inside)
        });
        if of_use.is_none() {
            // Not while somebody is in it.
            let _ = fs::remove_dir(folder);
        }
        of_use
    }

    fn open(folder: &Path, outside: Arc<File>) -> Option<Self> {
        Some(Self {
            folder: folder.to_owned(),
            inside: open_to_write(&folder.join("cgroup.procs"))?,
            outside,
            // Killing as one came with Linux 5.14.
            kill: open_to_write(&folder.join("cgroup.kill"))?,
            occupied: Arc::new(AtomicBool::new(true)),
            leaving: None,
        })
    }

    /// Moves this process in. Takes its time.
    pub(super) fn enter(&mut self) {
        self.await_leaving();
        self.occupied.store(true, Ordering::SeqCst);
        // Outside, the next command is killed by the tree of processes.
        let _ = move_to(&self.inside);
    }

    /// Has this process moved back, soon.
    pub(super) fn leave(&mut self) {
        self.await_leaving();
        let (outside, occupied) = (Arc::clone(&self.outside), Arc::clone(&self.occupied));
        let leave = move || {
            if move_to(&outside) {
                occupied.store(false, Ordering::SeqCst);
            }
        };
        // Without the thread this process stays inside, and kills by the tree of processes.
        self.leaving = thread::Builder::new().stack_size(64 * 1024).spawn(leave).ok();
    }

    /// There is no thread unless the command was started not long ago.
    fn await_leaving(&mut self) {
        if let Some(thread) = self.leaving.take() {
            // It does not panic; if it did, this process would count as inside.
            let _ = thread.join();
        }
    }

    /// Kills everything in it, unless this process is among it.
    pub(super) fn kill(&self) {
        if !self.occupied.load(Ordering::SeqCst) {
            // The tree of processes is killed, too.
            let _ = rustix::io::pwrite(self.kill.as_fd(), b"1", 0);
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.await_leaving();
        // If it must stay, the group stays, too.
        let _ = move_to(&self.outside);
        let _ = fs::remove_dir(&self.folder);
    }
}

fn open_to_write(path: &Path) -> Option<File> {
    File::options().write(true).open(path).ok()
}

/// Moves the process that writes.
fn move_to(members: &File) -> bool {
    rustix::io::pwrite(members.as_fd(), b"0", 0).is_ok()
}

/// The name of a keeper's group. The number of a process alone names it in its container only:
/// keepers of two containers that see one tree of groups would share one, and kill each other's
/// commands.
fn name(namespace: &Path, process: u32) -> String {
    let digits = |letter: &char| letter.is_ascii_digit();
    let namespace: String = namespace.to_string_lossy().chars().filter(digits).collect();
    format!("gaggle-exec-{namespace}-{process}")
}

/// Where the group of this process is to be found, by what the kernel says of mounts and of
/// this process's groups.
fn home(mounts: &str, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_two_namespaces_have_groups_of_their_own() {
        let name = |namespace: &str| name(Path::new(namespace), 7);
        assert_eq!(name("pid:[4026531836]"), "gaggle-exec-4026531836-7");
        assert_ne!(name("pid:[4026531836]"), name("pid:[4026532401]"));
    }

    #[test]
    fn the_own_group_is_found_below_any_mount() {
        let mounts = "25 1 0:22 / /sys rw - sysfs sysfs rw\n\
                      30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let found = |own| home(mounts, own);
        let expected = PathBuf::from("/sys/fs/cgroup/user.slice/a.scope");
        assert_eq!(found("1:cpu:/x\n0::/user.slice/a.scope\n"), Some(expected));
        assert_eq!(found("0::/\n"), Some(PathBuf::from("/sys/fs/cgroup")));
        assert_eq!(found("1:cpu:/x\n"), None, "version 1 alone");
        let part = "30 25 0:26 /box /mnt rw - cgroup2 cgroup2 rw";
        assert_eq!(home(part, "0::/box/in"), Some(PathBuf::from("/mnt/in")));
        assert_eq!(home(part, "0::/elsewhere"), None);
    }
}
