//! `gaggle audit`: the histories of all nodes side by side, and whether they can be true together.
//!
//! Each node tells its own leaderships by its own wall clock. How far that clock is off is measured: a
//! history says what time it was when it was written, and so when it was asked for and when it came
//! bound the difference. What clocks did before cannot be measured; `--clock-error` allows for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::arguments::{AuditArguments, OutputFormat};
use super::ask::Conversation;
use super::table;
use super::{CommandError, Exit, print, runtime};
use crate::shell::history::judge::{Fault, Reign, judge};
use crate::shell::http::api::history::HistoryView;
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{MembersView, State, StatusView};
use crate::shell::http::client::{Client, ClientError, NodeUrl, Question};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::node_name::called;

/// So many nodes are asked at most.
const ASKED_MAX: usize = 256;

/// What one node says.
struct Witness {
    id: NodeId,
    name: Option<String>,
    history: HistoryView,
    clock: Option<ClockOffset>,
}

/// How far a node's wall clock is ahead of this machine's, in milliseconds, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct ClockOffset {
    ahead_ms: i64,
    within_ms: u64,
}

impl ClockOffset {
    /// The node's clock showed `theirs` at some moment between `asked` and `answered` on this one's.
    fn measured(theirs: u64, asked: u64, answered: u64) -> Self {
        let middle = asked + answered.saturating_sub(asked) / 2;
        let ahead_ms =
            i64::try_from(theirs).unwrap_or(i64::MAX) - i64::try_from(middle).unwrap_or(i64::MAX);
        // The half of the way, and what is cut off at the thousandth, on either side.
        Self { ahead_ms, within_ms: answered.saturating_sub(asked) / 2 + 2 }
    }
}

/// What comes of it.
struct Audit {
    witnesses: Vec<Witness>,
    /// Who was asked and did not answer.
    silent: Vec<String>,
    reigns: Vec<Reign>,
    faults: Vec<Fault>,
}

/// Asks all nodes for their histories and judges them: exit 1 if two leaderships cannot both be true.
pub(super) fn audit(arguments: &AuditArguments) -> Result<Exit, CommandError> {
    let (places, missing) = places(arguments)?;
    let client = arguments.ask.client()?;
    let limit = arguments.ask.timeout;
    let answers = runtime()?.block_on(async {
        let mut questions = JoinSet::new();
        for place in places {
            let client = client.clone();
            questions.spawn(async move { ask(&client, &place, limit).await });
        }
        questions.join_all().await
    });
    let mut silent = missing;
    let mut witnesses: BTreeMap<NodeId, Witness> = BTreeMap::new();
    for answer in answers {
        match answer {
            Ok(witness) => _ = witnesses.insert(witness.id, witness),
            Err(place) => silent.push(place),
        }
    }
    let witnesses: Vec<Witness> = witnesses.into_values().collect();
    let audit = Audit::of(witnesses, silent, arguments.clock_error);
    if audit.witnesses.is_empty() {
        return Err(CommandError::NobodyAnswered);
    }
    print(&match arguments.ask.output {
        OutputFormat::Table => audit.table(),
        OutputFormat::Json => format!("{:#}\n", audit.json()),
    })?;
    Ok(if audit.faults.is_empty() { Exit::Done } else { Exit::Failure })
}

/// Where the nodes are that are to be asked, and which members cannot be.
fn places(arguments: &AuditArguments) -> Result<(Vec<NodeUrl>, Vec<String>), CommandError> {
    if !arguments.nodes.is_empty() {
        return Ok((arguments.nodes.clone(), Vec::new()));
    }
    let node = Conversation::begin(&arguments.ask)?;
    let status: StatusView = node.understood(&node.ask(paths::STATUS)?)?;
    let members: MembersView = node.understood(&node.ask(paths::MEMBERS)?)?;
    let others = members.members.iter().filter(|member| member.id != status.node.id);
    let (mut places, mut missing) = (vec![node.url().clone()], Vec::new());
    for member in others {
        // Whoever is down or has left may have led, too, and cannot be asked.
        let is_here = matches!(member.state, State::Alive | State::Suspect);
        match member.http.filter(|_| is_here && places.len() < ASKED_MAX) {
            Some(address) => places.push(NodeUrl::at(address, member.http_tls)),
            None => missing.push(format!("node {}", member.called())),
        }
    }
    Ok((places, missing))
}

