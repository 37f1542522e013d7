//! What `gaggle doctor --preflight` says before a node is started: alone, beside a running node, and
//! beside the same command on the other machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::harness::process::{GAGGLE, free_port};
use crate::harness::watch::Watch;
use crate::harness::{Cluster, write_keys};

/// One preflight on this port; `words` beside.
fn preflight(folder: &Path, port: u16, words: &[&str]) -> Child {
    let own = format!("127.0.0.1:{port}");
    Command::new(GAGGLE)
        .args(["doctor", "--preflight", &own, "--http", "off", "-o", "json"])
        .arg("--state-dir")
        .arg(folder.join("state"))
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How it ended, and what it said of `about`, each with its verdict.
fn said(output: &Output, about: &str) -> (Option<i32>, Vec<String>) {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().unwrap().iter();
    let of_it = findings.filter(|finding| finding["about"] == about);
    let words = |finding: &Value| {
        format!("{} {}", finding["verdict"].as_str().unwrap(), finding["words"].as_str().unwrap())
    };
    (output.status.code(), of_it.map(words).collect())
}

fn of_peers(child: Child) -> (Option<i32>, String) {
    let (code, words) = said(&child.wait_with_output().unwrap(), "peer");
    (code, words.join("\n"))
}

fn key_file(folder: &Path, key: u8) -> PathBuf {
    let file = folder.join(format!("key-{key}"));
    write_keys(&file, &[key]);
    file
}

/// A node alone, sealed with key 1.
fn sealed_node() -> Cluster {
    let mut cluster =
        Cluster::new(&[1], &[1], Watch::new(std::time::Duration::from_secs(1), false));
    let file = key_file(cluster.folder(), 1);
    cluster.give_all(&["--key-file", &file.display().to_string()]);
    cluster.start_highest_first();
    cluster.wait_for_agreement(&[1], 0);
    cluster
}

#[test]
fn a_running_node_is_found_and_what_keeps_it_from_being_heard_is_named() {
    let cluster = sealed_node();
    let folder = tempfile::tempdir().unwrap();
    let peer = cluster.node(1).settings.address.to_string();
    let (key, other_key) = (key_file(folder.path(), 1), key_file(folder.path(), 2));
    let (key, other_key) = (key.display().to_string(), other_key.display().to_string());
    let ask = |words: &[&str]| {
        let words = [&["--seed", &peer, "--timeout", "2s"], words].concat();
        preflight(folder.path(), free_port(), &words)
    };
    let (own, twin) = (ask(&["--key-file", &key]), ask(&["--key-file", &key, "--id", "1"]));
    let strange_key = ask(&["--key-file", &other_key]);
    let strange_cluster = ask(&["--key-file", &key, "--cluster", "other"]);
    let cases = [
        (own, 0, "ok ", "it is node 1 of this cluster; voters 1; the Goose is 1"),
        (twin, 1, "wrong ", "is node 1 already, and this one would be its twin"),
        (strange_key, 1, "wrong ", "key"),
        (strange_cluster, 1, "wrong ", "compare --cluster"),
    ];
    for (child, code, verdict, text) in cases {
        let (ended, words) = of_peers(child);
        assert_eq!(ended, Some(code), "{words}");
        assert!(words.starts_with(verdict) && words.contains(text), "{words}");
    }
    assert!(!folder.path().join("state").exists(), "nothing is left behind");
    let log = cluster.node(1).log();
    assert!(!log.contains("twin") && !log.contains("another process"), "{log}");
}

#[test]
fn two_machines_without_a_node_answer_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let key = |number| key_file(folder.path(), number).display().to_string();
    let pair = |keys: [&str; 2]| {
        let ports = [free_port(), free_port()];
        let seeds = ports.map(|port| format!("127.0.0.1:{port}"));
        let ask = |own: usize| {
            let words = ["--seed", &seeds[1 - own], "--key-file", keys[own], "--timeout", "10s"];
            preflight(folder.path(), ports[own], &words)
        };
        [ask(0), ask(1)]
    };
    for child in pair([&key(1), &key(1)]) {
        let (code, words) = of_peers(child);
        assert_eq!(code, Some(0), "{words}");
        assert!(words.contains("hears this one and is heard, under the same key"), "{words}");
    }
    // Who is not understood is waited for to the end: the right key may come yet.
    let ports = [free_port(), free_port()];
    let ask = |own: usize, key: String| {
        let seed = format!("127.0.0.1:{}", ports[1 - own]);
        let words = ["--seed", &seed, "--key-file", &key, "--timeout", "2s"];
        preflight(folder.path(), ports[own], &words)
    };
    for child in [ask(0, key(1)), ask(1, key(2))] {
        let (code, words) = of_peers(child);
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("which is not among this node's"), "{words}");
    }
}

#[test]
fn what_is_taken_or_missing_on_this_machine_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let silent = format!("127.0.0.1:{}", free_port());
    let child = preflight(folder.path(), port, &["--seed", &silent, "--timeout", "300ms"]);
    let output = child.wait_with_output().unwrap();
    let (code, ports) = said(&output, "ports");
    assert_eq!(code, Some(1), "{ports:?}");
    assert!(ports[0].starts_with("wrong ") && ports[0].contains("is in use"), "{ports:?}");
    let (_, peers) = said(&output, "peer");
    assert!(peers[0].starts_with("odd nobody answers at 127.0.0.1:"), "{peers:?}");
    assert!(peers[1].contains("asked from another port"), "{peers:?}");
    let refused = preflight(folder.path(), free_port(), &["--lease", "1ms"]);
    let output = refused.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "settings are judged first");
}
