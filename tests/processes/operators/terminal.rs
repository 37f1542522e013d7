//! `watch` and `doctor` as a pipe sees them, and `completions` as shells do.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::three;
use crate::harness::process::GAGGLE;
use crate::harness::{Cluster, PATIENCE, poll_until, write_keys};

fn url(cluster: &Cluster, id: u64) -> String {
    format!("http://{}", cluster.node(id).settings.http)
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command whose outputs are read while it runs.
struct Running {
    child: std::process::Child,
    lines: Arc<Mutex<Vec<String>>>,
    complaints: Arc<Mutex<Vec<String>>>,
}

fn collect(stream: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            collected.lock().unwrap().push(line);
        }
    });
    lines
}

impl Running {
    fn watch(node: &str, more: &[&str]) -> Self {
        let mut child = Command::new(GAGGLE)
            .args(["watch", "--node", node])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = collect(child.stdout.take().unwrap());
        let complaints = collect(child.stderr.take().unwrap());
        Self { child, lines, complaints }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn wait_for(&self, words: &str) {
        let seen = poll_until(PATIENCE, || {
            let both = [self.lines(), self.complaints.lock().unwrap().clone()].concat();
            both.iter().any(|line| line.contains(words)).then_some(())
        });
        assert!(seen.is_some(), "{words:?} is not among {:#?}", self.lines());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands the lease on until all have something more to tell: then they listen. A hand-over may
/// be refused for a moment, while nobody stands by.
fn move_until_heard(cluster: &Cluster, watches: &[&Running]) {
    let before: Vec<usize> = watches.iter().map(|watch| watch.lines().len()).collect();
    while watches.iter().zip(&before).any(|(watch, before)| watch.lines().len() == *before) {
        let leadership = cluster.wait_for_agreement(&[1, 2, 3], 0);
        cluster.order(leadership.goose, "/v1/step-down");
    }
}

#[test]
fn a_piped_watch_is_one_line_an_event_and_comes_back_with_its_node() {
    let mut cluster = three();
    cluster.wait_for_agreement(&[1, 2, 3], 0);
    let mut plain = Running::watch(&url(&cluster, 1), &[]);
    let json = Running::watch(&url(&cluster, 1), &["-o", "json"]);
    move_until_heard(&cluster, &[&plain, &json]);
    let leadership = cluster.wait_for_agreement(&[1, 2, 3], 0);
    let victim = if leadership.goose == 1 { 3 } else { leadership.goose };
    cluster.kill(victim);
    plain.wait_for(&format!("node {victim} at "));
    cluster.start(victim);
    cluster.kill(1);
    plain.wait_for("gaggle: the node has gone: trying again");
    cluster.start(1);
    move_until_heard(&cluster, &[&plain, &json]);
    for line in plain.lines() {
        println!("{line}");
        let (time, words) = line.split_once("  ").unwrap_or_default();
        let lost = line.starts_with("events were lost") || line == "the node is stopping";
        assert!(lost || (time.ends_with('Z') && !words.is_empty()), "{line:?}");
        assert!(!line.contains('\x1b'), "no colours in a pipe: {line:?}");
    }
    for line in json.lines() {
        let event: Value = serde_json::from_str(&line).expect(&line);
        assert!(event["event"].is_string() && event["data"]["words"].is_string(), "{line}");
    }
    kill_process(Pid::from_child(&plain.child), Signal::TERM).unwrap();
    let ended = poll_until(PATIENCE, || plain.child.try_wait().unwrap());
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}

#[test]
fn a_watch_of_nobody_says_so_at_once() {
    let output = Command::new(GAGGLE).args(["watch", "--node", "http://127.0.0.1:1"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("127.0.0.1:1"), "{}", text(&output.stderr));
}

pub(super) fn doctor(cluster: &Cluster, id: u64, more: &[&str]) -> Output {
    let node = url(cluster, id);
    Command::new(GAGGLE).args(["doctor", "--node", &node]).args(more).output().unwrap()
}

/// Asks the doctor until the report has all of `lines`; the exit code must be `code` then.
pub(crate) fn diagnosis(
    cluster: &Cluster,
    id: u64,
    more: &[&str],
    code: i32,
    lines: &[&str],
) -> String {
    let report = cluster.wait_until(&format!("the doctor says {lines:?}"), |cluster| {
        let output = doctor(cluster, id, more);
        let report = text(&output.stdout);
        let whole = lines.iter().all(|line| report.contains(line));
        (whole && output.status.code() == Some(code)).then_some(report)
    });
    println!("$ gaggle doctor {}\n{report}exit {code}\n", more.join(" "));
    report
}

#[test]
fn the_doctor_knows_a_healthy_cluster_from_three_sick_ones() {
    let mut cluster = three();
    cluster.wait_for_agreement(&[1, 2, 3], 0);
    let state = cluster.folder().join("1").join("state").display().to_string();
    let healthy = diagnosis(
        &cluster,
        1,
        &["--state-dir", &state],
        0,
        &[
            "3 of 3 voters reachable; 2 needed",
            "voter 2 has the same cluster and voters",
            "\nhealthy",
        ],
    );
    assert!(!healthy.contains("WRONG"), "{healthy}");
    let json = doctor(&cluster, 1, &["-o", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["findings"].as_array().unwrap().iter().all(|it| it["verdict"] != "wrong"));

    // A state folder that is none.
    let file = cluster.folder().join("a-file");
    std::fs::write(&file, "").unwrap();
    let lines = ["cannot be written to", "\nsomething is wrong"];
    diagnosis(&cluster, 1, &["--state-dir", &file.display().to_string()], 1, &lines);

    // Voter 3 comes back as the only voter of another cluster, at the same address.
    cluster.terminate(3);
    let own = format!("3={}", cluster.node(3).settings.address);
    cluster.start_anew(3, &["--cluster", "other", "--voters", &own]);
    let lines = [
        "voter 3 at ",
        "does not answer this node",
        "voter 3 has other voters or another cluster name",
        "\nsomething is wrong",
    ];
    diagnosis(&cluster, 1, &[], 1, &lines);

    // And now nobody makes a majority.
    cluster.terminate(3);
    cluster.terminate(2);
    let lines = [
        "this node knows no Goose",
        "quorum lost: 1 of 3 voters reachable, 2 needed",
        "\nsomething is wrong",
    ];
    diagnosis(&cluster, 1, &[], 3, &lines);
}

#[test]
fn the_doctor_finds_a_wrong_key() {
    let mut cluster = Cluster::new(
        &[1, 2, 3],
        &[1, 2, 3],
        super::Watch::new(std::time::Duration::from_millis(20), false),
    );
    for (id, key) in [(1, 1), (2, 1), (3, 2)] {
        let file = cluster.folder().join(format!("key-{id}"));
        write_keys(&file, &[key]);
        cluster.give(id, &["--key-file", &file.display().to_string()]);
    }
    cluster.start_highest_first();
    let lines = [
        "does not answer this node",
        "sealed with a key that this node lacks",
        "\nsomething is wrong",
    ];
    diagnosis(&cluster, 1, &[], 3, &lines);
}

#[test]
fn the_completions_are_read_by_the_shells_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = Command::new(GAGGLE).args(["completions", shell]).output().unwrap();
        assert!(script.status.success(), "{}", text(&script.stderr));
        let script = text(&script.stdout);
        let path = folder.path().join(format!("gaggle.{shell}"));
        std::fs::write(&path, &script).unwrap();
        for command in ["step-down", "doctor", "completions"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
        match Command::new(shell).arg("-n").arg(&path).output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {}", text(&output.stderr)),
            Err(_) => println!("skipped: {shell} is not installed"),
        }
    }
    // What a person gets who types `gaggle doc` and a tabulator.
    let typed = "source \"$1\"; COMP_WORDS=(gaggle doc); COMP_CWORD=1; _gaggle gaggle doc gaggle; \
                 echo \"${COMPREPLY[@]}\"";
    let path = folder.path().join("gaggle.bash");
    match Command::new("bash").args(["-c", typed, "bash"]).arg(&path).output() {
        Ok(output) => assert_eq!(text(&output.stdout), "doctor\n", "{}", text(&output.stderr)),
        Err(_) => println!("skipped: bash is not installed"),
    }
}

#[test]
fn every_command_has_a_manual_page_that_man_can_read() {
    let folder = tempfile::tempdir().unwrap();
    // It is made if it is missing.
    let pages = folder.path().join("share/man1");
    let made = Command::new(GAGGLE).arg("man").arg(&pages).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let help = text(&Command::new(GAGGLE).arg("--help").output().unwrap().stdout);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // A long sentence goes on in the next line, farther in.
    let names = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    let commands: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(pages.join(format!("gaggle-{command}.1")).exists(), "{command}");
    }
    let page = std::fs::read_to_string(pages.join("gaggle-voters-replace.1")).unwrap();
    assert!(page.contains("Who votes from here on"), "{page}");
    for page in std::fs::read_dir(&pages).unwrap() {
        let page = page.unwrap().path();
        match Command::new("man").args(["--warnings", "-l"]).arg(&page).output() {
            Ok(output) => {
                let words = text(&output.stderr);
                assert!(output.status.success() && words.is_empty(), "{}: {words}", page.display());
            }
            Err(_) => println!("skipped: man is not installed"),
        }
    }
    // A file is no folder.
    let file = pages.join("gaggle.1");
    let refused = Command::new(GAGGLE).arg("man").arg(&file).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("the manual pages cannot be written into"));
}
