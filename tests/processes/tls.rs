//! HTTP over TLS as people use it: commands, what members tell of each other, a certificate that is
//! renewed, and what is said when somebody is not believed.

use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;

use gaggle::shell::http::client::{Client, Question};

use crate::certificates::{Authority, FAR};
use crate::harness::process::GAGGLE;
use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE};

/// Runs a command to its end: its exit code, what it prints and what it complains of.
fn said(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(GAGGLE).args(words).env_remove("GAGGLE_CA").output().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (status.code().unwrap(), text(&stdout), text(&stderr))
}

/// The URL of a node's HTTP.
fn url(cluster: &Cluster, id: u64, scheme: &str) -> String {
    format!("{scheme}://{}", cluster.node(id).settings.http)
}

/// Nodes that all serve HTTP with one certificate, and answer; and its authority.
fn secured(ids: &[u64], names: &[&str]) -> (Cluster, Authority) {
    // What it would ask in the clear is not answered.
    let watch = Watch::new(Duration::from_secs(1), false);
    let mut cluster = Cluster::new(ids, ids, watch);
    let authority = Authority::new(&cluster.folder().join("ca.pem"));
    let [cert, key] = authority.certify(names, FAR);
    cluster.give_all(&["--http-tls-cert", &cert, "--http-tls-key", &key]);
    for id in ids {
        cluster.start(*id);
    }
    for id in ids {
        let node = cluster.node(*id).socket();
        let node = node.to_str().unwrap();
        let words = ["wait", "--node", node, "--goose-known", "--timeout", "20s"];
        assert_eq!(said(&words).0, 0, "{}", cluster.logs());
    }
    (cluster, authority)
}

#[test]
fn every_command_follows_the_members_of_a_cluster_over_tls() {
    let ids = [1, 2, 3];
    let (cluster, authority) = secured(&ids, &["127.0.0.1", "localhost"]);
    let ca = authority.file();
    let node = url(&cluster, 1, "https");
    let ask = |words: &[&str]| said(&[words, &["--node", &node, "--ca", ca]].concat());
    let (code, text, _) = ask(&["status"]);
    assert_eq!(code, 0);
    assert!(
        text.contains(&format!("http       {node}\n")) && text.contains("tags       -"),
        "{text}"
    );
    // Once it has learnt of the others where they serve HTTP, it has learnt how.
    cluster.wait_until("members are known to serve HTTP over TLS", |_| {
        let (_, text, _) = ask(&["members"]);
        ids.iter().all(|id| text.contains(&url(&cluster, *id, "https"))).then_some(())
    });
    let (_, goose, _) = ask(&["goose", "-o", "json"]);
    let goose: serde_json::Value = serde_json::from_str(&goose).unwrap();
    assert_eq!(goose["http_tls"], true);
    let leader = goose["id"].as_u64().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::trusting(Some(ca.as_ref())).unwrap();
    for id in ids.iter().filter(|id| **id != leader) {
        let there = url(&cluster, *id, "https").parse().unwrap();
        let question = client.ask(&there, Question::Get("/goose?redirect"), PATIENCE);
        let answer = runtime.block_on(question).unwrap();
        let expected = format!("{}/goose\n", url(&cluster, leader, "https"));
        assert_eq!((answer.status.as_u16(), answer.body), (307, expected.into()));
    }
    let (code, text, _) = ask(&["audit"]);
    assert!(code == 0 && !text.contains("no answer from"), "{text}");
    let (_, text, _) = ask(&["doctor"]);
    assert!(text.contains("the TLS certificate is valid for ") && text.contains(" more days"));
    let heard = text.matches("HTTP round trip").count();
    assert!(heard == 2 && !text.contains("cannot be asked"), "{text}");
    // Without the authority the others are not believed, and doctor and audit say why.
    let socket = cluster.node(1).socket();
    let socket = socket.to_str().unwrap();
    for command in ["doctor", "audit"] {
        let (_, text, _) = said(&[command, "--node", socket]);
        let reason = "its certificate is of no authority that this machine names";
        assert_eq!(text.matches(reason).count(), 2, "{text}");
    }
    assert_eq!(ask(&["wait", "--goose-known"]).0, 0);
    let (code, _, text) = ask(&["leave"]);
    assert_eq!(code, 0, "it goes over the node's socket: {text}");
}

