//! What is at a socket's path already, and where a socket goes that cannot be there.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;

use super::places::Surroundings;
use super::*;

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A state folder and a runtime folder below one temporary folder.
struct Place {
    folder: tempfile::TempDir,
    state: PathBuf,
    places: Places,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let runtime = Some(folder.path().to_owned());
        let surroundings = Surroundings { runtime, user: 1, ..Surroundings::default() };
        Self { state, places: Places::new(&surroundings), folder }
    }

    fn open(&self) -> Result<ControlSocket, Unreachable> {
        ControlSocket::open(Some(&self.state), id(3), &self.places)
    }

    fn ephemeral(&self) -> Result<ControlSocket, Unreachable> {
        ControlSocket::open(None, id(3), &self.places)
    }

    fn socket(&self) -> PathBuf {
        self.state.join(STATE_SOCKET)
    }

    fn runtime(&self, name: &str) -> PathBuf {
        self.folder.path().join("gaggle").join(name)
    }
}

/// Puts something at a path.
type Make<'test> = &'test dyn Fn(&Path);

/// Leaves a socket there of which nobody takes care any more.
fn stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_file_is_its_owners_alone_and_goes_with_the_socket() {
    let place = Place::new();
    let socket = place.open().unwrap();
    assert_eq!((socket.path(), mode(socket.path())), (place.socket().as_path(), 0o600));
    assert!(is_alive(socket.path()));
    drop(socket);
    assert!(!place.socket().exists());
    let socket = place.ephemeral().unwrap();
    assert_eq!(socket.path(), place.runtime("gaggle-3.sock"));
    assert_eq!((mode(socket.path()), mode(&place.runtime(""))), (0o600, 0o700));
}

#[test]
fn what_a_dead_process_left_is_replaced() {
    let place = Place::new();
    stale(&place.socket());
    assert_eq!(place.open().unwrap().path(), place.socket());
    fs::create_dir(place.runtime("")).unwrap();
    stale(&place.runtime("gaggle-3.sock"));
    let socket = place.ephemeral().unwrap();
    assert_eq!(socket.path(), place.runtime("gaggle-3.sock"));
    assert!(is_alive(socket.path()));
}

#[test]
fn a_socket_on_which_somebody_listens_is_never_replaced() {
    let place = Place::new();
    let living = UnixListener::bind(place.socket()).unwrap();
    let socket = place.open().unwrap();
    assert_eq!(socket.path(), place.runtime("gaggle-3.sock"));
    assert!(is_alive(&place.socket()));
    // Nor one of another kind.
    drop(living);
    fs::remove_file(place.socket()).unwrap();
    let _living = UnixDatagram::bind(place.socket()).unwrap();
    // The first one's lock is held: the second of this id takes another name.
    assert_eq!(place.open().unwrap().path(), place.runtime("gaggle-3-2.sock"));
}

