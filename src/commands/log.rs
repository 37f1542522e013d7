//! The log: lines for people or objects for programs, on standard error, at a level that can
//! be changed while the node runs.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use super::arguments::{LogFormat, LogLevel};

/// Changes the level of the log.
#[derive(Debug)]
pub(super) struct Log {
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Starts the log of this process.
    pub(super) fn start(format: LogFormat, level: LogLevel) -> Self {
        let (filter, level) = reload::Layer::new(filter(level));
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal() && !no_colour);
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
        Self { level }
    }

    /// From here on this much is logged.
    pub(super) fn set_level(&self, level: LogLevel) {
        // It fails only when the log is gone, and then nobody reads what it would say.
        let _ = self.level.reload(filter(level));
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