/// What the node at `node` tells; or who does not, with the reason if that is no mere silence.
async fn ask(client: &Client, node: &NodeUrl, limit: Duration) -> Result<Witness, String> {
    let silent = |error| match error {
        ClientError::Tls { .. } => error.to_string(),
        _ => node.to_string(),
    };
    let odd = |_| node.to_string();
    let status = client.ask(node, Question::Get(paths::STATUS), limit).await.map_err(silent)?;
    let status: StatusView = serde_json::from_slice(&status.body).map_err(odd)?;
    let asked = wall_clock();
    let answer = client.ask(node, Question::Get(paths::HISTORY), limit).await.map_err(silent)?;
    let answered = wall_clock();
    let history: HistoryView = serde_json::from_slice(&answer.body).map_err(odd)?;
    let clock = history.asked_at().map(|theirs| ClockOffset::measured(theirs, asked, answered));
    Ok(Witness { id: status.node.id, name: status.node.name, history, clock })
}

fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Witness {
    /// Its own leaderships, by this machine's clock.
    fn reigns(&self, clock_error: Duration) -> Vec<Reign> {
        let within = self.clock.map_or(Duration::ZERO, |it| Duration::from_millis(it.within_ms));
        let ahead = self.clock.map_or(0, |it| it.ahead_ms).saturating_mul(1_000_000);
        let mut reigns = self.history.reigns(self.id, within + clock_error);
        let shift = |at: &mut u64| *at = at.saturating_add_signed(ahead.saturating_neg());
        for reign in &mut reigns {
            let bounds = [Some(&mut reign.began), reign.ended.as_mut()];
            for bounds in bounds.into_iter().flatten() {
                shift(&mut bounds.earliest);
                shift(&mut bounds.latest);
            }
        }
        reigns
    }

    fn called(&self) -> String {
        called(self.id, self.name.as_deref())
    }
}

impl Audit {
    fn of(witnesses: Vec<Witness>, silent: Vec<String>, clock_error: Duration) -> Self {
        let reigns: Vec<Reign> =
            witnesses.iter().flat_map(|witness| witness.reigns(clock_error)).collect();
        let heard: Vec<(u64, NodeId)> =
            witnesses.iter().flat_map(|witness| witness.history.heard()).collect();
        let faults = judge(&reigns, &heard);
        Self { witnesses, silent, reigns, faults }
    }

    /// For how long a node led, as far as it says; what goes on counts until now.
    fn led_for(&self, id: NodeId) -> Duration {
        let own = self.witnesses.iter().filter(|witness| witness.id == id);
        let terms = own.flat_map(|witness| &witness.history.terms);
        let terms = terms.filter(|term| term.is_of(id));
        Duration::from_millis(terms.map(|term| term.duration_ms).sum())
    }

    /// The first and the last term that anybody has seen.
    fn span(&self) -> Option<(u64, u64)> {
        let terms = self.witnesses.iter().flat_map(|witness| witness.history.heard());
        let (mut least, mut most) = (u64::MAX, 0);
        for (term, _) in terms {
            (least, most) = (least.min(term), most.max(term));
        }
        (most > 0).then_some((least, most))
    }

    /// How many terms somebody has seen and nobody who led them tells of: that process is gone.
    fn untold(&self) -> usize {
        let seen = self.witnesses.iter().flat_map(|witness| witness.history.heard());
        let seen: BTreeSet<u64> = seen.map(|(term, _)| term).collect();
        seen.iter().filter(|term| self.reigns.iter().all(|reign| reign.term != **term)).count()
    }

    fn table(&self) -> String {
        let row = |witness: &Witness| {
            let terms = self.reigns.iter().filter(|reign| reign.node == witness.id).count();
            let led = Duration::from_secs(self.led_for(witness.id).as_secs());
            vec![
                witness.called(),
                terms.to_string(),
                humantime::format_duration(led).to_string(),
                witness.clock.map_or_else(
                    || "not known".to_owned(),
                    |it| format!("{:+} ms, within {} ms", it.ahead_ms, it.within_ms),
                ),
            ]
        };
        let rows: Vec<Vec<String>> = self.witnesses.iter().map(row).collect();
        let mut text = table::render(&["NODE", "TERMS", "LED FOR", "CLOCK"], &rows);
        for place in &self.silent {
            text += &format!("no answer from {place}: what it led is known from others only\n");
        }
        if self.untold() > 0 {
            text += &format!(
                "of these terms {} were led by processes that are gone: only whose they were is known\n",
                self.untold()
            );
        }
        for fault in &self.faults {
            text += &format!("FAULT  {fault}\n");
        }
        text += &match (self.span(), self.faults.is_empty()) {
            (None, _) => "nobody has seen a term yet\n".to_owned(),
            (Some((first, last)), true) => format!(
                "terms {first} to {last}: each is of one node, and no two leaderships overlap that are told\n"
            ),
            (Some((first, last)), false) => {
                format!("terms {first} to {last}: what is said above cannot all be true\n")
            }
        };
        text
    }

