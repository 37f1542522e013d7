//! The control socket: a file over which a node takes orders from whoever may open it.
//!
//! ```text
//! state folder/gaggle.sock ──in the way, too long, no sockets there──▶ runtime folder/gaggle-ID.sock
//! ```
//!
//! A file of a process that has died is replaced: whoever holds the lock beside it knows that
//! nobody lives there. A socket on which somebody listens is never replaced, and neither is
//! anything that is no socket. The file is its owner's alone (0600) before anybody can connect.
//!
//! Commands find the sockets of their machine by [`discovery`], wherever they are.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};

use self::places::{Places, RuntimeFolder, STATE_SOCKET};
use crate::vocabulary::identity::NodeId;

pub(crate) mod caretaker;
pub mod discovery;
pub mod places;
#[cfg(test)]
mod tests;

/// The longest path of a socket, in bytes: 108 with the zero that ends it.
const PATH_SIZE_MAX: usize = 107;
/// The file's mode, and that of a folder made for it: nobody but the owner.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Nodes of one id that may live on one machine without state folders: far more than make sense.
const TWINS_MAX: u32 = 16;
/// A process that has let go of the state folder closes its socket within this.
const FAREWELL: Duration = Duration::from_millis(500);
/// Between two looks at it.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Why there can be no socket at one place.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// The path does not fit into an address.
    #[error("{} is longer than the {PATH_SIZE_MAX} bytes that a socket's path may have", plain(.0))]
    TooLong(PathBuf),
    /// The path has a line break in it, so commands would not find it in the system's list.
    #[error("{} has a line break in it, where commands find no socket", plain(.0))]
    LineBreak(PathBuf),
    /// Something that is no socket. It was left alone.
    #[error("{} is there already and is no socket", plain(.0))]
    InTheWay(PathBuf),
    /// Another program listens there. It was left alone.
    #[error("another program listens at {}", plain(.0))]
    Alive(PathBuf),
    /// The folder belongs to somebody else, or others may write to it.
    #[error("{} is no folder that this user alone may write to", plain(.0))]
    Folder(PathBuf),
    /// The operating system refused something.
    #[error("{}: {source}", plain(path))]
    Refused {
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Obstacle {
    fn refused(path: &Path, source: io::Error) -> Self {
        Self::Refused { path: path.to_owned(), source }
    }
}

/// Why there is no control socket. Nothing was left behind.
#[derive(Debug)]
pub struct Unreachable(Vec<Obstacle>);

impl fmt::Display for Unreachable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(
            formatter,
            "there is no socket for orders ({}): only the admin token gives orders to this node. \
             Set XDG_RUNTIME_DIR to a folder of this user",
            reasons.join("; ")
        )
    }
}

/// A socket that listens. Dropping it removes the file.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    file: FileId,
    /// Open for as long as the file is there: nobody else takes the file for a dead one's.
    listener: UnixListener,
    /// Proves that nobody else lives at this path, where the state folder's lock does not.
    _lock: Option<File>,
}

/// Tells a file from another one of the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