#[test]
fn a_node_that_is_about_to_be_gone_is_waited_for() {
    let place = Place::new();
    let before = place.open().unwrap();
    let next = std::thread::scope(|scope| {
        let next = scope.spawn(|| place.open().unwrap());
        drop(before);
        next.join().unwrap()
    });
    assert_eq!(next.path(), place.socket());
    assert!(is_alive(&place.socket()));
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let place = Place::new();
    let target = place.folder.path().join("target");
    let make: [(&str, Make<'_>); 4] = [
        ("a file", &|path| fs::write(path, "precious").unwrap()),
        ("a folder", &|path| fs::create_dir(path).unwrap()),
        ("a link to nothing", &|path| symlink(&target, path).unwrap()),
        ("a link to a socket", &|path| {
            stale(&target);
            symlink(&target, path).unwrap();
        }),
    ];
    for (what, make) in make {
        make(&place.socket());
        let before = fs::symlink_metadata(place.socket()).unwrap();
        let socket = place.open().unwrap();
        assert_eq!(socket.path(), place.runtime("gaggle-3.sock"), "{what}");
        let after = fs::symlink_metadata(place.socket()).unwrap();
        assert_eq!((before.ino(), before.file_type()), (after.ino(), after.file_type()), "{what}");
        fs::remove_file(place.socket()).or_else(|_| fs::remove_dir(place.socket())).unwrap();
    }
    assert!(target.exists(), "the stale socket behind the link");
}

#[test]
fn a_path_that_is_too_long_leads_to_the_runtime_folder() {
    let mut place = Place::new();
    let longest =
        PATH_SIZE_MAX - STATE_SOCKET.len() - 1 - place.folder.path().as_os_str().len() - 1;
    for (length, fits) in [(longest, true), (longest + 1, false)] {
        place.state = place.folder.path().join("x".repeat(length));
        fs::create_dir(&place.state).unwrap();
        let socket = place.open().unwrap();
        assert_eq!(socket.path().starts_with(&place.state), fits, "{length}");
        assert!(is_alive(socket.path()));
    }
    place.state = place.folder.path().join("a\nb");
    fs::create_dir(&place.state).unwrap();
    assert_eq!(place.open().unwrap().path(), place.runtime("gaggle-3.sock"), "a line break");
}

#[test]
fn a_folder_that_others_may_write_to_is_not_trusted() {
    let place = Place::new();
    let folder = place.runtime("");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let words = place.ephemeral().unwrap_err().to_string();
    assert!(words.contains("no folder that this user alone may write to"), "{words}");
    fs::remove_dir(&folder).unwrap();
    // A link may lead anywhere.
    symlink(&place.state, place.folder.path().join("gaggle")).unwrap();
    assert!(place.ephemeral().is_err());
    assert_eq!(fs::read_dir(&place.state).unwrap().count(), 0);
}

#[test]
fn without_any_place_it_is_said_why() {
    let place = Place::new();
    fs::write(place.socket(), "").unwrap();
    let error = ControlSocket::open(Some(&place.state), id(3), &Places::default()).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("is there already and is no socket"), "{words}");
    assert!(words.contains("only the admin token gives orders"), "{words}");
}

#[test]
fn a_file_that_was_removed_is_made_anew() {
    let place = Place::new();
    let mut socket = place.open().unwrap();
    assert!(socket.is_in_place());
    fs::remove_file(place.socket()).unwrap();
    assert!(!socket.is_in_place());
    socket.restore().unwrap();
    assert!(socket.is_in_place() && is_alive(&place.socket()));
    assert_eq!(mode(&place.socket()), 0o600);
    fs::remove_file(place.socket()).unwrap();
    fs::create_dir(place.socket()).unwrap();
    assert!(matches!(socket.restore(), Err(Obstacle::InTheWay(_))));
    drop(socket);
    assert!(place.socket().is_dir(), "what somebody else put there stays");
}

#[test]
fn a_service_and_a_session_have_folders_of_their_own_and_root_has_the_systems() {
    let folders = |surroundings: &Surroundings| {
        let places = Places::new(surroundings);
        let shown = places.runtime().iter().map(|folder| folder.path().display().to_string());
        shown.collect::<Vec<_>>()
    };
    let temporary = PathBuf::from("/tmp");
    let bare = Surroundings { temporary, user: 7, ..Surroundings::default() };
    assert_eq!(folders(&bare), ["/tmp/gaggle-7"]);
    let session = Surroundings { runtime: Some("/run/user/7".into()), ..bare.clone() };
    assert_eq!(folders(&session), ["/run/user/7/gaggle", "/tmp/gaggle-7"]);
    let service = Surroundings { service: Some("/run/a:/run/b".into()), ..bare.clone() };
    assert_eq!(folders(&service), ["/run/a", "/tmp/gaggle-7"]);
    let odd = Surroundings { runtime: Some("up/there".into()), user: 0, ..bare };
    assert_eq!(folders(&odd), ["/run/gaggle", "/tmp/gaggle-0"]);
}
