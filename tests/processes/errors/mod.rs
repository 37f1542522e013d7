//! The list of what can go wrong with a node's settings, its folder and its neighbours: the
//! setting, the exit code, and the whole text that a person sees.
//!
//! Settings that are refused are refused before any port is opened and any file is made: in
//! those runs both ports are held by the test, and the text is still that of the setting.

mod folder;
mod network;
mod ports;
mod settings;
mod warnings;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::harness::process::{GAGGLE, NodeProcess, Settings, free_port};
use crate::harness::{PATIENCE, poll_until};
use rustix::process::Signal;

/// A folder, and two ports that are taken for as long as this lives.
struct Place {
    folder: tempfile::TempDir,
    gossip: UdpSocket,
    http: TcpListener,
}

impl Place {
    fn new() -> Self {
        let gossip = UdpSocket::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        Self::holding(gossip)
    }

    fn holding(gossip: UdpSocket) -> Self {
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), gossip, http }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts what belongs to this place into `text`: `@addr` and `@http`, which are taken, `@port`,
    /// `@id` (the one that is made from the address) and `@dir`.
    fn filled(&self, text: &str) -> String {
        let port = self.gossip.local_addr().unwrap().port();
        let id = (0x7f00_0001_u64 << 16) | u64::from(port);
        text.replace("@addr", &format!("127.0.0.1:{port}"))
            .replace("@http", &self.http.local_addr().unwrap().to_string())
            .replace("@port", &port.to_string())
            .replace("@id", &id.to_string())
            .replace("@dir", &self.folder.path().display().to_string())
    }

    /// Runs `gaggle` to its end with `words`, filled, and nothing of this process's environment
    /// but `variables`.
    fn run(&self, words: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(GAGGLE);
        command.args(words.split_whitespace().map(|word| match word {
            "@nothing" => String::new(),
            word => self.filled(word),
        }));
        command.env_clear();
        command.envs(variables.iter().map(|(name, value)| (*name, self.filled(value))));
        ended(&mut command)
    }
}

/// Runs a command to its end, which must come.
fn ended(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let ended = poll_until(PATIENCE, || child.try_wait().expect("the process can be asked for"));
    if ended.is_none() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("what it wrote can be read");
    assert!(ended.is_some(), "{command:?} did not end: {}", text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The last line on standard error, which is the refusal: the log comes before.
fn last_line(output: &Output) -> String {
    text(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

/// Says why a check is left out here.
fn skip(what: &str, why: &str) {
    println!("left out: {what}: {why}");
}

/// A node that runs for a while: its addresses are free, its folder and log its own.
fn node(place: &Place, id: u64, arguments: &[&str]) -> NodeProcess {
    let free = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let arguments = arguments.iter().map(|word| place.filled(word)).collect();
    let settings = Settings { id, address: free(), http: free(), arguments };
    let mut node = NodeProcess::new(settings, place.folder.path());
    node.start();
    node
}

/// Waits until the log of `node` has a line of `level` that says `expected` and no more.
fn await_line(node: &NodeProcess, level: &str, expected: &str) {
    await_text(&|| node.log(), level, expected);
}

/// As [`await_line`], of any log.
fn await_text(log: &dyn Fn() -> String, level: &str, expected: &str) {
    let end = format!(" {level} {expected}");
    let found = poll_until(PATIENCE, || log().lines().any(|it| it.ends_with(&end)).then_some(()));
    assert!(found.is_some(), "no line \"{end}\" in\n{}", log());
}

/// Tells a node to go, and waits until it has gone well.
fn stop(node: &mut NodeProcess) {
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(0), "{}", node.log());
}
