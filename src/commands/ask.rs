//! The commands that ask a node, or tell it something, over HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::runtime::Runtime;

use super::arguments::{
    AskArguments, DrainArguments, LeaveArguments, MembersArguments, OutputFormat, PauseArguments,
    StatusArguments, StepDownArguments,
};
use super::find_node::{node_to_ask, node_to_order};
use super::table::{self, colour_allowed};
use super::{CommandError, Exit, print, runtime};
use crate::config::Fault;
use crate::config::token::Token;
use crate::shell::control_socket::discovery::{Found, find};
use crate::shell::control_socket::places::Places;
use crate::shell::http::api::history::{HistoryView, TermView, VotersChangeView};
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{
    GooseView, MemberView, MembersView, Role, State, StatusView, VoterView, VotersView,
    WarningView, scheme,
};
use crate::shell::http::client::{Answer, Client, ClientError, NodeUrl, Question};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::metadata::Tags;
use crate::vocabulary::time::milliseconds;

/// `gaggle status`
pub(super) fn status(arguments: &StatusArguments) -> Result<Exit, CommandError> {
    let node = Conversation::begin(&arguments.ask)?;
    let answer = node.ask(paths::STATUS)?;
    if arguments.is_goose {
        let status: StatusView = node.understood(&answer)?;
        return Ok(if status.role == Role::Goose { Exit::Done } else { Exit::NotGoose });
    }
    node.show(&answer, status_table)
}

/// `gaggle members`
pub(super) fn members(arguments: &MembersArguments) -> Result<Exit, CommandError> {
    let wanted = Tags::parse(arguments.tags.iter().map(String::as_str));
    let wanted = wanted.map_err(Fault::from)?;
    let node = Conversation::begin(&arguments.ask)?;
    let mut answer = node.ask(paths::MEMBERS)?;
    if wanted.iter().next().is_some() || !arguments.states.is_empty() {
        let mut view: MembersView = node.understood(&answer)?;
        let states: Vec<State> = arguments.states.iter().map(|name| name.state()).collect();
        view.members.retain(|member| states.is_empty() || states.contains(&member.state));
        let has = |tags: &BTreeMap<String, String>, (key, value): (&str, &str)| {
            tags.get(key).is_some_and(|known| known == value)
        };
        view.members.retain(|member| {
            let tags = member.tags.as_ref();
            wanted.iter().all(|tag| tags.is_some_and(|tags| has(tags, tag)))
        });
        answer.body = format!("{}\n", json!(view)).into();
    }
    node.show(&answer, |view: MembersView| members_table(&view))
}

/// `gaggle goose`
pub(super) fn goose(arguments: &AskArguments) -> Result<Exit, CommandError> {
    let node = Conversation::begin(arguments)?;
    node.show(&node.ask(paths::GOOSE)?, goose_table)
}

/// `gaggle history`
pub(super) fn history(arguments: &AskArguments) -> Result<Exit, CommandError> {
    let node = Conversation::begin(arguments)?;
    node.show(&node.ask(paths::HISTORY)?, history_table)
}

/// `gaggle voters`
pub(super) fn voters(arguments: &AskArguments) -> Result<Exit, CommandError> {
    let node = Conversation::begin(arguments)?;
    node.show(&node.ask(paths::VOTERS)?, voters_table)
}

/// `gaggle step-down`
pub(super) fn step_down(arguments: &StepDownArguments) -> Result<Exit, CommandError> {
    let body = match (arguments.to, arguments.hold) {
        (None, None) => json!({}),
        (Some(to), None) => json!({ "to": to }),
        (None, Some(hold)) => json!({ "hold_ms": milliseconds(hold) }),
        (Some(to), Some(hold)) => json!({ "to": to, "hold_ms": milliseconds(hold) }),
    };
    let token = arguments.admin_token_file.as_deref();
    let done = |done: SteppedDown| ended(done.term, done.nominee);
    order(&arguments.ask, token, paths::STEP_DOWN, body.to_string(), done)
}

