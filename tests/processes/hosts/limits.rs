//! A node that may not have much: few descriptors, few processes, little memory. It says what is
//! missing, or does without; the cluster has a Goose either way.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::network::http;
use super::node::{Cluster, PATIENCE, without};
use super::sandbox;

fn wrap(cluster: &mut Cluster, host: u8, words: &[&str]) {
    cluster.node(host).wrapper = words.iter().map(|&word| word.to_owned()).collect();
}

/// Nobody else on the machine is this user: what it may have counts for all its processes.
fn user() -> String {
    (3_000_000 + std::process::id() % 100_000).to_string()
}

/// Strangers take every descriptor that the HTTP server can get. The election needs none.
#[test]
fn strangers_use_up_all_descriptors_and_the_term_stays() {
    sandbox::run(|| {
        let mut cluster = Cluster::workers(3);
        for host in [1, 2, 3] {
            wrap(&mut cluster, host, &["prlimit", "--nofile=40:40"]);
        }
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let crowd: Vec<TcpStream> =
            (0..100).filter_map(|_| TcpStream::connect(http(goose)).ok()).collect();
        println!("{} connections", crowd.len());
        let began = Instant::now();
        let others = without(goose);
        while began.elapsed() < Duration::from_secs(3) {
            assert_eq!(cluster.agree_on(&others), (goose, term), "{}", cluster.logs());
        }
        drop(crowd);
        assert_eq!(cluster.lead(&[1, 2, 3], 0), (goose, term), "{}", cluster.logs());
        // There is one left for the command of whoever is next.
        cluster.terminate(goose);
        let (next, _) = cluster.lead(&others, term);
        cluster.wait_until("the next works", |cluster| cluster.works(next));
        println!("{}", cluster.judge().summary());
    });
}

/// Whoever may start no process says so in one line and is no worse than a node that is down.
#[test]
fn a_user_who_may_start_no_process_is_told_in_one_line() {
    sandbox::run(|| {
        let mut cluster = Cluster::workers(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let limited = if goose == 1 { 2 } else { 1 };
        cluster.terminate(limited);
        let user = user();
        own(&mut cluster, limited, &user);
        let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
        let words = ["setpriv", &uid, &gid, "--clear-groups", "prlimit", "--nproc=1:1"];
        wrap(&mut cluster, limited, &words);
        cluster.start(limited);
        let ended = cluster.node(limited).wait(PATIENCE).and_then(|status| status.code());
        let log = cluster.node(limited).log();
        assert!(ended.is_some_and(|code| code != 0), "{ended:?}\n{log}");
        let line = log.lines().last().unwrap_or_default();
        assert!(line.contains("Resource temporarily unavailable"), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        let others = without(limited);
        assert_eq!(cluster.lead(&others, 0), (goose, term), "{}", cluster.logs());
        cluster.judge();
    });
}

/// The memory that a node needs is a few MiB; address space counts for more.
#[test]
fn a_node_with_little_memory_leads() {
    sandbox::run(|| {
        let mut cluster = Cluster::workers(3);
        for host in [1, 2, 3] {
            wrap(&mut cluster, host, &["prlimit", "--as=100000000"]);
        }
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        cluster.wait_until("it works", |cluster| cluster.works(goose));
        cluster.kill(goose);
        let others = without(goose);
        let (next, _) = cluster.lead(&others, term);
        cluster.wait_until("the next works", |cluster| cluster.works(next));
        println!("{}", cluster.judge().summary());
    });
}

/// The folder of a node is its user's.
pub(crate) fn own(cluster: &mut Cluster, host: u8, user: &str) {
    let state = cluster.node(host).state.clone();
    std::fs::create_dir_all(&state).unwrap();
    sandbox::tool(&["chown", "-R", &format!("{user}:{user}"), state.to_str().unwrap()]);
    sandbox::tool(&["chmod", "0777", "/run/nodes/work"]);
}
