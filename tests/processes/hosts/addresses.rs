//! An address that moves with the Goose, as a peer on the same network sees it: who answers when it asks
//! by ARP, and how long nobody does when it connects. The Goose is killed, frozen, cut off and told to
//! end, with its keeper and without. Never two may answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
};
use rustix::process::{Pid, Signal, kill_process};

use super::network::{OBSERVER, within};
use super::node::{Cluster, without};
use super::sandbox::{self, tool, try_tool};

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
const VIRTUAL_SIX: &str = "fd77::100";
/// Where every node answers agent-checks, on whatever addresses its host has.
const SERVICE: u16 = 9100;
/// From one question to the next.
const ASKED_EVERY: Duration = Duration::from_millis(20);
const CONNECTED_WITHIN: Duration = Duration::from_millis(50);

type Hardware = [u8; 6];

/// What the peer sees.
#[derive(Debug, Default)]
struct Seen {
    questions: usize,
    /// Who answered a question, if not one alone.
    by_two: Vec<BTreeSet<Hardware>>,
    /// Who has announced the address of IPv6.
    advertised: BTreeSet<Hardware>,
    /// When a connection was answered.
    served: Vec<Instant>,
    /// What was answered otherwise than by the Goose.
    wrong: Vec<String>,
}

/// A machine on the bridge.
struct Peer {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Peer {
    fn start() -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let work: [fn(&Mutex<Seen>, &AtomicBool); 2] = [ask, connect];
        let threads = work.map(|work| {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            std::thread::spawn(move || work(&seen, &stop))
        });
        Self { seen, stop, threads: threads.into() }
    }

    /// Whether a connection was answered since then.
    fn is_served_since(&self, since: Instant) -> Option<()> {
        let seen = self.seen.lock().unwrap();
        seen.served.last().is_some_and(|last| *last > since).then_some(())
    }

    fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// The link of the bridge, and a socket for whatever passes there.
fn link() -> (OwnedFd, LinkAddr) {
    let devices = getifaddrs().unwrap().filter(|device| device.interface_name == "bridge");
    let mut links = devices.filter_map(|device| device.address?.as_link_addr().copied());
    let link = links.next().expect("a link");
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let all = SockProtocol::EthAll;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, all).unwrap();
    bind(socket.as_raw_fd(), &link).unwrap();
    (socket, link)
}

/// Asks who has the address, over and over, and looks who says so.
fn ask(seen: &Mutex<Seen>, stop: &AtomicBool) {
    let (socket, link) = link();
    let own = link.addr().unwrap();
    let head = [&[0xff; 6][..], &own, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &own].concat();
    let question = [&head[..], &OBSERVER.octets(), &[0; 6], &VIRTUAL.octets()].concat();
    let mut frame = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        sendto(socket.as_raw_fd(), &question, &link, MsgFlags::empty()).unwrap();
        std::thread::sleep(ASKED_EVERY);
        let mut answers = BTreeSet::new();
        let mut seen = seen.lock().unwrap();
        while let Ok(count) = recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            let frame = &frame[..count];
            let is_answer = count >= 42
                && frame[12..14] == [8, 6]
                && frame[20..22] == [0, 2]
                && frame[28..32] == VIRTUAL.octets()
                && frame[38..42] == OBSERVER.octets();
            if is_answer {
                answers.insert(<Hardware>::try_from(&frame[22..28]).unwrap());
            }
            if count >= 86 && frame[12..14] == [0x86, 0xdd] && frame[54] == 136 {
                let of =
                    frame[62..78] == VIRTUAL_SIX.parse::<std::net::Ipv6Addr>().unwrap().octets();
                seen.advertised.extend(of.then(|| <Hardware>::try_from(&frame[6..12]).unwrap()));
            }
        }
        seen.questions += 1;
        if answers.len() > 1 {
            seen.by_two.push(answers);
        }
    }
}

