//! Two versions of the protocol in one cluster, as in the midst of an upgrade that raises it. A relay
//! makes the newer ones: to everybody else they say the next version, and hear the one before.

use std::net::UdpSocket;
use std::time::Duration;

use gaggle::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::timing::{Profile, Timing};
use gaggle::wire::datagram::{self, Addressee, Header, renew_checksum};
use gaggle::wire::message::Message;

use crate::harness::Cluster;
use crate::harness::flood::Victim;
use crate::harness::watch::{Leadership, Watch};

const VOTERS: [u64; 3] = [1, 2, 3];

fn watch() -> Watch {
    Watch::new(Duration::from_millis(4), true)
}

/// What a node of the older version says of a newer one at `address`.
fn of_newer(address: impl std::fmt::Display) -> String {
    format!(
        "refused what came from {address}: it speaks a later version of the protocol than this node. \
         Update this node"
    )
}

/// What a node of the newer version says of an older one at `address`.
fn of_older(address: impl std::fmt::Display) -> String {
    format!(
        "refused what came from {address}: it speaks an earlier version of the protocol than this node. \
         Update that one"
    )
}

/// Waits until `id` says one of these lines; fails if it says more of that kind than that one.
fn says_once(cluster: &Cluster, id: u64, lines: &[String]) {
    let line = cluster.wait_until(&format!("node {id} says one of {lines:?}"), |cluster| {
        let log = cluster.node(id).log();
        lines
            .iter()
            .find(|line| log.lines().any(|it| it.ends_with(&format!(" WARN {line}"))))
            .cloned()
    });
    println!("node {id}: {line}");
    let of_versions = cluster.node(id).log().matches(" version of the protocol").count();
    assert_eq!(of_versions, 1, "{}", cluster.logs());
}

/// The upgrade of day two, for a version of the protocol that says nothing to the one before: Ducks
/// first, one at a time. Whichever version has a majority leads, and never both.
#[test]
fn a_rolling_upgrade_has_one_goose_at_a_time_and_each_side_says_whom_it_refuses() {
    let mut cluster = Cluster::relayed(&VOTERS, &VOTERS, watch());
    cluster.start_highest_first();
    let first = cluster.wait_for_agreement(&VOTERS, 0);
    let [one, two] = ducks(first);
    let at = |cluster: &Cluster, id: u64| cluster.relay().address(id);

    upgrade(&mut cluster, one, &[one]);
    let old = [at(&cluster, two), at(&cluster, first.goose)];
    for older in [two, first.goose] {
        says_once(&cluster, older, &[of_newer(at(&cluster, one))]);
    }
    says_once(&cluster, one, &old.map(of_older));
    assert_eq!(cluster.wait_for_agreement(&[two, first.goose], 0), first, "the older two go on");
    let lonely = cluster.status(one).unwrap();
    assert!(lonely.goose.is_none(), "{lonely:?}");

    upgrade(&mut cluster, two, &[one, two]);
    let second = cluster.wait_for_agreement(&[one, two], first.term);
    cluster.wait_until("the older one gives up", |cluster| {
        cluster.status(first.goose).filter(|status| !status.is_goose())
    });

    upgrade(&mut cluster, first.goose, &VOTERS);
    assert_eq!(cluster.wait_for_agreement(&VOTERS, first.term), second, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

/// Those of three that do not lead.
fn ducks(led: Leadership) -> [u64; 2] {
    let ducks: Vec<u64> = VOTERS.into_iter().filter(|id| *id != led.goose).collect();
    [ducks[0], ducks[1]]
}

/// Starts a node anew; from then on `later` speak the next version.
fn upgrade(cluster: &mut Cluster, id: u64, later: &[u64]) {
    assert!(cluster.terminate(id).success(), "{}", cluster.logs());
    cluster.relay().set_later(later);
    cluster.start(id);
    cluster.wait_until(&format!("node {id} answers"), |cluster| cluster.status(id));
}

/// A node without a vote is updated first. Nobody answers what it asks, so it must say by itself what
/// the reason may be; and the doctor calls neither side healthy.
#[test]
fn a_newcomer_of_a_later_version_is_told_what_it_may_be_and_costs_nobody_anything() {
    let all = [1, 2, 3, 4];
    let mut cluster = Cluster::relayed(&all, &VOTERS, watch());
    for id in [3, 2, 1] {
        cluster.start(id);
    }
    let first = cluster.wait_for_agreement(&VOTERS, 0);
    cluster.relay().set_later(&[4]);
    cluster.start(4);
    let address = cluster.relay().address(4);
    for older in VOTERS {
        says_once(&cluster, older, &[of_newer(address)]);
    }
    let words = "check that a node of the same version of the protocol runs there";
    cluster.wait_until("the newcomer names the version, too", |cluster| {
        let log = cluster.node(4).log();
        log.lines().find(|line| line.contains(words)).map(|line| println!("{line}"))
    });
    let said = crate::operators::terminal::diagnosis(
        &cluster,
        first.goose,
        &[],
        0,
        &["refused since the node started: of a later version of the protocol: update this node"],
    );
    assert!(said.contains("\nhealthy, with oddities"), "{said}");
    crate::operators::terminal::diagnosis(&cluster, 4, &[], 3, &["\nsomething is wrong"]);
    assert_eq!(cluster.wait_for_agreement(&VOTERS, 0), first, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

/// A message of a kind that this version does not know.
fn unknown_message(victim: &Victim) -> Vec<u8> {
    let id = |number| NodeId::new(number).unwrap();
    let voters = VoterSet::new(VOTERS.map(id).to_vec()).unwrap();
    let genesis = Genesis::new(voters, false, &Timing::of(Profile::Lan), false);
    let header = Header {
        cluster: ClusterName::new("gaggle").unwrap().digest(),
        genesis: genesis.digest(),
        lineage: None,
        sender: Process { id: id(77), boot: Boot { start: 5, nonce: 5 } },
        addressee: Addressee::process(victim.process),
        configuration: Configuration::genesis(genesis).stamp(),
        token: 7,
        echo: 0,
        leader_freshness: None,
    };
    let mut datagram = datagram::encode(&header, &Message::Probe { sequence: 1 }).unwrap();
    // The kind, and then the sequence.
    let kind = datagram.len() - 2;
    assert!(datagram::decode(&datagram).is_ok());
    datagram[kind] = 200;
    renew_checksum(&mut datagram);
    datagram
}

/// By the policy a new message raises the version, so this is nobody's word: it is counted, and nothing
/// else comes of it.
#[test]
fn a_message_of_an_unknown_kind_is_counted_and_nothing_comes_of_it() {
    let mut cluster = Cluster::new(&VOTERS, &VOTERS, watch());
    cluster.start_highest_first();
    let first = cluster.wait_for_agreement(&VOTERS, 0);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for id in VOTERS {
        let victim = Victim::of(&cluster, id);
        for _ in 0..100 {
            socket.send_to(&unknown_message(&victim), victim.address).unwrap();
        }
        cluster.wait_until("all are counted", |cluster| {
            let page = String::from_utf8(cluster.get(id, "/metrics")?.body).ok()?;
            let line = "gaggle_datagrams_dropped_total{reason=\"malformed\"} 100\n";
            page.contains(line).then_some(())
        });
    }
    assert_eq!(cluster.wait_for_agreement(&VOTERS, 0), first, "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}
