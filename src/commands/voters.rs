//! `gaggle voters add`, `remove`, `replace`, `auto` and `fixed`: an order to the Goose, given again
//! until it is in force, for it says each time how far it is.

use std::time::{Duration, Instant};

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::arguments::{
    AutoArguments, ReplaceArguments, VoteArguments, VoterOrderArguments, VotersAction,
};
use super::ask::Conversation;
use super::log;
use super::{CommandError, Exit};
use crate::config::error::Fault;
use crate::config::token::Token;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{VoterView, VotersView};
use crate::shell::http::client::Question;
use crate::vocabulary::identity::NodeId;

/// How long until the Goose is asked again how far it is.
const PAUSE: Duration = Duration::from_millis(100);

/// What an order to change voters is answered with.
#[derive(Deserialize)]
struct VotersOrdered {
    auto: Option<u8>,
    in_force: bool,
    #[serde(default)]
    waits_for: Option<String>,
}

/// One order, as it is sent.
struct VoterOrder<'a> {
    method: Method,
    path: String,
    body: String,
    arguments: &'a VoterOrderArguments,
}

impl<'a> VoterOrder<'a> {
    fn of(action: &'a VotersAction) -> Option<Self> {
        let one = |id: &NodeId| paths::VOTE.replace(paths::NAMED, &id.to_string());
        let all = || paths::VOTERS.to_owned();
        let (method, path, body, arguments) = match action {
            VotersAction::List | VotersAction::Recover(_) => return None,
            VotersAction::Add(VoteArguments { id, order }) => {
                (Method::PUT, one(id), String::new(), order)
            }
            VotersAction::Remove(VoteArguments { id, order }) => {
                (Method::DELETE, one(id), String::new(), order)
            }
            VotersAction::Replace(ReplaceArguments { old, new, order }) => {
                (Method::PUT, one(new), json!({ "replaces": old }).to_string(), order)
            }
            VotersAction::Auto(AutoArguments { number, order }) => {
                (Method::PUT, all(), json!({ "auto": number }).to_string(), order)
            }
            VotersAction::Fixed(order) => {
                (Method::PUT, all(), json!({ "fixed": true }).to_string(), order)
            }
        };
        Some(Self { method, path, body, arguments })
    }
}

/// Gives the order that `action` means, and waits until it is in force.
pub(super) fn change(action: &VotersAction) -> Result<Exit, CommandError> {
    let Some(order) = VoterOrder::of(action) else { return Ok(Exit::Usage) };
    let arguments = order.arguments;
    let token = arguments.admin_token_file.as_deref().map(Token::read);
    let token = token.transpose().map_err(Fault::from)?;
    let (node, token) = Conversation::to_order(&arguments.ask, token.as_ref())?;
    let begun = Instant::now();
    let mut told = None;
    loop {
        let answer = node.exchange(Question::Order {
            method: order.method.clone(),
            path: &order.path,
            body: order.body.clone(),
            token,
        })?;
        let done: VotersOrdered = node.understood(&answer)?;
        if done.in_force {
            let view: VotersView = node.understood(&node.ask(paths::VOTERS)?)?;
            return node.show(&answer, |done| in_force(&done, &view));
        }
        let hold = done.waits_for.unwrap_or_default();
        if begun.elapsed() >= arguments.wait {
            return Err(CommandError::VotersPending { limit: arguments.wait, hold });
        }
        // What is over within moments is not worth a line.
        if begun.elapsed() >= Duration::from_secs(1) && told.as_ref() != Some(&hold) {
            log::say(&format!("gaggle: waiting for {hold}"));
            told = Some(hold);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What is in force now, by names.
fn in_force(done: &VotersOrdered, view: &VotersView) -> String {
    let voters: Vec<String> = view.voters.iter().map(VoterView::called).collect();
    let kept = done.auto.map_or(String::new(), |number| {
        format!("; the Goose keeps {number} by itself, as far as there are nodes")
    });
    format!("in force: {}: {}{kept}\n", view.endurance(), voters.join(", "))
}
