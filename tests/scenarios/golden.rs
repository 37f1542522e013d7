//! Transcripts, compared with those that somebody has read and committed.

use std::fmt::Write as _;
use std::path::PathBuf;

use gaggle::sim::scenario::Scenario;

const REWRITE: &str = "GAGGLE_GOLDEN=rewrite cargo test --test scenarios";

/// Compares what happened with `golden/NAME.txt`, or rewrites it. `promise` stands on its first
/// line.
pub(crate) fn check(story: &Scenario, name: &str, promise: &str) {
    let told = format!("{promise}\n\n{}", story.transcript());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/golden");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("GAGGLE_GOLDEN").is_some_and(|mode| mode == "rewrite") {
        std::fs::write(&path, told).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        told == golden,
        "{name} went otherwise than {} says:\n{}\nIf that is right, read it and commit it:\n    \
         {REWRITE}",
        path.display(),
        difference(&golden, &told)
    );
}

/// What was taken away (-) and what was added (+), by the longest common subsequence of lines.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        let (sign, line) = match (old.get(i), new.get(j)) {
            (Some(one), Some(other)) if one == other => (' ', *one),
            (Some(one), _) if j == new.len() || common[i + 1][j] >= common[i][j + 1] => ('-', *one),
            (_, Some(other)) => ('+', *other),
            _ => break,
        };
        i += usize::from(sign != '+');
        j += usize::from(sign != '-');
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{sign} {line}");
    }
    text
}

/// A transcript that no story is compared with any more would only mislead.
#[test]
fn every_transcript_belongs_to_a_story() {
    let stories = [
        include_str!("claims.rs"),
        include_str!("clocks.rs"),
        include_str!("crowds.rs"),
        include_str!("messages.rs"),
        include_str!("partitions.rs"),
        include_str!("records.rs"),
        include_str!("restarts.rs"),
    ];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/golden");
    for entry in folder.read_dir().expect("the folder of the transcripts") {
        let path = entry.expect("a file in it").path();
        let name = format!("\"{}\"", path.file_stem().unwrap_or_default().display());
        assert!(stories.iter().any(|story| story.contains(&name)), "{}", path.display());
    }
}

#[test]
fn a_difference_names_what_went_and_what_came() {
    let (old, new) = ("a\nb\nc\n", "a\nx\nc\nd\n");
    assert_eq!(difference(old, new), "  a\n- b\n+ x\n  c\n+ d\n");
}
