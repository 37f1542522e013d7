//! The figures as one SVG: every single time a dot, every median a bar, on a logarithmic
//! scale, since a hand-over and a lease differ a hundredfold.

use super::figures::Report;
use super::report::Values;
use super::svg::{COLOURS, begin, dot, line, text};

const LEFT: f64 = 330.0;
const RIGHT: f64 = 1030.0;
const WIDTH: f64 = 1120.0;
const TOP: f64 = 96.0;
/// Per size within a measure.
const ROW_HEIGHT: f64 = 16.0;
const GROUP_GAP: f64 = 16.0;

/// Milliseconds to pixels.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Whole powers of ten around all times.
    fn around(report: &Report) -> Self {
        let measures = report.measures();
        let sizes = measures.iter().flat_map(|(_, sizes)| sizes);
        let all = sizes.flat_map(|(_, times)| times.all().iter().copied());
        let (low, high) =
            all.fold((f64::MAX, f64::MIN), |(low, high), time| (low.min(time), high.max(time)));
        if low > high {
            return Self { low: 0.0, high: 3.0 };
        }
        let low = low.max(0.1).log10().floor();
        Self { low, high: high.log10().ceil().max(low + 1.0) }
    }

    fn x(&self, time: f64) -> f64 {
        let part = (time.max(0.1).log10() - self.low) / (self.high - self.low);
        LEFT + part * (RIGHT - LEFT)
    }

    /// 1, 2, 5, 10 and so on within the scale.
    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.low);
        while decade <= 10_f64.powf(self.high) * 1.001 {
            ticks.extend([1.0, 2.0, 5.0].map(|step| step * decade));
            decade *= 10.0;
        }
        ticks.retain(|tick| *tick <= 10_f64.powf(self.high) * 1.001);
        ticks
    }
}

/// The whole picture.
pub(crate) fn draw(report: &Report) -> String {
    let scale = Scale::around(report);
    let measures = report.measures();
    let mut sizes: Vec<u64> =
        measures.iter().flat_map(|(_, sizes)| sizes.iter().map(|(nodes, _)| *nodes)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let colour = |nodes: u64| {
        let index = sizes.iter().position(|size| *size == nodes).unwrap_or(0);
        COLOURS[index % COLOURS.len()]
    };
    let mut marks = String::new();
    let mut y = TOP;
    for (measure, rows) in &measures {
        let middle = y + (rows.len() as f64 - 1.0) * ROW_HEIGHT / 2.0;
        text(&mut marks, (LEFT - 14.0, middle + 4.0), "end", 13, measure.label());
        for (nodes, times) in rows {
            row(&mut marks, &scale, y, times, colour(*nodes));
            y += ROW_HEIGHT;
        }
        y += GROUP_GAP;
    }
    let bottom = y - GROUP_GAP / 2.0;
    let height = bottom + 60.0;
    let mut svg = begin(WIDTH, height, "How long a gaggle is without a Goose");
    let subtitle = format!(
        "real processes on one machine, three voters, the {} profile; a dot is one event, a bar \
         the median (its value at the right)",
        report.profile()
    );
    text(&mut svg, (24.0, 54.0), "start", 12, &subtitle);
    legend(&mut svg, &sizes, colour);
    axis(&mut svg, &scale, bottom);
    svg.push_str(&marks);
    svg.push_str("</svg>\n");
    svg
}

/// All times of one measure at one size.
fn row(svg: &mut String, scale: &Scale, y: f64, times: &Values, colour: &str) {
    for time in times.all() {
        dot(svg, (scale.x(*time), y), colour);
    }
    let median = times.median();
    let (x, top, bottom) = (scale.x(median), y - 7.0, y + 7.0);
    line(
        svg,
        format_args!(
            "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{colour}\" stroke-width=\"2.5\"/>"
        ),
    );
    text(svg, (RIGHT + 12.0, y + 4.0), "start", 11, &format!("{median:.1} ms"));
}

fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    for tick in scale.ticks() {
        let x = scale.x(tick);
        let top = TOP - 14.0;
        line(svg, format_args!("<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"#ddd\"/>"));
        text(svg, (x, bottom + 18.0), "middle", 11, &format!("{tick}"));
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    text(svg, (middle, bottom + 42.0), "middle", 13, "milliseconds, logarithmic");
}

fn legend(svg: &mut String, sizes: &[u64], colour: impl Fn(u64) -> &'static str) {
    let mut x = LEFT;
    for nodes in sizes {
        let colour = colour(*nodes);
        line(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"72\" r=\"5\" fill=\"{colour}\"/>"));
        text(svg, (x + 10.0, 76.0), "start", 12, &format!("{nodes} nodes"));
        x += 90.0;
    }
}
