//! What stands between the nodes and those who ask them: a TCP balancer in front of their HTTP
//! servers, a seed address that is translated to any of them, and a node behind a router that
//! translates its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use super::network::{GOSSIP, OBSERVER, http};
use super::node::{Cluster, without};
use super::sandbox;
use crate::harness::http::Client;
use crate::harness::watch::Status;

/// An address on the bridge that no host has.
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

/// A program that ends with the test.
struct Balancer(Child);

impl Drop for Balancer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// HAProxy asks each node for `/goose` and passes connections on to whoever says yes.
#[test]
fn a_balancer_leads_to_the_goose_alone() {
    sandbox::run(|| {
        if !sandbox::is_here("haproxy") {
            return sandbox::skip("haproxy is not installed");
        }
        let mut cluster = Cluster::workers(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let front: SocketAddr = (OBSERVER, 7000).into();
        let servers: String = [1, 2, 3]
            .map(|host| format!(" server {host} {} check inter 50ms\n", http(host)))
            .concat();
        let file = format!(
            "defaults\n mode tcp\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
             listen goose\n bind {front}\n option httpchk GET /goose\n \
             default-server rise 1 fall 1 on-marked-down shutdown-sessions\n{servers}"
        );
        let path = std::path::Path::new("/run/haproxy.cfg");
        std::fs::write(path, file).unwrap();
        let proxy = Command::new("haproxy").arg("-f").arg(path).stdout(Stdio::null()).spawn();
        let _proxy = Balancer(proxy.unwrap());

        let leads_to = |host: u8, cluster: &mut Cluster| {
            cluster.wait_until(&format!("the balancer leads to {host}"), |_| {
                let status = Status::parse(&Client::new(front).get("/v1/status")?)?;
                (status.is_goose() && status.node.id == u64::from(host)).then_some(())
            });
        };
        leads_to(goose, &mut cluster);
        cluster.kill(goose);
        let (next, _) = cluster.lead(&without(goose), term);
        leads_to(next, &mut cluster);
        println!("{}", cluster.judge().summary());
    });
}

/// The only seed is the address of a service, which the kernel translates to any of the nodes, to
/// another one each time. Nobody may take the service for a member.
#[test]
fn a_seed_may_be_any_of_them() {
    sandbox::run(|| {
        let mut cluster = Cluster::workers(3);
        cluster.start_all();
        let (_, term) = cluster.lead(&[1, 2, 3], 0);
        cluster.network.add(4);
        cluster.network.plug(4, "bridge", "10.77.0.4/24");
        cluster.network.filter(
            4,
            &format!(
                "table ip service {{\n chain leaving {{\n type nat hook output priority -100\n \
                 ip daddr {VIRTUAL} udp dport {GOSSIP} dnat to numgen random mod 3 map \
                 {{ 0 : 10.77.0.1, 1 : 10.77.0.2, 2 : 10.77.0.3 }}\n }}\n}}\n"
            ),
        );
        cluster.add(4, &["--seed", &format!("{VIRTUAL}:{GOSSIP}")]);
        cluster.start(4);
        assert_eq!(cluster.agree(&[1, 2, 3, 4], 0).term, term, "a newcomer disturbs nobody");
        // It remembers where the voters are, so it needs the service no more.
        cluster.network.filter(4, "delete table ip service\n");
        cluster.kill(4);
        cluster.start(4);
        assert_eq!(cluster.agree(&[1, 2, 3, 4], 0).term, term);
        let members = cluster.get(1, "/v1/members").expect("an answer");
        let members = String::from_utf8_lossy(&members.body).into_owned();
        assert!(!members.contains(&VIRTUAL.to_string()), "{members}");
        println!("{}", cluster.judge().summary());
    });
}

/// Nobody can reach a node behind such a router by the address that it advertises. It learns who
/// leads, for whatever it asks is answered; the others keep their Goose, and there is a next one.
#[test]
fn a_node_behind_a_translating_router_disturbs_nobody() {
    sandbox::run(|| {
        let mut cluster = Cluster::workers(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        // Host 5 is a router: one leg on the bridge, the other on a network of host 4's.
        sandbox::tool_with(
            &["ip", "-batch", "-"],
            "link add inner type bridge\nlink set inner up\n",
        );
        cluster.network.add(5);
        cluster.network.plug(5, "bridge", "10.77.0.5/24");
        cluster.network.plug(5, "inner", "10.88.0.254/24");
        cluster.network.add(4);
        cluster.network.plug(4, "inner", "10.88.0.4/24");
        cluster.network.route(4, Ipv4Addr::new(10, 88, 0, 254));
        cluster.network.forward(5);
        cluster.network.filter(
            5,
            "table ip router {\n chain leaving {\n type nat hook postrouting priority 100\n \
             ip saddr 10.88.0.0/24 oifname \"eth0\" masquerade\n }\n}\n",
        );
        let node = cluster.add(4, &["--seed", "10.77.0.1:8000"]);
        node.address = Some(Ipv4Addr::new(10, 88, 0, 4));
        cluster.start(4);
        cluster.wait_until("the node behind the router knows the Goose", |cluster| {
            let known = format!("the Goose is node {goose} ");
            cluster.node(4).log().contains(&known).then_some(())
        });
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term, "it disturbs nobody");
        cluster.kill(goose);
        // Perhaps the node behind the router: if its questions were answered, it reaches a majority
        // and is the highest.
        let others = without(goose);
        cluster.wait_until("the others know the next Goose", |cluster| {
            let known = others.iter().map(|host| cluster.status(*host)?.leadership());
            let known: Option<Vec<_>> = known.collect();
            known?.iter().all(|leadership| leadership.term > term).then_some(())
        });
        println!("{}", cluster.judge().summary());
    });
}
