//! Nodes of users without privileges: each with a folder of its own, work that is ended in time
//! all the same, and orders from its own user alone.

use rustix::process::Signal;

use super::limits::own;
use super::node::{Cluster, without};
use super::sandbox;

/// No user of the machine's.
fn user(host: u8) -> String {
    (3_200_000 + u32::from(host)).to_string()
}

/// What makes a command the user's.
fn become_user(user: &str) -> Vec<String> {
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    ["setpriv", &uid, &gid, "--clear-groups"].map(str::to_owned).to_vec()
}

/// The workers leave their session, ignore SIGTERM, and there is no cgroup to be had.
#[test]
fn work_of_unprivileged_users_moves_and_is_never_alive_twice() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        let worker = super::node::worker().join(" ");
        let line = format!("trap '' TERM; (setsid {worker} >/dev/null 2>&1 &); exec sleep 1000");
        for host in [1, 2, 3] {
            let user = user(host);
            own(&mut cluster, host, &user);
            let node = cluster.node(host);
            node.wrapper = become_user(&user);
            node.command = ["sh", "-c", &line].map(str::to_owned).to_vec();
        }
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let others = without(goose);
        cluster.wait_until("it works", |cluster| cluster.works(goose));
        cluster.node(goose).signal(Signal::STOP);
        let (next, term) = cluster.lead(&others, term);
        cluster.wait_until("the next works", |cluster| cluster.works(next));
        cluster.node(goose).signal(Signal::CONT);
        cluster.agree(&[1, 2, 3], term - 1);
        cluster.kill(next);
        let others = without(next);
        let (last, _) = cluster.lead(&others, term);
        cluster.wait_until("the last works", |cluster| cluster.works(last));
        println!("{}", cluster.judge().summary());
    });
}

/// A folder that is another's is an error at the start, in one line.
#[test]
fn a_folder_of_another_user_is_refused_in_one_line() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(1);
        own(&mut cluster, 1, &user(1));
        sandbox::tool(&["chmod", "0700", cluster.node(1).state.to_str().unwrap()]);
        cluster.node(1).wrapper = become_user(&user(2));
        cluster.start(1);
        let ended = cluster.node(1).wait(super::node::PATIENCE).expect("it ends");
        let log = cluster.node(1).log();
        assert_eq!(ended.code(), Some(1), "{log}");
        assert!(log.contains("Permission denied"), "{log}");
    });
}
