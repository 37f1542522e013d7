//! `gaggle doctor`: looks for what is wrong with a node, its machine and its cluster, and says
//! what to do about it.
//!
//! Each check ends in "ok", "odd" (it works, but somebody should know) or "wrong". Assumption:
//! the other voters serve HTTP on their own port + 1000, as is the default; where they do not,
//! that is said and the view of the node asked has to do.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::arguments::{DoctorArguments, OutputFormat};
use super::ask::{Conversation, still};
use super::table::{self, colour_allowed};
use super::{CommandError, Exit, print, runtime};
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{StatusView, VoterView, VotersView};
use crate::shell::http::client::{self, NodeUrl, Question};
use crate::shell::socket::BUFFER_SIZE;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::reject::Reject;

/// Writes that are timed.
const WRITES: u32 = 10;
/// Slower than this, writing the record delays elections.
const WRITE_ODD: Duration = Duration::from_millis(50);
/// HTTP is this far from gossip unless told otherwise.
const HTTP_OFFSET: u16 = 1000;

/// Why datagrams are refused that somebody sends by mistake, and what to do.
const MENDABLE: [(Reject, &str); 8] = [
    (Reject::UnknownKey, "sealed with a key that this node lacks: give all nodes one --key-file"),
    (Reject::Unsealed, "not sealed, but this node has a key: give their senders the --key-file"),
    (Reject::Forged, "not sealed with the key that they name: forged, or damaged on their way"),
    (Reject::ForeignCluster, "of another --cluster: correct the name, or the seed that leads here"),
    (
        Reject::ForeignVoters,
        "of a cluster of this name that was founded with other --voters, another --preempt, with \
         longer leases, or with or without --ephemeral",
    ),
    (Reject::TooNew, "of a later version of the protocol: update this node"),
    (Reject::TooOld, "of an earlier version of the protocol: update the nodes that send them"),
    (Reject::Damaged, "damaged on their way: look after the network's cards and cables"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Odd,
    Wrong,
}

#[derive(Debug, serde::Serialize)]
struct Finding {
    verdict: Verdict,
    about: &'static str,
    words: String,
}

/// All that was found.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, about: &'static str, words: impl Into<String>) {
        self.0.push(Finding { verdict, about, words: words.into() });
    }

    fn ok_if(&mut self, fine: bool, otherwise: Verdict, about: &'static str, words: [String; 2]) {
        let [good, bad] = words;
        if fine { self.add(Verdict::Ok, about, good) } else { self.add(otherwise, about, bad) }
    }

    fn worst(&self) -> Verdict {
        self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }
}

/// Examines the node; exit 0 if nothing is wrong, 3 if nobody leads, 1 for anything else.
pub(super) fn doctor(arguments: &DoctorArguments) -> Result<Exit, CommandError> {
    let node = Conversation::begin(&arguments.ask)?;
    let before = Instant::now();
    let status: StatusView = node.understood(&node.ask(paths::STATUS)?)?;
    let round_trip = before.elapsed();
    let mut findings = Findings::default();
    findings.add(
        Verdict::Ok,
        "node",
        format!("node {} answers HTTP within {round_trip:.1?}", status.node.id),
    );
    if let Some(age) = status.node.stuck_for() {
        let words =
            format!("the node is stuck: its driver has not come round for {age:.1?}. Restart it");
        findings.add(Verdict::Wrong, "node", words);
    }
    hanging_disk(&mut findings, &status);
    drained(&mut findings, &status);
    if status.node.addr.ip().to_canonical().is_loopback() || is_here(&status) {
        machine(&mut findings);
    }
    if let Some(folder) = &arguments.state_dir {
        state_folder(&mut findings, folder);
    }
    leadership(&mut findings, &status);
    match node.ask(paths::VOTERS).and_then(|answer| node.understood(&answer)) {
        Ok(voters) => examine_voters(&mut findings, arguments, &status, &voters)?,
        Err(error) => findings.add(Verdict::Wrong, "voters", error.to_string()),
    }
    match node.ask("/metrics") {
        Ok(answer) => {
            let metrics = String::from_utf8_lossy(&answer.body);
            refusals(&mut findings, &metrics);
            log(&mut findings, &metrics);
        }
        Err(error) => findings.add(Verdict::Wrong, "datagrams", error.to_string()),
    }
    report(arguments, &findings)?;
    Ok(match findings.worst() {
        Verdict::Wrong if status.goose.is_none() => Exit::NoGoose,
        Verdict::Wrong => Exit::Failure,
        _ => Exit::Done,
    })
}

