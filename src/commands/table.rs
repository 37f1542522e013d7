//! Aligned tables of plain text, and the one colour there is.

use std::io::IsTerminal;

/// Rows under a head, each column as wide as its widest cell, two spaces between. The last
/// column is not padded, so that no line ends in spaces.
pub(super) fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = line(&head, &widths);
    for row in rows {
        text.push_str(&line(row, &widths));
    }
    text
}

/// Names and what they stand for, one a line.
pub(super) fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(&format!("{cell:width$}  "));
    }
    let mut text = text.trim_end().to_owned();
    text.push('\n');
    text
}

/// Whether text on standard output may be coloured: on a terminal, unless NO_COLOR says no.
pub(super) fn colour_allowed() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !refused
}

/// Makes every line that speaks of the Goose bold and green.
pub(super) fn highlight(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 32);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        // As a cell of its own; not the name of a row or a column.
        if bare.split_whitespace().any(|cell| cell == "Goose") {
            shown.push_str("\x1b[1;32m");
            shown.push_str(bare);
            shown.push_str("\x1b[0m\n");
        } else {
            shown.push_str(line);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = render(
            &["ID", "ADDRESS", "ROLE"],
            &[row(["1", "127.0.0.1:8000", "Duck"]), row(["139637976727968", "é", ""])],
        );
        let expected = "ID               ADDRESS         ROLE\n\
                        1                127.0.0.1:8000  Duck\n\
                        139637976727968  é\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn only_the_line_of_the_goose_is_coloured() {
        let text = highlight("ID  ROLE\n1   Goose\n2   Duck\n");
        assert_eq!(text, "ID  ROLE\n\x1b[1;32m1   Goose\x1b[0m\n2   Duck\n");
    }
}
