//! What happened, in words.

use crate::vocabulary::event::{DemotionReason, ElectionReason, Event};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::node_name::{NodeName, called};
use crate::vocabulary::snapshot::{MemberState, MemberView, name_of};
use crate::vocabulary::work::EndReason;

/// What nodes are called: by their ids, and by their names where these members have one.
#[derive(Clone, Copy)]
pub(in crate::shell) struct Names<'a>(pub(in crate::shell) &'a [MemberView]);

impl Names<'_> {
    /// A node, for a sentence.
    fn of(self, id: NodeId) -> String {
        called(id, name_of(self.0, id).map(NodeName::as_str))
    }
}

/// The Goose that was known, and is no more.
pub(super) fn lost(goose: Option<(NodeId, u64)>, names: Names<'_>) -> String {
    match goose {
        Some((id, term)) => {
            let id = names.of(id);
            format!("no Goose is known: node {id}, of term {term}, has gone or is silent")
        }
        None => "no Goose is known".to_owned(),
    }
}

/// An event, for people; none if there is nothing to say, or if it is a warning.
pub(super) fn words(event: &Event, names: Names<'_>) -> Option<String> {
    Some(match event {
        Event::BecameGoose { term, reason } => {
            format!("became Goose of term {term}: {}", elected(*reason))
        }
        Event::BecameDuck { term, reason } => {
            format!("became Duck, term {term} is over: {}", demoted_among(reason, names))
        }
        Event::GooseChanged(Some(goose)) => {
            format!("the Goose is node {} at {}", names.of(goose.process.id), goose.address)
        }
        Event::Started { process } => {
            format!("node {} started, boot {}", names.of(process.id), process.boot)
        }
        Event::Joined => "joined the cluster".to_owned(),
        Event::MemberChanged { id, address, state } => {
            let what = match state {
                MemberState::Alive => "is here",
                MemberState::Suspect => "does not answer",
                MemberState::Down => "is gone",
                MemberState::Left => "has left",
            };
            format!("node {} at {address} {what}", names.of(*id))
        }
        Event::MemberForgotten { id, address } => {
            format!("node {id} at {address} is forgotten: it is no member any more")
        }
        Event::WorkAskedToEnd { term, reason, milliseconds } => {
            let limit = milliseconds.map_or(String::new(), |it| format!(" within {it} ms"));
            let why = ending(*reason, names);
            format!("the work of term {term} is to end{limit}: {why}. The lease is kept meanwhile")
        }
        Event::Released { by, died: true, .. } => {
            format!("the process of node {} has died, says its keeper", names.of(by.id))
        }
        Event::Released { by, nominee: Some(nominee), .. } => {
            let (by, nominee) = (names.of(by.id), names.of(*nominee));
            format!("node {by} gave its lease up and named node {nominee} to follow")
        }
        Event::Released { by, nominee: None, .. } => {
            format!("node {} gave its lease up", names.of(by.id))
        }
        Event::VotersChanged(configuration) => {
            let ids = configuration.voters.ids().iter().map(|id| names.of(*id));
            format!("the voters from here on: {}", ids.collect::<Vec<_>>().join(", "))
        }
        Event::Founded => "every voter is new: the cluster is founded".to_owned(),
        Event::RecordRegained => "as a voter, voting again: all other voters have told what this \
             one may have forgotten"
            .to_owned(),
        Event::TookLaterStart { process } => format!(
            "an earlier process of this node, or at its address, had a later start: going on as boot \
             {}. Is the clock of this machine behind, or was that one ahead?",
            process.boot
        ),
        Event::Quarantined { milliseconds } => {
            format!("as a voter, waiting {milliseconds} ms for what may have been granted before")
        }
        Event::Healthy => "this node is healthy".to_owned(),
        Event::StoreAnswered { milliseconds } => {
            format!("the disk has answered, after {milliseconds} ms")
        }
        _ => return None,
    })
}

/// Why work is to end, for people.
fn ending(reason: EndReason, names: Names<'_>) -> String {
    match reason {
        EndReason::Abdicated => "whoever led has given the term up".to_owned(),
        EndReason::Preempted { by } => {
            let by = names.of(by);
            format!("node {by} is higher and has come to stay (--preempt)")
        }
        EndReason::Unhealthy => "this node is not healthy".to_owned(),
        EndReason::SteppingDown => "this node was told to step down".to_owned(),
        EndReason::Leaving => "this node was told to leave".to_owned(),
        EndReason::LeaseOver => "its lease is over".to_owned(),
    }
}

/// Why a node is Goose, for people.
pub(super) fn elected(reason: ElectionReason) -> &'static str {
    match reason {
        ElectionReason::Elected => "a majority of the voters granted it the lease",
        ElectionReason::HandedOver => "the last Goose handed over",
    }
}

/// One voter or several, for a sentence.
pub(super) fn voters(ids: &[NodeId], names: Names<'_>) -> String {
    let ids: Vec<String> = ids.iter().map(|id| names.of(*id)).collect();
    match ids.as_slice() {
        // Every grant was refused, not missed.
        [] => "the voters".to_owned(),
        [one] => format!("voter {one}"),
        [first @ .., last] => {
            format!("voters {} and {last}", first.join(", "))
        }
    }
}

/// Why a node is Goose no more, for people who know nodes by their ids.
pub(crate) fn demoted(reason: &DemotionReason) -> String {
    demoted_among(reason, Names(&[]))
}

/// The same, with names.
pub(super) fn demoted_among(reason: &DemotionReason, names: Names<'_>) -> String {
    match reason {
        DemotionReason::LeaseLapsed { silent } => {
            format!("the lease lapsed because {} did not answer in time", voters(silent, names))
        }
        DemotionReason::Stalled { milliseconds } => format!(
            "this node itself was kept from running for {milliseconds} ms, and its lease lapsed \
             meanwhile: it was frozen, or its machine had no time for it"
        ),
        DemotionReason::Suspended => "the machine was suspended".to_owned(),
        DemotionReason::SteppedDown => "it was told to step down".to_owned(),
        DemotionReason::Unhealthy => "it is not healthy".to_owned(),
        DemotionReason::Leaving => "it is leaving".to_owned(),
        DemotionReason::Preempted { by } => {
            let by = names.of(*by);
            format!("node {by} is higher and has come to stay (--preempt)")
        }
        DemotionReason::Overtaken { term } => format!(
            "another node has led under the later term {term}, so there were two Geese: do two \
             processes share the id of a voter, or was an old copy of its record put back?"
        ),
    }
}
