//! Three processes of the running example, each with a node of its own: what the examples share.
//!
//! The first process starts the others (the same program with a number as its argument), hears
//! what they say on their standard output, and ends them when it ends.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use gaggle::Config;
use rustix::process::{Pid, Signal, kill_process};

/// How many nodes there are; all of them vote.
pub(crate) const COUNT: usize = 3;

/// Where a child finds the addresses of all nodes, and the folder they share.
const ADDRESSES: &str = "EXAMPLE_ADDRESSES";
const FOLDER: &str = "EXAMPLE_FOLDER";

/// The children. Dropping it kills them and removes their folder.
pub(crate) struct Processes {
    children: BTreeMap<usize, Child>,
    addresses: String,
    folder: tempfile::TempDir,
    speak: Sender<(usize, String)>,
    hear: Receiver<(usize, String)>,
}

impl Processes {
    /// Starts all of them.
    pub(crate) fn start() -> io::Result<Self> {
        let sockets = (0..COUNT).map(|_| UdpSocket::bind("127.0.0.1:0"));
        let sockets: Vec<UdpSocket> = sockets.collect::<io::Result<_>>()?;
        let addresses = sockets.iter().map(|socket| Ok(socket.local_addr()?.to_string()));
        let addresses = addresses.collect::<io::Result<Vec<_>>>()?.join(",");
        drop(sockets);
        let (speak, hear) = channel();
        let folder = tempfile::tempdir()?;
        let mut processes = Self { children: BTreeMap::new(), addresses, folder, speak, hear };
        for number in 0..COUNT {
            processes.spawn(number)?;
        }
        Ok(processes)
    }

    /// Starts one that does not run.
    pub(crate) fn spawn(&mut self, number: usize) -> io::Result<()> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(number.to_string())
            .env(ADDRESSES, &self.addresses)
            .env(FOLDER, self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(output) = child.stdout.take() {
            let speak = self.speak.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if speak.send((number, line)).is_err() {
                        return;
                    }
                }
            });
        }
        self.children.insert(number, child);
        Ok(())
    }

    /// The folder that all share.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The next line that any of them said, if one comes within `limit`.
    pub(crate) fn next(&self, limit: Duration) -> Option<(usize, String)> {
        self.hear.recv_timeout(limit).ok()
    }

    /// `kill -9`, and the wait for the end.
    pub(crate) fn kill(&mut self, number: usize) -> io::Result<()> {
        if let Some(mut child) = self.children.remove(&number) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, number: usize, signal: Signal) -> io::Result<()> {
        let pid =
            self.children.get(&number).and_then(|child| Pid::from_raw(child.id().cast_signed()));
        match pid {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Err(io::Error::other("it does not run")),
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// In a child: its number, its settings, and the folder that all share. None in the first
/// process.
pub(crate) fn child() -> Option<(usize, Config, PathBuf)> {
    let number: usize = std::env::args().nth(1)?.parse().ok()?;
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let addresses = std::env::var(ADDRESSES).ok()?;
    let voters: Vec<&str> = addresses.split(',').collect();
    let config = Config::new(*voters.get(number)?)
        .voters(voters)
        .state_dir(folder.join(format!("node-{number}")));
    Some((number, config, folder))
}
