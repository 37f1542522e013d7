//! What was seen during a run: who was Goose when, what was done to whom, and the acts.
//!
//! A tenure is recorded from the first moment at which its node was *surely* Goose to the
//! last: a reading that may have been delayed counts from after it was taken, and up to before
//! it was taken. So two tenures that overlap here overlapped in truth, however busy the
//! machine is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle::shell::history::History;
use gaggle::shell::history::judge::{self, Reign};
use gaggle::vocabulary::configuration::Configuration;
use gaggle::vocabulary::event::{DemotionReason, Event, Warning};
use gaggle::vocabulary::identity::Process;

use super::links::{self, NODES, Traffic, place};

/// One stretch of leadership.
#[derive(Clone, Debug)]
pub(crate) struct Tenure {
    pub(crate) node: usize,
    pub(crate) term: u64,
    /// First seen as Goose.
    pub(crate) from: Duration,
    /// Last seen as Goose.
    pub(crate) to: Duration,
}

/// What a node suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Dead,
    Frozen,
}

/// A node's suffering, from when to when.
#[derive(Clone, Debug)]
pub(crate) struct Spell {
    pub(crate) node: usize,
    pub(crate) condition: Condition,
    pub(crate) from: Duration,
    pub(crate) to: Option<Duration>,
}

/// A node that takes the place of another, with an id of its own and an empty disk.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) node: usize,
    pub(crate) at: Duration,
}

/// Who votes from some moment on, as the Goose of that moment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Electorate {
    pub(crate) voters: Vec<usize>,
    pub(crate) from: Duration,
    /// The ballot of the Goose that made it, and how many it had made.
    version: (u64, u64),
}

/// A fault of the network, from when to when.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) label: String,
    pub(crate) from: Duration,
    pub(crate) to: Option<Duration>,
}

/// One act of the play as it went.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) name: String,
    pub(crate) sentence: String,
    pub(crate) from: Duration,
    /// When the first fault began.
    pub(crate) fault_at: Option<Duration>,
    /// When everything was mended.
    pub(crate) healed_at: Option<Duration>,
    /// When there was one Goose after that.
    pub(crate) recovered_at: Option<Duration>,
    /// Who voted at its end.
    pub(crate) voters: Vec<usize>,
    pub(crate) to: Option<Duration>,
}

/// What a line of the log is about: it decides the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Act,
    Fault,
    Goose,
    Duck,
    Voters,
    Alarm,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) at: Duration,
    pub(crate) subject: Subject,
    pub(crate) text: String,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) tenures: Vec<Tenure>,
    pub(crate) spells: Vec<Spell>,
    pub(crate) arrivals: Vec<Arrival>,
    /// In the order of their versions.
    pub(crate) electorates: Vec<Electorate>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) acts: Vec<Act>,
    pub(crate) notes: Vec<Note>,
    /// What the nodes' own histories say of who led when, where they keep any.
    pub(crate) reigns: Vec<Reign>,
    /// Breaches of the promise that the stage noticed, such as no recovery.
    pub(crate) breaches: Vec<String>,
    /// The longest span between two looks at the nodes.
    pub(crate) longest_blink: Duration,
    pub(crate) traffic: Traffic,
    /// The tenure that the node at each place is in.
    current: [Option<usize>; NODES],
    ending: Option<(Duration, String)>,
    alarmed: bool,
}

/// The recording, shared between the stage, the sampler and the view.
pub(crate) type Shared = Arc<Mutex<Recording>>;

/// Locks it. Whoever panicked with the lock held left it readable.
pub(crate) fn lock(recording: &Shared) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds with three decimals.
pub(crate) fn seconds(span: Duration) -> String {
    format!("{:.3}", span.as_secs_f64())
}

/// These nodes, with something between them.
pub(crate) fn listed(nodes: &[usize], between: &str) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

impl Recording {
    pub(crate) fn note(&mut self, at: Duration, subject: Subject, text: impl Into<String>) {
        self.notes.push(Note { at, subject, text: text.into() });
    }

