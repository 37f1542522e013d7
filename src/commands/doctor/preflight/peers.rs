//! Whether the others are reached over UDP, and reach this machine.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::question::{Heard, Questions, is_within_reach};
use crate::commands::arguments::AskArguments;
use crate::commands::doctor::findings::{Findings, Verdict};
use crate::commands::{CommandError, entropy, one_line, runtime};
use crate::config::checked::{Checked, HTTP_PORT_OFFSET};
use crate::config::names::LookUp;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::StatusView;
use crate::shell::http::client::{Client, NodeUrl, Question};
use crate::vocabulary::identity::{Process, normalised};
use crate::vocabulary::reject::Reject;
use crate::wire::datagram::DATAGRAM_SIZE_MAX;
use crate::wire::message::Welcome;
use crate::wire::seal::hint_of;

/// Whoever is silent is asked again this often.
const INTERVAL: Duration = Duration::from_millis(250);
/// So long the same command elsewhere is still answered after all is known here.
const LINGER: Duration = Duration::from_secs(1);
/// So long a peer's HTTP is waited for.
const HTTP_WITHIN: Duration = Duration::from_secs(1);
/// So many addresses are asked at most.
const ADDRESSES_MAX: usize = 64;
/// So many names are looked up at a time.
const NAMES_AT_ONCE: usize = 16;
const ABOUT: &str = "peer";

/// What is known of one address.
#[derive(Default)]
struct Peer {
    asked: Option<Instant>,
    welcome: Option<(Box<Welcome>, Process, Duration)>,
    has_answered_full_size: bool,
    /// It asks as well: whether it is of this cluster, and whether it has received anything.
    question: Option<(bool, bool)>,
    /// What it sent last, to be echoed.
    token: u32,
    /// The longest datagram that came from there, in bytes.
    longest: usize,
    refused: Option<(Reject, Option<String>)>,
}

impl Peer {
    fn is_settled(&self) -> bool {
        let asks = self.question.is_some_and(|(_, echoes)| echoes);
        self.welcome.is_some() && self.has_answered_full_size
            || asks && self.longest == DATAGRAM_SIZE_MAX
    }

    fn hear(&mut self, heard: Heard, datagram: &[u8]) {
        self.longest = self.longest.max(datagram.len());
        match heard {
            Heard::Welcome { welcome, sender, is_full_size } => {
                self.has_answered_full_size |= is_full_size;
                let round_trip = self.asked.map_or(Duration::ZERO, |at| at.elapsed());
                self.welcome.get_or_insert((welcome, sender, round_trip));
            }
            Heard::Question { echoes, is_akin, token } => {
                self.token = token;
                let echoed = self.question.is_some_and(|(_, echoed)| echoed);
                self.question = Some((is_akin, echoes || echoed));
            }
            Heard::Refused(reject) => self.refused = Some((reject, hint_of(datagram))),
            Heard::Other => {}
        }
    }
}

/// Asks all whom the settings name, from `socket`, or from another port where that one is taken.
pub(super) fn examine(
    findings: &mut Findings,
    checked: &Checked,
    socket: Option<UdpSocket>,
    arguments: &AskArguments,
) -> Result<(), CommandError> {
    let (limit, client) = (arguments.timeout, arguments.client()?);
    let own_port = socket.is_some();
    let elsewhere = || UdpSocket::bind((checked.listen.ip(), 0)).ok();
    let Some(socket) = socket.or_else(elsewhere) else { return Ok(()) };
    let names = looked_up(findings, checked);
    if names.is_empty() {
        let words = "no other node is named (--seed, --voters): this one founds a cluster";
        findings.add(Verdict::Ok, ABOUT, words);
        return Ok(());
    }
    let reachable = |address: &&SocketAddr| is_within_reach(checked.listen, **address);
    let addresses = names.values().flatten().filter(reachable).take(ADDRESSES_MAX);
    let mut peers: BTreeMap<_, _> = addresses.map(|it| (*it, Peer::default())).collect();
    let mut questions = Questions::new(checked, entropy()?);
    converse(&socket, &mut peers, &mut questions, limit).map_err(CommandError::Process)?;
    let not_asked = Peer::default();
    for (name, addresses) in &names {
        for address in addresses {
            let known = peers.get(address).unwrap_or(&not_asked);
            let called = if *name == address.to_string() {
                name.clone()
            } else {
                format!("{name} ({address})")
            };
            judge(findings, checked, &called, *address, known, (limit, &client))?;
        }
    }
    if !own_port {
        let words = "the others were asked from another port than the node's own, which is taken: \
                     whether a firewall lets that one through is not known";
        findings.add(Verdict::Odd, ABOUT, words);
    }
    Ok(())
}