impl ControlSocket {
    /// Makes the socket of node `id` and says where it is if that is not its state folder. The
    /// caller holds the lock of `state_folder`, if there is one.
    ///
    /// # Errors
    /// [`Unreachable`], if no place will do.
    pub fn open(
        state_folder: Option<&Path>,
        id: NodeId,
        places: &Places,
    ) -> Result<Self, Unreachable> {
        let mut obstacles = Vec::new();
        if let Some(folder) = state_folder {
            match Self::in_state_folder(folder) {
                Ok(socket) => return Ok(socket),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        for folder in places.runtime() {
            match Self::in_runtime_folder(folder, id) {
                Ok(socket) => {
                    if let Some(obstacle) = obstacles.first() {
                        let path = plain(socket.path());
                        tracing::warn!("{obstacle}: orders come over {path} instead");
                    }
                    return Ok(socket);
                }
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        Err(Unreachable(obstacles))
    }

    fn in_state_folder(folder: &Path) -> Result<Self, Obstacle> {
        let path = folder.join(STATE_SOCKET);
        // Commands are typed in other folders.
        let path = std::path::absolute(&path).map_err(|error| Obstacle::refused(&path, error))?;
        Self::at(path, None)
    }

    fn in_runtime_folder(folder: &RuntimeFolder, id: NodeId) -> Result<Self, Obstacle> {
        prepare(folder)?;
        for twin in 1..=TWINS_MAX {
            let (socket, lock) = folder.files(id, twin);
            let refused = |error| Obstacle::refused(&lock, error);
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
            let file = file.map_err(refused)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Self::at(socket, Some(file)),
                // A node of this id lives there.
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(refused(error.into())),
            }
        }
        Err(Obstacle::Alive(folder.files(id, TWINS_MAX).0))
    }

    fn at(path: PathBuf, lock: Option<File>) -> Result<Self, Obstacle> {
        let (listener, file) = listen_at(&path)?;
        Ok(Self { path, file, listener, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is still there, and still this one.
    fn is_in_place(&self) -> bool {
        FileId::of(&self.path).is_ok_and(|found| found == self.file)
    }

    /// Makes the file anew after somebody has removed it.
    fn restore(&mut self) -> Result<(), Obstacle> {
        (self.listener, self.file) = listen_at(&self.path)?;
        Ok(())
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Unless somebody has put another in its place.
        if self.is_in_place() {
            // What is left behind is replaced by the next node here.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path`, whose lock is held.
fn listen_at(path: &Path) -> Result<(UnixListener, FileId), Obstacle> {
    if path.as_os_str().len() > PATH_SIZE_MAX {
        return Err(Obstacle::TooLong(path.to_owned()));
    }
    if path.as_os_str().as_bytes().contains(&b'\n') {
        return Err(Obstacle::LineBreak(path.to_owned()));
    }
    clear(path)?;
    let listening = listen(path).and_then(|listener| Ok((listener, FileId::of(path)?)));
    listening.map_err(|error| Obstacle::refused(path, error))
}

/// A path as it may stand in a log: what it holds must not move somebody's cursor.
fn plain(path: &Path) -> String {
    let mut text = String::new();
    for letter in path.display().to_string().chars() {
        if letter.is_control() {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

/// Makes way at `path`, if what is there is what a dead process has left.
fn clear(path: &Path) -> Result<(), Obstacle> {
    let deadline = Instant::now() + FAREWELL;
    loop {
        let refused = |error| Obstacle::refused(path, error);
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(refused(error)),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(Obstacle::InTheWay(path.to_owned()));
            }
            Ok(_) => {}
        }
        if !is_alive(path) {
            return fs::remove_file(path).map_err(refused);
        }
        // The node before this one may be on its last steps.
        if Instant::now() > deadline {
            return Err(Obstacle::Alive(path.to_owned()));
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Whether somebody listens at `path`. Never waits: one whose queue is full lives, too.
fn is_alive(path: &Path) -> bool {
    let connected = || -> io::Result<()> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    let gone = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
    connected().err().is_none_or(|error| !gone.contains(&error.kind()))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux gives the file the mode of the descriptor.
    fchmod(&socket, Mode::from_raw_mode(FILE_MODE))?;
    socket.bind(&SockAddr::unix(path)?)?;
    let listening = || -> io::Result<()> {
        if fs::symlink_metadata(path)?.permissions().mode() & 0o777 != FILE_MODE {
            fs::set_permissions(path, fs::Permissions::from_mode(FILE_MODE))?;
        }
        // Only from here on anybody can connect.
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)
    };
    listening().inspect_err(|_| {
        // What is left behind is replaced by the next node here.
        let _ = fs::remove_file(path);
    })?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

/// Makes sure that `folder` is there, and that nobody else may write to it.
fn prepare(folder: &RuntimeFolder) -> Result<(), Obstacle> {
    let path = folder.path();
    let refused = |error| Obstacle::refused(path, error);
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(refused(error)),
    }
    let found = if folder.may_be_link() { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let found = found.map_err(refused)?;
    let ours = found.uid() == geteuid().as_raw();
    let shared = found.permissions().mode() & 0o022 != 0;
    if found.is_dir() && ours && !shared { Ok(()) } else { Err(Obstacle::Folder(path.to_owned())) }
}
