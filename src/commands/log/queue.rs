//! The way of a line to standard error: a bounded queue, and a thread of its own that writes.
//!
//! ```text
//! whoever logs ── push, never waits ──▶ waiting (bounded) ── thread ──▶ standard error
//!                   │ no room: dropped and counted               may block for ever
//! ```
//!
//! A pipe that nobody empties and a terminal that was stopped (Ctrl-S) block whoever writes to
//! them. That must be nobody on whom the lease depends. What finds no room is dropped, up to the
//! next write that succeeds; how many lines that were is said in their place.
//!
//! `tracing-appender` has such a thread, too. It was not taken: at the end it waits for 1.1 s and
//! may then block in `println!`, its bound counts lines and not bytes, and it cannot say where
//! lines are missing.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that wait at most. As many again may be with the thread. Thousands of lines: a restart
/// of a log collector is bridged, and a node stays small.
const WAITING_MAX: usize = 512 * 1024;

/// At the end of the process, an output that takes nothing is waited for so long.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// The same, where the output would take more and the thread alone is late.
const LAST_MOMENT_BUSY: Duration = Duration::from_secs(1);

/// Between two looks at whether the output takes more.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Where a line goes in the end.
pub(super) trait Output: Send + Sync + 'static {
    /// Writes all of `bytes`, however long that takes.
    ///
    /// # Errors
    /// How many bytes were not written, once no more can be.
    fn write_all(&self, bytes: &[u8]) -> Result<(), usize>;

    /// Whether something could be written without waiting.
    fn is_ready(&self) -> bool;
}

/// The queue. Clones are the same one.
#[derive(Clone)]
pub(super) struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    waiting: Mutex<Waiting>,
    /// Something waits.
    filled: Condvar,
    /// Nothing waits and nothing is being written.
    emptied: Condvar,
    /// Lines that were dropped since the start.
    dropped: Arc<AtomicU64>,
    output: Box<dyn Output>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that came after `bytes` and found no room.
    dropped: u64,
    /// The thread is writing what it has taken.
    writing: bool,
}

impl Queue {
    /// Starts the thread. What it says of `n` dropped lines is `notice(n)`.
    ///
    /// # Errors
    /// If the operating system grants no thread.
    pub(super) fn start(
        output: Box<dyn Output>,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Self {
            inner: Arc::new(Inner {
                waiting: Mutex::default(),
                filled: Condvar::new(),
                emptied: Condvar::new(),
                dropped: Arc::default(),
                output,
            }),
        };
        let inner = Arc::clone(&queue.inner);
        let thread = thread::Builder::new().name("gaggle-log".to_owned()).stack_size(128 * 1024);
        thread.spawn(move || inner.write_on(notice))?;
        Ok(queue)
    }

