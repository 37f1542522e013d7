//! The keeper, with real processes: it tells of a death at once, of nothing but a death, and
//! never of another process than its own.
//!
//! The leases here are long, so that "before the lease could have run out" leaves seconds even
//! to a busy machine. Waits for conditions and never for times.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use gaggle::wire::datagram;
use gaggle::wire::message::Message;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send as send_to, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open};

use crate::harness::process::GAGGLE;
use crate::harness::watch::{Leadership, Watch};
use crate::harness::{Cluster, PATIENCE, poll_until};

/// Often enough to see a lease that is claimed twice, seldom enough for a busy machine.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(4);

/// Three voters with `arguments`, started and agreed.
fn running_cluster(arguments: &[&str]) -> (Cluster, Leadership) {
    let ids = [1, 2, 3];
    running(Cluster::new(&ids, &ids, Watch::new(SAMPLE_INTERVAL, true)), arguments)
}

fn running(mut cluster: Cluster, arguments: &[&str]) -> (Cluster, Leadership) {
    cluster.give_all(arguments);
    for id in cluster.ids() {
        cluster.start(id);
    }
    let leadership = cluster.wait_for_agreement(&cluster.ids(), 0);
    (cluster, leadership)
}

/// Orphans become children of this process, so that their end can be waited for.
fn adopt_orphans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("adopts");
    });
}

/// The field of `/proc/PID/stat` after the command's name, counted from 0; none if there is no
/// such process.
fn stat(process: u32, field: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    fields.split(' ').nth(field).map(str::to_owned)
}

/// The processes whose parent is `parent`.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("a list of processes").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|number| stat(*number, 1) == Some(parent.to_string())).collect()
}

/// The keeper of a running node, once it keeps.
fn keeper_of(cluster: &Cluster, node: u64) -> u32 {
    let process = cluster.node(node).pid().expect("the node runs");
    cluster.wait_until("the node has a keeper", |_| {
        let keeper = children(process).into_iter().next()?;
        is_keeping(keeper).then_some(keeper)
    })
}

/// Whether a process has made itself a keeper: it takes its name last.
pub(super) fn is_keeping(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/comm"))
        .is_ok_and(|name| name.trim() == "gaggle-keeper")
}

fn send(process: u32, signal: Signal) {
    let process = Pid::from_raw(i32::try_from(process).expect("a process id")).expect("not 0");
    kill_process(process, signal).expect("the signal can be sent");
}

/// Waits for the end of an adopted process: its exit code.
fn end_of_orphan(process: u32) -> Option<i32> {
    let process = Pid::from_raw(i32::try_from(process).ok()?)?;
    let status = poll_until(PATIENCE, || {
        // An error: its parent has died, and it is not handed on to this process yet.
        rustix::process::waitpid(Some(process), WaitOptions::NOHANG).ok().flatten()
    })?;
    status.1.exit_status()
}

/// How long the lease of `node` runs from now on, in milliseconds, if it has one.
fn remaining(cluster: &Cluster, node: u64) -> Option<u64> {
    let answer = cluster.get(node, "/v1/status")?;
    let status: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    status["lease"]["remaining_ms"].as_u64()
}

/// Waits until `goose` has renewed twice: whatever lay in a voter's socket before was handled.
fn wait_for_renewals(cluster: &Cluster, goose: u64) {
    let mut last = u64::MAX;
    let mut renewals = 0;
    cluster.wait_until("the lease is renewed twice", |cluster| {
        let now = remaining(cluster, goose)?;
        renewals += u32::from(now > last);
        last = now;
        (renewals >= 2).then_some(())
    });
}

