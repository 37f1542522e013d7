//! Where a setting comes from: flag > environment > configuration file > default.
//!
//! The order is kept in one place, the parser of the command line, which knows the first two
//! and the last already: the file's values are put in the place of the defaults, and the
//! command line is parsed a second time. So a value means the same wherever it is written, and
//! a new flag is a new key of the file without further ado.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::arguments::Arguments;

/// A configuration file that is longer is something else.
const FILE_SIZE_MAX: u64 = 64 * 1024;
/// Flags that make no sense in a file.
const NO_KEYS: [&str; 4] = ["config", "exit-with-stdin", "help", "version"];
/// The key for what has no flag: the address to listen on.
const LISTEN: &str = "listen";
/// Keys that take a list.
const LISTS: [&str; 2] = ["seed", "voters"];

/// Where a value was found.
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
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Where `key` was set.
    pub(super) fn of(&self, key: &str) -> Origin {
        self.0.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// Why nothing can be made of what was given.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The command line or the environment: the parser has its own way of saying it.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// The configuration file.
    #[error(transparent)]
    File(#[from] ConfigFileError),
}

/// What can be wrong with a configuration file. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigFileError {
    #[error("the configuration file {} cannot be read: {source}: correct --config", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the configuration file {} is longer than {FILE_SIZE_MAX} bytes: name another", file.display())]
    TooLong { file: PathBuf },
    #[error("the configuration file {}, line {line}: {reason}", file.display())]
    Syntax { file: PathBuf, line: usize, reason: String },
    #[error("the configuration file {}: there is no key \"{key}\"; did you mean \"{nearest}\"?", file.display())]
    UnknownKey { file: PathBuf, key: String, nearest: String },
    #[error("the configuration file {}: \"{key}\" is {kind}, but should be {wanted}", file.display())]
    Kind { file: PathBuf, key: String, kind: &'static str, wanted: &'static str },
    #[error("the configuration file {}: {reason}", file.display())]
    Value { file: PathBuf, reason: String },
    #[error(
        "the configuration file {} names a state-dir and says ephemeral: remove one of the two",
        file.display()
    )]
    TwoStorages { file: PathBuf },
}

/// Reads the command line `words`, the environment, and the file that they name.
pub(super) fn read(words: &[OsString]) -> Result<(Arguments, Origins), SourceError> {
    let first = Arguments::command().try_get_matches_from(words)?;
    let file = match first.subcommand() {
        Some(("run" | "check", given)) => given.get_one::<PathBuf>("config").cloned(),
        _ => None,
    };
    let values = file.as_deref().map(values).transpose()?.unwrap_or_default();
    merged(words, &first, file, values)
}

/// As [`read`], with the text of the file that `--config` would name.
#[cfg(feature = "simulation")]
pub(super) fn read_with(
    words: &[OsString],
    text: &str,
) -> Result<(Arguments, Origins), SourceError> {
    let first = Arguments::command().try_get_matches_from(words)?;
    let file = PathBuf::from("gaggle.toml");
    let values = parse(&file, text)?;
    merged(words, &first, Some(file), values)
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
    for (key, texts) in &values {
        let identifier = identifier(key);
        command = command.mut_subcommand(name, |subcommand| {
            subcommand.mut_arg(&identifier, |argument| argument.default_values(texts))
        });
    }
    // The command line was understood before: what is wrong now is wrong in the file.
    let matches = command.try_get_matches_from(words).map_err(|error| match &file {
        Some(file) => {
            ConfigFileError::Value { file: file.clone(), reason: in_a_line(&error) }.into()
        }
        None => SourceError::CommandLine(error),
    })?;
    let origins = match matches.subcommand() {
        Some((_, given)) => origins(given, &values),
        None => Origins::default(),
    };
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    if let (Some(file), Some(run)) = (file, arguments.command.run_arguments_mut()) {
        settle_storage(run, &origins, file)?;
    }
    Ok((arguments, origins))
}

/// A folder for state and the wish for none, from two sources: the stronger one counts.
fn settle_storage(
    run: &mut super::arguments::RunArguments,
    origins: &Origins,
    file: PathBuf,
) -> Result<(), ConfigFileError> {
    if !run.ephemeral || run.state_dir.is_none() {
        return Ok(());
    }
    let rank = |origin| match origin {
        Origin::Default => 0,
        Origin::File => 1,
        Origin::Environment(_) => 2,
        Origin::Flag => 3,
    };
    match rank(origins.of("state-dir")).cmp(&rank(origins.of("ephemeral"))) {
        std::cmp::Ordering::Greater => run.ephemeral = false,
        std::cmp::Ordering::Less => run.state_dir = None,
        std::cmp::Ordering::Equal => return Err(ConfigFileError::TwoStorages { file }),
    }
    Ok(())
}

