//! One node as a real process: its addresses, state folder and log outlive the process.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};

/// The binary under test.
pub(crate) const GAGGLE: &str = env!("CARGO_BIN_EXE_gaggle");

/// Ports are taken from below the range from which the kernel gives ports to clients: a port
/// of a node that is down must still be free when the node returns. So must the port of its HTTP
/// server, which is a thousand higher by default: of every two thousand the upper half is left
/// out.
const PORTS_FIRST: u16 = 12_000;
const PORTS_COUNT: u16 = 10_000;

/// A port that nobody uses on loopback, neither over UDP nor over TCP, and that was not given
/// out before by this process.
pub(crate) fn free_port() -> u16 {
    static OFFSET: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time start at different places.
    let start = u16::try_from(std::process::id() * 613 % u32::from(PORTS_COUNT)).unwrap_or(0);
    for _ in 0..PORTS_COUNT {
        let offset = OFFSET.fetch_add(1, Ordering::Relaxed) % PORTS_COUNT;
        let place = (start + offset) % PORTS_COUNT;
        let port = PORTS_FIRST + place / 1000 * 2000 + place % 1000;
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no free port on loopback");
}

/// How a node is started; the same at every start.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) http: SocketAddr,
    /// `--voters`, `--seed` and so on.
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct NodeProcess {
    pub(crate) settings: Settings,
    folder: PathBuf,
    child: Option<Child>,
}

impl NodeProcess {
    /// A node that keeps its things in `folder`, not yet started.
    pub(crate) fn new(settings: Settings, folder: &Path) -> Self {
        let folder = folder.join(settings.id.to_string());
        Self { settings, folder, child: None }
    }

    /// Starts it, with its log appended to the log of its earlier starts.
    pub(crate) fn start(&mut self) {
        std::fs::create_dir_all(&self.folder).expect("a folder for the node");
        let mut log = File::options().create(true).append(true).open(self.log_path()).expect("log");
        writeln!(log, "-- start").expect("log");
        self.start_saying(log.into());
    }

    /// Starts it, with its log going there.
    pub(crate) fn start_saying(&mut self, log: Stdio) {
        assert!(self.child.is_none(), "node {} runs already", self.settings.id);
        let child = Command::new(GAGGLE)
            .arg("run")
            .arg(self.settings.address.to_string())
            .args(["--id", &self.settings.id.to_string()])
            .args(self.name())
            .args(["--http", &self.settings.http.to_string()])
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .args(["--log-level", "info"])
            .args(&self.settings.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary can be started");
        self.child = Some(child);
    }

    /// Called by its id, unless a test names it: what a host is called differs, and what people
    /// read would with it.
    fn name(&self) -> Vec<String> {
        let named = self.settings.arguments.iter().any(|argument| argument == "--name");
        let id = self.settings.id.to_string();
        if named { Vec::new() } else { vec!["--name".to_owned(), id] }
    }

    /// Its control socket, over which it takes orders.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("state").join("gaggle.sock")
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal and returns at once.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the node runs");
        kill_process(Pid::from_child(child), signal).expect("the signal can be sent");
    }

    /// Waits for the end of a process that was told to end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the node runs");
        child.wait().expect("the process can be waited for")
    }

    /// Its end, if it has ended.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().expect("the process can be asked for");
        if status.is_some() {
            self.child = None;
        }
        status
    }

    /// The log of all its starts.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGKILL ends a stopped process too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
