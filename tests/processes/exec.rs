//! `gaggle exec` with real processes: the work of two nodes is never alive at once, whatever is
//! done to the node that holds it, and nothing of it is left behind.
//!
//! The worker is this test program itself, told by its environment to be one; see
//! [`harness::work`].

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::process::{GAGGLE, free_port};
use crate::harness::work::{Life, Workers, overlaps, work};
use crate::harness::{PATIENCE, poll_until};
use rustix::process::{Pid, Signal, kill_process};

/// No test unless this process was told to be a worker.
#[test]
fn worker() {
    work();
}

fn workers(line: &str) -> Workers {
    let own = std::env::current_exe().unwrap();
    let worker = format!("{} --exact exec::worker --nocapture", own.display());
    Workers::start(3, &worker, line, &["--drain-timeout", "500ms"])
}

#[track_caller]
fn assert_one_at_a_time(lives: &[Life], terms: &[u64]) {
    assert_eq!(overlaps(lives), []);
    for term in terms {
        assert!(lives.iter().any(|life| life.term == *term), "nobody wrote in term {term}");
    }
}

/// What is done to the node that holds the work: killed, terminated, cut off, frozen.
fn survive(line: &str) {
    survive_with(line, 0);
}

/// The same; a node that is told to end exits with `answer`.
fn survive_with(line: &str, answer: i32) {
    let mut workers = workers(line);
    let (first, killed) = workers.next(0);
    workers.signal(killed, Signal::KILL);
    workers.wait(killed);
    let (second, ended) = workers.next(first);
    workers.launch(killed);
    workers.wait_until_ready(killed);

    workers.signal(ended, Signal::TERM);
    assert_eq!(workers.wait(ended), Some(answer), "{}", workers.logs());
    let (third, cut) = workers.next(second);
    workers.launch(ended);
    workers.wait_until_ready(ended);

    workers.relay().isolate(cut);
    let (fourth, frozen) = workers.next(third);
    workers.relay().heal();

    workers.signal(frozen, Signal::STOP);
    let (fifth, _) = workers.next(fourth);
    workers.signal(frozen, Signal::CONT);
    assert_one_at_a_time(&workers.finish(), &[first, second, third, fourth, fifth]);
}

#[test]
fn the_work_moves_and_is_never_alive_twice() {
    survive("exec $WORKER");
}

#[test]
fn work_that_ignores_sigterm_is_gone_in_time() {
    survive_with("trap '' TERM; $WORKER & $WORKER", 124);
}

#[test]
fn daemons_and_full_pipes_are_gone_in_time() {
    // One that has left its session, its group and its parent behind, and one that is stuck.
    survive("(setsid $WORKER >/dev/null 2>&1 &) ; yes & wait");
}

#[test]
fn fifty_grandchildren_are_gone_in_time() {
    survive(
        "for i in 1 2 3 4 5 6 7 8 9 10; do \
           (for j in 1 2 3 4; do sleep 1000 & done; exec sleep 1000) & done; \
         for i in 1 2 3; do $WORKER & done; wait",
    );
}

#[test]
fn work_has_the_priority_of_its_node_and_not_that_of_its_keeper() {
    let line = "cat /proc/self/oom_score_adj; cut -d' ' -f18-19 /proc/self/stat; ulimit -l -n";
    let own = Command::new("sh").args(["-c", line]).output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = end(alone(folder.path(), &["--", "sh", "-c", line]));
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text(&output), text(&own));
}

#[test]
fn a_planned_end_takes_its_time_while_the_lease_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than a lease.
    let line = "trap 'sleep 1.5; touch $FOLDER/drained; exit 9' TERM; touch $FOLDER/ready; \
                while :; do sleep 0.01; done";
    let child = alone(folder.path(), &["--", "sh", "-c", line]);
    wait_for(&folder.path().join("ready"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(end(child).status.code(), Some(9));
    assert!(folder.path().join("drained").exists());
}

#[test]
fn work_that_outstays_the_drain_timeout_is_killed_and_the_exit_code_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let line = "trap '' TERM; touch $FOLDER/ready; while :; do sleep 0.01; done";
    let child = alone(folder.path(), &["--drain-timeout", "300ms", "--", "sh", "-c", line]);
    wait_for(&folder.path().join("ready"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = end(child);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(124), "{said}");
    assert!(said.contains("SIGKILL, as the drain timeout is over"), "{said}");
}

/// The processes whose parent is `parent`.
fn children(parent: Pid) -> Vec<Pid> {
    let of = |text: &str| text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let below = numbers.filter(|number| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        of(&stat) == Some(parent.as_raw_nonzero().get())
    });
    below.filter_map(Pid::from_raw).collect()
}