/// The parser's own first line, without its "error: ".
fn in_a_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The keys that a file may have, each with the name by which the parser knows it.
fn keys() -> BTreeMap<String, String> {
    let command = Arguments::command();
    let run = command.find_subcommand("run");
    let arguments = run.into_iter().flat_map(clap::Command::get_arguments);
    let named = arguments.map(|argument| {
        let key = argument.get_long().unwrap_or(LISTEN).to_owned();
        (key, argument.get_id().to_string())
    });
    named.filter(|(key, _)| !NO_KEYS.contains(&key.as_str())).collect()
}

fn identifier(key: &str) -> String {
    keys().remove(key).unwrap_or_default()
}

fn origins(given: &ArgMatches, values: &BTreeMap<String, Vec<String>>) -> Origins {
    let origin = |key: &str, identifier: &str| match given.try_contains_id(identifier) {
        Ok(_) => match given.value_source(identifier) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => {
                Origin::Environment(format!("GAGGLE_{}", key.to_uppercase().replace('-', "_")))
            }
            Some(_) if values.contains_key(key) => Origin::File,
            _ => Origin::Default,
        },
        Err(_) => Origin::Default,
    };
    let all = keys().into_iter().map(|(key, identifier)| {
        let origin = match origin(&key, &identifier) {
            Origin::Environment(_) if key == LISTEN => {
                Origin::Environment("GAGGLE_ADDR".to_owned())
            }
            origin => origin,
        };
        (key, origin)
    });
    Origins(all.collect())
}

/// What `file` says, every value as it would be written on the command line.
fn values(file: &Path) -> Result<BTreeMap<String, Vec<String>>, ConfigFileError> {
    use std::io::Read;
    let failure = |source| ConfigFileError::Read { file: file.to_owned(), source };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failure)?;
    opened.take(FILE_SIZE_MAX + 1).read_to_string(&mut text).map_err(failure)?;
    if text.len() as u64 > FILE_SIZE_MAX {
        return Err(ConfigFileError::TooLong { file: file.to_owned() });
    }
    parse(file, &text)
}

fn parse(file: &Path, text: &str) -> Result<BTreeMap<String, Vec<String>>, ConfigFileError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        let reason = error.message().replace('\n', " ");
        ConfigFileError::Syntax { file: file.to_owned(), line, reason }
    })?;
    let known = keys();
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !known.contains_key(&key) {
            let distance = |other: &&String| strsim::damerau_levenshtein(&key, other);
            let nearest = known.keys().min_by_key(distance).cloned().unwrap_or_default();
            return Err(ConfigFileError::UnknownKey { file: file.to_owned(), key, nearest });
        }
        let texts = texts(&key, &value).map_err(|(kind, wanted)| ConfigFileError::Kind {
            file: file.to_owned(),
            key: key.clone(),
            kind,
            wanted,
        })?;
        values.insert(key, texts);
    }
    Ok(values)
}