/// Whether the node is on this machine: then an address of it can be opened here.
fn is_here(status: &StatusView) -> bool {
    std::net::UdpSocket::bind((status.node.addr.ip(), 0)).is_ok()
}

/// What of this machine matters: its clock and its buffers.
fn machine(findings: &mut Findings) {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    if let Ok(source) = std::fs::read_to_string(path) {
        let source = source.trim();
        let steady = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"];
        findings.ok_if(
            steady.contains(&source),
            Verdict::Odd,
            "clock",
            [
                format!("the clock source is {source}"),
                format!("the clock source is {source}: leases need a rate true to 0.5 %"),
            ],
        );
    }
    for (name, what) in [("rmem_max", "receive"), ("wmem_max", "send")] {
        let path = format!("/proc/sys/net/core/{name}");
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let granted: usize = text.trim().parse().unwrap_or(0);
        findings.ok_if(
            granted >= BUFFER_SIZE,
            Verdict::Odd,
            "buffers",
            [
                format!("the {what} buffer may be {granted} bytes"),
                format!(
                    "the {what} buffer may be {granted} bytes, and a node asks for {BUFFER_SIZE}: \
                     in large clusters, sysctl -w net.core.{name}={BUFFER_SIZE}"
                ),
            ],
        );
    }
}

/// How long a record takes to be durable.
fn state_folder(findings: &mut Findings, folder: &Path) {
    let about = "state folder";
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let tried = || -> std::io::Result<Duration> {
        let mut file = std::fs::File::options().write(true).create_new(true).open(&path)?;
        let before = Instant::now();
        for _ in 0..WRITES {
            file.write_all(&[0; 512])?;
            file.sync_data()?;
        }
        Ok(before.elapsed() / WRITES)
    };
    let outcome = tried();
    // It may never have been made.
    let _ = std::fs::remove_file(&path);
    let shown = folder.display();
    match outcome {
        Err(error) => findings.add(
            Verdict::Wrong,
            about,
            format!("{shown} cannot be written to: {error}. A voter grants nothing without it"),
        ),
        Ok(time) => findings.ok_if(
            time < WRITE_ODD,
            Verdict::Odd,
            about,
            [
                format!("{shown}: a durable write takes {time:.1?}"),
                format!("{shown}: a durable write takes {time:.1?}, which delays elections"),
            ],
        ),
    }
}

/// A disk that does not answer, as its node says.
fn hanging_disk(findings: &mut Findings, status: &StatusView) {
    if let Some(hangs) = status.node.disk_hangs_ms {
        let words = format!(
            "the disk of node {} has not confirmed a write for {hangs} ms: as a voter, it grants \
             nothing new until it does. Look to the disk that its state folder is on",
            status.node.id
        );
        findings.add(Verdict::Wrong, "disk", words);
    }
}

/// A node that was told to hold back, for good or for a while: somebody may have forgotten that.
fn drained(findings: &mut Findings, status: &StatusView) {
    if status.node.drained {
        let words = format!(
            "node {} is drained: it votes, but does not lead until it is told `gaggle drain --off`",
            status.node.id
        );
        findings.add(Verdict::Odd, "drained", words);
    }
    if status.node.paused_ms.is_some() {
        let words =
            format!("node {} is paused until `gaggle resume`, or for a while", status.node.id);
        findings.add(Verdict::Odd, "paused", words);
    }
    if let Some(left) = status.node.holds_back_ms {
        let words = format!("node {} holds back for {}", status.node.id, still(left));
        findings.add(Verdict::Ok, "hold", words);
    }
}

