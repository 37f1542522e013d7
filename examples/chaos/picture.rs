//! The whole run as a picture: panels of equal length below each other, each with the acts
//! along its top, the faults of the network, a lane for each node, and the time.

use std::fmt::Write as _;
use std::time::Duration;

use super::links::{NODES, place};
use super::recording::{Act, Condition, Recording};
use super::verdict::{Verdict, gaps};

/// All widths and heights are in user units, which a browser shows as pixels.
const WIDTH: f64 = 1180.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 24.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;
const ACT_HEIGHT: f64 = 24.0;
const LABEL_HEIGHT: f64 = 17.0;
const LANE_HEIGHT: f64 = 24.0;
const LANE_STEP: f64 = 31.0;
/// A vote is a line of this height.
const VOTE_HEIGHT: f64 = 3.0;
const GAP_HEIGHT: f64 = 16.0;
const AXIS_HEIGHT: f64 = 24.0;
const PANEL_GAP: f64 = 26.0;
const ROW_HEIGHT: f64 = 21.0;
const HEADER_HEIGHT: f64 = 112.0;
/// One panel shows at most this much.
const PANEL_SPAN: Duration = Duration::from_secs(20);
/// Faults' labels stand in so many rows at most; what finds no room goes without.
const LABEL_ROWS_MAX: usize = 4;
/// The mean width of a character at font size 1; on the generous side.
const CHARACTER: f64 = 0.62;

