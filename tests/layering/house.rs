//! The rules of the house that a machine can hold: how long a function may be, that every file
//! says what it is for, and words that are not used.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::sources;

/// A function that is longer does several things.
const FUNCTION_LINES_MAX: usize = 75;

/// Names that were replaced by the field's own terms.
const FORBIDDEN: &[(&str, &str)] = &[
    ("testament", "last will"),
    ("graveyard", "tombstones"),
    ("doorkeeper", "admission"),
    ("postman", "interceptor"),
    ("virgin", "blank"),
    ("virgins", "blank"),
    ("roster", "members"),
    ("hunt", "search"),
    ("heir", "nominee"),
];

/// What a file's name must not be, for it says nothing of what is inside.
const FILE_NAMES_EMPTY: &[&str] =
    &["util", "utils", "helper", "helpers", "manager", "common", "misc"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The name of the function that a line begins, and the line's indentation.
fn function(line: &str) -> Option<(&str, &str)> {
    let indentation = &line[..line.len() - line.trim_start().len()];
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub") {
        rest = match after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        }
        .trim_start();
    }
    for word in ["const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some((&name[..end], indentation))
}

/// Functions with more than so many lines: the formatter closes each at its own indentation.
fn long_functions(text: &str, lines_max: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some((name, indentation)) = function(line) else { continue };
        let closing = format!("{indentation}}}");
        let end = lines[number..].iter().position(|line| *line == closing);
        let length = end.map_or(1, |end| end + 1);
        if length > lines_max && !line.trim_end().ends_with(';') {
            found.push(format!("{}: {name} has {length} lines", number + 1));
        }
    }
    found
}

fn forbidden_words(line: &str) -> Vec<String> {
    let lower = line.to_lowercase();
    let words: BTreeSet<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let said = FORBIDDEN.iter().filter(|(word, _)| words.contains(word));
    said.map(|(word, better)| format!("\"{word}\": {better}")).collect()
}

#[test]
fn functions_stay_short_enough_to_read() {
    let mut found = Vec::new();
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).unwrap();
        for long in long_functions(&text, FUNCTION_LINES_MAX) {
            found.push(format!("{}:{long}", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().find(|line| !line.starts_with("#!["));
        assert!(
            first.is_some_and(|line| line.starts_with("//!"))
                || text.contains("#![doc = include_str!"),
            "{} begins without a sentence on what it is for",
            path.display()
        );
    }
}

#[test]
fn private_words_are_not_used() {
    let mut found = Vec::new();
    for path in sources(&root()) {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap();
        assert!(!FILE_NAMES_EMPTY.contains(&name), "{}: say what it does", path.display());
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for word in forbidden_words(line) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_rules_of_the_house_find_what_they_are_for() {
    let long = format!("    pub(super) fn long() {{\n{}    }}\n", "        step();\n".repeat(9));
    assert_eq!(long_functions(&long, 10), ["1: long has 11 lines"]);
    assert!(long_functions(&long, 11).is_empty());
    assert_eq!(
        forbidden_words("// A Doorkeeper, not a doorkeepers."),
        ["\"doorkeeper\": admission"]
    );
}
