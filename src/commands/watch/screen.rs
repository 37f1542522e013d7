//! What the screen of `gaggle watch` shows, line by line, from the top: the Goose, what is wrong, the
//! voters, as many members as fit, and the last events, which are always in sight.

use std::collections::VecDeque;

use super::StatusEvent;
use crate::commands::ask::members_table;
use crate::shell::http::api::views::{MemberView, MembersView, Role, State, VotersView};

/// So many events are in sight where there is room.
const EVENTS_SHOWN: usize = 10;
/// And so many where there is little.
const EVENTS_LEAST: usize = 3;
/// What can be typed.
const HELP: &str = "q ends, ↑ and ↓ scroll the members";

/// What is known.
pub(super) struct Screen<'a> {
    pub(super) status: Option<&'a StatusEvent>,
    pub(super) members: Option<&'a MembersView>,
    /// The newest first.
    pub(super) events: &'a VecDeque<String>,
    pub(super) trouble: Option<&'a str>,
}

impl Screen<'_> {
    /// At most so many lines, and by how many members the list is scrolled then: no further than it
    /// goes.
    pub(super) fn lines(&self, rows: usize, scrolled: usize) -> (Vec<String>, usize) {
        let mut lines = self.head();
        lines.truncate(rows.saturating_sub(EVENTS_LEAST + 2));
        let left = rows.saturating_sub(lines.len());
        let events = EVENTS_SHOWN.min(left / 3).max(EVENTS_LEAST).min(self.events.len());
        // An empty line above, and one with what can be typed.
        let room = left.saturating_sub(events + 2);
        let (members, scrolled) = self.some_members(room, scrolled);
        lines.extend(members);
        lines.push(String::new());
        lines.extend(self.events.iter().take(events).cloned());
        lines.truncate(rows.saturating_sub(1));
        lines.push(HELP.to_owned());
        (lines, scrolled)
    }

    fn head(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(StatusEvent { status, goose, voters }) = self.status else {
            return self.trouble.map(str::to_owned).into_iter().collect();
        };
        lines.push(format!("{}  node {}", status.cluster, status.node.called()));
        lines.push(String::new());
        lines.push(match (goose, &status.lease) {
            (Some(goose), Some(lease)) if status.role == Role::Goose => format!(
                "this node, {}, is the Goose of term {}: {}",
                goose.called(),
                goose.term,
                bar(lease.remaining_ms, lease.duration_ms)
            ),
            (Some(goose), _) => format!(
                "the Goose is node {} at {}, term {}, heard {} ms ago",
                goose.called(),
                goose.addr,
                goose.term,
                goose.age_ms
            ),
            (None, _) => "there is no Goose".to_owned(),
        });
        if let Some(age) = status.node.stuck_for() {
            lines.push(format!("this node is STUCK, for {age:.1?}: restart it"));
        }
        lines.extend(self.trouble.map(str::to_owned));
        if let Some(reason) = &status.node.unhealthy {
            lines.push(format!("this node is not healthy: {reason}"));
        }
        let unhealthy = status.node.unhealthy.as_deref();
        let warnings = status.warnings.iter().map(|warning| &warning.words);
        let news = warnings.filter(|words| !unhealthy.is_some_and(|it| words.contains(it)));
        lines.extend(news.map(|words| format!("WARNING  {words}")));
        lines.extend(voters.as_ref().map(voter_lines).unwrap_or_default());
        lines.push(String::new());
        lines
    }

    /// As many lines of the list of members as there is room for.
    fn some_members(&self, room: usize, scrolled: usize) -> (Vec<String>, usize) {
        let Some(members) = self.members else { return (Vec::new(), 0) };
        let mut members = members.clone();
        members.members.sort_by_key(|member| (urgency(member), member.id));
        let table = members_table(&members);
        let mut lines = table.lines().map(str::to_owned);
        let Some(head) = lines.next().filter(|_| room > 1) else { return (Vec::new(), 0) };
        let all: Vec<String> = lines.collect();
        if all.len() < room {
            return (std::iter::once(head).chain(all).collect(), 0);
        }
        // The head, and a line that says how many are out of sight.
        let shown = room.saturating_sub(2);
        let scrolled = scrolled.min(all.len().saturating_sub(shown));
        let below = all.len().saturating_sub(scrolled + shown);
        let mut some = vec![head];
        some.extend(all.into_iter().skip(scrolled).take(shown));
        some.push(format!("… {scrolled} lines above, {below} below"));
        (some, scrolled)
    }
}

/// The Goose first, and then what is wrong.
fn urgency(member: &MemberView) -> u8 {
    match (member.role, member.state) {
        (Role::Goose, _) => 0,
        (_, State::Suspect | State::Down) => 1,
        (_, State::Alive) => 2,
        (_, State::Left) => 3,
    }
}

