//! Work among thousands of other processes: that there are many costs nobody the deadline.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::node::{Cluster, without, worker};
use super::{long, sandbox};

/// So many processes that do nothing, all children of one shell.
fn crowd(count: u32) -> Child {
    // Shells that were forked and wait for a line that never comes.
    let script = "n=$1; while [ $n -gt 0 ]; do read -r line <&3 & n=$((n - 1)); done; echo all; \
                  read -r line <&3";
    let (unread, kept) = std::io::pipe().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec 3<&0; {script}"), "sh", &count.to_string()])
        .stdin(Stdio::from(unread))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Open as long as the sandbox lives.
    std::mem::forget(kept);
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said.trim(), "all");
    child
}

fn processes() -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbered = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    entries.filter(|entry| entry.file_name().to_str().is_some_and(numbered)).count()
}

/// Workers that ignore SIGTERM; the Goose is frozen, cut off and killed.
#[test]
fn no_two_work_at_once_among_thousands_of_processes() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        let line = format!("trap '' TERM; exec {}", worker().join(" "));
        for host in [1, 2, 3] {
            cluster.node(host).command = ["sh", "-c", &line].map(str::to_owned).to_vec();
        }
        cluster.start_all();
        let mut crowd = crowd(if long() { 10_000 } else { 2_000 });
        println!("{} processes", processes());
        let mut term = 0;
        for _ in 0..if long() { 10 } else { 2 } {
            term = frozen(&mut cluster, term);
            term = cut_off(&mut cluster, term);
            term = killed(&mut cluster, term);
        }
        println!("{}", cluster.judge().summary());
        crowd.kill().unwrap();
        crowd.wait().unwrap();
    });
}

/// Whoever works, in a term above `term`; and the other hosts.
fn at_work(cluster: &mut Cluster, term: u64) -> (u8, u64, Vec<u8>) {
    let (goose, term) = cluster.lead(&[1, 2, 3], term);
    cluster.wait_until("the Goose works", |cluster| cluster.works(goose));
    (goose, term, without(goose))
}

fn next_works(cluster: &mut Cluster, others: &[u8], term: u64) -> u64 {
    let (next, term) = cluster.lead(others, term);
    cluster.wait_until("the next works", |cluster| cluster.works(next));
    term
}

fn frozen(cluster: &mut Cluster, term: u64) -> u64 {
    let (goose, term, others) = at_work(cluster, term);
    cluster.node(goose).signal(Signal::STOP);
    next_works(cluster, &others, term);
    cluster.node(goose).signal(Signal::CONT);
    term
}

fn cut_off(cluster: &mut Cluster, term: u64) -> u64 {
    let (goose, term, others) = at_work(cluster, term);
    cluster.network.isolate(goose);
    next_works(cluster, &others, term);
    cluster.network.heal();
    term
}

fn killed(cluster: &mut Cluster, term: u64) -> u64 {
    let (goose, term, others) = at_work(cluster, term);
    cluster.kill(goose);
    next_works(cluster, &others, term);
    cluster.start(goose);
    term
}
