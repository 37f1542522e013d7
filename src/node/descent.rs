//! Which founding a node belongs to, by what those say whom it has asked: its own, another one, or what
//! a person has rescued of its own ([`super::rescue`]).
//!
//! ```text
//!                      same, or not certain yet ──▶ go on
//!   answer's lineage ──another one──▶ refused; a node that was started to join it ends
//!                    └─rescued from this node's own ──no vote──▶ gone over to
//!                                                   └─a vote───▶ refused; it ends, for a person decides
//! ```

use std::net::SocketAddr;

use super::admission::Admission;
use super::cluster::Cluster;
use super::join::Joining;
use super::persistence::Persistence;
use crate::election::Election;
use crate::vocabulary::identity::Process;
use crate::vocabulary::lineage::{ForeignFounding, Kinship, LineageClaim};
use crate::vocabulary::reject::Reject;
use crate::vocabulary::time::Now;
use crate::wire::datagram::Header;
use crate::wire::message::Welcome;

/// See the module; what it may touch.
pub(super) struct Descent<'a> {
    pub(super) me: Process,
    pub(super) cluster: &'a mut Cluster,
    pub(super) election: Option<&'a mut Election>,
    pub(super) persistence: &'a mut Persistence,
    pub(super) admission: &'a mut Admission,
    pub(super) joining: &'a mut Joining,
}

impl Descent<'_> {
    /// Whether somebody whom this node asked is of its own founding, whatever both were founded with.
    pub(super) fn check(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        welcome: &Welcome,
    ) -> Result<(), Reject> {
        let own = self.election.as_deref().and_then(Election::lineage_claim);
        let (Some(own), Some(theirs)) = (own, header.lineage) else { return Ok(()) };
        // What this node stands by was settled, whether it knows that or not: else nobody names it.
        let kinship = self.cluster.kinship(own.lineage, theirs.lineage, &welcome.ancestors);
        let is_rescued = kinship == Kinship::Rescued;
        if is_rescued || own.contradicts(theirs, false) {
            let foreign = ForeignFounding::met(from, theirs, own, kinship);
            self.admission.meet_foreign(foreign);
            if is_rescued && self.may_follow_rescued(header, welcome) {
                self.go_over(now, welcome);
                return Ok(());
            }
            // It asks again, until somebody tells it who can: whoever votes there, or knows a Goose. A
            // node without a vote that lost sight of its own rescue ends nobody. And what this node's own
            // was rescued from has nothing to say; it is for it to follow.
            let is_bound = self.is_bound_by_rescue(welcome);
            let waits = is_rescued && !(is_bound && is_alive(header, welcome));
            if !waits && kinship != Kinship::Ancestor {
                self.joining.hear_foreign(foreign, welcome);
            }
            return Err(Reject::ForeignLineage);
        }
        // Whoever came to vote before it was welcomed knows the lineage of its Goose alone.
        if theirs.settled() == Some(own.lineage)
            && welcome.ancestors.len() > self.cluster.ancestors().len()
        {
            self.cluster.descend_from(&welcome.ancestors);
            self.persistence.note_ancestors(self.cluster.ancestors());
        }
        if theirs.settled() == Some(own.lineage)
            && self.joining.hear_own()
            && let Some(election) = self.election.as_deref_mut()
        {
            election.hear_own_seed(now.holder);
        }
        Ok(())
    }

    /// Whether this node goes over to what was rescued of its cluster: if it does not vote in either,
    /// neither leads nor claims, and is told by somebody who votes there, or knows a Goose.
    fn may_follow_rescued(&self, header: &Header, welcome: &Welcome) -> bool {
        let is_idle = self.election.as_deref().is_some_and(Election::is_idle);
        is_alive(header, welcome) && is_idle && !self.is_bound_by_rescue(welcome)
    }

    /// Whether this node votes in the old cluster, or is to vote in the rescued one: then a person
    /// decides where it belongs.
    fn is_bound_by_rescue(&self, welcome: &Welcome) -> bool {
        self.election.as_deref().is_some_and(Election::votes)
            || welcome.configuration.voters.contains(self.me.id)
    }

    /// This node belongs to what was rescued of its cluster from here on; which founding that is, it
    /// learns next. What it promised to the old one binds nobody there.
    fn go_over(&mut self, now: Now, welcome: &Welcome) {
        let Some(election) = self.election.as_deref_mut() else { return };
        self.persistence.forget_vote(self.me.boot.nonce);
        self.persistence.note_lineage(None);
        election.go_over(now, &welcome.configuration);
    }

    /// A node without a vote takes the lineage of whoever votes, or knows a Goose that lives: others
    /// may be left of a cluster that is no more.
    pub(super) fn learn(&mut self, now: Now, header: &Header, welcome: &Welcome) {
        let settled = header.lineage.and_then(LineageClaim::settled);
        let settled = settled.filter(|_| is_alive(header, welcome));
        if let (Some(election), Some(lineage)) = (self.election.as_deref_mut(), settled)
            && election.may_be_told_lineage()
        {
            election.settle_lineage(lineage);
            self.cluster.descend_from(&welcome.ancestors);
            self.persistence.note_ancestors(self.cluster.ancestors());
        }
        // The only voter may have lost its record: then nobody can say what it promised.
        let settled = header.lineage.and_then(LineageClaim::settled);
        let is_genesis = welcome.configuration.is_genesis();
        let is_only_voter = welcome.configuration.voters.ids() == [self.me.id];
        if let (Some(election), Some(lineage)) = (self.election.as_deref_mut(), settled)
            && is_genesis
            && is_only_voter
        {
            election.hear_earlier_life(now, lineage);
        }
    }
}

/// Whether somebody votes in the cluster that it tells of, or knows who leads that: else that may be no
/// more.
fn is_alive(header: &Header, welcome: &Welcome) -> bool {
    welcome.configuration.voters.contains(header.sender.id) || welcome.goose.is_some()
}
