//! Events in plain words: one line of log for each.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::datagram::Reject;
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event, Warning};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::setup::SEEDS_MAX;
use crate::vocabulary::snapshot::MemberState;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::FOUNDING_PATIENCE;
use crate::vocabulary::work::EndReason;

/// A warning of one kind is logged this often at most.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// So many seeds are named in one line.
const NAMED_MAX: usize = 5;

/// Writes events to the log, and keeps repeated warnings from flooding it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    own: Option<NodeId>,
    goose: Option<(NodeId, u64)>,
    warned: Vec<(Kind, HolderTime)>,
    suppressed: BTreeMap<usize, u64>,
    /// Seeds whose names could not be looked up, or lead elsewhere: as many as there are seeds.
    astray: BTreeSet<String>,
}

/// What counts as the same warning over again.
type Kind = (Discriminant<Warning>, Option<Reject>);

fn kind(warning: &Warning) -> Kind {
    let reason = match warning {
        Warning::Foreign { reason, .. } | Warning::Sealing { reason, .. } => Some(*reason),
        _ => None,
    };
    (discriminant(warning), reason)
}

impl Journal {
    /// Logs one event and returns what was said; none if it was said a moment ago already.
    pub(super) fn log(&mut self, event: &Event, now: HolderTime) -> Option<String> {
        let text = match event {
            Event::Warning(warning) => return self.warn(warning, now),
            Event::GooseChanged(None) => lost(self.goose),
            other => words(other)?,
        };
        match event {
            Event::BecameGoose { term, reason } => {
                tracing::info!(term, reason = elected(*reason), "{text}");
            }
            Event::BecameDuck { term, reason } => {
                tracing::info!(term, reason = demoted(reason), "{text}");
            }
            Event::GooseChanged(Some(goose)) => {
                let (id, term) = (goose.process.id, goose.term);
                self.goose = Some((id, term));
                tracing::info!(term, goose = id.number(), "{text}");
            }
            Event::GooseChanged(None) => match self.goose.take() {
                Some((id, term)) => {
                    let reason = "gone or silent";
                    tracing::info!(term, goose = id.number(), reason, "{text}");
                }
                None => tracing::info!("{text}"),
            },
            other => {
                if let Event::Started { process } = other {
                    self.own = Some(process.id);
                }
                tracing::info!("{text}");
            }
        }
        Some(text)
    }

    fn warn(&mut self, warning: &Warning, now: HolderTime) -> Option<String> {
        let kind = kind(warning);
        let position = self.warned.iter().position(|(known, _)| *known == kind);
        let position = position.unwrap_or_else(|| {
            self.warned.push((kind, HolderTime(0)));
            self.warned.len() - 1
        });
        let last = &mut self.warned[position].1;
        if *last != HolderTime(0) && now.since(*last) < WARNING_INTERVAL {
            *self.suppressed.entry(position).or_default() += 1;
            return None;
        }
        *last = now;
        let text = warned(warning, self.own);
        match self.suppressed.remove(&position) {
            Some(times) => tracing::warn!("{text} (and {times} times more)"),
            None => tracing::warn!("{text}"),
        }
        Some(text)
    }

    /// A seed's name was looked up: what came of it, for a node that others reach at `own`. Says
    /// what is wrong with a name once, until it is right.
    pub(super) fn looked_up(&mut self, name: &str, found: &Found, own: SocketAddr) {
        if let Some(complaint) = self.complaint(name, found, own) {
            tracing::warn!("{complaint}");
        }
    }

    fn complaint(&mut self, name: &str, found: &Found, own: SocketAddr) -> Option<String> {
        let Some(text) = astray(name, found, own) else {
            self.astray.remove(name);
            return None;
        };
        let room = self.astray.len() < SEEDS_MAX;
        (room && self.astray.insert(name.to_owned())).then_some(text)
    }
}

fn lost(goose: Option<(NodeId, u64)>) -> String {
    match goose {
        Some((id, term)) => {
            format!("no Goose is known: node {id}, of term {term}, has gone or is silent")
        }
        None => "no Goose is known".to_owned(),
    }
}