    /// Who is Goose now, with the term.
    pub(crate) fn geese(&self) -> Vec<(usize, u64)> {
        let tenures = self.current.iter().flatten();
        tenures.map(|index| (self.tenures[*index].node, self.tenures[*index].term)).collect()
    }

    /// A reading of one node that began at `before` and was complete at `after`: the term it
    /// leads, or none.
    pub(crate) fn observe(
        &mut self,
        node: usize,
        term: Option<u64>,
        before: Duration,
        after: Duration,
    ) {
        let known = self.current[place(node) - 1];
        if let Some(index) = known {
            let tenure = &mut self.tenures[index];
            if Some(tenure.term) == term {
                tenure.to = tenure.to.max(before);
                self.check_overlap(index);
                return;
            }
            self.end_tenure(node, after, format!("lease lapsed on node {node}"));
        }
        if let Some(term) = term {
            self.begin_tenure(node, term, after);
        }
    }

    fn begin_tenure(&mut self, node: usize, term: u64, at: Duration) {
        let why = match self.ending.take() {
            Some((ended, why)) => {
                format!(" ({why}, {} ms ago)", at.saturating_sub(ended).as_millis())
            }
            None => String::new(),
        };
        self.current[place(node) - 1] = Some(self.tenures.len());
        self.tenures.push(Tenure { node, term, from: at, to: at });
        self.note(at, Subject::Goose, format!("node {node} is Goose of term {term}{why}"));
    }

    fn end_tenure(&mut self, node: usize, at: Duration, why: String) {
        let Some(index) = self.current[place(node) - 1].take() else { return };
        let tenure = &self.tenures[index];
        let (term, ended, length) = (tenure.term, tenure.to, tenure.to.saturating_sub(tenure.from));
        let text =
            format!("node {node} is Goose no more: {why} (term {term}, {} s)", seconds(length));
        self.note(at, Subject::Duck, text);
        self.ending = Some((ended, why));
    }

    fn check_overlap(&mut self, index: usize) {
        let tenure = &self.tenures[index];
        let rival = self.tenures.iter().enumerate().rev().take(NODES * 2).find(|(other, rival)| {
            *other != index && rival.from < tenure.to && tenure.from < rival.to
        });
        if let (Some((_, rival)), false) = (rival, self.alarmed) {
            let text = format!(
                "TWO GEESE: node {} (term {}) and node {} (term {})",
                tenure.node, tenure.term, rival.node, rival.term
            );
            let at = tenure.to;
            self.alarmed = true;
            self.note(at, Subject::Alarm, text);
        }
    }

    /// A Goose says who votes.
    pub(crate) fn observe_voters(&mut self, at: Duration, configuration: &Configuration) {
        let version = (configuration.ballot, configuration.version);
        if self.electorates.last().is_some_and(|known| known.version >= version) {
            return;
        }
        let ids = configuration.voters.ids().iter();
        let voters: Vec<usize> = ids.map(|id| usize::try_from(id.number()).unwrap_or(0)).collect();
        // Each new Goose writes the same under its own ballot.
        if self.voters() != voters {
            if !self.electorates.is_empty() {
                let text = format!("the voters from here on: {}", listed(&voters, ", "));
                self.note(at, Subject::Voters, text);
            }
            self.electorates.push(Electorate { voters, from: at, version });
        } else if let Some(known) = self.electorates.last_mut() {
            known.version = version;
        }
    }

    /// Who votes, as far as a Goose has said.
    pub(crate) fn voters(&self) -> Vec<usize> {
        self.electorates.last().map_or_else(Vec::new, |known| known.voters.clone())
    }

    /// Who stood at a place at a moment.
    pub(crate) fn node_at(&self, place: usize, at: Duration) -> usize {
        let here = |arrival: &&Arrival| links::place(arrival.node) == place && arrival.at <= at;
        self.arrivals.iter().rfind(here).map_or(place, |arrival| arrival.node)
    }