/// The voters, one a line, and the change of them that is under way, as the Goose knows of it.
fn voter_lines(view: &VotersView) -> Vec<String> {
    let mut lines = Vec::new();
    for voter in &view.voters {
        let reach = if voter.reachable { "reachable" } else { "silent" };
        let grant = if voter.granting { ", grants" } else { "" };
        let goes = view.change.as_ref().is_some_and(|change| !change.voters.contains(&voter.id));
        let goes = if goes { "; to vote no more" } else { "" };
        lines.push(format!("voter {}: {reach}{grant}{goes}", voter.called()));
    }
    if let Some(change) = &view.change {
        lines.push(format!("the voters change: {}", change.words()));
    }
    lines
}

/// What is left of a lease, drawn.
fn bar(remaining: u64, duration: u64) -> String {
    let filled = usize::try_from(remaining * 20 / duration.max(1)).unwrap_or(20).min(20);
    format!("[{}{}] {remaining} of {duration} ms", "#".repeat(filled), " ".repeat(20 - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_says_which_voters_change_and_what_that_waits_for() {
        let voter = |id: u64, granting: bool| {
            format!(
                r#"{{"id": {id}, "name": "db-{id}", "addr": null, "reachable": {granting},
                    "answered_ms": null, "granting": {granting}}}"#
            )
        };
        let view = |change: &str| -> VotersView {
            let voters = [voter(1, false), voter(2, true)].join(",");
            let head = r#""version": 4, "ballot": 7, "majority": 2, "preempt": false"#;
            serde_json::from_str(&format!("{{{head}, {change} \"voters\": [{voters}]}}")).unwrap()
        };
        let calm = ["voter 1 (db-1): silent", "voter 2 (db-2): reachable, grants"];
        assert_eq!(voter_lines(&view("")), calm);
        let change =
            r#""change": {"voters": [2, 4], "learning": [4], "waits_for": "node 4 (db-4)"},"#;
        assert_eq!(
            voter_lines(&view(change)),
            [
                "voter 1 (db-1): silent; to vote no more",
                "voter 2 (db-2): reachable, grants",
                "the voters change: to vote are 2, 4: waiting for node 4 (db-4)"
            ]
        );
    }

    fn members(count: u64) -> MembersView {
        let member = |id: u64| {
            let role = if id == 7 { "goose" } else { "duck" };
            let state = if id == 9 { "down" } else { "alive" };
            format!(
                r#"{{"id":{id},"boot":"9f","addr":"10.0.0.1:{id}","state":"{state}",
                    "role":"{role}","eligible":true}}"#
            )
        };
        let all: Vec<String> = (1..=count).map(member).collect();
        serde_json::from_str(&format!(r#"{{"members":[{}]}}"#, all.join(","))).unwrap()
    }

    #[test]
    fn events_are_always_in_sight_and_members_scroll() {
        let (members, events) = (members(60), (1..=20).map(|it| format!("event {it}")).collect());
        let status: StatusEvent = serde_json::from_str(
            r#"{"status":{"cluster":"gaggle","index":1,"version":"1",
                "node":{"id":7,"boot":"1","addr":"127.0.0.1:8000","http":null,"uptime_ms":1},
                "role":"duck","term":4,"lease":null,"goose":null,"voters":null,
                "members":{"alive":1,"suspect":0,"down":0}},"goose":null,"voters":null}"#,
        )
        .unwrap();
        let screen = Screen {
            status: Some(&status),
            members: Some(&members),
            events: &events,
            trouble: Some("trouble"),
        };
        for rows in [10, 24, 60] {
            let (lines, _) = screen.lines(rows, 0);
            assert!(lines.len() <= rows, "{rows}: {lines:#?}");
            assert!(lines.iter().any(|line| line == "event 1"), "{rows}: {lines:#?}");
            assert!(lines.iter().any(|line| line == "trouble"), "{rows}: {lines:#?}");
            assert_eq!(lines.last().map(String::as_str), Some(HELP));
        }
        let (lines, scrolled) = screen.lines(24, 0);
        let at = lines.iter().position(|line| line.starts_with("NODE")).unwrap();
        assert!(lines[at + 1].starts_with("7 ") && lines[at + 2].starts_with("9 "), "{lines:#?}");
        assert_eq!(scrolled, 0);
        let (lines, scrolled) = screen.lines(24, 1000);
        assert!(lines.iter().any(|line| line.contains("10.0.0.1:60")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with("above, 0 below")), "{lines:#?}");
        assert!(scrolled < 60);
    }
}