fn words(event: &Event) -> Option<String> {
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
        Event::Released { by, nominee: Some(heir), .. } => {
            format!("node {} gave its lease up and named node {heir} to follow", by.id)
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

fn elected(reason: ElectionReason) -> &'static str {
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

/// The addresses behind a seed's name, or why there are none.
pub(super) type Found = Result<Vec<SocketAddr>, String>;

fn astray(name: &str, found: &Found, own: SocketAddr) -> Option<String> {
    match found {
        Err(reason) => Some(format!(
            "the seed {name} cannot be looked up: {reason}. Still trying; correct its --seed if the \
             name is wrong"
        )),
        Ok(addresses) if addresses.is_empty() => Some(format!(
            "the seed {name} has no address. Still trying; correct its --seed if the name is wrong"
        )),
        Ok(addresses) => {
            let elsewhere = addresses.iter().find(|it| !it.ip().to_canonical().is_loopback())?;
            let all = addresses.iter().all(|it| !it.ip().to_canonical().is_loopback());
            (all && own.ip().is_loopback()).then(|| {
                format!(
                    "the seed {name} is {elsewhere}, another machine, but this node would be \
                     reached at {own}, on this machine only: listen on an address that it can \
                     reach, or add --advertise ADDR:PORT"
                )
            })
        }
    }
}

/// A warning, for people; `own` is this node, if it is to be named.
pub(crate) fn warned(warning: &Warning, own: Option<NodeId>) -> String {
    let id = own.map_or_else(String::new, |own| format!(" {own}"));
    match warning {
        Warning::StoreFailed { error } => {
            format!(
                "{error}: as a voter, this node grants nothing until it can write again. Make \
                 room there or mend the disk"
            )
        }
        Warning::StoreSlow { milliseconds } => format!(
            "the disk has not confirmed a write of this node's record for {milliseconds} ms: as a \
             voter, this node grants nothing new until it does, and renews what it has granted. \
             Look to the disk that the state folder is on"
        ),
        Warning::StoreLost => "what writes this node's record has died, which is a bug: it grants \
             nothing any more. Restart the node, and please report the lines above"
            .to_owned(),
        Warning::RecordDamaged => {
            "the record on disk is damaged: going on as if it had been lost. Where there are other \
             voters, this one votes again once all of them have told it what it may have forgotten. \
             Nothing has to be done, unless it happens again: then look to the disk"
                .to_owned()
        }
        Warning::ResumesByClock => "the record of the only voter is lost, and nobody else knows \
             the last term: going on above what this machine's clock says, which is the weaker \
             promise. If the clock is behind, a term may come twice"
            .to_owned(),
        Warning::AwaitsVoters { lacks } => {
            without_record(lacks.iter().map(|(id, lack)| (*id, lack.words())))
        }
        Warning::FoundedWithout { silent } => founded_without(silent),
        Warning::EphemeralDiffers { cluster, follows } => ephemeral_differs(*cluster, *follows),
        Warning::LeaseAboveCluster { lease, granted } => format!(
            "--lease {lease:?}: this cluster was founded to grant {granted:?} at most, and leases are \
             that long"
        ),
        Warning::LeaseMaxDiffers { cluster, own } => format!(
            "the cluster was founded to grant leases of {cluster:?} at most, and this node with \
             {own:?}: give it the same --lease as the others, and an empty --state-dir"
        ),
        Warning::BallotRefused { by, ballot } => format!(
            "node {by} names ballot {ballot}, which is far above all that is known here: not \
             believed unless a majority of the voters say so. Is that node sound?"
        ),
        Warning::BallotsExhausted => {
            "there is no higher ballot left, so nobody can be elected any \
             more: stop all voters, empty their --state-dir, and found the cluster anew"
                .to_owned()
        }
        Warning::DuplicateId { address: Some(address) } => {
            format!(
                "another process at {address} uses this node's id{id}, too: stop one of the two, \
                 or give it another --id"
            )
        }
        Warning::DuplicateId { address: None } => format!(
            "another process with this node's id{id} holds the lease: stop one of the two, or give \
             it another --id"
        ),
        Warning::TwinVoter { address } => format!(
            "another process at {address} votes under this node's id{id}, too: this one has stopped \
             voting. Stop one of the two and restart the other"
        ),
        Warning::Foreign { reason: Reject::ForeignVoters, address } => format!(
            "refused what came from {address}: a cluster of the same name that was founded with \
             other --voters, another --preempt, longer leases, or with or without --ephemeral. Give \
             every node the same, or each cluster its own --cluster name"
        ),
        Warning::Foreign { reason: Reject::ForeignCluster, address } => format!(
            "refused what came from {address}: it belongs to another --cluster than this node. \
             Correct the name there or here, or the --seed that leads there"
        ),
        Warning::Foreign { reason: Reject::TooNew, address } => format!(
            "refused what came from {address}: it speaks a later version of the protocol than this \
             node. Update this node"
        ),
        Warning::Foreign { reason: Reject::TooOld, address } => format!(
            "refused what came from {address}: it speaks an earlier version of the protocol than \
             this node. Update that one"
        ),
        Warning::Foreign { reason, address } => {
            format!("refused datagrams from {address}: {}", reason.name().replace('_', " "))
        }
        Warning::PreemptDiffers { cluster } => format!(
            "this node was started with --preempt={}, but the cluster was founded {} --preempt, \
             and that holds: correct this node's settings",
            !cluster,
            if *cluster { "with" } else { "without" }
        ),
        Warning::Sealing { reason, address } => unsealable(*reason, *address),
        Warning::WorkGoesOn { term, leaves: false } => format!(
            "the work of term {term} was asked to end and has not: the order is given up, and the \
             lease is kept. Look why the work does not end, then give the order again"
        ),
        Warning::WorkGoesOn { term, leaves: true } => format!(
            "the work of term {term} was asked to end and has not: this node leaves without \
             releasing anything, so the others wait until its lease has run out"
        ),
        Warning::WorkOutlivesLease { term } => format!(
            "the lease of term {term} is over and its work has not ended yet: nothing is released, \
             and this node does not contend before that work has ended"
        ),
        Warning::SeedsSilent { seeds } => format!(
            "nobody has answered yet at {}: still trying, for as long as it takes. If it stays so, \
             check that a node runs there and that UDP gets through, and that --cluster, --voters \
             and --preempt are the same there: a cluster that was founded otherwise does not answer",
            named(seeds)
        ),
        Warning::SingleVoter => {
            "no --seed and no --voters: this node founds a cluster of its own, \
             and nobody leads if it dies"
                .to_owned()
        }
        Warning::Membership(error) => format!("gossip: {error}"),
    }
}

/// Whom a voter without its record waits for, for people.
pub(crate) fn without_record<'a>(lacks: impl Iterator<Item = (NodeId, &'a str)>) -> String {
    let lacks: Vec<String> = lacks.map(|(id, lack)| format!("voter {id} ({lack})")).collect();
    format!(
        "this voter has no record, and does not vote until all others have told it what it may \
         have forgotten. It waits for {}. Start them. If the records of most voters are lost for \
         ever, found the cluster anew: stop all voters, empty the --state-dir of each, and start \
         them together; terms then begin at 1",
        lacks.join(", ")
    )
}

