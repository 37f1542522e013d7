//! A story in words: one line for each change of roles, each fault, and each message that the
//! script has an eye on.

use crate::sim::cluster::host::{Host, name};
use crate::sim::cluster::interceptor::Interception;
use crate::sim::cluster::network::Packet;
use crate::sim::cluster::notes::{Tale, Told};
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event, Warning};
use crate::wire::message::{Acquire, AcquireKind, Message, NakReason, Standing};

/// One line of the transcript; none for what does not matter in a story.
pub(super) fn line(hosts: &[Host], told: &Told) -> Option<String> {
    let name = |index: usize| name(hosts, index);
    let text = match (&told.what, told.by) {
        (Tale::Remark(text), _) => format!("*** {text}"),
        (Tale::Event(event), Some(by)) => format!("{} {}", name(by), words(event)?),
        (Tale::Sent { to, packet, fate }, Some(by)) => {
            let fate = match fate {
                Some(Interception::Lose) => " (lost)",
                Some(Interception::Hold) => " (held back)",
                Some(Interception::Copy) | None => "",
            };
            format!("{} to {}: {}{fate}", name(by), name(*to), envelope(packet)?)
        }
        (Tale::Event(_) | Tale::Sent { .. }, None) => return None,
    };
    Some(format!("{:>7} ms  {text}\n", told.at / 1_000_000))
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::BecameGoose { term, reason } => {
            let how = match reason {
                ElectionReason::Elected => "elected",
                ElectionReason::HandedOver => "handed over",
            };
            format!("becomes Goose, term {term} ({how})")
        }
        Event::BecameDuck { term, reason } => {
            let why = match reason {
                DemotionReason::LeaseLapsed { silent } => {
                    let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
                    format!("lease lapsed, silent: {}", silent.join(" "))
                }
                DemotionReason::Stalled { .. } => "stalled".to_owned(),
                DemotionReason::Suspended => "suspended".to_owned(),
                DemotionReason::SteppedDown => "stepped down".to_owned(),
                DemotionReason::Unhealthy => "not healthy".to_owned(),
                DemotionReason::Leaving => "leaving".to_owned(),
                DemotionReason::Preempted { by } => format!("preempted by {by}"),
                DemotionReason::Overtaken { term } => format!("overtaken by term {term}"),
            };
            format!("becomes a Duck, term {term} ends ({why})")
        }
        Event::Founded => "is founded".to_owned(),
        Event::RecordRegained => "votes again on the word of all others".to_owned(),
        Event::TookLaterStart { .. } => "takes a later start than an earlier process".to_owned(),
        Event::Quarantined { milliseconds } => format!("waits for {milliseconds} ms"),
        Event::StoreAnswered { milliseconds } => {
            format!("hears of its disk again, after {milliseconds} ms")
        }
        Event::Healthy => "is healthy".to_owned(),
        Event::Warning(warning) => format!("warns: {}", complaint(warning)),
        _ => return None,
    })
}

fn complaint(warning: &Warning) -> String {
    match warning {
        Warning::StoreFailed { error } => format!("nothing can be stored: {error}"),
        Warning::TooSlow { round_trip, .. } => {
            format!("{} ms there and back are too slow", round_trip.as_millis())
        }
        Warning::StoreSlow { .. } => "the disk does not answer".to_owned(),
        Warning::AwaitsVoters { lacks } => {
            let lacks: Vec<String> =
                lacks.iter().map(|(id, lack)| format!("voter {id} is {}", lack.words())).collect();
            format!("it has no record, and waits: {}", lacks.join(", "))
        }
        Warning::RecordDamaged => "the record is damaged".to_owned(),
        Warning::DuplicateId { .. } => "another process uses this id".to_owned(),
        Warning::TwinVoter { .. } => {
            "another process votes under this id; this one votes no more".to_owned()
        }
        Warning::Unhealthy { reason, leads_anyway: false } => format!("not healthy: {reason}"),
        Warning::Unhealthy { reason, leads_anyway: true } => {
            format!("not healthy, and may lead anyway: {reason}")
        }
        Warning::SeedsSilent { .. } => "no seed answers".to_owned(),
        Warning::Foreign { reason, .. } => format!("a stranger talks to it: {reason:?}"),
        Warning::ForeignLineage(_) => "another founding talks to it".to_owned(),
        other => format!("{other:?}"),
    }
}

fn envelope(packet: &Packet) -> Option<String> {
    Some(match packet.message()? {
        Message::Poll(poll) => {
            let connected = if poll.quorum_connected { "reaches" } else { "does not reach" };
            format!("asks how it stands, and {connected} a majority")
        }
        Message::PollAck(answer) => standing(&answer.status.standing),
        Message::Vacant(_) => "tells that its vote is free".to_owned(),
        Message::Acquire(acquire) => request(acquire),
        Message::Grant(grant) => {
            format!("grants ballot {} for {} ms", grant.ballot, grant.granted.as_millis())
        }
        Message::Nak(nak) => format!("refuses ballot {}: {}", nak.ballot, refusal(&nak.reason)),
        Message::Release { release, .. } if release.all => {
            format!("releases all that the process {} ever held", release.holder.id)
        }
        Message::Release { release, .. } => format!("releases ballot {}", release.ballot),
        Message::Handover(release) => format!("hands over ballot {}", release.ballot),
        other => format!("{other:?}"),
    })
}

fn request(acquire: &Acquire) -> String {
    let verb = match acquire.kind {
        AcquireKind::Claim => "claims",
        AcquireKind::Renew => "renews",
        AcquireKind::Learn => "teaches",
    };
    let with = if acquire.certificate.is_some() { ", with a certificate" } else { "" };
    let told = match &acquire.configuration {
        Some(told) if !told.is_genesis() => format!(", by the votes of {}", told.voters),
        _ => String::new(),
    };
    format!("{verb} ballot {} for {} ms{with}{told}", acquire.ballot, acquire.lease.as_millis())
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Blank => "is not founded".to_owned(),
        Standing::Quarantined { remaining, .. } => {
            format!("waits for {} ms", remaining.as_millis())
        }
        Standing::Held { holder, remaining, .. } => {
            format!("its vote is node {}'s for {} ms", holder.id, remaining.as_millis())
        }
        Standing::Persisting => "is writing".to_owned(),
        Standing::Vacant => "its vote is free".to_owned(),
    }
}

fn refusal(reason: &NakReason) -> String {
    match reason {
        NakReason::Held { remaining } => {
            format!("another holds its vote for {} ms", remaining.as_millis())
        }
        NakReason::Stale { max_ballot } => format!("it knows ballot {max_ballot}"),
        NakReason::Defer { to } => format!("node {to} comes first"),
        NakReason::Quarantine { remaining } => format!("it waits for {} ms", remaining.as_millis()),
        NakReason::Blank => "it is not founded".to_owned(),
        NakReason::Persisting => "it is writing".to_owned(),
        NakReason::StoreFailed => "it cannot store".to_owned(),
        NakReason::Configuration => "another voter configuration".to_owned(),
        NakReason::DuplicateId => "another process of this id holds its vote".to_owned(),
        NakReason::NewBoot { .. } => "it has restarted".to_owned(),
        NakReason::Dead => "the sender has left for good".to_owned(),
    }
}
