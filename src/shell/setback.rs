//! Work that failed here: how long this node stands back before it tries again.
//!
//! While it does, it is not healthy: it hands over, and others try. So it stands back for as long as
//! each of them needs to have a turn, if they fail as fast; and at least for a pause that doubles from
//! failure to failure, so that work that fails everywhere is tried ever more seldom. Once no other
//! node is healthy only the pause counts.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::handle::Handle;
use crate::vocabulary::health::Complainant;
use crate::vocabulary::snapshot::{MemberState, Snapshot};

/// The first pause; the next is twice as long, and so on.
pub const PAUSE_LEAST: Duration = Duration::from_millis(100);
/// The longest pause, and the longest turn of all others.
pub const PAUSE_MOST: Duration = Duration::from_secs(30);
/// Work that went on for so long is taken up again as if it had never failed.
pub const SOUND_AFTER: Duration = Duration::from_secs(10);
/// Nobody needs less for a turn: a hand-over, and the start of a program on a slow machine.
const TURN_LEAST: Duration = Duration::from_millis(500);

/// The failures of one kind of work.
#[derive(Debug)]
pub struct Setback {
    by: Complainant,
    pause: Duration,
}

impl Setback {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(by: Complainant) -> Self {
        Self { by, pause: PAUSE_LEAST }
    }

    /// The work has failed, for this reason. To be said before the permit to work is dropped: so the
    /// lease is given away at once.
    pub fn complain(&self, handle: &Handle, reason: String) {
        handle.set_health(self.by, Some(reason));
    }

    /// What was complained of is mended before anything failed.
    pub fn recover(&self, handle: &Handle) {
        handle.set_health(self.by, None);
    }

    /// Waits until this node may try again, and says so. `ran`: for how long the work went well.
    pub async fn stand_back(&mut self, handle: &Handle, ran: Duration) {
        let began = Instant::now();
        let pause = self.next_pause(ran);
        let mut snapshots = handle.snapshots();
        let others = healthy_others(&snapshots.borrow());
        let until = began + turns(ran, others).max(pause);
        sleep(pause).await;
        // While the others have their turn.
        while healthy_others(&snapshots.borrow_and_update()) > 0 {
            match timeout_at(until, snapshots.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        handle.set_health(self.by, None);
    }

    fn next_pause(&mut self, ran: Duration) -> Duration {
        let pause = if ran >= SOUND_AFTER { PAUSE_LEAST } else { self.pause };
        self.pause = (pause * 2).min(PAUSE_MOST);
        pause
    }
}

/// How long `others` have for one turn each.
fn turns(ran: Duration, others: u32) -> Duration {
    (ran.max(TURN_LEAST) * others).min(PAUSE_MOST)
}

/// How many other nodes could take over, as far as gossip knows.
fn healthy_others(snapshot: &Snapshot) -> u32 {
    let own = snapshot.process.id;
    let fit = snapshot
        .members
        .iter()
        .filter(|member| member.id != own && member.eligible && member.state == MemberState::Alive);
    u32::try_from(fit.count()).unwrap_or(u32::MAX).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_work_was_sound_and_everybody_has_a_turn() {
        let mut setback = Setback::new(Complainant::Work);
        let mut pauses = |ran: u64| setback.next_pause(Duration::from_secs(ran)).as_millis();
        assert_eq!([pauses(0), pauses(2), pauses(9), pauses(0)], [100, 200, 400, 800]);
        assert_eq!([pauses(10), pauses(0)], [100, 200]);
        let most: Vec<u128> = (0..10).map(|_| pauses(0)).collect();
        assert_eq!(most.last(), Some(&30_000));
        assert_eq!(turns(Duration::from_millis(3), 2), Duration::from_secs(1));
        assert_eq!(turns(Duration::from_secs(2), 2), Duration::from_secs(4));
        assert_eq!(turns(Duration::from_secs(2), 0), Duration::ZERO);
        assert_eq!(turns(Duration::from_secs(3600), 4), PAUSE_MOST);
    }
}
