//! What this package is made of, against `.deny.toml`: licences, sources, and what must not be there
//! twice or at all. `cargo deny check` reads the same file and says the same of it, and more; building
//! it costs more than all the rest of the gate may.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A package as `cargo tree` shows it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// Where it is from, if that is not crates.io.
    source: Option<String>,
    licence: String,
}

/// Every package that `edges` lead to, on every system.
fn packages(edges: &str) -> BTreeSet<Package> {
    let tree = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--offline", "--target=all", "--prefix=none", "--no-dedupe"])
        .args(["--edges", edges, "--format={p}|{l}"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap().lines().filter_map(package).collect()
}

/// Of a line like `foca v2.0.1|MPL-2.0`; a macro is marked, and where something else than crates.io is
/// its source, that follows in brackets.
fn package(line: &str) -> Option<Package> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.splitn(3, ' ');
    let (name, version) = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
    let source = words.next().map(|rest| rest.replace("(proc-macro)", "").trim().to_owned());
    let source = source.filter(|source| !source.is_empty());
    Some(Package { name, version, source, licence: licence.to_owned() })
}

/// The words of a list in `.deny.toml`.
fn listed(policy: &str, key: &str) -> BTreeSet<String> {
    let list = policy.split(&format!("\n{key} = [")).nth(1).unwrap_or_else(|| panic!("no {key}"));
    let words = list.split(']').next().unwrap().split('"').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// Whether an SPDX expression can be had with these licences alone: one of each choice, and all of what
/// is joined. Crates of long ago write a slash for a choice.
fn allowed(expression: &str, licences: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let verdict = any_of(&mut words, licences);
    verdict && words.is_empty()
}

fn any_of(words: &mut Vec<&str>, licences: &BTreeSet<String>) -> bool {
    let mut verdict = all_of(words, licences);
    while words.pop_if(|word| *word == "OR").is_some() {
        verdict |= all_of(words, licences);
    }
    verdict
}

fn all_of(words: &mut Vec<&str>, licences: &BTreeSet<String>) -> bool {
    let mut verdict = one(words, licences);
    while words.pop_if(|word| *word == "AND").is_some() {
        verdict &= one(words, licences);
    }
    verdict
}

fn one(words: &mut Vec<&str>, licences: &BTreeSet<String>) -> bool {
    match words.pop() {
        Some("(") => any_of(words, licences) && words.pop() == Some(")"),
        Some(licence) => {
            // An exception only takes conditions away.
            if words.pop_if(|word| *word == "WITH").is_some() {
                words.pop();
            }
            licences.contains(licence)
        }
        None => false,
    }
}

#[test]
fn every_licence_and_every_source_is_one_that_we_want() {
    let policy = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".deny.toml"));
    let policy = policy.unwrap();
    let (licences, banned) = (listed(&policy, "allow"), listed(&policy, "deny"));
    let all = packages("normal,build,dev");
    assert!(all.len() > 150, "{}", all.len());
    let own = |package: &&Package| package.name != env!("CARGO_PKG_NAME");
    for package in all.iter().filter(own) {
        assert!(allowed(&package.licence, &licences), "its licence: {package:?}");
        assert_eq!(package.source, None, "it is not from crates.io: {package:?}");
        assert!(!banned.contains(&package.name), "it is banned: {package:?}");
    }
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let shipped = packages("normal");
    for package in &shipped {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    let known = listed(&policy, "skip");
    let twice: Vec<_> = twice.into_iter().filter(|(name, _)| !known.contains(**name)).collect();
    assert!(twice.is_empty(), "in the program in several versions: {twice:?}");
}

#[test]
fn a_wrong_licence_and_a_strange_source_are_seen() {
    let licences = ["MIT", "Zlib"].map(str::to_owned).into_iter().collect();
    for right in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "MIT AND (GPL-2.0 OR Zlib)", "MIT WITH X"]
    {
        assert!(allowed(right, &licences), "{right}");
    }
    for wrong in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-2.0", "MIT)", "(MIT", "MIT Zlib"]
    {
        assert!(!allowed(wrong, &licences), "{wrong}");
    }
    let source = |line: &str| package(line).unwrap().source;
    assert_eq!(source("serde_derive v1.0.0 (proc-macro)|MIT"), None);
    assert_eq!(source("a v0.1.0|MIT"), None);
    assert_eq!(
        source("a v0.1.0 (https://example.org/a#0123)|MIT").as_deref(),
        Some("(https://example.org/a#0123)")
    );
}
