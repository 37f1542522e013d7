//! Tells the program which commit it is built from: what `GAGGLE_COMMIT` says, or else git, or
//! else "unknown" (a released archive has no git folder).

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=GAGGLE_COMMIT");
    let given = std::env::var("GAGGLE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(commit).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILT_FROM_COMMIT={commit}");
}

/// The commit of the checkout that this file is in, and of no other around it.
fn commit() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // Both move with every commit; the first also names the branch.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