    fn json(&self) -> serde_json::Value {
        let node = |witness: &Witness| {
            json!({
                "id": witness.id,
                "name": witness.name,
                "terms": self.reigns.iter().filter(|reign| reign.node == witness.id).count(),
                "led_ms": u64::try_from(self.led_for(witness.id).as_millis()).unwrap_or(u64::MAX),
                "clock": witness.clock,
            })
        };
        json!({
            "nodes": self.witnesses.iter().map(node).collect::<Vec<_>>(),
            "silent": self.silent,
            "first_term": self.span().map(|(first, _)| first),
            "untold_terms": self.untold(),
            "last_term": self.span().map(|(_, last)| last),
            "faults": self.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::http::api::history::TermView;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn term(node: u64, term: u64, second: u64, until: Option<u64>) -> TermView {
        let written = |second: u64| format!("2026-01-01T00:00:{second:02}.000Z");
        TermView {
            term,
            id: id(node),
            own: Some(true),
            name: None,
            addr: "127.0.0.1:8000".parse().unwrap(),
            time: written(second),
            reason: String::new(),
            ended: until.map(written),
            ended_reason: None,
            duration_ms: until.unwrap_or(second).saturating_sub(second) * 1000,
        }
    }

    fn witness(node: u64, ahead_ms: i64, terms: Vec<TermView>) -> Witness {
        let history = HistoryView { index: 1, time: String::new(), terms, voters: Vec::new() };
        let clock = Some(ClockOffset { ahead_ms, within_ms: 5 });
        Witness { id: id(node), name: None, history, clock }
    }

    fn audited(ahead_ms: i64, clock_error: u64) -> Audit {
        let one = witness(1, 0, vec![term(1, 3, 10, Some(20))]);
        let other = witness(2, ahead_ms, vec![term(2, 4, 18, None)]);
        Audit::of(vec![one, other], Vec::new(), Duration::from_millis(clock_error))
    }

    #[test]
    fn an_overlap_is_one_only_beyond_what_clocks_explain() {
        let at_once = audited(0, 50);
        assert_eq!(at_once.faults.len(), 1);
        assert!(at_once.table().contains("FAULT  term 4 of node 2 began 1.89s before term 3"));
        // Its clock is three seconds behind, so it began after the first one was over.
        let behind = audited(-3000, 50);
        assert!(behind.faults.is_empty(), "{:?}", behind.faults);
        assert!(behind.table().ends_with("no two leaderships overlap that are told\n"));
        assert_eq!(audited(0, 1500).faults.len(), 0, "it may have been off by that before");
    }

    #[test]
    fn a_clock_is_known_within_half_of_the_way() {
        let offset = ClockOffset::measured(5_000, 1_000, 1_100);
        assert_eq!(offset, ClockOffset { ahead_ms: 3_950, within_ms: 52 });
        let offset = ClockOffset::measured(1_000, 5_000, 5_001);
        assert_eq!(offset, ClockOffset { ahead_ms: -4_000, within_ms: 2 });
    }

    #[test]
    fn how_long_each_led_and_who_did_not_answer_is_said() {
        let mut audit = audited(-3000, 50);
        audit.silent.push("http://10.0.0.9:9000".to_owned());
        let text = audit.table();
        assert!(text.contains("10s"), "{text}");
        assert!(text.contains("no answer from http://10.0.0.9:9000"), "{text}");
        assert_eq!(audit.json()["last_term"], 4);
        assert_eq!((audit.untold(), audit.json()["untold_terms"].as_u64()), (0, Some(0)));
        // Its process of then is gone.
        audit.witnesses[0].history.terms[0].own = Some(false);
        let again = Audit::of(audit.witnesses, Vec::new(), Duration::ZERO);
        assert!(again.table().contains("of these terms 1 were led by processes that are gone"));
    }
}
