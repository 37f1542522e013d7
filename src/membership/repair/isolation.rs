//! Mend 3: a node that hears nothing at all blames itself.
//!
//! While a node receives nothing, it declares no member down. What it has come to think of others
//! meanwhile is no news to them, and SWIM has no way to unsay it. So with the first packet the
//! node starts SWIM anew, under the same name, with what was known before.
//!
//! With only one other member there is no telling which of the two is cut off, so this does not
//! apply. It ends after [`ISOLATION_MAX`]: the last node that is left should show the dead as
//! down, and not as doubtful. If it hears another node again after all, it forgets what it thought
//! meanwhile.

use std::time::Duration;

use foca::{Member, State};

use super::super::identity::MemberIdentity;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// A node that receives nothing puts off for so long to declare others down: longer than any
/// restart of a switch or of a machine's network that people would not call an outage.
const ISOLATION_MAX: Duration = Duration::from_secs(30);

/// When something was last heard, and what was known before nothing was.
#[derive(Debug, Default)]
pub(in crate::membership) struct Isolation {
    last_received: HolderTime,
    before: Option<Vec<Member<MemberIdentity>>>,
}

impl Isolation {
    /// A packet arrived. If that ends an isolation: the members to begin anew with.
    pub(in crate::membership) fn end(
        &mut self,
        now: HolderTime,
    ) -> Option<Vec<Member<MemberIdentity>>> {
        self.last_received = now;
        self.before.take()
    }

    /// Looks whether so little was received that the fault is probably here, and remembers `held`
    /// if it is. `others`: how many nodes should be heard.
    pub(in crate::membership) fn watch<'a>(
        &mut self,
        now: HolderTime,
        others: usize,
        probe_period: Duration,
        held: impl Iterator<Item = &'a Member<MemberIdentity>>,
    ) {
        let is_isolated = others >= 2 && self.is_silent(now, probe_period * 5 / 2);
        if !is_isolated || mutant::is(Mutant::IsolatedAccuses) {
            return;
        }
        // A member that was suspected in the last moments was so because of the isolation.
        let trusted = |member: &Member<MemberIdentity>| match member.state() {
            State::Suspect => Member::new(*member.id(), member.incarnation(), State::Alive),
            State::Alive | State::Down => member.clone(),
        };
        self.before.get_or_insert_with(|| held.map(trusted).collect());
    }

    /// Whether no member is to be declared down.
    pub(in crate::membership) fn gates(&self, now: HolderTime) -> bool {
        self.before.is_some() && !self.is_silent(now, ISOLATION_MAX)
    }

    /// Whether nothing at all was received for longer than `span`.
    pub(in crate::membership) fn is_silent(&self, now: HolderTime, span: Duration) -> bool {
        now.since(self.last_received) > span
    }
}
