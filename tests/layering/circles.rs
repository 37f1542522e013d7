//! No two files import each other, not even by way of others: whoever reads one of a circle must
//! read all of it. A file may use what its own parents declare; that is what nesting says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Module = Vec<String>;

/// The module that a source file is, from its path below `src`.
fn module_of(path: &Path) -> Module {
    let mut names: Module = path
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if names.last().is_some_and(|name| name == "mod" || name == "lib" || name == "main") {
        names.pop();
    }
    names
}

/// The code of a file, without comments and without its own tests.
fn code_of(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(""));
    let code: Vec<&str> = lines.collect();
    let code = code.join("\n");
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(at) => code[..at].to_owned(),
        None => code,
    }
}

/// `a::{b, c::{d}}` as `a::b` and `a::c::d`.
fn flattened(path: &str) -> Vec<String> {
    let Some((front, group)) = path.split_once('{') else {
        let plain = path.split(" as ").next().unwrap_or(path);
        return vec![plain.chars().filter(|character| !character.is_whitespace()).collect()];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(character);
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| flattened(&format!("{}{part}", front.trim()))).collect()
}

/// Every path that a file names: what it imports, and what it names in place.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let alone = code[..at].chars().next_back().is_none_or(char::is_whitespace);
        if let Some(end) = code[at..].find(';').filter(|_| alone) {
            paths.extend(flattened(&code[at + 4..at + end]));
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let named = |character: char| character.is_alphanumeric() || "_:".contains(character);
            let end = code[at..].find(|character| !named(character)).unwrap_or(code.len() - at);
            paths.push(code[at..at + end].to_owned());
        }
    }
    paths
}

/// The file that a path leads to from `module`; none outside this crate.
fn resolved(module: &Module, path: &str, files: &BTreeMap<Module, String>) -> Option<Module> {
    let mut parts = path.split("::").filter(|part| !part.is_empty()).peekable();
    let mut place = module.clone();
    if parts.next_if_eq(&"crate").is_some() {
        place.clear();
    }
    while parts.next_if_eq(&"super").is_some() {
        place.pop();
    }
    let mut found = None;
    loop {
        if files.contains_key(&place) {
            found = Some(place.clone());
        }
        match parts.next() {
            Some(part) => place.push(part.to_owned()),
            None => return found,
        }
    }
}

/// A circle of imports, if there is one: each file and the one that it imports.
fn circle(files: &BTreeMap<Module, String>) -> Option<Vec<String>> {
    let imports: BTreeMap<&Module, BTreeSet<Module>> = files
        .iter()
        .map(|(module, text)| {
            let code = code_of(text);
            let to = paths_in(&code).into_iter().filter_map(|path| resolved(module, &path, files));
            (module, to.filter(|other| !module.starts_with(other)).collect())
        })
        .collect();
    // Whatever imports nothing that is left is in no circle.
    let mut left: BTreeSet<&Module> = files.keys().collect();
    loop {
        let before = left.len();
        let free: Vec<&Module> = left
            .iter()
            .filter(|module| !imports[*module].iter().any(|other| left.contains(other)))
            .copied()
            .collect();
        free.iter().for_each(|module| _ = left.remove(*module));
        if left.len() == before {
            break;
        }
    }
    let mut place = (*left.first()?).clone();
    let mut walk: Vec<Module> = Vec::new();
    while !walk.contains(&place) {
        walk.push(place.clone());
        place = imports[&place].iter().find(|other| left.contains(other))?.clone();
    }
    let begin = walk.iter().position(|module| *module == place)?;
    Some(walk[begin..].iter().chain([&place]).map(|module| module.join("::")).collect())
}

#[test]
fn no_files_import_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: BTreeMap<Module, String> = super::sources(&root)
        .into_iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), path))
        .filter(|(below, _)| !below.iter().any(|part| part == "tests" || part == "tests.rs"))
        .map(|(below, path)| (module_of(&below), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(files.len() > 200, "{} files", files.len());
    assert_eq!(circle(&files), None);
}

#[test]
fn a_circle_is_found() {
    let file =
        |name: &str, text: &str| (vec!["house".to_owned(), name.to_owned()], text.to_owned());
    let kitchen = file("kitchen", "use super::{House, hall::{Door, Lamp as Light}};");
    let hall = file("hall", "use crate::house::stairs::Step;");
    let house = (vec!["house".to_owned()], "mod hall; use hall::Door;".to_owned());
    let open = BTreeMap::from([kitchen.clone(), hall.clone(), file("stairs", ""), house.clone()]);
    assert_eq!(circle(&open), None, "a parent may be used, and use its parts");
    let stairs = file("stairs", "fn up() { super::kitchen::cook(); } // use super::cellar::Coal;");
    let closed = BTreeMap::from([kitchen, hall, stairs, house]);
    let found = circle(&closed).expect("a circle");
    assert_eq!(found, ["house::hall", "house::stairs", "house::kitchen", "house::hall"]);
}