#[test]
fn a_killed_goose_is_replaced_before_its_lease_could_have_run_out() {
    adopt_orphans();
    let (mut cluster, first) = running_cluster(&["--lease", "10s"]);
    let keeper = keeper_of(&cluster, first.goose);
    let killed = Instant::now();
    // Nobody waits for the dead process yet, as with a parent that does something else.
    cluster.signal(first.goose, Signal::KILL);
    let second = cluster.wait_for_agreement(&cluster.others(&[first.goose]), first.term);
    assert_ne!(second.goose, first.goose);
    // It was renewed every two seconds.
    assert!(killed.elapsed() < Duration::from_secs(5), "{}", cluster.logs());
    cluster.wait(first.goose);
    assert_eq!(end_of_orphan(keeper), Some(0), "the keeper ends after its work");
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn without_its_keeper_a_killed_goose_is_replaced_when_the_lease_has_run_out() {
    let (mut cluster, first) = running_cluster(&["--lease", "3s"]);
    let keeper = keeper_of(&cluster, first.goose);
    send(keeper, Signal::KILL);
    cluster.wait_until("the node says so, and leaves no zombie", |cluster| {
        let said = cluster.node(first.goose).log().matches("the keeper has ended").count();
        (said == 1 && stat(keeper, 0).is_none()).then_some(())
    });
    wait_for_renewals(&cluster, first.goose);
    let killed = Instant::now();
    cluster.kill(first.goose);
    cluster.wait_for_agreement(&cluster.others(&[first.goose]), first.term);
    let claim = cluster.watch().first_claim_above(first.term);
    let (claimed, _) = claim.expect("somebody was seen to claim");
    // It was renewed every 0.6 s: the rest is for a Goose that was slow to do so.
    assert!(claimed - killed > Duration::from_secs(1), "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn without_a_keeper_a_node_has_no_helper() {
    let (cluster, first) = running_cluster(&["--no-keeper"]);
    for id in cluster.ids() {
        assert_eq!(children(cluster.node(id).pid().expect("it runs")), [] as [u32; 0]);
    }
    assert!(!cluster.node(first.goose).log().contains("keeper"));
}

#[test]
fn a_keeper_holds_nothing_but_the_line_and_the_pidfd() {
    // Whatever a careless parent leaves open: every node started from now on inherits it.
    let file = std::fs::File::open("/dev/null").expect("it can be opened");
    let _inherited = rustix::io::dup(&file).expect("a second one");
    let (cluster, first) = running_cluster(&[]);
    let node = cluster.node(first.goose).pid().expect("it runs");
    let keeper = keeper_of(&cluster, first.goose);
    let list = std::fs::read_dir(format!("/proc/{keeper}/fd")).expect("its descriptors");
    let mut numbers: Vec<_> = list.flatten().map(|entry| entry.file_name()).collect();
    numbers.sort();
    assert_eq!(numbers, ["0", "1", "2"]);
    let read = |what: &str| std::fs::read(format!("/proc/{keeper}/{what}")).expect("readable");
    assert_eq!(read("environ"), b"");
    assert_eq!(read("cmdline"), b"gaggle\0keeper\0");
    // A Ctrl-C reaches the group of the node.
    assert_ne!(stat(keeper, 2), stat(node, 2), "it has a process group of its own");
}

/// A keeper of something else than a node, and what it was given to send.
struct Kept {
    process: Child,
    keeper: Child,
    line: Option<OwnedFd>,
    voter: UdpSocket,
}

impl Kept {
    fn new() -> Self {
        let process = Command::new("sleep").arg("1000").spawn().expect("sleep can be started");
        let pidfd = pidfd_open(Pid::from_child(&process), PidfdFlags::empty()).expect("a pidfd");
        let voter = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        voter.set_nonblocking(true).expect("it can be asked without waiting");
        let kind = SocketType::SEQPACKET;
        let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let (line, theirs) = pair.expect("a line");
        let keeper = Command::new(GAGGLE)
            .arg("keeper")
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(pidfd))
            .spawn()
            .expect("the binary can be started");
        let kept = Self { process, keeper, line: Some(line), voter };
        kept.feed(b"an older last will");
        kept.feed(b"last will");
        poll_until(PATIENCE, || is_keeping(kept.keeper.id()).then_some(())).expect("it keeps");
        kept.wait_until_idle();
        kept
    }

    /// Its one datagram goes to the voter.
    fn feed(&self, datagram: &[u8]) {
        let address = self.voter.local_addr().expect("an address").to_string();
        let mut message = vec![b'L', u8::try_from(address.len()).expect("short")];
        message.extend_from_slice(address.as_bytes());
        message.extend_from_slice(&u16::try_from(datagram.len()).expect("short").to_be_bytes());
        message.extend_from_slice(datagram);
        let line = self.line.as_ref().expect("open");
        send_to(line, &message, SendFlags::empty()).expect("it is read");
    }

    /// The keeper has seen everything that happened so far, and sleeps again.
    fn wait_until_idle(&self) {
        let switches = || {
            let path = format!("/proc/{}/status", self.keeper.id());
            let text = std::fs::read_to_string(path).expect("it lives");
            let line = text.lines().find(|line| line.starts_with("voluntary")).expect("counted");
            line.to_owned()
        };
        let mut before = (switches(), 0);
        // The same number of switches at several looks, each of which finds it asleep.
        let idle = poll_until(PATIENCE, || {
            let asleep = stat(self.keeper.id(), 0).as_deref() == Some("S");
            let now = switches();
            before = if asleep && now == before.0 { (now, before.1 + 1) } else { (now, 0) };
            (before.1 >= 10).then_some(())
        });
        idle.expect("the keeper comes to rest");
    }

    fn received(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 64];
        match self.voter.recv(&mut buffer) {
            Ok(length) => Some(buffer[..length].to_vec()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                None
            }
        }
    }

    /// The process dies, and the keeper does its work.
    fn die(mut self) {
        assert_eq!(self.received(), None, "nothing is sent while the process lives");
        self.process.kill().expect("it can be killed");
        self.end();
    }

    /// The keeper of a dead process does its work.
    fn end(mut self) {
        // Not waited for: a dead process is dead before its parent takes note.
        let ended = poll_until(PATIENCE, || self.keeper.try_wait().expect("a child"));
        assert!(ended.expect("the keeper ends").success());
        assert_eq!(self.received().as_deref(), Some(&b"last will"[..]));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for child in [&mut self.process, &mut self.keeper] {
            // Ended already, mostly.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn the_end_of_the_line_is_no_death() {
    let mut kept = Kept::new();
    drop(kept.line.take());
    kept.wait_until_idle();
    kept.die();
}

#[test]
fn what_a_node_said_last_counts_though_it_died_with_reports_unread() {
    let mut kept = Kept::new();
    kept.feed(b"an older last will");
    send(kept.keeper.id(), Signal::STOP);
    kept.feed(b"last will");
    // The first report was never read, and now never will be.
    drop(kept.line.take());
    assert_eq!(kept.received(), None, "nothing is sent while the process lives");
    kept.process.kill().expect("it can be killed");
    send(kept.keeper.id(), Signal::CONT);
    kept.end();
}

#[test]
fn a_line_that_somebody_else_holds_open_delays_nothing() {
    let kept = Kept::new();
    let leaked = kept.line.as_ref().expect("open");
    let mut command = Command::new("sleep");
    let leaked = rustix::io::dup(leaked).expect("a second one");
    let mut holder = command.arg("1000").stdout(Stdio::from(leaked)).spawn().expect("sleep");
    kept.die();
    let _ = holder.kill();
    let _ = holder.wait();
}

#[test]
fn signals_to_the_whole_group_are_none_of_its_business() {
    let kept = Kept::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        send(kept.keeper.id(), signal);
    }
    kept.wait_until_idle();
    kept.die();
}

#[test]
fn a_process_that_is_merely_frozen_is_not_dead() {
    let kept = Kept::new();
    send(kept.process.id(), Signal::STOP);
    kept.wait_until_idle();
    kept.die();
}

#[test]
fn a_keeper_by_hand_is_refused() {
    let mut keeper = Command::new(GAGGLE)
        .arg("keeper")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let status = poll_until(PATIENCE, || keeper.try_wait().expect("a child"));
    if status.is_none() {
        keeper.kill().expect("it can be killed");
    }
    assert_eq!(status.and_then(|status| status.code()), Some(2));
    let output = keeper.wait_with_output().expect("what it wrote can be read");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not by hand"));
}

#[test]
fn a_keeper_that_speaks_late_ends_nothing_of_a_later_process() {
    adopt_orphans();
    let (mut cluster, first) = running_cluster(&["--lease", "1s"]);
    let goose = first.goose;
    let keeper = keeper_of(&cluster, goose);
    send(keeper, Signal::STOP);
    cluster.kill(goose);
    let others = cluster.others(&[goose]);
    let second = cluster.wait_for_agreement(&others, first.term);
    cluster.start(goose);
    cluster.wait_for_agreement(&cluster.ids(), 0);
    let third = lead(&cluster, second, goose);

    send(keeper, Signal::CONT);
    assert_eq!(end_of_orphan(keeper), Some(0));
    wait_for_renewals(&cluster, goose);
    let last = cluster.wait_for_agreement(&cluster.ids(), 0);
    assert_eq!(last, third, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_release_that_arrives_late_ends_nothing_of_a_later_tenure() {
    let ids = [1, 2, 3];
    let cluster = Cluster::relayed(&ids, &ids, Watch::new(SAMPLE_INTERVAL, true));
    let (cluster, first) = running(cluster, &["--lease", "1s"]);
    let goose = first.goose;
    // The releases of the first tenure are held back; its successor has a certificate.
    cluster.relay().hold(move |from, _, datagram| {
        let release = |message| matches!(message, Message::Release { .. });
        from == goose && datagram::decode(datagram).is_ok_and(|(_, message)| release(message))
    });
    let second = step_down(&cluster, first, None);
    cluster.wait_until("both voters' releases are held back", |cluster| {
        (cluster.relay().held() >= 2).then_some(())
    });
    let third = lead(&cluster, second, goose);

    cluster.relay().let_go();
    wait_for_renewals(&cluster, goose);
    let last = cluster.wait_for_agreement(&cluster.ids(), 0);
    assert_eq!(last, third, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

/// The Goose steps down, in favour of `to` if that is given: who leads then.
fn step_down(cluster: &Cluster, now: Leadership, to: Option<u64>) -> Leadership {
    let body = match to {
        Some(to) => format!("{{\"to\":{to},\"hold_ms\":100}}"),
        None => "{\"hold_ms\":100}".to_owned(),
    };
    // It is refused until somebody has shown that it could take over.
    cluster.wait_until("the Goose steps down", |cluster| {
        let done = cluster.order_with(now.goose, "/v1/step-down", &body)?;
        (done.code == 200).then_some(())
    });
    cluster.wait_for_agreement(&cluster.ids(), now.term)
}

/// Hands over until `node` leads: an order may come before it can.
fn lead(cluster: &Cluster, now: Leadership, node: u64) -> Leadership {
    let mut leadership = now;
    cluster.wait_until(&format!("node {node} leads"), |cluster| {
        if leadership.goose != node {
            leadership = step_down(cluster, leadership, Some(node));
        }
        (leadership.goose == node).then_some(leadership)
    })
}