/// A value as text, or what it is and what it should be.
fn texts(key: &str, value: &toml::Value) -> Result<Vec<String>, (&'static str, &'static str)> {
    let single = |value: &toml::Value| match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        toml::Value::Float(_) => Err(("a fraction", "text, a whole number, true or false")),
        toml::Value::Datetime(_) => Err(("a date", "text, a whole number, true or false")),
        toml::Value::Table(_) => Err(("a table", "text, a whole number, true or false")),
        toml::Value::Array(_) => Err(("a list", "a single value")),
    };
    match value {
        toml::Value::Array(items) if LISTS.contains(&key) => {
            let items = items.iter().map(single).collect::<Result<Vec<String>, _>>()?;
            // A list of voters is one text on the command line.
            Ok(if key == "voters" { vec![items.join(",")] } else { items })
        }
        other => Ok(vec![single(other)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::arguments::{Command, LogLevel, ProfileName, RunArguments};

    struct Given {
        _folder: tempfile::TempDir,
        file: PathBuf,
    }

    fn given(text: &str) -> Given {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gaggle.toml");
        std::fs::write(&file, text).unwrap();
        Given { _folder: folder, file }
    }

    fn run(text: &str, flags: &[&str]) -> Result<(RunArguments, Origins), String> {
        let given = given(text);
        let mut words: Vec<OsString> = vec!["gaggle".into(), "run".into()];
        words.extend(flags.iter().map(OsString::from));
        words.extend(["--config".into(), given.file.clone().into()]);
        let (arguments, origins) = read(&words).map_err(|error| {
            error.to_string().replace(&given.file.display().to_string(), "FILE")
        })?;
        let Command::Run(run) = arguments.command else { panic!("{arguments:?}") };
        Ok((*run, origins))
    }

    #[test]
    fn a_flag_is_stronger_than_the_file_and_the_file_than_the_default() {
        let text = "listen = '127.0.0.1:8100'\ncluster = 'pond'\nseed = ['a:1', 'b:2']\n\
                    voters = [1, 2, 3]\nid = 7\nlease = '900ms'\nnever-goose = true\n";
        let (run, origins) = run(text, &["--cluster", "lake", "--id", "8"]).unwrap();
        assert_eq!((run.listen.as_str(), run.cluster.as_str()), ("127.0.0.1:8100", "lake"));
        assert_eq!(run.id.unwrap().number(), 8);
        assert_eq!(run.seeds, ["a:1", "b:2"]);
        assert_eq!(run.voters.as_deref(), Some("1,2,3"));
        assert!(run.never_goose && run.profile == ProfileName::Lan);
        assert_eq!(run.log_level, LogLevel::Info);
        let expected = [
            ("cluster", Origin::Flag),
            ("id", Origin::Flag),
            ("listen", Origin::File),
            ("seed", Origin::File),
            ("never-goose", Origin::File),
            ("profile", Origin::Default),
            ("ephemeral", Origin::Default),
        ];
        for (key, origin) in expected {
            assert_eq!(origins.of(key), origin, "{key}");
        }
        let (run, _) = self::run(text, &["--seed", "c:3"]).unwrap();
        assert_eq!(run.seeds, ["c:3"], "lists replace each other whole");
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        for (wrong, nearest) in [
            ("cluser", "cluster"),
            ("log_level", "log-level"),
            ("seeds", "seed"),
            ("adress", "http"),
            ("keyfile", "key-file"),
        ] {
            let text = run(&format!("{wrong} = 'x'"), &[]).unwrap_err();
            let start = format!("the configuration file FILE: there is no key \"{wrong}\"; did");
            assert!(text.starts_with(&start), "{text}");
            if wrong != "adress" {
                assert!(text.contains(&format!("\"{nearest}\"?")), "{text}");
            }
        }
        assert!(run("exit-with-stdin = true", &[]).is_err());
        assert!(run("config = 'x'", &[]).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refusal = |text: &str| run(text, &[]).unwrap_err();
        assert!(refusal("id = 1\ncluster =").starts_with("the configuration file FILE, line 2: "));
        assert!(refusal("id = 1\nid = 2").starts_with("the configuration file FILE, line 2: "));
        let text = refusal("lease = 0.5");
        assert!(text.ends_with(
            "\"lease\" is a fraction, but should be text, a whole number, true or false"
        ));
        assert!(refusal("id = [1]").contains("\"id\" is a list, but should be a single value"));
        assert!(refusal("[log]\nlevel = 1").contains("no key \"log\""));
        let text = refusal("profile = 'moon'");
        assert!(text.starts_with("the configuration file FILE: invalid value 'moon'"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(refusal("never-goose = 'perhaps'\nid = 0").contains("invalid value '0'"));
    }

    #[test]
    fn of_two_storages_the_stronger_counts() {
        let (both, _) = run("ephemeral = true", &["--state-dir", "/x"]).unwrap();
        assert!(!both.ephemeral && both.state_dir.is_some());
        let (both, _) = run("state-dir = '/x'", &["--ephemeral"]).unwrap();
        assert!(both.ephemeral && both.state_dir.is_none());
        assert!(run("state-dir = '/x'\nephemeral = true", &[]).unwrap_err().contains("remove one"));
    }

    #[test]
    fn every_long_flag_is_a_key() {
        let keys = keys();
        for key in ["listen", "seed", "voters", "id", "lease", "key-file", "admin-token-file"] {
            assert!(keys.contains_key(key), "{key}");
        }
    }
}
