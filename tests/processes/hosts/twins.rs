//! Two clusters of one name, with the same ids and voters, on one network: pods whose addresses are
//! given to others, again and again. Neither may notice more than a line in its log.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::network::{Network, gossip};
use super::node::{Cluster, PATIENCE};
use super::{long, sandbox};
use crate::harness::poll_until;
use crate::harness::watch::{Leadership, Status};

const IDS: [u8; 3] = [1, 2, 3];
/// How long the longer run goes on.
const MINUTE: Duration = Duration::from_secs(60);
/// Exchanges of the shorter one: every pair of ids has one.
const ROUNDS: usize = 4;

/// Both clusters, and where their nodes are.
struct Twins {
    all: Cluster,
    /// Of each cluster, the hosts of the nodes 1, 2 and 3.
    hosts: [[u8; 3]; 2],
}

impl Twins {
    /// Both are founded, each by itself. From then on every node is told of all addresses.
    fn found() -> Self {
        let mut twins = Self::unfounded();
        for host in twins.hosts.iter().rev().flat_map(|hosts| hosts.iter().rev()) {
            twins.all.start(*host);
        }
        twins.tell_of_everybody();
        twins
    }

    /// No node is started, and each is told of its own cluster alone.
    fn unfounded() -> Self {
        let mut all = Cluster::empty(Network::new(6));
        let hosts = [[1, 2, 3], [4, 5, 6]];
        let seeds = |hosts: &[u8]| -> String {
            let seeds: Vec<String> = hosts.iter().map(|it| gossip(*it).to_string()).collect();
            seeds.join(",")
        };
        for own in &hosts {
            for (host, id) in own.iter().zip(IDS) {
                all.add(*host, &["--voters", "1,2,3", "--seed", &seeds(own)]).id = id;
            }
        }
        Self { all, hosts }
    }

    /// From its next start on, every node is told all addresses.
    fn tell_of_everybody(&mut self) {
        let hosts = self.hosts.concat();
        let seeds: Vec<String> = hosts.iter().map(|host| gossip(*host).to_string()).collect();
        for host in hosts {
            self.all.node(host).arguments[3] = seeds.join(",");
        }
    }

    /// On whom all nodes of a cluster agree, if its Goose reaches every voter, and each knows the
    /// processes of all and which founding this is.
    fn led(&self, cluster: usize) -> Option<Leadership> {
        let hosts = self.hosts[cluster];
        let statuses: Vec<Status> =
            hosts.into_iter().map(|host| self.all.status(host)).collect::<Option<_>>()?;
        let led = statuses[0].leadership()?;
        let agreed = statuses.iter().all(|status| status.leadership() == Some(led));
        let goose = statuses.iter().find(|status| status.is_goose())?;
        let reached = goose.voters.as_ref()?.reachable.len() == IDS.len();
        let boots: BTreeSet<String> =
            statuses.iter().map(|status| status.node.boot.clone()).collect();
        let known = hosts.into_iter().all(|host| self.alive(host).as_ref() == Some(&boots));
        let lineages = hosts.into_iter().map(|host| self.lineage(host));
        let lineages: Option<BTreeSet<String>> = lineages.collect();
        let is_one = lineages.is_some_and(|lineages| lineages.len() == 1);
        (agreed && reached && known && is_one).then_some(led)
    }

    /// Which processes are alive, by the word of a host's node.
    fn alive(&self, host: u8) -> Option<BTreeSet<String>> {
        let page: Value = serde_json::from_slice(&self.all.get(host, "/v1/members")?.body).ok()?;
        let alive = page["members"].as_array()?.iter().filter(|member| member["state"] == "alive");
        alive.map(|member| member["boot"].as_str().map(str::to_owned)).collect()
    }

    fn lineage(&self, host: u8) -> Option<String> {
        lineage(&self.all, host)
    }

    #[track_caller]
    fn settled(&mut self) -> [Leadership; 2] {
        let came = poll_until(PATIENCE, || Some([self.led(0)?, self.led(1)?]));
        came.unwrap_or_else(|| panic!("not both are led: {:?}\n{}", self.hosts, self.all.logs()))
    }

    /// A node of the one cluster and a node of the other are killed and come back, each at the other's
    /// address.
    fn exchange(&mut self, [one, other]: [u8; 2]) {
        let places = [usize::from(one) - 1, usize::from(other) - 1];
        let [here, there] = [self.hosts[0][places[0]], self.hosts[1][places[1]]];
        self.all.kill(here);
        self.all.kill(there);
        let (state, id) = (self.all.node(here).state.clone(), self.all.node(here).id);
        let elsewhere = (self.all.node(there).state.clone(), self.all.node(there).id);
        for (host, (state, id)) in [(there, (state, id)), (here, elsewhere)] {
            let node = self.all.node(host);
            (node.state, node.id) = (state, id);
        }
        (self.hosts[0][places[0]], self.hosts[1][places[1]]) = (there, here);
        self.all.start(here);
        self.all.start(there);
    }
}

