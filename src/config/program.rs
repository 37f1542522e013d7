//! A program that is to be run later, with its arguments: split into words, and looked for at once,
//! so that a mistake is heard of at the start and not when it matters.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{Access, access};

use super::error::Fault;

/// Where programs are looked for that are named without a folder, if `PATH` does not say.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// The words of `text`, of which the first names a program that can be run. `path` is the variable
/// of that name.
pub(super) fn words(
    key: &'static str,
    text: &str,
    path: Option<&OsStr>,
) -> Result<Vec<String>, Fault> {
    let words = split(key, text)?;
    let Some(program) = words.first() else { return Err(Fault::EmptyHook(key)) };
    match runnable(Path::new(program), path) {
        Ok(()) => Ok(words),
        Err(reason) => {
            let reason = reason.words();
            Err(Fault::HookProgram { key, program: program.clone(), reason })
        }
    }
}

/// As a shell would split it.
#[cfg(feature = "cli")]
fn split(key: &'static str, text: &str) -> Result<Vec<String>, Fault> {
    let words = shell_words::split(text);
    words.map_err(|_| Fault::HookWords { key, reason: "a quote is not closed" })
}

/// Only the command line can name a program.
#[cfg(not(feature = "cli"))]
fn split(_: &'static str, text: &str) -> Result<Vec<String>, Fault> {
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// Why a program cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrunnable {
    /// Nothing is there.
    Missing,
    /// It may be there, but its folder may not be looked into.
    Hidden,
    /// It is a folder.
    Folder,
    /// It may not be executed.
    NotExecutable,
}

impl Unrunnable {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "there is no such program",
            Self::Hidden => "this user may not look into its folder",
            Self::Folder => "it is a folder",
            Self::NotExecutable => "it is not executable",
        }
    }
}

/// Whether a program can be run: one without a slash is looked for in the folders of `path`.
///
/// # Errors
/// Why not.
pub fn runnable(program: &Path, path: Option<&OsStr>) -> Result<(), Unrunnable> {
    if program.components().count() > 1 || program.as_os_str().as_encoded_bytes().contains(&b'/') {
        return check(program);
    }
    let path = path.unwrap_or(OsStr::new(PATH_DEFAULT));
    let found: Vec<_> =
        std::env::split_paths(path).map(|folder| check(&folder.join(program))).collect();
    if found.iter().any(Result::is_ok) {
        return Ok(());
    }
    // One that is there and may not be run says more than the folders without.
    let better = found.into_iter().find(|outcome| *outcome != Err(Unrunnable::Missing));
    better.unwrap_or(Err(Unrunnable::Missing))
}

fn check(file: &Path) -> Result<(), Unrunnable> {
    match file.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Unrunnable::Hidden)
        }
        Err(_) => Err(Unrunnable::Missing),
        Ok(found) if found.is_dir() => Err(Unrunnable::Folder),
        Ok(_) if access(file, Access::EXEC_OK).is_err() => Err(Unrunnable::NotExecutable),
        Ok(_) => Ok(()),
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_where_a_shell_would() {
        let path = Some(OsStr::new("/nowhere:/bin"));
        let run = |program: &str, path: Option<&OsStr>| runnable(Path::new(program), path);
        assert_eq!(run("sh", path), Ok(()));
        assert_eq!(run("sh", None), Ok(()));
        assert_eq!(run("/bin/sh", Some(OsStr::new(""))), Ok(()));
        assert_eq!(run("no-such-duck", path), Err(Unrunnable::Missing));
        assert_eq!(run("/no/such/duck", path), Err(Unrunnable::Missing));
        assert_eq!(run("./sh", path), Err(Unrunnable::Missing));
        assert_eq!(run("/bin", path), Err(Unrunnable::Folder));
        assert_eq!(run("/etc/passwd", path), Err(Unrunnable::NotExecutable));
        let etc = Some(OsStr::new("/nowhere:/etc"));
        assert_eq!(run("passwd", etc), Err(Unrunnable::NotExecutable));
    }

    #[test]
    fn words_are_a_shells() {
        let words = words("on-goose", "sh -c 'echo \"$1\"' -- 'two words' \"\"", None).unwrap();
        assert_eq!(words, ["sh", "-c", "echo \"$1\"", "--", "two words", ""]);
    }
}
