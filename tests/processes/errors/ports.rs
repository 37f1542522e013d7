//! Ports that cannot be had: exit code 1, for the settings may be right and the moment wrong.

use std::process::Command;

use super::{Place, last_line, skip};
use crate::harness::process::{GAGGLE, free_port};

fn refused(place: &Place, words: &str, expected: &str) {
    let output = place.run(&format!("run {words} --state-dir @dir/state"), &[]);
    let line = last_line(&output);
    assert_eq!(line, format!("gaggle: {}", place.filled(expected)), "{words}");
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(output.stdout.is_empty(), "{words}");
}

#[test]
fn an_address_in_use() {
    let place = Place::new();
    let free = format!("127.0.0.1:{}", free_port());
    refused(
        &place,
        &format!("@addr --http {free}"),
        "@addr is in use (gossip, over UDP): another node or program has it. Stop that one, or \
         give another ADDR:PORT",
    );
    refused(
        &place,
        &format!("{free} --http @http"),
        "@http is in use (HTTP, over TCP): another node or program has it. Stop that one, or give \
         another --http ADDR:PORT",
    );
}

#[test]
fn an_address_of_another_machine() {
    // An address of the documentation, which no machine has.
    let place = Place::new();
    refused(
        &place,
        "192.0.2.1:8000 --http @http",
        "192.0.2.1:8000 is no address of this machine (gossip, over UDP): give an ADDR:PORT that \
         is, and --advertise the address that others see",
    );
}

#[test]
fn a_port_for_others() {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse::<u16>().ok()).unwrap_or(1024);
    if first <= 1 {
        return skip("a privileged port", "every port is open to everybody here");
    }
    let mut command = unprivileged();
    command.args([GAGGLE, "run", "127.0.0.1:1", "--ephemeral"]).env_clear();
    let Ok(output) = command.output() else {
        return skip("a privileged port", "setpriv cannot be started");
    };
    let line = last_line(&output);
    if line.starts_with("setpriv: ") {
        return skip("a privileged port", &line);
    }
    let expected = "gaggle: 127.0.0.1:1 may not be opened by this user (gossip, over UDP): \
                    Permission denied (os error 13). Give an ADDR:PORT with a port from 1024 on, \
                    or the right to open lower ones";
    assert_eq!((line.as_str(), output.status.code()), (expected, Some(1)));
}

/// Starts a command as nobody if this user may do everything.
pub(super) fn unprivileged() -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new("env");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["--inh-caps=-all", "--bounding-set=-all"]);
    command
}
