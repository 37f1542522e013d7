//! What the benchmarks have in common: how they are asked, how they say what they are at, and how
//! they sum it up.

#[path = "../../tests/harness/mod.rs"]
pub(crate) mod harness;
pub(crate) mod svg;
pub(crate) mod usage;

use std::fmt::Display;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What was asked for. Ends the process with 2 if that is not understood.
pub(crate) fn arguments<Arguments: clap::Parser>() -> Arguments {
    // Cargo says this to every benchmark.
    Arguments::parse_from(std::env::args_os().filter(|word| word != "--bench"))
}

/// Replaces the progress line, if somebody watches. The last one is empty.
pub(crate) fn progress(text: &str) {
    let mut output = std::io::stderr();
    if output.is_terminal() {
        // A lost line of progress is no loss.
        let _ = write!(output, "\r\x1b[K{text}").and_then(|()| output.flush());
    }
}

/// Measured values, the smallest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Vec<f64>);

impl Values {
    pub(crate) fn add(&mut self, value: f64) {
        let at = self.0.partition_point(|other| *other < value);
        self.0.insert(at, value);
    }

    pub(crate) fn all(&self) -> &[f64] {
        &self.0
    }

    /// The one in the middle, or between the two that are; NaN if there is none.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        let at = |place: usize| self.0.get(place).copied().unwrap_or(f64::NAN);
        f64::midpoint(at(low), at(high))
    }

    /// The smallest value that is not exceeded in `percent` per cent of the cases.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn smallest(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn largest(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Values {
    fn from_iter<Iter: IntoIterator<Item = f64>>(values: Iter) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

/// Columns of these widths: the first begins at the left, all others end at the right.
#[derive(Debug)]
pub(crate) struct Table {
    widths: Vec<usize>,
    text: String,
}

impl Table {
    /// A table with its head.
    pub(crate) fn new(columns: &[(&str, usize)]) -> Self {
        let mut table = Self::headless(columns.iter().map(|(_, width)| *width));
        table.row(columns.iter().map(|(head, _)| *head));
        table
    }

    pub(crate) fn headless(widths: impl IntoIterator<Item = usize>) -> Self {
        Self { widths: widths.into_iter().collect(), text: String::new() }
    }

    pub(crate) fn row<Cell: Display>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        for (number, (cell, width)) in cells.into_iter().zip(&self.widths).enumerate() {
            let cell = cell.to_string();
            let cell =
                if number == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            self.text.push_str(&cell);
        }
        self.text.push('\n');
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Writes files into the folder `name` of the build, and says where, or why not.
pub(crate) fn write_files(name: &str, files: &[(&str, String)]) -> Result<PathBuf, String> {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.parent().unwrap_or(temporary).join(name);
    std::fs::create_dir_all(&folder)
        .and_then(|()| {
            files.iter().try_for_each(|(file, text)| std::fs::write(folder.join(file), text))
        })
        .map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
    Ok(folder)
}

/// Says what went wrong, and that it did.
pub(crate) fn verdict<Problem: Display>(problems: impl IntoIterator<Item = Problem>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for problem in problems {
        eprintln!("FAILED: {problem}");
        code = ExitCode::FAILURE;
    }
    code
}
