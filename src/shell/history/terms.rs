//! Who led, from when to when, and why it ended: as far as this node can tell.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::shell::journal;
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event};
use crate::vocabulary::histogram::Histogram;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::snapshot::{MemberState, MemberView};
use crate::vocabulary::time::{HolderTime, Now, WallTime};

/// Terms that are kept.
pub const TERMS_MAX: usize = 256;
/// Of so many terms, the last ones, gossip may still say how they ended.
const GUESSES_MAX: usize = 4;

/// One term, as this node saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermSeen {
    /// The term.
    pub term: u64,
    /// Whose.
    pub goose: Process,
    /// Where that node is reached.
    pub address: SocketAddr,
    /// When this node learned of it.
    pub began: (WallTime, HolderTime),
    /// How it came about.
    pub began_by: Beginning,
    /// When it ended for this node, and why. None: it goes on.
    pub ended: Option<(WallTime, HolderTime, Ending)>,
}

/// How a term came about, as far as this node can tell. Its text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// This node won an election.
    Elected,
    /// The last Goose named whoever leads now.
    HandedOver,
    /// Another node leads; how it came to it was not told.
    Announced,
}

impl fmt::Display for Beginning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Elected => "elected: a majority of the voters granted it the lease",
            Self::HandedOver => "handed over: the last Goose named it",
            Self::Announced => "elected, as it said itself or a voter said",
        })
    }
}

/// Why a term ended, as far as this node can tell. Its text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This node was the Goose, and knows.
    Own(DemotionReason),
    /// The Goose said itself that it holds the lease no longer.
    Released {
        /// Whom it named to follow.
        nominee: Option<NodeId>,
    },
    /// Its keeper said that its process has died.
    Died,
    /// Nothing was heard of it any more.
    Silent,
    /// Another node leads, and nothing was heard of how the term ended.
    Replaced {
        /// That node.
        by: NodeId,
    },
    /// It did not answer gossip, which gave it up.
    Gone,
    /// It said goodbye to the cluster.
    Left,
    /// Its node is here as another process.
    Restarted,
}

impl Ending {
    /// Whether gossip may know better.
    fn is_guessed(&self) -> bool {
        matches!(self, Self::Silent | Self::Replaced { .. } | Self::Gone)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(reason) => formatter.write_str(&journal::demoted(reason)),
            Self::Released { nominee: Some(nominee) } => {
                write!(formatter, "it stepped down and named node {nominee} to follow")
            }
            Self::Died => formatter.write_str("it crashed: its process died, as its keeper said"),
            Self::Released { nominee: None } => formatter
                .write_str("it gave the lease up: it stepped down, or too few voters renewed it"),
            Self::Silent => formatter.write_str("it has gone or is silent"),
            Self::Replaced { by } => write!(formatter, "node {by} has taken over"),
            Self::Gone => formatter
                .write_str("it crashed or was cut off: it fell silent and answered nobody's ping"),
            Self::Left => formatter.write_str("it left: it said goodbye to the cluster"),
            Self::Restarted => formatter.write_str(
                "it crashed: its process died without a word to this node, and another runs now",
            ),
        }
    }
}

/// The terms that one process has seen, as far as they are kept.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Oldest first.
    pub seen: VecDeque<Arc<TermSeen>>,
    /// Changes of the Goose that this node saw, the first included.
    pub goose_changes: u64,
    /// How long this node knew of no Goose, each time until it knew of one.
    pub elections: Histogram,
    vacant_since: Option<HolderTime>,
    own: (Process, SocketAddr),
}

impl Terms {
    /// None yet, seen by the process `own`, which is reached at `address` and starts at `now`.
    pub(super) fn new(own: Process, address: SocketAddr, now: HolderTime) -> Self {
        Self {
            seen: VecDeque::new(),
            goose_changes: 0,
            elections: Histogram::default(),
            vacant_since: Some(now),
            own: (own, address),
        }
    }

    /// Gossip may know how the last terms ended, where nothing else was heard: `members` are
    /// those of the newest snapshot.
    pub(super) fn learn(&mut self, members: &[MemberView], now: Now) {
        for position in self.seen.len().saturating_sub(GUESSES_MAX)..self.seen.len() {
            let Some(better) = self.better_ending(&self.seen[position], members) else { continue };
            if position + 1 == self.seen.len() {
                self.vacant_since.get_or_insert(now.holder);
            }
            let known = Arc::make_mut(&mut self.seen[position]);
            let (wall, at) = match &known.ended {
                Some((wall, at, _)) => (*wall, *at),
                None => (now.wall, now.holder),
            };
            known.ended = Some((wall, at, better));
        }
    }

