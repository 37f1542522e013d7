//! The way in: many seeds of which one lives, a name with many addresses of which the last answers, and
//! a name that is wrong at first.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::dns::Names;
use super::network::{GOSSIP, Network, address};
use super::node::Cluster;
use super::{long, sandbox};

/// However many are dead, a node is in by then.
const JOINED_WITHIN: Duration = Duration::from_secs(5);
/// The only host of which the addresses asked for are not stale: the highest.
const ALIVE: u8 = 200;
const NAME: &str = "gaggle.test";

/// A cluster of one on [`ALIVE`], and another host.
fn cluster() -> Cluster {
    let mut network = Network::new(1);
    network.add(ALIVE);
    network.plug(ALIVE, "bridge", &format!("{}/24", address(ALIVE)));
    let mut cluster = Cluster::empty(network);
    cluster.add(ALIVE, &["--voters", &ALIVE.to_string()]);
    cluster.start(ALIVE);
    cluster.agree(&[ALIVE], 0);
    cluster
}

/// So many addresses, [`ALIVE`]'s among them and the highest.
fn addresses(count: u8) -> Vec<Ipv4Addr> {
    (ALIVE + 1 - count..=ALIVE).map(address).collect()
}

/// A node without a record joins, over and over; how long that took.
fn joins(cluster: &mut Cluster, what: &str) {
    let rounds = if long() { 10 } else { 2 };
    let mut times: Vec<Duration> = (0..rounds).map(|_| join(cluster)).collect();
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: joined within {median:.1?} (median of {rounds}), {worst:.1?} at worst");
    assert!(worst < JOINED_WITHIN, "{what}: {times:?}\n{}", cluster.logs());
}

fn join(cluster: &mut Cluster) -> Duration {
    let joined =
        |cluster: &mut Cluster| cluster.node(1).log().matches("joined the cluster").count();
    let before = joined(cluster);
    let began = Instant::now();
    cluster.start(1);
    cluster.wait_until("the node has joined", |it| (joined(it) > before).then_some(()));
    let took = began.elapsed();
    cluster.agree(&[1, ALIVE], 0);
    cluster.kill(1);
    let state = cluster.node(1).state.clone();
    std::fs::remove_dir_all(state).expect("its record");
    took
}

#[test]
fn one_of_sixty_four_seeds_lives() {
    sandbox::run(|| {
        let mut cluster = cluster();
        let seeds: Vec<String> =
            addresses(64).iter().map(|seed| format!("{seed}:{GOSSIP}")).collect();
        cluster.add(1, &["--seed", &seeds.join(",")]);
        joins(&mut cluster, "64 seeds, one alive");
    });
}

#[test]
fn of_sixty_addresses_of_a_name_the_highest_answers() {
    sandbox::run(|| {
        let names = Names::serve();
        names.set(NAME, &addresses(60));
        let mut cluster = cluster();
        cluster.add(1, &["--seed", &format!("{NAME}:{GOSSIP}")]);
        joins(&mut cluster, "a name with 60 addresses, one alive");
    });
}

/// Its addresses are those of machines that are gone, until somebody corrects that.
#[test]
fn a_name_that_is_stale_at_first_is_looked_up_again() {
    sandbox::run(|| {
        let names = Names::serve();
        names.set(NAME, &addresses(60)[..59]);
        let mut cluster = cluster();
        cluster.add(1, &["--seed", &format!("{NAME}:{GOSSIP},unknown.test:{GOSSIP}")]);
        cluster.start(1);
        let silent = format!("nobody has answered yet at {NAME}:{GOSSIP}, unknown.test:{GOSSIP}: ");
        let unknown = format!("the seed unknown.test:{GOSSIP} cannot be looked up: ");
        for words in [silent, unknown] {
            cluster.wait_until(&words, |it| it.node(1).log().contains(&words).then_some(()));
        }
        names.set(NAME, &addresses(1));
        let corrected = Instant::now();
        cluster.agree(&[1, ALIVE], 0);
        let took = corrected.elapsed();
        println!("a name that is corrected: joined within {took:.1?}");
        assert!(took < JOINED_WITHIN, "{}", cluster.logs());
    });
}
