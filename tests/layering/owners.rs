//! State has an owner: what a type does stands in one file, in one block. What it shows of itself may
//! stand apart, in a file of views: nothing there changes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::sources;

/// The layers of which this is true.
const LAYERS: [&str; 3] = ["membership", "node", "wire"];

/// The type of a block at the beginning of a line that is no `impl` of a trait.
fn owner(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl").filter(|rest| rest.starts_with([' ', '<']))?;
    let name = rest.strip_suffix('{')?.trim_end();
    let name = if rest.starts_with('<') { name.split_once('>')?.1 } else { name };
    (!name.contains(" for ")).then(|| name.trim().split('<').next().unwrap_or_default())
}

#[test]
fn every_type_of_these_layers_has_one_block_in_one_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut blocks: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    let files = LAYERS
        .iter()
        .flat_map(|layer| sources(&root.join(layer)).into_iter().map(move |path| (*layer, path)));
    for (layer, path) in files {
        let text = fs::read_to_string(&path).unwrap();
        if path.ends_with("views.rs") {
            assert!(!text.contains("&mut self"), "{}: a view changes something", path.display());
            continue;
        }
        for name in text.lines().filter_map(owner) {
            let place = path.strip_prefix(&root).unwrap().display().to_string();
            let name = name.rsplit("::").next().unwrap().to_owned();
            blocks.entry((layer, name)).or_default().push(place);
        }
    }
    assert!(blocks.len() > 10, "the blocks are not found any more: {blocks:?}");
    blocks.retain(|_, places| places.len() > 1);
    assert!(blocks.is_empty(), "in more than one block: {blocks:?}");
}

#[test]
fn a_block_of_a_type_is_told_from_one_of_a_trait() {
    assert_eq!(owner("impl super::Membership {"), Some("super::Membership"));
    assert_eq!(owner("impl<T: Clone> Queue<T> {"), Some("Queue"));
    assert_eq!(owner("impl Invalidates for Subject {"), None);
    assert_eq!(owner("implementation {"), None);
}
