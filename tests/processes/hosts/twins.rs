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
            own.iter().rev().for_each(|host| all.start(*host));
        }
        let everybody = seeds(&hosts.concat());
        for host in hosts.concat() {
            all.node(host).arguments[3].clone_from(&everybody);
        }
        Self { all, hosts }
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

    /// Which founding a host's node knows to be its own.
    fn lineage(&self, host: u8) -> Option<String> {
        let page: Value = serde_json::from_slice(&self.all.get(host, "/v1/status")?.body).ok()?;
        page["lineage"].as_str().map(str::to_owned)
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
