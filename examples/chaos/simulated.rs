//! The same play in virtual time: nodes as values, datagrams in a sorted queue, time as a
//! number. Nothing but the seed decides what happens.

use std::net::SocketAddr;
use std::time::Duration;

use gaggle::node::{Output, VoterOrder};
use gaggle::sim::postbox::{self, Carrier, Datagram, ORIGIN, Postbox, TRAVEL};
use gaggle::vocabulary::time::nanoseconds;

use super::links::{Links, NODES, Prng, Traffic, machines};
use super::recording::{Shared, lock};
use super::world::{Failure, World, setup};

/// The network, with an ear for what the nodes say.
struct Streets {
    recording: Shared,
    links: Links,
    traffic: Traffic,
    prng: Prng,
}

fn node_at(address: SocketAddr) -> Option<usize> {
    let number = usize::try_from(postbox::number(address)?).ok()?;
    machines().any(|node| node == number).then_some(number)
}

impl Carrier for Streets {
    fn see(&mut self, now: u64, number: u64, output: &Output) {
        if let Output::Event(event) = output {
            let node = usize::try_from(number).unwrap_or(0);
            lock(&self.recording).hear(Duration::from_nanos(now - ORIGIN), node, event);
        }
    }

    fn carry(&mut self, datagram: &Datagram, arrive: &mut dyn FnMut(u64)) {
        let (Some(from), Some(to)) = (node_at(datagram.from), node_at(datagram.to)) else { return };
        for hold in self.links.of(from, to).fate(&mut self.prng, &mut self.traffic) {
            let jitter = self.prng.draw() % TRAVEL;
            arrive(TRAVEL + jitter + nanoseconds(hold));
        }
    }
}

/// Five cores and a postbox.
pub(crate) struct SimulatedWorld {
    recording: Shared,
    postbox: Postbox<Streets>,
}

impl SimulatedWorld {
    pub(crate) fn new(recording: Shared, seed: u64) -> Result<Self, Failure> {
        let streets = Streets {
            recording: recording.clone(),
            links: Links::default(),
            traffic: Traffic::default(),
            prng: Prng::new(seed),
        };
        let mut world = Self { recording, postbox: Postbox::new(streets) };
        let founders: Vec<usize> = (1..=NODES).collect();
        for node in &founders {
            world.start(*node, &founders)?;
        }
        Ok(world)
    }

    /// The next moment at which a lease runs out, on a frozen node too.
    fn next_expiry(&self) -> Option<u64> {
        let ends = self.postbox.nodes.keys().filter_map(|node| self.postbox.lease_ends(*node));
        ends.filter(|end| *end > self.postbox.time()).min()
    }

    /// Whoever led up to this moment led until it, should it end now.
    fn extend(&self) {
        let now = self.now();
        let mut recording = lock(&self.recording);
        for (node, term) in recording.geese() {
            let number = node as u64;
            let leads = self.postbox.nodes.get(&number).and_then(|core| core.lease());
            let end = self.postbox.lease_ends(number);
            let held = end.is_some_and(|end| self.postbox.time() <= end);
            if held && leads.is_some_and(|lease| lease.term == term) {
                recording.observe(node, Some(term), now, now);
            }
        }
    }

    /// Looks at every node: what is true from this moment on.
    fn observe(&self) {
        let now = self.now();
        let mut recording = lock(&self.recording);
        let holder = self.postbox.now().holder;
        for (number, core) in &self.postbox.nodes {
            let lease = core.lease().filter(|lease| holder < lease.deadline);
            let node = usize::try_from(*number).unwrap_or(0);
            recording.observe(node, lease.map(|lease| lease.term), now, now);
            if let Some(configuration) = core.configuration().filter(|_| lease.is_some()) {
                recording.observe_voters(now, configuration);
            }
        }
    }
}

impl World for SimulatedWorld {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.postbox.time() - ORIGIN)
    }

    fn pass(&mut self, span: Duration) -> Result<(), Failure> {
        let end = self.postbox.time() + nanoseconds(span);
        loop {
            let due = [self.postbox.next(), self.next_expiry()];
            let next = due.into_iter().flatten().min().unwrap_or(u64::MAX);
            self.postbox.pass_to(next.min(end));
            self.extend();
            if next > end {
                self.observe();
                return Ok(());
            }
            self.postbox.step(self.postbox.time());
            self.observe();
        }
    }

    fn kill(&mut self, node: usize) -> Result<(), Failure> {
        self.postbox.kill(node as u64);
        Ok(())
    }

    fn start(&mut self, node: usize, here: &[usize]) -> Result<(), Failure> {
        let address_of = |node: usize| postbox::address(node as u64);
        let setup = setup(node, here, address_of, self.postbox.carrier.prng.bytes())?;
        self.postbox.start(setup)?;
        Ok(())
    }

    fn order(&mut self, node: usize, order: &VoterOrder) -> Result<Option<String>, Failure> {
        let (now, number) = (self.postbox.now(), node as u64);
        let goose = self.postbox.nodes.get_mut(&number);
        let Some(goose) = goose else { return Ok(Some("the Goose is gone".to_owned())) };
        let outcome = goose.change_voters(now, order);
        self.postbox.drain(number);
        Ok(match outcome {
            Ok(ordered) => ordered.hold.map(|hold| format!("waits for {}", hold.words())),
            Err(refused) => Some(refused.to_string()),
        })
    }

    fn freeze(&mut self, node: usize) {
        self.postbox.freeze(node as u64);
    }

    fn thaw(&mut self, node: usize) {
        self.postbox.thaw(node as u64);
    }

    fn set_links(&mut self, links: &Links) {
        self.postbox.carrier.links = links.clone();
    }

    fn traffic(&self) -> Traffic {
        self.postbox.carrier.traffic
    }
}
