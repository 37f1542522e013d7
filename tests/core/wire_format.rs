//! What nodes of this version say, byte for byte: a change of the format that does not raise the version
//! of the protocol, or that leaves records unread, is found here.
//!
//! `tests/core/corpus/wire/protocol-N` holds a message of every kind, each in a line of its name and its
//! bytes; `record-N` holds records. What a later version may change, and what it must go on reading,
//! says the guide ("Versions", `src/guide/protocol.md`). `GAGGLE_RECORD=1` writes the files of this
//! version anew.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gaggle::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
use gaggle::vocabulary::goose::Goose;
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::lineage::{Certainty, Lineage, LineageClaim, Proposal};
use gaggle::vocabulary::metadata::{Metadata, MetadataQuery, MetadataReply, Tags};
use gaggle::vocabulary::node_name::NodeName;
use gaggle::wire::datagram::{self, Addressee, Header, LeaderFreshness, PROTOCOL_VERSION};
use gaggle::wire::message::{
    Acquire, AcquireKind, Assurance, Founding, Grant, Join, Message, Nak, NakReason, Poll, PollAck,
    RecordReport, Release, Standing, VoterStatus, Welcome,
};
use gaggle::wire::record::{self, Disk, Record, Vote};

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn process(number: u64) -> Process {
    Process { id: id(number), boot: Boot { start: 1_800_000_000_000 + number, nonce: !number } }
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 8000))
}

fn genesis() -> Genesis {
    let voters = VoterSet::new([1, 2, 300].map(id).to_vec()).unwrap();
    let lease_max = Duration::from_secs(3);
    Genesis { voters, preempt: true, lease_max, ephemeral: false }
}

fn configuration() -> Configuration {
    let changed = Configuration::genesis(genesis());
    Configuration { ballot: 70_000, version: 4, automatic: Some(5), ..changed }
}

fn lineage() -> Lineage {
    Lineage::drawn(process(1), 7)
}

fn goose() -> Goose {
    let http = Some(SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, 9], 9000)));
    Goose { term: 71_234, process: process(300), address: address(3), http }
}

fn status(standing: Standing) -> VoterStatus {
    let (top_contender, goose) = (Some(id(300)), Some(goose()));
    VoterStatus { sequence: 9, standing, max_ballot: 71_234, top_contender, goose }
}

fn release() -> Release {
    Release { holder: process(2), ballot: 71_234, all: true, nominee: Some(id(1)) }
}

/// A message of every kind, and of every shape within.
fn messages() -> Vec<(String, Message)> {
    let ms = Duration::from_millis;
    let proposal = Some(Proposal { lineage: lineage(), ballot: 71_000 });
    let mut all = vec![
        ("gossip", Message::Gossip(vec![1, 2, 3, 255])),
        ("join", Message::Join(Join { nonce: 5, padding: vec![0; 4], ancestors: vec![lineage()] })),
        ("poll", {
            let (quorum_connected, eligible, founding) = (true, false, true);
            Message::Poll(Poll { sequence: 6, quorum_connected, eligible, founding })
        }),
        ("grant", {
            let (standby, leaves) = (Some((process(2), ms(450))), true);
            let (sequence, ballot, granted) = (8, 71_234, ms(600));
            Message::Grant(Grant { sequence, ballot, granted, standby, lineage: proposal, leaves })
        }),
        ("probe", Message::Probe { sequence: 10 }),
        ("probe-ack", Message::ProbeAck { sequence: 10 }),
        ("release", Message::Release { sequence: 11, release: release() }),
        ("release-ack", Message::ReleaseAck { sequence: 11 }),
        ("handover", Message::Handover(release())),
        ("vacant", Message::Vacant(status(Standing::Vacant))),
        ("announce", Message::Announce(goose())),
        ("later-start", Message::LaterStart { start: 1_800_000_000_009 }),
        ("metadata-query", {
            Message::MetadataQuery(MetadataQuery { nonce: 12, wanted: vec![id(2)], more: true })
        }),
        ("metadata-reply", {
            let tags = Tags::new([("zone", "a"), ("service", "http://10.0.0.1/")]).unwrap();
            let name = Some(NodeName::new("goose-1").unwrap());
            let metadata = Metadata { http: Some(address(1)), tags, name };
            let entries = vec![(process(1), metadata)];
            Message::MetadataReply(MetadataReply { nonce: 12, entries })
        }),
    ];
    let claims = [("claim", AcquireKind::Claim), ("renew", AcquireKind::Renew)];
    for (name, kind) in claims.into_iter().chain([("learn", AcquireKind::Learn)]) {
        let acquire = Acquire {
            kind,
            ballot: 71_234,
            sequence: 7,
            lease: ms(600),
            certificate: Some(release()).filter(|_| kind == AcquireKind::Claim),
            lineage: Some(lineage()),
            configuration: Some(Box::new(configuration())),
        };
        all.push((name, Message::Acquire(acquire)));
    }
    let mut all: Vec<(String, Message)> =
        all.into_iter().map(|(name, message)| (name.to_owned(), message)).collect();
    all.extend(welcomes());
    all.extend(answers());
    all.extend(refusals());
    all
}

