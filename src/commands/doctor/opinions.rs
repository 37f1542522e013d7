//! What nodes say of each other: a node that is well by its own account may be out of reach for
//! all others, and only they can know.

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
                        astray(member, "this node")
                    ),
                    None => format!(
                        "node {who} says that this node, at {}, {state}: its {UNREACHED}",
                        own.node.addr
                    ),
                };
                findings.add(Verdict::Wrong, "members", words);
            }
            None if is_old => {
                let words = format!(
                    "node {who} does not know this process as a member: if that stays so, \
                     its {UNREACHED}"
                );
                findings.add(Verdict::Odd, "members", words);
            }
            None => {}
        }
    }
    if seen > 0 {
        let words = format!("{seen} others see this node alive");
        findings.add(Verdict::Ok, "members", words);
    }
}

/// Which members the node asked hears, and cannot reach; and whether any may lead.
pub(super) fn of_members(findings: &mut Findings, own: &StatusView, members: &MembersView) {
    let mut present = members.members.iter().filter(|it| it.state == State::Alive);
    if own.goose.is_none() && !present.any(|member| member.eligible) {
        findings.add(Verdict::Wrong, "goose", NOBODY_MAY);
    }
    let astray_ones = members.members.iter().filter(|member| member.id != own.node.id);
    for member in astray_ones.filter(|member| member.speaks_from.is_some()) {
        let node = format!("node {}", member.called());
        findings.add(Verdict::Wrong, "members", astray(member, &node));
    }
}

fn astray(member: &MemberView, who: &str) -> String {
    let from = member.speaks_from.map_or_else(String::new, |from| from.to_string());
    format!(
        "{who} speaks from {from} but advertises {}, and nobody answers there: its {UNREACHED}",
        member.addr
    )
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
