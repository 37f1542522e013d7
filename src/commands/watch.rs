//! `gaggle watch`: a node and its cluster, live.
//!
//! On a terminal the whole screen, drawn anew with every status; otherwise one line per event,
//! for `grep` and for logs. A node that goes is waited for, and what happened meanwhile is
//! asked for by the last index. Ends with SIGINT, SIGTERM, or when nobody reads any more.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::{AskArguments, OutputFormat};
use super::find_node::node_to_ask;
use super::table::{self, colour_allowed};
use super::{Audience, CommandError, Exit, print, runtime};
use crate::shell::http::api::history::EventView;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{GooseView, MembersView, Role, StatusView, VotersView};
use crate::shell::http::client::events::{Listener, Received};
use crate::shell::http::client::{self, NodeUrl, Question};

/// A node that is gone is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// A node that is asked four times a second and says nothing for so long does not answer.
const SILENCE: Duration = Duration::from_secs(1);
/// Events that the screen keeps.
const EVENTS_MAX: usize = 50;

/// What a `status` event carries.
#[derive(Deserialize)]
struct StatusEvent {
    status: StatusView,
    goose: Option<GooseView>,
    voters: Option<VotersView>,
}

/// What an event about the stream itself carries.
#[derive(Deserialize)]
struct Remark {
    words: String,
}

/// Runs until it is told to end.
pub(super) fn watch(arguments: &AskArguments) -> Result<Exit, CommandError> {
    let full_screen = std::io::stdout().is_terminal() && arguments.output == OutputFormat::Table;
    let mut view =
        View { full_screen, json: arguments.output == OutputFormat::Json, ..View::default() };
    let outcome = runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::Process)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::Process)?;
        let (node, _) = node_to_ask(arguments).await?;
        tokio::select! {
            outcome = follow(&node, arguments.timeout, &mut view) => outcome,
            _ = terminate.recv() => Ok(Exit::Done),
            _ = interrupt.recv() => Ok(Exit::Done),
        }
    });
    if full_screen {
        // Back to the screen that was there before, with its cursor.
        print("\x1b[?25h\x1b[?1049l")?;
    }
    outcome
}

#[derive(Default)]
struct View {
    full_screen: bool,
    json: bool,
    begun: bool,
    status: Option<StatusEvent>,
    members: Option<MembersView>,
    events: VecDeque<String>,
    trouble: Option<String>,
}

