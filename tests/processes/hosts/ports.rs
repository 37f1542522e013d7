//! A node whose ports others reach by way of a router alone: mapped ones that are advertised, one that is
//! wrong, and an address that was copied from another machine or is gone from this one.

use std::net::Ipv4Addr;
use std::process::Command;

use super::network::{GOSSIP, address, within};
use super::node::{Cluster, program, without};
use super::sandbox::{self, tool};

/// Three voters, and host 4 behind the router 5, which maps its own ports 8000 (UDP) and 19000 (TCP) to
/// host 4's 8000 and 9000. The one for UDP is the same on both sides: what host 4 sends keeps its port,
/// and to the router a datagram for another port would be the answer to something else.
fn behind_mapped_ports() -> Cluster {
    let mut cluster = Cluster::voters(3);
    sandbox::tool_with(&["ip", "-batch", "-"], "link add inner type bridge\nlink set inner up\n");
    let network = &mut cluster.network;
    network.add(5);
    network.plug(5, "bridge", "10.77.0.5/24");
    network.plug(5, "inner", "10.88.0.254/24");
    network.add(4);
    network.plug(4, "inner", "10.88.0.4/24");
    network.route(4, Ipv4Addr::new(10, 88, 0, 254));
    network.forward(5);
    network.filter(
        5,
        "table ip router {\n chain arriving {\n type nat hook prerouting priority -100\n \
         ip daddr 10.77.0.5 udp dport 8000 dnat to 10.88.0.4:8000\n \
         ip daddr 10.77.0.5 tcp dport 19000 dnat to 10.88.0.4:9000\n }\n \
         chain leaving {\n type nat hook postrouting priority 100\n \
         ip saddr 10.88.0.0/24 oifname \"eth0\" masquerade\n }\n}\n",
    );
    cluster
}

fn add_behind(cluster: &mut Cluster, advertised: &str, http: &str) {
    let words = ["--seed", "10.77.0.1:8000", "--advertise", advertised, "--advertise-http", http];
    cluster.add(4, &words).address = Some(Ipv4Addr::new(10, 88, 0, 4));
}

#[test]
fn mapped_ports_that_are_advertised_lead_to_the_node() {
    sandbox::run(|| {
        let mut cluster = behind_mapped_ports();
        let term = cluster.start_all().term;
        add_behind(&mut cluster, "10.77.0.5:8000", "10.77.0.5:19000");
        cluster.start(4);
        let others = ["3 others see this node alive", "\nhealthy"];
        for host in [1, 4] {
            let report = cluster.diagnose(host, 0, &others);
            assert!(!report.contains("\nWRONG"), "{report}");
        }
        // Its HTTP address is one at which it answers others.
        let members = cluster.get(1, "/v1/members").expect("an answer");
        let members = String::from_utf8_lossy(&members.body).into_owned();
        assert!(members.contains("\"http\":\"10.77.0.5:19000\""), "{members}");
        let mut command = within(2);
        command.push(program().display().to_string());
        let words = ["status", "--node", "10.77.0.5:19000", "-o", "json"].map(str::to_owned);
        command.extend(words);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        assert!(tool(&command).contains("\"id\": 4") || tool(&command).contains("\"id\":4"));
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term);
        cluster.judge();
    });
}

#[test]
fn a_port_that_is_not_mapped_is_named_on_both_sides() {
    sandbox::run(|| {
        let mut cluster = behind_mapped_ports();
        let term = cluster.start_all().term;
        add_behind(&mut cluster, "10.77.0.5:18001", "10.77.0.5:19000");
        cluster.start(4);
        let rest = "but advertises 10.77.0.5:18001, and does not answer there: its --advertise is wrong, or \
                    a firewall or NAT keeps datagrams away from it";
        cluster.diagnose(1, 1, &["node 4 speaks from 10.77.0.5:", rest, "\nsomething is wrong"]);
        cluster.diagnose(4, 1, &["this node speaks from 10.77.0.5:", rest, "\nsomething is wrong"]);
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term);
        cluster.judge();
    });
}