/// Which founding a host's node knows to be its own.
fn lineage(all: &Cluster, host: u8) -> Option<String> {
    let page: Value = serde_json::from_slice(&all.get(host, "/v1/status")?.body).ok()?;
    page["lineage"].as_str().map(str::to_owned)
}

#[test]
fn addresses_are_exchanged_over_and_over_and_both_keep_their_terms() {
    sandbox::run(|| {
        let mut twins = Twins::found();
        let led = twins.settled();
        let ducks = |led: Leadership| -> Vec<u8> {
            IDS.into_iter().filter(|id| u64::from(*id) != led.goose).collect()
        };
        let (one, other) = (ducks(led[0]), ducks(led[1]));
        let pairs = one.iter().flat_map(|one| other.iter().map(|other| [*one, *other]));
        let pairs: Vec<[u8; 2]> = pairs.collect();
        let began = Instant::now();
        let mut rounds = 0;
        for pair in pairs.iter().cycle() {
            let over = if long() { began.elapsed() > MINUTE } else { rounds == ROUNDS };
            if over {
                break;
            }
            twins.exchange(*pair);
            assert_eq!(twins.settled(), led, "after {pair:?}: {}", twins.all.logs());
            rounds += 1;
        }
        let log: String =
            twins.hosts.concat().into_iter().map(|it| twins.all.node(it).log()).collect();
        assert_eq!(log.matches("became Goose of term").count(), 2, "{}", twins.all.logs());
        assert!(!log.contains("this node's id"), "nobody is a twin: {}", twins.all.logs());
        named(&log);
        println!("{rounds} exchanges within {:.1?}: both terms are kept", began.elapsed());
    });
}

/// Each side names the other's founding and its own.
fn named(log: &str) {
    let start =
        "it belongs to another founding of a cluster of this name with the same voters (lineage ";
    let lines = log.lines().filter_map(|line| line.split_once(start).map(|(_, rest)| rest));
    let pairs: BTreeSet<(String, String)> = lines
        .filter_map(|rest| {
            let (other, rest) = rest.split_once("; this node's is ")?;
            Some((other.to_owned(), rest.split_once(')')?.0.to_owned()))
        })
        .collect();
    let turned = pairs.iter().map(|(other, own)| (own.clone(), other.clone())).collect();
    assert_eq!(pairs, turned, "both sides name both");
    assert_eq!(pairs.len(), 2, "{pairs:?}");
}

/// A joiner whose seeds are of both belongs to one, and tells its own from the other after a restart.
#[test]
fn a_joiner_with_seeds_in_both_belongs_to_one_whatever_its_restarts() {
    sandbox::run(|| {
        let mut twins = Twins::found();
        let led = twins.settled();
        twins.all.network.add(9);
        twins.all.network.plug(9, "bridge", "10.77.0.9/24");
        let seeds: Vec<String> =
            (1..=6).map(gossip).map(|seed: SocketAddr| seed.to_string()).collect();
        twins.all.add(9, &["--seed", &seeds.join(",")]);
        let mut known = BTreeSet::new();
        for _ in 0..3 {
            twins.all.start(9);
            let came = poll_until(PATIENCE, || {
                twins.all.status(9)?.leadership()?;
                twins.lineage(9)
            });
            known.insert(came.unwrap_or_else(|| panic!("{}", twins.all.logs())));
            twins.all.kill(9);
        }
        assert_eq!(known.len(), 1, "it stays with one: {known:?}\n{}", twins.all.logs());
        assert_eq!(twins.settled(), led, "{}", twins.all.logs());
    });
}

/// A voter is down, and at its address there is now a node of the other cluster with the same id: by its
/// HTTP, too.
#[test]
fn the_doctor_tells_a_node_of_the_other_cluster_from_a_voter_of_its_own() {
    sandbox::run(|| {
        let mut twins = Twins::found();
        let led = twins.settled();
        let leads = |id: &u8| led.iter().any(|led| led.goose == u64::from(*id));
        let moving = IDS.into_iter().find(|id| !leads(id)).expect("who leads in neither");
        let of =
            |cluster: usize, id: u64| twins.hosts[cluster][usize::try_from(id).expect("an id") - 1];
        let [here, there] = [0, 1].map(|cluster| of(cluster, moving.into()));
        let geese = [of(0, led[0].goose), of(1, led[1].goose)];
        twins.all.kill(here);
        twins.all.kill(there);
        twins.all.node(here).state = twins.all.node(there).state.clone();
        twins.all.start(here);
        let lineages = geese.map(|host| twins.lineage(host).expect("its lineage"));
        let words = format!(
            "is a node of another founding of a cluster of this name (lineage {}; this node's is {}): correct \
             the address, or give each cluster its own --cluster name",
            lineages[1], lineages[0]
        );
        let report = twins.all.diagnose(geese[0], 1, &[&words, "\nsomething is wrong"]);
        assert!(report.contains("1 others see this node alive"), "a stranger's word: {report}");
        twins.all.diagnose(geese[1], 0, &["3 of 3 voters reachable", "\nhealthy"]);
        let log: String =
            twins.hosts.concat().into_iter().map(|it| twins.all.node(it).log()).collect();
        assert!(!log.contains("this node's id"), "nobody is a twin: {}", twins.all.logs());
    });
}

