//! What only the network can tell: a line of the log that says it once, and the node goes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::{Place, await_line, node, text};
use crate::harness::process::{GAGGLE, NodeProcess, Settings, free_port};
use crate::harness::{PATIENCE, poll_until};

const JOINED: &str = "joined the cluster";

/// So often the log of `node` says something.
fn count(node: &NodeProcess, what: &str) -> usize {
    node.log().matches(what).count()
}

/// A node that founds a cluster of itself, and the flag that leads to it.
fn founder(place: &Place, arguments: &[&str]) -> (NodeProcess, String) {
    let founder = node(place, 1, &[&["--voters", "1"], arguments].concat());
    await_line(&founder, "INFO", JOINED);
    let seed = format!("--seed={}", founder.settings.address);
    (founder, seed)
}

#[test]
fn a_seed_that_comes_late() {
    let place = Place::new();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let waiting = node(&place, 2, &["--seed", &address.to_string()]);
    await_line(
        &waiting,
        "WARN",
        &format!(
            "nobody has answered yet at {address}: still trying, for as long as it takes. If it \
             stays so, check that a node of the same version of the protocol runs there, that UDP \
             gets through, and that --cluster, --voters and --preempt are the same there: a cluster \
             that was founded otherwise does not answer"
        ),
    );
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let arguments = vec!["--voters=1".to_owned()];
    let settings = Settings { id: 1, address, http, arguments };
    let mut seed = NodeProcess::new(settings, place.folder.path());
    seed.start();
    await_line(&waiting, "INFO", JOINED);
    assert_eq!(count(&waiting, "nobody has answered"), 1, "{}", waiting.log());
}

#[test]
fn a_seed_without_an_address() {
    let place = Place::new();
    let (_founder, seed) = founder(&place, &[]);
    let asking = node(&place, 2, &["--seed", "goose.invalid:8000"]);
    let start = "the seed goose.invalid:8000 cannot be looked up: ";
    let end = ". Still trying; correct its --seed or --voters if the name is wrong";
    let said = |node: &NodeProcess| {
        let log = node.log();
        log.lines().any(|it| it.contains(start) && it.ends_with(end)).then_some(())
    };
    // What stands between them is the system's.
    assert!(poll_until(PATIENCE, || said(&asking)).is_some(), "{}", asking.log());
    // Another one that works is not held up by it.
    let joining = node(&place, 3, &["--seed", "goose.invalid:8000", &seed]);
    await_line(&joining, "INFO", JOINED);
    assert!(poll_until(PATIENCE, || said(&joining)).is_some(), "{}", joining.log());
    assert_eq!(count(&joining, start), 1, "{}", joining.log());
}