fn welcomes() -> Vec<(String, Message)> {
    let of = |(number, assurance): (usize, Assurance)| {
        let welcome = Welcome {
            nonce: 5,
            member: vec![3, 9],
            genesis: genesis(),
            assurance,
            configuration: configuration(),
            voters: vec![(id(1), address(1))],
            goose: Some(goose()),
            ancestors: vec![lineage()],
        };
        (format!("welcome-{number}"), Message::Welcome(Box::new(welcome)))
    };
    [Assurance::Assumed, Assurance::Told, Assurance::Founded]
        .into_iter()
        .enumerate()
        .map(of)
        .collect()
}

fn foundings() -> [Founding; 5] {
    let founded = Founding::Founded(vec![(id(1), 4), (id(2), 5), (id(300), 6)]);
    [
        Founding::Blank { nonce: 4 },
        founded,
        Founding::Waited,
        Founding::Lost { nonce: 5 },
        Founding::Fleeting { nonce: 6 },
    ]
}

fn answers() -> Vec<(String, Message)> {
    let remaining = Duration::from_millis(300);
    let standings = [
        Standing::Blank,
        Standing::Quarantined { remaining, holder: Some(process(2)) },
        Standing::Held { holder: process(2), ballot: 71_234, remaining },
        Standing::Persisting,
        Standing::Vacant,
    ];
    let of = |(number, (standing, founding)): (usize, (Standing, Founding))| {
        let lineage = Some(Proposal { lineage: lineage(), ballot: 71_000 });
        let record = RecordReport { founding, configuration: configuration().stamp(), lineage };
        let answer = PollAck { sequence: 6, status: status(standing), record: Some(record) };
        (format!("poll-ack-{number}"), Message::PollAck(answer))
    };
    standings.into_iter().zip(foundings()).enumerate().map(of).collect()
}

fn refusals() -> Vec<(String, Message)> {
    let remaining = Duration::from_millis(300);
    let reasons = [
        NakReason::Held { remaining },
        NakReason::Stale { max_ballot: 71_235 },
        NakReason::Defer { to: id(300) },
        NakReason::Quarantine { remaining },
        NakReason::Blank,
        NakReason::Persisting,
        NakReason::StoreFailed,
        NakReason::Configuration,
        NakReason::DuplicateId,
        NakReason::NewBoot { boot: process(1).boot },
        NakReason::Dead,
    ];
    let of = |(number, reason): (usize, NakReason)| {
        (format!("nak-{number}"), Message::Nak(Nak { sequence: 7, ballot: 71_234, reason }))
    };
    reasons.into_iter().enumerate().map(of).collect()
}

fn header(certainty: Certainty) -> Header {
    Header {
        cluster: ClusterName::new("wire").unwrap().digest(),
        genesis: 0x1234_5678_9abc,
        lineage: Some(LineageClaim { lineage: lineage(), certainty }),
        sender: process(1),
        addressee: Addressee::process(process(2)),
        configuration: configuration().stamp(),
        token: 77,
        echo: 78,
        leader_freshness: Some(LeaderFreshness { term: 71_234, age: 40 }),
    }
}

