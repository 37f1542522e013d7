//! What a command finds that is typed on a machine without saying whom it means. A network
//! namespace stands for the machine: its list of sockets is its own. Skipped where none is to be
//! had.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::certificates::{Authority, FAR};
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

#[test]
fn a_token_goes_to_another_address_by_tls_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("ca.pem"));
    authority.certify(&["10.9.9.1"], FAR);
    std::fs::write(folder.path().join("token"), "honk-honk-honk-honk").unwrap();
    let script = r#"
token=(--admin-token-file "$D/token")
node 10.9.9.1:8000 --id 7 --state-dir "$D/plain" "${token[@]}"
node 10.9.9.1:8001 --id 8 --state-dir "$D/tls" "${token[@]}" --http-tls-cert "$D/node.pem" --http-tls-key "$D/node.key"
up "$D/plain"; up "$D/tls"
# Another machine, beside this one: its commands find no socket here.
unshare --net sleep 1000 & P=$!
for i in $(seq 2000); do [ "$(readlink /proc/$P/ns/net)" != "$(readlink /proc/self/ns/net)" ] && break; sleep 0.02; done
ip link add here type veth peer name there netns $P || exit 77
ip addr add 10.9.8.1/24 dev here && ip link set here up
there() { nsenter --target $P --net "$@"; }
there ip addr add 10.9.8.2/24 dev there && there ip link set there up && there ip route add 10.9.9.1 via 10.9.8.1
said there "$G" drain --off --node http://10.9.9.1:9000 "${token[@]}"
there bash -c "exec 3<>/dev/tcp/10.9.9.1/9000
printf 'POST /v1/leave HTTP/1.0\r\nAuthorization: Bearer honk-honk-honk-honk\r\nContent-Length: 0\r\n\r\n' >&3
cat <&3" | tr -d '\r' | grep -e '^HTTP' -e 'in the clear' | sed 's/.*"detail":"\(a token[^,]*\),.*/\1/'
said there "$G" drain --off --node https://10.9.9.1:9001 --ca "$D/ca.pem" "${token[@]}"
said there "$G" drain --off --node https://10.9.9.1:9001 --ca "$D/ca.pem"
said there "$G" leave --node https://10.9.9.1:9001 --ca "$D/ca.pem" "${token[@]}"
said "$G" leave --node "$D/plain"
"#;
    let Some(text) = on_a_machine(folder.path(), script) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let kept = "[2] gaggle: the token is not sent to http://10.9.9.1:9000, where it would go over the \
                network in the clear: ask by https:// if the node serves that, or type the command on \
                that machine, where it needs no token, for example by ssh";
    assert_eq!(lines[0], kept, "{text}");
    assert_eq!(lines[1], "HTTP/1.0 403 Forbidden", "{text}");
    assert_eq!(lines[2], "a token came in the clear from 10.9.8.2", "{text}");
    assert_eq!(lines[3], "[0] the node was not drained, and holds back no more", "{text}");
    assert!(lines[4].contains("orders are not taken over TCP without the node's admin"), "{text}");
    assert_eq!(lines[5..], ["[0] the node has left"; 2], "{text}");
}
