//! Nobody reads what the Goose says: its standard error is a full pipe, or a terminal on which
//! somebody pressed Ctrl-S. It leads on, in the same term, and ends when it is told to.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Signal, kill_process};

use super::node::{Cluster, PATIENCE, find};
use super::{long, sandbox};

/// For how long nobody reads.
fn silence() -> Duration {
    Duration::from_secs(if long() { 60 } else { 6 })
}

/// A cluster whose node 3 leads, and a fourth node that only makes news. Node 3 is not started.
fn prepared() -> Cluster {
    let mut cluster = Cluster::voters(3);
    cluster.network.add(4);
    cluster.network.plug(4, "bridge", "10.77.0.4/24");
    cluster.add(4, &["--seed", "10.77.0.1:8000"]);
    cluster
}

/// Members come and go, so that there is much to say; the Goose keeps its term all the while,
/// and then ends on SIGTERM.
fn keeps_its_term(cluster: &mut Cluster, stuck: impl FnOnce()) {
    let before = cluster.agree(&[1, 2, 3], 0);
    assert_eq!(before.goose, 3, "{}", cluster.logs());
    stuck();
    let began = Instant::now();
    while began.elapsed() < silence() {
        cluster.start(4);
        cluster.agree_on(&[1, 2, 4]);
        cluster.terminate(4);
        let now = cluster.agree_on(&[1, 2]);
        assert_eq!(now, (3, before.term), "after {:?}\n{}", began.elapsed(), cluster.logs());
    }
    assert_eq!(cluster.agree(&[1, 2, 3], 0), before, "{}", cluster.logs());
    cluster.remember(3);
    kill_process(find(3).expect("the node runs"), Signal::TERM).unwrap();
    let ended = cluster.node(3).wait(PATIENCE);
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", cluster.logs());
    cluster.agree(&[1, 2], before.term);
}

/// Starts node 3 and then the other voters.
fn start(cluster: &mut Cluster) {
    cluster.start(3);
    cluster.wait_until("node 3 answers", |cluster| cluster.status(3));
    cluster.start(1);
    cluster.start(2);
}

/// Writes until nothing fits any more. A description of its own: the node's stays blocking.
fn fill(pipe: &impl AsRawFd) {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
    let mut pipe = OpenOptions::new().write(true).custom_flags(nonblock).open(path).unwrap();
    for piece in [&[b'x'; 512][..], b"x"] {
        let full = loop {
            if let Err(error) = pipe.write_all(piece) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn the_log_of_the_goose_is_a_full_pipe() {
    sandbox::run(|| {
        let (unread, written) = std::io::pipe().unwrap();
        let mut cluster = prepared();
        cluster.node(3).stderr = Some(Stdio::from(written.try_clone().unwrap()));
        start(&mut cluster);
        keeps_its_term(&mut cluster, || fill(&written));
        drop(unread);
        cluster.judge();
    });
}

/// `script` is the terminal; what is typed into it goes through the kernel's line discipline.
#[test]
fn the_terminal_of_the_goose_is_stopped() {
    sandbox::run(|| {
        if !sandbox::is_here("script") {
            return sandbox::skip("script is not installed");
        }
        let (keyboard, mut typist) = std::io::pipe().unwrap();
        let mut cluster = prepared();
        // It runs the line that stands after -c.
        let node = cluster.node(3);
        let words = [vec![super::node::program().display().to_string()], node.words()].concat();
        let line = format!("exec {}", words.join(" "));
        node.wrapper = vec![
            "sh".to_owned(),
            "-c".to_owned(),
            format!("exec script --quiet --flush --return --command '{line}' /run/typescript"),
        ];
        node.stdin = Some(Stdio::from(keyboard));
        start(&mut cluster);
        keeps_its_term(&mut cluster, || typist.write_all(b"\x13").unwrap());
        let screen = std::fs::read_to_string("/run/typescript").unwrap();
        assert!(screen.contains("became Goose of term"), "{screen}");
        assert!(!screen.contains("received"), "the terminal was not stopped: {screen}");
        drop(typist);
        cluster.judge();
    });
}
