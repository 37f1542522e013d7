//! `gaggle doctor --preflight`: what can be known before a node is started, with the settings that it
//! is to be started with. It leaves nothing behind, and disturbs no cluster: it asks what every
//! joiner asks.
//!
//! ```text
//! settings ──▶ checked, as `gaggle check` does ──▶ refused: exit 2
//!    │
//!    ├─ this machine: clock, its synchronisation, buffers, ports, advertised address, state folder
//!    └─ the peers, over UDP from the node's own port ──▶ who answers, as what, under which key
//! ```
//!
//! A running node answers with a Welcome. Where the node of the other machine is not started either,
//! the same command there is as good as an answer: each hears the other's questions, and says so.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::findings::{Findings, Verdict, report};
use super::machine::{machine, state_folder};
use crate::commands::arguments::DoctorArguments;
use crate::commands::{CommandError, Exit, entropy, environment, one_line, runtime};
use crate::config;
use crate::config::checked::{Checked, Storage};
use crate::shell::socket::{self, BindError, Purpose};

mod peers;
mod question;

/// systemd's own mark that the clock was set from elsewhere.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";
/// So long a program that knows about the clock is waited for.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// Examines this machine and the way to the others; exit 0 if nothing is wrong.
pub(super) fn preflight(arguments: &DoctorArguments) -> Result<Exit, CommandError> {
    let checked = config::check(&arguments.run, &environment(entropy()?))?;
    let mut findings = Findings::default();
    settings(&mut findings, &checked);
    machine(&mut findings);
    wall_clock(&mut findings);
    let socket = ports(&mut findings, &checked);
    advertised(&mut findings, &checked);
    match &checked.storage {
        Storage::Folder(folder) => nearest_folder(&mut findings, folder),
        Storage::Ephemeral => {
            let words = "no state is kept (--ephemeral): if most voters restart at once, they wait \
                         before anybody leads";
            findings.add(Verdict::Odd, "state folder", words);
        }
    }
    peers::examine(&mut findings, &checked, socket, &arguments.ask)?;
    let conclusions = [
        "ready to be started",
        "can be started; somebody should know of what is odd",
        "not ready: see what is WRONG",
    ];
    report(arguments, &findings, conclusions)?;
    Ok(if findings.worst() == Verdict::Wrong { Exit::Failure } else { Exit::Done })
}

fn settings(findings: &mut Findings, checked: &Checked) {
    let setup = &checked.setup;
    let keys = setup.keys.as_ref().map_or_else(
        || "nothing is sealed: whoever reaches the port may speak".to_owned(),
        |keys| format!("sealed with key {}", keys.hints().join(", and opened with ")),
    );
    let words = format!("node {} of cluster {:?}; {keys}", setup.id, setup.cluster.as_str());
    findings.add(Verdict::Ok, "settings", words);
    for warning in &checked.warnings {
        findings.add(Verdict::Odd, "settings", one_line(warning));
    }
}

/// Whether somebody sets this machine's wall clock: a process without a record counts its starts by it.
fn wall_clock(findings: &mut Findings) {
    let about = "wall clock";
    let words = |told| format!("the wall clock is set from elsewhere ({told})");
    if Path::new(TIMESYNC_MARK).exists() {
        return findings.add(Verdict::Ok, about, words("systemd-timesyncd"));
    }
    match told_by("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).as_deref() {
        Some("yes") => return findings.add(Verdict::Ok, about, words("timedatectl")),
        Some("no") => {
            let words = "the wall clock is not set from elsewhere (timedatectl): turn on \
                         systemd-timesyncd or chrony, for a node without a record counts its starts \
                         by it";
            return findings.add(Verdict::Odd, about, words);
        }
        _ => {}
    }
    if told_by("chronyc", &["-n", "waitsync", "1"]).is_some() {
        return findings.add(Verdict::Ok, about, words("chronyd"));
    }
    let words = "nobody here says whether the wall clock is set from elsewhere: look to NTP, or to \
                 the host of this virtual machine or container";
    findings.add(Verdict::Odd, about, words);
}

/// What a program prints in one line, if it is there and ends well within [`TOLD_WITHIN`]: it may wait
/// for a service that hangs.
fn told_by(program: &str, words: &[&str]) -> Option<String> {
    let mut asked = tokio::process::Command::new(program);
    asked.args(words).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = runtime()
        .ok()?
        .block_on(async { tokio::time::timeout(TOLD_WITHIN, asked.output()).await.ok()?.ok() })?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| one_line(text.trim()))
}

/// Whether the ports are free. The one for gossip is kept, to ask the others from it.
fn ports(findings: &mut Findings, checked: &Checked) -> Option<UdpSocket> {
    let mut judge =
        |purpose: Purpose, address: SocketAddr, outcome: Result<(), BindError>| match outcome {
            Ok(()) => findings.add(Verdict::Ok, "ports", format!("{address} is free ({purpose})")),
            Err(error) => findings.add(Verdict::Wrong, "ports", error.to_string()),
        };
    let tcp = |purpose, address| {
        TcpListener::bind(address).map(drop).map_err(|error| BindError::of(purpose, address, error))
    };
    let bound = socket::bind(checked.listen);
    let (socket, outcome) = match bound {
        Ok(socket) => (Some(socket), Ok(())),
        Err(error) => (None, Err(error)),
    };
    judge(Purpose::Gossip, checked.listen, outcome);
    if let Some(address) = checked.http {
        judge(Purpose::Http, address, tcp(Purpose::Http, address));
    }
    if let Some(address) = checked.agent_check {
        judge(Purpose::AgentCheck, address, tcp(Purpose::AgentCheck, address));
    }
    socket
}

/// Whether others are told an address that leads here, as far as this machine can know.
fn advertised(findings: &mut Findings, checked: &Checked) {
    let address = checked.setup.address;
    let is_here = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
    let about = "address";
    if address.ip().to_canonical().is_loopback() {
        let words = format!("{address} is reached from this machine only: fine for a try");
        findings.add(Verdict::Odd, about, words);
    } else if !is_here(address.ip()) {
        let words = format!(
            "others are told {address}, which is no address of this machine: right behind NAT or a \
             mapped port, and otherwise a mistake in --advertise"
        );
        findings.add(Verdict::Odd, about, words);
    } else {
        findings.add(
            Verdict::Ok,
            about,
            format!("others are told {address}, which is of this machine"),
        );
    }
}

/// Tries the state folder, or the one that it would be made in.
fn nearest_folder(findings: &mut Findings, folder: &Path) {
    let there = folder.ancestors().find(|path| path.is_dir());
    match there {
        Some(path) if path == folder => state_folder(findings, folder),
        Some(path) => {
            let words = format!("{} is not there yet: it will be made", folder.display());
            findings.add(Verdict::Ok, "state folder", words);
            state_folder(findings, path);
        }
        None => {
            let words = format!("{} cannot be made: no folder above it exists", folder.display());
            findings.add(Verdict::Wrong, "state folder", words);
        }
    }
}
