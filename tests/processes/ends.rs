//! How a node with a command ends, and what it makes of signals: with real processes, some of
//! them root's, a terminal's, or the first of their container. What needs root says so and passes
//! elsewhere.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::http::Client;
use crate::harness::process::{GAGGLE, free_port};
use crate::harness::{PATIENCE, poll_until};
use rustix::process::{Pid, Signal, geteuid, kill_process};

/// One node that is alone, and so Goose at once, with a log in a file.
struct Alone {
    child: Child,
    folder: tempfile::TempDir,
    http: std::net::SocketAddr,
}

/// The words with which it is started.
fn words(folder: &Path, http: std::net::SocketAddr, more: &[&str]) -> Vec<String> {
    let mut words = vec![GAGGLE.to_owned(), "exec".to_owned(), "--alone".to_owned()];
    words.push(format!("127.0.0.1:{}", free_port()));
    words.extend(["--http".to_owned(), http.to_string(), "--state-dir".to_owned()]);
    words.push(folder.join("state").display().to_string());
    words.extend(more.iter().map(|&word| word.to_owned()));
    words
}

impl Alone {
    /// Starts a node with `more` arguments; `before` are words of a program that starts it.
    fn start(before: &[&str], more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let http = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self::start_in(folder, http, before, more)
    }

    fn start_in(
        folder: tempfile::TempDir,
        http: std::net::SocketAddr,
        before: &[&str],
        more: &[&str],
    ) -> Self {
        let words: Vec<String> = before
            .iter()
            .map(|&word| word.to_owned())
            .chain(words(folder.path(), http, more))
            .collect();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env("FOLDER", folder.path())
            .env("GAGGLE_ON_EXIT", "stop")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, folder, http }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        let found = poll_until(PATIENCE, probe);
        found.unwrap_or_else(|| panic!("not so: {what}\n{}", self.log()))
    }

    #[track_caller]
    fn wait_for_file(&self, name: &str) -> String {
        self.wait_for(name, || {
            fs::read_to_string(self.file(name)).ok().filter(|text| text.ends_with('\n'))
        })
    }

    #[track_caller]
    fn wait_for_log(&self, words: &str) {
        self.wait_for(words, || self.log().contains(words).then_some(()));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn term(&self) -> Option<u64> {
        let answer = Client::new(self.http).get("/v1/status")?;
        let status: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        status["lease"].is_object().then(|| status["term"].as_u64())?
    }

    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let ended = poll_until(PATIENCE, || self.child.try_wait().unwrap());
        let ended = ended.unwrap_or_else(|| panic!("it did not end\n{}", self.log()));
        ended.code()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // Its keeper ends the command.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process is root's; says so if not.
fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("skipped: this test needs root");
    }
    root
}

/// Traps SIGHUP and SIGUSR1, says when, and works.
const TRAPS: &str = "trap 'echo > $FOLDER/hup' HUP; trap 'echo > $FOLDER/usr1' USR1; \
                     echo >> $FOLDER/ready; while :; do sleep 0.01; done";

#[test]
fn sighup_is_for_the_node_and_reaches_the_command_only_if_asked_for() {
    for forward in [false, true] {
        let more: &[&str] = if forward { &["--forward-hup"] } else { &[] };
        let mut node = Alone::start(&[], &[more, &["--", "sh", "-c", TRAPS]].concat());
        node.wait_for_file("ready");
        node.signal(Signal::HUP);
        node.wait_for_log("SIGHUP received");
        if forward {
            node.wait_for_file("hup");
        }
        // It would have come before this one.
        node.signal(Signal::USR1);
        node.wait_for_file("usr1");
        assert_eq!(node.file("hup").exists(), forward);
        node.signal(Signal::TERM);
        assert_eq!(node.end(), Some(0), "{}", node.log());
    }
}

#[test]
fn a_node_ends_with_its_terminal_and_not_for_a_mere_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let http = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let node = words(folder.path(), http, &["--", "sh", "-c", "'exec sleep 1000'"]).join(" ");
    let line = format!("echo $$ > {0}/pid; exec {node} 2> {0}/node-log", folder.path().display());
    // It makes a terminal, and is all that keeps it open.
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let Ok(terminal) = &mut terminal else {
        eprintln!("skipped: there is no script(1) here");
        return;
    };
    let log = || fs::read_to_string(folder.path().join("node-log")).unwrap_or_default();
    let said = |words: &str| {
        let found = poll_until(PATIENCE, || log().contains(words).then_some(()));
        assert!(found.is_some(), "not said: {words}\n{}", log());
    };
    said("the command runs");
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    said("SIGHUP received: nothing has changed");
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    said("the terminal has closed: ending the command and leaving");
    said("the node has ended");
}

/// A copy of setpriv(1) that anybody becomes root with. None: there is none, or this process may
/// not make one.
fn way_to_root(folder: &Path) -> Option<PathBuf> {
    let copy = folder.join("to-root");
    fs::copy("/usr/bin/setpriv", &copy).ok()?;
    fs::set_permissions(&copy, Permissions::from_mode(0o4755)).ok()?;
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let proof = Command::new("setpriv")
        .args(nobody)
        .arg(&copy)
        .args(["--reuid", "0", "id", "-u"])
        .output()
        .ok()?;
    (proof.stdout == b"0\n").then_some(copy)
}