    /// How many lines were dropped since the start.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.inner.dropped)
    }

    /// Takes a line to be written, or drops it. Never waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.inner.lock();
        // After the first that is dropped all are, so that the gap is in one place.
        if waiting.dropped > 0 || waiting.bytes.len() + line.len() > WAITING_MAX {
            waiting.dropped += 1;
            self.inner.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        drop(waiting);
        self.inner.filled.notify_one();
    }

    /// Waits until all is written, for a moment at most. To be called before the process ends.
    pub(super) fn finish(&self) {
        let began = Instant::now();
        let mut waiting = self.inner.lock();
        while waiting.writing || !waiting.bytes.is_empty() || waiting.dropped > 0 {
            let limit = if self.inner.output.is_ready() { LAST_MOMENT_BUSY } else { LAST_MOMENT };
            if began.elapsed() >= limit {
                return;
            }
            let woken = self.inner.emptied.wait_timeout(waiting, LOOK_INTERVAL);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One line at a time, as the formatter hands them over.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that could panic happens under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whatever comes. Ends with the process.
    fn write_on(&self, notice: impl Fn(u64) -> String) {
        // Lines that could not be written. They are spoken of with the next that can.
        let mut lost = 0;
        loop {
            let mut waiting = self.lock();
            while waiting.bytes.is_empty() && waiting.dropped == 0 {
                waiting.writing = false;
                self.emptied.notify_all();
                waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.writing = true;
            let bytes = std::mem::take(&mut waiting.bytes);
            let dropped = std::mem::take(&mut waiting.dropped);
            drop(waiting);
            let say = |lines: &mut u64| {
                if *lines > 0 && self.output.write_all(notice(*lines).as_bytes()).is_ok() {
                    *lines = 0;
                }
            };
            say(&mut lost);
            let written = if lost > 0 { Err(bytes.len()) } else { self.output.write_all(&bytes) };
            let failed = written.map_or_else(|rest| count(&bytes[bytes.len() - rest..]), |()| 0);
            self.dropped.fetch_add(failed, Ordering::Relaxed);
            lost += failed + dropped;
            say(&mut lost);
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that a test opens and closes, and breaks.
    #[derive(Clone, Default)]
    struct Valve {
        state: Arc<(Mutex<State>, Condvar)>,
    }

    #[derive(Default)]
    struct State {
        open: bool,
        broken: bool,
        waiting: bool,
        text: String,
    }

    impl Valve {
        fn set(&self, open: bool, broken: bool) {
            let mut state = self.state.0.lock().unwrap();
            (state.open, state.broken) = (open, broken);
            self.state.1.notify_all();
        }

        /// Waits for what must come.
        fn until(&self, so: impl Fn(&State) -> bool) -> String {
            let mut state = self.state.0.lock().unwrap();
            while !so(&state) {
                state = self.state.1.wait(state).unwrap();
            }
            state.text.clone()
        }
    }

    impl Output for Valve {
        fn write_all(&self, bytes: &[u8]) -> Result<(), usize> {
            let mut state = self.state.0.lock().unwrap();
            while !state.open {
                state.waiting = true;
                self.state.1.notify_all();
                state = self.state.1.wait(state).unwrap();
            }
            state.waiting = false;
            if state.broken {
                return Err(bytes.len());
            }
            state.text.push_str(std::str::from_utf8(bytes).unwrap());
            self.state.1.notify_all();
            Ok(())
        }

        fn is_ready(&self) -> bool {
            self.state.0.lock().unwrap().open
        }
    }

    fn queue(valve: &Valve) -> Queue {
        let notice = |lines| format!("({lines} dropped)\n");
        Queue::start(Box::new(valve.clone()), notice).unwrap()
    }

    #[test]
    fn lines_come_whole_and_in_order_and_the_end_waits_for_them() {
        let valve = Valve::default();
        valve.set(true, false);
        let queue = queue(&valve);
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
        lines.iter().for_each(|line| queue.push(line.as_bytes()));
        queue.finish();
        assert_eq!(valve.until(|_| true), lines.concat());
        assert_eq!(queue.dropped().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_who_logs_waits_and_the_gap_is_said_where_it_is() {
        let valve = Valve::default();
        let queue = queue(&valve);
        queue.push(b"first\n");
        valve.until(|state| state.waiting);
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        let room = WAITING_MAX / line.len();
        for _ in 0..room + 7 {
            queue.push(&line);
        }
        // It would fit, but would hide where the others are missing.
        queue.push(b"");
        assert_eq!(queue.dropped().load(Ordering::Relaxed), 8);
        valve.set(true, false);
        let text = valve.until(|state| state.text.ends_with("dropped)\n"));
        queue.push(b"last\n");
        queue.finish();
        assert_eq!(text.lines().count(), 1 + room + 1);
        let whole = valve.until(|_| true);
        assert!(whole.ends_with("x\n(8 dropped)\nlast\n"), "{}", &whole[whole.len() - 99..]);
    }

    #[test]
    fn the_end_does_not_wait_for_an_output_that_takes_nothing() {
        let valve = Valve::default();
        let queue = queue(&valve);
        queue.push(b"first\n");
        let began = Instant::now();
        queue.finish();
        assert!(began.elapsed() >= LAST_MOMENT, "it is given a moment");
        assert_eq!(valve.until(|_| true), "");
    }

    #[test]
    fn what_cannot_be_written_is_counted_once_and_said_when_something_can_be() {
        let valve = Valve::default();
        valve.set(true, true);
        let queue = queue(&valve);
        for _ in 0..3 {
            queue.push(b"lost\n");
            queue.finish();
        }
        assert_eq!(queue.dropped().load(Ordering::Relaxed), 3);
        valve.set(true, false);
        queue.push(b"here\n");
        queue.finish();
        assert_eq!(valve.until(|_| true), "(3 dropped)\nhere\n");
    }
}
