//! The signals that are passed on to the command.

use std::task::{Context, Poll, Waker};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGUSR1 and SIGUSR2, and SIGHUP where that was asked for.
pub(super) struct Forwarded {
    signals: Vec<(SignalKind, Signal)>,
}

impl Forwarded {
    pub(super) fn new(hang_up: bool) -> std::io::Result<Self> {
        let kinds = [SignalKind::user_defined1(), SignalKind::user_defined2()];
        let kinds = kinds.into_iter().chain(hang_up.then(SignalKind::hangup));
        let signals = kinds.map(|kind| Ok((kind, signal(kind)?)));
        Ok(Self { signals: signals.collect::<std::io::Result<_>>()? })
    }

    /// Forgets those that have come so far.
    pub(super) fn forget(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for (_, signal) in &mut self.signals {
            // Those of a kind are one.
            let _ = signal.poll_recv(&mut context);
        }
    }

    /// The next one's number.
    pub(super) async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.signals {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(kind.as_raw_value());
                }
            }
            Poll::Pending
        })
        .await
    }
}
