//! The log: lines for people or objects for programs, on standard error, at a level that can
//! be changed while the node runs.
//!
//! Nobody who logs ever waits for whoever reads: see [`queue`]. While a log runs, everything that
//! this process says on standard error goes that way, its last line and a panic's, too.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stderr;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::raw::{LogFormat, LogLevel};
use queue::{Output, Queue};

/// The queue of this process's log, once there is one: as there is one standard error.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Changes the level of the log.
#[derive(Debug)]
pub(super) struct Log {
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Starts the log of this process.
    ///
    /// # Errors
    /// If the operating system grants no thread to write it.
    pub(super) fn start(format: LogFormat, level: LogLevel) -> io::Result<Self> {
        let queue = Queue::start(Box::new(StandardError), move |lines| notice(format, lines))?;
        let queue = QUEUE.get_or_init(|| queue).clone();
        let (filter, level) = reload::Layer::new(filter(level));
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || queue.clone())
            // It would be said on standard error itself.
            .log_internal_errors(false)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal() && !no_colour);
        let lines = match format {
            // What the other fields say stands in the message, too.
            LogFormat::Text => lines
                .fmt_fields(debug_fn(|writer, field, value| match field.name() {
                    "message" => escaped(writer, &format!("{value:?}")),
                    _ => Ok(()),
                }))
                .boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        log_panics();
        Ok(Self { level })
    }

    /// From here on this much is logged.
    pub(super) fn set_level(&self, level: LogLevel) {
        // It fails only when the log is gone, and then nobody reads what it would say.
        let _ = self.level.reload(filter(level));
    }
}

/// How many lines of this process's log were dropped, as it goes on; always 0 without a log.
pub(super) fn dropped_lines() -> Arc<AtomicU64> {
    QUEUE.get().map(Queue::dropped).unwrap_or_default()
}

/// Says one line on standard error, in no format: why a command has failed. Where a log runs, it
/// comes after all that was logged, and is waited for as [`finish`] says.
pub(super) fn say(line: &str) {
    match QUEUE.get() {
        Some(queue) => {
            queue.push(format!("{line}\n").as_bytes());
            queue.finish();
        }
        // If even this cannot be written, the exit code still speaks.
        None => drop(writeln!(io::stderr(), "{line}")),
    }
}

/// Waits until everything is written that was logged, if somebody reads it, and for a moment
/// otherwise. To be called before the process ends.
pub(super) fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish();
    }
}

/// A panic is logged like everything else. The standard hook would wait for whoever reads
/// standard error, and the thread that has panicked would never end.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let trace = Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        tracing::error!("this is a bug, please report it: thread {name} {panic}{trace}");
        if name == "main" {
            // The process may end of it.
            finish();
        }
    }));
}

/// Standard error, past the lock of the standard library's: whoever takes that never waits for
/// the thread that writes the log.
struct StandardError;

impl Output for StandardError {
    fn write_all(&self, bytes: &[u8]) -> Result<(), usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(stderr(), rest) {
                Ok(count) => rest = &rest[count.min(rest.len())..],
                Err(Errno::INTR) => {}
                // Whoever shares it with this process has told it never to wait.
                Err(Errno::AGAIN) => wait_for_room(),
                Err(_) => return Err(rest.len()),
            }
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(stderr(), PollFlags::OUT)], Some(&at_once))
            .is_ok_and(|ready| ready > 0)
    }
}

fn wait_for_room() {
    // If that is interrupted or refused, the next write tells.
    let _ = poll(&mut [PollFd::from_borrowed_fd(stderr(), PollFlags::OUT)], None);
}

/// What stands in the place of lines that were dropped, at whatever level is logged.
fn notice(format: LogFormat, lines: u64) -> String {
    let mut time = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let lines = if lines == 1 { "1 line was".to_owned() } else { format!("{lines} lines were") };
    let words = format!("{lines} dropped while nobody read the log");
    match format {
        LogFormat::Text => format!("{time}  WARN {words}\n"),
        LogFormat::Json => {
            format!("{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"{words}\"}}\n")
        }
    }
}

/// Writes `text` on one line: what a file or a folder is called must not move somebody's cursor.
fn escaped(writer: &mut Writer<'_>, text: &str) -> std::fmt::Result {
    for letter in text.chars() {
        if letter.is_control() {
            write!(writer, "{}", letter.escape_default())?;
        } else {
            writer.write_char(letter)?;
        }
    }
    Ok(())
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