fn datagrams() -> Vec<(String, Vec<u8>)> {
    let certainties = [Certainty::Proposed, Certainty::Founded, Certainty::Settled];
    let of = |((name, message), certainty): ((String, Message), &Certainty)| {
        (name, datagram::encode(&header(*certainty), &message).unwrap())
    };
    messages().into_iter().zip(certainties.iter().cycle()).map(of).collect()
}

fn records() -> Vec<(String, Vec<u8>)> {
    let of = |(number, founding): (usize, Founding)| {
        let vote = Vote {
            max_ballot: 71_234,
            max_holder: Some(process(2)),
            max_lease_in_force: Duration::from_millis(600),
            founding,
            lineage: Some(Proposal { lineage: lineage(), ballot: 71_000 }),
        };
        let record = Record {
            cluster: ClusterName::new("wire").unwrap(),
            id: id(2),
            last_start: 1_800_000_000_002,
            genesis: Some(genesis()),
            configuration: Some(configuration()),
            lineage: Some(lineage()),
            ancestors: vec![Lineage::drawn(process(1), 3)],
            is_drained: true,
            held_until: Some(1_800_000_600_000),
            addresses: vec![(id(1), address(1))],
            vote: Some(vote),
        };
        (format!("record-{number}"), record::seal(&record, 1).unwrap())
    };
    foundings().into_iter().enumerate().map(of).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/core/corpus/wire").join(name)
}

/// What is kept of this version, after comparing it with what is said today.
fn kept(name: &str, today: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let lines = today.iter().map(|(name, bytes)| format!("{name} {}\n", hexadecimal(bytes)));
    let today: String = lines.collect();
    if std::env::var_os("GAGGLE_RECORD").is_some() {
        std::fs::write(file(name), &today).unwrap();
    }
    let kept = std::fs::read_to_string(file(name)).unwrap();
    for (was, is) in kept.lines().zip(today.lines()) {
        assert_eq!(is, was, "{name}: what is said is another thing now: raise the version");
    }
    assert_eq!(kept.lines().count(), today.lines().count(), "{name}: GAGGLE_RECORD=1 adds to it");
    let split = |line: &str| {
        let (name, text) = line.split_once(' ').unwrap();
        (name.to_owned(), bytes(text))
    };
    kept.lines().map(split).collect()
}

#[test]
fn every_message_is_said_as_this_version_of_the_protocol_says_it() {
    let kept = kept(&format!("protocol-{PROTOCOL_VERSION}"), &datagrams());
    let mut kinds = Vec::new();
    for ((name, bytes), (_, message)) in kept.iter().zip(messages()) {
        let (_, read) = datagram::decode(bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{message:?}"), "{name}");
        kinds.push(read.kind().name());
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 18, "a message of every kind: {kinds:?}");
}

/// Records of all versions that there ever were are read; those before the sixth are made by the tests
/// of `wire::record`, and the sixth is kept here.
#[test]
fn every_record_is_written_as_this_version_writes_it_and_is_read() {
    for ((name, bytes), founding) in kept("record-7", &records()).iter().zip(foundings()) {
        let (Disk::Sound(read), generation) = Disk::of_slots([bytes, &[]]) else {
            panic!("{name} is not read");
        };
        assert_eq!((generation, read.vote.unwrap().founding), (1, founding), "{name}");
    }
    let sixth = std::fs::read_to_string(file("record-6")).unwrap();
    for (line, founding) in sixth.lines().zip(foundings()) {
        let (name, text) = line.split_once(' ').unwrap();
        let (Disk::Sound(read), _) = Disk::of_slots([&bytes(text), &[]]) else {
            panic!("{name} of the sixth version is not read");
        };
        assert_eq!((read.held_until, read.is_drained, read.ancestors.len()), (None, true, 1));
        assert_eq!(read.vote.unwrap().founding, founding, "{name}");
    }
}