#[test]
fn whoever_is_not_believed_is_named_with_the_way_out() {
    let (cluster, authority) = secured(&[1], &["pond.example", "10.0.0.9"]);
    let node = url(&cluster, 1, "https");
    let status = |node: &str, ca: &[&str]| {
        let (code, _, text) = said(&[&["status", "--node", node], ca].concat());
        (code, text)
    };
    let ca = ["--ca", authority.file()];
    let text = format!(
        "gaggle: {node}: its certificate is not for 127.0.0.1, but for pond.example, 10.0.0.9: ask it by \
         one of these, or give the node a certificate for 127.0.0.1"
    );
    assert_eq!(status(&node, &ca), (1, text));
    let unknown = |whom: &str| {
        let words = format!(
            "gaggle: {node}: its certificate is of no authority that {whom} names: give the file with \
             the certificate of the right one by --ca FILE"
        );
        (1, words)
    };
    assert_eq!(status(&node, &[]), unknown("this machine"));
    let other = Authority::new(&cluster.folder().join("other.pem"));
    assert_eq!(status(&node, &["--ca", other.file()]), unknown(other.file()));
    let (code, text) = status(&node, &["--ca", "/nowhere"]);
    assert!(code == 2 && text.starts_with("gaggle: --ca: /nowhere cannot be read: "), "{text}");
    // The other of the two schemes, both ways.
    let plain = url(&cluster, 1, "http");
    let text = format!(
        "gaggle: {plain}: this port speaks TLS: ask it by https:// in the place of http://"
    );
    assert_eq!(status(&plain, &[]), (1, text));
    let mut unsecured = Cluster::new(&[1], &[1], Watch::new(Duration::from_secs(1), false));
    unsecured.start_highest_first();
    let node = url(&unsecured, 1, "https");
    let text =
        format!("gaggle: {node}: no TLS is spoken there: ask by http:// in the place of https://");
    assert_eq!(status(&node, &ca), (1, text));
}

#[test]
fn a_certificate_is_renewed_by_sighup_and_a_bad_one_changes_nothing() {
    let (cluster, authority) = secured(&[1], &["pond.example"]);
    let node = url(&cluster, 1, "https");
    let status = || said(&["status", "--node", &node, "--ca", authority.file()]);
    let (code, _, text) = status();
    assert!(code == 1 && text.contains("not for 127.0.0.1, but for pond.example"), "{text}");
    let mut heard = 0;
    let mut hang_up = |expected: &str| {
        cluster.signal(1, Signal::HUP);
        let line = cluster.wait_until(expected, |cluster| {
            let log = cluster.node(1).log();
            let mut lines = log.lines().filter(|line| line.contains("SIGHUP received"));
            lines.nth(heard).map(str::to_owned)
        });
        heard += 1;
        assert!(line.contains(expected), "{line}");
    };
    hang_up("SIGHUP received: nothing has changed");
    let [_, key] = authority.certify(&["127.0.0.1"], FAR);
    hang_up("SIGHUP received: http-tls-cert changed");
    assert_eq!(status().0, 0);
    // A key that belongs to another certificate, and then none.
    let good = std::fs::read(&key).unwrap();
    let folder = cluster.folder().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let [_, other] = Authority::new(&folder.join("ca.pem")).certify(&["127.0.0.1"], FAR);
    std::fs::copy(other, &key).unwrap();
    hang_up("SIGHUP received, but nothing is changed: the certificate in ");
    assert_eq!(status().0, 0);
    std::fs::write(&key, "").unwrap();
    hang_up("SIGHUP received, but nothing is changed: --http-tls-key: ");
    assert_eq!(status().0, 0);
    std::fs::write(&key, good).unwrap();
    hang_up("SIGHUP received: nothing has changed");
    // Who orders it hears what became of it.
    let order = || {
        let answer = cluster.order(1, "/v1/reload").unwrap();
        (answer.code, String::from_utf8(answer.body).unwrap())
    };
    authority.certify(&["127.0.0.1", "pond.example"], FAR);
    let done = "{\"changed\":[\"http-tls-cert\"],\"needs_restart\":[]}\n";
    assert_eq!(order(), (200, done.to_owned()));
    assert_eq!(order(), (200, "{\"changed\":[],\"needs_restart\":[]}\n".to_owned()));
    std::fs::write(&key, "").unwrap();
    let (code, text) = order();
    assert!(code == 409 && text.contains("nothing is changed: --http-tls-key: "), "{text}");
    assert_eq!(status().0, 0);
    assert!(cluster.node(1).log().contains("a reload was ordered: http-tls-cert changed"));
    // What has expired is served, with a warning: clients say more than a closed port.
    authority.certify(&["127.0.0.1"], 2020);
    hang_up("SIGHUP received: http-tls-cert changed");
    let (code, _, text) = status();
    assert!(code == 1 && text.contains("its certificate has expired "), "{text}");
    let socket = cluster.node(1).socket();
    let (_, text, _) = said(&["doctor", "--node", socket.to_str().unwrap()]);
    assert!(text.contains("the TLS certificate has expired: renew it, and reload"), "{text}");
    let log = cluster.node(1).log();
    assert!(log.contains("WARN the TLS certificate in ") && log.contains("has expired: "), "{log}");
}
