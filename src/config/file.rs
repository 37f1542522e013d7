//! The configuration file: TOML, flat, every key a flag of `run`, every value as it would be
//! written on the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::flags::named;
use super::nearest::nearest_key;

/// A configuration file that is longer is something else.
const FILE_SIZE_MAX: u64 = 64 * 1024;
/// Keys that take a list.
const LISTS: [&str; 5] = ["seed", "voters", ON_GOOSE, ON_DUCK, HEALTH];
const ON_GOOSE: &str = "on-goose";
const ON_DUCK: &str = "on-duck";
const HEALTH: &str = "health";

/// What a file says, by key, every value as it would be written on the command line.
pub type Values = BTreeMap<&'static str, Vec<String>>;

/// What can be wrong with a configuration file. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ConfigFileError {
    #[error("the configuration file {} cannot be read: {source}: correct --config (or GAGGLE_CONFIG)", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the configuration file {} is longer than {FILE_SIZE_MAX} bytes, so it is something else: correct --config (or GAGGLE_CONFIG)", file.display())]
    TooLong { file: PathBuf },
    #[error("the configuration file {}, line {line}: {reason}", file.display())]
    Syntax { file: PathBuf, line: usize, reason: String },
    #[error("the configuration file {}: there is no key \"{key}\"; {hint}", file.display())]
    UnknownKey { file: PathBuf, key: String, hint: String },
    #[error("the configuration file {}: \"{key}\" is {kind}, but should be {wanted}", file.display())]
    Kind { file: PathBuf, key: String, kind: &'static str, wanted: &'static str },
    #[error("the configuration file {}: \"{key}\": {reason}", file.display())]
    Value { file: PathBuf, key: String, reason: String },
}

/// What `file` says.
///
/// # Errors
/// As [`ConfigFileError`] says.
pub fn values(file: &Path) -> Result<Values, ConfigFileError> {
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

/// What `text` says, which stands in `file`.
///
/// # Errors
/// As [`ConfigFileError`] says.
pub fn parse(file: &Path, text: &str) -> Result<Values, ConfigFileError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        let reason = error.message().replace('\n', " ");
        ConfigFileError::Syntax { file: file.to_owned(), line, reason }
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(flag) = named(&key).filter(|flag| flag.in_file) else {
            let hint = nearest_key(&key);
            return Err(ConfigFileError::UnknownKey { file: file.to_owned(), key, hint });
        };
        let texts = texts(flag.key, &value).map_err(|(kind, wanted)| ConfigFileError::Kind {
            file: file.to_owned(),
            key,
            kind,
            wanted,
        })?;
        values.insert(flag.key, texts);
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
            // One text on the command line.
            Ok(match key {
                "voters" => vec![items.join(",")],
                ON_GOOSE | ON_DUCK | HEALTH => vec![shell_words::join(items)],
                _ => items,
            })
        }
        other => Ok(vec![single(other)?]),
    }
}
