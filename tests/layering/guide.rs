//! The guide and the code say the same: pages are included, what they name exists, and what the
//! program can print is explained.
//!
//! The checks read text, not syntax: a message is the first string after one of a few marks. That
//! finds all that are there now, and a page that falls behind fails here instead of misleading.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::sources;

/// Where a message begins: the first string after it.
const MARKS: [&str; 4] = ["tracing::warn!(", "tracing::error!(", "#[error(", "warnings.push("];
/// Every string of these is a message.
const WORDS_OF: [&str; 3] =
    ["src/shell/journal/mod.rs", "src/shell/journal/events.rs", "src/shell/journal/warnings.rs"];
/// What is asked of the simulator is not printed by the product.
const NOT_SHIPPED: [&str; 1] = ["src/sim"];
/// A text with fewer fixed letters is a frame for another one, or no message.
const LETTERS_LEAST: usize = 12;
/// Fields of the JSON log: no message of their own.
const NO_MESSAGES: [&str; 1] = ["gone or silent"];
/// Flags of other programs.
const FOREIGN_FLAGS: [&str; 31] = [
    "bench",
    "cacert",
    "cap-drop",
    "check",
    "embedded",
    "example",
    "fast",
    "features",
    "file",
    "init",
    "iterations",
    "minutes",
    "mutant",
    "mutants",
    "nodes",
    "now",
    "open",
    "output",
    "path",
    "play",
    "read-only",
    "real",
    "release",
    "seeds",
    "shortest",
    "small",
    "state",
    "swarm",
    "unix-socket",
    "version",
    "volume",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("src/guide")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() > 10, "the pages are gone: {found:?}");
    found
}

fn page(name: &str) -> String {
    let found = pages().into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("there is no page {name}")).1
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What stands between backquotes, in a text without fenced blocks.
fn spans(page: &str) -> Vec<String> {
    let prose: Vec<&str> = page.split("```").step_by(2).collect();
    let prose = prose.join("\n");
    prose.split('`').skip(1).step_by(2).map(flat).collect()
}

