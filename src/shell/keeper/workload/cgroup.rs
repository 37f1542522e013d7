//! A cgroup of the command's own, where this process may make one.
//!
//! Whatever the command starts is born in it, and one write kills all of it at once. This is an
//! addition: a process that may not make one (most that are not root's and have nothing
//! delegated to them) kills by the tree of processes alone.

use std::fs;
use std::path::{Path, PathBuf};

/// A cgroup that was made for the command. Removed when it is dropped, if it is empty.
#[derive(Debug)]
pub(super) struct Cgroup {
    home: PathBuf,
    folder: PathBuf,
}

impl Cgroup {
    /// A new one below the group of this process. None: the system has none to give.
    pub(super) fn create() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let home = home(&mounts, &own)?;
        let folder = home.join(format!("gaggle-exec-{}", std::process::id()));
        // An earlier process with this number may have left one, empty.
        let _ = fs::remove_dir(&folder);
        fs::create_dir(&folder).ok()?;
        let cgroup = Self { home, folder };
        // Killing as one came with Linux 5.14, and entering may be forbidden.
        let of_use = cgroup.folder.join("cgroup.kill").exists() && cgroup.enter();
        cgroup.leave();
        of_use.then_some(cgroup)
    }

    /// Moves this process in. Returns whether that was done.
    pub(super) fn enter(&self) -> bool {
        fs::write(self.folder.join("cgroup.procs"), "0").is_ok()
    }

    /// Moves this process back.
    pub(super) fn leave(&self) {
        // If it must stay, it is killed with the rest, and the lease runs out by itself.
        let _ = fs::write(self.home.join("cgroup.procs"), "0");
    }

    /// Kills everything in it.
    pub(super) fn kill(&self) {
        // The tree of processes is killed, too.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Not while somebody is in it.
        let _ = fs::remove_dir(&self.folder);
    }
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
