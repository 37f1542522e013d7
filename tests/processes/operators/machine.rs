//! What a command finds that is typed on a machine without saying whom it means. A network
//! namespace stands for the machine: its list of sockets is its own. Skipped where none is to be
//! had.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::process::GAGGLE;

/// What every script begins with: an address that is not loopback's, a wait for a node, and the
/// end of what it has started. `said` runs a command and prints its exit code and all it says.
const PRELUDE: &str = r#"
ip link set lo up && ip addr add 10.9.9.1/32 dev lo || exit 77
G=$1; D=$2; export HOME=$D/home XDG_RUNTIME_DIR=$D/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
unset GAGGLE_NODE XDG_STATE_HOME RUNTIME_DIRECTORY
trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT
node() { "$G" run "$@" 2>>"$D/log" & }
up() { for i in $(seq 2000); do "$G" status --node "$1" >/dev/null 2>&1 && return; sleep 0.02; done; cat "$D/log"; exit 1; }
said() { out=$("$@" 2>&1); echo "[$?] $out"; }
"#;

/// What a script says on a machine of its own.
fn on_a_machine(folder: &Path, script: &str) -> Option<String> {
    let script = format!("{PRELUDE}{script}");
    let output = Command::new("unshare")
        .args(["--net", "--map-root-user", "bash", "-c", &script, "bash", GAGGLE])
        .arg(folder)
        .stdin(Stdio::null())
        .output();
    let Ok(Output { status, stdout, stderr }) = output else {
        println!("skipped: unshare cannot be started");
        return None;
    };
    let text = String::from_utf8_lossy(&stdout).replace(&folder.display().to_string(), "@dir");
    let complaints = String::from_utf8_lossy(&stderr);
    if status.code() == Some(77) || complaints.starts_with("unshare: ") {
        println!("skipped: no network namespace: {complaints}");
        return None;
    }
    assert!(status.success(), "{text}\n{complaints}");
    println!("{text}");
    Some(text)
}

#[test]
fn a_command_reaches_the_only_node_whatever_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
said "$G" status
said "$G" leave
node 10.9.9.1:8000 --id 7 --state-dir "$D/seven"
up "$D/seven"
"$G" status | grep '^node'
for i in $(seq 2000); do "$G" step-down >/dev/null 2>&1 && echo "stepped down" && break; sleep 0.02; done
said "$G" leave --node http://10.9.9.1:9000
wait
ls "$D/seven"
node 10.9.9.1:8000 --id 8 --ephemeral
up "$D/run/gaggle/gaggle-8.sock"
"$G" status | grep '^node'
said "$G" leave
"#;
    let Some(text) = on_a_machine(folder.path(), script) else { return };
    let nobody = "gaggle: no node of this user runs on this machine: start one with `gaggle run`, or \
                  name another with --node";
    let left = "[0] the node has left\n";
    let expected = format!(
        "[1] {nobody}\n[1] {nobody}\nnode       7, a voter\nstepped down\n{left}lock\nrecord\n\
         node       8, a voter\n{left}"
    );
    assert_eq!(text, expected);
}

#[test]
fn several_nodes_are_listed_and_dead_ones_are_not_among_them() {
    let folder = tempfile::tempdir().unwrap();
    // What a thousand dead nodes have left, where nodes usually are.
    for number in 0..1000 {
        let state = folder.path().join("home/.local/state/gaggle/pond").join(number.to_string());
        std::fs::create_dir_all(&state).unwrap();
        // The path must fit; where it does not, there would be no socket either.
        let _ = UnixListener::bind(state.join("gaggle.sock"));
    }
    let script = r#"
node 127.0.0.1:8000 --id 1 --cluster pond --state-dir "$D/one"
P=$!
node 127.0.0.1:8001 --id 2 --cluster lake --state-dir "$D/two"
up "$D/one"; up "$D/two/gaggle.sock"
said "$G" status
said "$G" leave
"$G" status --node "$D/two" | grep '^node'
"$G" status --node 127.0.0.1:9000 | grep '^node'
GAGGLE_NODE="$D/one/gaggle.sock" "$G" status | grep '^node'
kill -9 $P; wait $P 2>/dev/null
ls "$D/one"
"$G" status | grep '^node'
rm "$D/two/gaggle.sock"
for i in $(seq 2000); do [ -e "$D/two/gaggle.sock" ] && break; sleep 0.02; done
said "$G" leave
node 127.0.0.1:8000 --id 1 --cluster pond --state-dir "$D/one"
up "$D/one"
"$G" status | grep '^node'
"#;
    let Some(text) = on_a_machine(folder.path(), script) else { return };
    let list = "[2] NODE  CLUSTER  ADDRESS         SOCKET\n\
                1     pond     127.0.0.1:8000  @dir/one/gaggle.sock\n\
                2     lake     127.0.0.1:8001  @dir/two/gaggle.sock\n\
                gaggle: 2 nodes run on this machine: say with --node which one is meant, by its \
                SOCKET or by its HTTP address\n";
    let node = |number| format!("node       {number}, a voter\n");
    let (one, two) = (node(1), node(2));
    let left = "gaggle.sock\nlock\nrecord\n";
    let expected = format!("{list}{list}{two}{one}{one}{left}{two}[0] the node has left\n{one}");
    assert_eq!(text, expected);
}

#[test]
fn a_node_without_http_is_reached_by_the_commands_of_its_machine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
export GAGGLE_HTTP=off
node 10.9.9.1:8000 --id 7 --state-dir "$D/seven" --agent-check 10.9.9.1:9100
up "$D/seven"
for i in $(seq 2000); do [ "$(cat </dev/tcp/10.9.9.1/9100)" = "up ready" ] && echo "up ready" && break; sleep 0.02; done
echo "listens on TCP: $(awk '$4 == "0A"' /proc/net/tcp /proc/net/tcp6 | wc -l)"
"$G" goose
"$G" status | grep -e '^node' -e '^http'
for i in $(seq 2000); do "$G" step-down >/dev/null 2>&1 && echo "stepped down" && break; sleep 0.02; done
cat </dev/tcp/10.9.9.1/9100
said "$G" leave --node "$D/seven"
wait
said "$G" check 10.9.9.1:8000 --advertise-http 10.9.9.1:9000
"#;
    let Some(text) = on_a_machine(folder.path(), script) else { return };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["up ready", "listens on TCP: 1"]);
    // The row of the Goose: no HTTP.
    assert!(lines[3].starts_with("7 ") && lines[3].contains(" -  "), "{text}");
    let rest = [
        "node       7, a voter",
        "http       -",
        "stepped down",
        "up maint",
        "[0] the node has left",
    ];
    assert_eq!(lines[4..9], rest, "{text}");
    assert!(lines[9].starts_with("[2] gaggle: --advertise-http 10.9.9.1:9000"), "{text}");
}
