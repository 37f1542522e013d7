//! Whether this node is healthy, and what that means for its leading.
//!
//! ```text
//!   somebody complains ──▶ does not contend, takes no hand-over
//!           │         └──▶ leads? the work is asked to end ──▶ hands over
//!           └─ nobody complains any more ──▶ contends as before; a hold that was ordered stands
//! ```
//!
//! A node that is not healthy votes and gossips like any other, as a drained one does. Gossip says
//! that it may not lead. Unlike a drain it is not remembered: a process begins without complaints, or
//! with one of the check's, which has not found it healthy yet.
//!
//! If no other member is healthy either, [`IfNoneHealthy`] says what happens. One that leads anyway
//! is still one that may not lead to gossip, so the others tell it from a healthy one; it hands over
//! as soon as gossip knows of one of those.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::vocabulary::health::{Complainant, IfNoneHealthy, reason};
use crate::vocabulary::time::HolderTime;

/// A node that is not healthy leads all the same once it has known of no healthy one for so long:
/// gossip needs a moment to know who is there.
const NONE_HEALTHY_AFTER: Duration = Duration::from_secs(5);

/// What a check has not said yet.
const NOT_CHECKED: &str = "the health check has not passed yet";

/// What was said of this node's health is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// Whoever complains had not complained before.
    pub(super) is_first: bool,
}

/// Who complains, and what follows.
#[derive(Debug)]
pub(super) struct Health {
    complaints: BTreeMap<Complainant, String>,
    if_none: IfNoneHealthy,
    /// Since when no other member is healthy, as far as gossip knows.
    none_since: Option<HolderTime>,
    /// It leads though it is not healthy, or may.
    leads_anyway: bool,
}

impl Health {
    /// `is_checked`: a check decides about it, and has not passed yet.
    pub(super) fn new(is_checked: bool, if_none: IfNoneHealthy) -> Self {
        let complaint = is_checked.then(|| (Complainant::Check, NOT_CHECKED.to_owned()));
        let complaints = complaint.into_iter().collect();
        Self { complaints, if_none, none_since: None, leads_anyway: false }
    }

    /// Somebody complains, or does no more. None: that is no news.
    pub(super) fn note(&mut self, by: Complainant, complaint: Option<&str>) -> Option<News> {
        let Some(text) = complaint.map(reason) else {
            return self.complaints.remove(&by).map(|_| News { is_first: false });
        };
        let before = self.complaints.insert(by, text.clone());
        let is_first = before.as_deref().is_none_or(|before| before == NOT_CHECKED);
        (before != Some(text)).then_some(News { is_first })
    }

    /// Whether nobody complains.
    pub(super) fn is_healthy(&self) -> bool {
        self.complaints.is_empty()
    }

    /// Why it is not healthy; none if it is.
    pub(super) fn complaint(&self) -> Option<String> {
        let all: Vec<&str> = self.complaints.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Whether it may lead, as far as its health goes.
    pub(super) fn lets_lead(&self) -> bool {
        self.is_healthy() || self.leads_anyway
    }

    /// Whether what it may do depends on the health of others.
    pub(super) fn looks_around(&self) -> bool {
        self.if_none == IfNoneHealthy::LeadAnyway
            && !self.is_healthy()
            && !self.complaints.keys().any(|by| by.speaks_of_work())
    }

    /// Looks at who else is healthy. `leads`: this node leads at this moment.
    pub(super) fn look_around(&mut self, now: HolderTime, others: bool, leads: bool) {
        if others || !self.looks_around() {
            (self.none_since, self.leads_anyway) = (None, false);
            return;
        }
        let since = *self.none_since.get_or_insert(now);
        self.leads_anyway |= leads || now.since(since) >= NONE_HEALTHY_AFTER;
    }

    /// When it is to look around again.
    pub(super) fn next(&self) -> Option<HolderTime> {
        let due = self.none_since.map(|since| since.plus(NONE_HEALTHY_AFTER));
        due.filter(|_| !self.leads_anyway)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> HolderTime {
        HolderTime(seconds * 1_000_000_000)
    }

    #[test]
    fn every_complaint_counts_until_it_is_taken_back() {
        let mut health = Health::new(true, IfNoneHealthy::Nobody);
        assert_eq!(health.complaint().as_deref(), Some(NOT_CHECKED));
        let is_first = |is_first| Some(News { is_first });
        assert_eq!(health.note(Complainant::Work, Some("it\nfailed")), is_first(true));
        assert_eq!(health.note(Complainant::Work, Some("it failed")), None, "no news");
        assert_eq!(health.note(Complainant::Check, Some("HTTP 503")), is_first(true));
        assert_eq!(health.note(Complainant::Check, Some("HTTP 500")), is_first(false));
        assert_eq!(health.note(Complainant::Check, None), is_first(false));
        assert_eq!(health.complaint().as_deref(), Some("it failed"));
        assert!(health.note(Complainant::Work, None).is_some() && health.is_healthy());
        assert_eq!(health.note(Complainant::Hook, None), None, "nobody had complained");
    }

    #[test]
    fn it_leads_anyway_once_no_other_is_healthy_and_never_if_its_work_has_failed() {
        let mut health = Health::new(true, IfNoneHealthy::LeadAnyway);
        health.look_around(at(1), true, false);
        assert_eq!(health.next(), None);
        health.look_around(at(2), false, false);
        assert!(!health.lets_lead());
        assert_eq!(health.next(), Some(at(7)));
        health.look_around(at(7), false, false);
        assert!(health.lets_lead());
        assert_eq!(health.next(), None);
        health.look_around(at(8), true, true);
        assert!(!health.lets_lead(), "another one is healthy");
        health.look_around(at(9), false, true);
        assert!(health.lets_lead(), "whoever leads goes on at once");
        health.note(Complainant::Hook, Some("it failed"));
        health.look_around(at(30), false, true);
        assert!(!health.lets_lead());

        let mut health = Health::new(true, IfNoneHealthy::Nobody);
        health.look_around(at(1), false, true);
        health.look_around(at(60), false, true);
        assert!(!health.lets_lead());
    }
}