/// A majority founded the cluster, and whom it did not hear.
fn founded_without(silent: &[NodeId]) -> String {
    let silent: Vec<String> = silent.iter().map(NodeId::to_string).collect();
    let silent = silent.join(", ");
    format!(
        "founded by a majority of the voters: {FOUNDING_PATIENCE:?} have passed without a word from \
         {silent}. Terms begin above what this machine's clock says. A voter that has not been \
         started yet votes once it has heard all others"
    )
}

/// A node keeps records where its cluster does not, or the other way round.
fn ephemeral_differs(cluster: bool, follows: bool) -> String {
    match (cluster, follows) {
        (true, true) => "this voter keeps a record, but the cluster was founded with --ephemeral, \
             and that holds: a voter that restarts goes by its clock. Start this one with \
             --ephemeral, too, or found the cluster anew without"
            .to_owned(),
        (false, true) => "this voter was started with --ephemeral, but its cluster keeps records: \
             after every start it votes only once all other voters have answered. Give it a \
             --state-dir"
            .to_owned(),
        (true, false) => "the other voters were started with --ephemeral and this one was not, so \
             they do not understand each other: start this one with --ephemeral, too, or all \
             without"
            .to_owned(),
        (false, false) => {
            "this voter was started with --ephemeral and the others were not, so they \
             do not understand each other: start this one with a --state-dir, or all with \
             --ephemeral"
                .to_owned()
        }
    }
}

