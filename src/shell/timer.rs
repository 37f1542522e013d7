//! The one timer of a node's driver.
//!
//! On Linux it is a descriptor of the kernel's (timerfd). The runtime's own timers are made for
//! many at once and pay for it where there is one: they round up to the millisecond, wake the
//! thread on the way to a deadline that is more than 64 ms off, and wake it once more by a write
//! to itself whenever a new deadline is the next one. On a Duck at rest, that and the wake-ups for
//! what was sent ([`super::socket`]) were half of its turns of epoll: 78 a second, and 40 without.
//! Elsewhere the runtime's timer does.
//!
//! Assumption: whoever is woken looks at the clock and sets the timer anew, so that one expiry
//! too many, or a clock that runs a little differently, costs a look and no more.

#[cfg(target_os = "linux")]
pub(super) use kernel::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use runtime::Timer;

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use super::super::descriptor::watch_input;
    use crate::vocabulary::time::HolderTime;

    /// It may expire so much late. Most inputs leave the next deadline where it was, but for what
    /// reading several clocks adds to it, and then there is no need to tell the kernel again.
    const TOLERANCE: Duration = Duration::from_micros(50);

    /// See the module.
    #[derive(Debug)]
    pub(in crate::shell) struct Timer {
        timer: AsyncFd<OwnedFd>,
        /// When it will expire, unless it has.
        set: Option<HolderTime>,
    }

    impl Timer {
        /// A timer that is not set.
        ///
        /// # Errors
        /// If the process may open no more descriptors.
        pub(in crate::shell) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self { timer: watch_input(timer)?, set: None })
        }

        /// Sets it to ring `pause` after `now`, and at no other time any more.
        pub(in crate::shell) fn set(&mut self, now: HolderTime, pause: Duration) {
            let due = now.plus(pause);
            if self.set.is_some_and(|set| set >= due && set.since(due) <= TOLERANCE) {
                return;
            }
            // Zero would switch it off.
            let late = if pause.is_zero() { Duration::from_nanos(1) } else { TOLERANCE / 2 };
            let pause = pause.saturating_add(late);
            self.set = Some(now.plus(pause));
            let value = Timespec {
                tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(pause.subsec_nanos()),
            };
            let once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let timer = Itimerspec { it_interval: once, it_value: value };
            // It fails for a time that is none, which this is not.
            let outcome = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &timer);
            debug_assert!(outcome.is_ok(), "{outcome:?}");
        }

        /// Done when it rings.
        pub(in crate::shell) async fn expired(&mut self) {
            // What it counted need not be read: setting it anew forgets it.
            match self.timer.readable().await {
                Ok(mut ready) => {
                    ready.clear_ready();
                    self.set = None;
                }
                // The runtime is going, and the driver with it.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod runtime {
    use std::io;
    use std::time::Duration;

    use tokio::time::{Instant, sleep_until};

    use crate::vocabulary::time::HolderTime;

    /// See the module.
    #[derive(Debug)]
    pub(in crate::shell) struct Timer(Instant);

    impl Timer {
        /// A timer that is not set: it expires at once.
        #[expect(clippy::unnecessary_wraps, reason = "the kernel's may fail")]
        pub(in crate::shell) fn new() -> io::Result<Self> {
            Ok(Self(Instant::now()))
        }

        /// Sets it to ring after `pause`, and at no other time any more.
        pub(in crate::shell) fn set(&mut self, _now: HolderTime, pause: Duration) {
            self.0 = Instant::now() + pause;
        }

        /// Done when it rings.
        pub(in crate::shell) async fn expired(&self) {
            sleep_until(self.0).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::clock::Clock;

    macro_rules! tests_of {
        ($name:ident, $timer:ty) => {
            /// It rings, never too early, as often as it is set, and not for what it was set to
            /// before.
            #[tokio::test]
            async fn $name() {
                let mut timer = <$timer>::new().unwrap();
                for micros in [0, 1, 300, 2_000, 70_000, 1_500] {
                    let pause = Duration::from_micros(micros);
                    let start = Instant::now();
                    timer.set(Clock::Machine.holder(), Duration::from_secs(3600));
                    timer.set(Clock::Machine.holder(), Duration::from_nanos(1));
                    timer.set(Clock::Machine.holder(), pause);
                    timer.expired().await;
                    // A ring too many is allowed, and happens if an old one was not heard.
                    while start.elapsed() < pause {
                        timer.set(Clock::Machine.holder(), pause.saturating_sub(start.elapsed()));
                        timer.expired().await;
                    }
                }
                let again = tokio::time::timeout(Duration::from_millis(50), async {
                    timer.set(Clock::Machine.holder(), Duration::from_secs(3600));
                    timer.expired().await;
                    timer.set(Clock::Machine.holder(), Duration::from_secs(3600));
                    timer.expired().await;
                });
                assert!(again.await.is_err(), "it rang twice without having been set to");
            }
        };
    }

    #[cfg(target_os = "linux")]
    tests_of!(the_kernels_timer_expires, super::kernel::Timer);
    tests_of!(the_runtimes_timer_expires, super::runtime::Timer);
}