const STYLE: &str = "\
text { font-family: 'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif; fill: #1f2933; }
.title { font-size: 21px; font-weight: bold; }
.small { font-size: 12px; }
.faint { font-size: 12px; fill: #616e7c; }
.name { font-size: 13px; font-weight: bold; }
.fault { font-size: 12px; fill: #97266d; }
.term { font-size: 12px; font-weight: bold; fill: #3d2c00; }
.kept { font-size: 14px; font-weight: bold; fill: #1c7c3c; }
.broken { font-size: 14px; font-weight: bold; fill: #c81e1e; }
.gap { font-size: 11px; fill: #ffffff; }
.goose { fill: #f5b82e; stroke: #a87400; stroke-width: 1; }
.duck { fill: #cbd5df; }
.votes { fill: #3568a8; }
.two { fill: #e02424; }
";

const PATTERNS: &str = "\
<pattern id='dead' width='7' height='7' patternUnits='userSpaceOnUse' patternTransform='rotate(45)'>\
<rect width='7' height='7' fill='#eceff2'/><rect width='2' height='7' fill='#8b97a3'/></pattern>\
<pattern id='frozen' width='8' height='8' patternUnits='userSpaceOnUse'>\
<rect width='8' height='8' fill='#dbeefb'/><path d='M0 5 Q2 2 4 5 T8 5' fill='none' stroke='#3f8fc4' stroke-width='1.2'/></pattern>";

/// A stretch of the run and where its panel stands.
#[derive(Clone, Copy)]
struct Panel {
    from: Duration,
    to: Duration,
    top: f64,
    label_rows: usize,
    /// Before it nothing happened since then, which is not shown.
    omitted_since: Option<Duration>,
}

impl Panel {
    fn x(&self, at: Duration) -> f64 {
        let into = at.clamp(self.from, self.to).saturating_sub(self.from).as_secs_f64();
        LEFT + PLOT * into / self.to.saturating_sub(self.from).as_secs_f64().max(1e-9)
    }

    /// Where a stretch begins and how wide it is; none if it is not shown.
    fn place(&self, from: Duration, to: Duration) -> Option<(f64, f64)> {
        let shown = from < self.to && to > self.from;
        shown.then(|| (self.x(from), (self.x(to) - self.x(from)).max(1.0)))
    }

    fn labels_top(&self) -> f64 {
        self.top + ACT_HEIGHT + 6.0
    }

    fn lanes_top(&self) -> f64 {
        let rows = f64::from(u32::try_from(self.label_rows).unwrap_or(0));
        self.labels_top() + rows * LABEL_HEIGHT + 6.0
    }

    fn lane_top(&self, node: usize) -> f64 {
        let below = f64::from(u32::try_from(NODES - node).unwrap_or(0));
        self.lanes_top() + below * LANE_STEP
    }

    /// Where the row stands that says when nobody led.
    fn gaps_top(&self) -> f64 {
        self.lane_top(1) + LANE_HEIGHT + 7.0
    }

    fn lanes_bottom(&self) -> f64 {
        self.gaps_top() + GAP_HEIGHT + 4.0
    }

    fn bottom(&self) -> f64 {
        self.lanes_bottom() + AXIS_HEIGHT
    }
}

/// How wide a text is; an estimate, for who has the fonts knows better.
fn width_of(text: &str, size: f64) -> f64 {
    let characters = f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
    characters * size * CHARACTER
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The picture under construction. Writing to a string cannot fail.
#[derive(Default)]
struct Canvas(String);

impl Canvas {
    fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.0,
            "<text x='{x:.1}' y='{y:.1}' class='{class}' text-anchor='{anchor}'>{text}</text>"
        );
    }

    fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, looks: &str) {
        let _ = writeln!(
            self.0,
            "<rect x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' {looks}/>"
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), looks: &str) {
        let _ = writeln!(
            self.0,
            "<line x1='{:.1}' y1='{:.1}' x2='{:.1}' y2='{:.1}' {looks}/>",
            from.0, from.1, to.0, to.1
        );
    }
}

/// Draws the run; `kind` says what kind of run it was.
pub(crate) fn draw(recording: &Recording, verdict: &Verdict, kind: &str) -> String {
    let panels = panels(recording, verdict.length);
    let mut canvas = Canvas::default();
    header(&mut canvas, verdict, kind);
    for panel in &panels {
        draw_panel(&mut canvas, recording, panel, verdict.length);
    }
    let table_top = panels.last().map_or(HEADER_HEIGHT, Panel::bottom) + PANEL_GAP;
    let height = draw_table(&mut canvas, recording, verdict, table_top) + 16.0;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height:.0}' \
         viewBox='0 0 {WIDTH} {height:.0}'>\n<style>\n{STYLE}</style>\n<defs>{PATTERNS}</defs>\n\
         <rect width='100%' height='100%' fill='#ffffff'/>\n{}</svg>\n",
        canvas.0
    )
}

fn panels(recording: &Recording, length: Duration) -> Vec<Panel> {
    let count = u32::try_from(length.as_millis().div_ceil(PANEL_SPAN.as_millis())).unwrap_or(1);
    let count = count.max(1);
    let span = length / count;
    let mut top = HEADER_HEIGHT;
    let mut panels: Vec<Panel> = Vec::new();
    let mut omitted_since = None;
    for number in 0..count {
        let from = span * number;
        let to = if number + 1 == count { length } else { from + span };
        // The last one shows how it ended.
        if number > 0 && number + 1 < count && !is_eventful(recording, from, to) {
            omitted_since.get_or_insert(from);
            continue;
        }
        let omitted_since = omitted_since.take();
        let mut panel = Panel { from, to, top, label_rows: 0, omitted_since };
        let placed = fault_labels(recording, &panel, length);
        panel.label_rows = placed.iter().map(|label| label.row + 1).max().unwrap_or(0);
        top = panel.bottom() + PANEL_GAP;
        panels.push(panel);
    }
    panels
}

/// Whether anything begins or ends in a stretch.
fn is_eventful(recording: &Recording, from: Duration, to: Duration) -> bool {
    let acts = recording.acts.iter().map(|act| (act.from, act.to));
    let faults = recording.faults.iter().map(|fault| (fault.from, fault.to));
    let spells = recording.spells.iter().map(|spell| (spell.from, spell.to));
    let tenures = recording.tenures.iter().map(|tenure| (tenure.from, Some(tenure.to)));
    let arrivals = recording.arrivals.iter().map(|arrival| (arrival.at, None));
    let electorates = recording.electorates.iter().map(|known| (known.from, None));
    let all = acts.chain(faults).chain(spells).chain(tenures).chain(arrivals).chain(electorates);
    let mut moments = all.flat_map(|(began, ended)| std::iter::once(began).chain(ended));
    moments.any(|at| from <= at && at < to)
}

fn header(canvas: &mut Canvas, verdict: &Verdict, kind: &str) {
    canvas.text(LEFT, 34.0, "title", "start", "gaggle under chaos: exactly one Goose");
    let of = |span: Duration| 100.0 * span.as_secs_f64() / verdict.length.as_secs_f64().max(1e-9);
    let summary = format!(
        "{:.1} s in {kind}; one Goose {:.1} % of it, none {:.1} %, two {:.1} %",
        verdict.length.as_secs_f64(),
        of(verdict.with_one),
        of(verdict.with_none),
        of(verdict.with_more)
    );
    canvas.text(LEFT, 56.0, "small", "start", &summary);
    let (class, text) = if verdict.is_kept() {
        ("kept", "promise kept".to_owned())
    } else {
        ("broken", format!("PROMISE BROKEN, {} times", verdict.violations.len()))
    };
    canvas.text(WIDTH - RIGHT, 34.0, class, "end", &text);
    let entries = [
        ("Goose, with its term", "class='goose' rx='3'", 16.0),
        ("Duck", "class='duck' rx='2'", 4.0),
        ("Duck that votes", "class='votes'", 4.0),
        ("dead", "fill='url(#dead)'", 16.0),
        ("frozen", "fill='url(#frozen)'", 16.0),
        ("network fault", "fill='#97266d' fill-opacity='0.12'", 16.0),
        ("nobody leads", "fill='#3b4652'", GAP_HEIGHT),
    ];
    let mut x = LEFT;
    for (text, looks, height) in entries {
        canvas.rectangle(x, 80.0 - height / 2.0, 30.0, height, looks);
        canvas.text(x + 37.0, 84.0, "small", "start", text);
        x += 37.0 + width_of(text, 12.0) + 22.0;
    }
}

fn draw_panel(canvas: &mut Canvas, recording: &Recording, panel: &Panel, end: Duration) {
    if let Some(since) = panel.omitted_since {
        let span = panel.from.saturating_sub(since).as_secs();
        let text = format!("… {span} s in which nothing changes …");
        canvas.text(LEFT + PLOT / 2.0, panel.top - 9.0, "faint", "middle", &text);
    }
    draw_acts(canvas, recording, panel, end);
    draw_faults(canvas, recording, panel, end);
    for place in 1..=NODES {
        draw_lane(canvas, recording, panel, place, end);
    }
    draw_arrivals(canvas, recording, panel);
    draw_gaps(canvas, recording, panel, end);
    draw_overlaps(canvas, recording, panel);
    draw_axis(canvas, panel);
}

/// The acts as bands along the top: the name where it fits, else the number.
fn draw_acts(canvas: &mut Canvas, recording: &Recording, panel: &Panel, end: Duration) {
    canvas.text(LEFT - 10.0, panel.top + 17.0, "faint", "end", "act");
    for (number, act) in (1_usize..).zip(&recording.acts) {
        let Some((x, width)) = panel.place(act.from, act.to.unwrap_or(end)) else { continue };
        let shade = if number % 2 == 0 { "#eef2f6" } else { "#dfe7ee" };
        canvas.rectangle(x, panel.top, width, ACT_HEIGHT, &format!("fill='{shade}'"));
        let full = format!("{number} {}", act.name);
        for text in [full, number.to_string()] {
            if width_of(&text, 13.0) + 8.0 <= width {
                canvas.text(x + width / 2.0, panel.top + 17.0, "name", "middle", &text);
                break;
            }
        }
        let looks = "stroke='#9aa5b1' stroke-width='0.7' stroke-dasharray='2 4'";
        if act.from > panel.from {
            canvas.line((x, panel.top + ACT_HEIGHT), (x, panel.lanes_bottom()), looks);
        }
    }
}

struct FaultLabel {
    row: usize,
    x: f64,
    text: String,
}

/// Puts every fault's label into the first row where it overlaps no other.
fn fault_labels(recording: &Recording, panel: &Panel, end: Duration) -> Vec<FaultLabel> {
    let mut free_from = [f64::MIN; LABEL_ROWS_MAX];
    let mut labels: Vec<FaultLabel> = Vec::new();
    let mut last: Option<(&str, Duration)> = None;
    for fault in &recording.faults {
        let to = fault.to.unwrap_or(end);
        let Some((x, _)) = panel.place(fault.from, to) else { continue };
        // A fault that comes and goes is named once.
        let again = last.is_some_and(|(label, ended)| {
            label == fault.label && fault.from.saturating_sub(ended) < Duration::from_secs(1)
        });
        last = Some((fault.label.as_str(), to));
        if again {
            continue;
        }
        let width = width_of(&fault.label, 12.0);
        let x = (x + 3.0).min(WIDTH - RIGHT - width);
        if let Some(row) = free_from.iter().position(|free| *free <= x) {
            free_from[row] = x + width + 8.0;
            labels.push(FaultLabel { row, x, text: fault.label.clone() });
        }
    }
    labels
}

fn draw_faults(canvas: &mut Canvas, recording: &Recording, panel: &Panel, end: Duration) {
    let top = panel.lanes_top() - 4.0;
    for fault in &recording.faults {
        let place = panel.place(fault.from, fault.to.unwrap_or(end));
        let Some((x, width)) = place else { continue };
        let looks = "fill='#97266d' fill-opacity='0.10'";
        canvas.rectangle(x, top, width, panel.lanes_bottom() - top, looks);
        canvas.rectangle(x, top - 2.0, width, 3.0, "fill='#97266d'");
    }
    if panel.label_rows > 0 {
        let y = panel.labels_top() + LABEL_HEIGHT - 5.0;
        canvas.text(LEFT - 10.0, y, "faint", "end", "network");
    }
    for label in fault_labels(recording, panel, end) {
        let row = f64::from(u32::try_from(label.row).unwrap_or(0));
        let y = panel.labels_top() + (row + 1.0) * LABEL_HEIGHT - 5.0;
        canvas.text(label.x, y, "fault", "start", &label.text);
    }
}

fn draw_lane(canvas: &mut Canvas, recording: &Recording, panel: &Panel, own: usize, end: Duration) {
    let top = panel.lane_top(own);
    let middle = top + LANE_HEIGHT / 2.0;
    let first = recording.node_at(own, panel.from);
    canvas.text(LEFT - 10.0, middle + 5.0, "name", "end", &first.to_string());
    canvas.rectangle(LEFT, middle - 2.0, PLOT, 4.0, "class='duck'");
    let tenures = || recording.tenures.iter().filter(|tenure| place(tenure.node) == own);
    let nodes = std::iter::once(own).chain(recording.arrivals.iter().map(|it| it.node));
    let nodes = nodes.filter(|node| place(*node) == own);
    let votes: Vec<_> = nodes.flat_map(|node| recording.votes_of(node, end)).collect();
    for (from, to) in &votes {
        if let Some((x, width)) = panel.place(*from, *to) {
            canvas.rectangle(x, middle - 2.0, width, 4.0, "class='votes'");
        }
    }
    for spell in recording.spells.iter().filter(|spell| place(spell.node) == own) {
        let to = spell.to.unwrap_or(end);
        let Some((x, width)) = panel.place(spell.from, to) else { continue };
        let (pattern, word) = match spell.condition {
            Condition::Dead => ("dead", "dead"),
            Condition::Frozen => ("frozen", "frozen"),
        };
        let looks = format!("fill='url(#{pattern})' stroke='#8b97a3' stroke-width='0.7'");
        canvas.rectangle(x, top, width, LANE_HEIGHT, &looks);
        // Behind the leadership that ended in it.
        let led = tenures().filter(|tenure| tenure.from < to && tenure.to > spell.from);
        let free = led.map(|tenure| panel.x(tenure.to)).fold(x, f64::max);
        let room = x + width - free;
        let needed = width_of(word, 12.0) + 8.0;
        if needed + 6.0 <= room {
            let centre = free + room / 2.0;
            let looks = "fill='#ffffff' rx='3'";
            canvas.rectangle(centre - needed / 2.0, middle - 8.0, needed, 16.0, looks);
            canvas.text(centre, middle + 4.5, "small", "middle", word);
        }
    }
    for (from, to) in &votes {
        for spell in recording.spells.iter().filter(|spell| place(spell.node) == own) {
            let until = spell.to.unwrap_or(end);
            draw_vote(canvas, panel, own, spell.from.max(*from), until.min(*to));
        }
    }
    for tenure in tenures() {
        let Some((x, width)) = panel.place(tenure.from, tenure.to) else { continue };
        canvas.rectangle(x, top, width, LANE_HEIGHT, "class='goose' rx='3'");
        let (full, short) = (format!("term {}", tenure.term), tenure.term.to_string());
        if let Some(text) = [full, short].iter().find(|text| width_of(text, 12.0) + 6.0 <= width) {
            canvas.text(x + width / 2.0, middle + 4.5, "term", "middle", text);
        }
        for (from, to) in &votes {
            draw_vote(canvas, panel, own, tenure.from.max(*from), tenure.to.min(*to));
        }
    }
}

/// A vote, as a line at the bottom of what hides the lane: of a Goose, or of one that is dead or frozen.
fn draw_vote(canvas: &mut Canvas, panel: &Panel, node: usize, from: Duration, to: Duration) {
    if let Some((x, width)) = panel.place(from, to).filter(|_| from < to) {
        let top = panel.lane_top(place(node)) + LANE_HEIGHT - VOTE_HEIGHT;
        canvas.rectangle(x, top, width, VOTE_HEIGHT, "class='votes'");
    }
}

/// Who comes new, where it comes.
fn draw_arrivals(canvas: &mut Canvas, recording: &Recording, panel: &Panel) {
    for arrival in &recording.arrivals {
        if panel.from >= arrival.at || arrival.at >= panel.to {
            continue;
        }
        let (x, top) = (panel.x(arrival.at), panel.lane_top(place(arrival.node)));
        let name = arrival.node.to_string();
        let width = width_of(&name, 13.0) + 6.0;
        let x = x.min(WIDTH - RIGHT - width);
        let looks = "fill='#ffffff' stroke='#1f2933' stroke-width='0.8' rx='3'";
        canvas.rectangle(x, top + 3.0, width, LANE_HEIGHT - 6.0, looks);
        canvas.text(x + width / 2.0, top + LANE_HEIGHT - 7.5, "name", "middle", &name);
    }
}

/// When nobody led, and for how long, where there is room to say it.
fn draw_gaps(canvas: &mut Canvas, recording: &Recording, panel: &Panel, end: Duration) {
    let top = panel.gaps_top();
    canvas.text(LEFT - 10.0, top + 12.5, "faint", "end", "nobody");
    for (from, to) in gaps(&recording.tenures, end) {
        let Some((x, width)) = panel.place(from, to) else { continue };
        canvas.rectangle(x, top, width.max(1.5), GAP_HEIGHT, "fill='#3b4652'");
        let text = format!("{} ms", to.saturating_sub(from).as_millis());
        if width_of(&text, 11.0) + 4.0 <= width {
            canvas.text(x + width / 2.0, top + 12.0, "gap", "middle", &text);
        }
    }
}

/// What must never be seen: in red, over all lanes, and in words.
fn draw_overlaps(canvas: &mut Canvas, recording: &Recording, panel: &Panel) {
    for (position, one) in recording.tenures.iter().enumerate() {
        for other in &recording.tenures[position + 1..] {
            let (from, to) = (one.from.max(other.from), one.to.min(other.to));
            if let Some((x, width)) = (from < to).then(|| panel.place(from, to)).flatten() {
                let (top, bottom) = (panel.lanes_top(), panel.lanes_bottom());
                let looks = "class='two' fill-opacity='0.6'";
                canvas.rectangle(x, top, width.max(3.0), bottom - top, looks);
                if width_of("TWO", 12.0) + 4.0 <= width {
                    canvas.text(x + width / 2.0, bottom - 8.0, "gap", "middle", "TWO");
                }
            }
        }
    }
}

fn draw_axis(canvas: &mut Canvas, panel: &Panel) {
    let y = panel.lanes_bottom();
    canvas.line((LEFT, y), (WIDTH - RIGHT, y), "stroke='#616e7c'");
    for second in panel.from.as_millis().div_ceil(1000).. {
        let at = Duration::from_secs(u64::try_from(second).unwrap_or(u64::MAX));
        if at > panel.to {
            break;
        }
        let x = panel.x(at);
        let labelled = second % 2 == 0;
        let tick = if labelled { 6.0 } else { 3.0 };
        canvas.line((x, y), (x, y + tick), "stroke='#616e7c'");
        if labelled {
            canvas.text(x, y + 19.0, "faint", "middle", &format!("{second} s"));
        }
    }
}

/// The acts with their sentences and what came of them. Returns where it ends.
fn draw_table(canvas: &mut Canvas, recording: &Recording, verdict: &Verdict, top: f64) -> f64 {
    let mut y = top;
    let rows: Vec<(usize, &Act)> = (1..).zip(&recording.acts).collect();
    for ((number, act), passage) in rows.iter().zip(&verdict.passages) {
        y += ROW_HEIGHT;
        canvas.text(LEFT - 34.0, y, "name", "end", &number.to_string());
        canvas.text(LEFT - 24.0, y, "name", "start", &act.name);
        canvas.text(LEFT + 64.0, y, "small", "start", &act.sentence);
        canvas.text(WIDTH - RIGHT, y, "small", "end", &passage.words());
    }
    for violation in &verdict.violations {
        y += ROW_HEIGHT;
        canvas.text(LEFT, y, "broken", "start", violation);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_in_one_row_never_overlap() {
        let mut recording = Recording::default();
        for number in 0..40 {
            let at = Duration::from_millis(number * 130);
            recording.begin_fault(at, &format!("label number {number}"), "");
        }
        let end = Duration::from_secs(15);
        let panel =
            Panel { from: Duration::ZERO, to: end, top: 0.0, label_rows: 0, omitted_since: None };
        let labels = fault_labels(&recording, &panel, end);
        assert!(labels.len() > 8);
        for row in 0..LABEL_ROWS_MAX {
            let row: Vec<_> = labels.iter().filter(|label| label.row == row).collect();
            for pair in row.windows(2) {
                assert!(pair[0].x + width_of(&pair[0].text, 12.0) <= pair[1].x);
            }
        }
    }

    #[test]
    fn a_stretch_in_which_nothing_changes_is_left_out() {
        let mut recording = Recording::default();
        recording.begin_act(Duration::ZERO, "auto", "");
        recording.begin_fault(Duration::from_secs(90), "cut off 1", "");
        let shown: Vec<(u64, u64, bool)> = panels(&recording, Duration::from_secs(120))
            .iter()
            .map(|it| (it.from.as_secs(), it.to.as_secs(), it.omitted_since.is_some()))
            .collect();
        assert_eq!(shown, [(0, 20, false), (80, 100, true), (100, 120, false)]);
    }

    #[test]
    fn what_a_label_says_cannot_break_the_picture() {
        let mut recording = Recording::default();
        recording.begin_fault(Duration::ZERO, "<&>", "");
        let verdict = Verdict::of(&recording, Duration::from_secs(1));
        let picture = draw(&recording, &verdict, "a test");
        assert!(picture.contains("&lt;&amp;&gt;") && !picture.contains("<&>"));
    }
}
