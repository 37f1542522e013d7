//! Hosts on two networks, and a balancer as seed: what was learned from the one must not be
//! lost with it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::network::{GOSSIP, Network, address, gossip};
use super::node::{Cluster, worker};
use super::sandbox;

/// An address on the bridge that no host has.
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

/// Long enough for every grant to run out a few times.
const SEVERAL_LEASES: Duration = Duration::from_secs(3);

/// Nobody else becomes the Goose for several leases.
#[track_caller]
fn assert_goose_stays(cluster: &mut Cluster, hosts: &[u8], term: u64) {
    let begun = Instant::now();
    cluster.wait_until("several leases have passed", |_| {
        (begun.elapsed() > SEVERAL_LEASES).then_some(())
    });
    assert_eq!(cluster.agree(hosts, 0).term, term, "{}", cluster.logs());
}

/// Nodes advertise themselves on one network and find each other on a second one, which is cut.
#[test]
fn the_network_of_the_seeds_is_cut() {
    sandbox::run(|| {
        let network = Network::new(3);
        sandbox::tool_with(&["ip", "-batch", "-"], "link add back type bridge\nlink set back up\n");
        let back = |host: u8| Ipv4Addr::new(10, 99, 0, host);
        let mut cluster = Cluster::empty(network);
        for host in [1, 2, 3] {
            cluster.network.plug(host, "back", &format!("{}/24", back(host)));
            let own = gossip(host).to_string();
            let seeds: Vec<String> = [1, 2, 3]
                .iter()
                .filter(|other| **other != host)
                .map(|other| format!("{}:{GOSSIP}", back(*other)))
                .collect();
            let words = ["--advertise", &own, "--voters", "1,2,3", "--seed", &seeds.join(",")];
            let node = cluster.add(host, &words);
            node.address = Some(Ipv4Addr::UNSPECIFIED);
            node.command = worker();
        }
        let term = cluster.start_all().term;
        for host in [1, 2, 3] {
            cluster.network.filter(
                host,
                "table ip dead {\n chain arriving {\n type filter hook input priority 0;\n \
                 ip saddr 10.99.0.0/24 drop\n }\n}\n",
            );
        }
        assert_goose_stays(&mut cluster, &[1, 2, 3], term);
        println!("{}", cluster.judge().summary());
    });
}

/// The only seed of two voters is a balancer, which leads each to the other. It goes once they
/// have met.
#[test]
fn the_balancer_that_was_the_seed_goes() {
    sandbox::run(|| {
        let mut cluster = Cluster::empty(Network::new(2));
        for host in [1, 2] {
            let other = address(3 - host);
            cluster.network.filter(
                host,
                &format!(
                    "table ip service {{\n chain leaving {{\n type nat hook output priority -100\n \
                     ip daddr {VIRTUAL} udp dport {GOSSIP} dnat to {other}\n }}\n}}\n"
                ),
            );
            let seed = format!("{VIRTUAL}:{GOSSIP}");
            cluster.add(host, &["--voters", "1,2", "--seed", &seed]).command = worker();
        }
        let term = cluster.start_all().term;
        for host in [1, 2] {
            cluster.network.filter(
                host,
                &format!(
                    "table ip gone {{\n chain leaving {{\n type filter hook output priority -300\n \
                     ip daddr {VIRTUAL} drop\n }}\n}}\n"
                ),
            );
        }
        assert_goose_stays(&mut cluster, &[1, 2], term);
        println!("{}", cluster.judge().summary());
    });
}
