//! A log that nobody reads stops nobody: a pipe that is full, and a terminal that was stopped.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE, poll_until};

/// One node that votes alone, and says what it has to say there.
fn node_saying(log: Stdio) -> Cluster {
    let mut cluster = Cluster::new(&[1], &[1], Watch::new(Duration::from_millis(20), false));
    cluster.start_saying(1, log);
    cluster
}

/// It goes from term to term, each of which is worth several lines, and reads its settings again.
/// Its last term.
fn leads_on_and_obeys(cluster: &Cluster) -> u64 {
    let mut term = cluster.wait_for_agreement(&[1], 0).term;
    for _ in 0..5 {
        cluster.wait_until("it steps down", |cluster| {
            let answer = cluster.order_with(1, "/v1/step-down", "{\"hold_ms\":0}")?;
            (answer.code == 200).then_some(())
        });
        term = cluster.wait_for_agreement(&[1], term).term;
        cluster.signal(1, Signal::HUP);
    }
    assert_eq!(cluster.get(1, "/livez").expect("an answer").code, 200);
    term
}

/// A pipe that takes nothing before somebody reads.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    // Through another door, so that the node's own end waits for room.
    let mut door = File::options()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(format!("/proc/self/fd/{}", writer.as_raw_fd()))
        .unwrap();
    for piece in [&[b'\n'; 4096][..], b"\n"] {
        while door.write(piece).is_ok() {}
    }
    (reader, writer)
}

#[test]
fn a_full_pipe_stops_nobody_and_is_written_to_once_somebody_reads() {
    let (reader, writer) = full_pipe();
    let mut cluster = node_saying(writer.into());
    let last = format!("became Goose of term {}", leads_on_and_obeys(&cluster));
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(&last)), "somebody reads now");
    // And now nobody ever will.
    drop(lines);
    leads_on_and_obeys(&cluster);
    assert!(cluster.terminate(1).success());
}

#[test]
fn a_node_ends_though_nobody_reads_its_last_words() {
    let (_reader, writer) = full_pipe();
    let mut cluster = node_saying(writer.into());
    cluster.wait_for_agreement(&[1], 0);
    assert!(cluster.terminate(1).success());
    // It cannot even say that its settings are refused.
    let (_reader, writer) = full_pipe();
    cluster.give(1, &["--cluster", "another"]);
    cluster.start_saying(1, writer.into());
    assert_eq!(cluster.wait_for_end(1).code(), Some(2));
}

#[test]
fn a_stopped_terminal_stops_nobody() {
    // The tool holds a terminal open and types what it is given.
    let typist = Command::new("script")
        .args(["--quiet", "--command", "sleep 600", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut typist) = typist else {
        println!("skipped: script is not installed");
        return;
    };
    let children = format!("/proc/{0}/task/{0}/children", typist.id());
    let terminal = poll_until(PATIENCE, || {
        let child = std::fs::read_to_string(&children).ok()?;
        let link = std::fs::read_link(format!("/proc/{}/fd/2", child.split_whitespace().next()?));
        link.ok().filter(|path| path.starts_with("/dev/pts"))
    });
    let open = || File::options().write(true).open(terminal.as_ref().expect("a terminal")).unwrap();
    let stop = typist.stdin.as_mut().unwrap();
    stop.write_all(b"\x13").unwrap();
    let stopped = poll_until(PATIENCE, || {
        let terminal = open();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&terminal, PollFlags::OUT)], Some(&at_once));
        (ready == Ok(0)).then_some(())
    });
    assert!(stopped.is_some(), "the terminal does not stop");

    let mut cluster = node_saying(open().into());
    leads_on_and_obeys(&cluster);
    assert!(cluster.terminate(1).success());
    // It ends what it runs.
    let _ = typist.kill();
    let _ = typist.wait();
}
