//! `gaggle watch`: a node and its cluster, live.
//!
//! On a terminal the whole screen ([`screen`]), drawn anew with every status; otherwise one line per event,
//! for `grep` and for logs. A node that goes is waited for, and what happened meanwhile is
//! asked for by the last index. Ends with SIGINT, SIGTERM, or when nobody reads any more.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::arguments::{AskArguments, OutputFormat};
use super::find_node::node_to_ask;
use super::keyboard::{Keyboard, Press};
use super::table::{self, colour_allowed};
use super::{Audience, CommandError, Exit, print, runtime};
use crate::shell::http::api::history::EventView;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{GooseView, MembersView, StatusView, VotersView};
use crate::shell::http::client::events::{Listener, Received};
use crate::shell::http::client::{Client, NodeUrl, Question};

mod screen;

use screen::Screen;

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
    let client = arguments.client()?;
    let outcome = runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::Process)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::Process)?;
        let (node, _) = node_to_ask(arguments).await?;
        let (press, pressed) = mpsc::channel(16);
        let _keyboard = if full_screen { Keyboard::open(press) } else { None };
        tokio::select! {
            outcome = follow(&client, &node, arguments.timeout, &mut view, pressed) => outcome,
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
    /// So many members are above what is shown of them.
    scrolled: usize,
    /// It was told to end.
    is_over: bool,
}

async fn follow(
    client: &Client,
    node: &NodeUrl,
    limit: Duration,
    view: &mut View,
    mut pressed: mpsc::Receiver<Press>,
) -> Result<Exit, CommandError> {
    let query = if view.full_screen { "?every=250ms" } else { "" };
    let path = format!("{}{query}", paths::EVENTS);
    let mut last = None;
    loop {
        let opened = tokio::time::timeout(limit, Listener::open(client, node, &path, last));
        match opened.await {
            Ok(Ok(mut listener)) => {
                view.trouble = None;
                while let Some(event) = next(&mut listener, view, &mut pressed).await? {
                    last = event.id.or(last);
                    if view.full_screen
                        && matches!(event.name.as_str(), "member" | "role" | "goose")
                        || view.members.is_none()
                    {
                        view.members = members(client, node, limit).await;
                    }
                    if view.take(&event)? == Audience::Gone {
                        return Ok(Exit::Done);
                    }
                }
                if view.is_over {
                    return Ok(Exit::Done);
                }
                view.lose("the node has gone: trying again")?;
            }
            // The first time it is a mistake in the command; later the node is only away.
            Ok(Err(error)) if !view.begun => return Err(error.into()),
            _ => view.lose("the node does not answer: trying again")?,
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            Some(press) = pressed.recv() => view.obey(press)?,
        }
        if view.is_over {
            return Ok(Exit::Done);
        }
    }
}

/// The next event; none if there will be none, or nobody wants to see more. A screen says meanwhile
/// that it is not live.
async fn next(
    listener: &mut Listener,
    view: &mut View,
    pressed: &mut mpsc::Receiver<Press>,
) -> Result<Option<Received>, CommandError> {
    let mut next = std::pin::pin!(listener.next());
    loop {
        tokio::select! {
            event = &mut next => {
                view.trouble = None;
                return Ok(event.ok().flatten());
            }
            Some(press) = pressed.recv() => {
                view.obey(press)?;
                if view.is_over {
                    return Ok(None);
                }
            }
            () = tokio::time::sleep(SILENCE), if view.full_screen => {
                view.lose("the node does not answer: this is how it was")?;
            }
        }
    }
}

async fn members(client: &Client, node: &NodeUrl, limit: Duration) -> Option<MembersView> {
    let answer = client.ask(node, Question::Get(paths::MEMBERS), limit).await.ok()?;
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

    /// Does what a key says.
    fn obey(&mut self, press: Press) -> Result<(), CommandError> {
        let page = size().0 / 2;
        self.scrolled = match press {
            Press::Up => self.scrolled.saturating_sub(1),
            Press::Down => self.scrolled + 1,
            Press::PageUp => self.scrolled.saturating_sub(page),
            Press::PageDown => self.scrolled + page,
            Press::End | Press::Letter('q') => {
                self.is_over = true;
                return Ok(());
            }
            Press::Letter(_) => return Ok(()),
        };
        self.draw().map(drop)
    }

    fn draw(&mut self) -> Result<Audience, CommandError> {
        let (rows, columns) = size();
        let shown = Screen {
            status: self.status.as_ref(),
            members: self.members.as_ref(),
            events: &self.events,
            trouble: self.trouble.as_deref(),
        };
        let (lines, scrolled) = shown.lines(rows.saturating_sub(1), self.scrolled);
        self.scrolled = scrolled;
        let mut screen = "\x1b[?1049h\x1b[?25l\x1b[H".to_owned();
        for line in lines {
            let cut: String = line.chars().take(columns).collect();
            // Colour comes after the cut, which would else count it in.
            let shown = if colour_allowed() { table::highlight(&cut) } else { cut };
            screen.push_str(shown.trim_end());
            screen.push_str("\x1b[K\r\n");
        }
        screen.push_str("\x1b[J");
        print(&screen)
    }
}

/// The rows and columns of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}
