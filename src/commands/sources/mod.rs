//! Where a setting comes from: flag > environment > configuration file > default.
//!
//! The order is kept in one place, the parser of the command line, which knows the first two
//! and the last already: the file's values are put in the place of the defaults, and the
//! command line is parsed a second time. So a value means the same wherever it is written, and
//! a new flag is a new key of the file without further ado.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches};

use super::arguments::Arguments;
use crate::config::Origin;
use crate::config::file::{self, ConfigFileError, Values};

#[cfg(test)]
mod tests;
pub(super) mod variables;

/// Why nothing can be made of what was given.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The command line: the parser has its own way of saying it.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// An environment variable.
    #[error("the environment variable {name}: {reason}")]
    Variable { name: String, reason: String },
    /// The configuration file.
    #[error(transparent)]
    File(#[from] ConfigFileError),
}

/// Reads the command line `words`, the environment, and the file that they name.
pub(super) fn read(words: &[OsString]) -> Result<Arguments, SourceError> {
    let first = understood(words)?;
    let file = match first.subcommand() {
        Some(("run" | "exec" | "address" | "check", given)) => {
            given.get_one::<PathBuf>("config").cloned()
        }
        // An examination of a running node is no business of the file's.
        Some(("doctor", given)) if given.get_flag("preflight") => {
            given.get_one::<PathBuf>("config").cloned()
        }
        _ => None,
    };
    let values = file.as_deref().map(file::values).transpose()?.unwrap_or_default();
    merged(words, &first, file, values)
}

/// As [`read`], with the text of the file that `--config` would name.
#[cfg(feature = "simulation")]
pub(super) fn read_with(words: &[OsString], text: &str) -> Result<Arguments, SourceError> {
    let first = understood(words)?;
    let file = PathBuf::from("gaggle.toml");
    let values = file::parse(&file, text)?;
    merged(words, &first, Some(file), values)
}

/// The command line and the environment, without any file.
fn understood(words: &[OsString]) -> Result<ArgMatches, SourceError> {
    Arguments::command().try_get_matches_from(words).map_err(|error| {
        match blamed(words, &error).and_then(|argument| variable(&argument, words)) {
            Some(name) => SourceError::Variable { name, reason: reason(&error) },
            None => SourceError::CommandLine(error),
        }
    })
}

/// Puts the file's values in the place of the defaults, and parses the command line again.
fn merged(
    words: &[OsString],
    first: &ArgMatches,
    file: Option<PathBuf>,
    values: Values,
) -> Result<Arguments, SourceError> {
    let name = first.subcommand_name().unwrap_or_default();
    // All in their places: of arguments without a flag the place says which is which.
    let command = Arguments::command().mut_subcommand(name, |subcommand| {
        subcommand.mut_args(|argument| match values.get(argument.get_id().as_str()) {
            Some(texts) => argument.default_values(texts),
            None => argument,
        })
    });
    // The command line was understood before: what is wrong now is wrong in the file.
    let matches = command.try_get_matches_from(words).map_err(|error| match &file {
        Some(file) => {
            let key = blamed(words, &error).map(|argument| argument.get_id().to_string());
            let (file, key) = (file.clone(), key.unwrap_or_default());
            ConfigFileError::Value { file, key, reason: reason(&error) }.into()
        }
        None => SourceError::CommandLine(error),
    })?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    if let Some(raw) = arguments.command.raw_mut() {
        for key in values.into_keys() {
            if raw.origins.of(key) == Origin::Default {
                raw.origins.note(key, Origin::File);
            }
        }
        raw.origins.file = file;
    }
    Ok(arguments)
}

/// The argument of which the parser says that its value is wrong.
fn blamed(words: &[OsString], error: &clap::Error) -> Option<Arg> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else { return None };
    error.get(ContextKind::InvalidValue)?;
    let mut command = Arguments::command();
    // Only then an argument can say how it is called.
    command.build();
    let subcommand = command.find_subcommand(words.get(1)?)?;
    subcommand.get_arguments().find(|argument| argument.to_string() == *name).cloned()
}

/// The environment variable that gave `argument` its value, if the command line did not.
fn variable(argument: &Arg, words: &[OsString]) -> Option<String> {
    let name = argument.get_env()?.to_str()?.to_owned();
    std::env::var_os(&name)?;
    let given = |word: &OsString| {
        let word = word.to_string_lossy();
        let long = argument.get_long().map(|long| format!("--{long}"));
        let long = long.is_some_and(|it| word == it || word.starts_with(&format!("{it}=")));
        let short = argument.get_short().map(|short| format!("-{short}"));
        long || short.is_some_and(|it| word.starts_with(&it))
    };
    (!argument.is_positional() && !words.iter().any(given)).then_some(name)
}

/// What is wrong with a value, without the name of its flag, on one line.
fn reason(error: &clap::Error) -> String {
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.as_str(),
        _ => "",
    };
    if let Some(source) = std::error::Error::source(error) {
        return format!("\"{value}\": {source}");
    }
    if value.is_empty() {
        return "it is empty: write a value, or leave it out".to_owned();
    }
    if let Some(ContextValue::Strings(possible)) = error.get(ContextKind::ValidValue) {
        return format!("\"{value}\" is not one of {}", possible.join(", "));
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
