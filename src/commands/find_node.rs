//! Which node a command means.
//!
//! ```text
//! --node, GAGGLE_NODE ──▶ that one; an order without a token goes to its socket, if it is here
//! nothing said ──▶ the control sockets of this machine ──▶ one: that one
//!                                                      ──▶ several: they are listed, exit 2
//!                                                      ──▶ none: http://127.0.0.1:9000 is read
//! ```
//!
//! So a command reaches the node of its machine whatever address that listens on. What is read
//! may be asked of a node of another user's or of an older version too, at the usual port; an
//! order goes there with a token only.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;

use super::arguments::AskArguments;
use super::table;
use super::{CommandError, complain};
use crate::config::token::Token;
use crate::shell::control_socket::discovery::{Found, find};
use crate::shell::control_socket::places::Places;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::StatusView;
use crate::shell::http::client::{Client, ClientError, NodeUrl, PORT_DEFAULT, Question, ask};

/// Several nodes are told apart by what they say within this.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// So many are asked at once: fewer than the fewest files that a process may open.
const ASKED_AT_ONCE: usize = 16;

/// A node of this machine, and what it says of itself if it says anything.
struct Neighbour {
    node: NodeUrl,
    path: PathBuf,
    status: Option<StatusView>,
}

/// The node that a question is for; and whether that is only where a node usually is.
pub(super) async fn node_to_ask(arguments: &AskArguments) -> Result<(NodeUrl, bool), CommandError> {
    if let Some(node) = &arguments.node {
        return Ok((node.clone(), false));
    }
    let found = find(&Places::of_process());
    match the_only(found).await? {
        Ok(node) => Ok((node, false)),
        Err(_) => Ok((usual(), true)),
    }
}

/// The node that an order is for, and the token if that is to be sent along.
pub(super) async fn node_to_order<'token>(
    arguments: &AskArguments,
    token: Option<&'token Token>,
    client: &Client,
) -> Result<(NodeUrl, Option<&'token Token>), CommandError> {
    let Some(node) = &arguments.node else {
        return match (the_only(find(&Places::of_process())).await?, token) {
            (Ok(node), _) => Ok((node, None)),
            (Err(_), Some(token)) => Ok((usual(), Some(token))),
            (Err(foreign), None) => Err(CommandError::NoNode { foreign }),
        };
    };
    if node.is_socket() || token.is_some() && (node.is_tls() || node.is_loopback().await) {
        return Ok((node.clone(), token.filter(|_| !node.is_socket())));
    }
    match socket_of(node, client, arguments.timeout).await {
        Some(socket) => Ok((socket, None)),
        // It says itself how it takes orders.
        None => Ok((node.clone(), token)),
    }
}

/// Where a node usually is.
fn usual() -> NodeUrl {
    NodeUrl::from(std::net::SocketAddr::from(([127, 0, 0, 1], PORT_DEFAULT)))
}

/// The only node among those that were found; or, if there is none, a socket of somebody else's.
async fn the_only(found: Found) -> Result<Result<NodeUrl, Option<PathBuf>>, CommandError> {
    let Found { own, foreign } = found;
    if let [path] = own.as_slice() {
        // Whether it answers is found out by asking.
        return Ok(Ok(NodeUrl::socket(path.clone())));
    }
    let mut alive = alive(own).await;
    match alive.len() {
        0 => Ok(Err(foreign)),
        1 => Ok(Ok(alive.remove(0).node)),
        count => {
            complain(&listed(&alive));
            Err(CommandError::SeveralNodes(count))
        }
    }
}

/// Those of `sockets` on which a node lives, with what they say of themselves.
async fn alive(sockets: Vec<PathBuf>) -> Vec<Neighbour> {
    let mut neighbours = Vec::new();
    for sockets in sockets.chunks(ASKED_AT_ONCE) {
        let mut answers = JoinSet::new();
        for (place, path) in sockets.iter().cloned().enumerate() {
            answers.spawn(async move { (place, look(path).await) });
        }
        let mut answers = answers.join_all().await;
        answers.sort_by_key(|(place, _)| *place);
        neighbours.extend(answers.into_iter().filter_map(|(_, neighbour)| neighbour));
    }
    neighbours
}

/// What lives at `path`, if it is a node: one that says nothing may be frozen.
async fn look(path: PathBuf) -> Option<Neighbour> {
    let node = NodeUrl::socket(path.clone());
    let status = match ask(&node, Question::Get(paths::STATUS), LOOK_LIMIT).await {
        Ok(answer) => Some(serde_json::from_slice(&answer.body).ok()?),
        Err(ClientError::TimedOut { .. }) => None,
        Err(_) => return None,
    };
    Some(Neighbour { node, path, status })
}

/// The control socket of the node that answers at `node`, if it is on this machine and this
/// user's: the one behind which the same process answers.
pub(super) async fn socket_of(node: &NodeUrl, client: &Client, limit: Duration) -> Option<NodeUrl> {
    let Found { own, .. } = find(&Places::of_process());
    if own.is_empty() {
        return None;
    }
    let answer = client.ask(node, Question::Get(paths::STATUS), limit).await.ok()?;
    let wanted: StatusView = serde_json::from_slice(&answer.body).ok()?;
    let same = |neighbour: &Neighbour| {
        let status = neighbour.status.as_ref();
        status.is_some_and(|it| it.node.id == wanted.node.id && it.node.boot == wanted.node.boot)
    };
    alive(own).await.into_iter().find(same).map(|neighbour| neighbour.node)
}

/// The nodes, one a line.
fn listed(neighbours: &[Neighbour]) -> String {
    let row = |neighbour: &Neighbour| {
        let path = neighbour.path.display().to_string();
        match &neighbour.status {
            Some(status) => vec![
                status.node.id.to_string(),
                status.cluster.clone(),
                status.node.addr.to_string(),
                path,
            ],
            None => vec!["silent".to_owned(), "-".to_owned(), "-".to_owned(), path],
        }
    };
    let rows: Vec<Vec<String>> = neighbours.iter().map(row).collect();
    table::render(&["NODE", "CLUSTER", "ADDRESS", "SOCKET"], &rows)
}
