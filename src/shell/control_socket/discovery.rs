//! Which control sockets there are on this machine, for whoever types a command.
//!
//! Linux lists the sockets that somebody listens on, so a folder full of what dead nodes have
//! left costs nothing, and a node is found wherever its state folder is. The list is that of the
//! network namespace: a container, or a namespace that stands for a machine in a test, knows its
//! own nodes. Where there is no such list, the usual folders are looked through.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::places::{Places, STATE_SOCKET, is_named_so};

/// Linux's list of the sockets of this network namespace.
const LISTED: &str = "/proc/net/unix";
/// The flag of a socket on which somebody listens (`__SO_ACCEPTCON`).
const LISTENING: u32 = 0x1_0000;
/// Folders below which nobody but root, or a service that root has set up, makes files.
const OF_SYSTEM: [&str; 2] = ["/var/lib", "/run"];
/// Below the second, this is every user's own.
const OF_USERS: &str = "/run/user";
/// So many are looked at, at most.
const FOUND_MAX: usize = 1024;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Sockets of this user's nodes; for root, of the system's too. In the order of their paths.
    pub own: Vec<PathBuf>,
    /// A socket of somebody else's node.
    pub foreign: Option<PathBuf>,
}

/// The control sockets of this machine. Whether a node answers there is another question.
pub fn find(places: &Places) -> Found {
    let listed = fs::read(LISTED).map(|text| listening(&text));
    let paths = listed.unwrap_or_else(|_| in_usual_folders(places));
    let user = geteuid().as_raw();
    let mut found = Found::default();
    for path in paths.into_iter().take(FOUND_MAX) {
        // A path of another file system's, as in a container, leads nowhere here.
        let file = match fs::metadata(&path) {
            Ok(file) if file.file_type().is_socket() => file,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                found.foreign = Some(path);
                continue;
            }
            _ => continue,
        };
        if file.uid() == user || user == 0 && is_of_system(&path) {
            found.own.push(path);
        } else {
            found.foreign = Some(path);
        }
    }
    found
}

/// Whether an ordinary user could not have made a file there.
fn is_of_system(path: &Path) -> bool {
    OF_SYSTEM.iter().any(|folder| path.starts_with(folder)) && !path.starts_with(OF_USERS)
}

/// The paths of control sockets in Linux's list:
/// `Num RefCount Protocol Flags Type St Inode Path`.
fn listening(text: &[u8]) -> BTreeSet<PathBuf> {
    let path = |line: &[u8]| {
        let mut rest = line;
        let mut flags = 0;
        for field in 0..7 {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(|byte| *byte == b' ')?;
            let (word, after) = rest.split_at(end);
            if field == 3 {
                flags = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
            }
            rest = after;
        }
        let path = Path::new(OsStr::from_bytes(rest.get(1..)?));
        let found = flags & LISTENING != 0 && path.is_absolute() && is_named_so(path);
        found.then(|| path.to_owned())
    };
    text.split(|byte| *byte == b'\n').filter_map(path).collect()
}

/// The files that are named like control sockets where those usually are.
fn in_usual_folders(places: &Places) -> BTreeSet<PathBuf> {
    let within = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.take(FOUND_MAX).map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut found = BTreeSet::new();
    for folder in places.runtime() {
        found.extend(within(folder.path()).into_iter().filter(|path| is_named_so(path)));
    }
    for folder in places.state() {
        found.insert(folder.join(STATE_SOCKET));
        for cluster in within(folder) {
            found.extend(within(&cluster).iter().map(|node| node.join(STATE_SOCKET)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_systems_list_only_listening_sockets_with_our_names_count() {
        let list = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 19274 /var/lib/a b/gaggle.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 19275 /var/lib/c/gaggle.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     7 /run/gaggle/gaggle-3-2.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 19277 /run/docker.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 19278 @/gaggle.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 19279 gaggle.sock\n\
            0000000000000000: 00000002 00000000 xyz 0001 01 19279 /gaggle.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 19276\n\
            /gaggle.sock\n\n";
        let expected = ["/run/gaggle/gaggle-3-2.sock", "/var/lib/a b/gaggle.sock"];
        assert_eq!(listening(list), expected.map(PathBuf::from).into());
    }

    #[test]
    fn only_where_no_user_makes_files_a_socket_is_the_systems() {
        for path in ["/var/lib/gaggle/gaggle.sock", "/run/gaggle/gaggle-1.sock"] {
            assert!(is_of_system(Path::new(path)), "{path}");
        }
        for path in ["/run/user/7/gaggle/gaggle-1.sock", "/tmp/gaggle-7/gaggle-1.sock", "/runs/x"] {
            assert!(!is_of_system(Path::new(path)), "{path}");
        }
    }
}
