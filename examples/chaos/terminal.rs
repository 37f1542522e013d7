//! What is printed while the play goes on: a live timeline for people, lines for pipes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::links::NODES;
use super::recording::{Note, Recording, Shared, Subject, lock, seconds};
use super::timeline::{
    Cell, LABEL_WIDTH, LEGEND, Window, act_row, axis, fault_row, lane, lane_label,
};

/// At most ten times a second.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// What one line may take.
const WIDTH: usize = 79;
/// How much of the past the live timeline shows.
const SHOWN: Duration = Duration::from_millis(14_000);
/// How many lines of the log stand below the live timeline.
const LOG_LINES: usize = 5;

/// How to write to standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) live: bool,
    pub(crate) colour: bool,
}

impl Style {
    /// As standard output and `NO_COLOR` want it.
    pub(crate) fn of_output() -> Self {
        let terminal = io::stdout().is_terminal()
            && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { live: terminal, colour: terminal && !plain }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn cells(self, cells: &[Cell]) -> String {
        let mut line = String::new();
        for run in cells.chunk_by(|left, right| left == right) {
            let code = match run[0] {
                Cell::Blank => "",
                Cell::Duck => "2",
                Cell::Voter => "34",
                Cell::Name(_) => "1",
                Cell::Goose => "33",
                Cell::Dead => "31",
                Cell::Frozen => "36",
            };
            let text: String = run.iter().map(|cell| cell.character()).collect();
            line.push_str(&self.paint(code, &text));
        }
        line
    }

    /// One line of the log.
    pub(crate) fn note(self, note: &Note, width: usize) -> String {
        let code = match note.subject {
            Subject::Act => "1",
            Subject::Fault => "35",
            Subject::Goose => "33",
            Subject::Voters => "34",
            Subject::Duck => "",
            Subject::Alarm => "1;31",
        };
        let line = format!("{:>8} s  {}", seconds(note.at), note.text);
        let cut: String = line.chars().take(width).collect();
        self.paint(code, &cut)
    }
}

/// Prints to standard output. A reader that has gone is no reason to stop the play.
pub(crate) fn print(lines: &[String]) {
    // What tests print is shown only if they fail.
    if cfg!(test) {
        return lines.iter().for_each(|line| println!("{line}"));
    }
    let mut output = io::stdout().lock();
    for line in lines {
        let _ = writeln!(output, "{line}");
    }
    let _ = output.flush();
}

/// The lines of the log from number `from` on.
pub(crate) fn log_lines(recording: &Recording, from: usize, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for note in &recording.notes[from..] {
        if note.subject == Subject::Act {
            lines.push(String::new());
        }
        lines.push(style.note(note, usize::MAX));
    }
    lines
}

/// The view, on a thread of its own.
pub(crate) struct View {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Starts it; `acts`: how many acts will be played, if that is known.
    pub(crate) fn start(
        recording: Shared,
        origin: Instant,
        style: Style,
        acts: Option<usize>,
    ) -> io::Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = thread::Builder::new().name("view".to_owned()).spawn(move || {
            let (mut printed, mut drawn) = (0, 0);
            loop {
                let last = ended.load(Ordering::Relaxed);
                if style.live {
                    let lines = frame(&lock(&recording), origin.elapsed(), style, acts);
                    redraw(&lines, drawn);
                    drawn = lines.len();
                } else {
                    let lines = {
                        let recording = lock(&recording);
                        let lines = log_lines(&recording, printed, style);
                        printed = recording.notes.len();
                        lines
                    };
                    print(&lines);
                }
                if last {
                    return;
                }
                thread::sleep(REDRAW_INTERVAL);
            }
        })?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A view that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn redraw(lines: &[String], drawn: usize) {
    let mut text = String::new();
    if drawn > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "\x1b[{drawn}A");
    }
    for line in lines {
        let _ = write!(text, "\r{line}\x1b[K\n\r");
    }
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes());
    let _ = output.flush();
}

/// One picture of the live timeline.
fn frame(recording: &Recording, now: Duration, style: Style, acts: Option<usize>) -> Vec<String> {
    let to = now.max(SHOWN);
    let window = Window { from: to.saturating_sub(SHOWN), to, columns: WIDTH - LABEL_WIDTH };
    let mut lines = vec![String::new(), style.paint("1", &headline(recording, now, acts))];
    let sentence = recording.acts.last().map_or("The nodes found a cluster.", |act| &act.sentence);
    lines.push(format!(" {sentence}").chars().take(WIDTH).collect());
    lines.push(String::new());
    lines.push(act_row(recording, window, now));
    lines.push(style.paint("35", &fault_row(recording, window, now)));
    for place in (1..=NODES).rev() {
        let cells = lane(recording, place, window, now);
        let label = lane_label(recording.node_at(place, now));
        lines.push(format!("{label}{}", style.cells(&cells)));
    }
    lines.push(style.paint("2", &axis(window)));
    lines.push(LEGEND.to_owned());
    lines.push(String::new());
    let notes = recording.notes.iter().filter(|note| note.subject != Subject::Act);
    let mut latest: Vec<_> = notes.rev().take(LOG_LINES).collect();
    latest.reverse();
    lines.extend(latest.iter().map(|note| style.note(note, WIDTH)));
    lines.resize(lines.len() + LOG_LINES - latest.len(), String::new());
    lines
}

fn headline(recording: &Recording, now: Duration, acts: Option<usize>) -> String {
    let act = match (recording.acts.last(), acts) {
        (None, _) => "founding".to_owned(),
        (Some(act), Some(acts)) => format!("act {} of {acts}: {}", recording.acts.len(), act.name),
        (Some(act), None) => format!("act {}: {}", recording.acts.len(), act.name),
    };
    let geese: Vec<String> = recording
        .geese()
        .iter()
        .map(|(node, term)| format!("node {node} is Goose of term {term}"))
        .collect();
    let geese = if geese.is_empty() { "no Goose".to_owned() } else { geese.join(", ") };
    let line = format!(" {:>6.1} s   {act:<24}   {geese}", now.as_secs_f64());
    line.chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_and_keeps_its_height() {
        let style = Style { live: true, colour: false };
        let mut recording = Recording::default();
        let height = frame(&recording, Duration::ZERO, style, Some(3)).len();
        for number in 0..30 {
            let at = Duration::from_millis(number * 700);
            recording.begin_act(at, "a name that is long", &"words ".repeat(30));
            recording.begin_fault(at, "a label", &"more words ".repeat(30));
            let lines = frame(&recording, at, style, None);
            assert_eq!(lines.len(), height);
            assert!(lines.iter().all(|line| line.chars().count() < 80), "{lines:#?}");
        }
    }
}
