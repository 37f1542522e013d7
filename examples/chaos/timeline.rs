//! The timeline in characters: one lane a node, time running to the right.

use std::time::Duration;

use super::links::{NODES, place};
use super::recording::{Act, Condition, Recording};

/// What one character of a lane says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Not yet.
    Blank,
    Duck,
    /// A Duck that votes.
    Voter,
    Goose,
    Dead,
    Frozen,
    /// A part of the id of a node that comes new.
    Name(char),
}

impl Cell {
    pub(crate) fn character(self) -> char {
        match self {
            Self::Blank => ' ',
            Self::Duck => '·',
            Self::Voter => '─',
            Self::Goose => '█',
            Self::Dead => 'x',
            Self::Frozen => '~',
            Self::Name(character) => character,
        }
    }
}

/// The stretch of time that is shown, and in how many columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) columns: usize,
}

/// What happens at one moment lasts for so long.
const SHORTEST: Duration = Duration::from_micros(1);
/// The width of what stands to the left of a lane.
pub(crate) const LABEL_WIDTH: usize = 9;

impl Window {
    /// The column of a moment, clamped to the window.
    fn column(self, at: Duration) -> usize {
        let span = self.to.saturating_sub(self.from).as_micros().max(1);
        let into = at.clamp(self.from, self.to).saturating_sub(self.from).as_micros();
        let columns = self.columns as u128;
        usize::try_from(into * columns / span).unwrap_or(self.columns)
    }

    /// When a column begins.
    fn start_of(self, column: usize) -> Duration {
        let span = self.to.saturating_sub(self.from).as_micros();
        let into = span * column as u128 / (self.columns as u128).max(1);
        self.from + Duration::from_micros(u64::try_from(into).unwrap_or(u64::MAX))
    }

    fn shows(self, from: Duration, to: Duration) -> bool {
        from < self.to && to > self.from
    }
}

/// The lane of one place; `now` is where the recording ends.
pub(crate) fn lane(recording: &Recording, own: usize, window: Window, now: Duration) -> Vec<Cell> {
    let mut cells: Vec<Cell> = (0..window.columns)
        .map(|column| if window.start_of(column) < now { Cell::Duck } else { Cell::Blank })
        .collect();
    let mut paint = |from: Duration, to: Duration, cell: Cell| {
        if window.shows(from, to) {
            let first = window.column(from);
            // A column that is begun is filled: short stretches are seen.
            let last = window.column(to.saturating_sub(SHORTEST));
            for painted in cells.iter_mut().take(last + 1).skip(first) {
                *painted = cell;
            }
        }
    };
    let arrivals = recording.arrivals.iter().filter(|arrival| place(arrival.node) == own);
    let arrivals: Vec<_> = arrivals.collect();
    let nodes = std::iter::once(own).chain(arrivals.iter().map(|arrival| arrival.node));
    for node in nodes {
        for (from, to) in recording.votes_of(node, now) {
            paint(from, to, Cell::Voter);
        }
    }
    for spell in recording.spells.iter().filter(|spell| place(spell.node) == own) {
        let cell = match spell.condition {
            Condition::Dead => Cell::Dead,
            Condition::Frozen => Cell::Frozen,
        };
        paint(spell.from, spell.to.unwrap_or(now), cell);
    }
    for tenure in recording.tenures.iter().filter(|tenure| place(tenure.node) == own) {
        paint(tenure.from, tenure.to, Cell::Goose);
    }
    for arrival in arrivals.into_iter().filter(|it| window.shows(it.at, it.at + SHORTEST)) {
        let first = window.column(arrival.at);
        for (cell, digit) in cells[first..].iter_mut().zip(arrival.node.to_string().chars()) {
            *cell = Cell::Name(digit);
        }
    }
    cells
}

/// What stands to the left of a lane.
pub(crate) fn lane_label(node: usize) -> String {
    format!(" node {node:<2} ")
}

/// Labelled stretches in one row, such as acts and faults, in the order of their beginnings. A
/// label may run on behind its stretch as far as nothing else begins there.
fn row(stretches: &[(String, Duration, Duration)], window: Window, fill: char) -> String {
    let mut row = vec![' '; window.columns];
    for (label, from, to) in stretches {
        if !window.shows(*from, *to) {
            continue;
        }
        let first = window.column(*from).min(window.columns.saturating_sub(1));
        let last = window.column(*to).clamp(first + 1, window.columns);
        if label.is_empty() {
            // More of what stands before it: its label is not to be hidden.
            row[first..last].iter_mut().filter(|place| **place == ' ').for_each(|it| *it = fill);
            continue;
        }
        row[first..].fill(' ');
        row[first..last].fill(fill);
        for (place, character) in row[first..].iter_mut().zip(format!("|{label}").chars()) {
            *place = character;
        }
    }
    row.into_iter().collect()
}

/// The acts along the top: their names, or their numbers where a name has no room.
pub(crate) fn act_row(recording: &Recording, window: Window, now: Duration) -> String {
    let fits = |act: &Act| {
        let Some(to) = act.to else { return true };
        window.column(to) - window.column(act.from) > act.name.len()
            || !window.shows(act.from, to)
            || act.from < window.from
    };
    let all_fit = recording.acts.iter().all(fits);
    let label = |(number, act): (usize, &Act)| {
        let label = if all_fit { act.name.clone() } else { number.to_string() };
        (label, act.from, act.to.unwrap_or(now))
    };
    let acts: Vec<_> = (1..).zip(&recording.acts).map(label).collect();
    format!("{:<LABEL_WIDTH$}{}", " act", row(&acts, window, ' '))
}

