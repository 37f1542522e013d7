//! Hosts on a bridge, and what can go wrong between them.
//!
//! A cut is made where the datagram arrives: whoever sends it notices nothing, as in a real
//! network. The observer's address is never cut off, so that every node can be asked always.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use super::sandbox::{tool, tool_with, try_tool};

/// The port on which every node gossips, and the one on which it serves HTTP.
pub(crate) const GOSSIP: u16 = 8000;
pub(crate) const HTTP: u16 = 9000;

/// Where the test itself is.
pub(crate) const OBSERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// What every host filters: `from` are the hosts whose datagrams are lost, `weather` is what is
/// lost at random.
const FILTER: &str = "
table ip cuts {
  set from { type ipv4_addr; }
  chain weather { }
  chain arriving {
    type filter hook input priority 0; policy accept;
    ip saddr @from drop
    jump weather
  }
}
";

/// The hosts of one sandbox.
#[derive(Debug)]
pub(crate) struct Network {
    hosts: BTreeSet<u8>,
}

impl Network {
    /// Hosts 1 to `count`.
    pub(crate) fn new(count: u8) -> Self {
        tool_with(
            &["ip", "-batch", "-"],
            &format!(
                "link set lo up\n\
                 link add bridge type bridge\n\
                 addr add {OBSERVER}/24 dev bridge\n\
                 link set bridge up\n"
            ),
        );
        let mut network = Self { hosts: BTreeSet::new() };
        for host in 1..=count {
            network.add(host);
            network.plug(host, "bridge", &format!("{}/24", address(host)));
        }
        network
    }

    /// One more host, with nothing but loopback.
    pub(crate) fn add(&mut self, host: u8) {
        let name = name(host);
        tool(&["ip", "netns", "add", &name]);
        tool(&["ip", "-n", &name, "link", "set", "lo", "up"]);
        self.hosts.insert(host);
        self.filter(host, FILTER);
    }

    /// Gives a host an interface with `address`, plugged into `bridge`. The first is `eth0`.
    pub(crate) fn plug(&self, host: u8, bridge: &str, address: &str) {
        let (name, wire) = (name(host), format!("{bridge}-{host}"));
        let taken = tool(&["ip", "-n", &name, "-o", "link"]).lines().count() - 1;
        let interface = format!("eth{taken}");
        tool_with(
            &["ip", "-batch", "-"],
            &format!(
                "link add {wire} type veth peer name {interface} netns {name}\n\
                 link set {wire} master {bridge} up\n"
            ),
        );
        tool_with(
            &["ip", "-n", &name, "-batch", "-"],
            &format!("addr add {address} dev {interface}\nlink set {interface} up\n"),
        );
    }

    /// Whatever a host sends to elsewhere goes by way of `router`.
    pub(crate) fn route(&self, host: u8, router: Ipv4Addr) {
        let router = router.to_string();
        tool(&["ip", "-n", &name(host), "route", "add", "default", "via", &router]);
    }

    /// A host passes on what is not meant for it.
    pub(crate) fn forward(&self, host: u8) {
        let place = within(host);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        let switch = "echo 1 >/proc/sys/net/ipv4/ip_forward";
        tool(&[&place[..], &["sh", "-c", switch]].concat());
    }

    /// Runs `nft` in a host.
    pub(crate) fn filter(&self, host: u8, rules: &str) {
        let place = within(host);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        tool_with(&[&place[..], &["nft", "-f", "-"]].concat(), rules);
    }

    /// Nothing that `from` sends arrives at `to`.
    pub(crate) fn block(&self, from: &[u8], to: &[u8]) {
        for receiver in to {
            let others = from.iter().filter(|host| *host != receiver);
            let list: Vec<String> = others.map(|host| address(*host).to_string()).collect();
            if !list.is_empty() {
                let list = list.join(", ");
                self.filter(*receiver, &format!("add element ip cuts from {{ {list} }}\n"));
            }
        }
    }

    /// Nothing that a host sends arrives at any other.
    pub(crate) fn mute(&self, host: u8) {
        self.block(&[host], &self.others(host));
    }

    /// Nothing that others send arrives at a host.
    pub(crate) fn deafen(&self, host: u8) {
        self.block(&self.others(host), &[host]);
    }

    /// Both.
    pub(crate) fn isolate(&self, host: u8) {
        self.mute(host);
        self.deafen(host);
    }

    /// All cuts end.
    pub(crate) fn heal(&self) {
        for host in &self.hosts {
            // Adding what may not be there, so that it can be deleted in any case.
            self.filter(*host, "flush set ip cuts from\nadd table ip wall\ndelete table ip wall\n");
        }
    }

    /// From now on so many of a hundred packets between hosts are lost.
    pub(crate) fn lose(&self, percent: u8) {
        for host in &self.hosts {
            let mut rules = "flush chain ip cuts weather\n".to_owned();
            // Writing into a string never fails.
            let _ = writeln!(
                rules,
                "add rule ip cuts weather ip saddr != {OBSERVER} numgen random mod 100 < {percent} \
                 drop"
            );
            self.filter(*host, &rules);
        }
    }

    /// From now on packets of a host take that much longer, give or take a half of it. Not every
    /// kernel can.
    pub(crate) fn delay(&self, host: u8, milliseconds: u32) -> Result<(), String> {
        let (name, jitter) = (name(host), milliseconds / 2);
        let (delay, jitter) = (format!("{milliseconds}ms"), format!("{jitter}ms"));
        let words = ["tc", "-n", &name, "qdisc", "replace", "dev", "eth0", "root", "netem"];
        try_tool(&[&words[..], &["delay", &delay, &jitter]].concat()).map(|_| ())
    }

    /// A host's own firewall refuses what it sends to others: its program is told so.
    pub(crate) fn refuse(&self, host: u8) {
        self.filter(
            host,
            &format!(
                "add table ip wall\n\
                 add chain ip wall leaving {{ type filter hook output priority 0; }}\n\
                 add rule ip wall leaving oifname \"eth0\" ip daddr != {OBSERVER} drop\n"
            ),
        );
    }

    fn others(&self, host: u8) -> Vec<u8> {
        self.hosts.iter().copied().filter(|other| *other != host).collect()
    }
}

/// The namespace of a host.
fn name(host: u8) -> String {
    format!("host{host}")
}

/// What to write before a command, so that it runs in a host.
pub(crate) fn within(host: u8) -> Vec<String> {
    vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", name(host)), "--".to_owned()]
}

/// The address of a host on the bridge.
pub(crate) fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host)
}

/// Where the node of a host gossips.
pub(crate) fn gossip(host: u8) -> SocketAddr {
    (address(host), GOSSIP).into()
}

/// Where the node of a host serves HTTP.
pub(crate) fn http(host: u8) -> SocketAddr {
    (address(host), HTTP).into()
}
