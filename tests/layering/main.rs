//! The layers, and a check that fails when one imports upward or the core reaches for the
//! outside world. Prose would rot; this does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

mod circles;
mod guide;
mod house;
mod licences;
mod map;
mod owners;

/// Each layer, with the modules of this crate that it may use besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("vocabulary", &[]),
    ("wire", &["vocabulary"]),
    ("membership", &["wire", "vocabulary"]),
    ("election", &["wire", "vocabulary"]),
    ("node", &["membership", "election", "wire", "vocabulary"]),
    ("sim", &["node", "election", "membership", "wire", "vocabulary"]),
    ("config", &["node", "wire", "vocabulary"]),
    ("shell", &["config", "node", "wire", "vocabulary"]),
    ("library", &["shell", "config", "node", "wire", "vocabulary"]),
    ("commands", &["shell", "config", "node", "wire", "vocabulary"]),
];

/// The sans-IO core: no clock, socket, thread, ambient randomness, or order that differs from
/// run to run.
const CORE: &[&str] = &["vocabulary", "wire", "membership", "election", "node", "sim"];

/// What the core must not name, and why.
const BANNED: &[(&str, &str)] = &[
    ("tokio", "the core is not async; the shell drives it"),
    ("rustix", "operating-system calls belong to the shell"),
    ("socket2", "sockets belong to the shell"),
    ("hyper", "HTTP belongs to the shell"),
    ("std::fs", "files belong to the shell"),
    ("std::thread", "the core has one owner and no threads"),
    ("std::process", "processes belong to the shell"),
    ("std::env", "settings are passed in"),
    ("UdpSocket", "sockets belong to the shell"),
    ("TcpStream", "sockets belong to the shell"),
    ("Instant", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("rand::rng(", "randomness comes from the seed that is passed in"),
    ("ThreadRng", "randomness comes from the seed that is passed in"),
    ("SysRng", "randomness comes from the seed that is passed in"),
    ("async fn", "the core is not async; the shell drives it"),
];

/// Each test program is linked with all of the product, and a clone that is cold links them all
/// before it can run one: twenty-eight of them were most of what `cargo test` took. What a new test
/// needs is a module in the program of its kind of environment.
const TEST_PROGRAMS_MAX: usize = 5;

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Code lines with their numbers: comments are prose and may name anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("")))
}

/// The modules of this crate that a line of code names, `crate::x` and nested `super`s alike.
fn named_modules(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .filter_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (end > 0).then(|| &rest[..end])
        })
        .collect()
}

fn violations(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (layer, may_use) in LAYERS {
        let directory = root.join("src").join(layer);
        if !directory.exists() {
            continue;
        }
        for path in sources(&directory) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in code(&text) {
                for module in named_modules(line) {
                    let known = LAYERS.iter().any(|(name, _)| *name == module);
                    if known && module != *layer && !may_use.contains(&module) {
                        found.push(format!(
                            "{}:{number}: {layer} must not use {module}",
                            path.display()
                        ));
                    }
                }
                if CORE.contains(layer) {
                    for (word, reason) in BANNED.iter().filter(|(word, _)| line.contains(word)) {
                        found.push(format!("{}:{number}: {word}: {reason}", path.display()));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn no_layer_imports_upward_and_the_core_touches_nothing_outside() {
    let found = violations(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_check_itself_fails_on_an_upward_import_and_on_a_clock() {
    let directory = tempfile::tempdir().unwrap();
    let layer = directory.path().join("src/election");
    fs::create_dir_all(&layer).unwrap();
    fs::write(layer.join("bad.rs"), "use crate::shell::clock;\nlet t = std::time::Instant::now();")
        .unwrap();
    fs::write(layer.join("good.rs"), "//! Not tokio.\nuse crate::vocabulary::time;\n").unwrap();
    let found = violations(directory.path());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|line| line.contains("bad.rs:1: election must not use shell")));
    assert!(found.iter().any(|line| line.contains("bad.rs:2: Instant: time is an argument")));
}

#[test]
fn source_files_stay_short_enough_to_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in sources(&root.join("src")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 620, "{} has {lines} lines: split it", path.display());
    }
}

#[test]
fn there_are_few_test_programs() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    assert!(manifest.contains("\nautotests = false\n"), "every file in tests is a program again");
    let count = manifest.lines().filter(|line| *line == "[[test]]").count();
    assert!(count <= TEST_PROGRAMS_MAX, "{count} test programs: make a module of the new one");
}

/// Cargo does not look for tests by itself here, so a forgotten `mod` would pass for ever.
#[test]
fn every_file_belongs_to_a_test_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for path in sources(&folder) {
        let is_mod = path.ends_with("mod.rs");
        let module = if is_mod { path.parent().unwrap() } else { &path };
        let above = module.parent().unwrap();
        if path.ends_with("main.rs") || module == folder.join("harness") {
            continue;
        }
        let name = format!("mod {};", module.file_stem().unwrap().display());
        let parents = [above.join("main.rs"), above.join("mod.rs"), above.with_extension("rs")];
        let mut parents = parents.iter().filter_map(|file| fs::read_to_string(file).ok());
        assert!(parents.any(|text| text.contains(&name)), "{} is in no program", path.display());
    }
}
