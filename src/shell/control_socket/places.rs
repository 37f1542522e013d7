//! Where control sockets are: which folders, and under which names.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::vocabulary::identity::NodeId;

/// The socket's name in a state folder.
pub const STATE_SOCKET: &str = "gaggle.sock";

/// A folder for sockets of nodes that have none of their own, or one with too long a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeFolder {
    path: PathBuf,
    may_be_link: bool,
}

impl RuntimeFolder {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether whoever named it may have put a link there: a service manager does.
    pub(super) fn may_be_link(&self) -> bool {
        self.may_be_link
    }

    /// The socket of node `id` and the lock beside it; of several nodes with one id, of that one.
    pub(super) fn files(&self, id: NodeId, twin: u32) -> (PathBuf, PathBuf) {
        let name = if twin == 1 { format!("gaggle-{id}") } else { format!("gaggle-{id}-{twin}") };
        (self.path.join(format!("{name}.sock")), self.path.join(format!("{name}.lock")))
    }
}

/// The folders in which this user's nodes keep their sockets.
#[derive(Clone, Debug, Default)]
pub struct Places {
    runtime: Vec<RuntimeFolder>,
    state: Vec<PathBuf>,
}

/// What the places depend on.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `RUNTIME_DIRECTORY`, from systemd: folders with colons between them.
    pub service: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`
    pub runtime: Option<PathBuf>,
    /// `XDG_STATE_HOME`
    pub state: Option<PathBuf>,
    /// `HOME`
    pub home: Option<PathBuf>,
    /// The folder for temporary files.
    pub temporary: PathBuf,
    /// The number of the user as which this process acts.
    pub user: u32,
}

impl Places {
    /// Of this process.
    pub fn of_process() -> Self {
        let folder = |name| std::env::var_os(name).map(PathBuf::from);
        Self::new(&Surroundings {
            service: folder("RUNTIME_DIRECTORY"),
            runtime: folder("XDG_RUNTIME_DIR"),
            state: folder("XDG_STATE_HOME"),
            home: folder("HOME"),
            temporary: std::env::temp_dir(),
            user: geteuid().as_raw(),
        })
    }

    /// Of a process in these surroundings. Relative paths are ignored.
    pub fn new(surroundings: &Surroundings) -> Self {
        let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
        let own = |path: PathBuf| RuntimeFolder { path, may_be_link: false };
        let user = surroundings.user;
        let first = surroundings.service.as_ref().and_then(|list| first_of(list.as_os_str()));
        let service = first.map(|path| RuntimeFolder { path, may_be_link: true });
        let session = absolute(&surroundings.runtime).map(|folder| own(folder.join("gaggle")));
        let system = (user == 0).then(|| own(PathBuf::from("/run/gaggle")));
        let temporary = absolute(&Some(surroundings.temporary.clone()));
        let temporary = temporary.map(|folder| own(folder.join(format!("gaggle-{user}"))));
        let home = absolute(&surroundings.home).map(|home| home.join(".local").join("state"));
        let state = absolute(&surroundings.state).or(home).map(|folder| folder.join("gaggle"));
        let systems = (user == 0).then(|| PathBuf::from("/var/lib/gaggle"));
        Self {
            runtime: [service, session, system, temporary].into_iter().flatten().collect(),
            state: [state, systems].into_iter().flatten().collect(),
        }
    }

    /// For sockets that are in no state folder, the best first.
    pub fn runtime(&self) -> &[RuntimeFolder] {
        &self.runtime
    }

    /// Below these are state folders, unless somebody chose another place.
    pub(super) fn state(&self) -> &[PathBuf] {
        &self.state
    }
}

/// The first of several paths with colons between them, if it is absolute.
fn first_of(list: &OsStr) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let first = list.as_bytes().split(|byte| *byte == b':').next()?;
    let path = PathBuf::from(OsStr::from_bytes(first));
    path.is_absolute().then_some(path)
}

/// Whether a file of this path may be a control socket, by its name.
pub(super) fn is_named_so(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name == STATE_SOCKET || name.starts_with("gaggle-") && name.ends_with(".sock")
}