#[test]
fn what_no_signal_reaches_is_named_at_once_and_keeps_the_lease() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let Some(to_root) = way_to_root(folder.path()) else {
        eprintln!("skipped: no setuid program can be made here");
        return;
    };
    // The binary may be where nobody else may look.
    let binary = folder.path().join("gaggle");
    fs::copy(GAGGLE, &binary).unwrap();
    let line = format!(
        "(setsid {0} --reuid 0 --regid 0 --clear-groups sh -c \
         'echo $$ > $FOLDER/pid; exec sleep 1000' &); until test -s $FOLDER/pid; do :; done; \
         echo > $FOLDER/ready; exit 3",
        to_root.display()
    );
    let before = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let http = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let more = ["--drain-timeout", "200ms", "--", "sh", "-c", &line];
    let mut words = words(folder.path(), http, &more);
    words[0] = binary.display().to_string();
    let log = File::create(folder.path().join("log")).unwrap();
    let child = Command::new(before[0])
        .args(&before[1..])
        .args(&words)
        .env("FOLDER", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut node = Alone { child, folder, http };
    let left = node.wait_for_file("pid").trim().to_owned();
    let said = format!("process {left} of the command belongs to user 0");
    node.wait_for_log(&said);
    let term = node.wait_for("a Goose", || node.term());
    // Longer than any lease that was not renewed.
    node.wait_for_renewals(term);
    node.signal(Signal::TERM);
    let code = node.end();
    let log = node.log();
    // A zombie does not live: whoever adopts it here may never ask for it.
    let stat = fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
    let lives = !stat.is_empty() && !stat.contains(") Z ");
    let left = Pid::from_raw(left.parse().unwrap()).unwrap();
    kill_process(left, Signal::KILL).unwrap();
    assert!(lives, "somebody ended it after all");
    assert_eq!(code, Some(125), "{log}");
    assert!(log.contains("of the command still runs"), "{log}");
    assert_eq!(log.matches(&said).count(), 1, "{log}");
}

impl Alone {
    /// Waits until the lease of `term` was renewed a few times.
    #[track_caller]
    fn wait_for_renewals(&self, term: u64) {
        let (mut last, mut renewals) = (0, 0);
        self.wait_for("the lease is renewed", || {
            let answer = Client::new(self.http).get("/v1/status")?;
            let status: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
            assert_eq!(status["term"].as_u64(), Some(term), "{}", self.log());
            let left = status["lease"]["remaining_ms"].as_u64()?;
            renewals += u32::from(left > last);
            last = left;
            (renewals > 12).then_some(())
        });
    }
}

/// The processes of `parent` that have ended and were not waited for.
fn zombies(parent: u32) -> usize {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let list = list.unwrap_or_default();
    let is_zombie = |number: &&str| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        stat.contains(") Z ")
    };
    list.split_ascii_whitespace().filter(is_zombie).count()
}

#[test]
fn as_the_first_process_of_a_container_it_runs_its_command_and_waits_for_orphans() {
    if !is_root() {
        return;
    }
    let container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
    let line = "test $PPID -ne 1 || exit 8; (setsid sleep 0.1 &); trap 'exit 9' TERM; \
                echo > $FOLDER/ready; while :; do sleep 0.01; done";
    let mut node = Alone::start(&container, &["--", "sh", "-c", line]);
    if poll_until(PATIENCE, || {
        let ended = node.child.try_wait().unwrap().is_some();
        (ended || node.file("ready").exists()).then_some(())
    })
    .is_none()
        || node.log().contains("unshare:")
    {
        eprintln!("skipped: no container can be made here: {}", node.log());
        return;
    }
    let first = node.wait_for("the first process", || {
        let unshare = node.child.id();
        let list = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
        list.split_ascii_whitespace().next()?.parse::<u32>().ok()
    });
    // A visitor that leaves somebody behind.
    let visit = Command::new("nsenter")
        .args(["--target", &first.to_string(), "--pid", "--", "sh", "-c"])
        .arg("(echo > $FOLDER/visited; sleep 0.1) & exit 0")
        .env("FOLDER", node.folder.path())
        .status();
    assert!(visit.unwrap().success());
    node.wait_for_file("visited");
    let mut seen = false;
    node.wait_for("nobody is left a zombie", || {
        let now = zombies(first);
        seen |= now > 0;
        (seen && now == 0).then_some(())
    });
    let first = Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
    kill_process(first, Signal::TERM).unwrap();
    assert_eq!(node.end(), Some(9), "{}", node.log());
}

/// What an operator says to the node.
fn order(node: &Alone, words: &[&str]) -> Option<i32> {
    let mut command = Command::new(GAGGLE);
    command.args(words).args(["--node", &format!("http://{}", node.http)]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().code()
}

#[test]
fn a_refused_step_down_does_not_touch_the_command() {
    let mut node = Alone::start(&[], &["--", "sh", "-c", TRAPS]);
    node.wait_for_file("ready");
    for _ in 0..3 {
        assert_ne!(order(&node, &["step-down", "--to", "7"]), Some(0), "nobody knows node 7");
    }
    // Whatever was to happen to it would have happened before this.
    node.signal(Signal::USR1);
    node.wait_for_file("usr1");
    assert_eq!(fs::read_to_string(node.file("ready")).unwrap(), "\n", "{}", node.log());
    assert!(!node.log().contains("is told to end"), "{}", node.log());
    node.signal(Signal::TERM);
    assert_eq!(node.end(), Some(0), "{}", node.log());
}
