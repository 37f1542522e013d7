//! What must hold in every state of the model, whatever happened before.

use super::Bounds;
use super::broken::Broken;
use super::node::{Kept, Node};
use crate::sim::checkers::electorate::{self, Stances};
use crate::vocabulary::configuration::{Configuration, ConfigurationStamp};
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::{HolderTime, VoterTime};
use crate::wire::message::Message;

/// What the judge remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    /// The highest term so far, and how many there were, if not more than two.
    terms: (u64, u32),
    broken: Option<Broken>,
}

impl Judge {
    /// The promise that was broken first, if one was.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.broken
    }

    /// The highest term so far, and how many there were, if not more than two.
    pub(super) fn terms(&self) -> (u64, u32) {
        self.terms
    }

    fn blame(&mut self, broken: Broken) {
        self.broken = self.broken.or(Some(broken));
    }

    /// An assertion of the code has failed; it counts before anything else.
    pub(super) fn blame_assertion(&mut self) {
        self.broken = Some(Broken::Assertion);
    }

    /// After every input of any node.
    pub(super) fn look(&mut self, nodes: &[Node], time: u64, bounds: &Bounds) {
        if nodes.iter().filter(|node| node.leads(time)).count() > 1 {
            self.blame(Broken::TwoGeese);
        }
        for node in nodes {
            let voter = node.election.inspect().voter;
            if voter.is_some_and(|voter| voter.max_ballot < node.watermark) {
                self.blame(Broken::BallotFell);
            }
        }
        if !do_quorums_meet(nodes) {
            self.blame(Broken::QuorumsApart);
        }
        if nodes.iter().any(|node| is_outlived(node, nodes, time, bounds)) {
            self.blame(Broken::GrantOutlived);
        }
    }

    /// A grant relies on its ballot, its holder and its length being on the disk; and what a voter
    /// with a record names as its configuration, others count on.
    pub(super) fn sent(&mut self, sender: &Node, stamp: ConfigurationStamp, message: &Message) {
        let disk = sender.disk.as_deref();
        let vote = disk.and_then(|kept| kept.vote.as_ref());
        if let Message::Grant(grant) = message {
            let durable = vote.is_some_and(|vote| {
                vote.max_ballot >= grant.ballot && vote.max_lease_in_force >= grant.granted
            });
            if !durable {
                self.blame(Broken::GrantNotDurable);
            }
        }
        let has_record = vote.is_some_and(|vote| vote.founding.is_sound());
        let is_ahead = |kept: &Kept| kept.configuration.precedes(&stamp);
        if has_record && message.kind().is_of_voter() && disk.is_some_and(is_ahead) {
            self.blame(Broken::StanceNotDurable);
        }
    }

    /// A lease has ended before its deadline, and nobody asked for it.
    pub(super) fn lapsed_early(&mut self) {
        self.blame(Broken::LapsedEarly);
    }

    /// A tenure begins.
    pub(super) fn term_begins(&mut self, term: u64) {
        let (highest, tenures) = self.terms;
        if term <= highest {
            self.blame(Broken::TermNotAbove);
        }
        self.terms = (term.max(highest), (tenures + 1).min(2));
    }
}

/// I13, by what all nodes know and what the voters' disks say.
fn do_quorums_meet(nodes: &[Node]) -> bool {
    let kept = || nodes.iter().filter_map(|node| Some((node.me.id, node.disk.as_deref()?)));
    let running = nodes.iter().filter(|node| !node.is_gone).map(|node| &node.election);
    let installed = running.clone().filter_map(|election| election.installed());
    let running = running.map(|election| election.configuration());
    let on_disk = kept().map(|(_, kept)| &kept.configuration);
    let mut known: Vec<&Configuration> = running.chain(installed).chain(on_disk).collect();
    known.sort_by_key(|it| (it.ballot, it.version));
    known.dedup();
    if known.len() < 2 {
        return true;
    }
    let stands = |kept: &Kept| kept.vote.as_ref().is_some_and(|vote| vote.founding.is_sound());
    let stances: Stances = kept()
        .filter(|(_, kept)| stands(kept))
        .map(|(id, kept)| (id, kept.configuration.stamp()))
        .collect();
    electorate::judge(0, &known, &stances).is_ok()
}

/// I3, in true time: whoever counts a grant, its voter keeps it from others for longer. Whether
/// `holder` counts one that its voter does not.
fn is_outlived(holder: &Node, nodes: &[Node], time: u64, bounds: &Bounds) -> bool {
    let now = bounds.broken.clocks(time);
    let counted = holder.election.inspect().counted;
    !holder.is_gone
        && counted.iter().filter(|(_, until)| *until > now.holder).any(|(voter, until)| {
            let end = time + span(*until, now.holder);
            let voter = nodes.iter().find(|node| node.me.id == *voter);
            voter.is_some_and(|voter| !outlasts(voter, holder.me, time, end, bounds))
        })
}

/// Whether this voter keeps its vote from everybody but `holder` until the true time `end`.
/// A voter that is not founded grants nothing; should it be founded too soon, it shows then.
fn outlasts(voter: &Node, holder: Process, time: u64, end: u64, bounds: &Bounds) -> bool {
    let now = bounds.broken.clocks(time);
    let Some(voter) = voter.election.inspect().voter else { return true };
    let covers = |until: VoterTime| {
        let fast = bounds.broken.clocks(1_000_000).voter.0;
        let left = until.0.saturating_sub(now.voter.0);
        time + left * 1_000_000 / fast >= end
    };
    match (voter.grant, voter.quarantine_until) {
        (Some((granted_to, _, expiry)), _) if granted_to == holder && covers(expiry) => true,
        (Some((granted_to, ..)), _) if granted_to != holder => false,
        (_, Some(until)) => covers(until),
        (_, None) => !voter.may_grant,
    }
}

/// The true span until a holder's clock, which is slow, shows `until`.
fn span(until: HolderTime, now: HolderTime) -> u64 {
    (until.0 - now.0) * 1_000 / 995
}
