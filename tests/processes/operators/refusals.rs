//! Every datagram that a node refuses is counted on `/metrics` under the reason for it.

use std::net::UdpSocket;
use std::time::Duration;

use gaggle::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::reject::Reject;
use gaggle::vocabulary::timing::{Profile, Timing};
use gaggle::wire::datagram::{self, Addressee, DATAGRAM_SIZE_MAX, Header, renew_checksum};
use gaggle::wire::message::{Message, Poll};
use gaggle::wire::seal::{KeyRing, NONCE_SIZE};

use crate::harness::Cluster;
use crate::harness::flood::Victim;
use crate::harness::watch::Watch;

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn stranger() -> Process {
    Process { id: id(77), boot: Boot { start: 5, nonce: 5 } }
}

/// A good question to `victim`, but for what `spoil` makes of its envelope.
fn letter(victim: &Victim, spoil: impl FnOnce(&mut Header)) -> Vec<u8> {
    let genesis = {
        let voters = VoterSet::new(vec![id(1)]).unwrap();
        Genesis::new(voters, false, &Timing::of(Profile::Lan), false)
    };
    let mut header = Header {
        cluster: ClusterName::new("gaggle").unwrap().digest(),
        genesis: genesis.digest(),
        lineage: None,
        sender: stranger(),
        addressee: Addressee::process(victim.process),
        configuration: Configuration::genesis(genesis).stamp(),
        token: 7,
        echo: 0,
        leader_freshness: None,
    };
    spoil(&mut header);
    let poll = Poll { sequence: 1, quorum_connected: true, eligible: true, founding: false };
    datagram::encode(&header, &Message::Poll(poll)).unwrap()
}

/// One node that is a whole cluster, with a key or without.
fn alone(key: bool) -> (Cluster, Victim) {
    let mut cluster = Cluster::new(&[1], &[1], Watch::new(Duration::from_millis(20), false));
    if key {
        cluster.give_key();
    }
    cluster.start(1);
    cluster.wait_for_agreement(&[1], 0);
    let victim = Victim::of(&cluster, 1);
    (cluster, victim)
}

fn page(cluster: &Cluster) -> Option<String> {
    String::from_utf8(cluster.get(1, "/metrics")?.body).ok()
}

fn count(page: &str, reason: Reject) -> Option<u64> {
    let start = format!("gaggle_datagrams_dropped_total{{reason=\"{}\"}} ", reason.name());
    page.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

/// Sends each of these once; each must be counted once, under its own reason and no other.
fn each_is_counted(cluster: &Cluster, victim: &Victim, letters: &[(Reject, Vec<u8>)]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let of = |page: &str| Reject::ALL.map(|reason| count(page, reason).unwrap());
    let mut before = of(&cluster.wait_until("the metrics", page));
    for (reason, letter) in letters {
        socket.send_to(letter, victim.address).unwrap();
        let position = Reject::ALL.iter().position(|other| other == reason).unwrap();
        let mut expected = before;
        expected[position] += 1;
        let what = format!("{} is counted", reason.name());
        let after = cluster.wait_until(&what, |cluster| {
            let counts = of(&page(cluster)?);
            (counts != before).then_some(counts)
        });
        assert_eq!(after, expected, "{}", reason.name());
        before = after;
    }
}

#[test]
fn without_a_key_every_refusal_is_counted_by_its_reason() {
    let (cluster, victim) = alone(false);
    let mut later = letter(&victim, |_| ());
    later[2] = 9;
    let mut torn = letter(&victim, |_| ());
    torn.truncate(12);
    let damaged = torn.clone();
    renew_checksum(&mut torn);
    let mut older = letter(&victim, |_| ());
    older[2] = 1;
    let earlier = Process { boot: Boot { start: 1, nonce: 1 }, ..victim.process };
    let letters = [
        (Reject::Oversized, vec![0; DATAGRAM_SIZE_MAX + 1]),
        (Reject::NotGaggle, b"hello".to_vec()),
        (Reject::TooNew, later),
        (Reject::TooOld, older),
        (Reject::Damaged, damaged),
        (Reject::Malformed, torn),
        (
            Reject::ForeignCluster,
            letter(&victim, |it| it.cluster = ClusterName::new("other").unwrap().digest()),
        ),
        (Reject::ForeignVoters, letter(&victim, |it| it.genesis += 1)),
        (Reject::WrongNode, letter(&victim, |it| it.addressee.id = Some(id(2)))),
        (Reject::WrongBoot, letter(&victim, |it| it.addressee = Addressee::process(earlier))),
        (Reject::Echo, letter(&victim, |it| it.sender = victim.process)),
    ];
    each_is_counted(&cluster, &victim, &letters);
    let mismatches = page(&cluster).unwrap();
    assert!(mismatches.contains("\ngaggle_voter_configuration_mismatches_total 1\n"));
}

#[test]
fn with_a_key_what_is_not_sealed_with_it_is_counted_by_its_reason() {
    let (cluster, victim) = alone(true);
    let ring = |key: u8| KeyRing::new(vec![[key; 32]]).unwrap();
    let plain = || letter(&victim, |_| ());
    let sealed = |key: u8| ring(key).seal([key; NONCE_SIZE], 1, &plain()).unwrap();
    let mut forged = sealed(1);
    *forged.last_mut().unwrap() ^= 1;
    // The first copy is taken in.
    let first = UdpSocket::bind("127.0.0.1:0").unwrap();
    first.send_to(&sealed(1), victim.address).unwrap();
    let letters = [
        (Reject::Replayed, sealed(1)),
        (Reject::Unsealed, plain()),
        (Reject::UnknownKey, sealed(2)),
        (Reject::Forged, forged),
        (Reject::Oversized, vec![0; DATAGRAM_SIZE_MAX + 200]),
    ];
    each_is_counted(&cluster, &victim, &letters);
}