    /// When a node voted.
    pub(crate) fn votes_of(&self, node: usize, end: Duration) -> Vec<(Duration, Duration)> {
        let ends = self.electorates.iter().skip(1).map(|next| next.from).chain([end]);
        let votes = self.electorates.iter().zip(ends);
        let own = votes.filter(|(known, _)| known.voters.contains(&node));
        own.map(|(known, to)| (known.from, to)).collect()
    }

    /// What the history of a node's process says now. Told again whenever it changes: the last word
    /// counts.
    pub(crate) fn testify(&mut self, own: Process, history: &History) {
        let known = judge::own(own, history.terms.seen.iter().map(Arc::as_ref));
        for reign in known {
            self.reigns.retain(|it| (it.node, it.term) != (reign.node, reign.term));
            self.reigns.push(reign);
        }
    }

    /// What a node says of itself, where it explains what was seen.
    pub(crate) fn hear(&mut self, at: Duration, node: usize, event: &Event) {
        match event {
            Event::BecameDuck { term, reason } => {
                let text = match reason {
                    DemotionReason::LeaseLapsed { silent } => {
                        let silent: Vec<_> = silent.iter().map(ToString::to_string).collect();
                        format!("no grant in time from voter {}", silent.join(", "))
                    }
                    DemotionReason::Stalled { milliseconds } => {
                        format!("it was kept from running for {milliseconds} ms")
                    }
                    DemotionReason::Suspended => "the machine was suspended".to_owned(),
                    DemotionReason::Unhealthy => "it is not healthy".to_owned(),
                    DemotionReason::SteppedDown => "it was told to step down".to_owned(),
                    DemotionReason::Leaving => "it is leaving".to_owned(),
                    DemotionReason::Preempted { by } => format!("node {by} is higher"),
                    DemotionReason::Overtaken { term } => {
                        format!("somebody has led under term {term}")
                    }
                };
                self.note(at, Subject::Duck, format!("node {node} on losing term {term}: {text}"));
            }
            // Two clusters never meet here, and silent seeds are what cuts are for.
            Event::Warning(Warning::SeedsSilent { .. } | Warning::Foreign { .. }) => {}
            Event::Warning(warning) => {
                self.note(at, Subject::Alarm, format!("node {node} warns: {warning:?}"));
            }
            _ => {}
        }
    }

    /// Something begins for a node.
    pub(crate) fn afflict(&mut self, at: Duration, node: usize, condition: Condition) {
        self.mark_fault(at);
        let text = match condition {
            Condition::Dead => format!("node {node} is killed, without a goodbye"),
            Condition::Frozen => format!("node {node} is frozen"),
        };
        self.note(at, Subject::Fault, text);
        if condition == Condition::Dead {
            self.end_tenure(node, at, format!("node {node} was killed"));
        }
        self.spells.push(Spell { node, condition, from: at, to: None });
    }

    /// And ends.
    pub(crate) fn relieve(&mut self, at: Duration, node: usize, condition: Condition) {
        for spell in &mut self.spells {
            if spell.node == node && spell.condition == condition && spell.to.is_none() {
                spell.to = Some(at);
            }
        }
        let text = match condition {
            Condition::Dead => format!("node {node} is started again on its state folder"),
            Condition::Frozen => format!("node {node} is thawed"),
        };
        self.note(at, Subject::Fault, text);
    }

    /// A node takes the place of one that is dead and does not come back.
    pub(crate) fn succeed(&mut self, at: Duration, old: usize, new: usize) {
        let spells = self.spells.iter_mut().filter(|spell| spell.node == old);
        spells.filter(|spell| spell.to.is_none()).for_each(|spell| spell.to = Some(at));
        let text = format!("node {new} takes the place of node {old}, with an empty disk");
        self.note(at, Subject::Fault, text);
        self.arrivals.push(Arrival { node: new, at });
    }

