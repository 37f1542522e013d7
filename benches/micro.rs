//! What single steps cost: asking for the role, answering a status request without the socket,
//! handling one datagram of each busy kind, and writing the record.
//!
//! `cargo bench --bench micro`

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use divan::{Bencher, black_box};
use gaggle::node::{NodeCore, Output};
use gaggle::shell::clock::Clock;
use gaggle::shell::store::{StateFolder, Store};
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::datagram;
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::message::Message;
use gaggle::vocabulary::record::{Disk, Record};
use gaggle::vocabulary::setup::Setup;
use gaggle::vocabulary::time::{HolderTime, Now, VoterTime, WallTime};
use gaggle::vocabulary::timing::{Profile, Timing};

fn main() {
    divan::main();
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn address(number: u64) -> SocketAddr {
    format!("10.0.0.{number}:8000").parse().unwrap()
}

/// Three nodes as values, and every datagram that each was handed.
struct Trio {
    now: u64,
    nodes: BTreeMap<u64, NodeCore>,
    handed: Vec<(u64, u64, SocketAddr, Vec<u8>)>,
    record: Option<Record>,
}

impl Trio {
    fn start() -> Self {
        let mut trio =
            Self { now: 1_000_000_000, nodes: BTreeMap::new(), handed: Vec::new(), record: None };
        let voters = [1, 2, 3];
        for number in voters {
            let setup = Setup {
                cluster: ClusterName::new("bench").unwrap(),
                id: id(number),
                address: address(number),
                http: None,
                seeds: Vec::new(),
                voters: Some(VoterSet::new(voters.map(id).to_vec()).unwrap()),
                voter_addresses: voters.map(|voter| (id(voter), address(voter))).to_vec(),
                eligible: true,
                timing: Timing::of(Profile::Lan),
                entropy: [u8::try_from(number).unwrap(); 32],
            };
            let node = NodeCore::new(setup, Disk::Empty, trio.now()).unwrap();
            trio.nodes.insert(number, node);
        }
        trio
    }

    fn now(&self) -> Now {
        Now {
            holder: HolderTime(self.now),
            voter: VoterTime(self.now),
            wall: WallTime(1_700_000_000_000),
        }
    }

    /// Runs for `milliseconds`, delivering everything at once.
    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += 1_000_000;
            let now = self.now();
            for node in self.nodes.values_mut() {
                node.handle_timeout(now);
            }
            while self.deliver() {}
        }
    }

    fn deliver(&mut self) -> bool {
        let now = self.now();
        let mut sent = Vec::new();
        for (number, node) in &mut self.nodes {
            while let Some(output) = node.poll_output() {
                match output {
                    Output::Transmit { to, datagram } => sent.push((*number, to, datagram)),
                    Output::Store { ticket, record } => {
                        self.record = Some(*record);
                        node.handle_stored(now, ticket, Ok(()));
                    }
                    _ => {}
                }
            }
        }
        for (from, to, datagram) in &sent {
            let receiver = (1..=3).find(|number| address(*number) == *to).unwrap();
            let node = self.nodes.get_mut(&receiver).unwrap();
            node.handle_datagram(now, address(*from), datagram);
            self.handed.push((self.now, receiver, address(*from), datagram.clone()));
        }
        !sent.is_empty()
    }
}

/// A datagram of the wanted kind that is on its way to a voter which has not seen it.
fn on_its_way(wanted: fn(&Message) -> bool) -> (Trio, u64, SocketAddr, Vec<u8>) {
    let mut trio = Trio::start();
    trio.run(2000);
    loop {
        trio.now += 1_000_000;
        let now = trio.now();
        let mut caught = None;
        for (number, node) in &mut trio.nodes {
            node.handle_timeout(now);
            while let Some(output) = node.poll_output() {
                if let Output::Transmit { to, datagram } = output {
                    let (_, message) = datagram::decode(&datagram).unwrap();
                    if wanted(&message) {
                        let receiver = (1..=3).find(|it| address(*it) == to).unwrap();
                        caught = Some((receiver, address(*number), datagram));
                    }
                }
            }
        }
        if let Some((receiver, from, datagram)) = caught {
            return (trio, receiver, from, datagram);
        }
        trio.run(1);
    }
}

fn handling(bencher: Bencher<'_, '_>, wanted: fn(&Message) -> bool) {
    bencher
        .with_inputs(|| on_its_way(wanted))
        .bench_local_values(|(mut trio, receiver, from, datagram)| {
            let now = trio.now();
            let node = trio.nodes.get_mut(&receiver).unwrap();
            node.handle_datagram(now, from, &datagram);
            while let Some(output) = node.poll_output() {
                black_box(&output);
            }
            trio
        });
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn handle_poll(bencher: Bencher<'_, '_>) {
    handling(bencher, |message| matches!(message, Message::Poll(_)));
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn handle_acquire(bencher: Bencher<'_, '_>) {
    handling(bencher, |message| matches!(message, Message::Acquire(_)));
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn handle_gossip(bencher: Bencher<'_, '_>) {
    handling(bencher, |message| matches!(message, Message::Gossip(_)));
}

/// What `is_goose` does: one atomic load, and the holder clock.
#[divan::bench]
fn read_holder_clock() -> HolderTime {
    Clock.holder()
}

#[divan::bench]
fn read_all_clocks() -> Now {
    Clock.now()
}

#[divan::bench]
fn snapshot(bencher: Bencher<'_, '_>) {
    let mut trio = Trio::start();
    trio.run(1000);
    bencher.bench_local(|| trio.nodes[&3].snapshot());
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn write_record(bencher: Bencher<'_, '_>) {
    let mut trio = Trio::start();
    trio.run(1000);
    let record = trio.record.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = StateFolder::open(folder.path()).unwrap();
    bencher.bench_local(|| store.store(&record).unwrap());
}