/// What a node has warned of is in its status, and the doctor says that something is wrong.
fn repeated(node: &NodeProcess, words: &str) {
    let url = format!("http://{}", node.settings.http);
    let asked = |command: &[&str]| {
        let output = Command::new(GAGGLE).args(command).args(["--node", &url]).output().unwrap();
        text(&output.stdout)
    };
    let status = asked(&["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&status).expect(&status);
    let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
    let known = warnings.iter().find(|warning| warning["words"] == words);
    assert_eq!(known.map(|it| it["severe"].clone()), Some(Value::Bool(true)), "{status}");
    let report = asked(&["doctor"]);
    let line = report.lines().find(|line| line.starts_with("WRONG") && line.contains(words));
    assert!(line.is_some() && report.ends_with("\nsomething is wrong\n"), "{report}");
}

#[test]
fn an_id_twice() {
    let place = Place::new();
    let (_founder, seed) = founder(&place, &[]);
    let first = node(&place, 7, &[&seed]);
    await_line(&first, "INFO", JOINED);
    let elsewhere = Place::new();
    let second = node(&elsewhere, 7, &[&seed]);
    for (one, other) in [(&first, &second), (&second, &first)] {
        let address = other.settings.address;
        let expected = format!(
            "another process at {address} uses this node's id 7, too: stop one of the two, or give \
             it another --id"
        );
        await_line(one, "WARN", &expected);
        repeated(one, &expected);
    }
}

#[test]
fn a_twin_voter() {
    let place = Place::new();
    let elsewhere = Place::new();
    let (one, two) = (free_port(), free_port());
    let voters = |third: u16| format!("1=127.0.0.1:{one},2=127.0.0.1:{two},3=127.0.0.1:{third}");
    let voter = |place: &Place, id, port: u16, third| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let arguments = vec!["--voters".to_owned(), voters(third)];
        let settings = Settings { id, address, http, arguments };
        let mut node = NodeProcess::new(settings, place.folder.path());
        node.start();
        node
    };
    let third = free_port();
    let others = [voter(&place, 1, one, third), voter(&place, 2, two, third)];
    let first = voter(&place, 3, third, third);
    await_line(&first, "INFO", JOINED);
    let knows = || first.log().contains("the Goose is node").then_some(());
    assert!(poll_until(PATIENCE, knows).is_some(), "{}", first.log());
    let port = free_port();
    let second = voter(&elsewhere, 3, port, port);
    // The one that is new has promised nothing, so it stops, and the other one goes on.
    let expected = format!(
        "another process at {} votes under this node's id 3, too: this one has stopped voting. \
         Stop one of the two and restart the other",
        first.settings.address
    );
    await_line(&second, "WARN", &expected);
    repeated(&second, &expected);
    let expected = format!(
        "another process at {} uses this node's id 3, too: stop one of the two, or give it another \
         --id",
        second.settings.address
    );
    await_line(&first, "WARN", &expected);
    assert!(!first.log().contains("has stopped voting"), "{}", first.log());
    // The doctor of whoever has stopped does not put that down to the network, and that of another voter
    // repeats what one of the two says.
    let report = |node: &NodeProcess| {
        let url = format!("http://{}", node.settings.http);
        let output = Command::new(GAGGLE).args(["doctor", "--node", &url]).output().unwrap();
        text(&output.stdout)
    };
    let told = poll_until(PATIENCE, || {
        let report = report(&others[0]);
        let told = report.contains("node 3 (vm) warns: another process at 127.0.0.1:")
            || report.contains("node 3 warns: another process at 127.0.0.1:");
        (told && report.ends_with("\nsomething is wrong\n")).then_some(())
    });
    assert!(told.is_some(), "{}", report(&others[0]));
    let own = report(&second);
    assert!(!own.contains("by this node: UDP gets through one way only"), "{own}");
}

#[test]
fn voters_that_differ() {
    let place = Place::new();
    let (founder, seed) = founder(&place, &[]);
    let other = node(&place, 2, &["--voters", "1,2,3", &seed]);
    let address = other.settings.address;
    let expected = format!(
        "refused what came from {address}: a cluster of the same name that was founded with other \
         --voters, another --preempt, longer leases, or with or without --ephemeral. Give every \
         node the same, or each cluster its own --cluster name"
    );
    await_line(&founder, "WARN", &expected);
    // The other one hears nothing, and says what that may mean.
    let silent = || (count(&other, "--voters and --preempt are the same") == 1).then_some(());
    assert!(poll_until(PATIENCE, silent).is_some(), "{}", other.log());
}

#[test]
fn preemption_that_differs() {
    let place = Place::new();
    let (founder, seed) = founder(&place, &["--preempt"]);
    // A node without a say in it is told what holds.
    let joining = node(&place, 2, &["--preempt=false", &seed]);
    await_line(
        &joining,
        "WARN",
        "this node was started with --preempt=false, but the cluster was founded with --preempt, \
         and that holds: correct this node's settings",
    );
    await_line(&joining, "INFO", JOINED);
    // One that founds is of another cluster.
    let other = node(&place, 3, &["--voters", "1", "--preempt=false", &seed]);
    let address = other.settings.address;
    let expected = format!(
        "refused what came from {address}: a cluster of the same name that was founded with other \
         --voters, another --preempt, longer leases, or with or without --ephemeral. Give every \
         node the same, or each cluster its own --cluster name"
    );
    await_line(&founder, "WARN", &expected);
}

#[test]
fn another_cluster() {
    let place = Place::new();
    let (founder, seed) = founder(&place, &[]);
    let other = node(&place, 2, &["--cluster", "pond", &seed]);
    let address = other.settings.address;
    let expected = format!(
        "refused what came from {address}: it belongs to another --cluster than this node. Correct \
         the name there or here, or the --seed that leads there"
    );
    await_line(&founder, "WARN", &expected);
}

#[test]
fn a_seed_that_is_corrected_while_the_node_runs() {
    let place = Place::new();
    let (founder, _) = founder(&place, &[]);
    let nobody = format!("127.0.0.1:{}", free_port());
    let write = |seed: &str| {
        std::fs::write(place.path("gaggle.toml"), format!("seed = '{seed}'")).unwrap();
    };
    write(&nobody);
    let waiting = node(&place, 2, &["--config", "@dir/gaggle.toml"]);
    let start = format!("nobody has answered yet at {nobody}: ");
    let silent = || (count(&waiting, &start) == 1).then_some(());
    assert!(poll_until(PATIENCE, silent).is_some(), "{}", waiting.log());
    write(&founder.settings.address.to_string());
    waiting.signal(Signal::HUP);
    await_line(&waiting, "INFO", "SIGHUP received: seed changed");
    await_line(&waiting, "INFO", JOINED);
}
