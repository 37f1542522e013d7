//! The figures as one SVG: small panels of cost against the number of nodes, both logarithmic.
//! Every measured value is a dot, a line joins the medians, and what was promised is dashed.

use super::figures::{Measure, Report};
use super::report::Values;
use super::svg::{COLOURS, begin, dot, line, text};

const WIDTH: f64 = 1240.0;
const COLUMNS: usize = 3;
/// Where the first panel's plot begins, and from one panel to the next.
const LEFT: f64 = 76.0;
const TOP: f64 = 142.0;
const STEP: (f64, f64) = (396.0, 306.0);
/// A panel's plot.
const SIZE: (f64, f64) = (300.0, 190.0);
/// From how many nodes to how many one promise holds.
const PROMISES: [(usize, usize); 2] = [(1, 1000), (1001, 2000)];
const BOUND_COLOUR: &str = "#c81e1e";

/// One panel: its heading, its unit, how many of a measure's units make one of it, and its
/// series by name.
struct Panel {
    heading: &'static str,
    unit: &'static str,
    divisor: f64,
    series: Vec<(&'static str, Measure)>,
}

fn panels() -> Vec<Panel> {
    let panel = |heading, unit, divisor, series: &[(&'static str, Measure)]| Panel {
        heading,
        unit,
        divisor,
        series: series.to_vec(),
    };
    let start = [("all", Measure::BootAll), ("half", Measure::BootHalf)];
    let crash = [("all", Measure::CrashAll), ("half", Measure::CrashHalf)];
    let heal = [
        ("half and half for 5 min", Measure::SplitHeal),
        ("one cut off for 150 s", Measure::IsolationHeal),
    ];
    let churned = [("frozen", Measure::Frozen(true)), ("killed", Measure::Killed(true))];
    let voter = [("at rest", Measure::VoterLoad(false)), ("under churn", Measure::VoterLoad(true))];
    vec![
        panel("All start with one seed → known to", "s", 1000.0, &start),
        panel("A node crashes → held for dead by", "s", 1000.0, &crash),
        panel("A cut ends → all know all", "s", 1000.0, &heal),
        panel("Gossip that a node sends at rest", "kB/s", 1000.0, &[("", Measure::GossipBytes)]),
        panel(
            "Gossip that a node sends at rest",
            "datagrams/s",
            1.0,
            &[("", Measure::GossipPackets)],
        ),
        panel("Election, to the busiest voter", "datagrams/s", 1.0, &voter),
        panel("The Goose falls → the next, under churn", "ms", 1.0, &churned),
        panel("A simulated minute at rest", "s of a core", 1.0, &[("", Measure::SimulatorSeconds)]),
    ]
}

/// A logarithmic scale onto pixels.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Around all values, with some air at both ends, and a decade at least.
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values
            .map(|value| value.max(1e-3).log10())
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let middle = f64::midpoint(low, high);
        let half = ((high - low) / 2.0 + 0.12).max(0.55);
        Self { low: middle - half, high: middle + half, from, to }
    }

