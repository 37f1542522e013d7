//! Voters that change, in real processes: by order of a person, and by themselves.

use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::process::GAGGLE;
use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE, poll_until};

fn watch() -> Watch {
    Watch::new(Duration::from_millis(4), true)
}

/// `gaggle voters` with these words, asked of a node by its socket.
fn voters(cluster: &Cluster, node: u64, words: &[&str]) -> Output {
    let mut command = Command::new(GAGGLE);
    command.arg("voters").args(words).arg("--node").arg(cluster.node(node).socket());
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{} {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What another command says of a node, asked by its socket.
fn asked(cluster: &Cluster, node: u64, command: &str) -> String {
    let mut asks = Command::new(GAGGLE);
    asks.arg(command).arg("--node").arg(cluster.node(node).socket());
    String::from_utf8_lossy(&asks.output().unwrap().stdout).into_owned()
}

/// All of these nodes say that these vote.
fn all_say(cluster: &Cluster, nodes: &[u64], expected: &[u64]) {
    cluster.wait_until("every node knows who votes", |cluster| {
        let says = |node: &u64| {
            cluster
                .status(*node)
                .and_then(|status| status.voters)
                .is_some_and(|it| it.ids == expected)
        };
        nodes.iter().all(says).then_some(())
    });
}

#[test]
fn a_lost_voter_is_replaced_by_order_and_the_term_stays() {
    let ids = [1, 2, 3, 4];
    let mut cluster = Cluster::new(&ids, &[1, 2, 3], watch());
    cluster.start_highest_first();
    let led = cluster.wait_for_agreement(&ids, 0);
    let goose = led.goose;
    let lost = [1, 2].into_iter().find(|id| *id != goose).unwrap();
    let duck = [1, 2, 3].into_iter().find(|id| ![goose, lost].contains(id)).unwrap();

    let refused = voters(&cluster, duck, &["add", "4"]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    assert!(text(&refused).contains(&format!("ask node {goose}")), "{}", text(&refused));
    let unknown = voters(&cluster, goose, &["add", "77"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown));
    assert!(text(&unknown).contains("node 77 is not known here"), "{}", text(&unknown));

    cluster.kill(lost);
    let (old, new) = (lost.to_string(), 4.to_string());
    for _ in 0..2 {
        let replaced = voters(&cluster, goose, &["replace", &old, &new]);
        assert_eq!(replaced.status.code(), Some(0), "{}\n{}", text(&replaced), cluster.logs());
        assert!(
            text(&replaced).contains("in force: 1 of 3 voters may be lost: "),
            "{}",
            text(&replaced)
        );
    }
    let now: Vec<u64> = ids.into_iter().filter(|id| *id != lost).collect();
    let running = now.clone();
    all_say(&cluster, &running, &now);
    let list = now.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    for node in &now {
        let past = asked(&cluster, *node, "history");
        let last = past.trim_end().lines().last().unwrap_or_default();
        assert!(last.contains(&list) && last.ends_with("by order"), "{past}");
    }
    assert_eq!(cluster.wait_for_agreement(&running, led.term - 1), led, "{}", cluster.logs());

    // The old one comes back with its record: it is told, and does not vote.
    cluster.start(lost);
    all_say(&cluster, &[lost], &now);
    let is_voter = cluster.status(lost).and_then(|status| status.voters).map(|it| it.is_voter);
    assert_eq!(is_voter, Some(false));
    // Another of the first three may go for good, too.
    cluster.kill(duck);
    let removed = voters(&cluster, goose, &["replace", &duck.to_string(), &old]);
    assert_eq!(removed.status.code(), Some(0), "{}\n{}", text(&removed), cluster.logs());
    let rest: Vec<u64> = ids.into_iter().filter(|id| *id != duck).collect();
    assert_eq!(cluster.wait_for_agreement(&rest, led.term - 1), led);
    cluster.assert_one_goose_at_a_time();

    // What all of them remember can be true.
    cluster.terminate(goose);
    let next = cluster.wait_for_agreement(&cluster.others(&[]), led.term);
    let mut audit = Command::new(GAGGLE);
    let asked = cluster.node(next.goose).socket();
    let audited = audit.arg("audit").arg("--node").arg(asked).output().unwrap();
    assert_eq!(audited.status.code(), Some(0), "{}", text(&audited));
    let ends = format!("terms 1 to {}: each is of one node, and no two", next.term);
    assert!(text(&audited).contains(&ends), "{}", text(&audited));
    let nobody = Command::new(GAGGLE).args(["audit", "--nodes", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody));
}

/// A node is to vote and does not answer: whoever looks at the Goose sees that, and what it is about.
#[test]
fn a_change_that_is_held_up_is_seen_wherever_people_look() {
    let ids = [1, 2, 3, 4];
    let mut cluster = Cluster::new(&ids, &[1, 2, 3], watch());
    cluster.give(4, &["--name", "late", "--never-goose"]);
    cluster.start_highest_first();
    let goose = cluster.wait_for_agreement(&ids, 0).goose;
    cluster.wait_until("the Goose knows the name of node 4", |cluster| {
        asked(cluster, goose, "members").contains("late").then_some(())
    });
    cluster.freeze(4);
    let held = voters(&cluster, goose, &["add", "4", "--wait", "300ms"]);
    assert!(!held.status.success(), "{}", text(&held));
    let words = "to vote are 1, 2, 3, 4: waiting for node 4 (late) to answer and keep a record";
    let listed = text(&voters(&cluster, goose, &[]));
    assert!(listed.contains(words), "{listed}");
    let examined = asked(&cluster, goose, "doctor");
    assert!(examined.contains(words), "{examined}");
    let metrics = |name: &str| {
        let page = cluster.get(goose, "/metrics")?.body;
        let page = String::from_utf8(page).unwrap();
        let line = format!("gaggle_voters_{name} ");
        page.lines().find_map(|it| it.strip_prefix(&line)).map(str::to_owned)
    };
    let shown = ["changing", "learning"].map(metrics);
    assert_eq!(shown, [Some("1".to_owned()), Some("1".to_owned())], "{}", cluster.logs());
    cluster.thaw(4);
    all_say(&cluster, &ids, &ids);
    cluster.wait_until("nothing is under way any more", |_| {
        (metrics("changing")? == "0" && metrics("learning")? == "0").then_some(())
    });
    cluster.assert_one_goose_at_a_time();
}

/// Three terminals, and nobody says a word of voters.
#[test]
fn nobody_names_voters_and_three_nodes_come_to_vote() {
    let mut cluster = Cluster::new(&[1], &[], watch());
    cluster.start(1);
    let led = cluster.wait_for_agreement(&[1], 0);
    assert_eq!((led.goose, led.term), (1, 1), "{}", cluster.logs());
    for id in [2, 3] {
        cluster.add_by_seed(id, 1);
        cluster.start(id);
    }
    let ids = [1, 2, 3];
    let grown = poll_until(3 * PATIENCE, || {
        let all =
            |id: &u64| cluster.status(*id).and_then(|it| it.voters).is_some_and(|it| it.ids == ids);
        ids.iter().all(all).then_some(())
    });
    assert!(grown.is_some(), "{}", cluster.logs());
    assert_eq!(cluster.wait_for_agreement(&ids, 0), led, "the same term\n{}", cluster.logs());
    // Whoever founded it is not needed any more, nor is a second word.
    cluster.kill(1);
    let next = cluster.wait_for_agreement(&[2, 3], led.term);
    assert_eq!((next.goose, next.term), (3, 2), "{}", cluster.logs());
    // Stopped one after another, they leave one that leads.
    cluster.start(1);
    all_say(&cluster, &[1, 2, 3], &[1, 2, 3]);
    cluster.wait_for_agreement(&[1, 2, 3], 0);
    assert!(cluster.terminate(2).success(), "{}", cluster.logs());
    cluster.wait_for_agreement(&[1, 3], 0);
    assert!(cluster.terminate(3).success(), "{}", cluster.logs());
    let last = cluster.wait_for_agreement(&[1], next.term);
    assert_eq!(last.goose, 1, "{}", cluster.logs());
    all_say(&cluster, &[1], &[1]);
    let kept = voters(&cluster, last.goose, &["fixed"]);
    assert_eq!(kept.status.code(), Some(0), "{}", text(&kept));
    cluster.assert_one_goose_at_a_time();
}

/// `gaggle voters recover`, with the settings of a node that does not run.
fn recover(cluster: &Cluster, node: u64, words: &[&str]) -> Output {
    let address = cluster.node(node).settings.address.to_string();
    let mut command = Command::new(GAGGLE);
    command.args(["voters", "recover", &address, "--id", &node.to_string()]).args(words);
    command.arg("--state-dir").arg(cluster.folder().join(node.to_string()).join("state"));
    command.output().unwrap()
}

#[test]
fn two_of_three_voters_are_lost_for_ever_and_a_person_rescues_the_third() {
    let ids = [1, 2, 3, 4];
    let mut cluster = Cluster::new(&ids, &[1, 2, 3], watch());
    cluster.start_highest_first();
    let led = cluster.wait_for_agreement(&ids, 0);
    let running = recover(&cluster, 3, &["--lost", "1,2"]);
    assert_eq!(running.status.code(), Some(1), "{}", text(&running));
    assert!(text(&running).contains("in use by another process"), "{}", text(&running));
    for lost in [1, 2, 3] {
        cluster.kill(lost);
    }
    let needless = recover(&cluster, 3, &["--lost", "1", "--yes"]);
    assert_eq!(needless.status.code(), Some(2), "{}", text(&needless));
    assert!(text(&needless).contains("2 of 3 voters are left"), "{}", text(&needless));
    let shown = recover(&cluster, 3, &["--lost", "1,2"]);
    assert_eq!(shown.status.code(), Some(2), "{}", text(&shown));
    assert!(text(&shown).contains("you swear that 1, 2 will never lead again"), "{}", text(&shown));
    let done = recover(&cluster, 3, &["--lost", "1,2", "--yes", "-o", "json"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    assert!(text(&done).contains("\"written\": true"), "{}", text(&done));
    let state = cluster.folder().join("3").join("state");
    let torn = std::fs::read(state.join("record")).unwrap();
    // It was cut short in the midst of a write, and is begun again.
    std::fs::write(state.join("record"), [&torn[..60], &[0xff; 40], &torn[100..]].concat())
        .unwrap();
    let damaged = recover(&cluster, 3, &["--lost", "1,2", "--yes"]);
    assert_eq!(damaged.status.code(), Some(1), "{}", text(&damaged));
    assert!(text(&damaged).contains("put "), "{}", text(&damaged));
    std::fs::copy(state.join("record.before-rescue"), state.join("record")).unwrap();
    let again = recover(&cluster, 3, &["--lost", "1,2", "--yes"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));

    cluster.start(3);
    // The node without a vote looks for the voters, and goes over.
    let rescued = poll_until(3 * PATIENCE, || {
        let known = |id: &u64| cluster.status(*id).and_then(|it| it.goose).map(|it| it.term);
        known(&3).filter(|term| *term > 1_000_000 && known(&4) == Some(*term))
    });
    let Some(term) = rescued else { panic!("{}", cluster.logs()) };
    assert!(term > led.term, "{}", cluster.logs());
    // The lost ones are no majority any more, though they were one of three.
    for lost in [1, 2] {
        cluster.start(lost);
        let ended = cluster.wait_for_end(lost);
        assert_eq!(ended.code(), Some(2), "{}", cluster.logs());
        let log = cluster.node(lost).log();
        assert!(log.contains("this cluster was rescued without this node's vote"), "{log}");
    }
    cluster.assert_one_goose_at_a_time();
}