/// `gaggle drain`
pub(super) fn drain(arguments: &DrainArguments) -> Result<Exit, CommandError> {
    let body = json!({ "off": arguments.off }).to_string();
    let token = arguments.admin_token_file.as_deref();
    order(&arguments.ask, token, paths::DRAIN, body, |done: Drained| {
        let mut text = match (done.drained, done.changed) {
            (true, true) => "the node is drained",
            (true, false) => "the node was drained already",
            (false, true) => "the node is drained no more",
            (false, false) => "the node was not drained, and holds back no more",
        }
        .to_owned();
        if done.drained {
            text.push_str(": it votes, but does not lead until `gaggle drain --off`");
            text.push_str(if done.kept { "" } else { ", or until it restarts" });
        }
        text.push('\n');
        if let Some(term) = done.term {
            text.push_str(&ended(term, done.nominee));
        }
        text
    })
}

/// `gaggle pause`
pub(super) fn pause(arguments: &PauseArguments) -> Result<Exit, CommandError> {
    let body = json!({ "for_ms": milliseconds(arguments.lasts) }).to_string();
    let token = arguments.admin_token_file.as_deref();
    order(&arguments.ask, token, paths::PAUSE, body, |done: Paused| {
        let lasts = humantime::format_duration(arguments.lasts);
        format!(
            "the Goose makes way for nobody by choice for {lasts}, or until term {} ends\n",
            done.term
        )
    })
}

/// `gaggle resume`
pub(super) fn resume(arguments: &LeaveArguments) -> Result<Exit, CommandError> {
    let token = arguments.admin_token_file.as_deref();
    order(&arguments.ask, token, paths::RESUME, String::new(), |done: Paused| {
        if done.was_paused { "the pause is over\n" } else { "there was no pause\n" }.to_owned()
    })
}

/// What is said of a term that an order has ended.
fn ended(term: u64, nominee: Option<NodeId>) -> String {
    match nominee {
        Some(nominee) => {
            format!("term {term} has ended; node {nominee} was asked to take over\n")
        }
        None => format!("term {term} has ended; nobody was at hand to take over\n"),
    }
}

/// `gaggle leave`
pub(super) fn leave(arguments: &LeaveArguments) -> Result<Exit, CommandError> {
    let token = arguments.admin_token_file.as_deref();
    let done = |_: serde_json::Value| "the node has left\n".to_owned();
    order(&arguments.ask, token, paths::LEAVE, String::new(), done)
}

/// What `/v1/step-down` answers.
#[derive(Deserialize)]
struct SteppedDown {
    term: u64,
    nominee: Option<NodeId>,
}

/// What `/v1/drain` answers.
#[derive(Deserialize)]
struct Drained {
    drained: bool,
    changed: bool,
    kept: bool,
    term: Option<u64>,
    nominee: Option<NodeId>,
}

/// What `/v1/pause` and `/v1/resume` answer.
#[derive(Deserialize)]
struct Paused {
    term: u64,
    was_paused: bool,
}

/// A node that is being asked, and how its answers are to be shown.
pub(super) struct Conversation {
    runtime: Runtime,
    client: Client,
    node: NodeUrl,
    /// Nobody named it: it is where a node usually is.
    guessed: bool,
    output: OutputFormat,
    timeout: Duration,
}

impl Conversation {
    /// With the node that `arguments` mean.
    pub(super) fn begin(arguments: &AskArguments) -> Result<Self, CommandError> {
        let (runtime, client) = (runtime()?, arguments.client()?);
        let (node, guessed) = runtime.block_on(node_to_ask(arguments))?;
        let (output, timeout) = (arguments.output, arguments.timeout);
        Ok(Self { runtime, client, node, guessed, output, timeout })
    }

