//! The status answer, kept for as long as it would come out the same, byte for byte.
//!
//! Many who ask at once would otherwise have the same few hundred bytes written anew for each
//! of them. A kept answer must never say more than a fresh one would: it belongs to one
//! snapshot and to one round of the driver, and it ends with the millisecond that it counts, with the lease, with the evidence
//! of a Goose and with the last word of a voter, whichever comes first, on the holder clock as
//! it is read for the request at hand. So it cannot outlive a freeze.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;

use crate::shell::http::api::views::Moment;
use crate::shell::pulse::Pulse;
use crate::vocabulary::snapshot::Snapshot;
use crate::vocabulary::time::HolderTime;

/// The newest status answer of a server.
#[derive(Debug, Default)]
pub(in crate::shell::http) struct RecentStatus {
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    /// Held, so that no other snapshot can come to lie at the same place.
    snapshot: Arc<Snapshot>,
    pulse: Pulse,
    made: HolderTime,
    /// From here on a fresh answer could differ.
    end: HolderTime,
    body: Bytes,
}

impl RecentStatus {
    /// The body of `/v1/status` at this moment, which looks at `snapshot`.
    ///
    /// # Errors
    /// As the writing of JSON has them; nothing is kept then.
    pub(in crate::shell::http) fn body(
        &self,
        snapshot: &Arc<Snapshot>,
        moment: &Moment<'_>,
    ) -> Result<Bytes, serde_json::Error> {
        let now = moment.now;
        // Each change of it is a single assignment: whoever panicked left it whole.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let sound = |kept: &&Kept| {
            Arc::ptr_eq(&kept.snapshot, snapshot)
                && kept.pulse == moment.pulse
                && (kept.made..kept.end).contains(&now)
        };
        if let Some(kept) = kept.as_ref().filter(sound) {
            return Ok(kept.body.clone());
        }
        // The last answer is a good guess of this one's size.
        let mut body = Vec::with_capacity(kept.as_ref().map_or(0, |kept| kept.body.len() + 64));
        serde_json::to_writer(&mut body, &moment.status())?;
        body.push(b'\n');
        let body = Bytes::from(body);
        *kept = Some(Kept {
            snapshot: Arc::clone(snapshot),
            pulse: moment.pulse,
            made: now,
            end: moment.status_end(),
            body: body.clone(),
        });
        Ok(body)
    }
}
