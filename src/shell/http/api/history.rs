//! The past as JSON: `/v1/history`, and what an event of `/v1/events` carries.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::date::{read, written};
use super::views::{GooseBrief, Moment, Role, State, speaks_tls};
use crate::shell::history::judge::{Bounds, Reign};
use crate::shell::history::{Happening, TermSeen, VotersSeen};
use crate::vocabulary::event::Event;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::Snapshot;
use crate::vocabulary::time::{milliseconds, nanoseconds};

/// `/v1/history`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HistoryView {
    /// The node's newest index.
    pub index: u64,
    /// What the node's wall clock showed at the moment of the answer. Empty: an earlier version did
    /// not say.
    #[serde(default)]
    pub time: String,
    /// The terms this process has seen, oldest first; only the last ones are kept.
    pub terms: Vec<TermView>,
    /// How the voters have changed since it was started, oldest first; only the last changes are
    /// kept.
    #[serde(default)]
    pub voters: Vec<VotersChangeView>,
}

/// Other voters than before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VotersChangeView {
    /// When the node asked learned of it.
    pub time: String,
    /// Who votes from then on.
    pub voters: Vec<NodeId>,
    /// Counts the changes.
    pub version: u64,
    /// The ballot of the Goose that made it.
    pub ballot: u64,
    /// How many voters the Goose keeps by itself from then on; null: they change by order only.
    pub auto: Option<u8>,
}

impl VotersChangeView {
    /// Who changes them, for people.
    pub fn kept(&self) -> String {
        let kept = |number| format!("the Goose keeps {number} by itself");
        self.auto.map_or_else(|| "by order".to_owned(), kept)
    }
}

/// One term.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TermView {
    /// The term.
    pub term: u64,
    /// Whose.
    pub id: NodeId,
    /// That node's name, if the node asked knows it at the moment of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the very process that was asked led it. None: an earlier version did not say, and its
    /// node is asked instead.
    #[serde(default)]
    pub own: Option<bool>,
    /// Where that node is reached.
    pub addr: SocketAddr,
    /// When the node asked learned of it.
    pub time: String,
    /// How it came about, in words.
    pub reason: String,
    /// When it ended for the node asked; null while it goes on.
    pub ended: Option<String>,
    /// Why it ended, in words; null while it goes on.
    pub ended_reason: Option<String>,
    /// How long it has lasted, in milliseconds.
    pub duration_ms: u64,
}

impl TermView {
    /// Whether the process that was asked led it, which is one of this node.
    pub fn is_of(&self, node: NodeId) -> bool {
        self.own.unwrap_or(self.id == node)
    }
}

impl HistoryView {
    /// The leaderships of the process that was asked, of `node`, whose wall clock is off by `off_by` at most.
    pub fn reigns(&self, node: NodeId, off_by: Duration) -> Vec<Reign> {
        let bounds = |text: &str| {
            let at = Duration::from_millis(read(text)?.0);
            Some(Bounds::around(nanoseconds(at), nanoseconds(off_by)))
        };
        let reign = |seen: &TermView| {
            let ended = seen.ended.as_deref().and_then(bounds);
            let began = bounds(&seen.time)?;
            Some(Reign { node, term: seen.term, began, ended })
        };
        self.terms.iter().filter(|seen| seen.is_of(node)).filter_map(reign).collect()
    }

    /// What the node's wall clock showed at the moment of the answer, in milliseconds; none if it did
    /// not say.
    pub fn asked_at(&self) -> Option<u64> {
        read(&self.time).map(|time| time.0)
    }

    /// Whose each term was, as far as the node that was asked has seen.
    pub fn heard(&self) -> Vec<(u64, NodeId)> {
        self.terms.iter().map(|seen| (seen.term, seen.id)).collect()
    }
}

/// `/v1/history` at this moment.
pub fn history(moment: &Moment<'_>) -> HistoryView {
    let (history, now) = (moment.history, moment.now);
    let view = |seen: &TermSeen| {
        let (began_wall, began) = seen.began;
        let ended = seen.ended.as_ref();
        TermView {
            term: seen.term,
            id: seen.goose.id,
            own: Some(seen.goose == moment.snapshot.process),
            name: moment.name_of(seen.goose.id),
            addr: seen.address,
            time: written(began_wall),
            reason: seen.began_by.to_string(),
            ended: ended.map(|(wall, _, _)| written(*wall)),
            ended_reason: ended.map(|(_, _, why)| why.to_string()),
            duration_ms: milliseconds(ended.map_or(now, |(_, at, _)| *at).since(began)),
        }
    };
    let terms = history.terms.seen.iter().map(|seen| view(seen)).collect();
    let change = |seen: &VotersSeen| VotersChangeView {
        time: written(seen.wall),
        voters: seen.configuration.voters.ids().to_vec(),
        version: seen.configuration.version,
        ballot: seen.configuration.ballot,
        auto: seen.configuration.automatic,
    };
    let voters = history.voters.iter().map(|seen| change(seen)).collect();
    HistoryView { index: history.index, time: written(moment.wall), terms, voters }
}

/// What an event carries. Which fields there are beside the first three follows from its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventView {
    /// The index at which it happened.
    pub index: u64,
    /// When, by the clock of the node asked.
    pub time: String,
    /// What happened, in words.
    pub words: String,
    /// `role`: what the node asked is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// `role`: the term that began or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// `goose`: the Goose, or null for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goose: Option<Option<GooseBrief>>,
    /// `member`: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NodeId>,
    /// `member`: where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<SocketAddr>,
    /// `member`: what gossip says of it; left out if it was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// The name under which an event is sent.
pub fn name(event: &Event) -> &'static str {
    match event {
        Event::BecameGoose { .. } | Event::BecameDuck { .. } => "role",
        Event::GooseChanged(_) => "goose",
        Event::MemberChanged { .. } | Event::MemberForgotten { .. } => "member",
        Event::VotersChanged(_)
        | Event::Founded
        | Event::RecordRegained
        | Event::Quarantined { .. } => "voter",
        Event::Started { .. }
        | Event::TookLaterStart { .. }
        | Event::Joined
        | Event::Healthy
        | Event::WorkAskedToEnd { .. }
        | Event::Released { .. }
        | Event::StoreAnswered { .. } => "node",
        Event::Warning(_) => "warning",
    }
}

/// What `happening` carries, told by the node of this snapshot.
pub fn event(happening: &Happening, snapshot: &Snapshot) -> EventView {
    let mut view = EventView {
        index: happening.index,
        time: written(happening.wall),
        words: happening.words.clone(),
        role: None,
        term: None,
        goose: None,
        id: None,
        addr: None,
        state: None,
    };
    match &happening.event {
        Event::BecameGoose { term, .. } => {
            (view.role, view.term) = (Some(Role::Goose), Some(*term));
        }
        Event::BecameDuck { term, .. } => (view.role, view.term) = (Some(Role::Duck), Some(*term)),
        Event::GooseChanged(goose) => {
            view.goose = Some(goose.as_ref().map(|goose| GooseBrief {
                id: goose.process.id,
                // Whoever reads events knows the members.
                name: None,
                addr: goose.address,
                http: goose.http,
                http_tls: speaks_tls(snapshot, snapshot.tags_of(goose.process)),
                term: goose.term,
            }));
        }
        Event::MemberChanged { id, address, state } => {
            (view.id, view.addr, view.state) = (Some(*id), Some(*address), Some((*state).into()));
        }
        Event::MemberForgotten { id, address } => {
            (view.id, view.addr) = (Some(*id), Some(*address));
        }
        _ => {}
    }
    view
}
