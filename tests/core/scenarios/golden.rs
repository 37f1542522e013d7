//! Transcripts, compared with those that somebody has read and committed.

use std::path::PathBuf;

use gaggle::sim::scenario::Scenario;
use similar::TextDiff;

const REWRITE: &str = "GAGGLE_GOLDEN=rewrite cargo test --test core scenarios::";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/core/scenarios/golden")
}

/// Compares what happened with `golden/NAME.txt`, or rewrites it. `promise` stands on its first
/// line.
pub(crate) fn check(story: &Scenario, name: &str, promise: &str) {
    let told = format!("{promise}\n\n{}", story.transcript());
    let path = folder().join(format!("{name}.txt"));
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

/// The lines that went (-) and that came (+), with a few around them.
fn difference(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().to_string()
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
    for entry in folder().read_dir().expect("the folder of the transcripts") {
        let path = entry.expect("a file in it").path();
        let name = format!("\"{}\"", path.file_stem().unwrap_or_default().display());
        assert!(stories.iter().any(|story| story.contains(&name)), "{}", path.display());
    }
}

#[test]
fn a_difference_names_what_went_and_what_came() {
    let difference = difference("a\nb\nc\n", "a\nx\nc\nd\n");
    assert!(difference.ends_with(" a\n-b\n+x\n c\n+d\n"), "{difference}");
}
