//! `gaggle dev`: a whole cluster on this machine, of real processes that can really be
//! killed, with a view of what becomes of it.
//!
//! ```text
//! plan (ports, folder, flags) -> children (processes) --status over HTTP--> view (table, lines)
//!                                     ▲      links ─┘                          │ chosen node
//!                                     └──────── keys: kill, freeze, cut ───────┘
//! ```
//!
//! Where somebody can press keys, links stand between the nodes, so that one can be cut off.
//!
//! Nothing is left behind: the state is in a temporary folder, and each child holds the read
//! end of a pipe that closes when this process ends, however it ends, and leaves then.

use std::io::IsTerminal;
use std::time::Duration;

use hyper::Method;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::arguments::DevArguments;
use super::find_node::socket_of;
use super::keyboard::Keyboard;
use super::{Audience, CommandError, Exit, print, runtime};
use crate::shell::http::api::history::HistoryView;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::StatusView;
use crate::shell::http::client::{Client, NodeUrl, Question, ask};

mod child;
mod keys;
mod links;
mod plan;
mod view;

use child::{Child, Children, end_of};
use keys::Key;
use links::Links;
use plan::Plan;
use view::View;

/// Each node is asked this often, and the view is brought up to date as often.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A node that has not answered by then is shown as silent.
const POLL_LIMIT: Duration = Duration::from_millis(500);
/// A node that was brought back by hand has so long to leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// Between two starts, so that they are seen one after the other.
const START_INTERVAL: Duration = Duration::from_millis(50);

/// Why the local cluster was not run. Every child that was started has been ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum DevError {
    /// More voters than nodes.
    #[error(
        "{voters} voters need as many nodes, and there are {nodes}: lower --voters or raise --nodes"
    )]
    TooManyVoters {
        /// Given.
        voters: u16,
        /// Given.
        nodes: u16,
    },
    /// No free ports.
    #[error(
        "no {0} ports in a row are free on 127.0.0.1, with the same ports + 1000: end other nodes first"
    )]
    NoPorts(u16),
    /// No temporary folder.
    #[error(
        "cannot make the folder {folder} for the nodes' state: {source}; set TMPDIR to another place"
    )]
    Folder {
        /// Which.
        folder: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No child.
    #[error("cannot start node {id} ({command}): {source}")]
    Spawn {
        /// Which node.
        id: u16,
        /// Its command line.
        command: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl DevError {
    /// Whether the flags are to blame.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::TooManyVoters { .. })
    }
}

/// Runs the local cluster until it is interrupted.
pub(super) fn dev(arguments: &DevArguments) -> Result<Exit, CommandError> {
    let has_keys = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let plan = Plan::new(arguments, has_keys)?;
    let runtime = runtime()?;
    let mut children = Children::default();
    let outcome = runtime.block_on(watched(&plan, &mut children, has_keys));
    // Whatever happened above, this happens too.
    runtime.block_on(children.end());
    drop(plan);
    outcome.map(|()| Exit::Done)
}

/// Starts the nodes, shows them until the end, and tells those to leave that were brought
/// back by hand.
async fn watched(plan: &Plan, children: &mut Children, has_keys: bool) -> Result<(), CommandError> {
    let mut view = View::new(plan, std::io::stdout().is_terminal(), has_keys);
    let links = if has_keys { Some(Links::open(&plan.nodes).await) } else { None };
    let links = links.transpose().map_err(CommandError::Process)?;
    let outcome = Stage { plan, children, view: &mut view, links }.watch(has_keys).await;
    for node in view.brought_back() {
        let question = Question::Order {
            method: Method::POST,
            path: paths::LEAVE,
            body: String::new(),
            token: None,
        };
        // Whoever started it sees how it ends.
        if let Some(socket) = socket_of(&node.http.into(), &Client::default(), LEAVE_LIMIT).await {
            let _ = ask(&socket, question, LEAVE_LIMIT).await;
        }
    }
    outcome
}

/// What tasks tell the one that shows the cluster.
enum Told {
    /// A node answered, or did not.
    Status(u16, Option<Box<StatusView>>),
    /// A node leads this term since then.
    Began(u16, u64, Instant),
    /// A node's process ended then.
    Ended(u16, Instant),
}

/// The cluster, and whoever looks at it.
struct Stage<'a> {
    plan: &'a Plan,
    children: &'a mut Children,
    view: &'a mut View,
    links: Option<Links>,
}

