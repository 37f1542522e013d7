//! `gaggle forget`: members that are down or have left are no members any more.
//!
//! `--down` means all that are down or have left, but for voters: a voter that is forgotten is seen by
//! nobody, and counts all the same. It is to be replaced first, or named.

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::arguments::ForgetArguments;
use super::ask::Conversation;
use super::{CommandError, Exit, complain, one_line, print};
use crate::config::Fault;
use crate::config::token::Token;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{MembersView, State, VotersView};
use crate::shell::http::client::Question;
use crate::vocabulary::identity::NodeId;

/// What `/v1/forget` answers.
#[derive(Deserialize)]
struct Forgot {
    id: NodeId,
    is_voter: bool,
}

/// Forgets each of them. One that is refused does not keep the others; the last refusal is the outcome.
pub(super) fn forget(arguments: &ForgetArguments) -> Result<Exit, CommandError> {
    let token = arguments.admin_token_file.as_deref().map(Token::read);
    let token = token.transpose().map_err(Fault::from)?;
    let (node, token) = Conversation::to_order(&arguments.ask, token.as_ref())?;
    let ids = if arguments.down { gone(&node)? } else { arguments.ids.clone() };
    if ids.is_empty() {
        print("no member is down or has left, voters aside\n")?;
    }
    let mut refused: Option<CommandError> = None;
    for id in ids {
        let body = json!({ "id": id }).to_string();
        let method = Method::POST;
        let order = Question::Order { method, path: paths::FORGET, body, token };
        let outcome = node.exchange(order).and_then(|answer| node.show(&answer, forgotten));
        if let Err(error) = outcome
            && let Some(earlier) = refused.replace(error)
        {
            complain(&format!("gaggle: {}\n", one_line(&earlier.to_string())));
        }
    }
    refused.map_or(Ok(Exit::Done), Err)
}

fn forgotten(done: Forgot) -> String {
    let stays = if done.is_voter { ", but stays a voter" } else { "" };
    format!("node {} is forgotten: it is no member any more{stays}\n", done.id)
}

/// Members that are down or have left, and do not vote.
fn gone(node: &Conversation) -> Result<Vec<NodeId>, CommandError> {
    let members: MembersView = node.understood(&node.ask(paths::MEMBERS)?)?;
    // Who votes is asked last: nobody is forgotten who has become a voter meanwhile.
    let voters: VotersView = node.understood(&node.ask(paths::VOTERS)?)?;
    let votes = |id: NodeId| voters.voters.iter().any(|voter| voter.id == id);
    let is_gone = |state| matches!(state, State::Down | State::Left);
    let gone = members.members.iter().filter(|it| is_gone(it.state) && !votes(it.id));
    Ok(gone.map(|member| member.id).collect())
}
