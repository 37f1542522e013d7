//! `gaggle doctor`: looks for what is wrong with a node, its machine and its cluster, and says
//! what to do about it.
//!
//! ```text
//! the node asked: status, voters, members, metrics ──┐
//! the others, each by HTTP: status, members ─────────┼──▶ findings ──▶ the worst is the verdict
//! this machine, if the node is here ─────────────────┘
//! ```
//!
//! Each check ends in "ok", "odd" (it works, but somebody should know) or "wrong". The others are
//! asked where the list of members says that they serve HTTP; a voter of which it does not say
//! that, at its own port + 1000, as is the default.

use std::time::Instant;

use self::findings::{Findings, Verdict, report};
use self::machine::{drained, hanging_disk, machine, state_folder};
use self::others::Others;
use super::arguments::DoctorArguments;
use super::ask::Conversation;
use super::{CommandError, Exit};
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{MembersView, StatusView, VotersView, WarningView};

mod findings;
mod machine;
mod metrics;
mod opinions;
mod others;
mod preflight;
mod voters;

/// Examines the node; exit 0 if nothing is wrong, 3 if nobody leads, 1 for anything else.
pub(super) fn doctor(arguments: &DoctorArguments) -> Result<Exit, CommandError> {
    if arguments.preflight {
        return preflight::preflight(arguments);
    }
    let node = Conversation::begin(&arguments.ask)?;
    let before = Instant::now();
    let status: StatusView = node.understood(&node.ask(paths::STATUS)?)?;
    let round_trip = before.elapsed();
    let mut findings = Findings::default();
    findings.add(
        Verdict::Ok,
        "node",
        format!("node {} answers HTTP within {round_trip:.1?}", status.node.called()),
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
    if let Some(folder) = &arguments.run.state_dir {
        state_folder(&mut findings, folder);
    }
    leadership(&mut findings, &status);
    warnings(&mut findings, &status);
    cluster(&mut findings, arguments, &node, &status)?;
    match node.ask("/metrics") {
        Ok(answer) => {
            let page = String::from_utf8_lossy(&answer.body);
            metrics::refusals(&mut findings, &page);
            metrics::log(&mut findings, &page);
            metrics::certificate(&mut findings, &page);
            metrics::pace(&mut findings, &page);
        }
        Err(error) => findings.add(Verdict::Wrong, "datagrams", error.to_string()),
    }
    let conclusions = ["healthy", "healthy, with oddities", "something is wrong"];
    report(arguments, &findings, conclusions)?;
    Ok(match findings.worst() {
        Verdict::Wrong if status.goose.is_none() => Exit::NoGoose,
        Verdict::Wrong => Exit::Failure,
        _ => Exit::Done,
    })
}

/// The voters and the members, as the node sees them and as they see it.
fn cluster(
    findings: &mut Findings,
    arguments: &DoctorArguments,
    node: &Conversation,
    status: &StatusView,
) -> Result<(), CommandError> {
    let members = node.ask(paths::MEMBERS).and_then(|answer| node.understood(&answer));
    let members = members.unwrap_or_else(|error| {
        findings.add(Verdict::Wrong, "members", error.to_string());
        MembersView { members: Vec::new() }
    });
    let voters: Option<VotersView> =
        match node.ask(paths::VOTERS).and_then(|answer| node.understood(&answer)) {
            Ok(voters) => Some(voters),
            Err(error) => {
                findings.add(Verdict::Wrong, "voters", error.to_string());
                None
            }
        };
    let others =
        Others::asked(node.client(), status, &members, voters.as_ref(), arguments.ask.timeout)?;
    if let Some(voters) = &voters {
        voters::examine(findings, status, voters, &others);
    }
    opinions::warnings(findings, status, &others);
    opinions::of_this_node(findings, status, &others);
    opinions::of_members(findings, status, &members, &others);
    Ok(())
}

/// Whether the node is on this machine: then an address of it can be opened here.
fn is_here(status: &StatusView) -> bool {
    std::net::UdpSocket::bind((status.node.addr.ip(), 0)).is_ok()
}

/// What the node has warned of itself.
fn warnings(findings: &mut Findings, status: &StatusView) {
    let unhealthy = status.node.unhealthy.as_deref();
    // That is said already.
    let is_news = |warning: &&WarningView| !unhealthy.is_some_and(|it| warning.words.contains(it));
    for warning in status.warnings.iter().filter(is_news) {
        let verdict = if warning.severe { Verdict::Wrong } else { Verdict::Odd };
        let age = warning.age_ms / 1000;
        findings.add(verdict, "warning", format!("{} (said {age} s ago)", warning.words));
    }
}

fn leadership(findings: &mut Findings, status: &StatusView) {
    match &status.goose {
        Some(goose) => findings.add(
            Verdict::Ok,
            "goose",
            format!(
                "node {} at {} is the Goose of term {}",
                goose.called(),
                goose.addr,
                goose.term
            ),
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