/// On one line, without backquotes.
fn flat(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_page_is_included_linked_and_listed() {
    let read = |name: &str| fs::read_to_string(root().join("src/guide").join(name)).unwrap();
    let (module, links, contents) = (read("mod.rs"), read("links.txt"), read("README.md"));
    let mut complaints = Vec::new();
    for (name, text) in pages() {
        if !module.contains(&format!("\"{name}\"")) {
            complaints.push(format!("{name} is not included by src/guide/mod.rs"));
        }
        let stem = name.trim_end_matches(".md");
        if name != "README.md" && !links.contains(&format!("[{stem}]: self::{stem}\n")) {
            complaints.push(format!("{name} has no line in src/guide/links.txt"));
        }
        if name != "README.md" && !contents.contains(&format!("[{stem}]: {name}")) {
            complaints.push(format!("{name} is not listed in src/guide/README.md"));
        }
        for (at, _) in text.match_indices("][") {
            let target = text[at + 2..].split(']').next().unwrap_or_default();
            if !text.contains(&format!("\n[{target}]: {target}.md")) {
                complaints.push(format!("{name}: the link to [{target}] leads nowhere"));
            }
        }
        for block in text.split("\n```").skip(1).step_by(2) {
            if block.starts_with('\n') {
                complaints.push(format!("{name}: a block without a language: {block:.40}"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_file_and_name_in_the_guide_exists() {
    let mut complaints = Vec::new();
    for (page, text) in pages() {
        for span in spans(&text) {
            let (path, name) = span.split_once("::").unwrap_or((&span, ""));
            let ours = ["src/", "tests/", "examples/", "benches/"];
            let path_like = ours.iter().any(|folder| path.starts_with(folder));
            if !path_like || path.contains(' ') {
                continue;
            }
            let file = root().join(path);
            if !file.exists() {
                complaints.push(format!("{page}: there is no {path}"));
            } else if !name.is_empty() && !fs::read_to_string(&file).unwrap().contains(name) {
                complaints.push(format!("{page}: there is no {name} in {path}"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_flag_in_the_guide_exists() {
    let arguments = fs::read_to_string(root().join("src/commands/arguments.rs")).unwrap();
    let table = fs::read_to_string(root().join("src/config/flags.rs")).unwrap();
    let mut complaints = Vec::new();
    for (page, text) in pages() {
        for (at, _) in text.match_indices("--") {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            let flag: String = text[at + 2..]
                .chars()
                .take_while(|letter| letter.is_ascii_lowercase() || *letter == '-')
                .collect();
            if before == '-' || flag.is_empty() || flag.starts_with('-') {
                continue;
            }
            let field = format!(" {}: ", flag.replace('-', "_"));
            let named = format!("long = \"{flag}\"");
            let known = arguments.contains(&field)
                || arguments.contains(&named)
                || table.contains(&format!(" key: \"{flag}\","));
            if !known && !FOREIGN_FLAGS.contains(&flag.as_str()) {
                complaints.push(format!("{page}: there is no --{flag}"));
            }
        }
    }
    complaints.dedup();
    assert_none(&complaints);
}

/// Ours, and what every process has.
fn is_metric(name: &str) -> bool {
    ["gaggle_", "process_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Every metric that a node has, by its source.
fn exported() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("src/shell/http/api/metrics.rs")).unwrap();
    let strings = source.split('"').skip(1).step_by(2);
    let found: BTreeSet<String> =
        strings.filter(|text| is_metric(text) && !text.contains(' ')).map(str::to_owned).collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

#[test]
fn every_metric_of_the_dashboard_exists_and_those_that_people_look_for_are_on_it() {
    let board = fs::read_to_string(root().join("examples/grafana/gaggle.json")).unwrap();
    let expressions: Vec<&str> =
        board.lines().filter(|line| line.trim_start().starts_with("\"expr\": ")).collect();
    assert!(expressions.len() > 20, "{expressions:?}");
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        words.filter(|word| is_metric(word)).map(str::to_owned).collect()
    };
    let exported = exported();
    let known = |name: &str| {
        let histogram = name.strip_suffix("_bucket").is_some_and(|base| exported.contains(base));
        histogram || exported.contains(name)
    };
    let named: BTreeSet<String> = expressions.iter().flat_map(|text| words(text)).collect();
    let unknown: Vec<&String> = named.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "on the dashboard, and no metric of a node: {unknown:?}");
    for name in ["gaggle_is_goose", "gaggle_goose_changes_total", "gaggle_lease_remaining_seconds"]
    {
        assert!(named.contains(name), "{name}: {named:?}");
    }
}

#[test]
fn every_metric_and_every_reason_is_explained_and_no_other() {
    let exported = exported();
    let page = page("metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: BTreeSet<&str> = rows.collect();
    let told: BTreeSet<&str> = rows.iter().copied().filter(|row| is_metric(row)).collect();
    let exported: BTreeSet<&str> = exported.iter().map(String::as_str).collect();
    assert_eq!(exported, told, "what is exported, and what src/guide/metrics.md explains");
    let reject = fs::read_to_string(root().join("src/vocabulary/reject.rs")).unwrap();
    let names = reject.split("fn name(self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let reasons: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    let told: BTreeSet<&str> = rows.iter().copied().filter(|row| !is_metric(row)).collect();
    assert_eq!(reasons, told, "reasons to drop a datagram, and what the page explains");
}

#[test]
fn every_kind_of_message_between_nodes_is_in_the_protocol() {
    let source = fs::read_to_string(root().join("src/wire/message.rs")).unwrap();
    let body = source.split("pub enum Message {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let kinds: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .filter_map(|line| line.split(['(', ' ', ',', '{']).next())
        .collect();
    assert!(kinds.len() > 10, "{kinds:?}");
    let spans = spans(&page("protocol.md"));
    let named = |kind: &&&str| spans.iter().any(|span| span.split('(').next() == Some(**kind));
    let missing: Vec<&&str> = kinds.iter().filter(|kind| !named(kind)).collect();
    assert!(missing.is_empty(), "not in src/guide/protocol.md: {missing:?}");
}

#[test]
fn every_message_is_explained() {
    let spans = spans(&page("troubleshooting.md"));
    let mut complaints = Vec::new();
    for (file, message) in messages() {
        let fixed = fragments(&message);
        if !spans.iter().any(|span| quotes(span, &fixed)) {
            complaints.push(format!("{}: not in troubleshooting.md: {message}", file.display()));
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_message_that_is_explained_exists() {
    let page = page("troubleshooting.md");
    let words: Vec<Vec<String>> = shipped()
        .iter()
        .flat_map(|(_, text)| all_strings(text))
        .map(|words| fragments(&words))
        .filter(|fixed| fixed.iter().any(|text| text.len() >= LETTERS_LEAST))
        .collect();
    // After the table of exit codes.
    let rows = page.lines().skip_while(|line| !line.starts_with("## What the log says"));
    let cells = rows.filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let mut complaints = Vec::new();
    for span in cells.flat_map(spans).filter(|span| span.len() > 2 * LETTERS_LEAST) {
        if !words.iter().any(|fixed| quotes(&span, fixed)) {
            complaints.push(format!("troubleshooting.md: nothing in src says: {span}"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn a_quotation_is_told_from_another_message() {
    let fixed = fragments("the key file {}, line {line}: this is no key: write {KEY_SIZE} bytes");
    for quotation in [
        "the key file FILE, line N: this is no key: …",
        "the key file FILE, line 7: this is no key: write 32 bytes",
        "… this is no key: write N bytes",
    ] {
        assert!(quotes(quotation, &fixed), "{quotation}");
    }
    for other in ["the key file FILE cannot be read: …", "…", "the key file", "this is no lock: …"]
    {
        assert!(!quotes(other, &fixed), "{other}");
    }
    assert_eq!(string(r#""in \"quotes\"" and more"#), r#"in "quotes""#);
    assert_eq!(string("\"one \\\n     line\""), "one line");
}

/// Every source file of the product, without its tests.
fn shipped() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for path in sources(&root().join("src")) {
        let relative = path.strip_prefix(root()).unwrap().to_owned();
        let foreign = NOT_SHIPPED.iter().any(|folder| relative.starts_with(folder));
        let tests = relative.components().any(|part| part.as_os_str() == "tests");
        if !foreign && !tests {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            found.push((relative, text.to_owned()));
        }
    }
    found
}

/// Every message of the product, with the file that it stands in.
fn messages() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (file, text) in shipped() {
        let mut strings: Vec<String> = Vec::new();
        for mark in MARKS {
            let places = text.match_indices(mark);
            strings.extend(places.filter_map(|(at, _)| after(&text[at + mark.len()..])));
        }
        if WORDS_OF.iter().any(|name| file.ends_with(name)) {
            strings.extend(all_strings(&text));
        }
        for message in strings {
            let letters = fragments(&message).iter().map(String::len).max().unwrap_or(0);
            if letters >= LETTERS_LEAST && !NO_MESSAGES.contains(&message.as_str()) {
                found.push((file.clone(), message));
            }
        }
    }
    assert!(found.len() > 100, "the messages are not found any more: {}", found.len());
    found
}

/// The first string in what follows an opening bracket, if it comes before the closing one.
fn after(text: &str) -> Option<String> {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => return Some(string(&text[at..])),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return None;
        }
    }
    None
}

fn all_strings(text: &str) -> Vec<String> {
    let code: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some(at) = rest.find('"') {
        rest = &rest[at..];
        found.push(string(rest));
        rest = &rest[length(rest)..];
    }
    found
}

/// How long the literal is that `text` begins with, quotes included.
fn length(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == '"' && !escaped {
            return at + 1;
        }
        escaped = letter == '\\' && !escaped;
    }
    text.len()
}

/// What the literal says that `text` begins with.
fn string(text: &str) -> String {
    let inside = &text[1..length(text) - 1];
    let mut said = String::new();
    let mut letters = inside.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some('\n')) => {
                while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            }
            ('\\', Some(_)) => said.extend(letters.next()),
            _ => said.push(letter),
        }
    }
    said
}

/// What of a message is the same each time, in order.
fn fragments(message: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut inside = false;
    for letter in message.chars().filter(|letter| *letter != '`') {
        match letter {
            '{' => {
                inside = true;
                found.push(String::new());
            }
            '}' => inside = false,
            _ if inside => {}
            _ => found.last_mut().unwrap().push(letter),
        }
    }
    found
}

/// Whether `span` quotes the message of these fragments, perhaps after other words: from its
/// beginning or, after "…", from anywhere; to its end or, before "…", to anywhere.
fn quotes(span: &str, fragments: &[String]) -> bool {
    let rest = span.strip_prefix('…').map(str::trim_start);
    let anywhere = |span: &str, fragments: &[String]| {
        span.char_indices().any(|(at, _)| begins(&span[at..], fragments, 0))
    };
    let Some(rest) = rest else {
        // Most texts have nothing to do with each other.
        let starts = fragments.iter().filter(|text| !text.is_empty());
        let mut starts = starts.map(|text| text.chars().take(6).collect::<String>());
        return starts.any(|start| span.contains(&start)) && anywhere(span, fragments);
    };
    let tails = (0..fragments.len()).flat_map(|first| {
        fragments[first].char_indices().map(move |(at, _)| {
            let mut tail = fragments[first..].to_vec();
            tail[0].drain(..at);
            tail
        })
    });
    anywhere(rest, fragments) || tails.into_iter().any(|tail| begins(rest, &tail, 0))
}

/// Whether `span` begins like the fragments with anything between them; `letters` are fixed
/// letters that it shares with them already.
fn begins(span: &str, fragments: &[String], letters: usize) -> bool {
    let Some((first, others)) = fragments.split_first() else { return false };
    let shown = span.strip_suffix('…').map(str::trim_end);
    if let Some(shown) = shown
        && !shown.is_empty()
        && first.starts_with(shown)
    {
        return letters + shown.len() >= LETTERS_LEAST;
    }
    let Some(rest) = span.strip_prefix(first.as_str()) else { return false };
    let letters = letters + first.len();
    if others.is_empty() {
        return letters >= LETTERS_LEAST;
    }
    // Something stands in the place of what differs from case to case.
    let mut ends = rest.char_indices().map(|(at, letter)| at + letter.len_utf8());
    ends.any(|at| begins(&rest[at..], others, letters)) || begins(rest, others, letters)
}