/// The faults of the network below the acts.
pub(crate) fn fault_row(recording: &Recording, window: Window, now: Duration) -> String {
    let mut last: Option<(&str, Duration)> = None;
    let mut stretches = Vec::new();
    for fault in &recording.faults {
        let to = fault.to.unwrap_or(now);
        // A fault that comes and goes is named once in a row.
        let again = last.is_some_and(|(label, ended)| {
            label == fault.label
                && ended >= window.from
                && fault.from.saturating_sub(ended) < Duration::from_secs(1)
        });
        last = Some((fault.label.as_str(), to));
        let label = if again { String::new() } else { fault.label.clone() };
        stretches.push((label, fault.from, to));
    }
    format!("{:<LABEL_WIDTH$}{}", " network", row(&stretches, window, '-'))
}

/// Seconds below the lanes.
pub(crate) fn axis(window: Window) -> String {
    let mut row = vec![' '; window.columns];
    let span = window.to.saturating_sub(window.from).as_secs().max(1);
    let room = u64::try_from(window.columns).unwrap_or(1) / 8;
    let steps = [1, 2, 5, 10, 20, 60, 120, 300, 600, 1800];
    let step = steps.into_iter().find(|step| span / step <= room).unwrap_or(3600);
    let first = window.from.as_millis().div_ceil(u128::from(step) * 1000);
    for tick in first.. {
        let at = u64::try_from(tick).unwrap_or(u64::MAX).saturating_mul(step);
        if Duration::from_secs(at) >= window.to {
            break;
        }
        let (column, label) = (window.column(Duration::from_secs(at)), format!("'{at} s"));
        if column + label.len() > window.columns {
            break;
        }
        for (place, character) in row[column..].iter_mut().zip(label.chars()) {
            *place = character;
        }
    }
    let row: String = row.into_iter().collect();
    format!("{:<LABEL_WIDTH$}{row}", "")
}

/// The legend.
pub(crate) const LEGEND: &str =
    " █ Goose   ─ Duck that votes   · Duck   x dead   ~ frozen   14 comes new";

/// One panel of the overview shows about so much, if there are not too many of them.
const PANEL_SPAN: Duration = Duration::from_secs(20);
const PANELS_MAX: u32 = 3;

/// The whole run in 79 columns, without colour, in panels below each other.
pub(crate) fn overview(recording: &Recording, end: Duration) -> Vec<String> {
    let wanted = end.as_millis().div_ceil(PANEL_SPAN.as_millis());
    let panels = u32::try_from(wanted).unwrap_or(PANELS_MAX).clamp(1, PANELS_MAX);
    let mut lines = Vec::new();
    for panel in 0..panels {
        let (from, to) = (end * panel / panels, end * (panel + 1) / panels);
        let window = Window { from, to, columns: 79 - LABEL_WIDTH };
        lines.push(act_row(recording, window, end));
        lines.push(fault_row(recording, window, end));
        for place in (1..=NODES).rev() {
            let cells = lane(recording, place, window, end);
            let cells: String = cells.into_iter().map(Cell::character).collect();
            lines.push(format!("{}{cells}", lane_label(recording.node_at(place, from))));
        }
        lines.push(axis(window));
    }
    lines.push(LEGEND.to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Spell, Tenure};

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lane_shows_role_and_suffering_up_to_now() {
        let mut recording = Recording::default();
        recording.tenures.push(Tenure { node: 3, term: 1, from: at(1), to: at(4) });
        let (condition, to) = (Condition::Frozen, Some(at(6)));
        recording.spells.push(Spell { node: 3, condition, from: at(3), to });
        let window = Window { from: at(0), to: at(10), columns: 10 };
        let text = |recording: &Recording, node| -> String {
            lane(recording, node, window, at(8)).into_iter().map(Cell::character).collect()
        };
        assert_eq!(text(&recording, 3), "·███~~··  ");
        assert_eq!(text(&recording, 2), "········  ");
        recording.succeed(at(6), 2, 12);
        assert_eq!(text(&recording, 2), "······12  ");
    }

    #[test]
    fn rows_are_as_wide_as_the_window_and_labels_never_hide_a_beginning() {
        let window = Window { from: at(0), to: at(10), columns: 20 };
        let stretch = |label: &str, from, to| (label.to_owned(), at(from), at(to));
        let stretches = [stretch("split", 1, 3), stretch("storm", 5, 20), stretch("late", 30, 40)];
        assert_eq!(row(&stretches, window, '-'), "  |split  |storm----");
        assert_eq!(axis(window).chars().count(), LABEL_WIDTH + 20);
    }

    #[test]
    fn a_fault_that_comes_and_goes_is_named_once() {
        let mut recording = Recording::default();
        for number in 0..5 {
            recording.begin_fault(Duration::from_millis(2000 + 1500 * number), "5 flaps", "");
            recording.end_faults(Duration::from_millis(3000 + 1500 * number), "5 flaps");
        }
        let window = Window { from: at(0), to: at(15), columns: 30 };
        assert_eq!(
            fault_row(&recording, window, at(15)),
            " network     |5 flaps -- --            "
        );
    }

    #[test]
    fn no_line_of_the_overview_is_wider_than_a_terminal() {
        for line in overview(&Recording::default(), at(40)) {
            assert!(line.chars().count() < 80, "{line}");
        }
    }
}
