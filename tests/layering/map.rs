//! The guide's map of the code: every file that it names exists, and the walks through the
//! code have as many files as they say.

use std::fs;
use std::path::Path;

fn complaints(root: &Path, documentation: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines: Vec<&str> = documentation.lines().collect();
    for span in lines.iter().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let is_path = span.contains('/') && !span.contains(['*', ' ', ':', '"']);
        if is_path && !root.join("src").join(span).exists() && !root.join(span).exists() {
            found.push(format!("there is no {span}"));
        }
    }
    for (at, heading) in lines.iter().enumerate() {
        let Some(count) = heading.strip_prefix("## One ").and_then(|rest| rest.split(' ').nth(1))
        else {
            continue;
        };
        let walk = lines[at + 1..].iter().take_while(|line| !line.starts_with("## "));
        let steps: Vec<&str> = walk.filter_map(|line| line.split_once(". `")).map(step).collect();
        let paths = steps.iter().filter(|path| path.ends_with(".rs")).count();
        if count.parse() != Ok(paths) || paths != steps.len() {
            found.push(format!("{heading}: these are {paths}: {steps:?}"));
        }
    }
    found
}

/// The file that a step of a walk begins with.
fn step<'a>((_, rest): (&'a str, &'a str)) -> &'a str {
    rest.split('`').next().unwrap_or_default()
}

#[test]
fn every_file_on_the_map_exists_and_every_walk_is_as_long_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/guide/map.md")).unwrap();
    let walks = text.matches("## One ").count();
    assert_eq!(walks, 2, "one packet and one timer");
    assert!(text.matches("\n| ").count() > 30, "the terms are gone");
    let found = complaints(root, &text);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_missing_file_and_a_wrong_count_are_seen() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let walk = "## One packet, 2 files\n\n1. `lib.rs` and\n2. `nowhere/at.rs` then";
    assert_eq!(complaints(root, walk), ["there is no nowhere/at.rs"]);
    let walk = walk.replace("2 files", "3 files").replace("nowhere/at.rs", "main.rs");
    assert_eq!(complaints(root, &walk).len(), 1);
}