fn leadership(findings: &mut Findings, status: &StatusView) {
    match &status.goose {
        Some(goose) => findings.add(
            Verdict::Ok,
            "goose",
            format!("node {} at {} is the Goose of term {}", goose.id, goose.addr, goose.term),
        ),
        None => findings.add(Verdict::Wrong, "goose", "this node knows no Goose"),
    }
    if let Some(lease) = &status.lease {
        findings.add(
            Verdict::Ok,
            "lease",
            format!(
                "the lease is {} ms: if this machine dies at once, a successor comes within about \
                 {} ms",
                lease.duration_ms,
                lease.duration_ms + lease.duration_ms / 200 + 1
            ),
        );
    }
}

fn examine_voters(
    findings: &mut Findings,
    arguments: &DoctorArguments,
    status: &StatusView,
    voters: &VotersView,
) -> Result<(), CommandError> {
    let is_voter = status.voters.as_ref().is_some_and(|voters| voters.is_voter);
    let asks = is_voter || voters.voters.iter().any(|voter| voter.answered_ms.is_some());
    if !asks {
        findings.add(
            Verdict::Odd,
            "voters",
            "this node is no voter and stands by for nobody, so it does not ask the voters: examine \
             a voter",
        );
    }
    let runtime = runtime()?;
    let mut reachable = 0;
    for voter in &voters.voters {
        if voter.id == status.node.id {
            reachable += 1;
            continue;
        }
        let there = runtime.block_on(other_side(voter, arguments.ask.timeout));
        reachable += usize::from(voter.reachable);
        both_ways(findings, status, voter, there, asks, is_voter);
    }
    if !voters.awaited.is_empty() {
        findings.add(
            Verdict::Wrong,
            "record",
            crate::shell::journal::without_record(
                voters.awaited.iter().map(|awaited| (awaited.id, awaited.lack.as_str())),
            ),
        );
    }
    if asks {
        let all = voters.voters.len();
        findings.ok_if(
            reachable >= voters.majority,
            Verdict::Wrong,
            "quorum",
            [
                format!("{reachable} of {all} voters reachable; {} needed", voters.majority),
                format!(
                    "quorum lost: {reachable} of {all} voters reachable, {} needed. Start the \
                     others, or mend the way to them (UDP)",
                    voters.majority
                ),
            ],
        );
    }
    if voters.voters.len() == 1 {
        let words = "there is one voter: nobody leads if it dies. Found the cluster with three";
        findings.add(Verdict::Odd, "voters", words);
    }
    Ok(())
}

/// What a voter says of itself, and how long it took to say so.
async fn other_side(voter: &VoterView, limit: Duration) -> Option<(StatusView, Duration)> {
    let address = voter.addr?;
    let port = address.port().checked_add(HTTP_OFFSET)?;
    let node = NodeUrl::from(SocketAddr::new(address.ip(), port));
    let before = Instant::now();
    let answer = client::ask(&node, Question::Get(paths::STATUS), limit).await.ok()?;
    let status: StatusView = serde_json::from_slice(&answer.body).ok()?;
    // Another node may live at that port.
    (status.node.id == voter.id).then(|| (status, before.elapsed()))
}

fn both_ways(
    findings: &mut Findings,
    own: &StatusView,
    voter: &VoterView,
    there: Option<(StatusView, Duration)>,
    asks: bool,
    is_voter: bool,
) {
    let id = voter.id;
    if asks {
        findings.ok_if(
            voter.reachable,
            Verdict::Wrong,
            "voter",
            [
                format!("voter {id} answers this node"),
                match voter.addr {
                    Some(address) => format!(
                        "voter {id} at {address} does not answer this node: is it up, and does UDP \
                         get through both ways?"
                    ),
                    None => {
                        format!("voter {id} was never heard: is it up, and are its seeds right?")
                    }
                },
            ],
        );
    }
    let Some((status, round_trip)) = there else {
        let words = format!("voter {id} does not answer HTTP at its port + {HTTP_OFFSET}");
        findings.add(Verdict::Odd, "voter", words);
        return;
    };
    if let Some(age) = status.node.stuck_for() {
        let words = format!("voter {id} is stuck: its driver has not come round for {age:.1?}");
        findings.add(Verdict::Wrong, "voter", words);
    }
    hanging_disk(findings, &status);
    drained(findings, &status);
    let sees = status.voters.as_ref().is_some_and(|it| it.reachable.contains(&own.node.id));
    if is_voter {
        findings.ok_if(
            sees,
            Verdict::Wrong,
            "voter",
            [
                format!("voter {id} hears this node; HTTP round trip {round_trip:.1?}"),
                if voter.reachable {
                    format!(
                        "voter {id} is not answered by this node: UDP gets through one way only"
                    )
                } else {
                    format!("voter {id} is not answered by this node either")
                },
            ],
        );
    }
    same_cluster(findings, own, &status, id);
    let term = |status: &StatusView| status.goose.as_ref().map(|goose| (goose.id, goose.term));
    if term(own) != term(&status) {
        let words = format!("voter {id} names another Goose: an election, or a cut network");
        findings.add(Verdict::Odd, "goose", words);
    }
}