    /// A fault of the network begins. Without a text it goes without a line in the log.
    pub(crate) fn begin_fault(&mut self, at: Duration, label: &str, text: &str) {
        self.mark_fault(at);
        if !text.is_empty() {
            self.note(at, Subject::Fault, text);
        }
        self.faults.push(Fault { label: label.to_owned(), from: at, to: None });
    }

    /// The faults of the network with this label end; all of them if it is empty.
    pub(crate) fn end_faults(&mut self, at: Duration, label: &str) {
        for fault in &mut self.faults {
            if fault.to.is_none() && (label.is_empty() || fault.label == label) {
                fault.to = Some(at);
            }
        }
    }

    fn mark_fault(&mut self, at: Duration) {
        if let Some(act) = self.acts.last_mut() {
            act.fault_at.get_or_insert(at);
        }
    }

    /// An act begins.
    pub(crate) fn begin_act(&mut self, at: Duration, name: &str, sentence: &str) {
        self.note(at, Subject::Act, format!("act {}, {name}: {sentence}", self.acts.len() + 1));
        self.acts.push(Act {
            name: name.to_owned(),
            sentence: sentence.to_owned(),
            from: at,
            fault_at: None,
            healed_at: None,
            recovered_at: None,
            voters: Vec::new(),
            to: None,
        });
    }

    /// A breach of the promise.
    pub(crate) fn breach(&mut self, at: Duration, text: impl Into<String>) {
        let text = text.into();
        self.note(at, Subject::Alarm, text.clone());
        self.breaches.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_delayed_reading_never_makes_an_overlap() {
        let mut recording = Recording::default();
        recording.observe(1, Some(1), at(0), at(1));
        recording.observe(1, Some(1), at(10), at(90));
        recording.observe(2, Some(2), at(50), at(95));
        recording.observe(2, Some(2), at(96), at(97));
        recording.observe(1, None, at(96), at(97));
        assert!(recording.notes.iter().all(|note| note.subject != Subject::Alarm));
        assert_eq!(recording.geese(), [(2, 2)]);
        assert_eq!(recording.tenures[0].to, at(10));
    }

    #[test]
    fn who_votes_is_told_once_and_counts_until_others_do() {
        use gaggle::NodeId;
        use gaggle::vocabulary::configuration::VoterSet;
        let configuration = |ballot, version, voters: &[u64]| {
            let ids = voters.iter().map(|voter| NodeId::new(*voter).unwrap()).collect();
            let voters = VoterSet::new(ids).unwrap();
            Configuration { ballot, version, voters, preempt: false, automatic: None }
        };
        let mut recording = Recording::default();
        recording.observe_voters(at(1), &configuration(0, 1, &[1, 2, 3]));
        // A new Goose writes the same; then it changes it; then an older one speaks late.
        recording.observe_voters(at(5), &configuration(7, 1, &[1, 2, 3]));
        recording.observe_voters(at(8), &configuration(7, 2, &[1, 2, 14]));
        recording.observe_voters(at(9), &configuration(0, 1, &[1, 2, 3]));
        assert_eq!(recording.voters(), [1, 2, 14]);
        assert_eq!(recording.notes.len(), 1, "{:?}", recording.notes);
        assert_eq!(recording.votes_of(3, at(20)), [(at(1), at(8))]);
        assert_eq!(recording.votes_of(14, at(20)), [(at(8), at(20))]);
        recording.succeed(at(10), 4, 14);
        assert_eq!([recording.node_at(4, at(9)), recording.node_at(4, at(10))], [4, 14]);
    }

    #[test]
    fn a_true_overlap_is_told_once() {
        let mut recording = Recording::default();
        for time in 0..5 {
            recording.observe(1, Some(1), at(time), at(time));
            recording.observe(2, Some(2), at(time), at(time));
        }
        let alarms = recording.notes.iter().filter(|note| note.subject == Subject::Alarm);
        assert_eq!(alarms.count(), 1);
    }
}
