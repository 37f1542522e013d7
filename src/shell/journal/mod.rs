//! Events in plain words: one line of log for each, and repeated warnings seldom.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::net::SocketAddr;
use std::time::Duration;

use self::events::{demoted_among, elected, lost, words};
use crate::config::words::for_a_program;
use crate::node::setup::SEEDS_MAX;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::reject::Reject;
use crate::vocabulary::time::HolderTime;

mod events;
mod warnings;

pub(super) use events::Names;
pub(crate) use events::demoted;
pub(crate) use warnings::warned;
#[cfg(feature = "cli")]
pub(crate) use warnings::without_record;

/// A warning of one kind is logged this often at most.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Writes events to the log, and keeps repeated warnings from flooding it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    own: Option<NodeId>,
    goose: Option<(NodeId, u64)>,
    warned: Vec<(Kind, HolderTime)>,
    suppressed: BTreeMap<usize, u64>,
    /// Seeds whose names could not be looked up, or lead elsewhere: as many as there are seeds.
    astray: BTreeSet<String>,
    /// It speaks to a program, of methods, and not to people, of flags.
    is_of_program: bool,
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
    /// One that speaks of methods of [`Config`](crate::Config), for a node that a program embeds.
    pub(super) fn of_program() -> Self {
        Self { is_of_program: true, ..Self::default() }
    }

    /// `text`, as its readers understand it.
    fn said(&self, text: String) -> String {
        if self.is_of_program { for_a_program(&text) } else { text }
    }

    /// Logs that somebody has drained the node, or has ended that.
    pub(super) fn drained(&self, is_drained: bool) {
        let words = if is_drained { DRAINED } else { DRAINED_NO_MORE };
        tracing::info!("{}", self.said(words.to_owned()));
    }

    /// Logs one event and returns what was said; none if it was said a moment ago already.
    /// `names` are those of the members.
    pub(super) fn log(
        &mut self,
        event: &Event,
        now: HolderTime,
        names: Names<'_>,
    ) -> Option<String> {
        let text = match event {
            Event::Warning(warning) => return self.warn(warning, now),
            Event::GooseChanged(None) => lost(self.goose, names),
            other => words(other, names)?,
        };
        let text = self.said(text);
        match event {
            Event::BecameGoose { term, reason } => {
                tracing::info!(term, reason = elected(*reason), "{text}");
            }
            Event::BecameDuck { term, reason } => {
                tracing::info!(term, reason = demoted_among(reason, names), "{text}");
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
        let text = self.said(warned(warning, self.own));
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
            tracing::warn!("{}", self.said(complaint));
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

/// The addresses behind a seed's name, or why there are none.
pub(super) type Found = Result<Vec<SocketAddr>, String>;

const DRAINED: &str = "drained: this node votes, but does not lead until `gaggle drain --off`";
const DRAINED_NO_MORE: &str = "drained no more, and holds back no more";

fn astray(name: &str, found: &Found, own: SocketAddr) -> Option<String> {
    match found {
        Err(reason) => Some(format!(
            "the seed {name} cannot be looked up: {reason}. Still trying; correct its --seed or \
             --voters if the name is wrong"
        )),
        Ok(addresses) if addresses.is_empty() => Some(format!(
            "the seed {name} has no address. Still trying; correct its --seed or --voters if the \
             name is wrong"
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
}