    /// With the node that `arguments` mean, to give it an order; with the token, if it is to be sent.
    pub(super) fn to_order<'a>(
        arguments: &AskArguments,
        token: Option<&'a Token>,
    ) -> Result<(Self, Option<&'a Token>), CommandError> {
        let (runtime, client) = (runtime()?, arguments.client()?);
        let (node, token) = runtime.block_on(node_to_order(arguments, token, &client))?;
        let (output, timeout) = (arguments.output, arguments.timeout);
        Ok((Self { runtime, client, node, guessed: false, output, timeout }, token))
    }

    /// By which others are asked, too.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Where that node is asked.
    pub(super) fn url(&self) -> &NodeUrl {
        &self.node
    }

    /// The answer to a question, if it is a success.
    pub(super) fn ask(&self, path: &str) -> Result<Answer, CommandError> {
        self.exchange(Question::Get(path))
    }

    pub(super) fn exchange(&self, question: Question<'_>) -> Result<Answer, CommandError> {
        let is_order = matches!(question, Question::Order { .. });
        let exchange = self.client.ask(&self.node, question, self.timeout);
        let answer = match self.runtime.block_on(exchange) {
            Err(ClientError::Unreachable { .. }) if self.guessed => {
                let Found { foreign, .. } = find(&Places::of_process());
                return Err(CommandError::NoNode { foreign });
            }
            Err(ClientError::TimedOut { node, limit }) if is_order => {
                return Err(CommandError::Unanswered { node: node.to_string(), limit });
            }
            outcome => outcome?,
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        let node = self.node.to_string();
        let (kind, detail) = (answer.problem_kind(), answer.complaint());
        Err(CommandError::Refused { node, kind, detail })
    }

    pub(super) fn understood<T: DeserializeOwned>(
        &self,
        answer: &Answer,
    ) -> Result<T, CommandError> {
        serde_json::from_slice(&answer.body)
            .map_err(|reason| CommandError::NotUnderstood { node: self.node.to_string(), reason })
    }

    /// Prints the answer as it came, or as a table.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        table: impl FnOnce(T) -> String,
    ) -> Result<Exit, CommandError> {
        if self.output == OutputFormat::Json {
            print(&String::from_utf8_lossy(&answer.body))?;
            return Ok(Exit::Done);
        }
        let text = table(self.understood(answer)?);
        print(&if colour_allowed() { table::highlight(&text) } else { text })?;
        Ok(Exit::Done)
    }
}

/// Gives an order and shows what became of it.
fn order<T: DeserializeOwned>(
    arguments: &AskArguments,
    token_file: Option<&Path>,
    path: &str,
    body: String,
    table: impl FnOnce(T) -> String,
) -> Result<Exit, CommandError> {
    let token = token_file.map(Token::read).transpose().map_err(Fault::from)?;
    let (conversation, token) = Conversation::to_order(arguments, token.as_ref())?;
    let answer =
        conversation.exchange(Question::Order { method: Method::POST, path, body, token })?;
    conversation.show(&answer, table)
}