    fn place(self, value: f64) -> f64 {
        let part = (value.max(1e-3).log10() - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    /// Whether a promise that holds from here on is in the picture.
    fn shows(self, least: usize) -> bool {
        (least as f64).log10() < self.high
    }

    /// 1, 2, 5, 10 and so on within the scale; if that is many, 1, 10, 100.
    fn ticks(self) -> Vec<f64> {
        let steps: &[f64] = if self.high - self.low > 2.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut ticks = Vec::new();
        let mut decade = self.low.floor();
        while decade <= self.high {
            ticks.extend(steps.iter().map(|step| step * 10_f64.powf(decade)));
            decade += 1.0;
        }
        ticks.retain(|tick| (self.low..=self.high).contains(&tick.log10()));
        ticks
    }
}

/// The whole picture.
pub(crate) fn draw(report: &Report) -> String {
    let panels: Vec<Panel> = panels()
        .into_iter()
        .filter(|panel| panel.series.iter().any(|(_, measure)| report.sizes(*measure).is_some()))
        .collect();
    let rows = panels.len().div_ceil(COLUMNS);
    let height = TOP + rows as f64 * STEP.1 - 20.0;
    let mut svg = begin(WIDTH, height, "What a gaggle costs as it grows");
    let words = "simulated, links of a millisecond, the lan profile, five voters; a dot is one \
                 measurement, a line joins the medians; both axes are logarithmic";
    text(&mut svg, (24.0, 54.0), "start", 12, words);
    line(
        &mut svg,
        format_args!(
            "<path d=\"M24 74H58\" stroke=\"{BOUND_COLOUR}\" stroke-width=\"1.5\" \
             stroke-dasharray=\"6 4\"/>"
        ),
    );
    text(&mut svg, (66.0, 78.0), "start", 12, "what was promised, up to 2,000 nodes");
    let all = panels.iter().flat_map(|panel| &panel.series);
    let nodes: Vec<f64> = all
        .filter_map(|(_, measure)| report.sizes(*measure))
        .flat_map(|sizes| sizes.keys().map(|nodes| *nodes as f64))
        .collect();
    for (number, panel) in panels.iter().enumerate() {
        let left = LEFT + (number % COLUMNS) as f64 * STEP.0;
        let top = TOP + (number / COLUMNS) as f64 * STEP.1;
        let x = Scale::around(nodes.iter().copied(), left, left + SIZE.0);
        draw_panel(&mut svg, report, panel, x, top);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_panel(svg: &mut String, report: &Report, panel: &Panel, x: Scale, top: f64) {
    let measured: Vec<_> = panel
        .series
        .iter()
        .filter_map(|(name, measure)| Some((*name, *measure, report.sizes(*measure)?)))
        .collect();
    let values = measured.iter().flat_map(|(_, measure, sizes)| {
        let bounds =
            PROMISES.map(|(least, _)| report.bound(*measure, least).filter(|_| x.shows(least)));
        let bounds = bounds.into_iter().flatten();
        sizes.values().flat_map(Values::all).copied().chain(bounds)
    });
    let y = Scale::around(values.map(|value| value / panel.divisor), top + SIZE.1, top);
    let heading = format!("{}, {}", panel.heading, panel.unit);
    text(svg, (x.from - 44.0, top - 32.0), "start", 14, &heading);
    axes(svg, x, y);
    let mut labelled: Vec<f64> = Vec::new();
    for (number, (_, measure, sizes)) in measured.iter().enumerate() {
        bound(svg, report, *measure, (x, y), panel.divisor);
        let colour = COLOURS[number % COLOURS.len()];
        let mut path = String::new();
        // The last one that was measured stands beside its point, where there is room.
        if let Some((nodes, values)) = sizes.last_key_value() {
            let last = values.median() / panel.divisor;
            let (across, middle) = (x.place(*nodes as f64) + 8.0, y.place(last));
            if labelled.iter().all(|other| (other - middle).abs() > 11.0) {
                labelled.push(middle);
                text(svg, (across, middle + 4.0), "start", 11, &figures(last));
            }
        }
        for (nodes, values) in *sizes {
            let across = x.place(*nodes as f64);
            for value in values.all() {
                dot(svg, (across, y.place(value / panel.divisor)), colour);
            }
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let median = y.place(values.median() / panel.divisor);
            path.push_str(&format!("{letter}{across:.1} {median:.1}"));
        }
        line(
            svg,
            format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            ),
        );
    }
    names(svg, &measured.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), x.from, top);
}

/// Below the heading, if there is more than one series.
fn names(svg: &mut String, names: &[&str], left: f64, top: f64) {
    let mut across = left + 4.0;
    for (number, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let colour = COLOURS[number % COLOURS.len()];
        let middle = top - 16.0;
        line(
            svg,
            format_args!(
                "<circle cx=\"{across:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"{colour}\"/>"
            ),
        );
        text(svg, (across + 8.0, middle + 4.0), "start", 11, name);
        across += 34.0 + 6.0 * name.len() as f64;
    }
}

fn axes(svg: &mut String, x: Scale, y: Scale) {
    for tick in x.ticks() {
        let at = x.place(tick);
        let (top, bottom) = (y.to, y.from);
        line(svg, format_args!("<path d=\"M{at:.1} {top:.1}V{bottom:.1}\" stroke=\"#e4e4e4\"/>"));
        text(svg, (at, bottom + 16.0), "middle", 11, &number(tick));
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        let (left, right) = (x.from, x.to);
        line(svg, format_args!("<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"#e4e4e4\"/>"));
        text(svg, (left - 6.0, at + 4.0), "end", 11, &number(tick));
    }
    let (left, right, top, bottom) = (x.from, x.to, y.to, y.from);
    line(
        svg,
        format_args!(
            "<path d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\" fill=\"none\" \
             stroke=\"#888\"/>"
        ),
    );
    text(svg, (f64::midpoint(left, right), bottom + 33.0), "middle", 11, "nodes");
}

/// The promise, where there is one: a step at each size from which on it is another.
fn bound(
    svg: &mut String,
    report: &Report,
    measure: Measure,
    (x, y): (Scale, Scale),
    divisor: f64,
) {
    let mut path = String::new();
    let mut from = x.from;
    for (least, most) in PROMISES {
        let to = x.place(most as f64).min(x.to);
        if let Some(bound) = report.bound(measure, least).filter(|_| x.shows(least)) {
            let at = y.place(bound / divisor);
            let letter = if path.is_empty() { 'M' } else { 'L' };
            path.push_str(&format!("{letter}{from:.1} {at:.1}H{to:.1}"));
        }
        from = to;
    }
    line(
        svg,
        format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{BOUND_COLOUR}\" stroke-width=\"1.5\" \
             stroke-dasharray=\"6 4\"/>"
        ),
    );
}

/// Three figures are enough.
fn figures(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => number(value.round()),
    }
}

/// As people write it: 0.05, 20, 1,000.
fn number(value: f64) -> String {
    if value < 999.5 {
        return format!("{}", (value * 1000.0).round() / 1000.0);
    }
    let whole = value.round();
    let thousands = (whole / 1000.0).floor();
    format!("{thousands},{:03}", whole - thousands * 1000.0)
}
