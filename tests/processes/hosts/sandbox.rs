//! A place in which a test may make networks, mount disks and start processes without a trace
//! on the machine: namespaces of the kernel, which end with their first process.
//!
//! ```text
//! test program                 asks for the case by its name, waits, shows what it said
//!   └─ sh                      a network and mounts of its own
//!        ├─ sh                 the guard: thaws frozen disks when the test program is gone
//!        └─ unshare            processes of its own
//!             └─ sh            process 1: reaps orphans; the kernel ends all others with it
//!                  └─ test program, told to run this one case
//! ```
//!
//! The kernel cleans up, so a case that panics, hangs or is killed leaves nothing behind. A
//! process that waits for a frozen disk cannot be killed: hence the guard, which is outside.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set inside.
const INSIDE: &str = "GAGGLE_HOSTS_INSIDE";

/// Where disks are mounted, one folder each.
pub(crate) const DISKS: &str = "/run/disks";

/// Without these there is no sandbox.
const TOOLS: [&str; 5] = ["ip", "nft", "unshare", "nsenter", "setpriv"];

/// The mounts are private: `unshare` sees to that. `/run` is where `ip netns` keeps names.
const OUTSIDE_SCRIPT: &str = r#"
exec 3<&0 0</dev/null
mount -t tmpfs -o mode=755 sandbox /run && mkdir -p /run/netns /run/disks || exit 1
( while read -r _; do :; done <&3; for disk in /run/disks/*; do fsfreeze --unfreeze "$disk"; done
) >/dev/null 2>&1 &
exec 3<&-
exec unshare --pid --fork --kill-child --mount-proc sh -c '"$0" "$@"; exit $?' "$@"
"#;

/// Runs `case` in a sandbox, or says why it is skipped. The case's own name is that of the test
/// that calls this, for the closure is named after it.
pub(crate) fn run<Case: FnOnce()>(case: Case) {
    if std::env::var_os(INSIDE).is_some() {
        return case();
    }
    if let Some(reason) = missing() {
        return skip(&reason);
    }
    let name = std::any::type_name::<Case>();
    let name = name.split_once("::").expect("the crate's name").1.trim_end_matches("::{{closure}}");
    let mut said = tempfile::tempfile().expect("a temporary file");
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "sh", "-c"])
        .args([OUTSIDE_SCRIPT, "sh"])
        .arg(std::env::current_exe().expect("the path of this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .stdout(said.try_clone().expect("a file"))
        .stderr(said.try_clone().expect("a file"))
        .spawn()
        .expect("setpriv can be started");
    // The guard waits for its end.
    let guard = child.stdin.take();
    let status = child.wait().expect("a child");
    drop(guard);
    let words = read(&mut said);
    for line in words.lines().filter(|line| line.starts_with("skipped: ")) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    println!("{words}");
    assert!(words.contains("1 passed") || !status.success(), "{name} is no test");
    assert!(status.success(), "{name} failed: {:?} {:?}", status.code(), status.signal());
}

/// Says, even to whoever does not ask for the output of tests that passed, that one was skipped.
pub(crate) fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {reason}");
}

/// Why there is no sandbox on this machine.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("namespaces want root".to_owned());
    }
    if let Some(tool) = TOOLS.iter().find(|tool| !is_here(tool)) {
        return Some(format!("{tool} is not installed"));
    }
    let tried = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "true"])
        .output()
        .expect("unshare can be started");
    let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    (!tried.status.success()).then_some(said)
}

/// Whether `tool` is installed.
pub(crate) fn is_here(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|folder| folder.join(tool)).any(|file| file.is_file())
}

/// Runs a command to its end; what it wrote, unless it failed.
pub(crate) fn try_tool(words: &[&str]) -> Result<String, String> {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", words[0]))?;
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    if status.success() { Ok(written) } else { Err(format!("{words:?}: {status}: {complaint}")) }
}

/// The same, of a command that must not fail.
#[track_caller]
pub(crate) fn tool(words: &[&str]) -> String {
    try_tool(words).unwrap_or_else(|complaint| panic!("{complaint}"))
}

/// Runs a command that reads `input`.
#[track_caller]
pub(crate) fn tool_with(words: &[&str], input: &str) {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("a child");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complaint}\n{input}");
}

/// What a file holds, from its beginning.
fn read(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where `name` is mounted.
pub(crate) fn disk(name: &str) -> PathBuf {
    let folder = Path::new(DISKS).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn a_case_that_fails_fails_its_test_and_leaves_nothing() {
    // Told apart by its argument: it leaves its parent, its group and its session.
    const MARK: &str = "77123";
    if missing().is_some() {
        return;
    }
    let failed = std::panic::catch_unwind(|| {
        run(|| {
            Command::new("setsid").args(["-f", "sleep", MARK]).status().unwrap();
            panic!("on purpose");
        });
    });
    assert!(std::env::var_os(INSIDE).is_none(), "on purpose");
    assert!(failed.is_err());
    let marked = |words: &[u8]| words.split(|byte| *byte == 0).any(|word| word == MARK.as_bytes());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut words = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    assert!(!words.any(|words| marked(&words)), "a process is left behind");
}
