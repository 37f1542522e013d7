//! What happened, in words.

use crate::vocabulary::event::{DemotionReason, ElectionReason, Event};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::snapshot::MemberState;
use crate::vocabulary::work::EndReason;

/// The Goose that was known, and is no more.
pub(super) fn lost(goose: Option<(NodeId, u64)>) -> String {
    match goose {
        Some((id, term)) => {
            format!("no Goose is known: node {id}, of term {term}, has gone or is silent")
        }
        None => "no Goose is known".to_owned(),
    }
}

/// An event, for people; none if there is nothing to say, or if it is a warning.
pub(super) fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::BecameGoose { term, reason } => {
            format!("became Goose of term {term}: {}", elected(*reason))
        }
        Event::BecameDuck { term, reason } => {
            format!("became Duck, term {term} is over: {}", demoted(reason))
        }
        Event::GooseChanged(Some(goose)) => {
            format!("the Goose is node {} at {}", goose.process.id, goose.address)
        }
        Event::Started { process } => format!("node {} started, boot {}", process.id, process.boot),
        Event::Joined => "joined the cluster".to_owned(),
        Event::MemberChanged { id, address, state } => match state {
            MemberState::Alive => format!("node {id} at {address} is here"),
            MemberState::Suspect => format!("node {id} at {address} does not answer"),
            MemberState::Down => format!("node {id} at {address} is gone"),
            MemberState::Left => format!("node {id} at {address} has left"),
        },
        Event::MemberForgotten { id, address } => {
            format!("node {id} at {address} is forgotten: it is no member any more")
        }
        Event::WorkAskedToEnd { term, reason, milliseconds } => {
            let limit = milliseconds.map_or(String::new(), |it| format!(" within {it} ms"));
            let why = ending(*reason);
            format!("the work of term {term} is to end{limit}: {why}. The lease is kept meanwhile")
        }
        Event::Released { by, died: true, .. } => {
            format!("the process of node {} has died, says its keeper", by.id)
        }
        Event::Released { by, nominee: Some(nominee), .. } => {
            format!("node {} gave its lease up and named node {nominee} to follow", by.id)
        }
        Event::Released { by, nominee: None, .. } => format!("node {} gave its lease up", by.id),
        Event::Founded => "every voter is new: the cluster is founded".to_owned(),
        Event::RecordRegained => "as a voter, voting again: all other voters have told what this \
             one may have forgotten"
            .to_owned(),
        Event::TookLaterStart { process } => format!(
            "an earlier process of this node had a later start: going on as boot {}. Is the clock \
             of this machine behind?",
            process.boot
        ),
        Event::Quarantined { milliseconds } => {
            format!("as a voter, waiting {milliseconds} ms for what may have been granted before")
        }
        Event::StoreAnswered { milliseconds } => {
            format!("the disk has answered, after {milliseconds} ms")
        }
        _ => return None,
    })
}

/// Why work is to end, for people.
fn ending(reason: EndReason) -> String {
    match reason {
        EndReason::Abdicated => "whoever led has given the term up".to_owned(),
        EndReason::Preempted { by } => {
            format!("node {by} is higher and has come to stay (--preempt)")
        }
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
fn voters(ids: &[NodeId]) -> String {
    match ids {
        // Every grant was refused, not missed.
        [] => "the voters".to_owned(),
        [one] => format!("voter {one}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("voters {} and {last}", first.join(", "))
        }
    }
}

/// Why a node is Goose no more, for people.
pub(crate) fn demoted(reason: &DemotionReason) -> String {
    match reason {
        DemotionReason::LeaseLapsed { silent } => {
            format!("the lease lapsed because {} did not answer in time", voters(silent))
        }
        DemotionReason::Suspended => "the machine was suspended".to_owned(),
        DemotionReason::SteppedDown => "it was told to step down".to_owned(),
        DemotionReason::Leaving => "it is leaving".to_owned(),
        DemotionReason::Preempted { by } => {
            format!("node {by} is higher and has come to stay (--preempt)")
        }
    }
}
