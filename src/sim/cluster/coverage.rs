//! What a run has been through: a simulation that never met a fault proves nothing.

use std::collections::BTreeMap;

use crate::vocabulary::event::{DemotionReason, ElectionReason, Event, Warning};
use crate::wire::message::Message;

/// How often something was met, and in how many runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// How often in all.
    pub times: u64,
    /// In how many runs at least once.
    pub runs: u64,
}

/// Counts by name. Names are fixed words, so that runs can be added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, Met>);

impl Coverage {
    /// One more of `name`, in the one run that this is the coverage of.
    pub fn count(&mut self, name: &'static str) {
        let met = self.0.entry(name).or_default();
        met.times += 1;
        met.runs = 1;
    }

    /// How often `name` was met.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |met| met.times)
    }

    /// In how many runs `name` was met.
    pub fn runs_with(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |met| met.runs)
    }

    /// Adds what another run, or many, have met.
    pub fn add(&mut self, other: &Self) {
        for (name, theirs) in &other.0 {
            let met = self.0.entry(name).or_default();
            met.times += theirs.times;
            met.runs += theirs.runs;
        }
    }

    /// Every name with its counts, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Met)> + '_ {
        self.0.iter().map(|(name, met)| (*name, *met))
    }
}

/// The word under which a message is counted when it is sent.
pub(super) fn message_name(message: &Message) -> Option<&'static str> {
    Some(match message {
        Message::Acquire(acquire) if acquire.certificate.is_some() => "claim with a certificate",
        Message::Grant(_) => "grant",
        Message::Nak(_) => "refusal",
        Message::Release { .. } => "release",
        Message::Handover(_) => "handover sent",
        Message::Vacant(_) => "vacancy notice",
        Message::Welcome(_) => "welcome",
        Message::Probe { .. } => "leader probe",
        Message::MetadataQuery(_) => "details query",
        Message::MetadataReply(_) => "details reply",
        Message::Acquire(_)
        | Message::Gossip(_)
        | Message::Join(_)
        | Message::Poll(_)
        | Message::PollAck(_)
        | Message::ProbeAck { .. }
        | Message::ReleaseAck { .. }
        | Message::Announce(_)
        | Message::LaterStart { .. } => return None,
    })
}

/// The word under which an event of a node is counted.
pub(super) fn event_name(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::BecameGoose { reason: ElectionReason::Elected, .. } => "elected",
        Event::BecameGoose { reason: ElectionReason::HandedOver, .. } => "handed over",
        Event::BecameDuck { reason: DemotionReason::LeaseLapsed { .. }, .. } => "lapsed",
        Event::BecameDuck { reason: DemotionReason::Stalled { .. }, .. } => "lapsed by a stall",
        Event::BecameDuck { reason: DemotionReason::Suspended, .. } => "demoted by suspend",
        Event::BecameDuck { reason: DemotionReason::Preempted { .. }, .. } => "preempted",
        Event::BecameDuck { reason: DemotionReason::Overtaken { .. }, .. } => "overtaken",
        Event::BecameDuck { reason: DemotionReason::Unhealthy, .. } => "unhealthy",
        Event::Founded => "founded",
        Event::RecordRegained => "record regained",
        Event::TookLaterStart { .. } => "later start taken",
        Event::Warning(Warning::AwaitsVoters { .. }) => "awaited voters told",
        Event::Warning(Warning::FoundedWithout { .. }) => "founded without the rest",
        Event::Quarantined { .. } => "quarantine",
        Event::Warning(Warning::RecordDamaged) => "damaged record",
        Event::Warning(Warning::StoreFailed { .. }) => "store failure told",
        Event::Warning(Warning::StoreSlow { .. }) => "slow store told",
        Event::StoreAnswered { .. } => "slow store over",
        Event::Warning(Warning::TwinVoter { .. }) => "twin voter told",
        Event::Warning(Warning::DuplicateId { .. }) => "duplicate id told",
        Event::Warning(Warning::Membership(_)) => "membership error told",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_once_and_times_each_time() {
        let (mut one, mut other) = (Coverage::default(), Coverage::default());
        one.count("crash");
        one.count("crash");
        other.count("crash");
        other.count("freeze");
        let mut all = Coverage::default();
        all.add(&one);
        all.add(&other);
        assert_eq!(all.iter().next(), Some(("crash", Met { times: 3, runs: 2 })));
        assert_eq!((all.runs_with("freeze"), all.runs_with("replay")), (1, 0));
    }
}
