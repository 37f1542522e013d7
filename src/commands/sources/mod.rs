//! Where a setting comes from: flag > environment > configuration file > default.
//!
//! The order is kept in one place, the parser of the command line, which knows the first two
//! and the last already: the file's values are put in the place of the defaults, and the
//! command line is parsed a second time. So a value means the same wherever it is written, and
//! a new flag is a new key of the file without further ado.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches};

use super::arguments::{Arguments, RunArguments};
use file::ConfigFileError;

mod file;
mod nearest;
#[cfg(test)]
mod tests;
pub(super) mod variables;

/// Flags that make no sense in a file.
const NO_KEYS: [&str; 4] = ["config", "exit-with-stdin", "help", "version"];
/// The key for what has no flag: the address to listen on.
const LISTEN: &str = "listen";

/// Where a value was found, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Nowhere: it is built in or follows from others.
    Default,
    /// In the configuration file.
    File,
    /// In this environment variable.
    Environment(String),
    /// On the command line.
    Flag,
}

impl Origin {
    /// How much it counts beside another.
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File => 1,
            Self::Environment(_) => 2,
            Self::Flag => 3,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File => formatter.write_str("file"),
            Self::Environment(name) => formatter.write_str(name),
            Self::Flag => formatter.write_str("flag"),
        }
    }
}

/// Every setting's origin, by the name of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins {
    keys: BTreeMap<String, Origin>,
    file: Option<PathBuf>,
}

impl Origins {
    /// Where `key` was set.
    pub(super) fn of(&self, key: &str) -> Origin {
        self.keys.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Which of `keys` were set where nobody looks who reads the command line, in words; empty
    /// if none was.
    pub(super) fn hidden(&self, keys: &[&str]) -> String {
        let place = |key: &&str| match self.of(key) {
            Origin::File => {
                let file = self.file.as_ref().map(|file| file.display().to_string());
                Some(format!("{key} is set in {}", file.unwrap_or_default()))
            }
            Origin::Environment(name) => Some(format!("{key} is set by {name}")),
            Origin::Default | Origin::Flag => None,
        };
        let places: Vec<String> = keys.iter().filter_map(place).collect();
        if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) }
    }
}

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
    /// A folder for state and the wish for none, from equally strong sources.
    #[error(
        "state-dir and ephemeral contradict each other: leave out the one or the other{hidden}"
    )]
    TwoStorages { hidden: String },
}

/// Reads the command line `words`, the environment, and the file that they name.
pub(super) fn read(words: &[OsString]) -> Result<(Arguments, Origins), SourceError> {
    let first = understood(words)?;
    let file = match first.subcommand() {
        Some(("run" | "exec" | "check", given)) => given.get_one::<PathBuf>("config").cloned(),
        _ => None,
    };
    let values = file.as_deref().map(file::values).transpose()?.unwrap_or_default();
    merged(words, &first, file, values)
}

/// As [`read`], with the text of the file that `--config` would name.
#[cfg(feature = "simulation")]
pub(super) fn read_with(
    words: &[OsString],
    text: &str,
) -> Result<(Arguments, Origins), SourceError> {
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
    values: BTreeMap<String, Vec<String>>,
) -> Result<(Arguments, Origins), SourceError> {
    let name = first.subcommand_name().unwrap_or_default();
    let mut command = Arguments::command();
    let keys = keys();
    for (key, texts) in &values {
        let identifier = keys.get(key).cloned().unwrap_or_default();
        command = command.mut_subcommand(name, |subcommand| {
            subcommand.mut_arg(&identifier, |argument| argument.default_values(texts))
        });
    }
    // The command line was understood before: what is wrong now is wrong in the file.
    let matches = command.try_get_matches_from(words).map_err(|error| match &file {
        Some(file) => {
            let key = blamed(words, &error).as_ref().map(key).unwrap_or_default();
            ConfigFileError::Value { file: file.clone(), key, reason: reason(&error) }.into()
        }
        None => SourceError::CommandLine(error),
    })?;
    let keys = match matches.subcommand() {
        Some((_, given)) => origins(given, &values),
        None => BTreeMap::new(),
    };
    let origins = Origins { keys, file };
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    if let Some(run) = arguments.command.run_arguments_mut() {
        settle_storage(run, &origins)?;
    }
    Ok((arguments, origins))
}

/// A folder for state and the wish for none, from two sources: the stronger one counts.
fn settle_storage(run: &mut RunArguments, origins: &Origins) -> Result<(), SourceError> {
    if !run.ephemeral || run.state_dir.is_none() {
        return Ok(());
    }
    let rank = |key| origins.of(key).rank();
    match rank("state-dir").cmp(&rank("ephemeral")) {
        std::cmp::Ordering::Greater => run.ephemeral = false,
        std::cmp::Ordering::Less => run.state_dir = None,
        std::cmp::Ordering::Equal => {
            let hidden = origins.hidden(&["state-dir", "ephemeral"]);
            return Err(SourceError::TwoStorages { hidden });
        }
    }
    Ok(())
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

/// The keys that a file may have, each with the name by which the parser knows it.
fn keys() -> BTreeMap<String, String> {
    let command = Arguments::command();
    let run = command.find_subcommand("run");
    let arguments = run.into_iter().flat_map(clap::Command::get_arguments);
    let named = arguments.map(|argument| (key(argument), argument.get_id().to_string()));
    named.filter(|(key, _)| !NO_KEYS.contains(&key.as_str())).collect()
}

fn key(argument: &Arg) -> String {
    argument.get_long().unwrap_or(LISTEN).to_owned()
}

fn origins(given: &ArgMatches, values: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Origin> {
    let command = Arguments::command();
    let run = command.find_subcommand("run");
    let arguments = run.into_iter().flat_map(clap::Command::get_arguments);
    let origin = |argument: &Arg| {
        let identifier = argument.get_id().as_str();
        // `status` and the like know other arguments.
        if given.try_contains_id(identifier).is_err() {
            return Origin::Default;
        }
        match given.value_source(identifier) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => {
                let name = argument.get_env().unwrap_or_default();
                Origin::Environment(name.to_string_lossy().into_owned())
            }
            Some(_) if values.contains_key(&key(argument)) => Origin::File,
            _ => Origin::Default,
        }
    };
    arguments.map(|argument| (key(argument), origin(argument))).collect()
}
