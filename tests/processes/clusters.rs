//! Real processes, real signals, real sockets: what a user can see from outside, over HTTP and
//! by exit codes. Waits for conditions and never for times.
//!
//! All the while every node is asked whether it is the Goose; see `harness::claims` for what
//! proves two Geese at once.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::process::{GAGGLE, NodeProcess, Settings, free_port};
use crate::harness::watch::{Leadership, Watch};
use crate::harness::{Cluster, PATIENCE, poll_until};

/// The lease of the default profile.
const LEASE: Duration = Duration::from_millis(600);

/// Often enough to see a lease that is claimed twice, seldom enough for a busy machine.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(4);

fn watch() -> Watch {
    Watch::new(SAMPLE_INTERVAL, true)
}

/// Three voters, 1 to 3, with `count` nodes in all; started, agreed and joined.
fn running_cluster(count: u64) -> (Cluster, Leadership) {
    let ids: Vec<u64> = (1..=count).collect();
    let mut cluster = Cluster::new(&ids, &ids[..3], watch());
    for id in ids.iter().rev() {
        cluster.start(*id);
    }
    let leadership = cluster.wait_for_agreement(&ids, 0);
    (cluster, leadership)
}

#[test]
fn the_highest_that_is_there_leads_and_a_killed_goose_returns_as_a_duck() {
    let ids = [1, 2, 3, 4, 5];
    let mut cluster = Cluster::new(&ids, &[3, 4, 5], watch());
    cluster.start_highest_first();
    let first = cluster.wait_for_agreement(&ids, 0);
    assert_eq!(first.goose, 5, "{}", cluster.logs());

    cluster.kill(5);
    let second = cluster.wait_for_agreement(&[1, 2, 3, 4], first.term);
    assert_ne!(second.goose, 5);

    cluster.start(5);
    let third = cluster.wait_for_agreement(&ids, first.term);
    assert_eq!(third, second, "a node that returns disturbs nobody\n{}", cluster.logs());
    assert_eq!(cluster.get(5, "/goose").map(|answer| answer.code), Some(503));
    assert_eq!(cluster.get(5, "/duck").map(|answer| answer.code), Some(200));
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_terminated_goose_hands_over_and_exits_with_zero() {
    let (mut cluster, first) = running_cluster(5);
    let status = cluster.terminate(first.goose);
    assert_eq!(status.code(), Some(0), "{}", cluster.logs());
    let second = cluster.wait_for_agreement(&cluster.running(), first.term);
    assert_ne!(second.goose, first.goose);
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_frozen_goose_wakes_as_a_duck() {
    let (cluster, first) = running_cluster(5);
    let others = cluster.others(&[first.goose]);
    let frozen = Instant::now();
    cluster.freeze(first.goose);
    let second = cluster.wait_for_agreement(&others, first.term);
    cluster
        .wait_until("three leases have passed", |_| (frozen.elapsed() > 3 * LEASE).then_some(()));

    // The watching thread's last request waits in the frozen node: it is answered first.
    cluster.thaw(first.goose);
    let answer =
        cluster.wait_until("the thawed node answers", |cluster| cluster.get(first.goose, "/goose"));
    assert_eq!(answer.code, 503, "its first answer is no\n{}", cluster.logs());

    let third = cluster.wait_for_agreement(&cluster.ids(), first.term);
    assert_eq!(third, second, "a node that wakes disturbs nobody\n{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_node_with_one_seed_becomes_a_duck_that_knows_the_goose() {
    let (mut cluster, first) = running_cluster(5);
    let seed = cluster.others(&[first.goose])[0];
    cluster.add_by_seed(6, seed);
    cluster.start(6);
    let second = cluster.wait_for_agreement(&cluster.ids(), 0);
    assert_eq!(second, first, "a node that joins disturbs nobody\n{}", cluster.logs());
    let joined = cluster.wait_until("six members are alive in its view", |cluster| {
        cluster.status(6).filter(|status| status.members.alive == 6)
    });
    assert!(!joined.is_goose());
    let voters = joined.voters.expect("a joined node knows the voters");
    assert_eq!((voters.ids, voters.is_voter), (vec![1, 2, 3], false));
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn without_a_majority_of_voters_nobody_leads() {
    let (cluster, first) = running_cluster(5);
    // The Goose keeps running: it must give up by itself.
    let frozen: Vec<u64> =
        cluster.voters().iter().copied().filter(|id| *id != first.goose).take(2).collect();
    let others = cluster.others(&frozen);
    for id in &frozen {
        cluster.freeze(*id);
    }
    cluster.wait_until("no running node leads or knows a Goose", |cluster| {
        let ducks = others.iter().all(|id| {
            cluster.status(*id).is_some_and(|status| !status.is_goose() && status.goose.is_none())
        });
        ducks.then_some(())
    });
    for id in &frozen {
        cluster.thaw(*id);
    }
    let second = cluster.wait_for_agreement(&cluster.ids(), first.term);
    assert!(second.term > first.term);
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn after_a_restart_of_all_the_term_is_higher() {
    let (mut cluster, first) = running_cluster(5);
    let ids = cluster.ids();
    for id in &ids {
        cluster.kill(*id);
    }
    for id in ids.iter().rev() {
        cluster.start(*id);
    }
    let second = cluster.wait_for_agreement(&ids, first.term);
    assert!(second.term > first.term);
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_voter_that_restarts_does_not_change_the_term() {
    let (mut cluster, first) = running_cluster(5);
    for voter in cluster.voters().to_vec() {
        if voter == first.goose {
            continue;
        }
        cluster.kill(voter);
        cluster.start(voter);
        let since = Instant::now();
        cluster.wait_until("the voter is reached again", |cluster| {
            let status = cluster.watch().latest(first.goose, since)?;
            let voters = status.voters?;
            let returned = cluster.watch().latest(voter, since)?.goose.is_some();
            (returned && voters.reachable.contains(&voter)).then_some(())
        });
    }
    let second = cluster.wait_for_agreement(&cluster.ids(), 0);
    assert_eq!(second, first, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn an_ordered_step_down_moves_the_goose() {
    let (mut cluster, first) = running_cluster(3);
    let duck = cluster.others(&[first.goose])[0];
    let refused = cluster.order(duck, "/v1/step-down").expect("an answer");
    assert_eq!(refused.code, 409, "only the Goose can step down");

    // It is refused until somebody has shown that it could take over.
    cluster.wait_until("the Goose steps down", |cluster| {
        let done = cluster.order(first.goose, "/v1/step-down")?;
        (done.code == 200).then_some(())
    });
    let second = cluster.wait_for_agreement(&cluster.ids(), first.term);
    assert_ne!(second.goose, first.goose, "{}", cluster.logs());

    // Nobody takes over who is down.
    let down = cluster.others(&[second.goose])[0];
    cluster.kill(down);
    cluster.wait_until("one is down", |cluster| {
        (cluster.status(second.goose)?.members.down == 1).then_some(())
    });
    let to = format!("{{\"to\":{down}}}");
    let refused = cluster.order_with(second.goose, "/v1/step-down", &to).expect("an answer");
    let words = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(refused.code == 409 && words.contains("no-such-standby"), "{words}");
    let third = cluster.wait_for_agreement(&cluster.running(), 0);
    assert_eq!(third, second, "nothing has changed: {}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_command_waits_for_a_node_that_starts_later_and_for_the_next_goose() {
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, watch());
    let wait = |cluster: &Cluster, until: &str| {
        let node = format!("http://{}", cluster.node(1).settings.http);
        let words = ["wait", until, "--timeout", "2m", "--node", &node];
        let (out, log) = (Stdio::piped(), Stdio::piped());
        Command::new(GAGGLE).args(words).stdout(out).stderr(log).spawn().expect("it starts")
    };
    let known = wait(&cluster, "--goose-known");
    cluster.start_highest_first();
    let first = cluster.wait_for_agreement(&ids, 0);
    let known = known.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&known.stdout);
    assert!(known.status.success() && said.contains(" is the Goose of term "), "{known:?}");

    let mut change = wait(&cluster, "--change");
    // It can only be seen to wait by what it does not do yet; so the change may come before it
    // has asked, and then another one follows.
    let mut term = first.term;
    cluster.wait_until("it has seen a change", |cluster| {
        for node in ids {
            let done = cluster.order_with(node, "/v1/step-down", "{}")?;
            if done.code == 200 {
                term = cluster.wait_for_agreement(&ids, term).term;
            }
        }
        change.try_wait().expect("it can be asked for").map(|status| assert!(status.success()))
    });
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_drained_node_hands_over_and_holds_back_after_a_restart_too() {
    let (mut cluster, first) = running_cluster(3);
    let drain = |cluster: &Cluster, more: &[&str]| {
        let socket = cluster.node(first.goose).socket().display().to_string();
        let output = gaggle(&[&["drain", "--node", &socket], more].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    // It is refused until somebody has shown that it could take over.
    let said = cluster.wait_until("the Goose is drained", |cluster| {
        let (code, said) = drain(cluster, &[]);
        assert!(code == Some(0) || said.contains("nobody could take over"), "{said}");
        (code == Some(0)).then_some(said)
    });
    assert!(said.contains(&format!("term {} has ended", first.term)), "{said}");
    let second = cluster.wait_for_agreement(&cluster.ids(), first.term);
    assert_ne!(second.goose, first.goose, "{}", cluster.logs());
    assert!(drain(&cluster, &[]).1.contains("drained already"));

    cluster.kill(first.goose);
    cluster.start(first.goose);
    cluster.wait_until("it is back, and drained", |cluster| {
        let status = cluster.get(first.goose, "/v1/status")?;
        String::from_utf8_lossy(&status.body).contains("\"drained\":true").then_some(())
    });
    for by in cluster.ids() {
        cluster.wait_until("everybody shows it as one that may not lead", |cluster| {
            let members = cluster.get(by, "/v1/members")?;
            String::from_utf8_lossy(&members.body).contains("\"eligible\":false").then_some(())
        });
    }
    assert!(cluster.node(first.goose).log().contains("is drained"), "{}", cluster.logs());
    assert_eq!(drain(&cluster, &["--off"]).0, Some(0));
    assert!(drain(&cluster, &["--off"]).1.contains("was not drained"));
    let status =
        gaggle(&["status", "--node", &cluster.node(first.goose).socket().display().to_string()]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(!status.to_ascii_lowercase().contains("drained"), "it is no more: {status}");
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_frozen_node_may_still_do_what_it_was_told_and_that_is_said() {
    let (cluster, first) = running_cluster(3);
    let duck = cluster.others(&[first.goose])[0];
    let socket = cluster.node(duck).socket().display().to_string();
    cluster.freeze(duck);
    let output = gaggle(&["drain", "--timeout", "200ms", "--node", &socket]);
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{line}");
    assert!(line.contains("within 200ms, and may still do what it was told: see"), "{line}");
    cluster.thaw(duck);
    cluster.wait_until("it is drained", |cluster| {
        let status = cluster.get(duck, "/v1/status")?;
        String::from_utf8_lossy(&status.body).contains("\"drained\":true").then_some(())
    });
}

#[test]
fn a_hold_is_kept_over_a_restart_and_ended_early() {
    let (mut cluster, first) = running_cluster(3);
    let held = first.goose;
    let order = |cluster: &Cluster, words: &[&str]| {
        let socket = cluster.node(held).socket().display().to_string();
        gaggle(&[words, &["--node", &socket]].concat()).status.code() == Some(0)
    };
    let left = |cluster: &Cluster| {
        let status = cluster.get(held, "/v1/status")?;
        let status: serde_json::Value = serde_json::from_slice(&status.body).ok()?;
        Some(status["node"]["holds_back_ms"].as_u64().unwrap_or(0))
    };
    // It is refused until somebody has shown that it could take over.
    cluster.wait_until("the Goose steps down", |cluster| {
        order(cluster, &["step-down", "--hold", "1h"]).then_some(())
    });
    let second = cluster.wait_for_agreement(&cluster.ids(), first.term);
    cluster.kill(held);
    cluster.start(held);
    let shown = cluster.wait_until("it is back", left);
    assert!((59 * 60_000..=60 * 60_000).contains(&shown), "{shown} ms\n{}", cluster.logs());
    cluster.wait_for_agreement(&cluster.ids(), 0);
    cluster.kill(second.goose);
    let third = cluster.wait_for_agreement(&cluster.others(&[second.goose]), second.term);
    assert_ne!(third.goose, held, "{}", cluster.logs());
    assert!(order(&cluster, &["drain", "--off"]));
    assert_eq!(left(&cluster), Some(0));
    cluster.kill(held);
    cluster.start(held);
    assert_eq!(cluster.wait_until("it is back", left), 0, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

/// Runs the binary to its end.
fn gaggle(arguments: &[&str]) -> Output {
    let mut child = Command::new(GAGGLE)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let ended = poll_until(PATIENCE, || child.try_wait().expect("the process can be asked for"));
    if ended.is_none() {
        let _ = child.kill();
    }
    assert!(ended.is_some(), "{arguments:?} did not end");
    child.wait_with_output().expect("what it wrote can be read")
}

#[test]
fn wrong_usage_is_exit_code_2_and_one_line_that_says_why() {
    let wrong: [&[&str]; 6] = [
        &["run", "--no-such-flag"],
        &["run", "not-an-address"],
        &["run", "--id", "0"],
        &["run", "--lease", "1ms"],
        &["run", "127.0.0.1:12001", "--id", "7", "--voters", "127.0.0.1:12001"],
        &["run", "--ephemeral", "--state-dir", "somewhere"],
    ];
    for arguments in wrong {
        let output = gaggle(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(!message.is_empty(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_address_in_use_is_named_and_is_exit_code_1() {
    let mut cluster = Cluster::new(&[1], &[1], watch());
    cluster.start(1);
    cluster.wait_for_agreement(&[1], 0);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let settings = &cluster.node(1).settings;
    let (taken, taken_http) = (settings.address.to_string(), settings.http.to_string());
    let free = || format!("127.0.0.1:{}", crate::harness::process::free_port());
    for (address, http, named) in
        [(taken.clone(), free(), taken), (free(), taken_http.clone(), taken_http)]
    {
        let output = gaggle(&["run", &address, "--http", &http, "--state-dir", state]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(&named) && message.contains("in use"), "{message}");
    }
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_dead_member_is_forgotten_on_order_and_one_that_lives_is_not() {
    let (mut cluster, _) = running_cluster(4);
    let forget = |cluster: &Cluster, id: &str| {
        let node = format!("http://{}", cluster.node(1).settings.http);
        let output = gaggle(&["forget", id, "--node", &node]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let shown = |cluster: &Cluster, by: u64, what: &str| {
        let answer = cluster.get(by, "/v1/members");
        answer.is_some_and(|answer| String::from_utf8_lossy(&answer.body).contains(what))
    };
    let (code, line) = forget(&cluster, "4");
    assert!(code == Some(1) && line.contains("node 4 is not down"), "{code:?}: {line}");
    cluster.kill(4);
    let is_done = |cluster: &Cluster| (forget(cluster, "4").0 == Some(0)).then_some(());
    cluster.wait_until("member 4 down and forgotten", |cluster| is_done(cluster));
    cluster.wait_until("forgotten by all", |cluster| {
        (1..=3).all(|by| !shown(cluster, by, "\"id\":4,")).then_some(())
    });
    assert!(cluster.node(3).log().contains("is forgotten"), "{}", cluster.logs());
    cluster.start(4);
    cluster.wait_until("return", |cluster| {
        (1..=3).all(|by| shown(cluster, by, "\"id\":4,")).then_some(())
    });
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn all_who_are_gone_are_forgotten_at_once_but_no_voter() {
    let ids = [1, 2, 3, 4, 5, 6];
    let mut cluster = Cluster::new(&ids, &[1, 2, 3], watch());
    cluster.start_highest_first();
    cluster.wait_for_agreement(&ids, 0);
    let forget = |cluster: &Cluster, words: &[&str]| {
        let node = format!("http://{}", cluster.node(1).settings.http);
        let output = gaggle(&[&["forget"], words, &["--node", &node]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let none = "no member is down or has left, voters aside\n";
    assert_eq!(forget(&cluster, &["--down"]), (Some(0), none.to_owned(), String::new()));
    // Of several, one that is refused does not keep the others.
    assert!(cluster.terminate(4).success());
    cluster.wait_until("node 4 left", |cluster| {
        let members = cluster.get(1, "/v1/members")?;
        String::from_utf8_lossy(&members.body).contains("\"left\"").then_some(())
    });
    let (code, done, refusal) = forget(&cluster, &["5", "4"]);
    assert_eq!((code, done.as_str()), (Some(1), "node 4 is forgotten: it is no member any more\n"));
    assert!(refusal.contains("node 5 is not down"), "{refusal}");

    for id in [2, 5, 6] {
        cluster.kill(id);
    }
    cluster.wait_until("three are down", |cluster| {
        (cluster.status(1)?.members.down == 3).then_some(())
    });
    let (code, done, refusal) = forget(&cluster, &["--down"]);
    assert_eq!((code, refusal.as_str()), (Some(0), ""));
    let line = |id: u64| format!("node {id} is forgotten: it is no member any more\n");
    assert_eq!(done, line(5) + &line(6));
    assert_eq!(cluster.status(1).unwrap().members.down, 1, "the voter is seen");
    let (code, _, complaint) = forget(&cluster, &[]);
    assert!(code == Some(2) && complaint.contains("<ID>"), "{complaint}");
}

#[test]
fn everybody_learns_of_tags_and_http_addresses_and_members_are_picked_by_them() {
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, watch());
    cluster.give(2, &["--tag", "zone=eu-1", "--tag", "rack=7"]);
    cluster.start_highest_first();
    let said = format!(
        "\"http\":\"{}\",\"tags\":{{\"rack\":\"7\",\"zone\":\"eu-1\"}}",
        cluster.node(2).settings.http
    );
    for by in ids {
        cluster.wait_until("tags known", |cluster| {
            let answer = cluster.get(by, "/v1/members")?;
            String::from_utf8_lossy(&answer.body).contains(&said).then_some(())
        });
    }
    let members = |tags: &[&str]| {
        let node = format!("http://{}", cluster.node(1).settings.http);
        let output = gaggle(&[&["members", "--node", node.as_str()], tags].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(members(&[]).contains("rack=7 zone=eu-1"), "{}", members(&[]));
    assert_eq!(members(&[]).lines().count(), 4);
    assert_eq!(members(&["--tag", "zone=eu-1", "--tag", "rack=7"]).lines().count(), 2);
    assert_eq!(members(&["--tag", "zone=eu-2"]).lines().count(), 1, "the head alone");
    assert_eq!(members(&["--state", "alive,suspect", "--tag", "rack=7"]).lines().count(), 2);
    assert_eq!(members(&["--state", "down"]).lines().count(), 1, "the head alone");
    let status = cluster.get(2, "/v1/status").map(|answer| answer.body).unwrap_or_default();
    assert!(String::from_utf8_lossy(&status).contains("\"tags\":{\"rack\":\"7\""));
}

#[test]
fn names_stand_beside_ids_wherever_people_read() {
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, watch());
    cluster.give(1, &["--name", "west"]);
    // Two of one name are told apart by their ids.
    cluster.give(2, &["--name", "east"]);
    cluster.give(3, &["--name", "east"]);
    cluster.start_highest_first();
    let first = cluster.wait_for_agreement(&ids, 0);
    let said = |id: u64, words: &[&str]| {
        let node = format!("http://{}", cluster.node(id).settings.http);
        let output = gaggle(&[words, &["--node", node.as_str()]].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for by in ids {
        cluster.wait_until("names known", |cluster| {
            let answer = cluster.get(by, "/v1/members")?;
            let answer = String::from_utf8_lossy(&answer.body).into_owned();
            let all = [
                "\"id\":1,\"name\":\"west\"",
                "\"id\":2,\"name\":\"east\"",
                "\"id\":3,\"name\":\"east\"",
            ];
            all.iter().all(|one| answer.contains(one)).then_some(())
        });
    }
    let name = if first.goose == 1 { "west" } else { "east" };
    let goose = format!("\"id\":{},\"name\":\"{name}\"", first.goose);
    for path in ["/v1/goose", "/v1/status", "/v1/history"] {
        let answer = cluster.get(2, path).map(|answer| answer.body).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains(&goose), "{path}: {answer}");
    }
    let status = said(1, &["status"]);
    assert!(status.contains("\nname       west\n"), "{status}");
    assert!(status.contains(&format!("node {} ({name}) at ", first.goose)), "{status}");
    let doctor = said(1, &["doctor"]);
    assert!(doctor.contains("voter 2 (east) answers this node"), "{doctor}");
    for table in ["members", "voters", "history", "goose"] {
        let table = said(2, &[table]);
        let columns: Vec<&str> =
            table.lines().next().unwrap_or_default().split_whitespace().collect();
        assert!(columns.contains(&"NAME"), "{table}");
        println!("{table}");
    }
    let other = if first.goose == 1 { 2 } else { 1 };
    let term = first.term;
    cluster.kill(first.goose);
    let second = cluster.wait_for_agreement(&cluster.others(&[]), term);
    let name = if second.goose == 1 { "west" } else { "east" };
    let line = format!("the Goose is node {} ({name}) at ", second.goose);
    cluster.wait_until("the log names the Goose", |cluster| {
        cluster.node(other).log().contains(&line).then_some(())
    });
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_witness_votes_and_never_leads() {
    let folder = tempfile::tempdir().unwrap();
    let loopback = || (std::net::Ipv4Addr::LOCALHOST, free_port()).into();
    let node = |id, arguments: &[&str]| {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let settings = Settings { id, address: loopback(), http: loopback(), arguments };
        let mut node = NodeProcess::new(settings, folder.path());
        node.start();
        node
    };
    // The only voter and the highest: whoever leads does so by its vote.
    let witness = node(9, &["--voters", "9", "--never-goose"]);
    let seed = witness.settings.address.to_string();
    let other = node(1, &["--seed", &seed]);
    let led = poll_until(PATIENCE, || other.log().contains("became Goose of term").then_some(()));
    assert!(led.is_some(), "{}{}", witness.log(), other.log());
    let known = || witness.log().contains("the Goose is node 1 at").then_some(());
    assert!(poll_until(PATIENCE, known).is_some(), "{}", witness.log());
    assert!(!witness.log().contains("became Goose"), "{}", witness.log());
}

/// Of sixty-four seeds one lives, and sixty-three addresses come before its own.
#[test]
fn a_node_joins_by_whichever_of_many_seeds_lives() {
    let mut cluster = Cluster::new(&[1], &[1], watch());
    cluster.start(1);
    let first = cluster.wait_for_agreement(&[1], 0);
    cluster.add_by_seed(2, 1);
    let dead: Vec<String> = (1..64).map(|port| format!("127.0.0.1:{port}")).collect();
    cluster.give(2, &["--seed", &dead.join(",")]);
    cluster.start(2);
    assert_eq!(cluster.wait_for_agreement(&[1, 2], 0), first, "{}", cluster.logs());
}
