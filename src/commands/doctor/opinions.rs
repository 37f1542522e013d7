//! What nodes say of each other: a node that is well by its own account may be out of reach for
//! all others, and only they can know.

use std::collections::BTreeMap;

use super::findings::{Findings, Verdict};
use super::others::Others;
use crate::shell::http::api::views::{MemberView, MembersView, State, StatusView};

/// Gossip knows a node that has run for so long everywhere.
const KNOWN_AFTER_MS: u64 = 10_000;

/// Why nobody leads.
const NOBODY_MAY: &str =
    "no member may lead: each is drained, is not healthy, or was started with --never-goose";

/// What it means that others do not hear a node that hears them.
const UNREACHED: &str = "--advertise is wrong, or a firewall or NAT keeps datagrams away from it";

/// How the others see the node that was asked.
pub(super) fn of_this_node(findings: &mut Findings, own: &StatusView, others: &Others) {
    let mut seen = 0;
    let mut instead = BTreeMap::new();
    for other in others.all() {
        let Some(members) = &other.members else { continue };
        // Another cluster does not know it, and that is said already.
        if other.status.cluster != own.cluster {
            continue;
        }
        let who = other.status.node.called();
        let entry = members.members.iter().find(|member| member.id == own.node.id);
        // Just after a start others may know no more than the process before.
        let is_old = own.node.uptime_ms >= KNOWN_AFTER_MS;
        let entry = entry.filter(|member| is_old || member.boot == own.node.boot);
        match entry.map(|member| (member.state, member)) {
            Some((State::Alive, member)) if member.speaks_from.is_none() => seen += 1,
            Some((state, member)) => {
                let state = opinion(state);
                let words = match member.speaks_from {
                    Some(_) => format!(
                        "node {who} says that this node {state}: {}",
                        astray(member, "this node", own, others)
                    ),
                    None => format!(
                        "node {who} says that this node, at {}, {state}: its {UNREACHED}",
                        own.node.addr
                    ),
                };
                findings.add(Verdict::Wrong, "members", words);
            }
            None if is_old => {
                let at_address = members.members.iter().find(|it| it.addr == own.node.addr);
                if let Some(member) = at_address {
                    instead.insert(member.id, member);
                    continue;
                }
                let words = format!(
                    "node {who} does not know this process as a member: if that stays so, \
                     its {UNREACHED}"
                );
                // Whoever has started just now knows few.
                let knows = other.status.node.uptime_ms >= KNOWN_AFTER_MS;
                let verdict = if knows { Verdict::Wrong } else { Verdict::Odd };
                findings.add(verdict, "members", words);
            }
            None => {}
        }
    }
    for member in instead.values() {
        findings.add(Verdict::Wrong, "members", taken_for(member));
    }
    if seen > 0 {
        let words = format!("{seen} others see this node alive");
        findings.add(Verdict::Ok, "members", words);
    }
}

/// What others of the cluster have warned of that does not work, if the node asked does not say so, too.
pub(super) fn warnings(findings: &mut Findings, own: &StatusView, others: &Others) {
    let statuses = others.all().map(|other| &other.status);
    for status in statuses.filter(|status| status.cluster == own.cluster) {
        let is_said = |words: &str| own.warnings.iter().any(|warning| warning.words == words);
        for warning in status.warnings.iter().filter(|it| it.severe && !is_said(&it.words)) {
            let (who, age) = (status.node.called(), warning.age_ms / 1000);
            let words = format!("node {who} warns: {} (said {age} s ago)", warning.words);
            findings.add(Verdict::Wrong, "warning", words);
        }
    }
}

/// Which members the node asked hears, and cannot reach; and whether any may lead.
pub(super) fn of_members(
    findings: &mut Findings,
    own: &StatusView,
    members: &MembersView,
    others: &Others,
) {
    let mut present = members.members.iter().filter(|it| it.state == State::Alive);
    if own.goose.is_none() && !present.any(|member| member.eligible) {
        findings.add(Verdict::Wrong, "goose", NOBODY_MAY);
    }
    let astray_ones = members.members.iter().filter(|member| member.id != own.node.id);
    for member in astray_ones.filter(|member| member.speaks_from.is_some()) {
        let node = format!("node {}", member.called());
        findings.add(Verdict::Wrong, "members", astray(member, &node, own, others));
    }
}

/// A member that does not answer where it says.
fn astray(member: &MemberView, who: &str, own: &StatusView, others: &Others) -> String {
    let from = member.speaks_from.map_or_else(String::new, |from| from.to_string());
    let address = member.addr;
    let statuses = others.all().map(|other| &other.status).chain([own]);
    let mut nodes = statuses.map(|status| &status.node).filter(|node| node.id != member.id);
    match nodes.find(|node| node.addr == address) {
        Some(owner) => {
            let owner = if owner.id == own.node.id {
                "this node".to_owned()
            } else {
                format!("node {}", owner.called())
            };
            format!(
                "{who} speaks from {from} but advertises {address}, which is the address of {owner}: \
                 correct its --advertise, and then restart {owner}, of which others have lost sight"
            )
        }
        None => format!(
            "{who} speaks from {from} but advertises {address}, and does not answer there: its \
             {UNREACHED}"
        ),
    }
}

/// Others know another node at this node's address, and so do not know this one.
fn taken_for(member: &MemberView) -> String {
    let (who, address) = (member.called(), member.addr);
    match member.state {
        State::Alive | State::Suspect => format!(
            "node {who} advertises {address}, which is the address of this node, and others take it for \
             that one: correct its --advertise, and then restart this node"
        ),
        State::Down | State::Left => format!(
            "others take {address}, the address of this node, for that of node {who}, which is gone, and do \
             not know this process: is the clock of this machine behind? Set it right, and restart this \
             node"
        ),
    }
}

/// What gossip says of a node, as a verb.
fn opinion(state: State) -> &'static str {
    match state {
        State::Alive => "answers elsewhere only",
        State::Suspect => "does not answer",
        State::Down => "is gone",
        State::Left => "has left",
    }
}
