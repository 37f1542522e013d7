//! Which Goose this node knows. Advice for people and for those who are not Goose: a stale
//! view is harmless, since only a lease makes a Goose.

use std::time::Duration;

use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::Process;
use crate::vocabulary::snapshot::KnownGoose;
use crate::vocabulary::time::HolderTime;

/// A Goose that has not been confirmed for this long, three announcements, is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(15);

/// The advisory view. Its term never falls while the process lives.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct View {
    /// Of the highest term that was heard of, whether it is still believed to lead or not.
    latest: Option<Goose>,
    known: Option<KnownGoose>,
}

impl View {
    pub(crate) fn term(&self) -> u64 {
        self.latest.as_ref().map_or(0, |goose| goose.term)
    }

    /// Whoever led under the highest term that was heard of.
    pub(crate) fn latest(&self) -> Option<&Goose> {
        self.latest.as_ref()
    }

    pub(crate) fn known(&self) -> Option<&KnownGoose> {
        self.known.as_ref()
    }

    pub(crate) fn goose(&self) -> Option<&Goose> {
        self.known.as_ref().map(|known| &known.goose)
    }

    /// Takes note of a Goose that was `seen` then, and is taken for true until `expires`. Returns
    /// whether it is another one than before.
    pub(crate) fn learn(&mut self, goose: &Goose, seen: HolderTime, expires: HolderTime) -> bool {
        if goose.term < self.term() {
            return false;
        }
        if let Some(known) = self.known.as_mut().filter(|known| known.goose == *goose) {
            known.confirmed = known.confirmed.max(seen);
            known.expires = known.expires.max(expires);
            return false;
        }
        self.latest = Some(goose.clone());
        self.known = Some(KnownGoose { goose: goose.clone(), confirmed: seen, expires });
        true
    }

    /// Somebody led under this term, and may do so no more.
    pub(crate) fn note(&mut self, goose: &Goose) {
        if goose.term > self.term() {
            self.latest = Some(goose.clone());
        }
    }

    /// Somebody saw the Goose of this term at this moment: it is taken for true until `expires`.
    /// Returns whether that is news.
    pub(crate) fn sight(&mut self, term: u64, seen: HolderTime, expires: HolderTime) -> bool {
        let known = self.known.as_mut().filter(|known| known.goose.term == term);
        let Some(known) = known.filter(|known| seen > known.confirmed) else { return false };
        known.confirmed = seen;
        known.expires = known.expires.max(expires);
        true
    }

    /// Forgets the Goose if it is this process. Returns whether it was.
    pub(crate) fn forget(&mut self, process: Process) -> bool {
        self.known.take_if(|known| known.goose.process == process).is_some()
    }

    /// Forgets whoever it is. Returns whether there was one.
    pub(crate) fn forget_all(&mut self) -> bool {
        self.known.take().is_some()
    }

    /// When the Goose is forgotten, if nobody confirms it.
    pub(crate) fn forgets_at(&self) -> Option<HolderTime> {
        self.known.as_ref().map(|known| known.confirmed.plus(FORGET_AFTER))
    }

    /// Forgets a Goose that was not confirmed for too long. Returns whether there was one.
    pub(crate) fn expire(&mut self, now: HolderTime) -> bool {
        self.forgets_at().is_some_and(|at| at <= now) && self.forget_all()
    }
}
