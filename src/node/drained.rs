//! Holding back until told otherwise: the order, and when it is answered.
//!
//! ```text
//!   drain ──▶ does not contend, and the record says so ──▶ durable ────┐
//!        └──▶ leads? the work is asked to end ──▶ hands over, lapses ──┴▶ answered
//! ```
//!
//! A drained node votes and gossips like any other. That it is drained stands in its record, so
//! it is drained after a restart, too; a node without a disk forgets it. The answer comes once
//! the record is durable and the node does not lead. The order outlives an answer that was no
//! success: work that has not ended in time is handed over whenever it ends.

use super::step_down::{StepDownError, SteppedDown};

/// What became of an order to drain a node, or to end that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether the node is drained from here on: what was asked for.
    pub is_drained: bool,
    /// Whether that is news.
    pub is_news: bool,
    /// Whether it holds after a restart, too: not on a node that keeps no record.
    pub is_kept: bool,
    /// The term that ended for it, and who was asked to take over.
    pub ended: Option<SteppedDown>,
}

/// Why an order to drain a node was not carried out, or not in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrainError {
    /// The node leads and nobody could take over. Nothing changed.
    #[error(
        "nobody could take over from this node now, so it is not drained: no other node that may \
         be Goose has reached a majority of the voters lately and is not holding back itself. Try \
         again in a while, or stop this one with `gaggle leave`"
    )]
    NoStandby,
    /// The node is drained, and leads until its work has ended.
    #[error(
        "this node is drained, but the work under its lease has not ended: it leads until the \
         work ends, and hands over then"
    )]
    WorkGoesOn,
    /// Somebody ordered the opposite while this order was waiting.
    #[error("somebody has ordered the opposite meanwhile: `gaggle status` says what holds")]
    Overruled,
    /// It holds, and cannot be made durable.
    #[error(
        "the order holds until this node ends and not beyond, for its state folder takes no \
         record any more: look to the disk, and start the node again"
    )]
    NotKept,
}

/// An order that is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    is_drained: bool,
    is_news: bool,
    /// The hand-over is under way.
    hands_over: bool,
    ended: Option<SteppedDown>,
    failure: Option<DrainError>,
}

/// How durable what was ordered is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It is being written.
    Pending,
    /// It holds after a restart.
    Kept,
    /// There is no disk: a restart forgets it.
    Fleeting,
    /// It cannot be written any more.
    Lost,
}

/// The answer to every waiting order that asked for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainAnswer {
    /// What was asked for: to be drained, or not to be.
    pub asked: bool,
    /// What became of it.
    pub outcome: Result<Drained, DrainError>,
}

/// The order under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct DrainOrder {
    pending: Option<Pending>,
}

impl DrainOrder {
    /// Takes an accepted order on. `hands_over`: the node leads. Returns the answer to an earlier
    /// one that asked for the opposite.
    pub(super) fn accept(
        &mut self,
        is_drained: bool,
        is_news: bool,
        hands_over: bool,
    ) -> Option<DrainAnswer> {
        let new = Pending { is_drained, is_news, hands_over, ended: None, failure: None };
        let before = self.pending.replace(new)?;
        if before.is_drained == is_drained {
            // Both get one answer, which is news to the first.
            self.pending = Some(Pending { is_news: before.is_news || is_news, ..new });
            return None;
        }
        Some(DrainAnswer { asked: before.is_drained, outcome: Err(DrainError::Overruled) })
    }

    /// The hand-over that it waits for has come to this.
    pub(super) fn handed_over(&mut self, outcome: Result<SteppedDown, StepDownError>) {
        let Some(pending) = &mut self.pending else { return };
        pending.hands_over = false;
        match outcome {
            Ok(ended) => pending.ended = Some(ended),
            Err(StepDownError::WorkGoesOn) => pending.failure = Some(DrainError::WorkGoesOn),
            // It does not lead, and that is what was asked for.
            Err(_) => {}
        }
    }

    /// The answer, once there is one; asking takes it.
    pub(super) fn answer(&mut self, durability: Durability) -> Option<DrainAnswer> {
        let is_done =
            |pending: &mut Pending| !pending.hands_over && durability != Durability::Pending;
        let pending = self.pending.take_if(is_done)?;
        let Pending { is_drained, is_news, ended, failure, .. } = pending;
        let lost = (durability == Durability::Lost).then_some(DrainError::NotKept);
        let is_kept = durability == Durability::Kept;
        let outcome = match failure.or(lost) {
            Some(error) => Err(error),
            None => Ok(Drained { is_drained, is_news, is_kept, ended }),
        };
        Some(DrainAnswer { asked: is_drained, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: SteppedDown = SteppedDown { term: 7, nominee: None };

    #[test]
    fn the_answer_waits_for_the_disk_and_for_the_end_of_the_term() {
        let mut order = DrainOrder::default();
        assert_eq!(order.accept(true, true, true), None);
        assert_eq!(order.answer(Durability::Kept), None, "it leads");
        order.handed_over(Ok(ENDED));
        assert_eq!(order.answer(Durability::Pending), None, "a crash would forget it");
        let done = Drained { is_drained: true, is_news: true, is_kept: true, ended: Some(ENDED) };
        let answer = DrainAnswer { asked: true, outcome: Ok(done) };
        assert_eq!(order.answer(Durability::Kept), Some(answer));
        assert_eq!(order.answer(Durability::Kept), None, "once");
    }

    #[test]
    fn the_opposite_overrules_and_the_same_joins() {
        let mut order = DrainOrder::default();
        order.accept(true, true, true);
        assert_eq!(order.accept(true, false, true), None);
        let overruled = DrainAnswer { asked: true, outcome: Err(DrainError::Overruled) };
        assert_eq!(order.accept(false, true, false), Some(overruled));
        order.accept(true, true, false);
        order.accept(true, false, false);
        let done = order.answer(Durability::Fleeting).unwrap().outcome.unwrap();
        assert_eq!((done.is_drained, done.is_news, done.is_kept), (true, true, false));
    }

    #[test]
    fn what_did_not_come_about_is_said() {
        let mut order = DrainOrder::default();
        for (handed_over, durability, expected) in [
            (Err(StepDownError::WorkGoesOn), Durability::Kept, Some(DrainError::WorkGoesOn)),
            (Ok(ENDED), Durability::Lost, Some(DrainError::NotKept)),
            (Err(StepDownError::Lapsed { term: 7 }), Durability::Kept, None),
        ] {
            order.accept(true, true, true);
            order.handed_over(handed_over);
            assert_eq!(order.answer(durability).unwrap().outcome.err(), expected);
        }
    }
}
