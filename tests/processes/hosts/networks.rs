//! Hosts on two networks, a balancer as seed, a voter behind a router, and names that lead
//! elsewhere: what was learned of addresses must not be lost with one of them.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::network::{GOSSIP, Network, address, gossip};
use super::node::{Cluster, worker};
use super::sandbox;

/// An address on the bridge that no host has.
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

/// The address of a host on the second network.
fn back(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, host)
}

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

/// A voter that nobody can reach at the address that it advertises: a router translates what it
/// sends. Whatever it asked came from an address at which it can be asked in turn.
#[test]
fn a_voter_behind_a_translating_router_votes() {
    sandbox::run(|| {
        let mut cluster = Cluster::empty(Network::new(2));
        behind_a_router(&mut cluster.network);
        let seeds = format!("{},{}", gossip(1), gossip(2));
        for host in [1, 2, 4] {
            cluster.add(host, &["--voters", "1,2,4", "--seed", &seeds]);
        }
        cluster.node(4).address = Some(Ipv4Addr::new(10, 88, 0, 4));
        cluster.node(4).arguments.push("--never-goose".to_owned());
        for host in [4, 2, 1] {
            cluster.start(host);
        }
        let (goose, term) = cluster.lead(&[1, 2], 0);
        cluster.wait_until("the voter behind the router knows the Goose", |cluster| {
            let known = format!("the Goose is node {goose} ");
            // It votes only once it has heard that all others are new.
            let log = cluster.node(4).log();
            (log.contains(&known) && log.contains("the cluster is founded")).then_some(())
        });
        // Now the majority is the Goose and the voter behind the router.
        cluster.kill(3 - goose);
        assert_goose_stays(&mut cluster, &[goose], term);
        println!("{}", cluster.judge().summary());
    });
}

/// Host 5 is a router: one leg on the bridge, the other on a network of host 4's.
fn behind_a_router(network: &mut Network) {
    sandbox::tool_with(&["ip", "-batch", "-"], "link add inner type bridge\nlink set inner up\n");
    network.add(5);
    network.plug(5, "bridge", "10.77.0.5/24");
    network.plug(5, "inner", "10.88.0.254/24");
    network.add(4);
    network.plug(4, "inner", "10.88.0.4/24");
    network.route(4, Ipv4Addr::new(10, 88, 0, 254));
    network.forward(5);
    network.filter(
        5,
        "table ip router {\n chain leaving {\n type nat hook postrouting priority 100\n \
         ip saddr 10.88.0.0/24 oifname \"eth0\" masquerade\n }\n}\n",
    );
}

/// All voters come back at other addresses, as those of a StatefulSet do. Their records, their
/// gossip and their seeds name none of these; their names do.
#[test]
fn all_voters_move_at_once() {
    sandbox::run(|| {
        sandbox::tool_with(&["ip", "-batch", "-"], "link add back type bridge\nlink set back up\n");
        let names = |place: fn(u8) -> Ipv4Addr| {
            let lines = [1, 2, 3].map(|host| format!("{} voter-{host}.test\n", place(host)));
            std::fs::write("/run/hosts", lines.concat()).expect("a file");
        };
        names(address);
        sandbox::tool(&["mount", "--bind", "/run/hosts", "/etc/hosts"]);
        let mut cluster = Cluster::empty(Network::new(3));
        let voters = [1, 2, 3].map(|host| format!("{host}=voter-{host}.test:{GOSSIP}")).join(",");
        for host in [1, 2, 3] {
            cluster.network.plug(host, "back", &format!("{}/24", back(host)));
            let own = format!("voter-{host}.test:{GOSSIP}");
            let node = cluster.add(host, &["--advertise", &own, "--voters", &voters]);
            node.address = Some(Ipv4Addr::UNSPECIFIED);
            node.command = worker();
        }
        let term = cluster.start_all().term;
        for host in [1, 2, 3] {
            cluster.kill(host);
            cluster.network.filter(
                host,
                "table ip dead {\n chain arriving {\n type filter hook input priority 0;\n \
                 ip saddr 10.77.0.0/24 udp dport 8000 drop\n }\n}\n",
            );
        }
        names(back);
        for host in [1, 2, 3] {
            cluster.start(host);
        }
        cluster.lead(&[1, 2, 3], term);
        println!("{}", cluster.judge().summary());
    });
}
