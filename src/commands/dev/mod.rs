//! `gaggle dev`: a whole cluster on this machine, of real processes that can really be
//! killed, with a view of what becomes of it.
//!
//! ```text
//! plan (ports, folder, flags) -> children (processes) --status over HTTP--> view (table, lines)
//! ```
//!
//! Nothing is left behind: the state is in a temporary folder, and each child holds the read
//! end of a pipe that closes when this process ends, however it ends, and leaves then.

use std::io::IsTerminal;
use std::time::Duration;

use hyper::Method;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::arguments::DevArguments;
use super::find_node::socket_of;
use super::{Audience, CommandError, Exit, print, runtime};
use crate::shell::http::api::paths;
use crate::shell::http::api::views::StatusView;
use crate::shell::http::client::{NodeUrl, Question, ask};

mod child;
mod plan;
mod view;

use child::{Child, Children};
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
    let plan = Plan::new(arguments)?;
    let runtime = runtime()?;
    let mut children = Children::default();
    let outcome = runtime.block_on(watched(&plan, &mut children));
    // Whatever happened above, this happens too.
    runtime.block_on(children.end());
    drop(plan);
    outcome.map(|()| Exit::Done)
}

/// Starts the nodes, shows them until the end, and tells those to leave that were brought
/// back by hand.
async fn watched(plan: &Plan, children: &mut Children) -> Result<(), CommandError> {
    let mut view = View::new(plan, std::io::stdout().is_terminal());
    let outcome = watch(plan, children, &mut view).await;
    for node in view.brought_back() {
        let question = Question::Order {
            method: Method::POST,
            path: paths::LEAVE,
            body: String::new(),
            token: None,
        };
        // Whoever started it sees how it ends.
        if let Some(socket) = socket_of(&node.http.into(), LEAVE_LIMIT).await {
            let _ = ask(&socket, question, LEAVE_LIMIT).await;
        }
    }
    outcome
}

async fn watch(plan: &Plan, children: &mut Children, view: &mut View) -> Result<(), CommandError> {
    let stop = stop_signal().map_err(CommandError::Process)?;
    tokio::pin!(stop);
    print(&view.greeting())?;
    let (answers, mut answered) = mpsc::channel(64);
    // The highest id first and the voters last, so that joining and founding are both seen.
    for node in plan.nodes.iter().rev() {
        children.add(Child::start(node)?);
        tokio::spawn(poll(node.id, node.http.into(), answers.clone()));
        sleep(START_INTERVAL).await;
    }
    let mut tick = interval(POLL_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            Some((id, status)) = answered.recv() => view.hear(id, status),
            _ = tick.tick() => {
                for (id, pid, ended) in children.look() {
                    view.see(id, pid, ended);
                }
                let text = view.update();
                if let Some(text) = text && print(&text)? == Audience::Gone {
                    return Ok(());
                }
            }
        }
    }
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
async fn poll(id: u16, node: NodeUrl, answers: mpsc::Sender<(u16, Option<StatusView>)>) {
    loop {
        let answer = ask(&node, Question::Get(paths::STATUS), POLL_LIMIT).await.ok();
        let status = answer.and_then(|answer| serde_json::from_slice(&answer.body).ok());
        if answers.send((id, status)).await.is_err() {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
}
