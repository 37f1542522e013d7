//! Health checks with real processes: who fails its check hands over, says why to everybody who
//! asks, and leads again once it passes.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::Cluster;
use crate::harness::process::GAGGLE;
use crate::harness::watch::Watch;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(4);

fn three() -> Cluster {
    let mut cluster = Cluster::new(&[1, 2, 3], &[1, 2, 3], Watch::new(SAMPLE_INTERVAL, true));
    // On a busy machine a shorter lease may be renewed late.
    cluster.give_all(&["--lease", "2s", "--health-interval", "100ms", "--health-timeout", "10s"]);
    cluster
}

/// The file without which the check of a node fails.
fn well(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("well-{id}"))
}

/// A check that fails without the node's file, and says so.
fn check(folder: &Path) -> String {
    let path = folder.join("check it");
    let text = "#!/bin/sh\ntest -e \"$1-$GAGGLE_NODE_ID\" && exit 0\necho no file >&2\nexit 7\n";
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    // Quoted, for there is a space in it.
    format!("'{}' '{}'", path.display(), folder.join("well").display())
}

fn text(cluster: &Cluster, id: u64, path: &str) -> Option<String> {
    cluster.get(id, path).map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
}

fn says(cluster: &Cluster, id: u64, path: &str, words: &str) {
    cluster.wait_until(&format!("{path} of node {id} says {words}"), |cluster| {
        text(cluster, id, path)?.contains(words).then_some(())
    });
}

fn run(cluster: &Cluster, id: u64, words: &[&str]) -> String {
    let node = format!("http://{}", cluster.node(id).settings.http);
    let output = Command::new(GAGGLE).args(words).args(["--node", &node]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_goose_whose_check_fails_hands_over_and_says_why_to_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut cluster = three();
    cluster.give_all(&["--health", &check(folder)]);
    for id in cluster.ids() {
        fs::write(well(folder, id), "").unwrap();
        cluster.start(id);
    }
    let first = cluster.wait_for_agreement(&[1, 2, 3], 0);
    assert!(cluster.node(first.goose).log().contains("this node is healthy"));
    fs::remove_file(well(folder, first.goose)).unwrap();
    let second = cluster.wait_for_agreement(&[1, 2, 3], first.term);
    assert_ne!(second.goose, first.goose, "{}", cluster.logs());

    let sick = first.goose;
    let why = "the health check failed: exit code 7: no file";
    says(&cluster, sick, "/v1/status", &format!("\"unhealthy\":\"{why}\""));
    says(&cluster, sick, "/v1/history", "it is not healthy");
    says(&cluster, sick, "/metrics", "gaggle_healthy 0\n");
    says(&cluster, second.goose, "/metrics", "gaggle_healthy 1\n");
    assert_eq!(cluster.get(sick, "/duck").unwrap().code, 503);
    let log = cluster.node(sick).log();
    assert!(log.contains(&format!("votes, but does not lead: {why}")), "{log}");
    let doctor = run(&cluster, sick, &["doctor"]);
    assert!(doctor.contains(why) && doctor.contains("health"), "{doctor}");
    let status = run(&cluster, sick, &["status"]);
    assert!(status.contains("NOT HEALTHY") && status.contains(why), "{status}");
    let members = run(&cluster, sick, &["members"]);
    assert!(members.contains("no, not healthy"), "{members}");
    cluster.wait_until("the others show it as not eligible", |cluster| {
        let members: serde_json::Value =
            serde_json::from_str(&text(cluster, second.goose, "/v1/members")?).unwrap();
        let mut members = members["members"].as_array().unwrap().iter();
        let of = members.find(|member| member["id"] == sick).unwrap();
        (of["eligible"] == false).then_some(())
    });

    // Well again, it leads if it is its turn.
    fs::write(well(folder, sick), "").unwrap();
    says(&cluster, sick, "/metrics", "gaggle_healthy 1\n");
    for id in [1, 2, 3].into_iter().filter(|id| *id != sick) {
        fs::remove_file(well(folder, id)).unwrap();
    }
    let third = cluster.wait_for_agreement(&[1, 2, 3], second.term);
    let third = if third.goose == sick {
        third
    } else {
        cluster.wait_for_agreement(&[1, 2, 3], third.term)
    };
    assert_eq!(third.goose, sick, "{}", cluster.logs());

    // Nobody is healthy, so nobody leads, and that is said.
    fs::remove_file(well(folder, sick)).unwrap();
    cluster.wait_until("nobody leads", |cluster| {
        let status = cluster.status(1)?;
        status.goose.is_none().then_some(())
    });
    let doctor = run(&cluster, 1, &["doctor"]);
    assert!(doctor.contains("no member may lead"), "{doctor}");
    cluster.assert_one_goose_at_a_time();
}

/// A service that answers with 200 while it is well, and otherwise with 503.
fn service(is_well: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            let count = stream.read(&mut head).unwrap_or(0);
            let asked = String::from_utf8_lossy(&head[..count]).into_owned();
            let right = asked.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n");
            let line = if is_well.load(Ordering::Relaxed) && right { "200 OK" } else { "503 No" };
            let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n");
            // Whoever asked may have given up.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_url_is_asked_and_a_node_that_was_never_well_does_not_lead() {
    let mut cluster = three();
    let well: Vec<Arc<AtomicBool>> = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
    for (id, is_well) in (1..).zip(&well) {
        let address = service(Arc::clone(is_well));
        cluster.give(id, &["--health", &format!("http://{address}/healthz?deep=1")]);
        cluster.start(id);
    }
    for id in [1, 2, 3] {
        says(&cluster, id, "/v1/status", "/healthz?deep=1 answers 503 ");
    }
    well[1].store(true, Ordering::Relaxed);
    let first = cluster.wait_for_agreement(&[1, 2, 3], 0);
    assert_eq!(first.goose, 2, "{}", cluster.logs());
    well[0].store(true, Ordering::Relaxed);
    says(&cluster, 1, "/metrics", "gaggle_healthy 1\n");
    well[1].store(false, Ordering::Relaxed);
    let second = cluster.wait_for_agreement(&[1, 2, 3], first.term);
    assert_eq!(second.goose, 1, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_check_that_hangs_has_failed_and_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let mut cluster = Cluster::new(&[1], &[1], Watch::new(SAMPLE_INTERVAL, true));
    let line = format!("sh -c 'echo $$ >> {}; sleep 1000'", path.display());
    cluster.give_all(&["--health", &line, "--health-timeout", "200ms"]);
    cluster.give_all(&["--health-interval", "100ms"]);
    cluster.start(1);
    says(&cluster, 1, "/v1/status", "the health check failed: it took longer than 200ms");
    let first = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    cluster.wait_until("the first one is gone", |_| {
        let stat = fs::read_to_string(format!("/proc/{first}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn if_that_is_asked_for_one_leads_though_no_check_passes() {
    let mut cluster = three();
    cluster.give_all(&["--health", "false", "--if-none-healthy", "lead-anyway"]);
    for id in cluster.ids() {
        cluster.start(id);
    }
    let leadership = cluster.wait_for_agreement(&[1, 2, 3], 0);
    says(&cluster, leadership.goose, "/metrics", "gaggle_healthy 0\n");
    cluster.assert_one_goose_at_a_time();
}