/// A few of `seeds`, and how many more there are.
fn named(seeds: &[String]) -> String {
    let named = seeds.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match seeds.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn unsealable(reason: Reject, address: SocketAddr) -> String {
    let what = match reason {
        Reject::Unsealed => {
            "is not sealed, but this node has a key: give that node the --key-file too"
        }
        Reject::Forged => {
            "names a key of this node but was not sealed with it: it was forged or damaged on its way"
        }
        _ => {
            "is sealed with a key that this node lacks: add that key to its --key-file, or give \
             all nodes the same one"
        }
    };
    format!("refused what came from {address}: it {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_leads_astray_is_explained() {
        let here: SocketAddr = "127.0.0.1:8000".parse().unwrap();
        let there: SocketAddr = "10.0.0.5:8000".parse().unwrap();
        let text = |found: Found, own| astray("goose.example:8000", &found, own);
        assert_eq!(text(Ok(vec![there]), "10.0.0.1:8000".parse().unwrap()), None);
        assert_eq!(text(Ok(vec![here, there]), here), None, "one of them may do");
        let expected = "the seed goose.example:8000 is 10.0.0.5:8000, another machine, but this node \
                        would be reached at 127.0.0.1:8000, on this machine only: listen on an \
                        address that it can reach, or add --advertise ADDR:PORT";
        assert_eq!(text(Ok(vec![there]), here).as_deref(), Some(expected));
        assert!(text(Err("no such name".to_owned()), here).unwrap().contains(": no such name. "));
    }

    #[test]
    fn what_is_wrong_with_a_name_is_said_once_until_it_is_right() {
        let own: SocketAddr = "127.0.0.1:8000".parse().unwrap();
        let mut journal = Journal::default();
        let wrong = Err("no such name".to_owned());
        for _ in 0..2 {
            assert!(journal.complaint("a:1", &wrong, own).is_some());
            assert_eq!(journal.complaint("a:1", &wrong, own), None, "once");
            assert_eq!(journal.complaint("a:1", &Ok(vec![own]), own), None, "it is right again");
        }
        for number in 0..200 {
            journal.complaint(&format!("{number}:1"), &wrong, own);
        }
        assert_eq!(journal.astray.len(), SEEDS_MAX);
    }

    #[test]
    fn two_faults_of_one_kind_are_two_warnings() {
        let address: SocketAddr = "127.0.0.1:8000".parse().unwrap();
        let mut journal = Journal::default();
        let now = HolderTime(1);
        for reason in [Reject::ForeignCluster, Reject::ForeignVoters, Reject::ForeignVoters] {
            journal.warn(&Warning::Foreign { reason, address }, now);
        }
        assert_eq!((journal.warned.len(), journal.suppressed.len()), (2, 1));
    }

    #[test]
    fn of_many_seeds_a_few_are_named() {
        let seeds: Vec<String> = (1..=7).map(|number| format!("{number}:1")).collect();
        assert_eq!(named(&seeds), "1:1, 2:1, 3:1, 4:1, 5:1 and 2 more");
        assert_eq!(named(&seeds[..1]), "1:1");
    }

    #[test]
    fn what_only_a_bad_day_shows_is_worded_too() {
        let address: SocketAddr = "10.0.0.5:8000".parse().unwrap();
        let cases = [
            (
                Warning::DuplicateId { address: None },
                "another process with this node's id 7 holds the lease: stop one of the two, or give it \
                 another --id",
            ),
            (
                Warning::Foreign { reason: Reject::TooNew, address },
                "refused what came from 10.0.0.5:8000: it speaks a later version of the protocol than \
                 this node. Update this node",
            ),
            (
                Warning::StoreLost,
                "what writes this node's record has died, which is a bug: it grants nothing any more. \
                 Restart the node, and please report the lines above",
            ),
            (
                Warning::WorkOutlivesLease { term: 3 },
                "the lease of term 3 is over and its work has not ended yet: nothing is released, and \
                 this node does not contend before that work has ended",
            ),
            (
                Warning::Sealing { reason: Reject::Unsealed, address },
                "refused what came from 10.0.0.5:8000: it is not sealed, but this node has a key: give \
                 that node the --key-file too",
            ),
            (
                Warning::Sealing { reason: Reject::UnknownKey, address },
                "refused what came from 10.0.0.5:8000: it is sealed with a key that this node lacks: \
                 add that key to its --key-file, or give all nodes the same one",
            ),
        ];
        for (warning, expected) in cases {
            assert_eq!(warned(&warning, NodeId::new(7).ok()), expected);
        }
    }
}