    fn better_ending(&self, known: &TermSeen, members: &[MemberView]) -> Option<Ending> {
        let Process { id, boot } = known.goose;
        let position = members.binary_search_by_key(&id, |member| member.id).ok()?;
        let member = &members[position];
        let guess = known.ended.as_ref().map(|(_, _, ending)| ending);
        let better = match (guess, member.state) {
            (Some(guess), _) if !guess.is_guessed() => return None,
            (_, MemberState::Alive) if member.boot.start > boot.start => Ending::Restarted,
            // How long it goes on is for the election to say.
            (Some(_), MemberState::Down) if member.boot == boot => Ending::Gone,
            (Some(_), MemberState::Left) if member.boot == boot => Ending::Left,
            _ => return None,
        };
        (guess != Some(&better)).then_some(better)
    }

    /// What `event`, which happened `now`, says of terms.
    pub(super) fn note(&mut self, event: &Event, now: Now) {
        match event {
            Event::BecameGoose { term, reason } => {
                let (own, address) = self.own;
                let how = match reason {
                    ElectionReason::Elected => Beginning::Elected,
                    ElectionReason::HandedOver => Beginning::HandedOver,
                };
                self.begin(*term, own, address, how, now);
            }
            Event::GooseChanged(Some(goose)) => {
                let last = self.seen.back().and_then(|known| known.ended.as_ref());
                let how = match last {
                    Some((_, _, Ending::Released { nominee: Some(nominee) }))
                        if *nominee == goose.process.id =>
                    {
                        Beginning::HandedOver
                    }
                    _ => Beginning::Announced,
                };
                self.begin(goose.term, goose.process, goose.address, how, now);
            }
            Event::BecameDuck { term, reason } => {
                self.end(Some(*term), Ending::Own(reason.clone()), now);
            }
            Event::Released { by, nominee, died } => {
                let known = self.seen.back().filter(|known| known.goose == *by);
                let term = known.map(|known| known.term);
                let released = Ending::Released { nominee: *nominee };
                if term.is_some() {
                    self.end(term, if *died { Ending::Died } else { released }, now);
                }
            }
            Event::GooseChanged(None) => self.end(None, Ending::Silent, now),
            Event::TookLaterStart { process } => self.own.0 = *process,
            _ => {}
        }
    }

    fn begin(&mut self, term: u64, goose: Process, address: SocketAddr, how: Beginning, now: Now) {
        let known = self.seen.back().filter(|known| known.term == term);
        let over = known.and_then(|known| known.ended.as_ref());
        if over.is_some_and(|(_, _, ending)| !ending.is_guessed()) {
            // Late news by way of somebody who does not know yet.
            return;
        }
        if let Some(since) = self.vacant_since.take() {
            self.elections.observe(now.holder.since(since));
        }
        if let Some(known) = self.seen.back_mut().filter(|known| known.term == term) {
            // It was only silent for a while, or this is the same news by another way.
            if known.ended.is_some() {
                Arc::make_mut(known).ended = None;
            }
            return;
        }
        self.end(None, Ending::Replaced { by: goose.id }, now);
        self.vacant_since = None;
        self.goose_changes += 1;
        if self.seen.len() >= TERMS_MAX {
            self.seen.pop_front();
        }
        let began = (now.wall, now.holder);
        let seen = TermSeen { term, goose, address, began, began_by: how, ended: None };
        self.seen.push_back(Arc::new(seen));
    }

    /// How many terms began within the last hour, as far as they are kept.
    pub fn began_within_the_hour(&self, now: HolderTime) -> usize {
        let hour = Duration::from_secs(3600);
        self.seen.iter().filter(|term| now.since(term.began.1) < hour).count()
    }

    /// Ends the last term, if it goes on and is `term` or any.
    fn end(&mut self, term: Option<u64>, why: Ending, now: Now) {
        let known = self.seen.back_mut();
        let known = known.filter(|it| it.ended.is_none() && term.is_none_or(|t| t == it.term));
        if let Some(known) = known {
            Arc::make_mut(known).ended = Some((now.wall, now.holder, why));
            self.vacant_since.get_or_insert(now.holder);
        }
    }
}