async fn follow(node: &NodeUrl, limit: Duration, view: &mut View) -> Result<Exit, CommandError> {
    let query = if view.full_screen { "?every=250ms" } else { "" };
    let path = format!("{}{query}", paths::EVENTS);
    let mut last = None;
    loop {
        let opened = tokio::time::timeout(limit, Listener::open(node, &path, last));
        match opened.await {
            Ok(Ok(mut listener)) => {
                view.trouble = None;
                while let Some(event) = next(&mut listener, view).await? {
                    last = event.id.or(last);
                    if view.full_screen
                        && matches!(event.name.as_str(), "member" | "role" | "goose")
                        || view.members.is_none()
                    {
                        view.members = members(node, limit).await;
                    }
                    if view.take(&event)? == Audience::Gone {
                        return Ok(Exit::Done);
                    }
                }
                view.lose("the node has gone: trying again")?;
            }
            // The first time it is a mistake in the command; later the node is only away.
            Ok(Err(error)) if !view.begun => return Err(error.into()),
            _ => view.lose("the node does not answer: trying again")?,
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The next event; none if there will be none. A screen says meanwhile that it is not live.
async fn next(listener: &mut Listener, view: &mut View) -> Result<Option<Received>, CommandError> {
    let mut next = std::pin::pin!(listener.next());
    loop {
        match tokio::time::timeout(SILENCE, &mut next).await {
            Ok(event) => {
                view.trouble = None;
                return Ok(event.ok().flatten());
            }
            Err(_) if view.full_screen => {
                view.lose("the node does not answer: this is how it was")?;
            }
            Err(_) => {}
        }
    }
}

async fn members(node: &NodeUrl, limit: Duration) -> Option<MembersView> {
    let answer = client::ask(node, Question::Get(paths::MEMBERS), limit).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}

impl View {
    fn take(&mut self, event: &Received) -> Result<Audience, CommandError> {
        self.begun = true;
        if event.name == "status" {
            if let Ok(status) = serde_json::from_str(&event.data) {
                self.status = Some(status);
            }
            return if self.full_screen { self.draw() } else { Ok(Audience::Present) };
        }
        if self.json {
            return print(&format!("{{\"event\":\"{}\",\"data\":{}}}\n", event.name, event.data));
        }
        let line = match serde_json::from_str::<EventView>(&event.data) {
            Ok(view) => format!("{}  {}", view.time, view.words),
            // A gap or the end of the stream: it did not happen at any time.
            Err(_) => match serde_json::from_str::<Remark>(&event.data) {
                Ok(remark) => remark.words,
                Err(_) => format!("{}: {}", event.name, event.data),
            },
        };
        if !self.full_screen {
            return print(&format!("{line}\n"));
        }
        self.events.push_front(line);
        self.events.truncate(EVENTS_MAX);
        self.draw()
    }

    fn lose(&mut self, words: &str) -> Result<(), CommandError> {
        if self.full_screen {
            self.trouble = Some(words.to_owned());
            self.draw()?;
        } else if self.trouble.is_none() {
            self.trouble = Some(words.to_owned());
            use std::io::Write;
            // If even this cannot be written, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "gaggle: {words}");
        }
        Ok(())
    }

    fn draw(&self) -> Result<Audience, CommandError> {
        let (rows, columns) = size();
        let mut text = self.screen();
        if colour_allowed() {
            text = table::highlight(&text);
        }
        let lines = text.lines().take(rows.saturating_sub(1));
        let mut screen = "\x1b[?1049h\x1b[?25l\x1b[H".to_owned();
        for line in lines {
            // What is coloured ends in a reset; it is short enough to be left whole.
            let cut: String = if line.contains('\x1b') {
                line.to_owned()
            } else {
                line.chars().take(columns).collect()
            };
            screen.push_str(&cut);
            screen.push_str("\x1b[K\r\n");
        }
        screen.push_str("\x1b[J");
        print(&screen)
    }

    fn screen(&self) -> String {
        let mut text = String::new();
        if let Some(StatusEvent { status, goose, voters }) = &self.status {
            text.push_str(&format!("{}  node {}\n\n", status.cluster, status.node.called()));
            if let Some(age) = status.node.stuck_for() {
                text.push_str(&format!("this node is STUCK, for {age:.1?}: restart it\n"));
            }
            text.push_str(&match (goose, &status.lease) {
                (Some(goose), Some(lease)) if status.role == Role::Goose => format!(
                    "this node, {}, is the Goose of term {}: {}\n",
                    goose.called(),
                    goose.term,
                    bar(lease.remaining_ms, lease.duration_ms)
                ),
                (Some(goose), _) => format!(
                    "the Goose is node {} at {}, term {}, heard {} ms ago\n",
                    goose.called(),
                    goose.addr,
                    goose.term,
                    goose.age_ms
                ),
                (None, _) => "there is no Goose\n".to_owned(),
            });
            text.push_str(&voters.as_ref().map_or(String::new(), voter_lines));
        }
        if let Some(trouble) = &self.trouble {
            text.push_str(&format!("\n{trouble}\n"));
        }
        if let Some(members) = &self.members {
            text.push('\n');
            text.push_str(&super::ask::members_table(members));
        }
        text.push('\n');
        for event in self.events.iter().take(10) {
            text.push_str(event);
            text.push('\n');
        }
        text
    }
}

/// The voters, one a line, and the change of them that is under way, as the Goose knows of it.
fn voter_lines(view: &VotersView) -> String {
    let mut text = String::new();
    for voter in &view.voters {
        let reach = if voter.reachable { "reachable" } else { "silent" };
        let grant = if voter.granting { ", grants" } else { "" };
        let goes = view.change.as_ref().is_some_and(|change| !change.voters.contains(&voter.id));
        let goes = if goes { "; to vote no more" } else { "" };
        text.push_str(&format!("voter {}: {reach}{grant}{goes}\n", voter.called()));
    }
    if let Some(change) = &view.change {
        text.push_str(&format!("the voters change: {}\n", change.words()));
    }
    text
}

/// What is left of a lease, drawn.
fn bar(remaining: u64, duration: u64) -> String {
    let filled = usize::try_from(remaining * 20 / duration.max(1)).unwrap_or(20).min(20);
    format!("[{}{}] {remaining} of {duration} ms", "#".repeat(filled), " ".repeat(20 - filled))
}

/// The rows and columns of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
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
        let calm = "voter 1 (db-1): silent\nvoter 2 (db-2): reachable, grants\n";
        assert_eq!(voter_lines(&view("")), calm);
        let change =
            r#""change": {"voters": [2, 4], "learning": [4], "waits_for": "node 4 (db-4)"},"#;
        assert_eq!(
            voter_lines(&view(change)),
            "voter 1 (db-1): silent; to vote no more\nvoter 2 (db-2): reachable, grants\n\
             the voters change: to vote are 2, 4: waiting for node 4 (db-4)\n"
        );
    }
}
