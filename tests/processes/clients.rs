//! What people copy: the clients under examples/clients, and the examples. Each is skipped, with a
//! message, where what it needs is not there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::process::GAGGLE;
use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE};

/// Each client with what runs it.
const CLIENTS: [(&str, &str); 4] =
    [("follow.py", "python3"), ("follow.mjs", "node"), ("follow.go", "go"), ("follow.sh", "sh")];

/// A client, and what it says.
struct Client {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    _folder: TempDir,
}

impl Client {
    /// None if what runs it is not there.
    fn start(name: &'static str, runner: &str, node: &str) -> Option<Self> {
        let file = format!("{}/examples/clients/{name}", env!("CARGO_MANIFEST_DIR"));
        let needs: &[&str] = if name.ends_with(".sh") { &["curl"] } else { &[] };
        for tool in [runner].iter().chain(needs) {
            let version = if *tool == "go" { "version" } else { "--version" };
            if *tool != "sh" && Command::new(tool).arg(version).output().is_err() {
                println!("skipped: {name} needs {tool}, which is not installed");
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = if runner == "go" {
            // What `go run` runs would outlive it.
            let program = folder.path().join("follow");
            let mut build = Command::new(runner);
            build.arg("build").arg("-o").arg(&program).arg(&file).env("GOCACHE", folder.path());
            assert!(build.status().unwrap().success());
            Command::new(program)
        } else {
            let mut command = Command::new(runner);
            command.arg(&file);
            command
        };
        let mut child = command.arg(node).stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (speak, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if speak.send(line).is_err() {
                    return;
                }
            }
        });
        Some(Self { name, child, lines, _folder: folder })
    }

    fn says(&self, wanted: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line == wanted => return,
                Ok(_) => {}
                Err(_) => panic!("{} does not say {wanted}", self.name),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn clients_in_other_languages_say_what_a_node_is() {
    let mut cluster = Cluster::new(&[1], &[1], Watch::new(Duration::from_millis(20), false));
    cluster.start(1);
    let first = cluster.wait_for_agreement(&[1], 0).term;
    let node = format!("http://{}", cluster.node(1).settings.http);
    let start = |(name, runner): &(&'static str, &str)| Client::start(name, runner, &node);
    let clients: Vec<Client> = CLIENTS.iter().filter_map(start).collect();
    for client in &clients {
        client.says(&format!("goose {first}"));
    }
    cluster.kill(1);
    for client in &clients {
        client.says("duck");
    }
    cluster.start(1);
    let next = cluster.wait_for_agreement(&[1], first).term;
    for client in &clients {
        client.says(&format!("goose {next}"));
    }
}

/// What stands in for `kubectl` writes down what it is told.
const STAND_IN: &str = "#!/bin/sh\necho \"$@\" >> \"$WRITTEN\"\n";

#[test]
fn the_sidecar_labels_the_pod_of_the_goose() {
    use std::os::unix::fs::PermissionsExt;
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: label-goose.sh needs curl, which is not installed");
        return;
    }
    let mut cluster = Cluster::new(&[1], &[1], Watch::new(Duration::from_millis(20), false));
    let folder = tempfile::tempdir().unwrap();
    let (stand_in, written) = (folder.path().join("kubectl"), folder.path().join("written"));
    std::fs::write(&stand_in, STAND_IN).unwrap();
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let script = format!("{}/examples/kubernetes/label-goose.sh", env!("CARGO_MANIFEST_DIR"));
    let node = format!("http://{}", cluster.node(1).settings.http);
    let mut sidecar = Command::new("sh");
    let sidecar = sidecar.arg(script).env("PATH", path).env("POD_NAME", "gaggle-0");
    let mut sidecar = sidecar.env("GAGGLE_NODE", node).env("WRITTEN", &written).spawn().unwrap();
    let told = |cluster: &Cluster, wanted: &[&str]| {
        cluster.wait_until("the pod is labelled", |_| {
            let text = std::fs::read_to_string(&written).unwrap_or_default();
            let roles: Vec<&str> =
                text.lines().filter_map(|line| line.split('=').nth(1)?.split(' ').next()).collect();
            (roles == wanted && text.starts_with("label pod gaggle-0 ")).then_some(())
        });
    };
    told(&cluster, &["duck"]);
    cluster.start(1);
    told(&cluster, &["duck", "goose"]);
    cluster.kill(1);
    told(&cluster, &["duck", "goose", "duck"]);
    sidecar.kill().unwrap();
    sidecar.wait().unwrap();
}

/// What an example says, if it was built, as `cargo test` does: it is beside the binary.
fn said_by(example: &str, arguments: &[&str]) -> Option<String> {
    let program = Path::new(GAGGLE).with_file_name("examples").join(example);
    if !program.exists() {
        println!("skipped: the example {example} was not built");
        return None;
    }
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {said}{errors}");
    Some(said)
}

#[test]
fn examples_do_what_they_say() {
    if let Some(said) = said_by("axum_redirect", &[]) {
        let count = |words: &str| said.lines().filter(|line| line.contains(words)).count();
        assert!(count("307 Temporary Redirect, to http://127.0.0.1:") >= 2, "{said}");
        assert!(count("200 OK, counted 1 in term ") >= 1, "{said}");
    }
    if let Some(said) = said_by("job_runner", &["2"]) {
        assert!(said.contains(": job 2 is done"), "{said}");
    }
    if let Some(said) = said_by("thread_worker", &["12"]) {
        assert!(said.contains("worker: "), "{said}");
    }
    if let Some(said) = said_by("embed", &[]) {
        assert!(said.contains(": 1 in term "), "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_embedded_node_with_a_keeper_that_is_killed_costs_no_lease() {
    let Some(said) = said_by("singleton_job", &["3"]) else { return };
    let gap = |line: &str| line.strip_suffix(" ms")?.rsplit(' ').next()?.parse::<f64>().ok();
    let gaps: Vec<f64> = said.lines().filter_map(gap).collect();
    assert_eq!(gaps.len(), 3, "{said}");
    // A machine that is busy may hold up one of them. Without a keeper each costs 450 ms at least.
    assert!(gaps.iter().any(|gap| *gap < 200.0), "{said}");
}
