//! A node as process 1, as in a container: it ends on SIGTERM, leaves no zombies, and keeps its
//! hands off the work of another container whose processes have the same numbers.

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::network::Network;
use super::node::{Cluster, PATIENCE, find, without, worker};
use super::sandbox;
use crate::harness::poll_until;

/// What makes the node the first process of a container.
const CONTAINER: [&str; 5] = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

fn contained(cluster: &mut Cluster, host: u8) {
    cluster.node(host).wrapper = CONTAINER.map(str::to_owned).to_vec();
}

/// SIGTERM to the node itself, not to what started it.
fn terminate(cluster: &mut Cluster, host: u8) -> Option<i32> {
    cluster.remember(host);
    let process = find(host).expect("the node runs");
    kill_process(process, Signal::TERM).unwrap();
    let ended = cluster.node(host).wait(PATIENCE);
    ended.unwrap_or_else(|| panic!("node {host} did not end\n{}", cluster.logs())).code()
}

/// SIGTERM to a node whose work has to be killed, which it says by its exit code.
fn killed(cluster: &mut Cluster, host: u8) {
    let code = terminate(cluster, host);
    assert!(code.is_some_and(|code| code != 0), "{code:?}\n{}", cluster.logs());
}

/// Processes that have ended and that nobody has reaped, as their status files say.
fn zombies() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|it| std::fs::read_to_string(it.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(") Z ")).collect()
}

#[test]
fn nodes_without_work_are_led_and_end_on_sigterm() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        [1, 2, 3].into_iter().for_each(|host| contained(&mut cluster, host));
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        assert_eq!(terminate(&mut cluster, goose), Some(0));
        let others = without(goose);
        cluster.lead(&others, term);
        for host in others {
            assert_eq!(terminate(&mut cluster, host), Some(0), "{}", cluster.logs());
        }
        cluster.judge();
    });
}

/// The work leaves its parent, its group and its session, and breeds orphans that end at once.
#[test]
fn work_that_daemonises_leaves_no_zombies() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        let line = format!(
            "(setsid {} >/dev/null 2>&1 &); while :; do (sleep 0.02 &); sleep 0.02; done",
            worker().join(" ")
        );
        for host in [1, 2, 3] {
            contained(&mut cluster, host);
            cluster.node(host).command = ["sh", "-c", &line].map(str::to_owned).to_vec();
        }
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        cluster.wait_until("it works", |cluster| cluster.works(goose));
        std::thread::sleep(Duration::from_secs(1));
        // One may have ended this very moment.
        let reaped = poll_until(Duration::from_secs(5), || zombies().is_empty().then_some(()));
        assert!(reaped.is_some(), "{:#?}", zombies());
        assert_eq!(terminate(&mut cluster, goose), Some(0), "{}", cluster.logs());
        let others = without(goose);
        let (next, _) = cluster.lead(&others, term);
        cluster.wait_until("the next works", |cluster| cluster.works(next));
        for host in others {
            assert_eq!(terminate(&mut cluster, host), Some(0), "{}", cluster.logs());
        }
        println!("{}", cluster.judge().summary());
    });
}

/// Two containers see one tree of cgroups, and their processes have the same numbers. Both are
/// there before either works, for a restarted voter waits: so neither is in its group yet. The
/// work ignores SIGTERM, so that it is killed.
#[test]
fn two_containers_keep_their_hands_off_each_others_work() {
    sandbox::run(|| {
        let mut cluster = Cluster::empty(Network::new(2));
        let line = format!("trap '' TERM; exec {}", worker().join(" "));
        for host in [1, 2] {
            let node = cluster.add(
                host,
                &["--alone", "--cluster", &format!("of-{host}"), "--drain-timeout", "200ms"],
            );
            node.command = ["sh", "-c", &line].map(str::to_owned).to_vec();
            contained(&mut cluster, host);
            cluster.start(host);
            cluster.wait_until("it works", |cluster| cluster.works(host));
            killed(&mut cluster, host);
        }
        for host in [1, 2] {
            cluster.start(host);
            cluster.wait_until("it answers", |cluster| cluster.status(host));
        }
        for host in [1, 2] {
            cluster.wait_until("it works", |cluster| cluster.works(host));
        }
        let before = cluster.status(2).unwrap().term;
        killed(&mut cluster, 1);
        cluster.wait_until("the other works on", |cluster| cluster.works(2));
        let status = cluster.status(2).unwrap();
        assert!(status.is_goose() && status.term == before, "{}", cluster.logs());
        assert!(!cluster.node(2).log().contains("by itself"), "{}", cluster.logs());
    });
}