/// Settings that were copied from voter 2, whose address they name.
#[test]
fn an_address_that_was_copied_from_another_machine_is_said_to_be_that_ones() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        let term = cluster.start_all().term;
        cluster.network.add(4);
        cluster.network.plug(4, "bridge", "10.77.0.4/24");
        cluster.add(4, &["--seed", "10.77.0.1:8000", "--advertise", "10.77.0.2:8000"]);
        cluster.start(4);
        let words = "advertises 10.77.0.2:8000, which is the address of";
        for (host, what) in [
            (1, format!("node 4 speaks from 10.77.0.4:8000 but {words} node 2")),
            (2, format!("node 4 {words} this node")),
            (4, format!("this node speaks from 10.77.0.4:8000 but {words} node 2")),
        ] {
            cluster.diagnose(host, 1, &[&what, "correct its --advertise", "\nsomething is wrong"]);
        }
        let report = cluster.doctor(2).1;
        assert!(
            !report.contains("its --advertise is wrong, or"),
            "node 2 is not to blame: {report}"
        );
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term, "the election does not go by gossip");
        // The way out.
        cluster.terminate(4);
        cluster.node(4).arguments.truncate(2);
        cluster.start(4);
        cluster.terminate(2);
        cluster.start(2);
        for host in [1, 2, 4] {
            cluster.diagnose(host, 0, &["3 others see this node alive", "\nhealthy"]);
        }
        cluster.judge();
    });
}

/// The machine loses its address while the node runs, as with a lease of DHCP.
#[test]
fn an_address_of_this_machine_that_is_gone_is_named() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let host = super::node::without(goose)[0];
        let place = format!("host{host}");
        let own = format!("10.77.0.{host}/24");
        tool(&["ip", "-n", &place, "addr", "del", &own, "dev", "eth0"]);
        let words = format!(
            "this machine has the address 10.77.0.{host} no more, on which this node listens, so that \
             nobody hears it: give the machine that address again, or start the node with an ADDR:PORT \
             that it has"
        );
        cluster.wait_until("the node says so", |it| {
            it.node(host).log().contains(&words).then_some(())
        });
        // Over its socket, for no address leads to it.
        let socket = cluster.node(host).state.join("gaggle.sock").display().to_string();
        let mut asked = within(host);
        asked.extend([program().display().to_string(), "doctor".to_owned()]);
        let output = Command::new(&asked[0]).args(&asked[1..]).args(["--node", &socket]).output();
        let output = output.expect("the doctor can be asked");
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(report.contains(&words) && report.contains("\nsomething is wrong"), "{report}");
        println!("{report}");
        tool(&["ip", "-n", &place, "addr", "add", &own, "dev", "eth0"]);
        cluster.agree(&[1, 2, 3], term - 1);
        cluster.judge();
    });
}

/// A firewall drops UDP in one direction: each side says so of the other, whichever is asked.
#[test]
fn a_firewall_that_drops_one_direction_is_named_on_both_sides() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let others = without(goose);
        let (deaf, unheard) = (others[0], others[1]);
        let rules = format!(
            "table ip firewall {{\n chain arriving {{\n type filter hook input priority 0\n \
             ip saddr {} udp dport {GOSSIP} drop\n }}\n }}\n",
            address(unheard)
        );
        cluster.network.filter(deaf, &rules);
        for (host, other) in [(deaf, unheard), (unheard, deaf)] {
            let place =
                format!("at {}:{GOSSIP} does not answer this node: is it up", address(other));
            let ways = "does UDP get through both ways?";
            let either = "is not answered by this node either";
            cluster.diagnose(host, 1, &[&place, ways, either, "\nsomething is wrong"]);
        }
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term, "the Goose reaches both");
        cluster.judge();
    });
}