#[test]
fn a_node_whose_keeper_is_killed_ends_the_work_itself_and_goes() {
    let mut workers = workers("(setsid $WORKER &) ; trap '' TERM; $WORKER & wait");
    let (first, node) = workers.next(0);
    let keeper = children(workers.process(node));
    assert_eq!(keeper.len(), 1);
    kill_process(keeper[0], Signal::KILL).unwrap();
    assert_eq!(workers.wait(node), Some(125), "{}", workers.logs());
    let (second, _) = workers.next(first);
    assert_one_at_a_time(&workers.finish(), &[first, second]);
}

#[test]
fn the_judge_sees_two_at_once() {
    let life = |node, term, first, last| Life { first, last, term, node };
    let one = life(1, 3, 100, 200);
    assert_eq!(overlaps(&[one, life(2, 4, 201, 300)]), []);
    assert_eq!(overlaps(&[one, life(1, 3, 150, 250)]), [], "two processes of one workload");
    for other in [life(2, 4, 200, 300), life(2, 4, 120, 130), life(1, 4, 150, 250)] {
        assert_eq!(overlaps(&[one, other]), [(one, other)]);
    }
    let between = life(2, 4, 210, 220);
    let long = life(3, 5, 110, 400);
    assert_eq!(overlaps(&[one, long, between]), [(one, long), (long, between)]);
}

