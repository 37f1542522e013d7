//! What is under examples/{systemd,haproxy,prometheus,grafana,kubernetes}, judged by the tools themselves. Each test
//! is skipped, with a message, where its tool is not installed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::harness::process::{GAGGLE, free_port};
use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE, poll_until};

/// Ends a process when the test does.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `tool` can be started; says so if not.
pub(super) fn is_here(tool: &str) -> bool {
    // Whatever it says to this: a tool that is missing cannot be started.
    let here = Command::new(tool).arg("--version").output().is_ok();
    if !here {
        println!("skipped: {tool} is not installed");
    }
    here
}

pub(super) fn example(path: &str) -> String {
    format!("{}/examples/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn cluster() -> Cluster {
    let mut cluster =
        Cluster::new(&[1, 2, 3], &[1, 2, 3], Watch::new(Duration::from_millis(20), false));
    cluster.start_highest_first();
    cluster
}

/// A service that says `name` to whoever connects.
pub(super) fn serve_name(name: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            // Whoever connects may have gone already.
            let _ = write!(stream, "{name}");
        }
    });
    address
}

pub(super) fn who_serves(address: SocketAddr) -> Option<u64> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut name = String::new();
    stream.read_to_string(&mut name).ok()?;
    name.parse().ok()
}

#[test]
fn haproxy_follows_the_goose_through_a_kill() {
    if !is_here("haproxy") {
        return;
    }
    let mut cluster = cluster();
    let first = cluster.wait_for_agreement(&[1, 2, 3], 0);
    // The example, with the ports of this test.
    let front: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let file = std::fs::read_to_string(example("haproxy/haproxy.cfg")).unwrap();
    let mut file = file.replace("127.0.0.1:5000", &front.to_string());
    for (id, service, port) in [(1, 5001, 9000), (2, 5002, 9001), (3, 5003, 9002)] {
        let node = cluster.node(id).settings.http.port();
        let from = format!("127.0.0.1:{service} port {port}");
        assert!(file.contains(&from), "{from}");
        file = file.replace(&from, &format!("{} port {node}", serve_name(id)));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("haproxy.cfg");
    std::fs::write(&path, file).unwrap();
    let proxy = Command::new("haproxy").arg("-f").arg(&path).stdout(Stdio::null()).spawn().unwrap();
    let _proxy = Running(proxy);

    let follows = |goose: u64| {
        poll_until(PATIENCE, || (who_serves(front) == Some(goose)).then_some(()))
            .unwrap_or_else(|| panic!("haproxy does not lead to {goose}"));
    };
    follows(first.goose);
    cluster.kill(first.goose);
    let second = cluster.wait_for_agreement(&cluster.running(), first.term);
    let elected = std::time::Instant::now();
    follows(second.goose);
    println!("haproxy followed {:?} after the election was seen", elected.elapsed());
}

#[test]
fn haproxy_as_it_comes_makes_no_operator_of_anybody() {
    if !is_here("haproxy") {
        return;
    }
    let token = "honk-honk-honk-honk-honk";
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, Watch::new(Duration::from_millis(20), false));
    let file = cluster.folder().join("token");
    std::fs::write(&file, token).unwrap();
    cluster.give_all(&["--admin-token-file", &file.display().to_string()]);
    cluster.start_highest_first();
    let first = cluster.wait_for_agreement(&ids, 0);
    // On the node's machine, in front of the Goose, and with nothing said of whom it speaks for.
    let front: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let node = cluster.node(first.goose).settings.http;
    let path = cluster.folder().join("haproxy.cfg");
    let limits = "timeout connect 5s\n timeout client 30s\n timeout server 30s";
    let file = format!(
        "defaults\n mode http\n {limits}\nfrontend all\n bind {front}\n default_backend goose\n\
         backend goose\n server goose {node}\n"
    );
    std::fs::write(&path, file).unwrap();
    let proxy = Command::new("haproxy").arg("-f").arg(&path).stdout(Stdio::null()).spawn().unwrap();
    let _proxy = Running(proxy);
    let ordered = |path: &str, headers: &str| {
        let mut stream = poll_until(PATIENCE, || TcpStream::connect(front).ok()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let rest = format!("Content-Length: 0\r\nConnection: close\r\n{headers}\r\n");
        write!(stream, "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{rest}").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    for path in ["/v1/step-down", "/v1/leave"] {
        for headers in ["", "Gaggle-Admin: 1\r\n", "X-Forwarded-For: 127.0.0.1\r\n"] {
            let answer = ordered(path, headers);
            assert!(answer.starts_with("HTTP/1.1 403 "), "{path}, {headers}: {answer}");
        }
    }
    assert_eq!(cluster.wait_for_agreement(&ids, 0), first);
    // The token is what proves the right, whoever hands it on.
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let moved = poll_until(PATIENCE, || {
        ordered("/v1/step-down", &bearer).starts_with("HTTP/1.1 200 ").then_some(())
    });
    assert!(moved.is_some(), "{}", ordered("/v1/step-down", &bearer));
    cluster.wait_for_agreement(&ids, first.term);
}

#[test]
fn prometheus_understands_the_metrics_and_the_rules() {
    if !is_here("promtool") {
        return;
    }
    let cluster = cluster();
    let leadership = cluster.wait_for_agreement(&[1, 2, 3], 0);
    let page = cluster.get(leadership.goose, "/metrics").unwrap().body;
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(&page).unwrap();
    let output = check.wait_with_output().unwrap();
    let page = String::from_utf8_lossy(&page);
    assert!(output.status.success(), "{}\n{page}", said(&output));
    assert!(page.contains("\ngaggle_is_goose 1\n"), "{page}");
    let output = Command::new("promtool")
        .args(["check", "rules", &example("prometheus/rules.yml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    // Every metric that a rule names is on the page.
    let rules = std::fs::read_to_string(example("prometheus/rules.yml")).unwrap();
    let names = rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    for name in names.filter(|name| name.starts_with("gaggle_")) {
        assert!(page.contains(&format!("\n{name}")), "{name} is not on the page");
    }
}

/// What promtool says of each expression of the dashboard, as the rule that it could be.
#[test]
fn prometheus_understands_the_dashboard() {
    if !is_here("promtool") {
        return;
    }
    let board = std::fs::read_to_string(example("grafana/gaggle.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&board).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: std::collections::BTreeSet<u64> =
        panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array()).flatten();
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    let mut count = 0;
    for target in targets {
        // Grafana fills these in.
        let expression = target["expr"].as_str().unwrap();
        let expression = expression.replace("$__rate_interval", "1m").replace("$cluster", "pond");
        assert!(!expression.contains('$'), "{expression}");
        count += 1;
        rules += &format!("  - record: panel:{count}\n    expr: '{expression}'\n");
    }
    assert!(count > 20, "{count}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    std::fs::write(&path, &rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}\n{rules}", said(&output));
}

#[test]
fn systemd_takes_the_unit_and_finds_it_safe() {
    if !is_here("systemd-analyze") {
        return;
    }
    // The tool insists that the program is there.
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(example("systemd/gaggle.service")).unwrap();
    let path = folder.path().join("gaggle.service");
    std::fs::write(&path, unit.replace("/usr/bin/gaggle", GAGGLE)).unwrap();
    let path = path.display().to_string();
    let output =
        Command::new("systemd-analyze").args(["verify", "--man=no", &path]).output().unwrap();
    let words = said(&output);
    assert!(output.status.success() && !words.contains("gaggle.service:"), "{words}");
    // Exposure is from 0 (safe) to 10: over 2.0 is a failure.
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20", "--no-pager", &path])
        .output()
        .unwrap();
    let words = said(&output);
    assert!(output.status.success(), "{words}");
    println!("{}", words.lines().last().unwrap_or_default());
    // What work may is its own business, so this one is not judged as to that.
    let unit = std::fs::read_to_string(example("systemd/gaggle-exec@.service")).unwrap();
    let path = folder.path().join("gaggle-exec@backup.service");
    std::fs::write(&path, unit.replace("/usr/bin/gaggle", GAGGLE)).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let output = verify.args(["verify", "--man=no"]).arg(&path).output().unwrap();
    let words = said(&output);
    assert!(output.status.success() && !words.contains("gaggle-exec@"), "{words}");
}

/// What `gaggle check` says of the words of a command line that an example has.
fn assert_understood(words: &[String]) {
    let output = Command::new(GAGGLE).arg("check").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", said(&output));
}

#[test]
fn the_flags_of_units_and_manifests_exist() {
    let folder = tempfile::tempdir().unwrap();
    let state = format!("--state-dir={}", folder.path().display());
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/gaggle.toml");
    for unit in ["gaggle.service", "gaggle-exec@.service"] {
        let unit = std::fs::read_to_string(example(&format!("systemd/{unit}"))).unwrap();
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        // The program, its command, and what stands before the work's own words.
        let mut words = line.split(' ').skip(1);
        assert!(["run", "exec"].contains(&words.next().unwrap()), "{line}");
        let words: Vec<String> = words
            .take_while(|word| *word != "--")
            .map(|word| match word {
                "/etc/gaggle/gaggle.toml" | "/etc/gaggle/%i.toml" => settings.to_owned(),
                "/var/lib/gaggle" | "/var/lib/gaggle/%i" => folder.path().display().to_string(),
                word => word.to_owned(),
            })
            .collect();
        assert_eq!(words.len(), 4, "{line}");
        assert_understood(&words);
    }
    let manifest = std::fs::read_to_string(example("kubernetes/gaggle.yaml")).unwrap();
    let lines = manifest.split("          args:\n").nth(1).unwrap().lines();
    let words = lines.map_while(|line| line.strip_prefix("            - ")).skip(1);
    let words: Vec<String> = words
        .map(|word| match word.split('=').next().unwrap() {
            // This machine's name ends in no number, and is none of the cluster's.
            "--id" => "--id=1".to_owned(),
            "--advertise" => "--advertise=127.0.0.1:8000".to_owned(),
            "--state-dir" => state.clone(),
            _ => word.to_owned(),
        })
        .collect();
    assert!(words.len() >= 5, "{words:?}");
    assert_understood(&words);
}

#[test]
fn systemd_is_told_that_the_node_is_ready_and_alive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let node = Command::new(GAGGLE)
        .args(["run", &format!("127.0.0.1:{}", free_port()), "--ephemeral"])
        .args(["--http", &format!("127.0.0.1:{}", free_port())])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut node = Running(node);
    let mut buffer = [0; 1024];
    let mut next = || {
        let count = socket.recv(&mut buffer).expect("a word to systemd");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    assert_eq!(next(), "READY=1");
    let (mut signs, mut goose) = (0, false);
    while signs < 3 || !goose {
        let word = next();
        signs += u32::from(word == "WATCHDOG=1");
        goose |= word.starts_with("STATUS=Goose of term");
    }
    let id = rustix::process::Pid::from_child(&node.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    while !next().starts_with("STOPPING=1") {}
    assert!(node.0.wait().unwrap().success());
}

#[test]
fn signs_of_life_reach_systemd_however_often_members_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let start = |address: &str, more: &[&str]| {
        let mut command = Command::new(GAGGLE);
        command
            .args(["run", address, "--ephemeral", "--http"])
            .arg(format!("127.0.0.1:{}", free_port()))
            .args(more)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    // A sign of life every three seconds, and members that come and go more often than that.
    let mut node = start(&address, &[]);
    node.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "9000000");
    let _node = Running(node.spawn().unwrap());
    let guest = format!("127.0.0.1:{}", free_port());
    let come = || Some(Running(start(&guest, &["--seed", &address]).spawn().unwrap()));
    let mut buffer = [0; 1024];
    let (mut here, mut signs, mut changes) = (None, 0, 0);
    while signs < 3 {
        here = if here.is_some() { None } else { come() };
        // The word that this is worth: with the first guest, that one has come.
        loop {
            let count = socket.recv(&mut buffer).expect("a word to systemd");
            if buffer[..count] != *b"WATCHDOG=1" {
                changes += 1;
                break;
            }
            signs += 1;
        }
        assert!(changes < 100, "{changes} changes, and {signs} signs of life");
    }
    println!("{signs} signs of life among {changes} changes");
}