/// The addresses behind the names of the settings, but for this node's own.
fn looked_up(findings: &mut Findings, checked: &Checked) -> BTreeMap<String, Vec<SocketAddr>> {
    let setup = &checked.setup;
    let mut names: Vec<String> = setup.seeds.clone();
    names.extend(setup.voter_addresses.iter().map(|(_, address)| address.to_string()));
    names.extend(setup.voter_names.iter().map(|(_, name)| name.clone()));
    names.sort_unstable();
    names.dedup();
    let mut found = BTreeMap::new();
    for some in names.chunks(NAMES_AT_ONCE) {
        let answers = thread::scope(|scope| {
            let ask = |name: &String| (LookUp::default().0)(name);
            let threads: Vec<_> =
                some.iter().map(|name| (name, scope.spawn(move || ask(name)))).collect();
            let wait = |(name, thread): (&String, thread::ScopedJoinHandle<'_, _>)| {
                (name.clone(), thread.join().unwrap_or_else(|_| Err("it failed".to_owned())))
            };
            threads.into_iter().map(wait).collect::<Vec<_>>()
        });
        for (name, answer) in answers {
            match answer {
                Ok(addresses) => {
                    let own = [checked.listen, setup.address].map(normalised);
                    let others = addresses.into_iter().map(normalised);
                    let others: Vec<_> = others.filter(|it| !own.contains(it)).collect();
                    if !others.is_empty() {
                        found.insert(name, others);
                    }
                }
                Err(reason) => {
                    let words = format!("{name} cannot be looked up: {}", one_line(&reason));
                    findings.add(Verdict::Odd, ABOUT, words);
                }
            }
        }
    }
    found
}

/// Asks until everything is known, or the time is over.
fn converse(
    socket: &UdpSocket,
    peers: &mut BTreeMap<SocketAddr, Peer>,
    questions: &mut Questions,
    limit: Duration,
) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    let begun = Instant::now();
    let mut asked: Option<Instant> = None;
    let mut settled: Option<Instant> = None;
    let mut buffer = [0; DATAGRAM_SIZE_MAX + 1];
    while begun.elapsed() < limit {
        if asked.is_none_or(|at| at.elapsed() >= INTERVAL) {
            let now = Instant::now();
            asked = Some(now);
            for (address, peer) in peers.iter_mut() {
                if peer.welcome.is_some() && peer.has_answered_full_size {
                    continue;
                }
                peer.asked = Some(now);
                for is_full_size in [false, true] {
                    if let Some(datagram) = questions.ask(is_full_size, peer.token) {
                        // What cannot be sent shows as silence.
                        let _ = socket.send_to(&datagram, address);
                    }
                }
            }
        }
        if peers.values().all(Peer::is_settled) {
            let since = *settled.get_or_insert_with(Instant::now);
            let is_awaited = peers.values().any(|peer| peer.question.is_some());
            if !is_awaited || since.elapsed() >= LINGER {
                break;
            }
        }
        let rest = INTERVAL.saturating_sub(asked.map_or(INTERVAL, |at| at.elapsed()));
        socket.set_read_timeout(Some(rest.max(Duration::from_millis(1))))?;
        // Time over, or the kernel's word of an earlier datagram: nothing came.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(peer) = peers.get_mut(&normalised(from)) {
            let datagram = &buffer[..length];
            peer.hear(questions.understand(datagram), datagram);
        }
    }
    Ok(())
}

/// Says what is known of one peer.
fn judge(
    findings: &mut Findings,
    checked: &Checked,
    called: &str,
    address: SocketAddr,
    peer: &Peer,
    (limit, client): (Duration, &Client),
) -> Result<(), CommandError> {
    if !is_within_reach(checked.listen, address) {
        let words = format!("{called} is not asked: {} is of the other family", checked.listen);
        findings.add(Verdict::Odd, ABOUT, words);
        return Ok(());
    }
    if let Some((welcome, sender, round_trip)) = &peer.welcome {
        welcomed(findings, called, welcome, *sender, *round_trip);
        small_only(findings, called, peer.has_answered_full_size);
        return Ok(());
    }
    let (verdict, words) = match (&peer.question, &peer.refused) {
        (Some((false, _)), _) => {
            (Verdict::Wrong, format!("{called} asks for another cluster: compare --cluster"))
        }
        (Some((true, false)), _) => (
            Verdict::Wrong,
            format!(
                "{called} is heard here, and says that nothing from here arrives there: a firewall \
                 drops UDP on the way there, or others are told a wrong address (--advertise)"
            ),
        ),
        (Some((true, true)), _) => {
            let words = format!(
                "{called}: no node runs there yet; a preflight there hears this one and is heard, \
                 under the same key"
            );
            (Verdict::Ok, words)
        }
        (None, Some((reject, hint))) => {
            (Verdict::Wrong, misunderstood(checked, called, *reject, hint.as_deref()))
        }
        (None, None) => silent(checked, called, address, limit, client)?,
    };
    findings.add(verdict, ABOUT, words);
    if peer.question == Some((true, true)) {
        small_only(findings, called, peer.longest == DATAGRAM_SIZE_MAX);
    }
    Ok(())
}