fn status_table(status: StatusView) -> String {
    let role = match (&status.lease, status.role) {
        (Some(lease), Role::Goose) => format!(
            "Goose of term {}, lease valid for {} ms of {} ms",
            status.term, lease.remaining_ms, lease.duration_ms
        ),
        (_, role) => format!("{}, highest term known {}", role.word(), status.term),
    };
    let goose = status
        .goose
        .map(|goose| format!("node {} at {}, term {}", goose.called(), goose.addr, goose.term));
    let voters = status.voters.as_ref();
    let is_voter = voters.is_some_and(|voters| voters.is_voter);
    let uptime = Duration::from_secs(status.node.uptime_ms / 1000);
    let stuck = status.node.stuck_for().map(|age| ("STUCK", format!("for {age:.1?}: restart it")));
    let lineage = status.lineage.map(|lineage| format!(", lineage {lineage}"));
    let cluster = format!("{}{}", status.cluster, lineage.unwrap_or_default());
    let scheme = scheme(status.node.http_tls);
    let mut pairs = vec![
        ("cluster", cluster),
        ("node", format!("{}{}", status.node.id, if is_voter { ", a voter" } else { "" })),
        ("name", or_dash(status.node.name)),
        ("address", status.node.addr.to_string()),
        ("http", or_dash(status.node.http.map(|address| format!("{scheme}://{address}")))),
        ("tags", tags(Some(&status.node.tags))),
        ("uptime", humantime::format_duration(uptime).to_string()),
        ("role", role),
        ("goose", goose.unwrap_or_else(|| "none known".to_owned())),
        ("voters", or_dash(voters.map(|voters| list(&voters.ids)))),
        (
            "reachable",
            or_dash(voters.map(|voters| {
                format!("{} (majority: {})", list(&voters.reachable), voters.majority)
            })),
        ),
        (
            "members",
            format!(
                "{} alive, {} suspect, {} down",
                status.members.alive, status.members.suspect, status.members.down
            ),
        ),
    ];
    pairs.extend(stuck);
    let unhealthy = status.node.unhealthy;
    let is_news = |warning: &WarningView| {
        !unhealthy.as_ref().is_some_and(|it| warning.words.contains(it.as_str()))
    };
    let warnings = status.warnings.into_iter().filter(is_news);
    pairs.extend(warnings.map(|warning| ("WARNING", warning.words)));
    pairs.extend(unhealthy.map(|reason| ("NOT HEALTHY", reason)));
    if let Some(left) = status.node.holds_back_ms {
        pairs.push(("holds back", format!("for {}", still(left))));
    }
    if let Some(left) = status.node.paused_ms {
        let left = humantime::format_duration(Duration::from_millis(left));
        pairs.push(("paused", format!("for {left} more; `gaggle resume` ends that")));
    }
    if status.node.drained {
        pairs.push(("DRAINED", "it does not lead until `gaggle drain --off`".to_owned()));
    }
    pairs.extend(status.node.disk_hangs_ms.map(|ms| ("DISK HANGS", format!("for {ms} ms"))));
    table::pairs(&pairs)
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// For how long a node holds back, in words, and how that is ended.
pub(super) fn still(milliseconds: u64) -> String {
    let left = humantime::format_duration(Duration::from_millis(milliseconds));
    format!("{left} more; `gaggle drain --off` ends that")
}

fn list(ids: &[NodeId]) -> String {
    let texts: Vec<String> = ids.iter().map(NodeId::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn history_table(view: HistoryView) -> String {
    let row = |term: &TermView| {
        let lasted = Duration::from_millis(term.duration_ms);
        vec![
            term.term.to_string(),
            term.id.to_string(),
            or_dash(term.name.clone()),
            term.time.clone(),
            humantime::format_duration(lasted).to_string(),
            term.reason.clone(),
            term.ended_reason.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let rows: Vec<Vec<String>> = view.terms.iter().map(row).collect();
    let terms =
        table::render(&["TERM", "NODE", "NAME", "BEGAN", "LASTED", "HOW", "WHY IT ENDED"], &rows);
    if view.voters.is_empty() {
        return terms;
    }
    let row =
        |change: &VotersChangeView| vec![change.time.clone(), list(&change.voters), change.kept()];
    let rows: Vec<Vec<String>> = view.voters.iter().map(row).collect();
    format!("{terms}\n{}", table::render(&["SINCE", "VOTERS", "THEY CHANGE"], &rows))
}

fn voters_table(view: VotersView) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    // They grant to the Goose; what they grant to a Duck is nothing, and says nothing of them.
    let leads = view.voters.iter().any(|voter| voter.granting);
    let granting = |is: bool| if leads { yes(is) } else { "-".to_owned() };
    let row = |voter: &VoterView| {
        vec![
            voter.id.to_string(),
            or_dash(voter.name.clone()),
            voter.addr.map_or_else(|| "-".to_owned(), |address| address.to_string()),
            yes(voter.reachable),
            voter.answered_ms.map_or_else(|| "-".to_owned(), |ago| format!("{ago} ms ago")),
            match voter.disk_hangs_ms {
                Some(hangs) => {
                    format!("{}; its DISK HANGS, for {hangs} ms", granting(voter.granting))
                }
                None => granting(voter.granting),
            },
        ]
    };
    let rows: Vec<Vec<String>> = view.voters.iter().map(row).collect();
    let mut text =
        table::render(&["VOTER", "NAME", "ADDRESS", "REACHABLE", "ANSWERED", "GRANTING"], &rows);
    text.push_str(&format!("{}\n", view.endurance()));
    if let Some(change) = &view.change {
        text.push_str(&format!("{}\n", change.words()));
    }
    if let Some(number) = view.auto {
        text.push_str(&format!(
            "the Goose keeps {number} voters by itself, as nodes come and go\n"
        ));
    }
    if !view.awaited.is_empty() {
        let awaited = view.awaited.iter().map(|awaited| (awaited.id, awaited.lack.as_str()));
        text.push_str(&crate::shell::journal::without_record(awaited));
        text.push('\n');
    }
    text
}

/// Members, one a line. Those that have left come last, apart: a day later they are forgotten.
pub(super) fn members_table(view: &MembersView) -> String {
    let (left, here): (Vec<_>, Vec<_>) =
        view.members.iter().partition(|member| member.state == State::Left);
    let rows: Vec<Vec<String>> = here.into_iter().map(member_row).collect();
    let mut text = if rows.is_empty() && !left.is_empty() {
        String::new()
    } else {
        let heads = ["NODE", "NAME", "ADDRESS", "STATE", "ROLE", "ELIGIBLE", "HTTP", "TAGS"];
        table::render(&heads, &rows) + if left.is_empty() { "" } else { "\n" }
    };
    if !left.is_empty() {
        let row = |member: &MemberView| {
            vec![member.id.to_string(), or_dash(member.name.clone()), member.addr.to_string()]
        };
        let rows: Vec<Vec<String>> = left.into_iter().map(row).collect();
        text.push_str(&table::render(&["LEFT", "NAME", "ADDRESS"], &rows));
    }
    text
}

fn member_row(member: &MemberView) -> Vec<String> {
    let eligible = match (member.eligible, member.drained, member.unhealthy.is_some()) {
        (_, true, _) => "no, drained",
        (_, false, true) => "no, not healthy",
        (true, false, false) => "yes",
        (false, false, false) => "no",
    };
    vec![
        member.id.to_string(),
        or_dash(member.name.clone()),
        member.addr.to_string(),
        member.state.word().to_owned(),
        member.role.word().to_owned(),
        eligible.to_owned(),
        served_at(member.http, member.http_tls),
        tags(member.tags.as_ref()),
    ]
}

/// Where HTTP is served, as tables say it: as a URL where it has to be one.
fn served_at(address: Option<SocketAddr>, is_tls: bool) -> String {
    or_dash(
        address.map(|it| if is_tls { NodeUrl::at(it, true).to_string() } else { it.to_string() }),
    )
}

fn tags(known: Option<&BTreeMap<String, String>>) -> String {
    let texts = known.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(" ") }
}

fn goose_table(goose: GooseView) -> String {
    let mut heads = vec!["NODE", "NAME", "ADDRESS", "HTTP", "TERM", "EXPIRES"];
    let mut row = vec![
        goose.id.to_string(),
        or_dash(goose.name),
        goose.addr.to_string(),
        served_at(goose.http, goose.http_tls),
        goose.term.to_string(),
        format!("{} ms", goose.expires_in_ms),
    ];
    if !goose.tags.is_empty() {
        heads.push("TAGS");
        row.push(tags(Some(&goose.tags)));
    }
    table::render(&heads, &[row])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_the_documentation_becomes_a_table() {
        let text = r#"{"cluster":"gaggle","index":17,"version":"1",
            "node":{"id":3,"name":"db-3","boot":"9f3c","addr":"127.0.0.1:8002","http":"127.0.0.1:9002",
                    "tags":{"rack":"7","zone":"eu-1"},"uptime_ms":81234},
            "role":"goose","term":12,"lease":{"remaining_ms":412,"duration_ms":600},
            "goose":{"id":3,"name":"db-3","addr":"127.0.0.1:8002","http":"127.0.0.1:9002","term":12},
            "voters":{"version":1,"ids":[1,2,3],"reachable":[1,3],"majority":2,"is_voter":true},
            "members":{"alive":3,"suspect":0,"down":0}}"#;
        let expected = "cluster    gaggle\n\
                        node       3, a voter\n\
                        name       db-3\n\
                        address    127.0.0.1:8002\n\
                        http       http://127.0.0.1:9002\n\
                        tags       rack=7 zone=eu-1\n\
                        uptime     1m 21s\n\
                        role       Goose of term 12, lease valid for 412 ms of 600 ms\n\
                        goose      node 3 (db-3) at 127.0.0.1:8002, term 12\n\
                        voters     1, 2, 3\n\
                        reachable  1, 3 (majority: 2)\n\
                        members    3 alive, 0 suspect, 0 down\n";
        assert_eq!(status_table(serde_json::from_str(text).unwrap()), expected);
        let held =
            text.replace("\"uptime_ms\"", "\"holds_back_ms\":61000,\"drained\":true,\"uptime_ms\"");
        let table = status_table(serde_json::from_str(&held).unwrap());
        assert!(table.contains("holds back  for 1m 1s more; `gaggle drain --off` ends that\n"));
        assert!(
            table.contains("DRAINED     it does not lead until `gaggle drain --off`\n"),
            "{table}"
        );
    }

    #[test]
    fn members_that_have_left_stand_apart() {
        let member = |id: u64, state: &str| {
            format!(
                r#"{{"id":{id},"boot":"9f","addr":"10.0.0.{id}:8000","state":"{state}",
                    "role":"duck","eligible":true,"http":null}}"#
            )
        };
        let table = |members: &[String]| {
            let text = format!(r#"{{"members":[{}]}}"#, members.join(","));
            members_table(&serde_json::from_str(&text).unwrap())
        };
        let both = table(&[member(1, "left"), member(2, "alive")]);
        let (here, left) = both.split_once("\n\n").expect("a line between them");
        assert!(here.contains("10.0.0.2:8000") && !here.contains("10.0.0.1:8000"), "{both}");
        assert!(left.starts_with("LEFT") && left.contains("10.0.0.1:8000"), "{both}");
        assert!(table(&[member(1, "left")]).starts_with("LEFT"));
        assert!(!table(&[member(2, "alive")]).contains("LEFT"));
    }

    #[test]
    fn a_duck_does_not_say_that_nobody_grants_the_lease() {
        let voter = |id: u64, granting: bool| {
            format!(r#"{{"id":{id},"addr":null,"reachable":true,"granting":{granting}}}"#)
        };
        let table = |granting: [bool; 2]| {
            let voters = [voter(1, granting[0]), voter(2, granting[1])].join(",");
            let head = r#""version":1,"ballot":1,"majority":2,"preempt":false"#;
            let text = format!(r#"{{{head},"voters":[{voters}]}}"#);
            voters_table(serde_json::from_str(&text).unwrap())
        };
        let column = |table: &str| -> Vec<String> {
            let last = |line: &str| line.split_whitespace().last().unwrap().to_owned();
            table.lines().take(3).map(last).collect()
        };
        assert_eq!(column(&table([false, false])), ["GRANTING", "-", "-"]);
        assert_eq!(column(&table([true, false])), ["GRANTING", "yes", "no"]);
    }
}