impl Stage<'_> {
    async fn watch(&mut self, has_keys: bool) -> Result<(), CommandError> {
        let stop = stop_signal().map_err(CommandError::Process)?;
        tokio::pin!(stop);
        print(&self.view.greeting())?;
        let (tell, mut told) = mpsc::channel(64);
        let (press, mut pressed) = mpsc::channel(16);
        let _keyboard = if has_keys { Keyboard::open(press) } else { None };
        // The highest id first and the voters last, so that joining and founding are both seen.
        for node in self.plan.nodes.iter().rev() {
            self.start(node.id, &tell)?;
            tokio::spawn(poll(node.id, node.http.into(), tell.clone()));
            sleep(START_INTERVAL).await;
        }
        let mut tick = interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                Some(told) = told.recv() => self.hear(told, &tell),
                Some(press) = pressed.recv() => {
                    let Some(key) = Key::of(press) else { continue };
                    if key == Key::Quit {
                        return Ok(());
                    }
                    self.obey(key, &tell)?;
                    if self.show()? == Audience::Gone {
                        return Ok(());
                    }
                }
                _ = tick.tick() => {
                    if self.show()? == Audience::Gone {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Starts the process of a node.
    fn start(&mut self, id: u16, tell: &mpsc::Sender<Told>) -> Result<(), CommandError> {
        let Some(node) = self.plan.nodes.iter().find(|node| node.id == id) else { return Ok(()) };
        if let Some(pid) = self.children.add(Child::start(node)?) {
            let tell = tell.clone();
            tokio::spawn(async move {
                if let Some(at) = end_of(pid).await {
                    // Nobody may look any more.
                    let _ = tell.send(Told::Ended(id, at)).await;
                }
            });
        }
        Ok(())
    }

    fn hear(&mut self, told: Told, tell: &mpsc::Sender<Told>) {
        match told {
            Told::Status(id, status) => {
                let status = status.map(|status| *status);
                if let Some(status) = status.as_ref().filter(|status| self.view.is_news(status)) {
                    let node = self.plan.nodes.iter().find(|node| node.id == id);
                    let (term, tell) = (status.term, tell.clone());
                    if let Some(http) = node.map(|node| node.http) {
                        tokio::spawn(ask_beginning(id, http.into(), term, tell));
                    }
                }
                self.view.hear(id, status);
            }
            Told::Began(id, term, at) => self.view.began(id, term, at),
            Told::Ended(id, at) => self.view.ended(id, at),
        }
    }

    /// Does to the chosen node what a key says.
    fn obey(&mut self, key: Key, tell: &mpsc::Sender<Told>) -> Result<(), CommandError> {
        let Some(id) = self.view.chosen() else { return Ok(()) };
        let now = Instant::now();
        match key {
            Key::Up => self.view.move_by(-1),
            Key::Down => self.view.move_by(1),
            Key::Node(id) => self.view.choose(id),
            Key::Kill => self.children.signal(id, Signal::KILL),
            Key::End => {
                self.children.signal(id, Signal::TERM);
                // One that is frozen would hear it only later.
                self.children.signal(id, Signal::CONT);
            }
            Key::Freeze if self.children.runs(id) => {
                let is_frozen = self.view.turn_frozen(id, now);
                self.children.signal(id, if is_frozen { Signal::STOP } else { Signal::CONT });
            }
            Key::Cut => {
                let is_cut = self.view.turn_cut(id, now);
                self.links.iter().for_each(|links| links.cut(id, is_cut));
            }
            Key::Start if !self.children.runs(id) => self.start(id, tell)?,
            Key::Freeze | Key::Start | Key::Quit => {}
        }
        Ok(())
    }

    fn show(&mut self) -> Result<Audience, CommandError> {
        for (id, pid, ended) in self.children.look() {
            self.view.see(id, pid, ended);
        }
        if let Some(columns) = columns() {
            self.view.fit(columns);
        }
        let text = self.view.update();
        text.map_or(Ok(Audience::Present), |text| print(&text))
    }
}

/// How wide the terminal is, if there is one.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Asks a Goose since when it leads; by the clock of this process, for a clock that people set may jump.
async fn ask_beginning(id: u16, node: NodeUrl, term: u64, tell: mpsc::Sender<Told>) {
    let answer = ask(&node, Question::Get(paths::HISTORY), POLL_LIMIT).await.ok();
    let now = Instant::now();
    let history =
        answer.and_then(|answer| serde_json::from_slice::<HistoryView>(&answer.body).ok());
    let led = history.and_then(|history| history.terms.into_iter().find(|it| it.term == term));
    let began = led.and_then(|led| now.checked_sub(Duration::from_millis(led.duration_ms)));
    // Nobody may look any more.
    let _ = tell.send(Told::Began(id, term, began.unwrap_or(now))).await;
}

/// Done when this process is told to end: by Ctrl-C, by a signal, or by the terminal's end.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Asks one node again and again; none stands for no answer.
async fn poll(id: u16, node: NodeUrl, tell: mpsc::Sender<Told>) {
    loop {
        let answer = ask(&node, Question::Get(paths::STATUS), POLL_LIMIT).await.ok();
        let status = answer.and_then(|answer| serde_json::from_slice(&answer.body).ok());
        if tell.send(Told::Status(id, status)).await.is_err() {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
}