fn welcomed(
    findings: &mut Findings,
    called: &str,
    welcome: &Welcome,
    sender: Process,
    round_trip: Duration,
) {
    let ids = welcome.configuration.voters.ids().iter().map(ToString::to_string);
    let voters = ids.collect::<Vec<_>>().join(", ");
    let goose = welcome.goose.as_ref().map_or_else(
        || "it knows no Goose".to_owned(),
        |goose| format!("the Goose is {}", goose.process.id),
    );
    let words = format!(
        "{called} answers within {round_trip:.1?}: it is node {} of this cluster; voters {voters}; \
         {goose}",
        sender.id
    );
    findings.add(Verdict::Ok, ABOUT, words);
}

/// Whether the largest datagrams arrive, too.
fn small_only(findings: &mut Findings, called: &str, large_arrive: bool) {
    if !large_arrive {
        let words = format!(
            "{called}: datagrams of {DATAGRAM_SIZE_MAX} bytes do not arrive, though small ones do: \
             look to the MTU of the interfaces and tunnels on the way (1280 or more)"
        );
        findings.add(Verdict::Wrong, ABOUT, words);
    }
}

fn misunderstood(checked: &Checked, called: &str, reject: Reject, hint: Option<&str>) -> String {
    let theirs = hint.unwrap_or("unknown");
    match (reject, checked.setup.keys.as_ref()) {
        (Reject::UnknownKey, Some(keys)) => format!(
            "{called} seals with key {theirs}, which is not among this node's ({}): give both the \
             same --key-file",
            keys.hints().join(", ")
        ),
        (Reject::UnknownKey, None) => format!(
            "{called} seals what it sends (key {theirs}), and this node has no key: give it \
             --key-file"
        ),
        (Reject::Unsealed, _) => format!(
            "{called} speaks without a key, and this node seals: give that one the same --key-file"
        ),
        (Reject::TooNew, _) => format!(
            "{called} speaks a later version of the protocol: install that version of gaggle here"
        ),
        (Reject::TooOld, _) => format!(
            "{called} speaks an earlier version of the protocol: install this version of gaggle there"
        ),
        _ => format!("{called} sends what cannot be understood ({})", reject.name()),
    }
}

/// Nobody answers over UDP: HTTP may tell more.
fn silent(
    checked: &Checked,
    called: &str,
    address: SocketAddr,
    limit: Duration,
    client: &Client,
) -> Result<(Verdict, String), CommandError> {
    let port = address.port().checked_add(HTTP_PORT_OFFSET);
    let place = port.map(|port| SocketAddr::new(address.ip(), port));
    // All nodes serve HTTP alike, as a rule.
    let is_tls = checked.http_tls.is_some();
    let answer = place.map(|place| {
        let node = NodeUrl::at(place, is_tls);
        let answer = runtime().map(|runtime| {
            runtime.block_on(client.ask(&node, Question::Get(paths::STATUS), HTTP_WITHIN))
        });
        answer.map(|answer| (node, answer))
    });
    let status = answer.transpose()?.and_then(|(place, answer)| {
        let status: StatusView = serde_json::from_slice(&answer.ok()?.body).ok()?;
        Some((place, status))
    });
    let setup = &checked.setup;
    Ok(match status {
        None => {
            let words = format!(
                "nobody answers at {called} over UDP within {limit:?}: no node runs there yet (run \
                 this command there at the same time, with --timeout 1m), or a firewall drops UDP \
                 on the way there or back"
            );
            (Verdict::Odd, words)
        }
        Some((place, status)) if status.cluster != setup.cluster.as_str() => {
            let words = format!(
                "{called} belongs to cluster {:?}, says HTTP at {place}: compare --cluster",
                status.cluster
            );
            (Verdict::Wrong, words)
        }
        // A node does not answer its own id.
        Some((_, status)) if status.node.id == setup.id => {
            let words = format!(
                "{called} is node {} already, and this one would be its twin: give this one another \
                 --id, or stop that one",
                setup.id
            );
            (Verdict::Wrong, words)
        }
        Some((place, status)) => {
            let key = setup.keys.as_ref().map_or_else(
                || "this node has none".to_owned(),
                |keys| format!("this node's: {}", keys.hints().join(", ")),
            );
            let words = format!(
                "node {} at {called} does not answer over UDP, though HTTP does at {place}: its keys \
                 are others (`gaggle check` there shows them; {key}), or a firewall drops UDP",
                status.node.called()
            );
            (Verdict::Wrong, words)
        }
    })
}