/// One node that is alone, and so Goose at once.
fn alone(folder: &Path, words: &[&str]) -> Child {
    Command::new(GAGGLE)
        .args(["exec", "--alone", &format!("127.0.0.1:{}", free_port())])
        .args(["--http", &format!("127.0.0.1:{}", free_port())])
        .arg("--state-dir")
        .arg(folder.join("state"))
        .args(words)
        .env("FOLDER", folder)
        .env("GAGGLE_ON_EXIT", "stop")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for its end.
fn end(mut child: Child) -> Output {
    drop(child.stdin.take());
    if poll_until(PATIENCE, || child.try_wait().unwrap()).is_none() {
        child.kill().unwrap();
    }
    child.wait_with_output().unwrap()
}

fn exit_of(words: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = end(alone(folder.path(), words));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn exit_codes_are_the_commands_own_or_say_why_there_was_none() {
    assert_eq!(exit_of(&["--", "sh", "-c", "exit 7"]).0, Some(7));
    assert_eq!(exit_of(&["--", "sh", "-c", "kill -KILL $$"]).0, Some(137));
    assert_eq!(exit_of(&["--", "/no/such/command"]).0, Some(127));
    assert_eq!(exit_of(&["--", "/etc/passwd"]).0, Some(126));
    assert_eq!(exit_of(&["--no-keeper", "--", "true"]).0, Some(2));
    let (code, said) = exit_of(&["--stop-timeout", "10s", "--", "true"]);
    assert_eq!(code, Some(2), "it does not fit");
    assert!(said.contains("at most 274ms"), "{said}");
}

#[test]
fn the_commands_streams_are_those_of_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = alone(folder.path(), &["--", "sh", "-c", "cat; echo no >&2"]);
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"honk\n").unwrap();
    let output = end(child);
    assert_eq!(output.stdout, b"honk\n");
    assert!(output.stderr.ends_with(b"the node has ended\n"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\nno\n"));
    assert_eq!(output.status.code(), Some(0));
}

/// Waits until the command has written this file.
fn wait_for(file: &Path) {
    assert!(poll_until(PATIENCE, || file.exists().then_some(())).is_some(), "{}", file.display());
}

#[test]
fn signals_reach_the_command_and_its_answer_to_sigterm_is_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let line = "trap 'touch $FOLDER/usr1' USR1; trap 'exit 9' TERM; touch $FOLDER/ready; \
                while :; do sleep 0.01; done";
    let child = alone(folder.path(), &["--", "sh", "-c", line]);
    wait_for(&folder.path().join("ready"));
    kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
    wait_for(&folder.path().join("usr1"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(end(child).status.code(), Some(9));
}

#[test]
fn the_command_is_told_its_term_and_started_again_when_that_is_asked_for() {
    for on_exit in ["restart", "step-down"] {
        let folder = tempfile::tempdir().unwrap();
        let line = "test \"$GAGGLE_ROLE\" = goose || exit 9; test $GAGGLE_TERM -ge 1 || exit 9; \
                    echo x >> $FOLDER/count; test $(wc -l < $FOLDER/count) -lt 3 && exit 3; \
                    touch $FOLDER/third; exec sleep 1000";
        let words = ["--on-exit", on_exit, "--", "sh", "-c", line];
        let child = alone(folder.path(), &words);
        wait_for(&folder.path().join("third"));
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(end(child).status.code(), Some(0));
    }
}

/// Three nodes, with a command that looks at `FOLDER`.
fn three(folder: &Path, line: &str, more: &[&str]) -> Workers {
    let line = format!("FOLDER={}; {line}", folder.display());
    let own = std::env::current_exe().unwrap();
    let worker = format!("{} --exact exec::worker --nocapture", own.display());
    Workers::start(3, &worker, &line, more)
}

/// What a node says of itself.
fn status(workers: &Workers, id: u64) -> serde_json::Value {
    let body = workers.get(id, "/v1/status").unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_default()
}

/// How often the command was started on each node.
fn starts(folder: &Path) -> Vec<usize> {
    let of = |id| fs::read_to_string(folder.join(format!("starts-{id}"))).unwrap_or_default();
    (1..=3).map(|id| of(id).lines().count()).collect()
}

#[test]
fn work_that_fails_on_two_machines_runs_on_the_third_within_two_seconds() {
    let mut spans = Vec::new();
    for _ in 0..number("GAGGLE_ROUNDS").unwrap_or(ROUNDS) {
        let folder = tempfile::tempdir().unwrap();
        // The two that are preferred.
        let line = "date +%s%N >> $FOLDER/starts-$WORK_NODE; \
                    test $WORK_NODE -gt 1 && { sleep 0.2; exit 1; }; exec $WORKER";
        let workers = three(folder.path(), line, &[]);
        let (_, node) = workers.next(0);
        assert_eq!(node, 1);
        let first = |id: u64| -> Option<u128> {
            let text = fs::read_to_string(folder.path().join(format!("starts-{id}"))).ok()?;
            text.lines().next()?.parse().ok()
        };
        let began = [first(2), first(3)].into_iter().flatten().min();
        // Node 1 may have been the first, if it was faster than the others.
        if let Some(began) = began {
            let took = first(1).unwrap().saturating_sub(began) / 1_000_000;
            assert!(took < 2000, "{took} ms\n{}", workers.logs());
            spans.push(took);
        }
        workers.finish();
    }
    spans.sort_unstable();
    if let (Some(median), Some(worst)) = (spans.get(spans.len() / 2), spans.last()) {
        println!(
            "{} rounds: on the third after {median} ms (median), {worst} ms at worst",
            spans.len()
        );
    }
}

/// A number that was asked for: for longer runs by hand.
fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The worker needs longer for its end than several leases last.
#[test]
fn a_drained_node_gives_its_worker_the_time_that_it_needs_and_the_next_one_starts_at_once() {
    let seconds = number("GAGGLE_DRAIN_SECONDS").unwrap_or(2);
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "date +%s%N > $FOLDER/began-$WORK_NODE; \
         trap 'date +%s%N > $FOLDER/asked; sleep {seconds}; date +%s%N > $FOLDER/ended; exit 0' TERM; \
         while :; do sleep 0.01; done"
    );
    let workers = three(folder.path(), &line, &["--drain-timeout", "60s"]);
    let time = |name: String| -> Option<u128> {
        fs::read_to_string(folder.path().join(name)).ok()?.trim().parse().ok()
    };
    let works = |id: u64| time(format!("began-{id}"));
    let goose = poll_until(PATIENCE, || (1..=3).find(|id| works(*id).is_some()));
    let goose = goose.unwrap_or_else(|| panic!("nobody works\n{}", workers.logs()));
    let term = status(&workers, goose)["term"].as_u64();
    (1..=3).for_each(|id| workers.wait_until_ready(id));
    // Refused, and nothing is changed, while nobody could take over.
    let drained = std::thread::scope(|scope| {
        let order = scope.spawn(|| {
            // An order that takes long is answered before it is carried out, and may be given again.
            poll_until(PATIENCE * 3, || {
                workers.order(goose, "/v1/drain").filter(|answer| answer.code == 200)
            })
        });
        let asked = poll_until(PATIENCE, || time("asked".to_owned()));
        assert!(asked.is_some(), "{}", workers.logs());
        // For as long as it takes it leads, in the same term.
        while time("ended".to_owned()).is_none() {
            let status = status(&workers, goose);
            let leads = status["role"] == "goose" && status["term"].as_u64() == term;
            let over = time("ended".to_owned()).is_some();
            assert!(leads || over, "{status}\n{}", workers.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
        order.join().unwrap()
    });
    assert!(drained.is_some(), "{}", workers.logs());
    let next = poll_until(PATIENCE, || (1..=3).filter(|id| *id != goose).find_map(works));
    let next = next.unwrap_or_else(|| panic!("nobody follows\n{}", workers.logs()));
    let (asked, ended) = (time("asked".to_owned()).unwrap(), time("ended".to_owned()).unwrap());
    let had = Duration::from_nanos(u64::try_from(ended - asked).unwrap());
    let gap = Duration::from_nanos(u64::try_from(next.saturating_sub(ended)).unwrap());
    println!("the worker had {had:.1?}, and the next one began {gap:.1?} after its end");
    assert!(had >= Duration::from_secs(seconds as u64), "{had:?}");
    assert!(next > ended && gap < HAND_OVER_MOST, "{gap:?}\n{}", workers.logs());
}

/// A hand-over takes milliseconds, and this long on no machine; the fifth pause of work that fails is
/// longer.
const HAND_OVER_MOST: Duration = Duration::from_secs(1);

/// So often a story is told whose promise is "each time".
const ROUNDS: usize = 3;

#[test]
fn work_that_fails_everywhere_costs_no_voter_and_no_node_leads_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let line = "echo x >> $FOLDER/starts-$WORK_NODE; sleep 0.1; exit 1";
    let workers = three(folder.path(), line, &[]);
    // Which node was first seen to lead with failed work, in which term, and when.
    let mut idle: Option<((u64, Option<u64>), Instant)> = None;
    let tried = poll_until(PATIENCE, || {
        for id in 1..=3 {
            let status = status(&workers, id);
            let why = status["node"]["unhealthy"].as_str().unwrap_or_default();
            let leads = status["role"] == "goose" && why.contains("has ended by itself");
            if leads {
                let seen = (id, status["term"].as_u64());
                // It may be seen while it hands over, but pauses are longer than that.
                let since = idle.filter(|(known, _)| *known == seen).map(|(_, since)| since);
                let since = since.unwrap_or_else(Instant::now);
                assert!(since.elapsed() < HAND_OVER_MOST, "{status}\n{}", workers.logs());
                idle = Some((seen, since));
            }
        }
        starts(folder.path()).iter().all(|count| *count >= 5).then_some(())
    });
    assert!(tried.is_some(), "{:?}\n{}", starts(folder.path()), workers.logs());
    let unhealthy = poll_until(PATIENCE, || {
        let why = status(&workers, 1)["node"]["unhealthy"].as_str()?.to_owned();
        (why == "the command has ended by itself, with exit code 1").then_some(())
    });
    assert!(unhealthy.is_some(), "{}", workers.logs());
    // All of them are still there, or this fails.
    workers.finish();
}

#[test]
fn a_job_that_is_done_runs_once_on_each_node_and_every_node_votes_on() {
    let folder = tempfile::tempdir().unwrap();
    let line = "echo x >> $FOLDER/starts-$WORK_NODE";
    let workers = three(folder.path(), line, &["--on-exit", "0=done,stop"]);
    let done = poll_until(PATIENCE, || {
        let done = "exit code 0, and is done: to run it here once more, restart this node";
        let is_done = |id| {
            let reason = status(&workers, id)["node"]["unhealthy"].as_str().map(str::to_owned);
            reason.is_some_and(|reason| reason.ends_with(done))
        };
        (1..=3).all(is_done).then_some(())
    });
    assert!(done.is_some(), "{}", workers.logs());
    assert_eq!(starts(folder.path()), [1, 1, 1]);
    for id in 1..=3 {
        assert_eq!(status(&workers, id)["role"], "duck");
    }
    workers.finish();
}

#[test]
fn a_command_that_cannot_be_started_at_the_moment_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let command = folder.path().join("command");
    fs::write(&command, "#!/bin/sh\ntouch $FOLDER/ran\nexec sleep 1000\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&command, mode).unwrap();
    // Whoever installs it is still writing: "text file busy".
    let writer = fs::OpenOptions::new().write(true).open(&command).unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let child = Command::new(GAGGLE)
        .args(["exec", "--alone", &format!("127.0.0.1:{}", free_port())])
        .args(["--http", &format!("127.0.0.1:{}", free_port()), "--on-exit", "stop"])
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .arg("--")
        .arg(&command)
        .env("FOLDER", folder.path())
        .stdin(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(folder.path().join("log")).unwrap();
    let complained = poll_until(PATIENCE, || said().contains("Text file busy").then_some(()));
    assert!(complained.is_some(), "{}", said());
    drop(writer);
    wait_for(&folder.path().join("ran"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(end(child).status.code(), Some(0));
}