/// Connects to whoever has the address, over and over. The Goose's word is what is to come.
fn connect(seen: &Mutex<Seen>, stop: &AtomicBool) {
    let service = SocketAddr::from((VIRTUAL, SERVICE));
    while !stop.load(Ordering::Relaxed) {
        let mut said = String::new();
        let answer =
            TcpStream::connect_timeout(&service, CONNECTED_WITHIN).and_then(|mut stream| {
                stream.set_read_timeout(Some(CONNECTED_WITHIN))?;
                stream.read_to_string(&mut said)
            });
        let mut seen = seen.lock().unwrap();
        match said.as_str() {
            "up ready\n" => seen.served.push(Instant::now()),
            // A frozen node accepts and says nothing.
            "" => {}
            other => seen.wrong.push(format!("{other:?}")),
        }
        drop(seen);
        if answer.is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How a Goose goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Killed,
    Frozen,
    Isolated,
    Restarted,
    /// With its keeper: only the kernel is left.
    AllKilled,
    AllFrozen,
}

const FATES: [Fate; 6] =
    [Fate::Killed, Fate::Frozen, Fate::Isolated, Fate::Restarted, Fate::AllKilled, Fate::AllFrozen];

/// The keeper of a process.
fn keeper_of(node: Pid) -> Pid {
    let parent = |entry: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let rest = stat.rsplit(')').next()?;
        rest.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let mut processes = std::fs::read_dir("/proc").unwrap().flatten();
    let child = processes.find(|entry| parent(entry) == Some(node.as_raw_pid()));
    let number = child.expect("a keeper").file_name().to_str().unwrap().parse().unwrap();
    Pid::from_raw(number).unwrap()
}

/// Three voters that hold the address, and answer agent-checks on it.
fn holders() -> Cluster {
    let mut cluster = Cluster::voters(3);
    for host in [1, 2, 3] {
        let node = cluster.node(host);
        let addresses = format!("{VIRTUAL}/24,{VIRTUAL_SIX}/64");
        node.held = [addresses.as_str(), "--dev", "eth0"].map(str::to_owned).to_vec();
        node.arguments.extend(["--agent-check".to_owned(), format!("0.0.0.0:{SERVICE}")]);
    }
    cluster
}

/// What a host's kernel says of its addresses.
fn addresses(host: u8) -> String {
    tool(&["ip", "-n", &format!("host{host}"), "-o", "address", "show", "dev", "eth0"])
}

/// One Goose goes and the next one comes.
fn round(cluster: &mut Cluster, peer: &Peer, fate: Fate) -> Duration {
    let (goose, term) = cluster.lead(&[1, 2, 3], 0);
    let before = Instant::now();
    cluster.wait_until("the Goose has the address", |_| peer.is_served_since(before));
    let node = cluster.node(goose).process();
    let keeper = keeper_of(node);
    let others = without(goose);
    cluster.remember(goose);
    let began = Instant::now();
    match fate {
        Fate::Killed => cluster.kill(goose),
        Fate::Restarted => {
            assert!(cluster.terminate(goose).success(), "{}", cluster.logs());
            assert!(!addresses(goose).contains("10.77.0.100"), "it was dropped before");
        }
        Fate::Frozen => kill_process(node, Signal::STOP).unwrap(),
        Fate::Isolated => cluster.network.isolate(goose),
        Fate::AllKilled => {
            kill_process(keeper, Signal::KILL).unwrap();
            cluster.kill(goose);
        }
        Fate::AllFrozen => {
            kill_process(keeper, Signal::STOP).unwrap();
            kill_process(node, Signal::STOP).unwrap();
        }
    }
    let (next, _) = cluster.lead(&others, term);
    let elected = Instant::now();
    cluster.wait_until("the next Goose has the address", |_| peer.is_served_since(elected));
    assert!(addresses(next).contains("10.77.0.100/24"), "{}", addresses(next));
    match fate {
        Fate::Killed | Fate::Restarted | Fate::AllKilled => cluster.start(goose),
        Fate::Isolated => cluster.network.heal(),
        Fate::Frozen | Fate::AllFrozen => {
            kill_process(node, Signal::CONT).unwrap();
            kill_process(keeper, Signal::CONT).unwrap();
        }
    }
    cluster.lead(&[1, 2, 3], term);
    cluster.wait_until("the old Goose has it no more", |_| {
        (!addresses(goose).contains("10.77.0.100")).then_some(())
    });
    let seen = peer.seen.lock().unwrap();
    let around = seen.served.windows(2).filter(|two| two[1] > began && two[0] < elected);
    let gaps = around.map(|two| two[1] - two[0]);
    gaps.max().unwrap_or_default()
}

#[test]
fn the_address_moves_with_the_goose_and_never_two_answer_for_it() {
    sandbox::run(|| {
        let rounds = std::env::var("GAGGLE_ROUNDS").ok().and_then(|text| text.parse().ok());
        let rounds: usize = rounds.unwrap_or(FATES.len());
        let mut cluster = holders();
        cluster.start_all();
        let (goose, _) = cluster.lead(&[1, 2, 3], 0);
        let peer = Peer::start();
        let began = Instant::now();
        cluster.wait_until("somebody has the address", |_| peer.is_served_since(began));
        let of_six = addresses(goose);
        let of_six = of_six.lines().find(|line| line.contains("fd77::100/64")).unwrap_or_default();
        assert!(!of_six.contains("tentative") && of_six.contains("valid_lft 1sec"), "{of_six}");

        let mut gaps: BTreeMap<Fate, Vec<Duration>> = BTreeMap::new();
        for fate in FATES.into_iter().cycle().take(rounds) {
            let gap = round(&mut cluster, &peer, fate);
            gaps.entry(fate).or_default().push(gap);
        }
        let seen = peer.stop();
        for (fate, gaps) in &mut gaps {
            gaps.sort();
            println!(
                "{fate:?}: {} rounds, unreachable for {} ms (median), {} ms at worst",
                gaps.len(),
                gaps[gaps.len() / 2].as_millis(),
                gaps[gaps.len() - 1].as_millis()
            );
        }
        println!(
            "{} questions, {} answered by two; {} connections served, {} by another than the Goose; \
             {} machines advertised the address of IPv6",
            seen.questions,
            seen.by_two.len(),
            seen.served.len(),
            seen.wrong.len(),
            seen.advertised.len()
        );
        assert!(seen.by_two.is_empty(), "{:?}\n{}", seen.by_two, cluster.logs());
        // A keeper that its machine gives no time to drops the address late, which is why the next node
        // waits before it takes it. Two never answer; one may for a moment that leads no more.
        let (wrong, served) = (seen.wrong.len(), seen.served.len());
        assert!(wrong * 20 <= served, "{wrong} of {served}: {:?}", seen.wrong);
        assert!(seen.advertised.len() > 1, "{:?}", seen.advertised);
        println!("{}", cluster.judge().summary());
    });
}

/// A node alone, with an address on its device `device`.
fn alone(device: &str) -> Cluster {
    let mut cluster = Cluster::voters(1);
    cluster.node(1).held = ["10.78.0.100/24", "--dev", device].map(str::to_owned).to_vec();
    cluster.node(1).arguments.push("--alone".to_owned());
    cluster
}

/// Waits until the log has these words so many times.
fn said(cluster: &mut Cluster, words: &str, times: usize) {
    cluster.wait_until(words, |cluster| {
        (cluster.node(1).log().matches(words).count() >= times).then_some(())
    });
}

#[test]
fn that_neighbours_cannot_be_told_is_said_once() {
    sandbox::run(|| {
        let mut cluster = alone("lo");
        cluster.start(1);
        let cannot =
            "neighbours cannot be told that 10.78.0.100/24 on lo is here (Operation not supported";
        said(&mut cluster, cannot, 1);
        said(
            &mut cluster,
            "lo is no Ethernet: have a route lead to this machine some other way",
            1,
        );
        let log = cluster.node(1).log();
        assert_eq!(log.matches("neighbours cannot be told").count(), 1, "said once: {log}");
    });
}

#[test]
fn a_node_whose_device_is_down_does_not_lead_and_says_why() {
    sandbox::run(|| {
        // It speaks with others on one network, and has the address on another, whose cable is out.
        let mut cluster = alone("eth1");
        tool(&["ip", "link", "add", "side", "type", "bridge"]);
        cluster.network.plug(1, "side", "10.78.0.1/24");
        let cable = |state| tool(&["ip", "link", "set", "side-1", state]);
        let having = || tool(&["ip", "-n", "host1", "-o", "address", "show", "dev", "eth1"]);
        cable("down");
        cluster.start(1);
        let why = "this node is not healthy: it votes, but does not lead: eth1 is down, or nothing is \
                   connected to it: `ip link show eth1` says which";
        said(&mut cluster, why, 1);
        assert!(!cluster.node(1).log().contains("became Goose"), "{}", cluster.logs());
        cable("up");
        said(&mut cluster, "this machine has 10.78.0.100/24 on eth1, in term", 1);
        cable("down");
        said(&mut cluster, "this machine has 10.78.0.100/24 on eth1 no more", 1);
        said(
            &mut cluster,
            "dropping 10.78.0.100/24 on eth1: eth1 is down, or nothing is connected",
            1,
        );
        said(&mut cluster, "is over: it is not healthy", 1);
        assert!(!having().contains("10.78.0.100"), "{}", having());
        // A Duck says it, too, and leads once there is a device again.
        cable("up");
        said(&mut cluster, "this machine has 10.78.0.100/24 on eth1, in term", 2);
    });
}

#[test]
fn what_an_earlier_life_left_is_removed_and_what_is_there_for_good_is_refused() {
    sandbox::run(|| {
        let mut cluster = holders();
        let add = |host: u8, rest: &[&str]| {
            let words = ["ip", "-n", &format!("host{host}"), "address", "add"];
            tool(&[&words[..], &["10.77.0.100/24", "dev", "eth0"], rest].concat());
        };
        // As after a loss of all processes: with the longest lifetime that there may be, so that it is seen.
        add(2, &["valid_lft", "9", "preferred_lft", "9"]);
        for host in [3, 2, 1] {
            cluster.start(host);
        }
        let (goose, _) = cluster.lead(&[1, 2, 3], 0);
        let log = cluster.node(2).log();
        let words = "10.77.0.100/24 was still on eth0, of an earlier life: removed";
        assert!(log.contains(words), "{log}");
        assert!(log.find(words) < log.find("started, boot"), "before it joins: {log}");
        cluster.wait_until("the Goose alone has it", |_| {
            let having = [1, 2, 3].into_iter().filter(|it| addresses(*it).contains("10.77.0.100"));
            (having.collect::<Vec<u8>>() == [goose]).then_some(())
        });

        let duck = without(goose)[0];
        cluster.terminate(duck);
        let mut words = within(duck);
        words.push(super::node::program().display().to_string());
        words.extend(cluster.node(duck).words());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // What somebody else has put there, in one way or another, is named and not touched.
        for (address, rest, expected) in [
            ("10.77.0.100/24", &[][..], "/24 is on eth0 for good, whoever leads: remove it"),
            (
                "10.77.0.100/24",
                &["valid_lft", "1000", "preferred_lft", "1000"],
                "for another 1000 s",
            ),
            (
                "10.77.0.100/32",
                &["valid_lft", "9", "preferred_lft", "9"],
                "another prefix than /24",
            ),
        ] {
            let host = format!("host{duck}");
            let about = |what| ["ip", "-n", &host, "address", what, address, "dev", "eth0"];
            tool(&[&about("add")[..], rest].concat());
            let refusal = try_tool(&words).expect_err("it is refused");
            assert!(refusal.contains("exit status: 2"), "{refusal}");
            assert!(refusal.contains("gaggle: 10.77.0.100/"), "{refusal}");
            assert!(refusal.contains(expected), "{refusal}");
            assert!(addresses(duck).contains(address), "nothing is touched");
            tool(&about("del"));
        }
        let elsewhere = words.iter().map(|word| if *word == "eth0" { "eth7" } else { word });
        let refusal = try_tool(&elsewhere.collect::<Vec<_>>()).expect_err("it is refused");
        assert!(refusal.contains("there is no device eth7 on this machine"), "{refusal}");
        let setting = "net.ipv6.conf.eth0.disable_ipv6=1";
        tool(
            &[&within(duck)[..], &["sysctl", "-qw", setting].map(str::to_owned)]
                .concat()
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        let refusal = try_tool(&words).expect_err("it is refused");
        assert!(
            refusal.contains("IPv6 is switched off on eth0, so it cannot have fd77::100/64"),
            "{refusal}"
        );
    });
}
