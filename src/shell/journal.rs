//! Events in plain words: one line of log for each.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::datagram::Reject;
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event, Warning};
use crate::vocabulary::snapshot::MemberState;
use crate::vocabulary::time::HolderTime;

/// A warning of one kind is logged this often at most.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Writes events to the log, and keeps repeated warnings from flooding it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    warned: Vec<(Discriminant<Warning>, HolderTime)>,
    suppressed: BTreeMap<usize, u64>,
}

impl Journal {
    /// Logs one event.
    pub(super) fn log(&mut self, event: &Event, now: HolderTime) {
        match event {
            Event::BecameGoose { term, reason } => {
                tracing::info!(term, "became Goose of term {term}: {}", elected(*reason));
            }
            Event::BecameDuck { term, reason } => {
                tracing::info!(term, "became Duck, term {term} is over: {}", demoted(reason));
            }
            Event::GooseChanged(Some(goose)) => {
                let (id, term) = (goose.process.id, goose.term);
                tracing::info!(
                    term,
                    goose = id.number(),
                    "the Goose is node {id} at {}",
                    goose.address
                );
            }
            Event::Warning(warning) => self.warn(warning, now),
            other => {
                if let Some(text) = words(other) {
                    tracing::info!("{text}");
                }
            }
        }
    }

    fn warn(&mut self, warning: &Warning, now: HolderTime) {
        let kind = discriminant(warning);
        let position = self.warned.iter().position(|(known, _)| *known == kind);
        let position = position.unwrap_or_else(|| {
            self.warned.push((kind, HolderTime(0)));
            self.warned.len() - 1
        });
        let last = &mut self.warned[position].1;
        if *last != HolderTime(0) && now.since(*last) < WARNING_INTERVAL {
            *self.suppressed.entry(position).or_default() += 1;
            return;
        }
        *last = now;
        match self.suppressed.remove(&position) {
            Some(times) => tracing::warn!("{} (and {times} times more)", warned(warning)),
            None => tracing::warn!("{}", warned(warning)),
        }
    }
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started { process } => format!("node {} started, boot {}", process.id, process.boot),
        Event::Joined => "joined the cluster".to_owned(),
        Event::GooseChanged(None) => "no Goose is known".to_owned(),
        Event::MemberChanged { id, address, state } => match state {
            MemberState::Alive => format!("node {id} at {address} is here"),
            MemberState::Suspect => format!("node {id} at {address} does not answer"),
            MemberState::Down => format!("node {id} at {address} is gone"),
        },
        Event::Founded => "every voter is new: the cluster is founded".to_owned(),
        Event::Quarantined { milliseconds } => {
            format!("as a voter, waiting {milliseconds} ms for what may have been granted before")
        }
        _ => return None,
    })
}

fn elected(reason: ElectionReason) -> &'static str {
    match reason {
        ElectionReason::Elected => "a majority of the voters granted it the lease",
        ElectionReason::HandedOver => "the last Goose handed over",
    }
}

fn demoted(reason: &DemotionReason) -> String {
    match reason {
        DemotionReason::LeaseLapsed { silent } => {
            let names: Vec<String> = silent.iter().map(ToString::to_string).collect();
            format!("the lease lapsed because voters {} did not renew it", names.join(", "))
        }
        DemotionReason::Suspended => "the machine was suspended".to_owned(),
        DemotionReason::SteppedDown => "it was told to step down".to_owned(),
        DemotionReason::Leaving => "it is leaving".to_owned(),
        DemotionReason::Preempted { by } => {
            format!("node {by} is higher and has come to stay (--preempt)")
        }
    }
}

fn warned(warning: &Warning) -> String {
    match warning {
        Warning::StoreFailed { error } => {
            format!("{error}: as a voter, this node grants nothing until it can write again")
        }
        Warning::StoreLost => "what writes this node's record has died, which is a bug: it grants \
             nothing any more. Restart the node, and please report the lines above"
            .to_owned(),
        Warning::RecordDamaged => "the record on disk is damaged: waiting as if it had been lost, \
             and starting above every ballot that can be learned"
            .to_owned(),
        Warning::DuplicateId { address: Some(address) } => {
            format!("another process at {address} uses this node's id: stop one of the two")
        }
        Warning::DuplicateId { address: None } => {
            "another process with this node's id holds the lease: stop one of the two".to_owned()
        }
        Warning::TwinVoter { address } => format!(
            "another process at {address} votes under this node's id: this one has stopped voting. \
             Stop one of the two and restart the other"
        ),
        Warning::Foreign { reason: Reject::ForeignVoters, address } => format!(
            "refused what came from {address}: a cluster of the same name that was founded with \
             other --voters or another --preempt. Give every node the same, or each cluster its \
             own --cluster name"
        ),
        Warning::Foreign { reason: Reject::ForeignCluster, address } => format!(
            "refused what came from {address}: it belongs to another --cluster than this node. \
             Correct the name there or here, or the --seed that leads there"
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
        Warning::SeedsSilent => "no seed has answered yet; still trying. Check the --seed \
             addresses, the --cluster name, and that UDP gets through"
            .to_owned(),
        Warning::SingleVoter => {
            "no --seed and no --voters: this node founds a cluster of its own, \
             and nobody leads if it dies"
                .to_owned()
        }
        Warning::Membership(error) => format!("gossip: {error}"),
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
