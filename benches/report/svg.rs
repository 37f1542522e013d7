//! The little of SVG that the pictures of the benchmarks are made of, so that they look alike.
//!
//! Assumption: words are plain text without `<`, `>` and `&`; nothing here comes from outside.

use std::fmt::Write;

/// One for each series.
pub(crate) const COLOURS: [&str; 5] = ["#1b6ca8", "#c2571a", "#2e7d4f", "#7b3f98", "#555555"];

/// The head of a picture: its name, and a white ground.
pub(crate) fn begin(width: f64, height: f64, title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui, sans-serif\" fill=\"#222\">\n\
         <title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, (24.0, 32.0), "start", 19, title);
    svg
}

/// Words at a place. `anchor`: what of them is there, `start`, `middle` or `end`.
pub(crate) fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, size: u32, words: &str) {
    line(
        svg,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" \
             font-size=\"{size}\">{words}</text>"
        ),
    );
}

/// A measured value.
pub(crate) fn dot(svg: &mut String, (x, y): (f64, f64), colour: &str) {
    line(
        svg,
        format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\" fill-opacity=\"0.35\"/>"
        ),
    );
}

/// Adds a line. Writing to a string cannot fail.
pub(crate) fn line(svg: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = writeln!(svg, "{arguments}");
}