/// The first cluster is led. The second one is founded and then all its nodes are gone before anybody led
/// it, so that the records name the founding and no more.
fn led_and_founded() -> (Twins, [Leadership; 1]) {
    let mut twins = Twins::unfounded();
    for host in [3, 2, 1] {
        twins.all.start(host);
    }
    for host in [6, 5, 4] {
        twins.all.node(host).arguments.push("--never-goose".to_owned());
        twins.all.start(host);
    }
    for host in [4, 5, 6] {
        twins.all.wait_until("it is founded", |all| {
            all.node(host).log().contains("the cluster is founded").then_some(())
        });
    }
    for host in [4, 5, 6] {
        twins.all.kill(host);
        twins.all.node(host).arguments.pop();
    }
    let led = twins.all.agree(&[1, 2, 3], 0);
    (twins, [led])
}

/// A voter of the second cluster returns at the address of the same of the first, which is down.
fn stands_in(twins: &mut Twins, here: u8) {
    twins.all.kill(here);
    twins.all.node(here).state = twins.all.node(here + 3).state.clone();
    twins.all.start(here);
}

/// It belongs to its own, though nobody has told it more of that than its founding.
#[test]
fn a_voter_that_was_gone_before_anybody_led_returns_to_its_own_cluster() {
    sandbox::run(|| {
        let (mut twins, [led]) = led_and_founded();
        let here = if led.goose == 1 { 2 } else { 1 };
        let rest: Vec<u8> = [6, 5, 4].into_iter().filter(|host| *host != here + 3).collect();
        rest.iter().for_each(|host| twins.all.start(*host));
        let led_here = twins.all.agree_on(&rest);
        twins.tell_of_everybody();
        let own = poll_until(PATIENCE, || twins.lineage(rest[0])).expect("it is named");
        stands_in(&mut twins, here);
        twins.all.wait_until("its own Goose reaches it", |all| {
            let reachable = all.status(led_here.0 + 3)?.voters?.reachable;
            (lineage(all, here).as_ref() == Some(&own) && reachable == [1, 2, 3]).then_some(())
        });
        assert_eq!(twins.all.agree_on(&[here, rest[0], rest[1]]), led_here, "{}", twins.all.logs());
        let goose = u8::try_from(led.goose).expect("a host");
        let status = twins.all.status(goose).expect("it answers");
        assert_eq!(status.leadership(), Some(led), "{}", twins.all.logs());
        let log: String =
            twins.hosts.concat().into_iter().map(|it| twins.all.node(it).log()).collect();
        assert!(!log.contains("this node's id"), "nobody is a twin: {}", twins.all.logs());
    });
}

/// Its vote is none in the first cluster. Were it one, then two halves of that cluster would each have a
/// majority once its own voter of that id is back: two Geese.
#[test]
fn a_voter_that_was_gone_before_anybody_led_makes_no_second_majority_elsewhere() {
    sandbox::run(|| {
        let (mut twins, [led]) = led_and_founded();
        let goose = u8::try_from(led.goose).expect("a host");
        let moving = if goose == 1 { 2 } else { 1 };
        let other = 6 - goose - moving;
        let own = twins.all.node(moving).state.clone();
        stands_in(&mut twins, moving);
        // It has met them, and has made up its mind.
        twins.all.wait_until("it votes there, or says that it is of another founding", |all| {
            let voted = lineage(all, moving).is_some();
            let refused = all.node(moving).log().contains("belongs to another founding");
            (voted || refused).then_some(())
        });
        let (one, two) = ([moving, goose], [4, other]);
        twins.all.network.block(&one, &two);
        twins.all.network.block(&two, &one);
        let node = twins.all.node(4);
        (node.state, node.id) = (own, moving);
        node.arguments[3] = gossip(other).to_string();
        twins.all.start(4);
        twins.all.wait_until("the half with two voters of the cluster leads", |all| {
            let geese = [4, other].into_iter().filter_map(|host| all.status(host));
            geese.into_iter().find(|status| status.is_goose())
        });
        // Whoever led before gives up, or there were two at once: the judge has seen it.
        twins.all.wait_until("the other half leads no more", |all| {
            all.status(goose).filter(|status| !status.is_goose())
        });
        twins.all.judge_without_histories();
    });
}