fn same_cluster(findings: &mut Findings, own: &StatusView, there: &StatusView, id: NodeId) {
    let set = |status: &StatusView| {
        let voters = status.voters.as_ref().map(|voters| {
            let ids: Vec<String> = voters.ids.iter().map(ToString::to_string).collect();
            format!("voters {} (version {})", ids.join(", "), voters.version)
        });
        format!("cluster {} with {}", status.cluster, voters.as_deref().unwrap_or("no voters yet"))
    };
    findings.ok_if(
        set(own) == set(there),
        Verdict::Wrong,
        "configuration",
        [
            format!("voter {id} has the same cluster and voters"),
            format!(
                "voter {id} has other voters or another cluster name: {} there, {} here",
                set(there),
                set(own)
            ),
        ],
    );
}

/// What the node refused since its start and people can mend, from its metrics.
fn refusals(findings: &mut Findings, metrics: &str) {
    let mut seen = false;
    for (reason, words) in MENDABLE {
        let name = format!("gaggle_datagrams_dropped_total{{reason=\"{}\"}} ", reason.name());
        if let Some(count) = counted(metrics, &name).filter(|count| *count > 0) {
            let words = format!("{count} refused since the node started: {words}");
            findings.add(Verdict::Odd, "datagrams", words);
            seen = true;
        }
    }
    if !seen {
        let words = "none was refused for its key, its cluster, its voters or its version";
        findings.add(Verdict::Ok, "datagrams", words);
    }
}

/// What is counted under `name`, which ends in a space.
fn counted(metrics: &str, name: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok())
}

/// Whether somebody reads what the node says.
fn log(findings: &mut Findings, metrics: &str) {
    let dropped = counted(metrics, "gaggle_log_lines_dropped_total ");
    if let Some(count) = dropped.filter(|count| *count > 0) {
        let words = format!(
            "{count} lines were dropped since the node started: nobody read its standard error, or \
             it is closed"
        );
        findings.add(Verdict::Odd, "log", words);
    }
}

fn report(arguments: &DoctorArguments, findings: &Findings) -> Result<(), CommandError> {
    let verdict = findings.worst();
    if arguments.ask.output == OutputFormat::Json {
        let report = serde_json::json!({ "verdict": verdict, "findings": findings.0 });
        print(&format!("{report}\n"))?;
        return Ok(());
    }
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Odd => "odd",
        Verdict::Wrong => "WRONG",
    };
    let row = |finding: &Finding| {
        vec![word(finding.verdict).to_owned(), finding.about.to_owned(), finding.words.clone()]
    };
    let rows: Vec<Vec<String>> = findings.0.iter().map(row).collect();
    let mut text = table::render(&["VERDICT", "ABOUT", "FINDING"], &rows);
    text.push_str(match verdict {
        Verdict::Ok => "\nhealthy\n",
        Verdict::Odd => "\nhealthy, with oddities\n",
        Verdict::Wrong => "\nsomething is wrong\n",
    });
    if colour_allowed() && verdict == Verdict::Wrong {
        text = text.replace("WRONG", "\x1b[1;31mWRONG\x1b[0m");
    }
    print(&text)?;
    Ok(())
}
