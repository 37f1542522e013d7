//! A story in words: one line for each change of roles, each fault, and each message that the
//! script has an eye on.

use super::action::{Action, Restart};
use super::disk::{DiskHealth, Tear};
use super::interceptor::Interception;
use super::network::{Blackout, Packet};
use super::world::{Tale, Told, World};
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event, Warning};
use crate::vocabulary::message::{Acquire, AcquireKind, Message, NakReason, Standing};

/// One line of the transcript; none for what does not matter in a story.
pub(super) fn line(world: &World, told: &Told) -> Option<String> {
    let name = |index: usize| name(world, index);
    let text = match (&told.what, told.by) {
        (Tale::Action(action), _) => format!("*** {}", interception(action, &name)),
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

fn name(world: &World, index: usize) -> String {
    let id = world.hosts[index].id;
    let is_taken = world.hosts[..index].iter().any(|host| host.id == id);
    if is_taken { format!("the other node {id}") } else { format!("node {id}") }
}

fn interception(action: &Action, name: &dyn Fn(usize) -> String) -> String {
    match action {
        Action::Crash(node, Tear::Torn) => {
            format!("{} is killed in the midst of a write", name(*node))
        }
        Action::Crash(node, _) => format!("{} is killed", name(*node)),
        Action::Start(node, Restart::WithDisk) => format!("{} starts", name(*node)),
        Action::Start(node, Restart::Wiped) => format!("{} starts on an empty disk", name(*node)),
        Action::Start(node, _) => format!("{} starts on a damaged disk", name(*node)),
        Action::Freeze(node) => format!("{} is stopped", name(*node)),
        Action::Thaw(node) => format!("{} goes on", name(*node)),
        Action::Suspend(node) => format!("the machine of {} is suspended", name(*node)),
        Action::Resume(node) => format!("the machine of {} resumes", name(*node)),
        Action::Starve(node, 0) => format!("{} has all the processor time it needs", name(*node)),
        Action::Starve(node, effort) => format!(
            "{} is starved: everything takes it up to {} ms",
            name(*node),
            effort / 1_000_000
        ),
        Action::Leave(node) => format!("{} is told to leave", name(*node)),
        Action::StepDown(node) => format!("{} is told to step down", name(*node)),
        Action::JumpWall(node, by) => format!("the wall clock of {} jumps by {by} ms", name(*node)),
        Action::SetRates(node, holder, voter) => {
            format!("the clocks of {} run at {holder} and {voter} millionths", name(*node))
        }
        Action::SetDisk(node, health) => {
            let health = match health {
                DiskHealth::Sound => "is mended",
                DiskHealth::Full => "is full",
                DiskHealth::Doubtful => "fails to sync",
                DiskHealth::Short => "cuts writes short",
                DiskHealth::Hung => "hangs",
            };
            format!("the disk of {} {health}", name(*node))
        }
        Action::Cut(from, to) => format!("{} no longer reaches {}", name(*from), name(*to)),
        Action::Mend(from, to) => format!("{} reaches {} again", name(*from), name(*to)),
        Action::Partition(sides) => format!("the network falls apart: {}", parts(sides, name)),
        Action::MendAll => "all links are whole".to_owned(),
        Action::SetWeather(weather) => format!(
            "of 1000 datagrams {} are lost, {} doubled, {} up to {} ms late",
            weather.loss,
            weather.duplicates,
            weather.stragglers,
            weather.straggle / 1_000_000
        ),
        Action::SetBlackout(Blackout::None) => "everything passes again".to_owned(),
        Action::SetBlackout(Blackout::Gossip) => "no gossip passes any more".to_owned(),
        Action::SetBlackout(Blackout::Election) => "nothing but gossip passes".to_owned(),
        Action::SetBlackout(Blackout::Total) => "nothing passes any more".to_owned(),
        Action::Replay(count) => format!("{count} recorded datagrams are sent again"),
        Action::Move(node) => format!("{} moves to another address", name(*node)),
        Action::SlowDisk(node, Some(_)) => format!("the disk of {} is slow", name(*node)),
        Action::SlowDisk(node, None) => format!("the disk of {} is fast again", name(*node)),
        Action::Slew(node, rate) => {
            format!("the monotonic clock of {} is slewed to {rate} millionths", name(*node))
        }
        Action::EndPipe(node) => format!("the keeper's pipe from {} ends early", name(*node)),
        Action::LeaveForGood(node) => format!("{} is told to leave for good", name(*node)),
        Action::Narrow(from, to, Some(size)) => {
            format!("only up to {size} bytes get from {} to {}", name(*from), name(*to))
        }
        Action::Narrow(from, to, None) => {
            format!("all sizes get from {} to {} again", name(*from), name(*to))
        }
        Action::FailSends(node, share) => {
            format!("of 1000 sends of {} {share} fail", name(*node))
        }
        Action::LosePower(node, _) => format!("the machine of {} loses power", name(*node)),
        Action::Reconfigure(node, settings) => {
            format!("{} is to start with {settings:?}", name(*node))
        }
        Action::Lag(node, 0) => format!("{} does at once what it decides", name(*node)),
        Action::Lag(node, most) => {
            format!("up to {} ms pass until {} does what it decides", most / 1_000_000, name(*node))
        }
        Action::KillKeeper(node) => format!("the keeper of {} is killed", name(*node)),
        Action::RotateKeys(node) => format!("{} gets the next keys", name(*node)),
    }
}

/// The groups of a partition: `nodes 1 2 | node 3`.
fn parts(sides: &[usize], name: &dyn Fn(usize) -> String) -> String {
    let mut groups: Vec<usize> = sides.to_vec();
    groups.sort_unstable();
    groups.dedup();
    let group = |side: &usize| {
        let members = (0..sides.len()).filter(|node| sides[*node] == *side);
        members.map(name).collect::<Vec<_>>().join(", ")
    };
    groups.iter().map(group).collect::<Vec<_>>().join(" | ")
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
                DemotionReason::Suspended => "suspended".to_owned(),
                DemotionReason::SteppedDown => "stepped down".to_owned(),
                DemotionReason::Leaving => "leaving".to_owned(),
                DemotionReason::Preempted { by } => format!("preempted by {by}"),
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
        Event::Warning(warning) => format!("warns: {}", complaint(warning)),
        _ => return None,
    })
}

fn complaint(warning: &Warning) -> String {
    match warning {
        Warning::StoreFailed { error } => format!("nothing can be stored: {error}"),
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
        Warning::SeedsSilent { .. } => "no seed answers".to_owned(),
        Warning::Foreign { reason, .. } => format!("a stranger talks to it: {reason:?}"),
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
    };
    let with = if acquire.certificate.is_some() { ", with a certificate" } else { "" };
    format!("{verb} ballot {} for {} ms{with}", acquire.ballot, acquire.lease.as_millis())
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
