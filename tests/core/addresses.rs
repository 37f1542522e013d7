//! Nodes that are reached at two addresses each, one of which goes dead.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gaggle::node::Output;
use gaggle::sim::postbox::{Carrier, Datagram, Postbox, TRAVEL, address, id, number, setup};
use gaggle::vocabulary::event::Event;
use gaggle::vocabulary::time::Now;

/// Two networks: node `n` is 10.0.0.n on the first, which the postbox knows, and 10.1.0.n on the
/// second.
#[derive(Default)]
struct Networks {
    is_cut: [bool; 2],
    /// What is on its way over the second.
    second: Vec<Datagram>,
    looked_up: Vec<(u64, Vec<String>)>,
    log: Vec<String>,
}

/// Which network an address is on.
fn network(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[1]),
        IpAddr::V6(_) => panic!("{address}"),
    }
}

/// Where node `number` is on the second network.
fn beside(number: u64) -> SocketAddr {
    SocketAddr::from(([10, 1, 0, u8::try_from(number).unwrap()], 8000))
}

impl Carrier for Networks {
    fn see(&mut self, now: u64, number: u64, output: &Output) {
        match output {
            Output::Resolve(names) => self.looked_up.push((number, names.clone())),
            Output::Event(event) if !matches!(event, Event::MemberChanged { .. }) => {
                self.log.push(format!("{:6} ms  node {number}: {event:?}", now / 1_000_000));
            }
            _ => {}
        }
    }

    fn carry(&mut self, datagram: &Datagram, arrive: &mut dyn FnMut(u64)) {
        if self.is_cut[network(datagram.to)] {
            return;
        }
        if network(datagram.to) == 0 {
            arrive(TRAVEL);
        } else {
            self.second.push(datagram.clone());
        }
    }
}

struct World(Postbox<Networks>);

impl World {
    /// Voters 1 to 3, who say that they are on one network and know of each other on the other.
    fn started(advertised: usize) -> Self {
        let mut world = Self(Postbox::new(Networks::default()));
        for number in [1, 2, 3] {
            let mut setup = setup("test", number, &[1, 2, 3]);
            let places: [fn(u64) -> SocketAddr; 2] = [address, beside];
            setup.address = places[advertised](number);
            let others = [1, 2, 3].into_iter().filter(|other| *other != number);
            setup.seeds = others.map(|other| places[1 - advertised](other).to_string()).collect();
            setup.voter_addresses.clear();
            world.0.start(setup).unwrap();
        }
        world.run_for(Duration::from_secs(2));
        world
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.0.time() + u64::try_from(span.as_nanos()).unwrap();
        loop {
            for datagram in std::mem::take(&mut self.0.carrier.second) {
                let IpAddr::V4(to) = datagram.to.ip() else { continue };
                let from = beside(number(datagram.from).unwrap());
                let to = address(u64::from(to.octets()[3]));
                self.0.post(TRAVEL, Datagram { from, to, ..datagram });
            }
            if !self.0.step(until) {
                break;
            }
        }
        self.0.pass_to(until);
    }

    fn now(&self) -> Now {
        self.0.now()
    }

    fn log(&self) -> String {
        self.0.carrier.log.join("\n")
    }

    fn goose_and_term(&self) -> (Vec<u64>, u64) {
        (self.0.geese(), self.0.nodes[&3].term())
    }
}

/// The seeds' network goes dead; then it comes back, and the other one goes dead.
#[test]
fn a_goose_outlives_either_of_two_networks() {
    for advertised in [0, 1] {
        let mut world = World::started(advertised);
        assert_eq!(world.goose_and_term(), (vec![3], 1), "{}", world.log());
        for cut in [[true, false], [false, false], [false, true], [true, false], [false, false]] {
            world.0.carrier.is_cut = cut;
            world.run_for(Duration::from_secs(8));
            let log = world.log();
            assert_eq!(world.goose_and_term(), (vec![3], 1), "{cut:?}, {advertised}\n{log}");
        }
        let members = world.0.nodes[&3].snapshot().members.len();
        assert_eq!(members, 3, "{}", world.log());
    }
}

/// All voters move at once: what their names are looked up to is followed, without a seed that is
/// still where it was.
#[test]
fn names_of_voters_are_followed() {
    let mut world = World(Postbox::new(Networks::default()));
    let name = |number: u64| format!("node-{number}.example:8000");
    for number in [1, 2, 3] {
        let mut setup = setup("test", number, &[1, 2, 3]);
        setup.seeds = Vec::new();
        setup.voter_addresses.clear();
        setup.voter_names = [1, 2, 3].map(|voter| (id(voter), name(voter))).to_vec();
        world.0.start(setup).unwrap();
    }
    let answer = |world: &mut World, place: fn(u64) -> SocketAddr| {
        world.run_for(Duration::from_millis(1100));
        let now = world.now();
        for (asker, names) in std::mem::take(&mut world.0.carrier.looked_up) {
            assert!(!names.contains(&name(asker)), "nobody looks itself up");
            let place = |text: &String| {
                let voter = [1, 2, 3].into_iter().find(|voter| name(*voter) == *text).unwrap();
                (text.clone(), vec![place(voter)])
            };
            let found: Vec<_> = names.iter().map(place).collect();
            world.0.nodes.get_mut(&asker).unwrap().handle_resolved(now, &found);
            world.0.drain(asker);
        }
    };
    answer(&mut world, address);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.goose_and_term(), (vec![3], 1), "{}", world.log());
    assert!(world.0.carrier.looked_up.is_empty(), "they are found");

    // What every one of them gossips is where nobody is any more.
    world.0.carrier.is_cut[0] = true;
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.0.geese(), [0; 0], "{}", world.log());
    answer(&mut world, beside);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.0.geese().len(), 1, "{}", world.log());
}
