//! `gaggle wait`: blocks until something is so.
//!
//! The node's long poll does the waiting: it is asked for its status, and then for the next one
//! with another index. A node that is not there yet, or no more, is waited for: a script may
//! start it a moment later.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::arguments::{AskArguments, OutputFormat, WaitArguments};
use super::find_node::node_to_ask;
use super::log;
use super::{CommandError, Exit, print, runtime};
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{Role, StatusView};
use crate::shell::http::client::{ClientError, Question, TlsFault};
use crate::vocabulary::identity::NodeId;

/// A node that does not answer is asked again after this.
const RETRY: Duration = Duration::from_millis(500);
/// The node is asked to wait for so long for the next change.
const POLL: Duration = Duration::from_secs(30);
/// Beyond that, its answer may take so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who led when, as far as a status says.
type Leader = Option<(NodeId, u64)>;

/// `gaggle wait`
pub(super) fn wait(arguments: &WaitArguments) -> Result<Exit, CommandError> {
    let outcome = runtime()?.block_on(async {
        let reached = reached(arguments);
        match arguments.timeout {
            None => reached.await,
            Some(limit) => {
                let over = Instant::now().checked_add(limit);
                let Some(over) = over else { return reached.await };
                let late = |_| CommandError::NotYet { limit, what: lack(arguments) };
                timeout_at(over, reached).await.map_err(late)?
            }
        }
    });
    print(&outcome?)?;
    Ok(Exit::Done)
}

/// Returns once it is so, and says what is.
async fn reached(arguments: &WaitArguments) -> Result<String, CommandError> {
    let mut first = None;
    let mut index = None;
    let mut is_told = false;
    loop {
        match status(arguments, index).await {
            Ok(status) => {
                let leader = leader(&status);
                let first = *first.get_or_insert(leader);
                if is_reached(arguments, &status, first) {
                    return Ok(words(leader));
                }
                index = Some(status.index);
            }
            Err(error) if is_passing(&error) => {
                if !std::mem::replace(&mut is_told, true) {
                    log::say(&format!("gaggle: waiting for the node: {error}"));
                }
                // It may be another process by then, which counts anew.
                index = None;
                sleep(RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// How the node stands: at once, or when its index is no longer `index`.
async fn status(arguments: &WaitArguments, index: Option<u64>) -> Result<StatusView, CommandError> {
    let ask = AskArguments {
        node: arguments.node.clone(),
        ca: arguments.ca.clone(),
        output: OutputFormat::Json,
        timeout: PATIENCE,
    };
    // Found anew each time: what was not there may be now.
    let (node, _) = node_to_ask(&ask).await?;
    let (path, limit) = match index {
        None => (paths::STATUS.to_owned(), PATIENCE),
        Some(index) => {
            let path = format!("{}?index={index}&wait={}s", paths::STATUS, POLL.as_secs());
            (path, POLL + PATIENCE)
        }
    };
    let answer = ask.client()?.ask(&node, Question::Get(&path), limit).await?;
    let name = node.to_string();
    if !answer.status.is_success() {
        let (kind, detail) = (answer.problem_kind(), answer.complaint());
        return Err(CommandError::Refused { node: name, kind, detail });
    }
    serde_json::from_slice(&answer.body)
        .map_err(|reason| CommandError::NotUnderstood { node: name, reason })
}

/// Whether asking again may help.
fn is_passing(error: &CommandError) -> bool {
    match error {
        CommandError::Refused { .. } => true,
        CommandError::Client(error) => {
            matches!(
                error,
                ClientError::Unreachable { .. }
                    | ClientError::TimedOut { .. }
                    | ClientError::Garbled { .. }
                    | ClientError::Tls { fault: TlsFault::Other(_), .. }
            )
        }
        _ => false,
    }
}

fn leader(status: &StatusView) -> Leader {
    status.goose.as_ref().map(|goose| (goose.id, goose.term))
}

fn is_reached(arguments: &WaitArguments, status: &StatusView, first: Leader) -> bool {
    if arguments.until.goose {
        status.role == Role::Goose
    } else if arguments.until.goose_known {
        status.goose.is_some()
    } else {
        leader(status) != first
    }
}

/// What is so still, for whoever gave up.
fn lack(arguments: &WaitArguments) -> &'static str {
    if arguments.until.goose {
        "the node is not the Goose"
    } else if arguments.until.goose_known {
        "the node knows no Goose"
    } else {
        "the node knows no other Goose than at first"
    }
}

fn words(leader: Leader) -> String {
    match leader {
        Some((id, term)) => format!("node {id} is the Goose of term {term}\n"),
        None => "no Goose is known\n".to_owned(),
    }
}
